//! Every way to misbehave at once, beside 50 good deployments of which none is affected.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wrought_drivers::shipped;

use crate::support::{Api, BMC_PASSWORD, DRIVE_TEXT, HostConfig, Node, Setup, World, garbles, grows_a_table, run};

const GOOD: usize = 50;

const HOST: HostConfig = HostConfig {
    conductor: "max_step_wait = 15\nmax_lock_hold = 5",
    sections: "[drivers]\ncpu_ms = 400\nmemory_mib = 64\ntable_elements = 5000\n[drivers.compile]\ncpu_s = 3\n",
    log: "info",
};

/// What is done wrong in the core step, and a word of the failure that names it.
const IN_STEP: [(&str, &str); 12] = [
    ("loop", "CPU"),
    ("calls", "host functions"),
    ("memory", "memory"),
    ("recursion", "stack"),
    ("huge-answer", "4096 KiB"),
    ("giant-log", "4096 KiB"),
    ("trap", "trapped"),
    ("bad-token", "token"),
    ("state-flood", "64 KiB"),
    ("token-flood", "any-of joins"),
    ("wait-never", "hostile.NobodyCame"),
    ("sleep-for-ever", "hostile.WokenUp"),
];

/// Lies about the steps.
const IN_LIST: [(&str, &str); 5] = [
    ("odd-step", "unknown interface"),
    ("odd-name", "two words"),
    ("double-step", "twice"),
    ("many-steps", "1000 steps"),
    ("huge-step", "step"),
];

/// How long the host takes to answer, until it is told to stop: the 99th percentile.
async fn watch(api: Api, path: String, stop: CancellationToken) -> Duration {
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        api.get(&path).await.ok();
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    took.sort_unstable();
    took[(took.len() * 99 / 100).min(took.len() - 1)]
}

/// Deploys good nodes while `beside` goes on; the 99th percentile of the API meanwhile.
async fn deploy_good(world: &World, nodes: &[Node<'_>], beside: impl Future<Output = ()>) -> Duration {
    let stop = CancellationToken::new();
    let watched = tokio::spawn(watch(world.api().clone(), nodes[0].path(""), stop.clone()));
    let good = async {
        join_all(nodes.iter().map(|node| node.provision("active"))).await;
        for node in nodes {
            let active = node.reach("active").await;
            assert_eq!(active["last_error"], Value::Null);
            assert_eq!(node.counts().image_writes, 1);
        }
    };
    tokio::join!(good, beside);
    stop.cancel();
    watched.await.unwrap()
}

async fn rss(world: &World) -> u64 {
    world.api().get("/wrought/v1/stats").await.ok()["rss_mib"].as_u64().unwrap()
}

async fn fails(node: &Node<'_>, words: &[&str]) {
    let error = node.reach("deploy failed").await["last_error"].as_str().unwrap().to_owned();
    for word in words {
        assert!(error.contains(word), "no {word} in {error:?}");
    }
}

#[test]
fn fifty_good_deployments_beside_every_hostile_guest_are_not_affected() {
    run(async {
        let mut world = World::new(Setup { host: HOST, servers: 2 * GOOD, ..Setup::default() }).await;
        world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
        world.api().install("grows", grows_a_table()).await;
        world.api().install("garbles", garbles()).await;
        let mut good = Vec::new();
        for _ in 0..10 {
            good.extend(join_all((0..GOOD / 5).map(|_| world.available())).await);
        }
        let (first, second) = good.split_at(GOOD);

        let alone = deploy_good(&world, first, async {}).await;
        let rss_alone = rss(&world).await;

        let in_step = join_all(IN_STEP.map(|(how, _)| world.fake("hostile", json!({ "hostile": how })))).await;
        let info = |how: &str| json!({ "hostile": how, "hostile_in": "get-deploy-steps" });
        let in_list = join_all(IN_LIST.map(|(how, _)| world.fake("hostile", info(how)))).await;
        let [grows, garbled, storm, undeclared] = [
            world.fake("grows", json!({})).await,
            world.fake("garbles", json!({})).await,
            world.fake("hostile", json!({ "hostile": "log-storm" })).await,
            world.fake("hostile", json!({})).await,
        ];
        let hold = json!({ "hostile": "locks", "hostile_locks": "chassis", "hostile_hold": "3600" });
        let hog = world.fake("hostile", hold.clone()).await;
        let mut patient = hold;
        patient["hostile_hold"] = "0".into();
        let patient = world.fake("hostile", patient).await;
        for node in [&hog, &patient] {
            node.patch("/properties/shared_locks", json!(["chassis"])).await;
        }
        let bomb = super::admission::takes_time_to_compile();

        let hostile = async {
            join_all(in_step.iter().chain(&in_list).chain([&grows, &garbled, &storm, &hog]).map(|node| node.provision("active"))).await;
            let refused = async { world.api().push("bomb", bomb).await.refused(400) };
            let unlisted = json!({ "interface": "deploy", "step": "unlisted", "args": {}, "priority": 10 });
            let asked = undeclared.ask(json!({ "target": "active", "deploy_steps": [unlisted] })).await;
            assert_eq!(asked.status, 202, "{}", asked.text);
            let names = ["hostile 6.6.6", "deploy-steps.execute-deploy-step"];
            for (node, (how, word)) in in_step.iter().zip(IN_STEP) {
                // What the guest says itself is its own error, without the host's words about it.
                let own = ["state-flood", "token-flood", "wait-never", "sleep-for-ever"].contains(&how);
                fails(node, &[word, if own { "" } else { names[0] }, if own { "" } else { names[1] }]).await;
            }
            for (node, (_, word)) in in_list.iter().zip(IN_LIST) {
                fails(node, &["hostile 6.6.6", "get-deploy-steps", word]).await;
            }
            fails(&grows, &["grows", "deploy.prepare", "a table of more than 5000 elements"]).await;
            fails(&garbled, &["garbles", "deploy.prepare", "cannot be taken"]).await;
            fails(&undeclared, &["unlisted"]).await;
            storm.reach("active").await;
            assert!(refused.await.contains("drivers.compile.cpu_s"));
            // The lock that is never released goes to the next, while its former holder sleeps on.
            patient.deploy().await;
        };
        let beside = deploy_good(&world, second, hostile).await;
        let rss_beside = rss(&world).await;
        eprintln!(
            "p99 of GET beside {GOOD} deployments: {alone:?}; beside hostile guests as well: {beside:?}, {:.1} times; RSS {rss_alone} MiB, then {rss_beside} MiB",
            beside.as_secs_f64() / alone.as_secs_f64()
        );
        assert!(beside < Duration::from_secs(3), "{beside:?}");

        assert!(world.host.is_running());
        let log = world.host.log();
        assert!(!log.contains("panicked"), "the host's own code must not panic");
        assert!(!log.contains('\u{1b}') && !log.contains('\u{202e}'), "control characters reach the log");
        let lines = log.lines().filter(|line| line.contains("storm")).count();
        // Of 18,600: what may come at once, and some for each second.
        assert!((200..2_000).contains(&lines), "{lines} lines of a storm");
        assert!(log.contains("the driver wrote too many log lines"));
    });
}

#[test]
fn a_driver_that_tells_all_that_it_is_shown_tells_no_secret() {
    const AUTHORIZATION: &str = "Bearer image-secret-5d90e1";
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
        let node = world
            .enrol_with(|body| {
                body["automated_clean"] = false.into();
                body["deploy_interface"] = "hostile".into();
                body["driver_info"]["hostile"] = "tell".into();
                body["instance_info"]["image_request_authorization_secret"] = AUTHORIZATION.into();
            })
            .await;
        node.make_available().await;
        let drive = json!({ "meta_data": {}, "user_data": DRIVE_TEXT });
        assert_eq!(node.ask(json!({ "target": "active", "configdrive": drive })).await.status, 202);
        node.reach("active").await;
        let log = world.host.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("told ")).collect();
        assert!(told.len() >= 15, "{told:?}");
        for shown in [&node.uuid, "redfish_address", "image_source", "secret-ref:", "power: Ok"] {
            assert!(told.iter().any(|line| line.contains(shown)), "{shown} is not told: {told:#?}");
        }
        for secret in [BMC_PASSWORD, AUTHORIZATION, "image-secret-5d90e1", DRIVE_TEXT] {
            assert!(!told.iter().any(|line| line.contains(secret)), "{secret} is told");
        }
    });
}
