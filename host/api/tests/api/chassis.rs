//! Chassis, shards, and the events that other services tell of.

use serde_json::{Value, json};
use wrought_domain::Role;

use crate::callers::{Caller, guarded};
use crate::host::{Host, NEWEST};

#[tokio::test]
async fn a_chassis_is_created_listed_changed_and_deleted() {
    let host = Host::new().await;
    let reply = host.post("/v1/chassis", json!({"description": "rack 7", "extra": {"a": 1}})).await.expect(201);
    let chassis = reply.json();
    let uuid = chassis["uuid"].as_str().unwrap().to_owned();
    let path = format!("/v1/chassis/{uuid}");
    assert_eq!(reply.header("location"), format!("http://api.test{path}"));
    assert_eq!(chassis.as_object().unwrap().len(), 7);
    assert_eq!((&chassis["description"], &chassis["extra"], &chassis["updated_at"]), (&json!("rack 7"), &json!({"a": 1}), &Value::Null));
    // A flat list: Ironic nests it once more.
    assert_eq!(chassis["nodes"][0], json!({"href": format!("http://api.test{path}/nodes"), "rel": "self"}));
    assert_eq!(chassis["nodes"][1]["href"], format!("http://api.test/chassis/{uuid}/nodes"));

    let list = host.get("/v1/chassis").await.expect(200).json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&list["chassis"][0]), ["description", "links", "uuid"]);
    assert_eq!(host.get("/v1/chassis/detail").await.expect(200).json()["chassis"][0], chassis);
    assert_eq!(host.get("/v1/chassis?detail=true").await.expect(200).json()["chassis"][0], chassis);
    assert_eq!(keys(&host.get("/v1/chassis?fields=extra").await.json()["chassis"][0]), ["extra", "links"]);
    assert_eq!(keys(&host.get(&format!("{path}?fields=uuid")).await.json()), ["links", "uuid"]);
    assert_eq!(host.get(&path).await.expect(200).json(), chassis);

    let changes = json!([{"op": "replace", "path": "/description", "value": "rack 8"}, {"op": "add", "path": "/extra/b", "value": 2}]);
    let changed = host.patch(&path, changes).await.expect(200).json();
    assert_eq!((&changed["description"], &changed["extra"]), (&json!("rack 8"), &json!({"a": 1, "b": 2})));
    assert!(changed["updated_at"].is_string());
    let removed = host.patch(&path, json!([{"op": "remove", "path": "/description"}])).await.expect(200).json();
    assert_eq!(removed["description"], Value::Null);
    host.delete(&path).await.expect(204);
    for method in ["GET", "DELETE"] {
        let gone = host.call(method, &path, NEWEST, Value::Null).await.expect(404);
        assert_eq!(gone.fault(), format!("Chassis {uuid} could not be found."));
    }
}

#[tokio::test]
async fn chassis_that_cannot_be_are_refused() {
    let host = Host::new().await;
    let uuid = host.post("/v1/chassis", json!({})).await.expect(201).json()["uuid"].clone();
    for (body, status, text) in [
        (json!({"description": "x".repeat(256)}), 400, "At most 255"),
        (json!({"uuid": "x"}), 400, "Expected a UUID"),
        (json!({"extra": 7}), 400, "extra"),
        (json!({"colour": 7}), 400, "'colour' was unexpected"),
        (json!({"uuid": uuid}), 409, "A chassis with UUID"),
    ] {
        let reply = host.post("/v1/chassis", body.clone()).await.expect(status);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
    let path = format!("/v1/chassis/{}", uuid.as_str().unwrap());
    host.patch(&path, json!([{"op": "add", "path": "/uuid", "value": "x"}])).await.expect(400);
    host.patch(&path, json!([{"op": "add", "path": "/colour", "value": "x"}])).await.expect(400);
    for (path, version, status) in [
        ("/v1/chassis?fields=uuid", "1.7", 406),
        ("/v1/chassis?detail=true", "1.42", 406),
        ("/v1/chassis?detail=true&fields=uuid", NEWEST, 400),
        ("/v1/chassis?colour=1", NEWEST, 400),
        ("/v1/chassis?fields=colour", NEWEST, 400),
        ("/v1/chassis?sort_key=extra", NEWEST, 400),
        ("/v1/chassis/x", NEWEST, 404),
        ("/v1/chassis", "1.1", 200),
    ] {
        host.call("GET", path, version, Value::Null).await.expect(status);
    }
}

#[tokio::test]
async fn chassis_are_paged_in_the_order_asked_for() {
    let host = Host::new().await;
    for name in ["b", "c", "a"] {
        host.post("/v1/chassis", json!({"description": name})).await.expect(201);
    }
    let mut path = "/v1/chassis?limit=1&sort_key=description&sort_dir=desc&fields=description".to_owned();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let page = host.get(&path).await.expect(200).json();
        let Some(item) = page["chassis"].get(0) else { break };
        seen.push(item["description"].as_str().unwrap().to_owned());
        assert!(item.get("uuid").is_none(), "the next page has the same fields");
        path = page["next"].as_str().unwrap().trim_start_matches("http://api.test").to_owned();
    }
    assert_eq!(seen, ["c", "b", "a"]);
    host.get(&format!("/v1/chassis?marker={}", uuid::Uuid::nil())).await.expect(404);
}

#[tokio::test]
async fn nodes_are_in_chassis_and_keep_them() {
    let host = Host::new().await;
    let uuid = host.post("/v1/chassis", json!({})).await.json()["uuid"].as_str().unwrap().to_owned();
    let body = json!({"driver": "redfish", "name": "in", "chassis_uuid": uuid, "driver_info": {"redfish_address": "https://bmc"}});
    let node = host.post("/v1/nodes", body).await.expect(201).json();
    assert_eq!(node["chassis_uuid"], uuid);
    host.enroll("out").await;
    for path in ["nodes", "nodes?limit=1", "nodes/detail", "nodes?detail=true", "nodes?fields=uuid"] {
        let list = host.get(&format!("/v1/chassis/{uuid}/{path}")).await.expect(200).json();
        assert_eq!(list["nodes"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(list["nodes"][0]["uuid"], node["uuid"], "{path}");
        if let Some(next) = list["next"].as_str() {
            let next = host.get(next.trim_start_matches("http://api.test")).await.expect(200).json();
            assert_eq!(next["nodes"], json!([]), "{path}");
        }
    }
    assert_eq!(host.get(&format!("/v1/nodes?chassis_uuid={uuid}")).await.json()["nodes"][0]["uuid"], node["uuid"]);
    host.get(&format!("/v1/chassis/{}/nodes", uuid::Uuid::nil())).await.expect(404);

    let refused = host.delete(&format!("/v1/chassis/{uuid}")).await.expect(400);
    assert_eq!(refused.fault(), format!("Cannot complete the requested action because chassis {uuid} contains nodes."));
    let unknown = json!([{"op": "replace", "path": "/chassis_uuid", "value": uuid::Uuid::nil()}]);
    assert!(host.patch("/v1/nodes/in", unknown).await.expect(400).fault().contains("Chassis"));
    let out = json!([{"op": "remove", "path": "/chassis_uuid"}]);
    host.call("PATCH", "/v1/nodes/in", "1.24", out.clone()).await.expect(406);
    assert_eq!(host.call("PATCH", "/v1/nodes/in", "1.25", out).await.expect(200).json()["chassis_uuid"], Value::Null);
    host.delete(&format!("/v1/chassis/{uuid}")).await.expect(204);
}

#[tokio::test]
async fn shards_are_counted_and_none_is_null() {
    let host = Host::new().await;
    assert_eq!(host.get("/v1/shards").await.expect(200).json(), json!({"shards": []}));
    for (name, shard) in [("a", Some("s2")), ("b", Some("s1")), ("c", Some("s2")), ("d", None)] {
        host.post("/v1/nodes", json!({"driver": "fake-hardware", "name": name, "shard": shard})).await.expect(201);
    }
    let shards = json!([{"name": "s1", "count": 1}, {"name": "s2", "count": 2}, {"name": null, "count": 1}]);
    assert_eq!(host.call("GET", "/v1/shards", "1.82", Value::Null).await.expect(200).json(), json!({ "shards": shards }));
    host.call("GET", "/v1/shards", "1.81", Value::Null).await.expect(404);
    host.get("/v1/shards?limit=1").await.expect(400);
    host.post("/v1/shards", json!({})).await.expect(405);
}

#[tokio::test]
async fn events_of_other_services_are_checked() {
    let host = Host::new().await;
    let good = json!({"event": "network.bind_port", "port_id": uuid::Uuid::nil(), "mac_address": "52:54:00:00:00:01", "status": "ACTIVE"});
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        json!({"events": [event]})
    };
    let more = json!({"events": [good, with("device_id", json!(uuid::Uuid::nil()))["events"][0], with("binding:host_id", Value::Null)["events"][0],
        with("binding:vnic_type", json!("baremetal"))["events"][0], with("event", json!("network.delete_port"))["events"][0]]});
    for version in ["1.54", NEWEST] {
        assert!(host.call("POST", "/v1/events", version, more.clone()).await.expect(204).bytes.is_empty());
    }
    host.call("POST", "/v1/events", "1.53", more).await.expect(404);
    let mut unnamed = good.clone();
    unnamed.as_object_mut().unwrap().remove("status");
    for body in [
        json!({}),
        json!({"events": []}),
        json!({"events": {}}),
        json!({"events": [7]}),
        json!({"events": [unnamed]}),
        json!({"events": [good], "more": 1}),
        with("event", json!("network.unknown")),
        with("event", json!(7)),
        with("port_id", json!("x")),
        with("mac_address", json!("x")),
        with("status", Value::Null),
        with("device_id", json!("x")),
        with("colour", json!("x")),
    ] {
        host.post("/v1/events", body).await.expect(400);
    }
    assert_eq!(host.get("/v1/events").await.expect(405).header("allow"), "POST");
}

#[tokio::test]
async fn chassis_and_shards_are_no_projects() {
    let host = guarded().await;
    let (admin, project) = (Caller::new(&host, Role::Admin, None).await, Caller::new(&host, Role::Admin, Some("p")).await);
    let reader = Caller::new(&host, Role::Reader, None).await;
    let uuid = admin.post("/v1/chassis", json!({})).await.expect(201).json()["uuid"].as_str().unwrap().to_owned();
    for path in ["/v1/chassis", "/v1/chassis/detail", "/v1/shards", &format!("/v1/chassis/{uuid}"), &format!("/v1/chassis/{uuid}/nodes")] {
        reader.get(path).await.expect(200);
        project.get(path).await.expect(403);
    }
    let event = json!({"events": [{"event": "network.bind_port", "port_id": uuid, "mac_address": "52:54:00:00:00:01", "status": "UP"}]});
    for (path, body) in [("/v1/chassis", json!({})), ("/v1/events", event)] {
        for caller in [&reader, &project] {
            caller.post(path, body.clone()).await.expect(403);
        }
    }
}
