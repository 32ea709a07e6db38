//! A small controller for tests: a table of resources, a log of requests, and a hook for what is odd.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use wrought_hardware::redfish::{RedfishRegistry, RedfishTarget};
use wrought_hardware::{Bmc, RedfishConfig};

pub const SYSTEM: &str = "/redfish/v1/Systems/1";
pub const RESET: &str = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
pub const CD: &str = "/redfish/v1/Systems/1/VirtualMedia/Cd";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /redfish/v1/`.
    pub line: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What the mock does with a request instead of the usual.
pub enum Odd {
    Usual,
    /// This status, these headers, this body.
    Answer(u16, Vec<(&'static str, String)>, Value),
    /// Does the usual, then drops the connection.
    LoseAnswer,
    /// Does nothing and drops the connection.
    LoseRequest,
}

type Hook = Box<dyn FnMut(&Seen, &mut HashMap<String, Value>) -> Odd + Send>;

pub struct MockBmc {
    pub address: SocketAddr,
    pub resources: Mutex<HashMap<String, Value>>,
    seen: Mutex<Vec<Seen>>,
    hook: Mutex<Hook>,
    in_flight: AtomicUsize,
    pub most_in_flight: AtomicUsize,
}

impl MockBmc {
    pub async fn start(hook: impl FnMut(&Seen, &mut HashMap<String, Value>) -> Odd + Send + 'static) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mock = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            resources: Mutex::new(resources()),
            seen: Mutex::default(),
            hook: Mutex::new(Box::new(hook)),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        });
        let served = mock.clone();
        let router = Router::new().fallback(move |request: Request| {
            let mock = served.clone();
            async move { mock.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        mock
    }

    pub fn driver_info(&self) -> Map<String, Value> {
        let info = json!({
            "redfish_address": format!("http://{}", self.address), "redfish_username": "admin", "redfish_password": "right",
        });
        info.as_object().unwrap().clone()
    }

    pub fn target(&self) -> RedfishTarget {
        RedfishTarget::from_driver_info(&self.driver_info()).unwrap()
    }

    /// A machine of a registry of its own.
    pub fn bmc(&self) -> Arc<dyn Bmc> {
        RedfishRegistry::new(RedfishConfig::default()).get(&self.target()).unwrap()
    }

    /// Requests whose line begins with `start`.
    pub fn seen(&self, start: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.line.starts_with(start)).cloned().collect()
    }

    pub fn set(&self, path: &str, pointer: &str, value: Value) {
        *self.resources.lock().unwrap().get_mut(path).unwrap().pointer_mut(pointer).unwrap() = value;
    }

    async fn answer(&self, request: Request) -> Response<Body> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        // Lets what comes together be together.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let seen = Seen { line: format!("{} {}", parts.method, parts.uri.path()), headers: parts.headers, body };
        self.seen.lock().unwrap().push(seen.clone());
        let mut resources = self.resources.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let odd = (self.hook.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(&seen, &mut resources);
        let (status, headers, body) = match odd {
            Odd::Usual => usual(&seen, &mut resources),
            Odd::Answer(status, headers, body) => (status, headers, body),
            Odd::LoseAnswer => {
                usual(&seen, &mut resources);
                drop(resources);
                panic!("the answer is lost on purpose");
            }
            Odd::LoseRequest => {
                drop(resources);
                panic!("the request is lost on purpose");
            }
        };
        drop(resources);
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let mut response = Response::builder().status(status).header("content-type", "application/json");
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        response.body(body).unwrap().into_response()
    }
}

pub fn error(status: u16, id: &str) -> Odd {
    let body = json!({"error": {"code": "Base.1.0.GeneralError", "@Message.ExtendedInfo": [{"MessageId": format!("Base.1.0.{id}")}]}});
    Odd::Answer(status, vec![], body)
}

/// What a well-behaved controller with sessions does.
fn usual(seen: &Seen, resources: &mut HashMap<String, Value>) -> (u16, Vec<(&'static str, String)>, Value) {
    let (method, path) = seen.line.split_once(' ').unwrap();
    if path == "/redfish/v1/SessionService/Sessions" && method == "POST" {
        let right = seen.body["Password"] == "right";
        let headers = vec![("X-Auth-Token", "token-1".to_owned()), ("Location", format!("{path}/7"))];
        return if right { (201, headers, json!({})) } else { (401, vec![], Value::Null) };
    }
    let basic = seen.header("authorization").is_some_and(|value| value == "Basic YWRtaW46cmlnaHQ=");
    let token = seen.header("x-auth-token").is_some_and(|value| value == "token-1");
    if path != "/redfish/v1/" && !basic && !token {
        return (401, vec![], Value::Null);
    }
    let path = path.trim_end_matches('/');
    match method {
        "GET" => resources.get(path).map_or((404, vec![], Value::Null), |value| (200, vec![], value.clone())),
        "DELETE" => (204, vec![], Value::Null),
        "PATCH" => {
            let Some(resource) = resources.get_mut(path) else { return (404, vec![], Value::Null) };
            merge(resource, &seen.body);
            (204, vec![], Value::Null)
        }
        _ => act(path, &seen.body, resources),
    }
}

fn act(path: &str, body: &Value, resources: &mut HashMap<String, Value>) -> (u16, Vec<(&'static str, String)>, Value) {
    let (resource, action) = path.split_once("/Actions/").unwrap();
    let Some(resource) = resources.get_mut(resource) else { return (404, vec![], Value::Null) };
    match action {
        "ComputerSystem.Reset" => {
            resource["PowerState"] = if body["ResetType"] == "On" { json!("On") } else { json!("Off") };
        }
        "VirtualMedia.InsertMedia" => merge(resource, &json!({"Image": body["Image"], "Inserted": true})),
        "VirtualMedia.EjectMedia" => merge(resource, &json!({"Image": "", "Inserted": false})),
        _ => return (404, vec![], Value::Null),
    }
    (204, vec![], Value::Null)
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        if value.is_object() { merge(&mut into[key], value) } else { into[key] = value.clone() }
    }
}

fn resources() -> HashMap<String, Value> {
    let link = |path: &str| json!({"@odata.id": path});
    let slot = |path: &str, types: Value| {
        json!({"@odata.id": path, "MediaTypes": types, "Image": "", "Inserted": false, "Actions": {
            "#VirtualMedia.InsertMedia": {"target": format!("{path}/Actions/VirtualMedia.InsertMedia")},
            "#VirtualMedia.EjectMedia": {"target": format!("{path}/Actions/VirtualMedia.EjectMedia")},
        }})
    };
    let media = "/redfish/v1/Systems/1/VirtualMedia";
    let table = [
        (
            "/redfish/v1",
            json!({"SessionService": link("/redfish/v1/SessionService"), "Links": {"Sessions": link("/redfish/v1/SessionService/Sessions")}}),
        ),
        ("/redfish/v1/Systems", json!({"Members": [link(SYSTEM)]})),
        (
            SYSTEM,
            json!({
                "Manufacturer": "ACME", "Model": "One", "PowerState": "Off",
                "Boot": {
                    "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None", "BootSourceOverrideMode": "UEFI",
                    "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Cd", "Hdd"],
                },
                "SecureBoot": link("/redfish/v1/Systems/1/SecureBoot"),
                "VirtualMedia": link(media),
                "Links": {"ManagedBy": [link("/redfish/v1/Managers/1")]},
                "Actions": {"#ComputerSystem.Reset": {
                    "target": RESET, "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown"],
                }},
            }),
        ),
        ("/redfish/v1/Systems/1/SecureBoot", json!({"SecureBootEnable": false})),
        ("/redfish/v1/Managers/1", json!({"VirtualMedia": link("/redfish/v1/Managers/1/VirtualMedia")})),
        (media, json!({"Members": [link(&format!("{media}/Floppy")), link(&format!("{media}/Kvm")), link(CD)]})),
        ("/redfish/v1/Systems/1/VirtualMedia/Floppy", slot("/redfish/v1/Systems/1/VirtualMedia/Floppy", json!(["Floppy"]))),
        ("/redfish/v1/Systems/1/VirtualMedia/Kvm", slot("/redfish/v1/Systems/1/VirtualMedia/Kvm", json!(["DVD"]))),
        (CD, slot(CD, json!(["CD", "DVD"]))),
    ];
    table.into_iter().map(|(path, value)| (path.to_owned(), value)).collect()
}
