//! `manage` from `enroll`: the controller must answer.

use wrought_domain::ErrorKind;
use wrought_domain::state::{Event as Transition, ProvisionState};

use crate::exits::FailureKind;
use crate::operation::{Command, Phase, Returned, Severity, Wipe};
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

    pub(crate) fn verified(&mut self, returned: Returned) -> Result<(), Impossible> {
        let Returned::Power(state) = returned else {
            return self.fail(FailureKind::Refused(ErrorKind::PowerFailed), "the controller gave no power state".into());
        };
        self.node.power_state = Some(state);
        self.apply(Transition::Done)?;
        self.note(Severity::Info, "verify", format!("access to the machine is verified, {state}"));
        self.end(Wipe::Operation);
        Ok(())
    }
}
