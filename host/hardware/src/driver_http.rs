//! Requests that drivers make to hosts that they were granted.
//!
//! A name is resolved once, every address is checked by [`EgressPolicy`], and the connection goes to one of those: each request
//! has a client of its own, so nothing is shared between nodes and drivers, neither connections nor cookies.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use url::Host;

pub use url::Url;

use crate::config::{DriverHttpConfig, TlsVersion};
use crate::egress::{self, EgressPolicy};
use crate::error::{HardwareError, Kind};
use crate::http::{self, BodyTrouble, Trouble};
use crate::tls;

const REDIRECTS: usize = 3;

/// The longest URL, in bytes.
const LONGEST_URL: usize = 4096;

/// Headers of a request or an answer, and bytes of all their names and values.
const MOST_HEADERS: usize = 64;
const LARGEST_HEADERS: usize = 16 << 10;

/// No request waits longer: a driver waits for it.
const LONGEST_WAIT: u64 = 9;
const LARGEST_BODY_KIB: u32 = 1024;

/// Headers that are the host's business, would make the server remember, or have it answer so that a secret in it could not be found:
/// packed, in pieces, in another encoding.
const REFUSED: [&str; 18] = [
    "accept-charset",
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What a driver asks.
#[derive(Debug, Clone)]
pub struct DriverRequest {
    /// GET, HEAD, POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Where it goes, as [`destination`] made it.
    pub url: Url,
    /// As [`headers`] made them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// Whether there is a secret in it: then no redirect is followed.
    pub secret: bool,
}

/// What the server answered, whatever the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverAnswer {
    /// For example 200.
    pub status: u16,
    /// Names in lower case. Cookies are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

fn invalid(code: &str, text: impl Into<String>) -> HardwareError {
    HardwareError::new(Kind::InvalidParameter, code, text)
}

fn denied(code: &str, text: impl Into<String>) -> HardwareError {
    HardwareError::new(Kind::Denied, code, text)
}

/// The URL of a request: `http` or `https`, with a host, without an account.
///
/// # Errors
/// `invalid-parameter`, without the text of the URL.
pub fn destination(url: &str) -> Result<Url, HardwareError> {
    const CODE: &str = "http.InvalidUrl";
    if url.len() > LONGEST_URL {
        return Err(invalid(CODE, format!("the URL is longer than {LONGEST_URL} bytes")));
    }
    // The parser would take these out in silence.
    if url.chars().any(|c| c.is_control() || c == ' ' || c == '\\') {
        return Err(invalid(CODE, "the URL has a blank, a backslash or a control character"));
    }
    let mut url = Url::parse(url).map_err(|_| invalid(CODE, "this is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(CODE, "only http and https URLs are accepted"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(CODE, "the URL has an account; put it into a header by a secret reference"));
    }
    url.set_fragment(None);
    let undotted = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned);
    if let Some(host) = undotted {
        url.set_host(Some(&host)).map_err(|_| invalid(CODE, "the URL has no host"))?;
    }
    Ok(url)
}

/// The method of a request.
///
/// # Errors
/// `invalid-parameter` for another one than drivers can send.
pub fn method(name: &str) -> Result<Method, HardwareError> {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    known.into_iter().find(|method| method.as_str() == name).ok_or_else(|| invalid("http.InvalidMethod", "drivers cannot send this method"))
}

/// The headers of a request.
///
/// # Errors
/// `invalid-parameter` for what is no header, `denied` for one that is the host's business, `limit-exceeded` for too many. No value
/// is repeated.
pub fn headers<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<HeaderMap, HardwareError> {
    let mut headers = HeaderMap::new();
    let mut size = 0_usize;
    for (name, value) in given {
        size = size.saturating_add(name.len()).saturating_add(value.len());
        if headers.len() >= MOST_HEADERS || size > LARGEST_HEADERS {
            let text = format!("a request has at most {MOST_HEADERS} headers of {} KiB in all", LARGEST_HEADERS >> 10);
            return Err(HardwareError::new(Kind::LimitExceeded, "http.TooManyHeaders", text));
        }
        let shown = http::tame(name, 60);
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid("http.InvalidHeader", format!("{shown:?} is no name of a header")))?;
        if REFUSED.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
            return Err(denied("http.ForbiddenHeader", format!("the header {name} is set by the host alone")));
        }
        let text = || format!("the value of the header {name} is not fit for one: use printable ASCII on one line");
        let printable = value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
        let value = HeaderValue::from_str(value).ok().filter(|_| printable);
        let mut value = value.ok_or_else(|| invalid("http.InvalidHeader", text()))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Sends drivers' requests.
pub struct DriverHttp {
    config: DriverHttpConfig,
    policy: Arc<EgressPolicy>,
    tls: rustls::ClientConfig,
    own_ports: Vec<u16>,
}

impl DriverHttp {
    /// `own_ports` are those of this host's API, which no setting opens to drivers.
    ///
    /// # Errors
    /// `verify_ca` names a file that is none of certificates.
    pub fn new(mut config: DriverHttpConfig, own_ports: Vec<u16>) -> Result<Self, HardwareError> {
        config.request_timeout = config.request_timeout.clamp(1, LONGEST_WAIT);
        config.max_body_kib = config.max_body_kib.min(LARGEST_BODY_KIB);
        let tls = tls::verified_by(&config.verify_ca, TlsVersion::V1_2)?;
        Ok(Self { policy: EgressPolicy::of_drivers(&config), tls, own_ports, config })
    }

    /// The longest body of a request or an answer, in bytes.
    pub fn max_body(&self) -> usize {
        usize::try_from(self.config.max_body_kib).unwrap_or(usize::MAX).saturating_mul(1 << 10)
    }

    /// Whether a body is not too large: `limit-exceeded`.
    pub fn check_body(&self, body: &[u8]) -> Result<(), HardwareError> {
        if body.len() > self.max_body() {
            let text = format!("the body is larger than {} KiB", self.config.max_body_kib);
            return Err(HardwareError::new(Kind::LimitExceeded, "http.BodyTooLarge", text));
        }
        Ok(())
    }

    /// Sends a request; `granted` says whether a method may go to a URL. GET and HEAD follow up to 3 redirects, each judged like
    /// the first URL; from one origin to another only `accept` goes along.
    ///
    /// # Errors
    /// `denied` for a URL that was not granted or leads to an address that may not be reached, `timeout`, `outcome-unknown` when a
    /// request that changes something may have arrived, `limit-exceeded` for an answer that is too large, `failed`, also for one that
    /// is compressed. No error repeats a URL.
    pub async fn send(&self, request: DriverRequest, granted: impl Fn(&Method, &Url) -> bool) -> Result<DriverAnswer, HardwareError> {
        self.check_body(request.body.as_deref().unwrap_or_default())?;
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        let deadline = Instant::now() + Duration::from_secs(self.config.request_timeout);
        let follows = reads && !request.secret;
        let DriverRequest { method, mut url, mut headers, body, .. } = request;
        let mut hops = 0;
        loop {
            if !granted(&method, &url) {
                let where_to = if hops == 0 { "this request's" } else { "a redirect's" };
                let text = format!("{where_to} method, scheme, host and port were not granted to this driver");
                return Err(denied("http.NotGranted", text));
            }
            let response = self.exchange(&method, &url, &headers, body.as_ref(), deadline).await?;
            let Some(next) = Some(&response).filter(|_| follows).and_then(|response| redirect(&url, response)) else {
                return self.answer(response, reads, deadline).await;
            };
            hops += 1;
            if hops > REDIRECTS {
                return Err(HardwareError::new(Kind::Failed, "http.Redirects", format!("more than {REDIRECTS} redirects")));
            }
            let next = destination(&next?)?;
            if next.origin() != url.origin() {
                headers = headers.get_all(header::ACCEPT).iter().map(|value| (header::ACCEPT, value.clone())).collect();
            }
            url = next;
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&Vec<u8>>,
        deadline: Instant,
    ) -> Result<reqwest::Response, HardwareError> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let addresses =
            tokio::time::timeout_at(deadline, self.addresses(url)).await.map_err(|_| trouble(Trouble::NotConnected, reads))??;
        let connect = Duration::from_secs(self.config.connect_timeout.max(1));
        let builder = http::client(self.tls.clone(), connect, Duration::ZERO).pool_max_idle_per_host(0);
        let host = url.host_str().unwrap_or_default();
        let client = http::built(builder.resolve_to_addrs(host, &addresses))?;
        let mut request = client.request(method.clone(), url.clone()).headers(headers.clone());
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if let Some(body) = body {
            request = request.body(body.clone());
        }
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(trouble(Trouble::of(&error), reads)),
            Err(_) => Err(trouble(Trouble::TimedOut, reads)),
        }
    }

    /// Where a URL leads, each address checked.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, HardwareError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Ipv6(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Domain(name)) => {
                let not_resolved = |_| HardwareError::new(Kind::Failed, "http.NotResolved", "the host's name does not resolve");
                tokio::net::lookup_host((name, port)).await.map_err(not_resolved)?.collect()
            }
            None => return Err(invalid("http.InvalidUrl", "the URL has no host")),
        };
        if found.is_empty() {
            return Err(HardwareError::new(Kind::Failed, "http.NotResolved", "the host's name does not resolve"));
        }
        let by_name = matches!(url.host(), Some(Host::Domain(_)));
        if found.iter().any(|address| !self.may_reach(address.ip(), port, by_name)) {
            let text =
                "the URL leads to an address that drivers may not reach ([driver_http] allowed_networks, denied_networks, exempt_networks)";
            return Err(denied("http.AddressDenied", text));
        }
        Ok(found)
    }

    fn may_reach(&self, address: IpAddr, port: u16, by_name: bool) -> bool {
        let allowed = if by_name { self.policy.allows_for_name(address) } else { self.policy.allows(address) };
        allowed && !(self.own_ports.contains(&port) && egress::is_this_host(address))
    }

    async fn answer(&self, response: reqwest::Response, reads: bool, deadline: Instant) -> Result<DriverAnswer, HardwareError> {
        let status = response.status().as_u16();
        let kept = response.headers().iter().filter(|(name, _)| !name.as_str().starts_with("set-cookie"));
        let headers: Vec<(String, String)> =
            kept.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        let too_large =
            |what: &str| HardwareError::new(Kind::LimitExceeded, "http.AnswerTooLarge", format!("{what} of the answer are too large"));
        if headers.len() > MOST_HEADERS || headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > LARGEST_HEADERS {
            return Err(too_large("the headers"));
        }
        let is_packed = is_packed(response.headers());
        match tokio::time::timeout_at(deadline, http::body(response, self.max_body())).await {
            Ok(Ok(body)) if is_packed && !body.is_empty() => {
                let text = "the answer is compressed, although that was not asked for: nobody could find a secret in it";
                Err(HardwareError::new(Kind::Failed, "http.EncodedAnswer", text))
            }
            Ok(Ok(body)) => Ok(DriverAnswer { status, headers, body }),
            Ok(Err(BodyTrouble::TooLarge)) => Err(too_large("the bytes")),
            Ok(Err(BodyTrouble::Lost(why))) => Err(trouble(why, reads)),
            Err(_) => Err(trouble(Trouble::TimedOut, reads)),
        }
    }
}

/// Whether the bytes are not those of the text itself.
fn is_packed(headers: &HeaderMap) -> bool {
    let codings = [header::CONTENT_ENCODING, header::TRANSFER_ENCODING].into_iter().flat_map(|name| headers.get_all(name));
    let plain = |coding: &str| ["", "chunked", "identity"].iter().any(|plain| coding.trim().eq_ignore_ascii_case(plain));
    codings.into_iter().any(|value| !value.to_str().is_ok_and(|codings| codings.split(',').all(plain)))
}

/// Where a redirect leads.
fn redirect(url: &Url, response: &reqwest::Response) -> Option<Result<String, HardwareError>> {
    let moved = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = response.headers().get(header::LOCATION).filter(|_| moved.contains(&response.status()))?;
    let nowhere = || HardwareError::new(Kind::Failed, "http.Redirects", "the server redirects to nowhere");
    let next = location.to_str().ok().and_then(|location| url.join(location).ok());
    Some(next.map(String::from).ok_or_else(nowhere))
}

fn trouble(trouble: Trouble, reads: bool) -> HardwareError {
    let text = format!("the server gave no answer: {}", trouble.text());
    let (kind, code) = match trouble {
        Trouble::Forbidden => (Kind::Denied, "http.AddressDenied"),
        Trouble::TlsRefused => (Kind::Failed, "http.TlsRefused"),
        Trouble::NotConnected => (Kind::Failed, "http.Unreachable"),
        Trouble::TimedOut if reads => (Kind::Timeout, "http.NoAnswer"),
        Trouble::Broken if reads => (Kind::Failed, "http.NoAnswer"),
        Trouble::TimedOut | Trouble::Broken => (Kind::OutcomeUnknown, "http.NoAnswer"),
    };
    HardwareError::new(kind, code, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_private_address_is_reached_as_an_address_and_not_by_a_name() {
        let http = DriverHttp::new(DriverHttpConfig::default(), vec![8080]).unwrap();
        let private: IpAddr = "10.1.2.3".parse().unwrap();
        assert_eq!(http.addresses(&destination("http://10.1.2.3/").unwrap()).await.unwrap(), [SocketAddr::new(private, 80)]);
        assert!(!http.may_reach(private, 80, true) && http.may_reach("192.0.2.1".parse().unwrap(), 80, true));
    }

    #[test]
    fn a_compressed_answer_is_known_by_its_headers() {
        let of = |name: &'static str, value: &'static str| {
            is_packed(
                &[(name, value)]
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                    .into_iter()
                    .collect(),
            )
        };
        for (name, value) in [("content-encoding", "gzip"), ("content-encoding", "identity, br"), ("transfer-encoding", "gzip, chunked")] {
            assert!(of(name, value), "{name}: {value}");
        }
        for (name, value) in [("content-encoding", "Identity"), ("content-encoding", ""), ("transfer-encoding", "chunked"), ("x", "gzip")] {
            assert!(!of(name, value), "{name}: {value}");
        }
    }
}
