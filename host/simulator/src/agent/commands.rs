//! The commands that an agent was given: their results live as long as the agent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

/// Results kept; a real agent keeps all, but a deploy needs about ten.
const MOST: usize = 1000;

/// `command_status` of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Running,
    Succeeded,
    Failed,
    CleanVersionMismatch,
}

/// `command_error` of a failed result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// Class of the error.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub code: u16,
    pub message: String,
    pub details: String,
}

impl Failure {
    pub fn new(kind: &'static str, message: &str, details: impl Into<String>) -> Self {
        Self { kind, code: 500, message: message.into(), details: details.into() }
    }

    /// A parameter of the command makes no sense.
    pub fn parameters(details: impl Into<String>) -> Self {
        Self { kind: "InvalidCommandParamsError", code: 400, message: "Invalid command parameters".into(), details: details.into() }
    }

    fn status(&self) -> Status {
        if self.kind == "VersionMismatch" { Status::CleanVersionMismatch } else { Status::Failed }
    }
}

/// One command as the agent's API shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CommandResult {
    id: Uuid,
    /// Without the extension.
    command_name: &'static str,
    command_status: Status,
    command_error: Option<Failure>,
    command_result: Option<Value>,
}

/// The last command is not done yet: its name.
#[derive(Debug)]
pub(crate) struct Busy(pub &'static str);

/// All commands of one agent, oldest first.
#[derive(Debug, Default)]
pub(crate) struct CommandLog {
    results: Mutex<VecDeque<CommandResult>>,
    changed: Notify,
}

impl CommandLog {
    fn lock(&self) -> MutexGuard<'_, VecDeque<CommandResult>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a command would be taken now.
    pub fn check_idle(&self) -> Result<(), Busy> {
        idle(&self.lock())
    }

    /// Takes a command, unless another one runs.
    pub fn begin(&self, command_name: &'static str) -> Result<Uuid, Busy> {
        let mut results = self.lock();
        idle(&results)?;
        if results.len() >= MOST {
            results.pop_front();
        }
        let id = Uuid::new_v4();
        let command_status = Status::Running;
        results.push_back(CommandResult { id, command_name, command_status, command_error: None, command_result: None });
        Ok(id)
    }

    /// Records how a command ended.
    pub fn end(&self, id: Uuid, outcome: Result<Value, Failure>) {
        if let Some(result) = self.lock().iter_mut().rfind(|result| result.id == id) {
            match outcome {
                Ok(value) => {
                    result.command_status = Status::Succeeded;
                    result.command_result = Some(value);
                }
                Err(failure) => {
                    result.command_status = failure.status();
                    result.command_error = Some(failure);
                }
            }
        }
        self.changed.notify_waiters();
    }

    pub fn get(&self, id: Uuid) -> Option<CommandResult> {
        self.lock().iter().rfind(|result| result.id == id).cloned()
    }

    /// The result once the command has ended.
    pub async fn ended(&self, id: Uuid) -> Option<CommandResult> {
        loop {
            // Made before looking, so that an end in between is not missed.
            let changed = self.changed.notified();
            let result = self.get(id)?;
            if result.command_status != Status::Running {
                return Some(result);
            }
            changed.await;
        }
    }

    pub fn forget(&self) {
        self.lock().clear();
        self.changed.notify_waiters();
    }

    pub fn all(&self) -> Vec<CommandResult> {
        self.lock().iter().cloned().collect()
    }
}

fn idle(results: &VecDeque<CommandResult>) -> Result<(), Busy> {
    match results.back() {
        Some(last) if last.command_status == Status::Running => Err(Busy(last.command_name)),
        _ => Ok(()),
    }
}
