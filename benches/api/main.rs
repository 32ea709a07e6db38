//! How fast the API is: the requests that clients and agents send most, over HTTP with connections that are kept, to the real binary in a
//! process of its own, next to what Ironic needs for the same.
//!
//! `cargo bench --bench api -- --nodes 10000 --concurrency 16 --seconds 10`
#![allow(missing_docs, clippy::indexing_slicing)]

mod host;
mod load;
mod report;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use host::Host;
use load::{Journey, get, round};
use report::{Ironic, Line};

/// Measures requests to the API.
#[derive(Parser)]
struct Options {
    /// Nodes of the host, each with a port.
    #[arg(long, default_value_t = 10_000)]
    nodes: usize,
    /// Requests at once, where one client alone is not what is measured.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Seconds for each kind of request, all rounds together.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rounds, which all kinds of requests take in turns; the median of them is shown.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Only the kinds of requests whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// Tell the process of the host once it is filled, for a profiler.
    #[arg(long, hide = true)]
    tell_pid: bool,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
    /// Cargo gives it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A kind of request.
struct Kind {
    name: &'static str,
    concurrency: usize,
    /// What is asked, one of them at random; the requests of a journey one after the other.
    journeys: Vec<Journey>,
    ironic: Ironic,
}

/// Nodes of a host that agents run on.
fn waiting(nodes: usize) -> usize {
    (nodes / 10).clamp(1, 1000)
}

// The load is one thread's: the rest of the machine is the host's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let host = Host::start(options.nodes, waiting(options.nodes)).await?;
    if options.tell_pid {
        eprintln!("the host is process {}", host.pid());
    }
    let kinds = kinds(&host, options.concurrency).await?;
    let mut lines: Vec<Line> = Vec::new();
    let only = options.only.as_deref().unwrap_or_default();
    let kinds: Vec<Kind> = kinds.into_iter().filter(|kind| kind.name.contains(only)).collect();
    for kind in &kinds {
        // Unmeasured: whatever is done once is done now.
        round(&host, &kind.journeys, kind.concurrency, Duration::from_millis(500)).await?;
        lines.push(Line::new(kind.name, kind.concurrency, kind.ironic));
    }
    let time = Duration::from_secs(options.seconds) / options.rounds.max(1);
    for _ in 0..options.rounds {
        for (kind, line) in kinds.iter().zip(&mut lines) {
            line.rounds.push(round(&host, &kind.journeys, kind.concurrency, time).await?);
        }
    }
    let memory = host.memory()?;
    host.end().await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report::json(&lines, memory))?);
    } else {
        report::print(&lines, memory);
    }
    Ok(())
}

/// What is measured. Ironic's figures are those of a real Ironic with a database server on a machine of the same size.
async fn kinds(host: &Host, concurrency: usize) -> Result<Vec<Kind>> {
    let each = |paths: Vec<String>| paths.iter().map(|path| vec![get(path)]).collect::<Vec<Journey>>();
    let one = |path: &str| each(vec![path.to_owned()]);
    let nodes: Vec<String> = host.nodes.iter().map(|uuid| format!("/v1/nodes/{uuid}")).collect();
    let lookups: Vec<String> = host.agents.iter().map(|agent| format!("/v1/lookup?addresses={}", agent.mac)).collect();
    let all: Journey = host.pages("/v1/nodes/detail?limit=1000").await?.iter().map(|path| get(path)).collect();
    let kind = |name, concurrency, journeys, ironic| Kind { name, concurrency, journeys, ironic };
    Ok(vec![
        kind("GET a node", concurrency, each(nodes), Ironic::per_second(138.0).cpu(8.0)),
        kind("list of 1000, detailed", 1, one("/v1/nodes/detail?limit=1000"), Ironic::takes(371.0)),
        kind("list of 1000, detailed, all at once", concurrency, one("/v1/nodes/detail?limit=1000"), Ironic::UNKNOWN),
        kind("list of all, detailed", 1, vec![all], Ironic::takes(4100.0)),
        kind("list of 1000, brief", 1, one("/v1/nodes?limit=1000"), Ironic::UNKNOWN),
        kind("list of 1000, 3 fields", 1, one("/v1/nodes?limit=1000&fields=uuid,name,provision_state"), Ironic::UNKNOWN),
        kind("lookup", concurrency, each(lookups), Ironic::per_second(76.0)),
        kind(
            "heartbeat, repeated",
            concurrency,
            host.agents.iter().map(|agent| vec![agent.heartbeat()]).collect(),
            Ironic::per_second(37.0),
        ),
    ])
}
