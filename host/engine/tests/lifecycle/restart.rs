//! Stops of the host: the call in flight goes on as the same call, and no wait loses time.

use wrought_domain::state::ProvisionState::{Active, Available, Enroll, Manageable};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function, PowerState, Principal};
use wrought_engine::{Cause, Command, Event, Kind, Operation, Returned};

use crate::host::{Host, asked, offered};

const HOUR: i64 = 3600;

/// A deployment whose core step waits for the agent, for ten minutes at most.
fn waiting() -> Host {
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(vec![offered("deploy", "deploy", 100)]));
    host.wait(Condition::AgentBooted, 600);
    host
}

/// Stops the host, and sees the same call again.
fn goes_on(host: &mut Host) {
    let (call, operation) = (host.in_flight.clone(), host.operation.clone());
    assert!(matches!(call, Some(Command::Call { .. })), "{call:?}");
    let state = host.node.provision_state;
    for down in [0, HOUR] {
        host.killed_for(down);
        assert_eq!((&host.in_flight, &host.operation, host.node.provision_state), (&call, &operation, state));
    }
}

#[test]
fn every_call_that_was_in_flight_is_issued_again_as_it_was() {
    let steps = || vec![offered("deploy", "deploy", 100), offered("deploy", "erase_devices", 10)];
    let answer = |host: &mut Host, function: Function| match function {
        Function::GetDeploySteps | Function::GetCleanSteps => host.answer(Returned::Steps(steps())),
        _ => host.done(),
    };
    for (from, kind, mut functions) in [
        (Available, Kind::Deploy, vec![Function::Prepare, Function::GetDeploySteps, Function::ExecuteDeployStep]),
        (Active, Kind::TearDown, vec![Function::CleanUp, Function::TearDown]),
        (
            Manageable,
            Kind::Clean,
            vec![Function::PrepareCleaning, Function::GetCleanSteps, Function::ExecuteCleanStep, Function::TearDownCleaning],
        ),
    ] {
        let mut host = Host::with(from);
        host.begin(kind);
        while host.operation.is_some() {
            goes_on(&mut host);
            let function = host.calls().0;
            functions.retain(|wanted| *wanted != function);
            answer(&mut host, function);
        }
        assert!(functions.is_empty(), "{functions:?} not seen");
        assert!(host.node.provision_state.is_stable(), "{}", host.last_error());
    }
}

#[test]
fn a_call_is_issued_again_with_its_cause() {
    let mut host = waiting();
    host.tested(true);
    goes_on(&mut host);
    assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::Met));
    host.wait(Condition::AgentBooted, 600);
    host.pass(600);
    host.tested(false);
    goes_on(&mut host);
    assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::TimedOut));
    host.refuse(ErrorKind::AgentUnreachable, "gone");
    host.tested(true);
    goes_on(&mut host);
    assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::Interrupted), "the repeated step, not the restart");
    host.refuse(ErrorKind::Failed, "no");
    goes_on(&mut host);
    assert_eq!(host.calls(), (Function::CleanUp, Cause::First));
}

#[test]
fn calls_are_numbered_over_the_whole_operation() {
    let mut host = waiting();
    assert_eq!(host.turn(), 3);
    host.tested(true);
    assert_eq!(host.turn(), 4, "called again is another call");
    host.wait(Condition::AgentBooted, 600);
    host.handle(Event::Delete { principal: Principal::noauth() }).unwrap();
    let operation = host.operation.clone().unwrap();
    assert_eq!((operation.turn, operation.calls), (5, 1), "the budget of calls begins anew, the number does not");
    host.all_done(&[Function::CleanUp, Function::TearDown]);
    assert_eq!((host.turn(), host.operation.as_ref().unwrap().calls), (7, 1));

    let mut stored = serde_json::to_value(&operation).unwrap();
    stored.as_object_mut().unwrap().remove("turn");
    assert_eq!(serde_json::from_value::<Operation>(stored).unwrap().turn, 0, "an operation that was stored without");
}

#[test]
fn time_that_the_host_was_down_counts_against_no_deadline() {
    let mut host = waiting();
    host.pass(500);
    host.tested(false);
    host.killed_for(24 * HOUR);
    assert_eq!((host.state(), host.testing), ("wait call-back", 1), "tested at once");
    host.tested(false);
    assert_eq!(host.state(), "wait call-back");
    host.pass(99);
    host.handle(Event::Due).unwrap();
    host.tested(false);
    assert_eq!(host.state(), "wait call-back", "what was left of the time is left");
    host.pass(1);
    host.handle(Event::Due).unwrap();
    host.tested(false);
    assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::TimedOut), "and no more than that");
}

#[test]
fn a_wait_whose_time_ran_out_is_tested_once_before_it_times_out() {
    for (met, cause) in [(true, Cause::Met), (false, Cause::TimedOut)] {
        let mut host = waiting();
        host.pass(601);
        host.killed_for(HOUR);
        assert_eq!((host.state(), host.testing), ("wait call-back", 1));
        host.tested(met);
        assert_eq!(host.calls_step().1, cause);
    }
}

#[test]
fn a_clock_that_was_set_back_takes_no_time_away() {
    let mut host = waiting();
    let deadline = host.operation.as_ref().unwrap().waiting.as_ref().unwrap().deadline;
    host.handle(Event::Interrupted { down: jiff::SignedDuration::from_secs(-HOUR) }).unwrap();
    assert_eq!(host.operation.as_ref().unwrap().waiting.as_ref().unwrap().deadline, deadline);
}

#[test]
fn a_wait_that_rests_goes_on_resting_with_the_time_that_was_left() {
    let mut host = waiting();
    host.tested(false);
    host.node.maintenance = true;
    let deadline = host.operation.as_ref().unwrap().waiting.as_ref().unwrap().deadline;
    host.killed_for(HOUR);
    assert_eq!((host.state(), host.testing), ("wait call-back", 0));
    assert_eq!(host.operation.as_ref().unwrap().waiting.as_ref().unwrap().deadline.duration_since(deadline).as_secs(), HOUR);
}

#[test]
fn what_the_host_itself_was_doing_is_done_again() {
    let mut host = Host::with(Enroll);
    host.begin(Kind::Verify);
    host.killed_for(HOUR);
    assert_eq!(host.in_flight, Some(Command::ReadPower));
    host.answer(Returned::Power(PowerState::Off));
    assert_eq!(host.state(), "manageable");
}

#[test]
fn a_step_that_a_stopping_host_held_back_is_begun_by_the_next_one() {
    let mut host = Host::with(Manageable);
    host.try_begin(Kind::ManualClean, vec![asked("bios", "reset", None)]).unwrap();
    host.operation.as_mut().unwrap().held_back = true;
    host.killed_for(HOUR);
    assert_eq!((host.calls(), host.turn()), ((Function::GetCleanSteps, Cause::First), 1));
    assert!(!host.operation.as_ref().unwrap().held_back);
}
