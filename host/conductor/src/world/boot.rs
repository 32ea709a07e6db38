//! `boot`: virtual media with a ready-made image (`driver_info/deploy_iso`), and boot devices.

use async_trait::async_trait;
use serde_json::Value;
use wrought_domain::{DriverError, ErrorKind};
use wrought_drivers::capability::Boot;
use wrought_drivers::contract::boot::{BootDevice, Device, Mode};
use wrought_hardware as hardware;
use wrought_hardware::secrets::Secrets;

use super::NodeWorld;
use crate::convert;
use crate::secrets::image_url;

impl NodeWorld {
    /// The image that boots the agent; nothing for fake hardware, which boots nothing.
    pub(crate) async fn deploy_iso(&self) -> Result<Option<String>, DriverError> {
        if self.node.interfaces.boot == "fake" {
            return Ok(None);
        }
        let iso = self.node.driver_info.get("deploy_iso").and_then(|value| value.as_str()).filter(|iso| !iso.is_empty());
        let Some(iso) = iso else {
            return Err(DriverError::new(
                ErrorKind::MissingParameter,
                "boot.DeployIsoMissing",
                "driver_info/deploy_iso is missing: the URL of an image that boots the agent",
            ));
        };
        Ok(Some(iso.to_owned()))
    }

    /// The URL of a medium: an artifact's or a signed one of the instance's, where a reference stands for it.
    pub(crate) async fn medium(&self, url: &str) -> Result<String, DriverError> {
        if let Some(signed) = Secrets::name(url).and_then(|name| image_url(&self.node, name)) {
            return Ok(signed.to_owned());
        }
        let mut url = Value::from(url);
        let artifacts = self.with_artifacts(&Secrets::default(), [&url]).await?.into_owned();
        if url.as_str().is_some_and(|text| Secrets::name(text).is_some()) {
            artifacts.fill(&mut url).map_err(convert::error)?;
        }
        Ok(url.as_str().unwrap_or_default().to_owned())
    }

    /// Makes the next boot, and only that, one from the virtual drive.
    pub(crate) async fn boot_from_medium(&self) -> Result<(), DriverError> {
        self.set_device(hardware::Device::Cdrom, false).await
    }

    async fn set_device(&self, device: hardware::Device, persistent: bool) -> Result<(), DriverError> {
        self.bmc()?.set_boot_device(hardware::BootDevice { device, persistent }).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Ejects, where the machine has a drive at all.
    async fn eject(&self) -> Result<(), DriverError> {
        match self.bmc()?.eject_media().await.map_err(|error| self.failed(error)) {
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(()),
            ejected => ejected,
        }
    }
}

#[async_trait]
impl Boot for NodeWorld {
    async fn validate_boot(&self) -> Result<(), DriverError> {
        self.bmc()?;
        match self.deploy_iso().await? {
            Some(iso) => self.conductor.0.images.policy().check("deploy_iso", &iso).await.map(drop).map_err(|error| self.failed(error)),
            None => Ok(()),
        }
    }

    async fn prepare_ramdisk(&self, _params: Vec<(String, String)>) -> Result<(), DriverError> {
        let Some(iso) = self.deploy_iso().await? else { return Ok(()) };
        self.conductor.0.images.policy().check("deploy_iso", &iso).await.map_err(|error| self.failed(error))?;
        self.bmc()?.insert_media(&iso).await.map_err(|error| self.failed(error))?;
        self.boot_from_medium().await
    }

    async fn clean_up_ramdisk(&self) -> Result<(), DriverError> {
        self.eject().await
    }

    async fn prepare_instance(&self) -> Result<(), DriverError> {
        self.eject().await?;
        self.set_device(hardware::Device::Disk, true).await
    }

    async fn clean_up_instance(&self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn boot_device(&self) -> Result<BootDevice, DriverError> {
        match self.bmc()?.boot_device().await.map_err(|error| self.failed(error))? {
            Some(device) => Ok(BootDevice { device: convert::device_of(device.device), persistent: device.persistent }),
            None => Err(DriverError::new(ErrorKind::NotFound, "boot.NoOverride", "no boot device is set")),
        }
    }

    async fn set_boot_device(&self, device: Device, persistent: bool) -> Result<(), DriverError> {
        self.set_device(convert::device(device), persistent).await
    }

    async fn boot_mode(&self) -> Result<Mode, DriverError> {
        Ok(match self.bmc()?.boot_mode().await.map_err(|error| self.failed(error))? {
            hardware::BootMode::Bios => Mode::Bios,
            hardware::BootMode::Uefi => Mode::Uefi,
        })
    }

    async fn set_boot_mode(&self, mode: Mode) -> Result<(), DriverError> {
        let mode = match mode {
            Mode::Bios => hardware::BootMode::Bios,
            Mode::Uefi => hardware::BootMode::Uefi,
        };
        self.bmc()?.set_boot_mode(mode).await.map_err(|error| self.failed(error))
    }

    async fn secure_boot(&self) -> Result<bool, DriverError> {
        self.bmc()?.secure_boot().await.map_err(|error| self.failed(error))
    }

    async fn set_secure_boot(&self, enabled: bool) -> Result<(), DriverError> {
        self.bmc()?.set_secure_boot(enabled).await.map_err(|error| self.failed(error))
    }

    async fn insert_media(&self, url: String) -> Result<(), DriverError> {
        let url = self.medium(&url).await?;
        self.conductor.0.images.policy().check("url", &url).await.map_err(|error| self.failed(error))?;
        self.bmc()?.insert_media(&url).await.map_err(|error| self.failed(error))
    }

    async fn eject_media(&self) -> Result<(), DriverError> {
        self.bmc()?.eject_media().await.map_err(|error| self.failed(error))
    }
}
