//! `[drivers]`: the limits of driver calls. All are on by default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of drivers and of their calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DriversConfig {
    /// The largest component that may be uploaded, in MiB.
    pub max_component_mib: u32,
    /// Linear memory, in MiB, that one call may grow to.
    pub memory_mib: u32,
    /// CPU time, in milliseconds, that one call may use.
    pub cpu_ms: u32,
    /// Wall clock, in seconds, that one call may take, waiting for hardware included.
    pub wall_s: u32,
    /// Host functions that one call may call.
    pub host_calls: u32,
    /// Log lines that one call may write; more are counted and dropped.
    pub log_lines: u32,
    /// Size, in KiB, of the largest value that crosses between driver and host.
    pub value_kib: u32,
    /// Driver calls that run at once; more wait. Large components count more than once.
    pub concurrent_calls: u32,
}

impl Default for DriversConfig {
    fn default() -> Self {
        Self {
            max_component_mib: 64,
            memory_mib: 256,
            cpu_ms: 10_000,
            wall_s: 60,
            host_calls: 10_000,
            log_lines: 200,
            value_kib: 4096,
            concurrent_calls: 128,
        }
    }
}
