//! What leads a node from state to state.

use serde_json::json;
use wrought_sdk::prelude::*;

use crate::{Fake, check_delays, pretend};

impl Deploy for Fake {
    fn validate() -> Result<()> {
        check_delays()
    }

    fn prepare() -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    fn tear_down() -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    fn clean_up() -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    fn take_over() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl Rescue for Fake {
    fn validate() -> Result<()> {
        check_delays()
    }

    fn rescue() -> Result<Outcome> {
        pretend("fake_rescue_delay")
    }

    fn unrescue() -> Result<Outcome> {
        pretend("fake_rescue_delay")
    }

    fn clean_up() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl Inspection for Fake {
    fn validate() -> Result<()> {
        check_delays()
    }

    fn inspect_hardware() -> Result<Outcome> {
        let outcome = pretend("fake_inspect_delay")?;
        if outcome == Outcome::Done {
            let found = json!({
                "cpu": { "count": 2, "architecture": "x86_64", "flags": [] },
                "memory": { "physical_mb": 4096, "total": 4_294_967_296_u64 },
                "disks": [{ "name": "/dev/fake", "size": 10_737_418_240_u64, "rotational": false }],
                "interfaces": [],
                "system_vendor": { "manufacturer": "Wrought", "product_name": "Fake" },
                "boot": { "current_boot_mode": "uefi" },
            });
            report::put(report::Kind::Inventory, &found)?;
        }
        Ok(outcome)
    }

    fn abort() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}
