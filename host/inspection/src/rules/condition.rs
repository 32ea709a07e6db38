//! Conditions.

use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::Value;
use wrought_domain::Map;

use super::text::{Filled, text_of};
use super::{Budget, Clause, Multiple, Stop, broken, signature};
use crate::Subject;

/// Whether a condition holds.
pub(super) fn holds(clause: &Clause, subject: &Subject, budget: &mut Budget) -> Result<bool, Stop> {
    let (op, inverted) = clause.operation();
    let Some(signature) = signature::condition(op) else { return broken(format!("there is no condition {op:?}")) };
    let multiple = clause.multiple.unwrap_or(Multiple::Any);
    let items = clause.items();
    let last = items.len().saturating_sub(1);
    for (index, item) in items.into_iter().enumerate() {
        let args = clause.filled(signature, item, Filled::Null, subject, budget)?;
        let result = check(signature.op(), &args, budget)? != inverted;
        match multiple {
            Multiple::Any if result => return Ok(true),
            Multiple::All if !result => return Ok(false),
            Multiple::First => return Ok(result),
            Multiple::Last if index == last => return Ok(result),
            _ => {}
        }
    }
    Ok(multiple == Multiple::All)
}

fn check(op: &str, args: &Map, budget: &mut Budget) -> Result<bool, Stop> {
    static NULL: Value = Value::Null;
    let value = args.get("value").unwrap_or(&NULL);
    Ok(match op {
        "eq" => compare(args, same)?,
        "lt" => compare(args, |a, b| order(a, b) == Some(Ordering::Less))?,
        "gt" => compare(args, |a, b| order(a, b) == Some(Ordering::Greater))?,
        "is-empty" => is_empty(value),
        "is-none" => value.is_null(),
        "is-true" => match value {
            Value::Bool(value) => *value,
            Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
            Value::String(text) => ["yes", "true"].contains(&text.to_lowercase().as_str()),
            _ => false,
        },
        "is-false" => match value {
            Value::Bool(value) => !*value,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => ["no", "false"].contains(&text.to_lowercase().as_str()),
            value => value.is_null(),
        },
        "one-of" => list(args)?.iter().any(|known| same(known, value)),
        "in-net" => in_net(args)?,
        "matches" | "contains" => matches(op, value, args, budget)?,
        other => return broken(format!("there is no condition {other:?}")),
    })
}

fn list(args: &Map) -> Result<&[Value], Stop> {
    match args.get("values") {
        Some(Value::Array(values)) => Ok(values),
        _ => broken("values is not a list"),
    }
}

/// Whether every value and the next one stand so to each other.
fn compare(args: &Map, stand: impl Fn(&Value, &Value) -> bool) -> Result<bool, Stop> {
    let values = list(args)?;
    let forced: Vec<Value>;
    let values = if args.get("force_strings") == Some(&Value::Bool(true)) {
        forced = values.iter().map(|value| Value::String(text_of(value))).collect();
        &forced
    } else {
        values
    };
    Ok(values.windows(2).all(|pair| matches!(pair, [a, b] if stand(a, b))))
}

/// A number is the same as its text, because fields in the middle of a text are text.
fn same(a: &Value, b: &Value) -> bool {
    let scalar = |value: &Value| value.is_number() || value.is_boolean();
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::String(_), other) | (other, Value::String(_)) if scalar(other) => text_of(a) == text_of(b),
        (a, b) => a == b,
    }
}

/// The order of two numbers, or of two texts; texts of numbers among numbers count as such.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
        _ => None,
    };
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => number(a)?.partial_cmp(&number(b)?),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn in_net(args: &Map) -> Result<bool, Stop> {
    let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    let subnet = signature::subnet(text("subnet")).map_err(Stop::Broken)?;
    Ok(text("address").trim().parse::<IpAddr>().is_ok_and(|address| subnet.contains(&address)))
}

fn matches(op: &str, value: &Value, args: &Map, budget: &mut Budget) -> Result<bool, Stop> {
    let regex = args.get("regex").and_then(Value::as_str).unwrap_or_default();
    let whole = format!("^(?:{regex})$");
    let regex = signature::regex(if op == "matches" { &whole } else { regex }).map_err(Stop::Broken)?;
    if value.is_null() {
        return Ok(false);
    }
    let text = text_of(value);
    // Compiling costs more than most searches.
    budget.work(text.len().saturating_add(4096))?;
    Ok(regex.is_match(&text))
}
