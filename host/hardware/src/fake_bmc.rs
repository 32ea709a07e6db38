//! Controllers of `fake-hardware`: nothing behind them, state in memory.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lru::LruCache;

use crate::bmc::{
    Bmc, BootDevice, BootMode, Component, Device, Drive, Identity, Indicator, IndicatorState, Media, MediaKind, PowerAction, PowerState,
};
use crate::error::{HardwareError, Kind};

/// The fake controllers of this process, by node. Bounded: the longest unused is forgotten, and comes back
/// with the power state that the caller last recorded.
pub struct FakeBmcs {
    machines: Mutex<LruCache<String, Arc<FakeBmc>>>,
}

impl FakeBmcs {
    /// Keeps the state of up to `capacity` machines.
    pub fn new(capacity: usize) -> Self {
        Self { machines: Mutex::new(LruCache::new(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN))) }
    }

    /// The controller of `node`; if it is new, its machine is in the state `recorded`.
    pub fn get(&self, node: &str, recorded: PowerState) -> Arc<dyn Bmc> {
        let mut machines = locked(&self.machines);
        machines.get_or_insert(node.to_owned(), || Arc::new(FakeBmc { machine: Mutex::new(Machine::new(recorded)) })).clone()
    }
}

struct FakeBmc {
    machine: Mutex<Machine>,
}

struct Machine {
    power: PowerState,
    boot: BootDevice,
    mode: BootMode,
    secure_boot: bool,
    media: HashMap<MediaKind, String>,
    /// Of the one indicator that each component has.
    indicators: [(Component, IndicatorState); 2],
}

/// The name of each component's indicator.
const LED: &str = "led";
/// The virtual drives, and what they play.
const DRIVES: [(MediaKind, &[&str]); 3] =
    [(MediaKind::Cd, &["CD", "DVD"]), (MediaKind::Floppy, &["Floppy"]), (MediaKind::Disk, &["USBStick"])];

impl Machine {
    fn new(power: PowerState) -> Self {
        let boot = BootDevice { device: Device::Pxe, persistent: false };
        let indicators = [Component::System, Component::Chassis].map(|component| (component, IndicatorState::Off));
        Self { power, boot, mode: BootMode::Uefi, secure_boot: false, media: HashMap::new(), indicators }
    }
}

// Nothing panics while holding a lock here, and the state stays whole if something did.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Bmc for FakeBmc {
    async fn power_state(&self) -> Result<PowerState, HardwareError> {
        Ok(locked(&self.machine).power)
    }

    async fn set_power(&self, action: PowerAction) -> Result<(), HardwareError> {
        locked(&self.machine).power = match action {
            PowerAction::On | PowerAction::Restart => PowerState::On,
            PowerAction::ForceOff | PowerAction::SoftOff => PowerState::Off,
        };
        Ok(())
    }

    async fn boot_device(&self) -> Result<Option<BootDevice>, HardwareError> {
        Ok(Some(locked(&self.machine).boot))
    }

    async fn set_boot_device(&self, wanted: BootDevice) -> Result<BootDevice, HardwareError> {
        locked(&self.machine).boot = wanted;
        Ok(wanted)
    }

    async fn boot_mode(&self) -> Result<BootMode, HardwareError> {
        Ok(locked(&self.machine).mode)
    }

    async fn set_boot_mode(&self, mode: BootMode) -> Result<(), HardwareError> {
        locked(&self.machine).mode = mode;
        Ok(())
    }

    async fn secure_boot(&self) -> Result<bool, HardwareError> {
        Ok(locked(&self.machine).secure_boot)
    }

    async fn set_secure_boot(&self, enabled: bool) -> Result<(), HardwareError> {
        locked(&self.machine).secure_boot = enabled;
        Ok(())
    }

    async fn media(&self) -> Result<Media, HardwareError> {
        let image = locked(&self.machine).media.get(&MediaKind::Cd).cloned();
        Ok(Media { inserted: image.is_some(), image })
    }

    async fn insert_media(&self, url: &str) -> Result<(), HardwareError> {
        self.attach_media(MediaKind::Cd, url).await
    }

    async fn eject_media(&self) -> Result<(), HardwareError> {
        self.detach_media(&[MediaKind::Cd]).await
    }

    async fn drives(&self) -> Result<Vec<Drive>, HardwareError> {
        let machine = locked(&self.machine);
        let drive = |(kind, types): (MediaKind, &[&str])| {
            let image = machine.media.get(&kind).cloned();
            Drive { types: types.iter().map(|name| (*name).to_owned()).collect(), media: Media { inserted: image.is_some(), image } }
        };
        Ok(DRIVES.into_iter().map(drive).collect())
    }

    async fn attach_media(&self, kind: MediaKind, url: &str) -> Result<(), HardwareError> {
        locked(&self.machine).media.insert(kind, url.to_owned());
        Ok(())
    }

    async fn detach_media(&self, kinds: &[MediaKind]) -> Result<(), HardwareError> {
        locked(&self.machine).media.retain(|kind, _| !kinds.is_empty() && !kinds.contains(kind));
        Ok(())
    }

    /// There is nothing that an interrupt could reach.
    async fn inject_nmi(&self) -> Result<(), HardwareError> {
        Ok(())
    }

    async fn indicators(&self) -> Result<Vec<Indicator>, HardwareError> {
        let states = vec![IndicatorState::Off, IndicatorState::On, IndicatorState::Blinking];
        let indicator = |(component, state)| Indicator { component, name: LED.into(), state, states: states.clone() };
        Ok(locked(&self.machine).indicators.map(indicator).into())
    }

    async fn set_indicator(&self, component: Component, name: &str, state: IndicatorState) -> Result<(), HardwareError> {
        let mut machine = locked(&self.machine);
        let found = machine.indicators.iter_mut().find(|(known, _)| *known == component && name == LED);
        let none = || HardwareError::new(Kind::NotFound, "fake.NoIndicator", "the machine has no such indicator");
        found.ok_or_else(none)?.1 = state;
        Ok(())
    }

    async fn identify(&self) -> Result<Identity, HardwareError> {
        Ok(Identity::default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_fake_machine_keeps_its_state_until_it_is_forgotten() {
        let fakes = FakeBmcs::new(2);
        let node = fakes.get("a", PowerState::Off);
        node.set_power(PowerAction::On).await.unwrap();
        node.insert_media("http://192.0.2.1/boot.iso").await.unwrap();
        let same = fakes.get("a", PowerState::Off);
        assert_eq!(same.power_state().await.unwrap(), PowerState::On);
        assert!(same.media().await.unwrap().inserted);
        fakes.get("b", PowerState::Off);
        fakes.get("c", PowerState::Off);
        let forgotten = fakes.get("a", PowerState::On);
        assert!(!forgotten.media().await.unwrap().inserted);
        assert_eq!(forgotten.power_state().await.unwrap(), PowerState::On);
    }
}
