//! Root device hints: the syntax, checked before a deployment starts; the agent is the one who looks for the disk.

use serde_json::Value;
use wrought_sdk::prelude::*;

use crate::node::{Dictionary, is_true};

const TEXTS: [&str; 9] = ["by_path", "hctl", "model", "name", "serial", "vendor", "wwn", "wwn_vendor_extension", "wwn_with_extension"];
/// Longer ones first, so that `>=` is not taken for `>` and a value.
const OPERATORS: [&str; 15] = ["<all-in>", "<in>", "<or>", "s==", "s!=", "s>=", "s<=", "s>", "s<", "==", "!=", ">=", "<=", ">", "<"];

/// Checks `root_device`, which may be absent. `invalid-parameter` names the hint.
pub fn validate(root_device: Option<&Value>) -> Result<()> {
    match root_device {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(hints)) => hints.iter().try_for_each(|(name, value)| hint(name, value)),
        Some(_) => Err(Error::invalid_parameter("root_device must be an object of hints")),
    }
}

/// The hints of the instance, or else of the node.
pub fn of<'a>(instance_info: &'a Dictionary, properties: &'a Dictionary) -> Option<&'a Value> {
    instance_info.get("root_device").filter(|hints| !hints.is_null()).or_else(|| properties.get("root_device"))
}

fn hint(name: &str, value: &Value) -> Result<()> {
    let wrong = |what: &str| Err(Error::invalid_parameter(format!("root device hint `{name}` {what}")));
    match (name, value) {
        ("size", Value::Number(_) | Value::String(_)) => {
            let expression = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let positive = |word: &str| word.parse::<u64>().is_ok_and(|gib| gib > 0);
            match values(&expression) {
                values if !values.is_empty() && values.iter().all(|word| positive(word)) => Ok(()),
                _ => wrong("must be a positive whole number of GiB, with an operator such as `>=` before it if wanted"),
            }
        }
        ("size", _) => wrong("must be a number or a string"),
        ("rotational", Value::Bool(_)) => Ok(()),
        ("rotational", Value::String(word)) if is_true(word) || is_false(word) => Ok(()),
        ("rotational", _) => wrong("must be true or false"),
        (_, Value::String(expression)) if TEXTS.contains(&name) => match values(expression).is_empty() {
            true => wrong("is empty"),
            false => Ok(()),
        },
        _ if TEXTS.contains(&name) => wrong("must be a string"),
        _ => wrong(&format!("is unknown; there are {}, rotational and size", TEXTS.join(", "))),
    }
}

/// What an expression compares with, its operators taken away: `<or> a <or> b` has `a` and `b`.
fn values(expression: &str) -> Vec<&str> {
    let expression = expression.trim();
    let Some(operator) = OPERATORS.iter().find(|operator| expression.starts_with(**operator)) else {
        return [expression.strip_prefix('=').unwrap_or(expression).trim()].into_iter().filter(|word| !word.is_empty()).collect();
    };
    match *operator {
        "<or>" => expression.split("<or>").map(str::trim).filter(|word| !word.is_empty()).collect(),
        "<all-in>" => expression.trim_start_matches("<all-in>").split_whitespace().collect(),
        _ => [expression.trim_start_matches(operator).trim()].into_iter().filter(|word| !word.is_empty()).collect(),
    }
}

fn is_false(word: &str) -> bool {
    ["0", "f", "false", "off", "n", "no"].iter().any(|lie| word.trim().eq_ignore_ascii_case(lie))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hints_that_ironic_takes_are_taken() {
        for hints in [
            json!(null),
            json!({}),
            json!({"size": 100}),
            json!({"size": ">= 60"}),
            json!({"size": "= 10"}),
            json!({"size": "<or> 100 <or> 200"}),
            json!({"rotational": false, "vendor": "s== acme"}),
            json!({"rotational": "yes"}),
            json!({"model": "<in> super", "serial": "<all-in> a b"}),
            json!({"wwn": "0x4000cca77fc4dba1", "name": "/dev/sda", "hctl": "6:0:0:0", "by_path": "/dev/disk/by-path/x"}),
        ] {
            validate(Some(&hints)).unwrap_or_else(|error| panic!("{hints}: {}", error.message));
        }
    }

    #[test]
    fn hints_that_could_find_no_disk_are_refused_by_name() {
        for (hints, named) in [
            (json!({"colour": "red"}), "colour"),
            (json!({"size": 0}), "size"),
            (json!({"size": -5}), "size"),
            (json!({"size": "big"}), "size"),
            (json!({"size": ">="}), "size"),
            (json!({"size": true}), "size"),
            (json!({"rotational": "maybe"}), "rotational"),
            (json!({"vendor": 7}), "vendor"),
            (json!({"model": "  "}), "model"),
            (json!({"serial": "s=="}), "serial"),
            (json!("sda"), "root_device"),
        ] {
            let error = validate(Some(&hints)).expect_err(&hints.to_string());
            assert_eq!(error.kind, ErrorKind::InvalidParameter, "{hints}");
            assert!(error.message.contains(named), "{hints}: {}", error.message);
        }
    }

    #[test]
    fn the_instances_hints_come_before_the_nodes() {
        let (Value::Object(instance), Value::Object(node)) = (json!({"root_device": {"size": 1}}), json!({"root_device": {"size": 2}}))
        else {
            unreachable!()
        };
        assert_eq!(of(&instance, &node), Some(&json!({"size": 1})));
        assert_eq!(of(&Dictionary::new(), &node), Some(&json!({"size": 2})));
        assert_eq!(of(&Dictionary::new(), &Dictionary::new()), None);
    }
}
