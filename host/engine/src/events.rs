//! What happens to a node in an operation, for the record that is only ever added to.

use serde::{Deserialize, Serialize};
use wrought_domain::{Digest, DriverName, OperationId, ProvisionState};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The operation waits for its turn.
    Queued,
    /// The operation has begun to work.
    Started,
    /// The node's provision state has changed.
    Transition,
    /// A step has begun.
    StepStarted,
    /// A step has ended well.
    StepFinished,
    /// The operation waits.
    Waiting,
    /// The operation has ended by a failure.
    Failed,
    /// The operation has ended well.
    Finished,
    /// An operator has ended the operation.
    Aborted,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEvent {
    /// What.
    pub kind: EventKind,
    /// In which operation.
    pub operation: OperationId,
    /// What the operation does, as drivers know it (`deploy`, `clean`, ...).
    pub verb: String,
    /// The state machine's event, for a transition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The state before a transition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ProvisionState>,
    /// The state after a transition, or in which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ProvisionState>,
    /// Where the node is heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ProvisionState>,
    /// `interface.step`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How long the step, or the operation, took; waits included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why: what is waited for, or what failed and what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The driver that serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverName>,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}
