//! An operator ends what holds a node.

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{BMC_PASSWORD, Setup, World, run, until, wrought};

#[test]
fn an_unlocked_operation_acts_no_more_and_what_it_answers_is_dropped() {
    run(async {
        let mut world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = world.available().await;
        node.deploy().await;
        let path = format!("/wrought/v1/nodes/{}/unlock", node.uuid);
        let unlock = async |reason: &str| node.world.api().call(Method::POST, &path, &json!({ "reason": reason })).await;
        let reason = unlock("it hangs").await.refused(409);
        assert!(reason.contains("nothing to unlock"), "{reason}");

        // Every answer of the controller takes its time. A clean-up is two effects, the boot medium and the instance's disk.
        node.set_faults(Faults { delay_s: 0.7, ..Faults::default() });
        node.provision("deleted").await;
        let open = until("an effect is under way", async || {
            let told = node.world.api().get(&format!("/wrought/v1/journal/{}?detail=true", node.uuid)).await.ok();
            told["calls"].as_array().unwrap().iter().find(|call| call["outcome"].is_null()).cloned()
        })
        .await;
        assert_eq!((&open["function"], &open["host_calls"]), (&json!("deploy.clean-up"), &json!(1)), "{open}");
        let before = node.counts();
        assert_eq!(open["record"]["entries"].as_array().unwrap().last().unwrap()["answer"], Value::Null);

        for wrong in ["", "  ", "two\nlines", "\u{1b}[31mred", &"x".repeat(501)] {
            let refused = unlock(wrong).await.refused(400);
            assert!(refused.contains("1 to 500 characters"), "{refused}");
        }
        let folder = tempfile::tempdir().unwrap();
        let url = node.world.api().url().to_owned();
        let words = format!("the controller crawls, with {BMC_PASSWORD}");
        let told = wrought(folder.path(), &url, &["node", "unlock", &node.uuid, "--reason", &words]).await.ended(0).text();
        assert!(told.contains("ended the tear-down of noauth") && told.contains("is in error"), "{told}");

        let failed = node.get().await;
        assert_eq!((&failed["provision_state"], &failed["reservation"]), (&json!("error"), &Value::Null));
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("noauth unlocked the node") && error.contains("the controller crawls"), "{error}");
        assert!(!error.contains(BMC_PASSWORD) && !told.contains(BMC_PASSWORD), "{error}");
        unlock("again").await.refused(409);

        // The call goes on for a while. A host that stops waits for it.
        let (uuid, server) = (node.uuid.clone(), node.server.unwrap());
        assert!(world.host.stop().await.success());
        let after = world.fleet.counts(server).unwrap();
        assert_eq!((after.resets, after.image_writes), (before.resets, before.image_writes), "{after:?}");
        let log = world.host.log();
        assert!(log.contains("wrought.StaleFence"), "the call wanted to go on: {log}");
        assert!(world.fleet.set_faults(server, Faults::default()));
        world.host.start_again().await;

        let node = world.api().get(&format!("/v1/nodes/{uuid}")).await.ok();
        assert_eq!((&node["provision_state"], &node["last_error"]), (&json!("error"), &failed["last_error"]));
        let told = world.api().get(&format!("/wrought/v1/journal/{uuid}")).await.ok();
        assert_eq!(told["operation"]["error"], failed["last_error"]);
        assert!(!told["operation"]["ended_at"].is_null(), "{told}");
        let cut = told["calls"].as_array().unwrap().last().unwrap();
        assert_eq!((&cut["id"], &cut["ended_at"], &cut["outcome"]), (&open["id"], &Value::Null, &Value::Null), "{told}");
        // As far as it goes, it replays.
        let replayed = wrought(folder.path(), world.api().url(), &["replay", &uuid]).await.ended(0).text();
        assert!(replayed.contains("it did not end"), "{replayed}");

        // The node is as good as any other that failed.
        let answer = world.api().call(Method::PUT, &format!("/v1/nodes/{uuid}/states/provision"), &json!({"target": "deleted"})).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        until("the node is available", async || {
            let node = world.api().get(&format!("/v1/nodes/{uuid}")).await.ok();
            (node["provision_state"] == "available" && node["reservation"].is_null()).then_some(())
        })
        .await;
    });
}
