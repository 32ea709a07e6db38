//! What belongs to a node: why some of it cannot be as asked.

use crate::{Node, ProvisionState};

/// Why a port, a port group, a volume connector or target cannot be as asked. The texts are whole sentences, for API users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// It cannot be at all.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be now, as other things are.
    #[error("{0}")]
    Conflict(String),
}

/// Whether what a node is wired to may change: in a state without an instance, or in maintenance.
pub fn rewirable(node: &Node) -> bool {
    use ProvisionState as S;
    node.maintenance || matches!(node.provision_state, S::Enroll | S::Inspecting | S::InspectWait | S::Manageable)
}

/// Whether an instance uses the node's addresses.
pub(crate) fn in_use(node: &Node) -> bool {
    !node.maintenance && (node.instance_uuid.is_some() || node.provision_state == ProvisionState::Active)
}

/// The states in which [`rewirable`] holds, for texts.
pub(crate) const REWIRABLE: &str = "one of the states enroll, inspecting, inspect wait, manageable or in maintenance mode";
