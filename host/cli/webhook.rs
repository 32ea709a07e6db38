//! `wrought webhook`: how far the receivers of events are.

use clap::Subcommand;
use serde_json::Value;

use crate::client::{Client, HostArgs};
use crate::output;

const COLUMNS: [&str; 7] = ["name", "behind", "delivered", "skipped", "delivered_at", "failing_since", "last_error"];

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// List the configured webhooks: how far each is, and whether its receiver answers
    List {
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl WebhookCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        let Self::List { host, json } = self;
        let answer = Client::of(&host)?.get("/wrought/v1/webhooks").await?;
        if json {
            return output::say_json(&answer);
        }
        let mut table = output::table(&COLUMNS);
        for webhook in answer.get("webhooks").and_then(Value::as_array).into_iter().flatten() {
            table.add_row(COLUMNS.map(|column| output::cell(webhook.get(column).unwrap_or(&Value::Null))));
        }
        output::say(&table.trim_fmt())
    }
}
