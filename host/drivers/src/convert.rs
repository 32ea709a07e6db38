//! Between the contract's types and the domain's.

use serde_json::Value;
use wrought_domain::step::{Argument, ArgumentType};
use wrought_domain::{Function, Map, Step, StepCall};

use crate::capability::escaped;
use crate::contract::{GivenMethod, types};
use crate::driver::Method;

/// Bytes of names that a driver gives.
const MAX_NAME: usize = 128;

/// Steps that a driver may offer.
pub(crate) const MAX_STEPS: usize = 256;

/// Arguments that a step may take.
const MAX_ARGUMENTS: usize = 64;

/// Interfaces that may provide verify steps, those of [`INTERFACES`] included.
const VERIFY_INTERFACES: [&str; 13] =
    ["bios", "boot", "console", "deploy", "firmware", "inspect", "management", "network", "power", "raid", "rescue", "storage", "vendor"];

/// Interfaces that may provide service steps.
const SERVICE_INTERFACES: [&str; 8] = ["bios", "deploy", "firmware", "management", "network", "power", "raid", "vendor"];

/// Interfaces that may provide deploy and clean steps.
const INTERFACES: [&str; 7] = ["bios", "deploy", "firmware", "management", "power", "raid", "vendor"];

/// Methods of its own that a driver may have.
const MAX_METHODS: usize = 64;

/// What a method may be called with.
const HTTP_METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

pub(crate) fn step_call(call: &StepCall) -> types::StepCall {
    types::StepCall {
        interface: call.interface.clone(),
        step: call.step.clone(),
        args: serde_json::Value::Object(call.args.clone()).to_string(),
    }
}

/// A call of a method of the vendor's own, in the form in which calls carry a step: `(vendor, method)` with `http_method` and `body`.
pub fn passthru_call(method: &str, http_method: &str, body: Value) -> StepCall {
    let args = [("http_method".to_owned(), Value::from(http_method)), ("body".to_owned(), body)];
    let (interface, step) = ("vendor".into(), method.to_owned());
    StepCall { interface, step, args: args.into_iter().collect(), priority: None, children: None }
}

/// A driver's methods of its own.
pub(crate) fn methods(given: Vec<GivenMethod>) -> Result<Vec<Method>, String> {
    if given.len() > MAX_METHODS {
        return Err(format!("it has {} methods of its own; at most {MAX_METHODS} are allowed", given.len()));
    }
    let mut methods: Vec<Method> = Vec::with_capacity(given.len());
    for method in given {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if method.name.is_empty() || method.name.len() > 64 || !method.name.chars().all(plain) {
            return Err(format!("{:?} is no name of a method", clip(&method.name)));
        }
        if methods.iter().any(|other| other.name == method.name) {
            return Err(format!("it has method {} twice", method.name));
        }
        if method.http_methods.is_empty() || method.http_methods.iter().any(|verb| !HTTP_METHODS.contains(&verb.as_str())) {
            return Err(format!("method {} is called with one or more of {}", method.name, HTTP_METHODS.join(", ")));
        }
        let mut http_methods = method.http_methods;
        http_methods.sort_unstable();
        http_methods.dedup();
        let description = escaped(&wrought_domain::node::cut(&method.description, 1024));
        methods.push(Method { name: method.name, description, http_methods, effects: method.effects });
    }
    Ok(methods)
}

/// The steps that a driver can offer at all.
///
/// # Errors
/// What is wrong with the list, for people.
pub fn steps(given: Vec<types::Step>) -> Result<Vec<Step>, String> {
    steps_of(given, &VERIFY_INTERFACES)
}

/// The steps that a function lists.
pub(crate) fn listed(function: Function, given: Vec<types::Step>) -> Result<Vec<Step>, String> {
    match function {
        Function::GetVerifySteps => steps_of(given, &VERIFY_INTERFACES),
        Function::GetServiceSteps => steps_of(given, &SERVICE_INTERFACES),
        _ => steps_of(given, &INTERFACES),
    }
}

fn steps_of(given: Vec<types::Step>, interfaces: &[&str]) -> Result<Vec<Step>, String> {
    if given.len() > MAX_STEPS {
        return Err(format!("it offers {} steps; at most {MAX_STEPS} are allowed", given.len()));
    }
    let mut steps: Vec<Step> = Vec::with_capacity(given.len());
    for step in given {
        let step = self::step(step, interfaces)?;
        if steps.iter().any(|other| other.is(&step.interface, &step.step)) {
            return Err(format!("it offers step {} twice", step.id()));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn step(given: types::Step, interfaces: &[&str]) -> Result<Step, String> {
    if !interfaces.contains(&given.interface.as_str()) {
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
        reboot_requested: given.reboot_requested,
        arguments: given.arguments.into_iter().map(argument).collect(),
        args: Map::new(),
        offered_by: None,
        children: None,
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
