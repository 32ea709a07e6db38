//! Which version of each driver serves: a table that is replaced as a whole, and never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use wrought_domain::{DriverName, Function};

use crate::driver::Driver;

/// The drivers in force. Never changed once published.
#[derive(Debug, Default)]
pub struct Generation {
    /// Grows by one with every change.
    pub id: u64,
    /// The version of each name that a new operation takes.
    pub active: BTreeMap<DriverName, Arc<Driver>>,
}

impl Generation {
    /// A driver and its bases, its own first. What one does not export, the next serves.
    ///
    /// # Errors
    /// The name that is not active, or a circle of bases.
    pub fn chain(&self, name: &DriverName) -> Result<Vec<(DriverName, Arc<Driver>)>, BrokenChain> {
        let mut chain: Vec<(DriverName, Arc<Driver>)> = Vec::new();
        let mut next = Some(name.clone());
        while let Some(name) = next {
            if chain.iter().any(|(seen, _)| *seen == name) {
                return Err(BrokenChain::Circle(name));
            }
            let driver = self.active.get(&name).cloned().ok_or_else(|| BrokenChain::NotActive(name.clone()))?;
            next = driver.about.base.clone();
            chain.push((name, driver));
        }
        Ok(chain)
    }
}

/// Why a driver cannot serve a new operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// No version of it is active.
    #[error("no version of driver {0} is active; upload one with `wrought driver push` and activate it with `wrought driver activate`")]
    NotActive(DriverName),
    /// The bases name each other.
    #[error("driver {0} is its own base")]
    Circle(DriverName),
}

/// The first driver of a chain that exports what holds a function.
pub fn serving(chain: &[(DriverName, Arc<Driver>)], function: Function) -> Option<&(DriverName, Arc<Driver>)> {
    chain.iter().find(|(_, driver)| driver.serves(function))
}
