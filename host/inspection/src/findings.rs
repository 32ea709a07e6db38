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

/// Values that it may consist of: a body of small ones would fill many times its size of memory. The largest of real machines have some
/// tens of thousands.
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
    /// Reads what an agent posted. Nothing is built of a body before it is known to be bounded.
    ///
    /// # Errors
    /// [`Unfit`]: the body breaks a limit, or has no inventory with a network interface.
    pub fn posted(body: &[u8]) -> Result<Self, Unfit> {
        bounded(body)?;
        let Ok(Value::Object(mut document)) = serde_json::from_slice(body) else { return Err(Unfit::NotJson) };
        let Some(Value::Object(inventory)) = document.remove("inventory") else { return Err(Unfit::Missing("inventory")) };
        // An archive of the agent's logs, in base64: nobody reads it here.
        document.remove("logs");
        let findings = Self { inventory, plugin_data: document };
        findings.check(Source::InBand)?;
        Ok(findings)
    }

    /// Reads what a driver reported.
    ///
    /// # Errors
    /// As [`Findings::posted`], but that network interfaces may be missing.
    pub fn reported(inventory: Map) -> Result<Self, Unfit> {
        let findings = Self { inventory, plugin_data: Map::new() };
        findings.check(Source::OutOfBand)?;
        Ok(findings)
    }

    fn check(&self, source: Source) -> Result<(), Unfit> {
        match self.inventory.get("interfaces") {
            Some(Value::Array(all)) if all.len() > MAX_INTERFACES => {
                Err(Unfit::TooMuch(format!("{} network interfaces: {MAX_INTERFACES} are accepted", all.len())))
            }
            Some(Value::Array(all)) if source == Source::OutOfBand || !all.is_empty() => Ok(()),
            None | Some(Value::Null) if source == Source::OutOfBand => Ok(()),
            _ => Err(Unfit::Missing("inventory.interfaces: a list of one network interface at least")),
        }
    }

    /// The network interfaces whose MAC address is one.
    pub fn interfaces(&self) -> Vec<Interface> {
        interfaces(&self.inventory)
    }

    /// The addresses of the machine's controller, as its operating system sees them.
    pub fn bmc_addresses(&self) -> Vec<IpAddr> {
        let address = |key| self.inventory.get(key).and_then(Value::as_str).and_then(|text| text.trim().parse::<IpAddr>().ok());
        ["bmc_address", "bmc_v6address"].into_iter().filter_map(address).filter(|address| !address.is_unspecified()).collect()
    }
}

/// The network interfaces of an inventory whose MAC address is one; at most [`MAX_INTERFACES`], each address once.
pub(crate) fn interfaces(inventory: &Map) -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    let all = inventory.get("interfaces").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for given in all.iter().take(MAX_INTERFACES) {
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default();
        let Some(mac) = mac(text("mac_address")) else { continue };
        if text("name") == "lo" || mac == "00:00:00:00:00:00" || found.iter().any(|known| known.mac == mac) {
            continue;
        }
        let active = ["ipv4_address", "ipv6_address"].iter().any(|key| text(key).parse::<IpAddr>().is_ok());
        found.push(Interface { name: wrought_domain::node::cut(text("name"), MAX_NAME), mac, active });
    }
    found
}

/// Refuses what is too large, too deep or too much, by looking at the bytes alone.
fn bounded(body: &[u8]) -> Result<(), Unfit> {
    if body.len() > MAX_BODY {
        return Err(Unfit::TooMuch(format!("more than {MAX_BODY} bytes")));
    }
    let (mut depth, mut values, mut in_text, mut escaped) = (0_usize, 1_usize, false, false);
    for byte in body {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, b',') => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Unfit::TooMuch(format!("more than {MAX_DEPTH} levels of nesting")));
        }
        if values > MAX_VALUES {
            return Err(Unfit::TooMuch(format!("more than {MAX_VALUES} values")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn posted(body: &Value) -> Result<Findings, Unfit> {
        Findings::posted(body.to_string().as_bytes())
    }

    #[test]
    fn an_inventory_is_told_from_the_rest_and_logs_are_dropped() {
        let found = posted(&json!({
            "inventory": {"interfaces": [{"name": "eth0", "mac_address": "52-54-00-AA-BB-CC", "ipv4_address": "192.0.2.4"},
                {"name": "lo", "mac_address": "00:00:00:00:00:00"}, {"name": "bad", "mac_address": "; drop"}],
                "bmc_address": "192.0.2.9", "bmc_v6address": "::"},
            "logs": "H4sI", "root_disk": {"size": 1},
        }))
        .unwrap();
        assert_eq!(found.interfaces(), [Interface { name: "eth0".into(), mac: "52:54:00:aa:bb:cc".into(), active: true }]);
        assert_eq!(found.bmc_addresses(), ["192.0.2.9".parse::<IpAddr>().unwrap()]);
        assert_eq!(found.plugin_data.keys().collect::<Vec<_>>(), ["root_disk"]);
    }

    #[test]
    fn what_breaks_a_limit_is_refused_before_it_is_built() {
        let deep = format!("{}{}", "[".repeat(26), "]".repeat(26));
        assert!(matches!(Findings::posted(deep.as_bytes()), Err(Unfit::TooMuch(text)) if text.contains("25 levels")));
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert!(matches!(Findings::posted(many.as_bytes()), Err(Unfit::TooMuch(text)) if text.contains("values")));
        let large = vec![b' '; MAX_BODY + 1];
        assert!(matches!(Findings::posted(&large), Err(Unfit::TooMuch(_))));
        let nic = json!({"mac_address": "52:54:00:00:00:01"});
        let wide = json!({"inventory": {"interfaces": vec![nic.clone(); MAX_INTERFACES + 1]}});
        assert!(matches!(posted(&wide), Err(Unfit::TooMuch(text)) if text.contains("65 network interfaces")));
        assert!(posted(&json!({"inventory": {"interfaces": [nic]}})).is_ok());
    }

    #[test]
    fn an_agent_must_have_found_a_network_interface_a_driver_need_not() {
        assert_eq!(
            posted(&json!({"inventory": {"interfaces": []}})).unwrap_err().to_string().split(':').next().unwrap(),
            "the inspection data has no valid inventory.interfaces"
        );
        assert!(posted(&json!({"interfaces": []})).is_err());
        assert_eq!(Findings::posted(b"[]"), Err(Unfit::NotJson));
        assert!(Findings::reported(Map::new()).is_ok());
    }
}
