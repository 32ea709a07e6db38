//! What goes wrong with machines and agents ends in a failed state that says what, and the way out of it is open.

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{BMC_PASSWORD, HostConfig, Node, Setup, Shared, World, run, until};

#[test]
fn an_agent_that_cannot_write_fails_the_deployment_in_its_own_words() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.set_faults(Faults { fail_write_image: true, ..Faults::default() });
        node.provision("active").await;
        let failed = node.reach("deploy failed").await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("deploy.write_image") && error.contains("Error writing image to device"), "{error}");
        assert!(error.contains("simulated fault"), "{error}");

        // Once the disk is better, `active` is asked for again.
        node.set_faults(Faults::default());
        let active = node.deploy().await;
        assert_eq!(active["last_error"], Value::Null);
        assert_eq!(node.counts().image_writes, 2);
    });
}

#[test]
fn a_machine_that_boots_no_agent_times_out() {
    run(async {
        let host = HostConfig { conductor: "deploy_callback_timeout = 1\nclean_callback_timeout = 1\n", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 2, ..Setup::default() }).await;
        let (deployed, cleaned) = tokio::join!(world.available(), world.available());
        for node in [&deployed, &cleaned] {
            node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        }
        deployed.provision("active").await;
        cleaned.provision("manage").await;
        cleaned.patch("/automated_clean", true.into()).await;
        cleaned.provision("provide").await;

        let failed = deployed.reach("deploy failed").await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("deploy.deploy") && error.contains("no agent called in time"), "{error}");
        let failed = cleaned.reach("clean failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("no agent called in time"), "{failed}");
        assert_eq!(failed["maintenance"], false, "no step was executing");
        assert_eq!((deployed.counts().image_writes, cleaned.counts().clean_steps), (0, 0));

        for node in [&deployed, &cleaned] {
            node.set_faults(Faults::default());
        }
        cleaned.make_available().await;
        deployed.deploy().await;
    });
}

#[test]
fn a_machine_that_loses_power_while_it_is_written_times_out_and_is_deployed_again() {
    run(async {
        let host = HostConfig { conductor: "deploy_callback_timeout = 3\n", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 1, fleet: |options| options.write_delay = 1.0 }).await;
        let node = world.available().await;
        node.provision("active").await;
        until("the image is being written", async || (node.counts().image_writes == 1).then_some(())).await;
        let driver_info = world.body(0)["driver_info"].clone();
        let text = |key: &str| driver_info[key].as_str().unwrap().to_owned();
        let reset = format!("{}{}/Actions/ComputerSystem.Reset", text("redfish_address"), text("redfish_system_id"));
        let request = reqwest::Client::new().post(reset).basic_auth(text("redfish_username"), Some(BMC_PASSWORD));
        request.json(&json!({"ResetType": "ForceOff"})).send().await.unwrap().error_for_status().unwrap();
        let failed = node.reach("deploy failed").await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("deploy.write_image"), "{error}");
        node.deploy().await;
        assert_eq!(node.counts().image_writes, 2);
    });
}

#[test]
fn a_controller_that_answers_503_fails_by_its_name() {
    run(async {
        let world = Shared::world().await;
        let broken = Faults { bmc_status: Some(503), ..Faults::default() };
        let node = world.enrol().await;
        node.set_faults(broken.clone());
        node.provision("manage").await;
        // Ironic's state for a machine that cannot be verified.
        let error = until("verifying ends", async || {
            let shown = node.get().await;
            (shown["provision_state"] == "enroll" && !shown["last_error"].is_null()).then(|| shown["last_error"].clone())
        })
        .await;
        assert!(error.as_str().unwrap().contains("503"), "{error}");

        node.set_faults(Faults::default());
        node.patch("/automated_clean", false.into()).await;
        node.make_available().await;
        node.set_faults(broken);
        node.provision("active").await;
        let failed = node.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("503"), "{failed}");
        node.set_faults(Faults::default());
        node.deploy().await;
    });
}

#[test]
fn a_deployment_is_aborted_and_deleted_while_it_waits() {
    run(async {
        let world = Shared::world().await;
        let (aborted, deleted) = tokio::join!(waiting(&world, "active"), waiting(&world, "active"));
        let abort = json!({"target": "abort"});
        assert_eq!(aborted.ask(abort).await.status, 202);
        let failed = aborted.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("aborted"), "{failed}");
        assert_eq!(aborted.counts().image_writes, 0);
        let machine = world.fleet.node(aborted.server.unwrap()).unwrap();
        assert!(machine.media.is_none(), "what was prepared is taken back: {machine:?}");

        deleted.provision("deleted").await;
        let available = deleted.reach("available").await;
        assert_eq!(available["instance_info"], json!({}));
        assert_eq!((&available["power_state"], deleted.counts().image_writes), (&json!("power off"), 0));

        // An aborted deployment is undeployed, and then the node is as good as before.
        aborted.provision("deleted").await;
        aborted.reach("available").await;
    });
}

#[test]
fn a_cleaning_is_aborted_and_the_node_comes_back_through_manage() {
    run(async {
        let world = Shared::world().await;
        let node = waiting(&world, "clean").await;
        assert_eq!(node.ask(json!({"target": "abort"})).await.status, 202);
        let failed = node.reach("clean failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("aborted"), "{failed}");
        assert_eq!(node.counts().clean_steps, 0);
        node.ask(json!({"target": "provide"})).await.refused(400);
        node.set_faults(Faults::default());
        node.make_available().await;
        assert_eq!(node.counts().clean_steps, 2);
    });
}

#[test]
fn a_machine_that_ignores_its_controller_fails_in_time() {
    run(async {
        let host = HostConfig { conductor: "power_state_change_timeout = 1\n", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 1, ..Setup::default() }).await;
        let node = world.available().await;
        node.set_faults(Faults { reset_ignored: true, ..Faults::default() });
        assert_eq!(node.power("power on").await.status, 202);
        let error = until("the power request ends", async || {
            let shown = node.get().await;
            shown["reservation"].is_null().then(|| shown["last_error"].clone())
        })
        .await;
        assert!(error.as_str().unwrap().contains("power on"), "{error}");
        let shown = node.get().await;
        assert_eq!((&shown["provision_state"], &shown["target_power_state"]), (&json!("available"), &Value::Null));
    });
}

/// A node whose operation waits for an agent that never comes.
async fn waiting<'a>(world: &'a World, verb: &str) -> Node<'a> {
    let node = world.available().await;
    node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
    if verb == "clean" {
        node.provision("manage").await;
        node.patch("/automated_clean", true.into()).await;
        node.provision("provide").await;
        // Passed while the machine goes off, too: the machine is on when the agent is waited for.
        node.pass("clean wait").await;
    } else {
        node.provision(verb).await;
        node.pass("wait call-back").await;
    }
    until("the machine boots", async || (node.counts().power_on > 0).then_some(())).await;
    // The driver is called once more when the power is seen, and then waits for the agent.
    node.left_alone().await;
    node
}

#[test]
fn a_node_is_deleted_with_its_port() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        let gone = world.api().send(Method::DELETE, &node.path(""), |request| request).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
        world.api().get(&node.path("")).await.refused(404);
        let ports = world.api().get(&format!("/v1/ports?node_uuid={}", node.uuid)).await;
        assert!(ports.status == 404 || ports.json()["ports"] == json!([]), "{}", ports.text);
    });
}
