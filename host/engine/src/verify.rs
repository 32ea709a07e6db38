//! `manage` from `enroll`: the controller must answer, and then the drivers' verify steps must succeed.

use wrought_domain::PowerState;
use wrought_domain::plan::verification;
use wrought_domain::state::{Event as Transition, ProvisionState};
use wrought_domain::step::Step;

use crate::kind::Phase;
use crate::operation::{Cause, Command, Severity, Wipe};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_verify(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Manage)?;
        if self.node.provision_state != ProvisionState::Verifying {
            // Only an enrolled node is verified; for others it is a change of state and no more.
            self.end(Wipe::Operation);
            return Ok(());
        }
        self.operation.phase = Phase::Verify;
        self.command(Command::ReadPower);
        Ok(())
    }

    pub(crate) fn verified(&mut self, state: PowerState) -> Result<(), Impossible> {
        self.node.power_state = Some(state);
        if self.operation.drivers.is_empty() {
            return self.all_verified();
        }
        self.call(Phase::ListVerifySteps, Cause::First);
        Ok(())
    }

    pub(crate) fn plan_verification(&mut self, offered: &[Step]) -> Result<(), Impossible> {
        let plan = verification(offered, &self.settings.verify_steps);
        self.take_plan(plan);
        self.next_step()
    }

    /// The last verify step is done.
    pub(crate) fn all_verified(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Done)?;
        let state = self.node.power_state.map(|state| format!(", {state}")).unwrap_or_default();
        self.finished(Severity::Info, "verify", format!("access to the machine is verified{state}"));
        Ok(())
    }
}
