//! Booting the machine into the agent, over several calls.
//!
//! The operation's state holds how far it came, because neither a machine that is on nor an agent that answers tells whether
//! it was booted for this purpose.

use serde::{Deserialize, Serialize};
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;
use wrought_sdk::task::Node;

const KEY: &str = "ramdisk-boot";

#[derive(Serialize, Deserialize, PartialEq, Eq)]
enum Phase {
    /// Told to power off.
    GoingOff,
    /// Told to power on.
    GoingOn,
    /// On; the agent is expected.
    Booting,
}

/// Whether a boot has begun and its agent was not seen yet.
pub fn is_booting() -> Result<bool> {
    Ok(state::get::<Phase>(Scope::Operation, KEY)?.is_some())
}

/// Off, on, until the agent calls: call it until it is done. The boot medium must have been prepared.
pub fn boot(node: &Node) -> Result<Outcome> {
    let phase = state::get(Scope::Operation, KEY)?;
    match phase {
        Some(Phase::Booting) => return arrive(),
        Some(Phase::GoingOn) => return come_up(),
        Some(Phase::GoingOff) | None => {}
    }
    if node.disable_power_off {
        power::reboot()?;
        return expect_agent();
    }
    if power::get()? != PowerState::Off {
        if phase == Some(Phase::GoingOff) && task::timed_out() {
            return Err(crate::machine::still_on());
        }
        power::off()?;
        state::set(Scope::Operation, KEY, &Phase::GoingOff)?;
        return wait::power(PowerState::Off, 0);
    }
    power::on()?;
    state::set(Scope::Operation, KEY, &Phase::GoingOn)?;
    wait::power(PowerState::On, 0)
}

/// A machine that does not even go on is told apart from one whose agent does not call.
fn come_up() -> Result<Outcome> {
    if power::get()? == PowerState::On {
        return expect_agent();
    }
    if task::timed_out() {
        return Err(crate::machine::still_off());
    }
    power::on()?;
    wait::power(PowerState::On, 0)
}

fn expect_agent() -> Result<Outcome> {
    state::set(Scope::Operation, KEY, &Phase::Booting)?;
    wait::agent_booted(0)
}

fn arrive() -> Result<Outcome> {
    if let Some(session) = agent::current()? {
        wrought_sdk::info!("agent {} booted", session.version);
        state::delete(Scope::Operation, KEY);
        return Ok(Outcome::Done);
    }
    if task::timed_out() {
        return Err(Error::timeout(
            "the machine was powered on and no agent called in time: look at its console, its boot device and its network",
        )
        .with_code("agent.BootTimeout"));
    }
    // Powered off behind our back, or the host stopped before the command was sent: `on` sends nothing to a machine that is on.
    power::on()?;
    wait::agent_booted(0)
}
