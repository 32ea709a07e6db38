//! `PUT /v1/nodes/{node}/states/provision`.

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;
use wrought_conductor::{ProvisionRequest, check_verb};
use wrought_domain::{Node, ProvisionState, Runbook, StepCall, Verb};

use crate::args::Args;
use crate::call::{Call, accepted};
use crate::errors::Fault;
use crate::nodes::states::{location, not_in_state};
use crate::recipes;
use crate::runbooks::TRAITS_SINCE;
use crate::steps::{Form, steps};

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
    let request = request(&call, &node, args, verb).await?;
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

async fn request(call: &Call, node: &Node, mut args: Args, verb: Verb) -> Result<ProvisionRequest, Fault> {
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
    if let Some(ident) = runbook {
        if clean_steps.is_some() || service_steps.is_some() {
            return Err(Fault::invalid("\"runbook\" and steps are mutually exclusive"));
        }
        return of_runbook(call, node, &ident, verb).await;
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
    let list = |what: &str, given: Option<Value>, form| given.map_or(Ok(Vec::new()), |given| steps(what, given, form));
    let some = |what: &str, given: Option<Value>| match list(what, given.clone(), Form::Asked)? {
        steps if steps.is_empty() && given.is_some() => Err(Fault::invalid(format!("\"{what}\" names no step"))),
        steps => Ok(steps),
    };
    Ok(ProvisionRequest {
        skip: Vec::new(),
        id: None,
        config_drive: config_drive.map(|drive| checked_config_drive(call, drive, verb)).transpose()?,
        clean_steps: some("clean_steps", clean_steps)?,
        service_steps: some("service_steps", service_steps)?,
        deploy_steps: list("deploy_steps", deploy_steps, Form::Deploy)?,
        disable_ramdisk: disable_ramdisk.unwrap_or_default(),
        rescue_password,
    })
}

/// What a runbook says, if it is meant for the node. Clients that know no traits of runbooks match it by its name.
async fn of_runbook(call: &Call, node: &Node, ident: &str, verb: Verb) -> Result<ProvisionRequest, Fault> {
    let found: Result<Runbook, Fault> = recipes::find(call, &call.who, ident).await;
    let runbook = found.map_err(|fault| Fault::invalid(fault.text()))?;
    runbook.check(node, call.version.0 < TRAITS_SINCE).map_err(|unfit| Fault::invalid(unfit.to_string()))?;
    let (steps, none): (Vec<StepCall>, Vec<StepCall>) = (runbook.calls(), Vec::new());
    let (clean_steps, service_steps) = if verb == Verb::Clean { (steps, none) } else { (none, steps) };
    Ok(ProvisionRequest { clean_steps, service_steps, disable_ramdisk: runbook.disable_ramdisk, ..ProvisionRequest::default() })
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
