//! `wrought node list --failed`: nodes that failed, together with those that failed for the same reason.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::output;

/// Nodes that a line names.
const NAMED: usize = 3;

/// By what failed nodes are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// The same error, but for names, addresses and times in it
    Reason,
    /// The same provision state
    State,
    /// The same driver
    Driver,
}

/// Fields that [`is_failed`] and [`reason`] look at.
pub const FIELDS: &str = "uuid,name,driver,provision_state,last_error,fault,maintenance_reason,reservation";

fn text<'v>(node: &'v Value, key: &str) -> &'v str {
    node.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether no operation is on the node: one that waits for the machine shows no reservation.
pub fn rests(node: &Value) -> bool {
    node.get("reservation").is_none_or(Value::is_null) && !text(node, "provision_state").contains("wait")
}

/// Whether the last operation on a node failed, and none is under way.
pub fn is_failed(node: &Value) -> bool {
    let state = text(node, "provision_state");
    let failed = state.ends_with("failed") || state == "error" || !text(node, "fault").is_empty();
    rests(node) && (failed || (state == "enroll" && !text(node, "last_error").is_empty()))
}

/// Why a node failed, without what is its own: names, addresses, digests and times. And what to do next, as the error says.
pub fn reason(node: &Value) -> (String, Option<String>) {
    let error = [text(node, "last_error"), text(node, "maintenance_reason"), text(node, "fault")];
    let error = error.into_iter().find(|text| !text.is_empty()).unwrap_or("no reason is known");
    let (cause, next) = match error.rsplit_once(". Next: ") {
        Some((cause, next)) => (cause, Some(next.to_owned())),
        None => (error, None),
    };
    let names = [text(node, "uuid"), text(node, "name")];
    let words: Vec<String> = cause.split_whitespace().map(|word| common(word, &names)).collect();
    (words.join(" "), next)
}

/// A word, or `…` in the place of what is a node's own.
fn common(word: &str, names: &[&str]) -> String {
    let core = word.trim_matches(|c: char| c.is_ascii_punctuation() && c != '…');
    let hex = core.trim_start_matches("sha256:");
    let own = names.contains(&core) && !core.is_empty()
        || Uuid::parse_str(core).is_ok()
        || core.parse::<IpAddr>().is_ok()
        || core.parse::<SocketAddr>().is_ok()
        || core.parse::<Timestamp>().is_ok()
        || (hex.len() >= 12 && hex.chars().all(|c| c.is_ascii_hexdigit() || c == ':'))
        || (core.len() == 17 && core.split(':').count() == 6);
    if own { word.replacen(core, "…", 1) } else { word.to_owned() }
}

/// Nodes that failed for the same reason.
#[derive(Debug, Default)]
struct Group {
    nodes: Vec<(String, String)>,
    states: BTreeMap<String, u64>,
    next: Option<String>,
}

/// Shows the nodes, those together that have the same in common.
pub fn show(nodes: &[Value], by: GroupBy, as_json: bool) -> anyhow::Result<()> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for node in nodes {
        let (why, next) = reason(node);
        let key = match by {
            GroupBy::Reason => why,
            GroupBy::State => text(node, "provision_state").to_owned(),
            GroupBy::Driver => text(node, "driver").to_owned(),
        };
        let group = groups.entry(key).or_default();
        let uuid = text(node, "uuid").to_owned();
        let name = Some(text(node, "name")).filter(|name| !name.is_empty()).map_or_else(|| uuid.clone(), str::to_owned);
        group.nodes.push((uuid, name));
        *group.states.entry(text(node, "provision_state").to_owned()).or_default() += 1;
        group.next = group.next.take().or(next.filter(|_| by == GroupBy::Reason));
    }
    let mut groups: Vec<(String, Group)> = groups.into_iter().collect();
    groups.sort_by(|(a, one), (b, other)| other.nodes.len().cmp(&one.nodes.len()).then(a.cmp(b)));
    if as_json {
        let shown = groups.iter().map(|(key, group)| {
            let nodes: Vec<&str> = group.nodes.iter().map(|(uuid, _)| uuid.as_str()).collect();
            json!({ "group": key, "count": nodes.len(), "nodes": nodes, "states": group.states, "next": group.next })
        });
        return output::say_json(&json!({ "failed": nodes.len(), "groups": shown.collect::<Vec<_>>() }));
    }
    let mut table = output::table(&["count", "group", "states", "nodes", "next"]);
    for (key, group) in &groups {
        let named: Vec<&str> = group.nodes.iter().take(NAMED).map(|(_, name)| name.as_str()).collect();
        let more = group.nodes.len().saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let states: Vec<&str> = group.states.keys().map(String::as_str).collect();
        table.add_row([
            group.nodes.len().to_string(),
            key.clone(),
            states.join(", "),
            format!("{}{more}", named.join(", ")),
            group.next.clone().unwrap_or_default(),
        ]);
    }
    output::say(&table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_nodes_own_does_not_tell_reasons_apart() {
        let of =
            |name: &str, error: &str| reason(&json!({"uuid": "0b0c7a52-54ee-4ea4-9fb5-dd3c1b1e1c11", "name": name, "last_error": error})).0;
        let one = of("n1", "deploy.write_image: agent at 192.0.2.1:9999 of n1 said \"disk full\" at 2026-01-31T12:00:00Z. Next: `active`.");
        let other =
            of("n2", "deploy.write_image: agent at 192.0.2.77:9999 of n2 said \"disk full\" at 2026-02-01T01:00:00Z. Next: `active`.");
        assert_eq!(one, other);
        assert_eq!(one, "deploy.write_image: agent at … of … said \"disk full\" at …");
        assert_ne!(of("n1", "the controller answered 503"), of("n1", "the controller answered 500"), "numbers tell something");
        let node = json!({"last_error": "driver acme 1.0.0 (sha256:0123456789abcdef) trapped. Next: `active` to deploy again."});
        let (cause, next) = reason(&node);
        assert_eq!((cause.as_str(), next.as_deref()), ("driver acme 1.0.0 (…) trapped", Some("`active` to deploy again.")));
        assert_eq!(reason(&json!({"fault": "power failure"})).0, "power failure");
    }

    #[test]
    fn only_what_rests_has_failed() {
        let node = |state: &str, reservation: Value, error: &str| json!({"provision_state": state, "reservation": reservation, "last_error": error});
        assert!(is_failed(&node("deploy failed", Value::Null, "x")) && is_failed(&node("error", Value::Null, "")));
        assert!(is_failed(&node("enroll", Value::Null, "no controller")) && !is_failed(&node("enroll", Value::Null, "")));
        assert!(!is_failed(&node("deploy failed", json!("host"), "x")) && !is_failed(&node("active", Value::Null, "x")));
    }
}
