//! Drivers from the operator's side: activation with grants, listing.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::{Value, json};
use wrought_domain::{Digest, DriverName, Principal};
use wrought_drivers::shipped::{self, Shipped};
use wrought_drivers::{Driver, Grants as Set};
use wrought_storage::{ActiveDriver, DriverStatus, DriverVersion, StoreError};

use crate::audit::administrator;
use crate::conductor::Conductor;
use crate::uploads::{self, refused};
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
        let mut active = self.0.store.active().await?;
        for shipped in shipped::all() {
            if let Some(driver) = self.load_shipped(&shipped, &active).await? {
                active.retain(|active| active.name != shipped.name);
                self.0.catalog.publish(shipped.name, driver);
            }
        }
        let loading = active.into_iter().map(async |active| {
            let loaded = self.0.catalog.version(&active.digest).await;
            (active, loaded)
        });
        let mut loaded = futures::stream::iter(loading).buffered(LOADING);
        while let Some((active, loaded)) = loaded.next().await {
            match loaded {
                Ok(driver) => self.0.catalog.publish(active.name, driver),
                // One bad driver does not stop the host: its nodes stay readable, its verbs are refused by name.
                Err(error) => {
                    tracing::error!(driver = %active.name, digest = active.digest.short(), %error, "an active driver cannot be loaded")
                }
            }
        }
        Ok(())
    }

    /// Loads and grants a driver of the binary; answers it if it is the one that serves under its name.
    async fn load_shipped(&self, shipped: &Shipped, active: &[ActiveDriver]) -> Result<Option<Arc<Driver>>, StoreError> {
        let admitted = match self.0.catalog.shipped(shipped).await {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::error!(driver = %shipped.name, %error, "a driver of this binary cannot be loaded");
                return Ok(None);
            }
        };
        let driver = admitted.driver.clone();
        let mut version = uploads::version(&shipped.name, &admitted, &Principal::host(), None);
        if let Some(description) = version.description.as_object_mut() {
            description.insert(SHIPPED.into(), true.into());
        }
        let versions = self.0.store.driver_versions(Some(&shipped.name)).await?;
        let known = versions.iter().find(|known| known.digest == version.digest);
        if known.is_none_or(|known| known.description != version.description) {
            self.0.store.put_driver_version(&version).await?;
        }
        let came_with_a_host = |digest: &Digest| {
            let known = versions.iter().find(|known| known.digest == *digest);
            *digest == version.digest || known.is_some_and(|known| known.description.get(SHIPPED) == Some(&true.into()))
        };
        // Operations that began on the driver of a former host go on with it, so it keeps its grants.
        for digest in versions.iter().map(|version| &version.digest).chain([&version.digest]).filter(|digest| came_with_a_host(digest)) {
            self.0.grants.grant_shipped(digest, &shipped.grants);
        }
        // A newer host brings a newer driver; one that an operator uploaded stays.
        let chosen = active.iter().find(|active| active.name == shipped.name);
        if !chosen.is_none_or(|chosen| came_with_a_host(&chosen.digest)) {
            return Ok(None);
        }
        if chosen.is_none_or(|chosen| chosen.digest != driver.digest) {
            self.0.store.activate(&shipped.name, &driver.digest).await?;
        }
        Ok(Some(driver))
    }

    /// Puts a version in force for operations that begin from now on, and grants what is named
    /// beside what was granted before. Without a version: the newest.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without the version; [`Refusal::Conflict`] when it asks for more than
    /// is granted, naming what is missing.
    pub async fn activate_driver(
        &self,
        who: &Principal,
        name: DriverName,
        wanted: Option<String>,
        grant: Vec<String>,
    ) -> Result<Value, Refusal> {
        administrator(who)?;
        let versions = self.versions_of(&name).await?;
        let version = choose(&versions, wanted.as_deref())
            .ok_or_else(|| Refusal::NotFound(format!("Driver {name} has no version {}.", wanted.as_deref().unwrap_or("at all"))))?
            .clone();
        let granted = Set::of(&grant).map_err(|error| Refusal::Invalid(error.to_string()))?;
        let driver = self.0.catalog.version(&version.digest).await.map_err(|rejected| refused(&rejected))?;
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
            document.insert("rejected".into(), rejections.iter().map(uploads::shown_rejection).collect::<Vec<_>>().into());
        }
        Ok(document)
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

    pub(crate) async fn versions_of(&self, name: &DriverName) -> Result<Vec<DriverVersion>, Refusal> {
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
        })
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

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        convert::refusal(error)
    }
}
