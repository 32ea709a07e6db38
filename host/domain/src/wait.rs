//! Conditions that an operation waits for.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{NodeId, OperationId};

/// What must be true for a waiting operation to go on (`wit/wait.wit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// An agent session newer than the operation's last power action has sent a heartbeat.
    AgentBooted,
    /// The agent's command does not run any more, or is forgotten.
    AgentCommand {
        /// The agent's id of the command.
        id: String,
    },
    /// The controller reports this power state twice in a row.
    Power {
        /// `true` is on.
        on: bool,
    },
    /// The time has come.
    Until {
        /// When.
        at: Timestamp,
    },
    /// The lock that nodes share is held by this operation.
    Lock {
        /// The lock.
        name: String,
    },
    /// The operation holds its node exclusively.
    Exclusive,
    /// A task of the node's controller has ended, or is gone.
    BmcTask {
        /// Path of the task, or of its monitor.
        path: String,
    },
    /// A file of this operation's is not on its way to the controller any more.
    ArtifactPush {
        /// The push.
        push: String,
    },
    /// The agent has sent a heartbeat since this moment: it is back, or has ended its command.
    Heartbeat {
        /// Heartbeats before do not count.
        since: Timestamp,
    },
    /// It is the operation's turn: the operator's limit on concurrent operations has room for it.
    Turn,
    /// An operator says `unhold`.
    Unhold,
    /// The agent has posted what it found on the machine since this moment.
    InspectionData {
        /// What was posted before does not count.
        since: Timestamp,
    },
    /// An operation on another node, a child of this one, has ended.
    Operation {
        /// The other node.
        node: NodeId,
        /// The operation.
        id: OperationId,
    },
    /// Any of these.
    Any(Vec<Condition>),
}

/// What is waited for, for people: it completes "waits for".
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::AgentBooted => f.write_str("the agent to boot and to call"),
            Condition::AgentCommand { .. } => f.write_str("the agent to end what it does"),
            Condition::Power { on } => write!(f, "the machine to be powered {}", if *on { "on" } else { "off" }),
            Condition::Until { at } => write!(f, "{at}"),
            Condition::Lock { name } => write!(f, "the lock {name}"),
            Condition::Exclusive => f.write_str("the node's lock"),
            Condition::BmcTask { path } => write!(f, "the controller's task {path}"),
            Condition::ArtifactPush { .. } => f.write_str("a file to reach the controller"),
            Condition::Heartbeat { .. } => f.write_str("the agent to be heard again"),
            Condition::Turn => f.write_str("its turn: as many operations as the operator allows are at work"),
            Condition::Unhold => f.write_str("an operator to say `unhold`"),
            Condition::InspectionData { .. } => f.write_str("the agent to post what it found"),
            Condition::Operation { node, .. } => write!(f, "an operation on node {node}"),
            Condition::Any(any) => {
                for (at, condition) in any.iter().enumerate() {
                    write!(f, "{}{condition}", if at > 0 { ", or for " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// A condition and when it runs out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// What is waited for.
    pub condition: Condition,
    /// Seconds until the wait ends as timed out; 0 stands for the operator's default.
    pub timeout_s: u32,
}

impl Condition {
    /// Whether the end can only be seen by asking the machine again and again.
    pub fn needs_polling(&self) -> bool {
        match self {
            Condition::Power { .. } | Condition::AgentCommand { .. } | Condition::Lock { .. } => true,
            Condition::Exclusive | Condition::BmcTask { .. } | Condition::ArtifactPush { .. } => true,
            Condition::Operation { .. } => true,
            Condition::AgentBooted | Condition::Until { .. } | Condition::Heartbeat { .. } => false,
            Condition::Turn | Condition::Unhold | Condition::InspectionData { .. } => false,
            Condition::Any(any) => any.iter().any(Condition::needs_polling),
        }
    }

    /// Whether the agent is what is waited for: then the operator's call-back time-out holds, and each heartbeat begins it anew.
    pub fn waits_for_agent(&self) -> bool {
        match self {
            Condition::AgentBooted | Condition::AgentCommand { .. } | Condition::Heartbeat { .. } => true,
            Condition::Any(any) => any.iter().any(Condition::waits_for_agent),
            _ => false,
        }
    }

    /// Whether a lock is waited for.
    pub fn waits_for_lock(&self) -> bool {
        match self {
            Condition::Lock { .. } => true,
            Condition::Any(any) => any.iter().any(Condition::waits_for_lock),
            _ => false,
        }
    }

    /// The earliest moment that is part of the condition.
    pub fn earliest(&self) -> Option<Timestamp> {
        match self {
            Condition::Until { at } => Some(*at),
            Condition::Any(any) => any.iter().filter_map(Condition::earliest).min(),
            _ => None,
        }
    }
}
