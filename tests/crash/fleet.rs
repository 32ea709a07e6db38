//! kill -9 of the real process with a whole fleet in flight, in each phase, and ten times in a row.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::Value;
use wrought_simulator::Counts;

use crate::run_alone;
use crate::support::{HostConfig, Node, Setup, World, rests, until};

/// Servers of the fleet, unless `WROUGHT_TEST_SERVERS` says otherwise.
const SERVERS: usize = 100;

fn servers() -> usize {
    std::env::var("WROUGHT_TEST_SERVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(SERVERS)
}

/// Long enough for the whole fleet to be in flight at once.
async fn world(servers: usize) -> World {
    let host = HostConfig { sections: "[database]\ndurability = \"normal\"\n", ..HostConfig::default() };
    World::new(Setup {
        host,
        servers,
        fleet: |options| (options.write_delay, options.clean_delay, options.image_size) = (1.0, 0.5, 1 << 16),
    })
    .await
}

type Name = (String, Option<usize>);

fn of<'a>(world: &'a World, (uuid, server): &Name) -> Node<'a> {
    Node { world, uuid: uuid.clone(), server: *server }
}

async fn states(world: &World) -> Vec<Value> {
    let page = "/v1/nodes?fields=uuid,provision_state,reservation,last_error&limit=1000";
    world.api().get(page).await.ok()["nodes"].as_array().unwrap().clone()
}

/// Asks all nodes for a verb, kills the host when `cut` of them have got as far as `reached`, starts it again, and waits
/// until all are where they should be. How long it took until all were being worked on again.
async fn cut_off(world: &mut World, nodes: &[Name], verb: &str, reached: impl Fn(&Counts) -> bool, end: &str) -> String {
    join_all(nodes.iter().map(|name| async { of(world, name).provision(verb).await })).await;
    until("a part of the fleet is half way", async || {
        let there = nodes.iter().filter(|(_, server)| reached(&world.fleet.counts(server.unwrap()).unwrap())).count();
        (there * 3 > nodes.len()).then_some(())
    })
    .await;
    world.host.kill().await;
    let began = Instant::now();
    world.host.start_again().await;
    let ready = began.elapsed();
    let log = world.host.log();
    let again = log.lines().rfind(|line| line.contains("being worked on again")).map(str::to_owned).unwrap_or_default();
    let began = Instant::now();
    loop {
        let all = states(world).await;
        if all.iter().all(rests) {
            let elsewhere: Vec<&Value> = all.iter().filter(|node| node["provision_state"] != end).collect();
            assert!(elsewhere.is_empty(), "{verb}: {} of {} are not {end}: {:?}", elsewhere.len(), all.len(), elsewhere.first());
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "some nodes are stuck");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    format!("{verb}: ready after {ready:.1?}; {}", again.split(" INFO ").last().unwrap_or_default())
}

#[test]
fn a_fleet_goes_on_after_kill_9_in_every_phase_and_repeats_nothing() {
    run_alone(async {
        let servers = servers();
        let mut world = world(servers).await;
        let enrolled = join_all((0..servers).map(|_| world.enrol())).await;
        let nodes: Vec<Name> = enrolled.iter().map(|node| (node.uuid.clone(), node.server)).collect();
        drop(enrolled);
        join_all(nodes.iter().map(|name| async {
            let node = of(&world, name);
            node.provision("manage").await;
            node.reach("manageable").await;
        }))
        .await;
        world.fleet.reset_counts();
        println!("{}", cut_off(&mut world, &nodes, "provide", |counts| counts.agent_boots > 0, "available").await);
        let cleaned = all_counts(&world, servers);
        world.fleet.reset_counts();
        println!("{}", cut_off(&mut world, &nodes, "active", |counts| counts.image_writes > 0, "active").await);
        let deployed = all_counts(&world, servers);
        world.fleet.reset_counts();
        println!("{}", cut_off(&mut world, &nodes, "deleted", |counts| counts.agent_boots > 0, "available").await);
        let deleted = all_counts(&world, servers);
        for index in 0..servers {
            let (cleaned, deployed, deleted) = (&cleaned[index], &deployed[index], &deleted[index]);
            assert_eq!((deployed.image_writes, cleaned.image_writes, deleted.image_writes), (1, 0, 0), "server {index}");
            // Off is asked of the agent at the end of a deployment; every other change is one request.
            for (what, counts, resets) in [("cleaning", cleaned, 2), ("deployment", deployed, 2), ("tear down", deleted, 3)] {
                assert!(counts.resets <= resets, "server {index}: {what}: {} resets", counts.resets);
                assert!(counts.media_inserts <= 1, "server {index}: {what}: {} media", counts.media_inserts);
                assert!(counts.agent_boots <= 1, "server {index}: {what}: {} boots", counts.agent_boots);
            }
            assert_eq!(cleaned.clean_steps, deleted.clean_steps, "server {index}");
        }
    });
}

fn all_counts(world: &World, servers: usize) -> Vec<Counts> {
    (0..servers).map(|index| world.fleet.counts(index).unwrap()).collect()
}

#[test]
fn a_deployment_survives_ten_kills_in_a_row() {
    run_alone(async {
        let mut world = World::new(Setup {
            servers: 1,
            fleet: |options| (options.power_delay, options.boot_delay, options.write_delay) = (1.0, 4.0, 16.0),
            ..Setup::default()
        })
        .await;
        let node = world.available().await;
        let name: Name = (node.uuid.clone(), node.server);
        world.fleet.reset_counts();
        of(&world, &name).provision("active").await;
        let mut last = String::new();
        for kill in 0..10_u64 {
            // At another moment each time.
            tokio::time::sleep(Duration::from_millis(37 + kill * 61)).await;
            last = of(&world, &name).get().await["provision_state"].as_str().unwrap().to_owned();
            world.host.kill().await;
            world.host.start_again().await;
        }
        println!("at the last kill it was {last}");
        let node = of(&world, &name);
        node.reach("active").await;
        let counts = world.fleet.counts(0).unwrap();
        assert_eq!((counts.image_writes, counts.media_inserts, counts.agent_boots), (1, 1, 1), "{counts:?}");
        assert!(counts.resets <= 2, "{counts:?}");
    });
}
