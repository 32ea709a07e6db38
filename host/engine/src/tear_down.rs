//! `deleted`: clean up, tear down, forget the instance; cleaning follows in the same operation.
//! `clean-up` also ends a deployment that failed.

use wrought_domain::Map;
use wrought_domain::state::Event as Transition;

use crate::exits::FailureKind;
use crate::operation::{Cause, Kind, Phase, Returned, Severity};
use crate::step::{Impossible, Run};

impl Run<'_> {
    pub(crate) fn begin_tear_down(&mut self) -> Result<(), Impossible> {
        self.apply(Transition::Delete)?;
        self.operation.kind = Kind::TearDown;
        self.note(Severity::Info, "unprovision", "tear down started".into());
        self.call(Phase::CleanUp, Cause::First);
        Ok(())
    }

    pub(crate) fn tear_down_returned(&mut self, returned: Returned) -> Result<(), Impossible> {
        if returned != Returned::Done {
            return self.fail(FailureKind::Fault, format!("the driver answered {:?} with {returned:?}", self.operation.phase));
        }
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
        for key in ["instance", "root_uuid_or_disk_id", "is_whole_disk_image", "deploy_boot_mode", "user_deploy_steps"] {
            self.node.driver_internal_info.remove(key);
        }
    }
}
