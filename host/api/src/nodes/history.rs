//! `/v1/nodes/{node}/history`: what happened to a node, for people.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use wrought_domain::NodeId;
use wrought_storage::{HistoryQuery, HistoryRecord};

use crate::args::{brief, uuid};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::links::time;
use crate::paging::Paging;

fn entry(call: &Call, record: &HistoryRecord, detail: bool) -> Value {
    let href = format!("{}/v1/nodes/{}/history/{}", call.base, record.node, record.uuid);
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.into(), value);
    put("uuid", json!(record.uuid));
    put("created_at", json!(time(record.created_at)));
    put("severity", json!(if matches!(record.severity, wrought_engine::Severity::Error) { "ERROR" } else { "INFO" }));
    put("event", json!(record.event));
    put("links", json!([{"href": href, "rel": "self"}]));
    if detail {
        put("event_type", json!(record.event_type));
        put("conductor", json!(record.conductor));
        put("user", json!(record.user));
        if call.version.0 >= 113 {
            put("project", json!(record.project));
        }
        if call.version.0 >= 115 {
            put("state", json!(record.state));
            put("target_provision_state", json!(record.target_provision_state));
            put(
                "duration_seconds",
                json!(record.duration_ms.map(|milliseconds| std::time::Duration::from_millis(milliseconds).as_secs_f64())),
            );
        }
    }
    Value::Object(shown)
}

/// `GET /v1/nodes/{node}/history`.
pub(crate) async fn list(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(78)?;
    let node = call.node(&ident).await?.value.uuid;
    let mut args = call.query();
    let detail = args.boolean("detail")?;
    let mut paging = Paging::take(&call, &mut args, "created_at")?;
    paging.repeat("detail", detail);
    args.done()?;
    let query = HistoryQuery {
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(uuid).transpose()?,
        sort_key: Some(paging.sort_key.clone()),
        descending: paging.descending,
    };
    let found = call.api.service.store().history(node, &query).await?;
    let last = paging.marker_after(&found, |record| record.uuid.to_string());
    let items = found.iter().map(|record| entry(&call, record, detail == Some(true))).collect();
    Ok(ok(paging.document(&call, "history", &format!("nodes/{node}/history"), items, last)))
}

/// `GET /v1/nodes/{node}/history/{event}`.
pub(crate) async fn show(Path((ident, event)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    call.since(78)?;
    call.query().done()?;
    let node: NodeId = call.node(&ident).await?.value.uuid;
    let found = match uuid(&event) {
        Ok(event) => call.api.service.store().history_entry(node, event).await?,
        Err(_) => None,
    };
    let event = brief(&Value::from(event));
    let record = found.ok_or_else(|| Fault::not_found(format!("Node history record {event} could not be found.")))?;
    Ok(ok(entry(&call, &record, true)))
}
