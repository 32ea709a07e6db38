//! One account at one controller: what machines behind the same controller share.
//!
//! At most one session, made when first needed and deleted by [`Account::close`]. Refused credentials are
//! not tried again for a while, because controllers lock accounts out. A gate bounds the requests in flight.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, IF_MATCH, LOCATION};
use reqwest::{Body, Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit};
use tracing::{debug, warn};

use crate::error::{HardwareError, Kind};
use crate::http::{self, BodyTrouble, Trouble};
use crate::redfish::reply::Reply;
use crate::redfish::target::{AuthType, RedfishTarget};
use crate::secrets::Secrets;

/// An answer's largest body.
const BODY_CAP: usize = 1024 * 1024;
const REDIRECTS: usize = 3;
/// Files that are sent at once.
const UPLOADS: usize = 2;
const ROOT: &str = "/redfish/v1/";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
/// Shown to nobody who is not logged in, by most.
const SYSTEMS: &str = "/redfish/v1/Systems";

/// Which paths of a controller a redirect may lead to.
pub(crate) type Follow<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// A request to send.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
    pub(crate) if_match: Option<&'a str>,
    /// For errors: what this request is for.
    pub(crate) what: &'a str,
    /// Which paths of this controller redirects may lead to, where a driver chose the path; `None`: all, the host chose it.
    pub(crate) follow: Option<Follow<'a>>,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str, what: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, if_match: None, what, follow: None }
    }
}

/// A file to send.
pub(crate) struct Content {
    /// Its media type.
    pub(crate) kind: String,
    /// Bytes of the body.
    pub(crate) length: u64,
    pub(crate) body: Body,
}

/// How requests are authorised.
#[derive(Clone)]
enum Login {
    Anonymous,
    Basic,
    Session(Arc<Session>),
}

struct Session {
    token: SecretString,
    /// Where it is deleted; `None` if the controller did not say.
    path: Option<String>,
}

fn own_secrets(password: &SecretString, token: Option<&SecretString>) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.hide(password.expose_secret());
    if let Some(token) = token {
        secrets.hide(token.expose_secret());
    }
    secrets
}

pub(crate) struct Account {
    base: Url,
    username: Option<String>,
    password: SecretString,
    auth: AuthType,
    http: reqwest::Client,
    request_timeout: Duration,
    failure_hold: Duration,
    gate: Arc<Semaphore>,
    /// Files do not pass the gate, which is for what is over soon.
    uploads: Semaphore,
    login: AsyncMutex<Option<Login>>,
    refused: Mutex<Option<Instant>>,
    /// When the controller answered last, whatever it said.
    answered: Mutex<Option<SystemTime>>,
    /// The controller answers 406 to `Accept-Encoding: identity`.
    dislikes_identity: AtomicBool,
    /// The password and the session's token, which a controller may repeat.
    own_secrets: Mutex<Secrets>,
}

impl Account {
    pub(crate) fn new(
        target: &RedfishTarget,
        auth: AuthType,
        http: reqwest::Client,
        gate: Arc<Semaphore>,
        request_timeout: Duration,
        failure_hold: Duration,
    ) -> Self {
        Self {
            base: target.base.clone(),
            username: target.username.clone(),
            password: target.password.clone(),
            auth,
            http,
            request_timeout,
            failure_hold,
            gate,
            uploads: Semaphore::new(UPLOADS),
            login: AsyncMutex::new(None),
            refused: Mutex::new(None),
            answered: Mutex::new(None),
            dislikes_identity: AtomicBool::new(false),
            own_secrets: Mutex::new(own_secrets(&target.password, None)),
        }
    }

    /// Sends `ask`, logged in. A session that has ended is renewed once. Errors: no answer; refused
    /// credentials, where the host chose the path. Every other status is an answer: a path that a driver chose
    /// may be refused to the account, which says nothing about the account.
    pub(crate) async fn send(&self, ask: &Ask<'_>, deadline: Instant) -> Result<Reply, HardwareError> {
        self.check_brake()?;
        let is_guest = ask.follow.is_some();
        let login = self.login(deadline).await?;
        let mut reply = self.exchange(&login, ask, deadline).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        if let Login::Session(session) = &login {
            // Not for every such refusal another session.
            if is_guest && self.goes_on(&login, session, deadline).await {
                return Ok(reply);
            }
            self.forget(session).await;
            let renewed = self.login(deadline).await?;
            reply = self.exchange(&renewed, ask, deadline).await?;
            if reply.status != StatusCode::UNAUTHORIZED {
                return Ok(reply);
            }
        }
        if is_guest { Ok(reply) } else { Err(self.brake()) }
    }

    /// Whether a session has not ended, as far as the controller tells.
    async fn goes_on(&self, login: &Login, session: &Session, deadline: Instant) -> bool {
        let path = session.path.as_deref().unwrap_or(SYSTEMS);
        let reply = self.exchange(login, &Ask::get(path, "looking for the session"), deadline).await;
        reply.is_ok_and(|reply| reply.status != StatusCode::UNAUTHORIZED)
    }

    /// Waits until another file may be sent to the controller.
    pub(crate) async fn turn(&self, deadline: Instant, what: &str) -> Result<SemaphorePermit<'_>, HardwareError> {
        let patience = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(patience, self.uploads.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(timeout(what, "redfish.Busy", "the controller is busy with other files of this host")),
        }
    }

    /// Sends a file, once, with all the time until `deadline`. Errors: no answer. Every status is an answer; a redirect is not followed.
    pub(crate) async fn upload(&self, path: &str, content: Content, what: &str, deadline: Instant) -> Result<Reply, HardwareError> {
        self.check_brake()?;
        let login = self.login(deadline).await?;
        let ask = Ask { method: Method::POST, ..Ask::get(path, what) };
        let patience = deadline.saturating_duration_since(Instant::now());
        let request = self.request(&login, &ask, &self.url(path)?).timeout(patience);
        // Many controllers take no body of unknown length.
        let request = request.header(CONTENT_TYPE, content.kind).header(CONTENT_LENGTH, content.length).body(content.body);
        let response = request.send().await.map_err(|error| no_answer(&ask, Trouble::of(&error)))?;
        self.read(&ask, response).await
    }

    /// Deletes the session, if there is one. Failure is logged: the controller ends it by itself later.
    pub(crate) async fn close(&self) {
        let Some(Login::Session(session)) = self.login.lock().await.take() else { return };
        let Some(path) = session.path.clone() else { return };
        let ask = Ask { method: Method::DELETE, path: &path, body: None, if_match: None, what: "deleting the session", follow: None };
        let deadline = Instant::now() + self.request_timeout;
        match self.exchange(&Login::Session(session), &ask, deadline).await {
            Ok(reply) if reply.is_success() || reply.status == StatusCode::NOT_FOUND => debug!("session deleted"),
            Ok(reply) => warn!(status = reply.status.as_u16(), "a controller did not delete its session"),
            Err(error) => warn!(code = error.code, "a controller did not delete its session"),
        }
    }

    /// When the controller answered last.
    pub(crate) fn answered(&self) -> Option<SystemTime> {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets credentials that were refused be tried again.
    pub(crate) fn release_brake(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The path of `link`, when it leads to this controller.
    pub(crate) fn own_path(&self, link: &str) -> Option<String> {
        let url = self.url(link).ok()?;
        Some(url.path().to_owned())
    }

    /// `text` without what may not leave: the controller's address and the account.
    pub(crate) fn scrub(&self, mut error: HardwareError) -> HardwareError {
        error.message = self.own_secrets.lock().unwrap_or_else(PoisonError::into_inner).scrub_text(&error.message);
        // However short.
        let known = [Some(self.password.expose_secret()), self.username.as_deref(), self.base.host_str()];
        for secret in known.into_iter().flatten().filter(|secret| !secret.is_empty()) {
            error.message = error.message.replace(secret, "******");
        }
        error
    }

    /// Takes out of `value` what may not leave: the password and the session's token.
    pub(crate) fn scrub_value(&self, value: &mut Value) {
        self.own_secrets.lock().unwrap_or_else(PoisonError::into_inner).scrub(value);
    }

    fn check_brake(&self) -> Result<(), HardwareError> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match *refused {
            Some(since) if since.elapsed() < self.failure_hold => Err(auth_failed()),
            Some(_) => {
                *refused = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn brake(&self) -> HardwareError {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        auth_failed()
    }

    async fn forget(&self, ended: &Arc<Session>) {
        let mut login = self.login.lock().await;
        if matches!(&*login, Some(Login::Session(current)) if Arc::ptr_eq(current, ended)) {
            *login = None;
        }
    }

    /// The login in force. The lock is held while logging in, so that callers who come together share one session.
    async fn login(&self, deadline: Instant) -> Result<Login, HardwareError> {
        let mut login = self.login.lock().await;
        if let Some(login) = &*login {
            return Ok(login.clone());
        }
        // Somebody may have been refused while this caller waited.
        self.check_brake()?;
        let made = match (&self.username, self.auth) {
            (None, _) => Login::Anonymous,
            (Some(_), AuthType::Basic) => Login::Basic,
            (Some(username), _) => self.open_session(username, deadline).await?,
        };
        *login = Some(made.clone());
        Ok(made)
    }

    async fn open_session(&self, username: &str, deadline: Instant) -> Result<Login, HardwareError> {
        let auto = self.auth == AuthType::Auto;
        let Some(sessions) = self.sessions_path(deadline).await? else { return Ok(Login::Basic) };
        let body = json!({"UserName": username, "Password": self.password.expose_secret()});
        let ask = Ask { method: Method::POST, path: &sessions, body: Some(&body), if_match: None, what: "logging in", follow: None };
        // A lost answer leaves the machine as it is: no reason to observe it.
        let lost = |error: HardwareError| if error.kind == Kind::OutcomeUnknown { error.with_kind(Kind::Timeout) } else { error };
        let reply = self.exchange(&Login::Anonymous, &ask, deadline).await.map_err(lost)?;
        if reply.is_success() {
            let named = reply.location.as_deref().or_else(|| reply.body.get("@odata.id").and_then(Value::as_str));
            let path = named.and_then(|link| self.own_path(link));
            return match reply.token {
                Some(token) => {
                    let token = SecretString::from(token);
                    *self.own_secrets.lock().unwrap_or_else(PoisonError::into_inner) = own_secrets(&self.password, Some(&token));
                    Ok(Login::Session(Arc::new(Session { token, path })))
                }
                None if auto => Ok(Login::Basic),
                None => Err(HardwareError::new(Kind::Failed, "redfish.NoSessionToken", "logging in: the controller gave no session token")),
            };
        }
        let full = reply.message_id().is_some_and(|id| id == "SessionLimitExceeded");
        match reply.status.as_u16() {
            401 | 404 | 405 | 501 | 503 if auto => Ok(Login::Basic),
            _ if auto && full => Ok(Login::Basic),
            401 => Err(self.brake()),
            _ => Err(self.scrub(reply.refusal("logging in"))),
        }
    }

    /// Where sessions are made; `None` when the controller says that it has none and Basic will do.
    async fn sessions_path(&self, deadline: Instant) -> Result<Option<String>, HardwareError> {
        let root = self.exchange(&Login::Anonymous, &Ask::get(ROOT, "reading the service root"), deadline).await?;
        let named = root.body.pointer("/Links/Sessions/@odata.id").and_then(Value::as_str).and_then(|link| self.own_path(link));
        let has_service = root.body.get("SessionService").is_some();
        Ok(match named {
            Some(path) => Some(path),
            None if root.is_success() && !has_service && self.auth == AuthType::Auto => None,
            None => Some(SESSIONS.to_owned()),
        })
    }

    fn url(&self, path: &str) -> Result<Url, HardwareError> {
        let foreign = || HardwareError::new(Kind::Failed, "redfish.ForeignLink", "the controller's answer leads to another server");
        let url = self.base.join(path).map_err(|_| foreign())?;
        // The user part is compared as well: `origin` leaves it out.
        let plain = url.username().is_empty() && url.password().is_none();
        if url.origin() == self.base.origin() && plain { Ok(url) } else { Err(foreign()) }
    }

    /// One request and its answer, redirects within the controller followed.
    async fn exchange(&self, login: &Login, ask: &Ask<'_>, deadline: Instant) -> Result<Reply, HardwareError> {
        let mut url = self.url(ask.path)?;
        let patience = deadline.saturating_duration_since(Instant::now());
        let _permit = match tokio::time::timeout(patience, self.gate.acquire()).await {
            Ok(Ok(permit)) => permit,
            _ => return Err(timeout(ask.what, "redfish.Busy", "the controller is busy with other requests of this host")),
        };
        for _ in 0..=REDIRECTS {
            let response = match self.send_once(login, ask, &url, deadline).await? {
                response if response.status() == StatusCode::NOT_ACCEPTABLE && !self.dislikes_identity.swap(true, Ordering::Relaxed) => {
                    self.send_once(login, ask, &url, deadline).await?
                }
                response => response,
            };
            let status = response.status().as_u16();
            // 301 to 303 turn a POST into a GET, which would look like success.
            let follow = matches!(status, 307 | 308) || (matches!(status, 301..=303) && ask.method == Method::GET);
            match header(response.headers(), LOCATION.as_str()).filter(|_| follow) {
                Some(location) => {
                    let next = url.join(&location).map_err(|_| timeout(ask.what, "redfish.ForeignLink", "a redirect to nowhere"))?;
                    url = self.url(next.as_str())?;
                    if ask.follow.is_some_and(|allowed| !allowed(url.path())) {
                        let text = format!("{}: the controller redirects to a place that is not allowed here", ask.what);
                        return Err(HardwareError::new(Kind::Denied, "redfish.ForeignLink", text));
                    }
                }
                None => return self.read(ask, response).await,
            }
        }
        Err(HardwareError::new(Kind::Failed, "redfish.Redirects", format!("{}: too many redirects", ask.what)))
    }

    async fn send_once(&self, login: &Login, ask: &Ask<'_>, url: &Url, deadline: Instant) -> Result<reqwest::Response, HardwareError> {
        let patience = deadline.saturating_duration_since(Instant::now()).min(self.request_timeout);
        if patience.is_zero() {
            return Err(timeout(ask.what, "redfish.Deadline", "no time is left"));
        }
        let request = self.request(login, ask, url).timeout(patience);
        request.send().await.map_err(|error| no_answer(ask, Trouble::of(&error)))
    }

    fn request(&self, login: &Login, ask: &Ask<'_>, url: &Url) -> RequestBuilder {
        let mut request = self.http.request(ask.method.clone(), url.clone());
        request = request.header(ACCEPT, "application/json").header("OData-Version", "4.0");
        if !self.dislikes_identity.load(Ordering::Relaxed) {
            request = request.header(ACCEPT_ENCODING, "identity");
        }
        request = match (login, &self.username) {
            (Login::Session(session), _) => request.header("X-Auth-Token", session.token.expose_secret()),
            (Login::Basic, Some(username)) => request.basic_auth(username, Some(self.password.expose_secret())),
            _ => request,
        };
        if let Some(etag) = ask.if_match {
            request = request.header(IF_MATCH, etag);
        }
        if let Some(body) = ask.body {
            request = request.json(body);
        }
        request
    }

    async fn read(&self, ask: &Ask<'_>, response: reqwest::Response) -> Result<Reply, HardwareError> {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
        let status = response.status();
        let etag = header(response.headers(), ETAG.as_str());
        let location = header(response.headers(), LOCATION.as_str());
        let token = header(response.headers(), "X-Auth-Token");
        let body = match http::body(response, BODY_CAP).await {
            Ok(body) => serde_json::from_slice(&body).unwrap_or(Value::Null),
            // The status of a change is its answer; its body is an extra.
            Err(_) if ask.method != Method::GET => Value::Null,
            Err(BodyTrouble::TooLarge) => {
                let text = format!("{}: the controller's answer is larger than {BODY_CAP} bytes", ask.what);
                return Err(HardwareError::new(Kind::LimitExceeded, "redfish.AnswerTooLarge", text));
            }
            Err(BodyTrouble::Lost(trouble)) => return Err(no_answer(ask, trouble)),
        };
        Ok(Reply { status, etag, location, token, body })
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn no_answer(ask: &Ask<'_>, trouble: Trouble) -> HardwareError {
    let changes = ask.method != Method::GET;
    let text = format!("{}: the controller does not answer: {}", ask.what, trouble.text());
    match trouble {
        Trouble::TlsRefused => HardwareError::new(Kind::Failed, "redfish.TlsRefused", text),
        trouble if changes && trouble.may_have_arrived() => HardwareError::new(Kind::OutcomeUnknown, "redfish.AnswerLost", text),
        _ => HardwareError::new(Kind::Timeout, "redfish.Unreachable", text),
    }
}

fn timeout(what: &str, code: &str, why: &str) -> HardwareError {
    HardwareError::new(Kind::Timeout, code, format!("{what}: {why}"))
}

fn auth_failed() -> HardwareError {
    HardwareError::new(
        Kind::Failed,
        "redfish.AuthenticationFailed",
        "the controller refuses the credentials; they are not tried again for a while: correct redfish_username and redfish_password",
    )
}
