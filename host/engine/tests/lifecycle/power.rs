use wrought_domain::state::ProvisionState::{Active, DeployFailed};
use wrought_domain::{ErrorKind, PowerState};
use wrought_engine::{Command, Event, Kind, PowerAction, PowerTarget};

use crate::host::Host;

fn requested(target: PowerTarget, known: PowerState) -> Host {
    let mut host = Host::with(Active);
    host.node.power_state = Some(known);
    host.begin(Kind::Power(target));
    host
}

#[test]
fn a_change_of_power_is_asked_for_and_then_seen() {
    for (target, action, end) in [
        (PowerTarget::On, PowerAction::On, PowerState::On),
        (PowerTarget::Off, PowerAction::Off, PowerState::Off),
        (PowerTarget::SoftOff, PowerAction::SoftOff, PowerState::Off),
    ] {
        let mut host = requested(target, PowerState::On);
        assert_eq!(host.in_flight, Some(Command::SetPower(action)));
        assert_eq!(host.node.target_power_state, Some(end));
        host.done();
        host.tested(false);
        host.pass(1);
        host.handle(Event::Due).unwrap();
        host.tested(true);
        assert_eq!((host.node.power_state, host.node.target_power_state, host.state()), (Some(end), None, "active"));
    }
}

#[test]
fn a_reboot_goes_off_and_on_whatever_was_known() {
    for known in [PowerState::On, PowerState::Off] {
        for (target, off) in [(PowerTarget::Reboot, PowerAction::Off), (PowerTarget::SoftReboot, PowerAction::SoftOff)] {
            let mut host = requested(target, known);
            assert_eq!(host.in_flight, Some(Command::SetPower(off)));
            host.done();
            host.tested(true);
            assert_eq!(host.in_flight, Some(Command::SetPower(PowerAction::On)));
            assert_eq!(host.node.target_power_state, Some(PowerState::On));
            host.done();
            host.tested(true);
            assert_eq!(host.node.power_state, Some(PowerState::On));
        }
    }
}

#[test]
fn a_machine_that_must_never_be_off_is_restarted_once() {
    let mut host = Host::with(Active);
    host.node.power_state = Some(PowerState::On);
    host.node.disable_power_off = true;
    host.begin(Kind::Power(PowerTarget::Reboot));
    assert_eq!(host.in_flight, Some(Command::SetPower(PowerAction::Restart)));
    host.done();
    host.tested(true);
    assert_eq!((host.operation.is_none(), host.node.power_state, host.state()), (true, Some(PowerState::On), "active"));

    host.begin(Kind::Power(PowerTarget::Reboot));
    host.killed_for(60);
    assert!(host.operation.is_none() && host.last_error().contains("does not tell whether"), "not restarted again");

    host.begin(Kind::Power(PowerTarget::Reboot));
    host.operation.as_mut().unwrap().held_back = true;
    host.killed_for(60);
    assert_eq!(host.in_flight, Some(Command::SetPower(PowerAction::Restart)), "the host was stopping and had not begun it");
    host.killed_for(60);
    assert!(host.operation.is_none() && host.last_error().contains("does not tell whether"), "it is begun by now");
}

#[test]
fn a_machine_that_does_not_change_is_an_error_without_a_change_of_state() {
    let mut host = requested(PowerTarget::Off, PowerState::On);
    host.done();
    host.pass(60);
    host.tested(false);
    assert_eq!((host.state(), host.node.power_state, host.node.maintenance), ("active", Some(PowerState::On), false));
    assert_eq!(host.cause(), "the machine did not reach power off in time");

    let mut host = requested(PowerTarget::SoftOff, PowerState::On);
    host.done();
    host.pass(60);
    host.tested(false);
    assert!(host.operation.is_some(), "a soft one has longer");

    let mut host = requested(PowerTarget::On, PowerState::Off);
    host.refuse(ErrorKind::PowerFailed, "no");
    assert_eq!((host.state(), host.cause()), ("active", "no (test.Error)"));
}

#[test]
fn a_request_is_made_again_after_a_restart_of_the_host() {
    let mut host = requested(PowerTarget::Off, PowerState::On);
    host.killed_for(60);
    assert_eq!(host.in_flight, Some(Command::SetPower(PowerAction::Off)));
}

#[test]
fn the_reason_of_a_failed_state_outlives_a_power_request() {
    let mut host = Host::with(DeployFailed);
    host.node.last_error = Some("no image".into());
    host.begin(Kind::Power(PowerTarget::On));
    host.done();
    host.tested(true);
    assert_eq!((host.state(), host.target(), host.last_error()), ("deploy failed", "active", "no image"));
    let mut host = Host::with(Active);
    host.node.last_error = Some("old".into());
    host.begin(Kind::Power(PowerTarget::On));
    assert_eq!(host.last_error(), "");
}

#[test]
fn what_is_known_of_the_agent_ends_with_the_power() {
    let mut host = requested(PowerTarget::Off, PowerState::On);
    host.node.driver_internal_info.insert("agent_url".into(), "http://192.0.2.7:9999".into());
    host.done();
    host.tested(true);
    assert!(!host.node.driver_internal_info.contains_key("agent_url"));
}
