//! The document says what the API does: each argument and each key that it names is known, and no other is.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Map, Value, json};

use crate::host::{Host, Reply};

const NOBODYS: &str = "nobodys";

/// Something of each kind, and what stands for it in paths.
struct Fixture {
    host: Host,
    document: Value,
    ids: BTreeMap<&'static str, String>,
}

impl Fixture {
    async fn new() -> Self {
        let host = Host::new().await;
        let document = host.get("/openapi.json").await.expect(200).json();
        let node = host.enroll("n").await;
        let mut ids = BTreeMap::from([("{node}", node.to_string()), ("{driver}", "redfish".into()), ("{hostname}", "testhost".into())]);
        ids.insert("{which}", "led@chassis".into());
        let step = |place: &str| json!([{"interface": "bios", "step": "apply", "args": {}, place: 1}]);
        for (name, collection, body) in [
            ("{port}", "ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})),
            ("{chassis}", "chassis", json!({})),
            ("{allocation}", "allocations", json!({"resource_class": "c"})),
            ("{portgroup}", "portgroups", json!({"node_uuid": node})),
            ("{connector}", "volume/connectors", json!({"node_uuid": node, "type": "iqn", "connector_id": "iqn.x"})),
            ("{target}", "volume/targets", json!({"node_uuid": node, "volume_type": "iscsi", "boot_index": 0, "volume_id": "v"})),
            ("{template}", "deploy_templates", json!({"name": "CUSTOM_T", "steps": step("priority")})),
            ("{runbook}", "runbooks", json!({"name": "CUSTOM_R", "steps": step("order")})),
            ("{rule}", "inspection_rules", json!({"actions": [{"op": "fail", "args": {"msg": "m"}}]})),
        ] {
            let made = host.post(&format!("/v1/{collection}"), body).await.expect(201).json();
            ids.insert(name, made["uuid"].as_str().unwrap().to_owned());
        }
        Self { host, document, ids }
    }

    fn path(&self, template: &str) -> String {
        let filled = self.ids.iter().fold(template.to_owned(), |path, (name, id)| path.replace(name, id));
        filled.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
    }

    async fn send(&self, method: &str, path: &str, version: &str, body: Option<&Value>) -> Reply {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let request = Request::builder().method(method).uri(path).header("X-OpenStack-Ironic-API-Version", version);
        let request = request.header("Content-Type", "application/json");
        self.host.send(request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()).await
    }

    /// The schema, with its references followed.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolved(self.document.pointer(reference.trim_start_matches('#')).unwrap()),
            None => schema,
        }
    }

    /// A value that fits.
    fn example(&self, name: &str, schema: &Value) -> Value {
        match name {
            "sort_key" => return json!("uuid"),
            "fields" => return json!("links"),
            "address" | "mac_address" => return json!("52:54:00:00:00:01"),
            "marker" => return json!("0b5e55ed-1ab0-4000-8000-00000000c0de"),
            _ => {}
        }
        let schema = self.resolved(schema);
        if let Some(first) = schema["enum"].get(0).or(schema["anyOf"].get(0)) {
            return if first.is_object() { self.example(name, first) } else { first.clone() };
        }
        let kind = schema["type"].as_str().or(schema["type"][0].as_str()).unwrap_or("object");
        match (kind, schema["format"].as_str()) {
            ("boolean", _) => json!(true),
            ("integer", _) => schema["minimum"].clone(),
            ("array", _) => json!([]),
            ("object", _) => json!({}),
            (_, Some("uuid")) => json!("0b5e55ed-1ab0-4000-8000-00000000c0de"),
            (_, Some("date-time")) => json!("2026-01-02T03:04:05Z"),
            _ => json!("x"),
        }
    }

    /// Every route: method, path, description.
    fn routes(&self) -> Vec<(&str, &str, &Value)> {
        let paths = self.document["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |(m, op)| (m.as_str(), path.as_str(), op)))
            .collect()
    }
}

/// What the text of a refusal says of a name that is not known.
fn refuses(reply: &Reply, name: &str) -> bool {
    let said = String::from_utf8_lossy(&reply.bytes).replace('\\', "");
    reply.status.as_u16() == 400
        && [
            format!("Unexpected arguments: {name}"),
            format!("('{name}' was unexpected)"),
            format!("unknown field `{name}`"),
            format!("takes no argument {name}"),
        ]
        .iter()
        .any(|text| said.contains(text.as_str()))
}

fn encoded(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).replace(' ', "%20")
}

/// Whether the route ends something that later ones need.
fn ends(method: &str, path: &str) -> bool {
    method == "delete" && path.matches('{').count() == 1 && path.ends_with('}')
}

#[tokio::test]
async fn each_argument_of_a_query_is_known_and_no_other() {
    let fixture = Fixture::new().await;
    let mut defects = Vec::new();
    for (method, template, op) in fixture.routes() {
        if ends(method, template) {
            continue;
        }
        let path = fixture.path(template);
        let arguments: Vec<&Value> = op["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "query").collect();
        let body = op["requestBody"]["required"].as_bool().unwrap_or_default().then(|| json!({}));
        for argument in arguments {
            let name = argument["name"].as_str().unwrap();
            let given = format!("{path}?{name}={}", encoded(&fixture.example(name, &argument["schema"])));
            let reply = fixture.send(method, &given, "1.115", body.as_ref()).await;
            if refuses(&reply, name) || reply.status.is_server_error() || reply.status.as_u16() == 406 {
                defects.push(format!("{method} {given}: {} {}", reply.status, String::from_utf8_lossy(&reply.bytes)));
            }
            let since: Option<u16> = argument["x-since"].as_str().map(|since| since[2..].parse().unwrap());
            let born: u16 = op["x-since"].as_str().map_or(1, |since| since[2..].parse().unwrap());
            if let Some(since) = since.filter(|since| *since > born) {
                let old = fixture.send(method, &given, &format!("1.{}", since - 1), body.as_ref()).await;
                if old.status.as_u16() != 406 {
                    defects.push(format!("{method} {given} at 1.{}: {} {}", since - 1, old.status, String::from_utf8_lossy(&old.bytes)));
                }
            }
        }
        if op["x-any-query"] != true {
            let reply = fixture.send(method, &format!("{path}?{NOBODYS}=1"), "1.115", body.as_ref()).await;
            let first_of_all =
                reply.status.as_u16() == 400 && String::from_utf8_lossy(&reply.bytes).contains("Missing mandatory parameter");
            if !refuses(&reply, NOBODYS) && !first_of_all {
                defects.push(format!("{method} {path}?{NOBODYS}: {} {}", reply.status, String::from_utf8_lossy(&reply.bytes)));
            }
        }
    }
    assert!(defects.is_empty(), "{}", defects.join("\n"));
    let _ = fixture.host.asked();
}

#[tokio::test]
async fn each_key_of_a_body_is_known_and_no_other() {
    let fixture = Fixture::new().await;
    let mut defects = Vec::new();
    for (method, template, op) in fixture.routes() {
        let schema = fixture.resolved(&op["requestBody"]["content"]["application/json"]["schema"]);
        let (Some(properties), Some(false)) = (schema["properties"].as_object(), schema["additionalProperties"].as_bool()) else {
            continue;
        };
        if ends(method, template) {
            continue;
        }
        let path = fixture.path(template);
        for (name, property) in properties {
            let body = json!({ name: fixture.example(name, property) });
            let reply = fixture.send(method, &path, "1.115", Some(&body)).await;
            if refuses(&reply, name) || reply.status.is_server_error() || reply.status.as_u16() == 406 {
                defects.push(format!("{method} {path} {body}: {} {}", reply.status, String::from_utf8_lossy(&reply.bytes)));
            }
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut body: Map<String, Value> = required.map(|name| (name.to_owned(), fixture.example(name, &properties[name]))).collect();
        body.insert(NOBODYS.into(), json!(1));
        let reply = fixture.send(method, &path, "1.115", Some(&Value::Object(body.clone()))).await;
        if !refuses(&reply, NOBODYS) {
            defects.push(format!("{method} {path} {body:?}: {} {}", reply.status, String::from_utf8_lossy(&reply.bytes)));
        }
    }
    assert!(defects.is_empty(), "{}", defects.join("\n"));
    let _ = fixture.host.asked();
}

#[tokio::test]
async fn each_path_of_a_patch_may_be_changed_and_no_other() {
    let fixture = Fixture::new().await;
    let mut defects = Vec::new();
    for (method, template, op) in fixture.routes() {
        let schema = &op["requestBody"]["content"]["application/json"]["schema"];
        let Some(paths) = schema["x-paths"].as_array() else { continue };
        assert_eq!(method, "patch");
        let path = fixture.path(template);
        let shown = fixture.resolved(&op["responses"]["200"]["content"]["application/json"]["schema"])["properties"].as_object().unwrap();
        for name in shown.keys() {
            let changes = json!([{"op": "add", "path": format!("/{name}"), "value": null}]);
            let reply = fixture.send(method, &path, "1.115", Some(&changes)).await;
            let refused = reply.status.as_u16() == 400 && reply.fault().contains(&format!("Cannot patch /{name}."));
            if refused == paths.contains(&json!(format!("/{name}"))) || reply.status.is_server_error() {
                defects.push(format!("{path} /{name}: {} {}", reply.status, String::from_utf8_lossy(&reply.bytes)));
            }
        }
        let changes = json!([{"op": "add", "path": format!("/{NOBODYS}"), "value": 1}]);
        let reply = fixture.send(method, &path, "1.115", Some(&changes)).await.expect(400);
        assert!(reply.fault().contains("Adding a new attribute"), "{}", reply.fault());
    }
    assert!(defects.is_empty(), "{}", defects.join("\n"));
}

#[tokio::test]
async fn the_document_is_for_everybody() {
    let host = Host::new().await;
    let request = Request::get("/openapi.json").header("X-OpenStack-Ironic-API-Version", "1.1").body(Body::empty()).unwrap();
    let reply = host.send(request).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    for scheme in ["basic", "bearer", "token"] {
        assert!(document["components"]["securitySchemes"][scheme].is_object());
    }
    assert_eq!(document["paths"]["/v1/lookup"]["get"]["security"], json!([]));
    assert!(document["paths"]["/v1/nodes"]["get"].get("security").is_none());
    // Each reference leads somewhere.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
