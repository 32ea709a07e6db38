//! `wrought node retry` and `wrought node undeploy`: the same for many nodes, not faster than asked for.

use std::collections::{BTreeMap, HashSet};
use std::io::IsTerminal;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use wrought_domain::rollout::Selector;
use wrought_domain::{ProvisionState, Verb};

use super::failed::{FIELDS, is_failed, reason, rests};
use super::list;
use crate::UsageError;
use crate::client::{Client, HostArgs, segment};
use crate::output;

/// Between two looks at nodes that are waited for.
const LOOK: Duration = Duration::from_millis(500);

/// How many in how much time: `30/min`, `2/s`, `100/h`; a number alone is per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    spacing: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate: use one such as 30/min, 2/s or 100/h");
        let (number, unit) = text.split_once('/').unwrap_or((text, "min"));
        let number: u32 = number.trim().parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
        let unit = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            _ => return Err(wrong()),
        };
        Ok(Self { spacing: Duration::from_secs(unit) / number })
    }
}

/// Which nodes.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true).args(["nodes", "selector", "reason", "all"])))]
pub struct Which {
    /// UUIDs or names
    nodes: Vec<String>,
    /// Nodes of a kind, such as trait=CUSTOM_GPU,resource_class=gold,owner=PROJECT,conductor_group=GROUP
    #[arg(long)]
    selector: Option<Selector>,
    /// Nodes whose error has this text in it; see `wrought node list --failed --group-by reason`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// All nodes
    #[arg(long, conflicts_with_all = ["nodes", "selector", "reason"])]
    all: bool,
}

/// How it is done.
#[derive(Debug, Args)]
pub struct How {
    /// How many nodes in how much time, such as 30/min or 2/s
    #[arg(long, default_value = "60/min")]
    rate: Rate,
    /// Wait until every node has come to rest; those that fail make the command fail
    #[arg(long)]
    wait: bool,
    /// Say which nodes it would be, and ask for nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    host: HostArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Retry { from_start: bool },
    Undeploy,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Undeploy => "undeploy",
        }
    }

    /// Whether a node may be asked, when it was not named.
    fn fits(self, node: &Value) -> bool {
        match self {
            Self::Retry { .. } => is_failed(node),
            Self::Undeploy => {
                let state = text(node, "provision_state").parse::<ProvisionState>();
                state.is_ok_and(|state| Verb::Deleted.allowed_from(state))
            }
        }
    }

    async fn ask(self, client: &Client, uuid: &str) -> anyhow::Result<Value> {
        let node = segment(uuid);
        Ok(match self {
            Self::Retry { from_start } => {
                client.call(Method::POST, &format!("/wrought/v1/nodes/{node}/retry"), &json!({ "from_start": from_start })).await?
            }
            Self::Undeploy => {
                client.call(Method::PUT, &format!("/v1/nodes/{node}/states/provision"), &json!({ "target": "deleted" })).await?;
                json!({ "node": uuid, "verb": "deleted" })
            }
        })
    }
}

/// How much of a retry is done already, for people.
fn skipping(answer: &Value) -> String {
    let skipped = answer.get("skipped").and_then(Value::as_array).map_or(0, Vec::len);
    match (skipped, answer.get("changed") == Some(&Value::Bool(true))) {
        (_, true) => ", all steps, because the node was changed since it failed".to_owned(),
        (0, _) => String::new(),
        (skipped, _) => format!(", without {skipped} steps that are done"),
    }
}

fn text<'v>(node: &'v Value, key: &str) -> &'v str {
    node.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn name(node: &Value) -> &str {
    Some(text(node, "name")).filter(|name| !name.is_empty()).unwrap_or(text(node, "uuid"))
}

/// Whether a node, as the list shows it, is of the kind.
pub fn selects(selector: &Selector, node: &Value) -> bool {
    let traits = node.get("traits").and_then(Value::as_array);
    let has = |wanted: &String| traits.is_some_and(|traits| traits.iter().any(|name| name == wanted));
    let same = |wanted: &Option<String>, key: &str| wanted.as_deref().is_none_or(|wanted| text(node, key) == wanted);
    selector.traits.iter().all(has)
        && same(&selector.owner, "owner")
        && same(&selector.resource_class, "resource_class")
        && same(&selector.conductor_group, "conductor_group")
}

impl Which {
    /// The nodes, in the order of the host's list.
    async fn find(&self, client: &Client, action: Action) -> anyhow::Result<Vec<Value>> {
        let all = list(client, &format!("{FIELDS},traits,owner,resource_class,conductor_group"), "").await?;
        let named = |node: &Value| self.nodes.iter().any(|asked| asked == text(node, "uuid") || asked == text(node, "name"));
        if let Some(unknown) =
            self.nodes.iter().find(|asked| !all.iter().any(|node| [text(node, "uuid"), text(node, "name")].contains(&asked.as_str())))
        {
            return Err(UsageError(format!("there is no node {unknown}")).into());
        }
        let wanted = self.reason.as_deref().map(str::to_lowercase);
        let because = |node: &Value| {
            wanted.as_deref().is_none_or(|wanted| {
                reason(node).0.to_lowercase().contains(wanted) || text(node, "last_error").to_lowercase().contains(wanted)
            })
        };
        let of_kind = |node: &Value| self.selector.as_ref().is_none_or(|selector| selects(selector, node));
        Ok(all
            .into_iter()
            .filter(|node| match self.nodes.is_empty() {
                true => action.fits(node) && of_kind(node) && because(node),
                // Who is named is asked, and the host says why not; what else is said narrows the choice.
                false => named(node) && of_kind(node) && because(node),
            })
            .collect())
    }
}

pub async fn run(action: Action, which: Which, how: How) -> anyhow::Result<()> {
    let client = Client::of(&how.host)?;
    let nodes = which.find(&client, action).await?;
    if how.dry_run {
        return show_choice(action, &nodes, how.json);
    }
    let progress = Progress::new(action.name(), nodes.len());
    let (mut asked, mut refused) = (Vec::new(), Vec::new());
    let mut due = Instant::now();
    for node in &nodes {
        tokio::time::sleep_until(due).await;
        due = Instant::now().max(due) + how.rate.spacing;
        match action.ask(&client, text(node, "uuid")).await {
            Ok(answer) => {
                progress.line(&format!("{}: {}{}", name(node), text(&answer, "verb"), skipping(&answer)));
                asked.push(json!({
                    "node": text(node, "uuid"), "name": node.get("name"), "verb": answer.get("verb"),
                    "skipped": answer.get("skipped").cloned().unwrap_or_else(|| json!([])),
                }));
            }
            Err(error) => {
                progress.line(&format!("{}: {error:#}", name(node)));
                refused.push(json!({ "node": text(node, "uuid"), "name": node.get("name"), "error": format!("{error:#}") }));
            }
        }
        progress.step(asked.len(), refused.len());
    }
    progress.end();
    let ended = if how.wait { wait(&client, &asked).await? } else { Vec::new() };
    let failed = ended.iter().filter(|node| is_failed(node)).count();
    if how.json {
        let ended = how.wait.then_some(&ended);
        output::say_json(&json!({ "action": action.name(), "asked": asked, "refused": refused, "ended": ended }))?;
    } else {
        let ended = if how.wait { format!(", {} ended well, {failed} failed", ended.len().saturating_sub(failed)) } else { String::new() };
        output::say(&format!("{}: {} nodes asked, {} refused{ended}", action.name(), asked.len(), refused.len()))?;
    }
    match (refused.len(), failed) {
        (0, 0) => Ok(()),
        (refused, failed) => {
            anyhow::bail!("{refused} nodes refused and {failed} failed; `wrought node list --failed --group-by reason` tells why")
        }
    }
}

fn show_choice(action: Action, nodes: &[Value], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::say_json(&json!({ "action": action.name(), "nodes": nodes }));
    }
    let mut table = output::table(&["uuid", "name", "provision_state", "reason"]);
    for node in nodes {
        table.add_row([
            text(node, "uuid").to_owned(),
            text(node, "name").to_owned(),
            text(node, "provision_state").to_owned(),
            match is_failed(node) {
                true => reason(node).0,
                false => String::new(),
            },
        ]);
    }
    output::say(&table.trim_fmt())?;
    output::say(&format!("{} nodes would be asked to {}", nodes.len(), action.name()))
}

/// Waits until all that were asked have come to rest; how they are then.
async fn wait(client: &Client, asked: &[Value]) -> anyhow::Result<Vec<Value>> {
    let mut open: HashSet<String> = asked.iter().map(|node| text(node, "node").to_owned()).collect();
    let progress = Progress::new("at rest", open.len());
    let mut ended: BTreeMap<String, Value> = BTreeMap::new();
    while !open.is_empty() {
        let looked = Instant::now();
        let nodes = list(client, FIELDS, "").await.context("waiting for the nodes")?;
        let took = looked.elapsed();
        let there: HashSet<&str> = nodes.iter().map(|node| text(node, "uuid")).collect();
        // Somebody deleted it.
        open.retain(|uuid| there.contains(uuid.as_str()));
        for node in &nodes {
            if rests(node) && open.remove(text(node, "uuid")) {
                if is_failed(node) {
                    progress.line(&format!("{}: {}: {}", name(node), text(node, "provision_state"), reason(node).0));
                }
                ended.insert(text(node, "uuid").to_owned(), node.clone());
            }
        }
        let failed = ended.values().filter(|node| is_failed(node)).count();
        progress.step(ended.len().saturating_sub(failed), failed);
        if !open.is_empty() {
            // A fleet whose list takes long is looked at more rarely.
            tokio::time::sleep(LOOK.max(took * 4)).await;
        }
    }
    progress.end();
    Ok(ended.into_values().collect())
}

/// A bar on a terminal, a line for each node elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(title: &str, total: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{elapsed:>4} {prefix:10} {bar:40} {pos}/{len} {msg}");
            let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(title.to_owned())
        });
        Self { bar }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(output::harmless(text)),
            None => output::complain(text),
        }
    }

    fn step(&self, well: usize, badly: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(u64::try_from(well.saturating_add(badly)).unwrap_or(u64::MAX));
            bar.set_message(if badly > 0 { format!("{badly} not") } else { String::new() });
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        let of = |text: &str| text.parse::<Rate>().map(|rate| rate.spacing.as_millis());
        assert_eq!([of("30/min"), of("2/s"), of("3600/h"), of("60"), of("20 / m")], [Ok(2000), Ok(500), Ok(1000), Ok(1000), Ok(3000)]);
        for wrong in ["", "0/min", "-1/s", "5/day", "x/min", "1.5/s"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_selector_selects_from_the_list_as_it_does_in_the_host() {
        let node = json!({"traits": ["CUSTOM_GPU", "CUSTOM_BIG"], "resource_class": "gold", "owner": null, "conductor_group": ""});
        let selects = |text: &str| selects(&text.parse().unwrap(), &node);
        assert!(
            selects("trait=CUSTOM_GPU,resource_class=gold") && selects("conductor_group=") && selects("trait=CUSTOM_GPU,trait=CUSTOM_BIG")
        );
        assert!(!selects("trait=CUSTOM_RED") && !selects("owner=ada") && !selects("resource_class=silver"));
    }

    #[test]
    fn only_what_may_be_undeployed_is_asked_unless_it_is_named() {
        let node = |state: &str| json!({ "provision_state": state });
        for state in ["active", "deploy failed", "error", "wait call-back", "rescue"] {
            assert!(Action::Undeploy.fits(&node(state)), "{state}");
        }
        for state in ["available", "manageable", "enroll", "cleaning", "deleting", "no state"] {
            assert!(!Action::Undeploy.fits(&node(state)), "{state}");
        }
    }
}
