//! The queue: what waits for its turn has its state and its reservation, and no time runs out for it.

use wrought_domain::state::ProvisionState::{Active, Available, Manageable};
use wrought_domain::wait::Condition;
use wrought_domain::{Function, Principal};
use wrought_engine::{Cause, Event, EventKind, Impossible, Kind};

use crate::host::Host;

fn queued(kind: Kind) -> Host {
    let mut host = Host::with(match kind {
        Kind::Deploy => Available,
        Kind::TearDown => Active,
        _ => Manageable,
    });
    host.queued = true;
    host.begin(kind);
    host
}

fn cancel(host: &mut Host) -> Result<(), Impossible> {
    host.handle(Event::Cancel { principal: Principal { user: "ada".into(), ..Principal::noauth() } })
}

#[test]
fn a_queued_operation_has_its_state_and_target_and_nobody_is_called() {
    for (kind, state, target, first) in [
        (Kind::Deploy, "deploying", "active", Function::Prepare),
        (Kind::Clean, "cleaning", "available", Function::PrepareCleaning),
        (Kind::TearDown, "deleting", "available", Function::CleanUp),
    ] {
        let mut host = queued(kind);
        assert_eq!((host.state(), host.target(), host.in_flight.is_none()), (state, target, true));
        assert!(host.operation.as_ref().unwrap().is_queued());
        host.pass(100_000_000);
        host.handle(Event::Due).unwrap();
        host.tested(false);
        host.killed_for(100_000_000);
        host.tested(false);
        assert_eq!(host.state(), state, "no time runs out");
        host.handle(Event::Due).unwrap();
        host.tested(true);
        assert_eq!((host.state(), host.calls()), (state, (first, Cause::First)));
        assert_eq!(host.events.iter().filter(|event| event.kind == EventKind::Started).count(), 1);
    }
}

#[test]
fn a_queued_operation_can_be_cancelled_and_no_other_can() {
    for (kind, state) in [(Kind::Deploy, "deploy failed"), (Kind::Clean, "clean failed"), (Kind::TearDown, "error")] {
        let mut host = queued(kind);
        cancel(&mut host).unwrap();
        assert_eq!((host.state(), host.node.maintenance, host.operation.is_none()), (state, false, true));
        assert!(host.cause().starts_with("ada cancelled the"), "{}", host.last_error());
        assert!(host.node.instance_uuid.is_some(), "nothing was taken away");
    }
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    assert!(matches!(cancel(&mut host), Err(Impossible::NotNow(_))));
    host.wait(Condition::AgentBooted, 0);
    assert!(matches!(cancel(&mut host), Err(Impossible::NotNow(_))));
}

#[test]
fn a_queued_operation_rests_in_maintenance() {
    let mut host = queued(Kind::Deploy);
    host.node.maintenance = true;
    host.handle(Event::Due).unwrap();
    host.tested(true);
    assert!(host.operation.as_ref().unwrap().is_queued());
    host.node.maintenance = false;
    host.handle(Event::MaintenanceEnded).unwrap();
    host.tested(true);
    assert_eq!(host.calls().0, Function::Prepare);
}

#[test]
fn the_cleaning_after_a_tear_down_does_not_queue_again() {
    let mut host = queued(Kind::TearDown);
    host.tested(true);
    host.all_done(&[Function::CleanUp, Function::TearDown]);
    assert_eq!(host.calls().0, Function::PrepareCleaning);
}
