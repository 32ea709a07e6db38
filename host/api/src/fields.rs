//! Tables of a resource's fields: since which minor version, and who may write what.

use serde_json::Value;
use uuid::Uuid;
use wrought_domain::Map;

use crate::args::{boolean, brief};
use crate::call::Call;
use crate::errors::Fault;

/// A field of a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// The minor version that brought it.
    pub(crate) since: u16,
    /// When it may be written.
    pub(crate) write: Write,
    /// What may be written.
    pub(crate) kind: Kind,
}

/// A row of a table of fields.
pub(crate) const fn field(name: &'static str, since: u16, write: Write, kind: Kind) -> Field {
    Field { name, since, write, kind }
}

/// When a field may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Never,
    Create,
    Patch,
    Both,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A UUID or null.
    Uuid,
    /// A text of at most so many characters, or null.
    Text(usize),
    /// A text of at most so many characters; null is the empty text.
    PlainText(usize),
    /// A text of at most so many characters that must be there.
    Mandatory(usize),
    /// True or false; null is the default, given here.
    Bool(bool),
    /// A whole number from 0 to this; null is 0.
    Number(u16),
    /// True, false or null.
    OptionalBool,
    /// An object; null is the empty one.
    Dict,
    /// A list that must be there; what is in it is checked elsewhere.
    List,
    /// Nothing that anybody writes.
    Shown,
}

impl Field {
    pub(crate) fn postable(&self) -> bool {
        matches!(self.write, Write::Create | Write::Both)
    }

    pub(crate) fn patchable(&self) -> bool {
        matches!(self.write, Write::Patch | Write::Both)
    }

    /// The value in the form in which it is stored.
    ///
    /// # Errors
    /// 400 for a value of another type or too long.
    pub(crate) fn checked(&self, value: Value) -> Result<Value, Fault> {
        let wrong = |expected: &str, value: &Value| {
            Fault::invalid(format!("Invalid input for field/attribute {}. Value: '{}'. {expected}", self.name, brief(value)))
        };
        let text = |max: usize, value: Value| match &value {
            Value::String(text) if text.chars().count() <= max => Ok(value),
            Value::String(_) => Err(wrong(&format!("At most {max} characters are accepted."), &value)),
            _ => Err(wrong("Expected a string.", &value)),
        };
        match (self.kind, value) {
            (Kind::Uuid | Kind::Text(_) | Kind::OptionalBool, Value::Null) => Ok(Value::Null),
            (Kind::PlainText(_), Value::Null) => Ok(Value::from("")),
            (Kind::Mandatory(_), Value::Null) => Err(Fault::invalid(format!("Missing mandatory parameter: {}", self.name))),
            (Kind::Bool(default), Value::Null) => Ok(Value::Bool(default)),
            (Kind::Number(_), Value::Null) => Ok(Value::from(0)),
            // The command line sends numbers as texts.
            (Kind::Number(most), value) => match value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()) {
                Some(number) if number <= u64::from(most) => Ok(Value::from(number)),
                _ => Err(wrong(&format!("Expected a whole number from 0 to {most}."), &value)),
            },
            (Kind::Dict, Value::Null) => Ok(Value::Object(Map::new())),
            (Kind::Uuid, value) => match value.as_str().and_then(|text| Uuid::parse_str(text).ok()) {
                Some(uuid) => Ok(Value::from(uuid.to_string())),
                None => Err(Fault::invalid(format!("Expected a UUID but received {}.", brief(&value)))),
            },
            (Kind::Text(max) | Kind::PlainText(max) | Kind::Mandatory(max), value) => text(max, value),
            (Kind::Bool(_) | Kind::OptionalBool, value) => boolean(self.name, &value).map(Value::Bool),
            (Kind::Dict, value) if value.is_object() => Ok(value),
            (Kind::Dict, value) => Err(wrong("Expected an object.", &value)),
            (Kind::List, Value::Null) => Err(Fault::invalid(format!("Missing mandatory parameter: {}", self.name))),
            (Kind::List, value) if value.is_array() => Ok(value),
            (Kind::List, value) => Err(wrong("Expected a list.", &value)),
            (Kind::Shown, value) => Err(wrong("It cannot be set.", &value)),
        }
    }
}

/// The field of this name.
pub(crate) fn find(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name == name)
}

/// Keeps of a resource what the client asked for; links stay.
pub(crate) fn keep(resource: &mut Map, wanted: &[String]) {
    resource.retain(|name, _| name == "links" || wanted.iter().any(|w| w == name));
}

/// Checks a list of wanted fields.
///
/// # Errors
/// 400 for one that does not exist, 406 for one that is newer than the requested version.
pub(crate) fn check_wanted(fields: &'static [Field], wanted: &[String], call: &Call) -> Result<(), Fault> {
    let unknown: Vec<&str> = wanted.iter().filter(|name| find(fields, name).is_none()).map(String::as_str).take(20).collect();
    if !unknown.is_empty() {
        return Err(Fault::invalid(format!("Field(s) \"{}\" are not valid", unknown.join(", "))));
    }
    wanted.iter().filter_map(|name| find(fields, name)).try_for_each(|field| call.accept(field.since))
}

/// Checks the body of a POST and gives its values in the form in which they are stored.
///
/// # Errors
/// 400 for a key that does not exist or may not be given, or a wrong value; 406 for a newer one.
pub(crate) fn checked_body(what: &str, fields: &'static [Field], body: Map, call: &Call) -> Result<Map, Fault> {
    let mut checked = Map::new();
    for (name, value) in body {
        let field = find(fields, &name).filter(|field| field.postable()).ok_or_else(|| {
            let name: String = name.chars().take(80).collect();
            Fault::invalid(format!("Schema error for {what}: Additional properties are not allowed ('{name}' was unexpected)"))
        })?;
        call.accept(field.since)?;
        checked.insert(name, field.checked(value)?);
    }
    Ok(checked)
}

/// The fields that may be patched in the requested version, by name.
pub(crate) fn patchable(fields: &'static [Field], call: &Call) -> Vec<&'static str> {
    fields.iter().filter(|field| field.patchable() && field.since <= call.version.0).map(|field| field.name).collect()
}
