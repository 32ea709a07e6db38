//! `PUT /v1/nodes/{node}/states/provision`.

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;
use wrought_conductor::{ProvisionRequest, check_steps, check_verb};
use wrought_domain::node::Interfaces;
use wrought_domain::{Map, Node, ProvisionState, StepCall, Verb};

use crate::args::{Args, brief};
use crate::call::{Call, accepted};
use crate::errors::Fault;
use crate::nodes::states::{location, not_in_state};

/// Steps that one request may name.
const MAX_STEPS: usize = 100;

/// Checks what can be told from the request and the node as it is now, then hands it to the
/// conductor, which checks again under the node's reservation.
pub(crate) async fn provision(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.args()?;
    let target = args.mandatory("target")?;
    let node = call.node(&ident).await?.value;
    if let Some(since) = Verb::min_minor(&target) {
        call.accept(since)?;
    }
    let Ok(verb) = target.parse::<Verb>() else { return Err(not_in_state(&target, &node, node.provision_state.as_str())) };
    let request = request(&call, args, verb)?;
    check_verb(&node, verb, &target)?;
    check_abort(&call, &node, verb)?;
    call.api.service.provision(&call.who, node.uuid, verb, request).await?;
    Ok(accepted(location(&call, &ident)))
}

/// Since when the API knows an abort in these states.
fn check_abort(call: &Call, node: &Node, verb: Verb) -> Result<(), Fault> {
    match (verb, node.provision_state) {
        (Verb::Abort, ProvisionState::InspectWait) => call.accept(41),
        (Verb::Abort, ProvisionState::WaitCallBack) => call.accept(110),
        _ => Ok(()),
    }
}

fn request(call: &Call, mut args: Args, verb: Verb) -> Result<ProvisionRequest, Fault> {
    let deploys = matches!(verb, Verb::Active | Verb::Rebuild);
    let config_drive = args.value("configdrive").filter(|drive| drive.as_str() != Some(""));
    let clean_steps = args.value("clean_steps");
    let deploy_steps = args.value("deploy_steps");
    let service_steps = args.value("service_steps");
    let rescue_password = args.text("rescue_password")?;
    let disable_ramdisk = args.boolean("disable_ramdisk")?;
    let runbook = args.text("runbook")?;
    args.done()?;

    for (given, since) in [
        (clean_steps.is_some(), 15),
        (rescue_password.is_some(), 38),
        (deploy_steps.is_some(), 69),
        (disable_ramdisk.is_some(), if verb == Verb::Service { 108 } else { 70 }),
        (service_steps.is_some(), 87),
        (runbook.is_some(), 92),
    ] {
        if given {
            call.accept(since)?;
        }
    }
    let only = |given: bool, name: &str, fits: bool, verbs: &str| match given && !fits {
        true => Err(Fault::invalid(format!("\"{name}\" is only valid when setting target provision state to {verbs}"))),
        false => Ok(()),
    };
    only(clean_steps.is_some(), "clean_steps", verb == Verb::Clean, "clean")?;
    only(service_steps.is_some(), "service_steps", verb == Verb::Service, "service")?;
    only(deploy_steps.is_some(), "deploy_steps", deploys, "active or rebuild")?;
    only(rescue_password.is_some(), "rescue_password", verb == Verb::Rescue, "rescue")?;
    only(disable_ramdisk.is_some(), "disable_ramdisk", matches!(verb, Verb::Clean | Verb::Service), "clean or service")?;
    only(runbook.is_some(), "runbook", matches!(verb, Verb::Clean | Verb::Service), "clean or service")?;
    if let Some(runbook) = runbook {
        if clean_steps.is_some() || service_steps.is_some() {
            return Err(Fault::invalid("\"runbook\" and steps are mutually exclusive"));
        }
        return Err(Fault::invalid(format!("Runbook {} could not be found.", brief(&Value::from(runbook)))));
    }
    let required = |missing: bool, what: &str| match missing {
        true => Err(Fault::invalid(format!("{what} is required when setting target provision state to {verb}"))),
        false => Ok(()),
    };
    required(verb == Verb::Clean && clean_steps.is_none(), "\"clean_steps\"")?;
    required(verb == Verb::Service && service_steps.is_none(), "\"service_steps\"")?;
    required(
        verb == Verb::Rescue && rescue_password.as_deref().is_none_or(|word| word.trim().is_empty()),
        "A non-empty \"rescue_password\"",
    )?;
    if let Some(service_steps) = service_steps {
        steps("service_steps", service_steps, false)?;
    }
    Ok(ProvisionRequest {
        config_drive: config_drive.map(|drive| checked_config_drive(call, drive, verb)).transpose()?,
        clean_steps: clean_steps.map_or(Ok(Vec::new()), |given| steps("clean_steps", given, false))?,
        deploy_steps: deploy_steps.map_or(Ok(Vec::new()), |given| steps("deploy_steps", given, true))?,
        disable_ramdisk: disable_ramdisk.unwrap_or_default(),
    })
}

/// A config drive: text since ever (for rebuild since 1.35), an object since 1.56, with
/// `vendor_data` since 1.59.
fn checked_config_drive(call: &Call, drive: Value, verb: Verb) -> Result<Value, Fault> {
    match verb {
        Verb::Active => {}
        Verb::Rebuild if call.version.0 >= 35 => {}
        _ => {
            let allowed = if call.version.0 >= 35 { "active, rebuild" } else { "active" };
            return Err(Fault::invalid(format!("Adding a config drive is only supported when setting provision state to {allowed}")));
        }
    }
    match &drive {
        Value::String(_) => Ok(drive),
        Value::Object(parts) => {
            call.accept(56)?;
            for (name, part) in parts {
                let good = match name.as_str() {
                    "meta_data" | "network_data" => part.is_object() || part.is_null(),
                    "user_data" => part.is_object() || part.is_array() || part.is_string() || part.is_null(),
                    "vendor_data" => {
                        call.accept(59)?;
                        part.is_object() || part.is_null()
                    }
                    other => {
                        let other: String = other.chars().take(80).collect();
                        return Err(Fault::invalid(format!(
                            "Schema error for configdrive: Additional properties are not allowed ('{other}' was unexpected)"
                        )));
                    }
                };
                if !good {
                    return Err(Fault::invalid(format!("Schema error for configdrive: {name} has the wrong type")));
                }
            }
            Ok(drive)
        }
        _ => Err(Fault::invalid("Invalid input for field/attribute configdrive. Expected a string or an object.")),
    }
}

/// A list of steps. A priority belongs to deploy steps alone, and there it must be given.
fn steps(what: &str, given: Value, with_priority: bool) -> Result<Vec<StepCall>, Fault> {
    let wrong = |text: String| Fault::invalid(format!("Schema error for {what}: {text}"));
    let Value::Array(items) = given else { return Err(wrong("expected a list of steps".into())) };
    if items.len() > MAX_STEPS {
        return Err(wrong(format!("at most {MAX_STEPS} steps are accepted")));
    }
    let steps = items.into_iter().enumerate();
    let steps = steps.map(|(index, item)| step(item, with_priority).map_err(|text| wrong(format!("step {index}: {text}"))));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    check_steps(&steps)?;
    Ok(steps)
}

fn step(item: Value, with_priority: bool) -> Result<StepCall, String> {
    let Value::Object(mut item) = item else { return Err("expected an object".into()) };
    let mut text = |name: &str| match item.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(other) => Err(format!("{name} is not a string: {}", brief(&other))),
        None => Err(format!("'{name}' is a required property")),
    };
    let (interface, step) = (text("interface")?, text("step")?);
    if !Interfaces::NAMES.contains(&interface.as_str()) {
        return Err(format!("'{}' is not an interface", brief(&Value::from(interface))));
    }
    let args = match item.remove("args") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(args)) => args,
        Some(other) => return Err(format!("args is not an object: {}", brief(&other))),
    };
    let priority = match item.remove("priority") {
        None if with_priority => return Err("'priority' is a required property".into()),
        None => None,
        Some(number) if with_priority => {
            let whole = number.as_u64().and_then(|number| u32::try_from(number).ok());
            Some(whole.ok_or_else(|| format!("priority is not a whole number of 0 or more: {}", brief(&number)))?)
        }
        Some(_) => return Err("'priority' was unexpected".into()),
    };
    match item.keys().next() {
        Some(unexpected) => Err(format!("'{}' was unexpected", brief(&Value::from(unexpected.as_str())))),
        None => Ok(StepCall { interface, step, args, priority }),
    }
}
