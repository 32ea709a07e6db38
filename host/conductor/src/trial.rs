//! Versions on trial: how their operations end, and when a trial has failed.

use std::sync::Arc;

use serde_json::json;
use wrought_domain::rollout::{Ended, Rollout, Verdict};
use wrought_domain::{Digest, DriverName, Node, Principal, ProvisionState};
use wrought_drivers::InForce;
use wrought_engine::{Advance, Event, FailureKind, Lifecycle, Operation};
use wrought_storage::{Decision, DriverStatus};

use crate::audit::{done, object_of, reason};
use crate::conductor::Conductor;
use crate::rollout::stopped;
use crate::{Refusal, convert};

impl Conductor {
    /// Notes how an operation on a version on trial ended, and stops the trial when too many fail.
    pub(crate) fn judge_trial(&self, before: &Lifecycle, advance: &Advance, event: &Event) {
        let (Some(operation), None) = (&before.operation, &advance.next.operation) else { return };
        let generation = self.0.catalog.current();
        let on_trial = |name: &DriverName, digest: &Digest| {
            let canary = generation.drivers.get(name).and_then(|driver| driver.rollout.canary.as_ref());
            canary.is_some_and(|canary| canary.digest == *digest)
        };
        let pins: Vec<_> = operation.drivers.iter().filter(|pin| on_trial(&pin.name, &pin.digest)).cloned().collect();
        if pins.is_empty() || ended_by_request(operation, event) {
            return;
        }
        let ended = ended(&advance.next.node, self.now());
        let this = self.clone();
        self.spawn(async move {
            for pin in pins {
                this.note_trial(&pin.name, &pin.digest, ended.clone()).await;
            }
        });
    }

    async fn note_trial(&self, name: &DriverName, digest: &Digest, ended: Ended) {
        let _one_at_a_time = self.0.deciding.lock().await;
        let mut in_force = self.in_force(name);
        let mut rollout = Rollout::clone(&in_force.rollout);
        let Some(canary) = rollout.canary.as_mut().filter(|canary| canary.digest == *digest) else { return };
        let verdict = canary.note(ended);
        in_force.rollout = Arc::new(rollout);
        let done = match verdict {
            Some(verdict) => self.trial_failed(name, digest, in_force, &verdict).await,
            None => {
                let rollout = Rollout::clone(&in_force.rollout);
                self.0.catalog.publish(name.clone(), in_force);
                self.0.store.put_rollout(name, rollout).await.map_err(convert::refusal)
            }
        };
        if let Err(error) = done {
            tracing::error!(driver = %name, %error, "how an operation on trial ended could not be stored");
        }
    }

    async fn trial_failed(&self, name: &DriverName, digest: &Digest, in_force: InForce, verdict: &Verdict) -> Result<(), Refusal> {
        let active = in_force.active.as_ref().map(|driver| driver.digest.clone());
        let detail = json!({
            "digest": digest, "failed": verdict.failed, "of": verdict.of, "nodes": verdict.nodes, "serving": active,
        });
        let why = reason(Some(&verdict.to_string()));
        tracing::warn!(driver = %name, digest = digest.short(), reason = %why, "a version on trial is stopped, and the version in force serves everybody");
        let record = done(&Principal::host(), "driver.canary-stop", object_of(name), why, detail);
        let decided = stopped(in_force, digest, DriverStatus::Retired, Decision::new(name.clone(), record));
        // Nothing takes it any more, whether or not that can be stored.
        self.0.catalog.publish(name.clone(), decided.in_force);
        self.0.store.decide(decided.store).await.map_err(convert::refusal)
    }
}

/// An operator ended it, so it tells nothing about the version.
fn ended_by_request(operation: &Operation, event: &Event) -> bool {
    let by_request = |kind| matches!(kind, FailureKind::Aborted | FailureKind::Unlocked | FailureKind::Revoked);
    matches!(event, Event::Abort | Event::Delete { .. } | Event::Unlocked { .. } | Event::Revoked(_))
        || operation.failure.as_ref().is_some_and(|failure| by_request(failure.kind))
}

fn ended(node: &Node, at: jiff::Timestamp) -> Ended {
    let failed = node.provision_state.is_failed() || node.provision_state == ProvisionState::Error;
    let error = failed.then(|| reason(node.last_error.as_deref().or(Some("it failed"))));
    Ended { node: node.uuid, name: node.name.clone(), at, error }
}
