//! Where a body leads: resources of the controller that it names, and servers that the controller is sent to by it.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde_json::Value;

use crate::egress::EgressPolicy;
use crate::error::{HardwareError, Kind};
use crate::redfish::guest::body::{plain, shown};
use crate::redfish::guest::path::{GuestPath, denied};

/// Hosts that a body may name: the name of each is looked up.
const MOST_URLS: usize = 16;

/// Beginnings that make a text a URL, however many slashes follow.
const SCHEMES: [&str; 14] =
    ["cifs:", "data:", "file:", "ftp:", "ftps:", "gopher:", "http:", "https:", "javascript:", "nfs:", "scp:", "sftp:", "smb:", "tftp:"];

/// Names of members that say where a share is, as vendors' exports and imports of settings have them.
const HOSTS: [&str; 6] = ["ipaddress", "remoteaddress", "remotehost", "remoteserver", "serveraddress", "shareaddress"];

/// The resources that the texts of `value` name, in any spelling: they are judged like the one that is asked. `invalid-parameter` for what
/// some controller may take for a path and is not plainly one.
pub(crate) fn paths(value: &Value) -> Result<Vec<GuestPath>, HardwareError> {
    let mut found = Vec::new();
    each_text(value, &mut |_, text| {
        let mut known = 0_usize;
        for piece in pieces(text) {
            let segments = segments(&piece);
            let named = services(&segments);
            known = known.saturating_add(named);
            let has = |name: &str| segments.iter().any(|segment| segment == name);
            let is_url = piece.contains("://");
            let mut behind_host = segments.iter().skip(if is_url { 2 } else { 0 });
            let is_below = behind_host.next().is_some_and(|first| first == "redfish") && behind_host.next().is_some();
            if named > 0 || is_below || has("..") && has("redfish") {
                found.push(path(&piece)?);
            } else if !is_url && has("actions") && segments.len() > 1 {
                return Err(invalid());
            }
        }
        // Blanks within a name are left out by some.
        if services(&segments(&squeezed(text))) != known { Err(invalid()) } else { Ok(()) }
    })?;
    Ok(found)
}

fn invalid() -> HardwareError {
    HardwareError::new(
        Kind::InvalidParameter,
        "wrought.InvalidPath",
        "the body names a resource of the controller by what is not plainly a path",
    )
}

/// The path in a text: of a URL its part behind the host, and always from the root.
fn path(text: &str) -> Result<GuestPath, HardwareError> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default());
    let text = text.split_once('#').map_or(text, |(path, _)| path);
    GuestPath::parse(&if text.starts_with('/') { text.to_owned() } else { format!("/{text}") })
}

/// What stands apart in a text.
fn pieces(text: &str) -> Vec<String> {
    let is_plain = !text.contains(['<', '"', '\'', '`']);
    if is_plain && !text.trim().contains(char::is_whitespace) {
        return vec![squeezed(text)];
    }
    // As JSON may write them.
    let text = text.replace("\\/", "/").replace("\\\"", "\"");
    let pieces = text.split(|c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c));
    pieces.filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

/// The segments that some server may read in a text, in lower case.
fn segments(text: &str) -> Vec<String> {
    let mut text = text.replace('\\', "/");
    for _ in 0..3 {
        text = percent_decode_str(&text).decode_utf8_lossy().replace('\\', "/");
    }
    text.split('/').map(|segment| segment.trim().to_ascii_lowercase()).filter(|segment| !segment.is_empty() && segment != ".").collect()
}

/// How often the service is named.
fn services(segments: &[String]) -> usize {
    let pairs = segments.iter().zip(segments.iter().skip(1));
    pairs.filter(|(service, version)| service.ends_with("redfish") && version.starts_with("v1")).count()
}

/// Whether all that `value`, secrets filled in, has the controller fetch or send to is allowed: URLs with `http` or `https` only, by
/// `policy`; no shares; no address of a machine's own or its link.
pub(crate) async fn check_destinations(value: &Value, policy: &EgressPolicy) -> Result<(), HardwareError> {
    let mut urls: Vec<(String, String)> = Vec::new();
    each_text(value, &mut |key, text| {
        let lower = squeezed(text).to_ascii_lowercase();
        if lower.starts_with("//") || lower.starts_with("\\\\") {
            return Err(denied("egress.Denied", &format!("{}: shares are not accepted, only http and https URLs", shown(key))));
        }
        if pieces(text).iter().any(|piece| is_share(piece)) {
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
    urls.sort_by(|one, other| one.1.cmp(&other.1));
    urls.dedup_by(|one, other| one.1 == other.1);
    if urls.len() > MOST_URLS {
        let text = format!("the body names more than {MOST_URLS} URLs");
        return Err(HardwareError::new(Kind::LimitExceeded, "wrought.TooManyUrls", text));
    }
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

/// Whether this is `host:/path`, as NFS has it.
fn is_share(text: &str) -> bool {
    let host = |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-[]:@".contains(c));
    text.split_once(":/").is_some_and(|(before, path)| host(before) && !path.starts_with('/'))
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

/// Calls `see` with every text and the name of the member that it is in, in documents within texts, too.
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

    #[test]
    fn resources_that_a_body_names_are_found() {
        let body = json!({"Targets": ["/redfish/v1/Systems/2", " /Redfish/v1/x"], "a": {"b": "/redfish/v1/Chassis/1#/Fans/0"}});
        assert!(paths(&body).is_err(), "another case is no path");
        let body = json!({"Targets": ["/redfish/v1/Systems/2"], "a": {"b": "/redfish/v1/Chassis/1#/Fans/0"}});
        let found: Vec<String> = paths(&body).unwrap().iter().map(GuestPath::text).collect();
        assert_eq!(found, ["/redfish/v1/Systems/2", "/redfish/v1/Chassis/1"]);
        assert!(paths(&json!(["/redfish/v1/Systems/../2"])).is_err());
        assert!(paths(&json!(["[\"/redfish/v1/Systems/../2\"]"])).is_err());
        for (text, found) in [
            ("https://192.0.2.1/redfish/v1/Systems/2/Bios", "/redfish/v1/Systems/2/Bios"),
            ("redfish/v1/Systems/2", "/redfish/v1/Systems/2"),
            ("/%72edfish/v1/Systems/2", "/redfish/v1/Systems/2"),
            ("<Target>/redfish/v1/Systems/2</Target>", "/redfish/v1/Systems/2"),
            ("{\"a\": \"/redfish/v1/Systems/2\"}", "/redfish/v1/Systems/2"),
            ("{\"a\": \"\\/redfish\\/v1\\/Systems\\/2\"}", "/redfish/v1/Systems/2"),
        ] {
            let paths = paths(&json!({ "Uri": text })).unwrap();
            assert!(!paths.is_empty() && paths.iter().all(|path| path.text() == found), "{text}: {paths:?}");
        }
        for text in [
            "./redfish/v1/Systems/2",
            "/redfish/./v1/Systems/2",
            "/redfish//v1/Systems/2",
            "/a/../redfish/v1/Systems/2",
            "/redfish/a/../v1/Systems/2",
            "/redfish\\v1\\Systems\\2",
            "/%2572edfish/v1/Systems/2",
            "%2fredfish%2fv1%2fSystems%2f2",
            "https://192.0.2.1/redfish/v1/Systems/1?$expand=*",
            "https://192.0.2.1/Redfish/v1/Systems/1",
            "<a>/red\nfish/v1/Systems/2</a>",
            "href=/redfish/v1/Systems/2",
            "../2/Actions/ComputerSystem.Reset",
            "Systems/2/Actions/ComputerSystem.Reset",
        ] {
            assert!(paths(&json!({ "Uri": text })).is_err(), "{text}");
        }
        for text in ["https://files.example/fw/redfish.bin", "https://ci.example/actions/1/fw.bin", "Redfish", "A/B"] {
            assert_eq!(paths(&json!({ "Uri": text })), Ok(vec![]), "{text}");
        }
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
            "192.0.2.1:/x.iso",
            "files.example:/x.iso",
            "[2001:db8::1]:/x.iso",
            "<Image>192.0.2.1:/x.iso</Image>",
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
        assert!(check_destinations(&json!({"Image": "192.0.2.1:/x.iso"}), &policy).await.is_err(), "a share by another name");
        assert!(check_destinations(&json!({"Address": "192.0.2.9", "SubnetMask": "255.255.255.0"}), &policy).await.is_ok());
        let many = |count: u8| json!((0..count).map(|n| format!("http://192.0.2.{n}/")).collect::<Vec<_>>());
        assert_eq!(check_destinations(&many(16), &policy).await, Ok(()));
        assert_eq!(check_destinations(&many(17), &policy).await.unwrap_err().code, "wrought.TooManyUrls");
    }
}
