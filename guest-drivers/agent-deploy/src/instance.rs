//! From the written image to the running instance: boot loader, end of the agent, first boot.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wrought_sdk::agent::{Command, CommandStatus};
use wrought_sdk::image::{Image, Kind};
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;
use wrought_sdk::task::Node;

use crate::command::{Errand, Progress};
use crate::in_band::{result, words};
use crate::machine;
use crate::node::{BootMode, Details, Dictionary, text};

/// Seconds that an agent has for powering its machine off: as Ironic, seven looks, five seconds apart.
const SOFT_OFF_SECONDS: u32 = 35;
/// Seconds between two looks at an agent that is to cut itself off, and how many looks.
const LOCKDOWN_SECONDS: u32 = 5;
const LOCKDOWN_LOOKS: u32 = 7;

/// Key of the image that `prepare` resolved.
const IMAGE: &str = "image";
const PARTITIONS: &str = "partition-uuids";
const TEAR_DOWN: &str = "tear-down-agent";
const REBOOTED: &str = "instance-rebooted";

/// What the agent found on the disk after writing the image.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Partitions {
    #[serde(rename = "root uuid")]
    root: Option<String>,
    #[serde(rename = "efi system partition uuid")]
    efi: Option<String>,
    #[serde(rename = "PReP Boot partition uuid")]
    prep: Option<String>,
}

/// The medium that the instance boots from, where it consists of that alone (`instance_info/boot_iso` and no image to write).
pub fn medium(node: &Node) -> Result<Option<String>> {
    let info: Dictionary = node.instance_info()?;
    let written = text(&info, "image_source").is_some();
    Ok(text(&info, "boot_iso").filter(|_| !written).map(str::to_owned))
}

/// Makes the machine boot its instance: from its medium, or else from disk.
pub fn prepare() -> Result<()> {
    match medium(&task::node())? {
        Some(medium) => {
            boot::insert_media(&medium)?;
            boot::set_device(boot::Device::Cdrom, true)
        }
        None => boot::prepare_instance(),
    }
}

/// Asks for the image once, so that a whole deployment is about the same one.
pub fn resolve_image() -> Result<()> {
    state::set(Scope::Operation, IMAGE, &image::resolve()?)
}

/// The image of this deployment.
pub fn resolved_image() -> Result<Image> {
    match state::get(Scope::Operation, IMAGE)? {
        Some(image) => Ok(image),
        None => image::resolve(),
    }
}

/// Step `prepare_instance_boot` where somebody else has seen to the boot loader: boot from disk from now on.
pub fn boot_from_disk() -> Result<Outcome> {
    let details = Details::load()?;
    if sets_boot_device(text(&details.properties, "vendor"), details.boot_mode()?) {
        boot::set_device(boot::Device::Disk, true)?;
    }
    boot::prepare_instance()?;
    Ok(Outcome::Done)
}

/// Step `prepare_instance_boot`: boot loader, boot device, boot from disk from now on.
pub fn prepare_boot(step: &StepCall) -> Result<Outcome> {
    let details = Details::load()?;
    let (kind, mode) = (resolved_image()?.kind, details.boot_mode()?);
    let partitions = partitions()?;
    match &partitions.root {
        Some(root) => report::put(report::Kind::Instance, &json!({ "root_uuid_or_disk_id": root }))?,
        None if kind == Kind::Partition => {
            return Err(Error::failed("the agent named no root partition: the image was not written").with_code("agent.NoRootPartition"));
        }
        None => {}
    }
    if needs_boot_loader(kind, mode, &partitions) {
        let errand = Errand {
            name: &step.name(),
            command: "install_bootloader",
            is_ours: &|_| true,
            send: &|| install_boot_loader(boot_loader_params(kind, mode, &partitions)),
        };
        match errand.follow()? {
            Progress::Running(outcome) => return Ok(outcome),
            Progress::Ended(command) => boot_loader_installed(&command, kind)?,
        }
    }
    if sets_boot_device(text(&details.properties, "vendor"), mode) {
        boot::set_device(boot::Device::Disk, true)?;
    }
    boot::prepare_instance()?;
    state::delete(Scope::Operation, PARTITIONS);
    Ok(Outcome::Done)
}

/// Asked once: when the step is called again the agent is only asked about its command.
fn partitions() -> Result<Partitions> {
    if let Some(known) = state::get(Scope::Operation, PARTITIONS)? {
        return Ok(known);
    }
    let command = agent::call("standby.get_partition_uuids", &json!({}))?;
    if command.status != CommandStatus::Succeeded {
        let message = format!("the agent could not tell the partitions: {}", words(&command));
        return Err(Error::failed(message).with_code("agent.CommandFailed"));
    }
    let found: Option<Partitions> = command.output()?;
    let found = found.unwrap_or_default();
    state::set(Scope::Operation, PARTITIONS, &found)?;
    Ok(found)
}

fn needs_boot_loader(kind: Kind, mode: BootMode, partitions: &Partitions) -> bool {
    match kind {
        Kind::Partition => partitions.root.is_some(),
        Kind::WholeDisk => mode == BootMode::Uefi,
    }
}

fn boot_loader_params(kind: Kind, mode: BootMode, partitions: &Partitions) -> Value {
    let of_partition_image = |uuid: &Option<String>| if kind == Kind::Partition { uuid.clone() } else { None };
    let efi = of_partition_image(&partitions.efi).filter(|_| mode == BootMode::Uefi);
    json!({
        "root_uuid": partitions.root,
        "efi_system_part_uuid": efi,
        "prep_boot_part_uuid": of_partition_image(&partitions.prep),
        "target_boot_mode": mode.as_str(),
    })
}

/// Old agents do not know `target_boot_mode` and refuse the whole command.
fn install_boot_loader(params: Value) -> Result<Command> {
    match agent::run("image.install_bootloader", &params) {
        Err(error) if matches!(error.kind, ErrorKind::Failed | ErrorKind::InvalidParameter | ErrorKind::Unsupported) => {
            wrought_sdk::warn!("the agent refused to install a boot loader, trying without the boot mode: {}", error.message);
            agent::run("image.install_bootloader", &without_boot_mode(params))
        }
        answer => answer,
    }
}

fn without_boot_mode(mut params: Value) -> Value {
    if let Some(params) = params.as_object_mut() {
        params.remove("target_boot_mode");
    }
    params
}

/// A whole-disk image brings a boot loader of its own, which firmware finds without an entry too: there a failure only warns.
fn boot_loader_installed(command: &Command, kind: Kind) -> Result<()> {
    match (command.status, kind) {
        (CommandStatus::Succeeded, _) => Ok(()),
        (_, Kind::WholeDisk) => {
            wrought_sdk::warn!("the agent could not install a boot loader for the whole-disk image: {}", words(command));
            Ok(())
        }
        (_, Kind::Partition) => {
            let message = format!("the agent could not install a boot loader: {}", words(command));
            Err(Error::failed(message).with_code("agent.CommandFailed"))
        }
    }
}

/// Lenovo's UEFI loses its boot entries when the boot device is set to disk.
fn sets_boot_device(vendor: Option<&str>, mode: BootMode) -> bool {
    !(mode == BootMode::Uefi && vendor.is_some_and(|vendor| vendor.eq_ignore_ascii_case("lenovo")))
}

#[derive(Serialize, Deserialize)]
enum TearDown {
    /// The agent was asked to power the machine off.
    Soft,
    /// The controller was.
    Hard,
    /// The agent was asked to cut itself off; looked at so many times.
    Lockdown(u32),
}

/// Step `tear_down_agent`: disks flushed, the agent gone, the machine off where that is allowed.
pub fn tear_down_agent() -> Result<Outcome> {
    let details = Details::load()?;
    let phase = state::get(Scope::Operation, TEAR_DOWN)?;
    if details.node.disable_power_off {
        return lock_down(phase);
    }
    if power::get()? == PowerState::Off {
        state::delete(Scope::Operation, TEAR_DOWN);
        return Ok(Outcome::Done);
    }
    match phase {
        None if details.forces_oob_reboot() => {
            sync();
            hard_off()
        }
        None => {
            if let Err(error) = agent::run("standby.power_off", &json!({})) {
                wrought_sdk::warn!("the agent was asked to power off: {}", error.message);
            }
            soft_off()
        }
        Some(TearDown::Soft) if task::timed_out() => {
            wrought_sdk::warn!("the machine did not power itself off in {SOFT_OFF_SECONDS} s, its controller does it");
            hard_off()
        }
        Some(TearDown::Hard) if task::timed_out() => Err(machine::still_on()),
        Some(TearDown::Soft) => soft_off(),
        Some(TearDown::Hard | TearDown::Lockdown(_)) => hard_off(),
    }
}

fn soft_off() -> Result<Outcome> {
    state::set(Scope::Operation, TEAR_DOWN, &TearDown::Soft)?;
    wait::power(PowerState::Off, SOFT_OFF_SECONDS)
}

fn hard_off() -> Result<Outcome> {
    power::off()?;
    state::set(Scope::Operation, TEAR_DOWN, &TearDown::Hard)?;
    wait::power(PowerState::Off, 0)
}

/// Flushes the disks; an agent too old to know how is not worth failing for.
fn sync() {
    match agent::call("standby.sync", &json!({})) {
        Ok(command) if command.status == CommandStatus::Succeeded => {}
        Ok(command) => wrought_sdk::warn!("the agent could not flush the disks: {}, {}", words(&command), result(&command)),
        Err(error) => wrought_sdk::warn!("the agent could not flush the disks: {}", error.message),
    }
}

/// For a machine that is never powered off: the agent takes its network down, so nobody can talk to it any more.
fn lock_down(phase: Option<TearDown>) -> Result<Outcome> {
    let looks = match phase {
        Some(TearDown::Lockdown(looks)) => match agent::commands() {
            Err(error) if matches!(error.kind, ErrorKind::AgentUnreachable | ErrorKind::Timeout) => {
                state::delete(Scope::Operation, TEAR_DOWN);
                return Ok(Outcome::Done);
            }
            _ if looks >= LOCKDOWN_LOOKS => {
                return Err(Error::timeout("the agent was told to cut itself off and still answers").with_code("agent.LockdownTimeout"));
            }
            _ => looks.saturating_add(1),
        },
        _ => {
            sync();
            match agent::run("system.lockdown", &json!({})) {
                // It may be gone before it can answer.
                Err(error) if !matches!(error.kind, ErrorKind::AgentUnreachable | ErrorKind::OutcomeUnknown | ErrorKind::Timeout) => {
                    return Err(error);
                }
                _ => 1,
            }
        }
    };
    state::set(Scope::Operation, TEAR_DOWN, &TearDown::Lockdown(looks))?;
    wait::seconds(LOCKDOWN_SECONDS)
}

/// Step `boot_instance`: the machine goes on, or through a reboot if it could not be off.
pub fn boot() -> Result<Outcome> {
    let is_on = || Ok::<_, Error>(power::get()? == PowerState::On);
    if task::node().disable_power_off {
        if state::get::<bool>(Scope::Operation, REBOOTED)?.is_none() {
            power::reboot()?;
            state::set(Scope::Operation, REBOOTED, &true)?;
            return wait::power(PowerState::On, 0);
        }
        return if is_on()? { Ok(Outcome::Done) } else { Err(crate::machine::still_off()) };
    }
    if is_on()? {
        return Ok(Outcome::Done);
    }
    if task::timed_out() {
        return Err(crate::machine::still_off());
    }
    power::on()?;
    wait::power(PowerState::On, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(root: Option<&str>) -> Partitions {
        let named = |name: &str| Some(name.to_owned());
        Partitions { root: root.map(str::to_owned), efi: named("efi"), prep: named("prep") }
    }

    #[test]
    fn the_agents_answer_about_partitions_is_read() {
        let read = |json: &str| serde_json::from_str::<Option<Partitions>>(json).unwrap().unwrap_or_default();
        assert_eq!(read(r#"{"root uuid": "0x00000000"}"#), Partitions { root: Some("0x00000000".to_owned()), ..Partitions::default() });
        assert_eq!(read("{}"), Partitions::default());
        assert_eq!(read("null"), Partitions::default());
        assert_eq!(read(r#"{"efi system partition uuid": "a", "partitions": {"root": "/dev/sda1"}}"#).efi.as_deref(), Some("a"));
    }

    #[test]
    fn a_boot_loader_is_installed_where_the_image_brings_no_entry() {
        for (kind, mode, root, needed) in [
            (Kind::WholeDisk, BootMode::Uefi, None, true),
            (Kind::WholeDisk, BootMode::Bios, Some("r"), false),
            (Kind::Partition, BootMode::Bios, Some("r"), true),
            (Kind::Partition, BootMode::Uefi, None, false),
        ] {
            assert_eq!(needs_boot_loader(kind, mode, &partitions(root)), needed, "{kind:?} {mode:?} {root:?}");
        }
    }

    #[test]
    fn the_boot_loaders_parameters_are_those_of_ironic() {
        assert_eq!(
            boot_loader_params(Kind::WholeDisk, BootMode::Uefi, &partitions(Some("0x00000000"))),
            json!({"root_uuid": "0x00000000", "efi_system_part_uuid": null, "prep_boot_part_uuid": null, "target_boot_mode": "uefi"})
        );
        let params = boot_loader_params(Kind::Partition, BootMode::Bios, &partitions(Some("r")));
        assert_eq!((&params["efi_system_part_uuid"], &params["prep_boot_part_uuid"]), (&Value::Null, &json!("prep")));
        assert_eq!(without_boot_mode(params).get("target_boot_mode"), None);
    }

    #[test]
    fn a_boot_loader_that_fails_matters_only_for_a_partition_image() {
        let failed = Command {
            id: "1".to_owned(),
            name: "install_bootloader".to_owned(),
            status: CommandStatus::Failed,
            result: "null".to_owned(),
            error: Some("no EFI partition".to_owned()),
        };
        assert!(boot_loader_installed(&failed, Kind::Partition).unwrap_err().message.ends_with("no EFI partition"));
        let succeeded = Command { status: CommandStatus::Succeeded, ..failed };
        assert!(boot_loader_installed(&succeeded, Kind::Partition).is_ok());
    }

    #[test]
    fn lenovo_keeps_its_boot_device_in_uefi_mode() {
        assert!(!sets_boot_device(Some("LENOVO"), BootMode::Uefi));
        assert!(sets_boot_device(Some("Lenovo"), BootMode::Bios));
        assert!(sets_boot_device(Some("Acme"), BootMode::Uefi));
        assert!(sets_boot_device(None, BootMode::Uefi));
    }
}
