//! The life of a deployment around its steps.

use wrought_agent_deploy::{check, instance, life, node::Details};
use wrought_sdk::prelude::*;

use crate::Direct;

impl Deploy for Direct {
    fn validate() -> Result<()> {
        boot::validate()?;
        check::check(&Details::load()?)?;
        image::validate()
    }

    fn prepare() -> Result<Outcome> {
        life::prepare(instance::resolve_image)
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
