//! A machine's virtual CD drive: found below its System or its Managers, tried slot by slot.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::bmc::Media;
use crate::error::{HardwareError, Kind};
use crate::redfish::operation::{Operation, Resource};
use crate::redfish::reply::Reply;

const INSERT: &str = "#VirtualMedia.InsertMedia";
const EJECT: &str = "#VirtualMedia.EjectMedia";
/// Slots and managers looked at, at most.
const MOST: usize = 8;
/// Looks at the slot until it shows the medium.
const LOOKS: usize = 3;

/// What is in the first drive that has something in it.
pub(crate) async fn state(operation: &Operation<'_>, system: &Resource) -> Result<Media, HardwareError> {
    let slots = slots(operation, system).await?;
    let occupied = slots.iter().find(|slot| holds_something(slot)).or(slots.first());
    Ok(occupied.map_or(Media { inserted: false, image: None }, |slot| Media { inserted: holds_something(slot), image: image(slot) }))
}

/// Ejects whatever is in any of the drives.
pub(crate) async fn eject(operation: &Operation<'_>, system: &Resource) -> Result<(), HardwareError> {
    for slot in slots(operation, system).await?.iter().filter(|slot| holds_something(slot)) {
        eject_slot(operation, slot).await?;
    }
    Ok(())
}

/// Ejects all, then inserts into the first slot that takes the image.
pub(crate) async fn insert(operation: &Operation<'_>, system: &Resource, url: &str) -> Result<(), HardwareError> {
    let slots = slots(operation, system).await?;
    for slot in slots.iter().filter(|slot| holds_something(slot)) {
        eject_slot(operation, slot).await?;
    }
    let mut refusal = operation.unsupported("NoVirtualMedia", "the controller has no virtual CD drive that takes an image");
    for slot in &slots {
        let reply = insert_into(operation, slot, url).await?;
        if reply.is_success() {
            return read_back(operation, slot, url).await;
        }
        // The image's address may be a secret, and controllers repeat what they were sent, whole or in parts.
        refusal = reply.refusal_without_words(operation.what);
        // A slot that only serves the remote console.
        if !matches!(reply.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED) {
            break;
        }
    }
    Err(refusal)
}

/// From what most take to what few need; a refused body (400) changes nothing.
async fn insert_into(operation: &Operation<'_>, slot: &Resource, url: &str) -> Result<Reply, HardwareError> {
    let Some(action) = operation.action(slot, INSERT) else {
        return operation.patch(slot, &json!({"Image": url, "Inserted": true})).await;
    };
    let protocol = if url.starts_with("https:") { "HTTPS" } else { "HTTP" };
    let bodies = [
        json!({"Image": url}),
        json!({"Image": url, "Inserted": true, "WriteProtected": true}),
        json!({"Image": url, "Inserted": true, "WriteProtected": true, "TransferProtocolType": protocol, "TransferMethod": "Stream"}),
    ];
    let mut first = None;
    for body in &bodies {
        let reply = operation.post(&action, body).await?;
        if reply.status != StatusCode::BAD_REQUEST {
            return Ok(reply);
        }
        first.get_or_insert(reply);
    }
    // The first refusal is about the image, the later ones may be about their extras.
    first.ok_or_else(|| operation.unsupported("NoVirtualMedia", "nothing was tried"))
}

async fn read_back(operation: &Operation<'_>, slot: &Resource, url: &str) -> Result<(), HardwareError> {
    for look in 0..LOOKS {
        if look > 0 && !operation.pause(Duration::from_secs(1)).await {
            break;
        }
        let now = operation.get(&slot.path).await?;
        if now.value.get("Inserted").and_then(Value::as_bool) == Some(true) || image(&now).as_deref() == Some(url) {
            return Ok(());
        }
    }
    let text = "inserting virtual media: the controller accepted it and does not show it: look again later";
    Err(HardwareError::new(Kind::OutcomeUnknown, "redfish.MediaNotShown", text))
}

async fn eject_slot(operation: &Operation<'_>, slot: &Resource) -> Result<(), HardwareError> {
    let reply = match operation.action(slot, EJECT) {
        Some(action) => operation.post(&action, &json!({})).await?,
        None => operation.patch(slot, &json!({"Image": null, "Inserted": false})).await?,
    };
    if reply.is_success() {
        return Ok(());
    }
    // Refused because it was empty all the time?
    match operation.get(&slot.path).await {
        Ok(now) if !holds_something(&now) => Ok(()),
        _ => Err(operation.refusal(&reply)),
    }
}

fn image(slot: &Resource) -> Option<String> {
    slot.value.get("Image").and_then(Value::as_str).filter(|image| !image.is_empty()).map(str::to_owned)
}

fn holds_something(slot: &Resource) -> bool {
    slot.value.get("Inserted").and_then(Value::as_bool).unwrap_or_else(|| image(slot).is_some())
}

/// The drives that play CDs or DVDs. `unsupported` when there are none.
async fn slots(operation: &Operation<'_>, system: &Resource) -> Result<Vec<Resource>, HardwareError> {
    let mut collections: Vec<String> = operation.link(system.value.get("VirtualMedia")).into_iter().collect();
    let mut found = read_slots(operation, &collections).await?;
    if found.is_empty() {
        let managers = system.value.pointer("/Links/ManagedBy").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        collections.clear();
        for path in managers.iter().take(MOST).filter_map(|manager| operation.link(Some(manager))) {
            let manager = operation.get(&path).await?;
            collections.extend(operation.link(manager.value.get("VirtualMedia")));
        }
        found = read_slots(operation, &collections).await?;
    }
    if found.is_empty() {
        return Err(operation.unsupported("NoVirtualMedia", "the controller has no virtual CD drive"));
    }
    Ok(found)
}

async fn read_slots(operation: &Operation<'_>, collections: &[String]) -> Result<Vec<Resource>, HardwareError> {
    let mut slots = Vec::new();
    for collection in collections {
        let members = match operation.get(collection).await {
            Ok(collection) => collection.value,
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Unsupported) => continue,
            Err(error) => return Err(error),
        };
        let members = members.get("Members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for path in members.iter().take(MOST).filter_map(|member| operation.link(Some(member))) {
            let slot = operation.get(&path).await?;
            if plays_discs(&slot) {
                slots.push(slot);
            }
        }
    }
    Ok(slots)
}

fn plays_discs(slot: &Resource) -> bool {
    let types = slot.value.get("MediaTypes").and_then(Value::as_array);
    types.is_some_and(|types| types.iter().filter_map(Value::as_str).any(|kind| matches!(kind, "CD" | "DVD")))
}
