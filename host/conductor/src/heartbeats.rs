//! However often an agent is heard, little comes of it at a time: one heartbeat of a node is handled and one more waits for that, and
//! what a node waits for is tested once at a time.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use wrought_domain::NodeId;
use wrought_engine::Event;

use crate::conductor::{Conductor, HandleError};
use crate::gate::Tag;
use crate::seen::Seen;

/// What goes on for nodes whose agents were heard. Entries go with what they stand for.
pub(crate) struct Heartbeats<T = Tag> {
    /// Nodes of which a heartbeat waits to be handled.
    waiting: Mutex<HashSet<NodeId>>,
    /// The test that goes on for a node.
    tests: Mutex<HashMap<NodeId, Testing<T>>>,
}

struct Testing<T> {
    tag: T,
    /// It was asked for once more.
    again: bool,
}

impl<T> Default for Heartbeats<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), tests: Mutex::default() }
    }
}

impl<T: Clone + PartialEq> Heartbeats<T> {
    /// Whether the node's heartbeat is to be handled: no other one waits for that already.
    fn heard(&self, node: NodeId) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(node)
    }

    /// The heartbeat waits no longer; one that comes from now on is another one.
    fn its_turn(&self, node: NodeId) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// Whether a test may begin: none of the same wait goes on. If one does, it is remembered that another was asked for.
    pub(crate) fn may_test(&self, node: NodeId, tag: &T) -> bool {
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        match tests.get_mut(&node) {
            Some(testing) if testing.tag == *tag => {
                testing.again = true;
                false
            }
            _ => {
                tests.insert(node, Testing { tag: tag.clone(), again: false });
                true
            }
        }
    }

    /// The test has ended; whether another was asked for meanwhile.
    pub(crate) fn tested(&self, node: NodeId, tag: &T) -> bool {
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        match tests.get(&node) {
            Some(testing) if testing.tag == *tag => tests.remove(&node).is_some_and(|testing| testing.again),
            _ => false,
        }
    }
}

impl Conductor {
    /// The node's agent was heard: its operation is told, in a task of its own.
    pub(crate) fn heard_from(&self, node: NodeId) {
        if !self.0.heartbeats.heard(node) {
            return;
        }
        let this = self.clone();
        self.spawn(async move {
            let gate = this.gate(node);
            drop(gate.lock().await);
            this.0.heartbeats.its_turn(node);
            match this.try_handle(node, None, Event::Heartbeat, Seen::default()).await {
                Ok(()) | Err(HandleError::Impossible(_)) => {}
                Err(error) => tracing::warn!(%node, %error, "a heartbeat could not be handled"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn of_many_heartbeats_one_waits_to_be_handled() {
        let (heartbeats, node) = (Heartbeats::<u8>::default(), NodeId(Uuid::from_u128(1)));
        assert!(heartbeats.heard(node) && !heartbeats.heard(node) && !heartbeats.heard(node));
        assert!(heartbeats.heard(NodeId(Uuid::from_u128(2))), "another node's is another one");
        heartbeats.its_turn(node);
        assert!(heartbeats.heard(node), "what comes while one is handled may be news");
    }

    #[test]
    fn a_wait_is_tested_once_at_a_time_and_once_more_if_that_was_asked_for() {
        let (heartbeats, node) = (Heartbeats::default(), NodeId(Uuid::from_u128(1)));
        assert!(heartbeats.may_test(node, &1) && !heartbeats.may_test(node, &1) && !heartbeats.may_test(node, &1));
        assert!(heartbeats.tested(node, &1) && !heartbeats.tested(node, &1));
        assert!(heartbeats.may_test(node, &1) && !heartbeats.tested(node, &1), "nobody asked for another");
        assert!(heartbeats.may_test(node, &2) && heartbeats.may_test(node, &3), "the test of a former wait hinders no other");
        assert!(!heartbeats.tested(node, &2) && !heartbeats.may_test(node, &3) && heartbeats.tested(node, &3));
    }
}
