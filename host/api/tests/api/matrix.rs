//! Every route, asked by every kind of caller about a node that is its project's, leased by it, or a stranger's. What should come out
//! is written down here by hand, and not taken from the host's own table.
//!
//! A route without a row fails the test. A new one is a line in [`rows`].

mod projects;
mod rows;

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
use rows::{May, May::*, OTHERWISE, Row, patch, rows, rule, steps};

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

/// The address of the port.
async fn matrix_address(matrix: &Matrix, world: &World) -> String {
    let port = matrix.send("GET", &format!("/v1/ports/{}", world.parts["port"]), Some(&matrix.root), &Value::Null).await;
    port.json()["address"].as_str().unwrap().to_owned()
}
