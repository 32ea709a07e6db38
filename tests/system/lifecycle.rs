//! The whole life of a node, and what the machine behind it was put through.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DRIVE_TEXT, Node, Shared, run};

#[test]
fn a_node_goes_from_enroll_to_active_and_back_with_one_image_write() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        assert_eq!(node.state().await, "enroll");

        node.provision("manage").await;
        let managed = node.reach("manageable").await;
        assert_eq!(managed["power_state"], "power off");
        assert_eq!(node.counts().resets, 0, "verifying only reads");

        let (states, ()) = tokio::join!(node.states_until("available"), node.provision("provide"));
        in_order(&states, &["cleaning", "clean wait", "available"]);
        let cleaned = node.counts();
        assert_eq!((cleaned.clean_steps, cleaned.image_writes, cleaned.agent_boots), (2, 0, 1));
        // On to boot the agent, off when it is done.
        assert_eq!(cleaned.resets, 2);

        let drive = json!({"meta_data": {"uuid": node.uuid}, "user_data": DRIVE_TEXT, "network_data": {"links": []}});
        let (states, answer) = tokio::join!(node.states_until("active"), node.ask(json!({"target": "active", "configdrive": drive})));
        assert_eq!(answer.status, 202, "{}", answer.text);
        in_order(&states, &["deploying", "wait call-back", "active"]);
        let deployed = node.counts();
        assert_eq!((deployed.image_writes, deployed.agent_boots), (1, 2));
        // On to boot the agent, which switches its machine off by itself, and on again to boot the disk.
        assert_eq!(deployed.resets - cleaned.resets, 2);
        assert_eq!((deployed.power_on - cleaned.power_on, deployed.power_off - cleaned.power_off), (2, 1));
        assert_eq!(deployed.media_inserts - cleaned.media_inserts, 1);
        let active = node.get().await;
        assert_eq!((&active["power_state"], &active["last_error"]), (&json!("power on"), &Value::Null));
        assert!(active["driver_internal_info"]["wrought_driver_calls"].as_u64().unwrap() > 5, "{active}");
        assert_eq!(boot_device(&node).await, json!({"boot_device": "disk", "persistent": true}));
        let machine = world.fleet.node(node.server.unwrap()).unwrap();
        assert!(machine.media.is_none() && !machine.agent_alive, "{machine:?}");

        let (states, ()) = tokio::join!(node.states_until("available"), node.provision("deleted"));
        in_order(&states, &["clean wait", "available"]);
        let deleted = node.counts();
        assert_eq!((deleted.image_writes, deleted.clean_steps, deleted.agent_boots), (1, 4, 3));
        // Off for the tear-down, on and off for the cleaning.
        assert_eq!(deleted.resets - deployed.resets, 3);
        let available = node.get().await;
        assert_eq!((&available["instance_info"], &available["power_state"]), (&json!({}), &json!("power off")));
        assert_eq!(available["target_provision_state"], Value::Null);

        let history = world.api().get(&node.path("/history?detail=true")).await.ok();
        let told: Vec<&str> = history["history"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
        for event in ["deployment finished", "tear down started", "cleaning finished"] {
            assert!(told.contains(&event), "{told:?}");
        }
    });
}

#[test]
fn a_rebuild_writes_the_image_again_and_keeps_the_instance() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.deploy().await;
        let before = node.get().await;
        node.provision("rebuild").await;
        node.reach("active").await;
        let after = node.get().await;
        assert_eq!(node.counts().image_writes, 2);
        assert_eq!(before["instance_info"], after["instance_info"]);
    });
}

#[test]
fn nodes_are_deployed_side_by_side() {
    run(async {
        let world = Shared::world().await;
        let nodes = join_all((0..8).map(|_| world.available())).await;
        join_all(nodes.iter().map(Node::deploy)).await;
        for node in &nodes {
            assert_eq!(node.counts().image_writes, 1);
        }
    });
}

#[test]
fn of_many_requests_at_once_one_is_granted() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        let answers = join_all((0..8).map(|_| node.ask(json!({"target": "active"})))).await;
        let granted = answers.iter().filter(|answer| answer.status == 202).count();
        assert_eq!(granted, 1, "{answers:?}");
        for refused in answers.iter().filter(|answer| answer.status != 202) {
            assert!([400, 409].contains(&refused.status) && refused.reason().contains(&node.uuid), "{refused:?}");
        }
        node.reach("active").await;
        assert_eq!(node.counts().image_writes, 1);
    });
}

/// Whether all of `wanted` were seen, in this order.
#[track_caller]
fn in_order(seen: &[String], wanted: &[&str]) {
    let mut rest = seen.iter();
    assert!(wanted.iter().all(|state| rest.any(|seen| seen == state)), "{wanted:?} are not in {seen:?}");
}

async fn boot_device(node: &Node<'_>) -> Value {
    node.world.api().send(Method::GET, &node.path("/management/boot_device"), |request| request).await.ok()
}
