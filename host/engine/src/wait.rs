//! Waits: how long they may last, when they are tested, and what becomes of them in maintenance and over a restart.

use jiff::{SignedDuration, Timestamp};
use wrought_domain::state::Event as Transition;
use wrought_domain::wait::{Condition, Wait};

use crate::events::EventKind;
use crate::exits::FailureKind;
use crate::kind::{Kind, Phase};
use crate::operation::{Cause, Command, Waiting};
use crate::step::{Impossible, Run, later};

/// After this long the answer to a test is taken for lost.
const LOST_TEST_MS: i64 = 60_000;

/// Between two looks at an operation that rests.
const RESTING_MS: i64 = 600_000;

/// What stands for no time-out at all, seconds.
const YEAR_S: u32 = 365 * 24 * 3600;

impl Run<'_> {
    /// Rests without any deadline until somebody says that it goes on.
    pub(crate) fn rest_until(&mut self, condition: Condition) {
        self.operation.waiting = Some(Waiting {
            condition,
            since: self.now,
            deadline: Timestamp::MAX,
            due: later(self.now, RESTING_MS),
            retry: false,
            renew_s: None,
            tests: 0,
        });
    }

    /// Stores a wait, and has it tested at once.
    pub(crate) fn wait(&mut self, wait: Wait, retry: bool) {
        let longest = self.longest();
        let by_default = wait.timeout_s == 0;
        let timeout = if by_default { self.default_timeout(&wait.condition).min(longest) } else { wait.timeout_s.min(longest) };
        let begin = match (by_default, &wait.condition, self.node.inspection_started_at) {
            (true, Condition::InspectionData { .. }, Some(started)) => started,
            _ => self.now,
        };
        let deadline = later(begin, i64::from(timeout) * 1000);
        // A time that has to pass is not cut short by a time-out, unless it is longer than anything may last.
        let deadline = match wait.condition.earliest() {
            Some(at) => deadline.max(at).min(later(self.now, i64::from(longest) * 1000)),
            None => deadline,
        };
        // A clean-up after an abort waits in the failed state that is shown already.
        if !self.node.provision_state.is_failed() {
            self.apply_if_allowed(Transition::Wait);
        }
        let condition = wait.condition;
        if let Condition::Operation { id, .. } = &condition
            && !self.operation.others.contains(id)
        {
            self.operation.others.push(*id);
        }
        self.happened(EventKind::Waiting, |event| event.reason = Some(condition.to_string()));
        let renewed = by_default && condition.waits_for_agent() && self.operation.kind != Kind::Rescue;
        self.operation.waiting = Some(Waiting {
            condition: condition.clone(),
            since: self.now,
            deadline,
            due: later(self.now, LOST_TEST_MS),
            retry,
            renew_s: renewed.then_some(timeout),
            tests: 0,
        });
        self.commands.push(Command::Test(condition));
    }

    /// Seconds that a wait may last at most.
    pub(crate) fn longest(&self) -> u32 {
        if self.settings.max_step_wait == 0 { YEAR_S } else { self.settings.max_step_wait }
    }

    pub(crate) fn default_timeout(&self, condition: &Condition) -> u32 {
        let seconds = match (condition, self.operation.kind) {
            (Condition::Power { .. }, _) | (_, Kind::Power(_)) => self.settings.power_state_change_timeout,
            (Condition::InspectionData { .. }, _) => self.settings.inspect_wait_timeout,
            (condition, _) if !condition.waits_for_agent() => self.longest(),
            (_, Kind::Clean | Kind::ManualClean | Kind::ChildStep) => self.settings.clean_callback_timeout,
            (_, Kind::Service | Kind::AbortService) => self.settings.service_callback_timeout,
            (_, Kind::Rescue | Kind::Unrescue) => self.settings.rescue_callback_timeout,
            (_, Kind::Inspect) => self.settings.inspect_wait_timeout,
            _ => self.settings.deploy_callback_timeout,
        };
        if seconds == 0 { YEAR_S } else { seconds }
    }

    /// The agent was heard: it has its whole time again, as far as a wait may last at all.
    pub(crate) fn renew(&mut self) {
        let longest = self.longest();
        if let Some(waiting) = &mut self.operation.waiting
            && let Some(seconds) = waiting.renew_s
        {
            let bound = later(waiting.since, i64::from(longest) * 1000);
            waiting.deadline = waiting.deadline.max(later(self.now, i64::from(seconds) * 1000).min(bound));
        }
    }

    /// Has the condition tested. Until the answer is there no other test is due: asking a slow controller again
    /// would only make it slower.
    pub(crate) fn test_now(&mut self) -> Result<(), Impossible> {
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        waiting.due = later(self.now, LOST_TEST_MS);
        let condition = waiting.condition.clone();
        self.commands.push(Command::Test(condition));
        Ok(())
    }

    /// In maintenance no operation goes on from a state in which the machine is waited for, and no time runs out.
    pub(crate) fn rests(&self) -> bool {
        self.node.maintenance && self.operation.waiting.is_some() && (self.node.provision_state.is_wait() || self.operation.is_queued())
    }

    pub(crate) fn rest(&mut self) -> Result<(), Impossible> {
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        waiting.due = later(self.now, RESTING_MS);
        Ok(())
    }

    /// Gives the wait its whole time again, because an unknown part of it is not the machine's fault, and has it tested.
    pub(crate) fn wait_anew(&mut self) -> Result<(), Impossible> {
        let now = self.now;
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        let whole = waiting.deadline.duration_since(waiting.since);
        waiting.deadline = waiting.deadline.max(now.checked_add(whole).unwrap_or(Timestamp::MAX));
        waiting.since = now;
        if self.rests() { self.rest() } else { self.test_now() }
    }

    /// Adds the time that the host was down to the wait's, and has it tested: nothing times out untested.
    pub(crate) fn wait_on(&mut self, down: SignedDuration) -> Result<(), Impossible> {
        let Some(waiting) = &mut self.operation.waiting else { return Err(Impossible::Late) };
        waiting.deadline = waiting.deadline.checked_add(down.max(SignedDuration::ZERO)).unwrap_or(Timestamp::MAX);
        if let Some(seconds) = waiting.renew_s {
            // How often it was heard before is not stored.
            waiting.deadline = waiting.deadline.max(later(self.now, i64::from(seconds) * 1000));
        }
        if self.rests() { self.rest() } else { self.test_now() }
    }

    pub(crate) fn tested(&mut self, met: bool) -> Result<(), Impossible> {
        let Some(mut waiting) = self.operation.waiting.clone() else { return Err(Impossible::Late) };
        if waiting.condition == Condition::Unhold || !met && self.now < waiting.deadline {
            waiting.tests = waiting.tests.saturating_add(1);
            waiting.due = self.next_test(&waiting);
            self.operation.waiting = Some(waiting);
            return Ok(());
        }
        if waiting.condition == Condition::Turn {
            self.happened(EventKind::Started, |_| {});
            self.call(self.operation.phase, Cause::First);
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
        if self.operation.power_step.is_some() {
            return self.power_step_changed(met);
        }
        if self.operation.current().is_some_and(|step| step.children.is_none() && step.reserved().is_some()) {
            return self.waited(met);
        }
        match self.operation.phase {
            Phase::PowerOff | Phase::PowerOn => self.power_changed(met),
            phase => {
                self.call(phase, cause);
                Ok(())
            }
        }
    }

    pub(crate) fn next_test(&self, waiting: &Waiting) -> Timestamp {
        // What has no deadline is looked at now and then all the same: nothing hangs because one wake-up was lost.
        let mut due = if waiting.deadline == Timestamp::MAX { later(self.now, RESTING_MS) } else { waiting.deadline };
        if waiting.condition.needs_polling() {
            let growth = 1_i64 << waiting.tests.min(6).saturating_sub(1);
            let pause = i64::from(self.settings.poll_min_ms).saturating_mul(growth).min(i64::from(self.settings.poll_max_ms));
            due = due.min(later(self.now, pause));
        }
        waiting.condition.earliest().map_or(due, |at| due.min(at.max(later(self.now, 1))))
    }
}
