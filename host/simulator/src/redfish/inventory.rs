//! The collections, managers and chassis: what they tell, and the lamp of a chassis.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

use super::error::{Body, Refusal};
use super::{OfNode, check_match, collection, link, tagged};
use crate::fleet::Shared;
use crate::hardware;

pub(super) async fn systems(State(fleet): State<Arc<Shared>>) -> Json<Value> {
    all(&fleet, "ComputerSystem", "Systems")
}

pub(super) async fn managers(State(fleet): State<Arc<Shared>>) -> Json<Value> {
    all(&fleet, "Manager", "Managers")
}

pub(super) async fn all_chassis(State(fleet): State<Arc<Shared>>) -> Json<Value> {
    all(&fleet, "Chassis", "Chassis")
}

fn all(fleet: &Shared, kind: &str, name: &str) -> Json<Value> {
    let path = format!("/redfish/v1/{name}");
    collection(kind, name, &path, fleet.nodes.iter().map(|node| format!("{path}/{}", node.id)))
}

pub(super) async fn manager(Extension(node): OfNode) -> Json<Value> {
    let (id, path) = (node.id, format!("/redfish/v1/Managers/{}", node.id));
    Json(json!({
        "@odata.type": "#Manager.v1_3_1.Manager",
        "@odata.id": path,
        "Id": id,
        "UUID": id,
        "Name": format!("sim-{} BMC", node.index),
        "ManagerType": "BMC",
        "Model": "Simulated BMC",
        "FirmwareVersion": hardware::BMC_VERSION,
        "PowerState": "On",
        "DateTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        "Status": { "State": "Enabled", "Health": "OK" },
        "VirtualMedia": link(&format!("{path}/VirtualMedia")),
        "Links": {
            "ManagerForServers": [link(&node.system_path())],
            "ManagerForChassis": [link(&format!("/redfish/v1/Chassis/{id}"))],
        },
    }))
}

/// `PATCH`: the lamp alone.
pub(super) async fn change_chassis(
    Extension(node): OfNode,
    headers: HeaderMap,
    Body(patch): Body<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    let mut inner = node.lock();
    check_match(&headers, &inner.machine.location_active.into())?;
    let mut active = inner.machine.location_active;
    for (name, value) in &patch {
        match (name.as_str(), value.as_bool()) {
            ("LocationIndicatorActive", Some(wanted)) => active = wanted,
            ("LocationIndicatorActive", None) => return Err(Refusal::wrong_value(name, &value.to_string())),
            _ => return Err(Refusal::unknown_property(name)),
        }
    }
    inner.machine.location_active = active;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn chassis(Extension(node): OfNode) -> Response {
    let id = node.id;
    let machine = node.lock().machine.clone();
    let resource = json!({
        "@odata.type": "#Chassis.v1_5_0.Chassis",
        "@odata.id": format!("/redfish/v1/Chassis/{id}"),
        "Id": id,
        "Name": format!("sim-{} chassis", node.index),
        "ChassisType": "RackMount",
        "Manufacturer": hardware::MANUFACTURER,
        "Model": hardware::MODEL,
        "SerialNumber": hardware::serial(&node),
        "PowerState": machine.power_state(),
        "LocationIndicatorActive": machine.location_active,
        "Status": { "State": "Enabled", "Health": "OK" },
        "Links": {
            "ComputerSystems": [link(&node.system_path())],
            "ManagedBy": [link(&format!("/redfish/v1/Managers/{id}"))],
        },
    });
    tagged(&machine.location_active.into(), resource)
}
