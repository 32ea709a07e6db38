//! `rescue` and `unrescue`: the agent with a password for its user, and back to the instance.

use wrought_domain::state::Event as Transition;

use crate::kind::{Kind, Phase};
use crate::operation::Severity;
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_rescue(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Rescue)?;
        self.node.wipe_agent();
        self.note(Severity::Info, "rescue", "rescue started".into());
        self.begin_phase(Phase::Rescue);
        Ok(())
    }

    pub(crate) fn begin_unrescue(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Unrescue)?;
        self.note(Severity::Info, "unrescue", "unrescue started".into());
        self.begin_phase(Phase::Unrescue);
        Ok(())
    }

    pub(crate) fn rescue_done(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Done)?;
        self.forget_rescue_password();
        if self.operation.kind == Kind::Rescue {
            self.finished(Severity::Info, "rescue", "rescue finished".into());
        } else {
            self.finished(Severity::Info, "unrescue", "unrescue finished".into());
        }
        Ok(())
    }

    /// It was for one rescue, and is not kept longer than that.
    pub(crate) fn forget_rescue_password(&mut self) {
        self.node.instance_info.remove("rescue_password");
        self.node.instance_info.remove("hashed_rescue_password");
    }
}
