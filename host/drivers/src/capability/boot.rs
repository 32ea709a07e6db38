//! `boot`.

use async_trait::async_trait;
use wrought_domain::DriverError;

use crate::contract::boot::{BootDevice, Device, Mode};
use crate::contract::import::boot::Host;
use crate::contract::types::Error;
use crate::journal::Class;
use crate::state::CallState;

/// How the node boots.
#[async_trait]
#[allow(missing_docs, reason = "documented in wit/boot.wit")]
pub trait Boot: Send + Sync {
    async fn validate_boot(&self) -> Result<(), DriverError>;
    async fn prepare_ramdisk(&self, params: Vec<(String, String)>) -> Result<(), DriverError>;
    async fn clean_up_ramdisk(&self) -> Result<(), DriverError>;
    async fn prepare_instance(&self) -> Result<(), DriverError>;
    async fn clean_up_instance(&self) -> Result<(), DriverError>;
    async fn boot_device(&self) -> Result<BootDevice, DriverError>;
    async fn set_boot_device(&self, device: Device, persistent: bool) -> Result<(), DriverError>;
    async fn boot_mode(&self) -> Result<Mode, DriverError>;
    async fn set_boot_mode(&self, mode: Mode) -> Result<(), DriverError>;
    async fn secure_boot(&self) -> Result<bool, DriverError>;
    async fn set_secure_boot(&self, enabled: bool) -> Result<(), DriverError>;
    async fn insert_media(&self, url: String) -> Result<(), DriverError>;
    async fn eject_media(&self) -> Result<(), DriverError>;
}

impl Host for CallState {
    async fn validate(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Observe, "boot", "validate", (), |world| async move { world.validate_boot().await }).await
    }

    async fn prepare_ramdisk(&mut self, params: Vec<(String, String)>) -> wasmtime::Result<Result<(), Error>> {
        let args = params.clone();
        self.pass(Class::Effect, "boot", "prepare-ramdisk", args, |world| async move { world.prepare_ramdisk(params).await }).await
    }

    async fn clean_up_ramdisk(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "boot", "clean-up-ramdisk", (), |world| async move { world.clean_up_ramdisk().await }).await
    }

    async fn prepare_instance(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "boot", "prepare-instance", (), |world| async move { world.prepare_instance().await }).await
    }

    async fn clean_up_instance(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "boot", "clean-up-instance", (), |world| async move { world.clean_up_instance().await }).await
    }

    async fn get_device(&mut self) -> wasmtime::Result<Result<BootDevice, Error>> {
        self.pass(Class::Observe, "boot", "get-device", (), |world| async move { world.boot_device().await }).await
    }

    async fn set_device(&mut self, device: Device, persistent: bool) -> wasmtime::Result<Result<(), Error>> {
        let args = (device, persistent);
        self.pass(Class::Effect, "boot", "set-device", args, move |world| async move { world.set_boot_device(device, persistent).await })
            .await
    }

    async fn get_mode(&mut self) -> wasmtime::Result<Result<Mode, Error>> {
        self.pass(Class::Observe, "boot", "get-mode", (), |world| async move { world.boot_mode().await }).await
    }

    async fn set_mode(&mut self, mode: Mode) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "boot", "set-mode", mode, move |world| async move { world.set_boot_mode(mode).await }).await
    }

    async fn get_secure_boot(&mut self) -> wasmtime::Result<Result<bool, Error>> {
        self.pass(Class::Observe, "boot", "get-secure-boot", (), |world| async move { world.secure_boot().await }).await
    }

    async fn set_secure_boot(&mut self, enabled: bool) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "boot", "set-secure-boot", enabled, move |world| async move { world.set_secure_boot(enabled).await }).await
    }

    async fn insert_media(&mut self, url: String) -> wasmtime::Result<Result<(), Error>> {
        let args = url.clone();
        self.pass(Class::Effect, "boot", "insert-media", args, |world| async move { world.insert_media(url).await }).await
    }

    async fn eject_media(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "boot", "eject-media", (), |world| async move { world.eject_media().await }).await
    }
}
