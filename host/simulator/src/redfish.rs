//! The BMCs of all nodes as one Redfish service: each node is a system with a manager and a chassis of the same id.
//!
//! | resource | methods |
//! |---|---|
//! | `/redfish/v1/` | GET, without authentication |
//! | `SessionService`, `SessionService/Sessions`, `.../{id}` | GET, POST (log in), DELETE (log out) |
//! | `Systems`, `Systems/{id}` | GET, PATCH (boot override, lamp) |
//! | `Systems/{id}/Actions/ComputerSystem.Reset` | POST |
//! | `Systems/{id}/SecureBoot` | GET, PATCH |
//! | `Systems/{id}/` `Processors`, `Memory`, `Storage`, `EthernetInterfaces` and what is in them, `Bios` | GET |
//! | `{Systems,Managers}/{id}/VirtualMedia`, `.../{Cd,Floppy}` and its `InsertMedia`, `EjectMedia` | GET, POST |
//! | `Managers`, `Managers/{id}`, `Chassis`, `Chassis/{id}` | GET; of a chassis PATCH (lamp) |
//! | `Systems/{id}/Oem/Wrought/Cooling`, `.../Profiles`, `.../Profiles/{id}`, its self-test | GET, PATCH, POST, DELETE |
//! | `UpdateService`, its `SimpleUpdate`; `TaskService`, `.../Tasks`, `.../Tasks/{id}`, `.../TaskMonitors/{id}` | GET, POST |
//! | `UpdateService/update`, `.../update-multipart`: files that are pushed | POST |
//! | `UpdateService/FirmwareInventory`, `.../{id}` | GET |
//! | `AccountService`, `.../Accounts`, `.../Accounts/1` | GET |
//!
//! It is as strict as the stricter of real BMCs: a reset to the state that the server is in is refused, `If-Match` is checked, a
//! drive must be empty before media go in, sessions are few.

mod error;
mod inventory;
mod media;
mod oem;
mod parts;
mod session;
mod system;
mod tasks;
mod update;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::fleet::Shared;
use crate::node::Node;
use error::Refusal;
pub(crate) use session::Sessions;
pub(crate) use tasks::Tasks;
pub use update::PushedFile;
pub(crate) use update::Updates;

/// The node that a request is about, put there by [`about_node`].
type OfNode = axum::Extension<Arc<Node>>;

pub(crate) fn router(fleet: &Arc<Shared>) -> Router {
    let nodes = Router::new()
        .route("/redfish/v1/Systems/{id}", get(system::show).patch(system::change))
        .route("/redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset", post(system::reset))
        .route("/redfish/v1/Systems/{id}/SecureBoot", get(system::secure_boot).patch(system::change_secure_boot))
        .route("/redfish/v1/Systems/{id}/EthernetInterfaces", get(parts::network_cards))
        .route("/redfish/v1/Systems/{id}/EthernetInterfaces/{part}", get(parts::network_card))
        .route("/redfish/v1/Systems/{id}/Processors", get(parts::processors))
        .route("/redfish/v1/Systems/{id}/Processors/{part}", get(parts::processor))
        .route("/redfish/v1/Systems/{id}/Memory", get(parts::memory))
        .route("/redfish/v1/Systems/{id}/Memory/{part}", get(parts::module))
        .route("/redfish/v1/Systems/{id}/Storage", get(parts::storage))
        .route("/redfish/v1/Systems/{id}/Storage/SATA", get(parts::controller))
        .route("/redfish/v1/Systems/{id}/Storage/SATA/Drives/{part}", get(parts::drive))
        .route("/redfish/v1/Systems/{id}/Bios", get(parts::bios))
        .route("/redfish/v1/{root}/{id}/VirtualMedia", get(media::slots))
        .route("/redfish/v1/{root}/{id}/VirtualMedia/{drive}", get(media::slot))
        .route("/redfish/v1/{root}/{id}/VirtualMedia/{drive}/Actions/VirtualMedia.InsertMedia", post(media::insert))
        .route("/redfish/v1/{root}/{id}/VirtualMedia/{drive}/Actions/VirtualMedia.EjectMedia", post(media::eject))
        .route("/redfish/v1/Managers/{id}", get(inventory::manager))
        .route("/redfish/v1/Chassis/{id}", get(inventory::chassis).patch(inventory::change_chassis))
        .route("/redfish/v1/Systems/{id}/Oem/Wrought/Cooling", get(oem::show).patch(oem::change))
        .route("/redfish/v1/Systems/{id}/Oem/Wrought/Cooling/Actions/WroughtCooling.SelfTest", post(oem::self_test))
        .route("/redfish/v1/Systems/{id}/Oem/Wrought/Cooling/Profiles", get(oem::profiles).post(oem::make_profile))
        .route("/redfish/v1/Systems/{id}/Oem/Wrought/Cooling/Profiles/{profile}", get(oem::show_profile).delete(oem::delete_profile))
        .layer(from_fn_with_state(Arc::clone(fleet), about_node));
    let service = Router::new()
        .route("/redfish/v1/SessionService", get(session::service))
        .route("/redfish/v1/SessionService/Sessions/{id}", get(session::show).delete(session::log_out))
        .route("/redfish/v1/Systems", get(inventory::systems))
        .route("/redfish/v1/Managers", get(inventory::managers))
        .route("/redfish/v1/Chassis", get(inventory::all_chassis))
        .route("/redfish/v1/TaskService", get(tasks::service))
        .route("/redfish/v1/TaskService/Tasks", get(tasks::list))
        .route("/redfish/v1/TaskService/Tasks/{id}", get(tasks::show))
        .route("/redfish/v1/TaskService/TaskMonitors/{id}", get(tasks::monitor))
        .route("/redfish/v1/UpdateService", get(update::service))
        .route("/redfish/v1/UpdateService/FirmwareInventory", get(parts::firmware))
        .route("/redfish/v1/UpdateService/FirmwareInventory/{component}", get(parts::component))
        .route(update::PUSH, post(update::push))
        .route(update::PUSH_PARTS, post(update::push_parts))
        .route("/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate", post(tasks::simple_update))
        .route("/redfish/v1/AccountService", get(tasks::account_service))
        .route("/redfish/v1/AccountService/Accounts", get(tasks::accounts))
        .route("/redfish/v1/AccountService/Accounts/1", get(tasks::account))
        .merge(nodes)
        .layer(from_fn_with_state(Arc::clone(fleet), authenticated));
    Router::new()
        .route("/redfish", get(|| async { Json(json!({ "v1": "/redfish/v1/" })) }))
        .route("/redfish/v1", get(root))
        .route("/redfish/v1/", get(root))
        // Logging in needs no login; listing the sessions does, which its handler checks.
        .route("/redfish/v1/SessionService/Sessions", get(session::list).post(session::log_in))
        .merge(service)
        .with_state(Arc::clone(fleet))
}

async fn root() -> Json<Value> {
    Json(json!({
        "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "@odata.id": "/redfish/v1/",
        "Id": "RootService",
        "Name": "Simulated BMC",
        "RedfishVersion": "1.15.0",
        "Vendor": "Wrought",
        "Product": "Simulated BMC",
        "Systems": link("/redfish/v1/Systems"),
        "Managers": link("/redfish/v1/Managers"),
        "Chassis": link("/redfish/v1/Chassis"),
        "SessionService": link("/redfish/v1/SessionService"),
        "AccountService": link("/redfish/v1/AccountService"),
        "UpdateService": link("/redfish/v1/UpdateService"),
        "Tasks": link("/redfish/v1/TaskService"),
        "Links": { "Sessions": link("/redfish/v1/SessionService/Sessions") },
    }))
}

async fn authenticated(State(fleet): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match session::check(&fleet, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Finds the node, applies its faults and counts the request.
async fn about_node(State(fleet): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let mut parts = path.split('/').skip(3);
    let (Some("Systems" | "Managers" | "Chassis"), Some(id)) = (parts.next(), parts.next()) else {
        return Refusal::missing(path).into_response();
    };
    let Some(node) = fleet.by_id(id).cloned() else {
        return Refusal::missing(path).into_response();
    };
    let _in_flight = node.request();
    let faults = node.lock().faults.clone();
    if let Ok(delay) = Duration::try_from_secs_f64(faults.delay_s) {
        tokio::time::sleep(delay).await;
    }
    let refused = faults.fail_insert_media && request.uri().path().ends_with("VirtualMedia.InsertMedia");
    let status = faults.bmc_status.and_then(|status| StatusCode::from_u16(status).ok());
    if let Some(status) = status.or(refused.then_some(StatusCode::BAD_REQUEST)) {
        let told = if faults.echo { echo(&fleet, request).await } else { String::new() };
        return Refusal::fault(status, &told).into_response();
    }
    request.extensions_mut().insert(Arc::clone(&node));
    next.run(request).await
}

/// All that a request says, as a BMC with a talkative debug page repeats it.
async fn echo(fleet: &Shared, request: Request) -> String {
    let headers = format!("{:?}", request.headers());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    format!("{headers} {} for the password {}", String::from_utf8_lossy(&body), fleet.options.password)
}

fn link(path: &str) -> Value {
    json!({ "@odata.id": path })
}

fn collection(kind: &str, name: &str, path: &str, members: impl Iterator<Item = String>) -> Json<Value> {
    let members: Vec<_> = members.map(|member| link(&member)).collect();
    Json(json!({
        "@odata.type": format!("#{kind}Collection.{kind}Collection"),
        "@odata.id": path,
        "Name": name,
        "Members@odata.count": members.len(),
        "Members": members,
    }))
}

/// The resource with the ETag of what can be changed in it.
fn tagged(changeable: &Value, mut resource: Value) -> Response {
    let tag = etag(changeable);
    if let Some(resource) = resource.as_object_mut() {
        resource.insert("@odata.etag".into(), tag.clone().into());
    }
    ([(header::ETAG, tag)], Json(resource)).into_response()
}

fn etag(changeable: &Value) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    changeable.to_string().hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// A change based upon an older version is refused; one without `If-Match` is taken.
fn check_match(headers: &HeaderMap, changeable: &Value) -> Result<(), Refusal> {
    let Some(wanted) = headers.get(header::IF_MATCH) else {
        return Ok(());
    };
    let current = etag(changeable);
    let matches = wanted.to_str().is_ok_and(|wanted| wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == current));
    if matches { Ok(()) } else { Err(Refusal::stale()) }
}
