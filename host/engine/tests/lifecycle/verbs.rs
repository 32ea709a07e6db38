//! The verbs beside deploy, clean and tear-down: what they call, where they end, well and badly.

use wrought_domain::state::ProvisionState::{self, Active, AdoptFailed, Available, Manageable, Rescue, ServiceFailed};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function, PowerState};
use wrought_engine::{Cause, Command, Event, EventKind, Impossible, Kind, Returned};

use crate::host::{Host, asked, offered};

/// A service step that needs no agent.
fn out_of_band() -> wrought_domain::Step {
    wrought_domain::Step { requires_ramdisk: false, ..offered("bios", "set", 0) }
}

fn serviced(steps: Vec<wrought_domain::Step>, wish: (&str, &str)) -> Host {
    let mut host = Host::with(Active);
    host.try_begin(Kind::Service, vec![asked(wish.0, wish.1, None)]).unwrap();
    assert_eq!((host.state(), host.target(), host.calls().0), ("servicing", "active", Function::GetServiceSteps));
    host.answer(Returned::Steps(steps));
    host
}

/// A service whose in-band step is executed.
fn in_service() -> Host {
    let mut host = serviced(vec![out_of_band()], ("firmware", "flash"));
    host.all_done(&[Function::PrepareService]);
    host.answer(Returned::Steps(vec![out_of_band(), offered("firmware", "flash", 0)]));
    assert_eq!(host.node.service_step["step"], "flash");
    host
}

#[test]
fn a_service_without_agent_leaves_the_instance_running() {
    let mut host = serviced(vec![out_of_band()], ("bios", "set"));
    host.all_done(&[Function::ExecuteServiceStep]);
    assert_eq!((host.state(), host.target(), host.operation.is_none()), ("active", "", true));
}

#[test]
fn a_service_that_needs_the_agent_boots_it_and_goes_back() {
    let mut host = in_service();
    host.wait(Condition::AgentCommand { id: "1".into() }, 0);
    assert_eq!((host.state(), host.target()), ("service wait", "active"));
    host.tested(true);
    host.all_done(&[Function::ExecuteServiceStep, Function::TearDownService]);
    assert_eq!((host.state(), host.last_error()), ("active", ""));
}

#[test]
fn a_service_step_that_fails_puts_the_node_into_maintenance() {
    let mut host = in_service();
    host.refuse(ErrorKind::Failed, "flash is worn out");
    host.all_done(&[Function::TearDownService]);
    assert_eq!((host.state(), host.target()), ("service failed", "active"));
    assert_eq!((host.node.maintenance, host.node.fault.as_deref()), (true, Some("service failure")));
    assert!(host.last_error().contains("firmware.flash: flash is worn out"), "{}", host.last_error());
}

#[test]
fn a_service_before_its_first_step_fails_without_maintenance() {
    let mut host = serviced(Vec::new(), ("firmware", "flash"));
    host.refuse(ErrorKind::PowerFailed, "still off");
    host.all_done(&[Function::TearDownService]);
    assert_eq!((host.state(), host.node.maintenance), ("service failed", false));
}

#[test]
fn an_aborted_service_goes_back_to_its_instance() {
    let mut host = in_service();
    host.wait(Condition::AgentCommand { id: "1".into() }, 0);
    host.handle(Event::Abort).unwrap();
    assert_eq!(host.state(), "service failed");
    // Its way back waits in the failed state: the machine is powered off, say. The test of the wait that was ended comes to nothing.
    host.testing = 0;
    host.wait(Condition::Power { on: false }, 0);
    assert_eq!(host.state(), "service failed");
    host.tested(true);
    host.done();
    assert_eq!((host.state(), host.target(), host.node.maintenance), ("active", "", false));
    assert_eq!(host.last_error(), "By request, the service operation was aborted during step firmware.flash");
}

#[test]
fn a_failed_service_can_be_given_up() {
    let mut host = Host::with(ServiceFailed);
    host.begin(Kind::AbortService);
    assert_eq!((host.state(), host.calls().0), ("service failed", Function::TearDownService));
    host.done();
    assert_eq!((host.state(), host.last_error()), ("active", ""));

    let mut host = Host::with(ServiceFailed);
    host.begin(Kind::AbortService);
    host.refuse(ErrorKind::PowerFailed, "still on");
    assert_eq!((host.state(), host.target()), ("service failed", "active"));
}

#[test]
fn a_service_that_is_given_up_twice_goes_back_once() {
    let mut host = Host::with(ServiceFailed);
    host.begin(Kind::AbortService);
    host.wait(Condition::Power { on: false }, 0);
    assert!(matches!(host.handle(Event::Abort), Err(Impossible::NotNow(_))), "it is on its way back, and not back");
    assert_eq!(host.state(), "service failed");
    host.tested(true);
    host.done();
    assert_eq!(host.state(), "active");
}

#[test]
fn an_inspection_hands_what_was_found_to_the_host() {
    let mut host = Host::with(Manageable);
    host.begin(Kind::Inspect);
    assert_eq!((host.state(), host.target(), host.calls().0), ("inspecting", "manageable", Function::InspectHardware));
    assert_eq!(host.node.inspection_started_at, Some(host.now));
    host.wait(Condition::InspectionData { since: host.now }, 0);
    assert_eq!(host.state(), "inspect wait");
    host.tested(true);
    host.done();
    assert_eq!(host.in_flight, Some(Command::ApplyInspection));
    host.killed_for(60);
    assert_eq!(host.in_flight, Some(Command::ApplyInspection), "it is made use of after a restart, too");
    host.done();
    assert_eq!((host.state(), host.node.inspection_started_at, host.node.inspection_finished_at), ("manageable", None, Some(host.now)));
}

#[test]
fn an_inspection_is_bounded_from_its_begin_and_heartbeats_do_not_help() {
    let mut host = Host::with(Manageable);
    host.begin(Kind::Inspect);
    host.pass(1000);
    host.wait(Condition::InspectionData { since: host.now }, 0);
    host.pass(700);
    host.handle(Event::Heartbeat).unwrap();
    host.tested(false);
    assert_eq!(host.state(), "inspect wait");
    host.pass(100);
    host.tested(false);
    assert_eq!(host.calls(), (Function::InspectHardware, Cause::TimedOut));
    host.refuse(ErrorKind::Timeout, "nobody posted anything");
    host.all_done(&[Function::AbortInspection]);
    assert_eq!((host.state(), host.target(), host.node.inspection_started_at), ("inspect failed", "manageable", None));
}

#[test]
fn what_cannot_be_made_use_of_fails_the_inspection_and_so_does_an_abort() {
    let mut host = Host::with(Manageable);
    host.begin(Kind::Inspect);
    host.done();
    host.refuse(ErrorKind::InvalidParameter, "rule 3: no such field");
    assert_eq!(host.state(), "inspect failed");

    let mut host = Host::with(Manageable);
    host.begin(Kind::Inspect);
    host.wait(Condition::InspectionData { since: host.now }, 0);
    host.handle(Event::Abort).unwrap();
    assert_eq!((host.state(), host.calls().0), ("inspect failed", Function::AbortInspection));
    host.done();
    assert_eq!((host.cause(), host.node.maintenance), ("By request, the inspect operation was aborted", false));
}

#[test]
fn an_adoption_prepares_and_takes_over() {
    let mut host = Host::with(Manageable);
    host.begin(Kind::Adopt);
    assert_eq!((host.state(), host.target()), ("adopting", "active"));
    host.all_done(&[Function::Prepare, Function::TakeOver]);
    assert_eq!(host.state(), "active");

    let mut host = Host::with(AdoptFailed);
    host.node.power_state = Some(PowerState::On);
    host.begin(Kind::Adopt);
    host.all_done(&[Function::Prepare]);
    host.refuse(ErrorKind::Failed, "no instance there");
    assert_eq!((host.state(), host.target(), host.node.power_state), ("adopt failed", "active", None));
}

/// A rescue that waits for its agent.
fn in_rescue() -> Host {
    let mut host = Host::with(Active);
    host.node.instance_info.insert("rescue_password".into(), "s3cret".into());
    host.begin(Kind::Rescue);
    assert_eq!((host.state(), host.target(), host.calls().0), ("rescuing", "rescue", Function::Rescue));
    host.wait(Condition::AgentBooted, 0);
    assert_eq!(host.state(), "rescue wait");
    host
}

#[test]
fn a_rescued_machine_keeps_no_password_and_goes_back() {
    let mut host = in_rescue();
    host.tested(true);
    host.done();
    assert_eq!((host.state(), host.target()), ("rescue", ""));
    assert!(!host.node.instance_info.contains_key("rescue_password"));
    host.begin(Kind::Unrescue);
    assert_eq!((host.state(), host.target()), ("unrescuing", "active"));
    host.all_done(&[Function::Unrescue]);
    assert_eq!(host.state(), "active");
}

#[test]
fn a_rescue_that_fails_is_cleaned_up_and_heartbeats_do_not_put_it_off() {
    let mut host = in_rescue();
    host.pass(1799);
    host.handle(Event::Heartbeat).unwrap();
    host.tested(false);
    host.pass(1);
    host.tested(false);
    assert_eq!(host.calls().1, Cause::TimedOut);
    host.refuse(ErrorKind::Timeout, "no agent called");
    host.all_done(&[Function::CleanUpRescue]);
    assert_eq!((host.state(), host.target(), host.node.maintenance), ("rescue failed", "rescue", false));
    assert!(!host.node.instance_info.contains_key("rescue_password"));
}

#[test]
fn an_aborted_rescue_whose_clean_up_fails_needs_a_look() {
    for fails in [false, true] {
        let mut host = in_rescue();
        host.handle(Event::Abort).unwrap();
        assert_eq!((host.state(), host.calls().0), ("rescue failed", Function::CleanUpRescue));
        if fails {
            host.refuse(ErrorKind::PowerFailed, "still on")
        } else {
            host.done()
        }
        assert_eq!((host.state(), host.node.maintenance), ("rescue failed", fails));
        assert_eq!(host.node.fault.as_deref(), fails.then_some("rescue abort failure"));
    }
}

#[test]
fn an_unrescue_that_fails_says_so() {
    let mut host = Host::with(Rescue);
    host.begin(Kind::Unrescue);
    host.refuse(ErrorKind::PowerFailed, "still off");
    assert_eq!((host.state(), host.target()), ("unrescue failed", "active"));
}

#[test]
fn a_rescued_machine_is_torn_down_without_its_rescue() {
    let mut host = Host::with(Rescue);
    host.begin(Kind::TearDown);
    host.all_done(&[Function::CleanUpRescue, Function::CleanUp, Function::TearDown, Function::PrepareCleaning]);
    assert_eq!(host.state(), "cleaning");

    let mut host = in_rescue();
    host.handle(Event::Delete { principal: wrought_domain::Principal::noauth() }).unwrap();
    assert_eq!((host.state(), host.target()), ("deleting", "available"));
    host.all_done(&[Function::CleanUpRescue, Function::CleanUp, Function::TearDown, Function::PrepareCleaning]);
}

#[test]
fn a_verification_executes_the_verify_steps_by_priority() {
    let mut host = Host::with(ProvisionState::Enroll);
    host.drivers = vec![crate::host::pin("acme")];
    host.begin(Kind::Verify);
    host.answer(Returned::Power(PowerState::On));
    assert_eq!(host.calls().0, Function::GetVerifySteps);
    host.answer(Returned::Steps(vec![offered("vendor", "license", 10), offered("vendor", "off", 0), offered("power", "supply", 10)]));
    assert_eq!(host.calls_step().0, "power.supply");
    host.done();
    assert_eq!(host.calls_step().0, "vendor.license");
    host.refuse(ErrorKind::Failed, "expired");
    assert_eq!((host.state(), host.cause()), ("enroll", "step vendor.license: expired (test.Error)"));
}

#[test]
fn what_leaves_the_node_s_state_alone_leaves_it_alone() {
    for (kind, function) in [(Kind::VendorPassthru, Function::VendorCall), (Kind::ChildStep, Function::GetCleanSteps)] {
        let mut host = Host::with(ServiceFailed);
        host.node.last_error = Some("it broke. Next: `service` to service again.".into());
        host.try_begin(kind, vec![asked("bios", "set", None)]).unwrap();
        assert_eq!(host.calls().0, function);
        if kind == Kind::ChildStep {
            host.answer(Returned::Steps(vec![out_of_band()]));
        }
        host.wait(Condition::Power { on: true }, 0);
        assert_eq!(host.state(), "service failed", "{kind:?} waits, and the node's state stays");
        assert!(matches!(host.handle(Event::Abort), Err(Impossible::NotNow(_))), "there is nothing of the node's to abort");
        host.tested(true);
        host.done();
        assert_eq!((host.state(), host.node.last_error.is_some()), ("service failed", true));
    }
    let mut host = Host::with(Active);
    host.try_begin(Kind::ChildStep, vec![asked("bios", "set", None)]).unwrap();
    host.answer(Returned::Steps(vec![out_of_band()]));
    host.refuse(ErrorKind::Failed, "no");
    assert_eq!((host.state(), host.node.maintenance), ("active", false), "it is the parent's cleaning that needs a look");
}

#[test]
fn all_that_happens_is_told_with_its_step_and_its_reason() {
    let mut host = in_service();
    host.pass(7);
    host.wait(Condition::AgentCommand { id: "1".into() }, 0);
    host.pass(5);
    host.tested(true);
    host.done();
    host.refuse(ErrorKind::PowerFailed, "still on");
    let told: Vec<EventKind> = host.events.iter().map(|event| event.kind).collect();
    use EventKind as E;
    assert_eq!(
        told,
        [E::Transition, E::Started, E::StepStarted, E::Transition, E::Waiting, E::Transition, E::StepFinished, E::Transition, E::Failed]
    );
    let finished = host.events.iter().find(|event| event.kind == E::StepFinished).unwrap();
    assert_eq!((finished.step.as_deref(), finished.duration_ms), (Some("firmware.flash"), Some(12_000)));
    let failed = host.events.last().unwrap();
    assert_eq!((failed.reason.as_deref(), failed.to), (host.node.last_error.as_deref(), Some(ServiceFailed)));
    assert_eq!(failed.verb, "service");
    let waiting = host.events.iter().find(|event| event.kind == E::Waiting).unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("the agent to end what it does"));
    assert!(matches!(host.try_begin(Kind::Deploy, Vec::new()), Err(Impossible::Transition(_))));
    assert_eq!(Available.after(wrought_domain::Event::Deploy), Some(ProvisionState::Deploying));
}
