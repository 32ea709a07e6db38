use serde_json::{Value, json};
use wrought_domain::{NodeId, Role};

use crate::callers::{Caller, guarded};
use crate::host::{Host, NEWEST};

async fn flat(host: &Host) -> NodeId {
    let node = json!({"driver": "fake-hardware", "name": "n", "network_interface": "flat"});
    let node = host.post("/v1/nodes", node).await.expect(201).json();
    NodeId(node["uuid"].as_str().unwrap().parse().unwrap())
}

async fn port(host: &Host, node: NodeId, n: u8, more: Value) -> String {
    let mut body = json!({"node_uuid": node, "address": format!("52:54:00:00:00:0{n}")});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    host.post("/v1/ports", body).await.expect(201).json()["uuid"].as_str().unwrap().to_owned()
}

async fn vif_of(host: &Host, path: &str) -> Value {
    host.get(path).await.expect(200).json()["internal_info"]["tenant_vif_port_id"].clone()
}

#[tokio::test]
async fn a_vif_is_recorded_in_a_free_port() {
    let host = Host::new().await;
    let node = flat(&host).await;
    let refused = host.post("/v1/nodes/n/vifs", json!({"id": "v"})).await.expect(400);
    assert_eq!(refused.fault(), "Unable to attach VIF v, not enough free physical ports.");
    let plain = port(&host, node, 1, json!({"pxe_enabled": false})).await;
    let boots = port(&host, node, 2, json!({})).await;
    assert_eq!(host.post("/v1/nodes/n/vifs", json!({"id": "v1", "more": 1})).await.expect(204).bytes.len(), 0);
    assert_eq!(vif_of(&host, &format!("/v1/ports/{boots}")).await, "v1");
    let again = host.post("/v1/nodes/n/vifs", json!({"id": "v1"})).await.expect(409);
    assert_eq!(again.fault(), format!("Unable to attach VIF because VIF v1 is already attached to Ironic Port {boots}"));
    host.post("/v1/nodes/n/vifs", json!({"id": "v2"})).await.expect(204);
    assert_eq!(vif_of(&host, &format!("/v1/ports/{plain}")).await, "v2");
    host.post("/v1/nodes/n/vifs", json!({"id": "v3"})).await.expect(400);
    assert_eq!(host.get("/v1/nodes/n/vifs").await.expect(200).json(), json!({"vifs": [{"id": "v2"}, {"id": "v1"}]}));

    let bound = host.delete(&format!("/v1/ports/{plain}")).await.expect(409);
    assert!(bound.fault().contains("bound to VIF v2"), "{}", bound.fault());
    host.delete("/v1/nodes/n/vifs/v2").await.expect(204);
    let gone = host.delete("/v1/nodes/n/vifs/v2").await.expect(400);
    assert_eq!(gone.fault(), format!("Unable to detach VIF v2 from node {node} because it is not attached to it."));
    host.delete(&format!("/v1/ports/{plain}")).await.expect(204);
    host.hold(node).await;
    assert!(host.post("/v1/nodes/n/vifs", json!({"id": "v4"})).await.expect(409).fault().contains("is locked by host"));
    host.delete("/v1/nodes/n/vifs/v1").await.expect(409);
}

#[tokio::test]
async fn a_vif_goes_where_it_is_sent_or_into_a_group_first() {
    let host = Host::new().await;
    let node = flat(&host).await;
    let group = host.post("/v1/portgroups", json!({"node_uuid": node, "name": "g"})).await.expect(201).json()["uuid"].clone();
    port(&host, node, 1, json!({"portgroup_uuid": group})).await;
    let (second, third) = (port(&host, node, 2, json!({})).await, port(&host, node, 3, json!({})).await);
    host.call("POST", "/v1/nodes/n/vifs", "1.66", json!({"id": "v", "port_uuid": third})).await.expect(406);
    host.call("POST", "/v1/nodes/n/vifs", "1.67", json!({"id": "v", "port_uuid": third})).await.expect(204);
    assert_eq!(vif_of(&host, &format!("/v1/ports/{third}")).await, "v");
    host.post("/v1/nodes/n/vifs", json!({"id": "w"})).await.expect(204);
    assert_eq!(vif_of(&host, "/v1/portgroups/g").await, "w");
    assert!(host.delete("/v1/portgroups/g").await.expect(400).fault().contains("contains ports"));
    for (body, status) in [
        (json!({"id": "x", "portgroup_uuid": group}), 400),
        (json!({"id": "x", "port_uuid": third}), 400),
        (json!({"id": "x", "port_uuid": second, "portgroup_uuid": group}), 400),
        (json!({"id": "x", "port_uuid": "y"}), 400),
        (json!({"id": "w"}), 409),
        (json!({"id": "a b"}), 400),
        (json!({"id": 7}), 400),
        (json!({}), 400),
    ] {
        host.post("/v1/nodes/n/vifs", body).await.expect(status);
    }
    host.delete("/v1/nodes/n/vifs/w").await.expect(204);
    host.post("/v1/nodes/n/vifs", json!({"id": "x", "portgroup_uuid": group})).await.expect(204);
    assert_eq!(host.get("/v1/nodes/n/vifs").await.json(), json!({"vifs": [{"id": "v"}, {"id": "x"}]}));
}

#[tokio::test]
async fn noop_takes_vifs_and_records_nothing() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let port = port(&host, node, 1, json!({})).await;
    for _ in 0..2 {
        host.post("/v1/nodes/n/vifs", json!({"id": "v"})).await.expect(204);
    }
    assert_eq!(host.get(&format!("/v1/ports/{port}")).await.json()["internal_info"], json!({}));
    assert_eq!(host.get("/v1/nodes/n/vifs").await.json(), json!({"vifs": []}));
    host.delete("/v1/nodes/n/vifs/v").await.expect(204);
    // What `flat` left behind can still be taken away.
    let interface = |name: &str| json!([{"op": "replace", "path": "/network_interface", "value": name}]);
    host.patch("/v1/nodes/n", interface("flat")).await.expect(200);
    host.post("/v1/nodes/n/vifs", json!({"id": "v"})).await.expect(204);
    host.patch("/v1/nodes/n", interface("noop")).await.expect(200);
    host.delete(&format!("/v1/ports/{port}")).await.expect(409);
    host.delete("/v1/nodes/n/vifs/v").await.expect(204);
    host.delete(&format!("/v1/ports/{port}")).await.expect(204);
    host.patch("/v1/nodes/n", interface("neutron")).await.expect(400);
    for (method, path) in [("GET", "/v1/nodes/n/vifs"), ("POST", "/v1/nodes/n/vifs"), ("DELETE", "/v1/nodes/n/vifs/v")] {
        host.call(method, path, "1.27", if method == "POST" { json!({"id": "v"}) } else { Value::Null }).await.expect(404);
        host.call(method, &path.replace("/n/", "/none/"), NEWEST, if method == "POST" { json!({"id": "v"}) } else { Value::Null })
            .await
            .expect(404);
    }
}

#[tokio::test]
async fn a_lessees_administrator_attaches_vifs() {
    let host = guarded().await;
    let admin = Caller::new(&host, Role::Admin, None).await;
    let node = json!({"driver": "fake-hardware", "name": "n", "network_interface": "flat", "owner": "o", "lessee": "p"});
    let node = admin.post("/v1/nodes", node).await.expect(201).json()["uuid"].clone();
    admin.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201);
    for (role, project, attached, listed) in
        [(Role::Admin, "q", 404, 404), (Role::Member, "p", 403, 200), (Role::Reader, "o", 403, 200), (Role::Admin, "p", 204, 200)]
    {
        let caller = Caller::new(&host, role, Some(project)).await;
        caller.post("/v1/nodes/n/vifs", json!({"id": "v"})).await.expect(attached);
        caller.get("/v1/nodes/n/vifs").await.expect(listed);
    }
}
