//! The node, parsed: its dictionaries, its capabilities, and what follows from them.

use serde::Deserialize;
use serde_json::{Map, Value};
use wrought_sdk::prelude::*;
use wrought_sdk::task::Node;

/// A JSON object of the node.
pub type Dictionary = Map<String, Value>;

/// How the instance boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootMode {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

impl BootMode {
    /// The word in capabilities and in the agent's protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }
}

/// What the operator set for this driver.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Raw images go to the disk as they come, checked afterwards.
    pub stream_raw_images: bool,
    /// Replaces the agent's priority of `erase_devices`.
    pub erase_devices_priority: Option<u32>,
    /// Replaces the agent's priority of `erase_devices_metadata`.
    pub erase_devices_metadata_priority: Option<u32>,
    /// For nodes that do not name one.
    pub default_boot_mode: String,
    /// File system of an ephemeral partition that the instance does not name.
    pub default_ephemeral_format: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stream_raw_images: true,
            erase_devices_priority: None,
            erase_devices_metadata_priority: None,
            default_boot_mode: "uefi".to_owned(),
            default_ephemeral_format: "ext4".to_owned(),
        }
    }
}

/// The node of this call with its dictionaries parsed.
pub struct Details {
    /// The record as the host gave it.
    pub node: Node,
    /// `driver_info`.
    pub driver_info: Dictionary,
    /// `instance_info`.
    pub instance_info: Dictionary,
    /// `properties`.
    pub properties: Dictionary,
    /// What the operator set.
    pub options: Options,
}

impl Details {
    /// Of the node of this call.
    pub fn load() -> Result<Self> {
        Self::parse(task::node(), task::options()?)
    }

    /// Parses the node's dictionaries.
    pub fn parse(node: Node, options: Options) -> Result<Self> {
        let (driver_info, instance_info, properties) = (node.driver_info()?, node.instance_info()?, node.properties()?);
        Ok(Self { node, driver_info, instance_info, properties, options })
    }

    /// A capability of the instance, or else of the node.
    pub fn capability(&self, name: &str) -> Result<Option<String>> {
        let instance = instance_capabilities(&self.instance_info)?.remove(name);
        Ok(match instance {
            Some(value) => Some(value),
            None => node_capabilities(&self.properties)?.remove(name),
        })
    }

    /// How the instance boots: what the instance asks for, else UEFI for secure boot, else the node's, else the operator's.
    pub fn boot_mode(&self) -> Result<BootMode> {
        let instance = instance_capabilities(&self.instance_info)?;
        let word = match instance.get("boot_mode") {
            Some(mode) => mode.clone(),
            None if instance.get("secure_boot").is_some_and(|value| is_true(value)) => "uefi".to_owned(),
            None => self.capability("boot_mode")?.unwrap_or_else(|| self.options.default_boot_mode.clone()),
        };
        Ok(if word.eq_ignore_ascii_case("bios") { BootMode::Bios } else { BootMode::Uefi })
    }

    /// The partition table of the instance: what is asked for, `gpt` for UEFI, else the agent's choice.
    pub fn disk_label(&self) -> Result<Option<String>> {
        let asked = self.capability("disk_label")?;
        Ok(match (asked, self.boot_mode()?) {
            (None, BootMode::Uefi) => Some("gpt".to_owned()),
            (asked, _) => asked,
        })
    }

    /// Whether `driver_info` says that a deployment ends with a power-off by the controller.
    pub fn forces_oob_reboot(&self) -> bool {
        match self.driver_info.get("deploy_forces_oob_reboot") {
            Some(Value::Bool(forced)) => *forced,
            Some(Value::String(word)) => is_true(word),
            Some(Value::Number(number)) => number.as_u64() == Some(1),
            _ => false,
        }
    }

    /// Whether `instance_info` is about an image of a partition rather than of a disk.
    pub fn asks_for_partition(&self) -> bool {
        match text(&self.instance_info, "image_type") {
            Some(kind) => kind == "partition",
            None => text(&self.instance_info, "kernel").is_some() || text(&self.instance_info, "ramdisk").is_some(),
        }
    }
}

/// A string that is there and not empty.
pub fn text<'a>(dictionary: &'a Dictionary, key: &str) -> Option<&'a str> {
    dictionary.get(key).and_then(Value::as_str).filter(|value| !value.is_empty())
}

/// A whole number, or a string of one; `invalid-parameter` for anything else.
pub fn integer(dictionary: &Dictionary, key: &str) -> Result<Option<u64>> {
    let number = match dictionary.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| Error::invalid_parameter(format!("{key} must be a whole number, 0 or more")))
}

/// The words that Ironic takes for true.
pub fn is_true(word: &str) -> bool {
    ["1", "t", "true", "on", "y", "yes"].iter().any(|truth| word.trim().eq_ignore_ascii_case(truth))
}

/// `instance_info/capabilities`: an object, or a string of one.
pub fn instance_capabilities(instance_info: &Dictionary) -> Result<std::collections::BTreeMap<String, String>> {
    let wrong = || Error::invalid_parameter("instance_info/capabilities must be an object, or a string of JSON that is one");
    match instance_info.get("capabilities") {
        None | Some(Value::Null) => Ok(Default::default()),
        Some(Value::Object(object)) => Ok(strings(object)),
        Some(Value::String(json)) => match serde_json::from_str(json) {
            Ok(Value::Object(object)) => Ok(strings(&object)),
            _ => Err(wrong()),
        },
        Some(_) => Err(wrong()),
    }
}

/// `properties/capabilities`: `name:value,name:value`.
pub fn node_capabilities(properties: &Dictionary) -> Result<std::collections::BTreeMap<String, String>> {
    let wrong = || Error::invalid_parameter("properties/capabilities must look like `boot_mode:uefi,secure_boot:true`");
    match properties.get("capabilities") {
        None | Some(Value::Null) => Ok(Default::default()),
        Some(Value::Object(object)) => Ok(strings(object)),
        Some(Value::String(list)) => list
            .split(',')
            .filter(|pair| !pair.trim().is_empty())
            .map(|pair| pair.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn strings(object: &Dictionary) -> std::collections::BTreeMap<String, String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    object.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// Nodes for the tests of this crate.
#[cfg(test)]
pub mod example {
    use super::*;
    use serde_json::json;

    /// A node with these dictionaries.
    pub fn details(driver_info: Value, instance_info: Value, properties: Value) -> Details {
        let node = Node {
            uuid: "1be26c0b-03f2-4d2e-ae87-c02d7f33c123".to_owned(),
            name: None,
            driver: "redfish".to_owned(),
            provision_state: "deploying".to_owned(),
            target_provision_state: Some("active".to_owned()),
            power: PowerState::Off,
            driver_info: driver_info.to_string(),
            instance_info: instance_info.to_string(),
            properties: properties.to_string(),
            extra: json!({}).to_string(),
            resource_class: None,
            disable_power_off: false,
            maintenance: false,
        };
        Details::parse(node, Options::default()).expect("dictionaries are objects")
    }
}

#[cfg(test)]
mod tests {
    use super::example::details;
    use super::*;
    use serde_json::json;

    fn boot_mode(instance: Value, node: Value) -> BootMode {
        details(json!({}), json!({ "capabilities": instance }), json!({ "capabilities": node })).boot_mode().unwrap()
    }

    #[test]
    fn the_instances_boot_mode_comes_before_the_nodes() {
        assert_eq!(boot_mode(json!(null), json!(null)), BootMode::Uefi);
        assert_eq!(boot_mode(json!(null), json!("cpu_vt:true,boot_mode:bios")), BootMode::Bios);
        assert_eq!(boot_mode(json!({"boot_mode": "uefi"}), json!("boot_mode:bios")), BootMode::Uefi);
        assert_eq!(boot_mode(json!(r#"{"boot_mode": "bios"}"#), json!("")), BootMode::Bios);
        assert_eq!(boot_mode(json!({"secure_boot": true}), json!("boot_mode:bios")), BootMode::Uefi);
    }

    #[test]
    fn the_partition_table_is_gpt_for_uefi_if_nobody_says() {
        let label = |instance: Value| details(json!({}), json!({ "capabilities": instance }), json!({})).disk_label().unwrap();
        assert_eq!(label(json!({})), Some("gpt".to_owned()));
        assert_eq!(label(json!({"disk_label": "msdos"})), Some("msdos".to_owned()));
        assert_eq!(label(json!({"boot_mode": "bios"})), None);
    }

    #[test]
    fn capabilities_of_another_shape_are_refused() {
        for wrong in [json!("boot_mode"), json!(7), json!(["boot_mode:uefi"])] {
            let Value::Object(properties) = json!({ "capabilities": wrong }) else { unreachable!() };
            assert_eq!(node_capabilities(&properties).unwrap_err().kind, ErrorKind::InvalidParameter);
        }
        let Value::Object(instance_info) = json!({ "capabilities": "boot_mode:uefi" }) else { unreachable!() };
        assert_eq!(instance_capabilities(&instance_info).unwrap_err().kind, ErrorKind::InvalidParameter);
    }

    #[test]
    fn an_out_of_band_reboot_is_forced_by_a_boolean_or_a_word() {
        for (value, forced) in [(json!(true), true), (json!("Yes"), true), (json!(1), true), (json!("no"), false), (json!(null), false)] {
            assert_eq!(details(json!({ "deploy_forces_oob_reboot": value }), json!({}), json!({})).forces_oob_reboot(), forced);
        }
    }
}
