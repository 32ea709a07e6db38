//! `agent`: commands to the agent on the machine, with the node and its ports added as it expects
//! them. Source: ironic-python-agent's API as of 13.0.0.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use wrought_domain::{DriverError, ErrorKind, Map, mask};
use wrought_drivers::capability::Agent;
use wrought_drivers::contract::agent::{Command, Session, StepKind};
use wrought_drivers::contract::types::{Argument, ArgumentType, Step};
use wrought_hardware::agent::{AgentClient, AgentEndpoint, AgentTls, CommandStatus};

use super::NodeWorld;
use crate::agents::AgentSteps;
use crate::convert;
use crate::secrets::scrubbed;

/// Shorter than any import may block (`wit/types.wit`), so that the client's own answer arrives.
const PATIENCE: Duration = Duration::from_secs(9);

fn no_agent() -> DriverError {
    DriverError::new(ErrorKind::AgentUnreachable, "agent.None", "no agent has been heard since the machine's power last changed")
}

fn kind_name(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Deploy => "deploy",
        StepKind::Clean => "clean",
        StepKind::Service => "service",
    }
}

impl NodeWorld {
    async fn client(&self) -> Result<AgentClient, DriverError> {
        let session = self.conductor.agent_session(self.node.uuid).await?.ok_or_else(no_agent)?;
        let url = session.url.clone().ok_or_else(no_agent)?;
        let verify = match &session.verify_ca {
            Some(pem) => AgentTls::PinnedCa(pem.clone()),
            None => match self.node.driver_info.get("agent_verify_ca") {
                Some(Value::Bool(false)) => AgentTls::Insecure,
                _ => AgentTls::Roots,
            },
        };
        let endpoint = AgentEndpoint { url, token: session.token.clone().into(), verify };
        Ok(self.conductor.0.clients.client(&endpoint).map_err(convert::error)?.within(PATIENCE))
    }

    /// The agent's start time, as it says it, and what it has been told since.
    pub(crate) async fn agent_commands(&self) -> Result<(Value, Vec<Command>), DriverError> {
        let client = self.client().await?;
        let started_at = client.started_at().await.map_err(|error| self.scrubbed(convert::error(error)))?;
        Ok((started_at, self.commands().await?))
    }

    async fn send(&self, name: &str, mut params: Value, wait: bool) -> Result<wrought_hardware::agent::Command, DriverError> {
        self.with_artifacts(&self.secrets, [&params]).await?.fill(&mut params).map_err(convert::error)?;
        self.client().await?.run(name, &params, wait).await.map_err(|error| self.scrubbed(convert::error(error)))
    }

    fn shown(&self, mut command: wrought_hardware::agent::Command) -> Command {
        if command.status == CommandStatus::VersionMismatch {
            // Its hardware managers are others than those that offered the steps: they are asked again.
            self.conductor.0.agents.forget_steps(self.node.uuid);
        }
        self.secrets.scrub(&mut command.result);
        let mut command = convert::command(command);
        command.error = command.error.map(|text| scrubbed(&self.secrets, &text));
        command
    }

    fn scrubbed(&self, error: DriverError) -> DriverError {
        DriverError { message: scrubbed(&self.secrets, &error.message), ..error }
    }

    /// The node as the agent's steps read it: Ironic's fields, secrets masked, and what it is to erase how.
    fn node_for_agent(&self) -> Value {
        let node = &self.node;
        let mut internal = mask::masked(&node.driver_internal_info);
        for (key, value) in self.conductor.0.deploy.erasure() {
            internal.insert(key.into(), value);
        }
        let mut row = json!({
            "uuid": node.uuid, "name": node.name, "driver": node.driver, "instance_uuid": node.instance_uuid,
            "driver_info": mask::masked(&node.driver_info), "driver_internal_info": internal,
            "instance_info": mask::masked_instance_info(&node.instance_info), "properties": node.properties, "extra": node.extra,
            "clean_step": node.clean_step, "deploy_step": node.deploy_step, "raid_config": node.raid_config,
            "target_raid_config": node.target_raid_config, "provision_state": node.provision_state,
            "target_provision_state": node.target_provision_state, "power_state": node.power_state, "maintenance": node.maintenance,
            "resource_class": node.resource_class, "conductor_group": node.conductor_group, "traits": node.traits,
            "boot_mode": node.boot_mode, "secure_boot": node.secure_boot, "network_data": node.network_data,
            "disable_power_off": node.disable_power_off,
        });
        if let Some(row) = row.as_object_mut() {
            for interface in wrought_domain::node::Interfaces::NAMES {
                row.insert(format!("{interface}_interface"), node.interfaces.get(interface).into());
            }
        }
        row
    }

    fn ports_for_agent(&self) -> Value {
        let rows = self.ports.iter().map(|port| {
            json!({
                "uuid": port.uuid, "address": port.address, "node_uuid": port.node, "extra": port.extra,
                "pxe_enabled": port.pxe_enabled, "local_link_connection": port.local_link_connection,
                "physical_network": port.physical_network, "is_smartnic": port.is_smartnic, "name": port.name,
            })
        });
        Value::Array(rows.collect())
    }

    /// The agent's steps, asked once in a session.
    async fn steps_of_agent(&self, kind: StepKind) -> Result<AgentSteps, DriverError> {
        if let Some(known) = self.conductor.0.agents.steps(self.node.uuid, kind) {
            return Ok(known);
        }
        let name = kind_name(kind);
        let params = json!({"node": self.node_for_agent(), "ports": self.ports_for_agent()});
        let command = self.send(&format!("{name}.get_{name}_steps"), params, true).await?;
        if command.status != CommandStatus::Succeeded {
            let words = command.error.map(|error| error.message).unwrap_or_else(|| "it is still running".into());
            let text = scrubbed(&self.secrets, &format!("the agent did not list its {name} steps: {words}"));
            return Err(DriverError::new(ErrorKind::AgentUnreachable, "agent.NoSteps", text));
        }
        let steps = AgentSteps::read(&command.result, name).ok_or_else(|| {
            DriverError::new(ErrorKind::Failed, "agent.BadSteps", format!("the agent's list of {name} steps has another form"))
        })?;
        self.conductor.0.agents.remember_steps(self.node.uuid, kind, steps.clone());
        Ok(steps)
    }
}

#[async_trait]
impl Agent for NodeWorld {
    async fn agent_session(&self) -> Result<Option<Session>, DriverError> {
        let session = self.conductor.agent_session(self.node.uuid).await?;
        Ok(session.filter(|session| session.first_heartbeat_at.is_some()).map(|session| {
            let heard = session.first_heartbeat_at.map(|at| self.conductor.now().duration_since(at).as_secs()).unwrap_or(0);
            Session { version: session.version.unwrap_or_default(), heard_seconds: u32::try_from(heard).unwrap_or(0) }
        }))
    }

    async fn run_command(&self, name: String, params: Map, wait: bool) -> Result<Command, DriverError> {
        if name.split('.').count() != 2 || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_') {
            let text = "the command's name is not of the form extension.command";
            return Err(DriverError::new(ErrorKind::InvalidParameter, "agent.InvalidCommand", text));
        }
        if name == "standby.power_off" || name == "standby.run_image" {
            // The agent goes away; the token of this boot goes with it once the machine is off.
            tracing::debug!(node = %self.node.uuid, command = %name, "the agent is asked to end");
        }
        Ok(self.shown(self.send(&name, Value::Object(params), wait).await?))
    }

    async fn run_step(&self, kind: StepKind, interface: String, step: String, args: Map) -> Result<Command, DriverError> {
        let offered = self.steps_of_agent(kind).await?;
        let name = kind_name(kind);
        let mut found = offered.find(&interface, &step).cloned().ok_or_else(|| {
            let text = format!("the agent offers no {name} step {interface}.{step}");
            DriverError::new(ErrorKind::NotFound, "agent.NoSuchStep", text)
        })?;
        found.insert("args".into(), Value::Object(args));
        let mut params = Map::new();
        params.insert("step".into(), found.into());
        params.insert("node".into(), self.node_for_agent());
        params.insert("ports".into(), self.ports_for_agent());
        params.insert(format!("{name}_version"), offered.version);
        Ok(self.shown(self.send(&format!("{name}.execute_{name}_step"), Value::Object(params), false).await?))
    }

    async fn command(&self, id: String) -> Result<Command, DriverError> {
        let command = self.client().await?.status(&id).await.map_err(|error| self.scrubbed(convert::error(error)))?;
        Ok(self.shown(command))
    }

    async fn commands(&self) -> Result<Vec<Command>, DriverError> {
        let commands = self.client().await?.commands().await.map_err(|error| self.scrubbed(convert::error(error)))?;
        Ok(commands.into_iter().map(|command| self.shown(command)).collect())
    }

    async fn agent_steps(&self, kind: StepKind) -> Result<Vec<Step>, DriverError> {
        let steps = self.steps_of_agent(kind).await?;
        Ok(steps.steps.iter().map(step).collect())
    }
}

/// A step of the agent's list in the contract's form.
fn step(given: &Map) -> Step {
    let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |key: &str, default: bool| given.get(key).and_then(Value::as_bool).unwrap_or(default);
    let arguments = given.get("argsinfo").and_then(Value::as_object).cloned().unwrap_or_default();
    Step {
        interface: text("interface"),
        step: text("step"),
        priority: given.get("priority").and_then(Value::as_u64).and_then(|priority| u32::try_from(priority).ok()).unwrap_or(0),
        abortable: flag("abortable", false),
        requires_ramdisk: true,
        arguments: arguments
            .iter()
            .map(|(name, info)| Argument {
                name: name.clone(),
                description: info.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
                required: info.get("required").and_then(Value::as_bool).unwrap_or(false),
                type_: ArgumentType::Any,
            })
            .collect(),
        reboot_requested: flag("reboot_requested", false),
    }
}
