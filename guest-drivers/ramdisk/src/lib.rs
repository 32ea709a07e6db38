//! The `ramdisk` driver: Ironic's `ramdisk` deploy interface. The instance is an image that is booted and never written to a disk.

use wrought_agent_deploy::{cleans_and_services_by_agent, instance, life, machine, steps};
use wrought_sdk::prelude::*;

/// The driver.
pub struct Ramdisk;

fn own_steps() -> Vec<Step> {
    steps::own(&[("deploy", 100)])
}

impl Driver for Ramdisk {
    fn describe() -> Description {
        Description::new("ramdisk", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Boots an image that stays in memory; the disks are the tenant's.")
            .steps(own_steps())
    }

    fn get_properties() -> Vec<Property> {
        Vec::new()
    }
}

impl Deploy for Ramdisk {
    fn validate() -> Result<()> {
        boot::validate()?;
        match instance::medium(&task::node())? {
            Some(_) => Ok(()),
            None => Err(Error::missing_parameter(
                "instance_info/boot_iso is missing: the URL of the image to boot; instance_info/image_source must not be set",
            )),
        }
    }

    fn prepare() -> Result<Outcome> {
        if life::has_instance() {
            return life::take_over();
        }
        network::validate()?;
        Ok(machine::off(&task::node())?.unwrap_or(Outcome::Done))
    }

    fn tear_down() -> Result<Outcome> {
        life::tear_down()
    }

    fn clean_up() -> Result<Outcome> {
        life::clean_up()
    }

    fn take_over() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl DeploySteps for Ramdisk {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        Ok(own_steps())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "deploy") => life::power_cycle(|| {
                network::configure_tenant()?;
                instance::prepare()
            }),
            _ => Err(step.unknown()),
        }
    }
}

cleans_and_services_by_agent!(Ramdisk);
export_driver!(Ramdisk: deploy, deploy_steps, cleaning, servicing);
