//! Cleaning: the agent does it, the driver boots it and takes it away again.

use wrought_sdk::agent::StepKind;
use wrought_sdk::prelude::*;

use crate::{Direct, in_band, machine, ramdisk, steps};

impl Cleaning for Direct {
    fn prepare_cleaning() -> Result<Outcome> {
        if !ramdisk::is_booting()? {
            network::add_cleaning()?;
            boot::prepare_ramdisk(&[])?;
        }
        ramdisk::boot(&task::node())
    }

    fn get_clean_steps() -> Result<Vec<Step>> {
        // Without an agent there is nothing to clean with; whether that is enough is for the host to judge.
        match agent::current()? {
            Some(_) => Ok(steps::clean(agent::steps(StepKind::Clean)?, &task::options()?)),
            None => Ok(Vec::new()),
        }
    }

    fn execute_clean_step(step: StepCall) -> Result<Outcome> {
        in_band::execute(StepKind::Clean, &step)
    }

    fn tear_down_cleaning() -> Result<Outcome> {
        if let Some(outcome) = machine::off(&task::node())? {
            return Ok(outcome);
        }
        boot::clean_up_ramdisk()?;
        network::remove_cleaning()?;
        Ok(Outcome::Done)
    }
}
