//! From the controller's resources to the inventory that the agent would have made, in its keys and units.

use serde_json::{Map, Value, json};

/// BIOS settings that fit into one finding.
const SETTINGS: usize = 512;

/// What the controller told.
pub struct Found<'a> {
    /// The System.
    pub system: &'a Value,
    /// Of its `Processors`.
    pub processors: Vec<Value>,
    /// Of all its storage controllers.
    pub drives: Vec<Value>,
    /// Of its `EthernetInterfaces`.
    pub network_cards: Vec<Value>,
    /// Where the controller is reached.
    pub controller_address: Option<String>,
}

/// A text that is there and not empty.
pub fn text<'a>(resource: &'a Value, pointer: &str) -> Option<&'a str> {
    resource.pointer(pointer).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

fn number(resource: &Value, pointer: &str) -> Option<u64> {
    // Memory may be given with a fraction.
    let value = resource.pointer(pointer)?;
    value.as_u64().or_else(|| value.as_f64().filter(|value| *value > 0.0).and_then(|value| format!("{value:.0}").parse().ok()))
}

impl Found<'_> {
    /// In the agent's shape; what the controller does not tell is left out.
    pub fn inventory(&self) -> Value {
        let system = self.system;
        let mut inventory = json!({
            "cpu": self.cpu(),
            "memory": self.memory(),
            "disks": self.drives.iter().filter_map(disk).collect::<Vec<_>>(),
            "interfaces": self.network_cards.iter().filter_map(network_card).collect::<Vec<_>>(),
            "system_vendor": {
                "product_name": text(system, "/Model"),
                "serial_number": text(system, "/SerialNumber"),
                "manufacturer": text(system, "/Manufacturer"),
                "firmware": { "vendor": null, "version": text(system, "/BiosVersion"), "build_date": null },
            },
            "boot": { "current_boot_mode": self.boot_mode(), "pxe_interface": null },
            "bmc_address": self.controller_address,
        });
        without_nulls(&mut inventory);
        inventory
    }

    fn cpu(&self) -> Value {
        let cpus: Vec<&Value> =
            self.processors.iter().filter(|processor| text(processor, "/ProcessorType").is_none_or(|kind| kind == "CPU")).collect();
        let first = cpus.first().copied().unwrap_or(&Value::Null);
        let threads = |processor: &&Value| number(processor, "/TotalThreads").or_else(|| number(processor, "/TotalCores"));
        let counted: u64 = cpus.iter().filter_map(threads).sum();
        let summary = ["/ProcessorSummary/LogicalProcessorCount", "/ProcessorSummary/CoreCount", "/ProcessorSummary/Count"]
            .iter()
            .find_map(|key| number(self.system, key));
        json!({
            "count": if counted > 0 { Some(counted) } else { summary },
            "architecture": text(first, "/InstructionSet").and_then(architecture),
            "model_name": text(first, "/Model").or_else(|| text(self.system, "/ProcessorSummary/Model")),
            "frequency": number(first, "/MaxSpeedMHz").map(|mhz| mhz.to_string()),
            "flags": [],
        })
    }

    fn memory(&self) -> Value {
        let gib = number_in_gib(self.system);
        json!({ "physical_mb": gib.map(|(mib, _)| mib), "total": gib.map(|(_, bytes)| bytes) })
    }

    fn boot_mode(&self) -> Option<&'static str> {
        match text(self.system, "/Boot/BootSourceOverrideMode")? {
            "UEFI" => Some("uefi"),
            "Legacy" => Some("bios"),
            _ => None,
        }
    }
}

/// Memory in MiB and in bytes.
fn number_in_gib(system: &Value) -> Option<(u64, u64)> {
    let gib = system.pointer("/MemorySummary/TotalSystemMemoryGiB")?.as_f64().filter(|gib| *gib > 0.0)?;
    let mib: u64 = format!("{:.0}", gib * 1024.0).parse().ok()?;
    Some((mib, mib.checked_mul(1 << 20)?))
}

fn architecture(instruction_set: &str) -> Option<&'static str> {
    Some(match instruction_set {
        "x86" => "i686",
        "x86-64" => "x86_64",
        "ARM-A64" => "aarch64",
        "ARM-A32" => "armv7l",
        "PowerISA" => "ppc64le",
        _ => return None,
    })
}

fn disk(drive: &Value) -> Option<Value> {
    let size = number(drive, "/CapacityBytes")?;
    Some(json!({
        "name": text(drive, "/Name").or_else(|| text(drive, "/Id")),
        "model": text(drive, "/Model"),
        "size": size,
        "rotational": text(drive, "/MediaType").map(|media| media == "HDD"),
        "serial": text(drive, "/SerialNumber"),
        "vendor": text(drive, "/Manufacturer"),
        "wwn": drive.pointer("/Identifiers").and_then(Value::as_array).into_iter().flatten()
            .find(|identifier| text(identifier, "/DurableNameFormat") == Some("NAA"))
            .and_then(|identifier| text(identifier, "/DurableName")),
    }))
}

fn network_card(card: &Value) -> Option<Value> {
    let mac = text(card, "/MACAddress").or_else(|| text(card, "/PermanentMACAddress"))?.to_ascii_lowercase().replace('-', ":");
    let parts: Vec<&str> = mac.split(':').collect();
    let is_mac = parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit()));
    is_mac.then(|| {
        json!({
            "name": text(card, "/Id"),
            "mac_address": mac,
            "has_carrier": text(card, "/LinkStatus").map(|link| link == "LinkUp"),
            "speed_mbps": number(card, "/SpeedMbps"),
        })
    })
}

/// The attributes of the BIOS as Ironic lists them.
pub fn bios_settings(bios: &Value) -> Value {
    let attributes = bios.get("Attributes").and_then(Value::as_object).cloned().unwrap_or_default();
    let plain = |value: &Value| match value {
        Value::Null => Value::Null,
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    };
    attributes.iter().take(SETTINGS).map(|(name, value)| json!({ "name": name, "value": plain(value) })).collect()
}

/// The versions of BIOS and controller as Ironic's firmware components.
pub fn firmware(system: &Value, manager: Option<&Value>) -> Value {
    let bios = text(system, "/BiosVersion").map(|version| ("bios", version));
    let bmc = manager.and_then(|manager| text(manager, "/FirmwareVersion")).map(|version| ("bmc", version));
    let component = |(component, version): (&str, &str)| json!({ "component": component, "current_version": version });
    bios.into_iter().chain(bmc).map(component).collect()
}

/// A health in the contract's words.
pub fn health(word: &str) -> Option<&'static str> {
    match word {
        "OK" => Some("ok"),
        "Warning" => Some("warning"),
        "Critical" => Some("critical"),
        _ => None,
    }
}

/// The host of an address, which may be a URL.
pub fn host_of(address: &str) -> Option<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None if authority.matches(':').count() > 1 => Some(authority),
        None => authority.split(':').next(),
    };
    host.filter(|host| !host.is_empty()).map(str::to_owned)
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        *map = std::mem::take(map).into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>();
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(without_nulls),
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn system() -> Value {
        json!({
            "Model": "R1", "Manufacturer": "Acme", "SerialNumber": "S1", "BiosVersion": "2.1",
            "MemorySummary": {"TotalSystemMemoryGiB": 31.5}, "ProcessorSummary": {"Count": 2, "LogicalProcessorCount": 64},
            "Boot": {"BootSourceOverrideMode": "UEFI"},
        })
    }

    #[test]
    fn resources_become_the_agents_inventory() {
        let found = Found {
            system: &system(),
            processors: vec![
                json!({"ProcessorType": "CPU", "InstructionSet": "x86-64", "Model": "X", "MaxSpeedMHz": 3500, "TotalThreads": 32}),
                json!({"ProcessorType": "CPU", "TotalThreads": 32}),
                json!({"ProcessorType": "GPU", "TotalThreads": 9999}),
            ],
            drives: vec![
                json!({"Name": "Disk 1", "CapacityBytes": 480_103_981_056_u64, "MediaType": "SSD", "SerialNumber": "D1",
                       "Identifiers": [{"DurableNameFormat": "NAA", "DurableName": "5000c500a1b2c3d4"}]}),
                json!({"Name": "empty bay"}),
            ],
            network_cards: vec![
                json!({"Id": "NIC1", "MACAddress": "AA-BB-CC-00-11-22", "SpeedMbps": 25000, "LinkStatus": "LinkUp"}),
                json!({"Id": "NIC2", "MACAddress": "unknown"}),
            ],
            controller_address: Some("192.0.2.1".into()),
        };
        let inventory = found.inventory();
        assert_eq!(inventory["cpu"], json!({"count": 64, "architecture": "x86_64", "model_name": "X", "frequency": "3500", "flags": []}));
        assert_eq!(inventory["memory"], json!({"physical_mb": 32256, "total": 33_822_867_456_u64}));
        assert_eq!(inventory["disks"].as_array().unwrap().len(), 1, "a bay without a drive is no disk");
        assert_eq!((&inventory["disks"][0]["rotational"], &inventory["disks"][0]["wwn"]), (&json!(false), &json!("5000c500a1b2c3d4")));
        let card = json!({"name": "NIC1", "mac_address": "aa:bb:cc:00:11:22", "has_carrier": true, "speed_mbps": 25000});
        assert_eq!(inventory["interfaces"], json!([card]));
        assert_eq!(inventory["system_vendor"]["firmware"], json!({"version": "2.1"}));
        assert_eq!(inventory["boot"], json!({"current_boot_mode": "uefi"}));
    }

    #[test]
    fn a_controller_that_tells_little_gives_little() {
        let found = Found {
            system: &json!({"ProcessorSummary": {"Count": 2}}),
            processors: Vec::new(),
            drives: Vec::new(),
            network_cards: Vec::new(),
            controller_address: None,
        };
        let inventory = found.inventory();
        assert_eq!(inventory["cpu"], json!({"count": 2, "flags": []}));
        assert_eq!((&inventory["memory"], &inventory["disks"]), (&json!({}), &json!([])));
    }

    #[test]
    fn settings_and_versions_have_ironics_shape() {
        let bios = json!({"Attributes": {"BootMode": "Uefi", "Cores": 8, "Turbo": true}});
        let listed = bios_settings(&bios);
        assert_eq!(listed[0], json!({"name": "BootMode", "value": "Uefi"}));
        assert_eq!((&listed[1]["value"], &listed[2]["value"]), (&json!("8"), &json!("true")));
        let versions = firmware(&system(), Some(&json!({"FirmwareVersion": "7.0"})));
        assert_eq!(versions, json!([{"component": "bios", "current_version": "2.1"}, {"component": "bmc", "current_version": "7.0"}]));
    }

    #[test]
    fn a_host_is_found_in_every_form_of_an_address() {
        for (address, host) in [
            ("https://bmc.example:8443/redfish/v1", Some("bmc.example")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("https://[2001:db8::1]:443", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("https://", None),
        ] {
            assert_eq!(host_of(address).as_deref(), host, "{address}");
        }
    }
}
