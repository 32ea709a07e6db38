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
//! | IPv6 forms of any of these | IPv4-mapped, -compatible and -translated, 64:ff9b::/96, 64:ff9b:1::/48, 2002::/16, Teredo, ISATAP |
//! | what is configured | `denied_networks`; all but `allowed_networks` if there are any |
//!
//! For the requests of drivers the addresses of this host's own interfaces are denied as well, and where a **name** leads to private
//! networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7, fec0::/10): whoever has the name could choose any
//! machine there. `exempt_networks` takes addresses out of the first three rows and these, `allowed_networks` out of the last.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::{DriverHttpConfig, ImageConfig};
use crate::error::{HardwareError, Kind};

/// The code of the error for a name that does not resolve here.
pub const NOT_RESOLVED: &str = "egress.NotResolved";

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

    /// The policy of webhooks. Operators write their URLs, so networks of their own are reached by name, too.
    pub fn of_webhooks(allow_loopback: bool) -> Arc<Self> {
        Arc::new(Self { allow_loopback, spare_own: !allow_loopback, exempt: Vec::new(), allowed: Vec::new(), denied: Vec::new() })
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

    /// Whether a connection to `address` is allowed that a name led to: one in a private network only where that was listed.
    pub fn allows_for_name(&self, address: IpAddr) -> bool {
        let forms = forms(address);
        let is_listed = || self.exempt.iter().chain(&self.allowed).any(|net| forms.iter().any(|form| net.contains(form)));
        self.allows(address) && (!forms.iter().copied().any(is_private) || is_listed())
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
                    HardwareError::new(Kind::InvalidParameter, NOT_RESOLVED, format!("{key}: the host's name does not resolve"))
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

/// The address, and the IPv4 addresses that it may stand for in one of IPv6's ways.
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
        (0x64, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0xffff, 0) => vec![address, v4(g, h)],
        (0x64, 0xff9b, 1, ..) => [address].into_iter().chain(translated(v6)).collect(),
        (0x2002, ..) => vec![address, v4(b, c)],
        // Teredo: its server, and its client with all bits turned.
        (0x2001, 0, ..) => vec![address, v4(c, d), v4(!g, !h)],
        // ISATAP, within any prefix.
        (_, _, _, _, 0 | 0x200, 0x5efe) => vec![address, v4(g, h)],
        _ => vec![address],
    }
}

/// What a translator's prefix of 48, 56, 64 or 96 bits would make of an address (RFC 6052, 2.2): nobody else knows which one it has.
fn translated(v6: Ipv6Addr) -> impl Iterator<Item = IpAddr> {
    let [_, _, _, _, _, _, b6, b7, _, b9, b10, b11, b12, b13, b14, b15] = v6.octets();
    let places = [[b6, b7, b9, b10], [b7, b9, b10, b11], [b9, b10, b11, b12], [b12, b13, b14, b15]];
    // Zeros are those of the prefix.
    places.into_iter().filter(|[first, ..]| *first != 0).map(|octets| IpAddr::V4(octets.into()))
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
    begins_at(address, from())
}

/// Whether the way to `address` begins there. Where there is none it leads nowhere; where nobody can tell, it does.
fn begins_at(address: IpAddr, from: io::Result<IpAddr>) -> bool {
    const NO_WAY: [io::ErrorKind; 3] = [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable, io::ErrorKind::AddrNotAvailable];
    from.map_or_else(|error| !NO_WAY.contains(&error.kind()), |from| from == address)
}

/// Of a network that is somebody's own.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || matches!(v4.octets(), [100, 64..=127, ..]),
        IpAddr::V6(v6) => v6.is_unique_local() || matches!(v6.segments(), [0xfec0..=0xfeff, ..]),
    }
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
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:7f00:0:100::",
            "64:ff9b:1:7f:0:1::",
            "64:ff9b:1:0:7f:0:100:0",
            "::ffff:0:169.254.169.254",
            "2001:0:5601:5601:0:0:5601:5601",
            "2001:db8::5efe:127.0.0.1",
            "2001:db8::200:5efe:169.254.169.254",
        ] {
            assert!(!allows(&policy, denied), "{denied}");
        }
        for allowed in [
            "192.0.2.1",
            "10.1.2.3",
            "172.16.0.1",
            "2001:db8::1",
            "fd00::1",
            "64:ff9b::c000:201",
            "64:ff9b:1::c000:201",
            "::ffff:192.0.2.1",
        ] {
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
                        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                        Ipv6Addr::new(0x2001, 0, e, f, g, h, !high, !low),
                        Ipv6Addr::new(0x2001, 0xdb8, e, f, 0x200, 0x5efe, high, low),
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

    #[test]
    fn a_name_leads_to_private_networks_only_where_these_are_listed() {
        let nets = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        let private =
            ["10.1.2.3", "172.31.0.1", "192.168.7.7", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"];
        let strict = EgressPolicy::of_drivers(&DriverHttpConfig::default());
        for address in private.map(|address| address.parse().unwrap()) {
            assert!(strict.allows(address) && !strict.allows_for_name(address), "{address}");
        }
        let public: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(strict.allows_for_name(public));
        let ten: IpAddr = "10.1.2.3".parse().unwrap();
        for config in [
            DriverHttpConfig { exempt_networks: nets("10.0.0.0/8"), ..Default::default() },
            DriverHttpConfig { allowed_networks: nets("10.1.0.0/16"), ..Default::default() },
        ] {
            let policy = EgressPolicy::of_drivers(&config);
            assert!(policy.allows_for_name(ten) && !policy.allows_for_name("192.168.7.7".parse().unwrap()));
        }
        let loopback = EgressPolicy::of_drivers(&DriverHttpConfig { exempt_networks: nets("127.0.0.0/8"), ..Default::default() });
        assert!(loopback.allows_for_name("127.0.0.1".parse().unwrap()) && !strict.allows_for_name("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_found_out_counts_as_this_host() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(begins_at(address, Ok(address)) && !begins_at(address, Ok("192.0.2.2".parse().unwrap())));
        assert!(begins_at(address, Err(io::Error::other("no more files"))));
        assert!(begins_at(address, Err(io::ErrorKind::PermissionDenied.into())));
        assert!(!begins_at(address, Err(io::ErrorKind::NetworkUnreachable.into())), "without a way there is none to itself");
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
