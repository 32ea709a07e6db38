//! Where the host may be told to find an agent.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

use crate::egress::web_url;
use crate::error::{HardwareError, Kind};

const KEY: &str = "callback_url";

/// Checks the `callback_url` of a heartbeat that came from `peer`: scheme, and a host that is an IP address,
/// the peer's own or one within `allowed`. Whoever holds an agent's token could otherwise send this host's
/// commands anywhere. The answer has neither path nor a trailing slash: `https://192.0.2.7:9999`.
pub fn check_callback_url(url: &str, peer: IpAddr, allowed: &[IpNet], require_tls: bool) -> Result<String, HardwareError> {
    let url = web_url(KEY, url)?;
    if require_tls && url.scheme() != "https" {
        return Err(refused("agent.TlsRequired", "must be https ([agent] require_tls)"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() || url.path() != "/" {
        return Err(HardwareError::invalid(KEY, "must be scheme, address and port only"));
    }
    let address = address(&url).ok_or_else(|| HardwareError::invalid(KEY, "the host must be an IP address"))?;
    let never = address.is_unspecified() || address.is_multicast();
    let known = address == peer.to_canonical() || allowed.iter().any(|net| net.contains(&address));
    if never || !known {
        return Err(refused(
            "agent.ForeignCallback",
            "must be the address that the heartbeat comes from, or be within callback_allowed_networks",
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(IpAddr::from(address).to_canonical()),
        url::Host::Domain(_) => None,
    }
}

fn refused(code: &str, why: &str) -> HardwareError {
    HardwareError::new(Kind::InvalidParameter, code, format!("{KEY}: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(url: &str, require_tls: bool) -> Result<String, String> {
        let allowed = ["198.51.100.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        check_callback_url(url, "192.0.2.7".parse().unwrap(), &allowed, require_tls).map_err(|error| error.code)
    }

    #[test]
    fn only_the_peer_and_the_allowed_networks_are_believed() {
        assert_eq!(check("https://192.0.2.7:9999", true).unwrap(), "https://192.0.2.7:9999");
        assert_eq!(check("https://[::ffff:192.0.2.7]:9999/", true).unwrap(), "https://[::ffff:c000:207]:9999");
        assert_eq!(check("https://198.51.100.200:9999", true).unwrap(), "https://198.51.100.200:9999");
        assert_eq!(check("https://[2001:db8::9]:9999", true).unwrap(), "https://[2001:db8::9]:9999");
        assert_eq!(check("http://192.0.2.7:9999", false).unwrap(), "http://192.0.2.7:9999");
        for (url, code) in [
            ("https://192.0.2.8:9999", "agent.ForeignCallback"),
            ("https://169.254.169.254", "agent.ForeignCallback"),
            ("https://0.0.0.0:9999", "agent.ForeignCallback"),
            ("http://192.0.2.7:9999", "agent.TlsRequired"),
            ("https://agent.example.org:9999", "node.InvalidParameter"),
            ("https://192.0.2.7:9999/path", "node.InvalidParameter"),
            ("https://user@192.0.2.7:9999", "node.InvalidParameter"),
            ("https://192.0.2.7:9999/?a=b", "node.InvalidParameter"),
            ("file:///etc/passwd", "node.InvalidParameter"),
            ("", "node.InvalidParameter"),
        ] {
            assert_eq!(check(url, true).unwrap_err(), code, "{url}");
        }
    }

    #[test]
    fn nobody_is_this_machine_but_who_is_on_it() {
        let check = |url: &str, peer: &str| check_callback_url(url, peer.parse().unwrap(), &[], true);
        assert!(check("https://127.0.0.1:9999", "127.0.0.1").is_ok());
        // A proxy did not tell who sent it.
        for url in ["https://127.0.0.1:9999", "https://[::1]:9999", "https://0.0.0.0:9999", "https://[::ffff:127.0.0.1]:9999"] {
            assert_eq!(check(url, "0.0.0.0").unwrap_err().code, "agent.ForeignCallback", "{url}");
        }
    }

    #[test]
    fn a_peer_seen_through_ipv6_is_the_same_peer() {
        assert!(check_callback_url("https://192.0.2.7:9999", "::ffff:192.0.2.7".parse().unwrap(), &[], true).is_ok());
    }
}
