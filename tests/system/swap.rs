//! Versions of drivers on a running host.

use serde_json::json;
use wrought_drivers::shipped::DIRECT;

use crate::support::{Setup, World, only_describes, run, with_note};

#[test]
fn an_activated_version_serves_the_next_operation_and_what_is_in_flight_ends_on_its_own() {
    run(async {
        let mut world = World::new(Setup { fleet: |options| options.write_delay = 1.0, ..Setup::default() }).await;
        let shipped = world.api().active_digest("direct").await;
        let (first, second, third) = tokio::join!(world.available(), world.available(), world.available());

        first.provision("active").await;
        first.pass("wait call-back").await;
        let pushed = world.api().push("direct", with_note(DIRECT, "second")).await.ok();
        let uploaded = pushed["digest"].as_str().unwrap().to_owned();
        assert_ne!(uploaded, shipped);
        assert_eq!(pushed["status"], "available");
        assert_eq!(world.api().active_digest("direct").await, shipped, "an upload puts nothing in force");
        // Its bytes are not the shipped ones, so neither are its grants.
        let reason = world.api().activate("direct", &json!({ "digest": uploaded })).await.refused(409);
        for capability in ["agent", "boot", "image", "network", "power", "report"] {
            assert!(reason.contains(capability), "{reason}");
        }
        let activated = world.api().activate("direct", &json!({"digest": uploaded, "grant": pushed["requested"]})).await.ok();
        assert_eq!(activated["status"], "active");
        assert_eq!(first.get().await["provision_state"], "wait call-back", "the swap came while the deployment was under way");

        second.provision("active").await;
        tokio::join!(first.reach("active"), second.reach("active"));
        assert_eq!(first.driver_digest().await, shipped);
        assert_eq!(second.driver_digest().await, uploaded);
        assert_eq!((first.counts().image_writes, second.counts().image_writes), (1, 1));

        world.api().activate("direct", &json!({ "digest": shipped })).await.ok();
        third.deploy().await;
        assert_eq!(third.driver_digest().await, shipped, "the older version is in force again");

        // What an operator put in force stays so.
        world.api().activate("direct", &json!({ "digest": uploaded })).await.ok();
        let (first, fourth) = (first.uuid.clone(), third.uuid.clone());
        world.host.kill().await;
        world.host.start_again().await;
        assert_eq!(world.api().active_digest("direct").await, uploaded);
        for node in [first, fourth] {
            assert_eq!(world.api().get(&format!("/v1/nodes/{node}")).await.ok()["provision_state"], "active");
        }
        assert!(world.host.stop().await.success());
    });
}

#[test]
fn a_driver_with_a_base_leaves_to_it_what_it_does_not_export() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        world.api().install("acme", only_describes("acme", "1.0.0", Some("direct"))).await;
        let node = world.enrol_with(|body| body["deploy_interface"] = "acme".into()).await;
        node.patch("/automated_clean", false.into()).await;
        node.make_available().await;
        node.deploy().await;
        assert_eq!(node.counts().image_writes, 1);
    });
}
