//! Which version of a driver a new operation takes, and when a version on trial has failed.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, Node, NodeId};

/// Versions that are remembered to go back to.
const MAX_FORMER: usize = 50;

/// Operations that a trial may look back on.
pub const MAX_WINDOW: u32 = 1000;

/// What an operator decided about a driver's versions, apart from the one in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// The versions that were in force before, the last one at the end: what a rollback goes back to.
    pub former: Vec<Digest>,
    /// The version on trial.
    pub canary: Option<Canary>,
    /// No new operation begins on the driver.
    pub paused: Option<Paused>,
}

impl Rollout {
    /// Remembers the version that another one takes the place of.
    pub fn leave(&mut self, digest: Digest) {
        self.former.retain(|former| *former != digest);
        self.former.push(digest);
        let over = self.former.len().saturating_sub(MAX_FORMER);
        self.former.drain(..over);
    }

    /// A version takes the place of another one. If it was on trial, it has passed; it is no version to go back to any more.
    pub fn succeed(&mut self, former: Option<Digest>, digest: &Digest) {
        if let Some(former) = former.filter(|former| former != digest) {
            self.leave(former);
        }
        self.former.retain(|former| former != digest);
        if self.canary.as_ref().is_some_and(|canary| canary.digest == *digest) {
            self.canary = None;
        }
    }
}

/// A driver that takes no new operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Why.
    pub reason: String,
    /// On whose behalf.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// A version on trial: it serves a share of the new operations, and is stopped when too many of them fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// The version.
    pub digest: Digest,
    /// The share of the new operations on the selected nodes that take it, in percent.
    pub percent: u8,
    /// The nodes that take part.
    pub selector: Selector,
    /// When it is stopped.
    pub bounds: Bounds,
    /// On whose behalf.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// How its last operations ended, the latest at the end; as many as the window has.
    #[serde(default)]
    pub ended: VecDeque<Ended>,
}

/// When a trial is stopped: when more than this share of its last operations failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Failed operations among the last ones, in percent, that are still borne.
    pub max_failure_percent: u8,
    /// How many operations are looked back on.
    pub window: u32,
    /// Nothing is decided before so many have ended.
    pub min_operations: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_failure_percent: 20, window: 20, min_operations: 3 }
    }
}

/// How an operation on trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The node.
    pub node: NodeId,
    /// Its name, for people.
    pub name: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Why it failed; nothing when it did not.
    pub error: Option<String>,
}

/// A trial that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Operations that failed.
    pub failed: usize,
    /// Operations that were looked at.
    pub of: usize,
    /// The nodes on which they failed, by name or UUID.
    pub nodes: Vec<String>,
    /// Why the last one failed.
    pub last_error: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failed, of, nodes, last_error } = self;
        write!(f, "{failed} of its last {of} operations failed, on {}; the last one because: {last_error}", nodes.join(", "))
    }
}

impl Canary {
    /// Whether a new operation on this node takes the version on trial; `roll` is a number from 0 to 99, by chance.
    pub fn takes(&self, node: &Node, roll: u8) -> bool {
        roll < self.percent && self.selector.matches(node)
    }

    /// Notes how an operation on it ended, and judges whether the trial has failed.
    pub fn note(&mut self, ended: Ended) -> Option<Verdict> {
        let window = usize::try_from(self.bounds.window.clamp(1, MAX_WINDOW)).unwrap_or(1);
        self.ended.push_back(ended);
        while self.ended.len() > window {
            self.ended.pop_front();
        }
        self.verdict()
    }

    fn verdict(&self) -> Option<Verdict> {
        let of = self.ended.len();
        let failed: Vec<&Ended> = self.ended.iter().filter(|ended| ended.error.is_some()).collect();
        let min = usize::try_from(self.bounds.min_operations.max(1)).unwrap_or(usize::MAX);
        let borne = of.saturating_mul(usize::from(self.bounds.max_failure_percent));
        if of < min || failed.len().saturating_mul(100) <= borne {
            return None;
        }
        let mut nodes: Vec<String> = Vec::new();
        for ended in &failed {
            let name = ended.name.clone().unwrap_or_else(|| ended.node.to_string());
            if !nodes.contains(&name) {
                nodes.push(name);
            }
        }
        let last_error = failed.last().and_then(|ended| ended.error.clone()).unwrap_or_default();
        Some(Verdict { failed: failed.len(), of, nodes, last_error })
    }
}

/// Nodes of a kind: all of what it names must be so. One that names nothing selects every node.
///
/// As text: `trait=CUSTOM_GPU,resource_class=baremetal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// The node has all of these traits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<String>,
    /// The project that owns the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The node's resource class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<String>,
    /// The node's conductor group; the empty text is the default group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conductor_group: Option<String>,
}

/// A text that selects no nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} selects no nodes: use trait=NAME, owner=PROJECT, resource_class=CLASS or conductor_group=GROUP, joined by commas")]
pub struct NotASelector(pub String);

impl Selector {
    /// Whether the node is of the kind.
    pub fn matches(&self, node: &Node) -> bool {
        let same = |wanted: &Option<String>, is: Option<&str>| wanted.as_deref().is_none_or(|wanted| Some(wanted) == is);
        self.traits.iter().all(|wanted| node.traits.contains(wanted))
            && same(&self.owner, node.owner.as_deref())
            && same(&self.resource_class, node.resource_class.as_deref())
            && same(&self.conductor_group, Some(&node.conductor_group))
    }
}

impl FromStr for Selector {
    type Err = NotASelector;

    fn from_str(text: &str) -> Result<Self, NotASelector> {
        let mut selector = Self::default();
        for part in text.split(',') {
            let wrong = || NotASelector(part.chars().take(80).collect());
            let (key, value) = part.trim().split_once('=').ok_or_else(wrong)?;
            let value = value.trim().to_owned();
            match key.trim() {
                "trait" => selector.traits.push(value),
                "owner" => selector.owner = Some(value),
                "resource_class" => selector.resource_class = Some(value),
                "conductor_group" => selector.conductor_group = Some(value),
                _ => return Err(wrong()),
            }
        }
        Ok(selector)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("owner", &self.owner), ("resource_class", &self.resource_class), ("conductor_group", &self.conductor_group)];
        let traits = self.traits.iter().map(|name| format!("trait={name}"));
        let named = named.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}")));
        f.write_str(&traits.chain(named).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn digest(byte: u8) -> Digest {
        format!("sha256:{}", format!("{byte:02x}").repeat(32)).parse().unwrap()
    }

    fn canary(percent: u8, selector: &str, bounds: Bounds) -> Canary {
        let selector = if selector.is_empty() { Selector::default() } else { selector.parse().unwrap() };
        Canary { digest: digest(1), percent, selector, bounds, by: "ada".into(), at: Timestamp::UNIX_EPOCH, ended: VecDeque::new() }
    }

    fn ended(name: &str, error: Option<&str>) -> Ended {
        let error = error.map(str::to_owned);
        Ended { node: NodeId(uuid::Uuid::nil()), name: Some(name.into()), at: Timestamp::UNIX_EPOCH, error }
    }

    #[test]
    fn a_share_of_the_selected_nodes_takes_part() {
        let mut node =
            Node::new(NodeId(uuid::Uuid::nil()), "fake-hardware", crate::hardware_type::FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        node.traits = vec!["CUSTOM_GPU".into(), "CUSTOM_BIG".into()];
        node.resource_class = Some("gold".into());
        let share = |canary: &Canary| (0..100).filter(|roll| canary.takes(&node, *roll)).count();
        assert_eq!(share(&canary(20, "", Bounds::default())), 20);
        assert_eq!(share(&canary(100, "trait=CUSTOM_GPU,resource_class=gold,conductor_group=", Bounds::default())), 100);
        assert_eq!(share(&canary(100, "trait=CUSTOM_GPU,trait=CUSTOM_RED", Bounds::default())), 0);
        assert_eq!(share(&canary(100, "owner=ada", Bounds::default())), 0);
    }

    #[test]
    fn a_selector_reads_as_it_is_written() {
        for text in ["trait=CUSTOM_GPU,owner=ada,resource_class=gold,conductor_group=eu", "conductor_group="] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for text in ["", "gold", "colour=red", "trait=A,,owner=b"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_trial_fails_by_the_rate_within_its_window_and_names_the_nodes() {
        let bounds = Bounds { max_failure_percent: 20, window: 10, min_operations: 5 };
        let mut trial = canary(20, "", bounds);
        for name in ["a", "b", "c"] {
            assert_eq!(trial.note(ended(name, Some("no disk"))), None, "too few to judge");
        }
        assert_eq!(trial.note(ended("d", None)), None);
        let verdict = trial.note(ended("e", None)).unwrap();
        assert_eq!((verdict.failed, verdict.of, verdict.nodes.join("")), (3, 5, "abc".into()));
        assert!(verdict.to_string().contains("3 of its last 5 operations failed, on a, b, c") && verdict.to_string().contains("no disk"));
        let mut trial = canary(20, "", bounds);
        for turn in 0..100 {
            let error = (turn % 5 == 4).then_some("now and then");
            assert_eq!(trial.note(ended("n", error)), None, "one in five is borne");
        }
        assert_eq!(trial.ended.len(), 10);
    }

    #[test]
    fn the_version_to_go_back_to_is_the_last_one_left() {
        let mut rollout = Rollout::default();
        for byte in [1, 2, 3, 1] {
            rollout.leave(digest(byte));
        }
        assert_eq!(rollout.former, [digest(2), digest(3), digest(1)]);
        (0..=255).for_each(|byte| rollout.leave(digest(byte)));
        assert_eq!(rollout.former.len(), MAX_FORMER);
    }
}
