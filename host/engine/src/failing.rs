//! How operations end badly: what their drivers clean up, and what is shown of it.

use wrought_domain::ErrorKind;
use wrought_domain::node::{MAX_TEXT, cut};
use wrought_domain::state::Event as Transition;

use crate::events::EventKind;
use crate::exits::{FailureKind, followed, with_exits};
use crate::kind::{Kind, Phase};
use crate::operation::{Cause, Failure, Severity, Wipe};
use crate::step::{Impossible, Run};

impl Run<'_> {
    /// Ends with a failure, after the clean-up that its kind asks for.
    pub(crate) fn fail(&mut self, kind: FailureKind, text: String) -> Result<(), Impossible> {
        if let Some(first) = &mut self.operation.failure {
            first.text = followed(&first.text, &format!("Also failed to clean up due to: {text}"));
            if kind == FailureKind::Refused(ErrorKind::OutcomeUnknown) {
                // Whatever the first failure asks for, the machine is to be looked at before.
                first.kind = kind;
            }
            let rescue_aborted = first.aborted && self.operation.kind == Kind::Rescue;
            self.fail_now()?;
            if rescue_aborted {
                self.needs_a_look("rescue abort failure");
            }
            return Ok(());
        }
        let phase = self.operation.phase;
        let in_step = matches!(phase, Phase::CleanStep | Phase::ServiceStep);
        let text = match self.operation.current() {
            Some(step) => format!("step {}: {text}", step.id()),
            None => text,
        };
        let text = cut(&text, MAX_TEXT);
        self.operation.failure = Some(Failure { text, kind, aborted: false, in_step });
        self.operation.waiting = None;
        self.operation.power_step = None;
        self.apply_if_allowed(Transition::Resume);
        match self.clean_up_after(phase) {
            Some(clean_up) => self.call(clean_up, Cause::First),
            None => self.fail_now()?,
        }
        Ok(())
    }

    /// What a driver is to do after a failure in a phase.
    pub(crate) fn clean_up_after(&self, phase: Phase) -> Option<Phase> {
        match phase {
            _ if !self.operation.kind.moves() => None,
            Phase::DeployStep => Some(Phase::CleanUp),
            // Listed again after the core step: the machine runs the agent by now.
            Phase::ListDeploySteps if !self.operation.plan.is_empty() => Some(Phase::CleanUp),
            Phase::PrepareCleaning | Phase::ListCleanSteps | Phase::CleanStep if self.operation.ramdisk => Some(Phase::TearDownCleaning),
            Phase::PrepareService | Phase::ListServiceSteps | Phase::ServiceStep if self.operation.ramdisk => Some(Phase::TearDownService),
            Phase::Inspect => Some(Phase::AbortInspection),
            Phase::Rescue => Some(Phase::CleanUpRescue),
            _ => None,
        }
    }

    /// Ends with the failure that is noted.
    pub(crate) fn fail_now(&mut self) -> Result<(), Impossible> {
        self.node.target_power_state = None;
        let kind = self.operation.kind;
        // A tear-down that never had its turn has taken nothing away.
        if kind == Kind::TearDown && self.operation.calls > 0 {
            self.forget_instance();
        }
        self.failed = Some(Box::new(self.operation.clone()));
        let state = self.node.provision_state;
        // The table has no failure of a hold, but an abort of one.
        let by_abort = !state.is_failed() && state.after(Transition::Fail).is_none();
        self.apply_if_allowed(if by_abort { Transition::Abort } else { Transition::Fail });
        let failure = self.show_failure();
        if failure.in_step && !failure.aborted && kind.moves() {
            self.needs_a_look(if kind == Kind::Service { "service failure" } else { "clean failure" });
        }
        match kind {
            Kind::Inspect => self.node.inspection_started_at = None,
            Kind::Adopt => self.node.power_state = None,
            Kind::Rescue => self.forget_rescue_password(),
            _ => {}
        }
        let told = self.node.last_error.clone().unwrap_or_default();
        self.note(Severity::Error, self.event_type(), told.clone());
        let (kind, lasted) = (if failure.aborted { EventKind::Aborted } else { EventKind::Failed }, self.since(self.operation.started_at));
        self.happened(kind, |event| (event.reason, event.duration_ms) = (Some(told), Some(lasted)));
        self.end(Wipe::Operation);
        Ok(())
    }

    /// Puts the node into maintenance, because nobody knows how far the machine came.
    pub(crate) fn needs_a_look(&mut self, fault: &str) {
        self.node.maintenance = true;
        self.node.maintenance_reason = self.node.last_error.clone();
        self.node.fault = Some(fault.to_owned());
    }

    /// Makes the failure that is noted the node's `last_error`, with the exits of the state that the node is in.
    pub(crate) fn show_failure(&mut self) -> Failure {
        let unnamed = || Failure { text: "failed".into(), kind: FailureKind::default(), aborted: false, in_step: false };
        let failure = self.operation.failure.clone().unwrap_or_else(unnamed);
        self.node.fail_with(&with_exits(&failure.text, self.node.provision_state, failure.kind));
        failure
    }
}
