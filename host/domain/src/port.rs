//! Network ports of nodes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Map, NodeId};

/// A network interface of a node; the fields of Ironic's port resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own, documented in its API reference")]
pub struct Port {
    pub uuid: Uuid,
    pub node: NodeId,
    /// MAC address, lower case, unique.
    pub address: String,
    #[serde(default)]
    pub extra: Map,
    #[serde(default)]
    pub internal_info: Map,
    pub pxe_enabled: bool,
    #[serde(default)]
    pub local_link_connection: Map,
    pub portgroup_uuid: Option<Uuid>,
    pub physical_network: Option<String>,
    pub is_smartnic: bool,
    pub name: Option<String>,
    pub description: Option<String>,
    pub vendor: Option<String>,
    pub category: Option<String>,
    pub available_for_dynamic_portgroup: bool,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
}

impl Port {
    /// A port with Ironic's defaults.
    pub fn new(uuid: Uuid, node: NodeId, address: &str, now: Timestamp) -> Self {
        Self {
            uuid,
            node,
            address: address.to_ascii_lowercase(),
            extra: Map::new(),
            internal_info: Map::new(),
            pxe_enabled: true,
            local_link_connection: Map::new(),
            portgroup_uuid: None,
            physical_network: None,
            is_smartnic: false,
            name: None,
            description: None,
            vendor: None,
            category: None,
            available_for_dynamic_portgroup: true,
            created_at: now,
            updated_at: None,
        }
    }
}

/// A MAC address in its canonical form, if the text is one: six pairs of hexadecimal digits,
/// separated by `:` or `-`.
pub fn mac(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase().replace('-', ":");
    let good = lower.split(':').count() == 6 && lower.split(':').all(|pair| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit()));
    good.then_some(lower)
}
