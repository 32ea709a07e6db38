//! `VirtualMedia` of a system and of its manager: two drives, `Cd` and `Floppy`, seen from both.

use axum::Extension;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::error::{Body, Refusal};
use super::{OfNode, collection, tagged};
use crate::machine::Machine;
use crate::node::Node;

const INSERT: &str = "VirtualMedia.InsertMedia";
/// Parameters that change nothing here.
const IGNORED: [&str; 6] = ["Inserted", "WriteProtected", "TransferProtocolType", "TransferMethod", "UserName", "Password"];

/// `Systems` or `Managers`, the id of the node, and that of the drive.
type From = Path<(String, String, String)>;

/// A drive of each node.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Cd,
    Floppy,
}

impl Slot {
    fn of(self, machine: &mut Machine) -> &mut Option<String> {
        match self {
            Slot::Cd => &mut machine.media,
            Slot::Floppy => &mut machine.floppy,
        }
    }
}

fn drives(root: &str, node: &Node) -> Result<String, Refusal> {
    let path = format!("/redfish/v1/{root}/{}/VirtualMedia", node.id);
    if root == "Chassis" { Err(Refusal::missing(&path)) } else { Ok(path) }
}

fn drive(root: &str, node: &Node, id: &str) -> Result<(String, Slot), Refusal> {
    let path = format!("{}/{id}", drives(root, node)?);
    match id {
        "Cd" => Ok((path, Slot::Cd)),
        "Floppy" => Ok((path, Slot::Floppy)),
        _ => Err(Refusal::missing(&path)),
    }
}

pub(super) async fn slots(Path((root, _)): Path<(String, String)>, Extension(node): OfNode) -> Result<axum::Json<Value>, Refusal> {
    let path = drives(&root, &node)?;
    Ok(collection("VirtualMedia", "Virtual Media", &path, ["Floppy", "Cd"].into_iter().map(|id| format!("{path}/{id}"))))
}

pub(super) async fn slot(Path((root, _, id)): From, Extension(node): OfNode) -> Result<Response, Refusal> {
    let (path, slot) = drive(&root, &node, &id)?;
    let media = slot.of(&mut node.lock().machine).clone();
    let url = media.as_deref().unwrap_or_default();
    let resource = json!({
        "@odata.type": "#VirtualMedia.v1_4_0.VirtualMedia",
        "@odata.id": path,
        "Id": id,
        "Name": format!("Virtual {id}"),
        "MediaTypes": match slot { Slot::Cd => json!(["CD", "DVD"]), Slot::Floppy => json!(["Floppy"]) },
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
    json!({ "target": format!("{path}/Actions/{action}") })
}

pub(super) async fn insert(
    Path((root, _, id)): From,
    Extension(node): OfNode,
    Body(parameters): Body<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    let (_, slot) = drive(&root, &node, &id)?;
    if let Some(unknown) = parameters.keys().find(|name| *name != "Image" && !IGNORED.contains(&name.as_str())) {
        return Err(Refusal::unknown_parameter(INSERT, unknown));
    }
    let image = parameters.get("Image").ok_or_else(|| Refusal::missing_parameter(INSERT, "Image"))?;
    let url = image
        .as_str()
        .filter(|url| url.starts_with("http://") || url.starts_with("https://"))
        .ok_or_else(|| Refusal::wrong_parameter(INSERT, "Image", &image.to_string()))?;
    let mut inner = node.lock();
    if slot.of(&mut inner.machine).is_some() {
        return Err(Refusal::conflict("Media are in the drive already: eject them first.".into()));
    }
    *slot.of(&mut inner.machine) = Some(url.to_owned());
    inner.counts.media_inserts += 1;
    Ok(StatusCode::NO_CONTENT)
}

/// Ejecting an empty drive succeeds, as on most BMCs.
pub(super) async fn eject(Path((root, _, id)): From, Extension(node): OfNode) -> Result<StatusCode, Refusal> {
    let (_, slot) = drive(&root, &node, &id)?;
    let mut inner = node.lock();
    if slot.of(&mut inner.machine).take().is_some() {
        inner.counts.media_ejects += 1;
    }
    Ok(StatusCode::NO_CONTENT)
}
