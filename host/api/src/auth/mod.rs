//! Who asks: the proof that a request carries becomes a [`Principal`], or an answer that says what is missing.
//!
//! | strategy | proof |
//! |---|---|
//! | `noauth` | none; everybody is the administrator |
//! | `http_basic` | an account of the password file; or a token |
//! | `token` | `X-Auth-Token: T` or `Authorization: Bearer T` |

mod basic;
mod denied;
mod limiter;
mod pages;
mod proxies;
mod tokens;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, header};
use wrought_domain::Principal;
use wrought_storage::{Store, TOKEN_PREFIX};

pub(crate) use denied::Denied;
pub(crate) use pages::foreign;
pub(crate) use proxies::Origin;

use crate::config::{ApiConfig, Authentication, UserConfig};
use basic::Accounts;
use limiter::{Limiter, Total};
use proxies::Proxies;
use tokens::Tokens;

/// What Ironic's clients and Keystone's call the header of a token.
const AUTH_TOKEN: &str = "x-auth-token";

/// Why the API cannot be served as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A key is needed beside another one.
    #[error("[api] {0}")]
    Missing(&'static str),
    /// A value has no meaning.
    #[error("[api] {key} must be 1 or more")]
    Zero {
        /// Which key.
        key: &'static str,
    },
    /// A file cannot be read.
    #[error("[api] {key}: reading {}: {source}", path.display())]
    Read {
        /// Which key.
        key: &'static str,
        /// Its file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file has not what it should.
    #[error("[api] {key}: {}: {problem}", path.display())]
    Unfit {
        /// Which key.
        key: &'static str,
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Who is let in, and how often.
pub(crate) struct Door {
    strategy: Authentication,
    accounts: Option<Accounts>,
    users: BTreeMap<String, UserConfig>,
    tokens: Tokens,
    failed: Option<Arc<Limiter>>,
    agents: Option<Limiter>,
    all_agents: Option<Total>,
    proxies: Proxies,
    /// Nothing behind it needs to know who asks.
    for_agents: bool,
}

impl Door {
    pub(crate) fn new(config: &ApiConfig, for_agents: bool) -> Self {
        let basic = config.auth_strategy == Authentication::HttpBasic && !for_agents;
        Self {
            strategy: config.auth_strategy,
            accounts: config.http_basic_auth_user_file.clone().filter(|_| basic).map(Accounts::new),
            users: config.users.clone(),
            tokens: Tokens::default(),
            failed: Limiter::per_minute(config.failed_logins_per_minute).map(Arc::new),
            agents: Limiter::per_second(config.agent_requests_per_second, config.agent_requests_burst),
            all_agents: Total::per_second(config.agent_requests_per_second_total, config.agent_requests_burst_total),
            proxies: Proxies::new(&config.trusted_proxies),
            for_agents,
        }
    }

    /// That there is what the strategy needs.
    ///
    /// # Errors
    /// [`SetupError`].
    pub(crate) fn check(config: &ApiConfig) -> Result<(), SetupError> {
        match (&config.http_basic_auth_user_file, config.auth_strategy) {
            (Some(path), Authentication::HttpBasic) => basic::check(path, &config.users),
            (None, Authentication::HttpBasic) => {
                Err(SetupError::Missing("auth_strategy = \"http_basic\" needs http_basic_auth_user_file, such as `htpasswd -B` writes it"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Who asks, from where, in a request to a route that is not public.
    ///
    /// # Errors
    /// [`Denied`], whose answer says what to send.
    pub(crate) async fn caller(&self, store: &Store, headers: &HeaderMap, source: Option<IpAddr>) -> Result<Principal, Denied> {
        let caller = self.prove(store, headers, source).await;
        // As many lines as there may be attempts. What was sent is not shown: it may be a password at the wrong place.
        if let (Err(Denied::WrongAccount | Denied::WrongToken), Some(source)) = (&caller, source) {
            tracing::warn!(%source, "wrong credentials");
        }
        caller
    }

    async fn prove(&self, store: &Store, headers: &HeaderMap, source: Option<IpAddr>) -> Result<Principal, Denied> {
        let who = match self.strategy {
            _ if self.for_agents => Principal::nobody(),
            Authentication::Noauth => Principal::noauth(),
            Authentication::Token => match token(headers, false) {
                Some(token) => self.holder(store, token, source).await?,
                None => return Err(Denied::NoToken),
            },
            Authentication::HttpBasic => match token(headers, true) {
                Some(token) => self.holder(store, token, source).await?,
                None => self.account(headers, source).await?,
            },
        };
        Ok(Principal { source, ..who })
    }

    /// Whoever shows a token.
    async fn holder(&self, store: &Store, token: &str, source: Option<IpAddr>) -> Result<Principal, Denied> {
        if let Some(who) = self.tokens.known(store, token) {
            return Ok(who);
        }
        let failures = self.failures(source);
        failures.check()?;
        let found = self.tokens.find(store, token).await?;
        found.ok_or_else(|| failures.count(Denied::WrongToken))
    }

    async fn account(&self, headers: &HeaderMap, source: Option<IpAddr>) -> Result<Principal, Denied> {
        let given = headers.get(header::AUTHORIZATION).ok_or(Denied::NoAccount)?;
        let (name, password) = basic::parse(given)?;
        let accounts = self.accounts.as_ref().ok_or(Denied::WrongAccount)?;
        let attempt = accounts.attempt(&name, password);
        if !accounts.known(&attempt) {
            accounts.verify(attempt, &self.failures(source)).await?;
        }
        let UserConfig { role, project } = self.users.get(&name).cloned().unwrap_or_default();
        Ok(Principal { user: name, project, roles: vec![role.to_string()], source: None })
    }

    fn failures(&self, source: Option<IpAddr>) -> Failures {
        Failures(self.failed.clone().zip(source))
    }

    /// That an agent may ask once more now.
    ///
    /// # Errors
    /// [`Denied::TooOften`].
    pub(crate) fn agent(&self, source: Option<IpAddr>) -> Result<(), Denied> {
        // Programs on this machine are no strangers; a proxy among them is named in trusted_proxies, or all agents would be one address.
        let Some(source) = source.filter(|source| !source.is_loopback()) else { return Ok(()) };
        if let Some(agents) = &self.agents {
            agents.take(source).map_err(Denied::TooOften)?;
        }
        self.all_agents.as_ref().map_or(Ok(()), Total::take).map_err(Denied::TooOften)
    }
}

/// The wrong credentials that an address sends. They are counted when they have turned out to be wrong: of right ones there may be any
/// number at once.
#[derive(Clone)]
struct Failures(Option<(Arc<Limiter>, IpAddr)>);

impl Failures {
    /// That there were not too many, before anything is looked at.
    ///
    /// # Errors
    /// [`Denied::TooOften`].
    fn check(&self) -> Result<(), Denied> {
        self.0.as_ref().map_or(Ok(()), |(limiter, source)| limiter.check(*source)).map_err(Denied::TooOften)
    }

    /// One more; and what is answered to it.
    fn count(&self, wrong: Denied) -> Denied {
        match self.0.as_ref().map(|(limiter, source)| limiter.take(*source)) {
            Some(Err(wait)) => Denied::TooOften(wait),
            Some(Ok(())) | None => wrong,
        }
    }
}

/// The token that a request shows. Clients send `X-Auth-Token` also where it means nothing: with `own`, others' tokens are not looked at.
fn token(headers: &HeaderMap, own: bool) -> Option<&str> {
    let header = headers.get(AUTH_TOKEN).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(token) = header.filter(|token| !own || token.starts_with(TOKEN_PREFIX)) {
        return Some(token);
    }
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = given.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
