//! One step of the lifecycle: what every kind of operation has in common.

use jiff::{SignedDuration, Timestamp};
use wrought_domain::node::{MAX_TEXT, cut};
use wrought_domain::state::{Event as Transition, ProvisionState};
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, DriverName, ErrorKind, Fence, Map, Node, Step};

use crate::events::{EventKind, LifecycleEvent};
use crate::exits::FailureKind;
use crate::kind::{Kind, Phase};
use crate::operation::{
    Advance, Cause, Command, Event, HistoryEntry, Lifecycle, Operation, PowerAction, Request, Returned, Severity, Wipe,
};
use crate::settings::Settings;

/// Driver calls that an operation may make: a driver that always asks to wait comes to an end.
const MAX_CALLS: u32 = 10_000;

/// Driver calls more that the clean-up after a failure may make.
const MAX_CLEAN_UP_CALLS: u32 = 100;

/// The code of an error that says: the agent's hardware managers are not those any more that offered the step.
const VERSION_MISMATCH: &str = "agent.VersionMismatch";

const UNKNOWN_RESTART: &str = "the host stopped while the machine was told to restart, and its power does not tell whether it did";

/// Whether the agent is what an error is about: it does not answer, or not now.
fn is_agents(error: &DriverError) -> bool {
    matches!(error.kind, ErrorKind::AgentUnreachable | ErrorKind::AgentInProgress)
}

/// An event that means nothing in the node's state. Nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The table of transitions does not have it.
    #[error(transparent)]
    Transition(#[from] wrought_domain::node::InvalidTransition),
    /// The event belongs to a command or wait that is over.
    #[error("the event is late: the operation has gone on")]
    Late,
    /// The operation cannot be ended now.
    #[error("the operation cannot be aborted in state {0}")]
    NotNow(ProvisionState),
}

/// Begins an operation. A verb that needs no work ends at once: the advance then has no operation.
///
/// # Errors
/// The verb is not allowed in the node's state.
pub fn begin(node: Node, request: Request, settings: &Settings, now: Timestamp) -> Result<Advance, Impossible> {
    let operation = Operation {
        id: request.id,
        node: node.uuid,
        kind: request.kind,
        principal: request.principal,
        fence: Fence::default(),
        drivers: request.drivers,
        asked: request.asked,
        templates: request.templates,
        plan: Vec::new(),
        index: 0,
        finished: Vec::new(),
        skip: request.skip,
        others: Vec::new(),
        covered: Vec::new(),
        plan_complete: false,
        phase: Phase::Verify,
        waiting: None,
        cause: Cause::First,
        failure: None,
        abort_after: false,
        started_at: now,
        calls: 0,
        turn: 0,
        disable_ramdisk: request.disable_ramdisk,
        ramdisk: false,
        power_step: None,
        step_since: None,
        mismatches: 0,
        vendor_call: request.vendor_call,
        power_timeout: request.power_timeout,
        held_back: false,
    };
    let mut run = Run::new(node, operation, settings, now);
    run.queues = request.queued;
    // What leaves the node's state alone does not make good what made the node fail.
    let state = run.node.provision_state;
    if request.kind.moves() || !(state.is_failed() || state == ProvisionState::Error) {
        run.node.last_error = None;
    }
    match request.kind {
        Kind::Verify => run.begin_verify()?,
        Kind::Deploy | Kind::Rebuild => run.begin_deploy()?,
        Kind::TearDown => run.begin_tear_down()?,
        Kind::Clean => run.begin_clean(Transition::Provide)?,
        Kind::ManualClean => run.begin_clean(Transition::Clean)?,
        Kind::Inspect => run.begin_inspection()?,
        Kind::Adopt => run.begin_adoption()?,
        Kind::Rescue => run.begin_rescue()?,
        Kind::Unrescue => run.begin_unrescue()?,
        Kind::Service => run.begin_service()?,
        Kind::AbortService => run.begin_abort_service()?,
        Kind::ChildStep => run.begin_phase(Phase::ListCleanSteps),
        Kind::VendorPassthru => run.begin_phase(Phase::VendorCall),
        Kind::Power(target) => run.begin_power(target),
        Kind::Setting(setting) => run.begin_setting(setting),
    }
    Ok(run.advance())
}

/// Handles one event of a node that an operation holds.
///
/// # Errors
/// [`Impossible::Late`] when no operation is there or the event belongs to an earlier moment;
/// otherwise why the request cannot be granted.
pub fn step(lifecycle: Lifecycle, event: Event, settings: &Settings, now: Timestamp) -> Result<Advance, Impossible> {
    let Some(operation) = lifecycle.operation else { return Err(Impossible::Late) };
    let mut run = Run::new(lifecycle.node, operation, settings, now);
    match event {
        Event::Returned(_) if run.operation.waiting.is_some() => return Err(Impossible::Late),
        Event::Returned(returned) => run.returned(returned)?,
        Event::Tested { .. } | Event::Heartbeat | Event::Due if run.rests() => run.rest()?,
        Event::Tested { met } => run.tested(met)?,
        Event::Heartbeat => {
            run.renew();
            run.test_now()?;
        }
        Event::Due => run.test_now()?,
        Event::MaintenanceEnded => run.wait_anew()?,
        Event::Abort => run.abort()?,
        Event::Unhold => run.unhold()?,
        Event::Cancel { principal } => run.cancel(&principal)?,
        Event::Delete { principal } => run.delete_instead(principal)?,
        Event::Unlocked { principal, reason } => run.unlocked(&principal, &reason)?,
        Event::Revoked(text) => run.revoked(&text)?,
        Event::Interrupted { down } => run.interrupted(down)?,
    }
    Ok(run.advance())
}

/// A step in the making.
pub(crate) struct Run<'a> {
    pub(crate) node: Node,
    pub(crate) operation: Operation,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Timestamp,
    pub(crate) commands: Vec<Command>,
    history: Vec<HistoryEntry>,
    events: Vec<LifecycleEvent>,
    pub(crate) failed: Option<Box<Operation>>,
    wipe: Option<Wipe>,
    ended: bool,
    /// The first call waits for its turn.
    queues: bool,
}

impl<'a> Run<'a> {
    fn new(node: Node, operation: Operation, settings: &'a Settings, now: Timestamp) -> Self {
        Self {
            node,
            operation,
            settings,
            now,
            commands: Vec::new(),
            history: Vec::new(),
            events: Vec::new(),
            failed: None,
            wipe: None,
            ended: false,
            queues: false,
        }
    }

    fn advance(mut self) -> Advance {
        let lasted = self.since(self.operation.started_at);
        for entry in &mut self.history {
            entry.project.clone_from(&self.operation.principal.project);
            entry.state = Some(self.node.provision_state);
            entry.target_provision_state = self.node.target_provision_state;
            entry.duration_ms = Some(lasted);
        }
        let operation = (!self.ended).then_some(self.operation);
        Advance {
            next: Lifecycle { node: self.node, operation },
            commands: self.commands,
            history: self.history,
            events: self.events,
            failed: self.failed,
            wipe: self.wipe,
        }
    }

    /// Moves the node's provision state.
    pub(crate) fn apply(&mut self, transition: Transition) -> Result<(), Impossible> {
        let from = self.node.provision_state;
        self.node.apply(transition, self.operation.final_target(), self.now)?;
        self.happened(EventKind::Transition, |event| {
            event.event = Some(transition.to_string());
            event.from = Some(from);
        });
        Ok(())
    }

    /// Moves it if the operation moves it at all and the table allows: a clean-up after an abort waits in a failed state.
    pub(crate) fn apply_if_allowed(&mut self, transition: Transition) {
        if self.operation.kind.moves() && self.node.provision_state.after(transition).is_some() {
            let _allowed = self.apply(transition);
        }
    }

    /// Adds to the record of what happened.
    pub(crate) fn happened(&mut self, kind: EventKind, tell: impl FnOnce(&mut LifecycleEvent)) {
        let mut event = LifecycleEvent {
            kind,
            operation: self.operation.id,
            verb: self.operation.kind.name().to_owned(),
            event: None,
            from: None,
            to: Some(self.node.provision_state),
            target: self.node.target_provision_state,
            step: None,
            duration_ms: None,
            reason: None,
            driver: None,
            digest: None,
        };
        tell(&mut event);
        let named: Option<DriverName> = event.driver.take();
        let pin = named.as_ref().map_or_else(|| self.operation.drivers.first(), |name| self.operation.pin(name));
        (event.driver, event.digest) = (pin.map(|pin| pin.name.clone()), pin.map(|pin| pin.digest.clone()));
        self.events.push(event);
    }

    /// Milliseconds since a moment.
    pub(crate) fn since(&self, moment: Timestamp) -> u64 {
        u64::try_from(self.now.duration_since(moment).as_millis()).unwrap_or(0)
    }

    /// Begins to work with a driver's call, or waits for the operation's turn to do so.
    pub(crate) fn begin_phase(&mut self, phase: Phase) {
        if !self.queues {
            self.happened(EventKind::Started, |_| {});
            self.call(phase, Cause::First);
            return;
        }
        self.happened(EventKind::Queued, |_| {});
        self.operation.phase = phase;
        self.rest_until(Condition::Turn);
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.commands.push(command);
    }

    pub(crate) fn note(&mut self, severity: Severity, event_type: &str, event: String) {
        let event = cut(&event, MAX_TEXT);
        self.history.push(HistoryEntry::new(severity, event_type, event));
    }

    /// Calls a function of the drivers.
    pub(crate) fn call(&mut self, phase: Phase, cause: Cause) {
        self.operation.phase = phase;
        self.operation.cause = cause;
        self.operation.waiting = None;
        self.operation.calls = self.operation.calls.saturating_add(1);
        self.operation.turn = self.operation.turn.saturating_add(1);
        self.call_in_flight();
    }

    /// The command that the operation's phase, cause and turn describe.
    fn call_in_flight(&mut self) {
        let step = self.operation.current().cloned();
        if let Some(step) = step.clone().filter(|step| step.children.is_some()) {
            self.commands.push(Command::Children(step));
            return;
        }
        match self.operation.phase.function() {
            Some(function) => self.commands.push(Command::Call { function, cause: self.operation.cause, step }),
            None if self.operation.phase == Phase::ApplyInspection => self.commands.push(Command::ApplyInspection),
            None => {}
        }
    }

    fn returned(&mut self, returned: Returned) -> Result<(), Impossible> {
        if self.operation.power_step.is_some() {
            return self.power_step_returned(returned);
        }
        match returned {
            Returned::Wait(_) | Returned::Refused(_) if self.operation.calls >= self.call_limit() => {
                self.fail(FailureKind::Fault, format!("the driver was called {} times and did not come to an end", self.operation.calls))
            }
            Returned::Wait(wait) if self.may_wait() => {
                self.wait(wait, false);
                Ok(())
            }
            Returned::Refused(error) if self.needs_agent_to_list(&error) => self.prepare_ramdisk(),
            Returned::Refused(error) if self.operation.phase.is_step() && error.code == VERSION_MISMATCH => self.agent_changed(&error),
            Returned::Refused(error) if self.may_repeat(&error) => {
                self.note(Severity::Info, "agent", format!("{error}; the step is repeated when the agent is heard again"));
                self.wait(Wait { condition: Condition::Heartbeat { since: self.now }, timeout_s: 0 }, true);
                Ok(())
            }
            Returned::Refused(error) => self.fail(FailureKind::Refused(error.kind), error.to_string()),
            Returned::Fault(text) => self.fail(FailureKind::Fault, text),
            Returned::Steps(offered) if self.operation.phase.lists_steps() => self.listed(&offered),
            Returned::Power(state) if self.operation.phase == Phase::Verify => self.verified(state),
            Returned::Done => self.done(),
            other => self.fail(FailureKind::Fault, format!("the driver answered {:?} with {other:?}", self.operation.phase)),
        }
    }

    /// What is in flight is done.
    fn done(&mut self) -> Result<(), Impossible> {
        match self.operation.phase {
            phase if phase.is_step() => self.step_done(),
            Phase::Prepare | Phase::TakeOver if self.operation.kind == Kind::Adopt => self.adoption_done(),
            Phase::Prepare => {
                self.call(Phase::ListDeploySteps, Cause::First);
                Ok(())
            }
            Phase::CleanUp | Phase::TearDown => self.tear_down_done(),
            Phase::PrepareCleaning => {
                self.call(Phase::ListCleanSteps, Cause::First);
                Ok(())
            }
            Phase::TearDownCleaning if self.operation.failure.is_some() => self.fail_now(),
            Phase::TearDownCleaning => self.cleaned(),
            Phase::PrepareService => {
                self.call(Phase::ListServiceSteps, Cause::First);
                Ok(())
            }
            Phase::TearDownService => self.service_torn_down(),
            Phase::Inspect | Phase::ApplyInspection => self.inspection_done(),
            Phase::AbortInspection => self.fail_now(),
            Phase::Rescue | Phase::Unrescue => self.rescue_done(),
            Phase::CleanUpRescue if self.operation.kind == Kind::TearDown => {
                self.call(Phase::CleanUp, Cause::First);
                Ok(())
            }
            Phase::CleanUpRescue => self.fail_now(),
            Phase::VendorCall => {
                self.finished(Severity::Info, "vendor", "the vendor's method ended".into());
                Ok(())
            }
            Phase::PowerOff | Phase::PowerOn => self.power_done(),
            Phase::Set => self.setting_done(),
            phase => self.fail(FailureKind::Fault, format!("the driver answered {phase:?} with {:?}", Returned::Done)),
        }
    }

    /// The steps that drivers offer are known.
    fn listed(&mut self, offered: &[Step]) -> Result<(), Impossible> {
        match self.operation.phase {
            Phase::ListDeploySteps => self.plan_deployment(offered),
            Phase::ListVerifySteps => self.plan_verification(offered),
            Phase::ListServiceSteps => self.plan_service(offered),
            _ => self.plan_cleaning(offered),
        }
    }

    fn call_limit(&self) -> u32 {
        if self.operation.failure.is_some() { MAX_CALLS.saturating_add(MAX_CLEAN_UP_CALLS) } else { MAX_CALLS }
    }

    /// Whether the function in flight may ask to wait: lists of steps and the host's own commands may not.
    fn may_wait(&self) -> bool {
        !self.operation.phase.lists_steps() && self.operation.phase.function().is_some()
    }

    /// Whether the agent, unreachable or busy, is waited for.
    fn may_repeat(&self, error: &DriverError) -> bool {
        let phase = self.operation.phase;
        is_agents(error)
            && (phase.is_step()
                || phase.lists_steps()
                || matches!(phase, Phase::Prepare | Phase::PrepareCleaning | Phase::PrepareService | Phase::Rescue | Phase::Inspect))
    }

    /// Whether the steps could not be listed because no agent runs yet: a manual cleaning or a service first sees whether it needs one.
    fn needs_agent_to_list(&self, error: &DriverError) -> bool {
        is_agents(error)
            && matches!(self.operation.kind, Kind::ManualClean | Kind::Service)
            && self.operation.phase.lists_steps()
            && !self.operation.ramdisk
            && !self.operation.disable_ramdisk
    }

    /// Ends well.
    pub(crate) fn finished(&mut self, severity: Severity, event_type: &str, text: String) {
        self.note(severity, event_type, text);
        let lasted = self.since(self.operation.started_at);
        self.happened(EventKind::Finished, |event| event.duration_ms = Some(lasted));
        self.end(Wipe::Operation);
    }

    /// Ends the operation: what belonged to it goes.
    pub(crate) fn end(&mut self, wipe: Wipe) {
        self.node.deploy_step = Map::new();
        self.node.clean_step = Map::new();
        self.node.service_step = Map::new();
        self.node.reservation = None;
        if self.operation.kind.moves() {
            self.node.wipe_agent();
            for kind in ["deploy", "clean", "service", "verify"] {
                self.node.driver_internal_info.remove(&format!("{kind}_steps"));
                self.node.driver_internal_info.remove(&format!("{kind}_step_index"));
            }
        }
        self.wipe = Some(match self.wipe {
            Some(Wipe::All) => Wipe::All,
            _ => wipe,
        });
        self.ended = true;
    }

    pub(crate) fn wipe_all(&mut self) {
        self.wipe = Some(Wipe::All);
    }

    pub(crate) fn event_type(&self) -> &'static str {
        match self.operation.kind {
            Kind::Verify => "verify",
            Kind::Deploy | Kind::Rebuild => "deploying",
            Kind::TearDown => "unprovision",
            Kind::Clean | Kind::ManualClean | Kind::ChildStep => "cleaning",
            Kind::Inspect => "introspection",
            Kind::Adopt => "adoption",
            Kind::Rescue => "rescue",
            Kind::Unrescue => "unrescue",
            Kind::Service | Kind::AbortService => "servicing",
            Kind::VendorPassthru => "vendor",
            Kind::Power(_) => "power",
            Kind::Setting(_) => "management",
        }
    }

    /// The host stopped and is back. A driver's call is issued as it was, because its journal says how far it came and
    /// it goes on from there. The host's own commands observe first, so they are begun again.
    fn interrupted(&mut self, down: SignedDuration) -> Result<(), Impossible> {
        let held_back = std::mem::take(&mut self.operation.held_back);
        if self.operation.waiting.is_some() {
            return self.wait_on(down);
        }
        if let Some(action) = self.operation.power_step {
            if action == PowerAction::Restart && !held_back {
                return self.fail(FailureKind::Refused(ErrorKind::OutcomeUnknown), UNKNOWN_RESTART.into());
            }
            self.commands.push(Command::SetPower(action));
            return Ok(());
        }
        match self.operation.phase {
            Phase::Verify => self.commands.push(Command::ReadPower),
            Phase::PowerOn if self.restarts() && !held_back => {
                return self.fail(FailureKind::Refused(ErrorKind::OutcomeUnknown), UNKNOWN_RESTART.into());
            }
            Phase::PowerOff | Phase::PowerOn => self.begin_power_phase(self.operation.phase),
            Phase::Set => self.set_again(),
            _ => self.call_in_flight(),
        }
        Ok(())
    }
}

/// `from` plus milliseconds, as far as time goes.
pub(crate) fn later(from: Timestamp, milliseconds: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_millis(milliseconds)).unwrap_or(Timestamp::MAX)
}
