//! What the agent's commands do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::commands::Failure;
use super::steps::{self, Phase};
use super::{Agent, image};
use crate::node::AgentStage;
use crate::power;

/// A gzipped tar archive with one file `journal` that says that nothing happened; in base64.
const SYSTEM_LOGS: &str = concat!(
    "H4sIAAAAAAACA+3NOwrDMBCE4a1zij2CQMKG3EYQ4QeOFOTV/SPcBNw7BPJ/zQzTzFpazXGTK7luCOHI7pzOBf/pxz56P4o6+YK2W6z9Uv7TvjzbFi09NE4p",
    "211zsXnJk1rRml6l2k0AAAAAAAAAAAAAAAAAAL/nDYl9+vQAKAAA",
);
/// Time for an answer to leave before the agent that gave it ends.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(100);
/// Parts before the dot that the agent knows, also those without a command here.
const EXTENSIONS: [&str; 10] = ["clean", "deploy", "service", "standby", "image", "log", "rescue", "system", "poll", "flow"];

/// A command of one of the agent's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    GetSteps(Phase),
    ExecuteStep(Phase),
    GetPartitionUuids,
    PrepareImage,
    InstallBootloader,
    PowerOff,
    RunImage,
    Sync,
    CollectSystemLogs,
    FinalizeRescue,
}

/// A name that is no command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("Invalid command: Command name must be of the form <extension>.<name>")]
    Form,
    #[error("Extension with id {0} not found.")]
    Extension(String),
    #[error("Invalid command: Unknown command: {0}")]
    Command(String),
}

impl Command {
    pub fn parse(full: &str) -> Result<Self, Unknown> {
        let (extension, name) = full.split_once('.').ok_or(Unknown::Form)?;
        if !EXTENSIONS.contains(&extension) {
            return Err(Unknown::Extension(extension.to_owned()));
        }
        Ok(match (extension, name) {
            ("clean", "get_clean_steps") => Self::GetSteps(Phase::Clean),
            ("clean", "execute_clean_step") => Self::ExecuteStep(Phase::Clean),
            ("deploy", "get_deploy_steps") => Self::GetSteps(Phase::Deploy),
            ("deploy", "execute_deploy_step") => Self::ExecuteStep(Phase::Deploy),
            ("service", "get_service_steps") => Self::GetSteps(Phase::Service),
            ("service", "execute_service_step") => Self::ExecuteStep(Phase::Service),
            ("standby", "get_partition_uuids") => Self::GetPartitionUuids,
            ("standby", "prepare_image") => Self::PrepareImage,
            ("standby", "power_off") => Self::PowerOff,
            ("standby", "run_image") => Self::RunImage,
            ("standby", "sync") => Self::Sync,
            ("image", "install_bootloader") => Self::InstallBootloader,
            ("log", "collect_system_logs") => Self::CollectSystemLogs,
            ("rescue", "finalize_rescue") => Self::FinalizeRescue,
            _ => return Err(Unknown::Command(name.to_owned())),
        })
    }

    /// The name in results: without the extension.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetSteps(Phase::Clean) => "get_clean_steps",
            Self::GetSteps(Phase::Deploy) => "get_deploy_steps",
            Self::GetSteps(Phase::Service) => "get_service_steps",
            Self::ExecuteStep(Phase::Clean) => "execute_clean_step",
            Self::ExecuteStep(Phase::Deploy) => "execute_deploy_step",
            Self::ExecuteStep(Phase::Service) => "execute_service_step",
            Self::GetPartitionUuids => "get_partition_uuids",
            Self::PrepareImage => "prepare_image",
            Self::InstallBootloader => "install_bootloader",
            Self::PowerOff => "power_off",
            Self::RunImage => "run_image",
            Self::Sync => "sync",
            Self::CollectSystemLogs => "collect_system_logs",
            Self::FinalizeRescue => "finalize_rescue",
        }
    }

    /// Whether what the command cannot do without is there.
    pub fn check(&self, params: &Map<String, Value>) -> Result<(), String> {
        let needed: &[&str] = match self {
            Self::GetSteps(_) => &["node", "ports"],
            Self::ExecuteStep(_) => &["step", "node", "ports"],
            Self::PrepareImage => &["image_info"],
            Self::InstallBootloader => &["root_uuid"],
            Self::FinalizeRescue => &["rescue_password"],
            _ => &[],
        };
        match needed.iter().find(|name| !params.contains_key(**name)) {
            Some(name) => Err(format!("missing argument: '{name}'")),
            None => Ok(()),
        }
    }
}

/// Does a synchronous command, or starts an asynchronous one; its result is in the log under `id`.
pub(super) fn start(agent: &Arc<Agent>, id: Uuid, command: Command, params: Map<String, Value>) {
    let done = match command {
        Command::GetSteps(phase) => Ok(steps::offered(phase, &agent.node.lock().faults)),
        Command::GetPartitionUuids if agent.written.load(Ordering::Relaxed) => Ok(json!({ "root uuid": image::DISK_ID })),
        Command::GetPartitionUuids => Ok(json!({})),
        Command::Sync => Ok(Value::Null),
        Command::CollectSystemLogs => Ok(json!({ "system_logs": SYSTEM_LOGS })),
        Command::FinalizeRescue => finalize_rescue(agent, &params),
        _ => {
            let worker = Arc::clone(agent);
            let work = async move {
                let outcome = perform(&worker, command, &params).await;
                worker.commands.end(id, outcome);
                worker.heartbeat_now.notify_one();
            };
            let stop = agent.stop.clone();
            agent.fleet.tasks.spawn(async move {
                stop.run_until_cancelled(work).await;
            });
            return;
        }
    };
    agent.commands.end(id, done);
}

async fn perform(agent: &Arc<Agent>, command: Command, params: &Map<String, Value>) -> Result<Value, Failure> {
    let timing = &agent.fleet.timing;
    match command {
        Command::ExecuteStep(phase) => steps::execute(agent, phase, params).await,
        Command::PrepareImage => {
            let text = image::write(agent, params.get("image_info").unwrap_or(&Value::Null)).await?;
            Ok(json!({ "result": format!("prepare_image: {text}") }))
        }
        Command::PowerOff => {
            tokio::time::sleep(timing.command).await;
            power::shut_down(&agent.fleet, &agent.node, &agent.stop);
            // Ends with the power.
            std::future::pending().await
        }
        Command::RunImage => {
            tokio::time::sleep(timing.command).await;
            power::restart(&agent.fleet, &agent.node, &agent.stop);
            std::future::pending().await
        }
        _ => {
            tokio::time::sleep(timing.command).await;
            Ok(Value::Null)
        }
    }
}

/// The rescue user gets its password, and the agent leaves the machine to it.
fn finalize_rescue(agent: &Arc<Agent>, params: &Map<String, Value>) -> Result<Value, Failure> {
    let password = params.get("rescue_password").and_then(Value::as_str).filter(|password| !password.is_empty());
    let password = password.ok_or_else(|| Failure::parameters("rescue_password must be a non-empty string"))?;
    {
        let mut inner = agent.node.lock();
        if inner.faults.fail_rescue {
            return Err(Failure::new("CommandExecutionError", "Command execution failed", "simulated fault: the password is not taken"));
        }
        inner.told.rescue_password = Some(password.to_owned());
    }
    let agent = Arc::clone(agent);
    agent.fleet.clone().spawn(async move {
        tokio::time::sleep(FAREWELL).await;
        agent.node.set_stage(&agent.stop, AgentStage::Rescued);
        agent.stop.cancel();
    });
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_commands_lead_to_them_and_back() {
        for full in ["clean.execute_clean_step", "deploy.get_deploy_steps", "standby.power_off", "log.collect_system_logs"] {
            assert!(full.ends_with(Command::parse(full).unwrap().name()));
        }
        assert!(matches!(Command::parse("nope.sync"), Err(Unknown::Extension(_))));
        assert!(matches!(Command::parse("standby.nope"), Err(Unknown::Command(_))));
        assert!(matches!(Command::parse("sync"), Err(Unknown::Form)));
    }
}
