//! Requests that ask a node's controller for something while their callers wait. A controller may take long to answer, so they do not
//! hold the node's gate: they are noted here, one change and a few looks at a time for each node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wrought_domain::NodeId;

/// Requests at a time that look at one machine.
const MOST_LOOKS: usize = 4;

/// The requests to one machine.
#[derive(Debug, Default)]
struct Under {
    changed: bool,
    looks: usize,
}

type Nodes = HashMap<NodeId, Under>;

/// The machines that requests are under way to. A node is in it as long as one is.
#[derive(Default)]
pub(crate) struct Requests(Arc<Mutex<Nodes>>);

fn lock(nodes: &Mutex<Nodes>) -> MutexGuard<'_, Nodes> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Requests {
    /// Notes a request that changes the machine, unless there is one. The node's gate is held, so that no operation begins in between.
    pub(crate) fn change(&self, node: NodeId) -> Option<UnderWay> {
        let mut nodes = lock(&self.0);
        let under = nodes.entry(node).or_default();
        (!std::mem::replace(&mut under.changed, true)).then(|| self.under_way(node, true))
    }

    /// Notes a request that only looks, unless there are enough.
    pub(crate) fn look(&self, node: NodeId) -> Option<UnderWay> {
        let mut nodes = lock(&self.0);
        let under = nodes.entry(node).or_default();
        (under.looks < MOST_LOOKS).then(|| {
            under.looks += 1;
            self.under_way(node, false)
        })
    }

    /// Whether a request changes the machine just now.
    pub(crate) fn changes(&self, node: NodeId) -> bool {
        lock(&self.0).get(&node).is_some_and(|under| under.changed)
    }

    fn under_way(&self, node: NodeId, changes: bool) -> UnderWay {
        UnderWay { nodes: self.0.clone(), node, changes }
    }
}

/// A request that is under way, until this is dropped.
pub(crate) struct UnderWay {
    nodes: Arc<Mutex<Nodes>>,
    node: NodeId,
    changes: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut nodes = lock(&self.nodes);
        let Some(under) = nodes.get_mut(&self.node) else { return };
        if self.changes {
            under.changed = false;
        } else {
            under.looks = under.looks.saturating_sub(1);
        }
        if !under.changed && under.looks == 0 {
            nodes.remove(&self.node);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_changes_a_machine_and_a_few_look_at_it_and_nothing_stays_behind() {
        let (requests, node) = (Requests::default(), NodeId(uuid::Uuid::from_u128(1)));
        let change = requests.change(node).unwrap();
        assert!(requests.change(node).is_none() && requests.changes(node));
        assert!(requests.change(NodeId(uuid::Uuid::from_u128(2))).is_some(), "another node's is another one");
        let looks: Vec<UnderWay> = std::iter::from_fn(|| requests.look(node)).collect();
        assert_eq!(looks.len(), MOST_LOOKS);
        drop(change);
        assert!(!requests.changes(node) && requests.change(node).is_some());
        drop(looks);
        assert!(requests.look(node).is_some() && lock(&requests.0).is_empty());
    }
}
