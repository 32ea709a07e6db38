//! `VirtualMedia` of a system and of its manager: one drive, `Cd`, seen from both.

use axum::Extension;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::error::{Body, Refusal};
use super::{OfNode, collection, tagged};
use crate::node::Node;

const INSERT: &str = "VirtualMedia.InsertMedia";
/// Parameters that change nothing here.
const IGNORED: [&str; 6] = ["Inserted", "WriteProtected", "TransferProtocolType", "TransferMethod", "UserName", "Password"];

/// `Systems` or `Managers`, and the id.
type From = Path<(String, String)>;

fn drives(root: &str, node: &Node) -> Result<String, Refusal> {
    let path = format!("/redfish/v1/{root}/{}/VirtualMedia", node.id);
    if root == "Chassis" { Err(Refusal::missing(&path)) } else { Ok(path) }
}

pub(super) async fn slots(Path((root, _)): From, Extension(node): OfNode) -> Result<axum::Json<Value>, Refusal> {
    let path = drives(&root, &node)?;
    Ok(collection("VirtualMedia", "Virtual Media", &path, [format!("{path}/Cd")].into_iter()))
}

pub(super) async fn slot(Path((root, _)): From, Extension(node): OfNode) -> Result<Response, Refusal> {
    let path = drives(&root, &node)?;
    let media = node.lock().machine.media.clone();
    let url = media.as_deref().unwrap_or_default();
    let resource = json!({
        "@odata.type": "#VirtualMedia.v1_4_0.VirtualMedia",
        "@odata.id": format!("{path}/Cd"),
        "Id": "Cd",
        "Name": "Virtual CD",
        "MediaTypes": ["CD", "DVD"],
        "Image": url,
        "ImageName": url.rsplit('/').next().unwrap_or_default(),
        "Inserted": media.is_some(),
        "ConnectedVia": if media.is_some() { "URI" } else { "NotConnected" },
        "WriteProtected": true,
        "Actions": {
            "#VirtualMedia.InsertMedia": target(&path, INSERT),
            "#VirtualMedia.EjectMedia": target(&path, "VirtualMedia.EjectMedia"),
        },
    });
    Ok(tagged(&url.into(), resource))
}

fn target(path: &str, action: &str) -> Value {
    json!({ "target": format!("{path}/Cd/Actions/{action}") })
}

pub(super) async fn insert(
    Path((root, _)): From,
    Extension(node): OfNode,
    Body(parameters): Body<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    drives(&root, &node)?;
    if let Some(unknown) = parameters.keys().find(|name| *name != "Image" && !IGNORED.contains(&name.as_str())) {
        return Err(Refusal::unknown_parameter(INSERT, unknown));
    }
    let image = parameters.get("Image").ok_or_else(|| Refusal::missing_parameter(INSERT, "Image"))?;
    let url = image
        .as_str()
        .filter(|url| url.starts_with("http://") || url.starts_with("https://"))
        .ok_or_else(|| Refusal::wrong_parameter(INSERT, "Image", &image.to_string()))?;
    let mut inner = node.lock();
    if inner.machine.media.is_some() {
        return Err(Refusal::conflict("Media are in the drive already: eject them first.".into()));
    }
    inner.machine.media = Some(url.to_owned());
    inner.counts.media_inserts += 1;
    Ok(StatusCode::NO_CONTENT)
}

/// Ejecting an empty drive succeeds, as on most BMCs.
pub(super) async fn eject(Path((root, _)): From, Extension(node): OfNode) -> Result<StatusCode, Refusal> {
    drives(&root, &node)?;
    let mut inner = node.lock();
    if inner.machine.media.take().is_some() {
        inner.counts.media_ejects += 1;
    }
    Ok(StatusCode::NO_CONTENT)
}
