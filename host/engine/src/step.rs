//! One step of the lifecycle: what every kind of operation has in common.

use jiff::{SignedDuration, Timestamp};
use wrought_domain::node::{MAX_TEXT, cut};
use wrought_domain::state::{Event as Transition, ProvisionState};
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, ErrorKind, Fence, Map, Node};

use crate::exits::{FailureKind, followed, with_exits};
use crate::operation::{
    Advance, Cause, Command, Event, Failure, HistoryEntry, Kind, Lifecycle, Operation, Phase, Request, Returned, Settings, Severity,
    Waiting, Wipe, shown,
};

/// Driver calls that an operation may make: a driver that always asks to wait comes to an end.
const MAX_CALLS: u32 = 10_000;

/// Driver calls more that the clean-up after a failure may make.
const MAX_CLEAN_UP_CALLS: u32 = 100;

/// After this long the answer to a test is taken for lost.
const LOST_TEST_MS: i64 = 60_000;

/// Between two looks at an operation that rests in maintenance.
const RESTING_MS: i64 = 600_000;

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
        plan: Vec::new(),
        index: 0,
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
        power_timeout: request.power_timeout,
        held_back: false,
    };
    let mut run = Run::new(node, operation, settings, now);
    // A power request does not make good what made the node fail.
    let state = run.node.provision_state;
    if !(matches!(request.kind, Kind::Power(_)) && (state.is_failed() || state == ProvisionState::Error)) {
        run.node.last_error = None;
    }
    match request.kind {
        Kind::Verify => run.begin_verify()?,
        Kind::Deploy | Kind::Rebuild => run.begin_deploy()?,
        Kind::TearDown => run.begin_tear_down()?,
        Kind::Clean => run.begin_clean(Transition::Provide)?,
        Kind::ManualClean => run.begin_clean(Transition::Clean)?,
        Kind::Power(target) => run.begin_power(target),
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
        Event::Heartbeat | Event::Due => run.test_now()?,
        Event::MaintenanceEnded => run.wait_anew()?,
        Event::Abort => run.abort()?,
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
    commands: Vec<Command>,
    history: Vec<HistoryEntry>,
    wipe: Option<Wipe>,
    ended: bool,
}

impl<'a> Run<'a> {
    fn new(node: Node, operation: Operation, settings: &'a Settings, now: Timestamp) -> Self {
        Self { node, operation, settings, now, commands: Vec::new(), history: Vec::new(), wipe: None, ended: false }
    }

    fn advance(self) -> Advance {
        let operation = (!self.ended).then_some(self.operation);
        Advance { next: Lifecycle { node: self.node, operation }, commands: self.commands, history: self.history, wipe: self.wipe }
    }

    /// Moves the node's provision state.
    pub(crate) fn apply(&mut self, transition: Transition) -> Result<(), Impossible> {
        Ok(self.node.apply(transition, self.operation.final_target(), self.now)?)
    }

    /// Moves it if the table allows: a clean-up after an abort waits in a failed state.
    pub(crate) fn apply_if_allowed(&mut self, transition: Transition) {
        if self.node.provision_state.after(transition).is_some() {
            let _allowed = self.apply(transition);
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.commands.push(command);
    }

    pub(crate) fn note(&mut self, severity: Severity, event_type: &str, event: String) {
        let event = cut(&event, MAX_TEXT);
        self.history.push(HistoryEntry { severity, event_type: event_type.to_owned(), event });
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

    /// The command of the call that the operation's phase, cause and turn describe.
    fn call_in_flight(&mut self) {
        let Some(function) = self.operation.phase.function() else { return };
        let step = self.operation.current().cloned();
        self.commands.push(Command::Call { function, cause: self.operation.cause, step });
    }

    /// Stores a wait, and has it tested at once.
    pub(crate) fn wait(&mut self, wait: Wait, retry: bool) {
        let longest = if self.settings.max_wait == 0 { u32::MAX } else { self.settings.max_wait };
        let timeout = if wait.timeout_s == 0 { self.default_timeout(&wait.condition) } else { wait.timeout_s.min(longest) };
        let deadline = later(self.now, i64::from(timeout) * 1000);
        // A time that has to pass is not cut short by a time-out, unless it is longer than anything may last.
        let deadline = match wait.condition.earliest() {
            Some(at) => deadline.max(at).min(later(self.now, i64::from(longest) * 1000)),
            None => deadline,
        };
        self.apply_if_allowed(Transition::Wait);
        self.operation.waiting = Some(Waiting {
            condition: wait.condition.clone(),
            since: self.now,
            deadline,
            due: later(self.now, LOST_TEST_MS),
            retry,
            tests: 0,
        });
        self.commands.push(Command::Test(wait.condition));
    }

    fn default_timeout(&self, condition: &Condition) -> u32 {
        const YEAR: u32 = 365 * 24 * 3600;
        let seconds = match (condition, self.operation.kind) {
            (Condition::Power { .. }, _) | (_, Kind::Power(_)) => self.settings.power_state_change_timeout,
            (_, Kind::Clean | Kind::ManualClean) => self.settings.clean_callback_timeout,
            _ => self.settings.deploy_callback_timeout,
        };
        if seconds == 0 { YEAR } else { seconds }
    }

    fn returned(&mut self, returned: Returned) -> Result<(), Impossible> {
        match returned {
            Returned::Wait(_) | Returned::Refused(_) if self.operation.calls >= self.call_limit() => {
                self.fail(FailureKind::Fault, format!("the driver was called {} times and did not come to an end", self.operation.calls))
            }
            Returned::Wait(wait) if self.may_wait() => {
                self.wait(wait, false);
                Ok(())
            }
            Returned::Refused(error) if self.may_repeat(&error) => {
                self.note(Severity::Info, "agent", format!("{error}; the step is repeated when the agent is heard again"));
                self.wait(Wait { condition: Condition::Heartbeat { since: self.now }, timeout_s: 0 }, true);
                Ok(())
            }
            Returned::Refused(error) => self.fail(FailureKind::Refused(error.kind), error.to_string()),
            Returned::Fault(text) => self.fail(FailureKind::Fault, text),
            done => match self.operation.phase {
                Phase::Verify => self.verified(done),
                Phase::Prepare | Phase::ListDeploySteps | Phase::DeployStep => self.deploy_returned(done),
                Phase::CleanUp | Phase::TearDown => self.tear_down_returned(done),
                Phase::PrepareCleaning | Phase::ListCleanSteps | Phase::CleanStep | Phase::TearDownCleaning => self.clean_returned(done),
                Phase::PowerOff | Phase::PowerOn => self.power_returned(done),
            },
        }
    }

    fn call_limit(&self) -> u32 {
        if self.operation.failure.is_some() { MAX_CALLS.saturating_add(MAX_CLEAN_UP_CALLS) } else { MAX_CALLS }
    }

    /// Whether the function in flight may ask to wait: lists of steps and the host's own commands may not.
    fn may_wait(&self) -> bool {
        match self.operation.phase {
            Phase::Prepare | Phase::DeployStep | Phase::CleanUp | Phase::TearDown => true,
            Phase::PrepareCleaning | Phase::CleanStep | Phase::TearDownCleaning => true,
            Phase::Verify | Phase::ListDeploySteps | Phase::ListCleanSteps | Phase::PowerOff | Phase::PowerOn => false,
        }
    }

    /// Whether the agent, unreachable or busy, is waited for.
    fn may_repeat(&self, error: &DriverError) -> bool {
        matches!(error.kind, ErrorKind::AgentUnreachable | ErrorKind::AgentInProgress)
            && matches!(
                self.operation.phase,
                Phase::Prepare
                    | Phase::ListDeploySteps
                    | Phase::DeployStep
                    | Phase::PrepareCleaning
                    | Phase::ListCleanSteps
                    | Phase::CleanStep
            )
    }

    /// Has the condition tested. Until the answer is there no other test is due: asking a slow controller again
    /// would only make it slower.
    fn test_now(&mut self) -> Result<(), Impossible> {
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        waiting.due = later(self.now, LOST_TEST_MS);
        let condition = waiting.condition.clone();
        self.commands.push(Command::Test(condition));
        Ok(())
    }

    /// In maintenance no operation goes on from a state in which the machine is waited for, and no time runs out.
    fn rests(&self) -> bool {
        self.node.maintenance
            && self.operation.waiting.is_some()
            && matches!(self.node.provision_state, ProvisionState::WaitCallBack | ProvisionState::CleanWait)
    }

    fn rest(&mut self) -> Result<(), Impossible> {
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        waiting.due = later(self.now, RESTING_MS);
        Ok(())
    }

    /// Gives the wait its whole time again, because an unknown part of it is not the machine's fault, and has it tested.
    fn wait_anew(&mut self) -> Result<(), Impossible> {
        let now = self.now;
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        let whole = waiting.deadline.duration_since(waiting.since);
        waiting.deadline = waiting.deadline.max(now.checked_add(whole).unwrap_or(Timestamp::MAX));
        waiting.since = now;
        if self.rests() { self.rest() } else { self.test_now() }
    }

    /// Adds the time that the host was down to the wait's, and has it tested: nothing times out untested.
    fn wait_on(&mut self, down: SignedDuration) -> Result<(), Impossible> {
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        waiting.deadline = waiting.deadline.checked_add(down.max(SignedDuration::ZERO)).unwrap_or(Timestamp::MAX);
        if self.rests() { self.rest() } else { self.test_now() }
    }

    fn tested(&mut self, met: bool) -> Result<(), Impossible> {
        let Some(mut waiting) = self.operation.waiting.clone() else { return Err(Impossible::Late) };
        if !met && self.now < waiting.deadline {
            waiting.tests = waiting.tests.saturating_add(1);
            waiting.due = self.next_test(&waiting);
            self.operation.waiting = Some(waiting);
            return Ok(());
        }
        let cause = match (met, waiting.retry) {
            (true, true) => Cause::Interrupted,
            (true, false) => Cause::Met,
            (false, true) => return self.fail(FailureKind::Timeout, "timed out while waiting for the agent to be heard again".into()),
            (false, false) => Cause::TimedOut,
        };
        self.operation.waiting = None;
        self.apply_if_allowed(Transition::Resume);
        match self.operation.phase {
            Phase::PowerOff | Phase::PowerOn => self.power_changed(met),
            phase => {
                self.call(phase, cause);
                Ok(())
            }
        }
    }

    fn next_test(&self, waiting: &Waiting) -> Timestamp {
        let mut due = waiting.deadline;
        if waiting.condition.needs_polling() {
            let growth = 1_i64 << waiting.tests.min(6).saturating_sub(1);
            let pause = i64::from(self.settings.poll_min_ms).saturating_mul(growth).min(i64::from(self.settings.poll_max_ms));
            due = due.min(later(self.now, pause));
        }
        waiting.condition.earliest().map_or(due, |at| due.min(at.max(later(self.now, 1))))
    }

    /// Ends with a failure, after the clean-up that its kind asks for.
    pub(crate) fn fail(&mut self, kind: FailureKind, text: String) -> Result<(), Impossible> {
        if let Some(first) = &mut self.operation.failure {
            first.text = followed(&first.text, &format!("Also failed to clean up due to: {text}"));
            if kind == FailureKind::Refused(ErrorKind::OutcomeUnknown) {
                // Whatever the first failure asks for, the machine is to be looked at before.
                first.kind = kind;
            }
            return self.fail_now();
        }
        let in_step = matches!(self.operation.phase, Phase::CleanStep);
        let text = match self.operation.current() {
            Some(step) => format!("step {}: {text}", step.id()),
            None => text,
        };
        let text = cut(&text, MAX_TEXT);
        let phase = self.operation.phase;
        self.operation.failure = Some(Failure { text, kind, aborted: false, in_step });
        self.operation.waiting = None;
        self.apply_if_allowed(Transition::Resume);
        match phase {
            Phase::DeployStep => self.call(Phase::CleanUp, Cause::First),
            // Listed again after the core step: the machine runs the agent by now.
            Phase::ListDeploySteps if !self.operation.plan.is_empty() => self.call(Phase::CleanUp, Cause::First),
            Phase::PrepareCleaning | Phase::ListCleanSteps | Phase::CleanStep if !self.operation.disable_ramdisk => {
                self.call(Phase::TearDownCleaning, Cause::First);
            }
            _ => self.fail_now()?,
        }
        Ok(())
    }

    /// Ends with the failure that is noted.
    pub(crate) fn fail_now(&mut self) -> Result<(), Impossible> {
        self.node.target_power_state = None;
        if self.operation.kind == Kind::TearDown {
            self.forget_instance();
        }
        if !matches!(self.operation.kind, Kind::Power(_)) {
            self.apply_if_allowed(Transition::Fail);
        }
        let failure = self.show_failure();
        if failure.in_step && !failure.aborted {
            self.node.maintenance = true;
            self.node.maintenance_reason = self.node.last_error.clone();
            self.node.fault = Some("clean failure".into());
        }
        self.note(Severity::Error, self.event_type(), self.node.last_error.clone().unwrap_or_default());
        self.end(Wipe::Operation);
        Ok(())
    }

    /// Makes the failure that is noted the node's `last_error`, with the exits of the state that the node is in.
    pub(crate) fn show_failure(&mut self) -> Failure {
        let unnamed = || Failure { text: "failed".into(), kind: FailureKind::default(), aborted: false, in_step: false };
        let failure = self.operation.failure.clone().unwrap_or_else(unnamed);
        self.node.fail_with(&with_exits(&failure.text, self.node.provision_state, failure.kind));
        failure
    }

    /// Ends the operation: what belonged to it goes.
    pub(crate) fn end(&mut self, wipe: Wipe) {
        self.node.deploy_step = Map::new();
        self.node.clean_step = Map::new();
        self.node.reservation = None;
        if !matches!(self.operation.kind, Kind::Power(_)) {
            self.node.wipe_agent();
            for key in ["deploy_steps", "clean_steps", "deploy_step_index", "clean_step_index"] {
                self.node.driver_internal_info.remove(key);
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
            Kind::Clean | Kind::ManualClean => "cleaning",
            Kind::Power(_) => "power",
        }
    }

    /// Shows the step that begins, and calls it.
    pub(crate) fn begin_step(&mut self, phase: Phase) {
        let step = self.operation.plan.get(self.operation.index).map(shown).unwrap_or_default();
        let (key, index) = (if phase == Phase::CleanStep { "clean_step_index" } else { "deploy_step_index" }, self.operation.index);
        self.node.driver_internal_info.insert(key.into(), index.into());
        if phase == Phase::CleanStep {
            self.node.clean_step = step;
        } else {
            self.node.deploy_step = step;
        }
        self.call(phase, Cause::First);
    }

    /// The host stopped and is back. A driver's call is issued as it was, because its journal says how far it came and
    /// it goes on from there. The host's own commands observe first, so they are begun again.
    fn interrupted(&mut self, down: SignedDuration) -> Result<(), Impossible> {
        let held_back = std::mem::take(&mut self.operation.held_back);
        if self.operation.waiting.is_some() {
            return self.wait_on(down);
        }
        match self.operation.phase {
            Phase::Verify => self.commands.push(Command::ReadPower),
            Phase::PowerOn if self.restarts() && !held_back => {
                return self.fail(
                    FailureKind::Refused(ErrorKind::OutcomeUnknown),
                    "the host stopped while the machine was told to restart, and its power does not tell whether it did".into(),
                );
            }
            Phase::PowerOff | Phase::PowerOn => self.begin_power_phase(self.operation.phase),
            _ => self.call_in_flight(),
        }
        Ok(())
    }
}

/// `from` plus milliseconds, as far as time goes.
pub(crate) fn later(from: Timestamp, milliseconds: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_millis(milliseconds)).unwrap_or(Timestamp::MAX)
}
