//! What is to be done about a failure is told with it, and stays told.

use wrought_domain::node::MAX_TEXT;
use wrought_domain::state::ProvisionState::{Active, Available, CleanFailed, DeployFailed, Error, Manageable};
use wrought_domain::{ErrorKind, Function};
use wrought_engine::{Event, FailureKind, Kind, PowerTarget, Returned, exits};

use crate::host::{Host, offered};

/// A deployment whose first step is being executed.
fn deploying() -> Host {
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(vec![offered("deploy", "deploy", 100)]));
    host
}

#[test]
fn the_cause_and_the_exits_outlive_the_clean_up() {
    let mut host = deploying();
    host.refuse(ErrorKind::NotFound, "no image");
    host.all_done(&[Function::CleanUp]);
    let way_out = exits(DeployFailed, FailureKind::Refused(ErrorKind::NotFound));
    assert_eq!(host.last_error(), format!("step deploy.deploy: no image (test.Error). {way_out}"));
    assert_eq!(host.history.last().unwrap().event, host.last_error(), "and in the history");

    let mut host = Host::with(Manageable);
    host.begin(Kind::Clean);
    host.refuse(ErrorKind::Locked, "busy");
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!(host.last_error(), format!("busy (test.Error). {}", exits(CleanFailed, FailureKind::Refused(ErrorKind::Locked))));

    let mut host = Host::with(Active);
    host.begin(Kind::TearDown);
    host.answer(Returned::Fault("it trapped".into()));
    assert_eq!(host.last_error(), format!("it trapped. {}", exits(Error, FailureKind::Fault)));
}

#[test]
fn the_first_cause_and_its_exits_outlive_a_clean_up_that_fails_however_long_the_texts_are() {
    for long in [MAX_TEXT, 10] {
        let mut host = deploying();
        host.answer(Returned::Fault(format!("first {}", "x".repeat(long))));
        host.refuse(ErrorKind::Failed, &format!("second {}", "y".repeat(long)));
        let told = host.last_error();
        assert!(told.len() <= MAX_TEXT && told.starts_with("step deploy.deploy: first x"), "{told}");
        assert!(told.contains(". Also failed to clean up due to: second y"), "{told}");
        assert!(told.ends_with(&exits(DeployFailed, FailureKind::Fault)), "{told}");
    }
}

#[test]
fn a_clean_up_with_an_unknown_end_is_looked_at_first() {
    let mut host = deploying();
    host.refuse(ErrorKind::Failed, "no image");
    host.refuse(ErrorKind::OutcomeUnknown, "sent, not confirmed");
    assert!(host.last_error().ends_with(&exits(DeployFailed, FailureKind::Refused(ErrorKind::OutcomeUnknown))), "{}", host.last_error());
}

#[test]
fn an_abort_names_the_exits_at_once_and_after_its_clean_up() {
    let mut host = deploying();
    host.wait(wrought_domain::wait::Condition::AgentBooted, 0);
    host.handle(Event::Abort).unwrap();
    let told = host.last_error().to_owned();
    assert!(told.ends_with(&exits(DeployFailed, FailureKind::Aborted)), "{told}");
    host.all_done(&[Function::CleanUp]);
    assert_eq!(host.last_error(), told);
}

#[test]
fn a_request_for_power_that_fails_leaves_the_exits_of_a_failed_state() {
    for state in [DeployFailed, CleanFailed, Error] {
        let mut host = Host::with(state);
        host.node.last_error = Some("no image. Next: think.".into());
        host.begin(Kind::Power(PowerTarget::On));
        assert_eq!(host.last_error(), "no image. Next: think.");
        host.refuse(ErrorKind::PowerFailed, "no");
        assert_eq!(host.last_error(), format!("no (test.Error). {}", exits(state, FailureKind::Refused(ErrorKind::PowerFailed))));
    }
}

#[test]
fn a_failure_that_was_stored_without_its_kind_is_read() {
    let failure = serde_json::json!({"text": "no image", "aborted": false, "in_step": false});
    let failure: wrought_engine::Failure = serde_json::from_value(failure).unwrap();
    assert_eq!(failure.kind, FailureKind::Refused(ErrorKind::Failed));
}
