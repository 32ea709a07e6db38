//! Requests that begin, turn or end an operation.

use uuid::Uuid;
use wrought_domain::state::ProvisionState;
use wrought_domain::{ErrorKind, Function, Node, NodeId, OperationId, Principal, Verb};
use wrought_drivers::serving;
use wrought_engine::{Advance, Event, Impossible, Kind, Lifecycle, Operation, Pin, PowerTarget, Request, Returned, begin};
use wrought_hardware::config_drive;
use wrought_storage::{Reserved, Stored};

use crate::command::{Chain, missing};
use crate::conductor::{Conductor, HandleError};
use crate::convert;
use crate::rules::{check_core_step, check_steps, check_verb, not_in_state};
use crate::seen::Seen;
use crate::{ProvisionRequest, Refusal};

impl Conductor {
    /// Starts, turns or ends an operation. The node's state and target are changed when this
    /// returns; the operation goes on behind it.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub async fn provision(&self, who: &Principal, node: NodeId, verb: Verb, request: ProvisionRequest) -> Result<(), Refusal> {
        let (this, who) = (self.clone(), who.clone());
        self.through(async move { this.provision_now(&who, node, verb, request).await }).await
    }

    async fn provision_now(&self, who: &Principal, node: NodeId, verb: Verb, request: ProvisionRequest) -> Result<(), Refusal> {
        let stored = self.node(who, node).await?;
        check_verb(&stored.value, verb, &verb.to_string())?;
        check_steps(request.clean_steps.iter().chain(&request.deploy_steps))?;
        check_core_step(&request.deploy_steps)?;
        match verb {
            Verb::Manage if stored.value.provision_state == ProvisionState::Enroll => self.begin(who, stored, Kind::Verify, request).await,
            Verb::Manage => self.manage(who, stored).await,
            Verb::Provide => self.begin(who, stored, Kind::Clean, request).await,
            Verb::Active => self.begin(who, stored, Kind::Deploy, request).await,
            Verb::Rebuild => self.begin(who, stored, Kind::Rebuild, request).await,
            Verb::Deleted if stored.value.provision_state == ProvisionState::WaitCallBack => {
                self.turn(who, node, Event::Delete { principal: who.clone() }).await
            }
            Verb::Deleted => self.begin(who, stored, Kind::TearDown, request).await,
            Verb::Clean => self.begin(who, stored, Kind::ManualClean, request).await,
            Verb::Abort => self.turn(who, node, Event::Abort).await,
            Verb::Inspect | Verb::Adopt | Verb::Rescue | Verb::Unrescue | Verb::Unhold | Verb::Service => {
                Err(Refusal::Invalid(format!("Driver {} does not support {verb} (disabled or not implemented).", stored.value.driver)))
            }
        }
    }

    /// Starts a change of power.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub async fn set_power(&self, who: &Principal, node: NodeId, target: PowerTarget, timeout_s: Option<u32>) -> Result<(), Refusal> {
        let stored = self.node(who, node).await?;
        // A reboot is off and on, and who must never be off is not switched off on the way either.
        if matches!(target, PowerTarget::Off | PowerTarget::SoftOff) && stored.value.disable_power_off {
            return Err(Refusal::Conflict(format!("Node {node} has disable_power_off set: its power can not be switched off.")));
        }
        self.0.machines.bmc(&stored.value).map_err(|error| Refusal::Invalid(error.message))?;
        let (this, who) = (self.clone(), who.clone());
        let request = ProvisionRequest::default();
        self.through(async move {
            this.begin_with(&who, stored, Kind::Power(target), request, (OperationId(Uuid::new_v4()), Vec::new()), timeout_s).await
        })
        .await
    }

    /// `manage` from a failed state or from `available`: nothing is done with the machine.
    async fn manage(&self, who: &Principal, stored: Stored<Node>) -> Result<(), Refusal> {
        let Stored { mut value, revision, .. } = stored;
        value
            .apply(wrought_domain::Event::Manage, None, self.now())
            .map_err(|_| not_in_state(&value, "manage", value.provision_state.as_str()))?;
        value.last_error = None;
        self.0.store.update_node(who, value, revision, Reserved::Refuse).await.map(drop).map_err(convert::refusal)
    }

    /// Begins an operation that drivers serve.
    async fn begin(&self, who: &Principal, mut stored: Stored<Node>, kind: Kind, request: ProvisionRequest) -> Result<(), Refusal> {
        if let Some(host) = stored.value.reservation.clone() {
            return Err(Refusal::Locked { node: stored.value.uuid, host });
        }
        let id = OperationId(Uuid::new_v4());
        if kind == Kind::Verify {
            self.0.machines.bmc(&stored.value).map_err(|error| Refusal::Invalid(error.message))?;
            return self.begin_with(who, stored, kind, request, (id, Vec::new()), None).await;
        }
        let chain = self.select(&stored.value, id, kind).await?;
        for function in needed(kind, &stored.value, self.0.settings.automated_clean) {
            if serving(&chain, function).is_none() {
                return Err(refused(missing(&chain, function)));
            }
        }
        if matches!(kind, Kind::Deploy | Kind::Rebuild) {
            if let Some(drive) = &request.config_drive {
                let named = config_drive::with_node(drive.clone(), &stored.value.uuid.to_string(), stored.value.name.as_deref());
                // Inflating and building may take seconds, which the host's own threads do not have.
                let built = tokio::task::spawn_blocking(move || config_drive::build(&named)).await;
                let built =
                    built.map_err(|error| Refusal::Internal(error.to_string()))?.map_err(|error| Refusal::Invalid(error.message))?;
                stored.value.instance_info.insert("configdrive".into(), built.into());
            }
            self.0.machines.bmc(&stored.value).map_err(|error| Refusal::Invalid(error.message))?;
            self.call_validate(&stored.value, &chain).await.map_err(refused)?;
        }
        self.begin_with(who, stored, kind, request, (id, chain), None).await
    }

    async fn begin_with(
        &self,
        who: &Principal,
        stored: Stored<Node>,
        kind: Kind,
        request: ProvisionRequest,
        (operation, chain): (OperationId, Chain),
        power_timeout: Option<u32>,
    ) -> Result<(), Refusal> {
        let Stored { mut value, revision, .. } = stored;
        if let Some(host) = value.reservation.clone() {
            return Err(Refusal::Locked { node: value.uuid, host });
        }
        let id = value.uuid;
        value.conductor = Some(self.0.host.clone());
        if let (Kind::Deploy | Kind::Rebuild, Some((_, driver))) = (kind, chain.first()) {
            value.driver_internal_info.insert("wrought_driver_digest".into(), driver.digest.as_str().into());
            value.driver_internal_info.insert("wrought_driver_calls".into(), 0.into());
        }
        let begun = Request {
            id: operation,
            kind,
            principal: who.clone(),
            drivers: chain.iter().map(|(name, driver)| Pin { name: name.clone(), digest: driver.digest.clone() }).collect(),
            asked: if kind == Kind::ManualClean { request.clean_steps } else { request.deploy_steps },
            disable_ramdisk: request.disable_ramdisk,
            power_timeout,
        };
        let state = value.provision_state;
        let mut advance = begin(value, begun, &self.0.settings, self.now()).map_err(|impossible| impossible_now(id, state, &impossible))?;
        self.hold_back(&mut advance);
        let gate = self.gate(id);
        let mut inside = gate.lock().await;
        let held = self.0.store.begin(&advance, revision, &self.0.host, &who.user).await.map_err(convert::refusal)?;
        if let Some(operation) = &mut advance.next.operation {
            operation.fence = held.fence;
            advance.next.node.reservation = Some(self.0.host.clone());
        }
        self.take(id, &gate, &mut inside, advance, held.revision);
        Ok(())
    }

    /// Hands an operator's wish to the operation that holds the node.
    async fn turn(&self, who: &Principal, node: NodeId, event: Event) -> Result<(), Refusal> {
        match self.try_handle(node, None, event, Seen::default()).await {
            Ok(()) => Ok(()),
            Err(HandleError::Impossible(impossible)) => {
                let now = self.node(who, node).await?.value;
                // It went on while it was asked: who asks again later may be lucky.
                Err(match now.reservation {
                    Some(host) => Refusal::Locked { node, host },
                    None => impossible_now(node, now.provision_state, &impossible),
                })
            }
            Err(HandleError::Store(error)) => Err(convert::refusal(error)),
        }
    }
}

/// The functions without which a verb is refused: a missing one never counts as done.
fn needed(kind: Kind, node: &Node, automated_clean: bool) -> Vec<Function> {
    let cleaning = [Function::GetCleanSteps, Function::ExecuteCleanStep];
    let cleans = node.automated_clean.unwrap_or(automated_clean);
    match kind {
        Kind::Deploy | Kind::Rebuild => vec![Function::Prepare, Function::ExecuteDeployStep],
        Kind::TearDown if cleans => [Function::CleanUp, Function::TearDown].into_iter().chain(cleaning).collect(),
        Kind::TearDown => vec![Function::CleanUp, Function::TearDown],
        Kind::Clean if cleans => cleaning.to_vec(),
        Kind::ManualClean => cleaning.to_vec(),
        Kind::Clean | Kind::Verify | Kind::Power(_) => Vec::new(),
    }
}

fn impossible_now(node: NodeId, state: ProvisionState, impossible: &Impossible) -> Refusal {
    Refusal::Invalid(format!(
        "The requested action can not be performed on node \"{node}\" while it is in state \"{state}\": {impossible}."
    ))
}

/// What a driver's or the hardware's answer to a request means for the one who asked.
pub(crate) fn refused(returned: Returned) -> Refusal {
    match returned {
        Returned::Refused(error) => match error.kind {
            ErrorKind::InvalidParameter | ErrorKind::MissingParameter | ErrorKind::Unsupported => {
                Refusal::Invalid(format!("Failed to validate deploy or power info for node: {}", error.message))
            }
            _ => Refusal::Unavailable(format!("Validation could not be completed: {error}")),
        },
        Returned::Fault(text) => Refusal::Invalid(format!("Failed to validate deploy or power info for node: {text}")),
        other => Refusal::Internal(format!("unexpected answer {other:?}")),
    }
}

/// Shows on the node how often its drivers were called in this deployment.
pub(crate) fn note_progress(advance: &mut Advance, before: &Lifecycle) {
    let calls = |operation: &Operation| (matches!(operation.kind, Kind::Deploy | Kind::Rebuild)).then_some(operation.calls);
    let latest = advance.next.operation.as_ref().or(before.operation.as_ref());
    if let Some(calls) = latest.and_then(calls) {
        advance.next.node.driver_internal_info.insert("wrought_driver_calls".into(), calls.into());
    }
}
