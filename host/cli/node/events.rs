//! `wrought node events`: what happened to a node, or to all, and what happens.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::client::{Client, ClientError, HostArgs, segment};
use crate::output;

/// Seconds that the host keeps a question open when nothing happens.
const WAIT: u32 = 30;

/// Between two tries of a host that is away.
const AWAY: Duration = Duration::from_secs(1);

const COLUMNS: [&str; 5] = ["at", "node", "kind", "what", "user"];

#[derive(Debug, Args)]
pub struct Events {
    /// UUID or name; all nodes if not given
    node: Option<String>,
    /// Events of these kinds alone, such as transition,failed
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// How many of the latest events
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on with new events as they come
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    host: HostArgs,
    /// Print JSON: one event a line when following
    #[arg(long)]
    json: bool,
}

impl Events {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = Client::of(&self.host)?;
        let of = self.node.as_ref().map(|node| format!("/nodes/{}", segment(node))).unwrap_or_default();
        let kinds = if self.kind.is_empty() { String::new() } else { format!("&kind={}", segment(&self.kind.join(","))) };
        let path = format!("/wrought/v1{of}/events?limit={}{kinds}", self.limit);
        let answer = client.get(&path).await?;
        if !self.follow {
            return if self.json { output::say_json(&answer) } else { output::say(&table(events(&answer)).trim_fmt()) };
        }
        let mut last = self.print(&answer)?;
        let mut away = false;
        loop {
            let asked = Instant::now();
            match client.get(&format!("{path}&after={last}&wait={WAIT}")).await {
                Ok(answer) => {
                    if away {
                        output::complain("the host is back");
                    }
                    away = false;
                    if let Some(dropped @ 1..) = answer.get("dropped").and_then(Value::as_u64) {
                        output::complain(&format!("{dropped} events are not kept any more"));
                    }
                    last = self.print(&answer)?.max(last);
                    // A host on which too many wait answers at once.
                    if events(&answer).is_empty() && asked.elapsed() < AWAY {
                        tokio::time::sleep(AWAY).await;
                    }
                }
                Err(error @ ClientError::Unreachable { .. }) => {
                    if !away {
                        output::complain(&format!("{error}; trying again"));
                    }
                    away = true;
                    tokio::time::sleep(AWAY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One event a line; where to go on.
    fn print(&self, answer: &Value) -> anyhow::Result<u64> {
        for event in events(answer) {
            output::say(&if self.json { event.to_string() } else { cells(event).join("  ") })?;
        }
        Ok(answer.get("last").and_then(Value::as_u64).unwrap_or(0))
    }
}

fn events(answer: &Value) -> &[Value] {
    answer.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn table(events: &[Value]) -> comfy_table::Table {
    let mut table = output::table(&COLUMNS);
    for event in events {
        table.add_row(cells(event));
    }
    table
}

fn cells(event: &Value) -> [String; 5] {
    let of = |key: &str| output::cell(event.get(key).unwrap_or(&Value::Null));
    let node = event.get("name").map_or_else(|| of("node"), output::cell);
    [of("at"), node, of("kind"), what(event), of("user")]
}

/// What happened, in a few words.
fn what(event: &Value) -> String {
    let of = |key: &str| event.get(key).filter(|value| !value.is_null()).map(output::cell);
    let mut parts = Vec::new();
    parts.extend(of("verb").filter(|_| event.get("kind").is_none_or(|kind| kind != "transition")));
    parts.extend(of("step"));
    parts.extend(match (of("from"), of("to")) {
        (Some(from), Some(to)) => Some(format!("{from} -> {to}")),
        (from, to) => from.or(to),
    });
    parts.extend(of("target").map(|target| format!("(to {target})")));
    parts.extend(event.get("on").and_then(Value::as_bool).map(|on| if on { "on" } else { "off" }.to_owned()));
    parts.extend(of("fault"));
    parts.extend(event.get("duration_ms").and_then(Value::as_u64).map(|ms| format!("after {}", lasted(Duration::from_millis(ms)))));
    let reason = of("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
    let driver = of("driver").map(|driver| format!(" [{driver} {}]", short(&of("digest").unwrap_or_default()))).unwrap_or_default();
    format!("{}{reason}{driver}", parts.join(" "))
}

/// The beginning of a digest.
fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}

/// A time for people: `340 ms`, `12.5 s`, `3 min 5 s`, `2 h 10 min`.
pub fn lasted(time: Duration) -> String {
    let (seconds, ms) = (time.as_secs(), time.subsec_millis());
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_reads_as_a_sentence() {
        let step = json!({
            "kind": "step-finished", "verb": "deploy", "step": "deploy.write_image", "duration_ms": 12_540, "driver": "direct",
            "digest": "sha256:0123456789abcdef",
        });
        assert_eq!(what(&step), "deploy deploy.write_image after 12.5 s [direct 0123456789ab]");
        let transition = json!({"kind": "transition", "verb": "deploy", "from": "available", "to": "deploying", "target": "active"});
        assert_eq!(what(&transition), "available -> deploying (to active)");
        assert_eq!(what(&json!({"kind": "maintenance", "on": true, "reason": "disk"})), "on: disk");
        assert_eq!(what(&json!({"kind": "power", "to": "power on"})), "power on");
    }

    #[test]
    fn times_are_told_in_two_units_at_most() {
        let of = |seconds| lasted(Duration::from_secs(seconds));
        assert_eq!([of(0), of(59), of(185), of(7800), of(180_000)], ["0 ms", "59.0 s", "3 min 5 s", "2 h 10 min", "2 d 2 h"]);
    }
}
