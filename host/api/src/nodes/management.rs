//! Maintenance, validation and the boot device.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};
use wrought_domain::node::cut;

use crate::call::{Call, no_content, ok};
use crate::errors::Fault;

/// `PUT /v1/nodes/{node}/maintenance`.
pub(crate) async fn set_maintenance(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.args()?;
    let reason = args.text("reason")?.map(|reason| cut(&reason, wrought_domain::node::MAX_TEXT));
    args.done()?;
    maintenance(&call, &ident, true, reason).await
}

/// `DELETE /v1/nodes/{node}/maintenance`.
pub(crate) async fn clear_maintenance(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.args()?.done()?;
    maintenance(&call, &ident, false, None).await
}

async fn maintenance(call: &Call, ident: &str, on: bool, reason: Option<String>) -> Result<Response, Fault> {
    let node = call.node(ident).await?.value;
    call.api.service.set_maintenance(&call.who, node.uuid, on, reason).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `GET /v1/nodes/{node}/validate`.
pub(crate) async fn validate(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    validated(&call, &ident).await
}

/// `GET /v1/nodes/validate?node=...`, the older form.
pub(crate) async fn validate_by_query(call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let by_uuid = args.text("node_uuid")?;
    let ident = match by_uuid {
        Some(uuid) => uuid,
        None => args.mandatory("node")?,
    };
    args.done()?;
    validated(&call, &ident).await
}

async fn validated(call: &Call, ident: &str) -> Result<Response, Fault> {
    let node = call.node(ident).await?.value;
    let rows = call.api.service.validate(&call.who, node.uuid).await?;
    let document: Map<String, Value> = rows
        .into_iter()
        .map(|row| {
            let mut result = Map::new();
            result.insert("result".into(), json!(row.result));
            if let Some(reason) = row.reason {
                result.insert("reason".into(), Value::from(reason));
            }
            (row.interface.to_owned(), Value::Object(result))
        })
        .collect();
    Ok(ok(Value::Object(document)))
}

/// `GET /v1/nodes/{node}/management/boot_device`.
pub(crate) async fn boot_device(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let node = call.node(&ident).await?.value;
    let found = call.api.service.boot_device(&call.who, node.uuid).await?;
    Ok(ok(json!({"boot_device": found.device, "persistent": found.persistent})))
}

/// `PUT /v1/nodes/{node}/management/boot_device`.
pub(crate) async fn set_boot_device(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.args()?;
    let device = args.mandatory("boot_device")?;
    let persistent = args.boolean("persistent")?.unwrap_or_default();
    args.done()?;
    let node = call.node(&ident).await?.value;
    let known = call.api.service.supported_boot_devices(&call.who, node.uuid).await?;
    if !known.contains(&device) {
        let device: String = device.chars().take(80).collect();
        return Err(Fault::invalid(format!("Invalid boot device {device} specified; supported are: {}.", known.join(", "))));
    }
    call.api.service.set_boot_device(&call.who, node.uuid, &device, persistent).await?;
    Ok(no_content())
}

/// `GET /v1/nodes/{node}/management/boot_device/supported`.
pub(crate) async fn supported_boot_devices(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let node = call.node(&ident).await?.value;
    let devices = call.api.service.supported_boot_devices(&call.who, node.uuid).await?;
    Ok(ok(json!({"supported_boot_devices": devices})))
}

/// `PUT /v1/nodes/{node}/management/inject_nmi`.
pub(crate) async fn inject_nmi(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(29)?;
    call.args()?.done()?;
    let node = call.node(&ident).await?.value.uuid;
    call.api.service.inject_nmi(&call.who, node).await?;
    Ok(no_content())
}
