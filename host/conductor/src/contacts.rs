//! When nodes were last heard of, in any way: for people who wonder whether a machine is alive.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use wrought_domain::{Node, NodeId};

use crate::conductor::Conductor;

/// Nodes that are remembered.
const MAX_NODES: usize = 100_000;

/// A way of being heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Contact {
    /// The agent asked which node it runs on.
    Lookup,
    /// The agent's heartbeat.
    Heartbeat,
    /// The agent posted what it found on the machine.
    Inspection,
    /// The node's controller answered, whatever it said.
    Controller,
}

impl Contact {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Heartbeat => "heartbeat",
            Self::Inspection => "inspection",
            Self::Controller => "controller",
        }
    }
}

/// The last contacts of nodes since the host started. A look at a machine must cost no commit, so they are not stored.
#[derive(Default)]
pub(crate) struct Contacts(Mutex<HashMap<NodeId, Vec<(Contact, Timestamp)>>>);

impl Contacts {
    /// The node was heard of now.
    pub(crate) fn note(&self, node: NodeId, contact: Contact, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_NODES && !all.contains_key(&node) {
            all.clear();
        }
        let noted = all.entry(node).or_default();
        noted.retain(|(known, _)| *known != contact);
        noted.push((contact, now));
    }

    fn of(&self, node: NodeId) -> Vec<(Contact, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned().unwrap_or_default()
    }
}

impl Conductor {
    /// When the node was last heard of in each way, the latest first. Asks nobody.
    pub(crate) async fn contacts(&self, node: &Node) -> Vec<(Contact, Timestamp)> {
        let mut contacts = self.0.contacts.of(node.uuid);
        if let Some(at) = self.0.machines.answered(node) {
            contacts.push((Contact::Controller, at));
        }
        // What a former process heard of the agent is stored with its session.
        if !contacts.iter().any(|(contact, _)| *contact == Contact::Heartbeat)
            && let Ok(Some(session)) = self.0.store.agent_session(node.uuid).await
            && let Some(at) = session.last_heartbeat_at
        {
            contacts.push((Contact::Heartbeat, at));
        }
        contacts.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        contacts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_contact_of_each_way_is_remembered() {
        let (contacts, node) = (Contacts::default(), NodeId(uuid::Uuid::from_u128(1)));
        let at = |second| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second);
        contacts.note(node, Contact::Lookup, at(1));
        contacts.note(node, Contact::Heartbeat, at(2));
        contacts.note(node, Contact::Lookup, at(3));
        assert_eq!(contacts.of(node), [(Contact::Heartbeat, at(2)), (Contact::Lookup, at(3))]);
        assert_eq!(contacts.of(NodeId(uuid::Uuid::from_u128(2))), []);
    }
}
