//! What only tells: the collections, managers and chassis.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::{OfNode, collection, link};
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

pub(super) async fn chassis(Extension(node): OfNode) -> Json<Value> {
    let id = node.id;
    Json(json!({
        "@odata.type": "#Chassis.v1_5_0.Chassis",
        "@odata.id": format!("/redfish/v1/Chassis/{id}"),
        "Id": id,
        "Name": format!("sim-{} chassis", node.index),
        "ChassisType": "RackMount",
        "Manufacturer": hardware::MANUFACTURER,
        "Model": hardware::MODEL,
        "SerialNumber": hardware::serial(&node),
        "PowerState": node.lock().machine.power_state(),
        "Status": { "State": "Enabled", "Health": "OK" },
        "Links": {
            "ComputerSystems": [link(&node.system_path())],
            "ManagedBy": [link(&format!("/redfish/v1/Managers/{id}"))],
        },
    }))
}
