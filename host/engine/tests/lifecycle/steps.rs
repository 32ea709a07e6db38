//! The steps that the host itself executes, holds, and what becomes of a plan under way.

use wrought_domain::state::ProvisionState::{Active, Available, Manageable};
use wrought_domain::step::{Argument, ArgumentType, Children};
use wrought_domain::wait::Condition;
use wrought_domain::{DriverError, ErrorKind, Function, PowerState, Step, StepCall};
use wrought_engine::{Cause, Command, Event, Kind, PowerAction, Returned};

use crate::host::{Host, asked, offered};

fn out_of_band(interface: &str, step: &str) -> Step {
    Step { requires_ramdisk: false, ..offered(interface, step, 0) }
}

/// A manual cleaning of these steps, without the agent, whose first step has begun.
fn cleaning(steps: &[(&str, &str)]) -> Host {
    let mut host = Host::with(Manageable);
    host.try_begin(Kind::ManualClean, steps.iter().map(|(interface, step)| asked(interface, step, None)).collect()).unwrap();
    host.answer(Returned::Steps(vec![out_of_band("bios", "reset"), out_of_band("vendor", "bless")]));
    host
}

#[test]
fn reserved_steps_are_kept_and_run_in_their_order() {
    let mut host = cleaning(&[("power", "reboot"), ("deploy", "hold"), ("vendor", "bless")]);
    assert_eq!(host.in_flight, Some(Command::SetPower(PowerAction::Off)));
    assert_eq!(host.node.clean_step["step"], "reboot");
    host.done();
    assert_eq!((host.state(), host.target()), ("clean wait", "manageable"));
    host.tested(true);
    assert_eq!((&host.in_flight, host.node.power_state), (&Some(Command::SetPower(PowerAction::On)), Some(PowerState::Off)));
    host.done();
    host.tested(true);
    assert_eq!((host.state(), host.target(), host.node.power_state), ("clean hold", "manageable", Some(PowerState::On)));
    host.pass(1_000_000);
    host.handle(Event::Due).unwrap();
    host.tested(false);
    assert_eq!(host.state(), "clean hold", "no time runs out");
    host.handle(Event::Unhold).unwrap();
    assert_eq!((host.state(), host.calls_step()), ("cleaning", ("vendor.bless".into(), Cause::First)));
    host.done();
    assert_eq!(host.state(), "manageable");
    assert_eq!(host.events.iter().filter(|event| event.kind == wrought_engine::EventKind::StepFinished).count(), 3);
}

#[test]
fn a_machine_that_is_never_off_is_restarted_in_one_go() {
    let mut host = Host::with(Manageable);
    host.node.disable_power_off = true;
    host.try_begin(Kind::ManualClean, vec![asked("power", "reboot", None)]).unwrap();
    host.answer(Returned::Steps(Vec::new()));
    assert_eq!(host.in_flight, Some(Command::SetPower(PowerAction::Restart)));
    host.killed_for(10);
    assert_eq!(host.state(), "clean failed");
    assert!(host.last_error().contains("does not tell whether it did"), "{}", host.last_error());
}

#[test]
fn a_machine_that_must_never_be_off_is_not_switched_off_by_a_step_either() {
    let mut host = Host::with(Manageable);
    host.node.disable_power_off = true;
    host.try_begin(Kind::ManualClean, vec![asked("power", "power_off", None)]).unwrap();
    host.answer(Returned::Steps(Vec::new()));
    assert_eq!((host.state(), host.in_flight.is_none()), ("clean failed", true));
    assert!(host.last_error().contains("disable_power_off"), "{}", host.last_error());
}

#[test]
fn a_hold_is_neither_for_children_nor_for_drivers() {
    let mut host = Host::with(Manageable);
    host.try_begin(Kind::ManualClean, vec![StepCall { children: Some(Children::All), ..asked("deploy", "hold", None) }]).unwrap();
    host.answer(Returned::Steps(Vec::new()));
    assert_eq!(host.state(), "clean failed");
    assert!(host.last_error().contains("deploy.hold is not allowed"), "{}", host.last_error());

    let mut host = Host::with(wrought_domain::ProvisionState::Enroll);
    host.drivers = vec![crate::host::pin("acme")];
    host.begin(Kind::Verify);
    host.answer(Returned::Power(PowerState::On));
    host.answer(Returned::Steps(vec![offered("vendor", "hold", 10)]));
    assert_eq!(host.state(), "manageable", "what a driver offers under a name of the host's own is not in the plan");
}

#[test]
fn a_change_of_power_that_was_cut_off_is_asked_for_again() {
    let mut host = cleaning(&[("power", "power_off")]);
    host.killed_for(10);
    assert_eq!(host.in_flight, Some(Command::SetPower(PowerAction::Off)));
    host.done();
    host.pass(61);
    host.tested(false);
    assert_eq!((host.state(), host.node.fault.as_deref()), ("clean failed", Some("clean failure")));
    assert!(host.last_error().contains("step power.power_off: the machine did not reach power off in time"), "{}", host.last_error());
}

#[test]
fn the_step_wait_waits_for_a_time_or_for_the_agent() {
    let mut host = Host::with(Manageable);
    let mut wait = asked("deploy", "wait", None);
    wait.args.insert("seconds".into(), 20.into());
    host.try_begin(Kind::ManualClean, vec![wait, asked("deploy", "wait", None)]).unwrap();
    host.answer(Returned::Steps(Vec::new()));
    assert_eq!(host.state(), "clean wait");
    host.pass(20);
    host.handle(Event::Due).unwrap();
    host.tested(true);
    assert!(matches!(
        &host.operation.as_ref().unwrap().waiting.as_ref().unwrap().condition,
        Condition::Heartbeat { since } if *since == host.now
    ));
    host.pass(1800);
    host.tested(false);
    assert_eq!(host.state(), "clean failed");
    assert!(host.last_error().contains("the agent was not heard in time"), "{}", host.last_error());
}

#[test]
fn a_deployment_and_a_service_hold_too_and_an_abort_ends_each_hold() {
    for aborts in [false, true] {
        let mut host = Host::with(Available);
        host.try_begin(Kind::Deploy, vec![asked("deploy", "hold", Some(50))]).unwrap();
        host.all_done(&[Function::Prepare]);
        host.answer(Returned::Steps(vec![offered("deploy", "write_image", 80)]));
        host.all_done(&[Function::ExecuteDeployStep]);
        assert_eq!((host.state(), host.target()), ("deploy hold", "active"));
        host.killed_for(100);
        if aborts {
            host.handle(Event::Abort).unwrap();
            assert_eq!(host.state(), "deploy failed");
            host.all_done(&[Function::CleanUp]);
        } else {
            host.handle(Event::Unhold).unwrap();
            assert_eq!(host.state(), "active");
        }

        let mut host = Host::with(Active);
        host.try_begin(Kind::Service, vec![asked("deploy", "hold", None)]).unwrap();
        host.answer(Returned::Steps(Vec::new()));
        assert_eq!((host.state(), host.target()), ("service hold", "active"));
        if aborts {
            host.handle(Event::Abort).unwrap();
            assert_eq!(
                (host.state(), host.last_error()),
                ("active", "By request, the service operation was aborted during step deploy.hold")
            );
        } else {
            host.handle(Event::Unhold).unwrap();
            assert_eq!(host.state(), "active");
        }

        let mut host = cleaning(&[("deploy", "hold")]);
        if aborts {
            host.handle(Event::Abort).unwrap();
            assert_eq!((host.state(), host.node.maintenance), ("clean failed", false));
        } else {
            host.handle(Event::Unhold).unwrap();
            assert_eq!(host.state(), "manageable");
        }
    }
}

#[test]
fn a_step_of_children_is_asked_for_until_all_have_ended() {
    let mut host = Host::with(Manageable);
    let call = StepCall { children: Some(Children::All), ..asked("raid", "apply", None) };
    host.try_begin(Kind::ManualClean, vec![call]).unwrap();
    host.answer(Returned::Steps(Vec::new()));
    let in_flight = |host: &Host| match &host.in_flight {
        Some(Command::Children(step)) => step.id(),
        other => panic!("{other:?}"),
    };
    assert_eq!(in_flight(&host), "raid.apply");
    host.killed_for(5);
    assert_eq!(in_flight(&host), "raid.apply", "after a restart, too");
    host.wait(Condition::Operation { node: host.node.uuid, id: wrought_domain::OperationId(uuid::Uuid::max()) }, 0);
    assert_eq!(host.state(), "clean wait");
    host.tested(true);
    assert_eq!((host.state(), in_flight(&host)), ("cleaning", "raid.apply".into()));
    let waited_for = &host.operation.as_ref().unwrap().others;
    assert_eq!(*waited_for, [wrought_domain::OperationId(uuid::Uuid::max())], "who has begun is not begun again");
    host.refuse(ErrorKind::Failed, "child 1: no disks");
    assert!(host.last_error().contains("step raid.apply: child 1: no disks"), "{}", host.last_error());
}

#[test]
fn an_agent_that_changed_has_an_automated_cleaning_begin_anew_and_others_repeat_the_step() {
    let mismatch = || Returned::Refused(DriverError::new(ErrorKind::Conflict, "agent.VersionMismatch", "other hardware managers"));
    let mut host = Host::with(Manageable);
    host.begin(Kind::Clean);
    host.all_done(&[Function::PrepareCleaning]);
    let steps = || vec![offered("deploy", "erase_devices_metadata", 99), offered("raid", "check", 10)];
    host.answer(Returned::Steps(steps()));
    host.seen_done();
    assert_eq!(host.calls_step().0, "raid.check");
    host.answer(mismatch());
    assert_eq!(host.calls().0, Function::GetCleanSteps);
    host.answer(Returned::Steps(steps()));
    assert_eq!(host.calls_step().0, "deploy.erase_devices_metadata");

    let mut host = Host::with(Active);
    host.try_begin(Kind::Service, vec![asked("firmware", "flash", None)]).unwrap();
    host.answer(Returned::Steps(Vec::new()));
    host.all_done(&[Function::PrepareService]);
    host.answer(Returned::Steps(vec![offered("firmware", "flash", 0)]));
    for _ in 0..3 {
        host.answer(mismatch());
        assert_eq!(host.calls_step(), ("firmware.flash".into(), Cause::Interrupted));
    }
    host.answer(mismatch());
    host.all_done(&[Function::TearDownService]);
    assert!(host.last_error().contains("other hardware managers"), "{}", host.last_error());
}

#[test]
fn a_retry_skips_what_was_executed_but_boots_the_agent_and_erases_again() {
    let mut host = Host::with(Available);
    host.skip = vec![asked("deploy", "deploy", None), asked("deploy", "write_image", None)];
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    let steps = || vec![offered("deploy", "deploy", 100), offered("deploy", "write_image", 80), offered("deploy", "boot_instance", 20)];
    host.answer(Returned::Steps(steps()));
    assert_eq!(host.calls_step().0, "deploy.deploy");
    host.done();
    host.answer(Returned::Steps(steps()));
    assert_eq!(host.calls_step().0, "deploy.boot_instance");

    let mut host = Host::with(Manageable);
    host.node.driver = "redfish".into();
    host.skip = vec![asked("deploy", "erase_devices_metadata", None), asked("raid", "check", None)];
    host.begin(Kind::Clean);
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(vec![
        offered("deploy", "erase_devices_metadata", 99),
        offered("raid", "check", 10),
        offered("bios", "x", 5),
    ]));
    assert_eq!(host.calls_step().0, "deploy.erase_devices_metadata", "what has to be seen is seen in the cleaning that makes it available");
    host.seen_done();
    assert_eq!(host.calls_step().0, "bios.x");
}

#[test]
fn a_retry_goes_the_whole_way_from_the_agent_to_the_instance_again() {
    let names = ["deploy", "write_image", "prepare_instance_boot", "tear_down_agent", "boot_instance"];
    for (image_type, left_out) in [("whole-disk", 1), ("partition", 0)] {
        let mut host = Host::with(Available);
        host.node.instance_info.insert("image_type".into(), image_type.into());
        host.skip = names.iter().map(|name| asked("deploy", name, None)).collect();
        host.begin(Kind::Deploy);
        host.all_done(&[Function::Prepare]);
        let steps = || (0_u32..).zip(names).map(|(place, name)| offered("deploy", name, 100 - 10 * place)).collect::<Vec<_>>();
        host.answer(Returned::Steps(steps()));
        host.done();
        host.answer(Returned::Steps(steps()));
        for name in &names[1 + left_out..] {
            assert_eq!(host.calls_step().0, format!("deploy.{name}"), "{image_type}");
            host.done();
        }
        assert_eq!(host.state(), "active");
    }
}

#[test]
fn a_retry_skips_only_what_was_executed_with_the_same_arguments_and_as_often() {
    let with = |value: u64| StepCall { args: [("value".to_owned(), value.into())].into_iter().collect(), ..asked("bios", "set", None) };
    let mut host = Host::with(Manageable);
    host.without_ramdisk = true;
    host.skip = vec![with(1), asked("raid", "check", None)];
    host.try_begin(Kind::ManualClean, vec![with(1), with(2), asked("raid", "check", None), with(1)]).unwrap();
    let takes_value = Argument { name: "value".into(), description: String::new(), required: true, kind: ArgumentType::Integer };
    let offers = |step: Step| Step { requires_ramdisk: false, ..step };
    let set = Step { arguments: vec![takes_value], ..offers(offered("bios", "set", 0)) };
    host.answer(Returned::Steps(vec![set, offers(offered("raid", "check", 0))]));
    let value = |host: &Host| host.operation.as_ref().unwrap().current().unwrap().args["value"].as_u64().unwrap();
    assert_eq!((host.calls_step().0.as_str(), value(&host)), ("bios.set", 2), "it was executed with another value");
    host.done();
    assert_eq!((host.calls_step().0.as_str(), value(&host)), ("bios.set", 1), "it was executed once, and is asked for twice");
    let executed = host.operation.as_ref().unwrap().executed(&host.settings);
    assert_eq!(executed, [with(1), with(2), asked("raid", "check", None)]);
}

#[test]
fn each_heartbeat_gives_the_agent_its_whole_time_as_far_as_a_wait_may_last_at_all() {
    let mut host = Host::with(Manageable);
    host.settings.max_step_wait = 3600;
    host.begin(Kind::Clean);
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(vec![offered("deploy", "erase_devices_metadata", 99)]));
    host.wait(Condition::AgentCommand { id: "1".into() }, 0);
    host.tested(false);
    for _ in 0..2 {
        host.pass(1700);
        host.handle(Event::Heartbeat).unwrap();
        host.tested(false);
    }
    assert_eq!(host.state(), "clean wait", "3,400 s of an erasure that is heard of");
    host.pass(200);
    host.tested(false);
    assert_eq!(host.calls_step().1, Cause::TimedOut, "3,600 s are the most");
}
