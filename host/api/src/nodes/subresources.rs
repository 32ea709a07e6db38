//! What else hangs below a node.

use axum::extract::Path;
use axum::response::Response;
use serde_json::json;
use wrought_domain::{Port, Portgroup, VolumeConnector, VolumeTarget};
use wrought_storage::{NodeFilter, NodeQuery};

use crate::call::{Call, ok};
use crate::errors::Fault;
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
