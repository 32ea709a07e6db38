//! What a call carries with it, and the one place that every host call passes through.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wrought_domain::wait::Wait;
use wrought_domain::{DriverError, ErrorKind};

use crate::answer::Report;
use crate::capability::World;
use crate::config::DriversConfig;
use crate::contract::types;
use crate::fault::Cause;
use crate::journal::{Class, Entry, Header, Journal};
use crate::snapshot::DriverState;
use crate::wasi;

/// No import blocks longer (`wit/types.wit`). The host's clients have deadlines of their own; this is the last resort.
const IMPORT_DEADLINE: Duration = Duration::from_secs(15);

/// The store's data for one call.
pub(crate) struct CallState {
    pub(crate) header: Header,
    /// Nothing in `describe` and `get-properties`: they are about no node.
    pub(crate) world: Option<Arc<dyn World>>,
    pub(crate) limits: Arc<DriversConfig>,
    pub(crate) driver_state: DriverState,
    pub(crate) state_changed: bool,
    pub(crate) waits: Vec<Wait>,
    pub(crate) reports: Vec<Report>,
    pub(crate) log_lines: u32,
    pub(crate) log_dropped: u32,
    pub(crate) memory_refused: bool,
    host_calls: u32,
    journal: Option<Arc<dyn Journal>>,
    /// What is still to be replayed.
    recorded: VecDeque<Entry>,
    /// Whether the call acts when nothing is left to be replayed.
    live: bool,
    pub(crate) entries: Vec<Entry>,
    wasi: Option<(WasiCtx, ResourceTable)>,
}

impl CallState {
    pub(crate) fn live(
        header: Header,
        world: Option<Arc<dyn World>>,
        limits: Arc<DriversConfig>,
        journal: Option<Arc<dyn Journal>>,
    ) -> Self {
        Self::new(header, world, limits, journal, VecDeque::new(), true)
    }

    pub(crate) fn replay(header: Header, limits: Arc<DriversConfig>, recorded: Vec<Entry>) -> Self {
        Self::new(header, None, limits, None, recorded.into(), false)
    }

    fn new(
        header: Header,
        world: Option<Arc<dyn World>>,
        limits: Arc<DriversConfig>,
        journal: Option<Arc<dyn Journal>>,
        recorded: VecDeque<Entry>,
        live: bool,
    ) -> Self {
        Self {
            driver_state: header.state.clone(),
            header,
            world,
            limits,
            state_changed: false,
            waits: Vec::new(),
            reports: Vec::new(),
            log_lines: 0,
            log_dropped: 0,
            memory_refused: false,
            host_calls: 0,
            journal,
            recorded,
            live,
            entries: Vec::new(),
            wasi: None,
        }
    }

    /// Charges one host call.
    ///
    /// # Errors
    /// The budget is used up: the call ends.
    pub(crate) fn charge(&mut self) -> wasmtime::Result<()> {
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls > self.limits.host_calls {
            return Err(wasmtime::Error::new(Cause::HostCalls { limit: self.limits.host_calls }));
        }
        Ok(())
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
        if let Err(denied) = self.authorise(class, interface, name) {
            return Ok(Err(denied.into()));
        }
        let function = format!("{interface}.{name}");
        let args = serde_json::to_value(args).map_err(host_failed)?;
        if let Some(answer) = self.replayed(&function, class, &args)? {
            let answer: Result<R, DriverError> = serde_json::from_value(answer).map_err(host_failed)?;
            return Ok(answer.map_err(types::Error::from));
        }
        self.entries.push(Entry { function, class, args, answer: None });
        if let (Class::Effect, Some(journal)) = (class, self.journal.clone()) {
            journal.intent(&self.header, &self.entries).await.map_err(host_failed)?;
        }
        let Some(world) = self.world.clone() else {
            return Err(host_failed("there is no world behind this call"));
        };
        let answer = match tokio::time::timeout(IMPORT_DEADLINE, act(world)).await {
            Ok(answer) => answer,
            Err(_) => Err(overdue(class, interface, name)),
        };
        let recorded = serde_json::to_value(&answer).map_err(host_failed)?;
        if let Some(entry) = self.entries.last_mut() {
            entry.answer = Some(recorded);
        }
        Ok(answer.map_err(types::Error::from))
    }

    fn authorise(&self, class: Class, interface: &str, name: &str) -> Result<(), DriverError> {
        if !self.header.grants.allow(interface) {
            let text = format!("{interface}.{name} was not granted to this driver");
            return Err(DriverError::new(ErrorKind::Denied, "wrought.NotGranted", text));
        }
        if class == Class::Effect && !self.header.function.may_use_effects() {
            let text = format!("{interface}.{name} changes the world, which {} may not", self.header.function.name());
            return Err(DriverError::new(ErrorKind::Denied, "wrought.EffectForbidden", text));
        }
        Ok(())
    }

    fn replayed(&mut self, function: &str, class: Class, args: &Value) -> wasmtime::Result<Option<Value>> {
        let diverged = |at: usize, recorded: String| {
            wasmtime::Error::new(Cause::Diverged { at, recorded, asked: format!("{function} {args}").chars().take(400).collect() })
        };
        let at = self.entries.len();
        match self.recorded.pop_front() {
            None if self.live => Ok(None),
            None => Err(diverged(at, "the end of the call".into())),
            Some(entry) if entry.function == function && entry.class == class && entry.args == *args => {
                let answer = entry.answer.clone();
                self.entries.push(entry);
                answer.map(Some).ok_or_else(|| diverged(at, "an intent without an answer".into()))
            }
            Some(entry) => Err(diverged(at, format!("{} {}", entry.function, entry.args).chars().take(400).collect())),
        }
    }
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
        let header = &self.header;
        let (ctx, table) = self.wasi.get_or_insert_with(|| (wasi::nothing_behind(header.started_at, header.seed), ResourceTable::new()));
        WasiCtxView { ctx, table }
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let limit = usize::try_from(self.limits.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        if desired <= limit {
            return Ok(true);
        }
        // An error, not `false`: most guests answer a refused growth by crashing, which would hide the reason.
        self.memory_refused = true;
        Err(wasmtime::Error::new(Cause::Memory { limit_mib: self.limits.memory_mib }))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 30_000)
    }
}

/// A future whose polls are charged to a CPU budget.
pub(crate) async fn metered<T>(meter: &Meter, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |context| {
        meter.start();
        let poll = future.as_mut().poll(context);
        meter.stop();
        poll
    })
    .await
}

/// CPU time of one call, over whatever threads it runs on. Waiting does not count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<[std::sync::atomic::AtomicU64; 2]>);

impl Meter {
    fn thread_cpu_ns() -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn start(&self) {
        self.0[1].store(Self::thread_cpu_ns(), std::sync::atomic::Ordering::Relaxed);
    }

    fn stop(&self) {
        let spent = Self::thread_cpu_ns().saturating_sub(self.0[1].load(std::sync::atomic::Ordering::Relaxed));
        self.0[0].fetch_add(spent, std::sync::atomic::Ordering::Relaxed);
    }

    /// What was spent, when nothing runs any more.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.0[0].load(std::sync::atomic::Ordering::Relaxed))
    }

    /// What is spent so far, while a poll runs.
    pub(crate) fn spent(&self) -> Duration {
        let running = Self::thread_cpu_ns().saturating_sub(self.0[1].load(std::sync::atomic::Ordering::Relaxed));
        Duration::from_nanos(self.0[0].load(std::sync::atomic::Ordering::Relaxed).saturating_add(running))
    }
}
