//! Who may change a node when: every provision state, asked what Ironic's documentation says of it.

use serde_json::{Value, json};
use wrought_domain::ProvisionState as S;

use crate::host::{Host, NEWEST};

/// States in which a node is changed although it is on its way.
const CHANGEABLE: &[S] = &[
    S::DeployFailed,
    S::InspectFailed,
    S::InspectWait,
    S::CleanFailed,
    S::Error,
    S::Verifying,
    S::AdoptFailed,
    S::RescueFailed,
    S::UnrescueFailed,
    S::ServiceHold,
    S::ServiceFailed,
];
const STABLE: &[S] = &[S::Enroll, S::Manageable, S::Available, S::Active, S::Error, S::Rescue];
/// States in which interfaces and the resource class change.
const CONFIGURABLE: &[S] = &[S::Enroll, S::InspectWait, S::Manageable, S::Available];

async fn put_into(host: &Host, node: wrought_domain::NodeId, state: S, maintenance: bool) {
    host.edit(node, move |node| {
        node.provision_state = state;
        node.target_provision_state = state.default_target();
        node.maintenance = maintenance;
        node.resource_class = Some("small".into());
    })
    .await;
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    json!([{"op": "add", "path": path, "value": value.into()}])
}

#[tokio::test]
async fn a_node_is_changed_in_ironics_states_alone() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for state in S::ALL {
        for maintenance in [false, true] {
            put_into(&host, node, *state, maintenance).await;
            let changeable = STABLE.contains(state) || CHANGEABLE.contains(state);
            let reply = host.patch("/v1/nodes/n", set("/extra/a", 1)).await;
            assert_eq!(reply.status.as_u16(), if changeable { 200 } else { 409 }, "{state}, maintenance {maintenance}");
            let old = host.call("PATCH", "/v1/nodes/n", "1.38", set("/extra/a", 1)).await;
            assert_eq!(old.status.as_u16(), if changeable || *state == S::Inspecting { 200 } else { 409 }, "{state} in 1.38");

            put_into(&host, node, *state, maintenance).await;
            let configurable = CONFIGURABLE.contains(state) || (maintenance && changeable);
            let reply = host.patch("/v1/nodes/n", set("/deploy_interface", "acme")).await;
            assert_eq!(reply.status.as_u16(), if configurable { 200 } else { 409 }, "interface in {state}, maintenance {maintenance}");
            host.edit(node, |node| node.interfaces.deploy = "direct".into()).await;

            put_into(&host, node, *state, maintenance).await;
            let reply = host.patch("/v1/nodes/n", set("/resource_class", "large")).await;
            let status = if CONFIGURABLE.contains(state) { 200 } else { 409 };
            assert_eq!(reply.status.as_u16(), status, "resource class in {state}, maintenance {maintenance}");
        }
    }
}

#[tokio::test]
async fn an_instance_is_taken_off_a_node_in_maintenance_in_any_state_but_one() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for state in S::ALL {
        put_into(&host, node, *state, true).await;
        host.edit(node, |node| node.instance_uuid = Some(uuid::Uuid::new_v4())).await;
        let remove = json!([{"op": "remove", "path": "/instance_uuid"}]);
        let reply = host.call("PATCH", "/v1/nodes/n", NEWEST, remove.clone()).await;
        assert_eq!(reply.status.as_u16(), if *state == S::Inspecting { 409 } else { 200 }, "{state}");
        host.edit(node, |node| node.instance_uuid = Some(uuid::Uuid::new_v4())).await;
        let more = json!([{"op": "remove", "path": "/instance_uuid"}, {"op": "add", "path": "/extra/a", "value": 1}]);
        let changeable = STABLE.contains(state) || CHANGEABLE.contains(state);
        let reply = host.patch("/v1/nodes/n", more).await;
        assert_eq!(reply.status.as_u16(), if changeable { 200 } else { 409 }, "{state} with more");
    }
}

#[tokio::test]
async fn a_resource_class_is_given_in_any_state_and_changed_in_few() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    put_into(&host, node, S::Active, false).await;
    host.edit(node, |node| node.resource_class = None).await;
    host.patch("/v1/nodes/n", set("/resource_class", "small")).await.expect(200);
    assert!(host.patch("/v1/nodes/n", set("/resource_class", "large")).await.expect(409).fault().contains("resource_class"));
}

#[tokio::test]
async fn a_node_is_deleted_in_few_states_and_never_while_it_is_protected() {
    let host = Host::new().await;
    for state in S::ALL {
        let deletable = matches!(state, S::Available | S::Manageable | S::Enroll | S::AdoptFailed);
        for (maintenance, instance, protected, status) in [
            (false, false, false, if deletable { 204 } else { 409 }),
            (false, true, false, 409),
            (true, true, false, 204),
            (true, false, true, 403),
            (true, false, false, 204),
        ] {
            let node = host.enroll("gone").await;
            put_into(&host, node, *state, maintenance).await;
            host.edit(node, move |node| {
                node.instance_uuid = instance.then(uuid::Uuid::new_v4);
                node.protected = protected;
            })
            .await;
            let reply = host.delete("/v1/nodes/gone").await;
            assert_eq!(reply.status.as_u16(), status, "{state}: maintenance {maintenance}, instance {instance}, protected {protected}");
            if status != 204 {
                host.edit(node, |node| {
                    node.maintenance = true;
                    node.protected = false;
                })
                .await;
                host.delete("/v1/nodes/gone").await.expect(204);
            }
        }
    }
}

#[tokio::test]
async fn protection_and_retirement_begin_where_they_mean_something() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for state in STABLE {
        put_into(&host, node, *state, false).await;
        let protects = matches!(state, S::Active | S::Rescue);
        let reply = host.patch("/v1/nodes/n", set("/protected", true)).await;
        assert_eq!(reply.status.as_u16(), if protects { 200 } else { 409 }, "protected in {state}");
        let reply = host.patch("/v1/nodes/n", set("/retired", true)).await;
        assert_eq!(reply.status.as_u16(), if *state == S::Available { 409 } else { 200 }, "retired in {state}");
        host.edit(node, |node| (node.protected, node.retired) = (false, false)).await;
    }
    put_into(&host, node, S::Active, false).await;
    let reason = host.patch("/v1/nodes/n", set("/protected_reason", "mine")).await.expect(400);
    assert!(reason.fault().contains("not protected"));
    host.patch(
        "/v1/nodes/n",
        json!([{"op": "add", "path": "/protected", "value": true}, {"op": "add", "path": "/protected_reason", "value": "mine"}]),
    )
    .await
    .expect(200);
    let freed = host.patch("/v1/nodes/n", set("/protected", false)).await.expect(200).json();
    assert_eq!(freed["protected_reason"], Value::Null);
}

#[tokio::test]
async fn an_interface_names_what_the_hardware_type_knows_or_a_driver_that_serves_it() {
    let host = Host::new().await;
    host.enroll("n").await;
    let changed = host.patch("/v1/nodes/n", set("/raid_interface", "acme-raid")).await.expect(200).json();
    assert_eq!(changed["raid_interface"], "acme-raid");
    for (path, name) in [("/bios_interface", "acme-raid"), ("/raid_interface", "direct"), ("/power_interface", "acme")] {
        let refused = host.patch("/v1/nodes/n", set(path, name)).await.expect(400);
        assert!(refused.fault().contains("Could not find the"), "{}", refused.fault());
    }
    assert_eq!(host.patch("/v1/nodes/n", json!([{"op": "remove", "path": "/raid_interface"}])).await.json()["raid_interface"], "no-raid");
}

#[tokio::test]
async fn power_is_left_alone_while_a_node_is_cleaned() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for state in S::ALL {
        put_into(&host, node, *state, false).await;
        let reply = host.put("/v1/nodes/n/states/power", json!({"target": "power on"})).await;
        let status = if matches!(state, S::Cleaning | S::CleanWait) { 400 } else { 202 };
        assert_eq!(reply.status.as_u16(), status, "{state}");
    }
}
