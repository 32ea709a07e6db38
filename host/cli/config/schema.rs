//! What the structs of the configuration say about themselves: names, documentation, defaults and accepted values of all keys.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Config;

/// Names less alike than this (normalised Damerau-Levenshtein, 0 to 1) are not suggested.
const ALIKE: f64 = 0.6;

/// A section such as `[redfish]` or `[drivers.limits]`.
#[derive(Debug)]
pub struct Section {
    pub path: String,
    pub doc: String,
    pub keys: Vec<Key>,
}

/// Stands for a name that the operator chooses.
pub const BY_NAME: &str = "NAME";

/// One key of a section.
#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub doc: String,
    /// As it would stand in the file; `None` for a key that is not set.
    pub default: Option<String>,
    pub accepted: String,
}

/// The schema of [`Config`] with its defaults.
pub struct Schema {
    root: Value,
    defaults: Value,
}

impl Schema {
    /// The schema and the defaults of [`Config`].
    pub fn of_config() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let root = settings.into_generator().into_root_schema_for::<Config>().to_value();
        // Plain data with text as keys always becomes JSON.
        let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
        Self { root, defaults }
    }

    /// All sections in the order of their names, a section's own keys before its sections.
    pub fn sections(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        collect(&mut sections, "", &self.root, &self.defaults);
        sections
    }

    /// A line for every key of `given` that there is not.
    pub fn unknown_keys(&self, given: &toml::Table) -> Vec<String> {
        let mut found = Vec::new();
        self.find_unknown(&mut found, "", &self.root, given);
        found
    }

    fn find_unknown(&self, found: &mut Vec<String>, path: &str, schema: &Value, given: &toml::Table) {
        let known = properties(schema);
        for (name, value) in given {
            let full = join(path, name);
            let below = known.get(name.as_str()).copied().or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()));
            match (below, value) {
                (Some(below), toml::Value::Table(table)) => self.find_unknown(found, &full, below, table),
                (Some(_), _) => {}
                (None, _) if schema.get("additionalProperties") == Some(&Value::Bool(true)) => {}
                (None, value) => {
                    let what = if path.is_empty() && value.is_table() { "section" } else { "key" };
                    found.push(format!("{full}: unknown {what}; {}", self.suggest(&known, name)));
                }
            }
        }
    }

    fn suggest(&self, siblings: &BTreeMap<&str, &Value>, name: &str) -> String {
        let alike =
            siblings.keys().map(|key| (strsim::normalized_damerau_levenshtein(key, name), *key)).filter(|(likeness, _)| *likeness >= ALIKE);
        if let Some((_, best)) = alike.max_by(|a, b| a.0.total_cmp(&b.0)) {
            return format!("did you mean {best}?");
        }
        let elsewhere: Vec<String> = self
            .sections()
            .iter()
            .filter(|section| section.keys.iter().any(|key| key.name == name))
            .map(|section| join(&section.path, name))
            .collect();
        if elsewhere.is_empty() {
            return "`wrought config default` prints all that there are".to_owned();
        }
        format!("did you mean {}?", elsewhere.join(" or "))
    }

    /// The line for a value that `serde` refused at `path`, such as `agent.networks[1]`.
    pub fn wrong_value(&self, given: &toml::Table, path: &str, reason: &str) -> String {
        let mut schema = Some(&self.root);
        let mut value = Some(&toml::Value::Table(given.clone())).cloned();
        for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
            match step.parse::<usize>() {
                Ok(index) => {
                    schema = schema.and_then(|schema| schema.get("items"));
                    value = value.and_then(|value| value.get(index).cloned());
                }
                Err(_) => {
                    schema = schema.and_then(|schema| schema.get("properties")?.get(step).or_else(|| schema.get("additionalProperties")));
                    value = value.and_then(|value| value.get(step).cloned());
                }
            }
        }
        let shown = value.map(|value| format!(" = {}", inline(&value))).unwrap_or_default();
        let use_what = match schema {
            Some(schema) if schema.get("properties").is_some() => format!("use a section, [{path}]"),
            Some(schema) => format!("use {}", accepted(schema)),
            None => "see `wrought config default`".to_owned(),
        };
        format!("{path}{shown}: {use_what} ({})", reason.trim())
    }
}

fn collect(sections: &mut Vec<Section>, path: &str, schema: &Value, defaults: &Value) {
    let (named, rest): (Vec<_>, Vec<_>) = properties(schema).into_iter().partition(|(_, below)| section_by_name(below).is_some());
    let (nested, own): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(_, below)| below.get("properties").is_some());
    if !path.is_empty() {
        let keys = own.into_iter().map(|(name, below)| Key {
            name: name.to_owned(),
            doc: doc(below),
            default: defaults.get(name).or_else(|| below.get("default")).and_then(as_toml),
            accepted: accepted(below),
        });
        sections.push(Section { path: path.to_owned(), doc: doc(schema), keys: keys.collect() });
    }
    for (name, below) in nested {
        collect(sections, &join(path, name), below, defaults.get(name).unwrap_or(&Value::Null));
    }
    for (name, each) in named.into_iter().filter_map(|(name, below)| Some((name, section_by_name(below)?))) {
        collect(sections, &join(&join(path, name), BY_NAME), each, &Value::Null);
    }
}

/// What a section is like of which there may be several, each by a name of its own.
fn section_by_name(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|each| each.get("properties").is_some())
}

fn properties(schema: &Value) -> BTreeMap<&str, &Value> {
    schema.get("properties").and_then(Value::as_object).map(sorted).unwrap_or_default()
}

fn sorted(map: &Map<String, Value>) -> BTreeMap<&str, &Value> {
    map.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The documentation on one line.
fn doc(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn as_toml(value: &Value) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| inline(&value))
}

/// A value on one line; a file read back in is the same.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        toml::Value::Table(table) => {
            let pairs: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
        other => other.to_string(),
    }
}

/// In words, which values a schema accepts.
fn accepted(schema: &Value) -> String {
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    let listed = |key: &str| schema.get(key).and_then(Value::as_array);
    if let Some(values) = listed("enum") {
        return any_of(values.iter().filter(|value| !value.is_null()).map(Value::to_string));
    }
    if let Some(forms) = listed("oneOf").or_else(|| listed("anyOf")) {
        return any_of(forms.iter().filter(|form| form.get("type").is_none_or(|kind| kind != "null")).map(accepted));
    }
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            any_of(kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").map(|kind| of_type(kind, schema)))
        }
        Some(Value::String(kind)) => of_type(kind, schema),
        _ => "any value".to_owned(),
    }
}

fn of_type(kind: &str, schema: &Value) -> String {
    match kind {
        "boolean" => "true or false".to_owned(),
        "integer" => format!("a whole number{}", range(schema)),
        "number" => format!("a number{}", range(schema)),
        "string" => "a string".to_owned(),
        "array" => match schema.get("items").map(accepted) {
            Some(item) => format!("a list, each {item}"),
            None => "a list".to_owned(),
        },
        "object" => match schema.get("additionalProperties").filter(|more| more.is_object()).map(accepted) {
            Some(value) => format!("a table, each value {value}"),
            None => "a table".to_owned(),
        },
        other => other.to_owned(),
    }
}

fn range(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

fn any_of(forms: impl Iterator<Item = String>) -> String {
    let mut forms: Vec<String> = forms.collect();
    let Some(last) = forms.pop() else {
        return "any value".to_owned();
    };
    if forms.is_empty() { last } else { format!("{} or {last}", forms.join(", ")) }
}
