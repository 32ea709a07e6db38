//! `wrought driver`: the life of drivers on a running host.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{ArgGroup, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use wit_component::ComponentEncoder;

use crate::client::{Client, HostArgs, segment};
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
    let versions = rows(items(&driver, "versions").iter(), &["version", "status", "digest", "requested", "granted", "uploaded_at"]);
    output::say(&versions.trim_fmt())
}

/// A version that asks for more than it is granted is refused by the host, with the command that grants the rest.
async fn activate(client: &Client, name: &str, which: Option<(&str, String)>, grant: &[String], json: bool) -> anyhow::Result<()> {
    let mut body = json!({ "grant": grant });
    if let (Some((key, wanted)), Some(body)) = (which, body.as_object_mut()) {
        body.insert(key.to_owned(), wanted.into());
    }
    let version =
        client.call(Method::POST, &format!("{}/activate", path(name)), &body).await.with_context(|| format!("activating driver {name}"))?;
    if json {
        return output::say_json(&version);
    }
    output::say(&format!(
        "{name} {} {} is active, granted {}",
        text(&version, "version"),
        text(&version, "digest"),
        or_none(&version, "granted")
    ))
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

fn or_none(value: &Value, key: &str) -> String {
    value.get(key).map(output::cell).filter(|text| !text.is_empty()).unwrap_or_else(|| "nothing".to_owned())
}
