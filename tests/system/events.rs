//! What happens to a node is recorded as events, in order, and followed as it happens.

use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{Node, Setup, World, run, wrought};

async fn events(node: &Node<'_>, query: &str) -> Value {
    node.world.api().get(&format!("/wrought/v1/nodes/{}/events?{query}", node.uuid)).await.ok()
}

fn list(answer: &Value) -> &[Value] {
    answer["events"].as_array().unwrap()
}

#[test]
fn a_deployment_is_told_step_by_step_with_times_digests_and_who_asked() {
    run(async {
        let mut world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = world.available().await;
        let from = events(&node, "").await["last"].as_u64().unwrap();
        let digest = world.api().active_digest("direct").await;
        node.deploy().await;
        let all = events(&node, &format!("after={from}&limit=1000")).await;
        let told = list(&all);
        let transitions: Vec<(String, String)> = told
            .iter()
            .filter(|event| event["kind"] == "transition")
            .map(|event| (event["from"].as_str().unwrap().to_owned(), event["to"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(transitions.first().unwrap(), &("available".to_owned(), "deploying".to_owned()), "{told:?}");
        assert_eq!(transitions.last().unwrap().1, "active");
        assert!(transitions.windows(2).all(|two| two[0].1 == two[1].0), "each begins where the one before ended: {transitions:?}");
        assert!(told.windows(2).all(|two| two[0]["id"].as_u64() < two[1]["id"].as_u64()));
        let steps: Vec<&Value> = told.iter().filter(|event| event["kind"] == "step-finished").collect();
        let core = steps.iter().find(|event| event["step"] == "deploy.deploy").unwrap_or_else(|| panic!("{told:?}"));
        assert_eq!((&core["driver"], &core["digest"], &core["user"]), (&json!("direct"), &json!(digest), &json!("noauth")));
        assert!(core["duration_ms"].as_u64().unwrap() > 0, "{core}");
        let operations: std::collections::HashSet<&str> = told.iter().filter_map(|event| event["operation"].as_str()).collect();
        assert_eq!(operations.len(), 1, "{told:?}");
        assert!(told.iter().any(|event| event["kind"] == "power" && event["to"] == "power on"));
        let last = told.last().unwrap();
        assert!(told.iter().any(|event| event["kind"] == "finished" && event["duration_ms"].as_u64().unwrap() > 0), "{last}");

        // A kill and a start lose none of them, and numbers go on.
        world.host.kill().await;
        world.host.start_again().await;
        let uuid = told[0]["node"].as_str().unwrap();
        let path = format!("/wrought/v1/nodes/{uuid}/events?after={from}&limit=1000");
        let again = world.api().get(&path).await.ok();
        assert_eq!(list(&again)[..told.len()], *told);
        world.api().get("/wrought/v1/events?kind=colour").await.refused(400);
        world.api().get("/wrought/v1/nodes/nobody/events").await.refused(404);
        // Events outlive their node.
        world.api().call(Method::PUT, &format!("/v1/nodes/{uuid}/maintenance"), &json!({"reason": "old"})).await;
        let gone = world.api().send(Method::DELETE, &format!("/v1/nodes/{uuid}"), |request| request).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
        let kinds: Vec<String> =
            list(&world.api().get(&path).await.ok()).iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds[kinds.len() - 2..], ["maintenance", "deleted"]);
    });
}

#[test]
fn who_waits_for_an_event_is_answered_when_it_comes_and_when_the_host_stops() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let node = world.fake("fake", json!({})).await;
        let last = events(&node, "").await["last"].as_u64().unwrap();
        let began = Instant::now();
        let none = events(&node, &format!("after={last}&wait=1")).await;
        assert!(list(&none).is_empty() && began.elapsed() >= Duration::from_secs(1), "{none}");
        assert_eq!(none["last"], last, "nothing else happened");
        let path = format!("after={last}&wait=30&kind=power");
        let (told, _) = tokio::join!(events(&node, &path), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            node.patch("/extra/k", 1.into()).await;
            node.power("power on").await.ok();
        });
        assert_eq!(list(&told)[0]["to"], "power on", "{told}");

        // The command line follows, past a restart of the host.
        let (uuid, url) = (node.uuid.clone(), world.api().url().to_owned());
        let mut follow = Command::new(env!("CARGO_BIN_EXE_wrought"));
        follow.args(["node", "events", &uuid, "--follow", "--json", "--kind", "maintenance", "--url", &url]);
        let mut follow = follow.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
        let mut next = async || {
            let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.expect("an event is shown").unwrap().unwrap();
            serde_json::from_str::<Value>(&line).unwrap()
        };
        let maintenance = format!("/v1/nodes/{uuid}/maintenance");
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.api().call(Method::PUT, &maintenance, &json!({"reason": "a fan is loud"})).await;
        let seen = next().await;
        assert_eq!((&seen["on"], &seen["reason"], &seen["user"]), (&json!(true), &json!("a fan is loud"), &json!("noauth")), "{seen}");
        let began = Instant::now();
        assert!(world.host.stop().await.success());
        assert!(began.elapsed() < Duration::from_secs(4), "a request that waits does not hold up the stop: {:?}", began.elapsed());
        world.host.start_again().await;
        world.api().send(Method::DELETE, &maintenance, |request| request).await;
        assert_eq!(next().await["on"], false);
        follow.kill().await.unwrap();

        let folder = tempfile::tempdir().unwrap();
        let text = wrought(folder.path(), &url, &["node", "events", &uuid]).await.ended(0).text();
        assert!(text.contains("enroll -> verifying") && text.contains("on: a fan is loud"), "{text}");
    });
}
