//! `image`.

use async_trait::async_trait;
use wrought_domain::DriverError;

use crate::contract::image::Image as Resolved;
use crate::contract::import::image::Host;
use crate::contract::types::Error;
use crate::journal::Class;
use crate::state::CallState;

/// The reference under which drivers know the config drive.
pub const CONFIG_DRIVE: &str = "secret-ref:config-drive";

/// The reference under which drivers know the `Authorization` header of the image's download.
pub const IMAGE_AUTHORIZATION: &str = "secret-ref:image-authorization";

/// The instance's image.
#[async_trait]
pub trait Image: Send + Sync {
    /// Checks what `instance_info` says of it; asks nobody.
    async fn validate_image(&self) -> Result<(), DriverError>;
    /// Asks the server.
    async fn resolve_image(&self) -> Result<Resolved, DriverError>;
}

impl Host for CallState {
    async fn validate(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Observe, "image", "validate", (), |world| async move { world.validate_image().await }).await
    }

    async fn resolve(&mut self) -> wasmtime::Result<Result<Resolved, Error>> {
        self.pass(Class::Observe, "image", "resolve", (), |world| async move { world.resolve_image().await }).await
    }

    async fn config_drive(&mut self) -> wasmtime::Result<Option<String>> {
        self.charge()?;
        let granted = self.may_use("image", Some("config-drive"));
        Ok((granted && self.header.snapshot.config_drive).then(|| CONFIG_DRIVE.to_owned()))
    }

    async fn authorization(&mut self) -> wasmtime::Result<Option<String>> {
        self.charge()?;
        let granted = self.may_use("image", Some("authorization"));
        Ok((granted && self.header.snapshot.authorization).then(|| IMAGE_AUTHORIZATION.to_owned()))
    }
}
