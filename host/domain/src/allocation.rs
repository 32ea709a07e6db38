//! Allocations: a request for a node of a kind, and the node that it was given.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::state::ProvisionState;
use crate::{Map, Node, NodeId};

/// How far an allocation is; the names are Ironic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AllocationState {
    /// A node is looked for.
    Allocating,
    /// It has a node.
    Active,
    /// No node was found; `last_error` says why.
    Error,
}

impl AllocationState {
    /// The name that Ironic's API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allocating => "allocating",
            Self::Active => "active",
            Self::Error => "error",
        }
    }
}

/// Ironic's allocation resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own, documented in its API reference")]
pub struct Allocation {
    pub uuid: Uuid,
    pub name: Option<String>,
    pub node_uuid: Option<NodeId>,
    pub state: AllocationState,
    pub last_error: Option<String>,
    pub resource_class: Option<String>,
    /// Only these nodes; any if empty.
    pub candidate_nodes: Vec<NodeId>,
    pub traits: Vec<String>,
    pub extra: Map,
    /// The project that it belongs to: only nodes that this project owns or has leased are taken.
    pub owner: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
}

/// Key of `instance_info`: the traits that the allocation asked for.
const TRAITS: &str = "traits";

impl Allocation {
    /// A new one that looks for a node.
    pub fn new(uuid: Uuid, now: Timestamp) -> Self {
        Self {
            uuid,
            name: None,
            node_uuid: None,
            state: AllocationState::Allocating,
            last_error: None,
            resource_class: None,
            candidate_nodes: Vec::new(),
            traits: Vec::new(),
            extra: Map::new(),
            owner: None,
            created_at: now,
            updated_at: None,
        }
    }

    /// Whether the node has every trait that is asked for.
    pub fn traits_match(&self, node: &Node) -> bool {
        self.traits.iter().all(|wanted| node.traits.contains(wanted))
    }

    fn is_candidate(&self, node: &Node) -> bool {
        self.candidate_nodes.is_empty() || self.candidate_nodes.contains(&node.uuid)
    }

    fn may_have(&self, node: &Node) -> bool {
        self.owner.is_none() || self.owner == node.owner || self.owner == node.lessee
    }

    /// Whether the node may be given to it now; whether an operation holds the node is not asked here.
    pub fn fits(&self, node: &Node) -> bool {
        node.provision_state == ProvisionState::Available
            && node.instance_uuid.is_none()
            && !node.maintenance
            && node.power_state.is_some()
            && node.resource_class == self.resource_class
            && self.is_candidate(node)
            && self.may_have(node)
            && self.traits_match(node)
    }

    /// Why a node with an instance cannot be given an allocation afterwards; nothing if it can. The texts are Ironic's.
    pub fn unfit_to_backfill(&self, node: &Node) -> Option<String> {
        let class = |class: &Option<String>| class.clone().unwrap_or_else(|| "None".into());
        let mut errors = Vec::new();
        if node.provision_state != ProvisionState::Active {
            errors.push(format!("Node must be in the \"active\" state, but the current state is \"{}\"", node.provision_state));
        }
        if node.resource_class != self.resource_class {
            let (has, asked) = (class(&node.resource_class), class(&self.resource_class));
            errors.push(format!("Resource class {has} does not match the requested resource class {asked}"));
        }
        if !self.traits_match(node) {
            let (has, asked) = (node.traits.join(", "), self.traits.join(", "));
            errors.push(format!("List of traits [{has}] does not match the requested traits [{asked}]"));
        }
        if !self.is_candidate(node) {
            errors.push("Candidate nodes must be empty or contain the target node".into());
        }
        (!errors.is_empty()).then(|| format!("Cannot backfill an allocation for node {}: {}", node.uuid, errors.join("; ")))
    }

    /// Gives it the node, on both sides.
    pub fn take(&mut self, node: &mut Node) {
        self.node_uuid = Some(node.uuid);
        self.state = AllocationState::Active;
        self.last_error = None;
        node.instance_uuid = Some(self.uuid);
        node.allocation_uuid = Some(self.uuid);
        node.instance_info.insert(TRAITS.into(), self.traits.iter().map(|name| Value::from(name.as_str())).collect());
    }

    /// Why the node has to stay allocated; nothing if it may go. The texts are Ironic's.
    pub fn bound_to(&self, node: &Node) -> Option<String> {
        let text = |why: &str| {
            let (uuid, node) = (self.uuid, node.uuid);
            Some(format!("Cannot remove allocation {uuid} for node {node}, because the node is {why} (and maintenance mode is off)"))
        };
        let state = node.provision_state;
        match state {
            _ if node.maintenance => None,
            ProvisionState::Active => text("active"),
            _ if node.target_provision_state.is_some() && !state.allows_update_with_target() => {
                text(&format!("in state {state} where updates are not allowed"))
            }
            _ => None,
        }
    }
}

/// Takes the node's allocation away from it. The traits that it asked for go with it: they chose deploy templates.
pub fn release(node: &mut Node) {
    if node.allocation_uuid.take().is_some() {
        node.instance_uuid = None;
        node.instance_info.remove(TRAITS);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::PowerState;
    use crate::hardware_type::FAKE_HARDWARE;

    fn node() -> Node {
        let mut node = Node::new(NodeId(Uuid::from_u128(1)), "fake-hardware", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        node.provision_state = ProvisionState::Available;
        node.power_state = Some(PowerState::Off);
        node.resource_class = Some("gold".into());
        node.traits = vec!["CUSTOM_A".into(), "CUSTOM_B".into()];
        node
    }

    fn allocation() -> Allocation {
        let mut allocation = Allocation::new(Uuid::from_u128(2), Timestamp::UNIX_EPOCH);
        allocation.resource_class = Some("gold".into());
        allocation.traits = vec!["CUSTOM_B".into()];
        allocation
    }

    #[test]
    fn a_node_fits_only_when_everything_does() {
        assert!(allocation().fits(&node()));
        let unfit: [fn(&mut Node); 6] = [
            |node| node.provision_state = ProvisionState::Manageable,
            |node| node.instance_uuid = Some(Uuid::from_u128(3)),
            |node| node.maintenance = true,
            |node| node.power_state = None,
            |node| node.resource_class = None,
            |node| node.traits = vec!["CUSTOM_A".into()],
        ];
        for change in unfit {
            let mut node = node();
            change(&mut node);
            assert!(!allocation().fits(&node), "{node:?}");
        }
        let others = Allocation { candidate_nodes: vec![NodeId(Uuid::from_u128(9))], ..allocation() };
        assert!(!others.fits(&node()));
        let owned = Allocation { owner: Some("p".into()), ..allocation() };
        assert!(!owned.fits(&node()));
        assert!(owned.fits(&Node { owner: Some("p".into()), ..node() }) && owned.fits(&Node { lessee: Some("p".into()), ..node() }));
    }

    #[test]
    fn a_node_is_taken_and_released_on_both_sides() {
        let (mut allocation, mut node) = (allocation(), node());
        allocation.take(&mut node);
        assert_eq!((allocation.state, allocation.node_uuid), (AllocationState::Active, Some(node.uuid)));
        assert_eq!((node.instance_uuid, node.allocation_uuid), (Some(allocation.uuid), Some(allocation.uuid)));
        assert_eq!(node.instance_info.get("traits"), Some(&serde_json::json!(["CUSTOM_B"])));
        assert_eq!(allocation.bound_to(&node), None);
        node.provision_state = ProvisionState::Active;
        assert!(allocation.bound_to(&node).unwrap().contains("the node is active"));
        node.maintenance = true;
        assert_eq!(allocation.bound_to(&node), None);
        release(&mut node);
        assert_eq!((node.instance_uuid, node.allocation_uuid, node.instance_info.len()), (None, None, 0));
    }
}
