//! Conditions that the host waits for, with the driver gone. Each function gives the outcome to return:
//!
//! ```no_run
//! # use wrought_sdk::prelude::*;
//! # fn power_up() -> Result<Outcome> {
//! power::on()?;
//! wait::power(PowerState::On, 60)
//! # }
//! ```
//!
//! The same function is called again when the condition is met or its time is over; [`task::cause`](crate::task::cause) says
//! which. A timeout of 0 means the operator's default for the operation.

use crate::bindings::imports::baremetal::deploy::types::{Outcome, PowerState};
use crate::bindings::imports::baremetal::deploy::wait as host;
use crate::error::Result;

/// An agent has booted after the operation's last power action and has sent a heartbeat.
pub fn agent_booted(timeout_seconds: u32) -> Result<Outcome> {
    host::agent_booted(timeout_seconds).map(Outcome::Wait)
}

/// The agent's command with this id is not running any more, or the agent has forgotten it.
pub fn agent_command(id: &str, timeout_seconds: u32) -> Result<Outcome> {
    host::agent_command(id, timeout_seconds).map(Outcome::Wait)
}

/// The controller reports this power state twice in a row.
pub fn power(target: PowerState, timeout_seconds: u32) -> Result<Outcome> {
    host::power(target, timeout_seconds).map(Outcome::Wait)
}

/// The time has passed. Always ends as `met`.
pub fn seconds(seconds: u32) -> Result<Outcome> {
    host::seconds(seconds).map(Outcome::Wait)
}

/// The lock that nodes share is ours: it is held when the driver is called again.
pub fn lock(name: &str, timeout_seconds: u32) -> Result<Outcome> {
    host::lock(name, timeout_seconds).map(Outcome::Wait)
}

/// The operation holds its node exclusively; at present it always does.
pub fn exclusive(timeout_seconds: u32) -> Result<Outcome> {
    host::exclusive(timeout_seconds).map(Outcome::Wait)
}

/// A task of the controller, named by [`redfish::Response::task`](crate::redfish::Response), has ended or is gone.
pub fn bmc_task(path: &str, timeout_seconds: u32) -> Result<Outcome> {
    host::bmc_task(path, timeout_seconds).map(Outcome::Wait)
}

/// A file that [`artifact::push`](crate::artifact::push) sends is not on its way any more.
pub fn artifact_push(push: &str, timeout_seconds: u32) -> Result<Outcome> {
    host::artifact_push(push, timeout_seconds).map(Outcome::Wait)
}

/// The agent has posted what it found on the machine since this call began: ask for it in the call that powers the machine on.
pub fn inspection_data(timeout_seconds: u32) -> Result<Outcome> {
    host::inspection_data(timeout_seconds).map(Outcome::Wait)
}

/// Any of these; done if one of them is done already.
pub fn any_of(outcomes: impl IntoIterator<Item = Outcome>) -> Result<Outcome> {
    let mut tokens = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Done => return Ok(Outcome::Done),
            Outcome::Wait(token) => tokens.push(token),
        }
    }
    host::any_of(&tokens).map(Outcome::Wait)
}
