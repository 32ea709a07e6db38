//! Tells an operator's receivers of events: one POST at a time, no redirects, nothing of the answer but its status.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use crate::config::{TlsVersion, VerifyCa};
use crate::driver_http::destination;
use crate::egress::EgressPolicy;
use crate::error::{HardwareError, Kind};
use crate::http::{self, Trouble};
use crate::tls;

const CONNECT: Duration = Duration::from_secs(5);
/// Longer than between two events of a busy host.
const IDLE: Duration = Duration::from_secs(30);

/// Why a receiver did not take a message. It may have arrived all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The receiver answered with another status than 2xx.
    #[error("the receiver answered {0}")]
    Status(u16),
    /// The address is loopback, link-local or a metadata service; see `allow_loopback`.
    #[error("the URL leads to an address that is not allowed (see allow_loopback)")]
    Forbidden,
    /// There was no answer; the text says why and holds no URL.
    #[error("{0}")]
    Failed(&'static str),
}

/// One receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    http: reqwest::Client,
    policy: Arc<EgressPolicy>,
    url: Url,
}

impl Receiver {
    /// The receiver at `url`. Certificates are verified by `verify`; a message is given up after `timeout`.
    ///
    /// # Errors
    /// `invalid-parameter` when `url` is none of `http` or `https`, or `verify` names a file that is none of certificates.
    pub fn new(url: &str, verify: &VerifyCa, allow_loopback: bool, timeout: Duration) -> Result<Self, HardwareError> {
        let url = destination(url)?;
        let policy = EgressPolicy::of_webhooks(allow_loopback);
        let tls = tls::verified_by(verify, TlsVersion::V1_2)?;
        let builder = http::client(tls, CONNECT.min(timeout), IDLE).timeout(timeout).dns_resolver(policy.clone());
        Ok(Self { http: http::built(builder)?, policy, url })
    }

    /// Sends a message; the receiver has it when it answers 2xx.
    ///
    /// # Errors
    /// [`Undelivered`].
    pub async fn post(&self, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<(), Undelivered> {
        // An address is never resolved, so the client's resolver does not see it.
        let address = match self.url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        };
        if address.is_some_and(|address| !self.policy.allows(address)) {
            return Err(Undelivered::Forbidden);
        }
        let mut sent = HeaderMap::new();
        sent.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| Undelivered::Failed("a header cannot be sent"))?;
            sent.insert(HeaderName::from_static(name), value);
        }
        let request = self.http.post(self.url.clone()).headers(sent).body(body);
        let answer = request.send().await.map_err(|error| match Trouble::of(&error) {
            Trouble::Forbidden => Undelivered::Forbidden,
            trouble => Undelivered::Failed(trouble.text()),
        })?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(Undelivered::Status(status.as_u16())) }
    }
}

/// That `text` refers to a secret that is kept elsewhere; a secret in a configuration file is read by too many.
///
/// # Errors
/// `invalid-parameter`, naming `key`.
pub fn must_refer(key: &str, text: &str) -> Result<(), HardwareError> {
    if wrought_domain::reference::Reference::of(text).is_some() {
        return Ok(());
    }
    let why = format!("{key}: name where the secret is kept, file:/absolute/path or env:NAME, instead of the secret (see [secrets])");
    Err(HardwareError::new(Kind::InvalidParameter, "secret.Reference", why))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn this_host_and_metadata_services_are_reached_only_when_that_is_allowed() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let post = async |url: &str, allow| {
            let receiver = Receiver::new(url, &VerifyCa::Switch(true), allow, Duration::from_secs(2)).unwrap();
            receiver.post(&[("webhook-id", "1".into())], b"{}".to_vec()).await.unwrap_err()
        };
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(post(&format!("http://127.0.0.1:{closed}/x"), false).await, Undelivered::Forbidden);
        assert_eq!(post(&format!("http://localhost:{closed}/x"), false).await, Undelivered::Forbidden);
        assert_eq!(post(&format!("http://127.0.0.1:{closed}/x"), true).await, Undelivered::Failed("no connection"));
        for metadata in ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/"] {
            assert_eq!(post(metadata, true).await, Undelivered::Forbidden, "{metadata}");
        }
        for wrong in ["ftp://192.0.2.1/", "192.0.2.1", "https://user:pw@192.0.2.1/"] {
            Receiver::new(wrong, &VerifyCa::Switch(true), true, CONNECT).unwrap_err();
        }
    }

    #[test]
    fn a_secret_itself_is_refused() {
        must_refer("webhook.ops.secret", "env:WROUGHT_SECRET_OPS").unwrap();
        let error = must_refer("webhook.ops.secret", "whsec_canary").unwrap_err();
        assert!(error.message.starts_with("webhook.ops.secret: ") && !error.message.contains("canary"));
    }
}
