//! How drivers come to the host and leave it: uploads are received, judged and kept or refused; what nothing refers to is deleted.

use std::net::IpAddr;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde_json::{Value, json};
use wrought_domain::{Digest, DriverName, Principal};
use wrought_drivers::admission::Signature;
use wrought_drivers::{Admitted, Rejected, Rejection, shipped};
use wrought_storage::{AuditRecord, DriverRejection, DriverStatus, DriverVersion};

use crate::audit::{done, object_of};
use crate::conductor::Conductor;
use crate::drivers::SHIPPED;
use crate::refusal::administrator;
use crate::{Refusal, convert};

/// The longest reason that is kept of a refused upload.
const MAX_REASON: usize = 1024;

/// A component on its way here.
pub struct DriverUpload {
    /// Where it comes from.
    pub from: Option<IpAddr>,
    /// How long it is, if the sender told.
    pub length: Option<u64>,
    /// The content of its `.minisig` file, if there is one.
    pub signature: Option<String>,
    /// Its bytes. An error is the end of a connection.
    pub body: BoxStream<'static, Result<Bytes, BrokenOff>>,
}

/// The sender went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upload ended early; send it again")]
pub struct BrokenOff;

impl Conductor {
    /// Judges a component and keeps it as a version of the driver. It serves nothing before it is activated.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with the reason, [`Refusal::TooLarge`], [`Refusal::Unavailable`] when there is no room or no turn.
    /// No version has changed then; what the stages found of a component that is no good is remembered.
    pub async fn upload_driver(&self, who: &Principal, name: DriverName, upload: DriverUpload) -> Result<Value, Refusal> {
        administrator(who)?;
        let DriverUpload { from, length, signature, body } = upload;
        let uploaded = self.0.catalog.receive(length, body).await.map_err(|rejected| refused(&rejected))?;
        if let Some(reason) = self.0.grants.revoked(uploaded.digest()) {
            return Err(Refusal::Conflict(format!(
                "This component ({}) was revoked: {reason}. Build another version.",
                uploaded.digest().short()
            )));
        }
        let (this, who) = (self.clone(), who.clone());
        // It is whole: that the sender does not wait for the answer changes nothing.
        self.through(async move {
            match this.0.catalog.judge(uploaded, signature.as_deref()).await {
                Ok(admitted) => this.keep_version(&name, &admitted, &who, from).await,
                Err(rejected) => Err(this.remember(&name, &rejected, &who, from).await),
            }
        })
        .await
    }

    /// Drivers that were compiled since the host started.
    pub fn compilations(&self) -> u64 {
        self.0.catalog.runtime().compilations()
    }

    async fn keep_version(&self, name: &DriverName, admitted: &Admitted, who: &Principal, from: Option<IpAddr>) -> Result<Value, Refusal> {
        let mut version = version(name, admitted, who, from);
        let known = self.0.store.driver_versions(Some(name)).await?.into_iter().find(|known| known.digest == version.digest);
        if let Some(known) = known.filter(|known| !known.report.is_null()) {
            // Who brought it first and what was found then stays; a signature may come later.
            let better = matches!(admitted.signature, Signature::Trusted { .. });
            let signature = if better { version.signature } else { known.signature };
            if let (Some(shipped), Some(description)) = (known.description.get(SHIPPED), version.description.as_object_mut()) {
                description.insert(SHIPPED.into(), shipped.clone());
            }
            let DriverVersion { uploaded_by, uploaded_from, report, .. } = known;
            version = DriverVersion { uploaded_by, uploaded_from, report, signature, ..version };
        }
        self.0.store.put_driver_version(&version).await?;
        let driver = &admitted.driver;
        tracing::info!(driver = %name, version = %driver.about.version, digest = driver.digest.short(), requested = %driver.requested, "driver uploaded");
        for warning in admitted.report.stages.iter().filter_map(|stage| stage.warning.as_deref()) {
            tracing::warn!(driver = %name, digest = driver.digest.short(), "{warning}");
        }
        let detail = json!({
            "version": driver.about.version, "digest": driver.digest, "requested": driver.requested, "signature": admitted.signature,
        });
        self.note(vec![done(&from_there(who, from), "driver.upload", object_of(name), String::new(), detail)]).await;
        let kept = self.versions_of(name).await?.into_iter().find(|kept| kept.digest == version.digest).unwrap_or(version);
        Ok(self.reported(&kept))
    }

    /// Remembers a component that is no good, and says why.
    async fn remember(&self, name: &DriverName, rejected: &Rejected, who: &Principal, from: Option<IpAddr>) -> Refusal {
        let refusal = refused(rejected);
        let Some(digest) = rejected.digest.clone().filter(|_| !rejected.why.is_circumstance()) else { return refusal };
        let reason = wrought_domain::node::cut(&rejected.why.to_string(), MAX_REASON);
        tracing::warn!(driver = %name, digest = digest.short(), %reason, "an upload is rejected");
        let record = done(&from_there(who, from), "driver.upload", object_of(name), reason.clone(), json!({"digest": digest}));
        self.note(vec![AuditRecord { outcome: "refused".into(), ..record }]).await;
        let rejection = DriverRejection {
            name: name.clone(),
            digest,
            size: rejected.size,
            rejected_at: Timestamp::now(),
            uploaded_by: who.user.clone(),
            uploaded_from: from.map(|from| from.to_string()),
            reason,
            report: serde_json::to_value(&rejected.report).unwrap_or_default(),
        };
        if let Err(error) = self.0.store.put_driver_rejection(&rejection).await {
            tracing::error!(driver = %name, %error, "a rejected upload cannot be remembered");
        }
        refusal
    }

    /// Deletes a version that nothing refers to, and its component if it is no other name's.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; [`Refusal::Conflict`] that says what refers to it.
    pub async fn delete_driver(&self, who: &Principal, name: DriverName, digest: String) -> Result<(), Refusal> {
        administrator(who)?;
        let versions = self.versions_of(&name).await?;
        let missing = || Refusal::NotFound(format!("Driver {name} has no version {digest}."));
        let hex = digest.strip_prefix("sha256:").unwrap_or(&digest);
        let mut named = versions.iter().filter(|version| hex.len() >= 8 && version.digest.hex().starts_with(hex));
        let version = named.next().ok_or_else(missing)?;
        if named.next().is_some() {
            return Err(Refusal::Invalid(format!("Several versions of driver {name} begin with {digest}: name one in full.")));
        }
        let digest = version.digest.clone();
        if shipped::all().iter().any(|shipped| shipped.digest() == digest) {
            return Err(Refusal::Conflict(format!("Version {} of driver {name} is part of this host.", digest.short())));
        }
        let (this, named) = (self.clone(), name.clone());
        let record = done(who, "driver.delete", object_of(&name), String::new(), json!({"version": version.version, "digest": digest}));
        self.through(async move {
            this.forget(&named, &digest).await?;
            this.note(vec![record]).await;
            Ok(())
        })
        .await
    }

    async fn forget(&self, name: &DriverName, digest: &Digest) -> Result<(), Refusal> {
        let under_other_names = self.0.store.driver_versions(None).await?.iter().any(|v| v.digest == *digest && v.name != *name);
        // What an operation has on call is not in the database yet, or not any more.
        if !under_other_names {
            let in_use = |error| Refusal::Conflict(format!("Version {} of driver {name} cannot be deleted: {error}.", digest.short()));
            let active = self.0.store.active().await?.into_iter().any(|active| active.name == *name && active.digest == *digest);
            if !active {
                self.0.catalog.unload(digest).map_err(in_use)?;
            }
        }
        let gone = self.0.store.delete_driver_version(name, digest).await.map_err(convert::refusal)?;
        tracing::info!(driver = %name, digest = digest.short(), "driver version deleted");
        if gone && let Err(error) = self.0.catalog.remove(digest).await {
            // Nothing refers to the file any more; an upload of the same bytes writes it again.
            tracing::warn!(digest = digest.short(), %error, "the component of a deleted version stays");
        }
        Ok(())
    }
}

/// Who uploaded, with the address that it came from.
fn from_there(who: &Principal, from: Option<IpAddr>) -> Principal {
    Principal { source: from, ..who.clone() }
}

/// What is kept of an admitted component.
pub(crate) fn version(name: &DriverName, admitted: &Admitted, who: &Principal, from: Option<IpAddr>) -> DriverVersion {
    let Admitted { driver, signature, size, report, .. } = admitted;
    DriverVersion {
        name: name.clone(),
        digest: driver.digest.clone(),
        version: driver.about.version.clone(),
        vendor: driver.about.vendor.clone(),
        summary: driver.about.summary.clone(),
        status: DriverStatus::Available,
        size: *size,
        uploaded_at: Timestamp::now(),
        description: json!({"about": driver.about, "exports": driver.exports}),
        requested: driver.requested.names(),
        uploaded_by: Some(who.user.clone()),
        uploaded_from: from.map(|from| from.to_string()),
        signature: serde_json::to_value(signature).unwrap_or_default(),
        report: serde_json::to_value(report).unwrap_or_default(),
    }
}

pub(crate) fn shown_rejection(rejection: &DriverRejection) -> Value {
    let DriverRejection { name, digest, size, rejected_at, uploaded_by, uploaded_from, reason, report } = rejection;
    json!({
        "name": name, "digest": digest, "status": DriverStatus::Rejected, "size": size, "uploaded_at": rejected_at.to_string(),
        "uploaded_by": uploaded_by, "uploaded_from": uploaded_from, "reason": reason, "report": report,
    })
}

/// Says no to whoever uploaded.
pub(crate) fn refused(rejected: &Rejected) -> Refusal {
    let text = format!("The driver is rejected: {rejected}.");
    match &rejected.why {
        Rejection::Host(error) => {
            tracing::error!(%error, "a driver could not be stored or loaded");
            Refusal::Internal("the driver could not be stored or loaded; the host's log says more".into())
        }
        Rejection::TooLarge { .. } => Refusal::TooLarge(text),
        Rejection::Busy | Rejection::NoSpace => Refusal::Unavailable(text),
        _ => Refusal::Invalid(text),
    }
}
