//! Why a node is where it is: what it waits for, since when and until when, when it was last heard of, and what to do.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wrought_domain::wait::Condition;
use wrought_domain::{Node, NodeId, Principal, ProvisionState, Verb};
use wrought_engine::{Operation, Waiting};
use wrought_storage::FailedOperation;

use crate::conductor::Conductor;
use crate::contacts::Contact;
use crate::retry::can_be_retried;
use crate::{Refusal, convert};

/// A driver call lasts no longer; what takes longer hangs.
const LONG_CALL_S: i64 = 120;

/// What is told about a node.
struct Why {
    /// One sentence.
    what: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// What to do, if anything.
    next: Vec<String>,
}

impl Conductor {
    /// What a node (UUID or name) waits for, or why it failed, or that it rests; asks neither machine nor agent.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn why(&self, who: &Principal, node: &str) -> Result<Value, Refusal> {
        let id = self.find_node(who, node).await?;
        let node = self.node(who, id).await?.value;
        let operation = self.operation_now(id).await?;
        let failed = match operation {
            Some(_) => None,
            None => self.0.store.failed_operation(id).await.map_err(convert::refusal)?,
        };
        let contacts = self.contacts(&node).await;
        let queue = operation.as_ref().and_then(|_| self.queue_position(id));
        let why = match &operation {
            Some(operation) => self.at_work(who, (&node, operation), &contacts, queue).await,
            None => at_rest(&node, failed.as_ref()),
        };
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let heard: Map<String, Value> = contacts.iter().map(|(contact, at)| (contact.as_str().to_owned(), at.to_string().into())).collect();
        Ok(json!({
            "node": id,
            "name": node.name,
            "provision_state": node.provision_state.as_str(),
            "target_provision_state": node.target_provision_state.map(|state| state.as_str()),
            "power_state": node.power_state.map(|state| state.as_str()),
            "maintenance": node.maintenance,
            "maintenance_reason": node.maintenance_reason,
            "fault": node.fault,
            "what": why.what,
            "since": moment(why.since),
            "until": moment(why.until),
            "tested_again_at": operation.as_ref().and_then(|operation| moment(operation.waiting.as_ref().map(|waiting| waiting.due))),
            "operation": operation.as_ref().map(shown),
            "queue": queue.map(|(place, of)| json!({ "place": place, "of": of })),
            "last_contact": contacts.first().map(|(contact, at)| json!({ "kind": contact.as_str(), "at": at.to_string() })),
            "contacts": heard,
            "failed": failed.as_ref().map(|failed| shown_failure(&node, failed)),
            "next": why.next,
        }))
    }

    /// The operation of a node with the times of its tests, which are not stored, unless an event is being handled just now.
    async fn operation_now(&self, id: NodeId) -> Result<Option<Operation>, Refusal> {
        let gate = self.gate(id);
        let held = gate.try_lock().ok().and_then(|inside| inside.held.as_ref().map(|held| held.operation.clone()));
        match held {
            Some(operation) => Ok(Some(operation)),
            None => self.0.store.operation(id).await.map_err(convert::refusal),
        }
    }

    async fn at_work(
        &self,
        who: &Principal,
        (node, operation): (&Node, &Operation),
        contacts: &[(Contact, Timestamp)],
        queue: Option<(usize, usize)>,
    ) -> Why {
        let doing = doing(operation);
        let Some(waiting) = &operation.waiting else { return self.in_flight(node, operation, &doing) };
        if node.maintenance && (node.provision_state.is_wait() || operation.is_queued()) {
            let reason = node.maintenance_reason.as_deref().unwrap_or("no reason was given");
            return Why {
                what: format!("{doing} rests, because the node is in maintenance: {reason}"),
                since: Some(waiting.since),
                until: None,
                next: vec!["Unset maintenance: the wait then has its whole time again.".into()],
            };
        }
        let held_back = if waiting.condition == Condition::Turn { self.held_back_by(node.uuid) } else { Vec::new() };
        let what = match (&waiting.condition, queue) {
            (Condition::Turn, Some((place, of))) if held_back.is_empty() => {
                format!("{doing} waits for its turn: it is number {place} of {of} that wait")
            }
            (Condition::Turn, _) if !held_back.is_empty() => format!("{doing} is held back, because something fails that it depends on"),
            (condition, _) if waiting.retry => format!("{doing} could not reach the agent and waits for {condition}"),
            (condition, _) => format!("{doing} waits for {condition}"),
        };
        let mut next = self.advice(who, node.uuid, &waiting.condition).await;
        next.extend(held_back);
        next.extend(self.silence(waiting, contacts));
        let out = match waiting.condition {
            Condition::Turn => format!("`wrought node cancel {}` takes it out of the queue.", node.uuid),
            _ if Verb::Abort.allowed_from(node.provision_state) => "`abort` ends it.".to_owned(),
            _ => format!("`wrought node unlock {}` ends it at once and leaves the machine as it is.", node.uuid),
        };
        next.push(out);
        Why { what, since: Some(waiting.since), until: Some(waiting.deadline).filter(|deadline| *deadline < Timestamp::MAX), next }
    }

    /// A command is being carried out.
    fn in_flight(&self, node: &Node, operation: &Operation, doing: &str) -> Why {
        let since = operation.step_since.filter(|_| operation.current().is_some());
        let pin = operation.current().and_then(|step| operation.pin(step.offered_by.as_ref()?)).or(operation.drivers.first());
        let what = match operation.phase.function().zip(pin) {
            Some((function, pin)) => {
                let (interface, name) = (function.interface(), function.name());
                format!("{doing}: {interface}.{name} of driver {} ({}) is being called", pin.name, pin.digest.short())
            }
            None => format!("{doing}: the host is at work on it"),
        };
        let mut next = vec!["Nothing: a call is over within a minute or so.".to_owned()];
        if since.is_some_and(|since| self.now().duration_since(since).as_secs() > LONG_CALL_S) {
            next = vec![format!(
                "`wrought journal show {0}` tells how far the calls are; `wrought node unlock {0}` ends the operation and leaves the machine as it is.",
                node.uuid
            )];
        }
        Why { what, since: Some(since.unwrap_or(operation.started_at)), until: None, next }
    }

    /// What helps against a condition that is not met.
    async fn advice(&self, who: &Principal, node: NodeId, condition: &Condition) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match condition {
            Condition::AgentBooted => one(
                "If it lasts: see on the machine's console whether it boots the agent's image, and whether the agent reaches the host's \
                 address for agents.",
            ),
            Condition::AgentCommand { .. } => one("Nothing while the agent is heard: it is at work."),
            Condition::Heartbeat { .. } => {
                one("See whether the agent still runs and whether the host reaches it (console, network, firewall).")
            }
            Condition::Power { .. } => one("If it lasts: look at the machine's controller and power supply."),
            Condition::BmcTask { .. } => one("If it lasts: look at the controller's tasks."),
            Condition::Lock { name } => vec![self.lock_advice(who, name).await],
            Condition::Unhold => one("`unhold` goes on."),
            Condition::InspectionData { .. } => {
                one("If it lasts: see on the machine's console whether the agent boots and posts what it found.")
            }
            Condition::Operation { node: child, .. } => vec![format!("`wrought node why {child}` tells of the other node.")],
            Condition::Until { .. } | Condition::Exclusive | Condition::ArtifactPush { .. } => Vec::new(),
            Condition::Turn => vec![format!("Nothing: it begins when it is its turn; node {node} keeps its place over a restart.")],
            Condition::Any(any) => {
                let mut all = Vec::new();
                for condition in any {
                    all.extend(Box::pin(self.advice(who, node, condition)).await);
                }
                all
            }
        }
    }

    async fn lock_advice(&self, who: &Principal, name: &str) -> String {
        let locks = self.0.store.locks().await.unwrap_or_default();
        match locks.iter().find(|lock| lock.name == name).and_then(|lock| lock.holder.as_ref()) {
            // Whose nodes those are is not everybody's business.
            Some(_) if !who.is_admin() => "An operation on another node holds it.".to_owned(),
            Some(holder) => format!("Node {} holds it; `wrought lock break {name}` takes it away.", holder.node),
            None => "Nobody holds it any more: it is given to who is first in line.".to_owned(),
        }
    }

    /// That an agent is silent which should be heard.
    fn silence(&self, waiting: &Waiting, contacts: &[(Contact, Timestamp)]) -> Option<String> {
        if !waiting.condition.waits_for_agent() {
            return None;
        }
        let last = contacts.iter().find(|(contact, _)| *contact == Contact::Heartbeat).map(|(_, at)| *at)?;
        let bound = i64::from(self.0.config.ramdisk_heartbeat_timeout);
        (last > waiting.since && self.now().duration_since(last).as_secs() > bound).then(|| {
            format!("The agent has been silent since {last}, although it should be heard every {bound} s: see whether it still runs.")
        })
    }
}

/// What an operation does, for the beginning of a sentence.
fn doing(operation: &Operation) -> String {
    match operation.current() {
        Some(step) => {
            let (number, of) = (operation.index.saturating_add(1), operation.plan.len());
            format!("{}, step {} ({number} of {of})", operation.kind.name(), step.id())
        }
        None => operation.kind.name().to_owned(),
    }
}

fn shown(operation: &Operation) -> Value {
    json!({
        "id": operation.id,
        "verb": operation.kind.name(),
        "user": operation.principal.user,
        "began_at": operation.started_at.to_string(),
        "step": operation.current().map(|step| step.id()),
        "step_number": operation.current().map(|_| operation.index.saturating_add(1)),
        "steps": operation.plan.len(),
        "finished": operation.finished,
        "driver_calls": operation.calls,
        "drivers": operation.drivers.iter().map(|pin| json!({ "name": pin.name, "digest": pin.digest })).collect::<Vec<_>>(),
    })
}

fn shown_failure(node: &Node, failed: &FailedOperation) -> Value {
    let FailedOperation { at, operation, .. } = failed;
    json!({
        "operation": operation.id,
        "verb": operation.kind.name(),
        "at": at.to_string(),
        "step": operation.current().map(|step| step.id()),
        "finished": operation.finished,
        "error": node.last_error,
    })
}

/// Nobody holds the node.
fn at_rest(node: &Node, failed: Option<&FailedOperation>) -> Why {
    let state = node.provision_state;
    let mut next = Vec::new();
    if let Some(FailedOperation { operation, .. }) = failed.filter(|failed| can_be_retried(&failed.operation, state)) {
        let after = operation.finished.last().map(|step| format!(", after {step}")).unwrap_or_default();
        next.push(format!("`wrought node retry {}` does the {} again{after}.", node.uuid, operation.kind.name()));
    }
    if node.maintenance {
        next.push(match &node.fault {
            Some(fault) => format!("The node is in maintenance because of a {fault}: when it is mended, unset maintenance."),
            None => "The node is in maintenance: unset it to go on.".to_owned(),
        });
    }
    let verbs: Vec<String> = Verb::ALL.iter().filter(|verb| verb.allowed_from(state)).map(|verb| format!("`{verb}`")).collect();
    if !verbs.is_empty() {
        next.push(format!("Verbs that this state takes: {}.", verbs.join(", ")));
    }
    let error = node.last_error.as_deref().filter(|error| !error.is_empty());
    let what = match (error, &node.reservation) {
        (_, Some(host)) => format!("the node is reserved by {host}"),
        (Some(error), None) if state.is_failed() || state == ProvisionState::Error => format!("{state}: {error}"),
        (Some(error), None) => format!("the node rests in {state}; the last operation failed: {error}"),
        (None, None) => format!("the node rests in {state} and waits for nothing"),
    };
    Why { what, since: node.provision_updated_at, until: None, next }
}
