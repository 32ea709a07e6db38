//! Whole lifecycles of nodes that have no machine behind them: `available`, `active`, `deleted`, cleaned, `available`, all nodes at once. What is
//! measured is the host: engine, driver calls, journal and database.
//!
//! Requests go to the conductor's public methods, which the API calls: over HTTP the client would be measured. Each variant is a host of its
//! own in this process; the rounds of several variants take turns, so that all meet the same noise and the ratios between them hold.
//!
//! `cargo bench --bench lifecycles -- --nodes 1000 --rounds 3 --durability normal,full --journal off,on`
#![allow(missing_docs)]

mod host;
mod report;

use anyhow::Result;
use clap::Parser;

use host::{Host, Switch, Synchronous};
use report::Report;

/// Measures whole lifecycles of nodes.
#[derive(Parser)]
struct Options {
    /// Nodes, all at once.
    #[arg(long, default_value_t = 1000)]
    nodes: usize,
    /// Lifecycles of each node that are measured; one more comes before them, unmeasured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What a commit survives: SQLite's `synchronous`.
    #[arg(long, value_delimiter = ',', default_value = "normal")]
    durability: Vec<Synchronous>,
    /// Whether driver calls are recorded.
    #[arg(long, value_delimiter = ',', default_value = "on")]
    journal: Vec<Switch>,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
    /// Cargo gives it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let mut hosts = Vec::new();
    for synchronous in &options.durability {
        for journal in &options.journal {
            hosts.push(Host::start(*synchronous, *journal, options.nodes).await?);
        }
    }
    for host in &mut hosts {
        host.lifecycle().await?;
        host.before = host.totals().await?;
    }
    for _ in 0..options.rounds {
        for host in &mut hosts {
            let round = host.lifecycle().await?;
            host.rounds.push(round);
        }
    }
    let mut reports = Vec::new();
    for host in hosts {
        reports.push(Report::of(&host).await?);
        host.stop().await;
    }
    let peak_mib = report::peak_mib()?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({"variants": reports, "memory_peak_mib": peak_mib}))?);
    } else {
        report::print(&reports, peak_mib);
    }
    Ok(())
}
