//! The verbs of `PUT /v1/nodes/{node}/states/provision`.

use crate::state::{Event, ProvisionState, UnknownName};
use std::fmt;
use std::str::FromStr;

/// A verb, by its API name; aliases are mapped (`deploy` is `active`, `undeploy` is `deleted`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Ironic's own")]
pub enum Verb {
    Active,
    Rebuild,
    Deleted,
    Manage,
    Provide,
    Inspect,
    Clean,
    Adopt,
    Abort,
    Rescue,
    Unrescue,
    Unhold,
    Service,
}

impl Verb {
    /// The event that the verb stands for.
    pub fn event(self) -> Event {
        match self {
            Verb::Active => Event::Deploy,
            Verb::Rebuild => Event::Rebuild,
            Verb::Deleted => Event::Delete,
            Verb::Manage => Event::Manage,
            Verb::Provide => Event::Provide,
            Verb::Inspect => Event::Inspect,
            Verb::Clean => Event::Clean,
            Verb::Adopt => Event::Adopt,
            Verb::Abort => Event::Abort,
            Verb::Rescue => Event::Rescue,
            Verb::Unrescue => Event::Unrescue,
            Verb::Unhold => Event::Unhold,
            Verb::Service => Event::Service,
        }
    }

    /// The states from which an API user may ask for the verb. `deleting` and `cleaning` take
    /// the events `clean` and `manage` from the host alone.
    pub fn allowed_from(self, state: ProvisionState) -> bool {
        !matches!(state, ProvisionState::Deleting | ProvisionState::Cleaning) && state.after(self.event()).is_some()
    }

    /// Every verb.
    pub const ALL: &'static [Verb] = &[
        Verb::Active,
        Verb::Rebuild,
        Verb::Deleted,
        Verb::Manage,
        Verb::Provide,
        Verb::Inspect,
        Verb::Clean,
        Verb::Adopt,
        Verb::Abort,
        Verb::Rescue,
        Verb::Unrescue,
        Verb::Unhold,
        Verb::Service,
    ];

    /// The first API minor version that knows this spelling of the verb.
    pub fn min_minor(spelling: &str) -> Option<u16> {
        Some(match spelling {
            "active" | "deleted" | "rebuild" => 1,
            "manage" | "provide" => 4,
            "inspect" => 6,
            "abort" => 13,
            "clean" => 15,
            "adopt" => 17,
            "rescue" | "unrescue" => 38,
            "deploy" | "undeploy" => 73,
            "unhold" => 85,
            "service" => 87,
            _ => return None,
        })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Active => "active",
            Verb::Rebuild => "rebuild",
            Verb::Deleted => "deleted",
            Verb::Manage => "manage",
            Verb::Provide => "provide",
            Verb::Inspect => "inspect",
            Verb::Clean => "clean",
            Verb::Adopt => "adopt",
            Verb::Abort => "abort",
            Verb::Rescue => "rescue",
            Verb::Unrescue => "unrescue",
            Verb::Unhold => "unhold",
            Verb::Service => "service",
        })
    }
}

impl FromStr for Verb {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "deploy" => Ok(Verb::Active),
            "undeploy" => Ok(Verb::Deleted),
            _ => Self::ALL
                .iter()
                .copied()
                .find(|verb| verb.to_string() == text)
                .ok_or_else(|| UnknownName { what: "provision action", name: text.chars().take(80).collect() }),
        }
    }
}
