//! What all HTTP clients of this crate share: why a request failed, and answers of bounded size.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::Response;
use reqwest::redirect::Policy;

use crate::error::{HardwareError, Kind};

/// Why a request has no answer. The text of `reqwest`'s error is never shown: it holds the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No connection; nothing was sent.
    NotConnected,
    /// The server's certificate, or its TLS, was refused; nothing was sent.
    TlsRefused,
    /// The name resolves to an address that policy forbids; nothing was sent.
    Forbidden,
    /// Perhaps sent; no answer in time.
    TimedOut,
    /// Perhaps sent; the connection broke, or the answer is not HTTP.
    Broken,
}

impl Trouble {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if cause::<rustls::Error>(error).is_some() {
            Self::TlsRefused
        } else if cause::<crate::egress::Forbidden>(error).is_some() {
            Self::Forbidden
        } else if error.is_connect() || error.is_builder() {
            Self::NotConnected
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Broken
        }
    }

    /// Whether the server may have seen the request.
    pub(crate) fn may_have_arrived(self) -> bool {
        matches!(self, Self::TimedOut | Self::Broken)
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NotConnected => "no connection",
            Self::TlsRefused => "its certificate or TLS version is refused",
            Self::Forbidden => "the address is not allowed",
            Self::TimedOut => "no answer in time",
            Self::Broken => "the connection broke",
        }
    }
}

/// The first error of type `T` among the causes. An `io::Error` hides what it wraps from `source`.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// A client over `tls`: HTTP/1.1, no redirects, no proxies, few and short-lived idle connections.
pub(crate) fn client(tls: rustls::ClientConfig, connect: Duration, idle: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(connect)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(2)
        .user_agent(concat!("wrought/", env!("CARGO_PKG_VERSION")))
}

pub(crate) fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, HardwareError> {
    builder.build().map_err(|_| HardwareError::new(Kind::Failed, "host.HttpClient", "making an HTTP client failed"))
}

/// Why an answer's body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyTrouble {
    TooLarge,
    Lost(Trouble),
}

/// The body, as long as it is at most `cap` bytes; never more than that is buffered.
pub(crate) async fn body(mut response: Response, cap: usize) -> Result<Vec<u8>, BodyTrouble> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > cap => return Err(BodyTrouble::TooLarge),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(BodyTrouble::Lost(Trouble::of(&error))),
        }
    }
}

/// Text of a stranger made fit for an error: one line, printable, at most `most` characters.
pub(crate) fn tame(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(most).collect()
}
