//! The life of a deployment around its steps, as far as it is the same for all drivers that work with the agent.

use serde::{Deserialize, Serialize};
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;

use crate::{instance, machine};

/// Key that says that `clean-up` has rebooted a machine which is never powered off.
const REBOOTED: &str = "clean-up-rebooted";
/// Key of how far the way through off to on is.
const TURN: &str = "power-cycle";

/// Whether `prepare` is called for a machine that has its instance already, in a take-over or an adoption.
pub fn has_instance() -> bool {
    matches!(task::operation().name.as_str(), "take-over" | "adopt")
}

/// Makes ready for a deployment that begins with the agent; `before_boot` runs when the machine is off and its networks are set.
pub fn prepare(before_boot: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    if has_instance() {
        return take_over();
    }
    network::validate()?;
    if let Some(outcome) = machine::off(&task::node())? {
        return Ok(outcome);
    }
    network::unconfigure_tenant()?;
    network::add_provisioning()?;
    before_boot()?;
    boot::prepare_ramdisk(&[])?;
    Ok(Outcome::Done)
}

/// Sees to it that a machine which runs its instance boots that again, without touching what runs.
pub fn take_over() -> Result<Outcome> {
    // A medium that is in the drive may be what the instance runs from: it is left there.
    if instance::medium(&task::node())?.is_none() {
        boot::prepare_instance()?;
    }
    Ok(Outcome::Done)
}

/// Off, and away from the tenant's networks.
pub fn tear_down() -> Result<Outcome> {
    if let Some(outcome) = machine::off(&task::node())? {
        return Ok(outcome);
    }
    network::unconfigure_tenant()?;
    network::remove_provisioning()?;
    Ok(Outcome::Done)
}

/// Takes away what was made for booting.
pub fn clean_up() -> Result<Outcome> {
    boot::clean_up_ramdisk()?;
    boot::clean_up_instance()?;
    if task::node().disable_power_off && state::get::<bool>(Scope::Operation, REBOOTED)?.is_none() {
        // It cannot be stopped, but what it runs must not be what was just taken away.
        power::reboot()?;
        state::set(Scope::Operation, REBOOTED, &true)?;
    }
    Ok(Outcome::Done)
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
enum Turn {
    /// Told to power off.
    GoingOff,
    /// Told to power on.
    GoingOn,
}

/// Off, `between`, and on again: call it until it is done. A machine that is never off is rebooted behind `between`.
pub fn power_cycle(between: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    let node = task::node();
    let on = power::get()? == PowerState::On;
    let turn = state::get(Scope::Operation, TURN)?;
    if turn == Some(Turn::GoingOn) {
        if on {
            state::delete(Scope::Operation, TURN);
            return Ok(Outcome::Done);
        }
        if task::timed_out() {
            return Err(machine::still_off());
        }
        power::on()?;
        return wait::power(PowerState::On, 0);
    }
    if let Some(outcome) = machine::off(&node)? {
        state::set(Scope::Operation, TURN, &Turn::GoingOff)?;
        return Ok(outcome);
    }
    between()?;
    if node.disable_power_off {
        power::reboot()?;
    } else {
        power::on()?;
    }
    state::set(Scope::Operation, TURN, &Turn::GoingOn)?;
    wait::power(PowerState::On, 0)
}

/// From the agent back to the instance: call it until it is done. `leave` takes the machine off the agent's network.
pub fn back_to_instance(leave: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    power_cycle(|| {
        boot::clean_up_ramdisk()?;
        leave()?;
        network::configure_tenant()?;
        instance::prepare()
    })
}
