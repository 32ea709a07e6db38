//! Which drivers a node's interfaces may name, beside its deploy interface.

use wrought_domain::Function;
use wrought_drivers::Driver;

use crate::chain::STEP_INTERFACES;
use crate::conductor::Conductor;

impl Conductor {
    /// The active drivers that an interface of a node may name: for `raid`, `bios`, `firmware`, `management` and `vendor` those with
    /// steps of it, for `vendor` also those with methods, for `inspect` and `rescue` those that serve it.
    pub fn interface_drivers(&self, interface: &str) -> Vec<String> {
        let generation = self.0.catalog.current();
        let active = generation.drivers.keys().filter_map(|name| Some((name, generation.active(name)?)));
        active.filter(|(_, driver)| serves(driver, interface)).map(|(name, _)| name.to_string()).collect()
    }
}

fn serves(driver: &Driver, interface: &str) -> bool {
    match interface {
        "inspect" => driver.serves(Function::InspectHardware),
        "rescue" => driver.serves(Function::Rescue),
        "vendor" if driver.serves(Function::VendorCall) => true,
        step if STEP_INTERFACES.contains(&step) => {
            let lists = Function::ALL.iter().any(|function| function.lists_steps() && driver.serves(*function));
            // What an agent offers is not described, so who describes nothing may still have some.
            let steps = &driver.about.steps;
            lists && (steps.is_empty() || steps.iter().any(|known| known.interface == step))
        }
        _ => false,
    }
}
