//! `active` and `rebuild`: prepare, list the steps, execute them.

use wrought_domain::state::Event as Transition;
use wrought_domain::step::{Step, deployment};

use crate::exits::FailureKind;
use crate::operation::{Cause, Kind, Phase, Returned, Severity, Wipe, shown};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_deploy(&mut self) -> Result<(), Impossible> {
        let transition = if self.operation.kind == Kind::Rebuild { Transition::Rebuild } else { Transition::Deploy };
        self.apply(transition)?;
        self.node.wipe_agent();
        self.note(Severity::Info, "deploying", "deployment started".into());
        self.call(Phase::Prepare, Cause::First);
        Ok(())
    }

    pub(crate) fn deploy_returned(&mut self, returned: Returned) -> Result<(), Impossible> {
        match (self.operation.phase, returned) {
            (Phase::Prepare, Returned::Done) => {
                self.call(Phase::ListDeploySteps, Cause::First);
                Ok(())
            }
            (Phase::ListDeploySteps, Returned::Steps(offered)) => self.plan_deployment(&offered),
            (Phase::DeployStep, Returned::Done) => self.deploy_step_done(),
            (phase, returned) => self.fail(FailureKind::Fault, format!("the driver answered {phase:?} with {returned:?}")),
        }
    }

    /// The plan is made twice: before the first step, and again when the core step is done,
    /// because then the agent is up and its own steps are known.
    fn plan_deployment(&mut self, offered: &[Step]) -> Result<(), Impossible> {
        let complete = !self.operation.plan.is_empty();
        // Without the core step no agent is booted, so what nobody offers now will not be offered later either.
        let without_agent =
            self.operation.asked.iter().any(|call| (&*call.interface, &*call.step, call.priority) == ("deploy", "deploy", Some(0)));
        let wanted = match deployment(offered, &self.operation.asked, complete || without_agent) {
            Ok(plan) => plan,
            Err(error) => return self.fail(FailureKind::Steps, error.to_string()),
        };
        if complete {
            let executed = self.operation.plan.get(..=self.operation.index).unwrap_or_default().to_vec();
            let rest = wanted.into_iter().filter(|step| !executed.iter().any(|done| done.is(&step.interface, &step.step)));
            self.operation.plan = executed.iter().cloned().chain(rest).collect();
            self.operation.plan_complete = true;
            self.operation.index = self.operation.index.saturating_add(1);
        } else if wanted.is_empty() {
            return self
                .fail(FailureKind::Steps, "no deploy steps are left to execute; a deployment without steps would deploy nothing".into());
        } else {
            self.operation.plan = wanted;
        }
        let steps: Vec<serde_json::Value> = self.operation.plan.iter().map(|step| shown(step).into()).collect();
        self.node.driver_internal_info.insert("deploy_steps".into(), steps.into());
        self.next_deploy_step()
    }

    fn deploy_step_done(&mut self) -> Result<(), Impossible> {
        if self.operation.abort_after {
            return self.aborted();
        }
        let was_core = self.operation.current().is_some_and(|step| step.is("deploy", "deploy"));
        if was_core && !self.operation.plan_complete {
            self.call(Phase::ListDeploySteps, Cause::First);
            return Ok(());
        }
        self.operation.index = self.operation.index.saturating_add(1);
        self.next_deploy_step()
    }

    fn next_deploy_step(&mut self) -> Result<(), Impossible> {
        if self.operation.plan.get(self.operation.index).is_some() {
            self.begin_step(Phase::DeployStep);
            return Ok(());
        }
        self.apply(Transition::Done)?;
        self.note(Severity::Info, "deploying", "deployment finished".into());
        self.end(Wipe::Operation);
        Ok(())
    }
}
