//! Replaces secrets by `******` wherever a node leaves the host.
//!
//! Source of the key list: oslo.utils `strutils._SANITIZE_KEYS` as Ironic uses it, with the
//! additions of `security.md`: anything that ends in `_key` or `_pass`. What is secret in a URL, its account and its query
//! (a signature, say), is replaced wherever the URL stands.

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::Map;

/// What is shown instead of a secret.
pub const MASK: &str = "******";

const SECRET: &[&str] = &[
    "password",
    "secret",
    "token",
    "adminpass",
    "admin_pass",
    "auth_password",
    "new_pass",
    "sys_pswd",
    "configdrive",
    "private_key",
    "passphrase",
    "encrypted_key",
    "sslkey",
    "fernetkey",
    "chappassword",
    "chapsecret",
    "snmp_auth_key",
    "snmp_priv_key",
    "credential",
];

/// Whether the value below this key is a secret.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET.iter().any(|part| key.contains(part)) || key.ends_with("_key") || key.ends_with("_pass")
}

/// A copy whose secrets are replaced, recursively. Empty and null secrets stay as they are:
/// that nothing is set is no secret.
pub fn masked(map: &Map) -> Map {
    map.iter().map(|(key, value)| (key.clone(), if is_secret(key) { hidden(value) } else { masked_value(value) })).collect()
}

fn hidden(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) if text.is_empty() => value.clone(),
        _ => Value::from(MASK),
    }
}

fn masked_value(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(masked(map)),
        Value::Array(items) => Value::Array(items.iter().map(masked_value).collect()),
        Value::String(text) => masked_url(text).map_or_else(|| value.clone(), Value::String),
        other => other.clone(),
    }
}

/// The URL `text` without its account and its query; nothing when it is no URL or has neither.
pub fn masked_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let web = ["http", "https", "ftp"].iter().any(|known| scheme.trim_start().eq_ignore_ascii_case(known));
    if !web {
        return None;
    }
    let (place, query) = rest.split_once('?').map_or((rest, false), |(place, _)| (place, true));
    let (authority, path) = place.find(['/', '#']).map_or((place, ""), |at| place.split_at(at));
    let host = authority.rsplit_once('@');
    if !query && host.is_none() {
        return None;
    }
    let account = if host.is_some() { "******@" } else { "" };
    let host = host.map_or(authority, |(_, host)| host);
    Some(format!("{scheme}://{account}{host}{path}{}", if query { "?******" } else { "" }))
}

/// `instance_info` as it is shown: the image's URL is hidden altogether, as Ironic does.
pub fn masked_instance_info(map: &Map) -> Map {
    let mut shown = masked(map);
    if let Some(url) = shown.get_mut("image_url") {
        *url = hidden(url);
    }
    shown
}

/// A map that is written as [`masked`] gives it, or as [`masked_instance_info`] does, without a copy of it.
#[derive(Clone, Copy)]
pub struct Masked<'a> {
    map: &'a Map,
    instance_info: bool,
}

impl<'a> Masked<'a> {
    /// As [`masked`].
    pub fn new(map: &'a Map) -> Self {
        Self { map, instance_info: false }
    }

    /// As [`masked_instance_info`].
    pub fn instance_info(map: &'a Map) -> Self {
        Self { map, instance_info: true }
    }
}

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.map.len()))?;
        for (key, value) in self.map {
            if is_secret(key) || self.instance_info && key == "image_url" {
                map.serialize_entry(key, &hidden(value))?;
            } else {
                map.serialize_entry(key, &MaskedValue(value))?;
            }
        }
        map.end()
    }
}

struct MaskedValue<'a>(&'a Value);

impl Serialize for MaskedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => Masked::new(map).serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&MaskedValue(item))?;
                }
                list.end()
            }
            Value::String(text) => match masked_url(text) {
                Some(masked) => serializer.serialize_str(&masked),
                None => serializer.serialize_str(text),
            },
            other => other.serialize(serializer),
        }
    }
}

/// Puts stored secrets back where a changed copy still says [`MASK`], or shows a URL as [`masked_url`] does: a client that
/// sends back what it was shown keeps the secret (Ironic stores the asterisks).
pub fn restore(changed: &mut Map, stored: &Map) {
    for (key, value) in changed.iter_mut() {
        match (value, stored.get(key)) {
            (value, Some(old)) if value.as_str() == Some(MASK) => *value = old.clone(),
            (value, Some(old)) => restore_within(value, old),
            _ => {}
        }
    }
}

/// A list of another length is a new one: its places say nothing of whose secrets they held.
fn restore_within(changed: &mut Value, stored: &Value) {
    match (changed, stored) {
        (Value::Object(inner), Value::Object(old)) => restore(inner, old),
        (Value::Array(items), Value::Array(old)) if items.len() == old.len() => {
            items.iter_mut().zip(old).for_each(|(item, old)| restore_within(item, old));
        }
        (Value::String(text), Value::String(old)) if masked_url(old).is_some_and(|shown| shown == *text) => text.clone_from(old),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_at_any_depth_and_restored_from_the_store() {
        let Value::Object(stored) = json!({
            "redfish_username": "admin", "redfish_password": "hunter2",
            "nested": {"list": [{"API_Token": "abc"}], "snmp_auth_key": "k"}, "empty_secret": "", "none_secret": null
        }) else {
            unreachable!()
        };
        let mut shown = masked(&stored);
        assert_eq!(
            Value::Object(shown.clone()),
            json!({
                "redfish_username": "admin", "redfish_password": MASK,
                "nested": {"list": [{"API_Token": MASK}], "snmp_auth_key": MASK}, "empty_secret": "", "none_secret": null
            })
        );
        assert_eq!(serde_json::to_value(Masked::new(&stored)).ok(), Some(Value::Object(shown.clone())));
        shown.insert("redfish_username".into(), "root".into());
        restore(&mut shown, &stored);
        assert_eq!(shown["redfish_password"], "hunter2");
        assert_eq!(shown["redfish_username"], "root");
        assert_eq!(shown["nested"]["snmp_auth_key"], "k");
        assert_eq!(shown["nested"]["list"], json!([{"API_Token": "abc"}]));
    }

    #[test]
    fn urls_are_shown_without_what_is_secret_in_them() {
        for (url, shown) in [
            ("https://h/images/a.raw?sig=abc&x=1#frag", "https://h/images/a.raw?******"),
            ("https://user:pass@h:8443/a", "https://******@h:8443/a"),
            ("HTTP://u@h/a@b?c", "HTTP://******@h/a@b?******"),
            ("http://u:p@x@h", "http://******@h"),
            ("http://h?sig=/a@b", "http://h?******"),
        ] {
            assert_eq!(masked_url(url).as_deref(), Some(shown));
            assert_eq!(masked_url(shown).as_deref(), Some(shown));
        }
        for plain in ["https://h/images/a.raw", "http://h/a@b", "file:///a?b", "no url?", "a://b?c"] {
            assert_eq!(masked_url(plain), None, "{plain}");
        }
        let Value::Object(stored) =
            json!({"image_source": "http://h/a?sig=abc", "list": ["http://u:p@h/"], "deploy_iso": "http://h/iso?sig=1"})
        else {
            unreachable!()
        };
        let mut shown = masked(&stored);
        assert_eq!(shown["list"], json!(["http://******@h/"]));
        assert_eq!(serde_json::to_value(Masked::new(&stored)).ok(), Some(Value::Object(shown.clone())));
        for image_url in [json!("http://h/a"), json!(""), Value::Null, json!({"a": 1})] {
            let info = Map::from_iter([("image_url".to_owned(), image_url), ("a_url".to_owned(), json!("http://h/a"))]);
            assert_eq!(serde_json::to_value(Masked::instance_info(&info)).ok(), Some(Value::Object(masked_instance_info(&info))));
        }
        shown.insert("deploy_iso".into(), "http://other/iso".into());
        restore(&mut shown, &stored);
        assert_eq!((&shown["image_source"], &shown["list"]), (&stored["image_source"], &stored["list"]));
        assert_eq!(shown["deploy_iso"], "http://other/iso");
    }
}
