//! `/v1/nodes/{node}/states` but for provisioning.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use wrought_domain::{Node, ProvisionState};
use wrought_engine::PowerTarget;

use crate::args::brief;
use crate::call::{Call, accepted, ok};
use crate::errors::Fault;
use crate::nodes::fields;

/// `GET /v1/nodes/{node}/states`.
pub(crate) async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let node = call.node(&ident).await?.value;
    Ok(ok(Value::Object(fields::states(&call, &node)?)))
}

/// Where the client looks how its request goes on.
pub(crate) fn location(call: &Call, ident: &str) -> String {
    format!("{}/v1/nodes/{ident}/states", call.base)
}

fn power_target(text: &str) -> Option<PowerTarget> {
    Some(match text {
        "power on" => PowerTarget::On,
        "power off" => PowerTarget::Off,
        "rebooting" => PowerTarget::Reboot,
        "soft power off" => PowerTarget::SoftOff,
        "soft rebooting" => PowerTarget::SoftReboot,
        _ => return None,
    })
}

/// The text of a refused action.
pub(crate) fn not_in_state(action: &str, node: &Node, state: &str) -> Fault {
    wrought_conductor::not_in_state(node, &brief(&Value::from(action)), state).into()
}

/// `PUT /v1/nodes/{node}/states/power`.
pub(crate) async fn set_power(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.args()?;
    let target = args.mandatory("target")?;
    let timeout = args.integer("timeout")?;
    args.done()?;
    let node = call.node(&ident).await?.value;
    let Some(wanted) = power_target(&target) else {
        return Err(not_in_state(&target, &node, node.power_state.map_or("None", |state| state.as_str())));
    };
    let soft = matches!(wanted, PowerTarget::SoftOff | PowerTarget::SoftReboot);
    if soft || timeout.is_some() {
        call.accept(27)?;
    }
    let timeout_s = match timeout.map(u32::try_from) {
        None => None,
        Some(Ok(seconds)) if seconds > 0 => Some(seconds),
        Some(_) => return Err(Fault::invalid("timeout has to be a positive number of seconds")),
    };
    if matches!(node.provision_state, ProvisionState::Cleaning | ProvisionState::CleanWait) {
        return Err(not_in_state(&target, &node, node.provision_state.as_str()));
    }
    if node.disable_power_off && matches!(wanted, PowerTarget::Off | PowerTarget::SoftOff) {
        return Err(Fault::conflict(format!("Node {} has power off disabled.", node.uuid)));
    }
    call.api.service.set_power(&call.who, node.uuid, wanted, timeout_s).await?;
    Ok(accepted(location(&call, &ident)))
}

/// The answer for what none of our hardware types can do.
pub(crate) fn unsupported(node: &Node, what: &str) -> String {
    format!("Driver {} does not support {what} (disabled or not implemented).", node.driver)
}

/// `GET /v1/nodes/{node}/states/console`: there is no console interface but `no-console`.
pub(crate) async fn console(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    call.node(&ident).await?;
    Ok(ok(json!({"console_enabled": false, "console_info": null})))
}

/// `PUT /v1/nodes/{node}/states/console`.
pub(crate) async fn set_console(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.args()?;
    args.boolean("enabled")?.ok_or_else(|| crate::args::missing("enabled"))?;
    args.done()?;
    let node = call.node(&ident).await?.value;
    Err(Fault::invalid(unsupported(&node, "console")))
}

/// `PUT /v1/nodes/{node}/states/raid`.
pub(crate) async fn set_raid(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.accept(12)?;
    call.query().done()?;
    call.object()?;
    let node = call.node(&ident).await?.value;
    Err(Fault::not_found(unsupported(&node, "raid")))
}

/// `PUT /v1/nodes/{node}/states/boot_mode`.
pub(crate) async fn set_boot_mode(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(76)?;
    let mut args = call.args()?;
    let target = args.mandatory("target")?;
    args.done()?;
    let node = call.node(&ident).await?.value;
    if !matches!(target.as_str(), "bios" | "uefi") {
        let target = brief(&Value::from(target));
        return Err(Fault::invalid(format!("Invalid boot mode '{target}' requested for node. Accepted are: bios, uefi.")));
    }
    Err(Fault::invalid(unsupported(&node, "set_boot_mode")))
}

/// `PUT /v1/nodes/{node}/states/secure_boot`.
pub(crate) async fn set_secure_boot(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(76)?;
    let mut args = call.args()?;
    args.boolean("target")?.ok_or_else(|| crate::args::missing("target"))?;
    args.done()?;
    let node = call.node(&ident).await?.value;
    Err(Fault::invalid(unsupported(&node, "set_secure_boot")))
}
