//! What else hangs below a node. What no interface of ours offers answers as Ironic does for a
//! driver without it: an empty list, or the refusal that names the driver.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use wrought_domain::{NodeId, Port, Portgroup, VolumeConnector, VolumeTarget};
use wrought_storage::{HistoryQuery, HistoryRecord, NodeFilter, NodeQuery};

use crate::args::{brief, uuid};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::links::time;
use crate::nodes::states::unsupported;
use crate::paging::Paging;
use crate::parts::{Scope, Shown, page};
use crate::volumes;

/// `GET /v1/nodes/{node}/ports`.
pub(crate) async fn ports(path: Path<String>, call: Call) -> Result<Response, Fault> {
    parts::<Port>(path, call, 1, "ports", false).await
}

/// `GET /v1/nodes/{node}/ports/detail`.
pub(crate) async fn ports_detail(path: Path<String>, call: Call) -> Result<Response, Fault> {
    parts::<Port>(path, call, 1, "ports", true).await
}

/// `GET /v1/nodes/{node}/portgroups`.
pub(crate) async fn portgroups(path: Path<String>, call: Call) -> Result<Response, Fault> {
    parts::<Portgroup>(path, call, 24, "portgroups", false).await
}

/// `GET /v1/nodes/{node}/portgroups/detail`.
pub(crate) async fn portgroups_detail(path: Path<String>, call: Call) -> Result<Response, Fault> {
    parts::<Portgroup>(path, call, 24, "portgroups", true).await
}

/// `GET /v1/nodes/{node}/volume`.
pub(crate) async fn volume(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(32)?;
    call.query().done()?;
    let node = call.node(&ident).await?.value.uuid;
    Ok(ok(volumes::links(&call, &format!("nodes/{node}/volume"))))
}

/// `GET /v1/nodes/{node}/volume/connectors`.
pub(crate) async fn connectors(path: Path<String>, call: Call) -> Result<Response, Fault> {
    parts::<VolumeConnector>(path, call, 32, "volume/connectors", false).await
}

/// `GET /v1/nodes/{node}/volume/targets`.
pub(crate) async fn targets(path: Path<String>, call: Call) -> Result<Response, Fault> {
    parts::<VolumeTarget>(path, call, 32, "volume/targets", false).await
}

/// What belongs to a node.
async fn parts<P: Shown>(Path(ident): Path<String>, call: Call, since: u16, what: &str, detail: bool) -> Result<Response, Fault> {
    call.since(since)?;
    let node = call.node(&ident).await?.value.uuid;
    page::<P>(&call, Scope::of_node(node, what, detail)).await
}

/// `GET`, `DELETE /v1/nodes/{node}/allocation`.
pub(crate) async fn allocation(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(52)?;
    let node = call.node(&ident).await?.value.uuid;
    Err(Fault::not_found(format!("Allocation for node {node} was not found")))
}

/// `GET /v1/nodes/{node}/children`.
pub(crate) async fn children(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(83)?;
    call.query().done()?;
    let node = call.node(&ident).await?.value.uuid;
    let filter = NodeFilter { parent_node: Some(node.0), ..NodeFilter::default() };
    let found = call.api.service.store().nodes(&call.who, &NodeQuery { filter, ..NodeQuery::default() }).await?;
    let children: Vec<String> = found.iter().map(|child| child.uuid.to_string()).collect();
    let href = format!("{}/v1/nodes/{node}/children", call.base);
    Ok(ok(json!({"children": children, "links": {"href": href, "rel": "children"}})))
}

/// `/v1/nodes/{node}/vmedia`.
pub(crate) async fn vmedia(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(89)?;
    let node = call.node(&ident).await?.value;
    Err(Fault::invalid(unsupported(&node, "attach_virtual_media")))
}

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
    }
    Value::Object(shown)
}

/// `GET /v1/nodes/{node}/history`.
pub(crate) async fn history(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
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
pub(crate) async fn history_event(Path((ident, event)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
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
