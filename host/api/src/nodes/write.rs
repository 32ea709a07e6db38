//! Nodes are created, changed and deleted.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::allocation::release;
use wrought_domain::patch::Change;
use wrought_domain::{Node, NodeId, ProvisionState};

use crate::call::{Call, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::checked_body;
use crate::nodes::fields::{FIELDS, flat, interface_of, shown, unflat};
use crate::nodes::{authority, rules};
use crate::patching::{apply, changes};

/// Dictionaries in which secrets may be, and so asterisks that stand for them.
const MASKED: &[&str] = &["driver_info", "instance_info", "properties", "extra"];

/// `POST /v1/nodes`.
pub(crate) async fn create(call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let body = call.object()?;
    if body.contains_key("traits") {
        return Err(Fault::invalid("Cannot specify node traits on node creation. Node traits must be set via the node traits API."));
    }
    let mut body = checked_body("node", FIELDS, body, &call)?;
    authority::check_new(&call, &mut body).await?;
    let driver = body.get("driver").and_then(Value::as_str).ok_or_else(|| Fault::invalid("Missing mandatory parameter: driver"))?;
    let uuid = match body.get("uuid").and_then(Value::as_str) {
        Some(text) => crate::args::uuid(text)?,
        None => Uuid::new_v4(),
    };
    let now = Timestamp::now();
    // The interfaces are resolved below, when the hardware type is known to exist.
    let bare = Node::new(NodeId(uuid), driver, wrought_domain::hardware_type::FAKE_HARDWARE.defaults(), now);
    let interfaces = rules::hardware(&bare)?.defaults();
    let mut document = flat(&Node { interfaces, ..bare })?;
    for (name, value) in body {
        // A null interface stands for the default, which is there already.
        if name != "uuid" && !(value.is_null() && interface_of(&name).is_some()) {
            document.insert(name, value);
        }
    }
    let mut node = unflat(document)?;
    if call.version.0 < 11 {
        node.provision_state = ProvisionState::Available;
    }
    rules::check(&call, &mut node, None).await?;
    let node = call.api.service.create_node(&call.who, node).await?;
    let location = format!("{}/v1/nodes/{}", call.base, node.uuid);
    Ok(created(Value::Object(shown(&call, &node, None)?), location))
}

/// `PATCH /v1/nodes/{node}`.
pub(crate) async fn update(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let reset = args.boolean("reset_interfaces")?;
    if reset.is_some() {
        call.accept(45)?;
    }
    args.done()?;
    let changes = changes(&call, FIELDS)?;
    if changes.iter().any(|change| change.op == "remove" && change.path == "/chassis_uuid") {
        call.accept(25)?;
    }
    let stored = call.node(&ident).await?;
    let before = stored.value;
    authority::check_patch(&call, &before, &changes).await?;
    let only_disassociates = matches!(changes.as_slice(), [change] if change.op == "remove" && change.path == "/instance_uuid");
    rules::check_changeable(&before, only_disassociates, call.version)?;
    let mut after = patched(&call, &before, &changes)?;
    if reset == Some(true) {
        reset_interfaces(&before, &mut after, &changes)?;
    }
    rules::check_change(&before, &mut after)?;
    authority::check_disassociates(&call, &before, &after).await?;
    rules::check(&call, &mut after, Some(&before)).await?;
    if before.instance_uuid.is_some() && after.instance_uuid.is_none() {
        release(&mut after);
    }
    let node = call.api.service.update_node(&call.who, after, stored.revision.0).await?;
    Ok(ok(Value::Object(shown(&call, &node, None)?)))
}

fn patched(call: &Call, before: &Node, changes: &[Change]) -> Result<Node, Fault> {
    let flat_before = flat(before)?;
    let mut after = apply(call, FIELDS, &flat_before, changes, MASKED)?;
    let driver = after.get("driver").and_then(Value::as_str).unwrap_or_default().to_owned();
    let defaults = rules::hardware(&Node { driver, ..before.clone() })?.defaults();
    for (name, value) in &mut after {
        // A removed interface is the hardware type's default again.
        if let Some(default) = interface_of(name).filter(|_| value.is_null()).and_then(|interface| defaults.get(interface)) {
            *value = Value::from(default);
        }
    }
    unflat(after)
}

/// Sets every interface that the patch does not set to the new hardware type's default.
fn reset_interfaces(before: &Node, after: &mut Node, changes: &[Change]) -> Result<(), Fault> {
    if !changes.iter().any(|change| change.path == "/driver") {
        return Err(Fault::invalid("The reset_interfaces parameter can only be used when changing the node's driver."));
    }
    let hardware = rules::hardware(after)?;
    for interface in wrought_domain::node::Interfaces::NAMES {
        let named = changes.iter().any(|change| change.path == format!("/{interface}_interface"));
        if let Some(chosen) = after.interfaces.get_mut(interface).filter(|_| !named) {
            *chosen = hardware.default_of(interface).to_owned();
        }
    }
    tracing::debug!(node = %before.uuid, driver = hardware.name, "interfaces reset");
    Ok(())
}

/// `DELETE /v1/nodes/{node}`.
pub(crate) async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.args()?.done()?;
    let node = call.node(&ident).await?;
    rules::check_deletable(&node.value)?;
    // As it was looked at: it may be given to an instance meanwhile.
    call.api.service.delete_node(&call.who, node.value.uuid, node.revision.0).await?;
    Ok(no_content())
}

/// `DELETE /v1/nodes`: a node must be named.
pub(crate) async fn delete_all(_: Call) -> Result<Response, Fault> {
    Err(Fault::invalid("Missing mandatory parameter: node_ident"))
}
