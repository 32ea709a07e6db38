//! Port groups: ports of a node that are bonded.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::part::{PartError, REWIRABLE, in_use, rewirable};
use crate::{Map, Node, NodeId, Port, vif};

/// How the ports of a group are bonded unless the group says otherwise.
pub const DEFAULT_MODE: &str = "active-backup";

/// A group of ports of one node; the fields of Ironic's portgroup resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own, documented in its API reference")]
pub struct Portgroup {
    pub uuid: Uuid,
    pub node: NodeId,
    /// MAC address, lower case, unique among groups.
    pub address: Option<String>,
    pub name: Option<String>,
    /// How the ports are bonded, for the tenant's operating system.
    pub mode: String,
    /// Options of the bond.
    #[serde(default)]
    pub properties: Map,
    /// Whether its ports may also be used one by one.
    pub standalone_ports_supported: bool,
    pub physical_network: Option<String>,
    pub category: Option<String>,
    /// Whether the host made it; this one makes none.
    pub dynamic_portgroup: bool,
    #[serde(default)]
    pub extra: Map,
    #[serde(default)]
    pub internal_info: Map,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
}

impl Portgroup {
    /// A group with Ironic's defaults.
    pub fn new(uuid: Uuid, node: NodeId, now: Timestamp) -> Self {
        Self {
            uuid,
            node,
            address: None,
            name: None,
            mode: DEFAULT_MODE.to_owned(),
            properties: Map::new(),
            standalone_ports_supported: true,
            physical_network: None,
            category: None,
            dynamic_portgroup: false,
            extra: Map::new(),
            internal_info: Map::new(),
            created_at: now,
            updated_at: None,
        }
    }

    /// Whether the group, which was `before` and has these ports, may become this one. `node` is the one that it belonged to,
    /// `target` the one that it is to belong to.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check_change(&self, before: &Self, node: &Node, target: &Node, ports: &[Port]) -> Result<(), PartError> {
        if self.node != before.node {
            self.check_empty(ports)?;
            if let Some(fixed) = [node, target].into_iter().find(|node| !rewirable(node)) {
                return Err(PartError::Conflict(format!(
                    "Portgroup {} can not be associated to node {} unless node {} is in {REWIRABLE}.",
                    self.uuid, self.node, fixed.uuid
                )));
            }
        }
        if self.address != before.address && in_use(node) {
            return Err(PartError::Conflict(format!(
                "Cannot update hardware address for portgroup {} as node {} is active or has an instance UUID assigned.",
                self.uuid, node.uuid
            )));
        }
        if before.standalone_ports_supported && !self.standalone_ports_supported {
            for port in ports {
                let reasons = standalone(port);
                if !reasons.is_empty() {
                    return Err(PartError::Conflict(format!(
                        "standalone_ports_supported can not be set to False, because the port group {} contains port with {}.",
                        self.uuid,
                        reasons.join(", ")
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether the group, which has these ports, may be deleted.
    ///
    /// # Errors
    /// It is in use.
    pub fn check_deletion(&self, ports: &[Port]) -> Result<(), PartError> {
        self.check_empty(ports)?;
        vif::check_free("portgroup", self.uuid, &self.internal_info)
    }

    fn check_empty(&self, ports: &[Port]) -> Result<(), PartError> {
        if ports.is_empty() {
            return Ok(());
        }
        Err(PartError::Invalid(format!("Cannot complete the requested action because portgroup {} contains ports.", self.uuid)))
    }
}

/// What of a port needs it to be usable by itself.
pub(crate) fn standalone(port: &Port) -> Vec<String> {
    let vif = vif::attached(&port.internal_info).map(|vif| format!("VIF {vif} attached to it"));
    port.pxe_enabled.then(|| "'pxe_enabled' set to True".to_owned()).into_iter().chain(vif).collect()
}
