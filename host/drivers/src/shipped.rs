//! The drivers in the binary, and what they are granted.

use wrought_domain::{Digest, DriverName};

use crate::grants::Grants;

/// Ironic's `direct` deploy interface.
pub const DIRECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/direct.wasm"));

/// Ironic's `fake` deploy interface: every step succeeds.
pub const FAKE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fake.wasm"));

/// A driver that misbehaves on demand, for tests; `guest-drivers/hostile` says how.
#[cfg(feature = "hostile")]
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));

/// [`HOSTILE`] with another description: one build makes many drivers. `mode` is `honest`, or how `describe` misbehaves.
#[cfg(feature = "hostile")]
pub fn hostile(mode: &str, version: &str, base: &str) -> Vec<u8> {
    const MARK: &[u8] = b"HOSTILE:";
    let mark = [MARK, format!("{mode};{version};{base};").as_bytes()].concat();
    let mut bytes = HOSTILE.to_vec();
    let at = HOSTILE.windows(MARK.len()).position(|window| window == MARK);
    if let Some(place) = at.and_then(|at| bytes.get_mut(at..at.saturating_add(mark.len()))) {
        place.copy_from_slice(&mark);
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
    [("direct", DIRECT, &["agent", "boot", "image", "network", "power", "report"][..]), ("fake", FAKE, &[][..])]
        .into_iter()
        .filter_map(|(name, component, grants)| Some(Shipped { name: name.parse().ok()?, component, grants: Grants::of(grants).ok()? }))
        .collect()
}
