//! Which fields of a node a project may set: of one that it owns, of one that it has leased. What concerns the whole fleet, and what
//! would take the node or the host's secrets away from somebody, is for callers without a project.

use serde_json::Value;
use wrought_domain::patch::Change;
use wrought_domain::reference::{refers, refers_within};
use wrought_domain::{Map, Node, NodeId, ProvisionState, Role};
use wrought_storage::NodeRef;

use crate::access;
use crate::call::Call;
use crate::errors::Fault;

/// What a project must have of the node to set a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Whoever may change the node at all: members of its owner, administrators of its lessee.
    Use,
    /// This role in the project that owns it.
    Owner(Role),
    /// No project may.
    System,
}

/// The fields of a tenant describe the instance, those of the owner's members the machine, and those of its administrators how the
/// host gets at it and who else may.
fn needs(field: &str) -> Needs {
    match field {
        "instance_info" | "instance_uuid" | "instance_name" | "extra" | "maintenance" => Needs::Use,
        "description" | "properties" | "network_data" | "protected" | "protected_reason" | "resource_class" => Needs::Owner(Role::Member),
        "owner" | "conductor_group" | "chassis_uuid" | "shard" | "automated_clean" => Needs::System,
        _ => Needs::Owner(Role::Admin),
    }
}

/// States in which a node has an instance, or is about to.
const IN_USE: &[ProvisionState] = &[
    ProvisionState::Active,
    ProvisionState::Deploying,
    ProvisionState::WaitCallBack,
    ProvisionState::DeployHold,
    ProvisionState::DeployFailed,
    ProvisionState::Rescue,
    ProvisionState::Rescuing,
    ProvisionState::RescueWait,
    ProvisionState::RescueFailed,
    ProvisionState::Unrescuing,
    ProvisionState::UnrescueFailed,
    ProvisionState::Servicing,
    ProvisionState::ServiceWait,
    ProvisionState::ServiceHold,
    ProvisionState::ServiceFailed,
];

fn forbidden(field: &str) -> Fault {
    Fault::forbidden(format!("Access was denied to the following resource: your role does not allow you to set /{field}."))
}

/// That a value refers to no file or variable of the host ([`wrought_hardware::SecretsConfig`]), which only callers without a
/// project may: whoever says where the host sends it has it.
fn no_references(value: &Value) -> Result<(), Fault> {
    match refers(value) {
        true => {
            Err(Fault::forbidden("References to files and variables of the host (file:, env:) are for administrators without a project."))
        }
        false => Ok(()),
    }
}

/// Who sets where a secret is sent has the secret: the addresses of what refers to secrets of the host are not a project's. Those
/// in `driver_info`, proxies and the controller that boots the agent, are also where what `instance_info` has is sent through.
fn check_destination(node: &Node, field: &str) -> Result<(), Fault> {
    let referring = match field {
        "driver_info" if refers_within(&node.driver_info) => "driver_info",
        "driver_info" | "instance_info" if refers_within(&node.instance_info) => "instance_info",
        _ => return Ok(()),
    };
    Err(Fault::forbidden(format!("{referring} refers to secrets of the host: /{field} is changed by administrators without a project.")))
}

/// That the caller may change these fields of a node, which it may change at all.
///
/// # Errors
/// 403; 400 for a parent that it does not see.
pub(crate) async fn check_patch(call: &Call, node: &Node, changes: &[Change]) -> Result<(), Fault> {
    let Some(project) = call.who.project.as_deref() else { return Ok(()) };
    let owned = node.owner.as_deref() == Some(project);
    for change in changes {
        let field = change.path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let may = match needs(field) {
            Needs::Use => true,
            Needs::Owner(least) => owned && call.who.role().is_some_and(|role| role >= least),
            Needs::System => false,
        };
        if !may {
            return Err(forbidden(field));
        }
        if let Some(value) = &change.value {
            no_references(value)?;
        }
        check_destination(node, field)?;
        if field == "parent_node" {
            check_parent(call, change.value.as_ref()).await?;
        }
    }
    Ok(())
}

/// That an allocation, which goes when the instance is removed from its node, may go: not while the node is in use, and by a project
/// only one of its own.
///
/// # Errors
/// 403; 409 with Ironic's text.
pub(crate) async fn check_disassociates(call: &Call, before: &Node, after: &Node) -> Result<(), Fault> {
    let (Some(allocation), true) = (before.allocation_uuid, before.instance_uuid.is_some() && after.instance_uuid.is_none()) else {
        return Ok(());
    };
    if call.api.service.store().allocation(&call.who, &allocation.to_string()).await?.is_none() && call.who.project.is_some() {
        return Err(Fault::forbidden(format!("/instance_uuid is that of allocation {allocation}, which is not your project's.")));
    }
    match IN_USE.contains(&before.provision_state) && !before.maintenance {
        false => Ok(()),
        true => Err(Fault::conflict(format!(
            "Cannot remove instance_uuid from node {}, which is in state {} with an allocation: undeploy it, or delete allocation \
             {allocation} (maintenance mode is off).",
            before.uuid, before.provision_state
        ))),
    }
}

/// A node that a project creates is its own.
///
/// # Errors
/// 403; 400 for a parent that it does not see.
pub(crate) async fn check_new(call: &Call, body: &mut Map) -> Result<(), Fault> {
    let Some(project) = call.who.project.clone() else { return Ok(()) };
    match body.get("owner").filter(|owner| !owner.is_null()) {
        Some(owner) if owner.as_str() != Some(project.as_str()) => return Err(forbidden("owner")),
        _ => body.insert("owner".to_owned(), Value::from(project)),
    };
    for (field, value) in body.iter().filter(|(field, value)| *field != "owner" && !value.is_null()) {
        // What is as it would be anyway is not set.
        let said = value.as_str() != Some("");
        if said && needs(field) == Needs::System {
            return Err(forbidden(field));
        }
        no_references(value)?;
    }
    check_parent(call, body.get("parent_node")).await
}

/// A child follows its parent's operations: both are to be the project's own.
async fn check_parent(call: &Call, parent: Option<&Value>) -> Result<(), Fault> {
    let Some(parent) = parent.and_then(Value::as_str).and_then(|text| uuid::Uuid::parse_str(text).ok()) else { return Ok(()) };
    match call.api.service.store().node(&call.who, &NodeRef::Uuid(NodeId(parent))).await? {
        Some(parent) => call.check_as(access::OWN, &parent.value),
        // What is not seen is not found, which is checked for everybody.
        None => Ok(()),
    }
}
