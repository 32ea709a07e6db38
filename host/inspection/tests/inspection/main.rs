//! Hooks and rules on what machines may say of themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod anything;
mod hooks;
mod rules;

use serde_json::{Map, Value, json};
use uuid::Uuid;
use wrought_domain::hardware_type::REDFISH;
use wrought_domain::{Node, NodeId, Port};
use wrought_inspection::Subject;
use wrought_inspection::rules::Rule;

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// What a real agent finds on a small server, abridged.
fn inventory() -> Value {
    json!({
        "interfaces": [
            {"name": "eno1", "mac_address": "52:54:00:00:00:01", "ipv4_address": "192.0.2.10", "has_carrier": true},
            {"name": "eno2", "mac_address": "52:54:00:00:00:02", "ipv4_address": null, "has_carrier": true},
            {"name": "ib0", "mac_address": null},
        ],
        "cpu": {"architecture": "x86_64", "count": 64, "model_name": "EPYC", "flags": ["vmx"]},
        "memory": {"physical_mb": 262_144, "total": 270_000_000_000_u64},
        "disks": [{"name": "/dev/sda", "size": 1_000_204_886_016_u64}, {"name": "/dev/sdb", "size": 500_107_862_016_u64}],
        "bmc_address": "192.0.2.200",
        "system_vendor": {"manufacturer": "Dell Inc.", "product_name": "PowerEdge R640", "serial_number": "ABC1"},
        "boot": {"current_boot_mode": "uefi", "pxe_interface": "52:54:00:00:00:02"},
        "hostname": "localhost",
    })
}

fn subject() -> Subject {
    let mut node = Node::new(NodeId(Uuid::from_u128(7)), "redfish", REDFISH.defaults(), "2026-01-01T00:00:00Z".parse().unwrap());
    node.driver_info = map(json!({"redfish_address": "https://192.0.2.200", "redfish_password": "hunter2"}));
    let port = Port::new(Uuid::from_u128(1), node.uuid, "52:54:00:00:00:01", node.created_at);
    Subject { node, ports: vec![port], inventory: map(inventory()), plugin_data: map(json!({"root_disk": {"size": 500_107_862_016_u64}})) }
}

fn rule(conditions: Value, actions: Value) -> Rule {
    serde_json::from_value(json!({
        "uuid": Uuid::from_u128(99), "description": null, "priority": 0, "phase": "main", "sensitive": false,
        "conditions": conditions, "actions": actions, "created_at": "2026-01-01T00:00:00Z", "updated_at": null,
    }))
    .unwrap()
}
