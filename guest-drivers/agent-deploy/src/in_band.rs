//! Steps that the agent executes.

use serde_json::Value;
use wrought_sdk::agent::{Command, CommandStatus, StepKind};
use wrought_sdk::prelude::*;

use crate::command::{Errand, Progress};
use crate::ramdisk;

/// Executes one step on the agent: call it until it is done. A step that asks for it is followed by a boot into a fresh agent.
pub fn execute(kind: StepKind, step: &StepCall) -> Result<Outcome> {
    let node = task::node();
    if ramdisk::is_booting()? {
        return ramdisk::boot(&node);
    }
    let (command, part) = match kind {
        StepKind::Deploy => ("execute_deploy_step", "deploy_step"),
        StepKind::Clean => ("execute_clean_step", "clean_step"),
        StepKind::Service => ("execute_service_step", "service_step"),
    };
    let progress = Errand {
        name: &step.name(),
        command,
        is_ours: &|command| is_about(&result(command), part, step),
        send: &|| agent::run_step(kind, step),
    }
    .follow()?;
    match progress {
        Progress::Running(outcome) => Ok(outcome),
        Progress::Ended(command) => {
            succeeded(&command, step)?;
            if wants_reboot(&result(&command), part) {
                wrought_sdk::info!("step {} asks for a reboot", step.name());
                boot::prepare_ramdisk(&[])?;
                return ramdisk::boot(&node);
            }
            Ok(Outcome::Done)
        }
    }
}

/// What a command that has ended did to its step.
fn succeeded(command: &Command, step: &StepCall) -> Result<()> {
    let name = step.name();
    match command.status {
        CommandStatus::Succeeded => Ok(()),
        CommandStatus::VersionMismatch => Err(Error::conflict(format!(
            "step {name} was not executed: the agent's hardware managers changed since it listed its steps; start the operation anew"
        ))
        .with_code("agent.VersionMismatch")),
        CommandStatus::Failed | CommandStatus::Running => {
            Err(Error::failed(format!("step {name} failed on the agent: {}", words(command))).with_code("agent.CommandFailed"))
        }
    }
}

/// The agent's words about a command that failed.
pub fn words(command: &Command) -> &str {
    command.error.as_deref().unwrap_or("it gave no reason")
}

/// The command's result; null when there is none, or when it was cut off.
pub fn result(command: &Command) -> Value {
    command.output().unwrap_or_default()
}

fn is_about(result: &Value, part: &str, step: &StepCall) -> bool {
    let is = |key: &str, value: &str| result.pointer(&format!("/{part}/{key}")).and_then(Value::as_str) == Some(value);
    is("interface", &step.interface) && is("step", &step.step)
}

fn wants_reboot(result: &Value, part: &str) -> bool {
    result.pointer(&format!("/{part}/reboot_requested")).and_then(Value::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step() -> StepCall {
        StepCall { interface: "raid".to_owned(), step: "create_configuration".to_owned(), args: "{}".to_owned() }
    }

    #[test]
    fn the_result_tells_which_step_it_was_and_whether_it_wants_a_reboot() {
        let result = json!({"clean_step": {"interface": "raid", "step": "create_configuration", "reboot_requested": true}});
        assert!(is_about(&result, "clean_step", &step()));
        assert!(wants_reboot(&result, "clean_step"));
        assert!(!is_about(&result, "deploy_step", &step()));
        let other = json!({"clean_step": {"interface": "deploy", "step": "create_configuration"}});
        assert!(!is_about(&other, "clean_step", &step()));
        assert!(!wants_reboot(&other, "clean_step"));
        assert!(!wants_reboot(&Value::Null, "clean_step"));
    }

    #[test]
    fn a_failure_carries_the_agents_words() {
        let ended = |status, error: Option<&str>| Command {
            id: "1".to_owned(),
            name: "execute_clean_step".to_owned(),
            status,
            result: "null".to_owned(),
            error: error.map(str::to_owned),
        };
        assert!(succeeded(&ended(CommandStatus::Succeeded, None), &step()).is_ok());
        let failed = succeeded(&ended(CommandStatus::Failed, Some("no space left")), &step()).unwrap_err();
        assert_eq!(failed.message, "step raid.create_configuration failed on the agent: no space left");
        let mismatch = succeeded(&ended(CommandStatus::VersionMismatch, None), &step()).unwrap_err();
        assert_eq!((mismatch.kind, mismatch.code.as_str()), (ErrorKind::Conflict, "agent.VersionMismatch"));
    }
}
