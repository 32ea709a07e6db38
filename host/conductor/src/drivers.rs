//! Drivers from the operator's side: which there are at the start, listing.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use serde_json::{Value, json};
use wrought_domain::{Digest, DriverName, Principal};
use wrought_drivers::shipped::{self, Shipped};
use wrought_drivers::{Driver, Grants as Set, InForce};
use wrought_storage::{Decision, DriverStatus, DriverVersion, StoreError};

use crate::audit::{done, object_of};
use crate::conductor::Conductor;
use crate::selection::AUTODETECT;
use crate::uploads;
use crate::{Refusal, convert};

/// Marks the description of a version that came with a host.
pub(crate) const SHIPPED: &str = "shipped";

/// Drivers that are loaded at once when the host starts.
const LOADING: usize = 8;

impl Conductor {
    /// Puts the shipped drivers and those that an operator activated in force.
    pub(crate) async fn load_drivers(&self) -> Result<(), crate::StartError> {
        for (name, capabilities) in self.0.store.grants().await? {
            match Set::of(&capabilities) {
                Ok(set) => self.0.grants.grant(&name, set),
                Err(error) => tracing::warn!(driver = %name, %error, "a grant is not understood and not given"),
            }
        }
        for (digest, reason) in self.0.store.revocations().await? {
            self.0.grants.revoke(&digest, reason);
        }
        for shipped in shipped::all() {
            self.take_in(&shipped).await?;
        }
        let (mut rollouts, active) = (self.0.store.rollouts().await?, self.0.store.active().await?);
        let names: BTreeSet<DriverName> = active.iter().map(|active| active.name.clone()).chain(rollouts.keys().cloned()).collect();
        let loading = names.into_iter().map(|name| {
            let digest = active.iter().find(|active| active.name == name).map(|active| active.digest.clone());
            let rollout = rollouts.remove(&name).unwrap_or_default();
            async move {
                let canary = rollout.canary.as_ref().map(|canary| canary.digest.clone());
                let in_force =
                    InForce { active: self.load(&name, digest).await, canary: self.load(&name, canary).await, rollout: Arc::new(rollout) };
                (name, in_force)
            }
        });
        let mut loaded = futures::stream::iter(loading).buffered(LOADING);
        while let Some((name, in_force)) = loaded.next().await {
            self.0.catalog.publish(name, in_force);
        }
        Ok(())
    }

    /// A version that is in force. One bad driver does not stop the host: its nodes stay readable, its verbs are refused by name.
    async fn load(&self, name: &DriverName, digest: Option<Digest>) -> Option<Arc<Driver>> {
        let digest = digest?;
        if let Some(reason) = self.0.grants.revoked(&digest) {
            tracing::error!(driver = %name, digest = digest.short(), reason, "a revoked driver does not serve");
            return None;
        }
        let loaded = self.0.catalog.version(&digest).await;
        loaded.inspect_err(|error| tracing::error!(driver = %name, digest = digest.short(), %error, "a driver cannot be loaded")).ok()
    }

    /// Loads and grants a driver of the binary. One that came with this binary for the first time is put in force in place of that
    /// of a former binary; what an operator decided, then or later, stays.
    async fn take_in(&self, shipped: &Shipped) -> Result<(), StoreError> {
        let admitted = match self.0.catalog.shipped(shipped).await {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::error!(driver = %shipped.name, %error, "a driver of this binary cannot be loaded");
                return Ok(());
            }
        };
        let mut version = uploads::version(&shipped.name, &admitted, &Principal::host(), None);
        if let Some(description) = version.description.as_object_mut() {
            description.insert(SHIPPED.into(), true.into());
        }
        let versions = self.0.store.driver_versions(Some(&shipped.name)).await?;
        let known = versions.iter().find(|known| known.digest == version.digest);
        let came_with_a_host = |digest: &Digest| {
            let known = versions.iter().find(|known| known.digest == *digest);
            *digest == version.digest || known.is_some_and(|known| known.description.get(SHIPPED) == Some(&true.into()))
        };
        // Operations that began on the driver of a former host go on with it, so it keeps its grants.
        for digest in versions.iter().map(|version| &version.digest).chain([&version.digest]).filter(|digest| came_with_a_host(digest)) {
            self.0.grants.grant_shipped(digest, &shipped.grants);
        }
        if let Some(known) = known.filter(|known| known.description.get(SHIPPED) == Some(&true.into())) {
            return if known.description == version.description { Ok(()) } else { self.0.store.put_driver_version(&version).await };
        }
        let chosen = self.0.store.active().await?.into_iter().find(|active| active.name == shipped.name);
        let revoked = self.0.grants.revoked(&version.digest).is_some();
        // One that an operator uploaded stays, and so does that there is none.
        let succeeds = chosen.as_ref().map_or(versions.is_empty(), |chosen| came_with_a_host(&chosen.digest));
        if revoked {
            version.status = DriverStatus::Revoked;
        }
        if revoked || !succeeds {
            return self.0.store.put_driver_version(&version).await;
        }
        let mut rollout = self.0.store.rollouts().await?.remove(&shipped.name).unwrap_or_default();
        rollout.succeed(chosen.map(|chosen| chosen.digest), &version.digest);
        let detail = json!({"version": version.version, "digest": version.digest});
        let record = done(&Principal::host(), "driver.activate", object_of(&shipped.name), "it came with this host".into(), detail);
        let decision = Decision::new(shipped.name.clone(), record);
        let active = Some(Some(version.digest.clone()));
        self.0.store.decide(Decision { active, rollout: Some(rollout), version: Some(version), ..decision }).await
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

    /// One driver with its versions, the report of each, and the uploads that were refused.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn show_driver(&self, _who: &Principal, name: DriverName) -> Result<Value, Refusal> {
        let versions = self.0.store.driver_versions(Some(&name)).await?;
        let rejections = self.0.store.driver_rejections(&name).await?;
        if versions.is_empty() && rejections.is_empty() {
            return Err(Refusal::NotFound(format!("Driver {name} could not be found.")));
        }
        let mut document = self.driver_document(&name, &versions);
        if let Some(document) = document.as_object_mut() {
            let reported = versions.iter().map(|version| self.reported(version)).collect::<Vec<_>>();
            document.insert("versions".into(), reported.into());
            let limits = self.limits_document(&name);
            document.insert("limits".into(), limits.get("limits").cloned().unwrap_or_default());
            document.insert("limits_set".into(), limits.get("set").cloned().unwrap_or_default());
            document.insert("rejected".into(), rejections.iter().map(uploads::shown_rejection).collect::<Vec<_>>().into());
        }
        Ok(document)
    }

    /// What can be a node's `deploy_interface`: the active drivers that deploy, and `autodetect`.
    pub fn deploy_interfaces(&self) -> Vec<String> {
        let generation = self.0.catalog.current();
        let usable = generation.drivers.keys().filter(|name| {
            generation
                .chain(name)
                .is_ok_and(|chain| wrought_drivers::serving(&chain, wrought_domain::Function::ExecuteDeployStep).is_some())
        });
        usable.map(ToString::to_string).chain([AUTODETECT.to_owned()]).collect()
    }

    pub(crate) async fn versions_of(&self, name: &DriverName) -> Result<Vec<DriverVersion>, Refusal> {
        let versions = self.0.store.driver_versions(Some(name)).await.map_err(convert::refusal)?;
        if versions.is_empty() {
            return Err(Refusal::NotFound(format!("Driver {name} could not be found.")));
        }
        Ok(versions)
    }

    pub(crate) fn driver_document(&self, name: &DriverName, versions: &[DriverVersion]) -> Value {
        let active = versions.iter().find(|version| version.status == DriverStatus::Active);
        let rollout = self.0.catalog.current().drivers.get(name).map(|driver| driver.rollout.clone()).unwrap_or_default();
        json!({
            "name": name,
            "active": active.map(|version| json!({"version": version.version, "digest": version.digest})),
            "granted": active.map(|version| self.0.grants.of(name, &version.digest).names()).unwrap_or_default(),
            "canary": rollout.canary, "paused": rollout.paused, "former": rollout.former,
            "versions": versions.iter().map(|version| self.shown(version)).collect::<Vec<_>>(),
        })
    }

    /// A version with what the stages of admission found.
    pub(crate) fn reported(&self, version: &DriverVersion) -> Value {
        let mut shown = self.shown(version);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("report".into(), version.report.clone());
        }
        shown
    }

    pub(crate) fn shown(&self, version: &DriverVersion) -> Value {
        let granted = self.0.grants.of(&version.name, &version.digest);
        let requested = Set::of(&version.requested).unwrap_or_default();
        json!({
            "name": version.name, "version": version.version, "digest": version.digest, "vendor": version.vendor,
            "summary": version.summary, "status": version.status, "size": version.size,
            "uploaded_at": version.uploaded_at.to_string(), "uploaded_by": version.uploaded_by,
            "uploaded_from": version.uploaded_from, "signature": version.signature, "requested": version.requested,
            "granted": granted.names(), "missing": granted.missing(&requested), "description": version.description,
            "revoked": self.0.grants.revoked(&version.digest),
        })
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        convert::refusal(error)
    }
}
