//! A node becomes available only when the host itself saw it erased.

use wrought_domain::state::ProvisionState::{Active, Manageable};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function, Step};
use wrought_engine::{Erasure, Event, FailureKind, Kind, Returned, exits};

use crate::host::{Host, offered};

/// An automated cleaning of a machine that has disks, planned from these steps.
fn cleaning(steps: Vec<Step>) -> Host {
    let mut host = with_disks();
    host.begin(Kind::Clean);
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(steps));
    host
}

fn with_disks() -> Host {
    let mut host = Host::with(Manageable);
    host.node.driver = "redfish".into();
    host
}

fn erase() -> Step {
    offered("deploy", "erase_devices_metadata", 99)
}

fn is_not_available(host: &Host, why: &str) {
    assert_eq!((host.state(), host.target()), ("clean failed", "available"));
    assert!(host.last_error().contains(why), "{}", host.last_error());
}

#[test]
fn a_plan_without_the_erasure_does_not_even_begin() {
    for steps in [vec![offered("raid", "check", 10)], vec![Step { priority: 0, ..erase() }, offered("raid", "check", 10)]] {
        let mut host = cleaning(steps);
        host.all_done(&[Function::TearDownCleaning]);
        is_not_available(&host, "would not erase what has to be erased");
        assert!(host.last_error().ends_with(&exits(host.node.provision_state, FailureKind::Uncovered)));
    }
}

#[test]
fn a_driver_that_says_done_is_not_believed() {
    let mut host = cleaning(vec![erase()]);
    host.all_done(&[Function::ExecuteCleanStep, Function::TearDownCleaning]);
    is_not_available(&host, "nobody saw the machine erased");
}

#[test]
fn an_erasure_that_was_seen_makes_it_available() {
    let mut host = cleaning(vec![erase()]);
    host.seen_done();
    host.all_done(&[Function::TearDownCleaning]);
    assert_eq!(host.state(), "available");
}

#[test]
fn an_erasure_without_the_agent_counts_when_the_operator_names_driver_and_step() {
    for (named, available) in [("acme:raid.crypto_erase", true), ("other:raid.crypto_erase", false), ("raid.crypto_erase", false)] {
        let mut host = with_disks();
        host.settings.required = vec![Erasure(vec!["deploy.erase_devices".into(), named.into()])];
        host.begin(Kind::Clean);
        host.all_done(&[Function::PrepareCleaning]);
        let step = Step { offered_by: Some("acme".parse().unwrap()), ..offered("raid", "crypto_erase", 50) };
        host.answer(Returned::Steps(vec![step]));
        // What the operator trusts by its name.
        host.erased.push("acme:raid.crypto_erase".into());
        while host.operation.is_some() {
            host.done();
        }
        assert_eq!(host.state() == "available", available, "{named}: {}", host.last_error());
    }
}

#[test]
fn every_line_of_what_is_required_has_to_be_covered() {
    let mut host = with_disks();
    host.settings.required = vec![Erasure::metadata(), Erasure(vec!["deploy.erase_pstore".into()])];
    host.begin(Kind::Clean);
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(vec![erase(), offered("deploy", "erase_pstore", 5)]));
    host.seen_done();
    host.all_done(&[Function::ExecuteCleanStep, Function::TearDownCleaning]);
    is_not_available(&host, "deploy.erase_pstore did not succeed");
}

#[test]
fn what_was_seen_before_a_failure_does_not_count_for_the_next_cleaning() {
    let mut host = cleaning(vec![erase(), offered("raid", "check", 10)]);
    host.seen_done();
    host.refuse(ErrorKind::Failed, "no");
    host.all_done(&[Function::TearDownCleaning]);
    (host.node.provision_state, host.node.target_provision_state, host.node.maintenance) = (Manageable, None, false);
    host.begin(Kind::Clean);
    host.all_done(&[Function::PrepareCleaning]);
    host.answer(Returned::Steps(vec![erase()]));
    host.all_done(&[Function::ExecuteCleanStep, Function::TearDownCleaning]);
    is_not_available(&host, "nobody saw the machine erased");
}

#[test]
fn neither_an_abort_nor_a_broken_lock_nor_a_revocation_makes_it_available() {
    for end in ["abort", "unlock", "revoke"] {
        let mut host = cleaning(vec![erase()]);
        host.wait(Condition::AgentCommand { id: "1".into() }, 0);
        match end {
            "abort" => {
                host.handle(Event::Abort).unwrap();
                host.all_done(&[Function::TearDownCleaning]);
            }
            "unlock" => host.unlock("it hangs"),
            _ => host.revoke("driver direct was revoked"),
        }
        assert_eq!(host.state(), "clean failed", "{end}");
    }
}

#[test]
fn a_tear_down_ends_available_only_when_its_cleaning_was_seen() {
    for seen in [false, true] {
        let mut host = Host::with(Active);
        host.node.driver = "redfish".into();
        host.begin(Kind::TearDown);
        host.all_done(&[Function::CleanUp, Function::TearDown, Function::PrepareCleaning]);
        host.answer(Returned::Steps(vec![erase()]));
        if seen {
            host.seen_done()
        } else {
            host.done()
        }
        host.all_done(&[Function::TearDownCleaning]);
        assert_eq!(host.state(), if seen { "available" } else { "clean failed" });
    }
}

#[test]
fn who_switches_the_cleaning_off_is_obeyed_and_a_retired_node_goes_to_manageable() {
    let mut host = with_disks();
    host.node.automated_clean = Some(false);
    host.begin(Kind::Clean);
    assert_eq!(host.state(), "available");
    let mut host = cleaning(Vec::new());
    host.all_done(&[Function::TearDownCleaning]);
    is_not_available(&host, "no clean step is offered");
}
