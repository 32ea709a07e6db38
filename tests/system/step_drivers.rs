//! Drivers that other interfaces than `deploy` name, and that give an operation nothing but their steps.

use serde_json::{Value, json};

use crate::support::{Node, Shared, run};

/// `step by driver` of the steps that ended well in the node's latest operation of this verb.
async fn executed_by(node: &Node<'_>, verb: &str) -> Vec<String> {
    let events = node.world.api().get(&format!("/wrought/v1/nodes/{}/events?limit=1000&kind=step-finished", node.uuid)).await.ok();
    let own: Vec<&Value> = events["events"].as_array().unwrap().iter().filter(|event| event["verb"] == verb).collect();
    let latest = own.last().map(|event| event["operation"].clone());
    let latest = own.into_iter().filter(|event| Some(&event["operation"]) == latest.as_ref());
    latest.map(|event| format!("{} by {}", event["step"].as_str().unwrap(), event["driver"].as_str().unwrap_or("the host"))).collect()
}

#[test]
fn a_driver_that_the_raid_interface_names_adds_its_raid_steps_and_no_others() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol_with(|body| (body["raid_interface"], body["automated_clean"]) = ("fake".into(), false.into())).await;
        node.provision("manage").await;
        node.reach("manageable").await;
        let clean = async |steps: Value| assert_eq!(node.ask(json!({"target": "clean", "clean_steps": steps})).await.status, 202);
        clean(json!([
            {"interface": "raid", "step": "create_configuration"},
            {"interface": "deploy", "step": "erase_devices_metadata"},
            {"interface": "power", "step": "power_off"},
        ]))
        .await;
        node.reach("manageable").await;
        let executed = ["raid.create_configuration by fake", "deploy.erase_devices_metadata by direct", "power.power_off by direct"];
        let seen = executed_by(&node, "manual-clean").await;
        assert_eq!(seen[..2], executed[..2]);
        assert!(seen[2].starts_with("power.power_off"), "{seen:?}");
        assert_eq!(node.counts().clean_steps, 1);

        // It has steps of `bios`, too, but the bios interface names another.
        clean(json!([{"interface": "bios", "step": "factory_reset"}])).await;
        node.reach("clean failed").await;
        let error = node.last_error().await;
        assert!(error.contains("does not support step bios.factory_reset") && error.contains("raid.create_configuration"), "{error}");
    });
}

#[test]
fn a_deployment_merges_the_steps_of_the_deploy_driver_with_those_of_step_drivers() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol_with(|body| (body["raid_interface"], body["automated_clean"]) = ("fake".into(), false.into())).await;
        node.make_available().await;
        let raid = json!({"raid_config": {"logical_disks": []}});
        let steps = json!([{"interface": "raid", "step": "apply_configuration", "priority": 90, "args": raid}]);
        assert_eq!(node.ask(json!({"target": "active", "deploy_steps": steps})).await.status, 202);
        node.reach("active").await;
        let executed = executed_by(&node, "deploy").await;
        assert_eq!(executed[..3], ["deploy.deploy by direct", "raid.apply_configuration by fake", "deploy.write_image by direct"]);
        assert_eq!(node.counts().image_writes, 1);
    });
}

#[test]
fn an_interface_names_no_driver_that_has_nothing_for_it() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        for (interface, name) in [("raid", "noop"), ("bios", "direct"), ("rescue", "ramdisk"), ("raid", "never-pushed")] {
            let change = json!([{"op": "replace", "path": format!("/{interface}_interface"), "value": name}]);
            let reason = world.api().call(reqwest::Method::PATCH, &node.path(""), &change).await.refused(400);
            assert!(reason.contains(&format!("Could not find the {interface} interface '{name}'")), "{reason}");
        }
    });
}
