//! What a host cost, as a table and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::host::{Host, Switch, Synchronous};

/// What a host cost, per lifecycle of one node.
#[derive(Serialize)]
pub struct Report {
    synchronous: Synchronous,
    journal: Switch,
    nodes: usize,
    rounds: usize,
    /// The median of the rounds.
    lifecycles_per_second: f64,
    cpu_ms: f64,
    transactions: f64,
    units: f64,
    driver_calls: f64,
    database_bytes: f64,
    journal_bytes: f64,
}

impl Report {
    pub async fn of(host: &Host) -> Result<Self> {
        let now = host.totals().await?;
        let (nodes, rounds) = (host.nodes.len(), host.rounds.len());
        let lifecycles = number(nodes * rounds)?;
        let each = |total: u64| anyhow::Ok(number(usize::try_from(total)?)? / lifecycles);
        let bytes = |total: i64| anyhow::Ok(f64::from(i32::try_from(total / 1024)?) * 1024.0 / lifecycles);
        let mut walls: Vec<Duration> = host.rounds.iter().map(|round| round.wall).collect();
        walls.sort_unstable();
        let median = walls.get(rounds / 2).context("no round was measured")?;
        let cpu: Duration = host.rounds.iter().map(|round| round.cpu).sum();
        Ok(Self {
            synchronous: host.synchronous,
            journal: host.journal,
            nodes,
            rounds,
            lifecycles_per_second: number(nodes)? / median.as_secs_f64(),
            cpu_ms: cpu.as_secs_f64() * 1e3 / lifecycles,
            transactions: each(now.writes.transactions - host.before.writes.transactions)?,
            units: each(now.writes.units - host.before.writes.units)?,
            driver_calls: each(now.calls - host.before.calls)?,
            database_bytes: bytes(now.database - host.before.database)?,
            journal_bytes: bytes(now.journal - host.before.journal)?,
        })
    }
}

fn number(count: usize) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?))
}

/// The most memory that this process had resident, MiB.
pub fn peak_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

fn shown(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_default().trim_matches('"').to_owned()
}

pub fn print(reports: &[Report], peak_mib: u64) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "synchronous",
        "journal",
        "lifecycles/s",
        "CPU ms",
        "transactions",
        "units",
        "driver calls",
        "database B",
        "journal B",
    ]);
    for report in reports {
        table.add_row([
            shown(report.synchronous),
            shown(report.journal),
            format!("{:.0}", report.lifecycles_per_second),
            format!("{:.2}", report.cpu_ms),
            format!("{:.3}", report.transactions),
            format!("{:.1}", report.units),
            format!("{:.1}", report.driver_calls),
            format!("{:.0}", report.database_bytes),
            format!("{:.0}", report.journal_bytes),
        ]);
    }
    println!("{table}\nper lifecycle but for the rate; most memory resident: {peak_mib} MiB");
    let rates: BTreeMap<_, _> =
        reports.iter().map(|report| ((shown(report.synchronous), shown(report.journal)), report.lifecycles_per_second)).collect();
    for ((synchronous, journal), off) in &rates {
        if let ("off", Some(on)) = (journal.as_str(), rates.get(&(synchronous.clone(), "on".to_owned()))) {
            println!("synchronous {synchronous}: without the journal / with it: {:.2}", off / on);
        }
    }
}
