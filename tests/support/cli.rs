//! The command line, as an operator or a vendor calls it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// Compiling a driver is the longest that a command does.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub bytes: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    /// What it printed.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Itself, if it ended with this status.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", String::from_utf8_lossy(&self.bytes), self.stderr);
        self
    }
}

/// Runs `wrought` in a folder, for the host at `url`.
pub async fn wrought(folder: &Path, url: &str, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wrought"));
    for name in ["WROUGHT_DATA", "WROUGHT_CONFIG", "WROUGHT_LOG", "WROUGHT_USERNAME", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command.args(args).env("WROUGHT_URL", url).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("a command ends by itself").unwrap();
    Ran { code: ended.status.code().unwrap_or(-1), bytes: ended.stdout, stderr: String::from_utf8(ended.stderr).unwrap() }
}
