//! `locking`.

use async_trait::async_trait;
use wrought_domain::DriverError;

use crate::contract::import::locking::Host;
use crate::contract::types::Error;
use crate::journal::Class;
use crate::state::CallState;

/// The node's lock, and those that nodes share.
#[async_trait]
#[allow(missing_docs, reason = "documented in wit/locking.wit")]
pub trait Locking: Send + Sync {
    async fn upgrade_lock(&self) -> Result<(), DriverError>;
    async fn downgrade_lock(&self) -> Result<(), DriverError>;
    async fn acquire_shared_lock(&self, name: String) -> Result<(), DriverError>;
    async fn release_shared_lock(&self, name: String) -> Result<(), DriverError>;
}

impl Host for CallState {
    async fn upgrade(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "locking", "upgrade", (), |world| async move { world.upgrade_lock().await }).await
    }

    async fn downgrade(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "locking", "downgrade", (), |world| async move { world.downgrade_lock().await }).await
    }

    async fn acquire(&mut self, name: String) -> wasmtime::Result<Result<(), Error>> {
        let args = name.clone();
        self.pass(Class::Effect, "locking", "acquire", args, |world| async move { world.acquire_shared_lock(name).await }).await
    }

    async fn release(&mut self, name: String) -> wasmtime::Result<Result<(), Error>> {
        let args = name.clone();
        self.pass(Class::Effect, "locking", "release", args, |world| async move { world.release_shared_lock(name).await }).await
    }
}
