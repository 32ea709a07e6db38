//! Power requests of an operator.

use wrought_domain::PowerState;
use wrought_domain::wait::{Condition, Wait};

use crate::exits::FailureKind;
use crate::kind::{Kind, Phase, PowerTarget};
use crate::operation::{Command, PowerAction, Severity};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_power(&mut self, target: PowerTarget) {
        let off = matches!(target, PowerTarget::Off | PowerTarget::SoftOff);
        self.node.target_power_state = Some(if off { PowerState::Off } else { PowerState::On });
        // A reboot always begins with off: what is known of the power may be old, and a machine that is off stays so.
        self.begin_power_phase(if target == PowerTarget::On || self.restarts() { Phase::PowerOn } else { Phase::PowerOff });
    }

    /// A machine that must never be off is rebooted in one go.
    pub(crate) fn restarts(&self) -> bool {
        self.node.disable_power_off && matches!(self.operation.kind, Kind::Power(PowerTarget::Reboot | PowerTarget::SoftReboot))
    }

    /// Asks for the change; the controller is observed first, so asking twice does no harm.
    pub(crate) fn begin_power_phase(&mut self, phase: Phase) {
        self.operation.phase = phase;
        let soft = matches!(self.operation.kind, Kind::Power(PowerTarget::SoftOff | PowerTarget::SoftReboot));
        self.command(Command::SetPower(match phase {
            Phase::PowerOn if self.restarts() => PowerAction::Restart,
            Phase::PowerOn => PowerAction::On,
            _ if soft => PowerAction::SoftOff,
            _ => PowerAction::Off,
        }));
    }

    pub(crate) fn power_done(&mut self) -> Result<(), Impossible> {
        let on = self.operation.phase == Phase::PowerOn;
        let soft = matches!(self.operation.kind, Kind::Power(PowerTarget::SoftOff | PowerTarget::SoftReboot)) && !on;
        let usual = if soft { self.settings.soft_power_off_timeout } else { self.settings.power_state_change_timeout };
        self.wait(Wait { condition: Condition::Power { on }, timeout_s: self.operation.power_timeout.unwrap_or(usual) }, false);
        Ok(())
    }

    pub(crate) fn power_changed(&mut self, met: bool) -> Result<(), Impossible> {
        let on = self.operation.phase == Phase::PowerOn;
        let state = if on { PowerState::On } else { PowerState::Off };
        if !met {
            return self.fail(FailureKind::Timeout, format!("the machine did not reach {state} in time"));
        }
        self.node.power_state = Some(state);
        if !on {
            self.node.wipe_agent();
        }
        if !on && self.node.target_power_state == Some(PowerState::On) {
            self.begin_power_phase(Phase::PowerOn);
            return Ok(());
        }
        self.node.target_power_state = None;
        self.finished(Severity::Info, "power", format!("{state} by request"));
        Ok(())
    }
}
