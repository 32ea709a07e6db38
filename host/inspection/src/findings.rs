//! What an inspection found, read from bytes that nobody vouches for.

use std::net::IpAddr;

use serde_json::Value;
use wrought_domain::Map;
use wrought_domain::port::mac;

use crate::Source;

/// Bytes that an agent may post; Ironic's limit.
pub const MAX_BODY: usize = 16 << 20;

/// How deep what it posts may be nested; Ironic's limit.
pub const MAX_DEPTH: usize = 25;

/// Values that it may consist of, as [`wrought_domain::json::bounded`] counts them: a body of small ones would fill many times its size of
/// memory. The largest of real machines have some tens of thousands.
pub const MAX_VALUES: usize = 200_000;

/// Network interfaces of one machine.
pub const MAX_INTERFACES: usize = 64;

/// Bytes of a name that is taken over.
const MAX_NAME: usize = 64;

/// Why findings are of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is too much, or too deep.
    #[error("the inspection data has {0}")]
    TooMuch(String),
    /// It is no JSON object.
    #[error("the inspection data is not a JSON object")]
    NotJson,
    /// A part that must be there is missing or is something else.
    #[error("the inspection data has no valid {0}")]
    Missing(&'static str),
}

/// A network interface with a valid MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// As the operating system calls it.
    pub name: String,
    /// Lower case.
    pub mac: String,
    /// Whether it has an IP address.
    pub active: bool,
}

/// What an inspection found, bounded, in Ironic's shape: the inventory, and the rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// `inventory`.
    pub inventory: Map,
    /// All else, without the agent's logs.
    pub plugin_data: Map,
}

impl Findings {
    /// Reads what a driver reported.
    ///
    /// # Errors
    /// [`Unfit`]: there are more network interfaces than are accepted, or something else in their place.
    pub fn reported(inventory: Map) -> Result<Self, Unfit> {
        let findings = Self { inventory, plugin_data: Map::new() };
        findings.check(Source::OutOfBand)?;
        Ok(findings)
    }

    pub(crate) fn check(&self, source: Source) -> Result<(), Unfit> {
        match self.inventory.get("interfaces") {
            Some(Value::Array(all)) if all.len() > MAX_INTERFACES => Err(too_many(all.len())),
            Some(Value::Array(all)) if source == Source::OutOfBand || !all.is_empty() => Ok(()),
            None | Some(Value::Null) if source == Source::OutOfBand => Ok(()),
            _ => Err(Unfit::Missing(NO_INTERFACES)),
        }
    }

    /// The network interfaces whose MAC address is one.
    pub fn interfaces(&self) -> Vec<Interface> {
        interfaces(&self.inventory)
    }

    /// The addresses of the machine's controller, as its operating system sees them.
    pub fn bmc_addresses(&self) -> Vec<IpAddr> {
        let given = |key| self.inventory.get(key).and_then(Value::as_str).and_then(address);
        ["bmc_address", "bmc_v6address"].into_iter().filter_map(given).collect()
    }
}

pub(crate) const NO_INTERFACES: &str = "inventory.interfaces: a list of one network interface at least";

pub(crate) fn too_many(interfaces: usize) -> Unfit {
    Unfit::TooMuch(format!("{interfaces} network interfaces: {MAX_INTERFACES} are accepted"))
}

/// Whether a network interface leads anywhere.
pub(crate) fn counts(name: &str, mac: &str) -> bool {
    name != "lo" && mac != "00:00:00:00:00:00"
}

/// A controller's address.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.trim().parse::<IpAddr>().ok().filter(|address| !address.is_unspecified())
}

/// The network interfaces of an inventory whose MAC address is one; at most [`MAX_INTERFACES`], each address once.
pub(crate) fn interfaces(inventory: &Map) -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    let all = inventory.get("interfaces").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for given in all.iter().take(MAX_INTERFACES) {
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default();
        let Some(mac) = mac(text("mac_address")) else { continue };
        if !counts(text("name"), &mac) || found.iter().any(|known| known.mac == mac) {
            continue;
        }
        let active = ["ipv4_address", "ipv6_address"].iter().any(|key| text(key).parse::<IpAddr>().is_ok());
        found.push(Interface { name: wrought_domain::node::cut(text("name"), MAX_NAME), mac, active });
    }
    found
}
