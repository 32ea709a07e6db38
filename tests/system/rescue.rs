//! `rescue` and `unrescue`: a password that nobody but the agent gets to know, and the way back.

use serde_json::{Value, json};
use wrought_simulator::machine::PowerState;
use wrought_simulator::{AgentStage, Faults, NodeView};

use crate::support::{HostConfig, Node, Setup, Shared, World, run, until};

/// Found nowhere else.
const PASSWORD: &str = "rescue-canary-5b0e11";

async fn rescue(node: &Node<'_>) {
    let answer = node.ask(json!({"target": "rescue", "rescue_password": PASSWORD})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

fn machine(node: &Node<'_>) -> NodeView {
    node.world.fleet.node(node.server.unwrap()).unwrap()
}

/// A deployed node that is rescued by the agent.
async fn deployed(world: &World) -> Node<'_> {
    let node = world
        .enrol_with(|body| {
            body["automated_clean"] = false.into();
            body["rescue_interface"] = "agent".into();
        })
        .await;
    node.make_available().await;
    node.deploy().await;
    node
}

#[test]
fn a_rescue_hands_the_agent_a_hash_and_an_unrescue_boots_the_instance() {
    run(async {
        let world = Shared::world().await;
        let node = deployed(&world).await;
        let before = node.counts();
        let (states, ()) = tokio::join!(node.states_until("rescue"), rescue(&node));
        assert!(states.iter().any(|state| state == "rescue wait"), "{states:?}");
        let left = async || Some(machine(&node)).filter(|machine| machine.agent_stage == AgentStage::Rescued);
        let rescued = until("the agent leaves the machine to its user", left).await;
        assert_eq!(rescued.power_state, PowerState::On);
        let hash = rescued.told.rescue_password.unwrap();
        assert!(hash.starts_with("$6$") && hash.len() > 80 && !hash.contains(PASSWORD), "{hash}");
        assert_eq!(node.counts().agent_boots - before.agent_boots, 1);
        let shown = node.get().await;
        assert_eq!(shown["instance_info"].get("rescue_password"), None, "it is forgotten once it was used: {shown}");

        node.provision("unrescue").await;
        assert_eq!(node.reach("active").await["last_error"], Value::Null);
        let back = machine(&node);
        assert!(back.power_state == PowerState::On && back.agent_stage == AgentStage::Absent && back.media.is_none(), "{back:?}");

        // Neither the password nor its hash is anywhere in what drivers, journals and logs got to see.
        let journal = world.api().get("/wrought/v1/journal").await.ok();
        let of_node = |operation: &&Value| operation["node"] == json!(node.uuid);
        for operation in journal["operations"].as_array().unwrap().iter().filter(of_node) {
            let path = format!("/wrought/v1/journal/{}?detail=true", operation["id"].as_str().unwrap());
            let text = world.api().get(&path).await.text;
            assert!(!text.contains(PASSWORD) && !text.contains(&hash), "{path}");
        }
        let log = world.host.log();
        assert!(!log.contains(PASSWORD) && !log.contains(&hash), "the log tells it");
        for entry in std::fs::read_dir(world.host.data()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
            assert!(!text.contains(PASSWORD) && !text.contains(&hash), "{}", entry.path().display());
        }
    });
}

#[test]
fn a_rescue_that_fails_leaves_the_machine_off_and_can_be_taken_back() {
    run(async {
        let world = Shared::world().await;
        let node = deployed(&world).await;
        node.set_faults(Faults { fail_rescue: true, ..Faults::default() });
        rescue(&node).await;
        let failed = node.reach("rescue failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("rescue password"), "{failed}");
        let off = machine(&node);
        assert!(off.power_state == PowerState::Off && off.media.is_none() && off.told.rescue_password.is_none(), "{off:?}");
        assert!(!failed["instance_info"].to_string().contains("password"), "{failed}");

        node.provision("unrescue").await;
        node.reach("active").await;
        assert_eq!(machine(&node).power_state, PowerState::On);
    });
}

#[test]
fn a_rescue_is_aborted_or_runs_out_of_time_in_its_wait() {
    run(async {
        let host = HostConfig { conductor: "rescue_callback_timeout = 4", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 2, ..Setup::default() }).await;
        for aborts in [true, false] {
            let node = deployed(&world).await;
            node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
            rescue(&node).await;
            node.pass("rescue wait").await;
            if aborts {
                node.provision("abort").await;
            }
            let failed = node.reach("rescue failed").await;
            let error = failed["last_error"].as_str().unwrap();
            assert!(error.contains(if aborts { "aborted" } else { "no agent" }), "{error}");
            assert_eq!(machine(&node).power_state, PowerState::Off);
        }
    });
}

#[test]
fn a_rescued_instance_is_deleted_and_its_machine_cleaned() {
    run(async {
        let world = Shared::world().await;
        let node = deployed(&world).await;
        rescue(&node).await;
        node.reach("rescue").await;
        node.patch("/automated_clean", true.into()).await;
        let before = node.counts();
        node.provision("deleted").await;
        node.reach("available").await;
        assert_eq!(node.counts().clean_steps - before.clean_steps, 2);
        assert_eq!(machine(&node).power_state, PowerState::Off);
    });
}

#[test]
fn a_node_that_nobody_can_rescue_refuses_at_once() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.deploy().await;
        let refused = node.ask(json!({"target": "rescue", "rescue_password": PASSWORD})).await.refused(400);
        assert!(refused.contains("rescue"), "{refused}");
        assert_eq!(node.state().await, "active");
    });
}

#[test]
fn a_controller_that_refuses_is_named_and_the_way_back_stays_open() {
    run(async {
        let world = Shared::world().await;
        let node = deployed(&world).await;
        rescue(&node).await;
        node.reach("rescue").await;
        node.set_faults(Faults { bmc_status: Some(400), ..Faults::default() });
        let answer = node.ask(json!({"target": "unrescue"})).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let failed = node.reach("unrescue failed").await;
        assert!(!failed["last_error"].as_str().unwrap().is_empty(), "{failed}");
        node.set_faults(Faults::default());
        node.provision("unrescue").await;
        assert_eq!(node.reach("active").await["last_error"], Value::Null);
    });
}

#[test]
fn an_abort_whose_clean_up_fails_leaves_a_node_that_needs_a_look() {
    run(async {
        let world = Shared::world().await;
        let node = deployed(&world).await;
        node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        rescue(&node).await;
        node.pass("rescue wait").await;
        // Waits for the agent, with all that had to be asked of the controller behind it.
        until("the machine is on", async || (machine(&node).power_state == PowerState::On).then_some(())).await;
        node.left_alone().await;
        node.set_faults(Faults { vanish_on_boot: true, bmc_status: Some(400), ..Faults::default() });
        node.provision("abort").await;
        let failed = node.reach("rescue failed").await;
        assert_eq!((&failed["maintenance"], &failed["fault"]), (&json!(true), &json!("rescue abort failure")), "{failed}");
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("aborted"), "{error}");
    });
}
