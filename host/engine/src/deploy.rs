//! `active` and `rebuild`: prepare, list the steps, execute them.

use wrought_domain::plan::deployment;
use wrought_domain::state::Event as Transition;
use wrought_domain::step::Step;

use crate::exits::FailureKind;
use crate::kind::{Kind, Phase};
use crate::operation::Severity;
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_deploy(&mut self) -> Result<(), Impossible> {
        let transition = if self.operation.kind == Kind::Rebuild { Transition::Rebuild } else { Transition::Deploy };
        self.apply(transition)?;
        self.node.wipe_agent();
        self.note(Severity::Info, "deploying", "deployment started".into());
        self.begin_phase(Phase::Prepare);
        Ok(())
    }

    /// The plan is made twice: before the first step, and again when the core step is done,
    /// because then the agent is up and its own steps are known.
    pub(crate) fn plan_deployment(&mut self, offered: &[Step]) -> Result<(), Impossible> {
        let complete = !self.operation.plan.is_empty();
        let (user, templates) = (&self.operation.asked, &self.operation.templates);
        // Without the core step no agent is booted, so what nobody offers now will not be offered later either.
        let without_agent =
            user.iter().chain(templates).any(|call| (&*call.interface, &*call.step, call.priority) == ("deploy", "deploy", Some(0)));
        let wanted = match deployment(offered, user, templates, &self.settings.deploy_steps, complete || without_agent) {
            Ok(plan) => plan,
            Err(error) => return self.fail(FailureKind::Steps, error.to_string()),
        };
        if complete {
            let executed = self.operation.plan.get(..=self.operation.index).unwrap_or_default().to_vec();
            // A reserved step may come more than once, so its executions are counted.
            let mut counted: Vec<String> = executed.iter().map(Step::id).collect();
            let rest = wanted.into_iter().filter(|step| match counted.iter().position(|id| *id == step.id()) {
                Some(at) => {
                    counted.swap_remove(at);
                    false
                }
                None => true,
            });
            let rest: Vec<Step> = rest.collect();
            self.take_plan(executed.into_iter().chain(rest).collect());
            self.operation.plan_complete = true;
            self.operation.index = self.operation.index.saturating_add(1);
            self.node.driver_internal_info.insert("steps_validated".into(), true.into());
        } else if wanted.is_empty() {
            return self
                .fail(FailureKind::Steps, "no deploy steps are left to execute; a deployment without steps would deploy nothing".into());
        } else {
            self.take_plan(wanted);
        }
        self.next_step()
    }

    /// The last deploy step is done.
    pub(crate) fn deployed(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Done)?;
        self.finished(Severity::Info, "deploying", "deployment finished".into());
        Ok(())
    }
}
