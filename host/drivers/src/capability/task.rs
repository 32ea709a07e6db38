//! `task`: answered from the snapshot.

use crate::contract::import::task::Host;
use crate::contract::task::{Cause, LockMode, Node, Operation, Port};
use crate::contract::types::StepCall;
use crate::state::CallState;

impl Host for CallState {
    async fn get_cause(&mut self) -> wasmtime::Result<Cause> {
        self.charge()?;
        Ok(self.header.snapshot.cause)
    }

    async fn get_operation(&mut self) -> wasmtime::Result<Operation> {
        self.charge()?;
        Ok(self.header.snapshot.operation.clone())
    }

    async fn get_node(&mut self) -> wasmtime::Result<Node> {
        self.charge()?;
        Ok(self.header.snapshot.node.clone())
    }

    async fn get_ports(&mut self) -> wasmtime::Result<Vec<Port>> {
        self.charge()?;
        Ok(self.header.snapshot.ports.clone())
    }

    async fn get_traits(&mut self) -> wasmtime::Result<Vec<String>> {
        self.charge()?;
        Ok(self.header.snapshot.traits.clone())
    }

    async fn get_lock_mode(&mut self) -> wasmtime::Result<LockMode> {
        self.charge()?;
        Ok(self.header.snapshot.lock_mode)
    }

    async fn get_step(&mut self) -> wasmtime::Result<Option<StepCall>> {
        self.charge()?;
        Ok(self.header.snapshot.step.as_ref().map(crate::convert::step_call))
    }

    async fn get_options(&mut self) -> wasmtime::Result<String> {
        self.charge()?;
        Ok(serde_json::Value::Object(self.header.snapshot.options.clone()).to_string())
    }
}
