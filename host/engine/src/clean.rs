//! Cleaning: automated behind `provide` and `deleted`, manual behind `clean`. It fails closed: without the erasures that the operator
//! requires no node becomes available.

use wrought_domain::hardware_type::FAKE_HARDWARE;
use wrought_domain::plan::{automated, manual, needs_ramdisk};
use wrought_domain::state::Event as Transition;
use wrought_domain::step::Step;

use crate::exits::FailureKind;
use crate::kind::{Kind, Phase};
use crate::operation::{Cause, Severity};
use crate::settings::Erasure;
use crate::step::{Impossible, Run};

impl<'a> Run<'a> {
    pub(crate) fn begin_clean(&mut self, transition: Transition) -> Result<(), Impossible> {
        self.apply(transition)?;
        self.operation.plan.clear();
        self.operation.index = 0;
        if !self.is_cleaned_at_all() {
            self.note(Severity::Info, "cleaning", "automated cleaning is switched off".into());
            return self.cleaned();
        }
        self.note(Severity::Info, "cleaning", "cleaning started".into());
        self.node.wipe_agent();
        // What is asked for may do without the agent; what runs by itself is mostly the agent's.
        let first = self.operation.kind == Kind::ManualClean || self.operation.disable_ramdisk;
        self.operation.ramdisk = !first;
        self.begin_phase(if first { Phase::ListCleanSteps } else { Phase::PrepareCleaning });
        Ok(())
    }

    fn is_cleaned_at_all(&self) -> bool {
        self.operation.kind == Kind::ManualClean || self.node.automated_clean.unwrap_or(self.settings.automated_clean)
    }

    /// Boots the agent, because a step needs it.
    pub(crate) fn prepare_ramdisk(&mut self) -> Result<(), Impossible> {
        self.operation.ramdisk = true;
        self.call(if self.operation.kind == Kind::Service { Phase::PrepareService } else { Phase::PrepareCleaning }, Cause::First);
        Ok(())
    }

    /// Whether the steps of a request have to be listed once more, with the agent running.
    pub(crate) fn lacks_ramdisk(&self, offered: &[Step]) -> bool {
        !self.operation.ramdisk && !self.operation.disable_ramdisk && needs_ramdisk(offered, &self.operation.asked)
    }

    pub(crate) fn plan_cleaning(&mut self, offered: &[Step]) -> Result<(), Impossible> {
        let asks = self.operation.kind != Kind::Clean;
        if self.operation.kind == Kind::ManualClean && self.lacks_ramdisk(offered) {
            return self.prepare_ramdisk();
        }
        let planned = match asks {
            true => manual(offered, &self.operation.asked, &self.settings.clean_steps),
            false => Ok(automated(offered, &self.settings.clean_steps)),
        };
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => return self.fail(FailureKind::Steps, error.to_string()),
        };
        if plan.is_empty() {
            let text = if asks { "a manual cleaning needs at least one clean step" } else { NOTHING_OFFERED };
            return self.fail(FailureKind::Steps, text.into());
        }
        if let Some(step) = plan.iter().find(|step| step.requires_ramdisk && self.operation.disable_ramdisk) {
            return self.fail(FailureKind::Steps, format!("step {} needs the agent, but disable_ramdisk was given", step.id()));
        }
        if let Some(erasure) = self.required().find(|erasure| !erasure.is_planned_in(&plan)) {
            let text = format!("the cleaning would not erase what has to be erased: none of its steps is {erasure}");
            return self.fail(FailureKind::Uncovered, text);
        }
        self.take_plan(plan);
        self.next_step()
    }

    /// What has to be erased before the node is available. A machine that does not exist has no disks.
    fn required(&self) -> impl Iterator<Item = &'a Erasure> + use<'a> {
        let needed = self.operation.kind == Kind::Clean && !self.node.retired && self.node.driver != FAKE_HARDWARE.name;
        self.settings.required.iter().filter(move |_| needed)
    }

    /// The last clean step is done.
    pub(crate) fn all_cleaned(&mut self) -> Result<(), Impossible> {
        if let Some(erasure) = self.required().find(|erasure| !erasure.is_covered_by(&self.operation.covered)) {
            let text = format!("nobody saw the machine erased: {erasure} did not succeed on the agent, as far as this host could see");
            return self.fail(FailureKind::Uncovered, text);
        }
        self.node.clean_step = wrought_domain::Map::new();
        if !self.operation.ramdisk {
            // Nothing was booted, so nothing is taken away: the machine goes on with what it runs.
            return self.cleaned();
        }
        self.call(Phase::TearDownCleaning, Cause::First);
        Ok(())
    }

    pub(crate) fn cleaned(&mut self) -> Result<(), Impossible> {
        let to_manageable = self.operation.kind == Kind::ManualClean || self.node.retired;
        self.apply(if to_manageable { Transition::Manage } else { Transition::Done })?;
        self.finished(Severity::Info, "cleaning", "cleaning finished".into());
        Ok(())
    }
}

const NOTHING_OFFERED: &str =
    "no clean step is offered, so nothing would be erased; set the node's automated_clean to false if that is what you want";
