//! No node becomes available unwiped: not when its driver is missing, broken, not granted what it needs, swapped in the middle of
//! the cleaning, or lying.

use reqwest::Method;
use serde_json::{Value, json};
use wrought_drivers::shipped::{DIRECT, FAKE, hostile};

use crate::support::{HostConfig, Node, Setup, World, run, with_note};

/// A world with two servers, and a node of the first with this deploy interface that has been verified.
async fn world() -> World {
    World::new(Setup { servers: 2, ..Setup::default() }).await
}

async fn manageable<'w>(world: &'w World, deploy_interface: &str) -> Node<'w> {
    let node = world.enrol_with(|body| body["deploy_interface"] = deploy_interface.into()).await;
    node.provision("manage").await;
    node.reach("manageable").await;
    node
}

/// A cleaning that fails: where it leaves the node, and why.
async fn fails(node: &Node<'_>) -> String {
    node.provision("provide").await;
    let failed = node.reach("clean failed").await;
    assert_eq!(failed["target_provision_state"], "available");
    failed["last_error"].as_str().unwrap().to_owned()
}

/// Whether the machine was really erased.
fn was_erased(node: &Node<'_>) -> bool {
    node.counts().clean_steps > 0
}

#[test]
fn not_when_its_driver_is_missing() {
    run(async {
        let world = world().await;
        let digest = world.api().install("acme", with_note(DIRECT, "acme")).await;
        let node = manageable(&world, "acme").await;
        let body = json!({"digest": digest, "reason": "it is broken"});
        world.api().call(Method::POST, "/wrought/v1/revocations", &body).await.ok();
        let refused = node.ask(json!({"target": "provide"})).await;
        assert!((400..500).contains(&refused.status) && refused.text.contains("acme"), "{}", refused.text);
        assert_eq!((node.state().await.as_str(), was_erased(&node)), ("manageable", false));
    });
}

#[test]
fn not_when_its_driver_is_missing_after_the_instance_is_gone() {
    run(async {
        let world = world().await;
        let digest = world.api().install("acme", with_note(DIRECT, "acme")).await;
        let node = manageable(&world, "acme").await;
        node.provision("provide").await;
        node.reach("available").await;
        node.deploy().await;
        let body = json!({"digest": digest, "reason": "it is broken"});
        world.api().call(Method::POST, "/wrought/v1/revocations", &body).await.ok();
        let refused = node.ask(json!({"target": "deleted"})).await;
        assert!((400..500).contains(&refused.status) && refused.text.contains("acme"), "{}", refused.text);
        assert_eq!(node.state().await, "active");
        // Another driver cleans what this one has deployed.
        world.api().install("acme", with_note(DIRECT, "acme 2")).await;
        node.provision("deleted").await;
        node.reach("available").await;
    });
}

#[test]
fn not_when_its_driver_breaks() {
    run(async {
        let world = world().await;
        world.api().install("acme", hostile("honest", "1.0.0", "direct")).await;
        for place in ["prepare-cleaning", "execute-clean-step"] {
            let node = manageable(&world, "acme").await;
            node.patch("/driver_info/hostile", "trap".into()).await;
            node.patch("/driver_info/hostile_in", place.into()).await;
            let error = fails(&node).await;
            assert!(error.contains("acme 1.0.0") || error.contains("would not erase"), "{place}: {error}");
            assert!(!was_erased(&node));
        }
    });
}

#[test]
fn not_when_its_driver_may_not_speak_to_the_agent() {
    run(async {
        let world = world().await;
        world.api().install("acme", with_note(DIRECT, "acme")).await;
        world.api().call(Method::POST, "/wrought/v1/drivers/acme/ungrant", &json!({"grant": ["agent"]})).await.ok();
        let node = manageable(&world, "acme").await;
        let error = fails(&node).await;
        assert!(error.contains("agent") && error.contains("grant"), "{error}");
        assert!(!was_erased(&node));
    });
}

#[test]
fn not_when_its_driver_is_swapped_for_one_that_lies() {
    run(async {
        let world = World::new(Setup { servers: 2, fleet: |options| options.clean_delay = 1.0, ..Setup::default() }).await;
        world.api().install("acme", with_note(DIRECT, "acme")).await;
        let node = manageable(&world, "acme").await;
        node.provision("provide").await;
        node.pass("clean wait").await;
        // `fake` says that it has erased everything, and does nothing.
        world.api().install("acme", FAKE.to_vec()).await;
        node.reach("available").await;
        assert!(was_erased(&node), "the cleaning ended on the version that it began with");

        let erased = node.counts().clean_steps;
        node.provision("manage").await;
        node.reach("manageable").await;
        let error = fails(&node).await;
        assert!(error.contains("nobody saw the machine erased") && error.contains("erase_devices"), "{error}");
        assert_eq!(node.counts().clean_steps, erased);
    });
}

#[test]
fn an_operator_may_name_the_erasure_of_a_driver() {
    run(async {
        let sections = "[cleaning]\nrequired = [\"deploy.erase_devices_metadata | fake:deploy.erase_devices\"]\n";
        let host = HostConfig { sections, ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 1, ..Setup::default() }).await;
        let node = manageable(&world, "fake").await;
        node.provision("provide").await;
        node.reach("available").await;
    });
}

#[test]
fn a_requirement_that_makes_no_sense_is_told_at_the_start() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("wrought.toml");
        std::fs::write(&config, "[cleaning]\nrequired = [\"erase everything\"]\n").unwrap();
        let ran = crate::support::wrought(folder.path(), "", &["serve", "--data", "data", "--config", config.to_str().unwrap()]).await;
        assert!(ran.code != 0 && ran.stderr.contains("[cleaning] required: \"erase everything\""), "{ran:?}");
    });
}

#[test]
fn an_automatically_chosen_driver_cleans_before_the_first_instance() {
    run(async {
        let world = world().await;
        let node = manageable(&world, "autodetect").await;
        node.patch("/instance_info", json!({})).await;
        node.provision("provide").await;
        node.reach("available").await;
        assert!(was_erased(&node));
        let body = world.body(node.server.unwrap());
        node.patch("/instance_info", body["instance_info"].clone()).await;
        let active = node.deploy().await;
        assert_eq!(active["driver_internal_info"]["detected_deploy_interface"], "direct");
        node.provision("deleted").await;
        let available = node.reach("available").await;
        assert_eq!(available["driver_internal_info"]["detected_deploy_interface"], Value::Null);
        assert_eq!(available["deploy_interface"], "autodetect");
    });
}
