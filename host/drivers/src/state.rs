//! What a call carries with it, and the one place that every host call passes through.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wrought_domain::wait::Wait;
use wrought_domain::{DriverError, ErrorKind};

use crate::answer::Report;
use crate::capability::World;
use crate::config::Limits;
use crate::contract::types;
use crate::fault::Cause;
use crate::grants::Grants;
use crate::journal::{Class, Entry, Header, Journal, JournalError, Moment};
use crate::snapshot::DriverState;
use crate::throttle::Throttle;
use crate::wasi;

/// No import blocks longer (`wit/types.wit`), whatever the deadlines of the host's own clients are.
const IMPORT_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes that the recorded arguments and answers of one call may take in memory.
pub(crate) const MAX_RECORD: usize = 8 << 20;

/// Characters of a host call in the fault of a live call that diverged.
const MAX_DIVERGENCE: usize = 400;

/// The code of the answer to an effect where only looking is allowed.
const EFFECT_FORBIDDEN: &str = "wrought.EffectForbidden";

/// The code of the answer to what was not granted.
pub(crate) const NOT_GRANTED: &str = "wrought.NotGranted";

/// The store's data for one call.
pub(crate) struct CallState {
    pub(crate) header: Header,
    /// Nothing in a replay, and where there is no node.
    pub(crate) world: Option<Arc<dyn World>>,
    pub(crate) limits: Limits,
    pub(crate) driver_state: DriverState,
    pub(crate) state_changed: bool,
    pub(crate) waits: Vec<Wait>,
    pub(crate) reports: Vec<Report>,
    pub(crate) log_lines: u32,
    pub(crate) log_dropped: u32,
    /// Nothing in a call that has not begun.
    pub(crate) throttle: Option<Arc<Throttle>>,
    pub(crate) memory_refused: bool,
    /// Whether the call may change the world.
    pub(crate) may_use_effects: bool,
    /// Bytes of all linear memories.
    memory: usize,
    /// `describe` and `get-properties`: they are about no node.
    about_nobody: bool,
    pub(crate) host_calls: u32,
    /// How often each function was asked for and denied by the host, by the code of the answer.
    pub(crate) denied: BTreeMap<(String, String), u32>,
    /// In a replay: the host ended the call after so many host calls, and why.
    ends_at: Option<(u32, Cause)>,
    /// What `entries` take in memory, roughly.
    recorded_bytes: usize,
    journal: Option<Arc<dyn Journal>>,
    /// What is still to be replayed.
    recorded: VecDeque<Entry>,
    /// Whether the call acts when nothing is left to be replayed.
    live: bool,
    pub(crate) entries: Vec<Entry>,
    wasi: Option<(WasiCtx, ResourceTable)>,
}

impl CallState {
    pub(crate) fn live(header: Header, world: Option<Arc<dyn World>>, journal: Option<Arc<dyn Journal>>) -> Self {
        Self::new(header, world, journal, VecDeque::new(), true)
    }

    /// For `describe` and `get-properties`.
    pub(crate) fn about_nobody(header: Header) -> Self {
        Self { about_nobody: true, ..Self::new(header, None, None, VecDeque::new(), true) }
    }

    /// Answers from the record, then goes live.
    pub(crate) fn resumed(header: Header, recorded: Vec<Entry>, world: Arc<dyn World>, journal: Option<Arc<dyn Journal>>) -> Self {
        Self::new(header, Some(world), journal, recorded.into(), true)
    }

    /// Answers from the record alone. A call that the host ended is ended at the same host call, for the same reason.
    pub(crate) fn replay(header: Header, recorded: Vec<Entry>, ends_at: Option<(u32, Cause)>) -> Self {
        Self { ends_at, ..Self::new(header, None, None, recorded.into(), false) }
    }

    fn new(
        header: Header,
        world: Option<Arc<dyn World>>,
        journal: Option<Arc<dyn Journal>>,
        recorded: VecDeque<Entry>,
        live: bool,
    ) -> Self {
        Self {
            driver_state: header.state.clone(),
            limits: header.limits,
            header,
            world,
            state_changed: false,
            waits: Vec::new(),
            reports: Vec::new(),
            log_lines: 0,
            log_dropped: 0,
            throttle: None,
            memory_refused: false,
            may_use_effects: false,
            memory: 0,
            about_nobody: false,
            host_calls: 0,
            denied: BTreeMap::new(),
            ends_at: None,
            recorded_bytes: 0,
            journal,
            recorded,
            live,
            entries: Vec::new(),
            wasi: None,
        }
    }

    /// Charges one host call that is about the node.
    ///
    /// # Errors
    /// The budget is used up, or there is no node: the call ends.
    pub(crate) fn charge(&mut self) -> wasmtime::Result<()> {
        if self.about_nobody {
            return Err(wasmtime::Error::new(Cause::NoNode));
        }
        self.charge_free()
    }

    /// Charges one host call that may be made everywhere.
    ///
    /// # Errors
    /// The budget is used up: the call ends.
    pub(crate) fn charge_free(&mut self) -> wasmtime::Result<()> {
        if let Some((_, cause)) = self.ends_at.as_ref().filter(|(at, _)| self.host_calls >= *at) {
            return Err(wasmtime::Error::new(cause.clone()));
        }
        if let Some(reason) = self.world.as_ref().and_then(|world| world.revoked()) {
            return Err(wasmtime::Error::new(Cause::Revoked { reason }));
        }
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls > self.limits.host_calls {
            return Err(wasmtime::Error::new(Cause::HostCalls { limit: self.limits.host_calls }));
        }
        Ok(())
    }

    /// Answers a host call with an error, charged like any other.
    pub(crate) fn refuse<R>(&mut self, error: DriverError) -> wasmtime::Result<Result<R, types::Error>> {
        self.charge()?;
        Ok(Err(error.into()))
    }

    /// Where every host call passes that is not pure: charge, authorise, record, act, record, map.
    /// The outer error ends the call; the inner one is an answer that the guest can handle.
    pub(crate) async fn pass<R, F>(
        &mut self,
        class: Class,
        interface: &'static str,
        name: &'static str,
        args: impl Serialize,
        act: impl FnOnce(Arc<dyn World>) -> F,
    ) -> wasmtime::Result<Result<R, types::Error>>
    where
        R: Serialize + DeserializeOwned,
        F: Future<Output = Result<R, DriverError>> + Send,
    {
        self.charge()?;
        if class == Class::Effect && !self.may_use_effects {
            self.note_denied(&format!("{interface}.{name}"), EFFECT_FORBIDDEN);
            return Ok(Err(self.effect_forbidden(interface, name).into()));
        }
        let function = format!("{interface}.{name}");
        let args = serde_json::to_value(args).map_err(host_failed)?;
        if self.remember(&args) > MAX_RECORD {
            let text = format!("{function}: what this call asked and was answered takes more than {} MiB", MAX_RECORD >> 20);
            return Ok(Err(DriverError::new(ErrorKind::LimitExceeded, "wrought.RecordFull", text).into()));
        }
        let allowed = self.allowed(interface, Some(name));
        if allowed == (Allowed { then: false, now: false }) {
            self.note_denied(&function, NOT_GRANTED);
            return Ok(Err(not_granted(&function).into()));
        }
        let was_recorded = !self.recorded.is_empty();
        if let Some(answer) = self.replayed(&function, class, &args)? {
            self.remember(&answer);
            let answer: Result<R, DriverError> = serde_json::from_value(answer).map_err(host_failed)?;
            return Ok(answer.map_err(types::Error::from));
        }
        let Some(world) = self.world.clone() else {
            return Err(host_failed("there is no world behind this call"));
        };
        // An effect that was only intended is done now, so what counts is what is granted now.
        let allowed = if was_recorded { self.allowed(interface, Some(name)) } else { allowed };
        let at = allowed.at(self.host_calls);
        self.entries.push(Entry { function, class, args, before: None, at, answer: None });
        let deadline = Instant::now() + IMPORT_DEADLINE;
        self.passing(Moment::Asked).await;
        let permitted = if allowed.now { self.intend(class, &world, deadline).await? } else { Err(self.not_granted_now()) };
        let answer = match permitted {
            Err(refused) => Err(refused),
            Ok(()) => match tokio::time::timeout_at(deadline, act(world)).await {
                Ok(answer) => answer,
                Err(_) => Err(overdue(class, interface, name)),
            },
        };
        self.passing(Moment::Acted).await;
        if let (Err(error), Some(entry)) = (&answer, self.entries.last())
            && is_denial(error)
        {
            let function = entry.function.clone();
            self.note_denied(&function, &error.code);
        }
        let recorded = serde_json::to_value(&answer).map_err(host_failed)?;
        self.remember(&recorded);
        if let Some(entry) = self.entries.last_mut() {
            entry.answer = Some(recorded);
        }
        Ok(answer.map_err(types::Error::from))
    }

    async fn passing(&mut self, moment: Moment) {
        if let (Some(journal), Some(entry)) = (self.journal.clone(), self.entries.last()) {
            journal.passing(entry, moment).await;
        }
    }

    /// Records what is about to be done. An effect's intent is durable when this returns, with all answers before it.
    /// The inner error is the effect's answer: it may not act.
    async fn intend(&mut self, class: Class, world: &Arc<dyn World>, deadline: Instant) -> wasmtime::Result<Result<(), DriverError>> {
        let (Class::Effect, Some(journal)) = (class, self.journal.clone()) else { return Ok(Ok(())) };
        if let Some(entry) = self.entries.last_mut() {
            match tokio::time::timeout_at(deadline, world.before(&entry.function)).await {
                Ok(Ok(before)) => entry.before = before,
                Ok(Err(refused)) => return Ok(Err(refused)),
                Err(_) => {
                    let text = format!("{}: the world was not seen in time", entry.function);
                    return Ok(Err(DriverError::new(ErrorKind::Timeout, "wrought.ImportDeadline", text)));
                }
            }
        }
        match journal.intent(&self.header, &self.entries).await {
            Ok(()) => {
                self.passing(Moment::Intended).await;
                Ok(Ok(()))
            }
            Err(error @ JournalError::Stale) => Ok(Err(DriverError::new(ErrorKind::Locked, "wrought.StaleFence", error.to_string()))),
            Err(JournalError::Full { limit_kib }) => Err(wasmtime::Error::new(Cause::JournalFull { limit_kib })),
            Err(error @ JournalError::Failed(_)) => Err(host_failed(error)),
        }
    }

    /// Adds to what is recorded, and tells how much that is.
    fn remember(&mut self, value: &Value) -> usize {
        self.recorded_bytes = self.recorded_bytes.saturating_add(size(value));
        self.recorded_bytes
    }

    fn effect_forbidden(&self, interface: &str, name: &str) -> DriverError {
        let text = format!("{interface}.{name} changes the world, which {} may not", self.header.function.name());
        DriverError::new(ErrorKind::Denied, EFFECT_FORBIDDEN, text)
    }

    fn not_granted_now(&self) -> DriverError {
        not_granted(self.entries.last().map_or("this", |entry| entry.function.as_str()))
    }

    /// Whether this host call may use a function, or anything of an interface: when the call began, and now. What is being
    /// replayed is allowed as it was then; an entry that says otherwise has the number of the host call.
    fn allowed(&self, interface: &str, function: Option<&str>) -> Allowed {
        let by = |grants: &Grants| function.map_or_else(|| grants.allow_any(interface), |function| grants.allow(interface, function));
        let then = by(&self.header.grants);
        let now = match self.recorded.front() {
            Some(entry) if entry.at == Some(self.host_calls) => !then,
            Some(_) => then,
            None if self.live => self.world.as_ref().map_or(then, |world| by(&world.grants())),
            None => then,
        };
        Allowed { then, now }
    }

    /// For functions that are not recorded otherwise, since they answer from the header: whether this host call may use one,
    /// or anything of the interface. It has been charged.
    pub(crate) fn may_use(&mut self, interface: &str, function: Option<&str>) -> bool {
        let allowed = self.allowed(interface, function);
        let name = function.map_or_else(|| interface.to_owned(), |function| format!("{interface}.{function}"));
        if let Some(at) = allowed.at(self.host_calls) {
            // What was recorded is taken; what differs now for the first time is recorded.
            let entry = self.recorded.pop_front().unwrap_or_else(|| Entry {
                function: name.clone(),
                class: Class::Observe,
                args: Value::Null,
                before: None,
                at: Some(at),
                answer: Some(allowed.now.into()),
            });
            self.recorded_bytes = self.recorded_bytes.saturating_add(name.len());
            self.entries.push(entry);
        }
        if !allowed.now {
            self.note_denied(&name, NOT_GRANTED);
        }
        allowed.now
    }

    /// Counts what was asked for and denied, for the audit. There are no more names than the contract has functions, and codes than
    /// this host has.
    fn note_denied(&mut self, function: &str, code: &str) {
        if self.world.is_some() {
            let count = self.denied.entry((function.to_owned(), code.to_owned())).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn replayed(&mut self, function: &str, class: Class, args: &Value) -> wasmtime::Result<Option<Value>> {
        // What ends a live call becomes part of `last_error`; whoever replays one wants to see all of it.
        let most = if self.live { MAX_DIVERGENCE } else { usize::MAX };
        let shown = |function: &str, args: &Value| format!("{function} {args}").chars().take(most).collect::<String>();
        let diverged = |at: usize, recorded: String| wasmtime::Error::new(Cause::Diverged { at, recorded, asked: shown(function, args) });
        let at = self.entries.len();
        match self.recorded.pop_front() {
            None if self.live => Ok(None),
            None => Err(diverged(at, "the end of the call".into())),
            Some(entry) if entry.function == function && entry.class == class && entry.args == *args => {
                let answer = entry.answer.clone();
                if answer.is_none() && self.live {
                    // It was seen not to be done: it is done now, on an intent of its own.
                    return Ok(None);
                }
                self.entries.push(entry);
                answer.map(Some).ok_or_else(|| diverged(at, "an intent without an answer".into()))
            }
            Some(entry) => Err(diverged(at, shown(&entry.function, &entry.args))),
        }
    }
}

/// Whether something was allowed when the call began, and is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowed {
    then: bool,
    now: bool,
}

impl Allowed {
    /// The number that an entry has where both differ.
    fn at(self, host_call: u32) -> Option<u32> {
        (self.then != self.now).then_some(host_call)
    }
}

/// Whether it is the host that denies, not a machine.
fn is_denial(error: &DriverError) -> bool {
    error.kind == ErrorKind::Denied && !error.code.starts_with("redfish.")
}

fn not_granted(function: &str) -> DriverError {
    DriverError::new(ErrorKind::Denied, NOT_GRANTED, format!("{function} was not granted to this driver"))
}

/// What a value takes in memory, roughly.
fn size(value: &Value) -> usize {
    const NODE: usize = size_of::<Value>();
    NODE.saturating_add(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(key, member)| key.len().saturating_add(NODE).saturating_add(size(member))).sum(),
    })
}

fn overdue(class: Class, interface: &str, name: &str) -> DriverError {
    let kind = if class == Class::Effect { ErrorKind::OutcomeUnknown } else { ErrorKind::Timeout };
    DriverError::new(kind, "wrought.ImportDeadline", format!("{interface}.{name} took longer than {} s", IMPORT_DEADLINE.as_secs()))
}

/// A failure of the host's own; the guest is not to blame.
pub(crate) fn host_failed(error: impl std::fmt::Display) -> wasmtime::Error {
    wasmtime::Error::new(Cause::Host(error.to_string()))
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (header, handles) = (&self.header, self.limits.handles);
        let (ctx, table) = self.wasi.get_or_insert_with(|| {
            let mut table = ResourceTable::new();
            table.set_max_capacity(usize::try_from(handles).unwrap_or(usize::MAX));
            (wasi::nothing_behind(header.started_at, header.seed), table)
        });
        WasiCtxView { ctx, table }
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let limit = usize::try_from(self.limits.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total <= limit {
            self.memory = total;
            return Ok(true);
        }
        // An error, not `false`: most guests answer a refused growth by crashing, which would hide the reason.
        self.memory_refused = true;
        Err(wasmtime::Error::new(Cause::Memory { limit_mib: self.limits.memory_mib }))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= usize::try_from(self.limits.table_elements).unwrap_or(usize::MAX) {
            return Ok(true);
        }
        Err(wasmtime::Error::new(Cause::Table { limit: self.limits.table_elements }))
    }
}
