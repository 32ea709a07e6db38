//! Locks that nodes share: one holder, first come first served, never lost and never kept for ever.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use wrought_drivers::shipped;

use crate::support::{HostConfig, Node, Setup, World, run, until, wrought};

async fn world(conductor: &'static str) -> World {
    let world = World::new(Setup { host: HostConfig { conductor, ..HostConfig::default() }, servers: 0, ..Setup::default() }).await;
    world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
    world
}

/// A node in a chassis whose driver takes `locks` for `hold` seconds, and ends as told.
async fn in_chassis<'a>(world: &'a World, locks: &str, hold: u32, end: &str) -> Node<'a> {
    let info = json!({ "hostile": "locks", "hostile_locks": locks, "hostile_hold": hold.to_string(), "hostile_end": end });
    let node = world.fake("hostile", info).await;
    node.patch("/properties/shared_locks", json!(["a", "b", "c", "chassis"])).await;
    node
}

/// The lock's holder and those who wait, by node.
async fn lock(world: &World, name: &str) -> (Option<String>, Vec<String>) {
    let answer = world.api().get("/wrought/v1/locks").await.ok();
    let lock = answer["locks"].as_array().unwrap().iter().find(|lock| lock["name"] == name).cloned().unwrap_or_default();
    let waiters = lock["waiters"].as_array().into_iter().flatten().map(|waiter| waiter["node"].as_str().unwrap().to_owned());
    (lock["node"].as_str().map(str::to_owned), waiters.collect())
}

/// Deploys the nodes one after the other, each when the one before holds the lock or waits for it.
async fn queue(world: &World, nodes: &[Node<'_>]) {
    for (place, node) in nodes.iter().enumerate() {
        node.provision("active").await;
        until("it holds the lock or waits", async || {
            let (holder, waiters) = lock(world, "chassis").await;
            (holder.into_iter().chain(waiters).nth(place).as_deref() == Some(&node.uuid)).then_some(())
        })
        .await;
    }
}

/// When each node became active.
async fn ended(nodes: &[Node<'_>]) -> Vec<String> {
    let ended = join_all(nodes.iter().map(|node| node.reach("active"))).await;
    ended.iter().map(|node| node["provision_updated_at"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_lock_goes_from_hand_to_hand_in_the_order_of_asking() {
    run(async {
        let world = world("").await;
        let nodes = join_all((0..4).map(|_| in_chassis(&world, "chassis", 2, "release"))).await;
        queue(&world, &nodes).await;
        let table = wrought(&std::env::temp_dir(), world.api().url(), &["lock", "list"]).await.ended(0).text();
        assert!(table.contains("chassis") && table.contains(&nodes[0].uuid) && table.contains(&nodes[3].uuid), "{table}");
        let times = ended(&nodes).await;
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(lock(&world, "chassis").await, (None, vec![]));
    });
}

#[test]
fn holder_and_order_outlive_the_host() {
    run(async {
        let mut world = world("").await;
        let uuids = {
            let nodes = join_all((0..3).map(|_| in_chassis(&world, "chassis", 3, "release"))).await;
            queue(&world, &nodes).await;
            nodes.into_iter().map(|node| node.uuid).collect::<Vec<_>>()
        };
        world.host.kill().await;
        world.host.start_again().await;
        assert_eq!(lock(&world, "chassis").await, (Some(uuids[0].clone()), uuids[1..].to_vec()));
        let nodes: Vec<Node<'_>> = uuids.into_iter().map(|uuid| Node { world: &world, uuid, server: None }).collect();
        let times = ended(&nodes).await;
        assert!(times.is_sorted(), "{times:?}");
    });
}

#[test]
fn a_broken_lock_goes_to_the_next_and_its_holder_is_told_by_name() {
    run(async {
        let world = world("").await;
        let stuck = in_chassis(&world, "chassis", 4, "release").await;
        let next = in_chassis(&world, "chassis", 1, "release").await;
        let folder = tempfile::tempdir().unwrap();
        let breaks = ["lock", "break", "chassis", "--reason", "firmware hangs"];
        assert!(wrought(folder.path(), world.api().url(), &breaks).await.ended(1).stderr.contains("Nobody holds"));
        world.api().call(Method::DELETE, "/wrought/v1/locks/chassis", &json!({ "reason": "two\nlines" })).await.refused(400);
        queue(&world, &[stuck, next]).await;
        let nodes: Vec<String> = {
            let (holder, waiters) = lock(&world, "chassis").await;
            holder.into_iter().chain(waiters).collect()
        };
        let [stuck, next] = [0, 1].map(|n| Node { world: &world, uuid: nodes[n].clone(), server: None });
        let said = wrought(folder.path(), world.api().url(), &breaks).await.ended(0).text();
        assert!(said.contains(&stuck.uuid), "{said}");
        next.reach("active").await;
        let failed = stuck.reach("deploy failed").await["last_error"].as_str().unwrap().to_owned();
        assert!(failed.contains("wrought.LockBroken") && failed.contains("chassis"), "{failed}");
        let audit = world.api().get("/wrought/v1/audit").await.ok().to_string();
        assert!(audit.contains("break-lock") && audit.contains("lock/chassis") && audit.contains("firmware hangs"), "{audit}");
        let history = world.api().get(&stuck.path("/history?detail=true")).await.ok().to_string();
        assert!(history.contains("firmware hangs") && history.contains("taken away"), "{history}");
    });
}

#[test]
fn a_lock_never_released_is_taken_away_after_its_time_and_a_failure_lets_go_of_it() {
    run(async {
        let world = world("max_lock_hold = 2").await;
        let hog = in_chassis(&world, "chassis", 3600, "release").await;
        let traps = in_chassis(&world, "chassis", 0, "trap").await;
        let keeps = in_chassis(&world, "chassis", 0, "keep").await;
        let last = in_chassis(&world, "chassis", 0, "release").await;
        let nodes = [hog, traps, keeps, last];
        for node in &nodes {
            node.provision("active").await;
        }
        nodes[1].reach("deploy failed").await;
        nodes[2].reach("active").await;
        nodes[3].reach("active").await;
        // The host's word to the one that goes on without it.
        let history = world.api().get(&nodes[0].path("/history?detail=true")).await.ok().to_string();
        assert!(history.contains("max_lock_hold, 2 s"), "{history}");
        assert_eq!(nodes[0].state().await, "wait call-back");
        assert_eq!(lock(&world, "chassis").await, (None, vec![]));
    });
}

#[test]
fn what_could_end_in_a_deadlock_is_refused() {
    run(async {
        let world = world("").await;
        for (locks, code) in [("b,a", "wrought.LockOrder"), ("a,b,c", "wrought.TooManyLocks"), ("z", "wrought.UnknownLock")] {
            let node = in_chassis(&world, locks, 0, "release").await;
            node.provision("active").await;
            let error = node.reach("deploy failed").await["last_error"].clone();
            assert!(error.as_str().unwrap().contains(code), "{locks}: {error}");
        }
        // Two locks each, from both ends: everybody comes through.
        let nodes = join_all((0..6).map(|n| in_chassis(&world, ["a,b", "b,c", "a,c"][n % 3], 0, "release"))).await;
        join_all(nodes.iter().map(|node| node.provision("active"))).await;
        ended(&nodes).await;
        assert_eq!(world.api().get("/wrought/v1/locks").await.ok()["locks"], json!([]));
    });
}

#[test]
fn the_list_of_locks_of_a_node_is_looked_at() {
    run(async {
        let world = world("").await;
        let node = world.fake("hostile", json!({})).await;
        for locks in [json!("chassis"), json!(["a b"]), json!([1]), Value::Array((0..17).map(|n| n.to_string().into()).collect())] {
            let change = json!([{ "op": "add", "path": "/properties/shared_locks", "value": locks }]);
            let reason = world.api().call(Method::PATCH, &node.path(""), &change).await.refused(400);
            assert!(reason.contains("shared_locks"), "{reason}");
        }
    });
}

#[test]
fn an_operation_has_its_node_to_itself_and_need_not_wait_for_that() {
    run(async {
        let world = world("").await;
        world.fake("hostile", json!({ "hostile": "exclusive" })).await.deploy().await;
        // Outside of an operation nothing may be locked at all.
        let node = world.fake("hostile", json!({ "hostile": "locks", "hostile_in": "validate", "hostile_locks": "a" })).await;
        node.patch("/properties/shared_locks", json!(["a"])).await;
        let reason = node.ask(json!({ "target": "active" })).await.refused(503);
        assert!(reason.contains("wrought.EffectForbidden"), "{reason}");
        assert_eq!(lock(&world, "a").await, (None, vec![]));
    });
}
