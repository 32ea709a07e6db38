//! Where the host may be sent by a URL that somebody else wrote.
//!
//! Only `http` and `https`; a name is resolved once, **every** address is checked, and the connection goes
//! to a checked address ([`EgressPolicy`] is the resolver of the client). Denied:
//!
//! | what | addresses |
//! |---|---|
//! | this host | 127.0.0.0/8, ::1 (unless `allow_loopback`), 0.0.0.0/8, :: |
//! | link-local, with the metadata service of most clouds | 169.254.0.0/16, fe80::/10 |
//! | other metadata services | fd00:ec2::254, 100.100.100.200, 192.0.0.192 |
//! | multicast, broadcast, reserved | 224.0.0.0/4, 240.0.0.0/4, ff00::/8 |
//! | IPv6 forms of any of these | IPv4-mapped and -compatible, 64:ff9b::/96, 2002::/16 |
//! | what is configured | `denied_networks`; all but `allowed_networks` if there are any |
//!
//! For the requests of drivers the addresses of this host's own interfaces are denied as well, and `exempt_networks` takes
//! addresses out of the first three rows and this one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::{DriverHttpConfig, ImageConfig};
use crate::error::{HardwareError, Kind};

/// An address that policy forbids.
#[derive(Debug, thiserror::Error)]
#[error("the address is not allowed")]
pub(crate) struct Forbidden;

/// Which addresses a URL may lead to.
#[derive(Debug, Clone)]
pub struct EgressPolicy {
    allow_loopback: bool,
    /// Whether the addresses of this host's interfaces are denied.
    spare_own: bool,
    exempt: Vec<IpNet>,
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
}

impl EgressPolicy {
    /// The policy of `[image]`.
    pub fn new(config: &ImageConfig) -> Arc<Self> {
        let (allowed, denied) = (config.allowed_networks.clone(), config.denied_networks.clone());
        Arc::new(Self { allow_loopback: config.allow_loopback, spare_own: false, exempt: Vec::new(), allowed, denied })
    }

    /// The policy of `[driver_http]`.
    pub fn of_drivers(config: &DriverHttpConfig) -> Arc<Self> {
        let DriverHttpConfig { exempt_networks, allowed_networks, denied_networks, .. } = config.clone();
        Arc::new(Self {
            allow_loopback: false,
            spare_own: true,
            exempt: exempt_networks,
            allowed: allowed_networks,
            denied: denied_networks,
        })
    }

    /// Whether a connection to `address` is allowed.
    pub fn allows(&self, address: IpAddr) -> bool {
        let forms = forms(address);
        let within = |nets: &[IpNet]| forms.iter().any(|form| nets.iter().any(|net| net.contains(form)));
        let special = forms.iter().any(|form| match form {
            form if is_nowhere(*form) => true,
            _ if self.exempt.iter().any(|net| net.contains(form)) => false,
            form if form.is_loopback() => !self.allow_loopback,
            form => is_special(*form) || (self.spare_own && is_own(*form)),
        });
        !special && !within(&self.denied) && (self.allowed.is_empty() || within(&self.allowed))
    }

    /// Checks that `url`, the value of `key`, may be fetched: its form, and every address of its host. A
    /// name that does not resolve here is an error too. The error does not repeat the URL.
    pub async fn check(&self, key: &str, url: &str) -> Result<Url, HardwareError> {
        let url = web_url(key, url)?;
        let port = url.port_or_known_default().unwrap_or(443);
        match url.host() {
            Some(url::Host::Ipv4(address)) => self.checked(key, [SocketAddr::new(address.into(), port)].into_iter())?,
            Some(url::Host::Ipv6(address)) => self.checked(key, [SocketAddr::new(address.into(), port)].into_iter())?,
            Some(url::Host::Domain(name)) => {
                let found = tokio::net::lookup_host((name, port)).await.map_err(|_| {
                    HardwareError::new(Kind::InvalidParameter, "egress.NotResolved", format!("{key}: the host's name does not resolve"))
                })?;
                self.checked(key, found)?;
            }
            None => return Err(HardwareError::invalid(key, "the URL has no host")),
        }
        Ok(url)
    }

    fn checked(&self, key: &str, addresses: impl Iterator<Item = SocketAddr>) -> Result<(), HardwareError> {
        for address in addresses {
            if !self.allows(address.ip()) {
                return Err(denied(key));
            }
        }
        Ok(())
    }
}

/// `url` of `key`, when it is one of `http` or `https`.
pub(crate) fn web_url(key: &str, url: &str) -> Result<Url, HardwareError> {
    let url = Url::parse(url).map_err(|_| HardwareError::invalid(key, "is not a URL"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(HardwareError::invalid(key, "only http and https URLs are accepted")),
    }
}

pub(crate) fn denied(key: &str) -> HardwareError {
    HardwareError::new(
        Kind::InvalidParameter,
        "egress.Denied",
        format!("{key}: the URL leads to an address that [image] does not allow (see allowed_networks, denied_networks, allow_loopback)"),
    )
}

impl Resolve for EgressPolicy {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().any(|address| !policy.allows(address.ip())) {
                return Err(io::Error::other(Forbidden).into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// The address, and the IPv4 address that it stands for in one of IPv6's ways.
fn forms(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else { return vec![address] };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) => vec![v4(g, h)],
        (0, 0, 0, 0, 0, 0) if (g, h) != (0, 0) && (g, h) != (0, 1) => vec![address, v4(g, h)],
        (0x64, 0xff9b, 0, 0, 0, 0) => vec![address, v4(g, h)],
        (0x2002, ..) => vec![address, v4(b, c)],
        _ => vec![address],
    }
}

/// No server at all.
fn is_nowhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first == 0 || first >= 224
        }
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    }
}

/// Whether it leads to this host, in any form.
pub(crate) fn is_this_host(address: IpAddr) -> bool {
    forms(address).into_iter().any(|form| form.is_loopback() || is_own(form))
}

/// Whether it is an address of one of this host's interfaces: then the way to it begins at itself. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    from().is_ok_and(|from| from == address)
}

/// Somebody else's business. Loopback is judged apart.
fn is_special(address: IpAddr) -> bool {
    const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
    const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(config: &ImageConfig) -> Arc<EgressPolicy> {
        EgressPolicy::new(config)
    }

    fn allows(policy: &EgressPolicy, address: &str) -> bool {
        policy.allows(address.parse().unwrap())
    }

    #[test]
    fn by_default_special_addresses_are_denied_in_every_form() {
        let policy = policy(&ImageConfig::default());
        for denied in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "192.0.0.192",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(!allows(&policy, denied), "{denied}");
        }
        for allowed in ["192.0.2.1", "10.1.2.3", "172.16.0.1", "2001:db8::1", "fd00::1", "64:ff9b::c000:201", "::ffff:192.0.2.1"] {
            assert!(allows(&policy, allowed), "{allowed}");
        }
    }

    #[test]
    fn networks_narrow_and_loopback_widens() {
        let nets = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        let loopback = policy(&ImageConfig { allow_loopback: true, ..Default::default() });
        assert!(allows(&loopback, "127.0.0.1") && allows(&loopback, "::1") && allows(&loopback, "::ffff:127.0.0.1"));
        assert!(!allows(&loopback, "0.0.0.0"));
        let denied = policy(&ImageConfig { denied_networks: nets("10.0.0.0/8"), ..Default::default() });
        assert!(!allows(&denied, "10.0.0.1") && !allows(&denied, "::ffff:10.0.0.1") && allows(&denied, "11.0.0.1"));
        let allowed = policy(&ImageConfig { allowed_networks: nets("192.0.2.0/24"), ..Default::default() });
        assert!(allows(&allowed, "192.0.2.9") && !allows(&allowed, "198.51.100.1"));
        let metadata = policy(&ImageConfig { allowed_networks: nets("169.254.0.0/16"), ..Default::default() });
        assert!(!allows(&metadata, "169.254.169.254"), "no setting opens the metadata service");
    }

    #[test]
    fn drivers_reach_what_is_special_by_name_of_its_network_only() {
        let nets = |text: &str| text.split(' ').map(|net| net.parse::<IpNet>().unwrap()).collect::<Vec<_>>();
        let of = |exempt: &str| EgressPolicy::of_drivers(&DriverHttpConfig { exempt_networks: nets(exempt), ..Default::default() });
        let strict = EgressPolicy::of_drivers(&DriverHttpConfig::default());
        for denied in
            ["127.0.0.1", "::1", "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "100.100.100.200", "0.0.0.0", "224.0.0.1"]
        {
            assert!(!allows(&strict, denied), "{denied}");
        }
        assert!(allows(&strict, "192.0.2.1") && allows(&strict, "2001:db8::1"));
        let local = of("127.0.0.0/8 169.254.7.0/24");
        assert!(allows(&local, "127.0.0.1") && allows(&local, "::ffff:127.0.0.1") && allows(&local, "169.254.7.9"));
        assert!(!allows(&local, "::1") && !allows(&local, "169.254.169.254"));
        let everything = of("0.0.0.0/0 ::/0");
        for denied in ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"] {
            assert!(!allows(&everything, denied), "{denied}");
        }
    }

    proptest::proptest! {
        /// No way to write an IPv4 address in IPv6 leads to where the address itself does not.
        #[test]
        fn an_address_is_judged_alike_in_every_form(octets: [u8; 4], suffix: u64) {
            let v4 = Ipv4Addr::from(octets);
            let [a, b, c, d] = octets.map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let [e, f, g, h] = [suffix >> 48, suffix >> 32, suffix >> 16, suffix].map(|part| u16::try_from(part & 0xffff).unwrap());
            let nets = ["10.0.0.0/8", "192.0.2.0/24"].map(|net| net.parse::<IpNet>().unwrap());
            let strict = EgressPolicy::of_drivers(&DriverHttpConfig::default());
            let narrow = EgressPolicy::of_drivers(&DriverHttpConfig { denied_networks: nets.to_vec(), ..Default::default() });
            for policy in [strict, narrow] {
                if !policy.allows(v4.into()) {
                    for form in [
                        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                        Ipv6Addr::new(0x2002, high, low, 0, e, f, g, h),
                    ] {
                        proptest::prop_assert!(!policy.allows(form.into()), "{} as {}", v4, form);
                    }
                }
            }
        }
    }

    #[test]
    fn the_hosts_own_addresses_are_known() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        // Of a network for documentation.
        assert!(!is_own("192.0.2.1".parse().unwrap()) && !is_own("2001:db8::1".parse().unwrap()));
        let out = UdpSocket::bind("0.0.0.0:0").unwrap();
        if out.connect("192.0.2.1:9").is_ok() {
            let own = out.local_addr().unwrap().ip();
            assert!(is_own(own) && !EgressPolicy::of_drivers(&DriverHttpConfig::default()).allows(own), "{own}");
            assert!(
                EgressPolicy::new(&ImageConfig { allow_loopback: true, ..Default::default() }).allows(own),
                "images may come from here"
            );
        }
    }

    #[tokio::test]
    async fn urls_are_judged_by_scheme_and_host() {
        let policy = policy(&ImageConfig::default());
        assert!(policy.check("image_source", "http://192.0.2.1/a.raw").await.is_ok());
        for (url, code) in [
            ("file:///etc/passwd", "node.InvalidParameter"),
            ("ftp://192.0.2.1/", "node.InvalidParameter"),
            ("nonsense", "node.InvalidParameter"),
            ("http://127.1/a", "egress.Denied"),
            ("http://0x7f000001/a", "egress.Denied"),
            ("http://[::ffff:7f00:1]/a", "egress.Denied"),
            ("http://localhost/a", "egress.Denied"),
            ("http://169.254.169.254/latest", "egress.Denied"),
        ] {
            let error = policy.check("image_source", url).await.unwrap_err();
            assert_eq!(error.code, code, "{url}");
            assert!(!error.message.contains("127") && error.message.starts_with("image_source"), "{error}");
        }
    }
}
