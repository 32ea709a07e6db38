//! What a grant of `http` may name: methods, scheme, host and port, such as `GET+POST@https://fw.example.com:8443`.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The longest text of a destination, in bytes.
const LONGEST: usize = 300;

/// Methods that a driver can send, in the order in which they are shown.
pub const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Where a driver may send requests, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Nothing for all.
    methods: Option<Vec<&'static str>>,
    https: bool,
    host: Host<String>,
    port: u16,
}

/// A text that is no [`Destination`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "http destination {text:?}: {why}; write METHODS@SCHEME://HOST:PORT, such as GET+POST@https://fw.example.com:8443 or *@http://192.0.2.7"
)]
pub struct InvalidDestination {
    /// What was given, cut.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        parse(text).map_err(|why| InvalidDestination { text: text.chars().take(80).collect(), why })
    }
}

fn parse(text: &str) -> Result<Destination, &'static str> {
    if text.len() > LONGEST {
        return Err("it is too long");
    }
    let (methods, origin) = text.split_once('@').ok_or("the methods are missing")?;
    let known = |name: &str| METHODS.iter().copied().find(|known| *known == name);
    let methods = match methods {
        "*" => None,
        list => {
            let mut named =
                list.split('+').map(known).collect::<Option<Vec<_>>>().ok_or("methods are GET, HEAD, POST, PUT, PATCH, DELETE")?;
            named.sort_by_key(|name| METHODS.iter().position(|known| known == name));
            named.dedup();
            Some(named)
        }
    };
    // The parser forgives backslashes, blanks and the like: what is granted is read by people, too.
    if !origin.bytes().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii()) || origin.contains(['\\', '?', '#', '*', '@', '%']) {
        return Err("the host must be named in plain");
    }
    let url = Url::parse(origin).map_err(|_| "it is no URL of a host")?;
    let https = is_https(&url).ok_or("the scheme must be http or https")?;
    let rest = origin.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    if url.path() != "/" || !rest.is_empty() {
        return Err("it must have no path: destinations are whole hosts");
    }
    let host = host(&url).ok_or("the host is missing")?;
    let port = url.port_or_known_default().filter(|port| *port != 0).ok_or("the port is missing")?;
    Ok(Destination { methods, https, host, port })
}

fn is_https(url: &Url) -> Option<bool> {
    match url.scheme() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// The host as it is compared: lower case, in ASCII, an address in its one form, no dot at the end.
fn host(url: &Url) -> Option<Host<String>> {
    match url.host()? {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            (!name.is_empty() && !name.ends_with('.')).then(|| Host::Domain(name.to_ascii_lowercase()))
        }
        Host::Ipv4(address) => Some(Host::Ipv4(address)),
        Host::Ipv6(address) => Some(Host::Ipv6(address)),
    }
}

impl Destination {
    /// Whether a request with this method (`GET`) to `url` goes there. A name is never taken for the address that it resolves to,
    /// nor an address for a name.
    pub fn permits(&self, method: &str, url: &Url) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(&method)) && self.holds(url)
    }

    /// Whether `url` is at this host and port, by this scheme.
    pub fn holds(&self, url: &Url) -> bool {
        is_https(url) == Some(self.https) && url.port_or_known_default() == Some(self.port) && host(url).as_ref() == Some(&self.host)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.methods.as_ref().map_or_else(|| "*".to_owned(), |methods| methods.join("+"));
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{methods}@{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn permits(grant: &str, method: &str, url: &str) -> bool {
        grant.parse::<Destination>().unwrap().permits(method, &Url::parse(url).unwrap())
    }

    #[test]
    fn a_destination_is_scheme_host_port_and_methods() {
        let grant = "GET+POST@https://fw.example.com:8443";
        assert!(permits(grant, "GET", "https://fw.example.com:8443/a?b=c"));
        assert!(permits(grant, "POST", "https://FW.Example.Com.:8443/"));
        for (method, url) in [
            ("PUT", "https://fw.example.com:8443/"),
            ("GET", "http://fw.example.com:8443/"),
            ("GET", "https://fw.example.com/"),
            ("GET", "https://fw.example.com:8444/"),
            ("GET", "https://fw.example.com.evil.org:8443/"),
            ("GET", "https://evil.org:8443/fw.example.com"),
            ("GET", "https://a.fw.example.com:8443/"),
            ("GET", "https://fw.example.com@evil.org:8443/"),
            ("GET", "ftp://fw.example.com:8443/"),
        ] {
            assert!(!permits(grant, method, url), "{method} {url}");
        }
        assert!(permits("*@http://fw.example.com", "DELETE", "http://fw.example.com:80/"));
        assert!(!permits("*@http://fw.example.com", "GET", "https://fw.example.com/"));
    }

    #[test]
    fn names_are_compared_as_they_are_looked_up() {
        assert!(permits("GET@https://bücher.example", "GET", "https://xn--bcher-kva.example/"));
        assert!(permits("GET@https://FW.example.", "GET", "https://fw.example/"));
        assert!(!permits("GET@https://localhost", "GET", "https://127.0.0.1/"));
        assert!(!permits("GET@https://127.0.0.1", "GET", "https://localhost/"));
        // All forms of an address are the address, so what is granted is what is meant.
        assert!(permits("GET@http://127.0.0.1", "GET", "http://2130706433/") && permits("GET@http://127.0.0.1", "GET", "http://0x7f.1/"));
        assert!(!permits("GET@http://127.0.0.1", "GET", "http://[::ffff:127.0.0.1]/"));
        assert!(permits("GET@http://[2001:db8::1]:8080", "GET", "http://[2001:DB8:0::1]:8080/"));
    }

    #[test]
    fn what_is_no_destination_says_why() {
        for (text, why) in [
            ("https://fw.example.com", "methods"),
            ("get@https://fw.example.com", "GET, HEAD"),
            ("GET,POST@https://fw.example.com", "GET, HEAD"),
            ("CONNECT@https://fw.example.com", "GET, HEAD"),
            ("@https://fw.example.com", "GET, HEAD"),
            ("GET@ftp://fw.example.com", "scheme"),
            ("GET@fw.example.com", "no URL"),
            ("GET@https://", "no URL"),
            ("GET@https://*.example.com", "plain"),
            ("GET@https://user@fw.example.com", "plain"),
            ("GET@https://fw.example.com/firmware", "no path"),
            ("GET@https://fw.example.com/.", "no path"),
            ("GET@https://fw.example.com?x", "plain"),
            ("GET@https:\\\\fw.example.com", "plain"),
            ("GET@https://fw.example.com:0", "port"),
            ("GET@https://fw.example.com..", "host"),
            ("GET@https:// fw.example.com", "plain"),
        ] {
            let error = text.parse::<Destination>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("GET+POST@https://"), "{text}: {error}");
        }
        assert!(format!("GET@https://{}.example", "x".repeat(400)).parse::<Destination>().is_err());
    }

    #[test]
    fn a_destination_is_written_in_one_way() {
        for (text, written) in [
            ("POST+GET+GET@https://FW.example.com", "GET+POST@https://fw.example.com:443"),
            ("*@http://[2001:db8::1]", "*@http://[2001:db8::1]:80"),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(destination.to_string(), written);
            assert_eq!(destination, written.parse().unwrap());
        }
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_another_host(text in "\\PC{0,60}", prefix in "(GET|\\*)@https?://[a-z0-9.:@/\\\\\\[\\]%-]{0,30}") {
            for text in [text, prefix] {
                let Ok(destination) = text.parse::<Destination>() else { continue };
                prop_assert_eq!(&destination, &destination.to_string().parse::<Destination>().unwrap());
                prop_assert!(!destination.permits("GET", &Url::parse("https://granted.to.nobody.example/").unwrap()));
            }
        }
    }
}
