//! What a start will do with each open operation: computed from what is stored, without asking any machine.

use std::collections::HashMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use wrought_domain::{NodeId, OperationId};
use wrought_drivers::journal::{PartId, Recorded, decode};
use wrought_engine::{Operation, Phase};
use wrought_storage::{Store, StoreError, StoredCall};

use super::effects::rule;

/// The recovery of a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecoveryPlan {
    /// When the host was last seen alive.
    pub last_alive: Option<Timestamp>,
    /// What is to be done, operation by operation, the one that is due first at the beginning.
    pub operations: Vec<Planned>,
}

/// The recovery of an operation.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// The node that it holds.
    pub node: NodeId,
    /// The operation.
    pub operation: OperationId,
    /// For example `deploy`.
    pub kind: &'static str,
    /// Where it stands.
    pub phase: Phase,
    /// The step that is executed.
    pub step: Option<String>,
    /// Seconds by which what it waits for is put off, because the host was down.
    pub down_s: i64,
    /// What is done.
    #[serde(flatten)]
    pub action: RecoveryAction,
    #[serde(skip)]
    pub(crate) open: Option<OpenCall>,
    #[serde(skip)]
    pub(crate) whole: Operation,
}

/// A call that was cut off.
#[derive(Debug, Clone)]
pub(crate) struct OpenCall {
    pub(crate) turn: u64,
    /// Chunks that are stored.
    pub(crate) chunks: usize,
    pub(crate) recorded: Recorded,
}

/// What is done with an operation at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum RecoveryAction {
    /// It waits: the condition is tested, and only then may its time run out.
    Test {
        /// The condition.
        condition: String,
        /// When it runs out, with the time added that the host was down.
        deadline: Timestamp,
    },
    /// A request of the host's own to a controller, which looks first: it is made again.
    AskAgain {
        /// What is asked.
        what: &'static str,
    },
    /// A driver call that had begun no effect: it is called again.
    CallAgain {
        /// The function.
        function: String,
    },
    /// A driver call with an effect on its way: what became of the effect is found out, and the call goes on from there.
    Resume {
        /// The function.
        function: String,
        /// The id of the call in the journal.
        call: i64,
        /// The index of the effect among the host calls.
        host_call: usize,
        /// The effect.
        effect: String,
        /// How done and not done are told apart.
        told: &'static str,
    },
    /// Nobody can tell what was done: the operation fails by name.
    Fail {
        /// Why.
        why: String,
    },
}

impl fmt::Display for RecoveryAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test { condition, deadline } => write!(f, "test {condition}, until {deadline:.0}"),
            Self::AskAgain { what } => write!(f, "{what} again"),
            Self::CallAgain { function } => write!(f, "call {function} again: no effect had begun"),
            Self::Resume { function, host_call, effect, told, .. } => {
                write!(f, "resume {function} at host call {host_call}, {effect}; told by: {told}")
            }
            Self::Fail { why } => write!(f, "fail: {why}"),
        }
    }
}

impl RecoveryPlan {
    /// The plan for what is stored, at `now`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn of(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let last_alive = store.last_alive().await?;
        let mut operations = Vec::new();
        for operation in store.open_operations().await? {
            let open = match store.open_call(operation.id, operation.turn).await? {
                Some(call) => Some((call.id, read(store, &call).await?)),
                None => None,
            };
            operations.push(planned(&operation, open, last_alive, now));
        }
        Ok(Self { last_alive, operations })
    }
}

/// The record of an open call; its text says why it cannot be read.
async fn read(store: &Store, call: &StoredCall) -> Result<Result<OpenCall, String>, StoreError> {
    let parts: HashMap<PartId, Vec<u8>> = store.journal_parts(call.call.operation).await?.into_iter().collect();
    let recorded = decode(call.chunks.iter().map(Vec::as_slice), |id| parts.get(id).map(Vec::as_slice));
    Ok(recorded
        .map(|recorded| OpenCall { turn: call.call.turn, chunks: call.chunks.len(), recorded })
        .map_err(|error| format!("the record of call {} cannot be read: {error}", call.id)))
}

fn planned(operation: &Operation, open: Option<(i64, Result<OpenCall, String>)>, last_alive: Option<Timestamp>, now: Timestamp) -> Planned {
    let since = operation.waiting.as_ref().map(|waiting| waiting.since);
    // A wait that began after the last sign of life is one itself.
    let down = last_alive.max(since).map_or(SignedDuration::ZERO, |alive| now.duration_since(alive)).max(SignedDuration::ZERO);
    let (id, open) = match open {
        Some((id, open)) => (id, Some(open)),
        None => (0, None),
    };
    let action = action(operation, id, open.as_ref().map(Result::as_ref), down);
    Planned {
        node: operation.node,
        operation: operation.id,
        kind: operation.kind.name(),
        phase: operation.phase,
        step: operation.current().map(wrought_domain::Step::id),
        down_s: down.as_secs(),
        action,
        open: open.and_then(Result::ok),
        whole: operation.clone(),
    }
}

fn action(operation: &Operation, id: i64, open: Option<Result<&OpenCall, &String>>, down: SignedDuration) -> RecoveryAction {
    if let Some(waiting) = &operation.waiting {
        let deadline = waiting.deadline.checked_add(down).unwrap_or(Timestamp::MAX);
        return RecoveryAction::Test { condition: condition(&waiting.condition), deadline };
    }
    match (operation.phase, open) {
        (Phase::Verify, _) => RecoveryAction::AskAgain { what: "read the power state" },
        (Phase::Set, _) => RecoveryAction::AskAgain { what: "set on the machine what was asked for" },
        (Phase::PowerOff, _) => RecoveryAction::AskAgain { what: "ask for power off" },
        (Phase::PowerOn, _) => RecoveryAction::AskAgain { what: "ask for power on" },
        _ if operation.power_step.is_some() => RecoveryAction::AskAgain { what: "ask for the step's change of power" },
        (Phase::ApplyInspection, _) => RecoveryAction::AskAgain { what: "make use of what the inspection found" },
        _ if operation.current().is_some_and(|step| step.children.is_some()) => {
            RecoveryAction::AskAgain { what: "look at the operations on the node's children" }
        }
        (_, Some(Err(why))) => RecoveryAction::Fail { why: why.clone() },
        (_, Some(Ok(open))) => {
            let function = open.recorded.header.function.name().to_owned();
            match open.recorded.intent() {
                Some(intent) => RecoveryAction::Resume {
                    function,
                    call: id,
                    host_call: open.recorded.entries.len().saturating_sub(1),
                    effect: intent.function.clone(),
                    told: rule(&intent.function).map_or("this host does not know the effect", |rule| rule.told),
                },
                None => RecoveryAction::CallAgain { function },
            }
        }
        (phase, None) => RecoveryAction::CallAgain { function: name(phase).into() },
    }
}

fn name(phase: Phase) -> &'static str {
    phase.function().map_or("nothing", wrought_domain::Function::name)
}

fn condition(condition: &wrought_domain::wait::Condition) -> String {
    use wrought_domain::wait::Condition;
    match condition {
        Condition::Until { at } => format!("whether it is {at:.0}"),
        Condition::AgentBooted => "whether the agent has booted".into(),
        Condition::Heartbeat { .. } => "whether the agent was heard again".into(),
        Condition::Power { on } => format!("whether the power is {}", if *on { "on" } else { "off" }),
        Condition::AgentCommand { id } => format!("whether the agent's command {id} has ended"),
        Condition::BmcTask { path } => format!("whether the controller's task {path} has ended"),
        Condition::ArtifactPush { push } => format!("whether the push {push} has ended"),
        Condition::Lock { name } => format!("whether the lock {name} is free"),
        Condition::Exclusive => "the node to be held exclusively".into(),
        Condition::Turn => "whether it is the operation's turn".into(),
        Condition::Unhold => "nothing, until an operator says unhold".into(),
        Condition::InspectionData { .. } => "whether the agent has posted what it found".into(),
        Condition::Operation { node, .. } => format!("whether the operation on node {node} has ended"),
        Condition::Any(any) => any.iter().map(self::condition).collect::<Vec<_>>().join(", or "),
    }
}
