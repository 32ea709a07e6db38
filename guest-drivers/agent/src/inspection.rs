//! Inspection from within: the agent boots, looks, and posts what it found to the host.

use wrought_agent_deploy::machine;
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;
use wrought_sdk::{serde, state};

use crate::InBand;

/// Key of how far an inspection is.
const KEY: &str = "inspection";

#[derive(serde::Serialize, serde::Deserialize, PartialEq, Eq)]
#[serde(crate = "serde")]
enum Phase {
    /// Told to power off, before.
    GoingOff,
    /// Told to power on; the agent is to post what it finds.
    Looking,
    /// It has posted; told to power off.
    Ending,
}

impl Inspection for InBand {
    fn validate() -> Result<()> {
        boot::validate()?;
        network::validate()
    }

    fn inspect_hardware() -> Result<Outcome> {
        let node = task::node();
        let phase = state::get(Scope::Operation, KEY)?;
        if matches!(phase, None | Some(Phase::GoingOff)) {
            if let Some(outcome) = machine::off(&node)? {
                state::set(Scope::Operation, KEY, &Phase::GoingOff)?;
                return Ok(outcome);
            }
            return look(node.disable_power_off);
        }
        if phase == Some(Phase::Looking) && task::timed_out() {
            return Err(Error::timeout(
                "the machine was powered on and no agent posted what it found: look at its console, its boot device and its network",
            )
            .with_code("agent.InspectionTimeout"));
        }
        if phase == Some(Phase::Looking) && !node.disable_power_off && power::get()? != PowerState::Off {
            power::off()?;
            state::set(Scope::Operation, KEY, &Phase::Ending)?;
            return wait::power(PowerState::Off, 0);
        }
        end()
    }

    fn abort() -> Result<Outcome> {
        end()
    }
}

fn look(never_off: bool) -> Result<Outcome> {
    network::add_provisioning()?;
    boot::prepare_ramdisk(&[])?;
    if never_off {
        power::reboot()?;
    } else {
        power::on()?;
    }
    state::set(Scope::Operation, KEY, &Phase::Looking)?;
    wait::inspection_data(0)
}

/// Off, and without the agent's medium.
fn end() -> Result<Outcome> {
    if let Some(outcome) = machine::off(&task::node())? {
        return Ok(outcome);
    }
    boot::clean_up_ramdisk()?;
    network::remove_provisioning()?;
    state::delete(Scope::Operation, KEY);
    Ok(Outcome::Done)
}
