//! Steps: what drivers offer, what is asked for, and which arguments they take. Plans are made of them in [`crate::plan`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Map;
use crate::mask::masked;

/// An argument that a step takes; Ironic's `argsinfo` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// The key in `args`.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether the step refuses to run without it.
    pub required: bool,
    /// What it must be.
    #[serde(rename = "type")]
    pub kind: ArgumentType,
}

/// The type of an argument's JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "JSON's own types")]
pub enum ArgumentType {
    Text,
    Integer,
    Number,
    Boolean,
    Object,
    Array,
    Any,
}

impl ArgumentType {
    fn admits(self, value: &serde_json::Value) -> bool {
        match self {
            ArgumentType::Text => value.is_string(),
            ArgumentType::Integer => value.is_i64() || value.is_u64(),
            ArgumentType::Number => value.is_number(),
            ArgumentType::Boolean => value.is_boolean(),
            ArgumentType::Object => value.is_object(),
            ArgumentType::Array => value.is_array(),
            ArgumentType::Any => true,
        }
    }
}

/// A step that a driver offers. `(interface, step)` is its identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `deploy`, `raid`, `bios`, `management`, `power`, `firmware` or `vendor`.
    pub interface: String,
    /// Its name within the interface.
    pub step: String,
    /// Higher runs earlier; 0 runs only when asked for.
    pub priority: u32,
    /// Whether an abort may end the operation while the step waits.
    pub abortable: bool,
    /// Whether the machine must be booted into the agent.
    pub requires_ramdisk: bool,
    /// Whether the machine has to be rebooted into the agent after it.
    #[serde(default)]
    pub reboot_requested: bool,
    /// What it takes.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// What it is given.
    #[serde(default)]
    pub args: Map,
    /// The driver that offers it, among those of the node. Nothing for steps that the host itself executes.
    #[serde(default)]
    pub offered_by: Option<crate::DriverName>,
    /// Executed on the node's children in its stead.
    #[serde(default)]
    pub children: Option<Children>,
}

/// The children of a node that a step is executed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Children {
    /// Every node whose `parent_node` is this node.
    All,
    /// These of them (`limit_child_node_execution`).
    Only(Vec<uuid::Uuid>),
}

/// What the host itself executes in the place of a driver, whatever the step's interface (Ironic's reserved steps).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// `power_on`.
    PowerOn,
    /// `power_off`.
    PowerOff,
    /// `reboot`: off and on.
    Reboot,
    /// `hold`: rest until an operator says `unhold`.
    Hold,
    /// `wait`: for `args.seconds`, or for the agent's next heartbeat.
    Wait,
}

impl Reserved {
    /// The reserved step of this name.
    pub fn named(step: &str) -> Option<Self> {
        Some(match step {
            "power_on" => Self::PowerOn,
            "power_off" => Self::PowerOff,
            "reboot" => Self::Reboot,
            "hold" => Self::Hold,
            "wait" => Self::Wait,
            _ => return None,
        })
    }
}

/// A step that an API user asks for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCall {
    /// See [`Step::interface`].
    pub interface: String,
    /// See [`Step::step`].
    pub step: String,
    /// The arguments.
    #[serde(default)]
    pub args: Map,
    /// Deploy steps only: where it comes in the plan; 0 removes the driver's step of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Executed on the node's children in its stead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Children>,
}

// Arguments may be secrets, such as the password of a set-up.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("interface", &self.interface)
            .field("step", &self.step)
            .field("priority", &self.priority)
            .field("args", &masked(&self.args))
            .field("offered_by", &self.offered_by)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StepCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepCall")
            .field("interface", &self.interface)
            .field("step", &self.step)
            .field("args", &masked(&self.args))
            .field("priority", &self.priority)
            .finish()
    }
}

/// Why a plan cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No driver offers the step.
    #[error("node does not support step {interface}.{step}; it offers: {offered}")]
    UnknownStep {
        /// The step's interface.
        interface: String,
        /// The step's name.
        step: String,
        /// What is offered, comma-separated.
        offered: String,
    },
    /// An argument that the step does not take.
    #[error("step {interface}.{step} takes no argument {argument:?}")]
    UnexpectedArgument {
        /// The step's interface.
        interface: String,
        /// The step's name.
        step: String,
        /// The argument.
        argument: String,
    },
    /// An argument that the step needs.
    #[error("step {interface}.{step} needs the argument {argument:?}")]
    MissingArgument {
        /// The step's interface.
        interface: String,
        /// The step's name.
        step: String,
        /// The argument.
        argument: String,
    },
    /// An argument of the wrong type.
    #[error("step {interface}.{step}: argument {argument:?} has the wrong type")]
    WrongArgument {
        /// The step's interface.
        interface: String,
        /// The step's name.
        step: String,
        /// The argument.
        argument: String,
    },
    /// The operator denies the step.
    #[error("the step {interface}.{step} is not allowed")]
    Denied {
        /// The step's interface.
        interface: String,
        /// The step's name.
        step: String,
    },
    /// A step of a deployment is named twice.
    #[error("the step {interface}.{step} is named more than once")]
    Twice {
        /// The step's interface.
        interface: String,
        /// The step's name.
        step: String,
    },
    /// The core step of a deployment is asked for.
    #[error("the core step deploy.deploy can not be requested; it can only be disabled with priority 0")]
    Core,
}

impl StepCall {
    /// `interface.step`, for people.
    pub fn id(&self) -> String {
        format!("{}.{}", self.interface, self.step)
    }

    /// Whether both ask for the same step of the same nodes, whatever their arguments.
    pub fn names(&self, other: &StepCall) -> bool {
        self.interface == other.interface && self.step == other.step && self.children == other.children
    }
}

impl Step {
    /// `interface.step`, for people.
    pub fn id(&self) -> String {
        format!("{}.{}", self.interface, self.step)
    }

    /// What the host executes itself, if this is such a step.
    pub fn reserved(&self) -> Option<Reserved> {
        Reserved::named(&self.step)
    }

    /// Whether both are the same step, whatever their priority.
    pub fn is(&self, interface: &str, step: &str) -> bool {
        self.interface == interface && self.step == step
    }

    /// Checks arguments against what the step declares.
    ///
    /// # Errors
    /// The first argument that is unknown, missing or of the wrong type.
    pub fn check_args(&self, args: &Map) -> Result<(), PlanError> {
        let (interface, step) = (self.interface.clone(), self.step.clone());
        for (name, value) in args {
            match self.arguments.iter().find(|a| a.name == *name) {
                None => return Err(PlanError::UnexpectedArgument { interface, step, argument: name.clone() }),
                Some(a) if !a.kind.admits(value) => return Err(PlanError::WrongArgument { interface, step, argument: name.clone() }),
                Some(_) => {}
            }
        }
        match self.arguments.iter().find(|a| a.required && !args.contains_key(&a.name)) {
            Some(a) => Err(PlanError::MissingArgument { interface, step, argument: a.name.clone() }),
            None => Ok(()),
        }
    }
}
