//! Volumes that a node boots from: what it reaches them with, and which they are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::part::PartError;
use crate::{Map, Node, NodeId, PowerState};

/// The kinds of volume connectors.
pub const CONNECTOR_TYPES: [&str; 7] = ["iqn", "ip", "mac", "wwnn", "wwpn", "port", "portgroup"];

/// What a node reaches volumes with; the fields of Ironic's volume connector resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own, documented in its API reference")]
pub struct VolumeConnector {
    pub uuid: Uuid,
    pub node: NodeId,
    /// One of [`CONNECTOR_TYPES`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Unique among those of its kind.
    pub connector_id: String,
    #[serde(default)]
    pub extra: Map,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
}

impl VolumeConnector {
    /// A connector without an id yet.
    pub fn new(uuid: Uuid, node: NodeId, now: Timestamp) -> Self {
        Self { uuid, node, kind: String::new(), connector_id: String::new(), extra: Map::new(), created_at: now, updated_at: None }
    }
}

/// A volume of a node; the fields of Ironic's volume target resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own, documented in its API reference")]
pub struct VolumeTarget {
    pub uuid: Uuid,
    pub node: NodeId,
    /// The place in the boot order, unique within the node; 0 is booted from.
    pub boot_index: u16,
    pub volume_id: String,
    /// For example `iscsi`.
    pub volume_type: String,
    /// How to get at it: may hold secrets.
    #[serde(default)]
    pub properties: Map,
    #[serde(default)]
    pub extra: Map,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
}

impl VolumeTarget {
    /// A target that is no volume yet.
    pub fn new(uuid: Uuid, node: NodeId, now: Timestamp) -> Self {
        Self {
            uuid,
            node,
            boot_index: 0,
            volume_id: String::new(),
            volume_type: String::new(),
            properties: Map::new(),
            extra: Map::new(),
            created_at: now,
            updated_at: None,
        }
    }
}

/// Whether an action on a node's volumes may be done: the machine must be off.
///
/// # Errors
/// It is not, or nobody knows.
pub fn check_off(action: &str, node: &Node) -> Result<(), PartError> {
    if node.power_state == Some(PowerState::Off) {
        return Ok(());
    }
    let state = node.power_state.map_or("None", |state| state.as_str());
    Err(PartError::Invalid(format!(
        "The requested action \"{action}\" can not be performed on node \"{}\" while it is in state \"{state}\".",
        node.uuid
    )))
}
