//! A small Ironic API with lookup and heartbeat, and a client of BMCs and agents.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use reqwest::{Client, Method};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wrought_simulator::{Fleet, NodeInfo, Options};

/// What the API knows: sessions by MAC address, and all heartbeats.
#[derive(Default)]
pub struct Known {
    pub tokens: HashMap<String, String>,
    pub heartbeats: Vec<Value>,
    pub lookup_fails: bool,
    /// Findings are taken.
    pub inspects: bool,
    pub findings: Vec<Value>,
    /// `node_uuid` of the lookups.
    pub named: Vec<String>,
}

#[derive(Clone)]
pub struct FakeIronic {
    pub known: Arc<Mutex<Known>>,
    pub url: String,
    task: Arc<tokio::task::JoinHandle<()>>,
}

impl Drop for FakeIronic {
    fn drop(&mut self) {
        if Arc::strong_count(&self.task) == 1 {
            self.task.abort();
        }
    }
}

type Shared = Arc<Mutex<Known>>;

impl FakeIronic {
    pub async fn start() -> Self {
        let known = Shared::default();
        let router = Router::new()
            .route("/", get(|| async { Json(json!({ "default_version": { "id": "v1", "version": "1.115" } })) }))
            .route("/v1/continue_inspection", post(inspection))
            .route("/v1/lookup", get(lookup))
            .route("/v1/heartbeat/{uuid}", post(heartbeat))
            .with_state(Arc::clone(&known));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = Arc::new(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
        Self { known, url, task }
    }

    /// The last heartbeat, once there are more than `seen`.
    pub async fn heartbeat_after(&self, seen: usize) -> Value {
        eventually("a heartbeat", || {
            let known = self.known.lock().unwrap();
            (known.heartbeats.len() > seen).then(|| known.heartbeats.last().unwrap().clone())
        })
        .await
    }

    pub fn heartbeats(&self) -> usize {
        self.known.lock().unwrap().heartbeats.len()
    }

    /// As a host does that switches the power: the next lookup gets a new token.
    pub fn forget_tokens(&self) {
        self.known.lock().unwrap().tokens.clear();
    }
}

async fn inspection(State(known): State<Shared>, Json(findings): Json<Value>) -> Response {
    let mut known = known.lock().unwrap();
    if !known.inspects {
        return StatusCode::NOT_FOUND.into_response();
    }
    known.findings.push(findings);
    (StatusCode::ACCEPTED, Json(json!({ "uuid": "0b5e55ed-1ab0-4000-8000-00000000c0de" }))).into_response()
}

async fn lookup(State(known): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let mac = query["addresses"].clone();
    let mut known = known.lock().unwrap();
    known.named.extend(query.get("node_uuid").cloned());
    if known.lookup_fails {
        return StatusCode::NOT_FOUND.into_response();
    }
    let token = match known.tokens.entry(mac) {
        Entry::Occupied(_) => "******".to_owned(),
        Entry::Vacant(vacant) => {
            let token = format!("token-of-{}-with-more-than-32-characters", vacant.key());
            vacant.insert(token).clone()
        }
    };
    Json(json!({
        "node": { "uuid": "0b5e55ed-1ab0-4000-8000-00000000c0de" },
        "config": { "heartbeat_timeout": 300, "agent_token": token },
    }))
    .into_response()
}

async fn heartbeat(State(known): State<Shared>, Path(uuid): Path<String>, Json(mut body): Json<Value>) -> StatusCode {
    body["uuid"] = uuid.into();
    known.lock().unwrap().heartbeats.push(body);
    StatusCode::ACCEPTED
}

pub fn fast() -> Options {
    Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        nodes: 2,
        power_delay: 0.05,
        boot_delay: 0.05,
        write_delay: 0.3,
        clean_delay: 0.3,
        command_delay: 0.05,
        lookup_retry: 0.05,
        heartbeat_retry: 0.05,
        heartbeat_gap: 0.02,
        ..Options::default()
    }
}

pub async fn fleet(ironic: &FakeIronic, options: Options) -> Fleet {
    Fleet::start(Options { api_url: ironic.url.clone(), ..options }).await.unwrap()
}

/// Waits until `look` sees something, 10 s at most.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(seen) = look() {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

/// A client that trusts the given certificates only.
pub fn client(trusted: &[&str]) -> Client {
    let mut roots = rustls::RootCertStore::empty();
    for pem in trusted {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

/// The BMC of one node, with HTTP Basic.
pub struct Bmc {
    pub client: Client,
    pub url: String,
    pub node: NodeInfo,
}

impl Bmc {
    pub fn of(fleet: &Fleet, index: usize) -> Self {
        Self { client: client(&[]), url: fleet.url(), node: fleet.nodes()[index].clone() }
    }

    pub async fn ask(&self, method: Method, below: &str, body: Option<Value>) -> (StatusCode, Value) {
        let url = format!("{}{}{below}", self.url, self.node.system_path);
        let mut request = self.client.request(method, url).basic_auth(&self.node.username, Some(&self.node.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub async fn reset(&self, kind: &str) -> StatusCode {
        self.ask(Method::POST, "/Actions/ComputerSystem.Reset", Some(json!({ "ResetType": kind }))).await.0
    }

    pub async fn boot_from_cd(&self, image: &str) {
        let (status, body) =
            self.ask(Method::POST, "/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia", Some(json!({ "Image": image }))).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
        let boot = json!({ "Boot": { "BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Once", "HttpBootUri": null } });
        let (status, body) = self.ask(Method::PATCH, "", Some(boot)).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
        assert_eq!(self.reset("On").await, StatusCode::NO_CONTENT);
    }

    pub async fn power_state(&self) -> String {
        self.ask(Method::GET, "", None).await.1["PowerState"].as_str().unwrap().to_owned()
    }
}

/// The agent that a heartbeat told of.
pub struct AgentClient {
    pub client: Client,
    pub url: String,
    pub token: String,
}

impl AgentClient {
    pub fn of(heartbeat: &Value) -> Self {
        Self {
            client: client(&[heartbeat["agent_verify_ca"].as_str().unwrap()]),
            url: heartbeat["callback_url"].as_str().unwrap().to_owned(),
            token: heartbeat["agent_token"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn run(&self, name: &str, params: Value, wait: bool) -> (StatusCode, Value) {
        let url = format!("{}/v1/commands/?wait={wait}&agent_token={}", self.url, self.token);
        let response = self.client.post(url).json(&json!({ "name": name, "params": params })).send().await.unwrap();
        (StatusCode::from_u16(response.status().as_u16()).unwrap(), response.json().await.unwrap())
    }

    pub async fn commands(&self) -> Vec<Value> {
        let url = format!("{}/v1/commands/?agent_token={}", self.url, self.token);
        let body: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        body["commands"].as_array().unwrap().clone()
    }
}

/// Boots node 0 from CD and talks to its agent.
pub async fn booted(ironic: &FakeIronic, fleet: &Fleet) -> (Bmc, AgentClient) {
    let bmc = Bmc::of(fleet, 0);
    bmc.boot_from_cd(&format!("{}/images/ramdisk.iso", fleet.url())).await;
    let heartbeat = ironic.heartbeat_after(0).await;
    (bmc, AgentClient::of(&heartbeat))
}
