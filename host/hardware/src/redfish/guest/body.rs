//! What a driver may send to a controller.

use serde_json::{Map, Value};

use crate::error::{HardwareError, Kind};
use crate::redfish::guest::path::{GuestPath, denied, use_power};
use crate::secrets::Secrets;

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

/// The same of what belongs to `boot`.
const BOOT: [&str; 12] = [
    "bootonce",
    "bootoptionenabled",
    "bootsourceoverride",
    "firstbootdevice",
    "httpbooturi",
    "onetimeboot",
    "onetimeuefiboot",
    "persistentbootconfigorder",
    "resetkeystype",
    "secureboot",
    "uefitargetbootsource",
    "virtualmedia",
];

/// A word of a name that does: Dell's `RFS.1.Image`.
const BOOT_WORD: &str = "rfs";

/// The same of what belongs to `power`.
const POWER: [&str; 4] = ["hostpowerstate", "rebootjobtype", "shutdowntype", "watchdogtimer"];

/// Ends of names of members whose text names what is set.
const NAMING: [&str; 13] =
    ["attribute", "element", "field", "fqdd", "id", "item", "key", "member", "name", "parameter", "path", "property", "setting"];

/// Names of members that end like those and hold a name of something else.
const NOT_NAMING: [&str; 2] = ["domainname", "hostname"];

/// `body` as it may be sent to `path`: its size and depth, nothing about accounts or secrets, nothing that belongs to `boot` or `power`.
pub(crate) fn check(path: &GuestPath, body: &Map<String, Value>) -> Result<(), HardwareError> {
    // An import of Dell's restarts the machine unless it is told not to.
    if path.action().contains("importsystemconfiguration") && !body.get("ShutdownType").is_some_and(is_no_shutdown) {
        return Err(use_power());
    }
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
            return Err(invalid("a member's name has control characters"));
        }
        let name = plain(key);
        let stays_on = name == "shutdowntype" && is_no_shutdown(member);
        if !stays_on {
            named(key, key)?;
        }
        if name == "boot" && !member.is_string() || name == "bootorder" {
            return Err(use_boot(key));
        }
        if name == "powerstate" {
            return Err(use_power());
        }
        if name == "transferprotocol" || name == "transferprotocoltype" || name == "sharetype" {
            let fine = member.as_str().is_some_and(|text| ["HTTP", "HTTPS", "LOCAL"].iter().any(|fine| text.eq_ignore_ascii_case(fine)));
            if !fine && !member.is_null() {
                return Err(denied("egress.Denied", &format!("{}: only HTTP and HTTPS are accepted", shown(key))));
            }
        }
        value(key, member, depth)?;
    }
    Ok(())
}

/// Judges the name of what is set, which stands at the member `key`.
fn named(name: &str, key: &str) -> Result<(), HardwareError> {
    let plain = plain(name);
    if is_secret(&plain) {
        let text = format!("the body sets {}: accounts and secrets of a controller are never a driver's", shown(key));
        return Err(denied("wrought.SecretInBody", &text));
    }
    if BOOT.iter().any(|word| plain.contains(word)) || has_boot_word(name) {
        return Err(use_boot(key));
    }
    if POWER.iter().any(|word| plain.contains(word)) { Err(use_power()) } else { Ok(()) }
}

fn has_boot_word(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.eq_ignore_ascii_case(BOOT_WORD))
}

fn is_no_shutdown(value: &Value) -> bool {
    value.as_str() == Some("NoReboot")
}

fn invalid(why: &str) -> HardwareError {
    HardwareError::new(Kind::InvalidParameter, "wrought.InvalidBody", why)
}

fn use_boot(key: &str) -> HardwareError {
    let text = format!("the body sets {}, which is changed through boot: set-device, set-mode, set-secure-boot, insert-media", shown(key));
    denied("wrought.UseBoot", &text)
}

fn value(key: &str, given: &Value, depth: usize) -> Result<(), HardwareError> {
    if depth > MOST_DEPTH {
        let text = format!("the body has more than {MOST_DEPTH} levels");
        return Err(HardwareError::new(Kind::LimitExceeded, "wrought.BodyTooDeep", text));
    }
    match given {
        Value::Object(map) => members(map, depth.saturating_add(1)),
        Value::Array(items) => items.iter().try_for_each(|item| value(key, item, depth.saturating_add(1))),
        Value::String(text) => {
            if names_something(key, text) {
                named(text, key)?;
            }
            embedded(key, text, depth)
        }
        _ => Ok(()),
    }
}

/// Whether a text says what is set: by the name of its member, or because it looks like one of Dell's, `Users.2#Enable`.
fn names_something(key: &str, text: &str) -> bool {
    let key = plain(key);
    let key = key.trim_end_matches('s');
    let naming = NAMING.iter().any(|end| key.ends_with(end)) && !NOT_NAMING.iter().any(|end| key.ends_with(end));
    // The value of a reference is judged when it is known.
    let is_other = text.starts_with("/redfish") || is_url(text) || Secrets::name(text).is_some();
    !is_other && (naming || text.contains('#') && !text.trim().contains(char::is_whitespace))
}

fn is_url(text: &str) -> bool {
    text.starts_with("http") && text.contains("://") && !text.contains(['<', '{', '"']) && !text.contains(char::is_whitespace)
}

/// Documents within a text, such as a profile of settings in XML or JSON: no way around the rules for members. They are judged as they
/// are written, too: of two members with one name the controller may take the other.
fn embedded(key: &str, text: &str, depth: usize) -> Result<(), HardwareError> {
    if let Ok(inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) = serde_json::from_str::<Value>(text) {
        value(key, &inner, depth.saturating_add(1))?;
    }
    // The names of a query say nothing about the controller.
    if is_url(text) || !text.contains(['<', '{', '[', '\n', '=']) {
        return Ok(());
    }
    if hides_something(text) {
        return Err(invalid("a document in the body may hold no comment, CDATA, declaration, character reference or \\u, and only UTF-8"));
    }
    let words = plain(text);
    let mut parts = text.split('"').skip(1);
    let mut names = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
    if SECRET.iter().any(|word| words.contains(word)) || names.any(|(name, then)| is_member(then) && is_secret(&plain(name))) {
        return Err(denied("wrought.SecretInBody", "a text of the body sets accounts or secrets, which are never a driver's"));
    }
    if BOOT.iter().any(|word| words.contains(word)) || has_boot_word(text) {
        return Err(use_boot(key));
    }
    if POWER.iter().any(|word| words.contains(word)) { Err(use_power()) } else { Ok(()) }
}

/// Whether a document writes names in a way that is not read here.
fn hides_something(text: &str) -> bool {
    let lower = text.trim_start().to_ascii_lowercase();
    if !lower.starts_with('<') && !lower.contains('<') {
        return lower.contains("\\u") && lower.contains(['{', '[']);
    }
    let declaration = lower.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>"));
    let (declaration, rest) = declaration.unwrap_or(("", &lower));
    let odd = declaration.contains("encoding") && !declaration.contains("utf-8");
    odd || ["&#", "<!", "<?"].iter().any(|sign| rest.contains(sign)) || rest.contains("\\u") && rest.contains(['{', '['])
}

/// Whether what follows a text in quotes makes it the name of a member.
fn is_member(then: &str) -> bool {
    then.trim_start().starts_with(':')
}

fn is_secret(name: &str) -> bool {
    SECRET_WHOLE.contains(&name) || SECRET.iter().any(|word| name.contains(word))
}

/// Letters and digits, in lower case: `User_Name` and `username` are the same to some controller.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

pub(crate) fn shown(key: &str) -> String {
    crate::http::tame(key, 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn verdict(body: Value) -> Result<(), String> {
        let path = GuestPath::parse("/redfish/v1/Systems/1").unwrap();
        check(&path, body.as_object().unwrap()).map_err(|error| error.code)
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
    fn an_attribute_is_judged_by_the_text_that_names_it() {
        for (body, code) in [
            (json!({"Attributes": [{"Name": "Users.2#Password", "Value": "x"}]}), "wrought.SecretInBody"),
            (json!({"Attributes": [{"AttributeName": "iDRAC.Embedded.1#Users.2#Enable", "Value": "x"}]}), "wrought.SecretInBody"),
            (json!({"Key": "user", "Value": "x"}), "wrought.SecretInBody"),
            (json!({"Set": ["Users.2#Password", "x"]}), "wrought.SecretInBody"),
            (json!({"Names": [["LDAP.1.Server"]]}), "wrought.SecretInBody"),
            (json!({"Data": "{\"Attributes\": [{\"Name\": \"Users.2#Password\", \"Value\": \"x\"}]}"}), "wrought.SecretInBody"),
            // One of two members of the same name.
            (json!({"Data": "{\"Name\": \"Users.2#Password\", \"Name\": \"Led\"}"}), "wrought.SecretInBody"),
            (json!({"Data": "{\"User\": {}, \"a\": 1, \"User\": 1}"}), "wrought.SecretInBody"),
            (json!({"Data": "{\"Pwd\": \"x\", /* not quite JSON */}"}), "wrought.SecretInBody"),
            (json!({"Attributes": [{"Name": "ServerBoot.1#FirstBootDevice", "Value": "PXE"}]}), "wrought.UseBoot"),
            (json!({"Attributes": [{"Name": "RFS.1.Image", "Value": "x"}]}), "wrought.UseBoot"),
            (json!({"Parameters": [{"Name": "HostPowerState", "Value": "Off"}]}), "wrought.UsePower"),
        ] {
            assert_eq!(verdict(body.clone()), Err(code.into()), "{body}");
        }
        for body in [
            json!({"Name": "Night", "Id": "Factory", "Key": "FanMode", "Colour": "#ff00aa"}),
            json!({"Name": "secret-ref:anything", "Ids": ["secret-ref:anything"]}),
            json!({"HostName": "ldap01", "AssetTag": "accounts-3", "Data": "{\"Name\": \"PerfState\"}"}),
            json!({"ImportBuffer": "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Attribute Name=\"Led &amp; Fan\">On</Attribute>"}),
        ] {
            assert_eq!(verdict(body.clone()), Ok(()), "{body}");
        }
    }

    #[test]
    fn a_document_may_not_hide_what_it_says() {
        let attribute = |name: &str| format!("<SystemConfiguration><Attribute Name=\"{name}\">x</Attribute></SystemConfiguration>");
        for text in [
            attribute("&#85;sers.2#Pass&#119;ord"),
            attribute("Pass&#x77;ord"),
            format!("<!DOCTYPE a [<!ENTITY b \"Pass\">]>{}", attribute("&b;word")),
            format!("<!doctype a>{}", attribute("Led")),
            "<Name>Pass<![CDATA[word]]></Name>".to_owned(),
            "<Name>Pass<!-- -->word</Name>".to_owned(),
            "<Name>Pass<?a?>word</Name>".to_owned(),
            format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{}", attribute("Pass+AHc-ord")),
            "{\"Name\": \"Pass\\u0077ord\", \"Name\": \"Led\"}".to_owned(),
        ] {
            assert_eq!(verdict(json!({ "ImportBuffer": text })), Err("wrought.InvalidBody".into()), "{text}");
        }
    }

    #[test]
    fn power_and_boot_have_no_back_door_in_a_body() {
        for (body, code) in [
            (json!({"HostWatchdogTimer": {"TimeoutAction": "PowerDown"}}), "wrought.UsePower"),
            (json!({"ShutdownType": "Forced", "ImportBuffer": "<a/>"}), "wrought.UsePower"),
            (json!({"HostPowerState": "Off"}), "wrought.UsePower"),
            (json!({"RebootJobType": "GracefulRebootWithForcedShutdown"}), "wrought.UsePower"),
            (json!({"PowerState": "Off"}), "wrought.UsePower"),
            (json!({"ImportBuffer": "<a>\n<EndHostPowerState>Off</EndHostPowerState></a>"}), "wrought.UsePower"),
            (json!({"ResetKeysType": "DeleteAllKeys"}), "wrought.UseBoot"),
            (json!({"BootOptionEnabled": false}), "wrought.UseBoot"),
            (json!({"BootOrder": ["Boot0001"]}), "wrought.UseBoot"),
            (json!({"Attributes": {"ServerBoot.1.FirstBootDevice": "PXE"}}), "wrought.UseBoot"),
            (json!({"Attributes": {"ServerBoot.1.BootOnce": "Enabled"}}), "wrought.UseBoot"),
            (json!({"Attributes": {"RFS.1.Image": "x"}}), "wrought.UseBoot"),
            (json!({"Attributes": {"VirtualMedia.1.Attached": "x"}}), "wrought.UseBoot"),
            (json!({"Attributes": {"SecureBoot": "Disabled"}}), "wrought.UseBoot"),
            (json!({"ImportBuffer": "<Attribute Name=\"RFS.1#Image\">x</Attribute>"}), "wrought.UseBoot"),
        ] {
            assert_eq!(verdict(body.clone()), Err(code.into()), "{body}");
        }
        for body in [json!({"ShutdownType": "NoReboot"}), json!({"ResetType": "GracefulRestart"}), json!({"PerfStates": 1})] {
            assert_eq!(verdict(body.clone()), Ok(()), "{body}");
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
}
