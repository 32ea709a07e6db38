//! A failed operation is asked for again, from its last finished step; an operation that waits for its turn is taken out of the queue.

use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::{Node, OperationId, Principal, ProvisionState, StepCall, Verb};
use wrought_engine::{Event, Kind, Operation};

use crate::conductor::Conductor;
use crate::rules::check_verb;
use crate::{ProvisionRequest, Refusal, convert};

/// What a failure in the middle of a step leaves on a node, and a retry takes away.
const OWN_FAULTS: [&str; 2] = ["clean failure", "service failure"];

impl Conductor {
    /// Begins the operation again that failed last on a node (UUID or name). Steps that it finished are not executed again, but for
    /// erasures; with `from_start`, and when what it is done with was changed since, all are. What is refused changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when nothing failed that could be asked for again; else as the verb itself is refused.
    pub async fn retry(&self, who: &Principal, node: &str, from_start: bool) -> Result<Value, Refusal> {
        let id = self.find_node(who, node).await?;
        let now = self.node(who, id).await?.value;
        if let Some(host) = now.reservation {
            return Err(Refusal::Locked { node: id, host });
        }
        let failed = self.0.store.failed_operation(id).await.map_err(convert::refusal)?;
        let nothing = || {
            Refusal::Conflict(format!(
                "Node {id} is in {}, and no operation of it failed last: there is nothing to retry.",
                now.provision_state
            ))
        };
        let failed = failed.ok_or_else(nothing)?;
        let operation = &failed.operation;
        if operation.kind == Kind::Rescue {
            let text = format!("The password of the rescue of node {id} is not kept: ask for `rescue` with a new one.");
            return Err(Refusal::Conflict(text));
        }
        let verb = verb_of(operation, now.provision_state).ok_or_else(nothing)?;
        let kind = operation.kind;
        let ready = if kind.cleans() || kind == Kind::Service { made_ready(&now) } else { now.clone() };
        check_verb(&ready, verb, &verb.to_string())?;
        let again = OperationId(Uuid::new_v4());
        let drivers = self.serving_chain(&ready, again, kind).await?.pins();
        let templates = if kind.deploys() { self.templates_for(&ready).await? } else { Vec::new() };
        // Who changed what is deployed does not want the rest of something else.
        let changed = !failed.still_fits(&now, &templates, &drivers);
        let skip = if from_start || changed { Vec::new() } else { operation.executed(&self.0.settings) };
        let skipped: Vec<String> = skip.iter().map(StepCall::id).collect();
        let request = ProvisionRequest { id: Some(again), ..request_of(failed.operation, skip) };
        self.check_steps(verb, &request)?;
        if ready != now {
            self.make_ready(who, &now).await?;
        }
        self.provision(who, id, verb, request).await?;
        Ok(json!({ "node": id, "verb": verb.to_string(), "skipped": skipped, "changed": changed }))
    }

    /// Takes away what the failure of a cleaning or a service left on the node.
    async fn make_ready(&self, who: &Principal, node: &Node) -> Result<(), Refusal> {
        if has_own_fault(node) {
            self.set_maintenance(who, node.uuid, false, None).await?;
        }
        if node.provision_state == ProvisionState::CleanFailed {
            self.provision(who, node.uuid, Verb::Manage, ProvisionRequest::default()).await?;
        }
        Ok(())
    }

    /// Ends an operation of a node (UUID or name) that waits for its turn; the node is then in the failed state of its verb.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when none waits for its turn.
    pub async fn cancel(&self, who: &Principal, node: &str) -> Result<Value, Refusal> {
        let id = self.find_node(who, node).await?;
        let operation = self.0.store.operation(id).await.map_err(convert::refusal)?;
        let operation = operation.ok_or_else(|| Refusal::Conflict(format!("Node {id} has no operation: there is nothing to cancel.")))?;
        let (this, asked) = (self.clone(), who.clone());
        self.through(async move { this.turn(&asked, id, Event::Cancel { principal: asked.clone() }).await }).await?;
        let now = self.node(who, id).await?.value;
        Ok(json!({
            "node": id,
            "operation": { "id": operation.id, "verb": operation.kind.name(), "user": operation.principal.user },
            "provision_state": now.provision_state.as_str(),
            "last_error": now.last_error,
        }))
    }
}

/// Whether the failure itself put the node into maintenance, and nobody has given another reason since.
fn has_own_fault(node: &Node) -> bool {
    node.maintenance && node.fault.as_deref().is_some_and(|fault| OWN_FAULTS.contains(&fault)) && node.maintenance_reason == node.last_error
}

/// The node as it is when the failure of a cleaning or a service is taken away.
fn made_ready(node: &Node) -> Node {
    let mut ready = node.clone();
    if has_own_fault(node) {
        (ready.maintenance, ready.fault) = (false, None);
    }
    if node.provision_state == ProvisionState::CleanFailed {
        ready.provision_state = ProvisionState::Manageable;
    }
    ready
}

/// Whether [`Conductor::retry`] can ask for the operation again.
pub(crate) fn can_be_retried(operation: &Operation, state: ProvisionState) -> bool {
    operation.kind != Kind::Rescue && verb_of(operation, state).is_some()
}

/// The verb that asks for the operation again, if the state takes it, perhaps after `manage`.
fn verb_of(operation: &Operation, state: ProvisionState) -> Option<Verb> {
    let verb = match operation.kind {
        Kind::Verify => Verb::Manage,
        Kind::Deploy => Verb::Active,
        Kind::Rebuild => Verb::Rebuild,
        Kind::TearDown => Verb::Deleted,
        Kind::Clean => Verb::Provide,
        Kind::ManualClean => Verb::Clean,
        Kind::Inspect => Verb::Inspect,
        Kind::Adopt => Verb::Adopt,
        Kind::Rescue => Verb::Rescue,
        Kind::Unrescue => Verb::Unrescue,
        Kind::Service => Verb::Service,
        Kind::AbortService => Verb::Abort,
        Kind::ChildStep | Kind::VendorPassthru | Kind::Power(_) | Kind::Setting(_) => return None,
    };
    let managed = operation.kind.cleans() && state == ProvisionState::CleanFailed;
    (managed || verb.allowed_from(state)).then_some(verb)
}

fn request_of(operation: Operation, skip: Vec<StepCall>) -> ProvisionRequest {
    let mut request = ProvisionRequest { skip, disable_ramdisk: operation.disable_ramdisk, ..ProvisionRequest::default() };
    match operation.kind {
        Kind::ManualClean => request.clean_steps = operation.asked,
        Kind::Service => request.service_steps = operation.asked,
        Kind::Deploy | Kind::Rebuild => request.deploy_steps = operation.asked,
        _ => {}
    }
    request
}
