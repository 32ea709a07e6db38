//! What an operator does to an operation that is under way: abort it, turn it round, break its lock.

use wrought_domain::node::cut;
use wrought_domain::state::{Event as Transition, ProvisionState};
use wrought_domain::{Map, Principal};

use crate::exits::{FailureKind, followed};
use crate::operation::{Cause, Failure, Kind, Phase};
use crate::step::{Impossible, Run};

/// The longest name of a user and the longest reason within a text, bytes.
const MAX_WORDS: usize = 512;

impl Run<'_> {
    /// Ends what waits; a step that does not allow it ends first.
    pub(crate) fn abort(&mut self) -> Result<(), Impossible> {
        let state = self.node.provision_state;
        let waits = matches!(state, ProvisionState::WaitCallBack | ProvisionState::CleanWait) && self.operation.waiting.is_some();
        // What has failed is being cleaned up already, and its reason is to be kept.
        if !waits || self.operation.failure.is_some() {
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
        let what = if self.event_type() == "cleaning" { "clean" } else { "deploy" };
        let at = self.operation.current().map(|step| format!(" during step {}", step.id())).unwrap_or_default();
        let text = format!("By request, the {what} operation was aborted{at}");
        self.operation.failure = Some(Failure { text, kind: FailureKind::Aborted, aborted: true, in_step: false });
        self.apply_if_allowed(Transition::Abort);
        self.apply_if_allowed(Transition::Fail);
        self.show_failure();
        if self.operation.disable_ramdisk {
            return self.fail_now();
        }
        self.call(if what == "clean" { Phase::TearDownCleaning } else { Phase::CleanUp }, Cause::First);
        Ok(())
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
        let cleans = matches!(self.operation.kind, Kind::Clean | Kind::ManualClean);
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
        let cleans = matches!(self.operation.kind, Kind::Clean | Kind::ManualClean);
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
            (None, None) => "the power state was changed".into(),
        };
        match (self.operation.waiting.is_some(), self.operation.phase.function()) {
            (true, Some(_)) => format!("{what} waited"),
            (false, Some(_)) => format!("{what} was executing"),
            (_, None) => what,
        }
    }

    /// The instance is to be deleted while its deployment waits: the same operation turns round.
    pub(crate) fn delete_instead(&mut self, principal: Principal) -> Result<(), Impossible> {
        if self.operation.waiting.is_none() || self.node.provision_state != ProvisionState::WaitCallBack {
            return Err(Impossible::NotNow(self.node.provision_state));
        }
        self.operation.principal = principal;
        self.operation.failure = None;
        self.operation.abort_after = false;
        self.operation.plan.clear();
        self.operation.plan_complete = false;
        self.operation.index = 0;
        self.operation.calls = 0;
        self.node.deploy_step = Map::new();
        self.node.last_error = None;
        self.begin_tear_down()
    }
}
