//! `inspect`: the driver has the machine looked at, the host makes use of what was found.

use wrought_domain::state::Event as Transition;

use crate::kind::Phase;
use crate::operation::{Command, Severity};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_inspection(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Inspect)?;
        self.node.inspection_started_at = Some(self.now);
        self.node.inspection_finished_at = None;
        self.node.wipe_agent();
        self.note(Severity::Info, "introspection", "inspection started".into());
        self.begin_phase(Phase::Inspect);
        Ok(())
    }

    pub(crate) fn inspection_done(&mut self) -> Result<(), Impossible> {
        if self.operation.phase == Phase::Inspect {
            self.operation.phase = Phase::ApplyInspection;
            self.operation.turn = self.operation.turn.saturating_add(1);
            self.command(Command::ApplyInspection);
            return Ok(());
        }
        self.apply(Transition::Done)?;
        self.node.inspection_started_at = None;
        self.node.inspection_finished_at = Some(self.now);
        self.finished(Severity::Info, "introspection", "inspection finished".into());
        Ok(())
    }
}
