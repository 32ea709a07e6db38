//! The fields of a node: one table, how they are shown, and how they are stored.

use jiff::Timestamp;
use serde_json::{Value, json};
use wrought_domain::node::Interfaces;
use wrought_domain::{Map, Node, ProvisionState, mask};

use crate::call::Call;
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, field};
use crate::links::time;

/// Every field of a node.
pub(crate) const FIELDS: &[Field] = &[
    field("uuid", 1, Write::Create, Kind::Uuid),
    field("name", 5, Write::Both, Kind::Text(255)),
    field("driver", 1, Write::Both, Kind::Mandatory(255)),
    field("driver_info", 1, Write::Both, Kind::Dict),
    field("properties", 1, Write::Both, Kind::Dict),
    field("extra", 1, Write::Both, Kind::Dict),
    field("instance_info", 1, Write::Both, Kind::Dict),
    field("driver_internal_info", 3, Write::Never, Kind::Shown),
    field("instance_uuid", 1, Write::Both, Kind::Uuid),
    field("chassis_uuid", 1, Write::Both, Kind::Uuid),
    field("provision_state", 1, Write::Never, Kind::Shown),
    field("target_provision_state", 1, Write::Never, Kind::Shown),
    field("provision_updated_at", 1, Write::Never, Kind::Shown),
    field("power_state", 1, Write::Never, Kind::Shown),
    field("target_power_state", 1, Write::Never, Kind::Shown),
    field("last_error", 1, Write::Never, Kind::Shown),
    field("reservation", 1, Write::Never, Kind::Shown),
    field("maintenance", 1, Write::Both, Kind::Bool(false)),
    field("maintenance_reason", 1, Write::Never, Kind::Shown),
    field("console_enabled", 1, Write::Create, Kind::Bool(false)),
    field("created_at", 1, Write::Never, Kind::Shown),
    field("updated_at", 1, Write::Never, Kind::Shown),
    field("links", 1, Write::Never, Kind::Shown),
    field("ports", 1, Write::Never, Kind::Shown),
    field("inspection_started_at", 6, Write::Never, Kind::Shown),
    field("inspection_finished_at", 6, Write::Never, Kind::Shown),
    field("clean_step", 7, Write::Never, Kind::Shown),
    field("raid_config", 12, Write::Never, Kind::Shown),
    field("target_raid_config", 12, Write::Never, Kind::Shown),
    field("states", 14, Write::Never, Kind::Shown),
    field("network_interface", 20, Write::Both, Kind::Text(255)),
    field("resource_class", 21, Write::Both, Kind::Text(80)),
    field("portgroups", 24, Write::Never, Kind::Shown),
    field("boot_interface", 31, Write::Both, Kind::Text(255)),
    field("console_interface", 31, Write::Both, Kind::Text(255)),
    field("deploy_interface", 31, Write::Both, Kind::Text(255)),
    field("inspect_interface", 31, Write::Both, Kind::Text(255)),
    field("management_interface", 31, Write::Both, Kind::Text(255)),
    field("power_interface", 31, Write::Both, Kind::Text(255)),
    field("raid_interface", 31, Write::Both, Kind::Text(255)),
    field("vendor_interface", 31, Write::Both, Kind::Text(255)),
    field("volume", 32, Write::Never, Kind::Shown),
    field("storage_interface", 33, Write::Both, Kind::Text(255)),
    field("traits", 37, Write::Never, Kind::Shown),
    field("rescue_interface", 38, Write::Both, Kind::Text(255)),
    field("bios_interface", 40, Write::Both, Kind::Text(255)),
    field("fault", 42, Write::Never, Kind::Shown),
    field("deploy_step", 44, Write::Never, Kind::Shown),
    field("conductor_group", 46, Write::Both, Kind::PlainText(255)),
    field("automated_clean", 47, Write::Both, Kind::OptionalBool),
    field("protected", 48, Write::Patch, Kind::Bool(false)),
    field("protected_reason", 48, Write::Patch, Kind::Text(4096)),
    field("conductor", 49, Write::Never, Kind::Shown),
    field("owner", 50, Write::Both, Kind::Text(255)),
    field("description", 51, Write::Both, Kind::Text(4096)),
    field("allocation_uuid", 52, Write::Never, Kind::Shown),
    field("retired", 61, Write::Both, Kind::Bool(false)),
    field("retired_reason", 61, Write::Both, Kind::Text(4096)),
    field("lessee", 65, Write::Both, Kind::Text(255)),
    field("network_data", 66, Write::Both, Kind::Dict),
    field("boot_mode", 75, Write::Create, Kind::Text(16)),
    field("secure_boot", 75, Write::Create, Kind::OptionalBool),
    field("shard", 82, Write::Both, Kind::Text(255)),
    field("parent_node", 83, Write::Both, Kind::Uuid),
    field("firmware_interface", 86, Write::Both, Kind::Text(255)),
    field("service_step", 87, Write::Never, Kind::Shown),
    field("disable_power_off", 95, Write::Both, Kind::Bool(false)),
    field("instance_name", 104, Write::Both, Kind::Text(255)),
    field("health", 109, Write::Never, Kind::Shown),
];

/// What a list shows of a node unless asked for more.
pub(crate) const BRIEF: &[&str] = &["uuid", "name", "instance_uuid", "maintenance", "power_state", "provision_state"];

/// What `GET /v1/nodes/{node}/states` shows.
const STATES: &[&str] = &[
    "console_enabled",
    "last_error",
    "power_state",
    "target_power_state",
    "provision_state",
    "target_provision_state",
    "provision_updated_at",
    "raid_config",
    "target_raid_config",
    "boot_mode",
    "secure_boot",
];

/// The interface that a field such as `deploy_interface` chooses.
pub(crate) fn interface_of(field: &str) -> Option<&str> {
    field.strip_suffix("_interface").filter(|name| Interfaces::NAMES.contains(name))
}

/// The stored form of a node as one flat object, secrets included: what a patch is applied to.
pub(crate) fn flat(node: &Node) -> Result<Map, Fault> {
    let mut document = match serde_json::to_value(node) {
        Ok(Value::Object(document)) => document,
        Ok(_) => Map::new(),
        Err(error) => return Err(Fault::internal("writing a node as JSON", &error)),
    };
    if let Some(Value::Object(interfaces)) = document.remove("interfaces") {
        document.extend(interfaces.into_iter().map(|(name, value)| (format!("{name}_interface"), value)));
    }
    Ok(document)
}

/// A node of its flat form.
///
/// # Errors
/// 400: a value does not fit.
pub(crate) fn unflat(mut document: Map) -> Result<Node, Fault> {
    let interfaces: Map =
        Interfaces::NAMES.iter().filter_map(|name| Some(((*name).to_owned(), document.remove(&format!("{name}_interface"))?))).collect();
    document.insert("interfaces".into(), Value::Object(interfaces));
    serde_json::from_value(Value::Object(document)).map_err(|error| Fault::invalid(format!("The node is not valid: {error}")))
}

/// The node as the requested version shows it, secrets masked: all fields, or those in `only`.
pub(crate) fn shown(call: &Call, node: &Node, only: Option<&[&str]>) -> Result<Map, Fault> {
    let mut document = flat(node)?;
    let resource = format!("nodes/{}", node.uuid);
    let mut shown = Map::new();
    for field in FIELDS.iter().filter(|field| field.since <= call.version.0) {
        if only.is_some_and(|only| !only.contains(&field.name)) {
            continue;
        }
        let value = match field.name {
            "driver_info" => Value::Object(mask::masked(&node.driver_info)),
            "driver_internal_info" => Value::Object(mask::masked(&node.driver_internal_info)),
            "instance_info" => Value::Object(mask::masked_instance_info(&node.instance_info)),
            "reservation" => json!(node.holder()),
            "provision_state" => provision_state(call.version.0, node.provision_state),
            "provision_updated_at" => moment(node.provision_updated_at),
            "created_at" => moment(Some(node.created_at)),
            "updated_at" => moment(node.updated_at),
            "inspection_started_at" => moment(node.inspection_started_at),
            "inspection_finished_at" => moment(node.inspection_finished_at),
            "conductor" => json!(node.conductor.as_deref().unwrap_or(call.api.service.host())),
            "links" => call.base.links(&resource),
            "ports" | "states" | "portgroups" | "volume" => call.base.links(&format!("{resource}/{}", field.name)),
            name => document.remove(name).unwrap_or_default(),
        };
        let hidden = call.who.project.is_some() && call.who.project != node.owner && is_owners(field.name) && !value.is_null();
        shown.insert(field.name.into(), if hidden { redacted(field.name) } else { value });
    }
    Ok(shown)
}

/// Whether a field tells how the host gets at the machine, or how it fared: for its owner, and not for who has leased it. Ironic's
/// rules `baremetal:node:get:...`.
pub(crate) fn is_owners(field: &str) -> bool {
    matches!(field, "driver_info" | "driver_internal_info" | "last_error" | "reservation")
}

/// What stands for such a field, in Ironic's words.
pub(crate) fn redacted(field: &str) -> Value {
    match field {
        "last_error" | "reservation" => json!(format!("** Value Redacted - Requires baremetal:node:get:{field} permission. **")),
        _ => json!({"content": format!("** Redacted - requires baremetal:node:get:{field} permission. **")}),
    }
}

/// `GET /v1/nodes/{node}/states`.
pub(crate) fn states(call: &Call, node: &Node) -> Result<Map, Fault> {
    shown(call, node, Some(STATES))
}

/// Old versions know neither `available` nor `inspect wait`.
pub(crate) fn provision_state(version: u16, state: ProvisionState) -> Value {
    match state {
        ProvisionState::Available if version < 2 => Value::Null,
        ProvisionState::InspectWait if version < 39 => json!(ProvisionState::Inspecting.as_str()),
        state => json!(state.as_str()),
    }
}

pub(crate) fn moment(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::from(time(at)))
}
