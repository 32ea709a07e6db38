//! What a vendor adds to a system: `Systems/{id}/Oem/Wrought/Cooling`, the profiles below it, and a self-test that takes a while.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::{Body, Refusal};
use super::{OfNode, check_match, collection, link, tagged, tasks};
use crate::fleet::Shared;
use crate::machine::Cooling;
use crate::node::Node;

/// Cooling profiles that a system may have.
const MOST_PROFILES: usize = 16;
const FAN_MODES: [&str; 3] = ["Quiet", "Normal", "Full"];

fn path(node: &Node) -> String {
    format!("{}/Oem/Wrought/Cooling", node.system_path())
}

fn changeable(cooling: &Cooling) -> Value {
    json!({ "FanMode": cooling.fan_mode, "CurveUri": cooling.curve_uri })
}

pub(super) async fn show(Extension(node): OfNode) -> Response {
    let (path, cooling) = (path(&node), node.lock().machine.cooling());
    let resource = json!({
        "@odata.type": "#WroughtCooling.v1_0_0.WroughtCooling",
        "@odata.id": path,
        "Id": "Cooling",
        "Name": "Cooling",
        "FanMode": cooling.fan_mode,
        "FanMode@Redfish.AllowableValues": FAN_MODES,
        "CurveUri": cooling.curve_uri,
        "Profiles": link(&format!("{path}/Profiles")),
        "Actions": { "#WroughtCooling.SelfTest": { "target": format!("{path}/Actions/WroughtCooling.SelfTest") } },
    });
    tagged(&changeable(&cooling), resource)
}

pub(super) async fn change(
    Extension(node): OfNode,
    headers: HeaderMap,
    Body(patch): Body<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    let mut inner = node.lock();
    let mut cooling = inner.machine.cooling();
    check_match(&headers, &changeable(&cooling))?;
    for (name, value) in &patch {
        match (name.as_str(), value) {
            ("FanMode", Value::String(mode)) if FAN_MODES.contains(&mode.as_str()) => cooling.fan_mode = mode.clone(),
            ("FanMode", _) => return Err(Refusal::wrong_value(name, &value.to_string())),
            ("CurveUri", Value::String(uri)) => cooling.curve_uri = Some(uri.clone()),
            ("CurveUri", Value::Null) => cooling.curve_uri = None,
            _ => return Err(Refusal::unknown_property(name)),
        }
    }
    inner.machine.set_cooling(cooling);
    inner.counts.oem_changes += 1;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn profiles(Extension(node): OfNode) -> Json<Value> {
    let path = format!("{}/Profiles", path(&node));
    let ids: Vec<String> = node.lock().machine.cooling().profiles.keys().map(|id| format!("{path}/{id}")).collect();
    collection("WroughtCoolingProfile", "Cooling Profiles", &path, ids.into_iter())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NewProfile {
    name: Option<String>,
}

pub(super) async fn make_profile(Extension(node): OfNode, Body(new): Body<NewProfile>) -> Result<Response, Refusal> {
    let name = new.name.ok_or_else(|| Refusal::missing_property("Name"))?;
    let mut inner = node.lock();
    let mut cooling = inner.machine.cooling();
    let profiles = &mut cooling.profiles;
    if profiles.len() >= MOST_PROFILES {
        return Err(Refusal::conflict("There is no room for another profile.".into()));
    }
    let id = (1..).map(|id| format!("{id}")).find(|id| !profiles.contains_key(id)).unwrap_or_default();
    profiles.insert(id.clone(), name.clone());
    inner.machine.set_cooling(cooling);
    inner.counts.oem_creations += 1;
    let path = format!("{}/Profiles/{id}", path(&node));
    Ok((StatusCode::CREATED, [(header::LOCATION, path.clone())], Json(profile(&path, &id, &name))).into_response())
}

fn profile(path: &str, id: &str, name: &str) -> Value {
    json!({ "@odata.type": "#WroughtCoolingProfile.v1_0_0.WroughtCoolingProfile", "@odata.id": path, "Id": id, "Name": name })
}

pub(super) async fn show_profile(Path((_, id)): Path<(String, String)>, Extension(node): OfNode) -> Result<Json<Value>, Refusal> {
    let path = format!("{}/Profiles/{id}", path(&node));
    let cooling = node.lock().machine.cooling();
    let name = cooling.profiles.get(&id).ok_or_else(|| Refusal::missing(&path))?;
    Ok(Json(profile(&path, &id, name)))
}

pub(super) async fn delete_profile(Path((_, id)): Path<(String, String)>, Extension(node): OfNode) -> Result<StatusCode, Refusal> {
    let mut inner = node.lock();
    let mut cooling = inner.machine.cooling();
    if cooling.profiles.remove(&id).is_none() {
        return Err(Refusal::missing(&format!("{}/Profiles/{id}", path(&node))));
    }
    inner.machine.set_cooling(cooling);
    inner.counts.oem_deletions += 1;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn self_test(State(fleet): State<Arc<Shared>>, Extension(node): OfNode) -> Response {
    node.count(|counts| counts.oem_actions += 1);
    tasks::begin(&fleet, &format!("{}/Actions/WroughtCooling.SelfTest", path(&node)), "SelfTest")
}
