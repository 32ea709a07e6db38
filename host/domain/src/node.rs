//! The node: Ironic's node resource and the rules that hold for its fields.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::mask::{masked, masked_instance_info};
use crate::state::{Event, PowerState, ProvisionState};
use crate::{Map, NodeId};

/// A bare-metal server; the fields of Ironic's node resource, secrets included.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own, documented in its API reference")]
pub struct Node {
    pub uuid: NodeId,
    pub name: Option<String>,
    /// The hardware type.
    pub driver: String,
    pub driver_info: Map,
    pub driver_internal_info: Map,
    pub instance_info: Map,
    pub properties: Map,
    pub extra: Map,
    pub instance_uuid: Option<Uuid>,
    pub instance_name: Option<String>,
    pub chassis_uuid: Option<Uuid>,
    pub provision_state: ProvisionState,
    pub target_provision_state: Option<ProvisionState>,
    pub provision_updated_at: Option<Timestamp>,
    pub power_state: Option<PowerState>,
    pub target_power_state: Option<PowerState>,
    pub last_error: Option<String>,
    /// Host name of the holder of the exclusive lock.
    pub reservation: Option<String>,
    pub maintenance: bool,
    pub maintenance_reason: Option<String>,
    pub fault: Option<String>,
    pub console_enabled: bool,
    pub inspection_started_at: Option<Timestamp>,
    pub inspection_finished_at: Option<Timestamp>,
    pub clean_step: Map,
    pub deploy_step: Map,
    pub service_step: Map,
    pub raid_config: Map,
    pub target_raid_config: Map,
    pub resource_class: Option<String>,
    pub interfaces: Interfaces,
    pub traits: Vec<String>,
    pub conductor_group: String,
    pub conductor: Option<String>,
    pub automated_clean: Option<bool>,
    pub protected: bool,
    pub protected_reason: Option<String>,
    pub owner: Option<String>,
    pub lessee: Option<String>,
    pub description: Option<String>,
    pub allocation_uuid: Option<Uuid>,
    pub retired: bool,
    pub retired_reason: Option<String>,
    pub network_data: Map,
    pub boot_mode: Option<String>,
    pub secure_boot: Option<bool>,
    pub shard: Option<String>,
    pub parent_node: Option<Uuid>,
    pub disable_power_off: bool,
    pub health: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
}

// A log line or a failed assertion is no place for secrets.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("uuid", &self.uuid)
            .field("name", &self.name)
            .field("provision_state", &self.provision_state)
            .field("target_provision_state", &self.target_provision_state)
            .field("power_state", &self.power_state)
            .field("reservation", &self.reservation)
            .field("maintenance", &self.maintenance)
            .field("last_error", &self.last_error)
            .field("driver_info", &masked(&self.driver_info))
            .field("driver_internal_info", &masked(&self.driver_internal_info))
            .field("instance_info", &masked_instance_info(&self.instance_info))
            .finish_non_exhaustive()
    }
}

/// The interfaces that a node uses, by name; resolved when the node is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own")]
pub struct Interfaces {
    pub bios: String,
    pub boot: String,
    pub console: String,
    pub deploy: String,
    pub firmware: String,
    pub inspect: String,
    pub management: String,
    pub network: String,
    pub power: String,
    pub raid: String,
    pub rescue: String,
    pub storage: String,
    pub vendor: String,
}

impl Interfaces {
    /// The names of the interfaces, in Ironic's order.
    pub const NAMES: [&'static str; 13] = [
        "bios",
        "boot",
        "console",
        "deploy",
        "firmware",
        "inspect",
        "management",
        "network",
        "power",
        "raid",
        "rescue",
        "storage",
        "vendor",
    ];

    /// The implementation chosen for an interface.
    pub fn get(&self, interface: &str) -> Option<&str> {
        Some(match interface {
            "bios" => &self.bios,
            "boot" => &self.boot,
            "console" => &self.console,
            "deploy" => &self.deploy,
            "firmware" => &self.firmware,
            "inspect" => &self.inspect,
            "management" => &self.management,
            "network" => &self.network,
            "power" => &self.power,
            "raid" => &self.raid,
            "rescue" => &self.rescue,
            "storage" => &self.storage,
            "vendor" => &self.vendor,
            _ => return None,
        })
    }

    /// The place of an interface's implementation, to change it.
    pub fn get_mut(&mut self, interface: &str) -> Option<&mut String> {
        Some(match interface {
            "bios" => &mut self.bios,
            "boot" => &mut self.boot,
            "console" => &mut self.console,
            "deploy" => &mut self.deploy,
            "firmware" => &mut self.firmware,
            "inspect" => &mut self.inspect,
            "management" => &mut self.management,
            "network" => &mut self.network,
            "power" => &mut self.power,
            "raid" => &mut self.raid,
            "rescue" => &mut self.rescue,
            "storage" => &mut self.storage,
            "vendor" => &mut self.vendor,
            _ => return None,
        })
    }
}

/// The longest text that `last_error` and the like hold, in bytes.
pub const MAX_TEXT: usize = 4096;

/// An event that the node's state does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} is not allowed in state {state}")]
pub struct InvalidTransition {
    /// The state that the node is in.
    pub state: ProvisionState,
    /// The event.
    pub event: Event,
}

impl Node {
    /// A node as enrolment makes it.
    pub fn new(uuid: NodeId, driver: &str, interfaces: Interfaces, now: Timestamp) -> Self {
        Self {
            uuid,
            name: None,
            driver: driver.to_owned(),
            driver_info: Map::new(),
            driver_internal_info: Map::new(),
            instance_info: Map::new(),
            properties: Map::new(),
            extra: Map::new(),
            instance_uuid: None,
            instance_name: None,
            chassis_uuid: None,
            provision_state: ProvisionState::Enroll,
            target_provision_state: None,
            provision_updated_at: None,
            power_state: None,
            target_power_state: None,
            last_error: None,
            reservation: None,
            maintenance: false,
            maintenance_reason: None,
            fault: None,
            console_enabled: false,
            inspection_started_at: None,
            inspection_finished_at: None,
            clean_step: Map::new(),
            deploy_step: Map::new(),
            service_step: Map::new(),
            raid_config: Map::new(),
            target_raid_config: Map::new(),
            resource_class: None,
            interfaces,
            traits: Vec::new(),
            conductor_group: String::new(),
            conductor: None,
            automated_clean: None,
            protected: false,
            protected_reason: None,
            owner: None,
            lessee: None,
            description: None,
            allocation_uuid: None,
            retired: false,
            retired_reason: None,
            network_data: Map::new(),
            boot_mode: None,
            secure_boot: None,
            shard: None,
            parent_node: None,
            disable_power_off: false,
            health: None,
            created_at: now,
            updated_at: None,
        }
    }

    /// Moves the node along the table of transitions and sets its target: `target` where it is
    /// given (the marker of a manual cleaning), else the new state's default.
    ///
    /// # Errors
    /// The event is not allowed in the node's state; nothing changes.
    pub fn apply(&mut self, event: Event, target: Option<ProvisionState>, now: Timestamp) -> Result<(), InvalidTransition> {
        let next = self.provision_state.after(event).ok_or(InvalidTransition { state: self.provision_state, event })?;
        match (self.provision_state, next) {
            (ProvisionState::InspectWait, ProvisionState::Inspecting) => {}
            (_, ProvisionState::Inspecting) => {
                self.inspection_started_at = Some(now);
                self.inspection_finished_at = None;
            }
            (ProvisionState::Inspecting | ProvisionState::InspectWait, ProvisionState::Manageable) => {
                self.inspection_started_at = None;
                self.inspection_finished_at = Some(now);
            }
            (_, ProvisionState::InspectFailed) => self.inspection_started_at = None,
            _ => {}
        }
        self.provision_state = next;
        self.target_provision_state = if next.is_stable() { None } else { target.or(next.default_target()) };
        self.provision_updated_at = Some(now);
        Ok(())
    }

    /// Who holds the node, as others see it: nobody while its operation only waits for the machine. Ironic gives its lock back then,
    /// and so takes changes of what the operation does not own.
    pub fn holder(&self) -> Option<&str> {
        self.reservation.as_deref().filter(|_| !self.provision_state.is_wait())
    }

    /// Sets `last_error`, cut to what the column holds, as [`plain`] text: some of it may be a machine's.
    pub fn fail_with(&mut self, text: &str) {
        self.last_error = Some(cut(&plain(text), MAX_TEXT));
    }

    /// What the agent looks for and the host remembers between operations.
    pub fn wipe_agent(&mut self) {
        for key in [
            "agent_url",
            "agent_secret_token",
            "agent_secret_token_pregenerated",
            "agent_verify_ca",
            "agent_version",
            "agent_last_heartbeat",
            "agent_cached_deploy_steps",
            "agent_cached_clean_steps",
            "hardware_manager_version",
        ] {
            self.driver_internal_info.remove(key);
        }
    }

    /// The value of a key of `properties/capabilities`, given as text (`a:b,c:d`) or as object.
    pub fn capability(&self, name: &str) -> Option<String> {
        match self.properties.get("capabilities")? {
            serde_json::Value::String(text) => text.split(',').find_map(|pair| {
                let (key, value) = pair.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            }),
            serde_json::Value::Object(map) => map.get(name).and_then(|v| v.as_str()).map(str::to_owned),
            _ => None,
        }
    }
}

/// The text's beginning, at most `max` bytes, whole characters.
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The text with a space for everything that would do something to a terminal or a log instead of being shown there: control
/// characters, line ends among them, and what turns the direction of writing round.
pub fn plain(text: &str) -> String {
    let acts = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}' | '\u{feff}')
    };
    text.chars().map(|letter| if acts(letter) { ' ' } else { letter }).collect()
}
