//! The emergency brake: nothing runs on a version any more that an operator revoked.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use wrought_domain::rollout::Rollout;
use wrought_domain::{Digest, DriverName, NodeId, Principal};
use wrought_engine::{Event, Operation};
use wrought_storage::{Decision, DriverStatus, DriverVersion, Revocation};

use crate::audit::{done, must_say_why, object_of};
use crate::conductor::Conductor;
use crate::refusal::administrator;
use crate::rollout::{Decided, NAMED};
use crate::seen::Seen;
use crate::{Refusal, convert};

/// A version that nothing may run on any more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Its digest, or the beginning of it. In full, it need not be known here: then it can never be uploaded.
    pub digest: String,
    /// Shown on every node that runs on it.
    pub reason: String,
    /// Where it is in force, the version before it serves again.
    #[serde(default)]
    pub rollback: bool,
}

impl Conductor {
    /// Revokes a version under all its names: it leaves force, and each operation on it ends by name at its next host call, at once
    /// where it waits.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] without a reason or for the beginning of no or several digests.
    pub async fn revoke_driver(&self, who: &Principal, request: RevokeRequest) -> Result<Value, Refusal> {
        administrator(who)?;
        let why = must_say_why(&request.reason)?;
        let (this, who) = (self.clone(), who.clone());
        self.through(async move { this.revoke_now(&who, &request.digest, why, request.rollback).await }).await
    }

    async fn revoke_now(&self, who: &Principal, digest: &str, why: String, rollback: bool) -> Result<Value, Refusal> {
        let _one_at_a_time = self.0.deciding.lock().await;
        let versions = self.0.store.driver_versions(None).await.map_err(convert::refusal)?;
        let digest = whole(digest, &versions)?;
        let (mut decisions, mut publish, mut warnings) = (Vec::new(), Vec::new(), self.orphaned(&digest).await?);
        for version in versions.iter().filter(|version| version.digest == digest) {
            let name = &version.name;
            let record = done(who, "driver.revoke", object_of(name), why.clone(), json!({"version": version.version, "digest": digest}));
            let mut in_force = self.in_force(name);
            let mut rollout = Rollout::clone(&in_force.rollout);
            rollout.former.retain(|former| *former != digest);
            in_force.rollout = Arc::new(rollout.clone());
            let mut store = Decision::new(name.clone(), record);
            if version.status == DriverStatus::Active {
                in_force.active = None;
                store.active = Some(None);
                let former = if rollback { Some(self.former(name, &in_force, None).await) } else { None };
                match former {
                    Some(Ok((_, driver))) => {
                        rollout.succeed(None, &driver.digest);
                        in_force.canary = in_force.canary.filter(|_| rollout.canary.is_some());
                        store.active = Some(Some(driver.digest.clone()));
                        in_force.active = Some(driver);
                    }
                    Some(Err(refusal)) => warnings.push(refusal.to_string()),
                    None => warnings.push(format!(
                        "no version of driver {name} is in force now; the version before it serves again after: wrought driver rollback {name}"
                    )),
                }
            }
            if rollout.canary.as_ref().is_some_and(|canary| canary.digest == digest) {
                rollout.canary = None;
                in_force.canary = None;
            }
            store.statuses.push((digest.clone(), DriverStatus::Revoked));
            let decided = Decided::of(store, in_force, rollout);
            decisions.push(decided.store);
            publish.push((name.clone(), decided.in_force));
        }
        let record = done(who, "driver.revoke", format!("digest/{digest}"), why.clone(), json!({"warnings": warnings}));
        // What was said first stays.
        let why = self.0.grants.revoked(&digest).unwrap_or(why);
        let revocation = Revocation { digest: digest.clone(), reason: why.clone(), by: who.user.clone() };
        self.0.store.revoke(revocation, decisions, record).await.map_err(convert::refusal)?;
        self.0.grants.revoke(&digest, why.clone());
        let names: Vec<DriverName> = publish.iter().map(|(name, _)| name.clone()).collect();
        for (name, in_force) in publish {
            self.0.catalog.publish(name, in_force);
        }
        tracing::warn!(digest = digest.short(), reason = %why, "a driver version is revoked");
        let affected = self.end_waiting(&digest).await?;
        Ok(json!({"digest": digest, "reason": why, "drivers": names, "operations": affected, "warnings": warnings}))
    }

    /// Nodes about which a driver keeps something that the version wrote.
    async fn orphaned(&self, digest: &Digest) -> Result<Vec<String>, Refusal> {
        let states = self.0.store.states_written_by(digest, NAMED).await.map_err(convert::refusal)?;
        let warn = |(node, driver, schema): (NodeId, DriverName, Option<u32>)| {
            let form = schema.unwrap_or(1);
            format!(
                "driver {driver} keeps something about node {node} in form {form}: a version that reads this form must be in force to go on with it"
            )
        };
        Ok(states.into_iter().map(warn).collect())
    }

    /// Ends the operations on a revoked version that wait; those in a call end at its next host call. How many there were of both.
    async fn end_waiting(&self, digest: &Digest) -> Result<usize, Refusal> {
        let open = self.0.store.open_operations().await.map_err(convert::refusal)?;
        let on_it: Vec<Operation> = open.into_iter().filter(|open| open.drivers.iter().any(|pin| pin.digest == *digest)).collect();
        for operation in &on_it {
            let this = self.clone();
            let node = operation.node;
            self.spawn(async move { this.handle(node, None, Event::Revoked(String::new()), Seen::default()).await });
        }
        Ok(on_it.len())
    }

    /// Why an operation may not go on: a version that it runs on was revoked.
    pub(crate) fn revoked_pin(&self, operation: &Operation) -> Option<String> {
        operation.drivers.iter().find_map(|pin| {
            let reason = self.0.grants.revoked(&pin.digest)?;
            Some(format!("driver {} ({}) was revoked ({reason})", pin.name, pin.digest.short()))
        })
    }
}

/// A digest of which the beginning is given, where it is a version's; in full it may be anyone's.
fn whole(text: &str, versions: &[DriverVersion]) -> Result<Digest, Refusal> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if let Ok(digest) = format!("sha256:{hex}").parse() {
        return Ok(digest);
    }
    let mut found: Vec<&Digest> = versions.iter().map(|version| &version.digest).filter(|known| known.hex().starts_with(hex)).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] if hex.len() >= 8 => Ok((*one).clone()),
        [] | [_] => {
            Err(Refusal::NotFound(format!("No version's digest begins with {hex:.64}. Give it in full, or at least 8 digits of it.")))
        }
        _ => Err(Refusal::Invalid(format!("Several digests begin with {hex:.64}: give one in full."))),
    }
}
