//! The hooks.

use serde_json::json;
use uuid::Uuid;
use wrought_inspection::{AddPorts, HookError, InspectionConfig, KeepPorts, Means, Source, Subject, apply_hooks};

use crate::{map, subject};

fn run(subject: &mut Subject, source: Source, config: &InspectionConfig) -> Result<(), HookError> {
    let mut next = 1000;
    let mut fresh = || {
        next += 1;
        Uuid::from_u128(next)
    };
    apply_hooks(subject, source, config, &mut Means { now: "2026-01-02T00:00:00Z".parse().unwrap(), fresh: &mut fresh })
}

fn addresses(subject: &Subject) -> Vec<(&str, bool)> {
    subject.ports.iter().map(|port| (port.address.as_str(), port.pxe_enabled)).collect()
}

#[test]
fn the_defaults_set_what_schedulers_ask_for() {
    let mut subject = subject();
    run(&mut subject, Source::InBand, &InspectionConfig::default()).unwrap();
    let properties = &subject.node.properties;
    assert_eq!(properties["cpu_arch"], "x86_64");
    assert_eq!(
        (properties["cpus"].as_u64(), properties["memory_mb"].as_u64(), properties["local_gb"].as_u64()),
        (Some(64), Some(262_144), Some(464))
    );
    assert_eq!(properties["capabilities"], "boot_mode:uefi");
    assert_eq!(addresses(&subject), [("52:54:00:00:00:01", false), ("52:54:00:00:00:02", true)]);
}

#[test]
fn ports_are_made_as_the_operator_says() {
    let config = |add_ports, keep_ports| InspectionConfig { add_ports, keep_ports, ..InspectionConfig::default() };
    let after = |subject: &mut Subject, config: &InspectionConfig| {
        run(subject, Source::InBand, config).unwrap();
        addresses(subject).iter().map(|(address, _)| address.chars().last().unwrap()).collect::<String>()
    };
    for (add, keep, wanted) in [
        (AddPorts::Pxe, KeepPorts::Added, "2"),
        (AddPorts::Pxe, KeepPorts::Present, "12"),
        (AddPorts::Active, KeepPorts::Added, "1"),
        (AddPorts::All, KeepPorts::All, "12"),
        (AddPorts::Disabled, KeepPorts::All, "1"),
    ] {
        assert_eq!(after(&mut subject(), &config(add, keep)), wanted, "{add:?} {keep:?}");
    }
    let mut unknown_boot = subject();
    unknown_boot.inventory.remove("boot");
    assert_eq!(after(&mut unknown_boot, &config(AddPorts::Pxe, KeepPorts::All)), "1", "of those with an address");
    assert!(unknown_boot.ports[0].pxe_enabled, "what the operator said stays");
    let mut no_address = unknown_boot.clone();
    no_address.inventory["interfaces"][0]["ipv4_address"] = json!(null);
    assert_eq!(after(&mut no_address, &config(AddPorts::Pxe, KeepPorts::All)), "12", "of all");
    let mut by_firmware = unknown_boot.clone();
    by_firmware.plugin_data.insert("boot_interface".into(), json!("01-52-54-00-00-00-02"));
    assert_eq!(after(&mut by_firmware, &config(AddPorts::Pxe, KeepPorts::Added)), "2");
}

#[test]
fn an_agent_that_failed_or_saw_no_network_fails_the_inspection() {
    let mut failed = subject();
    failed.plugin_data.insert("error".into(), json!("no disks found"));
    let text = run(&mut failed, Source::InBand, &InspectionConfig::default()).unwrap_err().to_string();
    assert_eq!(text, "the agent failed to inspect the machine: no disks found");
    let mut blind = subject();
    blind.inventory.insert("interfaces".into(), json!([{"name": "ib0", "mac_address": null}]));
    assert_eq!(run(&mut blind.clone(), Source::InBand, &InspectionConfig::default()), Err(HookError::NoInterfaces));
    assert_eq!(run(&mut blind, Source::OutOfBand, &InspectionConfig::default()), Ok(()));
}

#[test]
fn what_is_not_plausible_is_left_alone() {
    let mut subject = subject();
    subject.node.properties = map(json!({"cpu_arch": "aarch64", "memory_mb": 1, "capabilities": {"boot_mode": "bios"}}));
    subject.inventory = map(json!({
        "interfaces": [{"mac_address": "52:54:00:00:00:01"}],
        "cpu": {"architecture": "x86_64\n; rm", "count": -3}, "memory": {"physical_mb": "many"}, "disks": [{"size": 1}, {"size": "1"}, 3],
        "boot": {"current_boot_mode": "uefi:x,y"},
    }));
    subject.plugin_data.clear();
    run(&mut subject, Source::InBand, &InspectionConfig::default()).unwrap();
    assert_eq!(subject.node.properties, map(json!({"cpu_arch": "aarch64", "memory_mb": 1, "capabilities": {"boot_mode": "bios"}})));
}
