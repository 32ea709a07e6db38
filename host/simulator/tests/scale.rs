//! What a large fleet costs; run by hand: `cargo test -p wrought-simulator --test scale -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use std::time::Instant;

use common::{Bmc, FakeIronic, eventually, fast, fleet};
use futures::{StreamExt, stream};
use wrought_simulator::Options;

const NODES: usize = 1000;

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn a_thousand_nodes_start_and_boot() {
    let ironic = FakeIronic::start().await;
    let (before, began) = (resident(), Instant::now());
    let fleet = fleet(&ironic, Options { nodes: NODES, ..fast() }).await;
    let first = Bmc::of(&fleet, 0);
    println!("{NODES} nodes off: {:.1} ms, {before:.1} -> {:.1} MiB", began.elapsed().as_secs_f64() * 1e3, resident());

    let began = Instant::now();
    stream::iter(fleet.nodes())
        .for_each_concurrent(16, |node| {
            let bmc = Bmc { client: first.client.clone(), url: first.url.clone(), node };
            async move { bmc.boot_from_cd("http://127.0.0.1:9/x.iso").await }
        })
        .await;
    eventually("all heartbeats", || (ironic.heartbeats() >= NODES).then_some(())).await;
    println!("{NODES} agents alive: {:.1} s, {:.1} MiB", began.elapsed().as_secs_f64(), resident());
    assert!((0..NODES).all(|index| fleet.node(index).unwrap().agent_alive));
    fleet.stop().await;
}
