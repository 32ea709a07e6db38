//! `agent`.

use async_trait::async_trait;
use serde_json::{Value, json};
use wrought_domain::{DriverError, Map};

use super::json_object;
use crate::contract::agent::{Command, Session, StepKind};
use crate::contract::import::agent::Host;
use crate::contract::types::{Error, Step, StepCall};
use crate::journal::Class;
use crate::state::CallState;

/// The agent on the node's machine.
#[async_trait]
#[allow(missing_docs, reason = "documented in wit/agent.wit")]
pub trait Agent: Send + Sync {
    async fn agent_session(&self) -> Result<Option<Session>, DriverError>;
    /// `wait`: until the command has ended, 10 s at most.
    async fn run_command(&self, name: String, params: Map, wait: bool) -> Result<Command, DriverError>;
    async fn run_step(&self, kind: StepKind, interface: String, step: String, args: Map) -> Result<Command, DriverError>;
    async fn command(&self, id: String) -> Result<Command, DriverError>;
    async fn commands(&self) -> Result<Vec<Command>, DriverError>;
    async fn agent_steps(&self, kind: StepKind) -> Result<Vec<Step>, DriverError>;
}

impl CallState {
    async fn send(&mut self, function: &'static str, name: String, params: String, wait: bool) -> wasmtime::Result<Result<Command, Error>> {
        let params = match json_object(&params, "params") {
            Ok(params) => params,
            Err(error) => return self.refuse(error),
        };
        let args = json!([name, Value::Object(params.clone())]);
        self.pass(Class::Effect, "agent", function, args, move |world| async move { world.run_command(name, params, wait).await }).await
    }
}

impl Host for CallState {
    async fn current(&mut self) -> wasmtime::Result<Result<Option<Session>, Error>> {
        self.pass(Class::Observe, "agent", "current", (), |world| async move { world.agent_session().await }).await
    }

    async fn run(&mut self, name: String, params: String) -> wasmtime::Result<Result<Command, Error>> {
        self.send("run", name, params, false).await
    }

    async fn call(&mut self, name: String, params: String) -> wasmtime::Result<Result<Command, Error>> {
        self.send("call", name, params, true).await
    }

    async fn run_step(&mut self, kind: StepKind, step: StepCall) -> wasmtime::Result<Result<Command, Error>> {
        let args = match json_object(&step.args, "the step's args") {
            Ok(args) => args,
            Err(error) => return self.refuse(error),
        };
        let recorded = json!([kind, step.interface, step.step, Value::Object(args.clone())]);
        self.pass(Class::Effect, "agent", "run-step", recorded, move |world| async move {
            world.run_step(kind, step.interface, step.step, args).await
        })
        .await
    }

    async fn status(&mut self, id: String) -> wasmtime::Result<Result<Command, Error>> {
        let args = id.clone();
        self.pass(Class::Observe, "agent", "status", args, |world| async move { world.command(id).await }).await
    }

    async fn commands(&mut self) -> wasmtime::Result<Result<Vec<Command>, Error>> {
        self.pass(Class::Observe, "agent", "commands", (), |world| async move { world.commands().await }).await
    }

    async fn steps(&mut self, kind: StepKind) -> wasmtime::Result<Result<Vec<Step>, Error>> {
        self.pass(Class::Observe, "agent", "steps", kind, move |world| async move { world.agent_steps(kind).await }).await
    }
}
