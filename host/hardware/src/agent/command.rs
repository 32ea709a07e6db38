//! A command's record as the agent shows it. The agent runs on a stranger's machine: every part is checked.

use serde_json::Value;

use crate::error::{HardwareError, Kind};
use crate::http::tame;

/// A result's largest size, in bytes of JSON.
const RESULT_CAP: usize = 256 * 1024;
/// The same of a list of steps.
const STEPS_CAP: usize = 1024 * 1024;
/// The same of the machine's logs.
const LOGS_CAP: usize = 16 * 1024 * 1024;
/// An error's words, in characters; more than any secret has.
pub(crate) const WORDS_CAP: usize = 64 * 1024;
/// What surrounds a result in an answer.
const ENVELOPE: usize = 16 * 1024;

/// How a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandStatus {
    /// At work.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended with an error; also every status that is not known here.
    Failed,
    /// Not begun: the agent's hardware managers changed since its steps were listed.
    VersionMismatch,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// The agent's exception, for example `ImageChecksumError`.
    pub kind: String,
    /// Its words, on one line. Who shows them takes the secrets out first and cuts them then: the beginning of a secret that
    /// was cut would not be found.
    pub message: String,
}

/// A command that the agent was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The agent's name for it.
    pub id: String,
    /// Without its extension, for example `execute_clean_step`.
    pub name: String,
    /// How it stands.
    pub status: CommandStatus,
    /// What it gave; null while it runs.
    pub result: Value,
    /// Why it failed, if it did.
    pub error: Option<CommandError>,
    /// The result was larger than allowed and is left out.
    pub truncated: bool,
}

/// The largest answer to the command `name`, which may have its extension before it.
pub(crate) fn answer_cap(name: &str) -> usize {
    result_cap(short_name(name)) + ENVELOPE
}

fn result_cap(name: &str) -> usize {
    match name {
        "get_clean_steps" | "get_deploy_steps" | "get_service_steps" => STEPS_CAP,
        "collect_system_logs" => LOGS_CAP,
        _ => RESULT_CAP,
    }
}

pub(crate) fn short_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether `id` is one that may stand in a path.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl Command {
    /// Reads one record; `size` is the size of the answer it came in.
    pub(crate) fn read(mut record: Value, size: usize) -> Result<Self, HardwareError> {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        let id = text("id").filter(|id| is_id(id)).ok_or_else(bad_answer)?.to_owned();
        let name = text("command_name").map(|name| tame(name, 128)).filter(|name| !name.is_empty()).ok_or_else(bad_answer)?;
        let (status, known) = match text("command_status").ok_or_else(bad_answer)? {
            "RUNNING" => (CommandStatus::Running, true),
            "SUCCEEDED" => (CommandStatus::Succeeded, true),
            "FAILED" => (CommandStatus::Failed, true),
            "CLEAN_VERSION_MISMATCH" | "VERSION_MISMATCH" => (CommandStatus::VersionMismatch, true),
            _ => (CommandStatus::Failed, false),
        };
        let mut error = record.get("command_error").and_then(CommandError::read);
        if !known && error.is_none() {
            error = Some(CommandError { kind: "UnknownStatus".into(), message: "the agent shows a status that is not known".into() });
        }
        let mut result = record.get_mut("command_result").map(Value::take).unwrap_or_default();
        // Counting is for answers that could hold too much.
        let cap = result_cap(&name);
        let truncated = size > cap && serde_json::to_vec(&result).map_or(true, |json| json.len() > cap);
        if truncated {
            result = Value::Null;
        }
        Ok(Self { id, name, status, result, error, truncated })
    }
}

impl CommandError {
    fn read(error: &Value) -> Option<Self> {
        let text = |key: &str, most| error.get(key).and_then(Value::as_str).map(|text| tame(text, most)).unwrap_or_default();
        match error {
            Value::Null => None,
            Value::String(words) => Some(Self { kind: String::new(), message: tame(words, WORDS_CAP) }),
            _ => {
                let (message, details) = (text("message", WORDS_CAP), text("details", WORDS_CAP));
                let message = if details.is_empty() || message.contains(&details) { message } else { format!("{message} {details}") };
                Some(Self { kind: text("type", 128), message })
            }
        }
    }
}

pub(crate) fn bad_answer() -> HardwareError {
    HardwareError::new(Kind::Failed, "agent.BadAnswer", "the agent's answer is not one of the agent's protocol")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn record(status: &str, error: Value) -> Value {
        json!({"id": "a-1", "command_name": "execute_deploy_step", "command_status": status, "command_error": error, "command_result": {"a": 1}})
    }

    #[test]
    fn every_status_of_the_agent_is_read() {
        let status = |text: &str| Command::read(record(text, Value::Null), 100).unwrap().status;
        assert_eq!(status("RUNNING"), CommandStatus::Running);
        assert_eq!(status("SUCCEEDED"), CommandStatus::Succeeded);
        assert_eq!(status("FAILED"), CommandStatus::Failed);
        assert_eq!(status("CLEAN_VERSION_MISMATCH"), CommandStatus::VersionMismatch);
        assert_eq!(status("VERSION_MISMATCH"), CommandStatus::VersionMismatch);
        let odd = Command::read(record("SLEEPING", Value::Null), 100).unwrap();
        assert_eq!((odd.status, odd.error.unwrap().kind.as_str()), (CommandStatus::Failed, "UnknownStatus"));
    }

    #[test]
    fn errors_are_tamed_and_records_checked() {
        let error = json!({"type": "ImageChecksumError", "code": 500, "message": "Error\u{7} verifying\nchecksum", "details": "got x"});
        let error = Command::read(record("FAILED", error), 100).unwrap().error.unwrap();
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("ImageChecksumError", "Error verifying checksum got x"));
        let mut hostile = record("RUNNING", Value::Null);
        hostile["id"] = json!("../../v1/other");
        assert_eq!(Command::read(hostile, 100).unwrap_err().code, "agent.BadAnswer");
        assert_eq!(Command::read(json!([]), 2).unwrap_err().code, "agent.BadAnswer");
    }

    #[test]
    fn a_result_that_is_too_large_is_left_out() {
        let mut large = record("SUCCEEDED", Value::Null);
        large["command_result"] = json!("x".repeat(300 * 1024));
        let size = 400 * 1024;
        let command = Command::read(large.clone(), size).unwrap();
        assert!(command.truncated && command.result.is_null());
        large["command_name"] = json!("get_deploy_steps");
        assert!(!Command::read(large, size).unwrap().truncated);
    }
}
