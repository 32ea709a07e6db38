//! A driver with one step beside those of its base: it writes its own version onto the node. For tests of which version serves; it is
//! never shipped. How it describes itself is said by its own bytes, see [`MARK`].

use serde_json::json;
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;

/// The driver.
pub struct Stamp;

/// Version, base and mode of this copy, and padding. A test changes these bytes in the component, so that one build makes many
/// versions. Modes: `good`; `bad`, whose step fails; `slow`, whose step waits for a minute.
#[used]
static MARK: [u8; 64] = *b"STAMP:0.1.0;direct;good;........................................";

fn mark() -> [String; 3] {
    // SAFETY: reads a static; volatile, because its bytes are not what the compiler saw.
    let bytes = unsafe { core::ptr::read_volatile(&MARK) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut fields = text.trim_start_matches("STAMP:").split(';').map(str::to_owned);
    core::array::from_fn(|_| fields.next().unwrap_or_default())
}

fn steps() -> Vec<Step> {
    vec![Step::new("vendor", "stamp", 90)]
}

impl Driver for Stamp {
    fn describe() -> Description {
        let [version, base, _] = mark();
        Description::new("stamp", &version, "Nobody").summary("Writes its version onto the node.").base(&base).steps(steps())
    }

    fn get_properties() -> Vec<Property> {
        Vec::new()
    }
}

impl DeploySteps for Stamp {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        Ok(steps())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        if step.id() != ("vendor", "stamp") {
            return Err(step.unknown());
        }
        let [version, _, mode] = mark();
        match (mode.as_str(), task::cause()) {
            ("bad", _) => return Err(Error::failed(format!("version {version} was made to fail"))),
            ("slow", Cause::First) => return wait::seconds(60),
            _ => {}
        }
        state::set(Scope::Node, "version", &version)?;
        report::put(report::Kind::Firmware, &json!([{"component": "stamp", "current_version": version}]))?;
        Ok(Outcome::Done)
    }
}

export_driver!(Stamp: deploy_steps);
