//! Deploy templates: what an instance's traits make of its deployment.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Node, Shared, World, run};

async fn keep_template(world: &World, name: &str, steps: Value) -> String {
    let body = json!({"name": name, "steps": steps});
    world.api().call(Method::POST, "/v1/deploy_templates", &body).await.ok()["uuid"].as_str().unwrap().to_owned()
}

async fn give_traits(node: &Node<'_>, traits: &[&str]) {
    node.world.api().call(Method::PUT, &node.path("/traits"), &json!({"traits": traits})).await.ok();
}

fn step(interface: &str, name: &str, priority: u32, args: Value) -> Value {
    json!({"interface": interface, "step": name, "args": args, "priority": priority})
}

#[test]
fn the_templates_that_an_instance_asks_for_are_part_of_its_deployment() {
    run(async {
        let world = Shared::world().await;
        let raid = json!({"raid_config": {"logical_disks": [{"size_gb": "MAX"}]}});
        let steps = json!([step("raid", "apply_configuration", 95, raid), step("bios", "factory_reset", 40, json!({}))]);
        keep_template(&world, "CUSTOM_TPL_RAID", steps).await;
        keep_template(&world, "CUSTOM_TPL_LOG", json!([step("vendor", "log_passthrough", 40, json!({"message": "from a template"}))]))
            .await;
        keep_template(&world, "CUSTOM_TPL_OTHER", json!([step("bios", "factory_reset", 99, json!({}))])).await;

        let node = world.fake("fake", json!({})).await;
        give_traits(&node, &["CUSTOM_TPL_RAID", "CUSTOM_TPL_LOG", "CUSTOM_TPL_OTHER"]).await;
        node.patch("/instance_info/traits", json!(["CUSTOM_TPL_LOG", "CUSTOM_TPL_RAID"])).await;
        // The user's word goes before the template's, for the step that both name.
        let asked = json!([step("vendor", "log_passthrough", 10, json!({"message": "from the user"}))]);
        assert_eq!(node.ask(json!({"target": "active", "deploy_steps": asked})).await.status, 202);
        node.reach("active").await;
        let executed = node.executed("deploy").await;
        assert_eq!(executed, ["deploy.deploy", "raid.apply_configuration", "bios.factory_reset", "vendor.log_passthrough"]);

        // Who asks for no trait is deployed without a template, whatever the node's own traits are.
        let plain = world.fake("fake", json!({})).await;
        give_traits(&plain, &["CUSTOM_TPL_RAID"]).await;
        plain.deploy().await;
        assert_eq!(plain.executed("deploy").await, ["deploy.deploy"]);
    });
}

#[test]
fn a_deployment_that_templates_make_impossible_is_refused_before_it_begins() {
    run(async {
        let world = Shared::world().await;
        let reset = |priority| json!([step("bios", "factory_reset", priority, json!({}))]);
        keep_template(&world, "CUSTOM_TPL_ONE", reset(40)).await;
        keep_template(&world, "CUSTOM_TPL_TWO", reset(50)).await;
        keep_template(&world, "CUSTOM_TPL_RAW", json!([step("vendor", "send_raw", 50, json!({}))])).await;
        let node = world.fake("fake", json!({})).await;
        for (node_traits, asked, text) in [
            (vec!["CUSTOM_TPL_ONE"], json!(["CUSTOM_TPL_TWO"]), "missing traits CUSTOM_TPL_TWO"),
            (vec!["CUSTOM_TPL_ONE"], json!("CUSTOM_TPL_ONE"), "expected a list of traits"),
            (
                vec!["CUSTOM_TPL_ONE", "CUSTOM_TPL_TWO"],
                json!(["CUSTOM_TPL_ONE", "CUSTOM_TPL_TWO"]),
                "bios.factory_reset is named more than once",
            ),
            (vec!["CUSTOM_TPL_RAW"], json!(["CUSTOM_TPL_RAW"]), "vendor.send_raw is not allowed"),
        ] {
            give_traits(&node, &node_traits).await;
            node.patch("/instance_info/traits", asked).await;
            let reason = node.ask(json!({"target": "active"})).await.refused(400);
            assert!(reason.contains(text), "{reason}");
            assert_eq!(node.state().await, "available");
        }
    });
}

#[test]
fn a_template_with_a_step_that_nobody_offers_fails_the_deployment_by_name() {
    run(async {
        let world = Shared::world().await;
        keep_template(&world, "CUSTOM_TPL_COOK", json!([step("bios", "cook", 40, json!({}))])).await;
        keep_template(&world, "CUSTOM_TPL_ARGS", json!([step("bios", "apply_configuration", 40, json!({}))])).await;
        for (name, text) in [("CUSTOM_TPL_COOK", "bios.cook"), ("CUSTOM_TPL_ARGS", "needs the argument \"settings\"")] {
            let node = world.fake("fake", json!({})).await;
            give_traits(&node, &[name]).await;
            node.patch("/instance_info/traits", json!([name])).await;
            node.provision("active").await;
            node.reach("deploy failed").await;
            assert!(node.last_error().await.contains(text), "{}", node.last_error().await);
        }
    });
}

#[test]
fn secrets_of_templates_are_shown_to_nobody() {
    run(async {
        let world = Shared::world().await;
        let settings = json!([{"name": "AdminPassword", "value": "x"}]);
        let args = json!({"settings": settings, "admin_password": "canary-tpl-77d1"});
        let uuid = keep_template(&world, "CUSTOM_TPL_SECRET", json!([step("bios", "apply_configuration", 40, args)])).await;
        let shown = world.api().get(&format!("/v1/deploy_templates/{uuid}")).await;
        assert!(shown.text.contains("******") && !shown.text.contains("canary-tpl-77d1"), "{}", shown.text);
        // A driver refuses arguments that it does not know, and says which, but not what was in them.
        let node = world.fake("fake", json!({})).await;
        give_traits(&node, &["CUSTOM_TPL_SECRET"]).await;
        node.patch("/instance_info/traits", json!(["CUSTOM_TPL_SECRET"])).await;
        node.provision("active").await;
        node.reach("deploy failed").await;
        let error = node.last_error().await;
        assert!(error.contains("admin_password") && !error.contains("canary-tpl-77d1"), "{error}");
    });
}
