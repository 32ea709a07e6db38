//! Ironic's other deploy interfaces, each a driver of its own: `ramdisk`, `bootc`, `custom-agent`, `noop`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wrought_simulator::Faults;
use wrought_simulator::machine::PowerState;

use crate::support::{Node, Shared, World, run};

/// Found nowhere else.
const PULL_SECRET: &str = "canary-registry-user:canary-registry-7d3a";

/// An available node with another deploy interface, and an instance of its kind.
async fn available<'w>(world: &'w World, interface: &str, instance_info: Value) -> Node<'w> {
    let node = world
        .enrol_with(|body| {
            body["automated_clean"] = false.into();
            body["deploy_interface"] = interface.into();
            body["instance_info"] = instance_info;
        })
        .await;
    node.make_available().await;
    node
}

/// Deletes the instance, with a cleaning behind it that erases.
async fn deleted_and_cleaned(node: &Node<'_>) {
    node.patch("/automated_clean", true.into()).await;
    let before = node.counts();
    node.provision("deleted").await;
    node.reach("available").await;
    assert_eq!(node.counts().clean_steps - before.clean_steps, 2, "the machine is erased");
}

#[test]
fn ramdisk_boots_an_image_that_is_never_written() {
    run(async {
        let world = Shared::world().await;
        let live = format!("{}/images/live.iso", world.fleet.url());
        let node = available(&world, "ramdisk", json!({ "boot_iso": live })).await;
        node.deploy().await;
        let machine = world.fleet.node(node.server.unwrap()).unwrap();
        assert_eq!((machine.media.as_deref(), machine.power_state), (Some(live.as_str()), PowerState::On));
        assert_eq!((node.counts().image_writes, node.counts().agent_boots), (0, 0));
        deleted_and_cleaned(&node).await;
        assert_eq!(world.fleet.node(node.server.unwrap()).unwrap().media, None);
    });
}

#[test]
fn ramdisk_says_what_it_needs() {
    run(async {
        let world = Shared::world().await;
        let node = available(&world, "ramdisk", json!({"image_source": "http://127.0.0.1/disk.raw"})).await;
        let refused = node.ask(json!({"target": "active"})).await.refused(400);
        assert!(refused.contains("boot_iso"), "{refused}");
        assert_eq!(node.state().await, "available");
    });
}

#[test]
fn bootc_has_the_agent_install_a_container_with_secrets_that_nobody_else_sees() {
    run(async {
        let world = Shared::world().await;
        let source = "oci://registry.example.com/os/edge:42";
        let node = available(&world, "bootc", json!({"image_source": source, "image_pull_secret": PULL_SECRET})).await;
        let drive = json!({"meta_data": {"uuid": node.uuid}, "user_data": "x"});
        node.ask(json!({"target": "active", "configdrive": drive})).await.ok();
        let active = node.reach("active").await;
        assert_eq!(active["instance_info"]["image_pull_secret"], "******");
        let machine = world.fleet.node(node.server.unwrap()).unwrap();
        assert_eq!((machine.counts.bootc_installs, machine.counts.image_writes), (1, 0));
        let told = machine.told.bootc_install.unwrap();
        assert_eq!((&told["image_source"], &told["oci_pull_secret"]), (&json!(source), &json!(STANDARD.encode(PULL_SECRET))));
        assert!(told["configdrive"].as_str().is_some_and(|drive| drive.len() > 100), "{told}");
        assert!(machine.media.is_none() && machine.power_state == PowerState::On);
        assert!(!world.host.log().contains(PULL_SECRET));
        deleted_and_cleaned(&node).await;
    });
}

#[test]
fn bootc_takes_containers_only() {
    run(async {
        let world = Shared::world().await;
        let node = available(&world, "bootc", json!({"image_source": "http://127.0.0.1/disk.raw"})).await;
        let refused = node.ask(json!({"target": "active"})).await.refused(400);
        assert!(refused.contains("oci://"), "{refused}");
    });
}

#[test]
fn custom_agent_leaves_the_installation_to_the_agents_own_steps() {
    run(async {
        let world = Shared::world().await;
        let node = available(&world, "custom-agent", json!({})).await;
        let step = json!({"interface": "deploy", "step": "inject_files", "args": {"files": []}, "priority": 50});
        let asked = json!({"target": "active", "deploy_steps": [step]});

        node.set_faults(Faults { failing_step: Some("inject_files".into()), ..Faults::default() });
        node.ask(asked.clone()).await.ok();
        let failed = node.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("inject_files"), "{failed}");

        node.set_faults(Faults::default());
        node.ask(asked).await.ok();
        node.reach("active").await;
        assert_eq!((node.counts().image_writes, node.counts().agent_boots), (0, 2));
        let machine = world.fleet.node(node.server.unwrap()).unwrap();
        assert!(machine.media.is_none() && !machine.agent_alive && machine.power_state == PowerState::On, "{machine:?}");
        deleted_and_cleaned(&node).await;
    });
}

#[test]
fn noop_changes_nothing_and_lets_no_node_become_available_unwiped() {
    run(async {
        let world = Shared::world().await;
        let node = available(&world, "noop", json!({})).await;
        node.deploy().await;
        let counts = node.counts();
        assert_eq!((counts.resets, counts.media_inserts, counts.agent_boots), (0, 0, 0));

        node.patch("/automated_clean", true.into()).await;
        let answer = node.ask(json!({"target": "deleted"})).await;
        if answer.status == 202 {
            let ended = node.rest().await;
            assert_ne!(ended["provision_state"], "available", "{ended}");
            assert!(!ended["last_error"].as_str().unwrap_or_default().is_empty(), "{ended}");
        } else {
            assert!(answer.reason().contains("clean"), "{}", answer.text);
            assert_eq!(node.state().await, "active");
        }
    });
}
