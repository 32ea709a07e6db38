//! One server without any I/O: its power, its boot override and its virtual CD.
//!
//! Time passes outside: whoever calls [`Machine::reset`] calls [`Machine::advance`] once the power delay is over, with the serial
//! number of the change, so that a later change makes an earlier one void.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `PowerState` as Redfish shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PowerState {
    /// The server runs.
    On,
    /// The server is off.
    Off,
    /// A change to on is under way.
    PoweringOn,
    /// A change to off is under way.
    PoweringOff,
}

/// `ResetType` of the action `ComputerSystem.Reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names are those of Redfish")]
pub enum ResetType {
    On,
    ForceOn,
    ForceOff,
    GracefulShutdown,
    GracefulRestart,
    ForceRestart,
    PowerCycle,
    Nmi,
}

impl ResetType {
    /// All of them, as the BMC advertises them.
    pub const ALL: [Self; 8] = [
        Self::On,
        Self::ForceOn,
        Self::ForceOff,
        Self::GracefulShutdown,
        Self::GracefulRestart,
        Self::ForceRestart,
        Self::PowerCycle,
        Self::Nmi,
    ];
}

/// `BootSourceOverrideEnabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names are those of Redfish")]
pub enum OverrideEnabled {
    Disabled,
    Once,
    Continuous,
}

/// `BootSourceOverrideTarget`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names are those of Redfish")]
pub enum BootTarget {
    None,
    Pxe,
    Cd,
    Hdd,
    UefiHttp,
}

/// `BootSourceOverrideMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names are those of Redfish")]
pub enum BootMode {
    #[serde(rename = "UEFI")]
    Uefi,
    Legacy,
}

/// `IndicatorLED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names are those of Redfish")]
pub enum IndicatorLed {
    Lit,
    Blinking,
    Off,
}

/// The boot override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// Whether and how long the override counts.
    pub enabled: OverrideEnabled,
    /// What to boot instead of the disk.
    pub target: BootTarget,
    /// Firmware mode.
    pub mode: BootMode,
    /// What `UefiHttp` boots.
    pub http_uri: Option<String>,
}

/// What a boot started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootedFrom {
    /// The disk: whatever is there, it is no agent.
    Disk,
    /// The network or virtual media: the ramdisk with the agent.
    Ramdisk,
    /// Virtual media with a system of their own.
    Live,
}

/// The BMC refused a reset because of the power state that the server is in or on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's power state does not allow this reset")]
pub struct ResetRefused;

/// A power change that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// To be given to [`Machine::advance`].
    pub serial: u64,
    /// Whether the software that ran is gone already.
    pub software_ended: bool,
}

/// What [`Machine::advance`] led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// A later change has taken its place.
    Superseded,
    /// Half way: advance again after another power delay.
    Again,
    /// The server is off.
    Off,
    /// The server starts its firmware: call [`Machine::boot`].
    Boots,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Off,
    PoweringOn,
    On,
    /// Warm reset: the power stays on.
    Restarting,
    /// The operating system shuts down; the BMC still sees power.
    ShuttingDown,
    PoweringOff {
        then_on: bool,
    },
}

/// One server.
#[derive(Debug, Clone)]
pub struct Machine {
    phase: Phase,
    serial: u64,
    /// The boot override.
    pub boot: Boot,
    /// URL of the image in the virtual CD drive.
    pub media: Option<String>,
    /// URL of the image in the virtual floppy drive.
    pub floppy: Option<String>,
    /// The lamp of the system.
    pub indicator_led: IndicatorLed,
    /// The lamp of the chassis.
    pub location_active: bool,
    /// Secure boot as set; counts from the next boot on.
    pub secure_boot: bool,
    /// Secure boot as it was at the last boot.
    pub secure_boot_current: bool,
    /// Nothing while it is as delivered: a machine that nobody asks costs little.
    cooling: Option<Box<Cooling>>,
}

/// The vendor's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cooling {
    /// `Quiet`, `Normal` or `Full`.
    pub fan_mode: String,
    /// Where the BMC loads fan curves from.
    pub curve_uri: Option<String>,
    /// By id: the names of the profiles.
    pub profiles: BTreeMap<String, String>,
}

impl Default for Cooling {
    fn default() -> Self {
        Self { fan_mode: "Normal".into(), curve_uri: None, profiles: BTreeMap::from([("Factory".into(), "As delivered".into())]) }
    }
}

impl Default for Machine {
    /// Off, boots its disk in UEFI mode, no media.
    fn default() -> Self {
        Self {
            phase: Phase::Off,
            serial: 0,
            boot: Boot { enabled: OverrideEnabled::Disabled, target: BootTarget::None, mode: BootMode::Uefi, http_uri: None },
            media: None,
            floppy: None,
            indicator_led: IndicatorLed::Off,
            location_active: false,
            secure_boot: false,
            secure_boot_current: false,
            cooling: None,
        }
    }
}

impl Machine {
    /// The vendor's own settings.
    pub fn cooling(&self) -> Cooling {
        self.cooling.as_deref().cloned().unwrap_or_default()
    }

    /// Changes them.
    pub fn set_cooling(&mut self, cooling: Cooling) {
        self.cooling = Some(Box::new(cooling));
    }

    /// What the BMC tells about the power.
    pub fn power_state(&self) -> PowerState {
        match self.phase {
            Phase::Off => PowerState::Off,
            Phase::PoweringOn => PowerState::PoweringOn,
            Phase::On | Phase::Restarting | Phase::ShuttingDown => PowerState::On,
            Phase::PoweringOff { .. } => PowerState::PoweringOff,
        }
    }

    /// The BMC's reset action. `Ok(None)`: accepted, without effect on power (`Nmi`).
    ///
    /// # Errors
    /// [`ResetRefused`] if the server is already in the state asked for or on its way to it, if it would have to be on and is not,
    /// or if it is still powering off, as real BMCs do.
    pub fn reset(&mut self, kind: ResetType) -> Result<Option<Change>, ResetRefused> {
        let running = matches!(self.phase, Phase::On | Phase::Restarting | Phase::ShuttingDown);
        let next = match kind {
            ResetType::Nmi if running => return Ok(None),
            ResetType::On | ResetType::ForceOn if self.phase == Phase::Off => Phase::PoweringOn,
            ResetType::ForceOff if running || self.phase == Phase::PoweringOn => Phase::PoweringOff { then_on: false },
            ResetType::GracefulShutdown if running => Phase::PoweringOff { then_on: false },
            ResetType::GracefulRestart | ResetType::ForceRestart if running => Phase::Restarting,
            ResetType::PowerCycle if running => Phase::PoweringOff { then_on: true },
            _ => return Err(ResetRefused),
        };
        Ok(Some(self.change(next, true)))
    }

    /// The operating system shuts the server down. `None` if it is not running.
    pub fn shut_down(&mut self) -> Option<Change> {
        (self.phase == Phase::On).then(|| self.change(Phase::ShuttingDown, false))
    }

    /// The operating system reboots. `None` if it is not running.
    pub fn restart(&mut self) -> Option<Change> {
        (self.phase == Phase::On).then(|| self.change(Phase::Restarting, true))
    }

    /// The power delay of change `serial` is over.
    pub fn advance(&mut self, serial: u64) -> Advanced {
        if serial != self.serial {
            return Advanced::Superseded;
        }
        let (phase, advanced) = match self.phase {
            Phase::PoweringOn | Phase::Restarting => (Phase::On, Advanced::Boots),
            Phase::PoweringOff { then_on: true } => (Phase::PoweringOn, Advanced::Again),
            Phase::PoweringOff { then_on: false } | Phase::ShuttingDown => (Phase::Off, Advanced::Off),
            Phase::Off | Phase::On => return Advanced::Superseded,
        };
        self.phase = phase;
        advanced
    }

    /// The firmware chooses what to boot; an override `Once` is used up by it.
    pub fn boot(&mut self) -> BootedFrom {
        self.secure_boot_current = self.secure_boot;
        let target = if self.boot.enabled == OverrideEnabled::Disabled { BootTarget::None } else { self.boot.target };
        if self.boot.enabled == OverrideEnabled::Once {
            self.boot.enabled = OverrideEnabled::Disabled;
            self.boot.target = BootTarget::None;
        }
        match target {
            BootTarget::Pxe => BootedFrom::Ramdisk,
            BootTarget::Cd if self.media.as_deref().is_some_and(is_live) => BootedFrom::Live,
            BootTarget::Cd if self.media.is_some() => BootedFrom::Ramdisk,
            BootTarget::UefiHttp if self.boot.http_uri.is_some() => BootedFrom::Ramdisk,
            _ => BootedFrom::Disk,
        }
    }

    fn change(&mut self, phase: Phase, software_ended: bool) -> Change {
        self.phase = phase;
        self.serial += 1;
        Change { serial: self.serial, software_ended }
    }
}

/// Whether the medium at this URL has no agent on it: its name says so.
fn is_live(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().is_some_and(|name| name.starts_with("live"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn on() -> Machine {
        let mut machine = Machine::default();
        let change = machine.reset(ResetType::On).unwrap().unwrap();
        assert_eq!(machine.power_state(), PowerState::PoweringOn);
        assert_eq!(machine.advance(change.serial), Advanced::Boots);
        machine
    }

    #[test]
    fn a_server_that_is_on_refuses_to_be_switched_on() {
        assert_eq!(on().reset(ResetType::On), Err(ResetRefused));
        assert_eq!(Machine::default().reset(ResetType::ForceOff), Err(ResetRefused));
    }

    #[test]
    fn a_later_change_makes_an_earlier_one_void() {
        let mut machine = Machine::default();
        let first = machine.reset(ResetType::On).unwrap().unwrap();
        let second = machine.reset(ResetType::ForceOff).unwrap().unwrap();
        assert_eq!(machine.advance(first.serial), Advanced::Superseded);
        assert_eq!(machine.power_state(), PowerState::PoweringOff);
        assert_eq!(machine.advance(second.serial), Advanced::Off);
        assert_eq!(machine.advance(second.serial), Advanced::Superseded);
    }

    #[test]
    fn a_power_cycle_goes_through_off_and_on() {
        let mut machine = on();
        let change = machine.reset(ResetType::PowerCycle).unwrap().unwrap();
        assert_eq!(machine.power_state(), PowerState::PoweringOff);
        assert_eq!(machine.advance(change.serial), Advanced::Again);
        assert_eq!(machine.power_state(), PowerState::PoweringOn);
        assert_eq!(machine.advance(change.serial), Advanced::Boots);
    }

    #[test]
    fn an_override_once_counts_for_one_boot() {
        let mut machine = on();
        machine.media = Some("http://127.0.0.1/x.iso".into());
        machine.boot.enabled = OverrideEnabled::Once;
        machine.boot.target = BootTarget::Cd;
        assert_eq!(machine.boot(), BootedFrom::Ramdisk);
        assert_eq!(machine.boot(), BootedFrom::Disk);
        machine.media = Some("http://127.0.0.1/live.iso?sig=agent".into());
        machine.boot.enabled = OverrideEnabled::Continuous;
        machine.boot.target = BootTarget::Cd;
        assert_eq!(machine.boot(), BootedFrom::Live);
    }

    #[test]
    fn an_empty_drive_boots_the_disk() {
        let mut machine = on();
        machine.boot.enabled = OverrideEnabled::Continuous;
        machine.boot.target = BootTarget::Cd;
        assert_eq!(machine.boot(), BootedFrom::Disk);
        machine.boot.target = BootTarget::Pxe;
        assert_eq!(machine.boot(), BootedFrom::Ramdisk);
        assert_eq!(machine.boot(), BootedFrom::Ramdisk);
    }
}
