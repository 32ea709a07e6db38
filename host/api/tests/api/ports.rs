use serde_json::{Value, json};
use wrought_domain::{ProvisionState, Role};

use crate::callers::{Caller, guarded};
use crate::host::{Host, NEWEST};

#[tokio::test]
async fn a_port_is_created_listed_changed_and_deleted() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let reply = host.post("/v1/ports", json!({"node_uuid": node, "address": "52-54-00-1A-B0-01", "extra": {"a": 1}})).await.expect(201);
    let port = reply.json();
    let uuid = port["uuid"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("http://api.test/v1/ports/{uuid}"));
    for (field, value) in [
        ("address", json!("52:54:00:1a:b0:01")),
        ("node_uuid", json!(node)),
        ("pxe_enabled", json!(true)),
        ("is_smartnic", json!(false)),
        ("local_link_connection", json!({})),
        ("physical_network", json!(null)),
        ("internal_info", json!({})),
        ("portgroup_uuid", json!(null)),
        ("updated_at", json!(null)),
    ] {
        assert_eq!(port[field], value, "{field}");
    }
    assert!(port.get("node").is_none());
    for path in [
        "/v1/ports?node=n",
        "/v1/ports?address=52:54:00:1A:B0:01",
        "/v1/nodes/n/ports",
        &format!("/v1/nodes/{node}/ports"),
        &format!("/v1/ports?node_uuid={node}"),
    ] {
        let list = host.get(path).await.expect(200).json();
        assert_eq!(list["ports"][0]["uuid"], uuid, "{path}");
        assert_eq!(list["ports"][0].as_object().unwrap().len(), 3, "{path}");
    }
    assert_eq!(host.get("/v1/ports/detail").await.json()["ports"][0]["extra"], json!({"a": 1}));
    assert_eq!(host.get("/v1/ports?fields=extra").await.json()["ports"][0].as_object().unwrap().len(), 2);
    let path = format!("/v1/ports/{uuid}");
    let changes = json!([{"op": "add", "path": "/extra/b", "value": 2}, {"op": "replace", "path": "/pxe_enabled", "value": false}]);
    let changed = host.patch(&path, changes).await.expect(200).json();
    assert_eq!((&changed["extra"], &changed["pxe_enabled"]), (&json!({"a": 1, "b": 2}), &json!(false)));
    host.delete(&path).await.expect(204);
    host.get(&path).await.expect(404);
}

#[tokio::test]
async fn each_version_shows_exactly_its_port_fields() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201);
    for (minor, count) in [(1, 7), (18, 8), (19, 10), (24, 11), (34, 12), (53, 13), (88, 14), (97, 15), (100, 16), (101, 17), (111, 18)] {
        let port = host.call("GET", "/v1/ports/detail", &format!("1.{minor}"), Value::Null).await.expect(200).json();
        assert_eq!(port["ports"][0].as_object().unwrap().len(), count, "1.{minor}");
    }
}

#[tokio::test]
async fn ports_that_cannot_be_are_refused() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.post("/v1/ports", json!({"node_ident": "n", "address": "52:54:00:00:00:01"})).await.expect(201);
    let mac = "52:54:00:00:00:02";
    for (body, status, text) in [
        (json!({"node_uuid": node}), 400, "Missing mandatory parameter: address"),
        (json!({"address": mac}), 400, "Missing mandatory parameter: node_uuid"),
        (json!({"node_uuid": node, "address": "nonsense"}), 400, "Expected a MAC address but received nonsense."),
        (json!({"node_uuid": node, "address": "52:54:00:00:00:01"}), 409, "A port with MAC address 52:54:00:00:00:01 already exists."),
        (json!({"node_uuid": uuid::Uuid::from_u128(7), "address": mac}), 400, "could not be found"),
        (json!({"node_uuid": node, "node_ident": "n", "address": mac}), 400, "Exactly one of"),
        (json!({"node_uuid": node, "address": mac, "colour": 1}), 400, "'colour' was unexpected"),
        (json!({"node_uuid": node, "address": mac, "portgroup_uuid": uuid::Uuid::from_u128(7)}), 400, "Portgroup"),
        (json!({"node_uuid": node, "address": mac, "local_link_connection": {"x": 1}}), 400, "local_link_connection"),
        (json!({"node_uuid": node, "address": mac, "vendor": "x".repeat(33)}), 400, "At most 32"),
        (json!({"node_uuid": node, "address": mac, "name": "a b"}), 400, "Cannot use invalid name 'a b'"),
    ] {
        let reply = host.post("/v1/ports", body.clone()).await.expect(status);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
    host.call("POST", "/v1/ports", "1.93", json!({"node_ident": "n", "address": mac})).await.expect(406);
    host.call("POST", "/v1/ports", "1.18", json!({"node_uuid": node, "address": mac, "pxe_enabled": true})).await.expect(406);
    host.call("GET", "/v1/ports?node=none", NEWEST, Value::Null).await.expect(404);
    host.get("/v1/ports?address=x").await.expect(400);
}

#[tokio::test]
async fn the_wiring_of_a_node_in_use_stays() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let port = host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.json();
    let path = format!("/v1/ports/{}", port["uuid"].as_str().unwrap());
    host.edit(node, |node| node.provision_state = ProvisionState::Active).await;
    for (field, value) in [("pxe_enabled", json!(false)), ("physical_network", json!("p")), ("address", json!("52:54:00:00:00:02"))] {
        host.patch(&path, json!([{"op": "add", "path": format!("/{field}"), "value": value}])).await.expect(409);
    }
    host.patch(&path, json!([{"op": "add", "path": "/extra/a", "value": 1}])).await.expect(200);
    host.edit(node, |node| node.maintenance = true).await;
    host.patch(&path, json!([{"op": "add", "path": "/physical_network", "value": "p"}])).await.expect(200);
    for change in [
        json!({"op": "remove", "path": "/address"}),
        json!({"op": "remove", "path": "/node_uuid"}),
        json!({"op": "add", "path": "/uuid", "value": "x"}),
    ] {
        host.patch(&path, json!([change])).await.expect(400);
    }
}

#[tokio::test]
async fn ports_are_filtered_and_the_next_page_keeps_the_filters() {
    let host = Host::new().await;
    let (node, other) = (host.enroll("n").await, host.enroll("m").await);
    host.edit(node, |node| (node.shard, node.conductor_group) = (Some("s".into()), "east".into())).await;
    for (n, of) in [(1, node), (2, other), (3, node), (4, node)] {
        let description = if n == 3 { "Spare" } else { "Rack 7 Öst" };
        let body = json!({"node_uuid": of, "address": format!("52:54:00:00:00:0{n}"), "name": format!("p{n}"), "description": description});
        host.post("/v1/ports", body).await.expect(201);
    }
    let seen = async |query: &str| {
        let mut path = format!("/v1/ports?limit=1&fields=name&{query}");
        let mut seen = Vec::new();
        loop {
            let page = host.get(&path).await.expect(200).json();
            seen.extend(page["ports"].as_array().unwrap().iter().map(|port| port["name"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break seen.join(" ") };
            path = next.trim_start_matches("http://api.test").to_owned();
        }
    };
    for (query, names) in [
        ("node=n", "p1 p3 p4"),
        (&format!("node_uuid={other}"), "p2"),
        ("shard=s,t", "p1 p3 p4"),
        ("shard=t", ""),
        ("conductor_groups=EAST,west", "p1 p3 p4"),
        ("description_contains=%C3%B6st", "p1 p2 p4"),
        ("description_contains=rack&node=n", "p1 p4"),
        ("description_contains=%25", ""),
        ("address=52-54-00-00-00-02", "p2"),
        ("sort_key=address&sort_dir=desc", "p4 p3 p2 p1"),
        (&format!("node=n&node_uuid={node}"), "p1 p3 p4"),
    ] {
        assert_eq!(seen(query).await, names, "{query}");
    }
    assert_eq!(host.get("/v1/ports/p3").await.expect(200).json()["name"], "p3");
    for (path, version, status) in [
        ("/v1/ports/p3", "1.87", 400),
        ("/v1/ports?fields=uuid", "1.7", 406),
        ("/v1/ports?detail=true", "1.42", 406),
        ("/v1/ports?shard=s", "1.81", 406),
        ("/v1/ports?description_contains=s", "1.96", 406),
        ("/v1/ports?conductor_groups=s", "1.98", 406),
        ("/v1/ports?sort_key=name", "1.87", 406),
        (&format!("/v1/ports?portgroup={node}"), "1.23", 406),
        (&format!("/v1/ports?portgroup={node}"), "1.24", 404),
        (&format!("/v1/ports?node=m&node_uuid={node}"), NEWEST, 400),
        (&format!("/v1/ports?node_uuid={}", uuid::Uuid::nil()), NEWEST, 404),
        ("/v1/ports?limit=0", NEWEST, 400),
        ("/v1/ports?colour=x", NEWEST, 400),
        ("/v1/nodes/n/ports?address=52:54:00:00:00:01", NEWEST, 400),
        ("/v1/nodes/n/ports?limit=2", NEWEST, 200),
    ] {
        host.call("GET", path, version, Value::Null).await.expect(status);
    }
}

#[tokio::test]
async fn ports_of_a_held_node_stay_as_they_are() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let port = host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201).json();
    let path = format!("/v1/ports/{}", port["uuid"].as_str().unwrap());
    host.hold(node).await;
    let refused = [
        host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:02"})).await,
        host.patch(&path, json!([{"op": "add", "path": "/extra/a", "value": 1}])).await,
        host.delete(&path).await,
    ];
    for refused in refused {
        assert!(refused.expect(409).fault().contains("is locked by host"));
    }
    assert_eq!(host.get(&path).await.expect(200).json(), port);
}

#[tokio::test]
async fn ports_move_between_nodes_of_one_project_alone() {
    let host = guarded().await;
    let admin = Caller::new(&host, Role::Admin, None).await;
    let mut nodes = Vec::new();
    for (name, owner, lessee) in [("own", "p", None), ("second", "p", None), ("leased", "q", Some("p")), ("others", "q", None)] {
        let body = json!({"driver": "fake-hardware", "name": name, "owner": owner, "lessee": lessee});
        nodes.push(admin.post("/v1/nodes", body).await.expect(201).json()["uuid"].clone());
    }
    let [own, second, leased, others] = nodes.as_slice() else { panic!("four") };
    let project = Caller::new(&host, Role::Admin, Some("p")).await;
    let port = project.post("/v1/ports", json!({"node_uuid": own, "address": "52:54:00:00:00:01"})).await.expect(201).json();
    let theirs = admin.post("/v1/ports", json!({"node_uuid": others, "address": "52:54:00:00:00:02"})).await.expect(201).json();
    for (node, status) in [(leased, 403), (others, 400)] {
        project.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:03"})).await.expect(status);
    }
    let path = format!("/v1/ports/{}", port["uuid"].as_str().unwrap());
    let to = |node: &Value| json!([{"op": "replace", "path": "/node_uuid", "value": node}]);
    for (node, status) in [(leased, 403), (others, 400), (second, 200)] {
        project.call("PATCH", &path, to(node)).await.expect(status);
    }
    for method in ["GET", "DELETE"] {
        project.call(method, &format!("/v1/ports/{}", theirs["uuid"].as_str().unwrap()), Value::Null).await.expect(404);
    }
    // Not to a node that an operation holds, or that runs an instance.
    host.edit(wrought_domain::NodeId(own.as_str().unwrap().parse().unwrap()), |node| node.provision_state = ProvisionState::Active).await;
    assert!(project.call("PATCH", &path, to(own)).await.expect(409).fault().contains("can not be moved"));
    host.edit(wrought_domain::NodeId(own.as_str().unwrap().parse().unwrap()), |node| node.provision_state = ProvisionState::Enroll).await;
    host.hold(wrought_domain::NodeId(own.as_str().unwrap().parse().unwrap())).await;
    assert!(project.call("PATCH", &path, to(own)).await.expect(409).fault().contains("is locked by host"));
    let seen = project.get("/v1/ports").await.expect(200).json();
    assert_eq!(seen["ports"].as_array().unwrap().len(), 1);
}
