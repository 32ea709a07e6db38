//! One call of a driver: a fresh instance, an answer or a fault, and the instance is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use wasmtime::component::Instance;
use wasmtime::{Store, UpdateDeadline};
use wrought_domain::{Digest, DriverError, DriverName, Function};

use crate::admission::Rejection;
use crate::answer::{Answer, Outcome};
use crate::capability::World;
use crate::config::Limits;
use crate::contract::types;
use crate::contract::{Description, GivenMethod, Schemas};
use crate::convert;
use crate::driver::{Bindings, Driver};
use crate::fault::{Cause, Fault, named};
use crate::invoke::invoke;
use crate::journal::{Entry, Header, Journal, Record};
use crate::meter::Meter;
use crate::runtime::Runtime;
use crate::snapshot::Snapshot;
use crate::state::CallState;

/// What comes of a call.
#[derive(Debug, Clone)]
pub struct Completed {
    /// Everything that can be stored and replayed.
    pub record: Record,
    /// How long it took, waiting for hardware included.
    pub wall: Duration,
    /// CPU time of the guest and of the host functions.
    pub cpu: Duration,
    /// How often each function was asked for and denied by the host: by `interface.function` and the code of the answer.
    pub denied: BTreeMap<(String, String), u32>,
}

/// Calls a function.
///
/// Dropping the future ends the call: the instance and what it held are gone, and the journal keeps
/// the call open, as after a crash of the host.
pub async fn call(
    runtime: &Runtime,
    driver: &Driver,
    header: Header,
    world: Arc<dyn World>,
    journal: Option<Arc<dyn Journal>>,
) -> Completed {
    run(runtime, driver, CallState::live(header, Some(world), journal)).await
}

/// Goes on with a call that a stop of the host cut off: runs it again, answers from the record, and acts where the record
/// ends. An effect at the end of `entries` that has no answer is carried out: whoever calls this has seen that it was not
/// done, or has put its answer in.
pub async fn resume(
    runtime: &Runtime,
    driver: &Driver,
    header: Header,
    entries: Vec<Entry>,
    world: Arc<dyn World>,
    journal: Option<Arc<dyn Journal>>,
) -> Completed {
    run(runtime, driver, CallState::resumed(header, entries, world, journal)).await
}

/// Ends a call without running it: an effect of it may have been done, and nobody can tell.
pub fn unsettled(driver: &Driver, header: Header, entries: Vec<Entry>, error: DriverError) -> Completed {
    let outcome = Outcome { answer: Err(fault(driver, &header, 0, Cause::Unsettled(error))), state: None, reports: Vec::new() };
    Completed { record: Record { header, entries, outcome }, wall: Duration::ZERO, cpu: Duration::ZERO, denied: BTreeMap::new() }
}

/// Makes a fault of a call that cannot be recorded in full. Of its entries those remain that are stored, up to the intent
/// at `from`.
pub fn journal_full(driver: &Driver, record: &mut Record, from: usize, limit_kib: u32) {
    record.entries.truncate(from.saturating_add(1));
    if let Some(intent) = record.entries.get_mut(from) {
        intent.answer = None;
    }
    let host_calls = u32::try_from(record.entries.len()).unwrap_or(u32::MAX);
    let answer = Err(fault(driver, &record.header, host_calls, Cause::JournalFull { limit_kib }));
    record.outcome = Outcome { answer, state: None, reports: Vec::new() };
}

/// Runs a recorded call again, offline: nothing acts, every host call is answered from the record.
///
/// A call that the host ended, at a deadline or because the host failed, is replayed as far as it is recorded.
///
/// # Errors
/// The first difference: a host call that was not recorded, or another outcome.
pub async fn replay(runtime: &Runtime, driver: &Driver, record: &Record) -> Result<(), Divergence> {
    let circumstance = record.outcome.answer.as_ref().err().filter(|fault| fault.cause.is_circumstance());
    if matches!(circumstance, Some(Fault { cause: Cause::Unsettled(_), .. })) {
        // The host ended it without running the driver.
        return Ok(());
    }
    let ends_at = circumstance.map(|fault| (fault.host_calls, fault.cause.clone()));
    let state = CallState::replay(record.header.clone(), record.entries.clone(), ends_at);
    let Record { entries, outcome, .. } = run(runtime, driver, state).await.record;
    let at = entries.len();
    if let Err(Fault { cause: Cause::Diverged { at: asked_at, recorded, asked }, .. }) = &outcome.answer {
        // All that was recorded was asked for, and the last answer never came.
        let unanswered = *asked_at < at && entries.last().is_some_and(|entry| entry.answer.is_none());
        if circumstance.is_some() && unanswered && at == record.entries.len() {
            return Ok(());
        }
        return Err(Divergence { at: *asked_at, recorded: recorded.clone(), replayed: asked.clone() });
    }
    if let Some(unasked) = record.entries.get(at) {
        let replayed = outcome.answer.as_ref().err().map_or_else(|| "the end of the call".to_owned(), Fault::to_string);
        return Err(Divergence { at, recorded: format!("{} {}", unasked.function, unasked.args), replayed });
    }
    if circumstance.is_some() {
        return Ok(());
    }
    let (recorded, replayed) = (comparable(&record.outcome), comparable(&outcome));
    if recorded != replayed {
        return Err(Divergence { at, recorded, replayed });
    }
    Ok(())
}

/// An outcome as text, without what tells the builds of a driver apart.
fn comparable(outcome: &Outcome) -> String {
    let answer = outcome.answer.as_ref().map_err(|fault| (&fault.function, fault.host_calls, &fault.cause));
    serde_json::json!({ "answer": answer, "state": outcome.state, "reports": outcome.reports }).to_string()
}

/// Where a replay went another way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("replay diverged at host call {at}: recorded {recorded}, replayed {replayed}")]
pub struct Divergence {
    /// Index of the host call; the number of host calls when the outcome differs.
    pub at: usize,
    /// What the record says.
    pub recorded: String,
    /// What happened.
    pub replayed: String,
}

async fn run(runtime: &Runtime, driver: &Driver, mut state: CallState) -> Completed {
    let _turn = runtime.drivers.turn(&state.header.driver, driver.bindings.weight).await;
    state.throttle = Some(runtime.throttle.clone());
    // Given back after the store is gone, so that the pool's totals are never reached: permits run out before.
    let _permits = runtime.permits.acquire_many(driver.bindings.weight).await;
    let began = Instant::now();
    let meter = Meter::default();
    let function = state.header.function;
    state.may_use_effects = driver.may_use_effects(function, state.header.step.as_ref());
    let step = state.header.step.clone();
    let mut store = store(runtime, state, &meter);
    let called = limited(&meter, &driver.bindings, &mut store, async |linked: &Bindings, store: &mut Store<CallState>, instance| {
        invoke(linked, store, &instance, function, step).await
    })
    .await;
    let cpu = meter.spent();
    let state = store.into_data();
    if state.log_dropped > 0
        && let Some(dropped) = runtime.throttle.dropped(&state.header.driver, state.log_dropped, Instant::now())
    {
        let (driver, node) = (&state.header.driver, &state.header.node);
        tracing::warn!(target: "wrought::driver", %driver, %node, dropped, "the driver wrote too many log lines");
    }
    let answer = called.and_then(|raw| raw.into_answer(&state)).map_err(|cause| fault(driver, &state.header, state.host_calls, cause));
    let succeeded = matches!(answer, Ok(Answer::Done | Answer::Wait(_) | Answer::Steps(_) | Answer::Value(_)));
    let outcome = Outcome {
        answer,
        state: (succeeded && state.state_changed).then_some(state.driver_state),
        reports: if succeeded { state.reports } else { Vec::new() },
    };
    Completed { record: Record { header: state.header, entries: state.entries, outcome }, wall: began.elapsed(), cpu, denied: state.denied }
}

fn fault(driver: &Driver, header: &Header, host_calls: u32, cause: Cause) -> Fault {
    Fault {
        driver: header.driver.clone(),
        version: driver.about.version.clone(),
        digest: driver.digest.clone(),
        function: named(header.function),
        host_calls,
        cause,
    }
}

/// What a driver says of itself.
pub(crate) struct Described {
    pub(crate) description: Description,
    pub(crate) properties: Vec<types::Property>,
    pub(crate) schemas: Option<Schemas>,
    pub(crate) methods: Vec<GivenMethod>,
}

/// Asks a driver who it is: no node, no world, no grants. Whether all that it exports has the contract's types is looked at, too.
pub(crate) async fn describe(runtime: &Runtime, linked: &Bindings, digest: &Digest) -> Result<Described, Rejection> {
    let header = nobody(digest, runtime.limits()).map_err(|error| Rejection::Host(error.to_string()))?;
    let _permits = runtime.permits.acquire_many(linked.weight).await;
    let meter = Meter::default();
    let mut store = store(runtime, CallState::about_nobody(header), &meter);
    limited(&meter, linked, &mut store, async |linked: &Bindings, store: &mut Store<CallState>, instance: Instance| {
        if let Err(error) = fits(linked, store, &instance) {
            return Ok(Err(Rejection::Contract(format!("{error:#}"))));
        }
        let bindings = linked.driver.load(&mut *store, &instance)?;
        let driver = bindings.baremetal_deploy_driver();
        let description = driver.call_describe(&mut *store).await?;
        let properties = driver.call_get_properties(&mut *store).await?;
        let schemas = match &linked.schema {
            Some(indices) => {
                let bindings = indices.load(&mut *store, &instance)?;
                Some(bindings.baremetal_deploy_state_schema().call_get_schemas(&mut *store).await?)
            }
            None => None,
        };
        let methods = match &linked.passthru {
            Some(indices) => {
                let bindings = indices.load(&mut *store, &instance)?;
                bindings.baremetal_deploy_vendor_passthru().call_methods(&mut *store).await?
            }
            None => Vec::new(),
        };
        Ok(Ok(Described { description, properties, schemas, methods }))
    })
    .await
    .map_err(|cause| if let Cause::Host(text) = cause { Rejection::Host(text) } else { Rejection::Broken(cause.to_string()) })?
}

/// Whether the exported functions have the contract's types.
fn fits(linked: &Bindings, store: &mut Store<CallState>, instance: &Instance) -> wasmtime::Result<()> {
    linked.driver.load(&mut *store, instance)?;
    linked.deploy.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.steps.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.cleaning.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.servicing.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.verify.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.rescue.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.inspection.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.passthru.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    linked.schema.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?;
    Ok(())
}

fn nobody(digest: &Digest, limits: Limits) -> Result<Header, wrought_domain::id::InvalidId> {
    let driver: DriverName = "unnamed".parse()?;
    Ok(Header {
        operation: None,
        node: wrought_domain::NodeId(uuid::Uuid::nil()),
        fence: wrought_domain::Fence::default(),
        driver,
        digest: digest.clone(),
        function: Function::Validate,
        step: None,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        seed: 0,
        grants: crate::grants::Grants::default(),
        limits,
        state: crate::snapshot::DriverState::default(),
        snapshot: Snapshot::of_nobody(),
    })
}

fn store(runtime: &Runtime, state: CallState, meter: &Meter) -> Store<CallState> {
    let limits = state.limits;
    let mut store = Store::new(&runtime.engine, state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(usize::try_from(limits.value_kib).unwrap_or(4096).saturating_mul(1 << 10));
    store.set_epoch_deadline(1);
    let meter = meter.clone();
    store.epoch_deadline_callback(move |_| {
        if meter.spent() > Duration::from_millis(u64::from(limits.cpu_ms)) {
            return Err(wasmtime::Error::new(Cause::Cpu { limit_ms: limits.cpu_ms }));
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

/// Instantiates and calls, under both clocks. The store is never used again, whatever happens.
async fn limited<T>(
    meter: &Meter,
    linked: &Bindings,
    store: &mut Store<CallState>,
    body: impl AsyncFnOnce(&Bindings, &mut Store<CallState>, Instance) -> wasmtime::Result<T>,
) -> Result<T, Cause> {
    let limits = store.data().limits;
    let mut guest_ran = false;
    let call = meter.measure(async {
        let instance = linked.pre.instantiate_async(&mut *store).await?;
        guest_ran = true;
        body(linked, store, instance).await
    });
    // A panic in a host function fails the call, not the host.
    let call = std::panic::AssertUnwindSafe(call).catch_unwind();
    let called = tokio::time::timeout(Duration::from_secs(u64::from(limits.wall_s)), call).await;
    match called {
        Err(_) => Err(Cause::Deadline { limit_s: limits.wall_s }),
        Ok(Err(panic)) => Err(Cause::Host(format!("a host function panicked: {}", words(&*panic)))),
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(Cause::of(&error, guest_ran, store.data().memory_refused, &limits)),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// What a guest answered, before it is checked.
pub(crate) enum Raw {
    Outcome(Result<types::Outcome, types::Error>),
    Steps(Result<Vec<types::Step>, types::Error>),
    Valid(Result<(), types::Error>),
    Text(Result<String, types::Error>),
}

/// Bytes of JSON that a method of the vendor's own answers.
const MAX_VALUE: usize = 64 << 10;

/// The answer of a method of the vendor's own.
fn value(text: &str) -> Result<Answer, Cause> {
    if text.len() > MAX_VALUE {
        return Err(Cause::Answer(format!("it answered {} bytes; at most {MAX_VALUE} are allowed", text.len())));
    }
    serde_json::from_str(text).map(Answer::Value).map_err(|error| Cause::Answer(format!("that is not JSON: {error}")))
}

impl Raw {
    fn into_answer(self, state: &CallState) -> Result<Answer, Cause> {
        match self {
            Raw::Valid(Ok(())) | Raw::Outcome(Ok(types::Outcome::Done)) => Ok(Answer::Done),
            Raw::Outcome(Ok(types::Outcome::Wait(token))) => usize::try_from(token)
                .ok()
                .and_then(|index| state.waits.get(index))
                .map(|wait| Answer::Wait(wait.clone()))
                .ok_or_else(|| Cause::Answer(format!("wait({token}), a token that this call did not make"))),
            Raw::Steps(Ok(steps)) => convert::listed(state.header.function, steps).map(Answer::Steps).map_err(Cause::Answer),
            Raw::Text(Ok(text)) => value(&text),
            Raw::Valid(Err(error)) | Raw::Outcome(Err(error)) | Raw::Steps(Err(error)) | Raw::Text(Err(error)) => {
                Ok(Answer::Refused(capped(error)))
            }
        }
    }
}

/// A guest's error becomes part of `last_error`: capped and escaped.
fn capped(error: types::Error) -> DriverError {
    let text = |text: &str, max: usize| crate::capability::escaped(&wrought_domain::node::cut(text, max));
    DriverError::new(error.kind.into(), text(&error.code, 128), text(&error.message, 2048))
}
