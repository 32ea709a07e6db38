//! What is kept of an inspection.

use serde::{Deserialize, Serialize};
use wrought_domain::{Map, Node};

/// Findings as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) inventory: Map,
    pub(crate) plugin_data: Map,
}

/// What hooks and rules made of a node: what they changed is written, whatever else has become of the node meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Inspected {
    before: Box<Node>,
    after: Box<Node>,
}

impl Inspected {
    pub(crate) fn new(before: &Node, after: Node) -> Self {
        Self { before: Box::new(before.clone()), after: Box::new(after) }
    }

    /// Writes what was changed into the node.
    pub(crate) fn apply(&self, node: &mut Node) {
        let (before, after) = (&self.before, &self.after);
        macro_rules! carry {
            ($($field:ident),*) => {
                $(if before.$field != after.$field { node.$field.clone_from(&after.$field); })*
            };
        }
        carry!(properties, extra, driver_info, network_data, traits, description, resource_class, conductor_group, owner, lessee, shard);
        carry!(driver, interfaces);
    }
}
