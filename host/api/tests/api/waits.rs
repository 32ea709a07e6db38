//! A node whose operation only waits is held by nobody, as others see it; and lessees see less of a node than its owner.

use serde_json::{Value, json};
use wrought_domain::{NodeId, ProvisionState, Role};

use crate::callers::{Caller, guarded};
use crate::host::Host;

#[tokio::test]
async fn what_an_operation_does_not_own_is_changed_while_it_waits() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let port = host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201).json();
    host.hold(node).await;
    let extra = || json!([{"op": "add", "path": "/extra/a", "value": 1}]);
    let port = format!("/v1/ports/{}", port["uuid"].as_str().unwrap());

    host.edit(node, |node| node.provision_state = ProvisionState::Inspecting).await;
    assert_eq!(host.get("/v1/nodes/n").await.json()["reservation"], "testhost");
    host.patch(&port, extra()).await.expect(409);

    host.edit(node, |node| {
        node.provision_state = ProvisionState::InspectWait;
        node.target_provision_state = Some(ProvisionState::Manageable);
    })
    .await;
    for shown in [host.get("/v1/nodes/n").await.json(), host.get("/v1/nodes?fields=reservation").await.json()["nodes"][0].clone()] {
        assert_eq!(shown["reservation"], Value::Null);
    }
    host.patch("/v1/nodes/n", extra()).await.expect(200);
    host.put("/v1/nodes/n/traits", json!({"traits": ["CUSTOM_A"]})).await.expect(204);
    host.patch(&port, extra()).await.expect(200);
    let refused = host.put("/v1/nodes/n/states/provision", json!({"target": "inspect"})).await.expect(400);
    assert!(refused.fault().contains("while it is in state \"inspect wait\""), "{}", refused.fault());

    host.edit(node, |node| node.provision_state = ProvisionState::CleanWait).await;
    assert!(host.patch("/v1/nodes/n", extra()).await.expect(409).fault().contains("state transition is in progress"));
    host.put("/v1/nodes/n/traits", json!({"traits": ["CUSTOM_B"]})).await.expect(204);
}

#[tokio::test]
async fn who_has_leased_a_node_is_not_shown_how_the_host_reaches_it() {
    let host = guarded().await;
    let admin = Caller::new(&host, Role::Admin, None).await;
    let node = admin.post("/v1/nodes", json!({"driver": "redfish", "name": "n"})).await.expect(201).json();
    let node = NodeId(node["uuid"].as_str().unwrap().parse().unwrap());
    host.edit(node, |node| {
        (node.owner, node.lessee) = (Some("red".into()), Some("blue".into()));
        node.driver_info.insert("redfish_address".into(), "https://10.9.8.7".into());
        node.last_error = Some("https://10.9.8.7 does not answer".into());
    })
    .await;
    for (project, sees) in [("red", true), ("blue", false)] {
        let caller = Caller::new(&host, Role::Admin, Some(project)).await;
        let single = caller.call("GET", "/v1/nodes/n", Value::Null).await.expect(200).json();
        let listed = caller.call("GET", "/v1/nodes/detail", Value::Null).await.expect(200).json()["nodes"][0].clone();
        let chosen =
            caller.call("GET", "/v1/nodes?fields=driver_info,last_error", Value::Null).await.expect(200).json()["nodes"][0].clone();
        let states = caller.call("GET", "/v1/nodes/n/states", Value::Null).await.expect(200).json();
        let patched = json!([{"op": "add", "path": "/extra/a", "value": project}]);
        let patched = caller.call("PATCH", "/v1/nodes/n", patched).await.expect(200).json();
        for shown in [&single, &listed, &chosen, &patched] {
            assert_eq!(shown["driver_info"]["redfish_address"] == "https://10.9.8.7", sees, "{project}: {shown}");
        }
        for shown in [&single, &listed, &chosen, &patched, &states] {
            assert_eq!(shown["last_error"] == "https://10.9.8.7 does not answer", sees, "{project}: {shown}");
            assert!(sees || !shown.to_string().contains("10.9.8.7"), "{project}: {shown}");
        }
        assert_eq!(single["reservation"], Value::Null);
    }
}
