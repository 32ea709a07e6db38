//! A host without machines: a real store, and a conductor that notes what it is asked for.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use futures::TryStreamExt;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;
use wrought_api::{ApiConfig, Service};
use wrought_conductor::{
    ArtifactTicket, ArtifactUpload, BootDevice, BrokenOff, DriverDecision, DriverUpload, EventsAsked, Heartbeat, Indicator,
    InterfaceValidation, Lookup, ProvisionRequest, RecordedCall, RecordedOperation, Refusal, RevokeRequest, VendorMethod, VirtualDrive,
};
use wrought_domain::{Allocation, ArtifactName, Digest, DriverName, Map, Node, NodeId, OperationId, Principal, Verb};
use wrought_engine::{PowerTarget, Setting};
use wrought_inspection::Posted;
use wrought_inspection::rules::Rule;
use wrought_storage::{AuditQuery, Durability, NodeRef, Reserved, Revision, Store, StoreError};

/// The newest version.
pub const NEWEST: &str = "1.115";

/// What the conductor was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Provision(NodeId, Verb, ProvisionRequest),
    Power(NodeId, PowerTarget, Option<u32>),
    BootDevice(NodeId, String, bool),
    Set(NodeId, Setting),
    Nmi(NodeId),
    Indicator(NodeId, String, String, String),
    Attach(NodeId, String, String),
    Detach(NodeId, Vec<String>),
    Lookup(Vec<String>, Option<NodeId>),
    Heartbeat(NodeId, Heartbeat),
    UploadArtifact(ArtifactName, Option<u64>, Option<Digest>, usize),
    DeleteArtifact(String),
    Upload(DriverName, Option<u64>, Option<String>, usize),
    Delete(DriverName, String),
    Decide(DriverName, DriverDecision),
    Revoke(RevokeRequest),
    Audit(AuditQuery),
    Journal(Option<String>, Option<Timestamp>, u32),
    Export(String, bool),
    Unlock(String, String),
    Events(EventsAsked),
    Why(String),
    Retry(String, bool),
    Cancel(String),
    Inspection(Vec<String>, bool),
    BreakLock(String, String),
}

/// An operation of the journal.
pub fn recorded() -> RecordedOperation {
    RecordedOperation {
        id: OperationId(uuid::Uuid::from_u128(7)),
        node: NodeId(uuid::Uuid::from_u128(8)),
        kind: "deploy".into(),
        user: "ada".into(),
        began_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
        error: None,
        calls: 0,
        bytes: 0,
    }
}

pub struct Conductor {
    store: Store,
    asked: Mutex<Vec<Asked>>,
}

fn refusal(error: StoreError) -> Refusal {
    match error {
        StoreError::Reserved { node, host } => Refusal::Locked { node, host },
        StoreError::Stale { .. } => Refusal::Stale(error.to_string()),
        StoreError::Duplicate(_) | StoreError::Refused(_) => Refusal::Conflict(error.to_string()),
        StoreError::NotFound { .. } => Refusal::NotFound(error.to_string()),
        other => Refusal::Internal(other.to_string()),
    }
}

impl Conductor {
    fn note(&self, asked: Asked) -> Result<(), Refusal> {
        self.asked.lock().unwrap().push(asked);
        Ok(())
    }
}

#[async_trait]
impl Service for Conductor {
    fn store(&self) -> &Store {
        &self.store
    }

    fn host(&self) -> &str {
        "testhost"
    }

    async fn provision(&self, _: &Principal, node: NodeId, verb: Verb, request: ProvisionRequest) -> Result<(), Refusal> {
        if verb == Verb::Adopt {
            panic!("the handler's thread must survive this");
        }
        self.note(Asked::Provision(node, verb, request))
    }

    async fn set_power(&self, _: &Principal, node: NodeId, target: PowerTarget, timeout_s: Option<u32>) -> Result<(), Refusal> {
        self.note(Asked::Power(node, target, timeout_s))
    }

    async fn set_maintenance(&self, who: &Principal, node: NodeId, on: bool, reason: Option<String>) -> Result<(), Refusal> {
        self.store.set_maintenance(who, node, on, reason).await.map(drop).map_err(refusal)
    }

    async fn validate(&self, _: &Principal, _: NodeId) -> Result<Vec<InterfaceValidation>, Refusal> {
        Ok(vec![
            InterfaceValidation { interface: "power", result: Some(true), reason: None },
            InterfaceValidation { interface: "deploy", result: Some(false), reason: Some("no image".into()) },
            InterfaceValidation { interface: "raid", result: None, reason: Some("not supported".into()) },
        ])
    }

    async fn create_node(&self, who: &Principal, node: Node) -> Result<Node, Refusal> {
        self.store.create_node(who, node).await.map(|stored| stored.value).map_err(refusal)
    }

    async fn update_node(&self, who: &Principal, node: Node, revision: u64) -> Result<Node, Refusal> {
        let updated = self.store.update_node(who, node, Revision(revision), Reserved::Refuse).await;
        updated.map(|stored| stored.value).map_err(refusal)
    }

    async fn delete_node(&self, who: &Principal, node: NodeId, revision: u64) -> Result<(), Refusal> {
        self.store.delete_node(who, node, Revision(revision)).await.map_err(refusal)
    }

    async fn boot_device(&self, _: &Principal, _: NodeId) -> Result<BootDevice, Refusal> {
        Ok(BootDevice { device: Some("disk".into()), persistent: Some(true) })
    }

    async fn set_boot_device(&self, _: &Principal, node: NodeId, device: &str, persistent: bool) -> Result<(), Refusal> {
        self.note(Asked::BootDevice(node, device.to_owned(), persistent))
    }

    async fn supported_boot_devices(&self, _: &Principal, _: NodeId) -> Result<Vec<String>, Refusal> {
        Ok(vec!["pxe".into(), "disk".into()])
    }

    async fn set(&self, _: &Principal, node: NodeId, setting: Setting) -> Result<(), Refusal> {
        self.note(Asked::Set(node, setting))
    }

    async fn inject_nmi(&self, _: &Principal, node: NodeId) -> Result<(), Refusal> {
        self.note(Asked::Nmi(node))
    }

    async fn indicators(&self, _: &Principal, _: NodeId) -> Result<Vec<Indicator>, Refusal> {
        let indicator = |component| Indicator { component, name: "led".into(), state: "off", states: vec!["off", "on"] };
        Ok(vec![indicator("system"), indicator("chassis")])
    }

    async fn set_indicator(&self, _: &Principal, node: NodeId, component: &str, name: &str, state: &str) -> Result<(), Refusal> {
        self.note(Asked::Indicator(node, component.into(), name.into(), state.into()))
    }

    async fn virtual_media(&self, _: &Principal, _: NodeId) -> Result<Vec<VirtualDrive>, Refusal> {
        Ok(vec![VirtualDrive { media_types: vec!["CD".into()], inserted: true, image: Some("http://images/x.iso".into()) }])
    }

    async fn attach_media(&self, _: &Principal, node: NodeId, device: &str, url: &str) -> Result<(), Refusal> {
        self.note(Asked::Attach(node, device.into(), url.into()))
    }

    async fn detach_media(&self, _: &Principal, node: NodeId, devices: &[String]) -> Result<(), Refusal> {
        self.note(Asked::Detach(node, devices.to_vec()))
    }

    async fn create_allocation(&self, who: &Principal, allocation: Allocation, node: Option<NodeId>) -> Result<Allocation, Refusal> {
        let stored = match node {
            Some(node) => self.store.backfill_allocation(who, allocation, node).await,
            None => self.store.add_allocation(allocation).await,
        };
        stored.map_err(refusal)
    }

    async fn vendor_methods(&self, _: &Principal, _: NodeId) -> Result<Vec<VendorMethod>, Refusal> {
        let (name, description) = ("blink".into(), "Blinks.".into());
        Ok(vec![VendorMethod { name, description, http_methods: vec!["POST".into()], effects: true }])
    }

    async fn call_vendor_method(&self, _: &Principal, _: NodeId, method: &str, http: &str, body: Value) -> Result<Option<Value>, Refusal> {
        match (method, http) {
            ("blink", _) => Ok(None),
            ("echo", http) => Ok(Some(json!({"http": http, "body": body}))),
            _ => Err(Refusal::Invalid(format!("Driver d does not support vendor passthru method {method}."))),
        }
    }

    async fn lookup(&self, addresses: &[String], node: Option<NodeId>, _: IpAddr) -> Result<Lookup, Refusal> {
        self.note(Asked::Lookup(addresses.to_vec(), node))?;
        let found = self.store.nodes_with_addresses(addresses).await.map_err(refusal)?;
        let [id] = found.as_slice() else { return Err(Refusal::NotFound("no node".into())) };
        let object = |value: Value| value.as_object().cloned().unwrap();
        Ok(Lookup {
            node: object(json!({"uuid": id, "properties": {}, "instance_info": {}, "driver_internal_info": {}})),
            config: object(json!({"heartbeat_timeout": 300, "agent_token": "t"})),
        })
    }

    async fn heartbeat(&self, node: NodeId, beat: Heartbeat) -> Result<(), Refusal> {
        self.note(Asked::Heartbeat(node, beat))
    }

    async fn continue_inspection(&self, posted: Posted, lookup: bool, peer: IpAddr) -> Result<(NodeId, Option<Lookup>), Refusal> {
        let addresses = posted.addresses().to_vec();
        let found = self.lookup(&addresses, None, peer).await?;
        let node = NodeId(found.node["uuid"].as_str().unwrap().parse().unwrap());
        self.asked.lock().unwrap().pop();
        self.note(Asked::Inspection(addresses, lookup))?;
        Ok((node, lookup.then_some(found)))
    }

    async fn add_inspection_rule(&self, _: &Principal, rule: Rule) -> Result<Rule, Refusal> {
        rule.check().map_err(|error| Refusal::Invalid(error.to_string()))?;
        self.store.add_inspection_rule(rule).await.map_err(refusal)
    }

    async fn update_inspection_rule(&self, _: &Principal, before: &Rule, after: Rule) -> Result<Rule, Refusal> {
        after.check().map_err(|error| Refusal::Invalid(error.to_string()))?;
        self.store.update_inspection_rule(before, after).await.map_err(refusal)
    }

    async fn delete_inspection_rule(&self, _: &Principal, rule: uuid::Uuid) -> Result<(), Refusal> {
        self.store.delete_inspection_rule(rule).await.map_err(refusal)
    }

    fn deploy_interfaces(&self) -> Vec<String> {
        vec!["acme".into(), "direct".into(), "fake".into()]
    }

    fn interface_drivers(&self, interface: &str) -> Vec<String> {
        if interface == "raid" { vec!["acme-raid".into()] } else { Vec::new() }
    }

    fn driver_properties(&self, hardware_type: &str) -> Option<Vec<(String, String)>> {
        (hardware_type == "redfish").then(|| vec![("redfish_address".into(), "The URL of the controller. Required.".into())])
    }

    async fn upload_artifact(&self, _: &Principal, name: ArtifactName, upload: ArtifactUpload) -> Result<Value, Refusal> {
        let ArtifactUpload { length, digest, body, .. } = upload;
        let chunks: Vec<Bytes> = body.try_collect().await.map_err(|broken: BrokenOff| Refusal::Invalid(broken.to_string()))?;
        self.note(Asked::UploadArtifact(name.clone(), length, digest, chunks.concat().len()))?;
        Ok(json!({ "name": name }))
    }

    async fn list_artifacts(&self, _: &Principal) -> Result<Value, Refusal> {
        Ok(json!({ "artifacts": [] }))
    }

    async fn show_artifact(&self, _: &Principal, which: &str) -> Result<Value, Refusal> {
        Ok(json!({ "name": which }))
    }

    async fn delete_artifact(&self, _: &Principal, which: &str) -> Result<(), Refusal> {
        self.note(Asked::DeleteArtifact(which.to_owned()))
    }

    fn artifact_content(&self, _: &str, ticket: Option<&ArtifactTicket>) -> Result<PathBuf, Refusal> {
        match ticket {
            Some(ticket) if ticket.signature == "good" => Ok(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()),
            _ => Err(Refusal::Forbidden("no".into())),
        }
    }

    async fn upload_driver(&self, _: &Principal, name: DriverName, upload: DriverUpload) -> Result<Value, Refusal> {
        let DriverUpload { length, signature, body, .. } = upload;
        let chunks: Vec<Bytes> = body.try_collect().await.map_err(|broken: BrokenOff| Refusal::Invalid(broken.to_string()))?;
        self.note(Asked::Upload(name.clone(), length, signature, chunks.concat().len()))?;
        Ok(json!({"name": name, "status": "available"}))
    }

    async fn delete_driver(&self, _: &Principal, name: DriverName, digest: String) -> Result<(), Refusal> {
        self.note(Asked::Delete(name, digest))
    }

    async fn decide(&self, _: &Principal, name: DriverName, decision: DriverDecision) -> Result<Value, Refusal> {
        if let DriverDecision::Activate { grant, .. } = &decision
            && grant.is_empty()
        {
            return Err(Refusal::Conflict("missing grants: agent, power".into()));
        }
        self.note(Asked::Decide(name.clone(), decision))?;
        Ok(json!({"name": name, "status": "active"}))
    }

    async fn revoke_driver(&self, _: &Principal, request: RevokeRequest) -> Result<Value, Refusal> {
        self.note(Asked::Revoke(request))?;
        Ok(json!({}))
    }

    async fn audit_trail(&self, _: &Principal, asked: &AuditQuery) -> Result<Value, Refusal> {
        self.note(Asked::Audit(asked.clone()))?;
        Ok(json!({"audit": []}))
    }

    async fn node_events(&self, _: &Principal, asked: EventsAsked) -> Result<Value, Refusal> {
        self.note(Asked::Events(asked))?;
        Ok(json!({ "events": [], "last": 7, "dropped": 0 }))
    }

    async fn why(&self, _: &Principal, node: &str) -> Result<Value, Refusal> {
        self.note(Asked::Why(node.into()))?;
        Ok(json!({ "what": "the node rests" }))
    }

    async fn retry(&self, _: &Principal, node: &str, from_start: bool) -> Result<Value, Refusal> {
        self.note(Asked::Retry(node.into(), from_start))?;
        Ok(json!({ "verb": "active" }))
    }

    async fn cancel(&self, _: &Principal, node: &str) -> Result<Value, Refusal> {
        self.note(Asked::Cancel(node.into()))?;
        Err(Refusal::Conflict("nothing to cancel".into()))
    }

    async fn list_webhooks(&self, _: &Principal) -> Result<Value, Refusal> {
        Ok(json!({ "webhooks": [] }))
    }

    async fn list_drivers(&self, _: &Principal) -> Result<Value, Refusal> {
        Ok(json!({"drivers": []}))
    }

    async fn show_driver(&self, _: &Principal, name: DriverName) -> Result<Value, Refusal> {
        Err(Refusal::NotFound(format!("driver {name} could not be found")))
    }

    async fn journal(
        &self,
        _: &Principal,
        node: Option<String>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RecordedOperation>, Refusal> {
        self.note(Asked::Journal(node, before, limit))?;
        Ok(vec![recorded()])
    }

    async fn journaled(&self, _: &Principal, which: &str, detail: bool) -> Result<(RecordedOperation, Vec<RecordedCall>), Refusal> {
        if detail { Ok((recorded(), Vec::new())) } else { Err(Refusal::NotFound(format!("{which} is not in the journal"))) }
    }

    async fn export_journal(&self, _: &Principal, which: &str, components: bool) -> Result<(OperationId, Vec<u8>), Refusal> {
        self.note(Asked::Export(which.to_owned(), components))?;
        Ok((recorded().id, vec![0, 159, 255]))
    }

    async fn driver_limits(&self, _: &Principal, name: DriverName) -> Result<Value, Refusal> {
        Ok(json!({ "name": name }))
    }

    async fn set_driver_limits(&self, _: &Principal, name: DriverName, wanted: Map) -> Result<Value, Refusal> {
        Ok(json!({ "name": name, "set": wanted }))
    }

    async fn list_locks(&self, _: &Principal) -> Result<Value, Refusal> {
        Ok(json!({ "locks": [] }))
    }

    async fn break_lock(&self, _: &Principal, name: &str, reason: &str) -> Result<Value, Refusal> {
        self.note(Asked::BreakLock(name.to_owned(), reason.to_owned()))?;
        Ok(json!({ "name": name }))
    }

    async fn unlock(&self, _: &Principal, node: &str, reason: String) -> Result<Value, Refusal> {
        if reason.is_empty() {
            return Err(Refusal::Conflict("not reserved".into()));
        }
        self.note(Asked::Unlock(node.to_owned(), reason))?;
        Ok(json!({ "node": node }))
    }

    fn stats(&self) -> serde_json::Value {
        serde_json::json!({"driver_call_us": {"count": 0, "p50": 0, "p99": 0}, "rss_mib": null})
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {:?}", self.bytes))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The text of an error, from whichever form it has.
    pub fn fault(&self) -> String {
        let outer = self.json();
        let inner: Value = match outer["error_message"].as_str() {
            Some(text) => serde_json::from_str(text).expect("error_message holds JSON"),
            None => outer,
        };
        inner["faultstring"].as_str().or(inner["description"].as_str()).expect("a text").to_owned()
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

pub struct Host {
    pub router: Router,
    pub store: Store,
    conductor: Arc<Conductor>,
    _dir: tempfile::TempDir,
}

impl Host {
    pub async fn new() -> Self {
        let config = ApiConfig { public_endpoint: Some("http://api.test".into()), node_locked_patience_ms: 0, ..ApiConfig::default() };
        Self::with(config).await
    }

    pub async fn with(config: ApiConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
        let conductor = Arc::new(Conductor { store: store.clone(), asked: Mutex::default() });
        Self { router: wrought_api::router(conductor.clone(), config), store, conductor, _dir: dir }
    }

    /// The routes of an address for agents.
    pub fn agents(&self) -> Router {
        wrought_api::agent_router(self.conductor.clone(), ApiConfig::default())
    }

    /// What the conductor was asked for since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.conductor.asked.lock().unwrap())
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        send(self.router.clone(), request).await
    }

    /// A request in a version, with a JSON body unless it is null.
    pub async fn call(&self, method: &str, path: &str, version: &str, body: Value) -> Reply {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).uri(path).header("X-OpenStack-Ironic-API-Version", version);
        self.send(request.header("Content-Type", "application/json").body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, NEWEST, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, NEWEST, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.call("PUT", path, NEWEST, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call("PATCH", path, NEWEST, body).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, NEWEST, Value::Null).await
    }

    /// A new node of the hardware type `redfish`.
    pub async fn enroll(&self, name: &str) -> NodeId {
        let node =
            json!({"driver": "redfish", "name": name, "driver_info": {"redfish_address": "https://bmc", "redfish_password": "hunter2"}});
        let reply = self.post("/v1/nodes", node).await.expect(201);
        NodeId(reply.json()["uuid"].as_str().unwrap().parse().unwrap())
    }

    /// Changes a node behind the API's back.
    pub async fn edit(&self, node: NodeId, change: impl FnOnce(&mut Node) + Send + 'static) {
        self.store.patch_node(node, change).await.unwrap();
    }

    pub async fn stored(&self, node: NodeId) -> Node {
        self.store.node(&Principal::host(), &NodeRef::Uuid(node)).await.unwrap().unwrap().value
    }
}

pub async fn send(router: Router, request: Request<Body>) -> Reply {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Reply { status: parts.status, headers: parts.headers, bytes: body.collect().await.unwrap().to_bytes() }
}
