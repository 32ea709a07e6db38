//! Deploy templates and runbooks: lists of steps that operators keep under a name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Map, Node, StepCall};

/// Steps that change the plan of a deployment whose instance asks for a trait; Ironic's deploy template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployTemplate {
    /// Its identity.
    pub uuid: Uuid,
    /// The trait that asks for it.
    pub name: String,
    /// Each with a priority.
    pub steps: Vec<StepCall>,
    /// Whatever clients keep with it.
    pub extra: Map,
    /// For people.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
}

/// A step of a runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunbookStep {
    /// What is to be executed; it has no priority.
    #[serde(flatten)]
    pub call: StepCall,
    /// Lower runs earlier.
    pub order: u32,
}

/// The steps of a manual cleaning or a service, for the nodes that they are meant for; Ironic's runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// Its identity.
    pub uuid: Uuid,
    /// Unique.
    pub name: String,
    /// As given; see [`Runbook::calls`].
    pub steps: Vec<RunbookStep>,
    /// Run the steps without booting the agent.
    pub disable_ramdisk: bool,
    /// Whatever clients keep with it.
    pub extra: Map,
    /// Whether every project sees it.
    pub public: bool,
    /// The project that it belongs to.
    pub owner: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// It is meant for nodes that have one of these.
    pub traits: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
}

/// Why a runbook may not be used on a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum Unfit {
    #[error("Runbook {0} has no traits, so it is meant for no node; add one that the node has.")]
    NoTraits(String),
    #[error("Runbook {runbook} is not meant for node {node}: the node has none of the traits {traits}.")]
    OtherTraits { runbook: String, node: String, traits: String },
    #[error("Runbook {runbook} is not meant for node {node}: its name is none of the node's traits.")]
    NotNamed { runbook: String, node: String },
}

impl Runbook {
    /// The steps in the order in which they run.
    pub fn calls(&self) -> Vec<StepCall> {
        let mut steps: Vec<&RunbookStep> = self.steps.iter().collect();
        steps.sort_by_key(|step| step.order);
        steps.into_iter().map(|step| step.call.clone()).collect()
    }

    /// Whether it is meant for the node: they share a trait, or, for clients that know no traits of runbooks (`by_name`), its name
    /// is one of the node's traits.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check(&self, node: &Node, by_name: bool) -> Result<(), Unfit> {
        let (runbook, id) = (self.name.clone(), node.uuid.to_string());
        if by_name {
            return if node.traits.contains(&self.name) { Ok(()) } else { Err(Unfit::NotNamed { runbook, node: id }) };
        }
        if self.traits.is_empty() {
            return Err(Unfit::NoTraits(runbook));
        }
        match self.traits.iter().any(|name| node.traits.contains(name)) {
            true => Ok(()),
            false => Err(Unfit::OtherTraits { runbook, node: id, traits: self.traits.join(", ") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use crate::hardware_type::FAKE_HARDWARE;

    fn step(name: &str, order: u32) -> RunbookStep {
        let call = StepCall { interface: "bios".into(), step: name.into(), args: Map::new(), priority: None, children: None };
        RunbookStep { call, order }
    }

    fn runbook(traits: &[&str]) -> Runbook {
        Runbook {
            uuid: Uuid::from_u128(7),
            name: "CUSTOM_BOOK".into(),
            steps: vec![step("b", 2), step("a", 1), step("c", 2)],
            disable_ramdisk: false,
            extra: Map::new(),
            public: false,
            owner: None,
            description: None,
            traits: traits.iter().map(|name| (*name).to_owned()).collect(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: None,
        }
    }

    #[test]
    fn steps_run_by_their_order_and_equal_ones_as_given() {
        let names: Vec<String> = runbook(&[]).calls().into_iter().map(|call| call.step).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn a_runbook_is_for_nodes_that_share_a_trait_or_are_named_like_it() {
        let mut node = Node::new(NodeId(Uuid::from_u128(1)), "fake-hardware", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        assert!(matches!(runbook(&[]).check(&node, false), Err(Unfit::NoTraits(_))));
        assert!(matches!(runbook(&["CUSTOM_A"]).check(&node, false), Err(Unfit::OtherTraits { .. })));
        assert!(matches!(runbook(&["CUSTOM_A"]).check(&node, true), Err(Unfit::NotNamed { .. })));
        node.traits = vec!["CUSTOM_A".into(), "CUSTOM_BOOK".into()];
        assert_eq!(runbook(&["CUSTOM_B", "CUSTOM_A"]).check(&node, false), Ok(()));
        assert_eq!(runbook(&[]).check(&node, true), Ok(()));
    }
}
