//! The operator's limits on concurrent operations are a queue: nobody is refused, and everybody has his turn.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{HostConfig, Node, Setup, World, run, until, wrought};

/// Nodes that are asked to deploy at once; the limit is a quarter of them.
fn many() -> usize {
    std::env::var("WROUGHT_TEST_SERVERS").ok().and_then(|count| count.parse().ok()).unwrap_or(100)
}

async fn with(conductor: &'static str) -> World {
    World::new(Setup { host: HostConfig { conductor, ..HostConfig::default() }, servers: 2, ..Setup::default() }).await
}

/// Fake nodes whose deployment takes some seconds.
async fn fakes(world: &World, count: usize, seconds: u32) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(world.fake("fake", json!({"fake_deploy_delay": seconds, "fake_clean_delay": seconds})).await);
    }
    nodes
}

async fn why(world: &World, node: &Node<'_>) -> Value {
    world.api().get(&format!("/wrought/v1/nodes/{}/why", node.uuid)).await.ok()
}

/// How many of these wait for their turn.
async fn queued(world: &World, nodes: &[Node<'_>]) -> usize {
    let told = join_all(nodes.iter().map(|node| why(world, node))).await;
    told.iter().filter(|why| !why["queue"].is_null()).count()
}

#[test]
fn all_of_many_are_deployed_under_the_limit_and_none_is_refused() {
    run(async {
        let count = many();
        let limit = (count / 4).max(1);
        let conductor: &'static str = Box::leak(format!("max_concurrent_deploy = {limit}").into_boxed_str());
        let world = with(conductor).await;
        let nodes = fakes(&world, count, 2).await;
        let began = Instant::now();
        for some in nodes.chunks(50) {
            for answer in join_all(some.iter().map(|node| node.ask(json!({"target": "active"})))).await {
                assert_eq!(answer.status, 202, "{}", answer.text);
            }
        }
        let asked = began.elapsed();
        // Whoever waits has state, target and reservation, and nothing has been done for him.
        let last = nodes.last().unwrap();
        let shown = last.get().await;
        assert_eq!((&shown["provision_state"], &shown["target_provision_state"]), (&json!("deploying"), &json!("active")));
        assert!(!shown["reservation"].is_null());
        let mut most = 0;
        loop {
            let list = world.api().get("/v1/nodes?fields=provision_state,deploy_step&limit=1000").await.ok();
            let states: Vec<&Value> = list["nodes"].as_array().unwrap().iter().collect();
            let at_work = states.iter().filter(|node| node["deploy_step"].as_object().is_some_and(|step| !step.is_empty())).count();
            most = most.max(at_work);
            assert!(at_work <= limit, "{at_work} at work at once, and {limit} are allowed");
            if states.iter().all(|node| node["provision_state"] == "active") {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(300), "{states:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let rss = world.api().get("/wrought/v1/stats").await.ok()["rss_mib"].clone();
        println!(
            "{count} nodes, {limit} at once (seen: {most}): asked in {asked:.1?}, all active after {:.1?}, RSS {rss} MiB",
            began.elapsed()
        );
        assert!(most > limit / 2, "the limit is made use of: {most} of {limit}");
    });
}

#[test]
fn who_waits_knows_where_he_stands_and_the_queue_survives_a_restart() {
    run(async {
        let mut world = with("max_concurrent_deploy = 1").await;
        let uuids: Vec<String> = {
            let nodes = fakes(&world, 4, 3).await;
            for node in &nodes {
                node.provision("active").await;
            }
            until("three wait", async || (queued(&world, &nodes).await == 3).then_some(())).await;
            for (place, node) in nodes[1..].iter().enumerate() {
                let told = why(&world, node).await;
                assert_eq!((&told["queue"]["place"], &told["queue"]["of"]), (&json!(place + 1), &json!(3)), "{told}");
            }
            nodes.iter().map(|node| node.uuid.clone()).collect()
        };
        world.host.kill().await;
        world.host.start_again().await;
        let nodes: Vec<Node<'_>> = uuids.iter().map(|uuid| Node { world: &world, uuid: uuid.clone(), server: None }).collect();
        // In the order in which they came: nobody is active before who stood before him.
        for node in &nodes {
            let active = node.reach("active").await;
            let began = &active["provision_updated_at"];
            assert!(!began.is_null());
        }
        let mut ended: Vec<(String, usize)> = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            ended.push((node.get().await["provision_updated_at"].as_str().unwrap().to_owned(), place));
        }
        assert!(ended.is_sorted(), "{ended:?}");
    });
}

#[test]
fn a_queued_deployment_is_cancelled_from_the_command_line() {
    run(async {
        let world = with("max_concurrent_deploy = 1").await;
        let nodes = fakes(&world, 3, 3).await;
        for node in &nodes {
            node.provision("active").await;
        }
        until("two wait", async || (queued(&world, &nodes).await == 2).then_some(())).await;
        let folder = tempfile::tempdir().unwrap();
        let ran = wrought(folder.path(), world.api().url(), &["node", "cancel", "--json", &nodes[1].uuid]).await.ended(0);
        assert_eq!(ran.json()["provision_state"], "deploy failed");
        let failed = nodes[1].get().await;
        assert_eq!((&failed["provision_state"], &failed["reservation"]), (&json!("deploy failed"), &Value::Null));
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("cancelled the deploy operation before its turn") && error.contains("`active`"), "{error}");
        // The others are not disturbed, and who was cancelled may ask again.
        nodes[2].reach("active").await;
        nodes[1].provision("active").await;
        nodes[1].reach("active").await;
        let ran = wrought(folder.path(), world.api().url(), &["node", "cancel", &nodes[0].uuid]).await;
        assert!(ran.code == 1 && ran.stderr.contains("nothing to cancel"), "{ran:?}");
    });
}

#[test]
fn cleanings_have_a_limit_of_their_own_behind_provide_and_behind_deleted() {
    run(async {
        let world = with("max_concurrent_clean = 1").await;
        let nodes = fakes(&world, 3, 1).await;
        for node in &nodes {
            node.patch("/automated_clean", true.into()).await;
            node.provision("manage").await;
            node.reach("manageable").await;
        }
        let deployed = &fakes(&world, 1, 0).await[0];
        deployed.deploy().await;
        for node in &nodes {
            node.provision("provide").await;
        }
        deployed.provision("deleted").await;
        until("three wait", async || (queued(&world, &nodes).await >= 1).then_some(())).await;
        assert!(!why(&world, deployed).await["queue"].is_null(), "a tear down waits, too");
        assert_eq!(deployed.state().await, "deleting");
        for node in nodes.iter().chain([deployed]) {
            node.reach("available").await;
        }
    });
}

#[test]
fn nothing_new_is_started_on_a_driver_that_keeps_breaking_until_one_shows_that_it_works_again() {
    run(async {
        let world = with("breaker_failures = 3\nbreaker_pause = 3").await;
        world.api().install("hostile", wrought_drivers::shipped::hostile("honest", "1.0.0", "")).await;
        let mut broken = Vec::new();
        for _ in 0..3 {
            let node = world.fake("hostile", json!({"hostile": "trap"})).await;
            node.provision("active").await;
            node.reach("deploy failed").await;
            broken.push(node);
        }
        let (held, other) = (world.fake("hostile", json!({})).await, world.fake("fake", json!({})).await);
        held.provision("active").await;
        let told = why(&world, &held).await;
        assert!(told.to_string().contains("driver hostile: 3 nodes in a row failed because of it"), "{told}");
        other.deploy().await;
        assert_eq!(held.state().await, "deploying", "what does not depend on it goes on, and this one waits");
        // After the pause it is let through, and shows that the driver works.
        held.reach("active").await;
        let next = world.fake("hostile", json!({})).await;
        next.provision("active").await;
        next.reach("active").await;
    });
}

#[test]
fn nothing_new_is_started_in_a_network_whose_controllers_fail() {
    run(async {
        let conductor = "breaker_failures = 2\nbreaker_pause = 600";
        let world = World::new(Setup { host: HostConfig { conductor, ..HostConfig::default() }, servers: 3, ..Setup::default() }).await;
        let (first, second, third) = (world.available().await, world.available().await, world.available().await);
        let faults = || wrought_simulator::Faults { bmc_status: Some(503), ..wrought_simulator::Faults::default() };
        // One machine that fails over and over is nobody else's trouble.
        for node in [&first, &first, &first] {
            node.set_faults(faults());
            node.provision("active").await;
            node.reach("deploy failed").await;
        }
        third.deploy().await;
        third.provision("deleted").await;
        third.reach("available").await;

        for node in [&first, &second] {
            node.set_faults(faults());
            node.provision("active").await;
            node.reach("deploy failed").await;
        }
        let resets = third.counts().resets;
        third.patch("/instance_info", world.body(2)["instance_info"].clone()).await;
        third.provision("active").await;
        let told = why(&world, &third).await;
        assert!(told.to_string().contains("controllers in 127.0.0.0/24: 2 nodes in a row"), "{told}");
        let folder = tempfile::tempdir().unwrap();
        wrought(folder.path(), world.api().url(), &["node", "cancel", &third.uuid]).await.ended(0);
        assert_eq!((third.state().await.as_str(), third.counts().resets), ("deploy failed", resets));
    });
}

#[test]
fn a_queued_node_in_maintenance_keeps_its_place_and_stops_nobody() {
    run(async {
        let world = with("max_concurrent_deploy = 1").await;
        let nodes = fakes(&world, 3, 1).await;
        for node in &nodes {
            node.provision("active").await;
        }
        let maintenance = nodes[1].path("/maintenance");
        world.api().call(reqwest::Method::PUT, &maintenance, &json!({"reason": "a look"})).await;
        nodes[2].reach("active").await;
        assert_eq!(nodes[1].state().await, "deploying");
        world.api().send(reqwest::Method::DELETE, &maintenance, |request| request).await;
        nodes[1].reach("active").await;
    });
}

#[test]
fn a_node_that_was_in_maintenance_before_the_host_started_stops_nobody_either() {
    run(async {
        let mut world = with("max_concurrent_clean = 1").await;
        let uuids: Vec<String> = {
            let nodes = fakes(&world, 3, 2).await;
            for node in &nodes {
                node.patch("/automated_clean", true.into()).await;
                node.provision("manage").await;
                node.reach("manageable").await;
            }
            world.api().call(reqwest::Method::PUT, &nodes[1].path("/maintenance"), &json!({"reason": "a look"})).await;
            nodes.iter().map(|node| node.uuid.clone()).collect()
        };
        world.host.kill().await;
        world.host.start_again().await;
        let nodes: Vec<Node<'_>> = uuids.into_iter().map(|uuid| Node { world: &world, uuid, server: None }).collect();
        for node in &nodes {
            node.provision("provide").await;
        }
        nodes[2].reach("available").await;
        assert_eq!(nodes[1].state().await, "cleaning");
        world.api().send(reqwest::Method::DELETE, &nodes[1].path("/maintenance"), |request| request).await;
        nodes[1].reach("available").await;
    });
}
