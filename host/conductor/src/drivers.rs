//! Drivers from the operator's side: upload, activation with grants, listing.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::{Value, json};
use wrought_domain::{Digest, DriverName, Principal};
use wrought_drivers::{Driver, Grants as Set, Rejection, shipped};
use wrought_storage::{DriverStatus, DriverVersion, StoreError};

use crate::Refusal;
use crate::conductor::Conductor;
use crate::convert;

/// Marks the description of a version that came with a host.
const SHIPPED: &str = "shipped";

/// What each driver may use: by name for those that an operator granted, by digest for shipped ones.
#[derive(Default)]
pub(crate) struct Grants {
    by_name: RwLock<BTreeMap<DriverName, Set>>,
    shipped: RwLock<BTreeMap<Digest, Set>>,
}

impl Grants {
    /// Read at each call.
    pub(crate) fn of(&self, name: &DriverName, digest: &Digest) -> Set {
        let granted = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default();
        match self.shipped.read().unwrap_or_else(PoisonError::into_inner).get(digest) {
            Some(shipped) => granted.union(shipped),
            None => granted,
        }
    }

    fn grant_shipped(&self, digest: &Digest, set: &Set) {
        self.shipped.write().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), set.clone());
    }

    fn grant(&self, name: &DriverName, set: Set) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), set);
    }
}

impl Conductor {
    /// Puts the shipped drivers and those that an operator activated in force.
    pub(crate) async fn load_drivers(&self) -> Result<(), crate::StartError> {
        for (name, capabilities) in self.0.store.grants().await? {
            match Set::of(&capabilities) {
                Ok(set) => self.0.grants.grant(&name, set),
                Err(error) => tracing::warn!(driver = %name, %error, "a grant is not understood and not given"),
            }
        }
        let mut active = self.0.store.active().await?;
        for shipped in shipped::all() {
            let driver = self.0.catalog.admit(shipped.component.to_vec()).await?;
            let mut version = version(&shipped.name, &driver, shipped.component.len());
            if let Some(description) = version.description.as_object_mut() {
                description.insert(SHIPPED.into(), true.into());
            }
            self.0.store.put_driver_version(&version).await?;
            let versions = self.0.store.driver_versions(Some(&shipped.name)).await?;
            let came_with_a_host = |digest: &Digest| {
                versions.iter().any(|known| known.digest == *digest && known.description.get(SHIPPED) == Some(&true.into()))
            };
            // Operations that began on the driver of a former host go on with it, so it keeps its grants.
            for version in versions.iter().filter(|version| came_with_a_host(&version.digest)) {
                self.0.grants.grant_shipped(&version.digest, &shipped.grants);
            }
            let chosen = active.iter().position(|active| active.name == shipped.name);
            // A newer host brings a newer driver; one that an operator uploaded stays.
            if chosen.and_then(|chosen| active.get(chosen)).is_none_or(|chosen| came_with_a_host(&chosen.digest)) {
                if let Some(chosen) = chosen {
                    active.remove(chosen);
                }
                self.0.store.activate(&shipped.name, &driver.digest).await?;
                self.0.catalog.publish(shipped.name, driver);
            }
        }
        for active in active {
            match self.0.catalog.version(&active.digest).await {
                Ok(driver) => self.0.catalog.publish(active.name, driver),
                // One bad driver does not stop the host: its nodes stay readable, its verbs are refused by name.
                Err(error) => {
                    tracing::error!(driver = %active.name, digest = active.digest.short(), %error, "an active driver cannot be loaded")
                }
            }
        }
        Ok(())
    }

    /// Judges uploaded bytes and stores them as a version of the driver. It serves nothing before
    /// it is activated.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with the reason; nothing has changed then.
    pub async fn upload_driver(&self, _who: &Principal, name: DriverName, bytes: Vec<u8>) -> Result<Value, Refusal> {
        let size = bytes.len();
        let driver = self.0.catalog.admit(bytes).await.map_err(rejected)?;
        let version = version(&name, &driver, size);
        self.0.store.put_driver_version(&version).await.map_err(convert::refusal)?;
        tracing::info!(driver = %name, version = %driver.about.version, digest = driver.digest.short(), requested = %driver.requested, "driver uploaded");
        let kept = self.versions_of(&name).await?.into_iter().find(|kept| kept.digest == version.digest).unwrap_or(version);
        Ok(self.shown(&kept))
    }

    /// Puts a version in force for operations that begin from now on, and grants what is named
    /// beside what was granted before. Without a version: the newest.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without the version; [`Refusal::Conflict`] when it asks for more than
    /// is granted, naming what is missing.
    pub async fn activate_driver(
        &self,
        _who: &Principal,
        name: DriverName,
        wanted: Option<String>,
        grant: Vec<String>,
    ) -> Result<Value, Refusal> {
        let versions = self.versions_of(&name).await?;
        let version = choose(&versions, wanted.as_deref())
            .ok_or_else(|| Refusal::NotFound(format!("Driver {name} has no version {}.", wanted.as_deref().unwrap_or("at all"))))?
            .clone();
        let granted = Set::of(&grant).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let driver = self.0.catalog.version(&version.digest).await.map_err(rejected)?;
        let all = self.0.grants.of(&name, &driver.digest).union(&granted);
        let missing = all.missing(&driver.requested);
        if !missing.is_empty() {
            return Err(Refusal::Conflict(format!(
                "Driver {name} {version} requests {requested}; not granted: {}. Grant them with: wrought driver activate {name} {version} \
                 --grant {requested}",
                missing.join(", "),
                version = version.version,
                requested = driver.requested,
            )));
        }
        if !grant.is_empty() {
            self.0.store.set_grants(&name, all.names()).await.map_err(convert::refusal)?;
            self.0.grants.grant(&name, all);
        }
        let (this, named) = (self.clone(), name.clone());
        self.through(async move {
            this.0.store.activate(&named, &driver.digest).await.map_err(convert::refusal)?;
            this.0.catalog.publish(named, driver);
            Ok(())
        })
        .await?;
        tracing::info!(driver = %name, version = %version.version, digest = version.digest.short(), "driver activated");
        let kept = self.versions_of(&name).await?.into_iter().find(|kept| kept.digest == version.digest).unwrap_or(version);
        Ok(self.shown(&kept))
    }

    /// Every driver with its versions.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list_drivers(&self, _who: &Principal) -> Result<Value, Refusal> {
        let versions = self.0.store.driver_versions(None).await.map_err(convert::refusal)?;
        let mut names: Vec<DriverName> = versions.iter().map(|version| version.name.clone()).collect();
        names.dedup();
        let drivers: Vec<Value> = names
            .iter()
            .map(|name| {
                let own: Vec<DriverVersion> = versions.iter().filter(|version| version.name == *name).cloned().collect();
                self.driver_document(name, &own)
            })
            .collect();
        Ok(json!({ "drivers": drivers }))
    }

    /// One driver with its versions.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn show_driver(&self, _who: &Principal, name: DriverName) -> Result<Value, Refusal> {
        let versions = self.versions_of(&name).await?;
        Ok(self.driver_document(&name, &versions))
    }

    /// The active drivers that can be a node's `deploy_interface`.
    pub fn deploy_interfaces(&self) -> Vec<String> {
        let generation = self.0.catalog.current();
        let usable = generation.active.keys().filter(|name| {
            generation
                .chain(name)
                .is_ok_and(|chain| wrought_drivers::serving(&chain, wrought_domain::Function::ExecuteDeployStep).is_some())
        });
        usable.map(ToString::to_string).collect()
    }

    async fn versions_of(&self, name: &DriverName) -> Result<Vec<DriverVersion>, Refusal> {
        let versions = self.0.store.driver_versions(Some(name)).await.map_err(convert::refusal)?;
        if versions.is_empty() {
            return Err(Refusal::NotFound(format!("Driver {name} could not be found.")));
        }
        Ok(versions)
    }

    fn driver_document(&self, name: &DriverName, versions: &[DriverVersion]) -> Value {
        let active = versions.iter().find(|version| version.status == DriverStatus::Active);
        json!({
            "name": name,
            "active": active.map(|version| json!({"version": version.version, "digest": version.digest})),
            "granted": active.map(|version| self.0.grants.of(name, &version.digest).names()).unwrap_or_default(),
            "versions": versions.iter().map(|version| self.shown(version)).collect::<Vec<_>>(),
        })
    }

    fn shown(&self, version: &DriverVersion) -> Value {
        let granted = self.0.grants.of(&version.name, &version.digest);
        let requested = Set::of(&version.requested).unwrap_or_default();
        json!({
            "name": version.name, "version": version.version, "digest": version.digest, "vendor": version.vendor,
            "summary": version.summary, "status": version.status, "size": version.size,
            "uploaded_at": version.uploaded_at.to_string(), "requested": version.requested,
            "granted": granted.names(), "missing": granted.missing(&requested), "description": version.description,
        })
    }
}

fn version(name: &DriverName, driver: &Driver, size: usize) -> DriverVersion {
    DriverVersion {
        name: name.clone(),
        digest: driver.digest.clone(),
        version: driver.about.version.clone(),
        vendor: driver.about.vendor.clone(),
        summary: driver.about.summary.clone(),
        status: DriverStatus::Available,
        size: u64::try_from(size).unwrap_or(u64::MAX),
        uploaded_at: Timestamp::now(),
        description: json!({"about": driver.about, "exports": driver.exports}),
        requested: driver.requested.names(),
    }
}

/// A version by its number or its digest (whole or its beginning); the one uploaded last where
/// several match, or where none is named.
fn choose<'a>(versions: &'a [DriverVersion], wanted: Option<&str>) -> Option<&'a DriverVersion> {
    let is = |version: &&DriverVersion| match wanted {
        None => true,
        Some(text) => {
            let hex = text.strip_prefix("sha256:").unwrap_or(text);
            version.version == text || (hex.len() >= 8 && version.digest.hex().starts_with(hex))
        }
    };
    versions.iter().filter(is).max_by_key(|version| version.uploaded_at)
}

fn rejected(rejection: Rejection) -> Refusal {
    match rejection {
        Rejection::Host(text) => {
            tracing::error!(error = %text, "a driver could not be stored or loaded");
            Refusal::Internal("the driver could not be stored or loaded; the host's log says more".into())
        }
        rejection => Refusal::Invalid(format!("The driver is rejected: {rejection}")),
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        convert::refusal(error)
    }
}
