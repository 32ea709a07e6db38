//! `Systems/{id}`: power, boot override, secure boot.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::error::{Body, Refusal};
use super::{OfNode, check_match, link, tagged};
use crate::fleet::Shared;
use crate::hardware;
use crate::machine::{Boot, BootMode, BootTarget, Machine, OverrideEnabled, ResetType};
use crate::node::Node;
use crate::power;

const RESET: &str = "ComputerSystem.Reset";

pub(super) async fn show(Extension(node): OfNode) -> Response {
    let machine = node.lock().machine.clone();
    tagged(&changeable(&machine), resource(&node, &machine, &boot_of(&machine.boot)))
}

fn resource(node: &Node, machine: &Machine, boot: &Value) -> Value {
    let path = node.system_path();
    let id = node.id;
    json!({
        "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
        "@odata.context": "/redfish/v1/$metadata#ComputerSystem.ComputerSystem",
        "@odata.id": path,
        "Id": id,
        "UUID": id,
        "Name": format!("sim-{}", node.index),
        "SystemType": "Physical",
        "Manufacturer": hardware::MANUFACTURER,
        "Model": hardware::MODEL,
        "SerialNumber": hardware::serial(node),
        "BiosVersion": hardware::BIOS_VERSION,
        "PowerState": machine.power_state(),
        "Status": { "State": "Enabled", "Health": "OK", "HealthRollup": "OK" },
        "Boot": boot,
        "IndicatorLED": machine.indicator_led,
        "ProcessorSummary": {
            "Count": hardware::CPUS,
            "CoreCount": hardware::CPUS * hardware::CORES,
            "LogicalProcessorCount": hardware::CPUS * hardware::THREADS,
            "Model": hardware::CPU_MODEL,
            "Status": { "State": "Enabled", "Health": "OK" },
        },
        "MemorySummary": {
            "TotalSystemMemoryGiB": hardware::MODULES * hardware::MODULE_MIB / 1024,
            "Status": { "State": "Enabled", "Health": "OK" },
        },
        "Processors": link(&format!("{path}/Processors")),
        "Memory": link(&format!("{path}/Memory")),
        "Storage": link(&format!("{path}/Storage")),
        "Bios": link(&format!("{path}/Bios")),
        "SecureBoot": link(&format!("{path}/SecureBoot")),
        "EthernetInterfaces": link(&format!("{path}/EthernetInterfaces")),
        "VirtualMedia": link(&format!("{path}/VirtualMedia")),
        "Oem": { "Wrought": { "Cooling": link(&format!("{path}/Oem/Wrought/Cooling")) } },
        "Links": {
            "Chassis": [link(&format!("/redfish/v1/Chassis/{id}"))],
            "ManagedBy": [link(&format!("/redfish/v1/Managers/{id}"))],
        },
        "Actions": {
            "#ComputerSystem.Reset": {
                "target": format!("{path}/Actions/{RESET}"),
                "ResetType@Redfish.AllowableValues": ResetType::ALL,
            },
        },
    })
}

/// What a change of the system may be based upon.
fn changeable(machine: &Machine) -> Value {
    json!([boot_of(&machine.boot), machine.indicator_led])
}

fn boot_of(boot: &Boot) -> Value {
    json!({
        "BootSourceOverrideEnabled": boot.enabled,
        "BootSourceOverrideEnabled@Redfish.AllowableValues":
            [OverrideEnabled::Disabled, OverrideEnabled::Once, OverrideEnabled::Continuous],
        "BootSourceOverrideTarget": boot.target,
        "BootSourceOverrideTarget@Redfish.AllowableValues":
            [BootTarget::None, BootTarget::Pxe, BootTarget::Cd, BootTarget::Hdd, BootTarget::UefiHttp],
        "BootSourceOverrideMode": boot.mode,
        "BootSourceOverrideMode@Redfish.AllowableValues": [BootMode::Uefi, BootMode::Legacy],
        "HttpBootUri": boot.http_uri,
    })
}

pub(super) async fn change(
    Extension(node): OfNode,
    headers: HeaderMap,
    Body(patch): Body<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    let mut inner = node.lock();
    check_match(&headers, &changeable(&inner.machine))?;
    let (mut boot, mut led) = (inner.machine.boot.clone(), inner.machine.indicator_led);
    for (name, value) in &patch {
        match (name.as_str(), value) {
            ("Boot", Value::Object(changes)) => change_boot(&mut boot, changes)?,
            ("IndicatorLED", value) => led = listed(name, value)?,
            _ => return Err(Refusal::unknown_property(name)),
        }
    }
    if inner.machine.boot != boot || patch.contains_key("Boot") {
        inner.counts.boot_changes += 1;
    }
    (inner.machine.boot, inner.machine.indicator_led) = (boot, led);
    Ok(StatusCode::NO_CONTENT)
}

/// All or nothing: `boot` is the caller's copy.
fn change_boot(boot: &mut Boot, changes: &Map<String, Value>) -> Result<(), Refusal> {
    for (name, value) in changes {
        match name.as_str() {
            "BootSourceOverrideEnabled" => boot.enabled = listed(name, value)?,
            "BootSourceOverrideTarget" => boot.target = listed(name, value)?,
            "BootSourceOverrideMode" => boot.mode = listed(name, value)?,
            "HttpBootUri" => boot.http_uri = value.as_str().filter(|uri| !uri.is_empty()).map(str::to_owned),
            _ => return Err(Refusal::unknown_property(name)),
        }
    }
    if boot.target == BootTarget::None {
        boot.enabled = OverrideEnabled::Disabled;
    }
    Ok(())
}

fn listed<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, Refusal> {
    serde_json::from_value(value.clone()).map_err(|_| Refusal::wrong_value(name, &value.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Reset {
    reset_type: Option<Value>,
}

pub(super) async fn reset(
    State(fleet): State<Arc<Shared>>,
    Extension(node): OfNode,
    Body(reset): Body<Reset>,
) -> Result<StatusCode, Refusal> {
    let value = reset.reset_type.ok_or_else(|| Refusal::missing_parameter(RESET, "ResetType"))?;
    let kind: ResetType =
        serde_json::from_value(value.clone()).map_err(|_| Refusal::wrong_parameter(RESET, "ResetType", &value.to_string()))?;
    power::reset(&fleet, &node, kind).map_err(|_| {
        let state = node.lock().machine.power_state();
        Refusal::conflict(format!("The reset {kind:?} is not possible while the power state is {state:?}."))
    })?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn secure_boot(Extension(node): OfNode) -> Response {
    let machine = node.lock().machine.clone();
    let resource = json!({
        "@odata.type": "#SecureBoot.v1_1_0.SecureBoot",
        "@odata.id": format!("{}/SecureBoot", node.system_path()),
        "Id": "SecureBoot",
        "Name": "UEFI Secure Boot",
        "SecureBootEnable": machine.secure_boot,
        "SecureBootCurrentBoot": if machine.secure_boot_current { "Enabled" } else { "Disabled" },
        "SecureBootMode": "UserMode",
    });
    tagged(&machine.secure_boot.into(), resource)
}

pub(super) async fn change_secure_boot(
    Extension(node): OfNode,
    headers: HeaderMap,
    Body(patch): Body<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    let mut inner = node.lock();
    check_match(&headers, &inner.machine.secure_boot.into())?;
    let mut enabled = inner.machine.secure_boot;
    for (name, value) in &patch {
        match (name.as_str(), value.as_bool()) {
            ("SecureBootEnable", Some(wanted)) => enabled = wanted,
            ("SecureBootEnable", None) => return Err(Refusal::wrong_value(name, &value.to_string())),
            _ => return Err(Refusal::unknown_property(name)),
        }
    }
    inner.machine.secure_boot = enabled;
    inner.counts.secure_boot_changes += 1;
    Ok(StatusCode::NO_CONTENT)
}
