//! Settings of the machine that an operator changes: boot mode, secure boot, console. The node's provision state stays.

use crate::kind::{Kind, Phase, Setting};
use crate::operation::{Command, Severity};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_setting(&mut self, setting: Setting) {
        self.operation.phase = Phase::Set;
        self.command(Command::Set(setting));
    }

    /// After a restart; the machine is observed first, so asking twice does no harm.
    pub(crate) fn set_again(&mut self) {
        if let Kind::Setting(setting) = self.operation.kind {
            self.command(Command::Set(setting));
        }
    }

    /// The machine has it: the node shows it.
    pub(crate) fn setting_done(&mut self) -> Result<(), Impossible> {
        let Kind::Setting(setting) = self.operation.kind else { return Err(Impossible::Late) };
        let switched = |on: bool| if on { "on" } else { "off" };
        let text = match setting {
            Setting::BootMode(mode) => {
                self.node.boot_mode = Some(mode.as_str().into());
                format!("boot mode {} by request", mode.as_str())
            }
            Setting::SecureBoot(on) => {
                self.node.secure_boot = Some(on);
                format!("secure boot {} by request", switched(on))
            }
            Setting::Console(on) => {
                self.node.console_enabled = on;
                format!("console {} by request", switched(on))
            }
        };
        self.finished(Severity::Info, self.event_type(), text);
        Ok(())
    }
}
