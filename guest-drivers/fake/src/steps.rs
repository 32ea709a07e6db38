//! Steps of every kind. Those that set something up report it, as if it had been done.

use serde_json::{Map, Value, json};
use wrought_sdk::prelude::*;

use crate::{Fake, delay, pretend};

fn core() -> Step {
    Step::new("deploy", "deploy", 100).abortable()
}

fn erase() -> Step {
    Step::new("deploy", "erase_devices", 10).abortable()
}

fn verify() -> Step {
    Step::new("management", "fake_verify", 10)
}

/// Runs when somebody asks for it, in a cleaning or a service; without an agent.
fn on_request() -> Vec<Step> {
    vec![
        Step::new("raid", "create_configuration", 0)
            .argument("create_root_volume", ArgumentType::Boolean, "Whether the root volume is made; it is if not said.")
            .argument("create_nonroot_volumes", ArgumentType::Boolean, "Whether the other volumes are made; they are if not said."),
        Step::new("raid", "delete_configuration", 0),
        Step::new("bios", "apply_configuration", 0).abortable().required_argument(
            "settings",
            ArgumentType::Array,
            "Settings, each with `name` and `value`.",
        ),
        Step::new("bios", "factory_reset", 0).abortable(),
        Step::new("firmware", "update", 0).required_argument("settings", ArgumentType::Array, "Updates, each with `component` and `url`."),
        Step::new("vendor", "log_passthrough", 0).argument("message", ArgumentType::Text, "What is written to the log."),
    ]
}

/// The same in a deployment, where the configuration of disks is given with the step.
fn in_deployment() -> Vec<Step> {
    let raid = Step::new("raid", "apply_configuration", 0)
        .required_argument("raid_config", ArgumentType::Object, "The configuration, with `logical_disks`.")
        .argument("delete_existing", ArgumentType::Boolean, "Whether what is there is deleted first; it is if not said.");
    on_request().into_iter().filter(|step| step.interface != "raid").chain([raid]).collect()
}

/// Every step that there is.
pub fn all() -> Vec<Step> {
    let raid = in_deployment().into_iter().filter(|step| step.interface == "raid");
    [core(), erase(), verify()].into_iter().chain(on_request()).chain(raid).collect()
}

/// Does a step, in pretence.
fn execute(step: &StepCall, offered: &[Step], key: &str) -> Result<Outcome> {
    if !offered.iter().any(|known| known.is(step)) {
        return Err(step.unknown());
    }
    let outcome = pretend(key)?;
    if outcome == Outcome::Done {
        tell(step)?;
    }
    Ok(outcome)
}

/// What a step has set up.
fn tell(step: &StepCall) -> Result<()> {
    let args: Map<String, Value> = step.arguments()?;
    let given = |name: &str| args.get(name).cloned().unwrap_or_default();
    match step.id() {
        ("raid", "create_configuration") => report::put(report::Kind::RaidConfig, &json!({ "logical_disks": [{ "controller": "fake" }] })),
        ("raid", "apply_configuration") => report::put(report::Kind::RaidConfig, &given("raid_config")),
        ("raid", "delete_configuration") => report::put(report::Kind::RaidConfig, &json!({ "logical_disks": [] })),
        ("bios", "apply_configuration") => report::put(report::Kind::BiosSettings, &given("settings")),
        ("bios", "factory_reset") => report::put(report::Kind::BiosSettings, &json!([])),
        ("firmware", "update") => {
            let component = |update: &Value| json!({ "component": update.get("component"), "current_version": "updated" });
            let updated: Vec<Value> = given("settings").as_array().into_iter().flatten().map(component).collect();
            report::put(report::Kind::Firmware, &updated)
        }
        ("vendor", "log_passthrough") => {
            wrought_sdk::info!("{}", given("message").as_str().unwrap_or("no message"));
            Ok(())
        }
        _ => Ok(()),
    }
}

impl DeploySteps for Fake {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        Ok([core()].into_iter().chain(in_deployment()).collect())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        execute(&step, &Self::get_deploy_steps()?, "fake_deploy_delay")
    }
}

impl Cleaning for Fake {
    fn prepare_cleaning() -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    fn get_clean_steps() -> Result<Vec<Step>> {
        Ok([erase()].into_iter().chain(on_request()).collect())
    }

    fn execute_clean_step(step: StepCall) -> Result<Outcome> {
        execute(&step, &Self::get_clean_steps()?, "fake_clean_delay")
    }

    fn tear_down_cleaning() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl Servicing for Fake {
    fn prepare_service() -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    fn get_service_steps() -> Result<Vec<Step>> {
        Ok(on_request())
    }

    fn execute_service_step(step: StepCall) -> Result<Outcome> {
        execute(&step, &on_request(), "fake_service_delay")
    }

    fn tear_down_service() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl Verify for Fake {
    fn get_verify_steps() -> Result<Vec<Step>> {
        let wanted = delay(&task::node().driver_info()?, "fake_verify_delay")? > 0;
        Ok(if wanted { vec![verify()] } else { Vec::new() })
    }

    fn execute_verify_step(step: StepCall) -> Result<Outcome> {
        execute(&step, &[verify()], "fake_verify_delay")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_told_once_at_the_upload() {
        let all = all();
        for step in on_request().iter().chain(&in_deployment()) {
            assert_eq!(all.iter().filter(|known| known.interface == step.interface && known.step == step.step).count(), 1, "{}", step.step);
        }
    }
}
