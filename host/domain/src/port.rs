//! Network ports of nodes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::part::{PartError, REWIRABLE, in_use, rewirable};
use crate::portgroup::standalone;
use crate::{Map, Node, NodeId, Portgroup, ProvisionState, vif};

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

    /// That all ports of a group are on one physical network: `members` are those of the group, this one perhaps among them.
    ///
    /// # Errors
    /// [`PartError::Conflict`].
    pub fn check_network(&self, group: Uuid, members: &[Self]) -> Result<(), PartError> {
        let others = || members.iter().filter(|member| member.uuid != self.uuid);
        if others().next().is_none() || others().any(|other| other.physical_network == self.physical_network) {
            return Ok(());
        }
        let name = |port: &Self| port.physical_network.clone().unwrap_or_else(|| "none".to_owned());
        Err(PartError::Conflict(format!(
            "Port group {group} has member ports with inconsistent physical networks ({}). All ports in a port group must have the same \
             physical network, and port {} is on {}.",
            others().map(name).take(1).collect::<String>(),
            self.uuid,
            name(self)
        )))
    }

    /// Whether the port may be in the group that it names; `group` is that one, if there is one of its UUID. `before` is the port
    /// as it was, where it is not new.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check_group(&self, before: Option<&Self>, group: Option<&Portgroup>) -> Result<(), PartError> {
        let Some(uuid) = self.portgroup_uuid else { return Ok(()) };
        let group = group.ok_or_else(|| PartError::Invalid(format!("Portgroup {uuid} could not be found.")))?;
        if group.node != self.node {
            return Err(PartError::Invalid(format!(
                "Port {} can not be associated with portgroup {uuid} because the portgroup belongs to a different node.",
                self.uuid
            )));
        }
        let same = before.is_some_and(|before| before.portgroup_uuid == self.portgroup_uuid && before.pxe_enabled == self.pxe_enabled);
        let reasons = standalone(self);
        if !same && !group.standalone_ports_supported && !reasons.is_empty() {
            return Err(PartError::Conflict(format!(
                "Port group {uuid} doesn't support standalone ports. This port {} cannot be a member of that port group because of: {}.",
                self.uuid,
                reasons.join(", ")
            )));
        }
        Ok(())
    }

    /// Whether the port, which was `before`, may become this one. `node` is the one that it belonged to, `target` the one that it
    /// is to belong to.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check_change(&self, before: &Self, node: &Node, target: &Node) -> Result<(), PartError> {
        let rewired = before.portgroup_uuid != self.portgroup_uuid
            || before.pxe_enabled != self.pxe_enabled
            || before.local_link_connection != self.local_link_connection
            || before.physical_network != self.physical_network;
        if rewired && !rewirable(node) {
            return Err(PartError::Conflict(format!(
                "Port {} can not have any connectivity attributes (portgroup_uuid, pxe_enabled, local_link_connection, \
                 physical_network) updated unless node {} is in {REWIRABLE}. The current state is {}.",
                self.uuid, node.uuid, node.provision_state
            )));
        }
        if before.address != self.address && in_use(node) {
            return Err(PartError::Conflict(format!(
                "Cannot update hardware address for port {} as node {} is active or has an instance UUID assigned.",
                self.uuid, node.uuid
            )));
        }
        if before.node != self.node {
            vif::check_free("port", self.uuid, &before.internal_info)?;
            if let Some(fixed) = [node, target].into_iter().find(|node| !rewirable(node)) {
                return Err(PartError::Conflict(format!(
                    "Port {} can not be moved to node {} unless node {} is in {REWIRABLE}.",
                    self.uuid, self.node, fixed.uuid
                )));
            }
        }
        Ok(())
    }

    /// Whether the port may be deleted.
    ///
    /// # Errors
    /// It is in use.
    pub fn check_deletion(&self, node: &Node) -> Result<(), PartError> {
        vif::check_free("port", self.uuid, &self.internal_info)?;
        if node.instance_uuid.is_some() && node.provision_state == ProvisionState::Active && !node.maintenance {
            return Err(PartError::Conflict(format!(
                "Cannot delete port {} while node {} is active with an instance.",
                self.uuid, node.uuid
            )));
        }
        Ok(())
    }
}

/// A MAC address in its canonical form, if the text is one: six pairs of hexadecimal digits,
/// separated by `:` or `-`.
pub fn mac(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase().replace('-', ":");
    let good = lower.split(':').count() == 6 && lower.split(':').all(|pair| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit()));
    good.then_some(lower)
}
