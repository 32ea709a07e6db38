//! `[drivers]`: what components may be uploaded, and the limits of driver calls. All limits are on by default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which drivers may be uploaded, and the limits of their calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DriversConfig {
    /// What an upload without a valid minisign signature by a trusted key comes to: with `require` it is refused, with `warn` it is
    /// kept with a warning, with `off` signatures are not looked at. A signature that does not fit the component is refused unless
    /// `off`.
    pub signature_policy: SignaturePolicy,
    /// The minisign public keys of those whose drivers are trusted: each the key itself (`RW...`) or the path of its `.pub` file,
    /// which is read at the start.
    pub trusted_keys: Vec<String>,
    /// The largest component that may be uploaded, in MiB.
    pub max_component_mib: u32,
    /// Seconds that one upload may take, from its first byte to its last.
    pub upload_s: u32,
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
    /// Size, in KiB, of the largest value that crosses between driver and host, arguments and answers alike.
    pub value_kib: u32,
    /// Elements that one table of a call may grow to.
    pub table_elements: u32,
    /// Handles of resources that one call may hold.
    pub handles: u32,
    /// Size, in KiB, of what a driver keeps on one node.
    pub state_kib: u32,
    /// Driver calls that run at once; more wait. Large components count more than once.
    pub concurrent_calls: u32,
    /// Of these, those of one driver; 0 stands for three quarters of them.
    pub driver_concurrent_calls: u32,
    /// Log lines and notes of progress that a driver may write per second about one node, over all its calls, and ten times as many
    /// about all nodes together. Those of ten seconds may come at once. More are counted and dropped.
    pub log_lines_s: u32,
    /// What a component may consist of; looked at before it is compiled.
    pub component: ComponentLimits,
    /// What compiling one component may use.
    pub compile: CompileLimits,
}

impl Default for DriversConfig {
    fn default() -> Self {
        let Limits { memory_mib, cpu_ms, wall_s, host_calls, log_lines, value_kib, table_elements, handles, state_kib } = Limits::default();
        Self {
            signature_policy: SignaturePolicy::Warn,
            trusted_keys: Vec::new(),
            max_component_mib: 64,
            upload_s: 600,
            memory_mib,
            cpu_ms,
            wall_s,
            host_calls,
            log_lines,
            value_kib,
            table_elements,
            handles,
            state_kib,
            concurrent_calls: 128,
            driver_concurrent_calls: 0,
            log_lines_s: 20,
            component: ComponentLimits::default(),
            compile: CompileLimits::default(),
        }
    }
}

impl DriversConfig {
    /// Those of each call.
    pub fn limits(&self) -> Limits {
        let Self { memory_mib, cpu_ms, wall_s, host_calls, log_lines, value_kib, table_elements, handles, state_kib, .. } = *self;
        Limits { memory_mib, cpu_ms, wall_s, host_calls, log_lines, value_kib, table_elements, handles, state_kib }
    }
}

/// The limits of one call, as its record has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// See [`DriversConfig::memory_mib`].
    pub memory_mib: u32,
    /// See [`DriversConfig::cpu_ms`].
    pub cpu_ms: u32,
    /// See [`DriversConfig::wall_s`].
    pub wall_s: u32,
    /// See [`DriversConfig::host_calls`].
    pub host_calls: u32,
    /// See [`DriversConfig::log_lines`].
    pub log_lines: u32,
    /// See [`DriversConfig::value_kib`].
    pub value_kib: u32,
    /// See [`DriversConfig::table_elements`].
    pub table_elements: u32,
    /// See [`DriversConfig::handles`].
    pub handles: u32,
    /// See [`DriversConfig::state_kib`].
    pub state_kib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // A record without one of these is from before it could be set: this is what held then.
        Self {
            memory_mib: 256,
            cpu_ms: 10_000,
            wall_s: 60,
            host_calls: 10_000,
            log_lines: 200,
            value_kib: 4096,
            table_elements: 30_000,
            handles: 1024,
            state_kib: 64,
        }
    }
}

/// See [`DriversConfig::signature_policy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignaturePolicy {
    /// Only what a trusted key signed.
    Require,
    /// Anything, but what is unsigned or signed by somebody unknown is told of.
    #[default]
    Warn,
    /// Anything.
    Off,
}

/// What a component may consist of, all its modules together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ComponentLimits {
    /// Functions.
    pub functions: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// Global variables.
    pub globals: u32,
    /// Data segments.
    pub data_segments: u32,
    /// Modules and components inside of it.
    pub modules: u32,
    /// Instances of modules and components that it makes.
    pub instances: u32,
    /// Code, in MiB.
    pub code_mib: u32,
    /// Code of the largest function, in KiB.
    pub function_kib: u32,
    /// How deep components and modules are nested.
    pub nesting: u32,
}

impl Default for ComponentLimits {
    fn default() -> Self {
        Self {
            functions: 100_000,
            memories: 8,
            tables: 32,
            globals: 20_000,
            data_segments: 100_000,
            modules: 100,
            instances: 1_000,
            code_mib: 32,
            function_kib: 2048,
            nesting: 8,
        }
    }
}

/// What compiling one component, which a process of its own does, may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompileLimits {
    /// CPU time, in seconds.
    pub cpu_s: u32,
    /// Wall clock, in seconds.
    pub wall_s: u32,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Compiled code, in MiB.
    pub code_mib: u32,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { cpu_s: 60, wall_s: 120, memory_mib: 2048, code_mib: 512 }
    }
}
