//! Power of the machine, where being off is needed before the next thing.

use wrought_sdk::prelude::*;
use wrought_sdk::task::Node;

/// Sees to it that the machine is off: `None` when it is, or when this node must never be; else what to return.
pub fn off(node: &Node) -> Result<Option<Outcome>> {
    if node.disable_power_off || power::get()? == PowerState::Off {
        return Ok(None);
    }
    if task::timed_out() {
        return Err(still_on());
    }
    power::off()?;
    wait::power(PowerState::Off, 0).map(Some)
}

/// The machine was told to go off and did not.
pub fn still_on() -> Error {
    Error::power_failed("the machine was told to power off and is still on: look at its controller").with_code("power.OffTimeout")
}

/// The machine was told to go on and did not.
pub fn still_off() -> Error {
    Error::power_failed("the machine was told to power on and is not on: look at its controller").with_code("power.OnTimeout")
}
