//! The deploy steps: ours by name, the agent's by handing them over.

use wrought_agent_deploy::image_info::write_image_args;
use wrought_agent_deploy::node::Details;
use wrought_agent_deploy::{in_band, instance, steps};
use wrought_sdk::agent::StepKind;
use wrought_sdk::prelude::*;

use crate::{Direct, own_steps};

impl DeploySteps for Direct {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        steps::deploy(own_steps())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "write_image") => write_image(&step),
            ("deploy", "prepare_instance_boot") => instance::prepare_boot(&step),
            _ => steps::execute(&step),
        }
    }
}

/// Has the agent write the image.
fn write_image(step: &StepCall) -> Result<Outcome> {
    let (drive, authorization) = (image::config_drive(), image::authorization());
    let args = write_image_args(&instance::resolved_image()?, &Details::load()?, drive.as_deref(), authorization.as_deref())?;
    in_band::execute(StepKind::Deploy, &StepCall::new(&step.interface, &step.step, &args)?)
}
