//! The `noop` driver: Ironic's `noop` deploy interface. A deployment is a change of state and nothing else.
//!
//! It does not clean either, so a node with it becomes available only where its automated cleaning is switched off.

use wrought_sdk::prelude::*;

/// The driver.
pub struct Noop;

fn own_steps() -> Vec<Step> {
    vec![Step::new("deploy", "deploy", 100).abortable()]
}

impl Driver for Noop {
    fn describe() -> Description {
        Description::new("noop", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Does nothing to the machine: for what is deployed by other means.")
            .steps(own_steps())
    }

    fn get_properties() -> Vec<Property> {
        Vec::new()
    }
}

impl Deploy for Noop {
    fn validate() -> Result<()> {
        Ok(())
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

impl DeploySteps for Noop {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        Ok(own_steps())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "deploy") => Ok(Outcome::Done),
            _ => Err(step.unknown()),
        }
    }
}

export_driver!(Noop: deploy, deploy_steps);
