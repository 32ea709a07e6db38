//! What each condition and action takes.

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use wrought_domain::Map;

use super::action;

/// Bytes of a compiled regular expression.
const MAX_REGEX: usize = 256 << 10;
/// Bytes of its text.
const MAX_REGEX_TEXT: usize = 1024;

/// Levels of `log`.
const LEVELS: [&str; 5] = ["debug", "info", "warning", "error", "critical"];

/// The arguments of an operation.
#[derive(Debug)]
pub(super) struct Signature {
    op: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

const fn takes(op: &'static str, required: &'static [&'static str], optional: &'static [&'static str]) -> Signature {
    Signature { op, required, optional }
}

const CONDITIONS: &[Signature] = &[
    takes("eq", &["values"], &["force_strings"]),
    takes("lt", &["values"], &["force_strings"]),
    takes("gt", &["values"], &["force_strings"]),
    takes("is-empty", &["value"], &[]),
    takes("in-net", &["address", "subnet"], &[]),
    takes("matches", &["value", "regex"], &[]),
    takes("contains", &["value", "regex"], &[]),
    takes("one-of", &["value", "values"], &[]),
    takes("is-none", &["value"], &[]),
    takes("is-true", &["value"], &[]),
    takes("is-false", &["value"], &[]),
];

const ACTIONS: &[Signature] = &[
    takes("fail", &["msg"], &[]),
    takes("log", &["msg"], &["level"]),
    takes("set-attribute", &["path", "value"], &[]),
    takes("extend-attribute", &["path", "value"], &["unique"]),
    takes("del-attribute", &["path"], &[]),
    takes("set-capability", &["name", "value"], &[]),
    takes("unset-capability", &["name"], &[]),
    takes("add-trait", &["name"], &[]),
    takes("remove-trait", &["name"], &[]),
    takes("set-plugin-data", &["path", "value"], &[]),
    takes("extend-plugin-data", &["path", "value"], &["unique"]),
    takes("unset-plugin-data", &["path"], &[]),
    takes("set-port-attribute", &["port_id", "path", "value"], &[]),
    takes("extend-port-attribute", &["port_id", "path", "value"], &["unique"]),
    takes("del-port-attribute", &["port_id", "path"], &[]),
];

/// The condition of this name.
pub(super) fn condition(op: &str) -> Option<&'static Signature> {
    CONDITIONS.iter().find(|signature| signature.op == op)
}

/// The action of this name.
pub(super) fn action(op: &str) -> Option<&'static Signature> {
    ACTIONS.iter().find(|signature| signature.op == op.trim())
}

/// The names of all conditions, or of all actions.
pub(super) fn names(what: &str) -> String {
    let all = if what == "action" { ACTIONS } else { CONDITIONS };
    all.iter().map(|signature| signature.op).collect::<Vec<_>>().join(", ")
}

impl Signature {
    pub(super) fn op(&self) -> &'static str {
        self.op
    }

    /// Whether replacement fields of the argument are filled in; in a loop those of all are.
    pub(super) fn fills(&self, name: &str, in_loop: bool) -> bool {
        in_loop || ["value", "values", "msg", "address", "subnet"].contains(&name)
    }

    /// The arguments by name.
    pub(super) fn named(&self, args: &Value) -> Result<Map, String> {
        let args = match args {
            Value::Object(map) => map.clone(),
            // Ironic once took the values to compare as the arguments themselves.
            Value::Array(list) if self.required == ["values"] && !list.first().is_some_and(Value::is_array) => {
                Map::from_iter([("values".to_owned(), Value::Array(list.clone()))])
            }
            Value::Array(list) if list.len() <= self.required.len() + self.optional.len() => {
                self.required.iter().chain(self.optional).zip(list).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
            }
            Value::Array(_) => return Err("it has too many arguments".into()),
            _ => return Err("args must be either a list or dictionary".into()),
        };
        let missing: Vec<&str> = self.required.iter().copied().filter(|name| !args.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(format!("missing required argument(s): {}", missing.join(", ")));
        }
        let known = |name: &&String| !self.required.contains(&name.as_str()) && !self.optional.contains(&name.as_str());
        if let Some(name) = args.keys().find(known) {
            return Err(format!("unexpected argument(s): {}", wrought_domain::node::cut(name, 40)));
        }
        Ok(args)
    }

    /// Whether what no field is filled into can be what it should.
    pub(super) fn check(&self, args: &Map) -> Result<(), String> {
        for (name, value) in args {
            match (name.as_str(), value) {
                ("regex", Value::String(text)) => drop(regex(text)?),
                ("subnet", Value::String(text)) if text.contains('{') => {}
                ("subnet", Value::String(text)) => drop(subnet(text)?),
                ("path", Value::String(text)) if text.contains(['{', '}']) => {}
                ("path", Value::String(text)) => action::check_path(self.op, text)?,
                ("name", Value::String(text)) => action::check_name(self.op, text)?,
                ("level", Value::String(text)) if LEVELS.contains(&text.to_lowercase().as_str()) => {}
                ("level", _) => return Err(format!("level is one of {}", LEVELS.join(", "))),
                ("unique" | "force_strings", Value::Bool(_)) => {}
                ("unique" | "force_strings", _) => return Err(format!("{name} is true or false")),
                ("regex" | "subnet" | "path" | "name" | "port_id" | "msg", value) if !value.is_string() => {
                    return Err(format!("{name} is a text"));
                }
                ("values", value) if !value.is_array() => return Err("values is a list".into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A regular expression that takes linear time and bounded memory.
pub(super) fn regex(text: &str) -> Result<Regex, String> {
    if text.len() > MAX_REGEX_TEXT {
        return Err(format!("a regular expression has at most {MAX_REGEX_TEXT} bytes"));
    }
    let built = RegexBuilder::new(text).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).nest_limit(50).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".into(),
        error => {
            // The last line says what is wrong; those before show where.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("invalid regular expression: {reason} (neither look-around nor back-references are supported)")
        }
    })
}

/// A network, or a single address.
pub(super) fn subnet(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    parsed.ok_or_else(|| format!("subnet {:?} is not a network such as 192.0.2.0/24", wrought_domain::node::cut(text, 60)))
}
