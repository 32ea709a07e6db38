//! `/v1/nodes/{node}/vifs`: virtual interfaces that are attached to a node's ports.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use wrought_domain::vif::{Wanted, records};

use crate::args::{brief, missing, uuid};
use crate::call::{Call, no_content, ok};
use crate::errors::Fault;

/// Characters of a VIF's id at most; Ironic's are UUIDs or names.
const MAX_ID: usize = 255;

fn check_id(id: &str) -> Result<(), Fault> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if id.is_empty() || id.len() > MAX_ID || !plain {
        return Err(Fault::invalid(format!("Expected UUID or name for id: {}", brief(&Value::from(id)))));
    }
    Ok(())
}

/// `GET /v1/nodes/{node}/vifs`.
pub(crate) async fn list(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(28)?;
    call.query().done()?;
    let node = call.node(&ident).await?.value;
    let vifs = if records(&node) { call.api.service.store().vifs(node.uuid).await? } else { Vec::new() };
    Ok(ok(json!({ "vifs": vifs.iter().map(|id| json!({ "id": id })).collect::<Vec<Value>>() })))
}

/// `POST /v1/nodes/{node}/vifs`. What else the body says of the VIF is for services that this host does not know.
pub(crate) async fn attach(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(28)?;
    call.query().done()?;
    let body = call.object()?;
    let id = body.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).ok_or_else(|| missing("id"))?;
    check_id(id)?;
    let place = |name: &str| match body.get(name) {
        None => Ok(None),
        Some(value) => {
            call.accept(67)?;
            uuid(value.as_str().unwrap_or_default()).map(Some)
        }
    };
    let wanted = match (place("port_uuid")?, place("portgroup_uuid")?) {
        (Some(_), Some(_)) => return Err(Fault::invalid("Cannot specify both port_uuid and portgroup_uuid")),
        (Some(port), None) => Wanted::Port(port),
        (None, Some(group)) => Wanted::Portgroup(group),
        (None, None) => Wanted::Any,
    };
    let node = call.node(&ident).await?.value.uuid;
    call.api.service.store().attach_vif(&call.who, node, id, wanted).await?;
    Ok(no_content())
}

/// `DELETE /v1/nodes/{node}/vifs/{vif}`.
pub(crate) async fn detach(Path((ident, vif)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    call.since(28)?;
    call.args()?.done()?;
    let node = call.node(&ident).await?.value.uuid;
    check_id(&vif)?;
    call.api.service.store().detach_vif(&call.who, node, &vif).await?;
    Ok(no_content())
}
