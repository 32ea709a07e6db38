//! Maintenance, and cleaning without the agent: nothing goes on that should not, and no time runs out.

use wrought_domain::Function;
use wrought_domain::state::ProvisionState::{Available, Manageable};
use wrought_domain::wait::Condition;
use wrought_engine::{Cause, Event, Kind, Returned};

use crate::host::{Host, asked, offered};

/// A deployment whose core step waits for the agent.
fn waiting() -> Host {
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(vec![offered("deploy", "deploy", 100)]));
    host.wait(Condition::AgentBooted, 600);
    host
}

#[test]
fn a_wait_rests_in_maintenance_and_has_its_whole_time_afterwards() {
    let mut host = waiting();
    host.node.maintenance = true;
    host.handle(Event::Heartbeat).unwrap();
    host.tested(true);
    assert_eq!(host.state(), "wait call-back", "a heartbeat does not advance it");
    host.pass(3600);
    host.handle(Event::Due).unwrap();
    assert_eq!((host.state(), host.testing), ("wait call-back", 0), "no time runs out");

    host.node.maintenance = false;
    host.handle(Event::MaintenanceEnded).unwrap();
    host.tested(false);
    assert_eq!(host.state(), "wait call-back");
    host.pass(600);
    host.tested(false);
    assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::TimedOut));
}

#[test]
fn the_end_of_a_maintenance_means_nothing_to_a_step_that_is_executing() {
    let mut host = waiting();
    host.tested(true);
    host.handle(Event::MaintenanceEnded).unwrap_err();
}

#[test]
fn a_cleaning_without_the_agent_leaves_the_machine_as_it_is() {
    let mut host = Host::with(Manageable);
    host.without_ramdisk = true;
    host.try_begin(Kind::ManualClean, vec![asked("bios", "reset", None)]).unwrap();
    let mut step = offered("bios", "reset", 0);
    step.requires_ramdisk = false;
    host.answer(Returned::Steps(vec![step]));
    host.all_done(&[Function::ExecuteCleanStep]);
    assert_eq!(host.state(), "manageable");
}

#[test]
fn a_step_that_only_the_agent_could_offer_fails_a_deployment_without_the_core_step() {
    let mut host = Host::with(Available);
    host.try_begin(Kind::Deploy, vec![asked("deploy", "deploy", Some(0)), asked("raid", "apply", Some(50))]).unwrap();
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(vec![offered("deploy", "deploy", 100), offered("deploy", "write_image", 80)]));
    assert_eq!(host.state(), "deploy failed");
    assert!(host.last_error().contains("raid.apply"), "{}", host.last_error());
}
