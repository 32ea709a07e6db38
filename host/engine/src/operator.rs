//! What an operator does to an operation that is under way: abort it, turn it round, break its lock.

use wrought_domain::node::cut;
use wrought_domain::state::{Event as Transition, ProvisionState};
use wrought_domain::{Map, Principal};

use crate::exits::{FailureKind, followed};
use crate::kind::{Kind, Phase};
use crate::operation::{Cause, Failure};
use crate::step::{Impossible, Run};

/// The longest name of a user and the longest reason within a text, bytes.
const MAX_WORDS: usize = 512;

impl Run<'_> {
    /// Ends what waits or holds; a step that does not allow it ends first.
    pub(crate) fn abort(&mut self) -> Result<(), Impossible> {
        let state = self.node.provision_state;
        // What is on its way back to the instance already is not aborted once more.
        let back = self.operation.kind == Kind::AbortService;
        let waits = self.operation.waiting.is_some() && !self.operation.is_queued() && !back;
        // What has failed is being cleaned up already, and its reason is to be kept.
        if !waits || self.operation.failure.is_some() || state.after(Transition::Abort).is_none() || !self.operation.kind.moves() {
            return Err(Impossible::NotNow(state));
        }
        if self.operation.current().is_some_and(|step| !step.abortable) {
            self.operation.abort_after = true;
            return Ok(());
        }
        self.aborted()
    }

    /// Ends on behalf of an operator: the failed state is set at once, clean-up follows.
    pub(crate) fn aborted(&mut self) -> Result<(), Impossible> {
        let kind = self.operation.kind;
        let what = match kind {
            Kind::Clean | Kind::ManualClean => "clean",
            Kind::Deploy | Kind::Rebuild => "deploy",
            other => other.name(),
        };
        let at = self.operation.current().map(|step| format!(" during step {}", step.id())).unwrap_or_default();
        let text = format!("By request, the {what} operation was aborted{at}");
        self.operation.failure = Some(Failure { text, kind: FailureKind::Aborted, aborted: true, in_step: false });
        self.operation.waiting = None;
        self.operation.power_step = None;
        self.apply_if_allowed(if self.node.provision_state.is_transient() { Transition::Fail } else { Transition::Abort });
        self.show_failure();
        let clean_up = match kind {
            Kind::Clean | Kind::ManualClean => self.operation.ramdisk.then_some(Phase::TearDownCleaning),
            Kind::Service if self.operation.ramdisk => Some(Phase::TearDownService),
            Kind::Service => return self.back_to_instance(),
            Kind::Inspect => Some(Phase::AbortInspection),
            Kind::Rescue => Some(Phase::CleanUpRescue),
            _ => Some(Phase::CleanUp),
        };
        match clean_up {
            Some(phase) => self.call(phase, Cause::First),
            None => self.fail_now()?,
        }
        Ok(())
    }

    /// Ends what has not had its turn yet: nothing was done to the machine.
    pub(crate) fn cancel(&mut self, principal: &Principal) -> Result<(), Impossible> {
        if !self.operation.is_queued() {
            return Err(Impossible::NotNow(self.node.provision_state));
        }
        let user = cut(&principal.user, MAX_WORDS).replace(char::is_control, " ");
        let text =
            format!("{user} cancelled the {} operation before its turn, and nothing was done to the machine", self.operation.kind.name());
        self.operation.failure = Some(Failure { text, kind: FailureKind::Aborted, aborted: true, in_step: false });
        self.operation.waiting = None;
        self.fail_now()
    }

    /// Ends on behalf of an operator who does not trust the operation to end by itself: nobody is called any more.
    pub(crate) fn unlocked(&mut self, principal: &Principal, reason: &str) -> Result<(), Impossible> {
        let words = |text: &str| cut(text, MAX_WORDS).replace(char::is_control, " ");
        let text = format!(
            "{} unlocked the node {} (reason: {}), and the machine was left as it was",
            words(&principal.user),
            self.doing(),
            words(reason)
        );
        let text = match &self.operation.failure {
            Some(first) => followed(&first.text, &format!("Then {text}")),
            None => text,
        };
        let cleans = matches!(self.operation.kind, Kind::Clean | Kind::ManualClean | Kind::Service);
        self.operation.failure = Some(Failure { text, kind: FailureKind::Unlocked, aborted: false, in_step: cleans });
        self.fail_now()
    }

    /// Ends because nothing may run on the driver any more: its clean-up neither.
    pub(crate) fn revoked(&mut self, text: &str) -> Result<(), Impossible> {
        let text = format!("{} while {}, and the machine was left as it was", cut(text, MAX_WORDS), self.at());
        let text = match &self.operation.failure {
            Some(first) => followed(&first.text, &format!("Then {text}")),
            None => text,
        };
        let cleans = matches!(self.operation.kind, Kind::Clean | Kind::ManualClean | Kind::Service);
        self.operation.failure = Some(Failure { text, kind: FailureKind::Revoked, aborted: false, in_step: cleans });
        self.operation.waiting = None;
        self.apply_if_allowed(Transition::Resume);
        self.fail_now()
    }

    /// What the operation is at, for people.
    fn doing(&self) -> String {
        format!("while {}", self.at())
    }

    fn at(&self) -> String {
        let what = match (self.operation.current(), self.operation.phase.function()) {
            (Some(step), _) => format!("step {}", step.id()),
            (None, Some(function)) => format!("{}.{}", function.interface(), function.name()),
            (None, None) if self.operation.phase == Phase::Verify => "the power state was read".into(),
            (None, None) if self.operation.phase == Phase::ApplyInspection => "the inspection was made use of".into(),
            (None, None) if self.operation.phase == Phase::Set => "the machine was being set".into(),
            (None, None) => "the power state was changed".into(),
        };
        match (self.operation.waiting.is_some(), self.operation.phase.function()) {
            (true, Some(_)) => format!("{what} waited"),
            (false, Some(_)) => format!("{what} was executing"),
            (_, None) => what,
        }
    }

    /// The instance is to be deleted while an operation on it waits: the same operation turns round.
    pub(crate) fn delete_instead(&mut self, principal: Principal) -> Result<(), Impossible> {
        let state = self.node.provision_state;
        let turns = matches!(state, ProvisionState::WaitCallBack | ProvisionState::RescueWait | ProvisionState::ServiceWait);
        if self.operation.waiting.is_none() || !turns || !self.operation.kind.moves() {
            return Err(Impossible::NotNow(state));
        }
        self.operation.principal = principal;
        self.operation.failure = None;
        self.operation.waiting = None;
        self.operation.power_step = None;
        self.operation.abort_after = false;
        self.operation.plan.clear();
        self.operation.plan_complete = false;
        self.operation.index = 0;
        self.operation.calls = 0;
        self.node.deploy_step = Map::new();
        self.node.service_step = Map::new();
        self.node.last_error = None;
        self.begin_tear_down()
    }
}
