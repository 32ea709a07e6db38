//! The drivers in the binary, and what they are granted.

use wrought_domain::{Digest, DriverName};

use crate::grants::Grants;

/// Ironic's `direct` deploy interface.
pub const DIRECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/direct.wasm"));

/// Ironic's `fake` interfaces: every step succeeds.
pub const FAKE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fake.wasm"));

/// Ironic's `agent` inspect and rescue interfaces.
pub const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent.wasm"));

/// Ironic's `bootc` deploy interface.
pub const BOOTC: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bootc.wasm"));

/// Ironic's `custom-agent` deploy interface.
pub const CUSTOM_AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/custom-agent.wasm"));

/// Ironic's `noop` deploy interface.
pub const NOOP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/noop.wasm"));

/// Ironic's `ramdisk` deploy interface.
pub const RAMDISK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ramdisk.wasm"));

/// Ironic's `redfish` inspect interface.
pub const REDFISH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/redfish.wasm"));

/// Each by its name, with what it may use.
const ALL: [(&str, &[u8], &[&str]); 8] = [
    ("agent", AGENT, &["agent", "boot", "network", "power"]),
    ("bootc", BOOTC, &["agent", "boot", "image", "network", "power"]),
    ("custom-agent", CUSTOM_AGENT, &["agent", "boot", "network", "power"]),
    ("direct", DIRECT, &["agent", "boot", "image", "network", "power", "report"]),
    ("fake", FAKE, &["report"]),
    ("noop", NOOP, &[]),
    ("ramdisk", RAMDISK, &["agent", "boot", "network", "power"]),
    ("redfish", REDFISH, &["redfish", "report"]),
];

/// A driver that misbehaves on demand, for tests; `guest-drivers/hostile` says how.
#[cfg(feature = "hostile")]
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));

/// A driver with one step that writes its version onto the node, for tests; see `guest-drivers/stamp`.
#[cfg(feature = "hostile")]
pub const STAMP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stamp.wasm"));

/// [`HOSTILE`] with another description: one build makes many drivers. `mode` is `honest`, or how `describe` misbehaves.
#[cfg(feature = "hostile")]
pub fn hostile(mode: &str, version: &str, base: &str) -> Vec<u8> {
    marked(HOSTILE, b"HOSTILE:", &format!("{mode};{version};{base};"))
}

/// [`STAMP`] as another version, on a base. `mode` is `good`, `bad` or `slow`.
#[cfg(feature = "hostile")]
pub fn stamp(version: &str, base: &str, mode: &str) -> Vec<u8> {
    marked(STAMP, b"STAMP:", &format!("{version};{base};{mode};"))
}

/// A component whose bytes behind a mark are others.
#[cfg(feature = "hostile")]
fn marked(component: &[u8], mark: &[u8], text: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let at = component.windows(mark.len()).position(|window| window == mark).map(|at| at.saturating_add(mark.len()));
    if let Some(place) = at.and_then(|at| bytes.get_mut(at..at.saturating_add(text.len()))) {
        place.copy_from_slice(text.as_bytes());
    }
    bytes
}

/// A driver in the binary. It needs no `activate`: this table grants it, by its bytes.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// The name that it has unless an operator replaces it.
    pub name: DriverName,
    /// The component.
    pub component: &'static [u8],
    /// What it may use.
    pub grants: Grants,
}

impl Shipped {
    /// SHA-256 of the component.
    pub fn digest(&self) -> Digest {
        crate::admission::digest(self.component)
    }
}

/// Every driver in the binary.
pub fn all() -> Vec<Shipped> {
    ALL.into_iter()
        .filter_map(|(name, component, grants)| Some(Shipped { name: name.parse().ok()?, component, grants: Grants::of(grants).ok()? }))
        .collect()
}
