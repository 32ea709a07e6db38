//! Cleaning: automated behind `provide` and `deleted`, manual behind `clean`.

use wrought_domain::state::Event as Transition;
use wrought_domain::step::{Step, automated, manual};

use crate::exits::FailureKind;
use crate::operation::{Cause, Kind, Phase, Returned, Severity, Wipe, shown};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_clean(&mut self, transition: Transition) -> Result<(), Impossible> {
        self.apply(transition)?;
        self.operation.plan.clear();
        self.operation.index = 0;
        let wanted = self.operation.kind == Kind::ManualClean || self.node.automated_clean.unwrap_or(self.settings.automated_clean);
        if !wanted {
            self.note(Severity::Info, "cleaning", "automated cleaning is switched off".into());
            return self.cleaned();
        }
        self.note(Severity::Info, "cleaning", "cleaning started".into());
        self.node.wipe_agent();
        self.call(if self.operation.disable_ramdisk { Phase::ListCleanSteps } else { Phase::PrepareCleaning }, Cause::First);
        Ok(())
    }

    pub(crate) fn clean_returned(&mut self, returned: Returned) -> Result<(), Impossible> {
        match (self.operation.phase, returned) {
            (Phase::PrepareCleaning, Returned::Done) => {
                self.call(Phase::ListCleanSteps, Cause::First);
                Ok(())
            }
            (Phase::ListCleanSteps, Returned::Steps(offered)) => self.plan_cleaning(&offered),
            (Phase::CleanStep, Returned::Done) if self.operation.abort_after => self.aborted(),
            (Phase::CleanStep, Returned::Done) => {
                self.operation.index = self.operation.index.saturating_add(1);
                self.next_clean_step()
            }
            (Phase::TearDownCleaning, Returned::Done) if self.operation.failure.is_some() => self.fail_now(),
            (Phase::TearDownCleaning, Returned::Done) => self.cleaned(),
            (phase, returned) => self.fail(FailureKind::Fault, format!("the driver answered {phase:?} with {returned:?}")),
        }
    }

    fn plan_cleaning(&mut self, offered: &[Step]) -> Result<(), Impossible> {
        let plan = match self.operation.kind {
            Kind::ManualClean => match manual(offered, &self.operation.asked) {
                Ok(plan) => plan,
                Err(error) => return self.fail(FailureKind::Steps, error.to_string()),
            },
            _ => automated(offered),
        };
        if plan.is_empty() && self.operation.kind == Kind::ManualClean {
            return self.fail(FailureKind::Steps, "a manual cleaning needs at least one clean step".into());
        }
        if plan.is_empty() {
            return self.fail(
                FailureKind::Steps,
                "no clean step is offered, so nothing would be erased; set the node's automated_clean to false if that is what you want"
                    .into(),
            );
        }
        if let Some(step) = plan.iter().find(|step| step.requires_ramdisk && self.operation.disable_ramdisk) {
            return self.fail(FailureKind::Steps, format!("step {} needs the agent, but disable_ramdisk was given", step.id()));
        }
        let steps: Vec<serde_json::Value> = plan.iter().map(|step| shown(step).into()).collect();
        self.node.driver_internal_info.insert("clean_steps".into(), steps.into());
        self.operation.plan = plan;
        self.next_clean_step()
    }

    fn next_clean_step(&mut self) -> Result<(), Impossible> {
        if self.operation.plan.get(self.operation.index).is_some() {
            self.begin_step(Phase::CleanStep);
            return Ok(());
        }
        self.node.clean_step = wrought_domain::Map::new();
        if self.operation.disable_ramdisk {
            // Nothing was booted, so nothing is taken away: the machine goes on with what it runs.
            return self.cleaned();
        }
        self.call(Phase::TearDownCleaning, Cause::First);
        Ok(())
    }

    fn cleaned(&mut self) -> Result<(), Impossible> {
        let to_manageable = self.operation.kind == Kind::ManualClean || self.node.retired;
        self.apply(if to_manageable { Transition::Manage } else { Transition::Done })?;
        self.note(Severity::Info, "cleaning", "cleaning finished".into());
        self.end(Wipe::Operation);
        Ok(())
    }
}
