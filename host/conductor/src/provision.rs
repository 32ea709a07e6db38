//! Requests that begin, turn or end an operation.

use uuid::Uuid;
use wrought_domain::plan::check_deployment;
use wrought_domain::state::ProvisionState;
use wrought_domain::{ErrorKind, Function, Node, NodeId, OperationId, Principal, Verb};
use wrought_engine::{Advance, Event, Impossible, Kind, Lifecycle, Operation, PowerTarget, Request, Returned, begin};
use wrought_hardware::config_drive;
use wrought_storage::{Reserved, Revision, Stored};

use crate::breakers::dependencies;
use crate::chain::{Chain, chosen_by};
use crate::command::missing;
use crate::conductor::{Conductor, HandleError};
use crate::convert;
use crate::rules::{check_verb, not_in_state, unsupported};
use crate::seen::Seen;
use crate::selection::{DETECTED, detected};
use crate::{ProvisionRequest, Refusal, secrets};

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
        self.check_steps(verb, &request)?;
        let state = stored.value.provision_state;
        let kind = match verb {
            Verb::Manage if state == ProvisionState::Enroll => Kind::Verify,
            Verb::Manage => return self.manage(who, stored).await,
            Verb::Deleted if matches!(state, ProvisionState::WaitCallBack | ProvisionState::RescueWait | ProvisionState::ServiceWait) => {
                return self.turn(who, node, Event::Delete { principal: who.clone() }).await;
            }
            Verb::Abort if state == ProvisionState::ServiceFailed && stored.value.reservation.is_none() => Kind::AbortService,
            Verb::Abort => return self.turn(who, node, Event::Abort).await,
            Verb::Unhold => return self.turn(who, node, Event::Unhold).await,
            Verb::Provide => Kind::Clean,
            Verb::Active => Kind::Deploy,
            Verb::Rebuild => Kind::Rebuild,
            Verb::Deleted => Kind::TearDown,
            Verb::Clean => Kind::ManualClean,
            Verb::Inspect => Kind::Inspect,
            Verb::Adopt => Kind::Adopt,
            Verb::Rescue => Kind::Rescue,
            Verb::Unrescue => Kind::Unrescue,
            Verb::Service => Kind::Service,
        };
        self.begin(who, stored, kind, request).await
    }

    /// Whether the operator allows the steps of a request.
    pub(crate) fn check_steps(&self, verb: Verb, request: &ProvisionRequest) -> Result<(), Refusal> {
        let settings = &self.0.settings;
        let checked = match verb {
            Verb::Active | Verb::Rebuild => check_deployment(&request.deploy_steps, &[], &settings.deploy_steps),
            Verb::Service => settings.service_steps.check(&request.service_steps),
            _ => settings.clean_steps.check(&request.clean_steps),
        };
        checked.map_err(|error| Refusal::Invalid(error.to_string()))
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
        let request = Request { power_timeout: timeout_s, ..Request::new(OperationId(Uuid::new_v4()), Kind::Power(target), who.clone()) };
        self.start_operation(stored, request).await
    }

    /// `manage` from a failed state or from `available`: nothing is done with the machine.
    async fn manage(&self, who: &Principal, stored: Stored<Node>) -> Result<(), Refusal> {
        let Stored { mut value, revision, .. } = stored;
        value
            .apply(wrought_domain::Event::Manage, None, self.now())
            .map_err(|_| not_in_state(&value, "manage", value.provision_state.as_str()))?;
        value.last_error = None;
        let id = value.uuid;
        self.0.store.update_node(who, value, revision, Reserved::Refuse).await.map_err(convert::refusal)?;
        self.managed_by(who, id, "manageable by request".into()).await;
        Ok(())
    }

    /// Begins an operation that drivers serve.
    async fn begin(&self, who: &Principal, mut stored: Stored<Node>, kind: Kind, request: ProvisionRequest) -> Result<(), Refusal> {
        if let Some(host) = stored.value.reservation.clone() {
            return Err(Refusal::Locked { node: stored.value.uuid, host });
        }
        let id = request.id.unwrap_or_else(|| OperationId(Uuid::new_v4()));
        let chain = self.serving_chain(&stored.value, id, kind).await?;
        let mut templates = Vec::new();
        if kind.deploys() {
            templates = self.templates_for(&stored.value).await?;
            check_deployment(&request.deploy_steps, &templates, &self.0.settings.deploy_steps)
                .map_err(|error| Refusal::Invalid(error.to_string()))?;
            if let Some(drive) = &request.config_drive {
                let named = config_drive::with_node(drive.clone(), &stored.value.uuid.to_string(), stored.value.name.as_deref());
                // Inflating and building may take seconds, which the host's own threads do not have.
                let built = tokio::task::spawn_blocking(move || config_drive::build(&named)).await;
                let built =
                    built.map_err(|error| Refusal::Internal(error.to_string()))?.map_err(|error| Refusal::Invalid(error.message))?;
                stored.value.instance_info.insert("configdrive".into(), built.into());
            }
        }
        if let Some(password) = request.rescue_password {
            // Hashing takes some milliseconds, which the host's own threads do not have.
            let hashed = tokio::task::spawn_blocking(move || secrets::hashed(&password)).await;
            let hashed = hashed.map_err(|error| Refusal::Internal(error.to_string()))?;
            let hashed = hashed.map_err(|error| Refusal::Invalid(format!("rescue_password: {error}")))?;
            stored.value.instance_info.insert(secrets::HASHED_RESCUE_PASSWORD.into(), hashed.into());
        }
        if let Some(function) = validation(kind) {
            self.call_validate(&stored.value, &chain, function).await.map_err(refused)?;
        }
        let begun = Request {
            drivers: chain.pins(),
            asked: match kind {
                Kind::ManualClean => request.clean_steps,
                Kind::Service => request.service_steps,
                _ => request.deploy_steps,
            },
            templates,
            skip: request.skip,
            disable_ramdisk: request.disable_ramdisk,
            ..Request::new(id, kind, who.clone())
        };
        self.start_operation(stored, begun).await
    }

    /// The drivers that serve an operation of the node, all that it cannot do without among them.
    pub(crate) async fn serving_chain(&self, node: &Node, id: OperationId, kind: Kind) -> Result<Chain, Refusal> {
        self.0.machines.bmc(node).map_err(|error| Refusal::Invalid(error.message))?;
        let chain = match self.select(node, id, kind).await {
            Ok(chain) => chain,
            // Whether a machine can be reached can be told without a driver; nothing but this can be done without one.
            Err(_) if kind == Kind::Verify => Chain::default(),
            Err(refusal) => return Err(refusal),
        };
        for function in needed(kind, node, self.0.settings.automated_clean) {
            if chain.serving(function).is_none() {
                return Err(not_offered(node, function, refused(missing(&chain, function))));
            }
        }
        Ok(chain)
    }

    /// Begins an operation on a node that nobody holds: reserves the node, and gives it its place in the queue. It is carried through
    /// when the one who asked is gone: what is stored must be begun.
    ///
    /// # Errors
    /// [`Refusal::Locked`] while another operation, or a request to its machine, holds the node; [`Refusal::Invalid`] in the wrong state.
    pub(crate) async fn start_operation(&self, stored: Stored<Node>, request: Request) -> Result<(), Refusal> {
        let this = self.clone();
        self.through(async move { this.start_now(stored, request).await }).await
    }

    async fn start_now(&self, stored: Stored<Node>, mut request: Request) -> Result<(), Refusal> {
        let Stored { mut value, revision, .. } = stored;
        if let Some(host) = value.reservation.clone() {
            return Err(Refusal::Locked { node: value.uuid, host });
        }
        let (operation, kind, user) = (request.id, request.kind, request.principal.user.clone());
        value.conductor = Some(self.0.host.clone());
        if let Some(pin) = request.drivers.first().filter(|_| kind.deploys()) {
            value.driver_internal_info.insert("wrought_driver_digest".into(), pin.digest.as_str().into());
            value.driver_internal_info.insert("wrought_driver_calls".into(), 0.into());
        }
        if let Some(driver) = detected(&value).filter(|_| kind.deploys() || kind == Kind::Adopt) {
            value.driver_internal_info.insert(DETECTED.into(), driver.into());
        }
        let depends_on = dependencies(&value, request.drivers.iter().map(|pin| pin.name.clone()));
        request.queued = self.enqueue(operation, &value, kind, depends_on);
        let begun = self.begin_reserved(value, revision, request, &user).await;
        if begun.as_ref().map_or(true, |begun| !begun) {
            self.leave_queue(operation);
        }
        begun.map(drop)
    }

    /// Whether the operation goes on behind it.
    async fn begin_reserved(&self, node: Node, revision: Revision, request: Request, user: &str) -> Result<bool, Refusal> {
        let (id, state) = (node.uuid, node.provision_state);
        let mut advance =
            begin(node, request, &self.0.settings, self.now()).map_err(|impossible| impossible_now(id, state, &impossible))?;
        self.hold_back(&mut advance);
        let gate = self.gate(id);
        let mut inside = gate.lock().await;
        if self.0.requests.changes(id) {
            return Err(self.locked(id));
        }
        let held = self.0.store.begin(&advance, revision, &self.0.host, user).await.map_err(convert::refusal)?;
        if let Some(operation) = &mut advance.next.operation {
            operation.fence = held.fence;
            advance.next.node.reservation = Some(self.0.host.clone());
        }
        let goes_on = advance.next.operation.is_some();
        self.take(id, &gate, &mut inside, advance, held.revision);
        Ok(goes_on)
    }

    /// Refuses because of a request of this host to the node's machine.
    pub(crate) fn locked(&self, node: NodeId) -> Refusal {
        Refusal::Locked { node, host: self.0.host.clone() }
    }

    /// Hands an operator's wish to the operation that holds the node.
    pub(crate) async fn turn(&self, who: &Principal, node: NodeId, event: Event) -> Result<(), Refusal> {
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
        Kind::Inspect => vec![Function::InspectHardware],
        Kind::Adopt => vec![Function::Prepare, Function::TakeOver],
        Kind::Rescue => vec![Function::Rescue, Function::CleanUpRescue],
        Kind::Unrescue => vec![Function::Unrescue],
        Kind::Service => vec![Function::GetServiceSteps, Function::ExecuteServiceStep],
        Kind::AbortService => vec![Function::TearDownService],
        Kind::VendorPassthru => vec![Function::VendorCall],
        Kind::Clean | Kind::Verify | Kind::ChildStep | Kind::Power(_) | Kind::Setting(_) => Vec::new(),
    }
}

/// Ironic's words for what another than the deploy interface would do, before what is to be done about it.
fn not_offered(node: &Node, function: Function, refusal: Refusal) -> Refusal {
    match (chosen_by(function), refusal) {
        ("deploy", refusal) => refusal,
        (interface, Refusal::Invalid(text)) => Refusal::Invalid(format!("{} {text}.", unsupported(node, interface))),
        (_, refusal) => refusal,
    }
}

/// What is called before the state changes.
fn validation(kind: Kind) -> Option<Function> {
    Some(match kind {
        Kind::Deploy | Kind::Rebuild => Function::Validate,
        Kind::Inspect => Function::ValidateInspection,
        Kind::Rescue => Function::ValidateRescue,
        _ => return None,
    })
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
