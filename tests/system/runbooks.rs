//! Runbooks: the steps of a cleaning or a service by a name.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Node, Shared, World, run};

async fn keep_runbook(world: &World, name: &str, disable_ramdisk: bool, steps: Value) {
    let body = json!({"name": name, "steps": steps, "disable_ramdisk": disable_ramdisk});
    world.api().call(Method::POST, "/v1/runbooks", &body).await.ok();
    let traits = json!({"traits": ["CUSTOM_BOOKED"]});
    world.api().call(Method::PUT, &format!("/v1/runbooks/{name}/traits"), &traits).await.ok();
}

async fn manageable(world: &World) -> Node<'_> {
    let node = world.fake("fake", json!({})).await;
    world.api().call(Method::PUT, &node.path("/traits"), &json!({"traits": ["CUSTOM_BOOKED"]})).await.ok();
    node.provision("manage").await;
    node.reach("manageable").await;
    node
}

fn steps() -> Value {
    json!([
        {"interface": "vendor", "step": "log_passthrough", "args": {"message": "last"}, "order": 9},
        {"interface": "bios", "step": "factory_reset", "order": 1},
        {"interface": "power", "step": "power_off", "order": 2},
        {"interface": "deploy", "step": "wait", "args": {"seconds": 1}, "order": 3},
        {"interface": "power", "step": "power_on", "order": 4},
        {"interface": "raid", "step": "create_configuration", "order": 5},
    ])
}

const EXECUTED: [&str; 6] =
    ["bios.factory_reset", "power.power_off", "deploy.wait", "power.power_on", "raid.create_configuration", "vendor.log_passthrough"];

#[test]
fn a_runbook_cleans_and_services_with_its_steps_in_order() {
    run(async {
        let world = Shared::world().await;
        keep_runbook(&world, "rb-order", true, steps()).await;
        let node = manageable(&world).await;
        assert_eq!(node.ask(json!({"target": "clean", "runbook": "rb-order"})).await.status, 202);
        assert_eq!(node.get().await["target_provision_state"], "manageable");
        node.reach("manageable").await;
        assert_eq!(node.executed("manual-clean").await, EXECUTED);
        assert_eq!(node.get().await["power_state"], "power on");

        node.provision("provide").await;
        node.reach("available").await;
        node.deploy().await;
        assert_eq!(node.ask(json!({"target": "service", "runbook": "rb-order"})).await.status, 202);
        node.reach("active").await;
        assert_eq!(node.executed("service").await, EXECUTED);
    });
}

#[test]
fn a_runbook_changes_nothing_about_an_operation_that_has_begun() {
    run(async {
        let world = Shared::world().await;
        let held = json!([
            {"interface": "deploy", "step": "hold", "order": 1}, {"interface": "bios", "step": "factory_reset", "order": 2},
        ]);
        keep_runbook(&world, "rb-held", true, held).await;
        let node = manageable(&world).await;
        assert_eq!(node.ask(json!({"target": "clean", "runbook": "rb-held"})).await.status, 202);
        node.pass("clean hold").await;
        world.api().send(Method::DELETE, "/v1/runbooks/rb-held", |request| request).await.ok();
        node.provision("unhold").await;
        node.reach("manageable").await;
        assert_eq!(node.executed("manual-clean").await, ["deploy.hold", "bios.factory_reset"]);
    });
}

#[test]
fn a_runbook_that_is_not_for_the_node_or_not_allowed_is_refused() {
    run(async {
        let world = Shared::world().await;
        keep_runbook(&world, "rb-raw", true, json!([{"interface": "vendor", "step": "send_raw", "order": 1}])).await;
        keep_runbook(&world, "rb-plain", true, steps()).await;
        let node = manageable(&world).await;
        for (body, text) in [
            (json!({"target": "clean", "runbook": "rb-none"}), "Runbook rb-none could not be found."),
            (json!({"target": "clean", "runbook": "rb-raw"}), "vendor.send_raw is not allowed"),
            (json!({"target": "clean", "runbook": "rb-plain", "clean_steps": []}), "mutually exclusive"),
            (json!({"target": "provide", "runbook": "rb-plain"}), "only valid when setting target provision state to clean or service"),
        ] {
            let reason = node.ask(body).await.refused(400);
            assert!(reason.contains(text), "{reason}");
        }
        world.api().send(Method::DELETE, &node.path("/traits"), |request| request).await.ok();
        let reason = node.ask(json!({"target": "clean", "runbook": "rb-plain"})).await.refused(400);
        assert!(reason.contains("none of the traits CUSTOM_BOOKED"), "{reason}");
        assert_eq!(node.state().await, "manageable");
    });
}

#[test]
fn a_runbook_that_boots_no_agent_runs_no_step_that_needs_one() {
    run(async {
        let world = Shared::world().await;
        keep_runbook(&world, "rb-bare", true, json!([{"interface": "deploy", "step": "erase_devices_metadata", "order": 1}])).await;
        let node = world.enrol().await;
        world.api().call(Method::PUT, &node.path("/traits"), &json!({"traits": ["CUSTOM_BOOKED"]})).await.ok();
        node.provision("manage").await;
        node.reach("manageable").await;
        assert_eq!(node.ask(json!({"target": "clean", "runbook": "rb-bare"})).await.status, 202);
        node.reach("clean failed").await;
        assert!(node.last_error().await.contains("erase_devices_metadata"), "{}", node.last_error().await);
        assert_eq!((node.counts().agent_boots, node.counts().clean_steps), (0, 0));
    });
}
