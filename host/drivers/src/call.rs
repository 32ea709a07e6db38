//! One call of a driver: a fresh instance, an answer or a fault, and the instance is gone.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Instance;
use wasmtime::{Store, UpdateDeadline};
use wrought_domain::{Digest, DriverError, DriverName, Function};

use crate::answer::{Answer, Outcome};
use crate::capability::World;
use crate::contract::Description;
use crate::contract::types;
use crate::convert;
use crate::driver::{Driver, Linked};
use crate::fault::{Cause, Fault, named};
use crate::journal::{Entry, Header, Journal, Record};
use crate::runtime::Runtime;
use crate::snapshot::Snapshot;
use crate::state::{CallState, Meter, metered};

/// What comes of a call.
#[derive(Debug, Clone)]
pub struct Completed {
    /// Everything that can be stored and replayed.
    pub record: Record,
    /// How long it took, waiting for hardware included.
    pub wall: Duration,
    /// CPU time of the guest and of the host functions.
    pub cpu: Duration,
}

/// Calls a function.
pub async fn call(
    runtime: &Runtime,
    driver: &Driver,
    header: Header,
    world: Arc<dyn World>,
    journal: Option<Arc<dyn Journal>>,
) -> Completed {
    let state = CallState::live(header.clone(), Some(world), runtime.limits.clone(), journal.clone());
    let (outcome, entries, wall, cpu) = run(runtime, driver, &header, state).await;
    let mut record = Record { header, entries, outcome };
    if let Some(journal) = journal
        && let Err(error) = journal.close(record.clone()).await
    {
        record.outcome = failed(driver, &record.header, Cause::Host(error.to_string()));
    }
    Completed { record, wall, cpu }
}

/// Runs a recorded call again, offline: nothing acts, every host call is answered from the record.
///
/// # Errors
/// The first difference: a host call that was not recorded, or another outcome.
pub async fn replay(runtime: &Runtime, driver: &Driver, record: &Record) -> Result<(), Divergence> {
    let state = CallState::replay(record.header.clone(), runtime.limits.clone(), record.entries.clone());
    let (outcome, entries, ..) = run(runtime, driver, &record.header, state).await;
    if let Err(Fault { cause: Cause::Diverged { at, recorded, asked }, .. }) = &outcome.answer {
        return Err(Divergence { at: *at, recorded: recorded.clone(), replayed: asked.clone() });
    }
    if let Some(unasked) = record.entries.get(entries.len()) {
        return Err(Divergence { at: entries.len(), recorded: unasked.function.clone(), replayed: "the end of the call".into() });
    }
    let bytes = |outcome: &Outcome| serde_json::to_string(outcome).unwrap_or_default();
    let (recorded, replayed) = (bytes(&record.outcome), bytes(&outcome));
    if recorded != replayed {
        return Err(Divergence { at: entries.len(), recorded, replayed });
    }
    Ok(())
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

async fn run(runtime: &Runtime, driver: &Driver, header: &Header, state: CallState) -> (Outcome, Vec<Entry>, Duration, Duration) {
    let began = Instant::now();
    let meter = Meter::default();
    let mut store = store(runtime, state, &meter);
    let function = header.function;
    let step = header.step.as_ref().map(convert::step_call);
    let called = limited(runtime, &meter, &driver.linked, &mut store, async |linked: &Linked, store: &mut Store<CallState>, instance| {
        invoke(linked, store, &instance, function, step).await
    })
    .await;
    let cpu = meter.total();
    let state = store.into_data();
    if state.log_dropped > 0 {
        tracing::warn!(driver = %header.driver, node = %header.node, dropped = state.log_dropped, "the driver wrote too many log lines");
    }
    let answer = called.and_then(|raw| raw.into_answer(&state)).map_err(|cause| fault(driver, header, cause));
    let succeeded = matches!(answer, Ok(Answer::Done | Answer::Wait(_) | Answer::Steps(_)));
    let outcome = Outcome {
        answer,
        state: (succeeded && state.state_changed).then_some(state.driver_state),
        reports: if succeeded { state.reports } else { Vec::new() },
    };
    (outcome, state.entries, began.elapsed(), cpu)
}

fn fault(driver: &Driver, header: &Header, cause: Cause) -> Fault {
    Fault {
        driver: header.driver.clone(),
        version: driver.about.version.clone(),
        digest: driver.digest.clone(),
        function: named(header.function),
        cause,
    }
}

fn failed(driver: &Driver, header: &Header, cause: Cause) -> Outcome {
    Outcome { answer: Err(fault(driver, header, cause)), state: None, reports: Vec::new() }
}

/// Asks a driver who it is: no node, no world, no grants.
pub(crate) async fn describe(runtime: &Runtime, linked: &Linked, digest: &Digest) -> Result<(Description, Vec<types::Property>), Cause> {
    let state = CallState::live(nobody(digest)?, None, runtime.limits.clone(), None);
    let meter = Meter::default();
    let mut store = store(runtime, state, &meter);
    limited(runtime, &meter, linked, &mut store, async |linked: &Linked, store: &mut Store<CallState>, instance: Instance| {
        let bindings = linked.driver.load(&mut *store, &instance)?;
        let driver = bindings.baremetal_deploy_driver();
        let description = driver.call_describe(&mut *store).await?;
        let properties = driver.call_get_properties(&mut *store).await?;
        Ok((description, properties))
    })
    .await
}

fn nobody(digest: &Digest) -> Result<Header, Cause> {
    use crate::contract::task;
    let driver: DriverName = "unnamed".parse().map_err(|error: wrought_domain::id::InvalidId| Cause::Host(error.to_string()))?;
    let text = String::new;
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
        state: crate::snapshot::DriverState::default(),
        snapshot: Snapshot {
            cause: task::Cause::First,
            operation: task::Operation { id: text(), name: "describe".into() },
            node: task::Node {
                uuid: text(),
                name: None,
                driver: text(),
                provision_state: text(),
                target_provision_state: None,
                power: types::PowerState::Unknown,
                driver_info: "{}".into(),
                instance_info: "{}".into(),
                properties: "{}".into(),
                extra: "{}".into(),
                resource_class: None,
                disable_power_off: false,
                maintenance: false,
            },
            ports: Vec::new(),
            traits: Vec::new(),
            lock_mode: task::LockMode::Shared,
            step: None,
            options: wrought_domain::Map::new(),
            config_drive: false,
            authorization: false,
            now: jiff::Timestamp::UNIX_EPOCH,
        },
    })
}

fn store(runtime: &Runtime, state: CallState, meter: &Meter) -> Store<CallState> {
    let limits = runtime.limits.clone();
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
    runtime: &Runtime,
    meter: &Meter,
    linked: &Linked,
    store: &mut Store<CallState>,
    body: impl AsyncFnOnce(&Linked, &mut Store<CallState>, Instance) -> wasmtime::Result<T>,
) -> Result<T, Cause> {
    let limits = &runtime.limits;
    // The pool's totals are never reached, because permits run out before.
    let _permits = runtime.permits.acquire_many(linked.weight).await.map_err(|error| Cause::Host(error.to_string()))?;
    let called = tokio::time::timeout(
        Duration::from_secs(u64::from(limits.wall_s)),
        metered(meter, async {
            let instance = linked.pre.instantiate_async(&mut *store).await?;
            body(linked, store, instance).await
        }),
    )
    .await;
    match called {
        Err(_) => Err(Cause::Deadline { limit_s: limits.wall_s }),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Cause::of(&error, store.data().memory_refused, limits.memory_mib, limits.value_kib)),
    }
}

/// What a guest answered, before it is checked.
enum Raw {
    Outcome(Result<types::Outcome, types::Error>),
    Steps(Result<Vec<types::Step>, types::Error>),
    Valid(Result<(), types::Error>),
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
            Raw::Steps(Ok(steps)) => convert::steps(steps).map(Answer::Steps).map_err(Cause::Answer),
            Raw::Valid(Err(error)) | Raw::Outcome(Err(error)) | Raw::Steps(Err(error)) => Ok(Answer::Refused(capped(error))),
        }
    }
}

/// A guest's error becomes part of `last_error`: capped and escaped.
fn capped(error: types::Error) -> DriverError {
    let text = |text: &str, max: usize| crate::capability::escaped(&wrought_domain::node::cut(text, max));
    DriverError::new(error.kind.into(), text(&error.code, 128), text(&error.message, 2048))
}

fn invoke<'a>(
    linked: &'a Linked,
    store: &'a mut Store<CallState>,
    instance: &'a Instance,
    function: Function,
    step: Option<types::StepCall>,
) -> std::pin::Pin<Box<dyn Future<Output = wasmtime::Result<Raw>> + Send + 'a>> {
    Box::pin(async move {
        let missing = || wasmtime::Error::new(Cause::NotExported(function.interface().to_owned()));
        let no_step = || wasmtime::Error::new(Cause::Host(format!("{} was called without a step", function.name())));
        Ok(match function {
            Function::Validate | Function::Prepare | Function::TearDown | Function::CleanUp | Function::TakeOver => {
                let bindings = linked.deploy.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let deploy = bindings.baremetal_deploy_deploy();
                match function {
                    Function::Validate => Raw::Valid(deploy.call_validate(store).await?),
                    Function::Prepare => Raw::Outcome(deploy.call_prepare(store).await?),
                    Function::TearDown => Raw::Outcome(deploy.call_tear_down(store).await?),
                    Function::CleanUp => Raw::Outcome(deploy.call_clean_up(store).await?),
                    _ => Raw::Outcome(deploy.call_take_over(store).await?),
                }
            }
            Function::GetDeploySteps | Function::ExecuteDeployStep => {
                let bindings = linked.steps.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let steps = bindings.baremetal_deploy_deploy_steps();
                match function {
                    Function::GetDeploySteps => Raw::Steps(steps.call_get_deploy_steps(store).await?),
                    _ => Raw::Outcome(steps.call_execute_deploy_step(store, &step.ok_or_else(no_step)?).await?),
                }
            }
            Function::PrepareCleaning | Function::GetCleanSteps | Function::ExecuteCleanStep | Function::TearDownCleaning => {
                let bindings = linked.cleaning.as_ref().ok_or_else(missing)?.load(&mut *store, instance)?;
                let cleaning = bindings.baremetal_deploy_cleaning();
                match function {
                    Function::PrepareCleaning => Raw::Outcome(cleaning.call_prepare_cleaning(store).await?),
                    Function::GetCleanSteps => Raw::Steps(cleaning.call_get_clean_steps(store).await?),
                    Function::ExecuteCleanStep => Raw::Outcome(cleaning.call_execute_clean_step(store, &step.ok_or_else(no_step)?).await?),
                    _ => Raw::Outcome(cleaning.call_tear_down_cleaning(store).await?),
                }
            }
        })
    })
}
