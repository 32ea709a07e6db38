//! Who may speak for a node: this test is the agent.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{Answer, Api, Node, Shared, run, until};

const MASK: &str = "******";

#[test]
fn only_the_agent_of_a_node_in_an_operation_is_known_and_only_once() {
    run(async {
        let world = Shared::world().await;
        let api = world.api();
        let (node, mac) = without_agent(&world).await;
        let by_mac = format!("/v1/lookup?addresses={mac}");

        api.get("/v1/lookup?addresses=52:54:00:ff:ff:ff").await.refused(404);
        api.get("/v1/lookup").await.refused(400);
        api.get("/v1/lookup?addresses=nonsense").await.refused(400);
        // As if it were not there: nothing is being done with it.
        api.get(&by_mac).await.refused(404);
        api.get(&format!("/v1/lookup?node_uuid={}", node.uuid)).await.refused(404);

        node.provision("active").await;
        node.pass("wait call-back").await;
        let first = api.get(&by_mac).await.ok();
        assert_eq!(first["node"]["uuid"], node.uuid.as_str());
        let token = first["config"]["agent_token"].as_str().unwrap();
        assert!(token.len() >= 32 && first["config"]["agent_token_required"] == true, "{first}");
        for path in [by_mac.clone(), format!("/v1/lookup?node_uuid={}", node.uuid), format!("{by_mac},52:54:00:ff:ff:ff")] {
            assert_eq!(api.get(&path).await.ok()["config"]["agent_token"], MASK);
        }

        for (body, word) in [
            (json!({}), "callback_url"),
            (beat(&format!("{token}x")), "token"),
            (beat(MASK), "token"),
            (beat(""), "token"),
            (json!({"callback_url": CALLBACK, "agent_token": token}), "agent_version"),
            (json!({"callback_url": "https://192.0.2.66:9999", "agent_version": "13.0.0", "agent_token": token}), "callback_url"),
            (json!({"callback_url": "http://127.0.0.1:9", "agent_version": "13.0.0", "agent_token": token}), "https"),
            (json!({"callback_url": "gopher://127.0.0.1", "agent_version": "13.0.0", "agent_token": token}), "callback_url"),
        ] {
            let reason = heartbeat(api, &node.uuid, &body).await.refused(400);
            assert!(reason.contains(word), "{body}: {reason}");
            assert!(!reason.contains(token), "{reason}");
        }
        heartbeat(api, "00000000-0000-0000-0000-000000000000", &beat(token)).await.refused(404);
        assert_eq!(node.state().await, "wait call-back", "nobody has been heard");

        let heard = heartbeat(api, &node.uuid, &beat(token)).await;
        assert_eq!(heard.status, 202, "{}", heard.text);
        let moved = json!({"callback_url": "https://127.0.0.1:10", "agent_version": "13.0.0", "agent_token": token});
        let reason = heartbeat(api, &node.uuid, &moved).await.refused(400);
        assert!(reason.contains("callback_url"), "{reason}");

        // Nothing listens there, so the deployment fails by itself, or waits until an operator ends it.
        until("the deployment ends", async || {
            node.ask(json!({"target": "abort"})).await;
            (node.state().await == "deploy failed").then_some(())
        })
        .await;
        node.rest().await;
        heartbeat(api, &node.uuid, &beat(token)).await.refused(400);
    });
}

#[test]
fn a_token_ends_with_the_boot_that_it_was_given_to() {
    run(async {
        let world = Shared::world().await;
        let (node, mac) = without_agent(&world).await;
        let by_mac = format!("/v1/lookup?addresses={mac}");
        let mut tokens = Vec::new();
        for _ in 0..2 {
            node.provision("active").await;
            node.pass("wait call-back").await;
            let token = world.api().get(&by_mac).await.ok()["config"]["agent_token"].as_str().unwrap().to_owned();
            assert_ne!(token, MASK, "a new boot, a new token");
            tokens.push(token);
            node.provision("abort").await;
            node.reach("deploy failed").await;
        }
        assert_ne!(tokens[0], tokens[1]);
        heartbeat(world.api(), &node.uuid, &beat(&tokens[0])).await.refused(400);
    });
}

#[test]
fn of_many_lookups_at_once_one_is_given_the_token() {
    run(async {
        let world = Shared::world().await;
        let (node, mac) = without_agent(&world).await;
        node.provision("active").await;
        node.pass("wait call-back").await;
        let path = format!("/v1/lookup?addresses={mac}");
        let answers = join_all((0..8).map(|_| world.api().get(&path))).await;
        let tokens = answers.iter().filter(|answer| answer.ok()["config"]["agent_token"] != MASK).count();
        assert_eq!(tokens, 1);
        node.provision("abort").await;
        node.reach("deploy failed").await;
    });
}

/// Nothing listens there.
const CALLBACK: &str = "https://127.0.0.1:9";

fn beat(token: &str) -> Value {
    json!({"callback_url": CALLBACK, "agent_version": "13.0.0", "agent_token": token})
}

async fn heartbeat(api: &Api, node: &str, body: &Value) -> Answer {
    api.call(Method::POST, &format!("/v1/heartbeat/{node}"), body).await
}

/// A node whose machine boots no agent of its own, and its MAC address.
async fn without_agent<'a>(world: &'a Shared) -> (Node<'a>, String) {
    let node = world.available().await;
    node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
    let mac = world.fleet.nodes()[node.server.unwrap()].mac.clone();
    (node, mac)
}
