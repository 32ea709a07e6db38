//! Drivers that misbehave: their own node fails by name, nobody else notices.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use wrought_drivers::shipped;

use crate::support::{HostConfig, Node, Setup, World, run};

const LIMITS: HostConfig = HostConfig { conductor: "", sections: "[drivers]\ncpu_ms = 400\nmemory_mib = 64\n", log: "info" };

#[test]
fn a_guest_that_breaks_fails_its_own_node_by_name_and_no_other() {
    run(async {
        let mut world = World::new(Setup { host: LIMITS, ..Setup::default() }).await;
        let digest = world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
        let honest = join_all((0..6).map(|_| world.available())).await;
        let hows = [
            ("loop", "CPU"),
            ("memory", "memory"),
            ("trap", "trapped"),
            ("recursion", "stack"),
            ("calls", "host functions"),
            ("giant-answer", "4096 KiB"),
            ("bad-token", "token"),
        ];
        let hostile = join_all(hows.map(|(how, _)| world.fake("hostile", json!({ "hostile": how })))).await;

        join_all(hostile.iter().chain(&honest).map(|node| node.provision("active"))).await;
        for (node, (how, word)) in hostile.iter().zip(hows) {
            let failed = node.reach("deploy failed").await;
            let error = failed["last_error"].as_str().unwrap();
            for part in ["hostile 6.6.6", &digest[7..19], "deploy-steps.execute-deploy-step", word] {
                assert!(error.contains(part), "{how}: no {part} in {error:?}");
            }
        }
        for node in &honest {
            let active = node.reach("active").await;
            assert_eq!(active["last_error"], Value::Null);
            assert_eq!(node.counts().image_writes, 1);
        }
        assert!(world.host.is_running());
        assert!(!world.host.log().contains("panicked"), "the host's own code must not panic");
    });
}

#[test]
fn a_guest_that_breaks_in_another_function_fails_there_or_refuses_the_verb() {
    run(async {
        let world = World::new(Setup { host: LIMITS, servers: 0, ..Setup::default() }).await;
        world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
        let node = |function: &str| world.fake("hostile", json!({"hostile": "trap", "hostile_in": function}));

        let in_validate = node("validate").await;
        let reason = in_validate.ask(json!({"target": "active"})).await.refused(400);
        assert!(reason.contains("hostile 6.6.6") && reason.contains("deploy.validate"), "{reason}");
        assert_eq!(in_validate.state().await, "available");

        for function in ["prepare", "get-deploy-steps"] {
            let node = node(function).await;
            node.provision("active").await;
            let error = node.reach("deploy failed").await["last_error"].clone();
            assert!(error.as_str().unwrap().contains(&format!(".{function}:")), "{error}");
        }

        let in_tear_down = node("tear-down").await;
        in_tear_down.deploy().await;
        in_tear_down.provision("deleted").await;
        let error = in_tear_down.reach("error").await["last_error"].clone();
        assert!(error.as_str().unwrap().contains("deploy.tear-down"), "{error}");

        for function in ["prepare-cleaning", "get-clean-steps", "execute-clean-step", "tear-down-cleaning"] {
            let node = node(function).await;
            node.patch("/automated_clean", true.into()).await;
            node.provision("manage").await;
            node.provision("provide").await;
            let error = node.reach("clean failed").await["last_error"].clone();
            assert!(error.as_str().unwrap().contains(&format!("cleaning.{function}:")), "{error}");
            recovers(&node).await;
        }
    });
}

#[test]
fn guests_that_loop_do_not_keep_the_host_from_answering() {
    run(async {
        let world = World::new(Setup { host: LIMITS, servers: 1, ..Setup::default() }).await;
        world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
        let honest = world.available().await;
        let looping = join_all((0..12).map(|_| world.fake("hostile", json!({"hostile": "loop"})))).await;
        join_all(looping.iter().map(|node| node.provision("active"))).await;
        honest.provision("active").await;
        let mut slowest = Duration::ZERO;
        let mut running = looping.len();
        while running > 0 {
            let began = Instant::now();
            let nodes = world.api().get("/v1/nodes?fields=provision_state,deploy_interface").await.ok();
            slowest = slowest.max(began.elapsed());
            let failed = |node: &Value| node["deploy_interface"] == "direct" || node["provision_state"] == "deploy failed";
            running = nodes["nodes"].as_array().unwrap().iter().filter(|node| !failed(node)).count();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        honest.reach("active").await;
        eprintln!("the slowest answer took {slowest:?}");
        assert!(slowest < Duration::from_secs(3), "an answer took {slowest:?}");
    });
}

/// From a failed cleaning through `manage`, once the driver behaves.
async fn recovers(node: &Node<'_>) {
    node.patch("/driver_info/hostile", "progress".into()).await;
    let maintenance = node.world.api().send(reqwest::Method::DELETE, &node.path("/maintenance"), |request| request).await;
    assert_eq!(maintenance.status, 202, "{}", maintenance.text);
    node.make_available().await;
}
