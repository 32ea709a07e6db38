//! What is behind the capabilities of one driver call: the clients of the node's controller and
//! agent, bound to this node and to the operation that holds it.

mod agent;
mod artifact;
mod boot;
mod http;
mod image;
mod locking;
mod network;
mod power;
mod redfish;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};
use wrought_domain::{Digest, DriverError, DriverName, ErrorKind, Node, OperationId, Port, PowerState, StepCall};
use wrought_drivers::capability::{Authority, Progress, Witness};
use wrought_drivers::{Driver, Grants};
use wrought_engine::Operation;
use wrought_hardware::secrets::Secrets;
use wrought_hardware::{Bmc, HardwareError};

use crate::conductor::Conductor;
use crate::convert;
use crate::locks::heard_broken;
use crate::recovery::effects::{Look, rule};
use crate::secrets::{hide_steps, scrubbed, secrets};

/// The world of one call.
pub(crate) struct NodeWorld {
    conductor: Conductor,
    node: Node,
    ports: Vec<Port>,
    /// The operation that holds the node; nothing for a call that is part of none.
    holder: Option<OperationId>,
    /// The operation has failed, and this is its clean-up.
    cleans_up: bool,
    /// The versions that the operation runs on.
    pinned: Vec<Digest>,
    /// Whose call it is; nothing where the host itself looks.
    driver: Option<(DriverName, Digest)>,
    secrets: Secrets,
    power_seen: Mutex<Option<PowerState>>,
}

impl NodeWorld {
    pub(crate) fn new(conductor: Conductor, node: Node, ports: Vec<Port>, operation: Option<&Operation>, step: Option<&StepCall>) -> Self {
        let mut secrets = secrets(&conductor.0.machines.references, &node, step);
        hide_steps(operation.into_iter().flat_map(|operation| operation.plan.iter().map(|step| &step.args)), &mut secrets);
        let cleans_up = operation.is_some_and(|operation| operation.failure.is_some());
        let pinned = operation.iter().flat_map(|operation| operation.drivers.iter().map(|pin| pin.digest.clone())).collect();
        let holder = operation.map(|operation| operation.id);
        Self { conductor, ports, cleans_up, holder, secrets, node, pinned, driver: None, power_seen: Mutex::new(None) }
    }

    /// The world behind a call of this driver.
    pub(crate) fn behind(self, name: &DriverName, driver: &Driver) -> Self {
        Self { driver: Some((name.clone(), driver.digest.clone())), ..self }
    }

    /// The power state that was seen or set last.
    pub(crate) fn power_seen(&self) -> Option<PowerState> {
        *self.power_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn see_power(&self, state: Option<PowerState>) {
        *self.power_seen.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// What a controller or a server said, with this node's secrets masked: it goes to the driver.
    pub(crate) fn failed(&self, error: HardwareError) -> DriverError {
        let error = convert::error(error);
        DriverError { message: scrubbed(&self.secrets, &error.message), ..error }
    }

    pub(crate) fn bmc(&self) -> Result<Arc<dyn Bmc>, DriverError> {
        self.conductor.0.machines.bmc(&self.node)
    }

    /// The operation that this call is part of. That it still holds the node was seen when the effect's intent was stored.
    fn holder(&self) -> Result<OperationId, DriverError> {
        self.holder.ok_or_else(|| DriverError::new(ErrorKind::Locked, "wrought.NotHeld", "this call does not hold the node"))
    }
}

impl Authority for NodeWorld {
    fn grants(&self) -> Arc<Grants> {
        self.driver.as_ref().map(|(name, digest)| self.conductor.0.grants.of(name, digest)).unwrap_or_default()
    }

    fn revoked(&self) -> Option<String> {
        let own = self.driver.iter().map(|(_, digest)| digest);
        own.chain(&self.pinned).find_map(|digest| self.conductor.0.grants.revoked(digest))
    }
}

#[async_trait]
impl Witness for NodeWorld {
    async fn before(&self, effect: &str) -> Result<Option<Value>, DriverError> {
        // Who is not alone any more must not go on as if it were. What a failure leaves behind is cleaned up all the same.
        if effect != "locking.release"
            && !self.cleans_up
            && let Some(lock) = self.holder.and_then(|operation| self.conductor.0.locks.broken_of(self.node.uuid, operation))
        {
            return Err(heard_broken(&lock));
        }
        match rule(effect) {
            Some(rule) if rule.look == Look::Agent => {
                let (started_at, commands) = self.agent_commands().await?;
                let ids: Vec<String> = commands.into_iter().map(|command| command.id).collect();
                Ok(Some(json!({ "started_at": started_at, "ids": ids })))
            }
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl Progress for NodeWorld {
    async fn progress(&self, percent: Option<u32>, message: String) {
        tracing::info!(target: "wrought::progress", node = %self.node.uuid, percent, "{message}");
    }
}
