use wrought_domain::state::ProvisionState::{Active, Available, DeployFailed, Enroll};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function, PowerState, Principal};
use wrought_engine::{Cause, Event, Impossible, Kind, Returned, Wipe};

use crate::host::{Host, asked, offered};

/// A deployment whose first step is being executed.
fn deploying() -> Host {
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(own_steps()));
    host
}

fn own_steps() -> Vec<wrought_domain::Step> {
    vec![offered("deploy", "boot_instance", 20), offered("deploy", "deploy", 100), offered("deploy", "write_image", 80)]
}

/// The core step is done and the agent's steps are listed, too.
fn with_agent(host: &mut Host, more: wrought_domain::Step) {
    host.done();
    assert_eq!(host.calls(), (Function::GetDeploySteps, Cause::First));
    host.answer(Returned::Steps([own_steps(), vec![more]].concat()));
}

#[test]
fn managing_an_enrolled_node_reads_its_power() {
    let mut host = Host::with(Enroll);
    host.begin(Kind::Verify);
    assert_eq!((host.state(), host.target()), ("verifying", "manageable"));
    host.answer(Returned::Power(PowerState::Off));
    assert_eq!((host.state(), host.target(), host.node.power_state), ("manageable", "", Some(PowerState::Off)));
}

#[test]
fn managing_any_other_node_is_a_change_of_state_and_no_more() {
    for from in [Available, wrought_domain::ProvisionState::CleanFailed] {
        let mut host = Host::with(from);
        host.begin(Kind::Verify);
        assert_eq!((host.state(), host.target(), host.operation.is_none()), ("manageable", "", true));
    }
}

#[test]
fn a_controller_that_does_not_answer_leaves_the_node_enrolled_with_the_reason() {
    let mut host = Host::with(Enroll);
    host.begin(Kind::Verify);
    host.refuse(ErrorKind::Timeout, "no answer in 10 s");
    assert_eq!((host.state(), host.cause()), ("enroll", "no answer in 10 s (test.Error)"));
}

#[test]
fn a_deployment_waits_without_anybody_working_and_ends_active() {
    let mut host = deploying();
    assert_eq!((host.state(), host.target()), ("deploying", "active"));
    assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::First));
    host.wait(Condition::AgentBooted, 0);
    assert_eq!((host.state(), host.target()), ("wait call-back", "active"));
    host.tested(false);
    host.pass(90);
    host.handle(Event::Heartbeat).unwrap();
    host.tested(true);
    assert_eq!((host.state(), host.calls_step()), ("deploying", ("deploy.deploy".into(), Cause::Met)));

    with_agent(&mut host, offered("raid", "apply", 90));
    assert_eq!(host.calls_step().0, "raid.apply", "a step of the agent comes after the core step by its priority");
    host.done();
    assert_eq!(host.calls_step().0, "deploy.write_image");
    assert_eq!(host.node.deploy_step["step"], "write_image");
    assert_eq!(host.node.driver_internal_info["deploy_step_index"], 2);
    host.wait(Condition::AgentCommand { id: "1".into() }, 600);
    host.tested(true);
    host.done();
    host.done();
    assert_eq!((host.state(), host.target(), host.last_error()), ("active", "", ""));
    assert_eq!(host.wiped, [Wipe::Operation]);
    assert_eq!(host.history.last().unwrap().event, "deployment finished");
}

#[test]
fn a_step_that_is_in_the_plan_already_is_not_executed_twice() {
    let mut host = deploying();
    with_agent(&mut host, offered("deploy", "inject", 150));
    assert_eq!(host.calls_step().0, "deploy.inject", "late, because the agent offers it late, but once");
    host.done();
    assert_eq!(host.calls_step().0, "deploy.write_image");
    host.done();
    assert_eq!(host.calls_step().0, "deploy.boot_instance");
}

#[test]
fn a_step_that_was_asked_for_and_that_nobody_offers_fails_when_the_agent_is_up_and_is_cleaned_up() {
    let mut host = Host::with(Available);
    host.try_begin(Kind::Deploy, vec![asked("vendor", "bless", Some(50))]).unwrap();
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(own_steps()));
    with_agent(&mut host, offered("raid", "apply", 0));
    assert_eq!(host.calls(), (Function::CleanUp, Cause::First), "the machine runs the agent by now");
    host.done();
    assert_eq!(host.state(), "deploy failed");
    assert!(host.last_error().contains("vendor.bless"), "{}", host.last_error());
}

#[test]
fn a_failure_before_the_first_step_needs_no_clean_up() {
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.refuse(ErrorKind::Failed, "no network");
    assert_eq!((host.state(), host.target()), ("deploy failed", "active"));
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(Vec::new()));
    assert_eq!(host.state(), "deploy failed");
    assert!(host.last_error().starts_with("no deploy steps"), "{}", host.last_error());
}

#[test]
fn a_failed_step_is_named_and_cleaned_up_and_a_failing_clean_up_is_added() {
    let mut host = deploying();
    host.answer(Returned::Fault("driver acme 1.0 broke in execute-deploy-step: it trapped".into()));
    assert_eq!((host.state(), host.calls()), ("deploying", (Function::CleanUp, Cause::First)));
    host.refuse(ErrorKind::PowerFailed, "still on");
    assert_eq!((host.state(), host.target()), ("deploy failed", "active"));
    let broke = "step deploy.deploy: driver acme 1.0 broke in execute-deploy-step: it trapped";
    assert_eq!(host.cause(), format!("{broke}. Also failed to clean up due to: still on (test.Error)"));
    assert!(!host.node.maintenance);
    assert!(host.node.instance_uuid.is_some(), "what the tenant asked for is kept");
}

#[test]
fn a_wait_that_runs_out_of_time_is_told_to_the_driver_which_decides() {
    let mut host = deploying();
    host.wait(Condition::AgentBooted, 0);
    host.pass(1799);
    host.tested(false);
    assert_eq!(host.state(), "wait call-back");
    host.pass(1);
    host.handle(Event::Due).unwrap();
    host.tested(false);
    assert_eq!(host.calls_step().1, Cause::TimedOut);
    host.refuse(ErrorKind::Timeout, "no agent called");
    host.all_done(&[Function::CleanUp]);
    assert_eq!(host.state(), "deploy failed");
}

#[test]
fn a_time_that_has_to_pass_is_not_cut_short() {
    let mut host = deploying();
    let at = host.now.checked_add(jiff::SignedDuration::from_secs(7200)).unwrap();
    host.wait(Condition::Until { at }, 1);
    host.tested(false);
    assert_eq!(host.operation.as_ref().unwrap().due(), Some(at));
}

#[test]
fn no_wait_is_longer_than_the_operator_allows() {
    for (condition, timeout_s) in [(Condition::AgentBooted, u32::MAX), (Condition::Until { at: jiff::Timestamp::MAX }, 0)] {
        let mut host = deploying();
        host.settings.max_step_wait = 600;
        host.wait(condition, timeout_s);
        host.pass(599);
        host.tested(false);
        assert!(host.in_flight.is_none(), "it still waits");
        host.pass(1);
        host.tested(false);
        assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::TimedOut));
    }
}

#[test]
fn a_step_is_repeated_when_the_busy_agent_is_heard_again() {
    let mut host = deploying();
    host.refuse(ErrorKind::AgentInProgress, "busy");
    assert_eq!(host.state(), "wait call-back");
    assert!(
        matches!(&host.operation.as_ref().unwrap().waiting.as_ref().unwrap().condition, Condition::Heartbeat { since } if *since == host.now)
    );
    host.tested(false);
    host.handle(Event::Heartbeat).unwrap();
    host.tested(true);
    assert_eq!(host.calls_step(), ("deploy.deploy".into(), Cause::Interrupted));
    host.refuse(ErrorKind::AgentUnreachable, "gone");
    host.pass(1800);
    host.tested(false);
    host.all_done(&[Function::CleanUp]);
    assert!(host.last_error().contains("waiting for the agent to be heard again"), "{}", host.last_error());
}

#[test]
fn a_driver_that_always_asks_to_wait_comes_to_an_end() {
    let mut host = deploying();
    while host.operation.is_some() {
        match host.in_flight {
            Some(_) => {
                host.answer(Returned::Wait(wrought_domain::wait::Wait { condition: Condition::Until { at: host.now }, timeout_s: 1 }))
            }
            None => host.tested(true),
        }
    }
    assert_eq!(host.state(), "deploy failed");
    assert!(host.last_error().contains("did not come to an end"), "{}", host.last_error());
}

#[test]
fn an_abort_ends_a_step_that_allows_it() {
    let mut host = deploying();
    assert!(matches!(host.handle(Event::Abort), Err(Impossible::NotNow(_))), "somebody works on it");
    host.wait(Condition::AgentBooted, 0);
    host.handle(Event::Abort).unwrap();
    assert_eq!((host.state(), host.target()), ("deploy failed", "active"), "at once; clean-up follows");
    assert!(matches!(host.handle(Event::Abort), Err(Impossible::NotNow(_))));
    host.all_done(&[Function::CleanUp]);
    assert_eq!(host.cause(), "By request, the deploy operation was aborted during step deploy.deploy");
    assert!(!host.node.maintenance);
}

#[test]
fn an_abort_waits_for_the_end_of_a_step_that_does_not_allow_it() {
    let mut host = Host::with(Available);
    host.begin(Kind::Deploy);
    host.all_done(&[Function::Prepare]);
    host.answer(Returned::Steps(vec![wrought_domain::Step { abortable: false, ..offered("deploy", "deploy", 100) }]));
    host.wait(Condition::AgentBooted, 0);
    host.handle(Event::Abort).unwrap();
    assert_eq!(host.state(), "wait call-back");
    host.tested(true);
    host.done();
    assert_eq!((host.state(), host.calls().0), ("deploy failed", Function::CleanUp));
    host.done();
    assert!(host.last_error().starts_with("By request"), "{}", host.last_error());
}

#[test]
fn deleting_while_a_deployment_waits_turns_it_round() {
    let mut host = deploying();
    host.wait(Condition::AgentBooted, 0);
    host.handle(Event::Delete { principal: Principal::noauth() }).unwrap();
    assert_eq!((host.state(), host.target()), ("deleting", "available"));
    host.all_done(&[Function::CleanUp, Function::TearDown, Function::PrepareCleaning]);
    assert_eq!(host.state(), "cleaning");
    assert!(host.node.instance_info.is_empty());
}

#[test]
fn deleting_does_not_turn_round_what_is_not_a_waiting_deployment() {
    let mut host = Host::with(Active);
    host.begin(Kind::Power(wrought_engine::PowerTarget::Off));
    host.done();
    assert!(matches!(host.handle(Event::Delete { principal: Principal::noauth() }), Err(Impossible::NotNow(_))));
    let mut host = Host::with(Active);
    host.begin(Kind::TearDown);
    host.wait(Condition::Power { on: false }, 0);
    assert!(matches!(host.handle(Event::Delete { principal: Principal::noauth() }), Err(Impossible::NotNow(_))));
}

#[test]
fn a_rebuild_is_a_deployment_of_what_is_there() {
    for from in [Active, DeployFailed] {
        let mut host = Host::with(from);
        host.node.last_error = Some("old".into());
        host.begin(Kind::Rebuild);
        assert_eq!((host.state(), host.target(), host.last_error()), ("deploying", "active", ""));
        assert!(!host.node.instance_info.is_empty());
    }
    assert!(Host::with(Available).try_begin(Kind::Rebuild, Vec::new()).is_err());
}

#[test]
fn an_answer_that_comes_late_changes_nothing() {
    let mut host = deploying();
    host.wait(Condition::AgentBooted, 0);
    assert_eq!(host.handle(Event::Returned(Returned::Done)), Err(Impossible::Late));
    host.tested(true);
    assert_eq!(host.handle(Event::Tested { met: true }), Err(Impossible::Late));
    assert_eq!(host.handle(Event::Heartbeat), Err(Impossible::Late));
}
