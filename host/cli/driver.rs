//! `wrought driver`: the life of drivers on a running host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgGroup, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use wit_component::ComponentEncoder;

use crate::client::{Client, ClientError, HostArgs, segment};
use crate::output;

const COLUMNS: [&str; 6] = ["name", "version", "status", "digest", "vendor", "summary"];

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
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
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
    let bytes = tokio::fs::read(file).await.with_context(|| format!("reading {}", file.display()))?;
    let component = component(bytes).with_context(|| format!("making a component of {}", file.display()))?;
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
    let answer = client.upload(&path(name), length, Body::wrap_stream(chunks)).await;
    bar.finish_and_clear();
    let version = answer.with_context(|| format!("uploading {} as driver {name}", file.display()))?;
    if json {
        return output::say_json(&version);
    }
    let digest = text(&version, "digest");
    output::say(&format!("{name} {} {digest}", text(&version, "version")))?;
    let requested = names(&version, "requested");
    if text(&version, "status") != "active" {
        let grant = if requested.is_empty() { String::new() } else { format!(" --grant {}", requested.join(",")) };
        output::complain(&format!("it is not in force yet: wrought driver activate {name} --digest {digest}{grant}"));
    }
    Ok(())
}

/// The component itself, or the one that a compiler's core module carries the description of.
fn component(bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
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
    output::say(&rows(versions, &COLUMNS).to_string())
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
    let versions = rows(items(&driver, "versions").iter(), &["version", "status", "digest", "requested", "uploaded_at"]);
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
    let versions = items(driver, "versions");
    let Some((key, wanted)) = which else {
        return versions.iter().max_by_key(|version| text(version, "uploaded_at")).context("it has no version");
    };
    let is_meant = |version: &&Value| if *key == "digest" { is_digest(text(version, key), wanted) } else { text(version, key) == *wanted };
    let mut meant = versions.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(version), None) => Ok(version),
        (None, _) => bail!("it has no {key} {wanted:?}"),
        (Some(_), Some(_)) => bail!("several of its versions have the {key} {wanted:?}: name one by its whole --digest"),
    }
}

/// Whether `given` is this digest or begins it, with or without the name of its algorithm.
fn is_digest(digest: &str, given: &str) -> bool {
    digest.starts_with(given) || digest.split_once(':').is_some_and(|(_, hex)| hex.starts_with(given))
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

fn rows<'a>(items: impl Iterator<Item = &'a Value>, columns: &[&str]) -> comfy_table::Table {
    let mut table = output::table(columns);
    for item in items {
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

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn names(value: &Value, key: &str) -> Vec<String> {
    items(value, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver() -> Value {
        json!({ "name": "acme", "grants": ["agent"], "versions": [
            { "version": "2", "digest": "sha256:ab02", "requested": ["agent", "power"], "uploaded_at": "2026-01-03T00:00:00Z" },
            { "version": "1", "digest": "sha256:ab01", "requested": ["agent"], "uploaded_at": "2026-01-02T00:00:00Z" },
            { "version": "1", "digest": "sha256:cd01", "requested": [], "uploaded_at": "2026-01-01T00:00:00Z" },
        ]})
    }

    fn digest_of(which: Option<(&str, &str)>) -> Result<String, String> {
        let which = which.map(|(key, wanted)| (key, wanted.to_owned()));
        chosen(&driver(), which.as_ref()).map(|version| text(version, "digest").to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_version_is_named_by_version_or_digest_and_is_else_the_latest() {
        assert_eq!(digest_of(None).as_deref(), Ok("sha256:ab02"));
        assert_eq!(digest_of(Some(("version", "2"))).as_deref(), Ok("sha256:ab02"));
        assert_eq!(digest_of(Some(("digest", "cd"))).as_deref(), Ok("sha256:cd01"));
        assert_eq!(digest_of(Some(("digest", "sha256:ab01"))).as_deref(), Ok("sha256:ab01"));
        assert!(digest_of(Some(("version", "1"))).is_err_and(|error| error.contains("several")));
        assert!(digest_of(Some(("digest", "ef"))).is_err_and(|error| error.contains("no digest")));
    }

    #[test]
    fn a_refusal_for_want_of_grants_ends_in_the_command_that_grants() {
        let refusal = || ClientError::Refused {
            method: Method::POST,
            path: "/x".to_owned(),
            status: StatusCode::CONFLICT,
            message: "not granted".to_owned(),
            hint: "",
        };
        let driver = driver();
        let version = chosen(&driver, None).expect("there is one");
        let text = with_grants(refusal(), &driver, version, "acme", &[]).to_string();
        assert!(text.ends_with("wrought driver activate acme --digest sha256:ab02 --grant agent,power"), "{text}");
        assert!(text.contains("not granted power"), "{text}");
        let other = with_grants(refusal(), &driver, version, "acme", &["power".to_owned()]).to_string();
        assert!(!other.contains("--grant"), "{other}");
    }
}
