//! Power, boot and identity of one machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tracing::warn;

use crate::bmc::{
    Bmc, BootDevice, BootMode, Component, Device, Drive, Identity, Indicator, IndicatorState, Media, MediaKind, PowerAction, PowerState,
};
use crate::error::{HardwareError, Kind};
use crate::http::tame;
use crate::redfish::account::Account;
use crate::redfish::guest::{Links, Tasks};
use crate::redfish::operation::{Operation, Resource};
use crate::redfish::reply::Reply;
use crate::redfish::{indicators, media};

const SYSTEMS: &str = "/redfish/v1/Systems";
const RESET: &str = "#ComputerSystem.Reset";

pub(crate) struct RedfishBmc {
    pub(crate) account: Arc<Account>,
    /// The System's path, found when first needed if the node does not name it.
    pub(crate) system: OnceCell<String>,
    pub(crate) operation_timeout: Duration,
    pub(crate) attempts: u32,
    /// What drivers may name, when it was read.
    pub(crate) links: Links,
    /// What drivers began.
    pub(crate) tasks: Tasks,
}

impl RedfishBmc {
    fn begin(&self, what: &'static str) -> Operation<'_> {
        Operation { account: &self.account, deadline: Instant::now() + self.operation_timeout, attempts: self.attempts, what, follow: None }
    }

    pub(crate) async fn read_system(&self, operation: &Operation<'_>) -> Result<Resource, HardwareError> {
        let path = self.system.get_or_try_init(|| only_system(operation)).await?;
        operation.get(path).await
    }
}

/// The only System of the collection.
async fn only_system(operation: &Operation<'_>) -> Result<String, HardwareError> {
    let systems = operation.get(SYSTEMS).await?;
    let members = systems.value.get("Members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match members {
        [only] => operation
            .link(Some(only))
            .ok_or_else(|| HardwareError::new(Kind::Failed, "redfish.ForeignLink", "the controller's System is on another server")),
        [] => Err(HardwareError::new(Kind::NotFound, "redfish.NoSystem", "the controller has no System")),
        several => Err(HardwareError::new(
            Kind::MissingParameter,
            "redfish.SeveralSystems",
            format!("redfish_system_id is missing: the controller has {} Systems", several.len()),
        )),
    }
}

fn power_of(system: &Resource) -> PowerState {
    match system.value.get("PowerState").and_then(Value::as_str) {
        Some("On") => PowerState::On,
        Some("Off") => PowerState::Off,
        Some("PoweringOn") => PowerState::PoweringOn,
        Some("PoweringOff") => PowerState::PoweringOff,
        _ => PowerState::Unknown,
    }
}

/// Whether the machine is, or goes, where `action` leads.
fn reached(state: PowerState, action: PowerAction) -> bool {
    match action {
        PowerAction::On => matches!(state, PowerState::On | PowerState::PoweringOn),
        PowerAction::ForceOff => state == PowerState::Off,
        PowerAction::SoftOff => matches!(state, PowerState::Off | PowerState::PoweringOff),
        // The power state does not tell whether the machine was restarted.
        PowerAction::Restart => false,
    }
}

/// The texts of the array `value[key@Redfish.AllowableValues]`; empty when the controller does not tell.
fn allowable(value: Option<&Value>, key: &str) -> Vec<String> {
    let values = value.and_then(|value| value.get(format!("{key}@Redfish.AllowableValues"))).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The controllers' names of a change, the first one that a controller offers is taken.
fn reset_types(action: PowerAction) -> &'static [&'static str] {
    match action {
        PowerAction::On => &["On", "ForceOn"],
        PowerAction::ForceOff => &["ForceOff"],
        PowerAction::SoftOff => &["GracefulShutdown"],
        PowerAction::Restart => &["ForceRestart", "PowerCycle", "GracefulRestart"],
    }
}

/// Which of these the controller's reset takes.
async fn reset_type(operation: &Operation<'_>, system: &Resource, wanted: &[&'static str]) -> Result<&'static str, HardwareError> {
    let reset = system.value.get("Actions").and_then(|actions| actions.get(RESET));
    let mut known = allowable(reset, "ResetType");
    let info = reset.and_then(|reset| reset.get("@Redfish.ActionInfo")).and_then(Value::as_str);
    if let Some(path) = info.filter(|_| known.is_empty()).and_then(|link| operation.account.own_path(link)) {
        known = action_info(&operation.get(&path).await?);
    }
    let chosen = if known.is_empty() { wanted.first() } else { wanted.iter().find(|want| known.iter().any(|known| known == *want)) };
    chosen.copied().ok_or_else(|| operation.unsupported("ResetTypeNotAllowed", "the controller offers no such reset"))
}

/// The path of the System's reset.
fn reset_target(operation: &Operation<'_>, system: &Resource) -> String {
    let usual = || format!("{}/Actions/ComputerSystem.Reset", system.path.trim_end_matches('/'));
    operation.action(system, RESET).unwrap_or_else(usual)
}

fn action_info(info: &Resource) -> Vec<String> {
    let parameters = info.value.get("Parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let reset = parameters.iter().find(|parameter| parameter.get("Name").and_then(Value::as_str) == Some("ResetType"));
    let values = reset.and_then(|reset| reset.get("AllowableValues")).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The controller's names for a device, the first one that it offers is taken.
fn targets(device: Device, vendor: &str) -> &'static [&'static str] {
    match device {
        Device::Disk => &["Hdd"],
        Device::Pxe => &["Pxe"],
        // Supermicro's virtual media is a USB drive.
        Device::Cdrom if vendor.to_ascii_lowercase().contains("supermicro") => &["UsbCd", "Cd"],
        Device::Cdrom => &["Cd", "UsbCd"],
        Device::Http => &["UefiHttp"],
        Device::BiosSetup => &["BiosSetup"],
    }
}

fn device_of(target: &str) -> Option<Device> {
    match target {
        "Hdd" => Some(Device::Disk),
        "Pxe" => Some(Device::Pxe),
        "Cd" | "UsbCd" => Some(Device::Cdrom),
        "UefiHttp" => Some(Device::Http),
        "BiosSetup" => Some(Device::BiosSetup),
        _ => None,
    }
}

fn boot_of(system: &Resource) -> Option<BootDevice> {
    let boot = system.value.get("Boot")?;
    let enabled = boot.get("BootSourceOverrideEnabled").and_then(Value::as_str).unwrap_or("Disabled");
    if enabled == "Disabled" {
        return None;
    }
    let device = device_of(boot.get("BootSourceOverrideTarget")?.as_str()?)?;
    Some(BootDevice { device, persistent: enabled == "Continuous" })
}

fn mode_of(system: &Resource) -> Option<BootMode> {
    match system.value.pointer("/Boot/BootSourceOverrideMode")?.as_str()? {
        "UEFI" => Some(BootMode::Uefi),
        "Legacy" => Some(BootMode::Bios),
        _ => None,
    }
}

/// Changes the `Boot` of a System: at its settings resource where it has one, else at itself.
async fn patch_boot(operation: &Operation<'_>, system: &Resource, boot: &Value) -> Result<Reply, HardwareError> {
    let body = json!({"Boot": boot});
    let settings = system.value.get("@Redfish.Settings").and_then(|settings| settings.get("SettingsObject"));
    if let Some(path) = operation.link(settings) {
        // Some controllers name a settings resource and do not have it, or keep other things in it.
        if let Ok(resource) = operation.get(&path).await {
            let reply = operation.patch(&resource, &body).await?;
            if !matches!(reply.status.as_u16(), 400 | 404 | 405 | 501) {
                return Ok(reply);
            }
        }
    }
    operation.patch(system, &body).await
}

fn short(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(|text| tame(text, 256)).filter(|text| !text.is_empty())
}

#[async_trait]
impl Bmc for RedfishBmc {
    async fn power_state(&self) -> Result<PowerState, HardwareError> {
        let operation = self.begin("reading the power state");
        Ok(power_of(&self.read_system(&operation).await?))
    }

    async fn set_power(&self, action: PowerAction) -> Result<(), HardwareError> {
        let operation = self.begin("changing the power state");
        let system = self.read_system(&operation).await?;
        let is_off = power_of(&system) == PowerState::Off;
        // Controllers refuse to restart what is off.
        let action = if action == PowerAction::Restart && is_off { PowerAction::On } else { action };
        if reached(power_of(&system), action) {
            return Ok(());
        }
        let reset = reset_type(&operation, &system, reset_types(action)).await?;
        let target = reset_target(&operation, &system);
        let refused = match operation.post(&target, &json!({"ResetType": reset})).await {
            Ok(reply) if reply.is_success() => return Ok(()),
            Ok(reply) => operation.refusal(&reply),
            Err(lost) if lost.kind == Kind::OutcomeUnknown => lost,
            Err(error) => return Err(error),
        };
        // Already there, or done though the answer got lost: the machine knows.
        match self.read_system(&operation).await {
            // A controller may refuse to switch off what is going off already.
            Ok(system) if action == PowerAction::ForceOff && power_of(&system) == PowerState::PoweringOff => Ok(()),
            Ok(system) if reached(power_of(&system), action) => Ok(()),
            _ => Err(match refused.kind {
                Kind::Failed | Kind::Conflict | Kind::NotFound => refused.with_kind(Kind::PowerFailed),
                _ => refused,
            }),
        }
    }

    async fn boot_device(&self) -> Result<Option<BootDevice>, HardwareError> {
        let operation = self.begin("reading the boot device");
        Ok(boot_of(&self.read_system(&operation).await?))
    }

    async fn set_boot_device(&self, wanted: BootDevice) -> Result<BootDevice, HardwareError> {
        let operation = self.begin("setting the boot device");
        let system = self.read_system(&operation).await?;
        let vendor = system.value.get("Manufacturer").and_then(Value::as_str).unwrap_or_default();
        let (boot, names) = (system.value.get("Boot"), targets(wanted.device, vendor));
        let known = allowable(boot, "BootSourceOverrideTarget");
        let target = if known.is_empty() { names.first() } else { names.iter().find(|name| known.iter().any(|known| known == *name)) };
        let target = target.ok_or_else(|| operation.unsupported("BootTargetNotAllowed", "the controller offers no such boot device"))?;
        let enabled = allowable(boot, "BootSourceOverrideEnabled");
        let persistent = wanted.persistent && (enabled.is_empty() || enabled.iter().any(|value| value == "Continuous"));
        let enabled = if persistent { "Continuous" } else { "Once" };
        let mode = boot.and_then(|boot| boot.get("BootSourceOverrideMode")).cloned();

        let minimal = json!({"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled});
        // Some controllers want the mode as well; one that shows none is not asked twice for the same.
        let full = mode
            .map(|mode| json!({"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled, "BootSourceOverrideMode": mode}));
        let mut more = full.is_some();
        let mut read_back = None;
        for boot in std::iter::once(minimal).chain(full) {
            let reply = patch_boot(&operation, &system, &boot).await?;
            if reply.status == 400 && std::mem::take(&mut more) {
                continue;
            }
            more = false;
            operation.accepted(&reply)?;
            let system = self.read_system(&operation).await?;
            read_back = boot_of(&system);
            if read_back.is_some_and(|now| now.device == wanted.device) {
                break;
            }
        }
        match read_back {
            // What is read back as "Continuous" may have been asked for once: emulators always say so.
            Some(now) if now.device == wanted.device => Ok(BootDevice { device: now.device, persistent }),
            // Where changes wait in a settings resource, the System shows them only after the next reset.
            _ if system.value.get("@Redfish.Settings").is_some() => {
                warn!(?wanted, "a controller does not show the new boot device yet");
                Ok(BootDevice { device: wanted.device, persistent })
            }
            _ => Err(HardwareError::new(
                Kind::Failed,
                "redfish.BootOverrideIgnored",
                "setting the boot device: the controller accepted it and shows another one",
            )),
        }
    }

    async fn boot_mode(&self) -> Result<BootMode, HardwareError> {
        let operation = self.begin("reading the boot mode");
        let system = self.read_system(&operation).await?;
        mode_of(&system).ok_or_else(|| operation.unsupported("NoBootMode", "the controller does not tell"))
    }

    async fn set_boot_mode(&self, mode: BootMode) -> Result<(), HardwareError> {
        let operation = self.begin("setting the boot mode");
        let system = self.read_system(&operation).await?;
        if mode_of(&system) == Some(mode) {
            return Ok(());
        }
        let name = if mode == BootMode::Uefi { "UEFI" } else { "Legacy" };
        let reply = patch_boot(&operation, &system, &json!({"BootSourceOverrideMode": name})).await?;
        if reply.status != 400 {
            return operation.accepted(&reply);
        }
        // Some take the three only together.
        let now = |key: &str, or: &str| system.value.pointer(&format!("/Boot/{key}")).cloned().unwrap_or_else(|| json!(or));
        let full = json!({
            "BootSourceOverrideMode": name,
            "BootSourceOverrideTarget": now("BootSourceOverrideTarget", "None"),
            "BootSourceOverrideEnabled": now("BootSourceOverrideEnabled", "Disabled"),
        });
        operation.accepted(&patch_boot(&operation, &system, &full).await?)
    }

    async fn secure_boot(&self) -> Result<bool, HardwareError> {
        let operation = self.begin("reading secure boot");
        let system = self.read_system(&operation).await?;
        secure_boot(&operation, &system).await.map(|(_, enabled)| enabled)
    }

    async fn set_secure_boot(&self, wanted: bool) -> Result<(), HardwareError> {
        let operation = self.begin("setting secure boot");
        let system = self.read_system(&operation).await?;
        let (resource, enabled) = secure_boot(&operation, &system).await?;
        if enabled == wanted {
            return Ok(());
        }
        operation.accepted(&operation.patch(&resource, &json!({"SecureBootEnable": wanted})).await?)
    }

    async fn media(&self) -> Result<Media, HardwareError> {
        let operation = self.begin("reading virtual media");
        let system = self.read_system(&operation).await?;
        media::state(&operation, &system).await
    }

    async fn insert_media(&self, url: &str) -> Result<(), HardwareError> {
        let operation = self.begin("inserting virtual media");
        let system = self.read_system(&operation).await?;
        media::insert(&operation, &system, MediaKind::Cd, url).await
    }

    async fn eject_media(&self) -> Result<(), HardwareError> {
        let operation = self.begin("ejecting virtual media");
        let system = self.read_system(&operation).await?;
        media::eject(&operation, &system, &[MediaKind::Cd]).await
    }

    async fn drives(&self) -> Result<Vec<Drive>, HardwareError> {
        let operation = self.begin("reading virtual media");
        let system = self.read_system(&operation).await?;
        media::drives(&operation, &system).await
    }

    async fn attach_media(&self, kind: MediaKind, url: &str) -> Result<(), HardwareError> {
        let operation = self.begin("inserting virtual media");
        let system = self.read_system(&operation).await?;
        media::insert(&operation, &system, kind, url).await
    }

    async fn detach_media(&self, kinds: &[MediaKind]) -> Result<(), HardwareError> {
        let operation = self.begin("ejecting virtual media");
        let system = self.read_system(&operation).await?;
        media::eject(&operation, &system, kinds).await
    }

    async fn inject_nmi(&self) -> Result<(), HardwareError> {
        let operation = self.begin("sending a non-maskable interrupt");
        let system = self.read_system(&operation).await?;
        let reset = reset_type(&operation, &system, &["Nmi"]).await?;
        operation.accepted(&operation.post(&reset_target(&operation, &system), &json!({"ResetType": reset})).await?)
    }

    async fn indicators(&self) -> Result<Vec<Indicator>, HardwareError> {
        let operation = self.begin("reading the indicators");
        let system = self.read_system(&operation).await?;
        indicators::all(&operation, system).await
    }

    async fn set_indicator(&self, component: Component, name: &str, state: IndicatorState) -> Result<(), HardwareError> {
        let operation = self.begin("setting an indicator");
        let system = self.read_system(&operation).await?;
        indicators::set(&operation, system, component, name, state).await
    }

    async fn identify(&self) -> Result<Identity, HardwareError> {
        let operation = self.begin("identifying the machine");
        let system = self.read_system(&operation).await?.value;
        Ok(Identity {
            vendor: short(&system, "Manufacturer"),
            model: short(&system, "Model"),
            serial: short(&system, "SerialNumber"),
            bios_version: short(&system, "BiosVersion"),
        })
    }
}

async fn secure_boot(operation: &Operation<'_>, system: &Resource) -> Result<(Resource, bool), HardwareError> {
    let none = || operation.unsupported("NoSecureBoot", "the machine has no secure boot");
    let path = operation.link(system.value.get("SecureBoot")).ok_or_else(none)?;
    let resource = operation.get(&path).await?;
    let enabled = resource.value.get("SecureBootEnable").and_then(Value::as_bool).ok_or_else(none)?;
    Ok((resource, enabled))
}
