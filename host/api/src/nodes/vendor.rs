//! `/v1/nodes/{node}/vendor_passthru`: methods of the vendor's own.

use axum::extract::{Path, RawPathParams};
use axum::http::Method;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::args::brief;
use crate::call::{Call, accepted, ok};
use crate::errors::Fault;

/// `GET /v1/nodes/{node}/vendor_passthru/methods`.
pub(crate) async fn methods(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let node = call.node(&ident).await?.value;
    let methods = call.api.service.vendor_methods(&call.who, node.uuid).await?;
    let shown = methods.into_iter().map(|method| {
        let about = json!({
            "async": method.effects, "attach": false, "description": method.description, "http_methods": method.http_methods,
            "require_exclusive_lock": method.effects,
        });
        (method.name, about)
    });
    Ok(ok(Value::Object(shown.collect::<Map<_, _>>())))
}

/// `/v1/nodes/{node}/vendor_passthru`, by any HTTP method, with the vendor's method in the path or in the query.
pub(crate) async fn passthru(http_method: Method, path: RawPathParams, call: Call) -> Result<Response, Fault> {
    let part = |name: &str| path.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    let node = call.node(&part("node").unwrap_or_default()).await?.value;
    let method = match part("method") {
        Some(method) => method,
        None => call.query().mandatory("method")?,
    };
    let method = brief(&Value::from(method));
    let body = if call.bytes().is_empty() { Value::Null } else { call.json()? };
    let service = &call.api.service;
    match service.call_vendor_method(&call.who, node.uuid, &method, http_method.as_str(), body).await? {
        Some(answer) => Ok(ok(answer)),
        None => Ok(accepted(format!("{}/v1/nodes/{}/states", call.base, node.uuid))),
    }
}
