use wrought_domain::state::ProvisionState::{CleanFailed, Manageable};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function};
use wrought_engine::{Event, Impossible, Kind, Returned};

use crate::host::{Host, asked, offered};

fn steps() -> Vec<wrought_domain::Step> {
    vec![offered("deploy", "erase_devices", 10), offered("deploy", "erase_devices_metadata", 99), offered("bios", "reset", 0)]
}

/// A cleaning whose first step is being executed.
fn cleaning(kind: Kind) -> Host {
    let mut host = Host::with(Manageable);
    let asked = if kind == Kind::ManualClean {
        vec![asked("bios", "reset", None), asked("deploy", "erase_devices_metadata", None)]
    } else {
        vec![]
    };
    host.try_begin(kind, asked).unwrap();
    if kind == Kind::ManualClean {
        // Nobody knows yet whether an agent is needed.
        host.answer(Returned::Steps(steps()));
    }
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(steps()));
    host
}

#[test]
fn providing_a_node_cleans_it_by_priority() {
    let mut host = cleaning(Kind::Clean);
    assert_eq!((host.state(), host.target()), ("cleaning", "available"));
    assert_eq!(host.calls_step().0, "deploy.erase_devices_metadata");
    assert_eq!(host.node.clean_step["step"], "erase_devices_metadata");
    host.wait(Condition::AgentCommand { id: "1".into() }, 0);
    assert_eq!((host.state(), host.target()), ("clean wait", "available"));
    host.tested(true);
    host.done();
    assert_eq!(host.calls_step().0, "deploy.erase_devices");
    host.done();
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!((host.state(), host.target()), ("available", ""));
}

#[test]
fn providing_a_node_without_automated_cleaning_calls_nobody() {
    let mut host = Host::with(Manageable);
    host.settings.automated_clean = false;
    host.begin(Kind::Clean);
    assert_eq!((host.state(), host.operation.is_none()), ("available", true));
}

#[test]
fn a_retired_node_ends_manageable() {
    let mut host = Host::with(Manageable);
    (host.node.retired, host.node.automated_clean) = (true, Some(false));
    host.begin(Kind::Clean);
    assert_eq!(host.state(), "manageable");
}

#[test]
fn a_manual_cleaning_executes_what_was_asked_for_in_that_order_and_is_heading_for_manageable_all_the_time() {
    let mut host = cleaning(Kind::ManualClean);
    assert_eq!((host.state(), host.target(), host.calls_step().0.as_str()), ("cleaning", "manageable", "bios.reset"));
    host.wait(Condition::AgentCommand { id: "1".into() }, 0);
    assert_eq!((host.state(), host.target()), ("clean wait", "manageable"));
    host.tested(true);
    assert_eq!(host.target(), "manageable");
    host.done();
    assert_eq!(host.calls_step().0, "deploy.erase_devices_metadata");
    host.done();
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!((host.state(), host.target()), ("manageable", ""));

    let mut host = cleaning(Kind::ManualClean);
    host.refuse(ErrorKind::Failed, "disk is dead");
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!((host.state(), host.target()), ("clean failed", "manageable"));
}

#[test]
fn a_step_that_fails_puts_the_node_into_maintenance() {
    let mut host = cleaning(Kind::Clean);
    host.refuse(ErrorKind::Failed, "disk is dead");
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!((host.state(), host.target()), ("clean failed", "available"));
    assert!(host.node.maintenance);
    assert_eq!(host.node.fault.as_deref(), Some("clean failure"));
    assert_eq!(host.cause(), "step deploy.erase_devices_metadata: disk is dead (test.Error)");
    assert_eq!(host.node.maintenance_reason, host.node.last_error);
}

#[test]
fn a_failure_outside_of_the_steps_does_not() {
    for failing in [Function::PrepareCleaning, Function::GetCleanSteps, Function::TearDownCleaning] {
        let mut host = Host::with(Manageable);
        host.begin(Kind::Clean);
        while host.calls().0 != failing {
            match host.calls().0 {
                Function::GetCleanSteps => host.answer(Returned::Steps(steps())),
                _ => host.done(),
            }
        }
        host.refuse(ErrorKind::Failed, "no");
        if failing != Function::TearDownCleaning {
            host.all_done(&[Function::TearDownCleaning]);
        }
        assert_eq!((host.state(), host.node.maintenance, host.node.fault.as_deref()), ("clean failed", false, None), "{failing:?}");
    }
}

#[test]
fn a_cleaning_that_would_clean_nothing_fails() {
    for (kind, word) in [(Kind::Clean, "automated_clean"), (Kind::ManualClean, "at least one clean step")] {
        let mut host = Host::with(Manageable);
        host.begin(kind);
        if kind == Kind::Clean {
            host.all_done(&[Function::PrepareCleaning]);
        }
        host.answer(Returned::Steps(Vec::new()));
        if kind == Kind::Clean {
            host.all_done(&[Function::TearDownCleaning]);
        }
        assert_eq!(host.state(), "clean failed");
        assert!(host.last_error().contains(word), "{}", host.last_error());
    }
}

#[test]
fn a_step_that_nobody_offers_fails_the_manual_cleaning_by_name() {
    let mut host = Host::with(Manageable);
    host.try_begin(Kind::ManualClean, vec![asked("raid", "create", None)]).unwrap();
    host.answer(Returned::Steps(steps()));
    assert_eq!(host.calls().0, Function::PrepareCleaning, "the agent may offer it");
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(steps()));
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!((host.state(), host.target()), ("clean failed", "manageable"));
    assert!(host.last_error().contains("raid.create"), "{}", host.last_error());
}

#[test]
fn an_aborted_cleaning_is_no_reason_for_maintenance() {
    let mut host = cleaning(Kind::Clean);
    host.wait(Condition::AgentCommand { id: "1".into() }, 0);
    host.handle(Event::Abort).unwrap();
    assert_eq!((host.state(), host.target()), ("clean failed", "available"));
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!(host.cause(), "By request, the clean operation was aborted during step deploy.erase_devices_metadata");
    assert!(!host.node.maintenance);
}

#[test]
fn an_abort_does_not_hide_a_failure_that_is_being_cleaned_up() {
    let mut host = cleaning(Kind::Clean);
    host.refuse(ErrorKind::Failed, "disk is dead");
    host.wait(Condition::Power { on: false }, 0);
    assert!(matches!(host.handle(Event::Abort), Err(Impossible::NotNow(_))));
    host.tested(true);
    host.done();
    assert!(host.node.maintenance && host.last_error().contains("disk is dead"));
}

#[test]
fn a_failed_cleaning_can_be_managed() {
    assert_eq!(CleanFailed.after(wrought_domain::Event::Manage), Some(Manageable));
}
