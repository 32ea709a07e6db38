//! Why a node is where it is, is told without a look into a log.

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{HostConfig, Node, Setup, Shared, World, run, until, wrought};

async fn why(node: &Node<'_>) -> Value {
    node.world.api().get(&format!("/wrought/v1/nodes/{}/why", node.uuid)).await.ok()
}

fn next(why: &Value) -> String {
    why["next"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_deployment_that_waits_tells_for_what_how_long_and_when_the_machine_was_heard_of() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        let rests = why(&node).await;
        assert_eq!(rests["what"], "the node rests in available and waits for nothing", "{rests}");
        assert!(next(&rests).contains("`active`") && rests["operation"].is_null(), "{rests}");
        assert_eq!(rests["last_contact"]["kind"], "controller", "{rests}");

        node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        node.provision("active").await;
        node.pass("wait call-back").await;
        let waits = until("the agent is waited for", async || {
            let waits = why(&node).await;
            waits["what"].as_str().unwrap().contains("waits for the agent to boot").then_some(waits)
        })
        .await;
        assert!(waits["what"].as_str().unwrap().starts_with("deploy, step deploy.deploy (1 of "), "{waits}");
        let moment = |key: &str| waits[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(moment("since") <= jiff::Timestamp::now() && moment("until") > jiff::Timestamp::now(), "{waits}");
        assert_eq!((&waits["operation"]["verb"], &waits["operation"]["user"]), (&json!("deploy"), &json!("noauth")));
        assert!(next(&waits).contains("console") && next(&waits).contains("`abort` ends it"), "{waits}");
        assert!(waits["contacts"].get("heartbeat").is_none(), "{waits}");
        let folder = tempfile::tempdir().unwrap();
        let told = wrought(folder.path(), world.api().url(), &["node", "why", &node.uuid]).await.ended(0).text();
        assert!(told.contains("waits for the agent to boot") && told.contains("controller ") && told.contains(" ago ("), "{told}");

        // In maintenance the wait rests.
        let maintenance = node.path("/maintenance");
        world.api().call(Method::PUT, &maintenance, &json!({"reason": "a fan is loud"})).await;
        let rests = why(&node).await;
        assert!(rests["what"].as_str().unwrap().contains("in maintenance: a fan is loud") && rests["until"].is_null(), "{rests}");
        world.api().send(Method::DELETE, &maintenance, |request| request).await;

        node.ask(json!({"target": "abort"})).await.ok();
        node.reach("deploy failed").await;
        let failed = why(&node).await;
        assert!(
            failed["what"].as_str().unwrap().starts_with("deploy failed: ") && failed["what"].as_str().unwrap().contains("aborted"),
            "{failed}"
        );
        assert_eq!(failed["failed"]["verb"], "deploy");
        assert!(next(&failed).contains("wrought node retry"), "{failed}");
        world.api().get("/wrought/v1/nodes/nobody/why").await.refused(404);
    });
}

#[test]
fn a_hold_tells_who_must_let_go() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        node.provision("manage").await;
        node.reach("manageable").await;
        let steps = json!([{"interface": "deploy", "step": "hold"}, {"interface": "bios", "step": "factory_reset"}]);
        assert_eq!(node.ask(json!({"target": "clean", "clean_steps": steps})).await.status, 202);
        node.pass("clean hold").await;
        let holds = why(&node).await;
        assert!(holds["what"].as_str().unwrap().contains("waits for an operator to say `unhold`"), "{holds}");
        assert!(holds["until"].is_null() && next(&holds).contains("`unhold` goes on"), "{holds}");
        assert_eq!((&holds["operation"]["step_number"], &holds["operation"]["steps"]), (&json!(1), &json!(2)), "{holds}");
        node.provision("unhold").await;
        node.reach("manageable").await;
    });
}

#[test]
fn a_queued_deployment_knows_its_place_and_is_taken_out_of_the_queue() {
    run(async {
        let host = HostConfig { conductor: "max_concurrent_deploy = 1\n", ..HostConfig::default() };
        let mut world = World::new(Setup { host, servers: 0, ..Setup::default() }).await;
        let (first, second, third) = (
            world.fake("fake", json!({"fake_deploy_delay": 20})).await,
            world.fake("fake", json!({})).await,
            world.fake("fake", json!({})).await,
        );
        for node in [&first, &second, &third] {
            node.provision("active").await;
        }
        let waits = why(&third).await;
        assert_eq!(waits["queue"], json!({"place": 2, "of": 2}), "{waits}");
        assert!(waits["what"].as_str().unwrap().contains("number 2 of 2") && waits["until"].is_null(), "{waits}");
        assert!(next(&waits).contains("wrought node cancel"), "{waits}");
        assert_eq!(
            (&third.get().await["provision_state"], &third.get().await["target_provision_state"]),
            (&json!("deploying"), &json!("active"))
        );

        // Not what is at work, and not what rests.
        let cancel = |node: &Node<'_>| format!("/wrought/v1/nodes/{}/cancel", node.uuid);
        let (at_work, queued, last) = (cancel(&first), second.uuid.clone(), third.uuid.clone());
        world.api().call(Method::POST, &at_work, &Value::Null).await.refused(409);
        let url = world.api().url().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let told = wrought(folder.path(), &url, &["node", "cancel", &queued]).await.ended(0).text();
        assert!(told.contains("ended the deploy of noauth") && told.contains("deploy failed"), "{told}");
        let failed = world.api().get(&format!("/v1/nodes/{queued}")).await.ok();
        assert!(failed["last_error"].as_str().unwrap().contains("Next:") && failed["reservation"].is_null(), "{failed}");
        let refused = wrought(folder.path(), &url, &["node", "cancel", &queued]).await.ended(1);
        assert!(refused.stderr.contains("nothing to cancel"), "{}", refused.stderr);

        // Who is left moves up, also over a restart.
        world.host.kill().await;
        world.host.start_again().await;
        until("the queue is there again", async || {
            let waits = world.api().get(&format!("/wrought/v1/nodes/{last}/why")).await.ok();
            (waits["queue"] == json!({"place": 1, "of": 1})).then_some(())
        })
        .await;
    });
}
