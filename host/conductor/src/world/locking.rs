//! `locking`: the node is held by the operation; locks that nodes share are kept by the store.

use async_trait::async_trait;
use wrought_domain::{DriverError, ErrorKind, Node};
use wrought_drivers::capability::Locking;

use super::NodeWorld;
use crate::convert;

/// Whether the node's record names a lock.
pub(crate) fn names_lock(node: &Node, name: &str) -> bool {
    let listed = node.properties.get("shared_locks").and_then(|locks| locks.as_array());
    listed.is_some_and(|locks| locks.iter().any(|lock| lock.as_str() == Some(name)))
}

impl NodeWorld {
    /// A driver may only take locks that the node's record names.
    fn named(&self, name: &str) -> Result<(), DriverError> {
        if names_lock(&self.node, name) {
            return Ok(());
        }
        Err(DriverError::new(ErrorKind::NotFound, "wrought.UnknownLock", "the node's properties/shared_locks does not name this lock"))
    }
}

#[async_trait]
impl Locking for NodeWorld {
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
        match self.conductor.0.store.acquire_lock(&name, self.node.uuid, operation).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(DriverError::new(ErrorKind::Locked, "wrought.SharedLock", "another node's operation holds this lock")),
            Err(error) => Err(convert::store_error(&error)),
        }
    }

    async fn release_shared_lock(&self, name: String) -> Result<(), DriverError> {
        let operation = self.holder()?;
        self.conductor.0.store.release_lock(&name, operation).await.map(drop).map_err(|error| convert::store_error(&error))
    }
}
