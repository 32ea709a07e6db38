//! Replacement fields: `{inventory[disks][0][size]}`, `{node.driver}`, `{plugin_data[x]}`, `{item}`. A field is a path; `{{` and `}}` are
//! braces.

use serde_json::Value;
use wrought_domain::mask::{MASK, is_secret, masked};
use wrought_domain::{Map, Node};

use super::{Budget, Stop, broken};
use crate::Subject;

/// Parts of a field's path.
const MAX_PATH: usize = 32;

/// What a field is filled with that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// Null.
    Null,
    /// Nothing: it is an error.
    Error,
}

/// What fields are filled from.
pub(super) struct Context<'a> {
    pub(super) subject: &'a Subject,
    pub(super) item: Option<&'a Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Vec<String>),
}

const ROOTS: [&str; 4] = ["node", "inventory", "plugin_data", "item"];

/// The pieces of a text.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut all = Vec::new();
    let mut plain = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '{' | '}' if letters.peek() == Some(&letter) => {
                letters.next();
                plain.push(letter);
            }
            '}' => return Err("a brace is closed that was not opened; write }} for one".into()),
            '{' => {
                let mut field = String::new();
                loop {
                    match letters.next() {
                        Some('}') => break,
                        Some('{') | None => return Err("a brace is not closed; write {{ for one".into()),
                        Some(letter) => field.push(letter),
                    }
                }
                if !plain.is_empty() {
                    all.push(Piece::Text(std::mem::take(&mut plain)));
                }
                all.push(Piece::Field(path(&field)?));
            }
            letter => plain.push(letter),
        }
    }
    if !plain.is_empty() || all.is_empty() {
        all.push(Piece::Text(plain));
    }
    Ok(all)
}

/// The path of a field: a name, then `.name` or `[key]` as often as wanted.
fn path(field: &str) -> Result<Vec<String>, String> {
    let shown = || wrought_domain::node::cut(field, 60);
    let wrong = || format!("{{{}}} is not a path such as {{inventory[cpu][count]}} or {{node.driver}}", shown());
    let mut rest = field.trim();
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (root, tail) = rest.split_at_checked(end).ok_or_else(wrong)?;
    if !ROOTS.contains(&root) {
        return Err(format!("{{{}}} does not begin with one of {}", shown(), ROOTS.join(", ")));
    }
    let mut parts = vec![root.to_owned()];
    rest = tail;
    while !rest.is_empty() {
        let (part, tail) = if let Some(inner) = rest.strip_prefix('[') {
            inner.split_once(']').ok_or_else(wrong)?
        } else {
            let inner = rest.strip_prefix('.').ok_or_else(wrong)?;
            inner.split_at_checked(inner.find(['.', '[']).unwrap_or(inner.len())).ok_or_else(wrong)?
        };
        // Python's conversions and formats have no meaning here.
        if part.is_empty() || part.contains(['!', ':']) && !rest.starts_with('[') || parts.len() >= MAX_PATH {
            return Err(wrong());
        }
        parts.push(part.to_owned());
        rest = tail;
    }
    Ok(parts)
}

/// Whether all fields of a value are paths, and name the item only in a loop.
pub(super) fn check(value: &Value, in_loop: bool) -> Result<(), String> {
    match value {
        Value::String(text) => {
            let item = |piece: &Piece| matches!(piece, Piece::Field(path) if path.first().is_some_and(|root| root == "item"));
            match pieces(text)?.iter().any(item) {
                true if !in_loop => Err("{item} is there in a loop only".into()),
                _ => Ok(()),
            }
        }
        Value::Array(items) => items.iter().try_for_each(|item| check(item, in_loop)),
        Value::Object(map) => map.values().try_for_each(|value| check(value, in_loop)),
        _ => Ok(()),
    }
}

/// Bytes of a value, roughly as JSON.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + items.len() + 2,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + 4 + size(value)).sum::<usize>() + 2,
        _ => 8,
    }
}

/// The text of a value: of a text itself, of anything else its JSON.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Fills the fields of all texts in a value, each once.
pub(super) fn fill(value: &Value, context: &Context<'_>, missing: Filled, budget: &mut Budget) -> Result<Value, Stop> {
    budget.work(0)?;
    Ok(match value {
        Value::String(text) => fill_text(text, context, missing, budget)?,
        Value::Array(items) => Value::Array(items.iter().map(|item| fill(item, context, missing, budget)).collect::<Result<Vec<_>, _>>()?),
        Value::Object(map) => {
            let filled = map.iter().map(|(key, value)| Ok((key.clone(), fill(value, context, missing, budget)?)));
            Value::Object(filled.collect::<Result<Map, Stop>>()?)
        }
        other => other.clone(),
    })
}

fn fill_text(text: &str, context: &Context<'_>, missing: Filled, budget: &mut Budget) -> Result<Value, Stop> {
    let pieces = pieces(text).map_err(Stop::Broken)?;
    let mut found = |path: &[String]| -> Result<Value, Stop> {
        match context.find(path, budget)? {
            Some(value) => Ok(value),
            None if missing == Filled::Null => Ok(Value::Null),
            None => broken(format!("there is nothing at {}", path.join("/"))),
        }
    };
    if let [Piece::Field(path)] = pieces.as_slice() {
        return found(path);
    }
    let mut filled = String::new();
    for piece in &pieces {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Field(path) => match found(path)? {
                Value::Null => {}
                value => filled.push_str(&text_of(&value)),
            },
        }
    }
    budget.work(filled.len())?;
    Ok(Value::String(filled))
}

/// Fills in the item alone; what else stands in braces stays.
pub(super) fn fill_items(text: &str, context: &Context<'_>, budget: &mut Budget) -> Result<Value, Stop> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{item") {
        filled.push_str(before);
        let end = after.find('}').filter(|_| after.starts_with(['}', '[', '.']));
        let field = end.and_then(|end| Some((path(&format!("item{}", after.get(..end)?)).ok()?, after.get(end + 1..)?)));
        match field {
            Some((path, tail)) => {
                let value = context.find(&path, budget)?.unwrap_or_default();
                filled.push_str(&text_of(&value));
                rest = tail;
            }
            None => {
                filled.push_str("{item");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    budget.work(filled.len())?;
    Ok(Value::String(filled))
}

impl Context<'_> {
    /// What is at a path, without secrets, unless they stand in the loop of the rule itself.
    fn find(&self, path: &[String], budget: &mut Budget) -> Result<Option<Value>, Stop> {
        let Some((root, path)) = path.split_first() else { return Ok(None) };
        let node;
        let (found, path) = match root.as_str() {
            "item" => (self.item, path),
            "node" => {
                let Some((field, path)) = path.split_first() else { return broken("{node} alone is no value: name one of its fields") };
                node = field_of(&self.subject.node, field);
                (node.as_ref(), path)
            }
            "inventory" => return within(&self.subject.inventory, path, budget),
            _ => return within(&self.subject.plugin_data, path, budget),
        };
        let mine = root == "item";
        let Some(found) = found.and_then(|found| step_down(found, path, mine)) else { return Ok(None) };
        budget.work(size(found.as_ref()))?;
        Ok(Some(if mine { found.into_owned() } else { hidden(&found) }))
    }
}

fn within(map: &Map, path: &[String], budget: &mut Budget) -> Result<Option<Value>, Stop> {
    let Some((first, path)) = path.split_first() else {
        budget.work(map.iter().map(|(key, value)| key.len() + 4 + size(value)).sum())?;
        return Ok(Some(Value::Object(masked(map))));
    };
    if is_secret(first) && map.contains_key(first) {
        return Ok(Some(MASK.into()));
    }
    let Some(found) = map.get(first).and_then(|found| step_down(found, path, false)) else { return Ok(None) };
    budget.work(size(found.as_ref()))?;
    Ok(Some(hidden(&found)))
}

/// What is below a value.
fn step_down<'v>(value: &'v Value, path: &[String], secrets: bool) -> Option<std::borrow::Cow<'v, Value>> {
    let mut value = value;
    for part in path {
        value = match value {
            Value::Object(map) if !secrets && is_secret(part) && map.contains_key(part) => {
                return Some(std::borrow::Cow::Owned(MASK.into()));
            }
            Value::Object(map) => map.get(part)?,
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(std::borrow::Cow::Borrowed(value))
}

/// The value without secrets.
fn hidden(value: &Value) -> Value {
    let wrapped = Map::from_iter([(String::new(), value.clone())]);
    masked(&wrapped).remove("").unwrap_or_default()
}

/// A field of the node as the API names it.
fn field_of(node: &Node, name: &str) -> Option<Value> {
    if is_secret(name) {
        return None;
    }
    if let Some(interface) = name.strip_suffix("_interface") {
        return node.interfaces.get(interface).map(Value::from);
    }
    match serde_json::to_value(node) {
        Ok(Value::Object(mut map)) if name != "interfaces" => map.remove(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fields_are_paths_and_nothing_else() {
        let field = |parts: &[&str]| Piece::Field(parts.iter().map(|part| (*part).to_owned()).collect());
        assert_eq!(pieces("{inventory[disks][0].size}").unwrap(), [field(&["inventory", "disks", "0", "size"])]);
        assert_eq!(pieces("{{a}} {item}!").unwrap(), [Piece::Text("{a} ".into()), field(&["item"]), Piece::Text("!".into())]);
        assert_eq!(pieces("").unwrap(), [Piece::Text(String::new())]);
        for bad in [
            "{",
            "}",
            "{}",
            "{0}",
            "{node",
            "{os.environ}",
            "{inventory!r}",
            "{node.name:>10}",
            "{node.}",
            "{inventory[]}",
            "{inventory[a}",
            "{inventory[a]b}",
        ] {
            assert!(pieces(bad).is_err(), "{bad}");
        }
    }
}
