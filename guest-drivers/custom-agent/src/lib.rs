//! The `custom-agent` driver: Ironic's `custom-agent` deploy interface. The machine boots an agent that brings deploy steps of its
//! own; those install whatever they install, and the driver leads the machine in and out.

use wrought_agent_deploy::node::Details;
use wrought_agent_deploy::{check, cleans_and_services_by_agent, instance, life, steps};
use wrought_sdk::prelude::*;

/// The driver.
pub struct CustomAgent;

fn own_steps() -> Vec<Step> {
    steps::own(&[
        ("deploy", 100),
        ("prepare_instance_boot", 60),
        ("tear_down_agent", 40),
        ("switch_to_tenant_network", 30),
        ("boot_instance", 20),
    ])
}

impl Driver for CustomAgent {
    fn describe() -> Description {
        Description::new("custom-agent", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Boots an agent whose own deploy steps install the machine.")
            .steps(own_steps())
    }

    fn get_properties() -> Vec<Property> {
        vec![
            Property::optional(
                "driver_info/deploy_forces_oob_reboot",
                "Power the machine off through its controller at the end of a deployment.",
            ),
            Property::optional("properties/capabilities", "`boot_mode` and `secure_boot`; those of `instance_info` come first."),
        ]
    }
}

impl Deploy for CustomAgent {
    fn validate() -> Result<()> {
        boot::validate()?;
        check::check(&Details::load()?)
    }

    fn prepare() -> Result<Outcome> {
        life::prepare(|| Ok(()))
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

impl DeploySteps for CustomAgent {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        steps::deploy(own_steps())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "prepare_instance_boot") => instance::boot_from_disk(),
            _ => steps::execute(&step),
        }
    }
}

cleans_and_services_by_agent!(CustomAgent);
export_driver!(CustomAgent: deploy, deploy_steps, cleaning, servicing);
