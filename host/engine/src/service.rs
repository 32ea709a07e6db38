//! `service`: steps on a machine that has an instance, which it goes back to.

use wrought_domain::plan::manual;
use wrought_domain::state::Event as Transition;
use wrought_domain::step::Step;

use crate::exits::FailureKind;
use crate::kind::{Kind, Phase};
use crate::operation::{Cause, Severity};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_service(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Service)?;
        self.note(Severity::Info, "servicing", "service started".into());
        self.node.wipe_agent();
        self.begin_phase(Phase::ListServiceSteps);
        Ok(())
    }

    pub(crate) fn plan_service(&mut self, offered: &[Step]) -> Result<(), Impossible> {
        if self.lacks_ramdisk(offered) {
            return self.prepare_ramdisk();
        }
        let plan = match manual(offered, &self.operation.asked, &self.settings.service_steps) {
            Ok(plan) => plan,
            Err(error) => return self.fail(FailureKind::Steps, error.to_string()),
        };
        if plan.is_empty() {
            return self.fail(FailureKind::Steps, "a service needs at least one service step".into());
        }
        if let Some(step) = plan.iter().find(|step| step.requires_ramdisk && !self.operation.ramdisk) {
            return self.fail(FailureKind::Steps, format!("step {} needs the agent, but disable_ramdisk was given", step.id()));
        }
        self.take_plan(plan);
        self.next_step()
    }

    /// The last service step is done.
    pub(crate) fn all_serviced(&mut self) -> Result<(), Impossible> {
        self.node.service_step = wrought_domain::Map::new();
        if self.operation.ramdisk {
            self.call(Phase::TearDownService, Cause::First);
            return Ok(());
        }
        self.serviced()
    }

    fn serviced(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Done)?;
        self.finished(Severity::Info, "servicing", "service finished".into());
        Ok(())
    }

    /// The machine runs its instance again.
    pub(crate) fn service_torn_down(&mut self) -> Result<(), Impossible> {
        match &self.operation.failure {
            Some(failure) if failure.aborted => self.back_to_instance(),
            Some(_) => self.fail_now(),
            None if self.operation.kind == Kind::AbortService => self.back_to_instance(),
            None => self.serviced(),
        }
    }

    /// `abort` of a service that has failed already.
    pub(crate) fn begin_abort_service(&mut self) -> Result<(), Impossible> {
        let state = self.node.provision_state;
        if state.after(Transition::Abort) != Some(wrought_domain::ProvisionState::Active) {
            return Err(Impossible::NotNow(state));
        }
        self.note(Severity::Info, "servicing", "the machine goes back to its instance, by request".into());
        self.operation.ramdisk = true;
        self.begin_phase(Phase::TearDownService);
        Ok(())
    }

    /// An aborted service ends where it began, and says that it was aborted.
    pub(crate) fn back_to_instance(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Abort)?;
        let text = self.operation.failure.as_ref().map(|failure| failure.text.clone());
        self.node.last_error = text.clone();
        self.finished(Severity::Info, "servicing", text.unwrap_or_else(|| "the failed service was given up".into()));
        Ok(())
    }
}
