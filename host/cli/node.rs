//! `wrought node`: a look at the nodes, what happens to them and why, and ways out. For all else there is the `baremetal` CLI.

mod bulk;
mod events;
mod failed;
mod why;

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use wrought_domain::rollout::Selector;

use crate::client::{Client, HostArgs, segment};
use crate::output;
use bulk::{Action, How, Which};
use failed::GroupBy;

const COLUMNS: [&str; 7] = ["uuid", "name", "driver", "power_state", "provision_state", "maintenance", "last_error"];

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List all nodes
    List {
        #[command(flatten)]
        host: HostArgs,
        /// Only nodes in this provision state, such as active
        #[arg(long, value_name = "STATE")]
        provision_state: Option<String>,
        /// Only nodes of a kind, such as trait=CUSTOM_GPU,resource_class=gold,owner=PROJECT,conductor_group=GROUP
        #[arg(long)]
        selector: Option<Selector>,
        /// Only nodes whose last operation failed
        #[arg(long)]
        failed: bool,
        /// Put failed nodes together that have this in common
        #[arg(long, requires = "failed", value_name = "WHAT")]
        group_by: Option<GroupBy>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one node
    Show {
        /// UUID or name
        node: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what happened to a node, or to all, and what happens
    Events(events::Events),
    /// Say what a node waits for, since when and until when, or why it failed, and what to do
    Why {
        /// UUID or name
        node: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Begin the operations of failed nodes again, each after its last finished step
    Retry {
        #[command(flatten)]
        which: Which,
        /// Execute all steps again
        #[arg(long)]
        from_start: bool,
        #[command(flatten)]
        how: How,
    },
    /// Undeploy nodes
    Undeploy {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
    /// End an operation that waits for its turn; the node is then in the failed state of its verb
    Cancel {
        /// UUID or name
        node: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End the operation that holds a node, at once, and leave the machine as it is
    Unlock {
        /// UUID or name
        node: String,
        /// Why, for last_error and the node's history
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl NodeCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { host, provision_state, selector, failed, group_by, json } => {
                let filter = provision_state.map(|state| format!("&provision_state={}", segment(&state))).unwrap_or_default();
                let more = ",fault,maintenance_reason,reservation,traits,owner,resource_class,conductor_group";
                let mut nodes = list(&Client::of(&host)?, &format!("{}{more}", COLUMNS.join(",")), &filter).await?;
                nodes.retain(|node| {
                    selector.as_ref().is_none_or(|selector| bulk::selects(selector, node)) && (!failed || failed::is_failed(node))
                });
                if let Some(by) = group_by {
                    return failed::show(&nodes, by, json);
                }
                if json {
                    return output::say_json(&json!({ "nodes": nodes }));
                }
                let mut table = output::table(&COLUMNS);
                for node in &nodes {
                    table.add_row(COLUMNS.map(|column| output::cell(node.get(column).unwrap_or(&Value::Null))));
                }
                output::say(&table.trim_fmt())
            }
            Self::Show { node, host, json } => {
                let node = Client::of(&host)?.get(&format!("/v1/nodes/{}", segment(&node))).await?;
                if json {
                    return output::say_json(&node);
                }
                let mut table = output::table(&["field", "value"]);
                for (field, value) in node.as_object().into_iter().flatten().filter(|(_, value)| !is_links(value)) {
                    table.add_row([field.clone(), output::cell(value)]);
                }
                output::say(&table.trim_fmt())
            }
            Self::Events(events) => events.run().await,
            Self::Why { node, host, json } => why::run(&Client::of(&host)?, &node, json).await,
            Self::Retry { which, from_start, how } => bulk::run(Action::Retry { from_start }, which, how).await,
            Self::Undeploy { which, how } => bulk::run(Action::Undeploy, which, how).await,
            Self::Cancel { node, host, json } => cancel(&Client::of(&host)?, &node, json).await,
            Self::Unlock { node, reason, host, json } => unlock(&Client::of(&host)?, &node, &reason, json).await,
        }
    }
}

async fn cancel(client: &Client, node: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("/wrought/v1/nodes/{}/cancel", segment(node));
    let ended =
        client.send(Method::POST, &path, |request| request).await.with_context(|| format!("cancelling what node {node} waits to do"))?;
    if json {
        return output::say_json(&ended);
    }
    let text = |pointer: &str| ended.pointer(pointer).map(output::cell).unwrap_or_default();
    output::say(&format!(
        "ended the {} of {}; the node is in {}",
        text("/operation/verb"),
        text("/operation/user"),
        text("/provision_state")
    ))
}

async fn unlock(client: &Client, node: &str, reason: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("/wrought/v1/nodes/{}/unlock", segment(node));
    let ended = client.call(Method::POST, &path, &json!({ "reason": reason })).await.with_context(|| format!("unlocking node {node}"))?;
    if json {
        return output::say_json(&ended);
    }
    let text = |pointer: &str| ended.pointer(pointer).map(output::cell).unwrap_or_default();
    output::say(&format!(
        "ended the {} of {} that began at {}; the node is in {}: {}",
        text("/operation/kind"),
        text("/operation/user"),
        text("/operation/began_at"),
        text("/provision_state"),
        text("/last_error")
    ))
}

/// Whether a value only says where to find more.
fn is_links(value: &Value) -> bool {
    value.pointer("/0/href").is_some()
}

/// All nodes, page by page, with the given fields. `uuid` must be among them.
pub async fn list(client: &Client, fields: &str, filter: &str) -> anyhow::Result<Vec<Value>> {
    const PAGE: usize = 1000;
    let mut nodes = Vec::new();
    let mut marker = String::new();
    loop {
        let mut page = client.get(&format!("/v1/nodes?fields={fields}&limit={PAGE}{filter}{marker}")).await?;
        let Some(Value::Array(more)) = page.get_mut("nodes").map(Value::take) else {
            anyhow::bail!("the list of nodes is not what a Wrought host sends");
        };
        let last = more.last().and_then(|node| node.get("uuid")).and_then(Value::as_str).map(str::to_owned);
        let full = more.len() >= PAGE;
        nodes.extend(more);
        match last {
            Some(uuid) if full => marker = format!("&marker={uuid}"),
            _ => return Ok(nodes),
        }
    }
}
