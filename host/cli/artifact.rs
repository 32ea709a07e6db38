//! `wrought artifact`: files that drivers hand on to machines, such as firmware.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method};
use serde_json::Value;
use tokio_util::io::ReaderStream;

use crate::UsageError;
use crate::client::{Client, HostArgs, segment};
use crate::output;

const COLUMNS: [&str; 6] = ["name", "digest", "size", "uploaded_by", "uploaded_at", "url_until"];

const CHUNK: usize = 64 << 10;

/// As long as a host takes for an upload if nobody asks it for more.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

#[derive(Debug, Subcommand)]
pub enum ArtifactCommand {
    /// Upload a file
    Push {
        /// The file
        file: PathBuf,
        /// Name that drivers know it by [default: the file's own]
        #[arg(long)]
        name: Option<String>,
        /// What the file must be, sha256: and 64 digits; the host refuses anything else
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List all files
    List {
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one file
    Show {
        /// Its name or digest
        name: String,
        #[command(flatten)]
        host: HostArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a file to which no URL leads any more that a driver was given
    Delete {
        /// Its name or digest
        name: String,
        #[command(flatten)]
        host: HostArgs,
    },
}

impl ArtifactCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Push { file, name, digest, host, json } => push(&Client::of(&host)?, &file, name, digest.as_deref(), json).await,
            Self::List { host, json } => {
                let all = Client::of(&host)?.get("/wrought/v1/artifacts").await?;
                let items = all.get("artifacts").and_then(Value::as_array).cloned().unwrap_or_default();
                if json { output::say_json(&all) } else { show(&items) }
            }
            Self::Show { name, host, json } => {
                let artifact = Client::of(&host)?.get(&path(&name)).await?;
                if json { output::say_json(&artifact) } else { show(&[artifact]) }
            }
            Self::Delete { name, host } => {
                Client::of(&host)?.delete(&path(&name)).await?;
                output::say(&format!("{name} is deleted"))
            }
        }
    }
}

async fn push(client: &Client, file: &Path, name: Option<String>, digest: Option<&str>, json: bool) -> anyhow::Result<()> {
    let own_name = || file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.or_else(own_name).ok_or_else(|| UsageError(format!("{}: give the artifact a name with --name", file.display())))?;
    let reading = || format!("reading {}", file.display());
    let opened = tokio::fs::File::open(file).await.with_context(reading)?;
    let about = opened.metadata().await.with_context(reading)?;
    if !about.is_file() {
        return Err(UsageError(format!("{} is not a file", file.display())).into());
    }
    let bar = ProgressBar::new(about.len())
        .with_style(ProgressStyle::with_template("{msg:12} {bar:40} {bytes}/{total_bytes} {bytes_per_sec}")?)
        .with_message("uploading");
    let sent = bar.clone();
    let chunks =
        ReaderStream::with_capacity(opened, CHUNK).inspect_ok(move |chunk| sent.inc(u64::try_from(chunk.len()).unwrap_or(u64::MAX)));
    let query = digest.map(|digest| format!("?digest={}", segment(digest))).unwrap_or_default();
    let headers = |request: reqwest::RequestBuilder| {
        let request = request.header("Content-Type", "application/octet-stream").header("Content-Length", about.len());
        request.timeout(PATIENCE).body(Body::wrap_stream(chunks))
    };
    let answer = client.send(Method::POST, &format!("{}{query}", path(&name)), headers).await;
    bar.finish_and_clear();
    let artifact = answer.with_context(|| format!("uploading {} as artifact {name}", file.display()))?;
    if json { output::say_json(&artifact) } else { show(&[artifact]) }
}

fn show(artifacts: &[Value]) -> anyhow::Result<()> {
    let mut table = output::table(&COLUMNS);
    for artifact in artifacts {
        table.add_row(COLUMNS.iter().map(|column| output::cell(artifact.get(*column).unwrap_or(&Value::Null))));
    }
    output::say(&table.trim_fmt())
}

fn path(name: &str) -> String {
    format!("/wrought/v1/artifacts/{}", segment(name))
}
