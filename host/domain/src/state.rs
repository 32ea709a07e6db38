//! Provision states, events and the one table of transitions; power states.
//!
//! Source: Ironic's state machine, `ironic/common/states.py`, as of 39.0.0.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($case:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the names are Ironic's own")]
        pub enum $name { $(#[serde(rename = $text)] $case),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$case),+];

            /// The name that Ironic's API uses.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$case => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text { $($text => Ok($name::$case),)+ _ => Err(UnknownName { what: $what, name: text.chars().take(80).collect() }) }
            }
        }
    };
}

/// A name that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {name:?}")]
pub struct UnknownName {
    /// What was expected, for example `provision state`.
    pub what: &'static str,
    /// What was given, capped.
    pub name: String,
}

named! {
    /// A node's provision state.
    ProvisionState, "provision state" {
        Enroll = "enroll", Verifying = "verifying", Manageable = "manageable", Available = "available",
        Deploying = "deploying", WaitCallBack = "wait call-back", DeployHold = "deploy hold", DeployFailed = "deploy failed", Active = "active",
        Deleting = "deleting", Error = "error",
        Cleaning = "cleaning", CleanWait = "clean wait", CleanHold = "clean hold", CleanFailed = "clean failed",
        Inspecting = "inspecting", InspectWait = "inspect wait", InspectFailed = "inspect failed",
        Adopting = "adopting", AdoptFailed = "adopt failed",
        Rescuing = "rescuing", RescueWait = "rescue wait", Rescue = "rescue", RescueFailed = "rescue failed",
        Unrescuing = "unrescuing", UnrescueFailed = "unrescue failed",
        Servicing = "servicing", ServiceWait = "service wait", ServiceHold = "service hold", ServiceFailed = "service failed",
    }
}

named! {
    /// What moves a node from one provision state to another.
    Event, "event" {
        Manage = "manage", Provide = "provide", Deploy = "deploy", Rebuild = "rebuild", Delete = "delete", Clean = "clean",
        Inspect = "inspect", Adopt = "adopt", Rescue = "rescue", Unrescue = "unrescue", Service = "service",
        Wait = "wait", Resume = "resume", Hold = "hold", Unhold = "unhold", Done = "done", Fail = "fail", Abort = "abort",
    }
}

named! {
    /// A node's power state; what a controller reports beside on and off is `Error` or nothing.
    PowerState, "power state" { On = "power on", Off = "power off", Error = "error" }
}

use Event as E;
use ProvisionState as S;

/// Every transition there is. Any other pair of state and event is refused.
pub const TRANSITIONS: &[(ProvisionState, Event, ProvisionState)] = &[
    (S::Available, E::Deploy, S::Deploying),
    (S::DeployFailed, E::Deploy, S::Deploying),
    (S::Active, E::Rebuild, S::Deploying),
    (S::Error, E::Rebuild, S::Deploying),
    (S::DeployFailed, E::Rebuild, S::Deploying),
    (S::Deploying, E::Wait, S::WaitCallBack),
    (S::Cleaning, E::Wait, S::CleanWait),
    (S::Inspecting, E::Wait, S::InspectWait),
    (S::Rescuing, E::Wait, S::RescueWait),
    (S::Servicing, E::Wait, S::ServiceWait),
    (S::ServiceFailed, E::Wait, S::ServiceWait),
    (S::WaitCallBack, E::Resume, S::Deploying),
    (S::CleanWait, E::Resume, S::Cleaning),
    (S::InspectWait, E::Resume, S::Inspecting),
    (S::RescueWait, E::Resume, S::Rescuing),
    (S::ServiceWait, E::Resume, S::Servicing),
    (S::Deploying, E::Hold, S::DeployHold),
    (S::WaitCallBack, E::Hold, S::DeployHold),
    (S::Cleaning, E::Hold, S::CleanHold),
    (S::CleanWait, E::Hold, S::CleanHold),
    (S::Servicing, E::Hold, S::ServiceHold),
    (S::ServiceWait, E::Hold, S::ServiceHold),
    (S::ServiceFailed, E::Hold, S::ServiceHold),
    (S::DeployHold, E::Unhold, S::WaitCallBack),
    (S::CleanHold, E::Unhold, S::CleanWait),
    (S::ServiceHold, E::Unhold, S::ServiceWait),
    (S::Deploying, E::Done, S::Active),
    (S::Cleaning, E::Done, S::Available),
    (S::Inspecting, E::Done, S::Manageable),
    (S::InspectWait, E::Done, S::Manageable),
    (S::Rescuing, E::Done, S::Rescue),
    (S::Unrescuing, E::Done, S::Active),
    (S::Verifying, E::Done, S::Manageable),
    (S::Adopting, E::Done, S::Active),
    (S::Servicing, E::Done, S::Active),
    (S::Deploying, E::Fail, S::DeployFailed),
    (S::WaitCallBack, E::Fail, S::DeployFailed),
    (S::Deleting, E::Fail, S::Error),
    (S::Cleaning, E::Fail, S::CleanFailed),
    (S::CleanWait, E::Fail, S::CleanFailed),
    (S::Inspecting, E::Fail, S::InspectFailed),
    (S::InspectWait, E::Fail, S::InspectFailed),
    (S::Rescuing, E::Fail, S::RescueFailed),
    (S::RescueWait, E::Fail, S::RescueFailed),
    (S::Unrescuing, E::Fail, S::UnrescueFailed),
    (S::Verifying, E::Fail, S::Enroll),
    (S::Adopting, E::Fail, S::AdoptFailed),
    (S::Servicing, E::Fail, S::ServiceFailed),
    (S::ServiceWait, E::Fail, S::ServiceFailed),
    (S::ServiceHold, E::Fail, S::ServiceFailed),
    (S::WaitCallBack, E::Abort, S::DeployFailed),
    (S::DeployHold, E::Abort, S::DeployFailed),
    (S::CleanWait, E::Abort, S::CleanFailed),
    (S::CleanHold, E::Abort, S::CleanFailed),
    (S::InspectWait, E::Abort, S::InspectFailed),
    (S::RescueWait, E::Abort, S::RescueFailed),
    (S::ServiceWait, E::Abort, S::ServiceFailed),
    (S::ServiceHold, E::Abort, S::ServiceFailed),
    (S::ServiceFailed, E::Abort, S::Active),
    (S::Active, E::Delete, S::Deleting),
    (S::WaitCallBack, E::Delete, S::Deleting),
    (S::DeployFailed, E::Delete, S::Deleting),
    (S::Error, E::Delete, S::Deleting),
    (S::Rescue, E::Delete, S::Deleting),
    (S::RescueWait, E::Delete, S::Deleting),
    (S::RescueFailed, E::Delete, S::Deleting),
    (S::UnrescueFailed, E::Delete, S::Deleting),
    (S::ServiceFailed, E::Delete, S::Deleting),
    (S::ServiceWait, E::Delete, S::Deleting),
    (S::Deleting, E::Clean, S::Cleaning),
    (S::Manageable, E::Clean, S::Cleaning),
    (S::Manageable, E::Provide, S::Cleaning),
    (S::CleanFailed, E::Manage, S::Manageable),
    (S::InspectFailed, E::Manage, S::Manageable),
    (S::AdoptFailed, E::Manage, S::Manageable),
    (S::Available, E::Manage, S::Manageable),
    (S::Cleaning, E::Manage, S::Manageable),
    (S::Enroll, E::Manage, S::Verifying),
    (S::Manageable, E::Inspect, S::Inspecting),
    (S::InspectFailed, E::Inspect, S::Inspecting),
    (S::Manageable, E::Adopt, S::Adopting),
    (S::AdoptFailed, E::Adopt, S::Adopting),
    (S::Active, E::Rescue, S::Rescuing),
    (S::Rescue, E::Rescue, S::Rescuing),
    (S::RescueFailed, E::Rescue, S::Rescuing),
    (S::UnrescueFailed, E::Rescue, S::Rescuing),
    (S::ServiceFailed, E::Rescue, S::Rescuing),
    (S::Rescue, E::Unrescue, S::Unrescuing),
    (S::RescueFailed, E::Unrescue, S::Unrescuing),
    (S::UnrescueFailed, E::Unrescue, S::Unrescuing),
    (S::Active, E::Service, S::Servicing),
    (S::ServiceHold, E::Service, S::Servicing),
    (S::ServiceFailed, E::Service, S::Servicing),
];

impl ProvisionState {
    /// The state that `event` leads to, if it is allowed here.
    pub fn after(self, event: Event) -> Option<ProvisionState> {
        TRANSITIONS.iter().find(|(from, by, _)| *from == self && *by == event).map(|(_, _, to)| *to)
    }

    /// Nothing is going on and nothing is expected.
    pub fn is_stable(self) -> bool {
        matches!(self, S::Enroll | S::Manageable | S::Available | S::Active | S::Error | S::Rescue)
    }

    /// An operation is being worked on.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            S::Verifying
                | S::Deploying
                | S::Cleaning
                | S::Deleting
                | S::Inspecting
                | S::Adopting
                | S::Rescuing
                | S::Unrescuing
                | S::Servicing
        )
    }

    /// An operation waits for the machine.
    pub fn is_wait(self) -> bool {
        matches!(self, S::WaitCallBack | S::CleanWait | S::InspectWait | S::RescueWait | S::ServiceWait)
    }

    /// An operation failed here.
    pub fn is_failed(self) -> bool {
        matches!(
            self,
            S::DeployFailed | S::CleanFailed | S::InspectFailed | S::AdoptFailed | S::RescueFailed | S::UnrescueFailed | S::ServiceFailed
        )
    }

    /// Where a node in this state is heading unless the verb said otherwise.
    pub fn default_target(self) -> Option<ProvisionState> {
        match self {
            S::Deploying | S::WaitCallBack | S::DeployHold | S::DeployFailed => Some(S::Active),
            S::Cleaning | S::CleanWait | S::CleanHold | S::CleanFailed | S::Deleting => Some(S::Available),
            S::Inspecting | S::InspectWait | S::InspectFailed | S::Verifying => Some(S::Manageable),
            S::Adopting | S::AdoptFailed => Some(S::Active),
            S::Rescuing | S::RescueWait | S::RescueFailed => Some(S::Rescue),
            S::Unrescuing | S::UnrescueFailed | S::Servicing | S::ServiceWait | S::ServiceHold | S::ServiceFailed => Some(S::Active),
            S::Enroll | S::Manageable | S::Available | S::Active | S::Error | S::Rescue => None,
        }
    }

    /// Whether the API may change a node that has a target in this state.
    pub fn allows_update_with_target(self) -> bool {
        self.is_failed() || matches!(self, S::Inspecting | S::InspectWait | S::Error | S::Verifying | S::ServiceHold)
    }

    /// Whether an agent may look its node up in this state (Ironic's `restrict_lookup`).
    pub fn allows_lookup(self) -> bool {
        matches!(
            self,
            S::Deploying
                | S::WaitCallBack
                | S::Cleaning
                | S::CleanWait
                | S::Inspecting
                | S::InspectWait
                | S::Rescuing
                | S::RescueWait
                | S::ServiceWait
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pair_of_state_and_event_leads_to_two_states() {
        for (i, (from, event, _)) in TRANSITIONS.iter().enumerate() {
            assert!(!TRANSITIONS[..i].iter().any(|(f, e, _)| f == from && e == event), "{from} {event} twice");
        }
    }

    #[test]
    fn every_state_is_exactly_one_of_stable_transient_wait_hold_and_failed() {
        for state in ProvisionState::ALL {
            let hold = state.as_str().ends_with(" hold");
            let classes = [state.is_stable(), state.is_transient(), state.is_wait(), state.is_failed(), hold];
            assert_eq!(classes.iter().filter(|c| **c).count(), 1, "{state}");
        }
    }

    #[test]
    fn every_transient_and_wait_state_can_fail_by_an_event() {
        for state in ProvisionState::ALL.iter().filter(|s| s.is_transient() || s.is_wait()) {
            let failed = state.after(Event::Fail).or_else(|| state.after(Event::Abort));
            assert!(failed.is_some(), "{state} has no way to fail");
        }
    }
}
