//! Nodes without a machine behind them, and what is asked of a node besides its provisioning.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Shared, run};

#[test]
fn fake_hardware_takes_as_long_as_it_is_told() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({"fake_deploy_delay": 1, "fake_clean_delay": "1"})).await;
        let began = Instant::now();
        node.deploy().await;
        assert!(began.elapsed() >= Duration::from_secs(1));
        node.patch("/automated_clean", true.into()).await;
        let began = Instant::now();
        node.provision("deleted").await;
        node.reach("available").await;
        assert!(began.elapsed() >= Duration::from_secs(1));
        let reason = world.fake("fake", json!({"fake_deploy_delay": "soon"})).await.ask(json!({"target": "active"})).await.refused(400);
        assert!(reason.contains("fake_deploy_delay"), "{reason}");
    });
}

#[test]
fn power_is_switched_on_and_off_and_cycled() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        let fake = world.fake("fake", json!({})).await;
        for node in [&node, &fake] {
            for (target, then) in [("power on", "power on"), ("rebooting", "power on"), ("power off", "power off")] {
                let answer = node.power(target).await;
                assert_eq!(answer.status, 202, "{target}: {}", answer.text);
                node.reach_power(then).await;
            }
        }
        let counts = node.counts();
        assert_eq!((counts.power_on, counts.power_off), (2, 2));
        // What is already so is asked of nobody.
        let resets = node.counts().resets;
        node.power("power off").await.ok();
        node.reach_power("power off").await;
        assert_eq!(node.counts().resets, resets);
        assert_eq!(node.state().await, "available");
    });
}

#[test]
fn a_node_in_maintenance_is_not_deployed() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        let maintenance = async |method: Method, body: Value| world.api().call(method, &node.path("/maintenance"), &body).await;
        assert_eq!(maintenance(Method::PUT, json!({"reason": "a fan is loud"})).await.status, 202);
        let shown = node.get().await;
        assert_eq!((&shown["maintenance"], &shown["maintenance_reason"]), (&json!(true), &json!("a fan is loud")));
        let reason = node.ask(json!({"target": "active"})).await.refused(400);
        assert!(reason.contains("maintenance"), "{reason}");
        assert_eq!(maintenance(Method::DELETE, json!({})).await.status, 202);
        assert_eq!(node.get().await["maintenance_reason"], Value::Null);
        node.deploy().await;
    });
}

#[test]
fn a_manual_cleaning_executes_the_steps_that_it_names() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        node.provision("manage").await;
        node.reach("manageable").await;
        let clean = async |step: &str| node.ask(json!({"target": "clean", "clean_steps": [{"interface": "deploy", "step": step}]})).await;
        assert_eq!(clean("erase_devices_metadata").await.status, 202);
        node.reach("manageable").await;
        assert_eq!((node.counts().clean_steps, node.counts().agent_boots), (1, 1));

        // What nobody offers is known only when the agent is up.
        assert_eq!(clean("cook").await.status, 202);
        let failed = node.reach("clean failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("deploy.cook"), "{failed}");
        assert_eq!(node.counts().clean_steps, 1);
        let machine = world.fleet.node(node.server.unwrap()).unwrap();
        assert!(!machine.agent_alive && machine.media.is_none(), "the agent is taken away after a failure, too: {machine:?}");
        node.provision("manage").await;
        node.reach("manageable").await;
    });
}
