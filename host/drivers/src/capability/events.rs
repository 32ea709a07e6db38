//! `events`.

use async_trait::async_trait;

use crate::contract::import::events::Host;
use crate::state::CallState;

/// Where progress is shown.
#[async_trait]
pub trait Progress: Send + Sync {
    /// `percent` of the current step; the message is escaped and capped.
    async fn progress(&self, percent: Option<u32>, message: String);
}

impl Host for CallState {
    async fn progress(&mut self, percent: Option<u32>, message: String) -> wasmtime::Result<()> {
        self.charge()?;
        if !self.may_write() {
            return Ok(());
        }
        if let Some(world) = self.world.clone() {
            world.progress(percent.map(|percent| percent.min(100)), super::log::escaped(&message)).await;
        }
        Ok(())
    }
}
