//! Which controller, as the node's `driver_info` says.

use std::path::PathBuf;

use reqwest::Url;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::config::VerifyCa;
use crate::error::HardwareError;

/// How to log in at a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthType {
    /// A session, or Basic where the controller has no sessions or no free one.
    #[default]
    Auto,
    /// A session, else fail.
    Session,
    /// HTTP Basic.
    Basic,
}

/// A machine's controller and how to log in there.
#[derive(Debug, Clone)]
pub struct RedfishTarget {
    /// Scheme and authority.
    pub(crate) base: Url,
    /// Path of the machine's System; `None`: the only one of the collection.
    pub(crate) system: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: SecretString,
    pub(crate) verify: VerifyCa,
    /// `None`: as `[redfish] auth_type` says.
    pub(crate) auth: Option<AuthType>,
}

/// One account at one controller: what shares a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AccountKey {
    pub(crate) base: String,
    pub(crate) username: Option<String>,
    password_digest: [u8; 32],
    verify: VerifyCa,
    auth: Option<AuthType>,
}

/// What `driver_info` may say, as `(name, description)`.
pub fn properties() -> &'static [(&'static str, &'static str)] {
    &[
        (
            "redfish_address",
            "The URL address to the Redfish controller. It must include the authority portion of the URL. If the scheme is missing, https \
             is assumed. Required.",
        ),
        (
            "redfish_system_id",
            "The canonical path to the ComputerSystem resource that the driver will interact with, for example /redfish/v1/Systems/1. \
             Required if the controller has more than one System.",
        ),
        ("redfish_username", "User account with admin/server-profile access privilege. Optional."),
        ("redfish_password", "User account password. Optional."),
        (
            "redfish_verify_ca",
            "Either a Boolean value, or the path to a file with certificates of trusted authorities in PEM. If True, the platform's \
             authorities are trusted. If False, the controller's certificate is not verified. Defaults to True. Optional.",
        ),
        (
            "redfish_auth_type",
            "Redfish HTTP client authentication method. Can be \"basic\", \"session\" or \"auto\". If not set, the value of [redfish] \
             auth_type is used. Optional.",
        ),
    ]
}

impl RedfishTarget {
    /// Reads the `redfish_*` keys. Errors: `missing-parameter` without an address, `invalid-parameter` naming
    /// the key that is wrong.
    pub fn from_driver_info(info: &Map<String, Value>) -> Result<Self, HardwareError> {
        Ok(Self {
            base: base(text(info, "redfish_address")?.ok_or_else(|| HardwareError::missing("redfish_address"))?)?,
            system: text(info, "redfish_system_id")?.map(system_path).transpose()?,
            username: text(info, "redfish_username")?.map(str::to_owned),
            password: text(info, "redfish_password")?.unwrap_or_default().into(),
            verify: verify(info.get("redfish_verify_ca"))?,
            auth: text(info, "redfish_auth_type")?.map(auth_type).transpose()?,
        })
    }

    pub(crate) fn account_key(&self) -> AccountKey {
        AccountKey {
            base: self.base.to_string(),
            username: self.username.clone(),
            password_digest: Sha256::digest(self.password.expose_secret()).into(),
            verify: self.verify.clone(),
            auth: self.auth,
        }
    }
}

/// The text of `key`; empty and null are as good as absent.
fn text<'a>(info: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, HardwareError> {
    match info.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim())),
        Some(_) => Err(HardwareError::invalid(key, "must be a string")),
    }
}

fn base(address: &str) -> Result<Url, HardwareError> {
    let invalid = |why: &str| HardwareError::invalid("redfish_address", why);
    let url = if address.contains("://") { Url::parse(address) } else { Url::parse(&format!("https://{address}")) };
    let mut url = url.map_err(|_| invalid("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("only http and https are accepted"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("put the account into redfish_username and redfish_password"));
    }
    if !matches!(url.path().trim_end_matches('/'), "" | "/redfish" | "/redfish/v1") || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("only scheme, host and port are accepted; put the path of the System into redfish_system_id"));
    }
    url.set_path("/");
    Ok(url)
}

// The value becomes a path that credentials are sent to: nothing that a server or a proxy may resolve
// to another place is accepted.
fn system_path(path: &str) -> Result<String, HardwareError> {
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~:@!$&'()*+,;=%".contains(c));
    let upward = path.split('/').any(|segment| matches!(segment, "." | ".."));
    let escaped = ["%2e", "%2f", "%5c", "%00"].iter().any(|bad| path.to_ascii_lowercase().contains(bad));
    if !path.starts_with("/redfish/v1/") || path.contains("//") || !plain || upward || escaped {
        return Err(HardwareError::invalid("redfish_system_id", "must be the path of a System, such as /redfish/v1/Systems/1"));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

fn verify(value: Option<&Value>) -> Result<VerifyCa, HardwareError> {
    match value {
        None | Some(Value::Null) => Ok(VerifyCa::Switch(true)),
        Some(Value::Bool(on)) => Ok(VerifyCa::Switch(*on)),
        // Ironic's clients send booleans as strings.
        Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "" | "true" | "t" | "1" | "on" | "y" | "yes" => Ok(VerifyCa::Switch(true)),
            "false" | "f" | "0" | "off" | "n" | "no" => Ok(VerifyCa::Switch(false)),
            _ if text.trim().starts_with('/') => Ok(VerifyCa::File(PathBuf::from(text.trim()))),
            _ => Err(HardwareError::invalid("redfish_verify_ca", "must be a boolean or the absolute path of a PEM file")),
        },
        Some(_) => Err(HardwareError::invalid("redfish_verify_ca", "must be a boolean or the absolute path of a PEM file")),
    }
}

fn auth_type(text: &str) -> Result<AuthType, HardwareError> {
    match text {
        "auto" => Ok(AuthType::Auto),
        "session" => Ok(AuthType::Session),
        "basic" => Ok(AuthType::Basic),
        _ => Err(HardwareError::invalid("redfish_auth_type", "must be auto, session or basic")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Kind;
    use serde_json::json;

    fn target(info: Value) -> Result<RedfishTarget, HardwareError> {
        RedfishTarget::from_driver_info(info.as_object().unwrap())
    }

    #[test]
    fn an_address_is_enough_and_means_https_verified() {
        let target = target(json!({"redfish_address": "bmc.example.org:8443", "unrelated": 1})).unwrap();
        assert_eq!(target.base.as_str(), "https://bmc.example.org:8443/");
        assert_eq!((target.system, target.username, target.verify), (None, None, VerifyCa::Switch(true)));
    }

    #[test]
    fn errors_name_the_key() {
        assert_eq!(target(json!({})).unwrap_err().kind, Kind::MissingParameter);
        for (key, value) in [
            ("redfish_address", json!("ftp://192.0.2.1")),
            ("redfish_address", json!("http://user:pass@192.0.2.1")),
            ("redfish_address", json!("http://192.0.2.1/other")),
            ("redfish_address", json!(7)),
            ("redfish_system_id", json!("/redfish/v1/Systems/../AccountService")),
            ("redfish_system_id", json!("/redfish/v1/Systems/%2e%2e/AccountService")),
            ("redfish_system_id", json!("//evil.example.org/redfish/v1/")),
            ("redfish_system_id", json!("/redfish/v1/Systems/1?a=b")),
            ("redfish_system_id", json!("1")),
            ("redfish_verify_ca", json!("ca.pem")),
            ("redfish_verify_ca", json!(3)),
            ("redfish_auth_type", json!("digest")),
            ("redfish_password", json!({"a": 1})),
        ] {
            let mut info = json!({"redfish_address": "192.0.2.1"});
            info[key] = value.clone();
            let error = target(info).unwrap_err();
            assert_eq!(error.kind, Kind::InvalidParameter, "{key} {value}");
            assert!(error.message.starts_with(key) && !error.message.contains("pass@"), "{error}");
        }
    }

    #[test]
    fn the_password_is_not_in_debug_output_and_tells_accounts_apart() {
        let with = |password: &str| target(json!({"redfish_address": "192.0.2.1", "redfish_username": "u", "redfish_password": password}));
        let (one, two) = (with("canary-1").unwrap(), with("canary-2").unwrap());
        assert!(!format!("{one:?} {:?}", one.account_key()).contains("canary"));
        assert_ne!(one.account_key(), two.account_key());
        assert_eq!(one.account_key(), with("canary-1").unwrap().account_key());
    }
}
