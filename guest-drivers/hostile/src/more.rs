//! The exports that a driver need not have, misbehaving as the others do.

use serde_json::{Value, json};
use wrought_sdk::prelude::*;

use crate::{Hostile, behaviour, driver_info, effect, mark, run};

impl Servicing for Hostile {
    fn prepare_service() -> Result<Outcome> {
        run("prepare-service")
    }

    fn get_service_steps() -> Result<Vec<Step>> {
        run("get-service-steps").map(|_| vec![Step::new("vendor", "provoke", 0).abortable()])
    }

    fn execute_service_step(_: StepCall) -> Result<Outcome> {
        match driver_info("hostile_effect") {
            Some(effect) => effect::provoke(&effect),
            None => run("execute-service-step"),
        }
    }

    fn tear_down_service() -> Result<Outcome> {
        run("tear-down-service")
    }
}

impl Verify for Hostile {
    /// A step only where it shows something.
    fn get_verify_steps() -> Result<Vec<Step>> {
        run("get-verify-steps")?;
        Ok(behaviour("execute-verify-step").map(|_| Step::new("management", "look", 10)).into_iter().collect())
    }

    fn execute_verify_step(_: StepCall) -> Result<Outcome> {
        run("execute-verify-step")
    }
}

impl Rescue for Hostile {
    fn validate() -> Result<()> {
        run("rescue-validate").map(drop)
    }

    fn rescue() -> Result<Outcome> {
        run("rescue")
    }

    fn unrescue() -> Result<Outcome> {
        run("unrescue")
    }

    fn clean_up() -> Result<Outcome> {
        run("rescue-clean-up")
    }
}

impl Inspection for Hostile {
    fn validate() -> Result<()> {
        run("inspection-validate").map(drop)
    }

    fn inspect_hardware() -> Result<Outcome> {
        run("inspect-hardware")
    }

    fn abort() -> Result<Outcome> {
        run("inspection-abort")
    }
}

/// Mode `odd-method`, `double-method` and `odd-verb` describe methods that cannot be.
impl VendorPassthru for Hostile {
    fn methods() -> Vec<Method> {
        let look = || Method::new("look", &["GET", "POST"], "Says that it only looks.");
        let touch = Method::new("touch", &["POST"], "Says that it changes the world.").with_effects();
        let [mode, ..] = mark();
        match mode.as_str() {
            "odd-method" => vec![Method::new("two words", &["GET"], "")],
            "double-method" => vec![look(), look()],
            "odd-verb" => vec![Method::new("look", &["BREW"], "")],
            _ => vec![look(), touch],
        }
    }

    /// `body` says what it does: `{"do": "effect"}` and so on.
    fn call(_: String, http_method: String, body: String) -> Result<String> {
        let asked: Value = serde_json::from_str(&body)?;
        match asked.get("do").and_then(Value::as_str).unwrap_or_default() {
            "effect" => power::on().map(|()| "true".to_owned()),
            "nonsense" => Ok("not JSON".to_owned()),
            "giant" => Ok(json!("x".repeat(100 << 10)).to_string()),
            _ => Ok(json!({ "http": http_method, "body": asked }).to_string()),
        }
    }
}
