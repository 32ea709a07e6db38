//! Carries out the engine's commands, each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use wrought_domain::plan::{Offer, merged};
use wrought_domain::{DriverError, DriverName, ErrorKind, Function, Node, Step, StepCall};
use wrought_drivers::contract::task;
use wrought_drivers::journal::{Header, Recorded};
use wrought_drivers::{
    Answer, Completed, Driver, DriverState, Fault, Grants as Set, Outcome, Snapshot, call, fault, passthru_call, resume, unsettled,
};
use wrought_engine::{Cause, Command, Event, Operation, PowerAction, Returned};
use wrought_hardware::secrets::Secrets;
use wrought_hardware::{PowerAction as BmcAction, References};
use wrought_storage::{JournalWrite, StoreError};

use crate::chain::{Chain, Member, chosen_by};
use crate::conductor::Conductor;
use crate::convert;
use crate::erasure::seen;
use crate::gate::Tag;
use crate::recovery::Settled;
use crate::secrets::{hide_arguments, scrubbed, secrets, without_image_secrets, without_proxy_secrets};
use crate::seen::Seen;
use crate::world::NodeWorld;

/// A test, a reading or a change of power is given up after this long. Less than the engine waits for a test.
const COMMAND_DEADLINE: Duration = Duration::from_secs(50);

/// What an error says becomes `last_error`, so what is secret on the node is masked in it.
fn without_secrets(references: &References, node: &Node, event: Event) -> Event {
    match event {
        Event::Returned(Returned::Refused(error)) => {
            let message = scrubbed(&secrets(references, node, None), &error.message);
            Event::Returned(Returned::Refused(DriverError { message, ..error }))
        }
        Event::Returned(Returned::Fault(text)) => Event::Returned(Returned::Fault(secrets(references, node, None).scrub_text(&text))),
        other => other,
    }
}

/// What a call is about.
pub(crate) struct Callee<'a> {
    pub(crate) node: &'a Node,
    /// Nothing for a call that is part of no operation.
    pub(crate) operation: Option<&'a Operation>,
    pub(crate) function: Function,
    pub(crate) cause: Cause,
    pub(crate) step: Option<&'a Step>,
}

impl Conductor {
    /// Begins a command; what comes of it is an event.
    pub(crate) fn carry_out(&self, node: &Node, operation: &Operation, command: Command) {
        let tag = Tag::of(operation);
        let is_test = matches!(command, Command::Test(_));
        if is_test && !self.0.heartbeats.may_test(node.uuid, &tag) {
            return;
        }
        let (this, node, operation) = (self.clone(), node.clone(), operation.clone());
        self.spawn_command(async move {
            let id = node.uuid;
            // The operation must hear of its command whatever happens: a panic or a reply that never comes is an answer, too.
            let lost = match &command {
                Command::Test(_) => Event::Tested { met: false },
                _ => Event::Returned(Returned::Fault("a fault in the host: the command broke; the host's log says more".into())),
            };
            let patience = if matches!(command, Command::Call { .. }) { None } else { Some(COMMAND_DEADLINE) };
            let work = std::panic::AssertUnwindSafe(this.work(&node, &operation, command)).catch_unwind();
            let done = match patience {
                Some(patience) => tokio::time::timeout(patience, work).await.ok(),
                None => Some(work.await),
            };
            let (event, seen) = match done {
                Some(Ok(done)) => done,
                Some(Err(_)) => (lost, Seen::default()),
                None => {
                    tracing::warn!(node = %id, "a command was given up after {} s", COMMAND_DEADLINE.as_secs());
                    (lost, Seen::default())
                }
            };
            this.handle(id, Some(tag.clone()), without_secrets(&this.0.machines.references, &node, event), seen).await;
            if is_test && this.0.heartbeats.tested(id, &tag) {
                this.handle(id, Some(tag), Event::Due, Seen::default()).await;
            }
        });
    }

    async fn work(&self, node: &Node, operation: &Operation, command: Command) -> (Event, Seen) {
        match command {
            Command::Call { function, cause, step } => {
                let (returned, seen) = self.call_drivers(node, operation, function, cause, step.as_ref()).await;
                (Event::Returned(returned), seen)
            }
            Command::Test(condition) => {
                let (met, seen) = self.test(node, operation, &condition).await;
                (Event::Tested { met }, seen)
            }
            Command::ReadPower => self.read_power(node).await,
            Command::SetPower(action) => (Event::Returned(self.set_bmc_power(node, operation, action).await), Seen::default()),
            Command::Set(setting) => (Event::Returned(self.apply_setting(node, operation, setting).await), Seen::default()),
            Command::Children(step) => (Event::Returned(self.step_on_children(node, operation, &step).await), Seen::default()),
            Command::ApplyInspection => {
                let (returned, seen) = self.apply_inspection(node, operation).await;
                (Event::Returned(returned), seen)
            }
        }
    }

    async fn read_power(&self, node: &Node) -> (Event, Seen) {
        let read = async {
            let bmc = self.0.machines.bmc(node)?;
            bmc.power_state().await.map_err(convert::error)
        };
        let returned = match read.await {
            Ok(state) => match convert::shown_power(state) {
                Some(state) => Returned::Power(state),
                None => Returned::Refused(DriverError::new(
                    ErrorKind::PowerFailed,
                    "power.Unknown",
                    "the controller reports neither power on nor power off; try again when the machine has settled",
                )),
            },
            Err(error) => Returned::Refused(error),
        };
        (Event::Returned(returned), Seen::default())
    }

    async fn set_bmc_power(&self, node: &Node, operation: &Operation, action: PowerAction) -> Returned {
        let set = async {
            let held = self.0.store.holds(node.uuid, operation.id, operation.fence).await;
            if !held.map_err(|error| convert::store_error(&error))? {
                let text = "this operation does not hold the node any more";
                return Err(DriverError::new(ErrorKind::Locked, "wrought.StaleFence", text));
            }
            let bmc = self.0.machines.bmc(node)?;
            self.power_relatives(node, operation, action).await?;
            // Nothing changes for a machine that is on already, nor for the agent on it.
            if action == PowerAction::On && bmc.power_state().await.map_err(convert::error)? == wrought_hardware::PowerState::On {
                return Ok(());
            }
            // Whatever agent ran there is gone after this, or will be soon: it is not to be believed any more.
            self.forget_agent(node.uuid).await?;
            let action = match action {
                PowerAction::On => BmcAction::On,
                PowerAction::Off => BmcAction::ForceOff,
                PowerAction::SoftOff => BmcAction::SoftOff,
                PowerAction::Restart => BmcAction::Restart,
            };
            bmc.set_power(action).await.map_err(convert::error)
        };
        match set.await {
            Ok(()) => Returned::Done,
            Err(error) => Returned::Refused(error),
        }
    }

    /// The pinned drivers of an operation.
    async fn pinned(&self, operation: &Operation) -> Result<Chain, String> {
        let mut chain = Chain::default();
        for pin in &operation.drivers {
            let driver = self.0.catalog.version(&pin.digest).await.map_err(|error| format!("driver {}: {error}", pin.name))?;
            chain.0.push(Member { name: pin.name.clone(), driver, interfaces: pin.interfaces.clone() });
        }
        Ok(chain)
    }

    /// Calls a function of the operation's drivers. Lists of steps are asked of all of them and merged: steps of a driver that an
    /// interface of the node names replace those of the deploy driver, and its steps those of its bases.
    async fn call_drivers(
        &self,
        node: &Node,
        operation: &Operation,
        function: Function,
        cause: Cause,
        step: Option<&Step>,
    ) -> (Returned, Seen) {
        let chain = match self.pinned(operation).await {
            Ok(chain) => chain,
            Err(text) => return (Returned::Fault(text), Seen::default()),
        };
        let callee = Callee { node, operation: Some(operation), function, cause, step };
        if function.lists_steps() {
            return self.list_steps(&chain, callee).await;
        }
        let offered_by = step.and_then(|step| step.offered_by.as_ref());
        let serving = match offered_by {
            Some(name) => chain.find(name),
            None => chain.serving(function),
        };
        let Some(Member { name, driver, .. }) = serving else { return (missing(&chain, function), Seen::default()) };
        let (outcome, seen) = self.call_driver(name, driver, callee).await;
        (returned(outcome), seen)
    }

    async fn list_steps(&self, chain: &Chain, callee: Callee<'_>) -> (Returned, Seen) {
        let mut offers: Vec<Offer> = Vec::new();
        let mut seen = Seen::default();
        let function = callee.function;
        for member in chain.listing(function) {
            let Member { name, driver, interfaces } = member;
            let callee = Callee { ..callee };
            let (outcome, found) = self.call_driver(name, driver, callee).await;
            seen.reports.extend(found.reports);
            seen.state.extend(found.state);
            seen.journal.extend(found.journal);
            seen.power = found.power.or(seen.power);
            seen.covered.extend(found.covered);
            match returned(outcome) {
                Returned::Steps(steps) => offers.push(Offer { driver: name.clone(), interfaces: interfaces.clone(), steps }),
                other => return (other, seen),
            }
        }
        (Returned::Steps(merged(&offers)), seen)
    }

    /// One call of one driver.
    pub(crate) async fn call_driver(&self, name: &DriverName, driver: &Driver, callee: Callee<'_>) -> (Outcome, Seen) {
        let node = callee.node;
        let broken = |cause: fault::Cause| {
            let fault = Fault {
                driver: name.clone(),
                version: driver.about.version.clone(),
                digest: driver.digest.clone(),
                function: format!("{}.{}", callee.function.interface(), callee.function.name()),
                host_calls: 0,
                cause,
            };
            (Outcome { answer: Err(fault), state: None, reports: Vec::new() }, Seen::default())
        };
        let host_failed = |error: StoreError| broken(fault::Cause::Host(error.to_string()));
        let pins = callee.operation.map(|operation| operation.drivers.as_slice()).unwrap_or_default();
        let mut on = pins.iter().map(|pin| &pin.digest).chain([&driver.digest]);
        if let Some(reason) = on.find_map(|digest| self.0.grants.revoked(digest)) {
            return broken(fault::Cause::Revoked { reason });
        }
        let (ports, state) = match self.0.store.call_inputs(node.uuid, name).await {
            Ok(inputs) => inputs,
            Err(error) => return host_failed(error),
        };
        let state = state.and_then(|state| serde_json::from_value(state).ok()).unwrap_or_default();
        let step = callee.step.map(step_call).or_else(|| vendor_call(&callee));
        let header = self.header(name, driver, &callee, &ports, state);
        let world = Arc::new(NodeWorld::new(self.clone(), node.clone(), ports, callee.operation, step.as_ref()).behind(name, driver));
        let recorded = match callee.operation {
            Some(operation) => self.recorded_call(name, driver, operation, header, &world).await,
            None => Ok((call(self.0.catalog.runtime(), driver, header, world.clone(), None).await, None)),
        };
        let (completed, chunk) = match recorded {
            Ok(recorded) => recorded,
            Err(error) => return host_failed(error),
        };
        self.note_denied(node, name, driver, callee.operation, &completed.denied).await;
        self.0.stats.record(completed.cpu);
        let erased = callee.function == Function::ExecuteCleanStep && callee.step.is_some_and(|step| seen(&completed.record.entries, step));
        let covered = callee.step.filter(|_| erased).map(Step::id).into_iter().collect();
        let outcome = completed.record.outcome;
        log_outcome(node, name, driver, &callee, &outcome, completed.wall);
        let seen = Seen {
            power: world.power_seen(),
            reports: outcome.reports.clone(),
            state: outcome.state.as_ref().map(|state| (name.clone(), written(state, driver))).into_iter().collect(),
            journal: chunk.into_iter().collect(),
            covered,
            ..Seen::default()
        };
        (outcome, seen)
    }

    /// A call that is recorded, or the rest of one that a stop of the host cut off. The chunk is to be stored with what
    /// follows from the outcome.
    async fn recorded_call(
        &self,
        name: &DriverName,
        driver: &Driver,
        operation: &Operation,
        header: Header,
        world: &Arc<NodeWorld>,
    ) -> Result<(Completed, Option<JournalWrite>), StoreError> {
        let runtime = self.0.catalog.runtime();
        let open = self.0.recovering.take(operation.id, operation.turn, name);
        let (mut completed, journal) = match open {
            None => {
                let journal = self.journal_of(operation, None).await?;
                (call(runtime, driver, header, world.clone(), Some(journal.clone())).await, journal)
            }
            Some(open) => {
                let Recorded { header, mut entries, .. } = open.recorded;
                let journal = self.journal_of(operation, Some((open.chunks, entries.len()))).await?;
                let settled = match entries.last().filter(|entry| entry.answer.is_none()) {
                    Some(intent) => world.settle(intent, Duration::from_secs(u64::from(self.0.config.recovery_timeout))).await,
                    None => Settled::NotDone,
                };
                tracing::info!(
                    node = %operation.node, function = header.function.name(), host_call = entries.len().saturating_sub(1),
                    effect = entries.last().map(|entry| entry.function.as_str()), settled = settled.name(), "resuming a driver call"
                );
                let completed = match settled {
                    Settled::Unknown(error) => unsettled(driver, header, entries, error),
                    Settled::Done(answer) => {
                        if let Some(intent) = entries.last_mut() {
                            intent.answer = Some(answer);
                        }
                        resume(runtime, driver, header, entries, world.clone(), Some(journal.clone())).await
                    }
                    Settled::NotDone => resume(runtime, driver, header, entries, world.clone(), Some(journal.clone())).await,
                };
                (completed, journal)
            }
        };
        let chunk = journal.close(driver, &mut completed);
        Ok((completed, chunk))
    }

    fn header(
        &self,
        name: &DriverName,
        driver: &Driver,
        callee: &Callee<'_>,
        ports: &[wrought_domain::Port],
        state: DriverState,
    ) -> Header {
        let (node, operation) = (callee.node, callee.operation);
        // Neither the driver nor the record sees a secret.
        let step = callee.step.map(step_call).or_else(|| vendor_call(callee)).map(|mut step| {
            hide_arguments(&mut step.args, "step", &mut Secrets::default());
            step
        });
        let shown = Node {
            instance_info: without_image_secrets(&node.instance_info),
            driver_info: without_proxy_secrets(&node.driver_info),
            ..node.clone()
        };
        let now = self.now();
        let present = |key: &str| node.instance_info.get(key).is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
        Header {
            operation: operation.map(|operation| operation.id),
            node: node.uuid,
            fence: operation.map(|operation| operation.fence).unwrap_or_default(),
            driver: name.clone(),
            digest: driver.digest.clone(),
            function: callee.function,
            step: step.clone(),
            started_at: now,
            seed: rand::random(),
            grants: Set::clone(&self.0.grants.of(name, &driver.digest)),
            limits: self.0.catalog.runtime().limits_of(name),
            snapshot: Snapshot {
                cause: match callee.cause {
                    Cause::First => task::Cause::First,
                    Cause::Met => task::Cause::Resumed(task::WaitResult::Met),
                    Cause::TimedOut => task::Cause::Resumed(task::WaitResult::TimedOut),
                    Cause::Interrupted => task::Cause::Interrupted,
                },
                operation: task::Operation {
                    id: operation.map(|operation| operation.id.to_string()).unwrap_or_default(),
                    name: operation.map_or("validate", |operation| operation.kind.name()).to_owned(),
                },
                node: Snapshot::node_view(&shown),
                ports: ports.iter().map(Snapshot::port_view).collect(),
                traits: node.traits.clone(),
                lock_mode: if operation.is_some() { task::LockMode::Exclusive } else { task::LockMode::Shared },
                step,
                options: self.0.deploy.options(),
                config_drive: present("configdrive"),
                authorization: present("image_request_authorization_secret"),
                now,
            },
            state,
        }
    }

    /// Calls a function that validates, for a node that no operation holds.
    pub(crate) async fn call_validate(&self, node: &Node, chain: &Chain, function: Function) -> Result<(), Returned> {
        let Some(Member { name, driver, .. }) = chain.serving(function) else { return Err(missing(chain, function)) };
        let callee = Callee { node, operation: None, function, cause: Cause::First, step: None };
        match returned(self.call_driver(name, driver, callee).await.0) {
            Returned::Done => Ok(()),
            other => Err(other),
        }
    }
}

/// A driver's state as the store takes it, with the version that wrote it.
fn written(state: &DriverState, driver: &Driver) -> Value {
    json!({"operation": state.operation, "node": state.node, "schema": driver.about.schemas.writes, "digest": driver.digest})
}

fn step_call(step: &Step) -> StepCall {
    StepCall { interface: step.interface.clone(), step: step.step.clone(), args: step.args.clone(), priority: None, children: None }
}

/// What a vendor's method is called with, in the form of a step.
fn vendor_call(callee: &Callee<'_>) -> Option<StepCall> {
    let call = callee.operation.filter(|_| callee.function == Function::VendorCall)?.vendor_call.as_ref()?;
    Some(passthru_call(&call.method, &call.http_method, serde_json::from_str(&call.body).unwrap_or(Value::Null)))
}

fn returned(outcome: Outcome) -> Returned {
    match outcome.answer {
        // What a vendor's method answers is for whoever called it at once; of an operation only that it ended is kept.
        Ok(Answer::Done | Answer::Value(_)) => Returned::Done,
        Ok(Answer::Wait(wait)) => Returned::Wait(wait),
        Ok(Answer::Steps(steps)) => Returned::Steps(steps),
        Ok(Answer::Refused(error)) => Returned::Refused(error),
        Err(Fault { cause: fault::Cause::Unsettled(error), .. }) => Returned::Refused(error),
        Err(fault) => Returned::Fault(fault.to_string()),
    }
}

/// The refusal of what no driver of a chain exports.
pub(crate) fn missing(chain: &Chain, function: Function) -> Returned {
    let by = chosen_by(function);
    let chosen = chain.0.iter().filter(|member| member.interfaces.iter().any(|interface| interface == by));
    let names: Vec<&str> = chosen.map(|member| member.name.as_str()).collect();
    let text = if names.is_empty() {
        format!(
            "the node's {by}_interface names no driver, so nobody serves the interface {}; set another {by}_interface",
            function.interface()
        )
    } else {
        format!("driver {} does not export the interface {}", names.join(" on "), function.interface())
    };
    Returned::Refused(DriverError::new(ErrorKind::Unsupported, "wrought.NotExported", text))
}

fn log_outcome(node: &Node, name: &DriverName, driver: &Driver, callee: &Callee<'_>, outcome: &Outcome, wall: Duration) {
    let (function, digest) = (callee.function.name(), driver.digest.short());
    let step = callee.step.map(Step::id).unwrap_or_default();
    let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
    match &outcome.answer {
        Ok(Answer::Refused(error)) => {
            tracing::info!(node = %node.uuid, driver = %name, digest, function, step, wall_ms, kind = ?error.kind, code = %error.code, "the driver refused");
        }
        Ok(answer) => {
            let answer = match answer {
                Answer::Done => "done",
                Answer::Wait(_) => "wait",
                Answer::Steps(_) => "steps",
                Answer::Value(_) => "value",
                Answer::Refused(_) => "refused",
            };
            tracing::debug!(node = %node.uuid, driver = %name, digest, function, step, wall_ms, answer, "driver call");
        }
        Err(fault) => tracing::error!(node = %node.uuid, wall_ms, %fault, "a driver call broke"),
    }
}
