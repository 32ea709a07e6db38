//! Commands to an agent.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use lru::LruCache;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::agent::command::{Command, CommandStatus, WORDS_CAP, answer_cap, bad_answer, is_id, short_name};
use crate::config::AgentConfig;
use crate::egress::web_url;
use crate::error::{HardwareError, Kind};
use crate::http::{self, BodyTrouble, Trouble, tame};
use crate::secrets::Secrets;
use crate::tls;

/// The largest list of commands, and the largest answer about one.
const LIST_CAP: usize = 4 * 1024 * 1024;
/// Commands in a list, at most.
const LIST_MOST: usize = 1000;
/// Kept between two commands of one session.
const IDLE: Duration = Duration::from_secs(30);

/// How an agent's certificate is verified.
#[derive(Debug, Clone)]
pub enum AgentTls {
    /// It must be exactly this one, which the agent made for itself, or be signed by this authority; PEM.
    PinnedCa(String),
    /// As `[agent] verify_ca` says.
    Roots,
    /// Not at all.
    Insecure,
}

/// Where an agent is, and what it trusts and is trusted by.
#[derive(Debug, Clone)]
pub struct AgentEndpoint {
    /// Its `callback_url`, checked by [`super::check_callback_url`].
    pub url: String,
    /// The token of this boot.
    pub token: SecretString,
    /// How its certificate is verified.
    pub verify: AgentTls,
}

/// The agents that this process talks to: keeps their connections, so that a session's commands share one.
pub struct AgentClients {
    config: AgentConfig,
    clients: Mutex<LruCache<[u8; 32], Client>>,
}

/// One agent.
#[derive(Clone)]
pub struct AgentClient {
    http: Client,
    base: Url,
    token: SecretString,
    own_secrets: Arc<Secrets>,
    patience: Duration,
    attempts: usize,
}

impl AgentClients {
    /// No connections yet.
    pub fn new(config: AgentConfig) -> Self {
        let capacity = NonZeroUsize::new(config.connection_cache_size).unwrap_or(NonZeroUsize::MIN);
        Self { config, clients: Mutex::new(LruCache::new(capacity)) }
    }

    /// The agent at `endpoint`. Asks nobody. Errors: the URL is not one, or not HTTPS although that is
    /// required; the PEM text is not one of certificates.
    pub fn client(&self, endpoint: &AgentEndpoint) -> Result<AgentClient, HardwareError> {
        let base = web_url("agent_url", &format!("{}/v1/", endpoint.url.trim_end_matches('/')))?;
        if self.config.require_tls && base.scheme() != "https" {
            return Err(HardwareError::new(Kind::InvalidParameter, "agent.TlsRequired", "agent_url: must be https ([agent] require_tls)"));
        }
        let mut own_secrets = Secrets::default();
        own_secrets.insert("agent-token", endpoint.token.clone());
        Ok(AgentClient {
            http: self.http(endpoint)?,
            base,
            token: endpoint.token.clone(),
            own_secrets: Arc::new(own_secrets),
            patience: Duration::from_secs(self.config.command_timeout.max(1)),
            attempts: usize::try_from(self.config.max_command_attempts.max(1)).unwrap_or(1),
        })
    }

    fn http(&self, endpoint: &AgentEndpoint) -> Result<Client, HardwareError> {
        let mut digest = Sha256::new();
        digest.update(&endpoint.url);
        digest.update(match &endpoint.verify {
            AgentTls::PinnedCa(pem) => format!("\npinned\n{pem}"),
            AgentTls::Roots => "\nroots".into(),
            AgentTls::Insecure => "\ninsecure".into(),
        });
        let key = digest.finalize().into();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let lowest = self.config.tls_min_version;
        let tls = match &endpoint.verify {
            AgentTls::PinnedCa(pem) => tls::pinned(pem.as_bytes(), lowest)?,
            AgentTls::Roots => tls::verified_by(&self.config.verify_ca, lowest)?,
            AgentTls::Insecure => {
                warn!("an agent's certificate is not verified");
                tls::insecure(lowest)?
            }
        };
        let client = http::built(http::client(tls, Duration::from_secs(self.config.connect_timeout.max(1)), IDLE))?;
        clients.put(key, client.clone());
        Ok(client)
    }
}

impl AgentClient {
    /// The same, with at most `patience` for one operation; never more than `[agent] command_timeout`.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = self.patience.min(patience);
        self
    }

    /// Gives the agent the command `name` (`extension.command`). With `wait` it answers when the command has
    /// ended, or, when that takes longer than there is time, with [`CommandStatus::Running`].
    ///
    /// Sent once. Errors: `agent-in-progress` when the agent is busy; `agent-unreachable` when the command has
    /// not begun; `outcome-unknown` when that cannot be told; `failed` with code `agent.ApiError` when the
    /// agent refuses the command or does not know a parameter, `agent.Unauthorized` when it refuses the token.
    pub async fn run(&self, name: &str, params: &Value, wait: bool) -> Result<Command, HardwareError> {
        let deadline = Instant::now() + self.patience;
        // What is left is for looking whether the command was accepted.
        let patience = self.patience - (self.patience / 4).min(Duration::from_secs(2));
        let request = self.http.post(self.url("commands/")?).query(&[("wait", if wait { "true" } else { "false" })]);
        let request = request.json(&json!({"name": name, "params": params}));
        let (body, size) = match self.send(request, patience, answer_cap(name)).await {
            Ok(answer) => answer,
            Err(Refusal::Answered(error)) => return Err(error),
            Err(Refusal::Silent(trouble)) if !trouble.may_have_arrived() => return Err(unreachable(trouble)),
            Err(Refusal::Silent(trouble)) => return self.look_for(name, trouble, deadline).await,
        };
        let command = self.read(body, size)?;
        match &command.error {
            // An agent of another version, which does not know a parameter.
            Some(error) if error.kind == "TypeError" => {
                Err(HardwareError::new(Kind::Failed, "agent.ApiError", format!("the agent refuses {name}: {}", error.message)))
            }
            _ => Ok(command),
        }
    }

    /// All commands since the agent started, oldest first.
    pub async fn commands(&self) -> Result<Vec<Command>, HardwareError> {
        self.list(Instant::now() + self.patience).await
    }

    /// One command; `not-found` when the agent has started since.
    pub async fn status(&self, id: &str) -> Result<Command, HardwareError> {
        if !is_id(id) {
            return Err(HardwareError::new(Kind::NotFound, "agent.NoSuchCommand", "the agent has no such command"));
        }
        let (body, size) = match self.get(&format!("commands/{id}"), Instant::now() + self.patience).await {
            Err(error) if error.code == "agent.NotFound" => {
                return Err(HardwareError::new(Kind::NotFound, "agent.NoSuchCommand", "the agent has no such command"));
            }
            answer => answer?,
        };
        self.read(body, size)
    }

    /// When the agent started, as it says it: another value is another start.
    pub async fn started_at(&self) -> Result<Value, HardwareError> {
        let (mut status, _) = self.get("status", Instant::now() + self.patience).await?;
        status.get_mut("started_at").map(Value::take).ok_or_else(bad_answer)
    }

    /// The answer to a command got lost: was it accepted?
    async fn look_for(&self, name: &str, trouble: Trouble, deadline: Instant) -> Result<Command, HardwareError> {
        let unknown = || {
            let text = format!("the agent's answer to {name} got lost ({}): look at its commands before repeating it", trouble.text());
            HardwareError::new(Kind::OutcomeUnknown, "agent.AnswerLost", text)
        };
        let mut commands = self.list(deadline).await.map_err(|_| unknown())?;
        match commands.pop() {
            Some(last) if last.name == short_name(name) && last.status == CommandStatus::Running => Ok(last),
            // It may have ended already, or be an earlier one of the same name.
            Some(last) if last.name == short_name(name) => Err(unknown()),
            // A request in flight may still arrive after a timeout.
            _ if trouble == Trouble::TimedOut => Err(unknown()),
            _ => Err(unreachable(trouble)),
        }
    }

    async fn list(&self, deadline: Instant) -> Result<Vec<Command>, HardwareError> {
        let (mut body, size) = self.get("commands/", deadline).await?;
        let Some(Value::Array(records)) = body.get_mut("commands").map(Value::take) else { return Err(bad_answer()) };
        if records.len() > LIST_MOST {
            return Err(HardwareError::new(Kind::LimitExceeded, "agent.TooManyCommands", "the agent lists more commands than are read"));
        }
        records.into_iter().map(|record| self.read(record, size)).collect()
    }

    /// Reads are repeated while the agent does not answer and there is time.
    async fn get(&self, path: &str, deadline: Instant) -> Result<(Value, usize), HardwareError> {
        let url = self.url(path)?;
        let ladder = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter();
        let once = || async {
            let patience = deadline.saturating_duration_since(Instant::now());
            self.send(self.http.get(url.clone()), patience, LIST_CAP).await.map_err(|refusal| match refusal {
                Refusal::Answered(error) => error,
                Refusal::Silent(trouble) => unreachable(trouble),
            })
        };
        once.retry(ladder).when(|error| error.kind == Kind::AgentUnreachable && Instant::now() < deadline).await
    }

    async fn send(&self, request: RequestBuilder, patience: Duration, cap: usize) -> Result<(Value, usize), Refusal> {
        let request = request.query(&[("agent_token", self.token.expose_secret())]).timeout(patience);
        let response = request.send().await.map_err(|error| Refusal::Silent(Trouble::of(&error)))?;
        let status = response.status();
        let body = http::body(response, cap).await.map_err(|trouble| match trouble {
            BodyTrouble::TooLarge => Refusal::Answered(HardwareError::new(
                Kind::LimitExceeded,
                "agent.AnswerTooLarge",
                "the agent's answer is larger than allowed",
            )),
            BodyTrouble::Lost(trouble) => Refusal::Silent(trouble),
        })?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        if !status.is_success() {
            return Err(Refusal::Answered(self.refusal(status, json.as_ref())));
        }
        json.map(|json| (json, body.len())).ok_or_else(|| Refusal::Answered(bad_answer()))
    }

    fn refusal(&self, status: StatusCode, body: Option<&Value>) -> HardwareError {
        let words = body.and_then(|body| body.get("faultstring")).and_then(Value::as_str).unwrap_or("no reason given");
        let words = self.own_secrets.scrub_text(&tame(words, WORDS_CAP));
        let busy = status == StatusCode::CONFLICT || words.to_ascii_lowercase().contains("agent is busy");
        let (kind, code) = match status {
            _ if busy => (Kind::AgentInProgress, "agent.Busy"),
            StatusCode::UNAUTHORIZED => (Kind::Failed, "agent.Unauthorized"),
            StatusCode::NOT_FOUND => (Kind::Failed, "agent.NotFound"),
            _ => (Kind::Failed, "agent.ApiError"),
        };
        HardwareError::new(kind, code, format!("the agent answered {}: {words}", status.as_u16()))
    }

    fn read(&self, record: Value, size: usize) -> Result<Command, HardwareError> {
        let mut command = Command::read(record, size)?;
        self.own_secrets.scrub(&mut command.result);
        if let Some(error) = &mut command.error {
            error.message = self.own_secrets.scrub_text(&error.message);
        }
        Ok(command)
    }

    fn url(&self, path: &str) -> Result<Url, HardwareError> {
        self.base.join(path).map_err(|_| HardwareError::invalid("agent_url", "is not a URL"))
    }
}

enum Refusal {
    /// The agent said no.
    Answered(HardwareError),
    /// It said nothing.
    Silent(Trouble),
}

fn unreachable(trouble: Trouble) -> HardwareError {
    HardwareError::new(Kind::AgentUnreachable, "agent.Unreachable", format!("the agent does not answer: {}", trouble.text()))
}
