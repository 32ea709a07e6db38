//! `service`: steps on a machine that carries an instance, and the way back to it.

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;
use wrought_simulator::machine::PowerState;

use crate::support::{HostConfig, Node, Setup, Shared, World, run};

fn raid() -> Value {
    json!({"interface": "raid", "step": "apply_configuration", "args": {"raid_config": {"logical_disks": []}}})
}

fn burn_in() -> Value {
    json!({"interface": "deploy", "step": "burnin_cpu"})
}

async fn service(node: &Node<'_>, steps: &[Value]) {
    let answer = node.ask(json!({"target": "service", "service_steps": steps})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

/// Whether the machine runs its instance, from its disk.
fn runs_its_instance(node: &Node<'_>) {
    let machine = node.world.fleet.node(node.server.unwrap()).unwrap();
    assert!(machine.power_state == PowerState::On && !machine.agent_alive && machine.media.is_none(), "{machine:?}");
}

async fn clear_maintenance(node: &Node<'_>) {
    assert_eq!(node.world.api().send(Method::DELETE, &node.path("/maintenance"), |request| request).await.status, 202);
}

#[test]
fn a_service_executes_its_steps_in_the_given_order_and_gives_the_machine_back() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.deploy().await;
        node.set_faults(Faults { rebooting_step: Some("burnin_cpu".into()), ..Faults::default() });
        let before = node.counts();
        service(&node, &[burn_in(), raid()]).await;
        node.pass("service wait").await;
        node.reach("active").await;
        let after = node.counts();
        assert_eq!(after.service_steps - before.service_steps, 2);
        assert_eq!(after.agent_boots - before.agent_boots, 2, "the first step asked for a reboot");
        assert_eq!(after.image_writes, before.image_writes);
        runs_its_instance(&node);
        let shown = node.get().await;
        assert_eq!((&shown["last_error"], &shown["service_step"], &shown["maintenance"]), (&Value::Null, &json!({}), &json!(false)));
        let history = world.api().get(&node.path("/history?detail=true")).await.ok();
        assert!(history.to_string().contains("service finished"), "{history}");
    });
}

#[test]
fn a_service_step_that_fails_leaves_a_node_that_needs_a_look_and_runs_its_instance() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.deploy().await;
        node.set_faults(Faults { failing_step: Some("burnin_cpu".into()), ..Faults::default() });
        service(&node, &[burn_in()]).await;
        let failed = node.reach("service failed").await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("deploy.burnin_cpu") && error.contains("simulated fault"), "{error}");
        assert_eq!((&failed["maintenance"], &failed["fault"]), (&json!(true), &json!("service failure")));
        runs_its_instance(&node);

        node.set_faults(Faults::default());
        clear_maintenance(&node).await;
        service(&node, &[burn_in()]).await;
        assert_eq!(node.reach("active").await["last_error"], Value::Null);
        runs_its_instance(&node);
    });
}

#[test]
fn a_step_that_nobody_offers_or_with_arguments_that_it_does_not_take_is_named() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        node.deploy().await;
        for (step, named) in [
            (json!({"interface": "bios", "step": "no_such_step"}), "bios.no_such_step"),
            (json!({"interface": "bios", "step": "apply_configuration"}), "settings"),
            (json!({"interface": "bios", "step": "factory_reset", "args": {"how": "fast"}}), "how"),
        ] {
            service(&node, &[step]).await;
            let failed = node.reach("service failed").await;
            assert!(failed["last_error"].as_str().unwrap().contains(named), "{failed}");
            clear_maintenance(&node).await;
        }
        let settings = json!([{"name": "boot_mode", "value": "uefi"}]);
        service(&node, &[json!({"interface": "bios", "step": "apply_configuration", "args": {"settings": settings}})]).await;
        node.reach("active").await;
    });
}

#[test]
fn a_service_that_is_aborted_or_never_sees_its_agent_ends_by_name() {
    run(async {
        let host = HostConfig { conductor: "service_callback_timeout = 3", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 2, ..Setup::default() }).await;
        let node = world.available().await;
        node.deploy().await;
        node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        service(&node, &[burn_in()]).await;
        let failed = node.reach("service failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("no agent"), "{failed}");
        runs_its_instance(&node);

        let held = world.available().await;
        held.deploy().await;
        let hold = json!({"interface": "deploy", "step": "hold"});
        service(&held, &[raid(), hold, burn_in()]).await;
        held.pass("service hold").await;
        let before = held.counts();
        held.provision("abort").await;
        // The hold is over; what was asked for behind it is not done.
        let ended = held.rest().await;
        assert_eq!(held.counts().service_steps, before.service_steps, "{ended}");
        assert!(["active", "service failed"].contains(&ended["provision_state"].as_str().unwrap()), "{ended}");
        runs_its_instance(&held);
    });
}
