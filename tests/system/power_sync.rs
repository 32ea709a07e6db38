//! The power of machines is compared with what is recorded, and put right.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{HostConfig, Node, Setup, World, run, until};

async fn world(conductor: &'static str, servers: usize) -> World {
    World::new(Setup { host: HostConfig { conductor, ..HostConfig::default() }, servers, ..Setup::default() }).await
}

async fn manageable(world: &World) -> Node<'_> {
    let node = world.enrol().await;
    node.provision("manage").await;
    node.reach("manageable").await;
    node
}

/// Somebody goes to the machine, or to its controller, and changes its power.
async fn by_hand(node: &Node<'_>, kind: &str) {
    let server = node.world.fleet.nodes()[node.server.unwrap()].clone();
    let url = format!("{}{}/Actions/ComputerSystem.Reset", node.world.fleet.url(), server.system_path);
    let request = reqwest::Client::new().post(url).basic_auth(server.username, Some(server.password)).json(&json!({"ResetType": kind}));
    assert!(request.send().await.unwrap().status().is_success());
}

fn machine(node: &Node<'_>) -> String {
    serde_json::to_value(node.world.fleet.node(node.server.unwrap()).unwrap().power_state).unwrap().as_str().unwrap().to_owned()
}

async fn history(node: &Node<'_>) -> String {
    node.world.api().get(&node.path("/history?detail=true")).await.ok().to_string()
}

#[test]
fn a_machine_that_somebody_switched_off_is_switched_on_again() {
    run(async {
        let world = world("sync_power_state_interval = 1\n", 2).await;
        let node = manageable(&world).await;
        assert_eq!(node.power("power on").await.status, 202);
        node.reach_power("power on").await;
        by_hand(&node, "ForceOff").await;
        until("the machine is off", async || (machine(&node) == "Off").then_some(())).await;
        until("the machine is on again", async || (machine(&node) == "On").then_some(())).await;
        node.reach_power("power on").await;
        assert!(history(&node).await.contains("the machine was power off and is recorded as power on"), "{}", history(&node).await);

        // Nothing was recorded of this one: it is believed.
        let enrolled = world.enrol().await;
        assert_eq!(enrolled.get().await["power_state"], Value::Null);
        enrolled.provision("manage").await;
        enrolled.reach("manageable").await;
        assert_eq!(enrolled.get().await["power_state"], "power off");
    });
}

#[test]
fn the_record_is_corrected_where_the_operator_wants_machines_left_alone() {
    run(async {
        let world = world("sync_power_state_interval = 1\nforce_power_state_during_sync = false\n", 2).await;
        let node = manageable(&world).await;
        by_hand(&node, "On").await;
        node.reach_power("power on").await;
        assert_eq!(machine(&node), "On");
        assert!(history(&node).await.contains("the record is corrected"));
        assert_eq!(node.counts().power_off, 0);

        // In maintenance nobody looks.
        let rests = manageable(&world).await;
        world.api().call(Method::PUT, &rests.path("/maintenance"), &json!({"reason": "mine"})).await;
        let asked = rests.counts().bmc_requests;
        by_hand(&rests, "On").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(rests.get().await["power_state"], "power off");
        assert_eq!(rests.counts().bmc_requests, asked + 1, "the hand's own");
    });
}

#[test]
fn a_machine_that_no_command_moves_goes_into_maintenance_and_comes_back_by_itself() {
    run(async {
        let conductor = "sync_power_state_interval = 1\npower_state_sync_max_retries = 1\npower_failure_recovery_interval = 1\n";
        let world = world(conductor, 2).await;
        let dead = manageable(&world).await;
        dead.set_faults(Faults { bmc_status: Some(503), ..Faults::default() });
        let failed = until("the node is in maintenance", async || Some(dead.get().await).filter(|node| node["maintenance"] == true)).await;
        assert_eq!((&failed["fault"], &failed["power_state"]), (&json!("power failure"), &Value::Null), "{failed}");
        let reason = failed["maintenance_reason"].as_str().unwrap();
        assert!(
            reason.starts_with("During sync_power_state, max retries exceeded") && reason.contains("look at the controller"),
            "{reason}"
        );
        assert_eq!(failed["last_error"], failed["maintenance_reason"]);
        assert!(!reason.contains(crate::support::BMC_PASSWORD));
        dead.set_faults(Faults::default());
        let back = until("the maintenance has ended", async || Some(dead.get().await).filter(|node| node["maintenance"] == false)).await;
        assert_eq!(
            (&back["fault"], &back["maintenance_reason"], &back["last_error"], &back["power_state"]),
            (&Value::Null, &Value::Null, &Value::Null, &json!("power off"))
        );
        assert!(history(&dead).await.contains("the power state can be read again"));

        // An operator's own maintenance is not ended.
        let mine = manageable(&world).await;
        world.api().call(Method::PUT, &mine.path("/maintenance"), &json!({"reason": "mine"})).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(mine.get().await["maintenance"], true);
    });
}

#[test]
fn the_power_of_a_node_at_work_is_its_operations_alone() {
    run(async {
        let world = world("sync_power_state_interval = 1\n", 1).await;
        let node = world.available().await;
        node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        node.provision("active").await;
        node.pass("wait call-back").await;
        until("the machine is booted", async || (machine(&node) == "On").then_some(())).await;
        // The operation itself looks whether the power has come.
        node.left_alone().await;
        let asked = node.counts();
        by_hand(&node, "ForceOff").await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(machine(&node), "Off", "nobody switches it on");
        assert_eq!(node.counts().bmc_requests, asked.bmc_requests + 1, "nobody even asks");
        node.provision("abort").await;
        node.rest().await;
    });
}
