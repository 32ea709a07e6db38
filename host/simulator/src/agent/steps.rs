//! The steps that the generic hardware manager offers, and doing one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::commands::Failure;
use super::{Agent, image};
use crate::node::Faults;

const MANAGER: &str = "generic_hardware_manager";
const MANAGER_VERSION: &str = "1.2";

/// Which of the three lists of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Clean,
    Deploy,
    Service,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Deploy => "deploy",
            Self::Service => "service",
        }
    }

    /// Steps as (name, interface, priority).
    fn steps(self) -> &'static [(&'static str, &'static str, u32)] {
        match self {
            Self::Clean => &[
                ("erase_devices", "deploy", 10),
                ("erase_devices_metadata", "deploy", 99),
                ("erase_devices_express", "deploy", 0),
                ("erase_pstore", "deploy", 0),
                ("clean_uefi_nvram", "deploy", 0),
                ("delete_configuration", "raid", 0),
                ("create_configuration", "raid", 0),
                ("burnin_cpu", "deploy", 0),
                ("burnin_gpu", "deploy", 0),
                ("burnin_disk", "deploy", 0),
                ("burnin_memory", "deploy", 0),
                ("burnin_network", "deploy", 0),
            ],
            Self::Deploy => &[
                ("erase_devices_metadata", "deploy", 0),
                ("apply_configuration", "raid", 0),
                ("clean_uefi_nvram", "deploy", 0),
                ("write_image", "deploy", 0),
                ("inject_files", "deploy", 0),
                ("execute_bootc_install", "deploy", 0),
            ],
            Self::Service => &[
                ("delete_configuration", "raid", 0),
                ("apply_configuration", "raid", 0),
                ("create_configuration", "raid", 0),
                ("burnin_cpu", "deploy", 0),
                ("burnin_gpu", "deploy", 0),
                ("burnin_memory", "deploy", 0),
                ("burnin_network", "deploy", 0),
                ("write_image", "deploy", 0),
                ("inject_files", "deploy", 0),
                ("execute_bootc_install", "deploy", 0),
            ],
        }
    }
}

/// The result of `get_<phase>_steps`.
pub(super) fn offered(phase: Phase, faults: &Faults) -> Value {
    let steps: Vec<_> = phase
        .steps()
        .iter()
        .map(|&(name, interface, priority)| {
            let mut step = Map::new();
            step.insert("step".into(), name.into());
            step.insert("priority".into(), priority.into());
            step.insert("interface".into(), interface.into());
            step.insert("reboot_requested".into(), (faults.rebooting_step.as_deref() == Some(name)).into());
            if phase == Phase::Clean {
                step.insert("abortable".into(), true.into());
            }
            if let Some(arguments) = arguments(name) {
                step.insert("argsinfo".into(), arguments);
            }
            Value::Object(step)
        })
        .collect();
    let mut result = Map::new();
    result.insert(format!("{}_steps", phase.word()), json!({ "GenericHardwareManager": steps }));
    result.insert("hardware_manager_version".into(), versions());
    Value::Object(result)
}

fn versions() -> Value {
    json!({ MANAGER: MANAGER_VERSION })
}

fn arguments(step: &str) -> Option<Value> {
    let argument = |description: &str, required: bool| json!({ "description": description, "required": required });
    match step {
        "apply_configuration" => Some(json!({
            "raid_config": argument("The RAID configuration to apply.", true),
            "delete_existing": argument(
                "Setting this to 'True' indicates to delete existing RAID configuration prior to creating the new configuration. \
                 Default value is 'True'.",
                false,
            ),
        })),
        "clean_uefi_nvram" => Some(json!({
            "match_patterns": argument(
                "Json blob contains a list of regex patterns where any UEFI NVRAM entry matching that pattern will be deleted. \
                 Default value is '[\"^HD\\(\", \"shim.*\\.efi\", \"grub.*\\.efi\"]'",
                false,
            ),
        })),
        "inject_files" => Some(json!({
            "files": argument(
                "Files to inject, a list of file structures with keys: 'path' (path to the file), 'partition' (partition specifier), \
                 'content' (base64 encoded string), 'mode' (new file mode) and 'dirmode' (mode for the leaf directory, if created). \
                 Merged with the values from node.properties[inject_files].",
                false,
            ),
            "verify_ca": argument("Whether to verify TLS certificates. Global agent options are used by default.", false),
        })),
        _ => None,
    }
}

/// `execute_<phase>_step`.
pub(super) async fn execute(agent: &Arc<Agent>, phase: Phase, params: &Map<String, Value>) -> Result<Value, Failure> {
    let word = phase.word();
    let step = params.get("step").unwrap_or(&Value::Null);
    let name = step
        .get("step")
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::parameters(format!("Malformed {word}_step, no \"step\" key: {step}")))?;
    let expected = params.get(&format!("{word}_version")).filter(|expected| !expected.is_null());
    if expected.is_some_and(|expected| *expected != versions()) {
        let details = format!("Current versions: {}, previous versions: {}", versions(), expected.unwrap_or(&Value::Null));
        return Err(Failure::new("VersionMismatch", "Hardware managers version mismatch, reload agent with correct version", details));
    }
    if !phase.steps().iter().any(|&(offered, ..)| offered == name) {
        let message = "No HardwareManager found to handle method";
        return Err(Failure::new("HardwareManagerMethodNotFound", message, format!("Could not find method: {name}")));
    }
    let result = perform(agent, phase, name, step).await?;
    let mut outcome = Map::new();
    outcome.insert(format!("{word}_result"), result);
    outcome.insert(format!("{word}_step"), step.clone());
    Ok(Value::Object(outcome))
}

async fn perform(agent: &Arc<Agent>, phase: Phase, name: &str, step: &Value) -> Result<Value, Failure> {
    let timing = &agent.fleet.timing;
    if agent.node.lock().faults.failing_step.as_deref() == Some(name) {
        tokio::time::sleep(timing.command).await;
        return Err(Failure::new("CommandExecutionError", "Command execution failed", format!("simulated fault: {name} fails")));
    }
    match (phase, name) {
        (Phase::Clean, _) => {
            agent.node.count(|counts| counts.clean_steps += 1);
            tokio::time::sleep(timing.clean).await;
            Ok(Value::Null)
        }
        (_, "write_image") => {
            let info = step.pointer("/args/image_info").unwrap_or(&Value::Null);
            let text = image::write(agent, info).await?;
            Ok(json!({ "result": format!("prepare_image: {text}") }))
        }
        (_, "execute_bootc_install") => {
            tokio::time::sleep(timing.write).await;
            let mut inner = agent.node.lock();
            inner.told.bootc_install = step.get("args").cloned();
            inner.counts.bootc_installs += 1;
            agent.written.store(true, Ordering::Relaxed);
            Ok(Value::Null)
        }
        (Phase::Service, _) => {
            agent.node.count(|counts| counts.service_steps += 1);
            tokio::time::sleep(timing.command).await;
            Ok(Value::Null)
        }
        _ => {
            tokio::time::sleep(timing.command).await;
            Ok(Value::Null)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn offered_steps_have_the_shape_of_the_real_agent() {
        let faults = Faults { rebooting_step: Some("burnin_cpu".into()), ..Faults::default() };
        let clean = offered(Phase::Clean, &faults);
        let first = &clean["clean_steps"]["GenericHardwareManager"][0];
        let expected =
            json!({ "step": "erase_devices", "priority": 10, "interface": "deploy", "reboot_requested": false, "abortable": true });
        assert_eq!(*first, expected);
        assert_eq!(clean["hardware_manager_version"], json!({ "generic_hardware_manager": "1.2" }));
        let wants_reboot = |step: &&Value| step["reboot_requested"] == true;
        assert_eq!(clean["clean_steps"]["GenericHardwareManager"].as_array().into_iter().flatten().filter(wants_reboot).count(), 1);
        let deploy = offered(Phase::Deploy, &faults);
        assert!(deploy["deploy_steps"]["GenericHardwareManager"][0].get("abortable").is_none());
    }
}
