//! One event at a time per node. Nobody waits for a machine behind a gate: what else happens to the node would wait as well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::task::AbortHandle;
use wrought_domain::{Node, NodeId, OperationId};
use wrought_engine::{Operation, Phase};
use wrought_storage::Revision;

/// What a node's gate remembers of it while an operation goes on, so that an event costs no read.
/// Somebody else's write makes the commit fail as stale; then it is read again.
pub(crate) struct Held {
    pub(crate) node: Node,
    pub(crate) revision: Revision,
    pub(crate) operation: Operation,
}

/// What lies behind a gate.
#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) held: Option<Held>,
    timer: Option<AbortHandle>,
}

impl Inside {
    /// Sets the node's one timer in place of the former.
    pub(crate) fn set_timer(&mut self, timer: Option<AbortHandle>) {
        if let Some(old) = std::mem::replace(&mut self.timer, timer) {
            old.abort();
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.set_timer(None);
    }
}

pub(crate) type Gate = Arc<tokio::sync::Mutex<Inside>>;

/// The gates of nodes that something happens to. A gate lives as long as somebody holds it; the
/// map keeps those of open operations.
#[derive(Default)]
pub(crate) struct Gates {
    weak: Mutex<HashMap<NodeId, Weak<tokio::sync::Mutex<Inside>>>>,
    open: Mutex<HashMap<NodeId, Gate>>,
}

impl Gates {
    pub(crate) fn get(&self, node: NodeId) -> Gate {
        let mut weak = self.weak.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = weak.get(&node).and_then(Weak::upgrade) {
            return gate;
        }
        // Dead entries go when the map has doubled, so its size follows the number of live gates.
        if weak.len() >= 64 && weak.len().is_power_of_two() {
            weak.retain(|_, gate| gate.strong_count() > 0);
        }
        let gate = Gate::default();
        weak.insert(node, Arc::downgrade(&gate));
        gate
    }

    /// Keeps a gate while its node has an open operation.
    pub(crate) fn keep(&self, node: NodeId, gate: &Gate) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(node, gate.clone());
    }

    /// Whether any operation goes on.
    pub(crate) fn any_open(&self) -> bool {
        !self.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Lets it go.
    pub(crate) fn release(&self, node: NodeId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }
}

/// The moment of an operation that a command belongs to: what comes of it later is dropped when
/// the operation has gone on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    operation: OperationId,
    phase: Phase,
    turn: u64,
    waiting_since: Option<jiff::Timestamp>,
}

impl Tag {
    pub(crate) fn of(operation: &Operation) -> Self {
        Self {
            operation: operation.id,
            phase: operation.phase,
            turn: operation.turn,
            waiting_since: operation.waiting.as_ref().map(|waiting| waiting.since),
        }
    }
}
