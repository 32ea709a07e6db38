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

/// What a virtual drive plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// CDs and DVDs.
    Cd,
    /// Floppy disks.
    Floppy,
    /// Disks, as a USB stick is one.
    Disk,
}

impl MediaKind {
    /// Whether a drive for media of this name of Redfish's plays it.
    pub fn is_played_as(self, media_type: &str) -> bool {
        match self {
            Self::Cd => matches!(media_type, "CD" | "DVD"),
            Self::Floppy => media_type == "Floppy",
            Self::Disk => media_type == "USBStick",
        }
    }
}

/// A virtual drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// What it plays, in Redfish's names: `CD`, `DVD`, `Floppy`, `USBStick`.
    pub types: Vec<String>,
    /// What is in it.
    pub media: Media,
}

/// The part of a machine that an indicator is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "plain words")]
pub enum Component {
    System,
    Chassis,
}

/// What an indicator shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "plain words")]
pub enum IndicatorState {
    Off,
    On,
    Blinking,
    /// The controller does not say.
    Unknown,
}

/// A lamp by which people find a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// Where it is.
    pub component: Component,
    /// Its name, at most 64 characters; one of its component's.
    pub name: String,
    /// What it shows.
    pub state: IndicatorState,
    /// What it can be set to.
    pub states: Vec<IndicatorState>,
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

    /// All virtual drives; `unsupported` when there is none.
    async fn drives(&self) -> Result<Vec<Drive>, HardwareError>;
    /// Inserts the image at `url` into a drive for such media, having ejected what was in drives of this kind, and reads it back.
    async fn attach_media(&self, kind: MediaKind, url: &str) -> Result<(), HardwareError>;
    /// Ejects media of these kinds, of every kind if there are none; no error when the drives are empty.
    async fn detach_media(&self, kinds: &[MediaKind]) -> Result<(), HardwareError>;

    /// Sends a non-maskable interrupt to the machine; sent each time that it is asked for.
    async fn inject_nmi(&self) -> Result<(), HardwareError>;

    /// The indicators of the machine; none when it has none.
    async fn indicators(&self) -> Result<Vec<Indicator>, HardwareError>;
    /// Sets one; `not-found` when there is none of this name, `unsupported` for a state that it does not have.
    async fn set_indicator(&self, component: Component, name: &str, state: IndicatorState) -> Result<(), HardwareError>;

    /// Who made the machine.
    async fn identify(&self) -> Result<Identity, HardwareError>;
}
