//! `wrought node unlock`: whatever an operation does, it ends at once, by name, and nobody is called.

use wrought_domain::state::ProvisionState::{Active, Available, CleanFailed, DeployFailed, Enroll, Error, Manageable};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function};
use wrought_engine::{Event, FailureKind, Impossible, Kind, PowerTarget, Returned, Severity, Wipe, exits};

use crate::host::{Host, offered};

/// A deployment or a cleaning whose first step is being executed.
fn in_step(kind: Kind) -> Host {
    let (from, prepare) = match kind {
        Kind::Deploy => (Available, Function::Prepare),
        _ => (Manageable, Function::PrepareCleaning),
    };
    let mut host = Host::with(from);
    host.begin(kind);
    host.all_done(&[prepare]);
    host.answer(Returned::Steps(vec![offered("deploy", "deploy", 100), offered("deploy", "erase_devices", 10)]));
    host
}

#[test]
fn a_deployment_ends_while_it_waits_and_while_a_command_is_in_flight() {
    for waits in [false, true] {
        let mut host = in_step(Kind::Deploy);
        if waits {
            host.wait(Condition::AgentBooted, 0);
        }
        host.unlock("the controller hangs");
        assert_eq!((host.state(), host.target(), host.operation.is_none()), ("deploy failed", "active", true));
        let at = if waits { "waited" } else { "was executing" };
        assert_eq!(
            host.cause(),
            format!(
                "ada unlocked the node while step deploy.deploy {at} (reason: the controller hangs), and the machine was left as it was"
            )
        );
        assert!(host.last_error().ends_with(&exits(DeployFailed, FailureKind::Unlocked)), "{}", host.last_error());
        let last = host.history.last().unwrap();
        assert_eq!((last.severity, &*last.event_type, &*last.event), (Severity::Error, "deploying", host.last_error()));
        assert_eq!((host.wiped.as_slice(), host.node.maintenance), ([Wipe::Operation].as_slice(), false));
        assert_eq!(host.handle(Event::Returned(Returned::Done)), Err(Impossible::Late), "the call's end comes too late");
    }
}

#[test]
fn a_cleaning_that_was_left_as_it_was_needs_a_look() {
    for ended in [false, true] {
        let mut host = in_step(Kind::Clean);
        if ended {
            host.done();
            host.done();
            assert_eq!(host.calls().0, Function::TearDownCleaning);
        }
        host.unlock("it hangs");
        assert_eq!((host.state(), host.target()), ("clean failed", "available"));
        assert!(host.node.maintenance);
        assert_eq!((host.node.fault.as_deref(), &host.node.maintenance_reason), (Some("clean failure"), &host.node.last_error));
        assert!(host.last_error().ends_with(&exits(CleanFailed, FailureKind::Unlocked)), "{}", host.last_error());
    }
}

#[test]
fn a_tear_down_ends_in_error_and_the_instance_is_forgotten() {
    for done in [&[][..], &[Function::CleanUp]] {
        let mut host = Host::with(Active);
        host.begin(Kind::TearDown);
        host.all_done(done);
        host.unlock("it hangs");
        assert_eq!((host.state(), host.target(), host.node.instance_uuid), ("error", "", None));
        assert!(host.last_error().ends_with(&exits(Error, FailureKind::Unlocked)), "{}", host.last_error());
        assert!(host.cause().contains(if done.is_empty() { "while deploy.clean-up was" } else { "while deploy.tear-down was" }));
        assert_eq!(host.wiped, [Wipe::Operation], "the next tear-down needs what the driver knows");
    }
}

#[test]
fn a_verification_leaves_the_node_enrolled_and_a_request_for_power_changes_no_state() {
    let mut host = Host::with(Enroll);
    host.begin(Kind::Verify);
    host.unlock("it hangs");
    assert_eq!(host.state(), "enroll");
    assert!(host.last_error().ends_with(&exits(Enroll, FailureKind::Unlocked)), "{}", host.last_error());

    for waits in [false, true] {
        let mut host = Host::with(Active);
        host.begin(Kind::Power(PowerTarget::Reboot));
        if waits {
            host.done();
        }
        host.unlock("it hangs");
        assert_eq!((host.state(), host.target(), host.node.maintenance), ("active", "", false));
        assert!(host.cause().contains("while the power state was changed"), "{}", host.last_error());
    }
}

#[test]
fn what_failed_before_stays_readable_before_it() {
    let mut host = in_step(Kind::Deploy);
    host.refuse(ErrorKind::Failed, "no image");
    host.unlock("the clean-up hangs");
    assert_eq!(host.state(), "deploy failed");
    let expected = "step deploy.deploy: no image (test.Error). Then ada unlocked the node while deploy.clean-up was executing";
    assert!(host.last_error().starts_with(expected), "{}", host.last_error());

    let mut host = in_step(Kind::Deploy);
    host.wait(Condition::AgentBooted, 0);
    host.handle(Event::Abort).unwrap();
    host.unlock("the clean-up hangs");
    assert_eq!(host.state(), "deploy failed", "as the abort had set it");
    assert!(host.last_error().starts_with("By request, the deploy operation was aborted"), "{}", host.last_error());
}

#[test]
fn a_long_reason_is_cut_and_controls_nothing() {
    let mut host = in_step(Kind::Deploy);
    host.unlock(&format!("red \u{1b}[31m\n{}", "x".repeat(100_000)));
    let told = host.last_error();
    assert!(told.contains("(reason: red  [31m xxx") && told.len() < 1500, "{told}");
    assert!(told.ends_with(&exits(DeployFailed, FailureKind::Unlocked)), "{told}");
}

#[test]
fn a_node_that_nothing_holds_is_not_unlocked() {
    let mut host = Host::with(Active);
    let unlocked = Event::Unlocked { principal: wrought_domain::Principal::noauth(), reason: "in vain".into() };
    assert_eq!(host.handle(unlocked), Err(Impossible::Late));
}
