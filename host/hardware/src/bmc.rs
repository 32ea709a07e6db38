//! What the host asks of a controller, whatever protocol it speaks.

use async_trait::async_trait;

use crate::HardwareError;

/// Power of a machine, as its controller tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PowerState {
    /// On.
    On,
    /// Off.
    Off,
    /// Between off and on; never final.
    PoweringOn,
    /// Between on and off; never final.
    PoweringOff,
    /// The controller does not say, or says something else. Not the same as off.
    Unknown,
}

/// A change of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PowerAction {
    /// On.
    On,
    /// Off, at once.
    ForceOff,
    /// Asks the operating system to shut down; it may ignore that.
    SoftOff,
    /// Starts a machine that is on anew, in one go; for machines that must never be off.
    Restart,
}

/// What a machine boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The local disk.
    Disk,
    /// The network, by PXE.
    Pxe,
    /// The CD drive, virtual media included.
    Cdrom,
    /// The network, by UEFI HTTP boot.
    Http,
    /// The firmware's set-up.
    BiosSetup,
}

/// A boot device that overrides the firmware's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootDevice {
    /// The device.
    pub device: Device,
    /// For every boot from now on, not only the next one.
    pub persistent: bool,
}

/// How the firmware boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BootMode {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// What is in the virtual CD drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Whether the controller says that something is inserted.
    pub inserted: bool,
    /// What it says is inserted; some controllers rename or hide it.
    pub image: Option<String>,
}

/// Who made the machine. Each value at most 256 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Manufacturer.
    pub vendor: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Version of the machine's firmware.
    pub bios_version: Option<String>,
}

/// One machine's controller.
///
/// An operation ends within the configured `operation_timeout` (10 s). Changes observe first: what is so
/// already succeeds and sends nothing. Errors of changes: `outcome-unknown` when it was sent and the answer
/// got lost, `timeout` when nothing was sent.
#[async_trait]
pub trait Bmc: Send + Sync {
    /// Power of the machine.
    async fn power_state(&self) -> Result<PowerState, HardwareError>;
    /// Asks for a change of power, and returns when the controller accepted it, not when it is done: ask
    /// once, then watch [`Self::power_state`]. `power-failed` when the controller refuses.
    async fn set_power(&self, action: PowerAction) -> Result<(), HardwareError>;

    /// The device that overrides the boot order; `None` when nothing does, or when it is none of [`Device`].
    async fn boot_device(&self) -> Result<Option<BootDevice>, HardwareError>;
    /// Sets it and reads it back. The answer is what the controller made of it: some know no persistent
    /// override, so that it must be set again before each boot.
    async fn set_boot_device(&self, wanted: BootDevice) -> Result<BootDevice, HardwareError>;

    /// The mode of the next boot; `unsupported` when the controller does not tell.
    async fn boot_mode(&self) -> Result<BootMode, HardwareError>;
    /// Sets the boot mode.
    async fn set_boot_mode(&self, mode: BootMode) -> Result<(), HardwareError>;

    /// Whether secure boot is switched on; `unsupported` when the machine has none.
    async fn secure_boot(&self) -> Result<bool, HardwareError>;
    /// Switches secure boot.
    async fn set_secure_boot(&self, enabled: bool) -> Result<(), HardwareError>;

    /// What is in the virtual CD drive; `unsupported` when there is none.
    async fn media(&self) -> Result<Media, HardwareError>;
    /// Inserts the image at `url`, having ejected what was in the drive, and reads it back.
    async fn insert_media(&self, url: &str) -> Result<(), HardwareError>;
    /// Ejects; no error when the drive is empty.
    async fn eject_media(&self) -> Result<(), HardwareError>;

    /// Who made the machine.
    async fn identify(&self) -> Result<Identity, HardwareError>;
}
