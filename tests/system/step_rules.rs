//! What operators rule about steps: those that are never executed, and when the others are.

use reqwest::Method;
use serde_json::json;

use crate::support::{HostConfig, Node, Setup, World, run};

async fn ruled(conductor: &'static str) -> World {
    World::new(Setup { servers: 1, host: HostConfig { conductor, ..HostConfig::default() }, ..Setup::default() }).await
}

async fn manageable(world: &World) -> Node<'_> {
    let node = world.fake("fake", json!({})).await;
    node.provision("manage").await;
    node.reach("manageable").await;
    node.patch("/automated_clean", true.into()).await;
    node
}

#[test]
fn an_override_decides_which_steps_an_automated_cleaning_has_and_in_which_order() {
    run(async {
        let world = ruled(
            "clean_step_priority_override = { \"bios.factory_reset\" = 50, \"raid.delete_configuration\" = 10, \"deploy.erase_devices\" = 5 }",
        )
        .await;
        let node = manageable(&world).await;
        node.provision("provide").await;
        node.reach("available").await;
        assert_eq!(node.executed("clean").await, ["bios.factory_reset", "raid.delete_configuration", "deploy.erase_devices"]);
        // Who names steps names their order as well.
        node.provision("manage").await;
        node.reach("manageable").await;
        let steps = json!([{"interface": "deploy", "step": "erase_devices"}, {"interface": "bios", "step": "factory_reset"}]);
        assert_eq!(node.ask(json!({"target": "clean", "clean_steps": steps})).await.status, 202);
        node.reach("manageable").await;
        assert_eq!(node.executed("manual-clean").await, ["deploy.erase_devices", "bios.factory_reset"]);
    });
}

#[test]
fn a_step_that_is_never_executed_is_refused_to_everybody_and_left_out_of_what_runs_by_itself() {
    run(async {
        let world = ruled(
            "disallow_clean_steps = [\"bios.factory_reset\"]\ndisallow_deploy_steps = [\"bios.factory_reset\"]\n\
             disallow_service_steps = [\"vendor.log_passthrough\"]\n\
             clean_step_priority_override = { \"bios.factory_reset\" = 50 }",
        )
        .await;
        let node = manageable(&world).await;
        let reset = json!([{"interface": "bios", "step": "factory_reset"}]);
        let reason = node.ask(json!({"target": "clean", "clean_steps": reset})).await.refused(400);
        assert!(reason.contains("bios.factory_reset is not allowed"), "{reason}");
        node.provision("provide").await;
        node.reach("available").await;
        assert_eq!(node.executed("clean").await, ["deploy.erase_devices"]);

        let template =
            json!({"name": "CUSTOM_RESET", "steps": [{"interface": "bios", "step": "factory_reset", "args": {}, "priority": 50}]});
        world.api().call(Method::POST, "/v1/deploy_templates", &template).await.ok();
        world.api().call(Method::PUT, &node.path("/traits"), &json!({"traits": ["CUSTOM_RESET"]})).await.ok();
        node.patch("/instance_info/traits", json!(["CUSTOM_RESET"])).await;
        let reason = node.ask(json!({"target": "active"})).await.refused(400);
        assert!(reason.contains("bios.factory_reset is not allowed"), "{reason}");
        node.patch("/instance_info/traits", json!([])).await;
        let asked = json!([{"interface": "bios", "step": "factory_reset", "priority": 50}]);
        let reason = node.ask(json!({"target": "active", "deploy_steps": asked})).await.refused(400);
        assert!(reason.contains("bios.factory_reset is not allowed"), "{reason}");

        // Each kind of operation has a list of its own.
        node.deploy().await;
        let steps = json!([{"interface": "vendor", "step": "log_passthrough"}]);
        node.ask(json!({"target": "service", "service_steps": steps})).await.refused(400);
        assert_eq!(node.ask(json!({"target": "service", "service_steps": reset})).await.status, 202);
        node.reach("active").await;
        assert_eq!(node.executed("service").await, ["bios.factory_reset"]);
    });
}

#[test]
fn a_cleaning_that_nothing_is_left_of_fails_and_leaves_the_node_unavailable() {
    run(async {
        let world = ruled("disallow_clean_steps = [\"deploy.erase_devices\"]").await;
        let node = manageable(&world).await;
        node.provision("provide").await;
        node.reach("clean failed").await;
        let error = node.last_error().await;
        assert!(error.contains("no clean step is offered"), "{error}");
    });
}
