//! `wrought lock`: locks that nodes share.

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, HostArgs, segment};
use crate::output;

const COLUMNS: [&str; 4] = ["name", "node", "operation", "since"];

#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// List the locks that are held or waited for
    List {
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a lock away from its holder, whose driver is told at its next effect
    Break {
        name: String,
        /// Why; it becomes part of the node's history
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl LockCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { host, json } => list(&Client::of(&host)?, json).await,
            Self::Break { name, reason, host, json } => {
                let path = format!("/wrought/v1/locks/{}", segment(&name));
                let client = Client::of(&host)?;
                let broken = client.call(Method::DELETE, &path, &json!({ "reason": reason })).await;
                let broken = broken.with_context(|| format!("breaking lock {name}"))?;
                if json {
                    return output::say_json(&broken);
                }
                let of = |key: &str| output::cell(broken.get(key).unwrap_or(&Value::Null));
                output::say(&format!(
                    "{name} is taken away from operation {} of node {}, which held it since {}",
                    of("operation"),
                    of("node"),
                    of("since")
                ))
            }
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let answer = client.get("/wrought/v1/locks").await?;
    if json {
        return output::say_json(&answer);
    }
    let mut table = output::table(&[COLUMNS.as_slice(), &["waiting"]].concat());
    for lock in answer.get("locks").and_then(Value::as_array).into_iter().flatten() {
        let cells = COLUMNS.iter().map(|column| output::cell(lock.get(*column).unwrap_or(&Value::Null)));
        let waiters = lock.get("waiters").and_then(Value::as_array).into_iter().flatten();
        let waiting = waiters.map(|waiter| output::cell(waiter.get("node").unwrap_or(&Value::Null))).collect::<Vec<_>>().join(", ");
        table.add_row(cells.chain([waiting]));
    }
    output::say(&table.trim_fmt())
}
