//! Replaces secrets by `******` wherever a node leaves the host.
//!
//! Source of the key list: oslo.utils `strutils._SANITIZE_KEYS` as Ironic uses it, with the
//! additions of `security.md`: anything that ends in `_key` or `_pass`.

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
        other => other.clone(),
    }
}

/// `instance_info` as it is shown: the image's URL may be signed, so it is hidden as well.
pub fn masked_instance_info(map: &Map) -> Map {
    let mut shown = masked(map);
    if let Some(url) = shown.get_mut("image_url") {
        *url = hidden(url);
    }
    shown
}

/// Puts stored secrets back where a changed copy still says [`MASK`]: a client that sends back
/// what it was shown keeps the secret (Ironic stores the asterisks).
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
        shown.insert("redfish_username".into(), "root".into());
        restore(&mut shown, &stored);
        assert_eq!(shown["redfish_password"], "hunter2");
        assert_eq!(shown["redfish_username"], "root");
        assert_eq!(shown["nested"]["snmp_auth_key"], "k");
        assert_eq!(shown["nested"]["list"], json!([{"API_Token": "abc"}]));
    }
}
