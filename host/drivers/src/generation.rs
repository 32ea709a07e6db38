//! Which version of each driver serves: a table that is replaced as a whole, and never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use wrought_domain::rollout::Rollout;
use wrought_domain::{DriverName, Function, Node};

use crate::driver::Driver;

/// The drivers in force. Never changed once published.
#[derive(Debug, Default)]
pub struct Generation {
    /// Grows by one with every change.
    pub id: u64,
    /// What serves under each name.
    pub drivers: BTreeMap<DriverName, InForce>,
}

/// What serves under a name.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    /// The version that new operations take.
    pub active: Option<Arc<Driver>>,
    /// The version on trial, which some of them take.
    pub canary: Option<Arc<Driver>>,
    /// What was decided beside.
    pub rollout: Arc<Rollout>,
}

impl InForce {
    /// One version for all.
    pub fn of(active: Arc<Driver>) -> Self {
        Self { active: Some(active), ..Self::default() }
    }

    /// The version that a new operation on `node` takes; `roll` is a number from 0 to 99, by chance.
    pub fn choose(&self, node: &Node, roll: u8) -> Option<&Arc<Driver>> {
        let trial = self.rollout.canary.as_ref().filter(|trial| trial.takes(node, roll));
        let trial = trial.and_then(|trial| self.canary.as_ref().filter(|driver| driver.digest == trial.digest));
        trial.or(self.active.as_ref())
    }
}

impl Generation {
    /// The version in force under a name.
    pub fn active(&self, name: &DriverName) -> Option<&Arc<Driver>> {
        self.drivers.get(name).and_then(|driver| driver.active.as_ref())
    }

    /// The versions in force of a driver and its bases, its own first. What one does not export, the next serves.
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
            let driver = self.active(&name).cloned().ok_or_else(|| BrokenChain::NotActive(name.clone()))?;
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
