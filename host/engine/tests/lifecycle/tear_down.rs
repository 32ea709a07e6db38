use wrought_domain::state::ProvisionState::{Active, Error};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function};
use wrought_engine::{Kind, Returned, Wipe};

use crate::host::{Host, offered};

#[test]
fn a_tear_down_forgets_the_instance_and_cleans_in_the_same_operation() {
    let mut host = Host::with(Active);
    host.begin(Kind::TearDown);
    assert_eq!((host.state(), host.target()), ("deleting", "available"));
    host.all_done(&[Function::CleanUp]);
    host.wait(Condition::Power { on: false }, 0);
    assert_eq!(host.state(), "deleting", "this state has no wait of its own");
    host.tested(true);
    host.done();
    assert_eq!((host.state(), host.target()), ("cleaning", "available"));
    assert_eq!((host.node.instance_info.len(), host.node.instance_uuid), (0, None));
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(vec![offered("deploy", "erase_devices", 10)]));
    host.all_done(&[Function::ExecuteCleanStep, Function::TearDownCleaning]);
    assert_eq!((host.state(), host.target()), ("available", ""));
    assert_eq!(host.wiped, [Wipe::All, Wipe::Operation], "the tenant's driver state goes, too");
}

#[test]
fn without_automated_cleaning_a_tear_down_ends_available() {
    let mut host = Host::with(Active);
    host.node.automated_clean = Some(false);
    host.begin(Kind::TearDown);
    host.all_done(&[Function::CleanUp, Function::TearDown]);
    assert_eq!((host.state(), host.wiped.as_slice()), ("available", [Wipe::All].as_slice()));
}

#[test]
fn a_tear_down_that_fails_ends_in_error_with_the_instance_gone_and_can_be_repeated() {
    for failing in [Function::CleanUp, Function::TearDown] {
        let mut host = Host::with(Active);
        host.begin(Kind::TearDown);
        while host.calls().0 != failing {
            host.done();
        }
        host.refuse(ErrorKind::PowerFailed, "still on");
        assert_eq!((host.state(), host.target()), ("error", ""));
        assert_eq!((host.node.instance_info.len(), host.node.instance_uuid), (0, None));
        assert_eq!(host.wiped, [Wipe::Operation], "what the driver knows of the node is needed for the next try");
        assert!(host.last_error().contains("still on"));
        host.begin(Kind::TearDown);
        assert_eq!((host.state(), host.last_error()), ("deleting", ""));
    }
    assert!(Host::with(Error).try_begin(Kind::TearDown, Vec::new()).is_ok());
}

#[test]
fn a_cleaning_that_fails_after_a_tear_down_is_a_failed_cleaning() {
    let mut host = Host::with(Active);
    host.begin(Kind::TearDown);
    host.all_done(&[Function::CleanUp, Function::TearDown]);
    host.refuse(ErrorKind::Failed, "no cleaning network");
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!((host.state(), host.target()), ("clean failed", "available"));
    assert_eq!(host.wiped, [Wipe::All, Wipe::Operation]);
    assert!(!host.node.maintenance, "no step was executing");
}
