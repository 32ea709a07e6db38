//! The table of transitions, by what it promises: whatever events come, in whatever order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;
use wrought_domain::hardware_type::FAKE_HARDWARE;
use wrought_domain::state::TRANSITIONS;
use wrought_domain::{Event, Node, NodeId, ProvisionState as S, Verb, state_table};

/// The table as Ironic documents it, written down by hand: event, from, to.
const IRONIC: &str = "
deploy: available, deploy failed -> deploying
rebuild: active, error, deploy failed -> deploying
wait: deploying -> wait call-back
wait: cleaning -> clean wait
wait: inspecting -> inspect wait
wait: rescuing -> rescue wait
wait: servicing, service failed -> service wait
resume: wait call-back -> deploying
resume: clean wait -> cleaning
resume: inspect wait -> inspecting
resume: rescue wait -> rescuing
resume: service wait -> servicing
hold: deploying, wait call-back -> deploy hold
hold: cleaning, clean wait -> clean hold
hold: servicing, service wait, service failed -> service hold
unhold: deploy hold -> wait call-back
unhold: clean hold -> clean wait
unhold: service hold -> service wait
done: deploying -> active
done: cleaning -> available
done: inspecting, inspect wait -> manageable
done: rescuing -> rescue
done: unrescuing -> active
done: verifying -> manageable
done: adopting -> active
done: servicing -> active
fail: deploying, wait call-back -> deploy failed
fail: deleting -> error
fail: cleaning, clean wait -> clean failed
fail: inspecting, inspect wait -> inspect failed
fail: rescuing, rescue wait -> rescue failed
fail: unrescuing -> unrescue failed
fail: verifying -> enroll
fail: adopting -> adopt failed
fail: servicing, service wait, service hold -> service failed
abort: wait call-back, deploy hold -> deploy failed
abort: clean wait, clean hold -> clean failed
abort: inspect wait -> inspect failed
abort: rescue wait -> rescue failed
abort: service wait, service hold -> service failed
abort: service failed -> active
delete: active, wait call-back, deploy failed, error, rescue, rescue wait, rescue failed, unrescue failed, service failed, service wait -> deleting
clean: deleting, manageable -> cleaning
provide: manageable -> cleaning
manage: clean failed, inspect failed, adopt failed, available, cleaning -> manageable
manage: enroll -> verifying
inspect: manageable, inspect failed -> inspecting
adopt: manageable, adopt failed -> adopting
rescue: active, rescue, rescue failed, unrescue failed, service failed -> rescuing
unrescue: rescue, rescue failed, unrescue failed -> unrescuing
service: active, service hold, service failed -> servicing
";

fn node(state: S) -> Node {
    let mut node = Node::new(NodeId(Uuid::from_u128(1)), "fake-hardware", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
    node.provision_state = state;
    node.target_provision_state = state.default_target();
    node.inspection_started_at = matches!(state, S::Inspecting | S::InspectWait).then_some(Timestamp::UNIX_EPOCH);
    node
}

fn at(second: usize) -> Timestamp {
    Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
}

#[test]
fn the_table_is_ironics() {
    let mut documented = BTreeSet::new();
    for line in IRONIC.trim().lines() {
        let (event, rest) = line.split_once(": ").unwrap();
        let (from, to) = rest.split_once(" -> ").unwrap();
        for from in from.split(", ") {
            assert!(documented.insert((from.to_owned(), event.to_owned(), to.to_owned())), "{line} twice");
        }
    }
    let ours: BTreeSet<_> = TRANSITIONS.iter().map(|(from, event, to)| (from.to_string(), event.to_string(), to.to_string())).collect();
    assert_eq!(ours, documented);
}

#[test]
fn the_page_in_docs_has_not_drifted() {
    let committed = include_str!("../../../docs/state-machine.md");
    assert!(
        committed == state_table::markdown(),
        "docs/state-machine.md is not what the code says: run `cargo run -q -p wrought-domain --example state_table > docs/state-machine.md`"
    );
}

#[test]
fn names_fit_the_columns_of_other_implementations() {
    assert!(S::ALL.iter().all(|state| state.as_str().len() <= 15));
}

#[test]
fn a_wait_ends_where_it_began_and_a_hold_ends_in_the_wait() {
    for state in S::ALL.iter().filter(|state| state.is_transient()) {
        if let Some(wait) = state.after(Event::Wait) {
            assert!(wait.is_wait());
            assert_eq!(wait.after(Event::Resume), Some(*state), "{state}");
        }
        if let Some(hold) = state.after(Event::Hold) {
            assert_eq!(hold.after(Event::Unhold), state.after(Event::Wait), "{state}");
            assert_eq!(state.after(Event::Wait).unwrap().after(Event::Hold), Some(hold), "{state}");
        }
    }
}

#[test]
fn nobody_but_the_host_moves_a_node_that_is_worked_on() {
    for state in S::ALL.iter().filter(|state| state.is_transient()) {
        for verb in Verb::ALL {
            assert!(!verb.allowed_from(*state), "{verb} in {state}");
        }
    }
}

#[test]
fn verbs_are_allowed_where_ironic_allows_them() {
    let expected: &[(Verb, &[S])] = &[
        (Verb::Active, &[S::Available, S::DeployFailed]),
        (Verb::Rebuild, &[S::Active, S::Error, S::DeployFailed]),
        (
            Verb::Deleted,
            &[
                S::Active,
                S::WaitCallBack,
                S::DeployFailed,
                S::Error,
                S::Rescue,
                S::RescueWait,
                S::RescueFailed,
                S::UnrescueFailed,
                S::ServiceFailed,
                S::ServiceWait,
            ],
        ),
        (Verb::Manage, &[S::Enroll, S::Available, S::CleanFailed, S::InspectFailed, S::AdoptFailed]),
        (Verb::Provide, &[S::Manageable]),
        (Verb::Inspect, &[S::Manageable, S::InspectFailed]),
        (Verb::Clean, &[S::Manageable]),
        (Verb::Adopt, &[S::Manageable, S::AdoptFailed]),
        (
            Verb::Abort,
            &[
                S::CleanWait,
                S::CleanHold,
                S::InspectWait,
                S::RescueWait,
                S::WaitCallBack,
                S::DeployHold,
                S::ServiceWait,
                S::ServiceHold,
                S::ServiceFailed,
            ],
        ),
        (Verb::Rescue, &[S::Active, S::Rescue, S::RescueFailed, S::UnrescueFailed, S::ServiceFailed]),
        (Verb::Unrescue, &[S::Rescue, S::RescueFailed, S::UnrescueFailed]),
        (Verb::Unhold, &[S::DeployHold, S::CleanHold, S::ServiceHold]),
        (Verb::Service, &[S::Active, S::ServiceFailed, S::ServiceHold]),
    ];
    assert_eq!(expected.len(), Verb::ALL.len());
    for (verb, states) in expected {
        for state in S::ALL {
            assert_eq!(verb.allowed_from(*state), states.contains(state), "{verb} in {state}");
        }
    }
}

#[test]
fn every_failure_leads_where_ironic_says() {
    for (working, failed) in [
        (S::Verifying, S::Enroll),
        (S::Deploying, S::DeployFailed),
        (S::WaitCallBack, S::DeployFailed),
        (S::Cleaning, S::CleanFailed),
        (S::CleanWait, S::CleanFailed),
        (S::Servicing, S::ServiceFailed),
        (S::ServiceWait, S::ServiceFailed),
        (S::ServiceHold, S::ServiceFailed),
        (S::Inspecting, S::InspectFailed),
        (S::InspectWait, S::InspectFailed),
        (S::Rescuing, S::RescueFailed),
        (S::RescueWait, S::RescueFailed),
        (S::Unrescuing, S::UnrescueFailed),
        (S::Adopting, S::AdoptFailed),
        (S::Deleting, S::Error),
    ] {
        assert_eq!(working.after(Event::Fail), Some(failed), "{working}");
    }
}

#[test]
fn a_node_with_a_target_may_be_changed_in_ironics_list_of_states() {
    let listed = [
        S::DeployFailed,
        S::Inspecting,
        S::InspectFailed,
        S::InspectWait,
        S::CleanFailed,
        S::Error,
        S::Verifying,
        S::AdoptFailed,
        S::RescueFailed,
        S::UnrescueFailed,
        S::ServiceHold,
        S::ServiceFailed,
    ];
    for state in S::ALL {
        assert_eq!(state.allows_update_with_target(), listed.contains(state), "{state}");
    }
}

/// States that can be reached from `from` by events that `may` happen.
fn reachable(from: S, may: impl Fn(S, Event) -> bool) -> BTreeSet<S> {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(state) = next.pop() {
        for (_, event, to) in TRANSITIONS.iter().filter(|(at, _, _)| *at == state) {
            if may(state, *event) && seen.insert(*to) {
                next.push(*to);
            }
        }
    }
    seen
}

#[test]
fn every_state_can_be_reached_and_left_and_no_instance_stays_on_a_node_for_ever() {
    let all: BTreeSet<S> = S::ALL.iter().copied().collect();
    assert_eq!(reachable(S::Enroll, |_, _| true), all);
    for state in S::ALL {
        let on = reachable(*state, |_, _| true);
        assert!(on.contains(&S::Manageable) && on.contains(&S::Available), "{state} is a dead end");
    }
}

#[test]
fn a_machine_that_somebody_used_becomes_available_through_a_cleaning_alone() {
    for state in S::ALL.iter().filter(|state| ![S::Available].contains(state)) {
        let without = reachable(*state, |at, event| !(at == S::Cleaning && event == Event::Done));
        assert!(!without.contains(&S::Available), "{state} becomes available unwiped");
    }
}

fn event() -> impl Strategy<Value = Event> {
    select(Event::ALL)
}

fn target() -> impl Strategy<Value = Option<S>> {
    let stable: Vec<S> = S::ALL.iter().copied().filter(|state| state.is_stable()).collect();
    prop_oneof![3 => Just(None), 1 => select(stable).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// 400 walks of 250 events that may come at any time.
    #[test]
    fn whatever_comes_state_and_target_fit(
        start in select(S::ALL), events in vec((event(), target()), 250)
    ) {
        let mut node = node(start);
        for (second, (event, target)) in events.into_iter().enumerate() {
            let before = node.clone();
            match node.apply(event, target, at(second)) {
                Err(refused) => {
                    prop_assert_eq!(before.provision_state.after(event), None);
                    prop_assert_eq!((refused.state, refused.event), (before.provision_state, event));
                    prop_assert!(node == before, "refused, and yet changed");
                }
                Ok(()) => {
                    let now = node.provision_state;
                    prop_assert!(TRANSITIONS.contains(&(before.provision_state, event, now)));
                    prop_assert_eq!(node.provision_updated_at, Some(at(second)));
                    // Clients wait by this: a target exactly as long as something is to come, or failed.
                    prop_assert_eq!(node.target_provision_state.is_none(), now.is_stable());
                    if !now.is_stable() {
                        prop_assert_eq!(node.target_provision_state, target.or(now.default_target()));
                        prop_assert!(node.target_provision_state.unwrap().is_stable());
                    }
                }
            }
            let inspects = matches!(node.provision_state, S::Inspecting | S::InspectWait);
            prop_assert_eq!(node.inspection_started_at.is_some(), inspects, "in {}", node.provision_state);
            prop_assert!(!(node.inspection_started_at.is_some() && node.inspection_finished_at.is_some()));
        }
    }

    /// The target `manageable` is the only mark of a manual cleaning: who repeats it keeps it, to the end.
    #[test]
    fn a_manual_cleaning_keeps_its_mark(events in vec(select(&[Event::Wait, Event::Resume, Event::Hold, Event::Unhold, Event::Fail, Event::Abort][..]), 40)) {
        let mut node = node(S::Manageable);
        node.apply(Event::Clean, Some(S::Manageable), at(0)).unwrap();
        for (second, event) in events.into_iter().enumerate() {
            let _refused = node.apply(event, Some(S::Manageable), at(second + 1));
            prop_assert_eq!(node.target_provision_state, Some(S::Manageable));
        }
        if node.apply(Event::Manage, Some(S::Manageable), at(99)).is_ok() {
            prop_assert_eq!((node.provision_state, node.target_provision_state), (S::Manageable, None));
        }
    }

    /// What is asked by verbs alone, with the host ending what they begin, never leaves Ironic's paths.
    #[test]
    fn an_instance_goes_through_a_cleaning_before_the_next_one(steps in vec((select(Verb::ALL), any::<bool>()), 300)) {
        let mut state = S::Enroll;
        let mut dirty = true;
        for (verb, good) in steps {
            if verb.allowed_from(state) {
                state = state.after(verb.event()).unwrap();
            } else if state.is_transient() {
                let next = if good { state.after(Event::Done).or(state.after(Event::Clean)) } else { state.after(Event::Fail) };
                if (state, next) == (S::Cleaning, Some(S::Available)) {
                    dirty = false;
                }
                state = next.unwrap();
            } else if state.is_wait() && good {
                state = state.after(Event::Resume).unwrap();
            }
            if state == S::Deploying && good {
                dirty = true;
            }
            prop_assert!(state != S::Available || !dirty, "available unwiped");
            if state != S::Available && state != S::Deploying && state != S::Manageable {
                dirty = true;
            }
        }
    }
}
