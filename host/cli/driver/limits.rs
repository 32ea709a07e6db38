//! `wrought driver limits`: what the calls of a driver may use.

use anyhow::Context;
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::{Client, HostArgs};
use crate::{UsageError, output};

#[derive(Debug, Args)]
pub struct Limits {
    name: String,
    /// Set a limit for this driver, such as memory_mib=512; from the next call on
    #[arg(long, value_name = "LIMIT=NUMBER", num_args = 1..)]
    set: Vec<String>,
    /// Let the host's own limit hold again
    #[arg(long, value_name = "LIMIT", num_args = 1..)]
    unset: Vec<String>,
    #[command(flatten)]
    host: HostArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Limits {
    pub async fn run(self) -> anyhow::Result<()> {
        let path = format!("{}/limits", super::path(&self.name));
        let client = Client::of(&self.host)?;
        let mut shown = client.get(&path).await?;
        if !(self.set.is_empty() && self.unset.is_empty()) {
            let wanted = changed(member(&shown, "set"), &self.set, &self.unset)?;
            let set = client.call(Method::PUT, &path, &Value::Object(wanted)).await;
            shown = set.with_context(|| format!("setting the limits of driver {}", self.name))?;
        }
        if self.json {
            return output::say_json(&shown);
        }
        let mut table = output::table(&["limit", "in force", "set", "at most"]);
        for (name, value) in member(&shown, "limits") {
            let of = |key: &str| output::cell(member(&shown, key).get(&name).unwrap_or(&Value::Null));
            table.add_row([name.clone(), output::cell(&value), of("set"), of("maxima")]);
        }
        output::say(&table.trim_fmt())?;
        let constants = member(&shown, "constants");
        let constants = constants.iter().map(|(name, value)| format!("{name}={}", output::cell(value))).collect::<Vec<_>>().join(" ");
        output::say(&format!("the same for all drivers: {constants}"))
    }
}

fn member(shown: &Value, key: &str) -> Map<String, Value> {
    shown.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// What is to be set in place of `before`.
fn changed(mut before: Map<String, Value>, set: &[String], unset: &[String]) -> Result<Map<String, Value>, UsageError> {
    for name in unset {
        if before.remove(name).is_none() {
            return Err(UsageError(format!("--unset {name}: that limit is not set for this driver")));
        }
    }
    for text in set {
        let (name, number) = text.split_once('=').unwrap_or((text, ""));
        let number: u32 =
            number.parse().map_err(|_| UsageError(format!("--set {text}: give a limit and a whole number, such as memory_mib=512")))?;
        before.insert(name.to_owned(), number.into());
    }
    Ok(before)
}
