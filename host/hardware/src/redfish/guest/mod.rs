//! What drivers may ask of their node's controller, beyond [`Bmc`](crate::Bmc).
//!
//! | file | subject |
//! |---|---|
//! | `path` | which resources a driver may name; pure |
//! | `body` | what it may send there; pure |
//! | `places` | where that leads the controller; pure, but for names of hosts |
//! | `push` | files on their way to a controller |
//! | `property` | what must hold for every path, for tests |
//! | this one | asking: a [`Question`] is made by [`Guest::question`] alone, which judges it, and [`Guest::ask`] takes nothing else |
//!
//! The host keeps credentials, session and ETags. A redirect is followed where the same question could be asked.

mod body;
pub mod path;
mod places;
#[doc(hidden)]
pub mod property;
mod push;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Map, Value};
use wrought_domain::mask;

use crate::egress::EgressPolicy;
use crate::error::{HardwareError, Kind};
use crate::redfish::account::Follow;
use crate::redfish::operation::{Operation, Resource};
use crate::redfish::reply::Reply;
use crate::redfish::system::RedfishBmc;
use crate::secrets::Secrets;
use path::{Access, GuestPath, Own, Verb, judge};
pub use push::Push;

/// Bytes of an answer's JSON, as text.
const MOST_ANSWER: usize = 256 << 10;

/// Shorter than any import may block (`wit/types.wit`), so that the controller's own answer arrives.
const PATIENCE: Duration = Duration::from_secs(9);

/// How long what a System links is believed.
const LINKS_LAST: Duration = Duration::from_secs(30);

/// Chassis and Managers that a System links, at most.
const MOST_LINKS: usize = 16;

/// States in which a Task has ended.
const TASK_ENDED: [&str; 4] = ["Cancelled", "Completed", "Exception", "Killed"];

/// The same of a Job, with those of vendors.
const JOB_ENDED: [&str; 7] = ["Cancelled", "Completed", "CompletedWithErrors", "Exception", "Failed", "RebootCompleted", "RebootFailed"];

/// Tasks of a machine that are remembered; the oldest go first.
const MOST_TASKS: usize = 64;

/// What the controller called the tasks, and their monitors, that requests about the machine began; in this life of the host.
pub(crate) type Tasks = Mutex<VecDeque<GuestPath>>;

/// What belongs to a machine, and when that was read.
pub(crate) type Links = tokio::sync::Mutex<Option<(Instant, Arc<Own>)>>;

/// One machine's controller, as a driver may ask it, for the time of one host call.
pub struct Guest {
    bmc: Arc<RedfishBmc>,
    deadline: Instant,
    /// Shared paths that were granted.
    granted: Vec<GuestPath>,
}

/// Something that may be asked.
#[derive(Debug)]
pub struct Question {
    verb: Verb,
    path: GuestPath,
    body: Option<Value>,
    access: Access,
    /// Whether it is about what machines share, by its path or by one in its body.
    is_shared: bool,
    own: Arc<Own>,
}

/// What the controller answered to something that it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its HTTP status, 2xx.
    pub status: u16,
    /// JSON, secrets masked; null when there was none.
    pub body: Value,
    /// The resource's ETag.
    pub etag: Option<String>,
    /// The path of what was made (201).
    pub location: Option<String>,
    /// The path of the task, or of its monitor, that goes on (202).
    pub task: Option<String>,
}

impl Question {
    /// Whether it is about what machines share and changes it, so that the operation must hold a lock that the node shares.
    pub fn needs_lock(&self) -> bool {
        self.verb.is_effect() && self.is_shared
    }

    /// Fills in the secrets of the body, judges it with them, and checks where the controller is sent by it: `denied` where `policy`
    /// says so. A secret may name resources of the machine's System only. What is refused is not to be asked.
    pub async fn fill(&mut self, secrets: &Secrets, policy: &EgressPolicy) -> Result<(), HardwareError> {
        let Some(body) = &mut self.body else { return Ok(()) };
        if !Secrets::within(&body.to_string()) {
            return places::check_destinations(body, policy).await;
        }
        let judged = places::paths(body)?;
        secrets.fill(body)?;
        let filled = async {
            body.as_object().map_or(Ok(()), |map| body::check(&self.path, map))?;
            for named in places::paths(body)?.iter().filter(|named| !judged.contains(named)) {
                if judge(self.verb, named, &self.own, &[])? != Access::System {
                    return Err(path::denied("wrought.PathDenied", ""));
                }
            }
            places::check_destinations(body, policy).await
        };
        // A text about what was refused may have a part of a secret.
        let hidden = |error: HardwareError| {
            HardwareError::new(error.kind, error.code, "the body, its secrets filled in, holds or leads to what is refused by this code")
        };
        filled.await.map_err(hidden)
    }
}

impl Guest {
    pub(crate) fn new(bmc: Arc<RedfishBmc>, granted: &[String]) -> Self {
        let deadline = Instant::now() + PATIENCE.min(bmc.operation_timeout);
        // What is no path opens nothing.
        let granted = granted.iter().filter_map(|root| GuestPath::parse(root).ok()).collect();
        Self { bmc, deadline, granted }
    }

    fn operation<'a>(&'a self, what: &'static str, follow: Option<Follow<'a>>) -> Operation<'a> {
        Operation { account: &self.bmc.account, deadline: self.deadline, attempts: self.bmc.attempts, what, follow }
    }

    /// Whether the same could be asked at `to`, where a redirect leads.
    fn may_follow(&self, question: &Question, to: &str) -> bool {
        GuestPath::parse(to).is_ok_and(|to| judge(question.verb, &to, &question.own, &self.granted) == Ok(question.access))
    }

    /// Judges what a driver asks for. Reads what the machine's System links, if that is not known. Errors: `denied`,
    /// `invalid-parameter` and `limit-exceeded` for what may not be asked; the controller's own.
    pub async fn question(&self, verb: Verb, path: &str, body: Option<Map<String, Value>>) -> Result<Question, HardwareError> {
        let path = GuestPath::parse(path)?;
        if verb.is_effect() {
            body::check(&path, body.as_ref().unwrap_or(&Map::new()))?;
        }
        let own = self.own().await?;
        let access = self.judged(verb, &path, &own).await?;
        let body = body.map(Value::Object);
        let mut is_shared = access.1;
        for named in body.as_ref().map(places::paths).transpose()?.unwrap_or_default() {
            // What a body names may be asked by the controller, in the driver's stead.
            is_shared |= self.judged(verb, &named, &own).await?.1;
        }
        Ok(Question { verb, path, body, access: access.0, is_shared, own })
    }

    /// Why `verb` may be done at `path`, and whether that is about what machines share.
    async fn judged(&self, verb: Verb, path: &GuestPath, own: &Own) -> Result<(Access, bool), HardwareError> {
        let access = judge(verb, path, own, &self.granted)?;
        let mut is_shared = access == Access::Shared;
        if let (true, Access::Linked(place)) = (verb.is_effect(), access)
            && let Some(root) = own.linked.get(place)
            && !self.is_alone(root, own).await?
        {
            if !path::is_granted(path, &self.granted) {
                return Err(path::not_granted(path));
            }
            is_shared = true;
        }
        Ok((access, is_shared))
    }

    /// Asks. Errors: the controller's, with its own message id as code (`redfish.OemLicenseNotPassed`); `outcome-unknown` when a change
    /// was sent and its answer got lost.
    pub async fn ask(&self, question: &Question) -> Result<Answer, HardwareError> {
        let follow = |to: &str| self.may_follow(question, to);
        let operation = self.operation(what(question.verb), Some(&follow));
        let (path, nothing) = (question.path.text(), Value::Object(Map::new()));
        let body = question.body.as_ref().unwrap_or(&nothing);
        let reply = match question.verb {
            Verb::Get => operation.read(&path).await?,
            Verb::Patch => patch(&operation, path, body).await?,
            Verb::Post => operation.post(&path, body).await?,
            Verb::Delete => operation.delete(&path).await?,
        };
        if question.access == Access::Task {
            self.check_task(&question.path, &reply, &question.own)?;
        }
        self.answer(&operation, reply)
    }

    /// The resource that a driver changed by PATCH, when it shows all that the change asked for; what cannot be seen, as a secret,
    /// is not shown. Errors: as [`Self::ask`].
    pub async fn shows(&self, question: &Question) -> Result<Option<Answer>, HardwareError> {
        let follow = |to: &str| self.may_follow(question, to);
        let operation = self.operation(what(Verb::Get), Some(&follow));
        let reply = operation.read(&question.path.text()).await?;
        let is_there = question.body.as_ref().is_some_and(|wanted| holds(&reply.body, wanted));
        if !reply.is_success() || is_there { self.answer(&operation, reply).map(Some) } else { Ok(None) }
    }

    /// Whether a task has ended: it is in a final state, its monitor answers otherwise than 202, or it is gone. What may not be
    /// read counts as ended, so that whoever waits for it asks, and is told why. Errors: the controller does not answer.
    pub async fn has_ended(&self, path: &str) -> Result<bool, HardwareError> {
        let question = match self.question(Verb::Get, path, None).await {
            Ok(question) => question,
            Err(error) if matches!(error.kind, Kind::Denied | Kind::InvalidParameter) => return Ok(true),
            Err(error) => return Err(error),
        };
        let follow = |to: &str| self.may_follow(&question, to);
        let reply = self.operation(what(Verb::Get), Some(&follow)).read(&question.path.text()).await?;
        let state = |key: &str| reply.body.get(key).and_then(Value::as_str);
        Ok(match reply.status.as_u16() {
            202 => false,
            status if status >= 500 => false,
            200 => match (state("TaskState"), state("JobState")) {
                (Some(state), _) => TASK_ENDED.contains(&state),
                (_, Some(state)) => JOB_ENDED.contains(&state),
                _ => true,
            },
            _ => true,
        })
    }

    /// Tasks of the service are those of all machines behind it, and a monitor answers with what came of them: shown is what an answer
    /// to a request about this machine named, or what says that it is about this machine.
    fn check_task(&self, path: &GuestPath, reply: &Reply, own: &Own) -> Result<(), HardwareError> {
        let is_gone = matches!(reply.status.as_u16(), 404 | 410);
        let is_known = self.tasks().iter().any(|task| path.is_within(task));
        let target = reply.body.pointer("/Payload/TargetUri").and_then(Value::as_str);
        let target = target.and_then(|target| self.bmc.account.own_path(target)).and_then(|path| GuestPath::parse(&path).ok());
        let is_ours = || target.is_some_and(|path| judge(Verb::Get, &path, own, &self.granted).is_ok());
        if is_gone || is_known || is_ours() {
            return Ok(());
        }
        let why = "the task does not say that it is about this node, and no answer to this node named it since the host began";
        Err(path::denied("wrought.PathDenied", why))
    }

    /// Remembers what goes on for this machine.
    fn remember(&self, reply: &Reply) {
        let member = |key: &str| reply.body.get(key).and_then(Value::as_str);
        let links = [reply.location.as_deref(), member("@odata.id"), member("TaskMonitor")].into_iter().flatten();
        let paths = links.filter_map(|link| self.bmc.account.own_path(link)).filter_map(|path| GuestPath::parse(&path).ok());
        let mut tasks = self.tasks();
        for path in paths.filter(GuestPath::is_task) {
            tasks.retain(|known| !known.is_same(&path));
            tasks.push_back(path);
            if tasks.len() > MOST_TASKS {
                tasks.pop_front();
            }
        }
    }

    // Nothing panics while holding it.
    fn tasks(&self) -> std::sync::MutexGuard<'_, VecDeque<GuestPath>> {
        self.bmc.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, operation: &Operation<'_>, reply: Reply) -> Result<Answer, HardwareError> {
        operation.accepted(&reply)?;
        let status = reply.status;
        if status == StatusCode::ACCEPTED {
            self.remember(&reply);
        }
        let etag = reply.tag();
        let link = |text: &str| self.bmc.account.own_path(text);
        let named = reply.location.as_deref().or_else(|| reply.body.get("@odata.id").and_then(Value::as_str)).and_then(link);
        let mut body = match reply.body {
            Value::Object(map) => Value::Object(mask::masked(&map)),
            other => other,
        };
        self.bmc.account.scrub_value(&mut body);
        if body.to_string().len() > MOST_ANSWER {
            let text = format!("{}: the answer has more than {} KiB; read a part of it", operation.what, MOST_ANSWER >> 10);
            return Err(HardwareError::new(Kind::LimitExceeded, "redfish.AnswerTooLarge", text));
        }
        Ok(Answer {
            status: status.as_u16(),
            body,
            etag: etag.filter(|etag| etag.len() <= 256),
            location: named.clone().filter(|_| status == StatusCode::CREATED),
            task: named.filter(|_| status == StatusCode::ACCEPTED),
        })
    }

    /// What belongs to the machine; read at most every 30 s.
    async fn own(&self) -> Result<Arc<Own>, HardwareError> {
        let mut links = self.bmc.links.lock().await;
        if let Some((_, own)) = links.as_ref().filter(|(read, _)| read.elapsed() < LINKS_LAST) {
            return Ok(own.clone());
        }
        let operation = self.operation("reading what belongs to the machine", None);
        let own = Arc::new(own_of(&operation, &self.bmc.read_system(&operation).await?)?);
        *links = Some((Instant::now(), own.clone()));
        Ok(own)
    }

    /// Whether a Chassis or a Manager says that it is this machine's System's, and nobody else's.
    async fn is_alone(&self, root: &GuestPath, own: &Own) -> Result<bool, HardwareError> {
        let operation = self.operation("reading whose a chassis or manager is", None);
        let resource = operation.get(&root.text()).await?;
        let links = |key: &str| resource.value.pointer(&format!("/Links/{key}")).filter(|links| !links.is_null());
        let lists = ["ComputerSystems", "ManagerForServers"];
        let mut systems = lists.into_iter().filter_map(links).filter_map(Value::as_array).flatten().peekable();
        let is_named = systems.peek().is_some();
        let is_only = systems.all(|system| link(&operation, system).is_some_and(|system| system.is_same(&own.system)));
        // A list in several pages, and a Chassis that holds others.
        let has_more = lists.into_iter().any(|key| links(&format!("{key}@odata.nextLink")).is_some());
        let holds_others = links("Contains").is_some_and(|inner| inner.as_array().is_none_or(|inner| !inner.is_empty()));
        Ok(is_named && is_only && !has_more && !holds_others)
    }
}

fn what(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "reading a resource",
        Verb::Patch => "changing a resource",
        Verb::Post => "posting to a resource",
        Verb::Delete => "deleting a resource",
    }
}

/// With the ETag of the resource as it is now.
async fn patch(operation: &Operation<'_>, path: String, body: &Value) -> Result<Reply, HardwareError> {
    let now = operation.read(&path).await?;
    // Some resources can be written only.
    let is_hidden = matches!(now.status.as_u16(), 405 | 501);
    if !now.is_success() && !is_hidden {
        return Ok(now);
    }
    let etag = now.tag().filter(|_| !is_hidden);
    operation.patch(&Resource { path, etag, value: Value::Null }, body).await
}

fn link(operation: &Operation<'_>, value: &Value) -> Option<GuestPath> {
    let path = operation.link(Some(value))?;
    GuestPath::parse(path.trim_end_matches('/')).ok()
}

fn own_of(operation: &Operation<'_>, system: &Resource) -> Result<Own, HardwareError> {
    let path = GuestPath::parse(system.path.trim_end_matches('/')).ok().filter(path::is_system);
    let path = path.ok_or_else(|| operation.unsupported("OddSystemPath", "the path of the node's System is not that of a System"))?;
    let members = |at: &str, collection: &str| -> Vec<GuestPath> {
        let links = system.value.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let links = links.iter().take(MOST_LINKS).filter_map(|value| link(operation, value));
        links.filter(|path| path::is_member_of(path, collection)).collect()
    };
    let mut linked = members("/Links/Chassis", "Chassis");
    linked.extend(members("/Links/ManagedBy", "Managers"));
    let reset = operation.action(system, "#ComputerSystem.Reset").and_then(|path| GuestPath::parse(&path).ok());
    Ok(Own { system: path, linked, reset })
}

/// Whether `seen` has all members of `wanted`, with their values.
fn holds(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| seen.get(key).map_or(wanted.is_null(), |seen| holds(seen, wanted)))
        }
        _ => seen == wanted,
    }
}
