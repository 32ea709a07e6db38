//! `adopt`: a machine that has an instance already is managed from now on. It is not rebooted.

use wrought_domain::state::Event as Transition;

use crate::kind::Phase;
use crate::operation::{Cause, Severity};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_adoption(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Adopt)?;
        self.note(Severity::Info, "adoption", "adoption started".into());
        self.begin_phase(Phase::Prepare);
        Ok(())
    }

    pub(crate) fn adoption_done(&mut self) -> Result<(), Impossible> {
        if self.operation.phase == Phase::Prepare {
            self.call(Phase::TakeOver, Cause::First);
            return Ok(());
        }
        self.apply(Transition::Done)?;
        self.finished(Severity::Info, "adoption", "adoption finished".into());
        Ok(())
    }
}
