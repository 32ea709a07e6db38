//! A child process of the demo: another `wrought`, which says where it listens and ends with us.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, Command};

/// The first start of a host compiles the shipped drivers.
const READY_PATIENCE: Duration = Duration::from_secs(120);
const STOP_PATIENCE: Duration = Duration::from_secs(15);
const LAST_LINES: usize = 15;

/// Killed when dropped; [`Child::stop`] is kinder.
pub struct Child {
    name: &'static str,
    process: tokio::process::Child,
    /// Its end is the child's sign to stop, also when we die without a word.
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Child {
    /// Runs this same program with `args`; its log goes to a file in `folder`.
    pub fn start(name: &'static str, args: Vec<OsString>, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let mut process = Command::new(std::env::current_exe().context("finding this program")?)
            .args(args)
            .args(["--json", "--follow-stdin"])
            .env_remove("WROUGHT_CONFIG")
            .env_remove("WROUGHT_AGENT_LISTEN")
            .env_remove("WROUGHT_PUBLIC_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).with_context(|| format!("making {}", log.display()))?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting the {name}"))?;
        let stdin = process.stdin.take();
        Ok(Self { name, process, stdin, log })
    }

    /// Waits for the line that says where the child listens, and returns that URL.
    pub async fn ready(&mut self) -> anyhow::Result<String> {
        let stdout = self.process.stdout.take().context("its output is already read")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let Ok(read) = tokio::time::timeout(READY_PATIENCE, stdout.read_line(&mut line)).await else {
            bail!("the {} is not ready after {} s", self.name, READY_PATIENCE.as_secs());
        };
        if read.with_context(|| format!("reading from the {}", self.name))? == 0 {
            bail!("the {} did not start", self.name);
        }
        // Kept open, lest a further line fails.
        self.process.stdout = Some(stdout.into_inner());
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("the first line of the {}: {line:?}", self.name))?;
        ready.get("url").and_then(Value::as_str).map(str::to_owned).with_context(|| format!("the {} named no URL: {line:?}", self.name))
    }

    /// Resolves if the child ends, which it should not.
    pub async fn gone(&mut self) -> anyhow::Error {
        match self.process.wait().await {
            Ok(status) => anyhow::anyhow!("the {} ended: {status}", self.name),
            Err(error) => anyhow::anyhow!("waiting for the {}: {error}", self.name),
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let Ok(text) = std::fs::read(&self.log) else {
            return String::new();
        };
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
        if last.is_empty() { String::new() } else { format!("the {}'s last lines:\n  {}\n", self.name, last.join("\n  ")) }
    }

    /// Asks the child to end, waits, and kills it when it does not.
    pub async fn stop(mut self) {
        drop(self.stdin.take());
        if tokio::time::timeout(STOP_PATIENCE, self.process.wait()).await.is_err() {
            // Fails only for a process that is gone.
            let _ = self.process.kill().await;
        }
    }
}
