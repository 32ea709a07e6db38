//! `wrought node why`: what a node waits for, since when and until when, and what to do.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::events::lasted;
use crate::client::{Client, segment};
use crate::output;

pub async fn run(client: &Client, node: &str, json: bool) -> anyhow::Result<()> {
    let why = client.get(&format!("/wrought/v1/nodes/{}/why", segment(node))).await?;
    if json { output::say_json(&why) } else { output::say(&told(&why, Timestamp::now())) }
}

fn told(why: &Value, now: Timestamp) -> String {
    let text = |pointer: &str| why.pointer(pointer).filter(|value| !value.is_null()).map(output::cell);
    let moment = |pointer: &str| text(pointer).map(|at| distance(&at, now));
    let mut lines = vec![text("/what").unwrap_or_default()];
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(format!("  {key:14}{value}"));
        }
    };
    let target = text("/target_provision_state").map(|target| format!(", target {target}")).unwrap_or_default();
    let maintenance = if why.get("maintenance") == Some(&Value::Bool(true)) { ", in maintenance" } else { "" };
    let power = text("/power_state").map(|power| format!(", {power}")).unwrap_or_default();
    line("node", Some(format!("{} {}", text("/name").unwrap_or_default(), text("/node").unwrap_or_default()).trim().to_owned()));
    line("state", text("/provision_state").map(|state| format!("{state}{target}{power}{maintenance}")));
    line("since", moment("/since"));
    line("until", moment("/until"));
    line("tested again", moment("/tested_again_at"));
    line("queue", text("/queue/place").map(|place| format!("number {place} of {}", text("/queue/of").unwrap_or_default())));
    line(
        "operation",
        text("/operation/id").map(|id| {
            let user = text("/operation/user").unwrap_or_default();
            format!(
                "{} {id} of {user}, began {}",
                text("/operation/verb").unwrap_or_default(),
                moment("/operation/began_at").unwrap_or_default()
            )
        }),
    );
    line(
        "step",
        text("/operation/step").map(|step| {
            format!("{step}, {} of {}", text("/operation/step_number").unwrap_or_default(), text("/operation/steps").unwrap_or_default())
        }),
    );
    line(
        "failed",
        text("/failed/verb").map(|verb| {
            let step = text("/failed/step").map(|step| format!(" in {step}")).unwrap_or_default();
            format!("{verb}{step}, {}", moment("/failed/at").unwrap_or_default())
        }),
    );
    line("finished steps", text("/failed/finished").filter(|steps| !steps.is_empty()));
    let contacts = why.get("contacts").and_then(Value::as_object).into_iter().flatten();
    let contacts: Vec<String> = contacts.map(|(kind, at)| format!("{kind} {}", distance(&output::cell(at), now))).collect();
    let never = || "never since the host started".to_owned();
    line("last contact", Some(if contacts.is_empty() { never() } else { contacts.join("; ") }));
    for (number, next) in why.get("next").and_then(Value::as_array).into_iter().flatten().enumerate() {
        line(if number == 0 { "what to do" } else { "" }, Some(output::cell(next)));
    }
    lines.join("\n")
}

/// A moment, and how far away it is.
fn distance(at: &str, now: Timestamp) -> String {
    let Ok(moment) = at.parse::<Timestamp>() else { return at.to_owned() };
    let away = |from: Timestamp, to: Timestamp| lasted(Duration::try_from(to.duration_since(from)).unwrap_or_default());
    if moment <= now { format!("{} ago ({at})", away(moment, now)) } else { format!("in {} ({at})", away(now, moment)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_is_told_with_its_times_and_its_exits() {
        let why = json!({
            "node": "u", "name": "n1", "provision_state": "wait call-back", "target_provision_state": "active", "power_state": "power on",
            "maintenance": false, "what": "deploy waits for the agent to boot and to call", "since": "1970-01-01T00:00:00Z",
            "until": "1970-01-01T00:30:00Z", "contacts": {"controller": "1970-01-01T00:00:59Z"}, "next": ["Look.", "`abort` ends it."],
        });
        let now = Timestamp::from_second(60).unwrap_or_default();
        let expected = [
            "deploy waits for the agent to boot and to call",
            "  node          n1 u",
            "  state         wait call-back, target active, power on",
            "  since         1 min 0 s ago (1970-01-01T00:00:00Z)",
            "  until         in 29 min 0 s (1970-01-01T00:30:00Z)",
            "  last contact  controller 1.0 s ago (1970-01-01T00:00:59Z)",
            "  what to do    Look.",
            "                `abort` ends it.",
        ];
        assert_eq!(told(&why, now), expected.join("\n"));
    }
}
