//! Every route, asked by every kind of caller about a node that is its project's, leased by it, or a stranger's. What should come out
//! is written down here by hand, and not taken from the host's own table.
//!
//! A route without a row fails the test. A new one is a line in [`rows`].

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::Request;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;
use wrought_api::{ApiConfig, Authentication};
use wrought_domain::Role::{self, Admin, Member, Reader};
use wrought_domain::{NodeId, Principal};
use wrought_storage::NewToken;

use crate::host::{Asked, Host, Reply};

/// Who may.
#[derive(Debug, Clone, Copy)]
enum May {
    /// Everybody.
    Public,
    /// Callers without a project, with this role.
    System(Role),
    /// Callers with this role in any scope: a list that holds what is theirs, or something new of their own.
    Any(Role),
    /// With the role of those without a project, of the owner's, of the lessee's; strangers are told that it is not there.
    Node(Role, Role, Option<Role>),
    /// The same of something that the project `own` has, and no node: whoever else has a project is told that it is not there.
    Owned(Role, Role),
}
use May::{Any, Node, Owned, Public, System};

/// Whoever sees a node.
const LOOK: May = Node(Reader, Reader, Some(Reader));
/// Ironic's "member, of the owner; administrator, of the lessee".
const USE: May = Node(Member, Member, Some(Admin));
const POWER: May = Node(Member, Member, Some(Member));
const RUN: May = Node(Member, Member, None);
const INSPECT: May = Node(Reader, Reader, None);
const MANAGE: May = Node(Member, Admin, None);
const OWN: May = Node(Admin, Admin, None);

struct Row {
    route: &'static str,
    may: May,
    body: fn(&World) -> Value,
    query: &'static str,
}

/// A route without a body.
fn row(route: &'static str, may: May) -> Row {
    Row { route, may, body: |_| Value::Null, query: "" }
}

/// One with a body that gets past validation.
fn with(route: &'static str, may: May, body: fn(&World) -> Value) -> Row {
    Row { route, may, body, query: "" }
}

fn asking(route: &'static str, may: May, query: &'static str) -> Row {
    Row { route, may, body: |_| Value::Null, query }
}

fn patch(path: &str, value: Value) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

fn steps() -> Value {
    json!([{"interface": "deploy", "step": "write_image", "args": {}, "order": 1}])
}

fn why(_: &World) -> Value {
    json!({"reason": "it hangs"})
}

fn rows() -> Vec<Row> {
    vec![
        row("GET /", Public),
        row("GET /v1", Public),
        row("GET /openapi.json", Public),
        asking("GET /v1/lookup", Public, "?addresses=52:54:00:ff:ff:ff"),
        row("POST /v1/heartbeat/{node}", Public),
        row("POST /v1/heartbeat", Public),
        row("POST /v1/continue_inspection", Public),
        row("POST /v1/continue_inspection.json", Public),
        row("GET /wrought/v1/artifacts/{name}/content", Public),
        // Nodes.
        row("GET /v1/nodes", Any(Reader)),
        with("POST /v1/nodes", Any(Admin), |_| json!({"driver": "redfish"})),
        row("DELETE /v1/nodes", Any(Admin)),
        row("GET /v1/nodes/detail", Any(Reader)),
        asking("GET /v1/nodes/validate", USE, "?node_uuid={node}"),
        row("GET /v1/nodes/{node}", LOOK),
        with("PATCH /v1/nodes/{node}", USE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/nodes/{node}", OWN),
        row("GET /v1/nodes/{node}/states", LOOK),
        with("PUT /v1/nodes/{node}/states/provision", USE, |_| json!({"target": "manage"})),
        with("PUT /v1/nodes/{node}/states/power", POWER, |_| json!({"target": "power on"})),
        row("GET /v1/nodes/{node}/states/console", RUN),
        with("PUT /v1/nodes/{node}/states/console", RUN, |_| json!({"enabled": true})),
        with("PUT /v1/nodes/{node}/states/raid", RUN, |_| json!({"logical_disks": [{"size_gb": 1, "raid_level": "1"}]})),
        with("PUT /v1/nodes/{node}/states/boot_mode", RUN, |_| json!({"target": "uefi"})),
        with("PUT /v1/nodes/{node}/states/secure_boot", RUN, |_| json!({"target": true})),
        with("PUT /v1/nodes/{node}/maintenance", USE, |_| json!({"reason": "fire"})),
        row("DELETE /v1/nodes/{node}/maintenance", USE),
        row("GET /v1/nodes/{node}/validate", USE),
        row("GET /v1/nodes/{node}/management/boot_device", MANAGE),
        with("PUT /v1/nodes/{node}/management/boot_device", MANAGE, |_| json!({"boot_device": "pxe"})),
        row("GET /v1/nodes/{node}/management/boot_device/supported", MANAGE),
        row("PUT /v1/nodes/{node}/management/inject_nmi", MANAGE),
        row("GET /v1/nodes/{node}/management/indicators", LOOK),
        row("GET /v1/nodes/{node}/management/indicators/{which}", LOOK),
        with("PUT /v1/nodes/{node}/management/indicators/{which}", RUN, |_| json!({"state": "ON"})),
        row("GET /v1/nodes/{node}/management/indicators/{which}/{indicator}", LOOK),
        with("PUT /v1/nodes/{node}/management/indicators/{which}/{indicator}", RUN, |_| json!({"state": "ON"})),
        row("GET /v1/nodes/{node}/ports", LOOK),
        row("GET /v1/nodes/{node}/ports/detail", LOOK),
        row("GET /v1/nodes/{node}/portgroups", LOOK),
        row("GET /v1/nodes/{node}/portgroups/detail", LOOK),
        row("GET /v1/nodes/{node}/volume", LOOK),
        row("GET /v1/nodes/{node}/volume/connectors", LOOK),
        row("GET /v1/nodes/{node}/volume/targets", LOOK),
        row("GET /v1/nodes/{node}/history", INSPECT),
        row("GET /v1/nodes/{node}/history/{event}", INSPECT),
        row("GET /v1/nodes/{node}/children", LOOK),
        row("GET /v1/nodes/{node}/allocation", LOOK),
        row("DELETE /v1/nodes/{node}/allocation", USE),
        row("GET /v1/nodes/{node}/inventory", INSPECT),
        row("GET /v1/nodes/{node}/bios", LOOK),
        row("GET /v1/nodes/{node}/bios/{setting}", LOOK),
        row("GET /v1/nodes/{node}/firmware", LOOK),
        row("GET /v1/nodes/{node}/vmedia", INSPECT),
        with("POST /v1/nodes/{node}/vmedia", RUN, |_| json!({"device_type": "cdrom", "image_url": "http://192.0.2.1/a.iso"})),
        row("DELETE /v1/nodes/{node}/vmedia", RUN),
        row("GET /v1/nodes/{node}/vifs", LOOK),
        with("POST /v1/nodes/{node}/vifs", USE, |_| json!({"id": Uuid::new_v4()})),
        row("DELETE /v1/nodes/{node}/vifs/{vif}", USE),
        row("GET /v1/nodes/{node}/vendor_passthru/methods", OWN),
        asking("GET /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("POST /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PUT /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PATCH /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("DELETE /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        row("GET /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("POST /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("PUT /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("PATCH /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("DELETE /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("GET /v1/nodes/{node}/traits", LOOK),
        with("PUT /v1/nodes/{node}/traits", MANAGE, |_| json!({"traits": ["CUSTOM_A"]})),
        row("DELETE /v1/nodes/{node}/traits", MANAGE),
        row("PUT /v1/nodes/{node}/traits/{trait}", MANAGE),
        row("DELETE /v1/nodes/{node}/traits/{trait}", MANAGE),
        row("GET /wrought/v1/nodes/{node}/events", INSPECT),
        row("GET /wrought/v1/nodes/{node}/why", INSPECT),
        row("POST /wrought/v1/nodes/{node}/retry", USE),
        row("POST /wrought/v1/nodes/{node}/cancel", USE),
        with("POST /wrought/v1/nodes/{node}/unlock", System(Admin), why),
        // What nodes have.
        row("GET /v1/ports", Any(Reader)),
        with("POST /v1/ports", OWN, |world| json!({"node_uuid": world.node, "address": world.address()})),
        row("DELETE /v1/ports", Any(Admin)),
        row("GET /v1/ports/detail", Any(Reader)),
        row("GET /v1/ports/{port}", LOOK),
        with("PATCH /v1/ports/{port}", MANAGE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/ports/{port}", OWN),
        row("GET /v1/portgroups", Any(Reader)),
        with("POST /v1/portgroups", OWN, |world| json!({"node_uuid": world.node})),
        row("GET /v1/portgroups/detail", Any(Reader)),
        row("GET /v1/portgroups/{portgroup}", LOOK),
        with("PATCH /v1/portgroups/{portgroup}", MANAGE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/portgroups/{portgroup}", OWN),
        row("GET /v1/portgroups/{portgroup}/ports", LOOK),
        row("GET /v1/portgroups/{portgroup}/ports/detail", LOOK),
        row("GET /v1/volume", Any(Reader)),
        row("GET /v1/volume/connectors", Any(Reader)),
        with("POST /v1/volume/connectors", USE, |world| json!({"node_uuid": world.node, "type": "iqn", "connector_id": world.name()})),
        row("GET /v1/volume/connectors/{connector}", LOOK),
        with("PATCH /v1/volume/connectors/{connector}", USE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/volume/connectors/{connector}", USE),
        row("GET /v1/volume/targets", Any(Reader)),
        with(
            "POST /v1/volume/targets",
            USE,
            |world| json!({"node_uuid": world.node, "volume_type": "iscsi", "volume_id": world.name(), "boot_index": 7}),
        ),
        row("GET /v1/volume/targets/{target}", LOOK),
        with("PATCH /v1/volume/targets/{target}", USE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/volume/targets/{target}", USE),
        row("GET /v1/allocations", Any(Reader)),
        with("POST /v1/allocations", Any(Member), |_| json!({"resource_class": "small"})),
        row("GET /v1/allocations/{allocation}", Owned(Reader, Reader)),
        with("PATCH /v1/allocations/{allocation}", Owned(Member, Member), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/allocations/{allocation}", Owned(Member, Member)),
        // What no project has.
        row("GET /v1/chassis", System(Reader)),
        with("POST /v1/chassis", System(Admin), |_| json!({})),
        row("GET /v1/chassis/detail", System(Reader)),
        row("GET /v1/chassis/{chassis}", System(Reader)),
        with("PATCH /v1/chassis/{chassis}", System(Member), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/chassis/{chassis}", System(Admin)),
        row("GET /v1/chassis/{chassis}/nodes", System(Reader)),
        row("GET /v1/chassis/{chassis}/nodes/detail", System(Reader)),
        with(
            "POST /v1/events",
            System(Admin),
            |_| json!({"events": [{"event": "network.bind_port", "port_id": Uuid::nil(), "mac_address": "52:54:00:00:00:01", "status": "ACTIVE"}]}),
        ),
        row("GET /v1/shards", System(Reader)),
        row("GET /v1/drivers", System(Reader)),
        row("GET /v1/drivers/{driver}", System(Reader)),
        row("GET /v1/drivers/{driver}/properties", System(Reader)),
        row("GET /v1/drivers/{driver}/raid/logical_disk_properties", System(Reader)),
        row("GET /v1/drivers/{driver}/vendor_passthru/methods", System(Reader)),
        asking("GET /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("POST /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PUT /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PATCH /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("DELETE /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        row("GET /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("POST /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("PUT /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("PATCH /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("DELETE /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("GET /v1/conductors", System(Reader)),
        row("GET /v1/conductors/{hostname}", System(Reader)),
        row("GET /v1/deploy_templates", System(Reader)),
        with(
            "POST /v1/deploy_templates",
            System(Admin),
            |world| json!({"name": format!("CUSTOM_{}", world.name()), "steps": [{"interface": "deploy", "step": "a", "args": {}, "priority": 10}]}),
        ),
        row("GET /v1/deploy_templates/{template}", System(Reader)),
        with("PATCH /v1/deploy_templates/{template}", System(Admin), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/deploy_templates/{template}", System(Admin)),
        row("GET /v1/inspection_rules", System(Reader)),
        with("POST /v1/inspection_rules", System(Admin), rule),
        row("GET /v1/inspection_rules/{rule}", System(Reader)),
        with("PATCH /v1/inspection_rules/{rule}", System(Admin), |_| patch("/description", json!("b"))),
        row("DELETE /v1/inspection_rules/{rule}", System(Admin)),
        // Runbooks: this one is a project's own.
        row("GET /v1/runbooks", Any(Reader)),
        with("POST /v1/runbooks", Any(Member), |world| json!({"name": world.name(), "steps": steps()})),
        row("GET /v1/runbooks/{runbook}", Owned(Reader, Reader)),
        with("PATCH /v1/runbooks/{runbook}", Owned(Member, Member), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/runbooks/{runbook}", Owned(Member, Member)),
        row("GET /v1/runbooks/{runbook}/traits", Owned(Reader, Reader)),
        with("PUT /v1/runbooks/{runbook}/traits", Owned(Member, Member), |_| json!({"traits": ["CUSTOM_A"]})),
        row("DELETE /v1/runbooks/{runbook}/traits", Owned(Member, Member)),
        row("PUT /v1/runbooks/{runbook}/traits/{trait}", Owned(Member, Member)),
        row("DELETE /v1/runbooks/{runbook}/traits/{trait}", Owned(Member, Member)),
        // Wrought's own.
        row("GET /wrought/v1/stats", System(Reader)),
        row("GET /wrought/v1/drivers", System(Reader)),
        row("GET /wrought/v1/drivers/{name}", System(Reader)),
        row("PUT /wrought/v1/drivers/{name}", System(Admin)),
        row("DELETE /wrought/v1/drivers/{name}/versions/{digest}", System(Admin)),
        row("GET /wrought/v1/drivers/{name}/limits", System(Reader)),
        with("PUT /wrought/v1/drivers/{name}/limits", System(Admin), |_| json!({"memory_mib": 512})),
        row("GET /wrought/v1/drivers/{name}/events", System(Admin)),
        with("POST /wrought/v1/drivers/{name}/activate", System(Admin), |_| json!({"version": "1.0.0", "grant": ["power"]})),
        with("POST /wrought/v1/drivers/{name}/rollback", System(Admin), |_| json!({})),
        with("POST /wrought/v1/drivers/{name}/pause", System(Admin), why),
        with("POST /wrought/v1/drivers/{name}/resume", System(Admin), |_| json!({})),
        with("POST /wrought/v1/drivers/{name}/grant", System(Admin), |_| json!({"grant": ["power"]})),
        with("POST /wrought/v1/drivers/{name}/ungrant", System(Admin), |_| json!({"grant": ["power"]})),
        with("POST /wrought/v1/drivers/{name}/canary", System(Admin), |_| json!({"version": "1.0.0", "percent": 10, "grant": ["power"]})),
        row("DELETE /wrought/v1/drivers/{name}/canary", System(Admin)),
        with("POST /wrought/v1/revocations", System(Admin), |_| json!({"digest": "sha256:00112233", "reason": "it burns"})),
        row("GET /wrought/v1/audit", System(Admin)),
        row("GET /wrought/v1/artifacts", System(Reader)),
        row("GET /wrought/v1/artifacts/{name}", System(Reader)),
        row("POST /wrought/v1/artifacts/{name}", System(Admin)),
        row("DELETE /wrought/v1/artifacts/{name}", System(Admin)),
        row("GET /wrought/v1/locks", System(Reader)),
        with("DELETE /wrought/v1/locks/{name}", System(Admin), why),
        row("GET /wrought/v1/webhooks", System(Admin)),
        row("GET /wrought/v1/events", System(Admin)),
        row("GET /wrought/v1/journal", System(Admin)),
        row("GET /wrought/v1/journal/{which}", System(Admin)),
        row("GET /wrought/v1/journal/{which}/export", System(Admin)),
        row("GET /wrought/v1/tokens", System(Admin)),
        with("POST /wrought/v1/tokens", System(Admin), |world| json!({"name": world.name(), "role": "reader"})),
        row("DELETE /wrought/v1/tokens/{name}", System(Admin)),
    ]
}

fn rule(_: &World) -> Value {
    json!({"description": "a", "actions": [{"op": "set-attribute", "args": {"path": "/extra/a", "value": "1"}}]})
}

/// Answers that are no success although the caller may: what is asked for is not there, or cannot be done to such a node.
const OTHERWISE: &[(&str, u16)] = &[
    ("POST /v1/heartbeat/{node}", 400),
    ("POST /v1/heartbeat", 400),
    ("POST /v1/continue_inspection", 400),
    ("POST /v1/continue_inspection.json", 400),
    ("GET /v1/lookup", 404),
    ("GET /wrought/v1/artifacts/{name}/content", 403),
    ("DELETE /v1/nodes", 400),
    ("DELETE /v1/ports", 400),
    ("GET /v1/nodes/{node}/states/console", 400),
    ("PUT /v1/nodes/{node}/states/console", 400),
    ("PUT /v1/nodes/{node}/states/raid", 404),
    ("PUT /v1/nodes/{node}/management/inject_nmi", 400),
    ("GET /v1/nodes/{node}/management/indicators/{which}/{indicator}", 404),
    ("GET /v1/nodes/{node}/history/{event}", 404),
    ("GET /v1/nodes/{node}/allocation", 404),
    ("DELETE /v1/nodes/{node}/allocation", 404),
    ("GET /v1/nodes/{node}/inventory", 404),
    ("GET /v1/nodes/{node}/bios/{setting}", 404),
    ("DELETE /v1/nodes/{node}/vifs/{vif}", 400),
    ("DELETE /v1/nodes/{node}/traits/{trait}", 404),
    ("GET /v1/nodes/{node}/management/indicators/{which}", 404),
    ("GET /v1/drivers/{driver}/raid/logical_disk_properties", 404),
    ("GET /v1/drivers/{driver}/vendor_passthru", 400),
    ("POST /v1/drivers/{driver}/vendor_passthru", 400),
    ("PUT /v1/drivers/{driver}/vendor_passthru", 400),
    ("PATCH /v1/drivers/{driver}/vendor_passthru", 400),
    ("DELETE /v1/drivers/{driver}/vendor_passthru", 400),
    ("GET /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("POST /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("PUT /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("PATCH /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("DELETE /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("POST /wrought/v1/nodes/{node}/cancel", 409),
    ("GET /wrought/v1/drivers/{name}", 404),
    ("GET /wrought/v1/journal/{which}", 404),
    ("DELETE /wrought/v1/tokens/{name}", 404),
];

/// Of which node's project a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    System,
    Owner,
    Lessee,
    Stranger,
}

#[derive(Debug)]
struct Caller {
    /// Nothing without credentials, or with wrong ones.
    rights: Option<(Scope, Role)>,
    token: Option<String>,
}

/// What should come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Allowed,
    Unauthorized,
    Forbidden,
    Hidden,
}

impl May {
    fn outcome(self, rights: Option<(Scope, Role)>) -> Outcome {
        let enough =
            |is: Role, least: Option<Role>| if least.is_some_and(|least| is >= least) { Outcome::Allowed } else { Outcome::Forbidden };
        match (self, rights) {
            (Public, _) => Outcome::Allowed,
            (_, None) => Outcome::Unauthorized,
            (Any(least), Some((_, role))) | (System(least) | Node(least, ..) | Owned(least, _), Some((Scope::System, role))) => {
                enough(role, Some(least))
            }
            (System(_), Some(_)) => Outcome::Forbidden,
            (Node(_, least, _) | Owned(_, least), Some((Scope::Owner, role))) => enough(role, Some(least)),
            (Node(.., least), Some((Scope::Lessee, role))) => enough(role, least),
            (Node(..), Some((Scope::Stranger, _))) => Outcome::Hidden,
            // A role that may change none at all learns that first.
            (Owned(_, least), Some((_, role))) if role < least => Outcome::Forbidden,
            (Owned(..), Some(_)) => Outcome::Hidden,
        }
    }
}

/// What paths and bodies are about, some of it made when a route needs it.
struct World {
    node: NodeId,
    /// Makes names differ.
    number: u32,
    parts: BTreeMap<&'static str, String>,
}

impl World {
    fn name(&self) -> String {
        format!("N{}", self.number)
    }

    fn address(&self) -> String {
        let [_, _, high, low] = self.number.to_be_bytes();
        format!("52:54:00:aa:{high:02x}:{low:02x}")
    }

    fn path(&self, row: &Row) -> String {
        let (_, path) = row.route.split_once(' ').unwrap();
        let mut path = format!("{path}{}", row.query).replace("{node}", &self.node.to_string());
        if row.route.ends_with("{which}") {
            path = path.replace("{which}", "led@chassis");
        }
        for (name, value) in &self.parts {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        assert!(!path.contains('{'), "{path}: say in World::new what this is");
        path
    }
}

struct Matrix {
    host: Host,
    root: String,
    number: u32,
}

impl Matrix {
    async fn new() -> Self {
        let config = ApiConfig { auth_strategy: Authentication::Token, failed_logins_per_minute: 0, ..ApiConfig::default() };
        let host = Host::with(config).await;
        let mut matrix = Self { host, root: String::new(), number: 0 };
        matrix.root = matrix.token("root", Admin, None).await;
        matrix
    }

    async fn token(&self, name: &str, role: Role, project: Option<&str>) -> String {
        let new = NewToken::new(name, role, project.map(str::to_owned), None).unwrap();
        self.host.store.create_token(&Principal::host(), new).await.unwrap().0.expose_secret().to_owned()
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("X-OpenStack-Ironic-API-Version", "1.115");
        if let Some(token) = token {
            request = request.header("X-Auth-Token", token);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let reply = self.host.send(request.header("Content-Type", "application/json").body(body).unwrap()).await;
        assert!(!reply.status.is_server_error(), "{method} {path}: {reply:?}");
        reply
    }

    async fn made(&self, path: &str, body: Value) -> String {
        let reply = self.send("POST", path, Some(&self.root), &body).await.expect(201);
        reply.json()["uuid"].as_str().unwrap().to_owned()
    }

    /// New things for a route.
    async fn world(&mut self, route: &str) -> World {
        self.number += 1;
        let mut world = World { node: NodeId(Uuid::new_v4()), number: self.number, parts: BTreeMap::new() };
        let node = json!({
            "driver": "redfish", "uuid": world.node, "owner": "own", "lessee": "lease", "network_interface": "noop",
            "driver_info": {"redfish_address": "https://192.0.2.1"}
        });
        self.made("/v1/nodes", node).await;
        self.host.edit(world.node, |node| node.power_state = Some(wrought_domain::PowerState::Off)).await;
        self.number += 1;
        let other = World { node: world.node, number: self.number, parts: BTreeMap::new() };
        let node = world.node;
        let things: [(&'static str, &str, Value); 9] = [
            ("port", "/v1/ports", json!({"node_uuid": node, "address": other.address()})),
            ("portgroup", "/v1/portgroups", json!({"node_uuid": node})),
            ("connector", "/v1/volume/connectors", json!({"node_uuid": node, "type": "iqn", "connector_id": other.name()})),
            (
                "target",
                "/v1/volume/targets",
                json!({"node_uuid": node, "volume_type": "iscsi", "volume_id": other.name(), "boot_index": 0}),
            ),
            ("allocation", "/v1/allocations", json!({"resource_class": "small", "owner": "own"})),
            ("chassis", "/v1/chassis", json!({})),
            (
                "template",
                "/v1/deploy_templates",
                json!({"name": format!("CUSTOM_{}", other.name()), "steps": [{"interface": "deploy", "step": "a", "args": {}, "priority": 10}]}),
            ),
            ("rule", "/v1/inspection_rules", rule(&other)),
            ("runbook", "/v1/runbooks", json!({"name": other.name(), "steps": steps(), "owner": "own"})),
        ];
        for (name, path, body) in things {
            if route.contains(&format!("{{{name}}}")) {
                world.parts.insert(name, self.made(path, body).await);
            }
        }
        let words = [
            ("name", "acme"),
            ("digest", "sha256:00112233"),
            ("driver", "redfish"),
            ("hostname", "testhost"),
            ("trait", "CUSTOM_A"),
            ("method", "echo"),
            ("setting", "Turbo"),
            ("which", "chassis"),
            ("indicator", "led"),
        ];
        world.parts.extend(words.map(|(name, value)| (name, value.to_owned())));
        world.parts.extend(["event", "vif"].map(|name| (name, Uuid::nil().to_string())));
        self.host.asked();
        world
    }
}

/// The callers: without credentials, with wrong ones, and each role in each scope.
async fn callers(matrix: &Matrix) -> Vec<Caller> {
    let mut callers = vec![Caller { rights: None, token: None }];
    for wrong in ["wrought_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "gAAAAAB", ""] {
        callers.push(Caller { rights: None, token: Some(wrong.to_owned()) });
    }
    for (scope, project) in
        [(Scope::System, None), (Scope::Owner, Some("own")), (Scope::Lessee, Some("lease")), (Scope::Stranger, Some("stranger"))]
    {
        for role in Role::ALL {
            let token = matrix.token(&format!("{scope:?}-{role}"), role, project).await;
            callers.push(Caller { rights: Some((scope, role)), token: Some(token) });
        }
    }
    callers
}

/// Writes, but for notes that a token was used, which come once a minute: then the same is asked once more.
async fn refused(matrix: &Matrix, method: &str, path: &str, caller: &Caller, body: &Value) -> Reply {
    for last in [false, true] {
        let before = matrix.host.store.writes();
        let reply = matrix.send(method, path, caller.token.as_deref(), body).await;
        let asked: Vec<Asked> = matrix.host.asked();
        assert_eq!(asked, Vec::new(), "{method} {path}: {:?} got through", caller.rights);
        if matrix.host.store.writes() == before {
            return reply;
        }
        assert!(!last, "{method} {path}: {:?} was refused and wrote something", caller.rights);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    unreachable!()
}

#[tokio::test]
async fn every_route_for_every_caller() {
    let rows = rows();
    let listed: BTreeSet<String> = rows.iter().map(|row| row.route.to_owned()).collect();
    let served: BTreeSet<String> = wrought_api::served().iter().map(|(method, path)| format!("{method} {path}")).collect();
    assert_eq!(listed.len(), rows.len(), "a route has two rows");
    assert_eq!(served.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "add a row that says who may");
    assert_eq!(listed.difference(&served).collect::<Vec<_>>(), Vec::<&String>::new(), "these are not served");

    let mut matrix = Matrix::new().await;
    let callers = callers(&matrix).await;
    let mut wrong = Vec::new();
    for row in &rows {
        let (method, _) = row.route.split_once(' ').unwrap();
        let mut world = matrix.world(row.route).await;
        for caller in &callers {
            let (path, body) = (world.path(row), (row.body)(&world));
            let expected = row.may.outcome(caller.rights);
            let told = format!("{} by {:?}", row.route, caller.rights);
            if expected == Outcome::Allowed {
                let reply = matrix.send(method, &path, caller.token.as_deref(), &body).await;
                let otherwise = OTHERWISE.iter().any(|(route, status)| *route == row.route && *status == reply.status.as_u16());
                if !reply.status.is_success() && !otherwise {
                    wrong.push(format!("{told}: expected success: {} {}", reply.status, String::from_utf8_lossy(&reply.bytes)));
                }
                if method != "GET" {
                    world = matrix.world(row.route).await;
                }
                matrix.host.asked();
                continue;
            }
            let reply = refused(&matrix, method, &path, caller, &body).await;
            let status = reply.status.as_u16();
            let right = match expected {
                Outcome::Unauthorized => status == 401 && !reply.header("www-authenticate").is_empty(),
                Outcome::Forbidden => status == 403,
                // What is named in a body and not found is Ironic's 400.
                _ => status == 404 || (method == "POST" && !row.route.contains('{') && status == 400),
            };
            if !right {
                wrong.push(format!("{told}: expected {expected:?}: {status} {}", String::from_utf8_lossy(&reply.bytes)));
            }
            if expected == Outcome::Hidden {
                // It is as if it had never been there.
                let mut nowhere = World { node: NodeId(Uuid::new_v4()), number: world.number, parts: world.parts.clone() };
                for name in ["port", "portgroup", "connector", "target", "allocation", "chassis", "template", "rule", "runbook"] {
                    nowhere.parts.entry(name).and_modify(|id| *id = Uuid::new_v4().to_string());
                }
                let other = matrix.send(method, &nowhere.path(row), caller.token.as_deref(), &(row.body)(&nowhere)).await;
                let plain = |reply: &Reply, world: &World| {
                    let mut text = String::from_utf8_lossy(&reply.bytes).replace(&world.node.to_string(), "NODE");
                    for (name, value) in &world.parts {
                        text = text.replace(value.as_str(), name);
                    }
                    text
                };
                if other.status != reply.status || plain(&other, &nowhere) != plain(&reply, &world) {
                    wrong.push(format!("{told}: it can be told from nothing: {} {}", plain(&reply, &world), plain(&other, &nowhere)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the matrix:\n{}", wrong.len(), wrong.join("\n"));
}

fn set(field: &str, value: Value) -> (String, Value) {
    (field.to_owned(), value)
}

#[tokio::test]
async fn fields_of_a_node_are_its_tenants_its_owners_or_the_operators() {
    let mut matrix = Matrix::new().await;
    let callers = callers(&matrix).await;
    let uuid = || json!(Uuid::new_v4());
    let chassis = matrix.made("/v1/chassis", json!({})).await;
    // Who may: the operator's members, the owner's administrators, the owner's members, the lessee's administrators.
    let rows: Vec<((String, Value), [bool; 4])> = vec![
        (set("/instance_info/a", json!("b")), [true, true, true, true]),
        (set("/instance_uuid", uuid()), [true, true, true, true]),
        (set("/instance_name", json!("web")), [true, true, true, true]),
        (set("/extra/a", json!(1)), [true, true, true, true]),
        (set("/maintenance", json!(true)), [true, true, true, true]),
        (set("/description", json!("d")), [true, true, true, false]),
        (set("/properties/cpus", json!(2)), [true, true, true, false]),
        (set("/network_data", json!({})), [true, true, true, false]),
        (set("/resource_class", json!("large")), [true, true, true, false]),
        (set("/name", json!("fresh")), [true, true, false, false]),
        (set("/driver_info/redfish_address", json!("https://192.0.2.2")), [true, true, false, false]),
        (set("/power_interface", json!("redfish")), [true, true, false, false]),
        (set("/driver", json!("redfish")), [true, true, false, false]),
        (set("/lessee", json!("stranger")), [true, true, false, false]),
        (set("/retired", json!(true)), [true, true, false, false]),
        (set("/disable_power_off", json!(true)), [true, true, false, false]),
        (set("/owner", json!("stranger")), [true, false, false, false]),
        (set("/owner", json!("own")), [true, false, false, false]),
        (set("/conductor_group", json!("g")), [true, false, false, false]),
        (set("/chassis_uuid", json!(chassis)), [true, false, false, false]),
        (set("/shard", json!("s")), [true, false, false, false]),
        (set("/automated_clean", json!(false)), [true, false, false, false]),
        // Secrets of the host, which the node's address would have.
        (set("/driver_info/redfish_password", json!("file:/run/secrets/a")), [true, false, false, false]),
        (set("/instance_info/image_request_authorization_secret", json!("env:WROUGHT_SECRET_A")), [true, false, false, false]),
        (set("/extra/deep", json!({"a": [{"b": "file:/x"}]})), [true, false, false, false]),
        (set("/driver_info/redfish_password", json!(" env:WROUGHT_SECRET_A")), [true, false, false, false]),
        (set("/driver_info", json!({"redfish_password": "\u{a0}file:/run/secrets/a"})), [true, false, false, false]),
        (set("/extra/deep", json!({"a": [{"b": "\n env:WROUGHT_SECRET_A "}]})), [true, false, false, false]),
    ];
    let who = [(Scope::System, Member), (Scope::Owner, Admin), (Scope::Owner, Member), (Scope::Lessee, Admin)];
    for ((field, value), may) in rows {
        for (rights, may) in who.into_iter().zip(may) {
            let world = matrix.world("").await;
            let before = matrix.host.stored(world.node).await;
            let caller = callers.iter().find(|caller| caller.rights == Some(rights)).unwrap();
            let path = format!("/v1/nodes/{}", world.node);
            let reply = matrix.send("PATCH", &path, caller.token.as_deref(), &patch(&field, value.clone())).await;
            assert_eq!(reply.status.as_u16(), if may { 200 } else { 403 }, "{field} by {rights:?}: {reply:?}");
            if !may {
                assert_eq!(matrix.host.stored(world.node).await, before);
            }
            // Hidden among what is allowed it is refused as well.
            if !may {
                let two = json!([{"op": "add", "path": "/extra/z", "value": 1}, {"op": "replace", "path": field, "value": value}]);
                matrix.send("PATCH", &path, caller.token.as_deref(), &two).await.expect(403);
                assert_eq!(matrix.host.stored(world.node).await, before);
            }
            // Names and instances are taken once.
            matrix.host.edit(world.node, |node| (node.name, node.instance_uuid, node.instance_name) = (None, None, None)).await;
        }
    }
    // What refers to secrets of the host is not led elsewhere by a project.
    let token = |rights| callers.iter().find(|caller| caller.rights == Some(rights)).unwrap().token.as_deref();
    let (owner, lessee, system) = (token((Scope::Owner, Admin)), token((Scope::Lessee, Admin)), token((Scope::System, Member)));
    for reference in ["file:/run/secrets/a", " env:WROUGHT_SECRET_A"] {
        let world = matrix.world("").await;
        matrix.host.edit(world.node, |node| drop(node.driver_info.insert("redfish_password".into(), reference.into()))).await;
        let path = format!("/v1/nodes/{}", world.node);
        matrix.send("PATCH", &path, owner, &patch("/driver_info/redfish_address", json!("https://192.0.2.66"))).await.expect(403);
        matrix.send("PATCH", &path, owner, &patch("/extra/a", json!(1))).await.expect(200);
        matrix.send("PATCH", &path, owner, &patch("/instance_info/image_source", json!("http://192.0.2.66/"))).await.expect(200);

        let world = matrix.world("").await;
        let image = [("image_source", "http://images.test/a"), ("image_request_authorization_secret", reference)];
        matrix.host.edit(world.node, move |node| node.instance_info.extend(image.map(|(key, value)| (key.into(), value.into())))).await;
        let path = format!("/v1/nodes/{}", world.node);
        let elsewhere = json!("http://192.0.2.66/");
        let whole = json!({"image_source": elsewhere, "image_request_authorization_secret": "******"});
        for change in [
            patch("/instance_info/image_source", elsewhere.clone()),
            patch("/instance_info/image_request_authorization_secret", json!("mine")),
            patch("/instance_info/kernel", elsewhere.clone()),
            patch("/instance_info", whole),
            json!([{"op": "remove", "path": "/instance_info/image_source"}]),
        ] {
            for who in [owner, lessee] {
                let refused = matrix.send("PATCH", &path, who, &change).await.expect(403).fault();
                assert!(refused.contains("instance_info refers to secrets of the host"), "{change}: {refused}");
            }
        }
        matrix.send("PATCH", &path, owner, &patch("/driver_info/image_http_proxy", elsewhere.clone())).await.expect(403);
        matrix.send("PATCH", &path, lessee, &patch("/extra/a", json!(1))).await.expect(200);
        assert_eq!(matrix.host.stored(world.node).await.instance_info["image_source"], "http://images.test/a");
        matrix.send("PATCH", &path, system, &patch("/instance_info/image_source", elsewhere)).await.expect(200);
    }
}

#[tokio::test]
async fn what_a_project_creates_is_its_own_and_refers_to_its_own() {
    let mut matrix = Matrix::new().await;
    let (own, stranger) = (matrix.token("a", Admin, Some("own")).await, matrix.token("b", Admin, Some("stranger")).await);
    let lease = matrix.token("c", Admin, Some("lease")).await;
    let world = matrix.world("{port}").await;
    let post = async |token: &str, path: &str, body: Value| matrix.send("POST", path, Some(token), &body).await;
    let node = |more: Value| {
        let mut node = json!({"driver": "redfish"});
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        node
    };
    let made = post(&stranger, "/v1/nodes", node(json!({}))).await.expect(201).json();
    assert_eq!(made["owner"], "stranger");
    assert_eq!(post(&stranger, "/v1/nodes", node(json!({"owner": "stranger", "lessee": "own"}))).await.expect(201).json()["lessee"], "own");
    for field in [
        json!({"owner": "own"}),
        json!({"conductor_group": "g"}),
        json!({"chassis_uuid": Uuid::new_v4()}),
        json!({"shard": "s"}),
        json!({"automated_clean": false}),
        json!({"driver_info": {"redfish_password": "file:/run/secrets/a"}}),
        json!({"driver_info": {"redfish_password": "\tenv:WROUGHT_SECRET_A"}}),
    ] {
        post(&stranger, "/v1/nodes", node(field.clone())).await.expect(403);
    }
    // A parent that is another's is not there; one that is only leased is not to be built upon.
    let child = node(json!({"parent_node": world.node}));
    let hidden = post(&stranger, "/v1/nodes", child.clone()).await.expect(400).fault();
    let nowhere = post(&stranger, "/v1/nodes", node(json!({"parent_node": Uuid::nil()}))).await.expect(400).fault();
    assert!(hidden.contains("could not be found") && nowhere.contains("could not be found"), "{hidden} {nowhere}");
    post(&lease, "/v1/nodes", child.clone()).await.expect(403);
    let child = post(&own, "/v1/nodes", child).await.expect(201).json();
    // A port moves to no node that is not the caller's.
    let theirs = made["uuid"].clone();
    let port = format!("/v1/ports/{}", world.parts["port"]);
    let moved = matrix.send("PATCH", &port, Some(&own), &json!([{"op": "replace", "path": "/node_uuid", "value": theirs}])).await;
    assert!(matches!(moved.status.as_u16(), 400 | 403 | 404), "{moved:?}");
    let move_home = json!([{"op": "replace", "path": "/node_uuid", "value": child["uuid"]}]);
    matrix.send("PATCH", &port, Some(&lease), &move_home).await.expect(403);
    for path in ["/v1/ports", "/v1/portgroups", "/v1/volume/connectors", "/v1/volume/targets"] {
        let body = json!({
            "node_uuid": world.node, "address": "52:54:00:bb:00:01", "type": "iqn", "connector_id": "c", "volume_type": "iscsi",
            "volume_id": "v", "boot_index": 3,
        });
        let fits = |name: &str| match path {
            "/v1/ports" => name == "address",
            "/v1/portgroups" => false,
            "/v1/volume/connectors" => matches!(name, "type" | "connector_id"),
            _ => matches!(name, "volume_type" | "volume_id" | "boot_index"),
        };
        let body: Value = body.as_object().unwrap().clone().into_iter().filter(|(name, _)| name == "node_uuid" || fits(name)).collect();
        let refused = post(&stranger, path, body).await;
        assert!(matches!(refused.status.as_u16(), 400 | 404), "{path}: {refused:?}");
    }
    // An allocation takes no node of another's, and is no other's.
    post(&stranger, "/v1/allocations", json!({"resource_class": "small", "owner": "own"})).await.expect(403);
    let foreign = post(&stranger, "/v1/allocations", json!({"resource_class": "small", "candidate_nodes": [world.node]})).await;
    assert!(foreign.status.is_client_error(), "{foreign:?}");
    // A runbook is no other's, and not everybody's.
    for more in [json!({"owner": "own"}), json!({"public": true})] {
        let mut runbook = json!({"name": "theirs", "steps": steps()});
        runbook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = post(&stranger, "/v1/runbooks", runbook).await;
        assert!(matches!(refused.status.as_u16(), 400 | 403), "{refused:?}");
    }
    let runbook = matrix.made("/v1/runbooks", json!({"name": "own-book", "steps": steps(), "owner": "own"})).await;
    matrix.send("PUT", &format!("/v1/runbooks/{runbook}/traits/CUSTOM_A"), Some(&matrix.root), &Value::Null).await.expect(204);
    let clean = json!({"target": "clean", "runbook": runbook});
    let states = format!("/v1/nodes/{}/states/provision", theirs.as_str().unwrap());
    matrix
        .host
        .edit(NodeId(theirs.as_str().unwrap().parse().unwrap()), |node| {
            node.provision_state = wrought_domain::ProvisionState::Manageable;
            node.traits = vec!["CUSTOM_A".into()];
        })
        .await;
    let refused = matrix.send("PUT", &states, Some(&stranger), &clean).await;
    assert!(matches!(refused.status.as_u16(), 400 | 404) && refused.fault().contains("could not be found"), "{refused:?}");
}

#[tokio::test]
async fn lists_hold_what_is_the_callers_whatever_it_filters_by() {
    let mut matrix = Matrix::new().await;
    let stranger = matrix.token("b", Admin, Some("stranger")).await;
    let lease = matrix.token("c", Reader, Some("lease")).await;
    let world = matrix.world("{port}{portgroup}{connector}{target}{allocation}{runbook}").await;
    let theirs = matrix.send("POST", "/v1/nodes", Some(&stranger), &json!({"driver": "redfish"})).await.expect(201).json();
    let get = async |token: &str, path: &str| matrix.send("GET", path, Some(token), &Value::Null).await;
    let node = world.node;
    for (path, key) in [
        ("/v1/nodes?owner=own", "nodes"),
        ("/v1/nodes?project=own", "nodes"),
        ("/v1/nodes?lessee=lease", "nodes"),
        ("/v1/nodes?include_children=true&project=lease", "nodes"),
        ("/v1/nodes/detail?owner=own", "nodes"),
        ("/v1/ports", "ports"),
        ("/v1/ports/detail", "ports"),
        (&format!("/v1/ports?address={}", matrix_address(&matrix, &world).await), "ports"),
        ("/v1/portgroups", "portgroups"),
        ("/v1/volume/connectors", "connectors"),
        ("/v1/volume/targets", "targets"),
        ("/v1/allocations", "allocations"),
        ("/v1/allocations?owner=own", "allocations"),
        ("/v1/runbooks", "runbooks"),
        ("/v1/runbooks?project=own", "runbooks"),
    ] {
        let answer = get(&stranger, path).await.expect(200).json();
        assert_eq!(answer[key], json!([]), "{path}");
    }
    let seen = get(&stranger, "/v1/nodes").await.expect(200).json();
    assert_eq!(seen["nodes"].as_array().unwrap().iter().map(|node| node["uuid"].clone()).collect::<Vec<_>>(), [theirs["uuid"].clone()]);
    for path in [
        format!("/v1/nodes?marker={node}"),
        format!("/v1/ports?marker={}", world.parts["port"]),
        format!("/v1/nodes?parent_node={node}"),
        format!("/v1/ports?node={node}"),
        format!("/v1/ports?portgroup={}", world.parts["portgroup"]),
        format!("/v1/portgroups?node={node}"),
        format!("/v1/volume/connectors?node={node}"),
        format!("/v1/allocations?node={node}"),
        format!("/v1/allocations?marker={}", world.parts["allocation"]),
        format!("/v1/runbooks?marker={}", world.parts["runbook"]),
    ] {
        let reply = get(&stranger, &path).await;
        let nothing = reply.status.as_u16() == 200 && !String::from_utf8_lossy(&reply.bytes).contains(&node.to_string());
        assert!(nothing || matches!(reply.status.as_u16(), 400 | 404), "{path}: {reply:?}");
    }
    // A lessee sees the node and what belongs to it.
    assert_eq!(get(&lease, "/v1/nodes").await.json()["nodes"][0]["uuid"], json!(node));
    assert_eq!(get(&lease, "/v1/ports").await.json()["ports"][0]["uuid"], json!(world.parts["port"]));
}

/// The address of the port.
async fn matrix_address(matrix: &Matrix, world: &World) -> String {
    let port = matrix.send("GET", &format!("/v1/ports/{}", world.parts["port"]), Some(&matrix.root), &Value::Null).await;
    port.json()["address"].as_str().unwrap().to_owned()
}
