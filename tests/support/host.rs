//! A host: `wrought serve` as a child process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Api;

/// The first start of a build compiles the shipped drivers.
const READY: Duration = Duration::from_secs(60);
const LOG_LINES: usize = 100;

/// What differs from host to host.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Lines for `[conductor]`.
    pub conductor: &'static str,
    /// Further sections.
    pub sections: &'static str,
    /// What to log.
    pub log: &'static str,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { conductor: "", sections: "", log: "info" }
    }
}

/// A running host. Dropping it kills it; a panic shows the end of its log.
pub struct Host {
    folder: TempDir,
    log: &'static str,
    listen: String,
    process: Child,
    pub api: Api,
}

impl Host {
    pub async fn start(config: HostConfig) -> Self {
        let folder = tempfile::Builder::new().prefix("wrought-system-").tempdir().unwrap();
        let HostConfig { conductor, sections, log } = config;
        // Tests that let machines be as no record has them say so.
        let sync = if conductor.contains("sync_power_state_interval") { "" } else { "sync_power_state_interval = 0\n" };
        // Who is refused because a node is held shall be told so at once.
        let patience = if sections.contains("[api]") { "" } else { "[api]\nnode_locked_patience_ms = 0\n" };
        let text = format!(
            "[conductor]\npoll_min_ms = 50\npoll_max_ms = 500\n{sync}{conductor}\n{patience}[image]\nallow_loopback = true\n{sections}"
        );
        std::fs::write(folder.path().join("wrought.toml"), text).unwrap();
        let drivers = folder.path().join("data/drivers");
        let compiled = super::compiled::take(&drivers);
        let mut process = serve(folder.path(), "127.0.0.1:0", log).spawn().unwrap();
        let url = ready(&mut process, folder.path()).await;
        if !compiled {
            super::compiled::keep(&drivers);
        }
        let listen = url.trim_start_matches("http://").to_owned();
        Self { folder, log, listen, process, api: Api::new(&url) }
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Starts it on the same data and address, after `kill`.
    pub async fn start_again(&mut self) {
        self.process = serve(self.folder.path(), &self.listen, self.log).spawn().unwrap();
        let url = ready(&mut self.process, self.folder.path()).await;
        self.api = Api::new(&url);
    }

    /// Starts a second host on the same data; how it ended and what it said.
    pub async fn second(&self) -> (ExitStatus, String) {
        let mut command = serve(self.folder.path(), "127.0.0.1:0", self.log);
        let ended = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
        let output = tokio::time::timeout(READY, ended).await.expect("a second host ends by itself").unwrap();
        (output.status, String::from_utf8(output.stderr).unwrap())
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self) -> ExitStatus {
        drop(self.process.stdin.take());
        tokio::time::timeout(READY, self.process.wait()).await.expect("the host ends when asked").unwrap()
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> u32 {
        self.process.id().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Where it keeps its state.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// All that it logged, in all its lives.
    pub fn log(&self) -> String {
        String::from_utf8(std::fs::read(self.folder.path().join("host.log")).unwrap()).unwrap()
    }

    /// For a test that fails.
    pub fn show_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("the host's last lines:\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_log();
        }
        // Gone already, or gone now: nobody waits for it.
        let _ = self.process.start_kill();
    }
}

fn serve(folder: &Path, listen: &str, log: &str) -> Command {
    let log_file = File::options().create(true).append(true).open(folder.join("host.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wrought"));
    for name in ["WROUGHT_AGENT_LISTEN", "WROUGHT_PUBLIC_URL", "WROUGHT_LOG"] {
        command.env_remove(name);
    }
    command.args(["serve", "--json", "--follow-stdin", "--listen", listen, "--log", log]);
    command.arg("--data").arg(folder.join("data")).arg("--config").arg(folder.join("wrought.toml"));
    // Standard input ends with this process, however that ends, and the host with it.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file).kill_on_drop(true);
    command
}

/// Waits for the line that tells where it listens.
async fn ready(process: &mut Child, folder: &Path) -> String {
    let mut line = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let read = tokio::time::timeout(READY, output.read_line(&mut line)).await.expect("the host says when it is ready").unwrap();
    if read == 0 {
        panic!("the host did not start: {}", std::fs::read_to_string(folder.join("host.log")).unwrap());
    }
    let told: Value = serde_json::from_str(&line).unwrap();
    told["url"].as_str().unwrap().to_owned()
}
