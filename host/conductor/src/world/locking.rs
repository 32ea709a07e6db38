//! `locking`: the node is held by the operation; locks that nodes share are kept by the store.

use async_trait::async_trait;
use wrought_domain::{DriverError, ErrorKind, lock};
use wrought_drivers::capability::Locking;

use super::NodeWorld;
use crate::convert;
use crate::locks::heard;

impl NodeWorld {
    /// A driver may only take locks that the node's record names.
    fn named(&self, name: &str) -> Result<(), DriverError> {
        if lock::names(&self.node.properties, name) {
            return Ok(());
        }
        Err(DriverError::new(ErrorKind::NotFound, "wrought.UnknownLock", "the node's properties/shared_locks does not name this lock"))
    }
}

#[async_trait]
impl Locking for NodeWorld {
    /// An operation holds its node exclusively from its begin to its end.
    async fn upgrade_lock(&self) -> Result<(), DriverError> {
        self.holder().map(drop)
    }

    /// The lock came with the operation, so it stays.
    async fn downgrade_lock(&self) -> Result<(), DriverError> {
        self.holder().map(drop)
    }

    async fn acquire_shared_lock(&self, name: String) -> Result<(), DriverError> {
        let operation = self.holder()?;
        self.named(&name)?;
        let answer = self.conductor.ask_for_lock(self.node.uuid, operation, &name, false).await;
        heard(answer.map_err(|error| convert::store_error(&error))?)
    }

    async fn release_shared_lock(&self, name: String) -> Result<(), DriverError> {
        let operation = self.holder()?;
        let released = self.conductor.release_lock(self.node.uuid, operation, &name).await;
        released.map_err(|error| convert::store_error(&error))
    }
}
