//! `deleted`: clean up, tear down, forget the instance; cleaning follows in the same operation.
//! `clean-up` also ends a deployment that failed.

use wrought_domain::Map;
use wrought_domain::state::{Event as Transition, ProvisionState};

use crate::kind::{Kind, Phase};
use crate::operation::{Cause, Severity};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_tear_down(&mut self) -> Result<(), Impossible> {
        let rescued = matches!(
            self.node.provision_state,
            ProvisionState::Rescue | ProvisionState::RescueWait | ProvisionState::RescueFailed | ProvisionState::UnrescueFailed
        );
        self.operation.kind = Kind::TearDown;
        self.apply(Transition::Delete)?;
        self.note(Severity::Info, "unprovision", "tear down started".into());
        self.begin_phase(if rescued { Phase::CleanUpRescue } else { Phase::CleanUp });
        Ok(())
    }

    pub(crate) fn tear_down_done(&mut self) -> Result<(), Impossible> {
        match self.operation.phase {
            Phase::CleanUp if self.operation.kind == Kind::TearDown => {
                self.call(Phase::TearDown, Cause::First);
                Ok(())
            }
            Phase::CleanUp => self.fail_now(),
            _ => {
                self.forget_instance();
                self.wipe_all();
                self.operation.kind = Kind::Clean;
                self.operation.asked.clear();
                self.operation.templates.clear();
                self.operation.finished.clear();
                self.operation.skip.clear();
                self.operation.disable_ramdisk = false;
                self.operation.calls = 0;
                self.begin_clean(Transition::Clean)
            }
        }
    }

    /// What belonged to the tenant goes, whether the tear down succeeded or not.
    pub(crate) fn forget_instance(&mut self) {
        self.node.instance_info = Map::new();
        self.node.instance_uuid = None;
        self.node.instance_name = None;
        self.node.allocation_uuid = None;
        // Nobody looks at the next tenant's console.
        self.node.console_enabled = false;
        for key in [
            "instance",
            "root_uuid_or_disk_id",
            "is_whole_disk_image",
            "deploy_boot_mode",
            "user_deploy_steps",
            "detected_deploy_interface",
        ] {
            self.node.driver_internal_info.remove(key);
        }
    }
}
