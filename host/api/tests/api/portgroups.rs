use serde_json::{Value, json};
use wrought_domain::{NodeId, ProvisionState, Role};

use crate::callers::{Caller, guarded};
use crate::host::{Host, NEWEST};

async fn group(host: &Host, node: NodeId, name: &str) -> String {
    let reply = host.post("/v1/portgroups", json!({"node_uuid": node, "name": name})).await.expect(201);
    reply.json()["uuid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_portgroup_is_created_listed_changed_and_deleted() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let body = json!({"node_uuid": node, "name": "bond0", "address": "52-54-00-1A-B0-01", "properties": {"miimon": "100"}});
    let reply = host.post("/v1/portgroups", body).await.expect(201);
    let group = reply.json();
    let uuid = group["uuid"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("http://api.test/v1/portgroups/{uuid}"));
    for (field, value) in [
        ("address", json!("52:54:00:1a:b0:01")),
        ("node_uuid", json!(node)),
        ("mode", json!("active-backup")),
        ("properties", json!({"miimon": "100"})),
        ("standalone_ports_supported", json!(true)),
        ("internal_info", json!({})),
        ("physical_network", Value::Null),
        ("category", Value::Null),
        ("dynamic_portgroup", json!(false)),
        ("updated_at", Value::Null),
    ] {
        assert_eq!(group[field], value, "{field}");
    }
    assert_eq!(group["ports"][0]["href"], format!("http://api.test/v1/portgroups/{uuid}/ports"));
    assert!(group.get("node").is_none());
    for path in [
        "/v1/portgroups",
        "/v1/portgroups?node=n",
        "/v1/portgroups?address=52:54:00:1A:B0:01",
        "/v1/nodes/n/portgroups",
        &format!("/v1/nodes/{node}/portgroups"),
    ] {
        let list = host.get(path).await.expect(200).json();
        assert_eq!(list["portgroups"][0]["uuid"], uuid, "{path}");
        assert_eq!(list["portgroups"][0].as_object().unwrap().len(), 4, "{path}");
    }
    for path in ["/v1/portgroups/detail", "/v1/portgroups?detail=true", "/v1/nodes/n/portgroups/detail"] {
        assert_eq!(host.get(path).await.expect(200).json()["portgroups"], json!([group]), "{path}");
    }
    assert_eq!(host.get("/v1/portgroups/bond0").await.expect(200).json(), group);
    let changes = json!([
        {"op": "replace", "path": "/mode", "value": "802.3ad"},
        {"op": "remove", "path": "/address"},
        {"op": "replace", "path": "/name", "value": "bond1"},
        {"op": "add", "path": "/physical_network", "value": "phys"},
    ]);
    let changed = host.patch("/v1/portgroups/bond0", changes).await.expect(200).json();
    assert_eq!((&changed["mode"], &changed["address"], &changed["name"]), (&json!("802.3ad"), &Value::Null, &json!("bond1")));
    host.get("/v1/portgroups/bond0").await.expect(404);
    host.delete("/v1/portgroups/bond1").await.expect(204);
    host.get(&format!("/v1/portgroups/{uuid}")).await.expect(404);
}

#[tokio::test]
async fn each_version_shows_exactly_its_portgroup_fields() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    group(&host, node, "g").await;
    for (minor, count) in [(23, 10), (24, 11), (26, 13), (102, 14), (103, 15), (111, 16)] {
        let list = host.call("GET", "/v1/portgroups/detail", &format!("1.{minor}"), Value::Null).await.expect(200).json();
        assert_eq!(list["portgroups"][0].as_object().unwrap().len(), count, "1.{minor}");
    }
    for (method, path, version, status) in [
        ("GET", "/v1/portgroups", "1.22", 404),
        ("GET", "/v1/portgroups/g", "1.22", 404),
        ("DELETE", "/v1/portgroups/g", "1.22", 404),
        ("GET", "/v1/portgroups/g/ports", "1.23", 404),
        ("GET", "/v1/nodes/n/portgroups", "1.23", 404),
        ("GET", "/v1/nodes/n/portgroups", "1.24", 200),
        ("GET", "/v1/portgroups?detail=true", "1.42", 406),
        ("GET", "/v1/portgroups?shard=s", "1.81", 406),
        ("GET", "/v1/portgroups?conductor_groups=g", "1.98", 406),
        ("GET", "/v1/portgroups?fields=mode", "1.25", 406),
        ("GET", "/v1/portgroups?sort_key=mode", "1.25", 406),
        ("GET", "/v1/portgroups?fields=colour", NEWEST, 400),
        ("GET", "/v1/portgroups?sort_key=extra", NEWEST, 400),
        ("GET", "/v1/portgroups?node=none", NEWEST, 404),
        ("GET", "/v1/portgroups?portgroup=x", NEWEST, 400),
        ("GET", "/v1/portgroups?detail=true&fields=uuid", NEWEST, 400),
    ] {
        host.call(method, path, version, Value::Null).await.expect(status);
    }
    host.call("POST", "/v1/portgroups", "1.25", json!({"node_uuid": node, "mode": "x"})).await.expect(406);
    host.post("/v1/portgroups", json!({"node_uuid": node, "dynamic_portgroup": true})).await.expect(400);
}

#[tokio::test]
async fn portgroups_that_cannot_be_are_refused() {
    let host = Host::new().await;
    let (node, other) = (host.enroll("n").await, host.enroll("m").await);
    let mac = "52:54:00:00:00:01";
    host.post("/v1/portgroups", json!({"node_uuid": node, "name": "g", "address": mac})).await.expect(201);
    for (body, status, text) in [
        (json!({"name": "x"}), 400, "Missing mandatory parameter: node_uuid"),
        (json!({"node_uuid": uuid::Uuid::nil()}), 400, "could not be found"),
        (json!({"node_uuid": node, "address": "x"}), 400, "Expected a MAC address"),
        (json!({"node_uuid": node, "address": mac}), 409, "A portgroup with MAC address 52:54:00:00:00:01 already exists."),
        (json!({"node_uuid": node, "name": "g"}), 409, "A portgroup with name g already exists."),
        (json!({"node_uuid": node, "name": "a b"}), 400, "Cannot use invalid name 'a b'"),
        (json!({"node_uuid": node, "name": uuid::Uuid::nil()}), 400, "Cannot use invalid name"),
        (json!({"node_uuid": node, "standalone_ports_supported": "perhaps"}), 400, "Unrecognized value"),
    ] {
        let reply = host.post("/v1/portgroups", body.clone()).await.expect(status);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
    // Moved only while it is empty and nothing runs on either node.
    let to = json!([{"op": "replace", "path": "/node_uuid", "value": other}]);
    host.edit(other, |node| node.provision_state = ProvisionState::Active).await;
    host.patch("/v1/portgroups/g", to.clone()).await.expect(409);
    host.edit(other, |node| node.provision_state = ProvisionState::Manageable).await;
    let uuid = host.get("/v1/portgroups/g").await.json()["uuid"].clone();
    let port = host.post("/v1/ports", json!({"node_uuid": node, "address": mac, "portgroup_uuid": uuid})).await.expect(201).json();
    assert!(host.patch("/v1/portgroups/g", to.clone()).await.expect(400).fault().contains("contains ports"));
    host.delete(&format!("/v1/ports/{}", port["uuid"].as_str().unwrap())).await.expect(204);
    assert_eq!(host.patch("/v1/portgroups/g", to).await.expect(200).json()["node_uuid"], json!(other));
    // The address is the instance's, while there is one.
    host.edit(other, |node| node.instance_uuid = Some(uuid::Uuid::from_u128(1))).await;
    host.patch("/v1/portgroups/g", json!([{"op": "remove", "path": "/address"}])).await.expect(409);
    // Nobody changes what an operation holds.
    host.edit(other, |node| node.instance_uuid = None).await;
    host.hold(other).await;
    let locked = host.patch("/v1/portgroups/g", json!([{"op": "add", "path": "/extra/a", "value": 1}])).await.expect(409);
    assert!(locked.fault().contains("is locked by host"), "{}", locked.fault());
    host.delete("/v1/portgroups/g").await.expect(409);
}

#[tokio::test]
async fn ports_are_in_groups_of_their_own_node() {
    let host = Host::new().await;
    let (node, other) = (host.enroll("n").await, host.enroll("m").await);
    let (own, foreign) = (group(&host, node, "own").await, group(&host, other, "foreign").await);
    let port = |n: u8, group: Option<&str>| json!({"node_uuid": node, "address": format!("52:54:00:00:00:0{n}"), "portgroup_uuid": group});
    let refused = host.post("/v1/ports", port(1, Some(&foreign))).await.expect(400);
    assert!(refused.fault().contains("belongs to a different node"), "{}", refused.fault());
    let member = host.post("/v1/ports", port(1, Some(&own))).await.expect(201).json();
    let free = host.post("/v1/ports", port(2, None)).await.expect(201).json();
    let path = format!("/v1/ports/{}", free["uuid"].as_str().unwrap());
    let join = |group: &str| json!([{"op": "replace", "path": "/portgroup_uuid", "value": group}]);
    host.patch(&path, join(&foreign)).await.expect(400);
    host.patch(&path, join(&uuid::Uuid::nil().to_string())).await.expect(400);
    for path in [
        "/v1/portgroups/own/ports",
        &format!("/v1/portgroups/{own}/ports"),
        &format!("/v1/ports?portgroup={own}"),
        "/v1/ports?portgroup=own",
    ] {
        let list = host.get(path).await.expect(200).json();
        assert_eq!(list["ports"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(list["ports"][0]["uuid"], member["uuid"], "{path}");
    }
    assert_eq!(host.get("/v1/portgroups/own/ports/detail").await.expect(200).json()["ports"][0]["portgroup_uuid"], own);
    host.get("/v1/portgroups/none/ports").await.expect(404);
    let full = host.delete("/v1/portgroups/own").await.expect(400);
    assert_eq!(full.fault(), format!("Cannot complete the requested action because portgroup {own} contains ports."));
    // A port does not take its group along to another node.
    let member = format!("/v1/ports/{}", member["uuid"].as_str().unwrap());
    host.patch(&member, json!([{"op": "replace", "path": "/node_uuid", "value": other}])).await.expect(400);
    // Ports that boot from the network are used by themselves.
    let alone = |yes: bool| json!([{"op": "replace", "path": "/standalone_ports_supported", "value": yes}]);
    assert!(host.patch("/v1/portgroups/own", alone(false)).await.expect(409).fault().contains("pxe_enabled"));
    host.patch(&member, json!([{"op": "replace", "path": "/pxe_enabled", "value": false}])).await.expect(200);
    host.patch("/v1/portgroups/own", alone(false)).await.expect(200);
    assert!(host.patch(&path, join(&own)).await.expect(409).fault().contains("doesn't support standalone ports"));
    host.patch(&member, json!([{"op": "remove", "path": "/portgroup_uuid"}])).await.expect(200);
    host.delete("/v1/portgroups/own").await.expect(204);
}

#[tokio::test]
async fn portgroups_are_filtered_paged_and_go_with_their_node() {
    let host = Host::new().await;
    let (node, other) = (host.enroll("n").await, host.enroll("m").await);
    host.edit(node, |node| (node.shard, node.conductor_group) = (Some("s".into()), "east".into())).await;
    for name in ["c", "a", "b"] {
        group(&host, node, name).await;
    }
    group(&host, other, "d").await;
    let mut path = "/v1/portgroups?limit=2&sort_key=name&shard=s,t&conductor_groups=EAST&fields=name".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = host.get(&path).await.expect(200).json();
        seen.extend(page["portgroups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = next.trim_start_matches("http://api.test").to_owned();
    }
    assert_eq!(seen, ["a", "b", "c"]);
    host.delete("/v1/nodes/n").await.expect(204);
    let left = host.get("/v1/portgroups").await.json();
    assert_eq!((left["portgroups"].as_array().unwrap().len(), &left["portgroups"][0]["name"]), (1, &json!("d")));
}

#[tokio::test]
async fn a_project_sees_and_changes_what_is_its_nodes() {
    let host = guarded().await;
    let admin = Caller::new(&host, Role::Admin, None).await;
    let mut groups = Vec::new();
    for (name, owner, lessee) in [("own", Some("p"), None), ("leased", None, Some("p")), ("others", Some("q"), None)] {
        let body = json!({"driver": "fake-hardware", "name": name, "owner": owner, "lessee": lessee});
        let node = admin.post("/v1/nodes", body).await.expect(201).json()["uuid"].clone();
        let group = admin.post("/v1/portgroups", json!({"node_uuid": node, "name": name})).await.expect(201).json()["uuid"].clone();
        groups.push((node, group.as_str().unwrap().to_owned()));
    }
    let [(own, own_group), (leased, leased_group), (others, others_group)] = groups.as_slice() else { panic!("three") };
    let project = Caller::new(&host, Role::Admin, Some("p")).await;
    let seen = project.get("/v1/portgroups?sort_key=name").await.expect(200).json();
    let seen: Vec<_> = seen["portgroups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(seen, ["leased", "own"]);
    project.get(&format!("/v1/portgroups/{leased_group}")).await.expect(200);
    let patch = json!([{"op": "add", "path": "/extra/a", "value": 1}]);
    for (group, status) in [(own_group, 200), (leased_group, 403), (others_group, 404)] {
        project.call("PATCH", &format!("/v1/portgroups/{group}"), patch.clone()).await.expect(status);
    }
    project.get(&format!("/v1/portgroups/{others_group}")).await.expect(404);
    project.get(&format!("/v1/portgroups?marker={others_group}")).await.expect(404);
    project.get("/v1/portgroups?node=others").await.expect(404);
    // Nothing is put into, or moved to, a node of somebody else.
    for (node, status) in [(own, 201), (leased, 403), (others, 400)] {
        project.post("/v1/portgroups", json!({"node_uuid": node})).await.expect(status);
    }
    for (node, status) in [(leased, 403), (others, 400)] {
        let body = json!([{"op": "replace", "path": "/node_uuid", "value": node}]);
        project.call("PATCH", &format!("/v1/portgroups/{own_group}"), body).await.expect(status);
    }
    let reader = Caller::new(&host, Role::Reader, Some("p")).await;
    reader.get(&format!("/v1/portgroups/{own_group}")).await.expect(200);
    reader.call("DELETE", &format!("/v1/portgroups/{own_group}"), Value::Null).await.expect(403);
    project.call("DELETE", &format!("/v1/portgroups/{leased_group}"), Value::Null).await.expect(403);
    project.call("DELETE", &format!("/v1/portgroups/{own_group}"), Value::Null).await.expect(204);
}
