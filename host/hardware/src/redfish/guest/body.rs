//! What a driver may send to a controller.

use std::net::IpAddr;

use reqwest::Url;
use serde_json::{Map, Value};

use crate::egress::EgressPolicy;
use crate::error::{HardwareError, Kind};
use crate::redfish::guest::path::{GuestPath, denied};

/// Bytes of a body, before and after secrets are filled in.
pub(crate) const MOST_BYTES: usize = 256 << 10;

/// Levels of objects and lists.
const MOST_DEPTH: usize = 25;

/// Parts of names of members that are about accounts or secrets, as letters and digits.
const SECRET: [&str; 33] = [
    "accesskey",
    "account",
    "activedirectory",
    "adgroup",
    "apikey",
    "authkey",
    "authorizedkey",
    "authtoken",
    "certificate",
    "communitystring",
    "credential",
    "encryptionkey",
    "kerberos",
    "ldap",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "privilege",
    "radius",
    "roleid",
    "rolegroup",
    "secret",
    "snmpcommunity",
    "agentcommunity",
    "sessiontoken",
    "sshkey",
    "tacacs",
    "userdomain",
    "username",
    "userpass",
    "users",
];

/// The same as whole names.
const SECRET_WHOLE: [&str; 5] = ["login", "pwd", "token", "user", "userid"];

/// Beginnings of names of members of a System that belong to `boot`.
const BOOT: [&str; 4] = ["bootsourceoverride", "httpbooturi", "securebootenable", "uefitargetbootsource"];

/// Beginnings that make a text a URL, however many slashes follow.
const SCHEMES: [&str; 14] =
    ["cifs:", "data:", "file:", "ftp:", "ftps:", "gopher:", "http:", "https:", "javascript:", "nfs:", "scp:", "sftp:", "smb:", "tftp:"];

/// Names of members that say where a share is, as vendors' exports and imports of settings have them.
const HOSTS: [&str; 6] = ["ipaddress", "remoteaddress", "remotehost", "remoteserver", "serveraddress", "shareaddress"];

/// `body` as it may be sent: its size and depth, no member about accounts or secrets, nothing that belongs to `boot`.
pub(crate) fn check(body: &Map<String, Value>) -> Result<(), HardwareError> {
    members(body, 1)?;
    fits(&serde_json::to_string(body).unwrap_or_default())
}

/// Whether a body of this text is not too long.
pub(crate) fn fits(text: &str) -> Result<(), HardwareError> {
    if text.len() > MOST_BYTES {
        let text = format!("the body has more than {} KiB", MOST_BYTES >> 10);
        return Err(HardwareError::new(Kind::LimitExceeded, "wrought.BodyTooLarge", text));
    }
    Ok(())
}

fn members(map: &Map<String, Value>, depth: usize) -> Result<(), HardwareError> {
    for (key, member) in map {
        if key.chars().any(char::is_control) {
            return Err(HardwareError::new(Kind::InvalidParameter, "wrought.InvalidBody", "a member's name has control characters"));
        }
        let name = plain(key);
        if is_secret(&name) {
            let text = format!("the body sets {}: accounts and secrets of a controller are never a driver's", shown(key));
            return Err(denied("wrought.SecretInBody", &text));
        }
        let is_boot = name == "boot" && !member.is_string();
        if is_boot || BOOT.iter().any(|start| name.starts_with(start)) {
            let text = format!("the body sets {}, which is changed through boot: set-device, set-mode, set-secure-boot", shown(key));
            return Err(denied("wrought.UseBoot", &text));
        }
        if name == "transferprotocol" || name == "transferprotocoltype" || name == "sharetype" {
            let fine = member.as_str().is_some_and(|text| ["HTTP", "HTTPS", "LOCAL"].iter().any(|fine| text.eq_ignore_ascii_case(fine)));
            if !fine && !member.is_null() {
                return Err(denied("egress.Denied", &format!("{}: only HTTP and HTTPS are accepted", shown(key))));
            }
        }
        value(member, depth)?;
    }
    Ok(())
}

fn value(given: &Value, depth: usize) -> Result<(), HardwareError> {
    if depth > MOST_DEPTH {
        let text = format!("the body has more than {MOST_DEPTH} levels");
        return Err(HardwareError::new(Kind::LimitExceeded, "wrought.BodyTooDeep", text));
    }
    match given {
        Value::Object(map) => members(map, depth.saturating_add(1)),
        Value::Array(items) => items.iter().try_for_each(|item| value(item, depth.saturating_add(1))),
        Value::String(text) => embedded(text, depth),
        _ => Ok(()),
    }
}

/// Documents within a text, such as a profile of settings in XML or JSON: no way around the rules for members.
fn embedded(text: &str, depth: usize) -> Result<(), HardwareError> {
    if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(text) {
        return value(&inner, depth.saturating_add(1));
    }
    // The names of a query say nothing about the controller.
    let is_url = text.starts_with("http") && text.contains("://") && !text.contains(['<', '{', '"']) && !text.contains(char::is_whitespace);
    let is_document = !is_url && text.contains(['<', '{', '\n', '=']);
    if is_document && SECRET.iter().any(|word| plain(text).contains(word)) {
        return Err(denied("wrought.SecretInBody", "a text of the body sets accounts or secrets, which are never a driver's"));
    }
    Ok(())
}

fn is_secret(name: &str) -> bool {
    SECRET_WHOLE.contains(&name) || SECRET.iter().any(|word| name.contains(word))
}

/// Letters and digits, in lower case: `User_Name` and `username` are the same to some controller.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn shown(key: &str) -> String {
    crate::http::tame(key, 60)
}

/// The resources that the texts of `value` name: they are judged like those that are read.
pub(crate) fn paths(value: &Value) -> Result<Vec<GuestPath>, HardwareError> {
    let mut found = Vec::new();
    each_text(value, &mut |_, text| {
        let text = squeezed(text);
        if text.to_ascii_lowercase().starts_with("/redfish") {
            let path = text.split_once('#').map_or(text.as_str(), |(path, _)| path);
            found.push(GuestPath::parse(path)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether all that `value`, secrets filled in, has the controller fetch or send to is allowed: URLs with `http` or `https` only, by
/// `policy`; no shares; no address of a machine's own or its link.
pub(crate) async fn check_destinations(value: &Value, policy: &EgressPolicy) -> Result<(), HardwareError> {
    let mut urls = Vec::new();
    each_text(value, &mut |key, text| {
        let lower = squeezed(text).to_ascii_lowercase();
        if lower.starts_with("//") || lower.starts_with("\\\\") {
            return Err(denied("egress.Denied", &format!("{}: shares are not accepted, only http and https URLs", shown(key))));
        }
        let name = plain(key);
        let names_url = ["uri", "url", "uris", "urls"].iter().any(|end| name.ends_with(end)) && !lower.is_empty();
        if SCHEMES.iter().any(|scheme| lower.starts_with(scheme)) {
            urls.push((key.to_owned(), text.trim().to_owned()));
        } else if let Some(found) = within(text) {
            urls.extend(found.into_iter().map(|url| (key.to_owned(), url)));
        } else if names_url && !lower.starts_with('/') && !lower.starts_with('#') {
            return Err(denied("egress.Denied", &format!("{}: give a whole URL, with http or https", shown(key))));
        } else if HOSTS.contains(&name.as_str()) && !lower.is_empty() {
            let address = text.trim();
            let is_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
            urls.push((key.to_owned(), if is_v6 { format!("http://[{address}]/") } else { format!("http://{address}/") }));
        }
        match text.trim().trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if is_local(address) && !policy.allows(address) => {
                Err(denied("egress.Denied", &format!("{}: loopback and link-local addresses are not accepted", shown(key))))
            }
            _ => Ok(()),
        }
    })?;
    for (key, url) in urls {
        // The policy resolves what a parser makes of it: nothing that parsers disagree about.
        let odd =
            url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') || Url::parse(&url).is_ok_and(|url| !url.has_host());
        let slashes = url.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//") && !rest.starts_with("///"));
        if odd || !slashes {
            return Err(denied("egress.Denied", &format!("{}: is not plainly a URL", shown(&key))));
        }
        policy.check(&shown(&key), &url).await.map_err(|error| HardwareError::new(Kind::Denied, "egress.Denied", error.message))?;
    }
    Ok(())
}

/// The URLs within a longer text.
fn within(text: &str) -> Option<Vec<String>> {
    if !text.contains("://") {
        return None;
    }
    let mut found = Vec::new();
    for (at, _) in text.match_indices("://") {
        let (before, after) = text.split_at(at);
        let scheme: String = before.chars().rev().take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)).collect();
        let scheme: String = scheme.chars().rev().collect();
        let rest: String = after.chars().take_while(|c| !c.is_whitespace() && !"\"'<>`".contains(*c)).collect();
        found.push(format!("{scheme}{rest}"));
    }
    Some(found)
}

fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// Without what parsers of URLs leave out.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect()
}

/// Calls `see` with every text and the name of the member that it is in.
fn each_text(value: &Value, see: &mut impl FnMut(&str, &str) -> Result<(), HardwareError>) -> Result<(), HardwareError> {
    fn walk(key: &str, value: &Value, see: &mut impl FnMut(&str, &str) -> Result<(), HardwareError>) -> Result<(), HardwareError> {
        match value {
            Value::String(text) => {
                if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(text) {
                    walk(key, &inner, see)?;
                }
                see(key, text)
            }
            Value::Array(items) => items.iter().try_for_each(|item| walk(key, item, see)),
            Value::Object(map) => map.iter().try_for_each(|(key, member)| {
                // A URL as a name would be sent as well.
                see("", key)?;
                walk(key, member, see)
            }),
            _ => Ok(()),
        }
    }
    walk("", value, see)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::config::ImageConfig;

    fn verdict(body: Value) -> Result<(), String> {
        check(body.as_object().unwrap()).map_err(|error| error.code)
    }

    #[test]
    fn settings_pass() {
        for body in [
            json!({}),
            json!({"Attributes": {"NumLock": "On", "BootMode": "Uefi", "ProcVirtualization": "Enabled"}}),
            json!({"FanProfile": "Quiet", "Led": {"Brightness": 7}, "Slots": [1, 2, {"Name": "a"}]}),
            json!({"ImageURI": "https://files.example/fw.bin?X-Amz-Credential=a&b=c", "TransferProtocol": "HTTPS"}),
        ] {
            assert_eq!(verdict(body.clone()), Ok(()), "{body}");
        }
    }

    #[test]
    fn members_about_accounts_and_secrets_are_refused_wherever_they_stand() {
        for body in [
            json!({"Password": "x"}),
            json!({"PASSWORD": null}),
            json!({"pass_word": "x"}),
            json!({"Oem": {"Acme": [{"AdminPassword": 1}]}}),
            json!({"UserName": "x"}),
            json!({"RoleId": "Administrator"}),
            json!({"Attributes": {"Users.2.Privilege": 511}}),
            json!({"Attributes": {"LDAP.1.Server": "x"}}),
            json!({"SNMP": {"CommunityStrings": []}}),
            json!({"ImportBuffer": "<Attribute Name=\"Users.2#Password\">x</Attribute>"}),
            json!({"Data": "{\"a\": [{\"Password\": \"x\"}]}"}),
            json!({"Data": "\n  Password = x"}),
        ] {
            assert_eq!(verdict(body.clone()), Err("wrought.SecretInBody".into()), "{body}");
        }
    }

    #[test]
    fn the_boot_of_a_system_goes_by_boot() {
        for body in [
            json!({"Boot": {"BootSourceOverrideTarget": "Pxe"}}),
            json!({"boot": {}}),
            json!({"Oem": {"BootSourceOverrideEnabled": "Once"}}),
            json!({"SecureBootEnable": false}),
        ] {
            assert_eq!(verdict(body.clone()), Err("wrought.UseBoot".into()), "{body}");
        }
    }

    #[test]
    fn bodies_are_bounded() {
        assert_eq!(verdict(json!({"a": "x".repeat(MOST_BYTES)})), Err("wrought.BodyTooLarge".into()));
        let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(verdict(json!({"a": deep(100)})), Err("wrought.BodyTooDeep".into()));
        assert_eq!(verdict(json!({"a": deep(10)})), Ok(()));
        let nested = (0..30).fold(json!([1]), |inner, level| if level % 9 == 8 { json!([inner.to_string()]) } else { json!([inner]) });
        assert_eq!(verdict(json!({ "a": nested })), Err("wrought.BodyTooDeep".into()));
        assert_eq!(verdict(json!({"a\u{7}": 1})), Err("wrought.InvalidBody".into()));
        assert_eq!(verdict(json!({"TransferProtocol": "NFS"})), Err("egress.Denied".into()));
    }

    #[test]
    fn resources_that_a_body_names_are_found() {
        let body = json!({"Targets": ["/redfish/v1/Systems/2", " /Redfish/v1/x"], "a": {"b": "/redfish/v1/Chassis/1#/Fans/0"}});
        assert!(paths(&body).is_err(), "another case is no path");
        let body = json!({"Targets": ["/redfish/v1/Systems/2"], "a": {"b": "/redfish/v1/Chassis/1#/Fans/0"}});
        let found: Vec<String> = paths(&body).unwrap().iter().map(GuestPath::text).collect();
        assert_eq!(found, ["/redfish/v1/Systems/2", "/redfish/v1/Chassis/1"]);
        assert!(paths(&json!(["/redfish/v1/Systems/../2"])).is_err());
        assert!(paths(&json!(["[\"/redfish/v1/Systems/../2\"]"])).is_err());
    }

    #[tokio::test]
    async fn a_controller_is_sent_where_the_policy_allows() {
        let policy = EgressPolicy::new(&ImageConfig::default());
        let verdict = async |text: &str| check_destinations(&json!({"ImageURI": text}), &policy).await.map_err(|error| error.code);
        for text in ["http://192.0.2.1/fw.bin", "https://192.0.2.1:8443/fw.bin?a=b", "", "/redfish/v1/UpdateService"] {
            assert_eq!(verdict(text).await, Ok(()), "{text}");
        }
        for text in [
            "http://169.254.169.254/latest",
            "HTTP://169.254.169.254/latest",
            "  http://169.254.169.254/latest",
            "ht\ttp://169.254.169.254/",
            "http:/169.254.169.254/",
            "http:\\\\169.254.169.254\\",
            "http:///169.254.169.254/",
            "http://127.0.0.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost/",
            "http://user@127.1/",
            "http://192.0.2.1\\@127.0.0.1/",
            "ftp://192.0.2.1/fw.bin",
            "nfs://192.0.2.1/fw.bin",
            "file:///etc/passwd",
            "file:/etc/passwd",
            "//192.0.2.1/share",
            "\\\\192.0.2.1\\share",
            "169.254.169.254/fw.bin",
            "192.0.2.1/fw.bin",
            "[\"http://169.254.169.254/\"]",
            "<a href=\"http://169.254.169.254/\"/>",
        ] {
            assert_eq!(verdict(text).await, Err("egress.Denied".into()), "{text}");
        }
        for body in
            [json!({"ShareParameters": {"IPAddress": "169.254.169.254"}}), json!(["http://127.0.0.1"]), json!({"http://127.0.0.1": 1})]
        {
            assert!(check_destinations(&body, &policy).await.is_err(), "{body}");
        }
        assert!(check_destinations(&json!({"Address": "192.0.2.9", "SubnetMask": "255.255.255.0"}), &policy).await.is_ok());
    }
}
