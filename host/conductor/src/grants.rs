//! What each driver may use at this moment, and which versions were revoked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use wrought_domain::{Digest, DriverName};
use wrought_drivers::Grants as Set;

/// Read at each host call of each driver.
#[derive(Default)]
pub(crate) struct Grants {
    /// What an operator granted.
    by_name: RwLock<BTreeMap<DriverName, Arc<Set>>>,
    /// What the drivers of this binary, and of former ones, may use.
    shipped: RwLock<BTreeMap<Digest, Arc<Set>>>,
    /// The reasons of the operator.
    revoked: RwLock<HashMap<Digest, String>>,
}

impl Grants {
    pub(crate) fn of(&self, name: &DriverName, digest: &Digest) -> Arc<Set> {
        let granted = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let shipped = self.shipped.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        match (granted, shipped) {
            (Some(granted), Some(shipped)) => Arc::new(granted.union(&shipped)),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => Arc::default(),
        }
    }

    /// What an operator granted under this name.
    pub(crate) fn granted(&self, name: &DriverName) -> Arc<Set> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn grant_shipped(&self, digest: &Digest, set: &Set) {
        self.shipped.write().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), Arc::new(set.clone()));
    }

    /// In place of what was granted before.
    pub(crate) fn grant(&self, name: &DriverName, set: Set) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::new(set));
    }

    /// Why a version was revoked.
    pub(crate) fn revoked(&self, digest: &Digest) -> Option<String> {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    pub(crate) fn revoke(&self, digest: &Digest, reason: String) {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), reason);
    }
}
