//! `power`.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use wrought_domain::DriverError;

use crate::contract::import::power::Host;
use crate::contract::types::{Error, PowerState};
use crate::journal::Class;
use crate::state::CallState;

/// A change of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "documented in wit/power.wit")]
pub enum PowerChange {
    On,
    Off,
    SoftOff,
    /// In one request, for machines that must never be off.
    Restart,
}

/// Power of the node.
#[async_trait]
pub trait Power: Send + Sync {
    /// What the controller reports.
    async fn power_state(&self) -> Result<PowerState, DriverError>;
    /// Asks for a change, having observed first.
    async fn change_power(&self, change: PowerChange) -> Result<(), DriverError>;
    /// Switches off, and returns when the machine is seen to be off: the first half of a reboot.
    async fn go_off(&self) -> Result<(), DriverError>;
}

impl CallState {
    async fn change(&mut self, name: &'static str, change: PowerChange) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "power", name, (), move |world| async move { world.change_power(change).await }).await
    }
}

impl Host for CallState {
    async fn get(&mut self) -> wasmtime::Result<Result<PowerState, Error>> {
        self.pass(Class::Observe, "power", "get", (), |world| async move { world.power_state().await }).await
    }

    async fn on(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.change("on", PowerChange::On).await
    }

    async fn off(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.change("off", PowerChange::Off).await
    }

    async fn soft_off(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.change("soft-off", PowerChange::SoftOff).await
    }

    async fn reboot(&mut self) -> wasmtime::Result<Result<(), Error>> {
        // A machine that must never be off is restarted in one request; for all others each half is an effect of its own,
        // so that a host which stopped in between knows how far it came.
        if self.header.snapshot.node.disable_power_off {
            return self.change("restart", PowerChange::Restart).await;
        }
        let off = self.pass(Class::Effect, "power", "reboot-off", (), |world| async move { world.go_off().await }).await?;
        match off {
            Ok(()) => self.change("reboot-on", PowerChange::On).await,
            refused => Ok(refused),
        }
    }
}
