//! Ironic's dialect of JSON Patch: `add`, `replace` and `remove`, applied one by one.

use serde::Deserialize;
use serde_json::Value;

use crate::Map;

/// One change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `add`, `replace` or `remove`.
    pub op: String,
    /// A JSON Pointer, for example `/driver_info/redfish_address`.
    pub path: String,
    /// What to set; not for `remove`.
    #[serde(default, deserialize_with = "present")]
    pub value: Option<Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Why a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum PatchError {
    #[error("Invalid patch operation {0:?}: use add, replace or remove")]
    Operation(String),
    #[error("Invalid path {0:?}: expected a JSON Pointer such as /extra/key")]
    Path(String),
    #[error("{0} operation on {1} needs a value")]
    MissingValue(String, String),
    #[error("Adding a new attribute ({0}) to the root of the resource is not allowed.")]
    UnknownAttribute(String),
    #[error("Couldn't apply patch '{0}': the path does not exist")]
    NotThere(String),
    #[error("Cannot patch {0}. Only the following can be updated: {1}")]
    ReadOnly(String, String),
}

/// Applies changes to a resource that has all its attributes at the root. `patchable` are the
/// roots that may change; removing a root resets it: a dictionary to `{}`, the rest to null.
///
/// # Errors
/// The first change that cannot be applied; the resource is then not to be used.
pub fn apply(resource: &mut Map, changes: &[Change], patchable: &[&str]) -> Result<(), PatchError> {
    for change in changes {
        let tokens = pointer(&change.path)?;
        let (root, rest) = tokens.split_first().ok_or_else(|| PatchError::Path(change.path.clone()))?;
        if !resource.contains_key(root) {
            return Err(match change.op.as_str() {
                "remove" | "replace" => PatchError::NotThere(change.path.clone()),
                _ => PatchError::UnknownAttribute(change.path.clone()),
            });
        }
        if !patchable.contains(&root.as_str()) {
            let mut all: Vec<&str> = patchable.to_vec();
            all.sort_unstable();
            return Err(PatchError::ReadOnly(format!("/{root}"), all.join(", ")));
        }
        let value = match change.op.as_str() {
            "add" | "replace" => {
                Some(change.value.clone().ok_or_else(|| PatchError::MissingValue(change.op.clone(), change.path.clone()))?)
            }
            "remove" => None,
            other => return Err(PatchError::Operation(other.chars().take(40).collect())),
        };
        let Some(place) = resource.get_mut(root) else { return Err(PatchError::NotThere(change.path.clone())) };
        match (rest.is_empty(), value) {
            (true, Some(value)) => *place = value,
            (true, None) => *place = if place.is_object() { Value::Object(Map::new()) } else { Value::Null },
            (false, value) => set(place, rest, value, change.op == "replace").ok_or_else(|| PatchError::NotThere(change.path.clone()))?,
        }
    }
    Ok(())
}

fn pointer(path: &str) -> Result<Vec<String>, PatchError> {
    let rest = path.strip_prefix('/').filter(|rest| !rest.is_empty()).ok_or_else(|| PatchError::Path(path.chars().take(80).collect()))?;
    let token = |token: &str| match token.replace("~0", "").replace("~1", "").contains('~') {
        true => Err(PatchError::Path(path.chars().take(80).collect())),
        false => Ok(token.replace("~1", "/").replace("~0", "~")),
    };
    rest.split('/').map(token).collect()
}

/// A place in a list: digits, without needless zeros.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { token.parse().ok() } else { None }
}

fn set(place: &mut Value, tokens: &[String], value: Option<Value>, must_exist: bool) -> Option<()> {
    let (token, rest) = tokens.split_first()?;
    if !rest.is_empty() {
        let next = match place {
            Value::Object(map) => map.get_mut(token)?,
            Value::Array(items) => items.get_mut(index(token)?)?,
            _ => return None,
        };
        return set(next, rest, value, must_exist);
    }
    match (place, value) {
        (Value::Object(map), Some(value)) => {
            if must_exist && !map.contains_key(token) {
                return None;
            }
            map.insert(token.clone(), value);
        }
        (Value::Object(map), None) => {
            map.remove(token)?;
        }
        (Value::Array(items), Some(value)) if token == "-" && !must_exist => items.push(value),
        (Value::Array(items), Some(value)) => {
            let index = index(token)?;
            if must_exist {
                *items.get_mut(index)? = value;
            } else if index <= items.len() {
                items.insert(index, value);
            } else {
                return None;
            }
        }
        (Value::Array(items), None) => {
            let index = index(token)?;
            if index >= items.len() {
                return None;
            }
            items.remove(index);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(changes: Value) -> Result<Value, PatchError> {
        let mut map = json!({"extra": {"a": 1, "a/b": 2}, "name": "n", "uuid": "u"}).as_object().cloned().unwrap();
        apply(&mut map, &serde_json::from_value::<Vec<Change>>(changes).unwrap(), &["extra", "name"])?;
        Ok(Value::Object(map))
    }

    #[test]
    fn changes_are_applied_one_by_one() {
        let changed = patched(json!([
            {"op": "add", "path": "/extra/list", "value": []}, {"op": "add", "path": "/extra/list/-", "value": "x"},
            {"op": "replace", "path": "/extra/a~1b", "value": 3}, {"op": "remove", "path": "/extra/a"}, {"op": "remove", "path": "/name"}
        ]));
        assert_eq!(changed.unwrap(), json!({"extra": {"a/b": 3, "list": ["x"]}, "name": null, "uuid": "u"}));
        assert_eq!(patched(json!([{"op": "remove", "path": "/extra"}])).unwrap()["extra"], json!({}));
    }

    #[test]
    fn what_cannot_be_applied_is_refused_by_name() {
        for (change, text) in [
            (json!({"op": "move", "path": "/extra/a"}), "use add, replace or remove"),
            (json!({"op": "replace", "path": "/extra/z", "value": 1}), "does not exist"),
            (json!({"op": "remove", "path": "/extra/z"}), "does not exist"),
            (json!({"op": "add", "path": "/foo", "value": 1}), "Adding a new attribute"),
            (json!({"op": "replace", "path": "/uuid", "value": 1}), "Only the following can be updated: extra, name"),
            (json!({"op": "add", "path": "/extra/k"}), "needs a value"),
            (json!({"op": "add", "path": "extra", "value": 1}), "JSON Pointer"),
            (json!({"op": "add", "path": "/extra/~2", "value": 1}), "JSON Pointer"),
            (json!({"op": "add", "path": "/extra/~", "value": 1}), "JSON Pointer"),
        ] {
            let refused = patched(json!([change])).unwrap_err().to_string();
            assert!(refused.contains(text), "{change}: {refused}");
        }
    }
}
