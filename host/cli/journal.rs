//! `wrought journal`: what drivers did, operation by operation and call by call.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};
use wrought_conductor::{RecordedCall, RecordedOperation};
use wrought_drivers::journal::{Class, Recorded};

use crate::client::{Client, HostArgs, segment};
use crate::output;

/// Characters that a value in a table may take.
const CELL: usize = 160;

/// Characters that an input of a call may take.
const LINE: usize = 1000;

const OPERATIONS: [&str; 8] = ["operation", "node", "kind", "user", "began", "took", "calls", "error"];

const CALLS: [&str; 9] = ["call", "turn", "driver", "function", "step", "outcome", "host calls", "began", "took"];

#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// List operations, the latest first
    List {
        /// Only those of this node, by UUID or name
        #[arg(long)]
        node: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only those that began before this time
        #[arg(long, value_name = "TIME")]
        before: Option<String>,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the calls of an operation, or one call with its inputs, its host calls and its outcome
    Show {
        /// An operation, a node (UUID or name) for its last operation, or the number of a call
        #[arg(value_name = "OPERATION|NODE|CALL")]
        which: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON, with the records of all calls
        #[arg(long)]
        json: bool,
    },
    /// Write an operation as one file, which `wrought replay` takes anywhere
    Export {
        /// An operation, a node (UUID or name) for its last operation, or the number of a call
        #[arg(value_name = "OPERATION|NODE|CALL")]
        which: String,
        /// The file; - is standard output [default: wrought-journal-OPERATION.json.zst]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Leave the drivers' components out: who replays it must have them
        #[arg(long)]
        no_components: bool,
        #[command(flatten)]
        host: HostArgs,
    },
}

/// The answer about an operation.
#[derive(Debug, Deserialize)]
struct Journaled {
    operation: RecordedOperation,
    calls: Vec<RecordedCall>,
}

impl JournalCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { node, limit, before, host, json } => list(&Client::of(&host)?, node, limit, before, json).await,
            Self::Show { which, host, json } => show(&Client::of(&host)?, &which, json).await,
            Self::Export { which, output, no_components, host } => {
                export(&Client::of(&host)?, &which, output.as_deref(), !no_components).await
            }
        }
    }
}

/// The file of an operation, of a node's last operation, or of a call, as the host exports it.
pub async fn fetch(client: &Client, which: &str, components: bool) -> anyhow::Result<Vec<u8>> {
    let path = format!("/wrought/v1/journal/{}/export?components={components}", segment(which));
    Ok(client.download(&path).await?)
}

async fn list(client: &Client, node: Option<String>, limit: u32, before: Option<String>, json: bool) -> anyhow::Result<()> {
    let argument = |name: &str, value: Option<String>| value.map(|value| format!("&{name}={}", segment(&value))).unwrap_or_default();
    let path = format!("/wrought/v1/journal?limit={limit}{}{}", argument("node", node), argument("before", before));
    let answer = client.get(&path).await?;
    if json {
        return output::say_json(&answer);
    }
    let operations = answer.get("operations").cloned().unwrap_or_default();
    let operations: Vec<RecordedOperation> = serde_json::from_value(operations).context("reading the list of operations")?;
    let mut table = output::table(&OPERATIONS);
    for operation in operations {
        table.add_row([
            operation.id.to_string(),
            operation.node.to_string(),
            operation.kind,
            operation.user,
            moment(operation.began_at),
            took(operation.began_at, operation.ended_at),
            operation.calls.to_string(),
            shown(&operation.error.unwrap_or_default(), CELL),
        ]);
    }
    output::say(&table.trim_fmt())
}

async fn show(client: &Client, which: &str, json: bool) -> anyhow::Result<()> {
    let one = which.parse::<i64>().is_ok();
    let path = format!("/wrought/v1/journal/{}?detail={}", segment(which), one || json);
    let answer = client.get(&path).await?;
    if json {
        return output::say_json(&answer);
    }
    let Journaled { operation, calls } = serde_json::from_value(answer).context("reading the operation")?;
    let mut text = head(&operation);
    if let ([RecordedCall { record: Some(record), .. }], true) = (calls.as_slice(), one) {
        text.push_str(&inputs(record));
        text.push_str(&host_calls(record));
        text.push_str(&ending(record));
        return output::say(&text);
    }
    let mut table = output::table(&CALLS);
    for call in calls {
        table.add_row([
            call.id.to_string(),
            call.turn.to_string(),
            call.driver.to_string(),
            call.function,
            call.step.unwrap_or_default(),
            call.outcome.unwrap_or_else(|| "did not end".into()),
            call.host_calls.to_string(),
            moment(call.began_at),
            took(call.began_at, call.ended_at),
        ]);
    }
    text.push_str(&table.trim_fmt());
    output::say(&text)
}

async fn export(client: &Client, which: &str, file: Option<&Path>, components: bool) -> anyhow::Result<()> {
    let bytes = fetch(client, which, components).await.with_context(|| format!("exporting {which}"))?;
    if file == Some(Path::new("-")) {
        return io::stdout().lock().write_all(&bytes).context("writing to standard output");
    }
    let file = match file {
        Some(file) => file.to_owned(),
        // The file knows best whose it is.
        None => {
            let export = wrought_conductor::Export::read(&bytes).context("reading what the host sent")?;
            PathBuf::from(format!("wrought-journal-{}.json.zst", export.operation.id))
        }
    };
    std::fs::write(&file, &bytes).with_context(|| format!("writing {}", file.display()))?;
    output::say(&file.display().to_string())?;
    output::complain(&format!("to run it again, here or elsewhere: wrought replay {}", file.display()));
    Ok(())
}

fn head(operation: &RecordedOperation) -> String {
    let RecordedOperation { id, node, kind, user, began_at, ended_at, error, bytes, .. } = operation;
    let end = match (ended_at, error) {
        (None, _) => "going on".to_owned(),
        (Some(_), None) => format!("succeeded after {}", took(*began_at, *ended_at)),
        (Some(_), Some(error)) => format!("failed after {}: {}", took(*began_at, *ended_at), shown(error, LINE)),
    };
    let began = moment(*began_at);
    format!("operation {id}\n{kind} of node {node} for {}, began {began}, {bytes} bytes, {end}\n\n", shown(user, CELL))
}

/// The inputs of a call, one per line.
fn inputs(record: &Recorded) -> String {
    let header = &record.header;
    let mut table = output::table(&["input", "value"]);
    let mut add = |name: &str, value: Value| {
        table.add_row([name.to_owned(), brief(&value, LINE)]);
    };
    add("driver", format!("{} {}", header.driver, header.digest).into());
    add("function", format!("{}.{}", header.function.interface(), header.function.name()).into());
    if let Some(step) = &header.step {
        add("step", json!(step));
    }
    add("cause", json!(header.snapshot.cause));
    add("started at", header.started_at.to_string().into());
    add("seed", header.seed.into());
    add("fence", header.fence.0.into());
    add("grants", json!(header.grants));
    add("node", json!(header.snapshot.node));
    add("ports", json!(header.snapshot.ports));
    add("traits", json!(header.snapshot.traits));
    add("options", json!(header.snapshot.options));
    add("driver state", json!(header.state));
    format!("{}\n\n", table.trim_fmt())
}

fn host_calls(record: &Recorded) -> String {
    if record.entries.is_empty() {
        return "no host calls that observe or act\n\n".to_owned();
    }
    let mut table = output::table(&["#", "class", "host call", "arguments", "answer"]);
    for (index, entry) in record.entries.iter().enumerate() {
        let class = match entry.class {
            Class::Observe => "observe",
            Class::Effect => "effect",
        };
        let answer = entry.answer.as_ref().map_or_else(|| "not known: the call was cut off".to_owned(), |answer| brief(answer, CELL));
        table.add_row([index.to_string(), class.to_owned(), entry.function.clone(), brief(&entry.args, CELL), answer]);
    }
    format!("{}\n\n", table.trim_fmt())
}

fn ending(record: &Recorded) -> String {
    let Some(outcome) = &record.outcome else { return "the call did not end\n".to_owned() };
    let mut text = match &outcome.answer {
        Ok(answer) => format!("outcome {}\n", brief(&json!(answer), LINE)),
        Err(fault) => format!("outcome fault: {}\n", shown(&fault.to_string(), LINE)),
    };
    if let Some(state) = &outcome.state {
        text.push_str(&format!("driver state {}\n", brief(&json!(state), LINE)));
    }
    for report in &outcome.reports {
        text.push_str(&format!("report {}\n", brief(&json!(report), LINE)));
    }
    text
}

/// A value on one line, cut.
pub fn brief(value: &Value, most: usize) -> String {
    match value {
        Value::String(text) => shown(text, most),
        other => shown(&other.to_string(), most),
    }
}

/// Text on one line, cut. What a stranger wrote does not control the terminal.
pub fn shown(text: &str, most: usize) -> String {
    let mut line: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        line.push('…');
    }
    line
}

fn moment(at: jiff::Timestamp) -> String {
    // To the second: `--json` has it all.
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn took(began: jiff::Timestamp, ended: Option<jiff::Timestamp>) -> String {
    ended.map_or_else(|| "-".to_owned(), |ended| format!("{:.3} s", ended.duration_since(began).as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{brief, shown};

    #[test]
    fn what_a_stranger_wrote_is_one_line_of_bounded_length() {
        assert_eq!(shown("red \u{1b}[31m\nnext", 100), "red  [31m next");
        assert_eq!(shown("äöü", 2), "äö…");
        assert_eq!(brief(&json!({"a": [1, 2]}), 5), "{\"a\":…");
    }
}
