//! The `fake` driver: everything succeeds and no hardware is touched, as Ironic's `fake` interfaces.
//!
//! `driver_info/fake_KIND_delay`, see [`DELAYS`], makes what it says take that many seconds.

mod life;
mod steps;
mod vendor;

use serde_json::{Map, Value};
use wrought_sdk::prelude::*;

/// The driver.
pub struct Fake;

/// Keys of `driver_info`, and what they make last.
const DELAYS: [(&str, &str); 6] = [
    ("fake_deploy_delay", "a deploy step"),
    ("fake_clean_delay", "a clean step"),
    ("fake_service_delay", "a service step"),
    ("fake_inspect_delay", "an inspection"),
    ("fake_rescue_delay", "a rescue or its end"),
    ("fake_verify_delay", "the verify step, which there is only if this is set"),
];

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

/// Checks all delays.
fn check_delays() -> Result<()> {
    let driver_info = task::node().driver_info()?;
    DELAYS.iter().try_for_each(|(key, _)| delay(&driver_info, key).map(drop))
}

impl Driver for Fake {
    fn describe() -> Description {
        Description::new("fake", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Pretends to do everything that a driver can do, for trying out and for tests.")
            .steps(steps::all())
    }

    fn get_properties() -> Vec<Property> {
        DELAYS
            .map(|(key, what)| Property::optional(&format!("driver_info/{key}"), &format!("Seconds that it takes {what}; 0 if not set.")))
            .into()
    }
}

export_driver!(Fake: deploy, deploy_steps, cleaning, servicing, verify, rescue, inspection, vendor_passthru);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn delay_of(value: Value) -> Result<u32> {
        let Value::Object(driver_info) = json!({ "fake_deploy_delay": value }) else { unreachable!() };
        delay(&driver_info, "fake_deploy_delay")
    }

    #[test]
    fn a_delay_is_a_whole_number_of_seconds() {
        assert_eq!(delay_of(json!(3)).unwrap(), 3);
        assert_eq!(delay_of(json!("7")).unwrap(), 7);
        assert_eq!(delay_of(Value::Null).unwrap(), 0);
        assert_eq!(delay(&Map::new(), "fake_clean_delay").unwrap(), 0);
        for wrong in [json!(-1), json!(1.5), json!("soon"), json!(true), json!(4_294_967_296_u64)] {
            assert_eq!(delay_of(wrong).unwrap_err().kind, ErrorKind::InvalidParameter);
        }
    }
}
