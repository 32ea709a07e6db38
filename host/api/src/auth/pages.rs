//! Web pages: a browser sends what any page tells it to, with the credentials that it knows, or to a host that asks for none.

use std::net::IpAddr;

use http::{HeaderMap, Method, Uri, header};

/// Whether a page that is not this host's own sends a change. Browsers name the page's origin with each one; no other client does.
/// A name that was made to lead here is as foreign as any other, so that only addresses, `localhost` and the name that the
/// configuration gives to the API are its own.
pub(crate) fn foreign(method: &Method, headers: &HeaderMap, endpoint: Option<&str>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| !method.is_safe()) else { return false };
    let authority = |url: &str| url.parse::<Uri>().ok()?.authority().map(|authority| authority.as_str().to_owned());
    let Some(page) = origin.to_str().ok().and_then(authority) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = endpoint.and_then(authority);
    let own = named.as_deref() == Some(page.as_str()) || (host == Some(page.as_str()) && is_address(&page));
    !own
}

fn is_address(authority: &str) -> bool {
    let Some(host) = authority.parse::<http::uri::Authority>().ok().map(|authority| authority.host().to_owned()) else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign(method: Method, host: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap_or_else(|_| header::HeaderValue::from_static("")));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, header::HeaderValue::from_static(origin));
        }
        foreign(&method, &headers, Some("https://deploy.example:6385"))
    }

    #[test]
    fn changes_are_taken_from_programs_and_from_pages_of_this_host_alone() {
        for (host, origin) in [
            ("127.0.0.1:6385", None),
            ("anything.example", None),
            ("127.0.0.1:6385", Some("http://127.0.0.1:6385")),
            ("[::1]:6385", Some("http://[::1]:6385")),
            ("localhost:6385", Some("http://localhost:6385")),
            ("proxy.internal", Some("https://deploy.example:6385")),
        ] {
            assert!(!is_foreign(Method::POST, host, origin), "{host} {origin:?}");
        }
        for (host, origin) in [
            ("127.0.0.1:6385", "http://evil.example"),
            ("127.0.0.1:6385", "null"),
            ("evil.example:6385", "http://evil.example:6385"),
            ("127.0.0.1:6385", "http://127.0.0.1:8000"),
        ] {
            assert!(is_foreign(Method::POST, host, Some(origin)), "{host} {origin}");
            assert!(!is_foreign(Method::GET, host, Some(origin)), "looking is not answered to another page by the browser");
        }
    }
}
