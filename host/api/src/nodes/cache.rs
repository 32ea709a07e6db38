//! The nodes that were shown lately, as text. What the cache holds is used only under the mark that the database gives for the node
//! now, so that it may be wrong about nothing, whoever writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wrought_domain::NodeId;
use wrought_storage::Mark;

use crate::nodes::rendered::Rendered;

/// Bytes of all texts: 10,000 nodes and more.
const MAX_BYTES: usize = 96 << 20;

/// Texts of nodes by their rows.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    rows: HashMap<i64, usize>,
    uuids: HashMap<NodeId, i64>,
    /// In no order, so that any place can be freed.
    nodes: Vec<(i64, Arc<Rendered>)>,
    bytes: usize,
}

impl Cache {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The text of the node, as it was when it was shown last.
    pub(crate) fn find(&self, node: NodeId) -> Option<Arc<Rendered>> {
        self.with(|inner| inner.get(*inner.uuids.get(&node)?).cloned())
    }

    /// The texts of the nodes that are still what the marks say.
    pub(crate) fn of(&self, marks: &[Mark]) -> Vec<Option<Arc<Rendered>>> {
        self.with(|inner| marks.iter().map(|mark| inner.get(mark.row).filter(|node| node.mark == *mark).cloned()).collect())
    }

    /// Keeps the text, in place of others if there is no room.
    pub(crate) fn keep(&self, node: &Arc<Rendered>) {
        self.with(|inner| inner.keep(node, MAX_BYTES));
    }
}

impl Inner {
    fn get(&self, row: i64) -> Option<&Arc<Rendered>> {
        self.nodes.get(*self.rows.get(&row)?).map(|(_, node)| node)
    }

    fn keep(&mut self, node: &Arc<Rendered>, most: usize) {
        self.remove(node.mark.row);
        // Any will do: whoever reads all nodes in their order finds nothing where the oldest goes first.
        let chance = usize::try_from(node.uuid.0.as_u128() >> 80).unwrap_or_default();
        while self.bytes + node.size() > most && !self.nodes.is_empty() {
            let place = (chance + self.nodes.len() * 7) % self.nodes.len();
            let Some((row, _)) = self.nodes.get(place) else { break };
            self.remove(*row);
        }
        self.bytes += node.size();
        self.rows.insert(node.mark.row, self.nodes.len());
        self.uuids.insert(node.uuid, node.mark.row);
        self.nodes.push((node.mark.row, Arc::clone(node)));
    }

    fn remove(&mut self, row: i64) {
        let Some(place) = self.rows.remove(&row).filter(|place| *place < self.nodes.len()) else { return };
        let (_, node) = self.nodes.swap_remove(place);
        self.bytes = self.bytes.saturating_sub(node.size());
        if self.uuids.get(&node.uuid) == Some(&row) {
            self.uuids.remove(&node.uuid);
        }
        if let Some((moved, _)) = self.nodes.get(place) {
            self.rows.insert(*moved, place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use jiff::Timestamp;
    use uuid::Uuid;
    use wrought_domain::Node;
    use wrought_domain::hardware_type::FAKE_HARDWARE;
    use wrought_storage::Revision;

    use super::*;

    fn rendered(row: i64, revision: u64, uuid: NodeId) -> Arc<Rendered> {
        let node = Node::new(uuid, "fake-hardware", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        Arc::new(Rendered::of(Mark { row, revision: Revision(revision) }, &node, "host", None).unwrap())
    }

    #[test]
    fn only_the_text_of_the_same_state_of_the_same_node_is_found() {
        let (cache, uuid) = (Cache::default(), NodeId(Uuid::new_v4()));
        let mark = |row, revision| Mark { row, revision: Revision(revision) };
        cache.keep(&rendered(7, 1, uuid));
        let found = |mark| cache.of(&[mark])[0].is_some();
        assert!(found(mark(7, 1)) && !found(mark(7, 2)) && !found(mark(8, 1)));
        cache.keep(&rendered(7, 2, uuid));
        assert!(!found(mark(7, 1)) && found(mark(7, 2)));
        // Deleted, and made again under its UUID.
        cache.keep(&rendered(9, 1, uuid));
        assert_eq!(cache.find(uuid).unwrap().mark, mark(9, 1));
        assert!(!found(mark(7, 1)) && found(mark(9, 1)));
    }

    #[test]
    fn the_cache_never_grows_beyond_its_bound_and_keeps_its_books() {
        let mut inner = Inner::default();
        let uuids: Vec<NodeId> = (0..100).map(|_| NodeId(Uuid::new_v4())).collect();
        let most = 20 * rendered(0, 1, uuids[0]).size();
        for turn in 0..500_u16 {
            let place = usize::from(turn) * 37 % uuids.len();
            let node = rendered(i64::try_from(place).unwrap(), u64::from(turn), uuids[place]);
            inner.keep(&node, most);
            assert!(inner.bytes <= most && Arc::ptr_eq(inner.get(node.mark.row).unwrap(), &node));
            assert_eq!((inner.rows.len(), inner.uuids.len()), (inner.nodes.len(), inner.nodes.len()));
            assert_eq!(inner.bytes, inner.nodes.iter().map(|(_, node)| node.size()).sum::<usize>());
            assert!(inner.rows.iter().all(|(row, place)| inner.nodes[*place].0 == *row));
        }
        assert!(inner.nodes.len() >= 15);
    }
}
