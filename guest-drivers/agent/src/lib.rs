//! The `agent` driver: Ironic's `agent` inspect and rescue interfaces. The agent looks at the machine from within, and stands in for
//! the instance while somebody repairs it.

mod inspection;
mod rescue;

use wrought_sdk::prelude::*;

/// The driver.
pub struct InBand;

impl Driver for InBand {
    fn describe() -> Description {
        Description::new("agent", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Inspects machines from within, and rescues them: both with the agent.")
    }

    fn get_properties() -> Vec<Property> {
        Vec::new()
    }
}

export_driver!(InBand: rescue, inspection);
