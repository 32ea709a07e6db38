//! The agent (ironic-python-agent) that runs on the machine.

use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::imports::baremetal::deploy::agent as host;
use crate::error::Result;

pub use host::{Command, CommandStatus, Session, StepKind, commands, current, run_step, status, steps};

/// Sends a command and returns when the agent has accepted it; wait for its end with
/// [`wait::agent_command`](crate::wait::agent_command). Secret references in `params` are filled in by the host.
pub fn run(name: &str, params: &impl Serialize) -> Result<Command> {
    host::run(name, &serde_json::to_string(params)?)
}

/// Sends a command that ends soon and waits for its end, 10 s at most.
pub fn call(name: &str, params: &impl Serialize) -> Result<Command> {
    host::call(name, &serde_json::to_string(params)?)
}

impl Command {
    /// The command's result as the driver's own type.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.result)?)
    }
}
