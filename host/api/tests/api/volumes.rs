use serde_json::{Value, json};
use wrought_domain::{NodeId, PowerState, Role};

use crate::callers::{Caller, guarded};
use crate::host::{Host, NEWEST};

async fn off(host: &Host, name: &str) -> NodeId {
    let node = host.enroll(name).await;
    host.edit(node, |node| node.power_state = Some(PowerState::Off)).await;
    node
}

fn target(node: NodeId, boot_index: u16) -> Value {
    json!({
        "node_uuid": node, "boot_index": boot_index, "volume_id": "4", "volume_type": "iscsi",
        "properties": {"target_iqn": "iqn.2026-01", "auth_username": "u", "auth_password": "hunter2"},
    })
}

#[tokio::test]
async fn a_connector_is_created_listed_changed_and_deleted() {
    let host = Host::new().await;
    let node = off(&host, "n").await;
    let body = json!({"node_uuid": node, "type": "iqn", "connector_id": "iqn.2017-07.org.test:01", "extra": {"a": 1}});
    let reply = host.post("/v1/volume/connectors", body.clone()).await.expect(201);
    let connector = reply.json();
    let path = format!("/v1/volume/connectors/{}", connector["uuid"].as_str().unwrap());
    assert_eq!(reply.header("location"), format!("http://api.test{path}"));
    assert_eq!(connector["links"][0]["href"], format!("http://api.test{path}"));
    assert_eq!(connector.as_object().unwrap().len(), 8);
    for path in ["/v1/volume/connectors", "/v1/volume/connectors?node=n", "/v1/nodes/n/volume/connectors"] {
        let list = host.get(path).await.expect(200).json();
        let brief: Vec<_> = list["connectors"][0].as_object().unwrap().keys().collect();
        assert_eq!(brief, ["connector_id", "links", "node_uuid", "type", "uuid"], "{path}");
    }
    for path in ["/v1/volume/connectors?detail=true", "/v1/nodes/n/volume/connectors?detail=true"] {
        assert_eq!(host.get(path).await.expect(200).json()["connectors"], json!([connector]), "{path}");
    }
    let again = host.post("/v1/volume/connectors", body).await.expect(409);
    assert_eq!(again.fault(), "A volume connector with type iqn and connector ID iqn.2017-07.org.test:01 already exists.");
    let rename = json!([{"op": "replace", "path": "/connector_id", "value": "iqn.2"}]);
    assert_eq!(host.patch(&path, rename.clone()).await.expect(200).json()["connector_id"], "iqn.2");
    host.patch(&path, json!([{"op": "remove", "path": "/connector_id"}])).await.expect(400);
    host.edit(node, |node| node.power_state = Some(PowerState::On)).await;
    let running = host.patch(&path, rename).await.expect(400);
    assert_eq!(
        running.fault(),
        format!(r#"The requested action "volume connector update" can not be performed on node "{node}" while it is in state "power on"."#)
    );
    host.delete(&path).await.expect(400);
    // A new one is nothing to a machine that runs.
    host.post("/v1/volume/connectors", json!({"node_uuid": node, "type": "ip", "connector_id": "1"})).await.expect(201);
    host.edit(node, |node| node.power_state = Some(PowerState::Off)).await;
    host.delete(&path).await.expect(204);
    let gone = host.get(&path).await.expect(404);
    assert!(gone.fault().starts_with("Volume connector "), "{}", gone.fault());
}

#[tokio::test]
async fn a_target_keeps_its_secrets_to_itself() {
    let host = Host::new().await;
    let node = off(&host, "n").await;
    let created = host.post("/v1/volume/targets", target(node, 0)).await.expect(201).json();
    let uuid = created["uuid"].as_str().unwrap();
    let path = format!("/v1/volume/targets/{uuid}");
    let stored = || async {
        let found: Vec<wrought_domain::VolumeTarget> =
            host.store.parts(&wrought_domain::Principal::host(), &wrought_storage::PartQuery::default()).await.unwrap();
        found[0].properties.clone()
    };
    let masked = json!({"target_iqn": "iqn.2026-01", "auth_username": "u", "auth_password": "******"});
    let back = json!([{"op": "replace", "path": "/properties", "value": masked}]);
    let one = json!([{"op": "replace", "path": "/properties/target_iqn", "value": "iqn.2"}]);
    assert_eq!(created["properties"], masked);
    assert_eq!(host.get(&path).await.json()["properties"], masked);
    assert_eq!(host.get("/v1/volume/targets?detail=true").await.json()["targets"][0]["properties"], masked);
    assert_eq!(host.get("/v1/volume/targets?fields=properties").await.json()["targets"][0]["properties"], masked);
    assert_eq!(host.get("/v1/nodes/n/volume/targets?detail=true").await.json()["targets"][0]["properties"], masked);
    for changes in [back, one] {
        let changed = host.patch(&path, changes).await.expect(200).json();
        assert_eq!(changed["properties"]["auth_password"], "******");
        assert_eq!(stored().await["auth_password"], "hunter2");
    }
    let changes = json!([{"op": "replace", "path": "/properties/auth_password", "value": "other"}]);
    assert_eq!(host.patch(&path, changes).await.expect(200).json()["properties"]["auth_password"], "******");
    assert_eq!(stored().await["auth_password"], "other");
}

#[tokio::test]
async fn a_target_is_created_listed_changed_and_deleted() {
    let host = Host::new().await;
    let (node, other) = (off(&host, "n").await, off(&host, "m").await);
    let reply = host.post("/v1/volume/targets", target(node, 0)).await.expect(201);
    let path = format!("/v1/volume/targets/{}", reply.json()["uuid"].as_str().unwrap());
    assert_eq!(reply.header("location"), format!("http://api.test{path}"));
    assert_eq!(reply.json().as_object().unwrap().len(), 10);
    let list = host.get("/v1/volume/targets").await.expect(200).json();
    let brief: Vec<_> = list["targets"][0].as_object().unwrap().keys().collect();
    assert_eq!(brief, ["boot_index", "links", "node_uuid", "uuid", "volume_id", "volume_type"]);
    let again = host.post("/v1/volume/targets", target(node, 0)).await.expect(409);
    assert_eq!(again.fault(), "A volume target with boot index '0' for the same node already exists.");
    host.post("/v1/volume/targets", target(node, 1)).await.expect(201);
    host.post("/v1/volume/targets", target(other, 0)).await.expect(201);
    host.patch(&path, json!([{"op": "replace", "path": "/boot_index", "value": 1}])).await.expect(409);
    host.patch(&path, json!([{"op": "replace", "path": "/node_uuid", "value": other}])).await.expect(409);
    assert_eq!(
        host.patch(&path, json!([{"op": "replace", "path": "/boot_index", "value": "7"}])).await.expect(200).json()["boot_index"],
        7
    );
    let moved = host.patch(&path, json!([{"op": "replace", "path": "/node_uuid", "value": other}])).await.expect(200).json();
    assert_eq!(moved["node_uuid"], json!(other));
    host.edit(other, |node| node.power_state = None).await;
    assert!(host.delete(&path).await.expect(400).fault().contains("in state \"None\""));
    host.edit(other, |node| node.power_state = Some(PowerState::Off)).await;
    host.hold(other).await;
    host.delete(&path).await.expect(409);
    host.delete("/v1/nodes/n").await.expect(204);
    assert_eq!(host.get("/v1/volume/targets").await.json()["targets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn volumes_that_cannot_be_are_refused() {
    let host = Host::new().await;
    let node = off(&host, "n").await;
    let without = |name: &str| {
        let mut body = target(node, 0);
        body.as_object_mut().unwrap().remove(name);
        body
    };
    for (path, body, text) in [
        ("targets", without("node_uuid"), "Missing mandatory parameter: node_uuid"),
        ("targets", without("boot_index"), "Missing mandatory parameter: boot_index"),
        ("targets", without("volume_id"), "Missing mandatory parameter: volume_id"),
        ("targets", without("volume_type"), "Missing mandatory parameter: volume_type"),
        ("targets", json!({"colour": 1}), "'colour' was unexpected"),
        ("connectors", json!({"node_uuid": node, "type": "iqn"}), "Missing mandatory parameter: connector_id"),
        ("connectors", json!({"node_uuid": node, "connector_id": "x"}), "Missing mandatory parameter: type"),
        ("connectors", json!({"node_uuid": node, "type": "tape", "connector_id": "x"}), "'tape' is not one of iqn, ip, mac"),
        ("connectors", json!({"node_uuid": uuid::Uuid::nil(), "type": "ip", "connector_id": "x"}), "could not be found"),
    ] {
        let reply = host.post(&format!("/v1/volume/{path}"), body.clone()).await.expect(400);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
    for (method, path, version, status) in [
        ("GET", "/v1/volume", "1.31", 404),
        ("GET", "/v1/volume/connectors", "1.31", 404),
        ("GET", "/v1/volume/targets", "1.31", 404),
        ("GET", "/v1/nodes/n/volume", "1.31", 404),
        ("GET", "/v1/nodes/n/volume/targets", "1.31", 404),
        ("GET", "/v1/volume/targets", "1.32", 200),
        ("GET", "/v1/volume/targets?detail=true", "1.32", 200),
        ("GET", "/v1/volume/targets?address=x", NEWEST, 400),
        ("GET", "/v1/volume/targets?sort_key=properties", NEWEST, 400),
        ("GET", "/v1/volume/targets?detail=true&fields=uuid", NEWEST, 400),
        ("GET", "/v1/volume/targets/x", NEWEST, 400),
        ("DELETE", "/v1/volume/connectors/x", NEWEST, 400),
    ] {
        host.call(method, path, version, Value::Null).await.expect(status);
    }
    let links = host.get("/v1/volume").await.expect(200).json();
    assert_eq!(links["connectors"][0]["href"], "http://api.test/v1/volume/connectors");
    let links = host.get("/v1/nodes/n/volume").await.expect(200).json();
    assert_eq!(links["targets"][1]["href"], format!("http://api.test/nodes/{node}/volume/targets"));
}

#[tokio::test]
async fn volumes_are_paged_and_each_projects_own() {
    let host = guarded().await;
    let admin = Caller::new(&host, Role::Admin, None).await;
    let mut own = Value::Null;
    for (name, owner) in [("own", "p"), ("others", "q")] {
        let node = admin.post("/v1/nodes", json!({"driver": "fake-hardware", "name": name, "owner": owner})).await.expect(201).json();
        own = if name == "own" { node["uuid"].clone() } else { own };
        for index in [2, 0, 1] {
            let body = json!({"node_uuid": node["uuid"], "boot_index": index, "volume_id": "v", "volume_type": "iscsi"});
            admin.post("/v1/volume/targets", body).await.expect(201);
        }
    }
    let project = Caller::new(&host, Role::Member, Some("p")).await;
    let mut path = "/v1/volume/targets?limit=2&sort_key=boot_index&sort_dir=desc".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = project.get(&path).await.expect(200).json();
        seen.extend(page["targets"].as_array().unwrap().iter().map(|target| (target["node_uuid"].clone(), target["boot_index"].clone())));
        let Some(next) = page["next"].as_str() else { break };
        path = next.trim_start_matches("http://localhost").to_owned();
    }
    assert_eq!(seen, [2, 1, 0].map(|index| (own.clone(), json!(index))));
    let others = admin.get("/v1/nodes/others/volume/targets").await.expect(200).json()["targets"][0]["uuid"].clone();
    project.get(&format!("/v1/volume/targets/{}", others.as_str().unwrap())).await.expect(404);
    project.get("/v1/nodes/others/volume/targets").await.expect(404);
    let body = json!({"node_uuid": own, "type": "ip", "connector_id": "1"});
    project.post("/v1/volume/connectors", body.clone()).await.expect(201);
    let reader = Caller::new(&host, Role::Reader, Some("p")).await;
    reader.post("/v1/volume/connectors", body).await.expect(403);
}
