//! Service: the agent in place of the instance for a while.

use wrought_sdk::agent::StepKind;
use wrought_sdk::prelude::*;

use crate::{life, machine, ramdisk};

/// Boots the agent on the servicing network: call it until it is done.
pub fn prepare() -> Result<Outcome> {
    let node = task::node();
    if !ramdisk::is_booting()? {
        if let Some(outcome) = machine::off(&node)? {
            return Ok(outcome);
        }
        boot::clean_up_instance()?;
        network::unconfigure_tenant()?;
        network::add_servicing()?;
        boot::prepare_ramdisk(&[])?;
    }
    ramdisk::boot(&node)
}

/// The agent's steps; it has to be booted to tell them.
pub fn steps() -> Result<Vec<Step>> {
    match agent::current()? {
        Some(_) => Ok(agent::steps(StepKind::Service)?.into_iter().map(Step::in_ramdisk).collect()),
        None => Ok(Vec::new()),
    }
}

/// Back to the instance, however the service went: call it until it is done.
pub fn tear_down() -> Result<Outcome> {
    life::back_to_instance(network::remove_servicing)
}
