//! The ways out of a failure: each `last_error` ends with what to do next.

use serde::{Deserialize, Serialize};
use wrought_domain::node::{MAX_TEXT, cut};
use wrought_domain::{ErrorKind, ProvisionState};

/// What made an operation fail, as far as it decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A driver, or the hardware behind a command of the host, answered with an error.
    Refused(ErrorKind),
    /// The driver broke, or did not keep to the contract.
    Fault,
    /// The steps that were asked for and those that are offered do not go together.
    Steps,
    /// The host waited in vain.
    Timeout,
    /// An operator aborted it.
    Aborted,
    /// An operator broke the node's lock.
    Unlocked,
    /// An operator revoked the driver's version.
    Revoked,
    /// A cleaning did not erase what has to be erased.
    Uncovered,
}

impl Default for FailureKind {
    /// For failures that were stored without a kind.
    fn default() -> Self {
        Self::Refused(ErrorKind::Failed)
    }
}

/// What to do next with a node that came to rest in `state`: what the failure asks for, then the verbs of
/// `PUT /v1/nodes/{node}/states/provision` that lead on, which are the ones that the state allows.
///
/// In a state that is no failure, as after a request for power, the request is what is made again.
pub fn exits(state: ProvisionState, failure: FailureKind) -> String {
    match advice(failure) {
        Some(advice) => format!("Next: {advice}, then {}.", way_out(state)),
        None => format!("Next: {}.", way_out(state)),
    }
}

/// A cause with the way out behind it. What is too long is cut from the cause.
pub(crate) fn with_exits(cause: &str, state: ProvisionState, failure: FailureKind) -> String {
    let exits = exits(state, failure);
    let cause = cut(cause, MAX_TEXT.saturating_sub(exits.len()).saturating_sub(". ".len()));
    format!("{}. {exits}", cause.trim_end_matches(['.', ' ']))
}

/// A cause with what happened after it. Both stay readable, however long they are.
pub(crate) fn followed(first: &str, then: &str) -> String {
    format!("{}. {then}", cut(first, MAX_TEXT / 2).trim_end_matches(['.', ' ']))
}

fn advice(failure: FailureKind) -> Option<&'static str> {
    Some(match failure {
        FailureKind::Refused(kind) => match kind {
            ErrorKind::InvalidParameter => "correct the value in the node's driver_info, instance_info or in the step's arguments",
            ErrorKind::MissingParameter => "add the value to the node's driver_info, instance_info or to the step's arguments",
            ErrorKind::Unsupported => "ask for what this machine and this driver can do, or choose another deploy_interface",
            ErrorKind::Denied => "give the driver the grant, or the controller's account the right, that it lacked",
            ErrorKind::Locked => "wait until the other operation has ended",
            ErrorKind::NotFound => "see that what was not found is there",
            ErrorKind::Conflict => "see what else changes the machine",
            ErrorKind::AgentUnreachable => "see why the agent cannot be reached (the machine's console, network, firewall)",
            ErrorKind::AgentInProgress => "wait until the agent has ended what it is doing, or restart the machine",
            ErrorKind::PowerFailed => "look at the machine's controller and power supply",
            ErrorKind::Timeout => "see why the machine took so long (its console, controller and network)",
            ErrorKind::LimitExceeded => "see which limit was reached, and raise it or use a version of the driver that needs less",
            ErrorKind::OutcomeUnknown => "look at the machine first, because what was sent to it may have been done or not",
            ErrorKind::Failed => "mend what the error names",
        },
        FailureKind::Fault => "look into the host's log, and activate a version of the driver that works",
        FailureKind::Steps => "correct the steps",
        FailureKind::Timeout => "see why the machine took so long (its console, controller and network)",
        FailureKind::Aborted => return None,
        FailureKind::Revoked => "put another version of the driver in force, and look at the machine, which was left as it was",
        FailureKind::Uncovered => {
            "see that the driver and the agent offer the erasure that [cleaning] required names, or name there what erases this machine"
        }
        FailureKind::Unlocked => "look at the machine first, because nobody knows how far it came",
    })
}

fn way_out(state: ProvisionState) -> &'static str {
    use ProvisionState as S;
    match state {
        S::Enroll => "`manage` to verify it again",
        S::DeployFailed => "`active` or `rebuild` to deploy again, or `deleted` to undeploy",
        S::Error => "`deleted` to tear down again, or a new instance_info and `rebuild` to deploy",
        S::CleanFailed => "unset maintenance if it is set, `manage`, and `clean` or `provide` to clean again",
        S::InspectFailed => "`inspect` to inspect again, or `manage` to go on without",
        S::AdoptFailed => "`adopt` to adopt again, or `manage` to go on without",
        S::RescueFailed => "`rescue` to rescue again, `unrescue` to go back to the instance, or `deleted` to undeploy",
        S::UnrescueFailed => "`unrescue` to go back to the instance again, `rescue` to rescue, or `deleted` to undeploy",
        S::ServiceFailed => "`service` to service again, `abort` to go back to the instance, or `deleted` to undeploy",
        S::Manageable | S::Available | S::Active | S::Rescue => "ask again",
        // No operation ends in one of these.
        S::Verifying
        | S::Deploying
        | S::WaitCallBack
        | S::DeployHold
        | S::Deleting
        | S::Cleaning
        | S::CleanWait
        | S::CleanHold
        | S::Inspecting
        | S::InspectWait
        | S::Adopting
        | S::Rescuing
        | S::RescueWait
        | S::Unrescuing
        | S::Servicing
        | S::ServiceWait
        | S::ServiceHold => "wait until the operation has ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wrought_domain::Verb;

    /// Every kind of error, in order: a new one does not compile until it is put in here.
    fn error_kinds() -> impl Iterator<Item = ErrorKind> {
        use ErrorKind as K;
        std::iter::successors(Some(K::InvalidParameter), |kind| {
            Some(match kind {
                K::InvalidParameter => K::MissingParameter,
                K::MissingParameter => K::Unsupported,
                K::Unsupported => K::Denied,
                K::Denied => K::Locked,
                K::Locked => K::NotFound,
                K::NotFound => K::Conflict,
                K::Conflict => K::AgentUnreachable,
                K::AgentUnreachable => K::AgentInProgress,
                K::AgentInProgress => K::PowerFailed,
                K::PowerFailed => K::Timeout,
                K::Timeout => K::LimitExceeded,
                K::LimitExceeded => K::OutcomeUnknown,
                K::OutcomeUnknown => K::Failed,
                K::Failed => return None,
            })
        })
    }

    fn failure_kinds() -> Vec<FailureKind> {
        use FailureKind as F;
        let others = std::iter::successors(Some(F::Fault), |kind| {
            Some(match kind {
                F::Fault => F::Steps,
                F::Steps => F::Timeout,
                F::Timeout => F::Aborted,
                F::Aborted => F::Unlocked,
                F::Unlocked => F::Revoked,
                F::Revoked => F::Uncovered,
                F::Uncovered | F::Refused(_) => return None,
            })
        });
        error_kinds().map(F::Refused).chain(others).collect()
    }

    /// Where an operation that failed leaves a node.
    fn failed_states() -> impl Iterator<Item = ProvisionState> {
        let others = [ProvisionState::Enroll, ProvisionState::Error];
        ProvisionState::ALL.iter().copied().filter(move |state| state.is_failed() || others.contains(state))
    }

    /// The verbs that a text names: what stands between backticks.
    fn verbs(text: &str) -> Vec<Verb> {
        text.split('`').skip(1).step_by(2).map(|name| name.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
    }

    #[test]
    fn every_failure_names_exits_and_each_is_one_that_the_table_allows() {
        assert_eq!((failure_kinds().len(), failed_states().count()), (21, 9));
        for (state, failure) in failed_states().flat_map(|state| failure_kinds().into_iter().map(move |failure| (state, failure))) {
            let text = exits(state, failure);
            let named = verbs(&text);
            assert!(named.first().is_some_and(|verb| verb.allowed_from(state)), "{state}, {failure:?}: {text}");
            // What the first verb leads to may be what the next one is for, as with `manage` and `provide`.
            let mut reached = vec![state];
            for verb in named {
                let from = reached.iter().rev().find(|from| verb.allowed_from(**from));
                let from = from.unwrap_or_else(|| panic!("{state}, {failure:?}: `{verb}` is refused: {text}"));
                reached.extend(from.after(verb.event()));
            }
        }
    }

    #[test]
    fn what_is_unknown_is_looked_at_before_anything_is_repeated() {
        for failure in [FailureKind::Refused(ErrorKind::OutcomeUnknown), FailureKind::Unlocked] {
            let text = exits(ProvisionState::DeployFailed, failure);
            assert!(text.starts_with("Next: look at the machine first"), "{text}");
        }
    }

    #[test]
    fn a_long_cause_is_cut_and_the_exit_stays() {
        for failure in failure_kinds() {
            let text = with_exits(&"ä".repeat(MAX_TEXT), ProvisionState::CleanFailed, failure);
            assert!(text.len() <= MAX_TEXT && text.len() > MAX_TEXT - 2, "{}", text.len());
            assert!(text.ends_with(&exits(ProvisionState::CleanFailed, failure)));
        }
        let short = with_exits("no image.", ProvisionState::Enroll, FailureKind::Aborted);
        assert_eq!(short, "no image. Next: `manage` to verify it again.");
    }
}
