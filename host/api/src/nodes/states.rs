//! `/v1/nodes/{node}/states` but for provisioning.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use wrought_conductor::unsupported;
use wrought_domain::{Node, ProvisionState, raid};
use wrought_engine::{BootMode, PowerTarget, Setting};

use crate::args::{brief, missing};
use crate::call::{Call, accepted, no_content, ok};
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

/// `GET /v1/nodes/{node}/states/console`. The one console that there is, `fake`, has nothing behind it but the switch.
pub(crate) async fn console(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let node = call.node(&ident).await?.value;
    let info = node.console_enabled.then(|| json!({"type": node.interfaces.console, "url": format!("fake://{}", node.uuid)}));
    Ok(ok(json!({"console_enabled": node.console_enabled, "console_info": info})))
}

/// Begins to set something on the machine of a node.
async fn set(call: &Call, ident: &str, setting: Setting) -> Result<Response, Fault> {
    let node = call.node(ident).await?.value.uuid;
    call.api.service.set(&call.who, node, setting).await?;
    Ok(accepted(location(call, ident)))
}

/// `PUT /v1/nodes/{node}/states/console`.
pub(crate) async fn set_console(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.args()?;
    let enabled = args.boolean("enabled")?.ok_or_else(|| missing("enabled"))?;
    args.done()?;
    set(&call, &ident, Setting::Console(enabled)).await
}

/// `PUT /v1/nodes/{node}/states/raid`: what the next steps that configure RAID are to make of the machine.
pub(crate) async fn set_raid(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.accept(12)?;
    call.query().done()?;
    let config = call.object()?;
    let stored = call.node(&ident).await?;
    let mut node = stored.value;
    if node.interfaces.raid == "no-raid" {
        // Ironic's status for an interface that not all drivers have.
        return Err(Fault::not_found(unsupported(&node, "raid").to_string()));
    }
    if !config.is_empty() {
        raid::check(&config).map_err(|why| Fault::invalid(format!("RAID config validation error: {why}.")))?;
    }
    node.target_raid_config = config;
    call.api.service.update_node(&call.who, node, stored.revision.0).await?;
    Ok(no_content())
}

/// `PUT /v1/nodes/{node}/states/boot_mode`.
pub(crate) async fn set_boot_mode(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(76)?;
    let mut args = call.args()?;
    let target = args.mandatory("target")?;
    args.done()?;
    let mode = match target.as_str() {
        "bios" => BootMode::Bios,
        "uefi" => BootMode::Uefi,
        _ => {
            let target = brief(&Value::from(target));
            return Err(Fault::invalid(format!("Invalid boot mode '{target}' requested for node. Accepted are: bios, uefi.")));
        }
    };
    set(&call, &ident, Setting::BootMode(mode)).await
}

/// `PUT /v1/nodes/{node}/states/secure_boot`.
pub(crate) async fn set_secure_boot(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(76)?;
    let mut args = call.args()?;
    let enabled = args.boolean("target")?.ok_or_else(|| missing("target"))?;
    args.done()?;
    set(&call, &ident, Setting::SecureBoot(enabled)).await
}
