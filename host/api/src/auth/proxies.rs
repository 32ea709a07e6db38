//! Where a request comes from, and under which URL its client sees the API, when proxies stand in between.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::denied::Denied;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Stands for a client whose address no proxy tells. It is nobody's, this machine's neither.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Elements of a header that are looked at, from its end.
const MAX_HOPS: usize = 32;

/// Proxies whose word is taken.
pub(crate) struct Proxies(Vec<IpNet>);

/// How the client reached the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Over TLS.
    pub(crate) secure: bool,
    /// Under this host, where a proxy says so.
    pub(crate) host: Option<String>,
}

impl Proxies {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address and how it reached the API, if a trusted proxy sent the request. A client whose address the proxy does not
    /// tell is 0.0.0.0, and so is one on the proxy's own machine: nobody's word makes a program of this one.
    ///
    /// # Errors
    /// [`Denied::Malformed`] when there are two addresses of the client.
    pub(crate) fn resolve(&self, peer: SocketAddr, direct: &Origin, headers: &HeaderMap) -> Result<Option<(SocketAddr, Origin)>, Denied> {
        if self.0.is_empty() || !self.trusts(peer.ip()) {
            return Ok(None);
        }
        let listed = elements(headers, &FORWARDED_FOR);
        let forwarded = elements(headers, &header::FORWARDED);
        let older = self.client(listed.iter().map(|text| address(text)));
        let newer = self.client(forwarded.iter().map(|element| parameter(element, "for").and_then(address)));
        // A proxy sets the one header and lets the other pass: when both are there and differ, one of them is the client's invention.
        let client = match (older, newer) {
            (Some(older), Some(newer)) if older != newer => {
                return Err(Denied::Malformed("X-Forwarded-For and Forwarded contradict each other"));
            }
            (older, newer) => older.or(newer),
        };
        let said = |name: &HeaderName, key: &str| {
            let last = elements(headers, name).first().map(|text| (*text).to_owned());
            last.or_else(|| forwarded.first().and_then(|element| parameter(element, key)).map(str::to_owned))
        };
        let secure = said(&FORWARDED_PROTO, "proto").map_or(direct.secure, |proto| proto.eq_ignore_ascii_case("https"));
        let client = client.filter(|client| !client.is_loopback()).unwrap_or(UNKNOWN);
        Ok(Some((SocketAddr::new(client, 0), Origin { secure, host: said(&FORWARDED_HOST, "host") })))
    }

    /// The nearest address that is no trusted proxy, of those from the nearest to the farthest. Behind what is no address nothing is believed.
    fn client(&self, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut last = None;
        for hop in hops {
            last = Some(hop?);
            if !hop.is_some_and(|hop| self.trusts(hop)) {
                break;
            }
        }
        last
    }
}

/// The comma-separated elements of all headers of this name, the last one first.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let mut all: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    all.reverse();
    let elements = all.into_iter().flat_map(|value| value.rsplit(',')).map(str::trim).filter(|element| !element.is_empty());
    elements.take(MAX_HOPS).collect()
}

/// A parameter of an element of `Forwarded`.
fn parameter<'a>(element: &'a str, key: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(key)).map(|(_, value)| value.trim().trim_matches('"'));
    found.next()
}

/// An address, perhaps with a port, and in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let address: Option<IpAddr> = bare.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn resolve(peer: &str, headers: &[(&'static str, &'static str)]) -> Option<(String, bool, Option<String>)> {
        let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let resolved = proxies.resolve(format!("{peer}:4711").parse().unwrap(), &Origin::default(), &map);
        let (address, origin) = resolved.unwrap_or_else(|_| Some((SocketAddr::from(([255; 4], 0)), Origin::default())))?;
        Some((address.ip().to_string(), origin.secure, origin.host))
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let said = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example")];
        assert_eq!(resolve("192.0.2.1", &said), None);
        assert_eq!(resolve("10.1.2.3", &said), Some(("203.0.113.9".into(), true, Some("api.example".into()))));
        assert_eq!(resolve("[::ffff:10.1.2.3]", &said).unwrap().0, "203.0.113.9");
    }

    #[test]
    fn what_the_client_itself_put_in_front_is_not_believed() {
        for (headers, client) in [
            (vec![("x-forwarded-for", "1.2.3.4, 203.0.113.9, 10.9.9.9")], "203.0.113.9"),
            (vec![("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
            (vec![("x-forwarded-for", "1.2.3.4, garbage")], "0.0.0.0"),
            (vec![("x-forwarded-for", "10.3.3.3")], "10.3.3.3"),
            (vec![("forwarded", "for=1.2.3.4, for=\"[2001:db9::7]:80\";proto=https;host=a.example")], "2001:db9::7"),
            (vec![("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "203.0.113.9")], "255.255.255.255"),
            (vec![("forwarded", "for=203.0.113.9;proto=http"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
            (vec![("forwarded", "for=unknown")], "0.0.0.0"),
            (vec![("x-forwarded-for", "127.0.0.1")], "0.0.0.0"),
            (vec![], "0.0.0.0"),
        ] {
            assert_eq!(resolve("10.0.0.1", &headers).unwrap().0, client, "{headers:?}");
        }
        let origin = resolve("10.0.0.1", &[("forwarded", "for=203.0.113.9;Proto=HTTPS;Host=\"a.example:8443\"")]).unwrap();
        assert_eq!((origin.1, origin.2.as_deref()), (true, Some("a.example:8443")));
    }
}
