//! A version that was revoked: whatever the operation does, it ends by name, and nothing runs on the driver any more.

use wrought_domain::state::ProvisionState::{Active, Available, CleanFailed, DeployFailed};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function};
use wrought_engine::{FailureKind, Kind, Returned, Wipe, exits};

use crate::host::{Host, offered};

const WHY: &str = "driver acme (00112233) was revoked (it burns)";

#[test]
fn a_step_that_waits_or_has_returned_ends_the_operation_and_no_clean_up_is_called() {
    for waits in [false, true] {
        let mut host = Host::with(Available);
        host.begin(Kind::Deploy);
        host.all_done(&[Function::Prepare]);
        host.answer(Returned::Steps(vec![offered("deploy", "deploy", 100)]));
        if waits {
            host.wait(Condition::AgentBooted, 0);
        }
        host.revoke(WHY);
        assert_eq!((host.state(), host.target(), host.operation.is_none()), ("deploy failed", "active", true));
        let at = if waits { "waited" } else { "was executing" };
        assert_eq!(host.cause(), format!("{WHY} while step deploy.deploy {at}, and the machine was left as it was"));
        assert!(host.last_error().ends_with(&exits(DeployFailed, FailureKind::Revoked)), "{}", host.last_error());
        assert_eq!(host.wiped, [Wipe::Operation]);
    }
}

#[test]
fn what_failed_before_stays_readable() {
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(vec![offered("deploy", "deploy", 100)]));
    host.answer(Returned::Refused(wrought_domain::DriverError::new(ErrorKind::Failed, "acme.NoDisk", "there is no disk")));
    assert_eq!(host.calls().0, Function::CleanUp);
    host.revoke(WHY);
    assert_eq!(host.state(), "deploy failed");
    assert!(host.last_error().contains("there is no disk") && host.last_error().contains("Then driver acme"), "{}", host.last_error());
}

#[test]
fn a_cleaning_needs_a_look_and_a_tear_down_ends_in_error() {
    let mut host = Host::with(wrought_domain::ProvisionState::Manageable);
    host.begin(Kind::Clean);
    host.wait(Condition::AgentBooted, 0);
    host.revoke(WHY);
    assert_eq!((host.state(), host.node.maintenance), ("clean failed", true));
    assert!(host.last_error().ends_with(&exits(CleanFailed, FailureKind::Revoked)), "{}", host.last_error());

    let mut host = Host::with(Active);
    host.begin(Kind::TearDown);
    host.revoke(WHY);
    assert_eq!(host.state(), "error");
}
