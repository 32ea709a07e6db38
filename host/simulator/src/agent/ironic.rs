//! What an agent asks of the Ironic API: its version, its node, and to be heard.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

const VERSION_HEADER: &str = "X-OpenStack-Ironic-API-Version";
const LOOKUP_VERSION: Version = Version(1, 62);
const HEARTBEAT_VERSION: Version = Version(1, 68);
/// What an API is taken for that does not tell its version.
const FALLBACK: Version = Version(1, 31);
/// Answers larger than this are no answers.
const MAX_ANSWER: usize = 8 << 20;

/// A version of the API, `1.<minor>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub u32, pub u32);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Why the API gave no useful answer. Never holds a body: it may carry the token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("request to the API")]
    Request(#[from] reqwest::Error),
    #[error("the API answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the API's answer is too large")]
    TooLarge,
    #[error("the API's answer is not what a lookup answers")]
    Malformed(#[from] serde_json::Error),
}

/// What a lookup found.
#[derive(Debug)]
pub(crate) struct Found {
    pub node_uuid: String,
    pub heartbeat_timeout: Duration,
    pub token: Option<String>,
}

#[derive(Deserialize)]
struct Lookup {
    node: LookupNode,
    config: LookupConfig,
}

#[derive(Deserialize)]
struct LookupNode {
    uuid: String,
}

#[derive(Deserialize)]
struct LookupConfig {
    heartbeat_timeout: u32,
    agent_token: Option<String>,
}

/// What each heartbeat of one agent says.
pub(crate) struct Heartbeat {
    pub node_uuid: String,
    pub callback_url: String,
    pub token: Option<String>,
    /// The agent's certificate, PEM.
    pub verify_ca: Option<String>,
}

/// The API at one URL.
pub(crate) struct Ironic<'a> {
    client: &'a reqwest::Client,
    base: &'a str,
    version: OnceLock<Version>,
}

impl<'a> Ironic<'a> {
    pub fn new(client: &'a reqwest::Client, url: &'a str) -> Self {
        Self { client, base: url.trim_end_matches('/'), version: OnceLock::new() }
    }

    /// The newest version that the API serves. As a real agent, it asks again until it was told once: the API may be down just now.
    pub async fn version(&self) -> Version {
        if let Some(version) = self.version.get() {
            return *version;
        }
        let asked = async {
            let request = self.client.get(format!("{}/", self.base)).header("Accept", "application/json");
            let body: Value = serde_json::from_slice(&answer(request).await?)?;
            Ok::<_, AskError>(body.pointer("/default_version/version").and_then(Value::as_str).and_then(Version::parse))
        };
        match asked.await {
            Ok(Some(version)) => *self.version.get_or_init(|| version),
            Ok(None) => FALLBACK,
            Err(error) => {
                tracing::debug!(%error, "version of the API");
                FALLBACK
            }
        }
    }

    /// Posts what was found on the machine; the node that it is of. Without a version, as real agents do.
    pub async fn inspect(&self, findings: &Value) -> Result<String, AskError> {
        let request = self.client.post(format!("{}/v1/continue_inspection", self.base)).json(findings);
        let answered: LookupNode = serde_json::from_slice(&answer(request).await?)?;
        Ok(answered.uuid)
    }

    /// Finds the node that has a port with this MAC address, or that an inspection named.
    pub async fn look_up(&self, mac: &str, inspected: Option<&str>) -> Result<Found, AskError> {
        let version = self.version().await;
        let request = self
            .client
            .get(format!("{}/v1/lookup", self.base))
            .query(&[("addresses", Some(mac)), ("node_uuid", inspected)])
            .header(VERSION_HEADER, version.min(LOOKUP_VERSION).to_string())
            .header("Content-Type", "application/json")
            .header("Accept", "application/json");
        let found: Lookup = serde_json::from_slice(&answer(request).await?)?;
        Ok(Found {
            node_uuid: found.node.uuid,
            heartbeat_timeout: Duration::from_secs(found.config.heartbeat_timeout.into()),
            token: found.config.agent_token,
        })
    }

    /// Tells the API that the agent is there.
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), AskError> {
        let version = self.version().await;
        let mut body = Map::new();
        body.insert("callback_url".into(), json!(heartbeat.callback_url));
        if version >= Version(1, 62) {
            body.insert("agent_token".into(), json!(heartbeat.token));
        }
        if version >= Version(1, 36) {
            body.insert("agent_version".into(), json!(super::VERSION));
        }
        if let Some(certificate) = heartbeat.verify_ca.as_ref().filter(|_| version >= super::AUTO_TLS) {
            body.insert("agent_verify_ca".into(), json!(certificate));
        }
        let request = self
            .client
            .post(format!("{}/v1/heartbeat/{}", self.base, heartbeat.node_uuid))
            .header(VERSION_HEADER, version.min(HEARTBEAT_VERSION).to_string())
            .json(&body);
        answer(request).await.map(drop)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Vec<u8>, AskError> {
    let mut response = request.send().await?;
    if !response.status().is_success() {
        return Err(AskError::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(AskError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
