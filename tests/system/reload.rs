//! Drivers are swapped under load: every operation ends on the version that it began with.
//!
//! `WROUGHT_TEST_SERVERS` sets how many servers are deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use wrought_drivers::shipped::stamp;

use crate::support::{Api, Setup, World, run};

/// Between two changes of the version in force.
const CHANGE: Duration = Duration::from_millis(50);

/// Versions that are swapped.
const VERSIONS: usize = 30;

/// Numbers by chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn servers() -> usize {
    std::env::var("WROUGHT_TEST_SERVERS").ok().and_then(|count| count.parse().ok()).unwrap_or(100)
}

/// Uploads versions of `stamp` on a base: their numbers by their digests.
async fn versions(api: &Api, base: &str, count: usize) -> BTreeMap<String, String> {
    let pushed = futures::stream::iter(0..count).map(async |number| {
        let version = format!("1.0.{number}");
        let pushed = api.push("stamp", stamp(&version, base, "good")).await.ok();
        (pushed["digest"].as_str().unwrap().to_owned(), version)
    });
    pushed.buffered(2).collect().await
}

/// Activates versions by chance, and goes back by chance, until it is told to stop; how often each.
async fn swap(api: &Api, digests: &[String], stop: &AtomicBool) -> (usize, usize) {
    let (mut dice, mut activated, mut rolled_back) = (Dice(20_260_501), 0, 0);
    let mut ticks = tokio::time::interval(CHANGE);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        if dice.below(4) == 0 {
            let answer = api.call(Method::POST, "/wrought/v1/drivers/stamp/rollback", &json!({})).await;
            assert!([200, 409].contains(&answer.status), "{}", answer.text);
            rolled_back += usize::from(answer.status == 200);
        } else {
            api.activate("stamp", &json!({ "digest": digests[dice.below(digests.len())] })).await.ok();
            activated += 1;
        }
    }
    (activated, rolled_back)
}

#[test]
fn operations_end_on_the_version_that_they_began_with_while_versions_are_swapped_every_50_ms() {
    run(async {
        let count = servers();
        let world = World::new(Setup { servers: count, ..Setup::default() }).await;
        let api = world.api();
        let versions = versions(api, "direct", VERSIONS).await;
        let digests: Vec<String> = versions.keys().cloned().collect();
        api.activate("stamp", &json!({"digest": digests[0], "grant": ["report"]})).await.ok();
        let mut nodes = Vec::new();
        for _ in 0..count {
            let node = world.enrol_with(|body| {
                body["automated_clean"] = false.into();
                body["deploy_interface"] = "stamp".into();
            });
            let node = node.await;
            node.make_available().await;
            nodes.push(node);
        }
        let stop = AtomicBool::new(false);
        let deploy = async {
            for node in &nodes {
                node.provision("active").await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for node in &nodes {
                node.reach("active").await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        let ((), (activated, rolled_back)) = tokio::join!(deploy, swap(api, &digests, &stop));

        let mut served = BTreeSet::new();
        for node in &nodes {
            let shown = node.get().await;
            let stamped = node.stamp().await;
            let journal = api.get(&format!("/wrought/v1/journal/{}?detail=true", node.uuid)).await.ok();
            let calls: Vec<&Value> = journal["calls"].as_array().unwrap().iter().filter(|call| call["driver"] == "stamp").collect();
            let ran: BTreeSet<&str> = calls.iter().map(|call| call["digest"].as_str().unwrap()).collect();
            assert_eq!(ran.len(), 1, "one version from start to end: {ran:?}");
            let digest = ran.into_iter().next().unwrap();
            assert_eq!(versions[digest], stamped, "the step's own version is the journal's");
            let state = calls.iter().find_map(|call| call.pointer("/record/outcome/state/node/version"));
            assert_eq!(state.and_then(Value::as_str), Some(&*format!("\"{stamped}\"")), "and the one in the driver's state");
            assert_eq!(shown["driver_internal_info"]["wrought_driver_digest"], digest);
            assert_eq!(node.counts().image_writes, 1);
            served.insert(digest.to_owned());
        }
        println!("{count} deployments, {activated} activations, {rolled_back} rollbacks, {} digests served", served.len());
        assert!(served.len() >= 20.min(count / 4), "{} digests served", served.len());
    });
}

/// What the host takes of memory, in MiB.
async fn rss(api: &Api) -> f64 {
    api.get("/wrought/v1/stats").await.ok()["rss_mib"].as_f64().unwrap()
}

#[test]
fn a_thousand_reloads_leave_the_hosts_memory_as_it_was() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let api = world.api();
        let versions = versions(api, "fake", 100).await;
        let digests: Vec<String> = versions.keys().cloned().collect();
        api.activate("stamp", &json!({"digest": digests[0], "grant": ["report"]})).await.ok();
        let node = world.fake("stamp", json!({})).await;
        let mut sizes = Vec::new();
        for reload in 0..=1_000 {
            api.activate("stamp", &json!({ "digest": digests[reload % digests.len()] })).await.ok();
            if reload % 20 == 0 {
                node.provision(if reload == 0 { "active" } else { "rebuild" }).await;
                node.reach("active").await;
            }
            if reload % 200 == 0 {
                sizes.push(rss(api).await);
            }
        }
        println!("RSS in MiB every 200 reloads: {sizes:?}");
        // The first round loads every version once.
        let (first, last) = (sizes[1], sizes[sizes.len() - 1]);
        assert!(last - first < 24.0, "{first} MiB after the first reloads, {last} MiB after the last");
    });
}
