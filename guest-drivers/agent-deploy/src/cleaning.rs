//! Cleaning: the agent does it, the driver boots it and takes it away again.

use wrought_sdk::agent::StepKind;
use wrought_sdk::prelude::*;

use crate::{machine, ramdisk, steps as lists};

/// Boots the agent on the cleaning network: call it until it is done.
pub fn prepare() -> Result<Outcome> {
    if !ramdisk::is_booting()? {
        network::add_cleaning()?;
        boot::prepare_ramdisk(&[])?;
    }
    ramdisk::boot(&task::node())
}

/// The agent's steps. Without an agent there is nothing to clean with; whether that is enough is for the host to judge.
pub fn steps() -> Result<Vec<Step>> {
    match agent::current()? {
        Some(_) => Ok(lists::clean(agent::steps(StepKind::Clean)?, &task::options()?)),
        None => Ok(Vec::new()),
    }
}

/// Off, and without the agent's medium.
pub fn tear_down() -> Result<Outcome> {
    if let Some(outcome) = machine::off(&task::node())? {
        return Ok(outcome);
    }
    boot::clean_up_ramdisk()?;
    network::remove_cleaning()?;
    Ok(Outcome::Done)
}
