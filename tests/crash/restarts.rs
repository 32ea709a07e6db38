//! The host is killed in the middle of everything, and goes on.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use wrought_drivers::shipped;
use wrought_simulator::Faults;

use crate::support::{HostConfig, Node, Setup, World, rests, run, until};

/// Long enough for the host to be killed meanwhile, on a busy machine too.
const LONG: f64 = 2.0;

#[test]
fn a_killed_host_goes_on_where_it_was() {
    run(async {
        let mut world = World::new(Setup {
            servers: 10,
            fleet: |options| (options.boot_delay, options.write_delay, options.clean_delay) = (LONG, LONG, 0.2),
            ..Setup::default()
        })
        .await;
        world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
        let nodes = in_all_kinds_of_states(&world).await;

        world.host.kill().await;
        world.host.start_again().await;

        for (uuid, _) in &nodes {
            world.api().get(&format!("/v1/nodes/{uuid}")).await.ok();
        }
        let all = async || world.api().get("/v1/nodes/detail").await.ok()["nodes"].as_array().unwrap().clone();
        for server in 0..10 {
            world.fleet.set_faults(server, Faults::default());
        }
        let rested = until("all nodes rest", async || {
            let nodes = all().await;
            nodes.iter().all(rests).then_some(nodes)
        })
        .await;
        for (uuid, expected) in &nodes {
            let node = rested.iter().find(|node| node["uuid"] == uuid.as_str()).unwrap();
            expected.check(&world, node);
        }
    });
}

/// How a node ends.
struct Expected {
    was: &'static str,
    state: &'static str,
    power: Option<&'static str>,
    error: Option<&'static str>,
    /// Its place in the fleet, and the images that were written there.
    server: Option<(usize, u64)>,
}

impl Expected {
    fn check(&self, world: &World, node: &Value) {
        let was = self.was;
        assert_eq!(node["provision_state"], self.state, "{was}: {node}");
        if let Some(power) = self.power {
            assert_eq!(node["power_state"], power, "{was}: {node}");
        }
        match (self.error, node["last_error"].as_str()) {
            (Some(word), Some(error)) => assert!(error.contains(word), "{was}: {error}"),
            (None, None) => {}
            (_, error) => panic!("{was}: {error:?}"),
        }
        if let Some((server, writes)) = self.server {
            assert_eq!(world.fleet.counts(server).unwrap().image_writes, writes, "{was}");
        }
    }
}

/// Nodes by UUID, with what becomes of them. Returns when all are where they should be cut off.
async fn in_all_kinds_of_states(world: &World) -> Vec<(String, Expected)> {
    let mut nodes = Vec::new();
    let mut keep = |node: &Node<'_>, was, state, power, error, writes: u64| {
        let server = node.server.map(|server| (server, writes));
        nodes.push((node.uuid.clone(), Expected { was, state, power, error, server }));
    };
    let enrolled = world.enrol().await;
    keep(&enrolled, "enroll", "enroll", None, None, 0);
    let verifying = world.enrol().await;
    keep(&verifying, "verifying", "manageable", Some("power off"), None, 0);
    let (available, writing, booting, cleaning, preparing, switching, deleting, waiting, looping, failed) = tokio::join!(
        world.available(),
        world.available(),
        world.available(),
        world.available(),
        world.available(),
        world.available(),
        world.available(),
        world.fake("fake", json!({"fake_deploy_delay": 4})),
        world.fake("hostile", json!({"hostile": "loop"})),
        world.fake("hostile", json!({"hostile": "trap"})),
    );
    keep(&available, "available", "available", Some("power off"), None, 0);
    keep(&failed, "deploy failed", "deploy failed", None, Some("trapped"), 0);
    failed.provision("active").await;
    failed.reach("deploy failed").await;
    // A machine that was given to somebody: on its way back when the host is cut off.
    keep(&deleting, "deleting", "available", Some("power off"), None, 1);
    deleting.deploy().await;

    keep(&writing, "writing the image", "active", Some("power on"), None, 1);
    writing.provision("active").await;
    until("the image is being written", async || (writing.counts().image_writes == 1).then_some(())).await;

    keep(&waiting, "waiting for a time", "active", None, None, 0);
    waiting.provision("active").await;
    keep(&booting, "booting the agent", "active", Some("power on"), None, 1);
    booting.provision("active").await;
    keep(&cleaning, "booting the agent to clean", "available", Some("power off"), None, 0);
    cleaning.patch("/automated_clean", true.into()).await;
    cleaning.provision("manage").await;
    cleaning.provision("provide").await;
    // It is called again, because it had begun nothing, and breaks by itself.
    keep(&looping, "in a call", "deploy failed", None, Some("CPU time"), 0);
    looping.provision("active").await;
    tokio::join!(waiting.pass("wait call-back"), booting.pass("wait call-back"), cleaning.pass("clean wait"));
    // Past the last call before the agent is waited for: what is called when the host is cut off is another's part.
    tokio::join!(booting.left_alone(), cleaning.left_alone());
    until("the guest runs", async || (looping.get().await["deploy_step"]["step"] == "deploy").then_some(())).await;

    keep(&preparing, "preparing", "active", Some("power on"), None, 1);
    keep(&switching, "switching on", "available", Some("power on"), None, 0);
    for (node, verb) in [(&verifying, "manage"), (&preparing, "active"), (&deleting, "deleted"), (&switching, "power on")] {
        let before = node.counts().bmc_requests;
        node.set_faults(Faults { delay_s: 1.0, ..Faults::default() });
        if verb == "power on" {
            assert_eq!(node.power(verb).await.status, 202);
        } else {
            node.provision(verb).await;
        }
        until("the controller is asked", async || (node.counts().bmc_requests > before).then_some(())).await;
    }
    nodes
}

#[test]
fn a_host_that_is_killed_again_and_again_loses_no_node() {
    run(async {
        let host = HostConfig { log: "info,wrought_conductor=debug", ..HostConfig::default() };
        let mut world = World::new(Setup { host, ..Setup::default() }).await;
        let nodes: Vec<(String, Option<usize>)> =
            join_all((0..6).map(|_| world.available())).await.iter().map(|node| (node.uuid.clone(), node.server)).collect();
        let seed: u64 = std::process::id().into();
        for (turn, (uuid, server)) in nodes.iter().enumerate() {
            let node = Node { world: &world, uuid: uuid.clone(), server: *server };
            node.provision("active").await;
            if turn % 2 == 1 {
                // Anywhere in a deployment, which takes about a second.
                let pause = Duration::from_millis(seed.wrapping_mul(7919).wrapping_add(turn as u64 * 389) % 700);
                eprintln!("killed after {pause:?}");
                tokio::time::sleep(pause).await;
                world.host.kill().await;
                world.host.start_again().await;
            }
        }
        for (uuid, server) in nodes {
            let node = Node { world: &world, uuid, server };
            let rested = node.rest().await;
            assert_eq!(rested["provision_state"], "active", "{rested}");
            assert_eq!(node.counts().image_writes, 1);
        }
    });
}

#[test]
fn an_agent_that_boots_while_the_host_is_away_is_found_when_it_is_back() {
    run(async {
        let mut world = World::new(Setup { servers: 1, fleet: |options| options.boot_delay = LONG, ..Setup::default() }).await;
        let node = world.available().await;
        node.provision("active").await;
        node.pass("wait call-back").await;
        let (uuid, server) = (node.uuid.clone(), node.server);
        world.host.kill().await;
        until("the agent asks in vain", async || (world.fleet.counts(0).unwrap().lookups > 0).then_some(())).await;
        world.host.start_again().await;
        Node { world: &world, uuid, server }.reach("active").await;
    });
}

#[test]
fn a_token_that_was_lost_with_the_host_is_given_anew_and_one_that_was_shown_is_not() {
    run(async {
        let mut world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = world.available().await;
        node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        node.provision("active").await;
        node.pass("wait call-back").await;
        let (uuid, server) = (node.uuid.clone(), node.server);
        let mut tokens = Vec::new();
        for _ in 0..2 {
            tokens.push(looked_up(&world).await);
            world.host.kill().await;
            world.host.start_again().await;
        }
        tokens.push(looked_up(&world).await);
        assert!(tokens.iter().all(|token| token != "******"), "{tokens:?}");
        assert_eq!(looked_up(&world).await, "******", "this host has given one already");

        let beat = |token: &str| json!({"callback_url": "https://127.0.0.1:9", "agent_version": "13.0.0", "agent_token": token});
        let heartbeat = async |token: &str| world.api().call(Method::POST, &format!("/v1/heartbeat/{uuid}"), &beat(token)).await.status;
        assert_eq!((heartbeat(&tokens[0]).await, heartbeat(&tokens[1]).await, heartbeat(&tokens[2]).await), (400, 400, 202));
        world.host.kill().await;
        world.host.start_again().await;
        let node = Node { world: &world, uuid, server };
        if node.state().await == "wait call-back" {
            assert_eq!(looked_up(&world).await, "******", "the agent has it");
        }
    });
}

/// The token that the server's agent would be given.
async fn looked_up(world: &World) -> String {
    let answer = world.api().get(&format!("/v1/lookup?addresses={}", world.fleet.nodes()[0].mac)).await.ok();
    answer["config"]["agent_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_second_host_on_the_same_data_refuses_to_start() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let (status, text) = world.host.second().await;
        assert_eq!(status.code(), Some(1), "{text}");
        assert!(text.contains("data") && text.contains("another process"), "{text}");
        assert!(world.host.is_running());
        world.api().get("/v1/nodes").await.ok();
        // The lock goes with the process, however that ends.
        world.host.kill().await;
        world.host.start_again().await;
        assert!(world.host.stop().await.success());
    });
}

#[test]
fn a_host_that_is_asked_to_end_leaves_what_waits_for_the_next_start() {
    run(async {
        let host = HostConfig { conductor: "graceful_shutdown_timeout = 5\n", ..HostConfig::default() };
        let mut world = World::new(Setup { host, servers: 1, fleet: |options| options.boot_delay = LONG }).await;
        let node = world.available().await;
        node.provision("active").await;
        node.pass("wait call-back").await;
        let (uuid, server) = (node.uuid.clone(), node.server);
        assert!(world.host.stop().await.success());
        world.host.start_again().await;
        let node = Node { world: &world, uuid, server };
        node.reach("active").await;
        assert_eq!(node.counts().image_writes, 1);
        assert!(!world.host.log().contains("ERROR"), "{}", world.host.log());
    });
}
