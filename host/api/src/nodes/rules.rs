//! What must hold for a node that an API user creates, changes or deletes.

use uuid::Uuid;
use wrought_domain::hardware_type::{self, HardwareType};
use wrought_domain::node::Interfaces;
use wrought_domain::{Node, ProvisionState, lock};
use wrought_storage::NodeRef;

use crate::call::Call;
use crate::errors::Fault;
use crate::nodes::network_data;
use crate::versions::Version;

/// Names that are taken by the paths below `/v1/nodes`.
const RESERVED_NAMES: &[&str] = &[
    "allocation",
    "bios",
    "children",
    "detail",
    "firmware",
    "history",
    "inventory",
    "maintenance",
    "management",
    "portgroups",
    "ports",
    "states",
    "traits",
    "validate",
    "vendor_passthru",
    "vifs",
    "vmedia",
    "volume",
];

/// Since when the API tells `inspect wait` from `inspecting`.
const INSPECT_WAIT: Version = Version(39);

/// States in which interfaces and the resource class may change.
const CONFIGURABLE: &[ProvisionState] = &[
    ProvisionState::Enroll,
    ProvisionState::Inspecting,
    ProvisionState::InspectWait,
    ProvisionState::Manageable,
    ProvisionState::Available,
];

/// States from which a node may be deleted.
const DELETABLE: &[ProvisionState] =
    &[ProvisionState::Manageable, ProvisionState::Enroll, ProvisionState::AdoptFailed, ProvisionState::Available];

fn names(states: &[ProvisionState]) -> String {
    states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether a node may have this name.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let dots_only = name.bytes().all(|b| b == b'.');
    if !plain || dots_only || Uuid::parse_str(name).is_ok() || RESERVED_NAMES.contains(&name) {
        let name: String = name.chars().take(80).collect();
        return Err(Fault::invalid(format!("Cannot use invalid name '{name}' for a node.")));
    }
    Ok(())
}

/// The node's hardware type.
pub(crate) fn hardware(node: &Node) -> Result<HardwareType, Fault> {
    HardwareType::find(&node.driver).ok_or_else(|| {
        let known: Vec<&str> = hardware_type::ALL.iter().map(|hardware| hardware.name).collect();
        let driver: String = node.driver.chars().take(80).collect();
        Fault::invalid(format!(
            "No valid host was found. Reason: No conductor service registered which supports driver {driver}; known are: {}.",
            known.join(", ")
        ))
    })
}

/// The implementations of an interface that a node of this hardware type may use.
pub(crate) fn implementations(call: &Call, hardware: &HardwareType, interface: &str) -> Vec<String> {
    match interface {
        "deploy" => call.api.service.deploy_interfaces(),
        other => {
            let mut known: Vec<String> = hardware.implementations(other).iter().map(|name| (*name).to_owned()).collect();
            for driver in call.api.service.interface_drivers(other) {
                if !known.contains(&driver) {
                    known.push(driver);
                }
            }
            known
        }
    }
}

/// Checks the interfaces that differ from `before`; all where there is none.
pub(crate) fn check_interfaces(call: &Call, node: &Node, before: Option<&Node>) -> Result<(), Fault> {
    let hardware = hardware(node)?;
    for interface in Interfaces::NAMES {
        let chosen = node.interfaces.get(interface).unwrap_or_default();
        let same = before.is_some_and(|b| b.driver == node.driver && b.interfaces.get(interface) == Some(chosen));
        if same {
            continue;
        }
        let known = implementations(call, &hardware, interface);
        if !known.iter().any(|name| name == chosen) {
            let chosen: String = chosen.chars().take(80).collect();
            return Err(Fault::invalid(format!(
                "Could not find the {interface} interface '{chosen}' for hardware type '{}'; enabled are: {}.",
                hardware.name,
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// What holds for every node that is stored, whether new or changed.
pub(crate) async fn check(call: &Call, node: &mut Node, before: Option<&Node>) -> Result<(), Fault> {
    let changed = |of: fn(&Node) -> &Option<String>| before.is_none_or(|b| of(b) != of(node));
    if let Some(name) = node.name.as_deref().filter(|_| changed(|n| &n.name)) {
        check_name(name)?;
    }
    check_interfaces(call, node, before)?;
    node.conductor_group = node.conductor_group.to_lowercase();
    if let Some(chassis) = node.chassis_uuid.filter(|chassis| before.is_none_or(|b| b.chassis_uuid != Some(*chassis)))
        && call.api.service.store().chassis(chassis).await?.is_none()
    {
        return Err(Fault::invalid(format!("Chassis {chassis} could not be found.")));
    }
    if let Some(parent) = node.parent_node.filter(|parent| before.is_none_or(|b| b.parent_node != Some(*parent))) {
        let parent = NodeRef::Uuid(wrought_domain::NodeId(parent));
        let found = call.api.service.store().node(&call.who, &parent).await?;
        let refused = match found {
            None => Some("could not be found"),
            Some(found) if found.value.uuid == node.uuid => Some("is the node itself"),
            Some(found) if found.value.parent_node.is_some() => Some("is a child itself"),
            Some(_) => None,
        };
        if let Some(refused) = refused {
            return Err(Fault::invalid(format!("The parent_node of node {} {refused}.", node.uuid)));
        }
    }
    if before.is_none_or(|b| b.network_data != node.network_data) {
        network_data::check(&node.network_data).map_err(|wrong| Fault::invalid(format!("Invalid network_data: {wrong}.")))?;
    }
    if before.is_none_or(|b| b.properties.get(lock::SHARED_LOCKS) != node.properties.get(lock::SHARED_LOCKS)) {
        lock::check(&node.properties).map_err(|text| Fault::invalid(format!("Invalid properties: {text}.")))?;
    }
    if node.instance_name.as_deref() == Some("") {
        return Err(Fault::invalid("Invalid input for field/attribute instance_name. Value: ''. Expected 1 to 255 characters."));
    }
    if node.instance_name.is_none() {
        let display = node.instance_info.get("display_name").and_then(|name| name.as_str()).filter(|name| !name.is_empty());
        node.instance_name = display.map(|name| wrought_domain::node::cut(name, 255));
    }
    match (node.retired, &node.retired_reason) {
        (false, Some(_)) if before.is_some_and(|b| b.retired) => node.retired_reason = None,
        (false, Some(_)) => return Err(Fault::invalid("Cannot set retired_reason when the node is not retired.")),
        _ => {}
    }
    Ok(())
}

/// Whether the node may be changed at all: no operation is on its way. `only_disassociates` is a
/// patch that does nothing but remove the instance. Before 1.39, `inspecting` might be a wait for the agent, and nodes in it changed.
pub(crate) fn check_changeable(node: &Node, only_disassociates: bool, version: Version) -> Result<(), Fault> {
    let exception = node.maintenance && only_disassociates;
    if node.target_provision_state.is_some() && !node.provision_state.allows_update_with_target() && !exception {
        return Err(Fault::conflict(format!("Node {} can not be updated while a state transition is in progress.", node.uuid)));
    }
    if node.provision_state == ProvisionState::Inspecting && version >= INSPECT_WAIT {
        return Err(Fault::conflict(format!("Cannot update node \"{}\" while it is in state \"{}\".", node.uuid, node.provision_state)));
    }
    Ok(())
}

/// What a change may not do in the state that the node is in.
pub(crate) fn check_change(before: &Node, after: &mut Node) -> Result<(), Fault> {
    let (uuid, state) = (before.uuid, before.provision_state);
    let configurable = CONFIGURABLE.contains(&state);
    let restricted = |field: &str, or: &str| {
        let allowed = names(CONFIGURABLE);
        Fault::conflict(format!("Node {uuid} can not have {field} updated unless it is in one of allowed ({allowed}) states{or}."))
    };
    if before.driver != after.driver && before.console_enabled {
        return Err(Fault::conflict(format!("Node {uuid} can not have its driver updated while its console is enabled.")));
    }
    if !configurable && !before.maintenance {
        let changed = Interfaces::NAMES.iter().find(|name| before.interfaces.get(name) != after.interfaces.get(name));
        if let Some(interface) = changed {
            return Err(restricted(&format!("{interface}_interface"), " or in maintenance mode"));
        }
    }
    if !configurable && before.resource_class.is_some() && before.resource_class != after.resource_class {
        return Err(restricted("resource_class", ""));
    }
    if let (Some(old), Some(new)) = (before.instance_uuid, after.instance_uuid)
        && old != new
    {
        return Err(Fault::conflict(format!("Node {uuid} is associated with instance {old}.")));
    }
    if after.protected && !before.protected && !matches!(state, ProvisionState::Active | ProvisionState::Rescue) {
        return Err(Fault::conflict(format!("Node {uuid} can not be protected in state {state}, only in active and rescue.")));
    }
    if !after.protected {
        if after.protected_reason.is_some() && !before.protected {
            return Err(Fault::invalid("Cannot set protected_reason when the node is not protected."));
        }
        after.protected_reason = None;
    }
    if after.retired && !before.retired && state == ProvisionState::Available {
        return Err(Fault::conflict(format!("Node {uuid} can not have 'retired' set in state available.")));
    }
    if before.maintenance && !after.maintenance {
        after.maintenance_reason = None;
        after.fault = None;
    }
    Ok(())
}

/// Whether the node may be deleted.
pub(crate) fn check_deletable(node: &Node) -> Result<(), Fault> {
    wrought_conductor::check_unprotected(node)?;
    if let Some(instance) = node.instance_uuid.filter(|_| !node.maintenance) {
        return Err(Fault::conflict(format!("Node {} is associated with instance {instance}.", node.uuid)));
    }
    if !DELETABLE.contains(&node.provision_state) && !node.maintenance {
        return Err(Fault::conflict(format!(
            "Can not delete node \"{}\" while it is in provision state \"{}\". Valid provision states to delete are: \"{}\", or set the \
             node into maintenance mode",
            node.uuid,
            node.provision_state,
            names(DELETABLE)
        )));
    }
    Ok(())
}
