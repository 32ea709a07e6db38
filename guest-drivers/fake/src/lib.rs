//! The `fake` driver: every step succeeds and no hardware is touched, as Ironic's `fake` deploy interface.
//!
//! `driver_info/fake_deploy_delay` and `driver_info/fake_clean_delay` make a step take that many seconds.

use serde_json::{Map, Value};
use wrought_sdk::prelude::*;

/// Key of `driver_info`: seconds that the deploy step takes.
const DEPLOY_DELAY: &str = "fake_deploy_delay";
/// Key of `driver_info`: seconds that a clean step takes.
const CLEAN_DELAY: &str = "fake_clean_delay";

/// The driver.
pub struct Fake;

fn deploy_steps() -> Vec<Step> {
    vec![Step::new("deploy", "deploy", 100).abortable()]
}

fn clean_steps() -> Vec<Step> {
    vec![Step::new("deploy", "erase_devices", 10).abortable()]
}

/// The seconds under `key`: a whole number, or a string of one, 0 when absent.
fn delay(driver_info: &Map<String, Value>, key: &str) -> Result<u32> {
    let seconds = match driver_info.get(key) {
        None | Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => number.as_u64().and_then(|seconds| u32::try_from(seconds).ok()),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    seconds.ok_or_else(|| Error::invalid_parameter(format!("driver_info/{key} must be a whole number of seconds, 0 or more")))
}

/// Takes as long as the node says, without doing anything.
fn pretend(key: &str) -> Result<Outcome> {
    match (task::cause(), delay(&task::node().driver_info()?, key)?) {
        (Cause::Resumed(_), _) | (_, 0) => Ok(Outcome::Done),
        (_, seconds) => wait::seconds(seconds),
    }
}

impl Driver for Fake {
    fn describe() -> Description {
        let steps = deploy_steps().into_iter().chain(clean_steps()).collect();
        Description::new("fake", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Pretends to deploy and to clean, for trying out and for tests.")
            .steps(steps)
    }

    fn get_properties() -> Vec<Property> {
        vec![
            Property::optional("driver_info/fake_deploy_delay", "Seconds that the deploy step takes; 0 if not set."),
            Property::optional("driver_info/fake_clean_delay", "Seconds that a clean step takes; 0 if not set."),
        ]
    }
}

impl Deploy for Fake {
    fn validate() -> Result<()> {
        let driver_info = task::node().driver_info()?;
        delay(&driver_info, DEPLOY_DELAY)?;
        delay(&driver_info, CLEAN_DELAY)?;
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

impl DeploySteps for Fake {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        Ok(deploy_steps())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "deploy") => pretend(DEPLOY_DELAY),
            _ => Err(step.unknown()),
        }
    }
}

impl Cleaning for Fake {
    fn prepare_cleaning() -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    fn get_clean_steps() -> Result<Vec<Step>> {
        Ok(clean_steps())
    }

    fn execute_clean_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "erase_devices") => pretend(CLEAN_DELAY),
            _ => Err(step.unknown()),
        }
    }

    fn tear_down_cleaning() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

export_driver!(Fake: deploy, deploy_steps, cleaning);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn delay_of(value: Value) -> Result<u32> {
        let Value::Object(driver_info) = json!({ DEPLOY_DELAY: value }) else { unreachable!() };
        delay(&driver_info, DEPLOY_DELAY)
    }

    #[test]
    fn a_delay_is_a_whole_number_of_seconds() {
        assert_eq!(delay_of(json!(3)).unwrap(), 3);
        assert_eq!(delay_of(json!("7")).unwrap(), 7);
        assert_eq!(delay_of(Value::Null).unwrap(), 0);
        assert_eq!(delay(&Map::new(), CLEAN_DELAY).unwrap(), 0);
        for wrong in [json!(-1), json!(1.5), json!("soon"), json!(true), json!(4_294_967_296_u64)] {
            assert_eq!(delay_of(wrong).unwrap_err().kind, ErrorKind::InvalidParameter);
        }
    }
}
