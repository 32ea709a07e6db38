use serde_json::{Value, json};
use wrought_domain::mask::MASK;
use wrought_domain::{Node, ProvisionState};

use crate::host::{Host, NEWEST};

fn replace(path: &str, value: Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

fn add(path: &str, value: Value) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

#[tokio::test]
async fn a_patch_answers_with_the_changed_node() {
    let host = Host::new().await;
    host.enroll("n").await;
    let changes = json!([
        {"op": "add", "path": "/extra/rack", "value": "r1"}, {"op": "replace", "path": "/name", "value": "m"},
        {"op": "add", "path": "/instance_info", "value": {"image_source": "http://x", "display_name": "web"}},
        {"op": "add", "path": "/description", "value": "d"}, {"op": "remove", "path": "/driver_info/redfish_address"},
        {"op": "add", "path": "/automated_clean", "value": "no"},
    ]);
    let node = host.patch("/v1/nodes/n", changes).await.expect(200).json();
    for (field, value) in [
        ("extra", json!({"rack": "r1"})),
        ("name", json!("m")),
        ("description", json!("d")),
        ("driver_info", json!({"redfish_password": MASK})),
        ("automated_clean", json!(false)),
        ("instance_name", json!("web")),
    ] {
        assert_eq!(node[field], value, "{field}");
    }
    assert!(node["updated_at"].is_string());
    let node =
        host.patch("/v1/nodes/m", json!([{"op": "remove", "path": "/extra"}, {"op": "remove", "path": "/description"}])).await.json();
    assert_eq!((&node["extra"], &node["description"]), (&json!({}), &json!(null)));
}

#[tokio::test]
async fn asterisks_stand_for_the_stored_secret() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let secret = |node: Node| node.driver_info["redfish_password"].clone();
    host.patch("/v1/nodes/n", replace("/driver_info", json!({"redfish_address": "https://new", "redfish_password": MASK})))
        .await
        .expect(200);
    assert_eq!(secret(host.stored(node).await), "hunter2");
    assert_eq!(host.stored(node).await.driver_info["redfish_address"], "https://new");
    host.patch("/v1/nodes/n", replace("/driver_info/redfish_password", json!(MASK))).await.expect(200);
    assert_eq!(secret(host.stored(node).await), "hunter2");
    host.patch("/v1/nodes/n", replace("/driver_info/redfish_password", json!("new"))).await.expect(200);
    assert_eq!(secret(host.stored(node).await), "new");
}

#[tokio::test]
async fn patches_that_cannot_be_applied_are_refused() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let before = host.stored(node).await;
    for (changes, status, text) in [
        (json!({}), 400, "Invalid patch"),
        (json!([{"path": "/extra"}]), 400, "missing field `op`"),
        (json!([{"op": "move", "path": "/extra", "from": "/x"}]), 400, "Invalid patch"),
        (json!([{"op": "test", "path": "/extra", "value": 1}]), 400, "use add, replace or remove"),
        (json!([{"op": "add", "path": "/extra"}]), 400, "needs a value"),
        (add("/colour", json!(1)), 400, "Adding a new attribute (/colour)"),
        (replace("/uuid", json!("x")), 400, "Cannot patch /uuid. Only the following can be updated: automated_clean, "),
        (replace("/provision_state", json!("active")), 400, "Cannot patch /provision_state"),
        (replace("/traits", json!([])), 400, "Cannot patch /traits"),
        (json!([{"op": "remove", "path": "/extra/none"}]), 400, "does not exist"),
        (json!([{"op": "remove", "path": "/driver"}]), 400, ""),
        (replace("/driver", json!("ilo")), 400, "No valid host was found"),
        (replace("/driver", json!("fake-hardware")), 400, "interface"),
        (replace("/deploy_interface", json!("unknown")), 400, "deploy interface 'unknown'"),
        (replace("/extra", json!("text")), 400, "extra"),
        (replace("/name", json!("a b")), 400, "invalid name"),
        (replace("/instance_uuid", json!("x")), 400, "Expected a UUID"),
        (add("/protected", json!(true)), 409, "can not be protected in state enroll"),
        (add("/protected_reason", json!("x")), 400, "protected_reason"),
        (add("/retired_reason", json!("x")), 400, "retired_reason"),
    ] {
        let reply = host.patch("/v1/nodes/n", changes.clone()).await.expect(status);
        assert!(reply.fault().contains(text), "{changes}: {}", reply.fault());
    }
    assert_eq!(host.stored(node).await, before);
    let newer = host.call("PATCH", "/v1/nodes/n", "1.50", add("/description", json!("x"))).await.expect(406);
    assert_eq!(newer.fault(), "Request not acceptable.");
}

#[tokio::test]
async fn a_node_on_its_way_is_not_changed() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let set = |state, target| {
        host.edit(node, move |node| {
            node.provision_state = state;
            node.target_provision_state = target;
        })
    };
    let change = add("/extra/a", json!(1));
    use ProvisionState as S;
    for state in [S::Deploying, S::WaitCallBack, S::Cleaning, S::CleanWait, S::Deleting, S::Rescuing, S::Servicing] {
        set(state, state.default_target()).await;
        let reply = host.patch("/v1/nodes/n", change.clone()).await.expect(409);
        assert!(reply.fault().contains("can not be updated while a state transition is in progress"), "{state}: {}", reply.fault());
    }
    set(S::Inspecting, Some(S::Manageable)).await;
    host.patch("/v1/nodes/n", change.clone()).await.expect(409);
    for state in [S::DeployFailed, S::CleanFailed, S::InspectWait, S::Verifying, S::ServiceHold] {
        set(state, state.default_target()).await;
        host.patch("/v1/nodes/n", change.clone()).await.expect(200);
    }
    // The one exception.
    set(S::CleanWait, Some(S::Available)).await;
    host.edit(node, |node| {
        node.maintenance = true;
        node.instance_uuid = Some(uuid::Uuid::new_v4());
    })
    .await;
    host.patch("/v1/nodes/n", change).await.expect(409);
    host.patch("/v1/nodes/n", json!([{"op": "remove", "path": "/instance_uuid"}])).await.expect(200);
    assert_eq!(host.stored(node).await.instance_uuid, None);
}

#[tokio::test]
async fn some_fields_change_only_in_some_states() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.edit(node, |node| {
        node.provision_state = ProvisionState::Active;
        node.resource_class = Some("gold".into());
        node.instance_uuid = Some(uuid::Uuid::from_u128(1));
    })
    .await;
    let change_interface = replace("/deploy_interface", json!("acme"));
    assert!(host.patch("/v1/nodes/n", change_interface.clone()).await.expect(409).fault().contains("deploy_interface"));
    assert!(host.patch("/v1/nodes/n", replace("/resource_class", json!("red"))).await.expect(409).fault().contains("resource_class"));
    let other = replace("/instance_uuid", json!(uuid::Uuid::from_u128(2)));
    assert!(host.patch("/v1/nodes/n", other).await.expect(409).fault().contains("is associated with instance"));
    host.patch("/v1/nodes/n", add("/protected", json!(true))).await.expect(200);
    host.patch("/v1/nodes/n", add("/protected_reason", json!("mine"))).await.expect(200);
    let free = host.patch("/v1/nodes/n", replace("/protected", json!(false))).await.expect(200).json();
    assert_eq!(free["protected_reason"], Value::Null);
    host.patch("/v1/nodes/n", add("/maintenance", json!(true))).await.expect(200);
    host.patch("/v1/nodes/n", change_interface).await.expect(200);
    host.edit(node, |node| {
        node.fault = Some("clean failure".into());
        node.maintenance_reason = Some("broken".into());
    })
    .await;
    let back = host.patch("/v1/nodes/n", replace("/maintenance", json!(false))).await.expect(200).json();
    assert_eq!((&back["fault"], &back["maintenance_reason"]), (&Value::Null, &Value::Null));
    host.edit(node, |node| node.provision_state = ProvisionState::Available).await;
    assert!(host.patch("/v1/nodes/n", add("/retired", json!(true))).await.expect(409).fault().contains("retired"));
}

#[tokio::test]
async fn another_driver_can_bring_its_own_interfaces() {
    let host = Host::new().await;
    host.enroll("n").await;
    let changes = json!([{"op": "replace", "path": "/driver", "value": "fake-hardware"}, {"op": "replace", "path": "/deploy_interface", "value": "acme"}]);
    let node = host.patch("/v1/nodes/n?reset_interfaces=true", changes).await.expect(200).json();
    assert_eq!((&node["power_interface"], &node["deploy_interface"]), (&json!("fake"), &json!("acme")));
    let node = host.patch("/v1/nodes/n", json!([{"op": "remove", "path": "/deploy_interface"}])).await.expect(200).json();
    assert_eq!(node["deploy_interface"], "fake");
    host.patch("/v1/nodes/n?reset_interfaces=true", add("/extra/a", json!(1))).await.expect(400);
    host.call("PATCH", "/v1/nodes/n?reset_interfaces=true", "1.44", replace("/driver", json!("redfish"))).await.expect(406);
    host.call("PATCH", "/v1/nodes/n?reset_interfaces=true", NEWEST, replace("/driver", json!("redfish"))).await.expect(200);
}
