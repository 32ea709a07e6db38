//! `wrought driver`: the life of drivers on a running host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgGroup, Subcommand};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use crate::client::{Client, ClientError, HostArgs, segment};
use crate::output;

const COLUMNS: [&str; 5] = ["name", "version", "digest", "state", "vendor"];

#[derive(Debug, Subcommand)]
pub enum DriverCommand {
    /// Upload a component; it is checked, compiled and tried, but not yet used
    Push {
        /// Name of the driver, which nodes choose as their deploy_interface
        name: String,
        /// The component
        file: PathBuf,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the drivers in force
    List {
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one driver, all its versions, what they ask for and what is granted
    Show {
        name: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a version in force for all operations that begin from now on
    #[command(group(ArgGroup::new("which").args(["version", "version_flag", "digest"])))]
    Activate {
        name: String,
        /// The version [default: the last one uploaded]
        version: Option<String>,
        /// The same
        #[arg(long = "version", value_name = "VERSION", id = "version_flag")]
        version_flag: Option<String>,
        /// The version by its digest
        #[arg(long)]
        digest: Option<String>,
        /// What the driver may do from now on, such as power,boot,agent
        #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
        grant: Vec<String>,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl DriverCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Push { name, file, host, json } => push(&Client::of(&host)?, &name, &file, json).await,
            Self::List { host, json } => list(&Client::of(&host)?, json).await,
            Self::Show { name, host, json } => show(&Client::of(&host)?, &name, json).await,
            Self::Activate { name, version, version_flag, digest, grant, host, json } => {
                let which = match (version.or(version_flag), digest) {
                    (Some(version), _) => Some(("version", version)),
                    (None, Some(digest)) => Some(("digest", digest)),
                    (None, None) => None,
                };
                activate(&Client::of(&host)?, &name, which, &grant, json).await
            }
        }
    }
}

async fn push(client: &Client, name: &str, file: &Path, json: bool) -> anyhow::Result<()> {
    let open = || format!("reading {}", file.display());
    let source = tokio::fs::File::open(file).await.with_context(open)?;
    let length = source.metadata().await.with_context(open)?.len();
    let bar = ProgressBar::new(length)
        .with_style(ProgressStyle::with_template("{msg:12} {bar:40} {bytes}/{total_bytes}")?)
        .with_message("uploading");
    let counted = bar.clone();
    let chunks = ReaderStream::new(source).inspect_ok(move |chunk| {
        counted.inc(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if counted.position() >= length {
            counted.set_message("compiling");
        }
    });
    let answer = client.upload(&path(name), length, Body::wrap_stream(chunks)).await;
    bar.finish_and_clear();
    let version = answer.with_context(|| format!("uploading {} as driver {name}", file.display()))?;
    if json {
        return output::say_json(&version);
    }
    let digest = text(&version, "digest");
    output::say(&format!("{name} {} {digest}", text(&version, "version")))?;
    let requested = names(&version, "requested");
    if text(&version, "state") != "active" {
        let grant = if requested.is_empty() { String::new() } else { format!(" --grant {}", requested.join(",")) };
        output::complain(&format!("it is not in force yet: wrought driver activate {name} --digest {digest}{grant}"));
    }
    Ok(())
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let drivers = client.get("/wrought/v1/drivers").await?;
    if json {
        return output::say_json(&drivers);
    }
    output::say(&rows(drivers.get("drivers").and_then(Value::as_array), &COLUMNS).to_string())
}

async fn show(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let driver = client.get(&path(name)).await?;
    if json {
        return output::say_json(&driver);
    }
    let mut facts = output::table(&["field", "value"]);
    for (field, value) in driver.as_object().into_iter().flatten().filter(|(field, _)| *field != "versions") {
        facts.add_row([field.clone(), output::cell(value)]);
    }
    let versions = rows(driver.get("versions").and_then(Value::as_array), &["version", "digest", "state", "requested"]);
    output::say(&format!("{facts}\n\n{versions}"))
}

async fn activate(client: &Client, name: &str, which: Option<(&str, String)>, grant: &[String], json: bool) -> anyhow::Result<()> {
    let driver = client.get(&path(name)).await?;
    let version = chosen(&driver, which.as_ref()).with_context(|| format!("activating {name}: see `wrought driver show {name}`"))?;
    let digest = text(version, "digest");
    let body = json!({ "digest": digest, "grant": grant });
    let answer = match client.call(Method::POST, &format!("{}/activate", path(name)), &body).await {
        Err(refusal @ ClientError::Refused { status: StatusCode::CONFLICT | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST, .. }) => {
            return Err(with_grants(refusal, &driver, version, name, grant));
        }
        answer => answer?,
    };
    if json { output::say_json(&answer) } else { output::say(&format!("{name} {} {digest} is active", text(version, "version"))) }
}

/// The version that is meant; the last one uploaded when none is named.
fn chosen<'a>(driver: &'a Value, which: Option<&(&str, String)>) -> anyhow::Result<&'a Value> {
    let versions = driver.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some((key, wanted)) = which else {
        return versions.last().context("it has no version");
    };
    let mut matching = versions.iter().filter(|version| match *key {
        "digest" => text(version, "digest").starts_with(wanted.as_str()),
        _ => text(version, key) == *wanted,
    });
    let found = matching.next_back().with_context(|| format!("it has no {key} {wanted:?}"))?;
    if matching.any(|other| text(other, "digest") != text(found, "digest")) {
        bail!("{key} {wanted:?} is that of several uploads: name one by its --digest");
    }
    Ok(found)
}

/// The refusal, with what the version asks for and the command that grants it, if that is what is missing.
fn with_grants(refusal: ClientError, driver: &Value, version: &Value, name: &str, grant: &[String]) -> anyhow::Error {
    let granted: BTreeSet<String> = names(driver, "grants").into_iter().chain(grant.iter().cloned()).collect();
    let requested: BTreeSet<String> = names(version, "requested").into_iter().collect();
    let missing: Vec<_> = requested.difference(&granted).cloned().collect();
    if missing.is_empty() {
        return refusal.into();
    }
    let all: Vec<_> = granted.union(&requested).cloned().collect();
    anyhow::anyhow!(
        "{refusal}\nThe version asks for {}, of which it is not granted {}. If it may have that:\n  wrought driver activate {name} --digest {} --grant {}",
        requested.into_iter().collect::<Vec<_>>().join(", "),
        missing.join(", "),
        text(version, "digest"),
        all.join(",")
    )
}

fn rows(items: Option<&Vec<Value>>, columns: &[&str]) -> comfy_table::Table {
    let mut table = output::table(columns);
    for item in items.into_iter().flatten() {
        table.add_row(columns.iter().map(|column| output::cell(item.get(column).unwrap_or(&Value::Null))));
    }
    table
}

fn path(name: &str) -> String {
    format!("/wrought/v1/drivers/{}", segment(name))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn names(value: &Value, key: &str) -> Vec<String> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
