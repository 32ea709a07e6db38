//! Deploy and clean steps, and how a plan is made of them.
//!
//! Source: Ironic's `conductor/steps.py`: order by priority, then by interface.

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
    /// What it takes.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// What it is given.
    #[serde(default)]
    pub args: Map,
    /// The driver that offers it, among those of the node.
    #[serde(default)]
    pub offered_by: Option<crate::DriverName>,
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
}

impl Step {
    /// `interface.step`, for people.
    pub fn id(&self) -> String {
        format!("{}.{}", self.interface, self.step)
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

    fn asked(&self, call: &StepCall) -> Self {
        Step { args: call.args.clone(), priority: call.priority.unwrap_or(self.priority), ..self.clone() }
    }
}

/// Ties between equal priorities are broken by interface, higher first.
fn interface_priority(interface: &str) -> u32 {
    match interface {
        "vendor" => 7,
        "power" => 6,
        "management" => 5,
        "firmware" => 4,
        "deploy" => 3,
        "bios" => 2,
        "raid" => 1,
        _ => 0,
    }
}

/// Sorts by priority, then by interface, higher first; equal steps keep their order.
pub fn sort(steps: &mut [Step]) {
    steps.sort_by_key(|step| std::cmp::Reverse((step.priority, interface_priority(&step.interface))));
}

fn find<'a>(offered: &'a [Step], call: &StepCall) -> Result<&'a Step, PlanError> {
    offered.iter().find(|s| s.is(&call.interface, &call.step)).ok_or_else(|| PlanError::UnknownStep {
        interface: call.interface.clone(),
        step: call.step.clone(),
        offered: offered.iter().map(Step::id).collect::<Vec<_>>().join(", "),
    })
}

/// The steps of an automated cleaning: all with a priority, in order.
pub fn automated(offered: &[Step]) -> Vec<Step> {
    let mut plan: Vec<Step> = offered.iter().filter(|s| s.priority > 0).cloned().collect();
    sort(&mut plan);
    plan
}

/// The steps of a manual cleaning: as asked for, in the given order.
///
/// # Errors
/// A step that nobody offers, or arguments that it does not take.
pub fn manual(offered: &[Step], asked: &[StepCall]) -> Result<Vec<Step>, PlanError> {
    asked
        .iter()
        .map(|call| {
            let step = find(offered, call)?;
            step.check_args(&call.args)?;
            Ok(step.asked(call))
        })
        .collect()
}

/// The steps of a deployment: the driver's, with those replaced, added or (priority 0) removed
/// that the user asked for. While the agent is not up yet, steps that nobody offers so far are
/// left out (`complete` is false); the agent may offer them later.
///
/// # Errors
/// As [`manual`]; an unknown step only when `complete`.
pub fn deployment(offered: &[Step], asked: &[StepCall], complete: bool) -> Result<Vec<Step>, PlanError> {
    let mut plan: Vec<Step> = offered.iter().filter(|s| !asked.iter().any(|call| s.is(&call.interface, &call.step))).cloned().collect();
    for call in asked {
        match find(offered, call) {
            Ok(step) => {
                if call.priority != Some(0) {
                    step.check_args(&call.args)?;
                }
                plan.push(step.asked(call));
            }
            Err(_) if !complete => {}
            Err(unknown) => return Err(unknown),
        }
    }
    Ok(automated(&plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(interface: &str, name: &str, priority: u32) -> Step {
        Step {
            interface: interface.into(),
            step: name.into(),
            priority,
            abortable: true,
            requires_ramdisk: true,
            arguments: vec![Argument { name: "level".into(), description: String::new(), required: false, kind: ArgumentType::Integer }],
            args: Map::new(),
            offered_by: None,
        }
    }

    fn call(interface: &str, name: &str, priority: Option<u32>, args: serde_json::Value) -> StepCall {
        StepCall { interface: interface.into(), step: name.into(), args: args.as_object().cloned().unwrap_or_default(), priority }
    }

    fn ids(plan: &[Step]) -> Vec<String> {
        plan.iter().map(Step::id).collect()
    }

    #[test]
    fn steps_are_ordered_by_priority_then_by_interface() {
        let offered = [step("raid", "a", 10), step("vendor", "b", 10), step("deploy", "c", 99), step("bios", "off", 0)];
        assert_eq!(ids(&automated(&offered)), ["deploy.c", "vendor.b", "raid.a"]);
    }

    #[test]
    fn a_manual_plan_keeps_the_given_order_and_refuses_what_nobody_offers() {
        let offered = [step("deploy", "a", 1), step("bios", "b", 9)];
        let plan = manual(&offered, &[call("deploy", "a", None, json!({"level": 2})), call("bios", "b", None, json!({}))]).unwrap();
        assert_eq!(ids(&plan), ["deploy.a", "bios.b"]);
        assert_eq!(plan[0].args["level"], 2);
        let refused = manual(&offered, &[call("deploy", "erase", None, json!({}))]).unwrap_err();
        assert_eq!(refused.to_string(), "node does not support step deploy.erase; it offers: deploy.a, bios.b");
    }

    #[test]
    fn arguments_are_checked_against_the_declaration() {
        let offered = [step("deploy", "a", 1)];
        let wrong = manual(&offered, &[call("deploy", "a", None, json!({"level": "high"}))]);
        assert!(matches!(wrong, Err(PlanError::WrongArgument { .. })));
        let unexpected = manual(&offered, &[call("deploy", "a", None, json!({"speed": 1}))]);
        assert!(matches!(unexpected, Err(PlanError::UnexpectedArgument { .. })));
    }

    #[test]
    fn user_steps_replace_add_and_remove_deploy_steps() {
        let offered = [step("deploy", "deploy", 100), step("deploy", "write_image", 80), step("raid", "apply", 0)];
        let asked = [call("deploy", "write_image", Some(0), json!({})), call("raid", "apply", Some(95), json!({}))];
        assert_eq!(ids(&deployment(&offered, &asked, true).unwrap()), ["deploy.deploy", "raid.apply"]);
        let later = [call("vendor", "in_band", Some(90), json!({}))];
        assert_eq!(ids(&deployment(&offered, &later, false).unwrap()), ["deploy.deploy", "deploy.write_image"]);
        assert!(deployment(&offered, &later, true).is_err());
    }
}
