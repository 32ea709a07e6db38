//! What a driver may use: deny by default.
//!
//! | a grant reads | and allows |
//! |---|---|
//! | `power` | all functions of the interface `power` |
//! | `power.get` | this function alone |
//! | `http=GET+POST@https://fw.example.com` | the interface, with these methods to this host |
//! | `artifact=nic-fw-1.2.bin` | the interface, for what the words behind `=` name |
//! | `redfish=/redfish/v1/UpdateService` | the interface, and within it what the words behind `=` name |

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use wrought_domain::artifact::WhichArtifact;

use crate::destination::Destination;

/// The interfaces that an operator grants, with the contract's text, which names their functions.
const INTERFACES: [(&str, &str); 10] = [
    ("agent", include_str!("../../../wit/agent.wit")),
    ("artifact", include_str!("../../../wit/artifact.wit")),
    ("boot", include_str!("../../../wit/boot.wit")),
    ("http", include_str!("../../../wit/http.wit")),
    ("image", include_str!("../../../wit/image.wit")),
    ("locking", include_str!("../../../wit/locking.wit")),
    ("network", include_str!("../../../wit/network.wit")),
    ("power", include_str!("../../../wit/power.wit")),
    ("redfish", include_str!("../../../wit/redfish.wit")),
    ("report", include_str!("../../../wit/report.wit")),
];

/// Capabilities that an operator grants, by the name of the imported interface.
#[allow(clippy::indexing_slicing, reason = "it is computed by the compiler")]
pub const GRANTABLE: [&str; INTERFACES.len()] = {
    let mut names = [""; INTERFACES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = INTERFACES[at].0;
        at += 1;
    }
    names
};

/// Interfaces that need no grant: they reach nothing but the call itself.
pub const FREE: [&str; 6] = ["events", "log", "state", "task", "types", "wait"];

/// The longest text of one grant, bytes.
const MAX_TEXT: usize = 512;

/// What is granted, in the form of the table above.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(BTreeSet<String>);

/// A text that grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAGrant {
    /// It names no capability.
    #[error("unknown capability {0:?}: there are {all}", all = GRANTABLE.join(", "))]
    Capability(String),
    /// The capability has no such function.
    #[error("{capability} has no function {function:?}: there are {all}", all = functions(capability).join(", "))]
    Function {
        /// The capability.
        capability: String,
        /// What was named.
        function: String,
    },
    /// What stands behind `=` means nothing.
    #[error("{capability}={scope}: {why}")]
    Scope {
        /// The capability.
        capability: String,
        /// What was named.
        scope: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
}

/// The functions of a grantable interface, as the contract has them.
pub fn functions(interface: &str) -> Vec<&'static str> {
    let text = INTERFACES.iter().find(|(name, _)| *name == interface).map_or("", |(_, text)| text);
    text.lines().filter_map(|line| line.trim().split_once(": func(")).map(|(name, _)| name.trim_start_matches('%')).collect()
}

/// Whether the words behind `=` mean something to a capability.
fn check_scope(capability: &str, scope: &str) -> Result<(), String> {
    match capability {
        "artifact" => scope.parse::<WhichArtifact>().map(drop).map_err(|error| error.to_string()),
        "http" => scope.parse::<Destination>().map(drop).map_err(|error| error.to_string()),
        "redfish" => shared_path(scope),
        _ => Err(format!("{capability} is granted as a whole, or by function, such as {capability}.{}", functions(capability).join(","))),
    }
}

/// A path of what the machines behind a controller share.
fn shared_path(path: &str) -> Result<(), String> {
    let mut segments = path.strip_prefix("/redfish/v1/").unwrap_or_default().split('/');
    let plain = |segment: &str| {
        segment.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:@(),=".contains(c))
            && segment.contains(|c: char| c.is_ascii_alphanumeric())
    };
    if !segments.clone().all(plain) {
        return Err("give the path of what machines share, such as /redfish/v1/UpdateService, without a slash at its end".into());
    }
    if segments.next().is_some_and(|service| service.eq_ignore_ascii_case("Systems")) {
        return Err("a driver reaches its node's own System only".into());
    }
    Ok(())
}

fn check(text: &str) -> Result<(), NotAGrant> {
    let shown = |text: &str| text.chars().take(80).collect::<String>();
    let (head, scope) = text.split_once('=').map_or((text, None), |(head, scope)| (head, Some(scope)));
    let (capability, function) = head.split_once('.').map_or((head, None), |(capability, function)| (capability, Some(function)));
    if !GRANTABLE.contains(&capability) {
        return Err(NotAGrant::Capability(shown(text)));
    }
    let named = capability.to_owned();
    if let Some(function) = function
        && (scope.is_some() || !functions(capability).contains(&function))
    {
        return Err(NotAGrant::Function { capability: named, function: shown(function) });
    }
    let Some(scope) = scope else { return Ok(()) };
    let long = (text.len() > MAX_TEXT).then(|| format!("it is longer than {MAX_TEXT} bytes"));
    match long.map_or_else(|| check_scope(capability, scope), Err) {
        Ok(()) => Ok(()),
        Err(why) => Err(NotAGrant::Scope { capability: named, scope: shown(scope), why }),
    }
}

impl Grants {
    /// These grants.
    ///
    /// # Errors
    /// The first text that is none.
    pub fn of<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self, NotAGrant> {
        let texts = texts.into_iter().map(|text| text.as_ref().trim().to_owned());
        texts.map(|text| check(&text).map(|()| text)).collect::<Result<_, _>>().map(Self)
    }

    /// Everything that needs no scope: for the tests of drivers.
    pub fn all() -> Self {
        Self(GRANTABLE.iter().map(|name| (*name).to_owned()).collect())
    }

    /// What is granted of an interface: its rest after the name.
    fn rests<'a>(&'a self, interface: &'a str) -> impl Iterator<Item = &'a str> {
        let texts =
            self.0.range::<str, _>((Bound::Included(interface), Bound::Unbounded)).map_while(move |text| text.strip_prefix(interface));
        texts.filter(|rest| rest.is_empty() || rest.starts_with(['.', '=']))
    }

    /// Whether a function of an interface may be called.
    pub fn allow(&self, interface: &str, function: &str) -> bool {
        FREE.contains(&interface) || self.rests(interface).any(|rest| !rest.starts_with('.') || rest.strip_prefix('.') == Some(function))
    }

    /// Whether anything of an interface is granted.
    pub fn allow_any(&self, interface: &str) -> bool {
        FREE.contains(&interface) || self.rests(interface).next().is_some()
    }

    /// What stands behind `=` in the grants of a capability.
    pub fn scopes<'a>(&'a self, capability: &'a str) -> impl Iterator<Item = &'a str> {
        self.rests(capability).filter_map(|rest| rest.strip_prefix('='))
    }

    /// The interfaces that are asked for and of which nothing is granted.
    pub fn missing(&self, requested: &Grants) -> Vec<String> {
        requested.0.iter().filter(|interface| !self.allow_any(interface)).cloned().collect()
    }

    /// Both sets together.
    pub fn union(&self, other: &Grants) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// This set without the other one's texts; a capability by its name takes all that is granted of it.
    pub fn without(&self, other: &Grants) -> Self {
        let taken = |text: &str| {
            let capability = text.split(['.', '=']).next().unwrap_or(text);
            other.0.contains(text) || other.0.contains(capability)
        };
        Self(self.0.iter().filter(|text| !taken(text)).cloned().collect())
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_grant_opens_what_it_names_and_no_more() {
        let grants = Grants::of(["power.get", "boot"]).unwrap();
        assert!(grants.allow("power", "get") && !grants.allow("power", "on") && grants.allow_any("power"));
        assert!(grants.allow("boot", "set-device") && !grants.allow("agent", "run") && grants.allow("state", "set"));
        assert_eq!(grants.missing(&Grants::of(["power", "boot", "agent"]).unwrap()), ["agent"]);
        assert_eq!(Grants::default().missing(&Grants::all()), GRANTABLE);
    }

    #[test]
    fn what_is_taken_back_by_its_name_is_gone_in_every_form() {
        let grants = Grants::of(["power.get", "power.on", "boot"]).unwrap();
        assert_eq!(grants.without(&Grants::of(["power"]).unwrap()).names(), ["boot"]);
        assert_eq!(grants.without(&Grants::of(["power.on"]).unwrap()).names(), ["boot", "power.get"]);
    }

    #[test]
    fn every_interface_has_functions_and_what_is_none_is_named() {
        for interface in GRANTABLE {
            assert!(!functions(interface).is_empty(), "{interface}");
        }
        for (text, says) in [
            ("moon", "unknown capability"),
            ("power.explode", "no function"),
            ("power=all", "as a whole"),
            ("", "unknown capability"),
            ("power.get=x", "no function"),
        ] {
            assert!(Grants::of([text]).unwrap_err().to_string().contains(says), "{text}");
        }
    }
}
