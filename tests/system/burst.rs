//! No burst of requests wedges the host: each is answered, and afterwards all is as before.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, HostConfig, Node, Setup, World, run, until};

/// Nodes that wait in a cleaning, with an agent that this test plays.
const AGENTS: usize = 16;
/// What a host may take of memory for a burst, MiB.
const GROWTH: u64 = 150;

struct Agent {
    node: String,
    mac: String,
    token: String,
}

impl Agent {
    async fn beat(&self, world: &World) -> Answer {
        let beat = json!({"callback_url": "https://127.0.0.1:9", "agent_version": "11.2.0", "agent_token": self.token});
        world.api().call(Method::POST, &format!("/v1/heartbeat/{}", self.node), &beat).await
    }
}

/// A node that waits for an hour, and its agent.
async fn agent(world: &World, number: usize) -> Agent {
    let node = world.fake("fake", json!({})).await;
    let mac = format!("52:54:00:aa:00:{number:02x}");
    world.api().call(Method::POST, "/v1/ports", &json!({"node_uuid": node.uuid, "address": mac})).await.ok();
    node.provision("manage").await;
    node.reach("manageable").await;
    let wait = json!({"interface": "deploy", "step": "wait", "args": {"seconds": 3600}});
    assert_eq!(node.ask(json!({"target": "clean", "clean_steps": [wait]})).await.status, 202);
    node.pass("clean wait").await;
    let found = world.api().get(&format!("/v1/lookup?addresses={mac}")).await.ok();
    let token = found["config"]["agent_token"].as_str().unwrap().to_owned();
    let agent = Agent { node: node.uuid, mac, token };
    assert_eq!(agent.beat(world).await.status, 202, "the first heartbeat begins the session");
    agent
}

async fn agents(world: &World) -> Vec<Agent> {
    stream::iter(0..AGENTS).map(|number| agent(world, number)).buffered(4).collect().await
}

async fn stats(world: &World) -> (u64, u64) {
    let stats = world.api().get("/wrought/v1/stats").await.ok();
    (stats["commits"].as_u64().unwrap(), stats["rss_mib"].as_u64().unwrap())
}

/// Waits until nothing is committed any more, and tells how much was.
async fn settled(world: &World) -> u64 {
    let mut before = (Instant::now(), stats(world).await.0);
    until("nothing is written", async || {
        let now = stats(world).await.0;
        if now != before.1 {
            before = (Instant::now(), now);
        }
        (before.0.elapsed() > Duration::from_millis(300)).then_some(now)
    })
    .await
}

#[test]
fn lookups_and_heartbeats_that_tell_nothing_new_write_nothing() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let agents = agents(&world).await;
        let before = settled(&world).await;
        let rounds = stream::iter((0..30).flat_map(|_| &agents));
        let ask = async |agent: &Agent| {
            assert_eq!(agent.beat(&world).await.status, 202);
            let found = world.api().get(&format!("/v1/lookup?addresses={}", agent.mac)).await.ok();
            assert_eq!(found["config"]["agent_token"], "******");
        };
        rounds.map(ask).buffer_unordered(16).collect::<Vec<()>>().await;
        assert_eq!(settled(&world).await, before, "{} heartbeats and as many lookups", 30 * AGENTS);
        assert_eq!(world.api().get(&format!("/v1/nodes/{}", agents[0].node)).await.ok()["provision_state"], "clean wait");
    });
}

#[test]
fn a_burst_is_answered_and_afterwards_the_host_works_as_before() {
    run(async {
        let world = World::new(Setup { servers: 2, host: HostConfig { log: "warn", ..HostConfig::default() }, ..Setup::default() }).await;
        let agents = agents(&world).await;
        let (_, memory) = stats(&world).await;

        // As many at once wedge Ironic for good.
        let beats = stream::iter((0..400).map(|number| &agents[number % AGENTS]));
        let answers: Vec<u16> = beats.map(async |agent| agent.beat(&world).await.status).buffer_unordered(16).collect().await;
        assert_eq!(answers, vec![202; 400]);

        let mixed = async |number: usize| {
            let agent = &agents[number % AGENTS];
            let began = Instant::now();
            let answer = match number / AGENTS % 5 {
                0 | 1 => agent.beat(&world).await,
                2 => world.api().get(&format!("/v1/lookup?addresses={}", agent.mac)).await,
                3 => world.api().get(&format!("/v1/nodes/{}", agent.node)).await,
                _ => world.api().get("/v1/nodes/detail").await,
            };
            (answer.status, began.elapsed())
        };
        let answers: Vec<(u16, Duration)> = stream::iter(0..2000).map(mixed).buffer_unordered(200).collect().await;
        assert_eq!(answers.len(), 2000);
        for (status, took) in &answers {
            assert!(matches!(status, 200 | 202 | 429 | 503), "{status}");
            assert!(*took < Duration::from_secs(20), "an answer took {took:?}");
        }
        assert!(answers.iter().filter(|(status, _)| *status < 300).count() > 800, "most are served");

        // All for one node whose operation waits, so that all lead to the same.
        let storm = stream::iter(0..1000).map(async |_| agents[0].beat(&world).await.status).buffer_unordered(200);
        let storm: Vec<u16> = storm.collect().await;
        assert!(storm.iter().all(|status| matches!(status, 202 | 429 | 503)), "{storm:?}");

        let began = Instant::now();
        assert_eq!(world.api().get(&format!("/v1/nodes/{}", agents[0].node)).await.ok()["provision_state"], "clean wait");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let (_, now) = stats(&world).await;
        assert!(now < memory + GROWTH, "{memory} MiB before, {now} MiB after");

        // Its agent shares an address with the storm: it comes through when there is room again.
        world.available().await.deploy().await;
        abort(&world, &agents).await;
    });
}

async fn abort(world: &World, agents: &[Agent]) {
    for agent in agents {
        let node = Node { world, uuid: agent.node.clone(), server: None };
        node.provision("abort").await;
        node.rest().await;
    }
}
