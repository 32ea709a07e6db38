//! What an agent posted. Anybody may post, so of a body that belongs to no node nothing is built but the few addresses it is looked up by.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use wrought_domain::json::bounded;
use wrought_domain::port::mac;

use crate::{Findings, MAX_BODY, MAX_DEPTH, MAX_INTERFACES, MAX_VALUES, Source, Unfit};

/// A body within its limits that names its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    body: Bytes,
    addresses: Vec<String>,
    bmc_addresses: Vec<IpAddr>,
}

impl Posted {
    /// Reads whose findings a body has. It takes a while for a large one, and some memory for its addresses alone.
    ///
    /// # Errors
    /// [`Unfit`]: the body breaks a limit, is no JSON, or has no network interface.
    pub fn read(body: Bytes) -> Result<Self, Unfit> {
        if body.len() > MAX_BODY {
            return Err(Unfit::TooMuch(format!("more than {MAX_BODY} bytes")));
        }
        bounded(&body, MAX_DEPTH, MAX_VALUES).map_err(|much| Unfit::TooMuch(much.to_string()))?;
        let Ok(Lenient(Some(read))) = serde_json::from_slice::<Lenient<Body>>(&body) else { return Err(Unfit::NotJson) };
        let Some(inventory) = read.inventory.0 else { return Err(Unfit::Missing("inventory")) };
        let interfaces = inventory.interfaces.0;
        if interfaces.is_empty() {
            return Err(Unfit::Missing(crate::findings::NO_INTERFACES));
        }
        if interfaces.len() > MAX_INTERFACES {
            return Err(crate::findings::too_many(interfaces.len()));
        }
        let mut addresses: Vec<String> = Vec::new();
        for interface in interfaces.into_iter().filter_map(|interface| interface.0) {
            let name = interface.name.0.unwrap_or_default();
            match interface.mac_address.0.as_deref().and_then(mac) {
                Some(mac) if crate::findings::counts(&name, &mac) && !addresses.contains(&mac) => addresses.push(mac),
                _ => {}
            }
        }
        let bmc = [inventory.bmc_address, inventory.bmc_v6address].into_iter();
        let bmc_addresses = bmc.filter_map(|text| crate::findings::address(text.0.as_deref()?)).collect();
        Ok(Self { body, addresses, bmc_addresses })
    }

    /// The MAC addresses of the network interfaces, in lower case, each once.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The addresses of the machine's controller, as its operating system sees them.
    pub fn bmc_addresses(&self) -> &[IpAddr] {
        &self.bmc_addresses
    }

    /// Builds all of it. It takes a while, and several times the memory of the body.
    ///
    /// # Errors
    /// [`Unfit`]: the body is not what an agent posts.
    pub fn findings(self) -> Result<Findings, Unfit> {
        let Ok(Value::Object(mut document)) = serde_json::from_slice(&self.body) else { return Err(Unfit::NotJson) };
        drop(self.body);
        let Some(Value::Object(inventory)) = document.remove("inventory") else { return Err(Unfit::Missing("inventory")) };
        // An archive of the agent's logs, in base64: nobody reads it here.
        document.remove("logs");
        let findings = Findings { inventory, plugin_data: document };
        findings.check(Source::InBand)?;
        Ok(findings)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    inventory: Lenient<Inventory>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Inventory {
    interfaces: Items<Nic>,
    bmc_address: Text,
    bmc_v6address: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Nic {
    name: Text,
    mac_address: Text,
}

/// An object, or nothing where something else stands.
struct Lenient<T>(Option<T>);
/// A list; empty where something else stands.
struct Items<T>(Vec<Lenient<T>>);
/// A text, or nothing where something else stands.
#[derive(Default)]
struct Text(Option<String>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Passes over whatever JSON there is but what a visitor is for.
macro_rules! passes_over {
    ($nothing:expr) => {
        passes_over!(@values $nothing, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
    (@values $nothing:expr, $($visit:ident: $value:ty),*) => {
        $(fn $visit<E>(self, _: $value) -> Result<Self::Value, E> {
            Ok($nothing)
        })*
    };
    (text $nothing:expr) => {
        passes_over!(@values $nothing, visit_str: &str);
    };
    (list $nothing:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
    (object $nothing:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

struct Of<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Of<Lenient<T>> {
    type Value = Lenient<T>;
    passes_over!(Lenient(None));
    passes_over!(text Lenient(None));
    passes_over!(list Lenient(None));

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(object)).map(Some).map(Lenient)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Of<Items<T>> {
    type Value = Items<T>;
    passes_over!(Items(Vec::new()));
    passes_over!(text Items(Vec::new()));
    passes_over!(object Items(Vec::new()));

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Lenient<T>>()? {
            items.push(item);
        }
        Ok(Items(items))
    }
}

impl<'de> Visitor<'de> for Of<Text> {
    type Value = Text;
    passes_over!(Text(None));
    passes_over!(list Text(None));
    passes_over!(object Text(None));

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Of::<Lenient<T>>(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Of::<Items<T>>(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Of::<Text>(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::Interface;

    fn read(text: &str) -> Result<Posted, Unfit> {
        Posted::read(text.to_owned().into())
    }

    fn posted(body: &Value) -> Result<Posted, Unfit> {
        read(&body.to_string())
    }

    #[test]
    fn an_inventory_is_told_from_the_rest_and_logs_are_dropped() {
        let posted = posted(&json!({
            "inventory": {"interfaces": [{"name": "eth0", "mac_address": "52-54-00-AA-BB-CC", "ipv4_address": "192.0.2.4"},
                {"name": "lo", "mac_address": "00:00:00:00:00:00"}, {"name": "bad", "mac_address": "; drop"}],
                "bmc_address": "192.0.2.9", "bmc_v6address": "::"},
            "logs": "H4sI", "root_disk": {"size": 1},
        }))
        .unwrap();
        assert_eq!(posted.addresses(), ["52:54:00:aa:bb:cc"]);
        assert_eq!(posted.bmc_addresses(), ["192.0.2.9".parse::<IpAddr>().unwrap()]);
        let found = posted.findings().unwrap();
        assert_eq!(found.interfaces(), [Interface { name: "eth0".into(), mac: "52:54:00:aa:bb:cc".into(), active: true }]);
        assert_eq!(found.plugin_data.keys().collect::<Vec<_>>(), ["root_disk"]);
    }

    #[test]
    fn what_breaks_a_limit_is_refused_before_it_is_built() {
        let much = |text: &str, part: &str| match read(text) {
            Err(Unfit::TooMuch(told)) => assert!(told.contains(part), "{told}"),
            other => panic!("{other:?}"),
        };
        much(&format!("{}{}", "[".repeat(26), "]".repeat(26)), "25 levels");
        much(&format!("[{}1]", "1,".repeat(MAX_VALUES)), "values");
        // Nothing but objects in objects: few commas, and hundreds of bytes of memory for each five of the body.
        let nested = format!("{}1{}", "{\"\":".repeat(22), "}".repeat(22));
        much(&format!("{{\"x\":[{}]}}", vec![nested; 4000].join(",")), "values");
        much(&format!("[{}1]", "[],".repeat(MAX_VALUES / 2)), "values");
        much(&" ".repeat(MAX_BODY + 1), "bytes");
        let nic = json!({"mac_address": "52:54:00:00:00:01"});
        much(&json!({"inventory": {"interfaces": vec![nic.clone(); MAX_INTERFACES + 1]}}).to_string(), "65 network interfaces");
        assert!(posted(&json!({"inventory": {"interfaces": [nic]}})).is_ok());
    }

    #[test]
    fn addresses_are_read_whatever_stands_around_them() {
        let body = json!({
            "inventory": {
                "interfaces": [1, null, "x", [{}], {"mac_address": 7, "name": {}}, {"name": ["a"], "mac_address": "52:54:00:00:00:01", "lldp": [[1, "x"]]},
                    {"mac_address": "52:54:00:00:00:01"}],
                "bmc_address": {"a": [1]}, "bmc_v6address": " 2001:db8::1 ", "cpu": {"count": 1.5},
            },
            "error": true,
        });
        let read = posted(&body).unwrap();
        assert_eq!((read.addresses(), read.bmc_addresses().len()), (&["52:54:00:00:00:01".to_owned()][..], 1));
        let found = read.findings().unwrap();
        assert_eq!((found.interfaces().len(), found.bmc_addresses().len()), (1, 1));
    }

    #[test]
    fn an_agent_must_have_found_a_network_interface_a_driver_need_not() {
        for empty in [json!([]), json!("x"), json!(null), json!({"a": 1})] {
            let told = posted(&json!({"inventory": {"interfaces": empty}})).unwrap_err().to_string();
            assert!(told.starts_with("the inspection data has no valid inventory.interfaces:"), "{told}");
        }
        assert_eq!(posted(&json!({"interfaces": []})), Err(Unfit::Missing("inventory")));
        for none in ["[]", "", "1", "{\"inventory\": {\"interfaces\": [{}]}", "{} x"] {
            assert_eq!(read(none), Err(Unfit::NotJson), "{none}");
        }
        assert!(Findings::reported(wrought_domain::Map::new()).is_ok());
    }
}
