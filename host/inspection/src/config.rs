//! The section `[inspection]` of the configuration. Names and meanings are those of Ironic's `[inspector]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A hook: takes something out of what an inspection found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Fails the inspection when the agent says that it failed.
    RamdiskError,
    /// Fails an inspection by the agent that found no usable network interface.
    ValidateInterfaces,
    /// Makes ports of network interfaces, and marks the one that the machine booted from.
    Ports,
    /// Sets `properties/cpu_arch` and `properties/cpus`.
    Architecture,
    /// Sets `properties/memory_mb`.
    Memory,
    /// Sets `properties/local_gb`, one less than the root disk has, as Ironic does.
    RootDevice,
    /// Sets the capability `boot_mode`.
    BootMode,
}

/// Of which network interfaces ports are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddPorts {
    /// Of the one that the machine booted from; of those with an address where that is not known; of all where none has one.
    #[default]
    Pxe,
    /// Of those with an address.
    Active,
    /// Of all.
    All,
    /// Of none.
    Disabled,
}

/// Which ports stay that the node had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeepPorts {
    /// All.
    #[default]
    All,
    /// Those whose interface was found.
    Present,
    /// Those that would be made anew.
    Added,
}

/// What is made of the findings of inspections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InspectionConfig {
    /// The hooks, in the order in which they run.
    pub hooks: Vec<Hook>,
    /// Of which network interfaces ports are made: `pxe`, `active`, `all` or `disabled`.
    pub add_ports: AddPorts,
    /// Which ports stay that the node had before: `all`, `present` or `added`.
    pub keep_ports: KeepPorts,
    /// Whether `pxe_enabled` of a port says if the machine booted from it.
    pub update_pxe_enabled: bool,
}

impl Default for InspectionConfig {
    fn default() -> Self {
        use Hook::{Architecture, BootMode, Memory, Ports, RamdiskError, RootDevice, ValidateInterfaces};
        Self {
            hooks: vec![RamdiskError, ValidateInterfaces, Ports, Architecture, Memory, RootDevice, BootMode],
            add_ports: AddPorts::Pxe,
            keep_ports: KeepPorts::All,
            update_pxe_enabled: true,
        }
    }
}
