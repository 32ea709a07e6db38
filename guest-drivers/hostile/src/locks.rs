//! A step that takes locks which nodes share, holds them for a while, and lets go of them.
//!
//! `driver_info/hostile_locks` names them in the order in which they are taken, separated by commas; `driver_info/hostile_hold` is the number
//! of seconds. `driver_info/hostile_end` says what happens then: `release` (if not set), `keep`, which leaves that to the host, or `trap`.

use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;

use crate::driver_info;

pub fn hold() -> Result<Outcome> {
    let names = driver_info("hostile_locks").unwrap_or_default();
    let names: Vec<&str> = names.split(',').collect();
    if state::get::<bool>(Scope::Operation, "held")?.is_none() {
        for name in &names {
            match locking::acquire(name) {
                Ok(()) => {}
                Err(error) if error.code == "wrought.SharedLock" => return wait::lock(name, 60),
                Err(error) => return Err(error),
            }
        }
        state::set(Scope::Operation, "held", &true)?;
        return wait::seconds(driver_info("hostile_hold").and_then(|text| text.parse().ok()).unwrap_or(1));
    }
    match driver_info("hostile_end").as_deref() {
        Some("keep") => return Ok(Outcome::Done),
        Some("trap") => crate::trap(),
        _ => {}
    }
    // An effect that changes nothing, for which the locks were taken.
    locking::upgrade()?;
    for name in &names {
        locking::release(name)?;
    }
    Ok(Outcome::Done)
}

/// Waits for what every operation has, and asks for it.
pub fn exclusive() -> Result<Outcome> {
    if task::lock_mode() != task::LockMode::Exclusive {
        return Err(Error::failed("an operation without the exclusive lock"));
    }
    if task::cause() == task::Cause::First {
        return wait::exclusive(5);
    }
    locking::upgrade()?;
    locking::downgrade()?;
    if task::timed_out() { Err(Error::failed("timed out")) } else { Ok(Outcome::Done) }
}
