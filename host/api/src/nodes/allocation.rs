//! `/v1/nodes/{node}/allocation`.

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;
use wrought_domain::{Allocation, NodeId};

use crate::allocations::{SINCE, shown, wanted};
use crate::call::{Call, no_content, ok};
use crate::errors::Fault;
use crate::fields::keep;

/// The node's allocation, if the caller sees both.
async fn find(call: &Call, ident: &str) -> Result<Allocation, Fault> {
    let node = call.node(ident).await?.value;
    let missing = |node: NodeId| Fault::not_found(format!("Allocation for node {node} was not found"));
    let uuid = node.allocation_uuid.ok_or_else(|| missing(node.uuid))?;
    call.api.service.store().allocation(&call.who, &uuid.to_string()).await?.ok_or_else(|| missing(node.uuid))
}

/// `GET`.
pub(crate) async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.query();
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    let mut shown = shown(&call, &find(&call, &ident).await?);
    if let Some(wanted) = &wanted {
        keep(&mut shown, wanted);
    }
    Ok(ok(Value::Object(shown)))
}

/// `DELETE`.
pub(crate) async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    call.args()?.done()?;
    let allocation = find(&call, &ident).await?;
    call.api.service.store().delete_allocation(&call.who, allocation.uuid).await?;
    Ok(no_content())
}
