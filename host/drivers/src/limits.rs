//! Limits of one driver that differ from the host's, and how many of its calls run at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wrought_domain::{DriverName, Map};

use crate::config::{DriversConfig, Limits};

/// Memory that the pool has room for in one call, whatever the configuration says.
pub(crate) const MAX_MEMORY_MIB: u32 = 2048;

/// Elements that the pool has room for in a table.
pub(crate) const MAX_TABLE: u32 = 100_000;

/// Bytes of a guest's stack. The engine has one figure for all guests.
pub(crate) const STACK: usize = 512 << 10;

macro_rules! driver_limits {
    ($($name:ident <= $max:expr),+ $(,)?) => {
        /// Limits of one driver; what is not set is the host's, see [`DriversConfig`].
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(missing_docs, reason = "the fields are those of `DriversConfig`")]
        pub struct DriverLimits {
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<u32>,)+
            /// See [`DriversConfig::driver_concurrent_calls`].
            #[serde(skip_serializing_if = "Option::is_none")]
            pub concurrent_calls: Option<u32>,
        }

        impl DriverLimits {
            /// The limits of a call.
            pub fn over(&self, host: Limits) -> Limits {
                Limits { $($name: self.$name.unwrap_or(host.$name)),+ }
            }

            /// What each may be set to at most on a host of this configuration.
            pub fn maxima(config: &DriversConfig) -> Self {
                Self { $($name: Some($max.max(config.$name)),)+ concurrent_calls: Some(config.concurrent_calls.max(1)) }
            }

            fn all(&self) -> Vec<(&'static str, Option<u32>)> {
                vec![$((stringify!($name), self.$name),)+ ("concurrent_calls", self.concurrent_calls)]
            }
        }
    };
}

driver_limits! {
    memory_mib <= MAX_MEMORY_MIB,
    cpu_ms <= 120_000,
    wall_s <= 300,
    host_calls <= 1_000_000,
    log_lines <= 10_000,
    value_kib <= 16_384,
    table_elements <= MAX_TABLE,
    handles <= 65_536,
    state_kib <= 1_024,
}

/// Limits that a driver cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// There is no such limit, or it is not a whole number.
    #[error("{0}; the limits are {all}", all = names().join(", "))]
    Unreadable(String),
    /// The engine has no room for it, or nothing could run.
    #[error("{name} is {given}: give 1 to {max}, which is what this host has room for")]
    OutOfRange {
        /// The limit.
        name: &'static str,
        /// What was given.
        given: u32,
        /// What it may be.
        max: u32,
    },
}

fn names() -> Vec<&'static str> {
    DriverLimits::default().all().into_iter().map(|(name, _)| name).collect()
}

impl DriverLimits {
    /// Reads limits that somebody wants on a host of this configuration.
    ///
    /// # Errors
    /// The first that cannot be had, and what could.
    pub fn read(wanted: &Map, config: &DriversConfig) -> Result<Self, InvalidLimit> {
        let limits: Self =
            serde_json::from_value(Value::Object(wanted.clone())).map_err(|error| InvalidLimit::Unreadable(error.to_string()))?;
        for ((name, given), (_, max)) in limits.all().into_iter().zip(Self::maxima(config).all()) {
            let (Some(given), Some(max)) = (given, max) else { continue };
            if !(1..=max).contains(&given) {
                return Err(InvalidLimit::OutOfRange { name, given, max });
            }
        }
        Ok(limits)
    }
}

/// What holds for each driver: shared by all clones of a runtime.
pub(crate) struct PerDriver {
    set: RwLock<BTreeMap<DriverName, DriverLimits>>,
    /// As many as there are drivers. A driver's permits are made anew when their number changes; who has one of the old ones keeps it.
    turns: Mutex<HashMap<DriverName, (u32, Arc<Semaphore>)>>,
    /// Permits of a driver for which nothing is set.
    calls: u32,
}

impl PerDriver {
    pub(crate) fn new(config: &DriversConfig) -> Self {
        let all = config.concurrent_calls.max(1);
        let calls = match config.driver_concurrent_calls {
            0 => all.saturating_sub(all / 4),
            given => given.min(all),
        };
        Self { set: RwLock::default(), turns: Mutex::default(), calls: calls.max(1) }
    }

    pub(crate) fn set(&self, name: &DriverName, limits: DriverLimits) {
        self.set.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), limits);
    }

    pub(crate) fn of(&self, name: &DriverName) -> DriverLimits {
        self.set.read().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }

    pub(crate) fn calls_of(&self, name: &DriverName) -> u32 {
        self.of(name).concurrent_calls.unwrap_or(self.calls)
    }

    /// Waits in the driver's own line, so that its calls do not fill the one that all drivers share.
    pub(crate) async fn turn(&self, name: &DriverName, weight: u32) -> Option<OwnedSemaphorePermit> {
        let calls = self.calls_of(name);
        let line = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || (calls, Arc::new(Semaphore::new(usize::try_from(calls).unwrap_or(1))));
            let line = turns.entry(name.clone()).or_insert_with(fresh);
            if line.0 != calls {
                *line = fresh();
            }
            line.1.clone()
        };
        line.acquire_many_owned(weight.min(calls)).await.ok()
    }
}

/// What is the same for all drivers and cannot be set: for those who look at limits.
pub fn constants() -> Value {
    json!({
        "stack_kib": STACK >> 10,
        "import_s": 10,
        "wait_tokens": crate::capability::MAX_TOKENS,
        "reports": crate::capability::MAX_REPORTS,
        "report_kib": crate::capability::MAX_FINDING >> 10,
        "state_key_bytes": crate::capability::MAX_KEY,
        "log_line_bytes": crate::capability::MAX_LINE,
        "json_argument_kib": crate::capability::MAX_JSON >> 10,
        "record_mib": crate::state::MAX_RECORD >> 20,
        "steps": crate::convert::MAX_STEPS,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn read(wanted: Value) -> Result<DriverLimits, InvalidLimit> {
        DriverLimits::read(wanted.as_object().unwrap(), &DriversConfig::default())
    }

    #[test]
    fn what_is_set_is_bounded_by_what_the_host_has_room_for() {
        let limits = read(json!({ "memory_mib": 512, "concurrent_calls": 4 })).unwrap();
        let over = limits.over(Limits::default());
        assert_eq!((over.memory_mib, over.cpu_ms, limits.concurrent_calls), (512, Limits::default().cpu_ms, Some(4)));
        assert_eq!(serde_json::to_value(limits).unwrap(), json!({ "memory_mib": 512, "concurrent_calls": 4 }));
        for (wanted, says) in [
            (json!({ "memory_mib": 4096 }), "memory_mib is 4096: give 1 to 2048"),
            (json!({ "cpu_ms": 0 }), "cpu_ms is 0: give 1 to"),
            (json!({ "concurrent_calls": 129 }), "concurrent_calls is 129: give 1 to 128"),
            (json!({ "moon": 1 }), "unknown field `moon`"),
            (json!({ "cpu_ms": -1 }), "the limits are memory_mib"),
            (json!({ "cpu_ms": "many" }), "the limits are memory_mib"),
        ] {
            assert!(read(wanted.clone()).unwrap_err().to_string().contains(says), "{wanted}: {}", read(wanted.clone()).unwrap_err());
        }
    }

    #[tokio::test]
    async fn a_drivers_calls_wait_in_its_own_line() {
        let config = DriversConfig { concurrent_calls: 8, ..DriversConfig::default() };
        let drivers = PerDriver::new(&config);
        let (busy, other): (DriverName, DriverName) = ("busy".parse().unwrap(), "other".parse().unwrap());
        let held = drivers.turn(&busy, 6).await.unwrap();
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(20), drivers.turn(&busy, 1)).await.is_err(),
            "six of eight are its own"
        );
        assert!(drivers.turn(&other, 2).await.is_some());
        drivers.set(&busy, DriverLimits { concurrent_calls: Some(1), ..DriverLimits::default() });
        // Too heavy for its permits, it takes them all.
        assert!(drivers.turn(&busy, 6).await.is_some());
        drop(held);
    }
}
