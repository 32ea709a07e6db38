//! `network_data` of a node: what a config drive tells the instance of its networks, in the form that OpenStack gives it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use wrought_domain::Map;
use wrought_domain::port::mac;

use crate::args::brief;

/// Types of a link that is neither a bond nor a VLAN.
const LINKS: &[&str] = &["bridge", "dvs", "hw_veb", "hyperv", "ovs", "tap", "vhostuser", "vif", "phy"];
const BOND_MODES: &[&str] = &["802.1ad", "balance-rr", "active-backup", "balance-xor", "broadcast", "balance-tlb", "balance-alb"];

/// Whether a value is what it should be.
type Fits = fn(&Value) -> bool;

/// An object of the document, and where it stands there.
struct At<'a> {
    place: String,
    object: &'a Map,
}

impl<'a> At<'a> {
    fn wrong(&self, key: &str, expected: &str) -> String {
        format!("{}.{key}: expected {expected}", self.place)
    }

    /// A member that must be there and fit.
    fn needs(&self, key: &str, expected: &str, fits: impl Fn(&Value) -> bool) -> Result<&'a Value, String> {
        self.object.get(key).filter(|value| fits(value)).ok_or_else(|| self.wrong(key, expected))
    }

    /// A member that must fit when it is there.
    fn may_have(&self, key: &str, expected: &str, fits: impl Fn(&Value) -> bool) -> Result<(), String> {
        if self.object.get(key).is_none_or(fits) { Ok(()) } else { Err(self.wrong(key, expected)) }
    }

    fn text(&self, key: &str) -> Result<&'a str, String> {
        Ok(self.needs(key, "a text", Value::is_string)?.as_str().unwrap_or_default())
    }

    /// The objects of a list.
    fn each(&self, key: &str, check: impl Fn(At<'_>) -> Result<(), String>) -> Result<(), String> {
        let items = self.needs(key, "a list of objects", Value::is_array)?.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().enumerate().try_for_each(|(index, item)| {
            let place = if self.place.is_empty() { format!("{key}[{index}]") } else { format!("{}.{key}[{index}]", self.place) };
            match item {
                Value::Object(object) => check(At { place, object }),
                _ => Err(format!("{place}: expected an object")),
            }
        })
    }
}

/// Checks the whole; nothing at all is well too.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn check(data: &Map) -> Result<(), String> {
    if data.is_empty() {
        return Ok(());
    }
    if let Some(key) = data.keys().find(|key| !matches!(key.as_str(), "links" | "networks" | "services")) {
        return Err(format!("unexpected key '{}'; use links, networks, services", brief(&Value::from(key.as_str()))));
    }
    let all = At { place: String::new(), object: data };
    for key in ["links", "networks", "services"] {
        if !data.contains_key(key) {
            return Err(format!("'{key}' is a required property"));
        }
    }
    all.each("links", link)?;
    all.each("networks", network)?;
    all.each("services", |service| self::service(&service, |value| is_ipv4(value) || is_ipv6_host(value)))
}

fn is_mac(value: &Value) -> bool {
    value.as_str().is_some_and(|text| mac(text).is_some())
}

fn one_of<'a>(known: &'a [&'a str]) -> impl Fn(&Value) -> bool + 'a {
    move |value| value.as_str().is_some_and(|text| known.contains(&text))
}

fn link(link: At<'_>) -> Result<(), String> {
    const MAC: &str = "a MAC address";
    link.text("id")?;
    link.may_have("vif_id", "a text", Value::is_string)?;
    let mtu = |value: &Value| value.is_null() || value.as_f64().is_some_and(|mtu| (1.0..=65535.0).contains(&mtu));
    link.may_have("mtu", "a number from 1 to 65535", mtu)?;
    match link.text("type")? {
        "vlan" => {
            link.needs("vlan_mac_address", MAC, is_mac)?;
            link.text("vlan_link")?;
            link.needs("vlan_id", "a whole number from 0 to 4095", |value| value.as_u64().is_some_and(|id| id <= 4095)).map(drop)
        }
        "bond" => {
            link.needs("ethernet_mac_address", MAC, is_mac)?;
            link.needs("bond_mode", "a mode of bonds", one_of(BOND_MODES))?;
            let texts = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
            link.needs("bond_links", "a list of texts", texts).map(drop)
        }
        other if LINKS.contains(&other) => link.needs("ethernet_mac_address", MAC, is_mac).map(drop),
        _ => Err(link.wrong("type", "a type of links, such as phy, bond or vlan")),
    }
}

fn is_ipv4(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<Ipv4Addr>().is_ok())
}

fn is_ipv4_mask(value: &Value) -> bool {
    let bits = value.as_str().and_then(|text| text.parse::<Ipv4Addr>().ok()).map(Ipv4Addr::to_bits);
    bits.is_some_and(|bits| bits.leading_ones() + bits.trailing_zeros() >= 32)
}

fn is_ipv6(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// An address, perhaps with the length of its network's prefix.
fn is_ipv6_host(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    address.parse::<Ipv6Addr>().is_ok() && length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= 128))
}

fn network(network: At<'_>) -> Result<(), String> {
    for key in ["id", "link", "network_id"] {
        network.text(key)?;
    }
    let (host, mask, other): (Fits, Fits, Fits) = match network.text("type")? {
        "ipv4" | "ipv4_dhcp" => (is_ipv4, is_ipv4_mask, is_ipv4),
        "ipv6" | "ipv6_dhcp" | "ipv6_slaac" => (is_ipv6_host, is_ipv6, is_ipv6),
        _ => return Err(network.wrong("type", "one of ipv4, ipv4_dhcp, ipv6, ipv6_dhcp, ipv6_slaac")),
    };
    network.may_have("ip_address", "an address of the network's type", host)?;
    network.may_have("netmask", "a netmask of the network's type", mask)?;
    if !network.object.contains_key("routes") {
        return Ok(());
    }
    network.each("routes", |route| {
        route.needs("network", "the address of a network", other)?;
        route.needs("netmask", "a netmask", mask)?;
        route.needs("gateway", "an address", other)?;
        if route.object.contains_key("services") { route.each("services", |service| self::service(&service, host)) } else { Ok(()) }
    })
}

fn service(service: &At<'_>, host: impl Fn(&Value) -> bool) -> Result<(), String> {
    service.needs("type", "'dns'", one_of(&["dns"]))?;
    service.needs("address", "an address", host).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "links": [
                {"id": "eth0", "type": "phy", "ethernet_mac_address": "52:54:00:00:00:01", "mtu": 1500},
                {"id": "bond0", "type": "bond", "ethernet_mac_address": "52:54:00:00:00:02", "bond_mode": "802.1ad", "bond_links": ["eth0"]},
                {"id": "vlan0", "type": "vlan", "vlan_mac_address": "52-54-00-00-00-03", "vlan_link": "bond0", "vlan_id": 7, "mtu": null},
            ],
            "networks": [
                {"id": "n", "type": "ipv4", "link": "eth0", "network_id": "x", "ip_address": "192.0.2.7", "netmask": "255.255.255.0",
                 "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}]},
                {"id": "m", "type": "ipv6", "link": "vlan0", "network_id": "y", "ip_address": "2001:db8::7/64", "netmask": "ffff::"},
            ],
            "services": [{"type": "dns", "address": "192.0.2.1"}, {"type": "dns", "address": "2001:db8::1"}],
        })
    }

    #[test]
    fn openstacks_form_is_taken_and_nothing_else() {
        assert_eq!(check(document().as_object().unwrap()), Ok(()));
        assert_eq!(check(&Map::new()), Ok(()));
        for (pointer, value, wrong) in [
            ("/links", json!({}), "links: expected a list"),
            ("/links/0", json!(7), "links[0]: expected an object"),
            ("/links/0/type", json!("wire"), "links[0].type: expected a type of links"),
            ("/links/0/id", json!(1), "links[0].id: expected a text"),
            ("/links/0/ethernet_mac_address", json!("x"), "links[0].ethernet_mac_address: expected a MAC"),
            ("/links/0/mtu", json!(0), "links[0].mtu"),
            ("/links/1/bond_mode", json!("two"), "links[1].bond_mode"),
            ("/links/1/bond_links", json!([1]), "links[1].bond_links"),
            ("/links/2/vlan_id", json!(4096), "links[2].vlan_id"),
            ("/networks/0/type", json!("ipx"), "networks[0].type"),
            ("/networks/0/ip_address", json!("2001:db8::7"), "networks[0].ip_address"),
            ("/networks/0/netmask", json!("255.0.255.0"), "networks[0].netmask"),
            ("/networks/0/routes/0/gateway", json!("here"), "networks[0].routes[0].gateway"),
            ("/networks/1/ip_address", json!("2001:db8::7/129"), "networks[1].ip_address"),
            ("/services/0/type", json!("ntp"), "services[0].type"),
            ("/services/1/address", json!(""), "services[1].address"),
        ] {
            let mut document = document();
            *document.pointer_mut(pointer).unwrap() = value;
            let refused = check(document.as_object().unwrap()).unwrap_err();
            assert!(refused.contains(wrong), "{pointer}: {refused}");
        }
        let partly = json!({"links": [], "networks": []});
        assert_eq!(check(partly.as_object().unwrap()), Err("'services' is a required property".into()));
    }
}
