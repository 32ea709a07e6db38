//! What a driver may use: deny by default.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Capabilities that an operator grants, by the name of the imported interface.
pub const GRANTABLE: [&str; 7] = ["agent", "boot", "image", "locking", "network", "power", "report"];

/// Interfaces that need no grant: they reach nothing but the call itself.
pub const FREE: [&str; 6] = ["events", "log", "state", "task", "types", "wait"];

/// A set of capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(BTreeSet<String>);

/// A name that is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}: there are {all}", all = GRANTABLE.join(", "))]
pub struct UnknownCapability(pub String);

impl Grants {
    /// These capabilities.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, UnknownCapability> {
        names
            .into_iter()
            .map(|name| {
                let name = name.as_ref().trim();
                if GRANTABLE.contains(&name) { Ok(name.to_owned()) } else { Err(UnknownCapability(name.chars().take(80).collect())) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Everything: for the tests of drivers, and for the table of shipped drivers.
    pub fn all() -> Self {
        Self(GRANTABLE.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Whether an interface may be used.
    pub fn allow(&self, interface: &str) -> bool {
        FREE.contains(&interface) || self.0.contains(interface)
    }

    /// What is asked for and not granted.
    pub fn missing(&self, requested: &Grants) -> Vec<String> {
        requested.0.difference(&self.0).cloned().collect()
    }

    /// Both sets together.
    pub fn union(&self, other: &Grants) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}
