//! `wrought driver`: the life of drivers on a running host, and the same look at them without one.

mod check;
mod limits;
mod rollout;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Body;
use serde_json::Value;
use wit_component::ComponentEncoder;

use crate::client::{Client, HostArgs, segment};
use crate::output;

const COLUMNS: [&str; 6] = ["name", "version", "status", "digest", "vendor", "summary"];

const VERSION_COLUMNS: [&str; 8] = ["version", "status", "digest", "requested", "granted", "signature", "uploaded_by", "uploaded_at"];

const CHUNK: usize = 64 << 10;
/// How a core module of WebAssembly begins; a component has another version.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

#[derive(Debug, Subcommand)]
pub enum DriverCommand {
    /// Upload a component; it is checked, compiled and tried, but not yet used
    Push {
        /// Name of the driver, which nodes choose as their deploy_interface
        name: String,
        /// The component, or a core module that a binding generator put its world into
        file: PathBuf,
        /// Its detached signature, as `minisign -S` makes it [default: FILE.minisig, if it is there]
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Judge a component as a host would, without one; status 1 when it would be rejected
    Check(check::Check),
    /// Show what the calls of a driver may use, or change it
    Limits(limits::Limits),
    /// List the drivers and their versions
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
    /// Delete a version that nothing refers to any more
    Delete {
        name: String,
        /// Its digest, or the beginning of it
        digest: String,
        #[command(flatten)]
        host: HostArgs,
    },
    #[command(flatten)]
    Rollout(rollout::RolloutCommand),
}

impl DriverCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Push { name, file, signature, host, json } => push(&Client::of(&host)?, &name, &file, signature.as_deref(), json).await,
            Self::Check(check) => check.run().await,
            Self::Limits(limits) => limits.run().await,
            Self::List { host, json } => list(&Client::of(&host)?, json).await,
            Self::Show { name, host, json } => show(&Client::of(&host)?, &name, json).await,
            Self::Delete { name, digest, host } => {
                Client::of(&host)?.delete(&format!("{}/versions/{}", path(&name), segment(&digest))).await?;
                output::say(&format!("{name} {digest} is deleted"))
            }
            Self::Rollout(rollout) => rollout.run().await,
        }
    }
}

async fn push(client: &Client, name: &str, file: &Path, signature: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let (component, signature) = read(file, signature)?;
    let length = u64::try_from(component.len())?;
    let bar = ProgressBar::new(length)
        .with_style(ProgressStyle::with_template("{msg:12} {bar:40} {bytes}/{total_bytes}")?)
        .with_message("uploading");
    let sent = bar.clone();
    let chunks: Vec<Vec<u8>> = component.chunks(CHUNK).map(<[u8]>::to_vec).collect();
    let chunks = futures::stream::iter(chunks.into_iter().map(move |chunk| {
        sent.inc(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if sent.position() >= length {
            sent.set_message("compiling");
        }
        Ok::<_, std::io::Error>(chunk)
    }));
    let answer = client.upload(&path(name), length, signature.as_deref(), Body::wrap_stream(chunks)).await;
    bar.finish_and_clear();
    let version = answer.with_context(|| format!("uploading {} as driver {name}", file.display()))?;
    if json {
        return output::say_json(&version);
    }
    let digest = text(&version, "digest");
    output::say(&format!(
        "{name} {} {digest}, {}, asks for {}",
        text(&version, "version"),
        text(&version, "status"),
        or_none(&version, "requested")
    ))?;
    if text(&version, "status") != "active" {
        let missing = version.get("missing").and_then(Value::as_array).into_iter().flatten().map(output::cell).collect::<Vec<_>>();
        let grant = if missing.is_empty() { String::new() } else { format!(" --grant {}", missing.join(",")) };
        output::complain(&format!("to put it in force: wrought driver activate {name} --digest {digest}{grant}"));
    }
    Ok(())
}

/// A component and the text of its signature.
fn read(file: &Path, signature: Option<&Path>) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let component = component(bytes).with_context(|| format!("making a component of {}", file.display()))?;
    let beside = PathBuf::from(format!("{}.minisig", file.display()));
    let text = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
    let signature = match signature {
        Some(signature) => Some(text(signature)?),
        None if beside.exists() => Some(text(&beside)?),
        None => None,
    };
    Ok((component, signature))
}

/// The component itself, or the one that a compiler's core module carries the description of.
pub fn component(bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if !bytes.starts_with(CORE_MODULE) {
        return Ok(bytes);
    }
    ComponentEncoder::default().validate(true).module(&bytes)?.encode()
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let drivers = client.get("/wrought/v1/drivers").await?;
    if json {
        return output::say_json(&drivers);
    }
    let versions = items(&drivers, "drivers").iter().flat_map(|driver| items(driver, "versions"));
    output::say(&rows(versions, &COLUMNS).trim_fmt())
}

async fn show(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let driver = client.get(&path(name)).await?;
    if json {
        return output::say_json(&driver);
    }
    output::say(&rows(items(&driver, "versions").iter(), &VERSION_COLUMNS).trim_fmt())?;
    for told in [trial(&driver), pause(&driver)].into_iter().flatten() {
        output::say(&told)?;
    }
    for rejected in items(&driver, "rejected") {
        let (digest, when, reason) = (text(rejected, "digest"), text(rejected, "uploaded_at"), text(rejected, "reason"));
        output::say(&format!("\nrejected {when} {digest}\n  {reason}"))?;
    }
    for version in items(&driver, "versions").iter().filter(|version| version.get("report").is_some_and(Value::is_array)) {
        output::say(&format!("\n{} {}", text(version, "version"), text(version, "digest")))?;
        output::say(&stages(items(version, "report")).trim_fmt())?;
    }
    Ok(())
}

/// How the trial of a version goes.
fn trial(driver: &Value) -> Option<String> {
    let canary = driver.get("canary").filter(|canary| canary.is_object())?;
    let ended = items(canary, "ended");
    let failed = ended.iter().filter(|ended| ended.get("error").is_some_and(Value::is_string)).count();
    let percent = canary.get("percent").map(output::cell).unwrap_or_default();
    let digest = text(canary, "digest");
    Some(format!("\non trial: {digest} for {percent} % of new operations; of its last {} operations {failed} failed", ended.len()))
}

/// Why no operation begins.
fn pause(driver: &Value) -> Option<String> {
    let paused = driver.get("paused").filter(|paused| paused.is_object())?;
    Some(format!("\npaused by {} since {}: {}", text(paused, "by"), text(paused, "at"), text(paused, "reason")))
}

/// The stages of admission, and what each found.
fn stages(report: &[Value]) -> comfy_table::Table {
    let mut table = output::table(&["stage", "passed", "ms", "found"]);
    for stage in report {
        let found = ["reason", "warning"].iter().find_map(|key| stage.get(*key).and_then(Value::as_str)).map(str::to_owned);
        let details = || stage.get("details").and_then(Value::as_object).into_iter().flatten();
        let found =
            found.unwrap_or_else(|| details().map(|(key, value)| format!("{key}={}", output::cell(value))).collect::<Vec<_>>().join(" "));
        let cell = |key: &str| output::cell(stage.get(key).unwrap_or(&Value::Null));
        table.add_row([cell("stage"), cell("ok"), cell("millis"), found]);
    }
    table
}

fn rows<'a>(items: impl Iterator<Item = &'a Value>, columns: &[&str]) -> comfy_table::Table {
    let mut table = output::table(columns);
    for item in items {
        // A signature says more than fits; its status is enough here.
        let value = |column: &str| item.get(column).map(|value| value.get("status").unwrap_or(value));
        table.add_row(columns.iter().map(|column| output::cell(value(column).unwrap_or(&Value::Null))));
    }
    table
}

fn path(name: &str) -> String {
    format!("/wrought/v1/drivers/{}", segment(name))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn or_none(value: &Value, key: &str) -> String {
    value.get(key).map(output::cell).filter(|text| !text.is_empty()).unwrap_or_else(|| "nothing".to_owned())
}
