//! `wrought audit`: who decided what, and what was denied to drivers.

use std::time::Duration;

use clap::{Args, Parser};
use serde_json::Value;

use crate::client::{Client, HostArgs, segment};
use crate::output;

/// Between two looks for new records.
const LOOK: Duration = Duration::from_secs(1);

const COLUMNS: [&str; 8] = ["at", "principal", "source", "verb", "object", "version", "outcome", "reason"];

/// Show who decided what about drivers and why, and what was denied to them
#[derive(Debug, Parser)]
pub struct Audit {
    /// About this object alone, such as driver/acme or node/UUID
    #[arg(long)]
    object: Option<String>,
    /// With this verb alone, such as driver.activate or power.on
    #[arg(long)]
    verb: Option<String>,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    host: HostArgs,
    /// Print JSON: one record a line when following
    #[arg(long)]
    json: bool,
}

/// How much of the audit is shown.
#[derive(Debug, Args)]
pub struct Follow {
    /// How many of the latest records
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on with new records as they come
    #[arg(long)]
    follow: bool,
}

impl Audit {
    pub async fn run(self) -> anyhow::Result<()> {
        let asked = [("object", &self.object), ("verb", &self.verb)];
        let asked = asked.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("&{key}={}", segment(value))));
        show(&self.host, &format!("/wrought/v1/audit?{}", asked.collect::<String>().trim_start_matches('&')), &self.follow, self.json).await
    }
}

/// Shows records that a path answers with.
pub async fn show(host: &HostArgs, path: &str, follow: &Follow, json: bool) -> anyhow::Result<()> {
    let client = Client::of(host)?;
    let path = format!("{path}{}limit={}", if path.contains('?') { "&" } else { "?" }, follow.limit);
    let answer = client.get(&path).await?;
    if !follow.follow {
        return if json { output::say_json(&answer) } else { output::say(&table(records(&answer)).trim_fmt()) };
    }
    let mut last = print(records(&answer), json)?.unwrap_or(0);
    loop {
        tokio::time::sleep(LOOK).await;
        let answer = client.get(&format!("{path}&after={last}")).await?;
        last = print(records(&answer), json)?.unwrap_or(last);
    }
}

fn records(answer: &Value) -> &[Value] {
    answer.get("audit").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// One record a line; the number of the last one.
fn print(records: &[Value], json: bool) -> anyhow::Result<Option<u64>> {
    for record in records {
        if json {
            output::say(&record.to_string())?;
        } else {
            output::say(&COLUMNS.map(|column| cell(record, column)).join("  "))?;
        }
    }
    Ok(records.last().and_then(|record| record.get("id")).and_then(Value::as_u64))
}

fn table(records: &[Value]) -> comfy_table::Table {
    let mut table = output::table(&COLUMNS);
    for record in records {
        table.add_row(COLUMNS.map(|column| cell(record, column)));
    }
    table
}

/// A column of a record; the version is part of its details.
fn cell(record: &Value, column: &str) -> String {
    let value = if column == "version" { record.pointer("/detail/version") } else { record.get(column) };
    output::cell(value.unwrap_or(&Value::Null))
}
