//! Steps in bodies: of requests, deploy templates and runbooks. Each has its own form.

use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::node::Interfaces;
use wrought_domain::step::{Children, Reserved};
use wrought_domain::{Map, RunbookStep, StepCall, mask};

use crate::args::{boolean, brief};
use crate::errors::Fault;

/// Steps that one list may have.
pub(crate) const MAX_STEPS: usize = 100;

/// Where a list of steps stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `clean_steps` and `service_steps`: no priority, perhaps for children.
    Asked,
    /// `deploy_steps`: with a priority.
    Deploy,
    /// A deploy template's: all of interface, step, args and priority.
    Template,
    /// A runbook's: with an order.
    Runbook,
}

/// A step with its place in a runbook, 0 elsewhere.
type Placed = (StepCall, u32);

/// Reads a list of steps.
///
/// # Errors
/// 400 that names the step.
pub(crate) fn steps(what: &str, given: Value, form: Form) -> Result<Vec<StepCall>, Fault> {
    Ok(read(what, given, form)?.into_iter().map(|(call, _)| call).collect())
}

/// Reads the steps of a runbook.
///
/// # Errors
/// As [`steps`].
pub(crate) fn runbook_steps(given: Value) -> Result<Vec<RunbookStep>, Fault> {
    Ok(read("runbook", given, Form::Runbook)?.into_iter().map(|(call, order)| RunbookStep { call, order }).collect())
}

fn read(what: &str, given: Value, form: Form) -> Result<Vec<Placed>, Fault> {
    let wrong = |text: String| Fault::invalid(format!("Schema error for {what}: {text}"));
    let Value::Array(items) = given else { return Err(wrong("expected a list of steps".into())) };
    if items.len() > MAX_STEPS {
        return Err(wrong(format!("at most {MAX_STEPS} steps are accepted")));
    }
    let kept = matches!(form, Form::Template | Form::Runbook);
    if items.is_empty() && kept {
        return Err(wrong("at least one step is needed".into()));
    }
    let steps = items.into_iter().enumerate();
    let steps = steps.map(|(index, item)| step(item, form).map_err(|text| wrong(format!("step {index}: {text}"))));
    let steps = steps.collect::<Result<Vec<Placed>, Fault>>()?;
    for (at, (call, _)) in steps.iter().enumerate().filter(|_| kept) {
        let again = steps.iter().take(at).any(|(other, _)| other.names(call));
        // What the host executes itself may be of use more than once, such as a reboot.
        if again && Reserved::named(&call.step).is_none() {
            let text = format!("duplicate steps: interface: {}, step: {}; each may be there once", call.interface, call.step);
            return Err(wrong(text));
        }
    }
    Ok(steps)
}

fn step(item: Value, form: Form) -> Result<Placed, String> {
    let Value::Object(mut item) = item else { return Err("expected an object".into()) };
    let mut text = |name: &str| match item.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(other) => Err(format!("{name} is not a string: {}", brief(&other))),
        None => Err(required(name)),
    };
    let (interface, step) = (text("interface")?, text("step")?);
    if !Interfaces::NAMES.contains(&interface.as_str()) {
        return Err(format!("'{}' is not an interface", brief(&Value::from(interface))));
    }
    let args = match item.remove("args") {
        None if form == Form::Template => return Err(required("args")),
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(args)) => args,
        Some(other) => return Err(format!("args is not an object: {}", brief(&other))),
    };
    let priority = match form {
        Form::Deploy | Form::Template => Some(number(&mut item, "priority")?.ok_or_else(|| required("priority"))?),
        Form::Asked | Form::Runbook => None,
    };
    let order = match form {
        Form::Runbook => number(&mut item, "order")?.ok_or_else(|| required("order"))?,
        // Accepted as Ironic does: such steps run in the order in which they are given.
        Form::Asked => number(&mut item, "order")?.unwrap_or_default(),
        Form::Deploy | Form::Template => 0,
    };
    let children = if form == Form::Asked { children(&mut item)? } else { None };
    match item.keys().next() {
        Some(unexpected) => Err(format!("'{}' was unexpected", brief(&Value::from(unexpected.as_str())))),
        None => Ok((StepCall { interface, step, args, priority, children }, order)),
    }
}

fn required(name: &str) -> String {
    format!("'{name}' is a required property")
}

fn number(item: &mut Map, name: &str) -> Result<Option<u32>, String> {
    let Some(given) = item.remove(name) else { return Ok(None) };
    let whole = match &given {
        // Clients that read numbers from files may send them as text, and Ironic takes them.
        Value::String(digits) if name == "order" => digits.parse::<u32>().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    whole.map(Some).ok_or_else(|| format!("{name} is not a whole number of 0 or more: {}", brief(&given)))
}

/// `execute_on_child_nodes` and `limit_child_node_execution`.
fn children(item: &mut Map) -> Result<Option<Children>, String> {
    let on_children = match item.remove("execute_on_child_nodes") {
        None | Some(Value::Null) => false,
        Some(given) => {
            boolean("execute_on_child_nodes", &given).map_err(|_| format!("execute_on_child_nodes is not a boolean: {}", brief(&given)))?
        }
    };
    let only = match item.remove("limit_child_node_execution") {
        None | Some(Value::Null) => None,
        Some(Value::Array(nodes)) => Some(nodes.iter().map(child).collect::<Result<Vec<Uuid>, String>>()?),
        Some(other) => return Err(format!("limit_child_node_execution is not a list: {}", brief(&other))),
    };
    match (on_children, only) {
        (false, None) => Ok(None),
        // Executing it on the node itself is what nobody asked for.
        (false, Some(_)) => Err("limit_child_node_execution needs execute_on_child_nodes to be true".into()),
        (true, None) => Ok(Some(Children::All)),
        (true, Some(nodes)) if nodes.is_empty() => Err("limit_child_node_execution names no node".into()),
        (true, Some(nodes)) => Ok(Some(Children::Only(nodes))),
    }
}

fn child(given: &Value) -> Result<Uuid, String> {
    let uuid = given.as_str().and_then(|text| Uuid::parse_str(text).ok());
    uuid.ok_or_else(|| format!("limit_child_node_execution: expected a UUID but received {}", brief(given)))
}

/// A step as the API shows it, secrets masked.
pub(crate) fn shown(call: &StepCall, place: (&str, u32)) -> Value {
    json!({"interface": call.interface, "step": call.step, "args": mask::masked(&call.args), place.0: place.1})
}

/// Puts the secrets back that a client was shown as asterisks: those of the stored step of the same name, where there is one alone.
pub(crate) fn restore<'a>(changed: impl IntoIterator<Item = &'a mut StepCall>, stored: &[&StepCall]) {
    for call in changed {
        let mut same = stored.iter().filter(|old| old.names(call));
        if let (Some(old), None) = (same.next(), same.next()) {
            mask::restore(&mut call.args, &old.args);
        }
    }
}
