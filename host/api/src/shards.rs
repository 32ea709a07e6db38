//! `/v1/shards`.

use axum::response::Response;
use serde_json::{Value, json};

use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::routes::Routes;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().get("/v1/shards", list)
}

/// `GET /v1/shards`: the nodes that are in none count under no name (Ironic says `"None"`).
async fn list(call: Call) -> Result<Response, Fault> {
    call.since(82)?;
    call.query().done()?;
    let shards = call.api.service.store().shards().await?;
    let shards: Vec<Value> = shards.iter().map(|(name, count)| json!({"name": name, "count": count})).collect();
    Ok(ok(json!({ "shards": shards })))
}
