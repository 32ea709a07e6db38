//! `wrought driver activate`, `rollback`, `canary`, `pause`, `resume`, `grant`, `ungrant`, `revoke` and `events`: what is decided about
//! the versions of a driver.

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};
use wrought_domain::rollout::Selector;

use super::{or_none, path, text};
use crate::audit;
use crate::client::{Client, HostArgs};
use crate::output;

/// How an answer is shown.
#[derive(Debug, Args)]
pub struct Shown {
    #[command(flatten)]
    host: HostArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A version of a driver.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["version", "version_flag", "digest"])))]
pub struct Which {
    /// The version
    version: Option<String>,
    /// The same
    #[arg(long = "version", value_name = "VERSION", id = "version_flag")]
    version_flag: Option<String>,
    /// The version by its digest
    #[arg(long)]
    digest: Option<String>,
}

impl Which {
    fn put(self, body: &mut Map<String, Value>) {
        let named = self.version.or(self.version_flag).map(|version| ("version", version));
        if let Some((key, value)) = named.or(self.digest.map(|digest| ("digest", digest))) {
            body.insert(key.to_owned(), value.into());
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Put a version in force for all operations that begin from now on [default: the last one uploaded]
    Activate {
        name: String,
        #[command(flatten)]
        which: Which,
        /// What the driver may do from now on, such as power,boot.set-device,http=GET@https://files.example.com
        #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
        grant: Vec<String>,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Put the version in force again that was before
    Rollback {
        name: String,
        #[command(flatten)]
        which: Which,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Try a version on a share of the new operations; it is stopped when too many of them fail [default: the last one uploaded]
    Canary {
        name: String,
        #[command(flatten)]
        which: Which,
        /// The share of the new operations, in percent [default with --selector: 100]
        #[arg(long, required_unless_present_any = ["stop", "selector"], value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: Option<u8>,
        /// The nodes that take part, such as trait=CUSTOM_GPU,resource_class=gold,owner=PROJECT,conductor_group=GROUP [default: all]
        #[arg(long, value_name = "SELECTOR")]
        selector: Option<Selector>,
        /// The share of its last operations that may fail, in percent [default: 20]
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
        max_failures: Option<u8>,
        /// How many of its last operations are looked at [default: 20]
        #[arg(long, value_name = "OPERATIONS")]
        window: Option<u32>,
        /// How many must have ended before it is judged [default: 3]
        #[arg(long, value_name = "OPERATIONS")]
        min_operations: Option<u32>,
        /// End the trial: the version in force serves everybody again
        #[arg(long, conflicts_with_all = ["which", "percent", "selector", "max_failures", "window", "min_operations", "grant"])]
        stop: bool,
        /// What the driver may do from now on
        #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
        grant: Vec<String>,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Let no new operation begin on a driver; what is under way goes on
    Pause {
        name: String,
        /// Why: it is told to who asks for an operation
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Let operations begin again
    Resume {
        name: String,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Let a driver do more, from its next host call on
    Grant {
        name: String,
        /// Such as power, boot.set-device, http=GET@https://files.example.com
        #[arg(required = true, value_delimiter = ',')]
        capability: Vec<String>,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Let a driver do less, from its next host call on
    Ungrant {
        name: String,
        /// A capability by its name takes all that is granted of it
        #[arg(required = true, value_delimiter = ',')]
        capability: Vec<String>,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Let nothing run on a version any more: operations on it end at their next host call
    Revoke {
        /// Its digest, or the beginning of it; in full, it need not be known to the host
        digest: String,
        /// Why: it is shown on the nodes
        #[arg(long)]
        reason: String,
        /// Put the version in force again that was before
        #[arg(long)]
        rollback: bool,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show what was decided about a driver, by whom and why
    Events {
        name: String,
        #[command(flatten)]
        follow: audit::Follow,
        #[command(flatten)]
        shown: Shown,
    },
}

impl RolloutCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Activate { name, which, grant, reason, shown } => {
                let mut body = body([("grant", json!(grant)), ("reason", json!(reason))]);
                which.put(&mut body);
                decide(&name, Method::POST, "activate", body, &shown).await
            }
            Self::Rollback { name, which, reason, shown } => {
                let mut body = body([("reason", json!(reason))]);
                which.put(&mut body);
                decide(&name, Method::POST, "rollback", body, &shown).await
            }
            Self::Canary { name, stop: true, reason, shown, .. } => {
                decide(&name, Method::DELETE, "canary", body([("reason", json!(reason))]), &shown).await
            }
            Self::Canary { name, which, percent, selector, max_failures, window, min_operations, grant, reason, shown, .. } => {
                let bounds = [("max_failure_percent", max_failures.map(u32::from)), ("window", window), ("min_operations", min_operations)];
                let bounds: Map<String, Value> =
                    bounds.into_iter().filter_map(|(key, value)| value.map(|value| (key.to_owned(), value.into()))).collect();
                let mut body = body([
                    ("grant", json!(grant)),
                    ("percent", json!(percent)),
                    ("selector", json!(selector.unwrap_or_default())),
                    ("bounds", bounds.into()),
                    ("reason", json!(reason)),
                ]);
                which.put(&mut body);
                decide(&name, Method::POST, "canary", body, &shown).await
            }
            Self::Pause { name, reason, shown } => decide(&name, Method::POST, "pause", body([("reason", json!(reason))]), &shown).await,
            Self::Resume { name, reason, shown } => decide(&name, Method::POST, "resume", body([("reason", json!(reason))]), &shown).await,
            Self::Grant { name, capability, reason, shown } => {
                let body = body([("grant", json!(capability)), ("reason", json!(reason))]);
                decide(&name, Method::POST, "grant", body, &shown).await
            }
            Self::Ungrant { name, capability, reason, shown } => {
                let body = body([("grant", json!(capability)), ("reason", json!(reason))]);
                decide(&name, Method::POST, "ungrant", body, &shown).await
            }
            Self::Revoke { digest, reason, rollback, shown } => revoke(&digest, &reason, rollback, &shown).await,
            Self::Events { name, follow, shown } => audit::show(&shown.host, &format!("{}/events", path(&name)), &follow, shown.json).await,
        }
    }
}

fn body<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

async fn decide(name: &str, method: Method, verb: &str, body: Map<String, Value>, shown: &Shown) -> anyhow::Result<()> {
    let body = body.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let answer = Client::of(&shown.host)?.call(method, &format!("{}/{verb}", path(name)), &Value::Object(body)).await;
    let answer = answer.with_context(|| format!("{verb} of driver {name}"))?;
    if shown.json {
        return output::say_json(&answer);
    }
    warn(&answer);
    output::say(&match answer.get("status") {
        Some(_) => format!(
            "{name} {} {} is {}, granted {}",
            text(&answer, "version"),
            text(&answer, "digest"),
            text(&answer, "status"),
            or_none(&answer, "granted")
        ),
        None => {
            let active = answer.get("active").filter(|active| !active.is_null());
            let active = active.map_or_else(|| "no version".to_owned(), |active| text(active, "version").to_owned());
            let paused = if answer.get("paused").is_some_and(Value::is_object) { ", paused" } else { "" };
            format!("{name}: {active} is active{paused}, granted {}", or_none(&answer, "granted"))
        }
    })
}

async fn revoke(digest: &str, reason: &str, rollback: bool, shown: &Shown) -> anyhow::Result<()> {
    let body = json!({"digest": digest, "reason": reason, "rollback": rollback});
    let answer = Client::of(&shown.host)?.call(Method::POST, "/wrought/v1/revocations", &body).await;
    let answer = answer.with_context(|| format!("revoking {digest}"))?;
    if shown.json {
        return output::say_json(&answer);
    }
    warn(&answer);
    let count = answer.get("operations").map(output::cell).unwrap_or_default();
    output::say(&format!("{} is revoked (drivers: {}); operations that end: {count}", text(&answer, "digest"), or_none(&answer, "drivers")))
}

fn warn(answer: &Value) {
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        output::complain(&format!("warning: {}", output::cell(warning)));
    }
}
