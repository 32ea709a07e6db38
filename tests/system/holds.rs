//! `hold` in a deployment, a cleaning and a service: the node rests in the hold state until `unhold`, over a restart and without a
//! time-out, or until `abort`.

use serde_json::{Value, json};

use crate::support::{HostConfig, Node, Setup, World, run};

/// The verb with a hold among its steps, the states of the hold, of the end, and of an abort.
const PHASES: [(&str, &str, &str, &str); 3] = [
    ("active", "deploy hold", "active", "deploy failed"),
    ("clean", "clean hold", "manageable", "clean failed"),
    ("service", "service hold", "active", "active"),
];

fn request(verb: &str) -> Value {
    let hold = json!({"interface": "deploy", "step": "hold"});
    match verb {
        "active" => json!({"target": verb, "deploy_steps": [{"interface": "deploy", "step": "hold", "priority": 50, "args": {}}]}),
        "clean" => json!({"target": verb, "clean_steps": [{"interface": "deploy", "step": "erase_devices_metadata"}, hold]}),
        _ => json!({"target": verb, "service_steps": [{"interface": "deploy", "step": "burnin_cpu"}, hold]}),
    }
}

/// A node from which the verb may be asked for, with a real machine behind it.
async fn ready<'w>(world: &'w World, verb: &str) -> Node<'w> {
    let node = world.available().await;
    match verb {
        "clean" => {
            node.provision("manage").await;
            node.reach("manageable").await;
        }
        "service" => drop(node.deploy().await),
        _ => {}
    }
    node
}

async fn hold(node: &Node<'_>, verb: &str, state: &str) {
    let answer = node.ask(request(verb)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    node.pass(state).await;
    let held = node.get().await;
    assert!(!held["reservation"].is_null() && !held["target_provision_state"].is_null(), "{held}");
}

async fn world() -> World {
    // No time-out ends a hold.
    let conductor = "deploy_callback_timeout = 20\nclean_callback_timeout = 20\nservice_callback_timeout = 20";
    World::new(Setup { host: HostConfig { conductor, ..HostConfig::default() }, servers: 6, ..Setup::default() }).await
}

#[test]
fn each_phase_holds_and_goes_on_over_a_restart_too() {
    run(async {
        let mut world = world().await;
        let mut held = Vec::new();
        for (verb, state, end, _) in PHASES {
            let node = ready(&world, verb).await;
            hold(&node, verb, state).await;
            held.push((node.uuid.clone(), state, end));
        }
        world.host.kill().await;
        world.host.start_again().await;
        for (uuid, state, end) in held {
            let node = Node { world: &world, uuid, server: None };
            assert_eq!(node.state().await, state, "a restart changes nothing about it");
            node.provision("unhold").await;
            let ended = node.reach(end).await;
            assert_eq!(ended["last_error"], Value::Null);
            let refused = node.ask(json!({"target": "unhold"})).await;
            assert_eq!(refused.status, 400, "{}", refused.text);
        }
    });
}

#[test]
fn each_hold_can_be_aborted_and_so_can_a_service_that_waits() {
    run(async {
        let world = world().await;
        for (verb, state, _, aborted) in PHASES {
            let node = ready(&world, verb).await;
            hold(&node, verb, state).await;
            node.provision("abort").await;
            let ended = node.reach(aborted).await;
            assert_eq!(ended["maintenance"], false);
            assert!(ended["last_error"].as_str().unwrap().starts_with("By request, the "), "{ended}");
        }
        let node = ready(&world, "service").await;
        node.set_faults(wrought_simulator::Faults { vanish_on_boot: true, ..wrought_simulator::Faults::default() });
        let answer = node.ask(request("service")).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        node.pass("service wait").await;
        node.set_faults(wrought_simulator::Faults::default());
        node.provision("abort").await;
        let ended = node.reach("active").await;
        assert!(ended["last_error"].as_str().unwrap().contains("aborted"), "{ended}");
    });
}
