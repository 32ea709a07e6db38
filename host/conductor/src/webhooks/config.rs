//! `[webhook.NAME]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wrought_hardware::webhook::{Receiver, must_refer};
use wrought_hardware::{HardwareError, Kind, VerifyCa};

/// A receiver of events, told by signed POST requests (Standard Webhooks) in the order of events, each at least once. It begins with
/// the first event after it was configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where events are sent: an `http` or `https` URL. Redirects are not followed.
    pub url: String,
    /// Where the key of the signature is kept: `file:/absolute/path` or `env:NAME`, as `[secrets]` allows. What begins with `whsec_`
    /// is base64 behind it, else the text is the key. It is read for each message.
    pub secret: String,
    /// The kinds of events that are told; all if empty: created, deleted, queued, started, transition, step-started, step-finished,
    /// waiting, failed, finished, aborted, maintenance, power.
    pub kinds: Vec<String>,
    /// Whether the receiver may be on this host. Link-local addresses and the metadata services of clouds are refused always.
    pub allow_loopback: bool,
    /// How the receiver's certificate is verified.
    pub verify_ca: VerifyCa,
    /// Seconds until a message that is not answered counts as failed.
    pub timeout: u32,
    /// Seconds that the pause between two tries of a message grows to.
    pub max_pause: u32,
    /// Events that a receiver may be behind, of any kind; beyond, the oldest are skipped, and the next message says how many.
    pub max_behind: u32,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: String::new(),
            kinds: ["transition", "failed", "aborted", "maintenance"].map(str::to_owned).to_vec(),
            allow_loopback: false,
            verify_ca: VerifyCa::Switch(true),
            timeout: 10,
            max_pause: 300,
            max_behind: 100_000,
        }
    }
}

pub(crate) fn invalid(text: String) -> HardwareError {
    HardwareError::new(Kind::InvalidParameter, "wrought.Webhook", text)
}

impl WebhookConfig {
    /// That it can be told at all.
    pub(crate) fn check(&self) -> Result<(), HardwareError> {
        if self.url.is_empty() {
            return Err(invalid("url is missing: say where events are sent".into()));
        }
        if self.timeout == 0 || self.max_pause == 0 || self.max_behind == 0 {
            return Err(invalid("timeout, max_pause and max_behind must be 1 or more".into()));
        }
        must_refer("secret", &self.secret)
    }

    pub(crate) fn receiver(&self) -> Result<Receiver, HardwareError> {
        Receiver::new(&self.url, &self.verify_ca, self.allow_loopback, Duration::from_secs(self.timeout.into()))
    }
}
