//! Between the contract's types and the domain's.

use wrought_domain::step::{Argument, ArgumentType};
use wrought_domain::{Map, Step, StepCall};

use crate::capability::escaped;
use crate::contract::types;

/// Bytes of names that a driver gives.
const MAX_NAME: usize = 128;

/// Steps that a driver may offer.
pub(crate) const MAX_STEPS: usize = 256;

/// Arguments that a step may take.
const MAX_ARGUMENTS: usize = 64;

/// Interfaces that may provide steps.
const INTERFACES: [&str; 7] = ["bios", "deploy", "firmware", "management", "power", "raid", "vendor"];

pub(crate) fn step_call(call: &StepCall) -> types::StepCall {
    types::StepCall {
        interface: call.interface.clone(),
        step: call.step.clone(),
        args: serde_json::Value::Object(call.args.clone()).to_string(),
    }
}

/// A driver's list of steps.
///
/// # Errors
/// What is wrong with it, for people.
pub fn steps(given: Vec<types::Step>) -> Result<Vec<Step>, String> {
    if given.len() > MAX_STEPS {
        return Err(format!("it offers {} steps; at most {MAX_STEPS} are allowed", given.len()));
    }
    let mut steps: Vec<Step> = Vec::with_capacity(given.len());
    for step in given {
        let step = self::step(step)?;
        if steps.iter().any(|other| other.is(&step.interface, &step.step)) {
            return Err(format!("it offers step {} twice", step.id()));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn step(given: types::Step) -> Result<Step, String> {
    if !INTERFACES.contains(&given.interface.as_str()) {
        return Err(format!("step {:?} has the unknown interface {:?}", clip(&given.step), clip(&given.interface)));
    }
    if given.step.is_empty() || given.step.len() > MAX_NAME || given.step.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("{:?} is no name of a step", clip(&given.step)));
    }
    if given.arguments.len() > MAX_ARGUMENTS {
        return Err(format!("step {:?} takes more than {MAX_ARGUMENTS} arguments", clip(&given.step)));
    }
    Ok(Step {
        interface: given.interface,
        step: given.step,
        priority: given.priority,
        abortable: given.abortable,
        requires_ramdisk: given.requires_ramdisk,
        arguments: given.arguments.into_iter().map(argument).collect(),
        args: Map::new(),
        offered_by: None,
    })
}

fn argument(given: types::Argument) -> Argument {
    Argument {
        name: escaped(&clip(&given.name)),
        description: escaped(&wrought_domain::node::cut(&given.description, 1024)),
        required: given.required,
        kind: match given.type_ {
            types::ArgumentType::Text => ArgumentType::Text,
            types::ArgumentType::Integer => ArgumentType::Integer,
            types::ArgumentType::Number => ArgumentType::Number,
            types::ArgumentType::Boolean => ArgumentType::Boolean,
            types::ArgumentType::Object => ArgumentType::Object,
            types::ArgumentType::Array => ArgumentType::Array,
            types::ArgumentType::Any => ArgumentType::Any,
        },
    }
}

fn clip(text: &str) -> String {
    wrought_domain::node::cut(text, MAX_NAME)
}
