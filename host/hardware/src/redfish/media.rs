//! A machine's virtual drives: found below its System or its Managers, tried slot by slot.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::bmc::{Drive, Media, MediaKind};
use crate::error::{HardwareError, Kind};
use crate::http::tame;
use crate::redfish::operation::{Operation, Resource};
use crate::redfish::reply::Reply;

const INSERT: &str = "#VirtualMedia.InsertMedia";
const EJECT: &str = "#VirtualMedia.EjectMedia";
/// Slots and managers looked at, at most.
const MOST: usize = 8;
/// Looks at the slot until it shows the medium.
const LOOKS: usize = 3;

/// What is in the first CD drive that has something in it.
pub(crate) async fn state(operation: &Operation<'_>, system: &Resource) -> Result<Media, HardwareError> {
    let slots = slots(operation, system, &[MediaKind::Cd]).await?;
    let occupied = slots.iter().find(|slot| holds_something(slot)).or(slots.first());
    Ok(occupied.map_or(Media { inserted: false, image: None }, media_in))
}

/// Every drive.
pub(crate) async fn drives(operation: &Operation<'_>, system: &Resource) -> Result<Vec<Drive>, HardwareError> {
    let slots = slots(operation, system, &[]).await?;
    Ok(slots.iter().map(|slot| Drive { types: types(slot).map(|kind| tame(kind, 32)).collect(), media: media_in(slot) }).collect())
}

/// Ejects whatever is in any of the drives for media of these kinds; in any at all if there are none.
pub(crate) async fn eject(operation: &Operation<'_>, system: &Resource, kinds: &[MediaKind]) -> Result<(), HardwareError> {
    for slot in slots(operation, system, kinds).await?.iter().filter(|slot| holds_something(slot)) {
        eject_slot(operation, slot).await?;
    }
    Ok(())
}

/// Ejects all of this kind, then inserts into the first slot that takes the image.
pub(crate) async fn insert(operation: &Operation<'_>, system: &Resource, kind: MediaKind, url: &str) -> Result<(), HardwareError> {
    let slots = slots(operation, system, &[kind]).await?;
    for slot in slots.iter().filter(|slot| holds_something(slot)) {
        eject_slot(operation, slot).await?;
    }
    let mut refusal = operation.unsupported("NoVirtualMedia", "the controller has no such virtual drive that takes an image");
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

fn media_in(slot: &Resource) -> Media {
    Media { inserted: holds_something(slot), image: image(slot) }
}

/// The drives that play media of these kinds, or of any if there are none. `unsupported` when there is no such drive.
async fn slots(operation: &Operation<'_>, system: &Resource, kinds: &[MediaKind]) -> Result<Vec<Resource>, HardwareError> {
    let mut collections: Vec<String> = operation.link(system.value.get("VirtualMedia")).into_iter().collect();
    let mut found = read_slots(operation, &collections, kinds).await?;
    if found.is_empty() {
        let managers = system.value.pointer("/Links/ManagedBy").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        collections.clear();
        for path in managers.iter().take(MOST).filter_map(|manager| operation.link(Some(manager))) {
            let manager = operation.get(&path).await?;
            collections.extend(operation.link(manager.value.get("VirtualMedia")));
        }
        found = read_slots(operation, &collections, kinds).await?;
    }
    if found.is_empty() {
        return Err(operation.unsupported(
            "NoVirtualMedia",
            if kinds == [MediaKind::Cd] { "the controller has no virtual CD drive" } else { "the controller has no such virtual drive" },
        ));
    }
    Ok(found)
}

async fn read_slots(operation: &Operation<'_>, collections: &[String], kinds: &[MediaKind]) -> Result<Vec<Resource>, HardwareError> {
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
            if plays(&slot, kinds) {
                slots.push(slot);
            }
        }
    }
    Ok(slots)
}

fn types(slot: &Resource) -> impl Iterator<Item = &str> {
    slot.value.get("MediaTypes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn plays(slot: &Resource, kinds: &[MediaKind]) -> bool {
    kinds.is_empty() || types(slot).any(|media_type| kinds.iter().any(|kind| kind.is_played_as(media_type)))
}
