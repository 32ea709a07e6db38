//! What a call sees of the world, taken when it begins.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wrought_domain::{Map, mask};
use wrought_domain::{Node, Port, PowerState, StepCall};

use crate::contract::{task, types};

/// The answers of `task`, and what other pure functions answer from. Holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Why the function is called.
    pub cause: task::Cause,
    /// The operation that it belongs to.
    pub operation: task::Operation,
    /// The node, masked.
    pub node: task::Node,
    /// Its ports.
    pub ports: Vec<task::Port>,
    /// Its traits.
    pub traits: Vec<String>,
    /// The lock under which it is called.
    pub lock_mode: task::LockMode,
    /// The step being executed.
    pub step: Option<StepCall>,
    /// What the operator set for drivers.
    pub options: Map,
    /// Whether the instance has a config drive.
    pub config_drive: bool,
    /// Whether the image's download takes an `Authorization` header.
    pub authorization: bool,
    /// When the call began.
    pub now: Timestamp,
}

impl Snapshot {
    /// The world of a call that is about no node; for tests, what a world is made of by changing some of it.
    pub fn of_nobody() -> Self {
        let empty = || "{}".to_owned();
        Self {
            cause: task::Cause::First,
            operation: task::Operation { id: String::new(), name: String::new() },
            node: task::Node {
                uuid: String::new(),
                name: None,
                driver: String::new(),
                provision_state: String::new(),
                target_provision_state: None,
                power: types::PowerState::Unknown,
                driver_info: empty(),
                instance_info: empty(),
                properties: empty(),
                extra: empty(),
                resource_class: None,
                disable_power_off: false,
                maintenance: false,
            },
            ports: Vec::new(),
            traits: Vec::new(),
            lock_mode: task::LockMode::Shared,
            step: None,
            options: Map::new(),
            config_drive: false,
            authorization: false,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// A node as a driver sees it.
    pub fn node_view(node: &Node) -> task::Node {
        let json = |map: &Map| serde_json::Value::Object(mask::masked(map)).to_string();
        task::Node {
            uuid: node.uuid.to_string(),
            name: node.name.clone(),
            driver: node.driver.clone(),
            provision_state: node.provision_state.to_string(),
            target_provision_state: node.target_provision_state.map(|state| state.to_string()),
            power: match node.power_state {
                Some(PowerState::On) => types::PowerState::On,
                Some(PowerState::Off) => types::PowerState::Off,
                _ => types::PowerState::Unknown,
            },
            driver_info: json(&node.driver_info),
            instance_info: serde_json::Value::Object(mask::masked_instance_info(&node.instance_info)).to_string(),
            properties: json(&node.properties),
            extra: json(&node.extra),
            resource_class: node.resource_class.clone(),
            disable_power_off: node.disable_power_off,
            maintenance: node.maintenance,
        }
    }

    /// A port as a driver sees it.
    pub fn port_view(port: &Port) -> task::Port {
        task::Port {
            uuid: port.uuid.to_string(),
            address: port.address.clone(),
            pxe_enabled: port.pxe_enabled,
            physical_network: port.physical_network.clone(),
            local_link_connection: serde_json::Value::Object(port.local_link_connection.clone()).to_string(),
        }
    }
}

/// A driver's own state on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DriverState {
    /// Wiped when the operation ends.
    pub operation: BTreeMap<String, String>,
    /// Kept until a tear-down succeeds.
    pub node: BTreeMap<String, String>,
}

impl DriverState {
    /// Bytes of all keys and values.
    pub fn size(&self) -> usize {
        self.operation.iter().chain(&self.node).map(|(key, value)| key.len().saturating_add(value.len())).sum()
    }
}
