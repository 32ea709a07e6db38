//! Arguments of a request: the query and, where the body is no resource of its own, the body's
//! keys as well. What a handler does not take is refused by name.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;
use wrought_domain::Map;

use crate::errors::Fault;

/// Named arguments, each to be taken once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args {
    given: BTreeMap<String, Value>,
}

impl Args {
    /// Of a query alone; a name that is repeated counts once, the last.
    pub(crate) fn of_query(query: Vec<(String, String)>) -> Self {
        Self { given: query.into_iter().map(|(name, value)| (name, Value::String(value))).collect() }
    }

    /// Adds the keys of a body.
    pub(crate) fn with(mut self, body: Map) -> Self {
        self.given.extend(body);
        self
    }

    /// The argument, null counting as not given.
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.given.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                Err(Fault::invalid(format!("Invalid input for field/attribute {name}. Value: {}. Expected a string.", brief(&other))))
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn mandatory(&mut self, name: &str) -> Result<String, Fault> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        self.value(name).map(|value| boolean(name, &value)).transpose()
    }

    /// A whole number, as a number or as text.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = match &value {
            Value::String(text) => text.trim().parse::<i64>().ok(),
            other => other.as_i64(),
        };
        let wrong = || Fault::invalid(format!("Invalid input for field/attribute {name}. Value: {}. Expected an integer.", brief(&value)));
        number.map(Some).ok_or_else(wrong)
    }

    /// A UUID.
    pub(crate) fn uuid(&mut self, name: &str) -> Result<Option<Uuid>, Fault> {
        self.text(name)?.map(|text| uuid(&text)).transpose()
    }

    /// A comma-separated list.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        let text = self.text(name)?;
        Ok(text.map(|text| text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()))
    }

    /// Whether the argument is there, null included.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The end: nothing may be left.
    ///
    /// # Errors
    /// 400 with the names of what nobody took.
    pub(crate) fn done(self) -> Result<(), Fault> {
        if self.given.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.given.keys().take(20).map(String::as_str).collect();
        Err(Fault::invalid(format!("Unexpected arguments: {}", names.join(", "))))
    }
}

/// 400 for an argument that is not there.
pub(crate) fn missing(name: &str) -> Fault {
    Fault::invalid(format!("Missing mandatory parameter: {name}"))
}

/// A boolean as Ironic takes it: `0 1 f false n no off on t true y yes`, in any case.
pub(crate) fn boolean(name: &str, value: &Value) -> Result<bool, Fault> {
    let text = match value {
        Value::Bool(value) => return Ok(*value),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    match text.as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Ok(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Ok(false),
        _ => Err(Fault::invalid(format!(
            "Unrecognized value '{}' for {name}, acceptable values are: '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'",
            brief(value)
        ))),
    }
}

/// A UUID.
pub(crate) fn uuid(text: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(text).map_err(|_| Fault::invalid(format!("Expected a UUID but received {}.", brief(&Value::from(text)))))
}

/// The beginning of a value, for error texts.
pub(crate) fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().take(80).collect(),
        other => other.to_string().chars().take(80).collect(),
    }
}
