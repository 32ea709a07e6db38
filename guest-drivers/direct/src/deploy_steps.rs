//! The deploy steps: ours by name, the agent's by handing them over.

use wrought_sdk::agent::StepKind;
use wrought_sdk::prelude::*;

use crate::deploy::resolved_image;
use crate::image_info::write_image_args;
use crate::node::Details;
use crate::{Direct, in_band, instance, ramdisk, steps};

impl DeploySteps for Direct {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        let agents = match agent::current()? {
            Some(_) => agent::steps(StepKind::Deploy)?,
            None => Vec::new(),
        };
        Ok(steps::merge(steps::own(), agents))
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "deploy") => ramdisk::boot(&task::node()),
            ("deploy", "write_image") => write_image(&step),
            ("deploy", "prepare_instance_boot") => instance::prepare_boot(&step),
            ("deploy", "tear_down_agent") => instance::tear_down_agent(),
            ("deploy", "switch_to_tenant_network") => switch_to_tenant_network(),
            ("deploy", "boot_instance") => instance::boot(),
            _ => in_band::execute(StepKind::Deploy, &step),
        }
    }
}

/// Has the agent write the image.
fn write_image(step: &StepCall) -> Result<Outcome> {
    let (drive, authorization) = (image::config_drive(), image::authorization());
    let args = write_image_args(&resolved_image()?, &Details::load()?, drive.as_deref(), authorization.as_deref())?;
    in_band::execute(StepKind::Deploy, &StepCall::new(&step.interface, &step.step, &args)?)
}

fn switch_to_tenant_network() -> Result<Outcome> {
    network::remove_provisioning()?;
    network::configure_tenant()?;
    Ok(Outcome::Done)
}
