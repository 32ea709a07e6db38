//! What else hangs below a node. What no interface of ours offers answers as Ironic does for a
//! driver without it: an empty list, or the refusal that names the driver.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use wrought_domain::NodeId;
use wrought_storage::{HistoryQuery, HistoryRecord, NodeFilter, NodeQuery};

use crate::args::{brief, missing, uuid};
use crate::call::{Call, no_content, ok};
use crate::errors::Fault;
use crate::links::time;
use crate::nodes::states::unsupported;
use crate::paging::Paging;
use crate::ports;

/// `GET /v1/nodes/{node}/ports`.
pub(crate) async fn ports(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let node = call.node(&ident).await?.value.uuid;
    ports::page_of_node(&call, node, false).await
}

/// `GET /v1/nodes/{node}/ports/detail`.
pub(crate) async fn ports_detail(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let node = call.node(&ident).await?.value.uuid;
    ports::page_of_node(&call, node, true).await
}

/// An empty list of what is below an existing node.
async fn empty(call: &Call, ident: &str, since: u16, key: &str) -> Result<Response, Fault> {
    call.since(since)?;
    let mut args = call.query();
    Paging::take(call, &mut args, "id")?;
    args.boolean("detail")?;
    args.list("fields")?;
    args.done()?;
    call.node(ident).await?;
    Ok(ok(json!({key: []})))
}

/// `GET /v1/nodes/{node}/portgroups`.
pub(crate) async fn portgroups(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    empty(&call, &ident, 24, "portgroups").await
}

/// `GET /v1/nodes/{node}/volume`.
pub(crate) async fn volume(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(32)?;
    call.query().done()?;
    let below = format!("nodes/{}/volume", call.node(&ident).await?.value.uuid);
    let link = |path: &str| call.base.links(path);
    Ok(ok(json!({
        "links": link(&below), "connectors": link(&format!("{below}/connectors")), "targets": link(&format!("{below}/targets")),
    })))
}

/// `GET /v1/nodes/{node}/volume/connectors`.
pub(crate) async fn connectors(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    empty(&call, &ident, 32, "connectors").await
}

/// `GET /v1/nodes/{node}/volume/targets`.
pub(crate) async fn targets(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    empty(&call, &ident, 32, "targets").await
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

/// `GET /v1/nodes/{node}/vifs`: the network interface `noop` records nothing.
pub(crate) async fn vifs(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(28)?;
    call.query().done()?;
    call.node(&ident).await?;
    Ok(ok(json!({"vifs": []})))
}

/// `POST /v1/nodes/{node}/vifs`.
pub(crate) async fn attach_vif(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(28)?;
    call.query().done()?;
    let body = call.object()?;
    if body.get("id").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(missing("id"));
    }
    if body.contains_key("port_uuid") || body.contains_key("portgroup_uuid") {
        call.accept(67)?;
    }
    if body.contains_key("port_uuid") && body.contains_key("portgroup_uuid") {
        return Err(Fault::invalid("Cannot specify both port_uuid and portgroup_uuid"));
    }
    call.node(&ident).await?;
    Ok(no_content())
}

/// `DELETE /v1/nodes/{node}/vifs/{vif}`.
pub(crate) async fn detach_vif(Path((ident, _)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    call.since(28)?;
    call.args()?.done()?;
    call.node(&ident).await?;
    Ok(no_content())
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
