//! Hardware types and the interfaces that they support, in Ironic's names.
//!
//! A hardware type says how the host reaches a machine. Deploy interfaces are components: any
//! active driver may be chosen, whatever the hardware type.

use crate::node::Interfaces;

/// A hardware type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardwareType {
    /// Its name; a node's `driver`.
    pub name: &'static str,
    /// What the host knows for each interface: the name and the implementations, the default first.
    pub supported: &'static [(&'static str, &'static [&'static str])],
}

/// Machines whose controller speaks Redfish. With `redfish` for bios and firmware, settings and components are those that the last
/// inspection found; steps of theirs, of raid and of vendor are what drivers offer.
pub const REDFISH: HardwareType = HardwareType {
    name: "redfish",
    supported: &[
        ("bios", &["no-bios", "redfish"]),
        ("boot", &["redfish-virtual-media"]),
        ("console", &["no-console"]),
        ("deploy", &["direct", "ramdisk", "custom-agent", "bootc", "noop"]),
        ("firmware", &["no-firmware", "redfish"]),
        ("inspect", &["redfish", "agent", "no-inspect"]),
        ("management", &["redfish"]),
        ("network", &["noop", "flat"]),
        ("power", &["redfish"]),
        ("raid", &["no-raid", "redfish", "agent"]),
        ("rescue", &["no-rescue", "agent"]),
        ("storage", &["noop"]),
        ("vendor", &["no-vendor", "redfish"]),
    ],
};

/// No machine at all: power and boot are kept in memory. For tests, as in Ironic.
pub const FAKE_HARDWARE: HardwareType = HardwareType {
    name: "fake-hardware",
    supported: &[
        ("bios", &["fake", "no-bios"]),
        ("boot", &["fake"]),
        ("console", &["fake", "no-console"]),
        ("deploy", &["fake", "direct", "ramdisk", "custom-agent", "bootc", "noop"]),
        ("firmware", &["fake", "no-firmware"]),
        ("inspect", &["fake", "no-inspect", "agent"]),
        ("management", &["fake", "noop"]),
        ("network", &["noop", "flat"]),
        ("power", &["fake"]),
        ("raid", &["fake", "no-raid", "agent"]),
        ("rescue", &["fake", "no-rescue", "agent"]),
        ("storage", &["noop", "fake"]),
        ("vendor", &["fake", "no-vendor"]),
    ],
};

/// Every hardware type, by name.
pub const ALL: &[HardwareType] = &[FAKE_HARDWARE, REDFISH];

impl HardwareType {
    /// The hardware type of this name.
    pub fn find(name: &str) -> Option<HardwareType> {
        ALL.iter().copied().find(|t| t.name == name)
    }

    /// The implementations of an interface, the default first.
    pub fn implementations(&self, interface: &str) -> &'static [&'static str] {
        self.supported.iter().find(|(name, _)| *name == interface).map_or(&[], |(_, all)| *all)
    }

    /// The default of an interface.
    pub fn default_of(&self, interface: &str) -> &'static str {
        self.implementations(interface).first().copied().unwrap_or_default()
    }

    /// The default interfaces of a new node.
    pub fn defaults(&self) -> Interfaces {
        let of = |name: &str| self.default_of(name).to_owned();
        Interfaces {
            bios: of("bios"),
            boot: of("boot"),
            console: of("console"),
            deploy: of("deploy"),
            firmware: of("firmware"),
            inspect: of("inspect"),
            management: of("management"),
            network: of("network"),
            power: of("power"),
            raid: of("raid"),
            rescue: of("rescue"),
            storage: of("storage"),
            vendor: of("vendor"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hardware_type_has_a_default_for_every_interface() {
        for hardware in ALL {
            for interface in Interfaces::NAMES {
                assert!(!hardware.default_of(interface).is_empty(), "{} {interface}", hardware.name);
            }
        }
        assert_eq!(REDFISH.defaults().deploy, "direct");
        assert_eq!(FAKE_HARDWARE.defaults().deploy, "fake");
    }
}
