//! The hooks: what every operator wants of an inspection.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::node::{cut, plain};
use wrought_domain::port::mac;
use wrought_domain::{Map, Port};

use crate::findings::{Interface, interfaces};
use crate::rules::capability;
use crate::{AddPorts, Hook, InspectionConfig, KeepPorts, Source, Subject};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Disks smaller than this are none to install on, bytes; Ironic's bound.
const SMALLEST_ROOT: u64 = 4 * GIB;

/// More than any machine has: MiB of memory, GiB of disk, processors.
const IMPLAUSIBLE: u64 = 1 << 40;

/// Why a hook ends an inspection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// The agent says so, in its own words.
    #[error("the agent failed to inspect the machine: {0}")]
    Ramdisk(String),
    /// There is no interface to make a port of.
    #[error("the agent found no network interface with a valid MAC address; look at the machine's network cards")]
    NoInterfaces,
}

/// What hooks cannot make up themselves.
pub struct Means<'a> {
    /// The time.
    pub now: Timestamp,
    /// Makes fresh ids.
    pub fresh: &'a mut dyn FnMut() -> Uuid,
}

/// Runs the hooks.
///
/// # Errors
/// [`HookError`]: the inspection fails.
pub fn apply_hooks(subject: &mut Subject, source: Source, config: &InspectionConfig, means: &mut Means<'_>) -> Result<(), HookError> {
    for hook in &config.hooks {
        match hook {
            Hook::RamdiskError => ramdisk_error(subject)?,
            Hook::ValidateInterfaces => validate_interfaces(subject, source)?,
            Hook::Ports => ports(subject, config, means),
            Hook::Architecture => architecture(subject),
            Hook::Memory => memory(subject),
            Hook::RootDevice => root_device(subject),
            Hook::BootMode => boot_mode(subject),
        }
    }
    Ok(())
}

fn ramdisk_error(subject: &Subject) -> Result<(), HookError> {
    match subject.plugin_data.get("error") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if text.is_empty() => Ok(()),
        Some(Value::String(text)) => Err(HookError::Ramdisk(plain(&cut(text, 1024)))),
        Some(other) => Err(HookError::Ramdisk(plain(&cut(&other.to_string(), 1024)))),
    }
}

fn validate_interfaces(subject: &Subject, source: Source) -> Result<(), HookError> {
    let nothing = interfaces(&subject.inventory).is_empty();
    if nothing && source == Source::InBand { Err(HookError::NoInterfaces) } else { Ok(()) }
}

/// The interface that the machine booted from: named by the agent, or by its firmware with a type before the address.
fn boot_mac(subject: &Subject) -> Option<String> {
    let named = subject.inventory.get("boot").and_then(|boot| boot.get("pxe_interface")).and_then(Value::as_str);
    let given = named.or_else(|| subject.plugin_data.get("boot_interface").and_then(Value::as_str))?;
    mac(given).or_else(|| mac(given.get(3..)?))
}

fn chosen(all: &[Interface], boot: Option<&str>, add: AddPorts) -> Vec<Interface> {
    let keep = |want: &dyn Fn(&Interface) -> bool| all.iter().filter(|interface| want(interface)).cloned().collect::<Vec<_>>();
    match (add, boot) {
        (AddPorts::Disabled, _) => Vec::new(),
        (AddPorts::All, _) => all.to_vec(),
        (AddPorts::Active, _) => keep(&|interface| interface.active),
        (AddPorts::Pxe, Some(boot)) if all.iter().any(|interface| interface.mac == boot) => keep(&|interface| interface.mac == boot),
        (AddPorts::Pxe, _) if all.iter().any(|interface| interface.active) => keep(&|interface| interface.active),
        (AddPorts::Pxe, _) => all.to_vec(),
    }
}

fn ports(subject: &mut Subject, config: &InspectionConfig, means: &mut Means<'_>) {
    let all = interfaces(&subject.inventory);
    let boot = boot_mac(subject).filter(|boot| all.iter().any(|interface| interface.mac == *boot));
    let wanted = chosen(&all, boot.as_deref(), config.add_ports);
    for interface in &wanted {
        if subject.ports.iter().all(|port| port.address != interface.mac) {
            subject.ports.push(Port::new((means.fresh)(), subject.node.uuid, &interface.mac, means.now));
        }
    }
    subject.ports.retain(|port| match config.keep_ports {
        KeepPorts::All => true,
        KeepPorts::Present => all.iter().any(|interface| interface.mac == port.address),
        KeepPorts::Added => wanted.iter().any(|interface| interface.mac == port.address),
    });
    // Where nobody knows what the machine booted from, what the operator said stays.
    if let Some(boot) = boot.filter(|_| config.update_pxe_enabled) {
        for port in &mut subject.ports {
            port.pxe_enabled = port.address == boot;
        }
    }
    let names = |interfaces: &[Interface]| Value::from(interfaces.iter().map(|interface| interface.mac.clone()).collect::<Vec<_>>());
    subject.plugin_data.insert("macs".into(), names(&all));
    subject.plugin_data.insert("valid_macs".into(), names(&wanted));
}

fn number(map: Option<&Value>, key: &str) -> Option<u64> {
    map?.get(key)?.as_u64().filter(|number| (1..IMPLAUSIBLE).contains(number))
}

fn set(properties: &mut Map, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        properties.insert(key.to_owned(), value);
    }
}

fn architecture(subject: &mut Subject) {
    let cpu = subject.inventory.get("cpu");
    let plain =
        |text: &&str| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let name = cpu.and_then(|cpu| cpu.get("architecture")).and_then(Value::as_str).filter(plain).map(Value::from);
    let count = number(cpu, "count").map(Value::from);
    set(&mut subject.node.properties, "cpu_arch", name);
    set(&mut subject.node.properties, "cpus", count);
}

fn memory(subject: &mut Subject) {
    let memory = subject.inventory.get("memory");
    // Some agents know only what the operating system has of it, in bytes.
    let total = || memory?.get("total")?.as_u64().map(|bytes| bytes / MIB).filter(|mib| (1..IMPLAUSIBLE).contains(mib));
    let mib = number(memory, "physical_mb").or_else(total).map(Value::from);
    set(&mut subject.node.properties, "memory_mb", mib);
}

fn root_device(subject: &mut Subject) {
    let bytes = |disk: &Value| disk.get("size").and_then(Value::as_u64);
    let named = subject.plugin_data.get("root_disk").and_then(bytes);
    let smallest = || {
        let disks = subject.inventory.get("disks")?.as_array()?;
        disks.iter().filter_map(bytes).filter(|size| *size >= SMALLEST_ROOT).min()
    };
    let gib = named.or_else(smallest).map(|size| (size / GIB).saturating_sub(1)).filter(|gib| (1..IMPLAUSIBLE).contains(gib));
    set(&mut subject.node.properties, "local_gb", gib.map(Value::from));
}

fn boot_mode(subject: &mut Subject) {
    let mode = subject.inventory.get("boot").and_then(|boot| boot.get("current_boot_mode")).and_then(Value::as_str);
    if let Some(mode) = mode.filter(|mode| ["uefi", "bios"].contains(mode)) {
        let mode = json!(mode);
        capability(&mut subject.node.properties, "boot_mode", Some(&mode));
    }
}
