//! `manage` of an enrolled node: the controller must answer, and the drivers' verify steps must succeed.

use serde_json::{Value, json};
use wrought_drivers::shipped;

use crate::support::{HostConfig, Node, Setup, Shared, World, run};

async fn enrolled<'w>(world: &'w World, deploy_interface: &str, driver_info: Value) -> Node<'w> {
    let body = json!({"driver": "fake-hardware", "deploy_interface": deploy_interface, "driver_info": driver_info});
    let created = world.api().call(reqwest::Method::POST, "/v1/nodes", &body).await.ok();
    Node { world, uuid: created["uuid"].as_str().unwrap().to_owned(), server: None }
}

#[test]
fn a_verify_step_runs_before_a_node_is_manageable() {
    run(async {
        let world = Shared::world().await;
        let node = enrolled(&world, "fake", json!({"fake_verify_delay": 1})).await;
        node.provision("manage").await;
        let waits = node.get().await;
        assert_eq!((&waits["provision_state"], &waits["target_provision_state"]), (&json!("verifying"), &json!("manageable")));
        assert_eq!(node.reach("manageable").await["last_error"], Value::Null);
        let events = world.api().get(&format!("/wrought/v1/nodes/{}/events", node.uuid)).await.ok();
        assert!(events.to_string().contains("management.fake_verify"), "{events}");
    });
}

#[test]
fn a_verify_step_that_fails_leads_back_to_enroll_and_can_be_tried_again() {
    run(async {
        let world = World::new(Setup { host: HostConfig::default(), servers: 0, ..Setup::default() }).await;
        world.api().install("acme", shipped::hostile("honest", "1.0.0", "")).await;
        for (how, named) in [("giant-answer", "management.look"), ("trap", "it trapped")] {
            let node = enrolled(&world, "acme", json!({"hostile": how, "hostile_in": "execute-verify-step"})).await;
            node.provision("manage").await;
            let failed = node.rest().await;
            assert_eq!(failed["provision_state"], "enroll", "{failed}");
            let error = failed["last_error"].as_str().unwrap();
            assert!(error.contains(named), "{error}");
            node.patch("/driver_info/hostile_in", json!("nowhere")).await;
            node.provision("manage").await;
            assert_eq!(node.reach("manageable").await["last_error"], Value::Null);
        }
    });
}
