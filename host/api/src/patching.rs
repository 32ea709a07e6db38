//! `PATCH` of a resource that has a table of fields.

use serde_json::Value;
use wrought_domain::patch::{self, Change};
use wrought_domain::{Map, mask};

use crate::call::Call;
use crate::errors::Fault;
use crate::fields::{Field, find, patchable};

/// Changes in one patch.
pub(crate) const MAX_CHANGES: usize = 1000;

/// The changes of a patch; those of fields newer than the requested version are refused.
pub(crate) fn changes(call: &Call, fields: &'static [Field]) -> Result<Vec<Change>, Fault> {
    let changes: Vec<Change> = serde_json::from_value(call.json()?)
        .map_err(|error| Fault::invalid(format!("Invalid patch: {error}; expected a list of objects with op, path and value.")))?;
    if changes.len() > MAX_CHANGES {
        return Err(Fault::invalid(format!("Invalid patch: at most {MAX_CHANGES} changes are accepted.")));
    }
    for change in &changes {
        let root = change.path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if let Some(field) = find(fields, root) {
            call.accept(field.since)?;
        }
    }
    Ok(changes)
}

/// Applies changes to the flat form of a resource and brings what changed into stored form.
pub(crate) fn apply(call: &Call, fields: &'static [Field], before: &Map, changes: &[Change], masked: &[&str]) -> Result<Map, Fault> {
    let mut visible: Map = fields.iter().filter_map(|f| Some((f.name.to_owned(), before.get(f.name)?.clone()))).collect();
    for field in fields.iter().filter(|f| f.since <= call.version.0) {
        visible.entry(field.name).or_insert(Value::Null);
    }
    patch::apply(&mut visible, changes, &patchable(fields, call)).map_err(|error| Fault::invalid(error.to_string()))?;
    let mut after = before.clone();
    for field in fields.iter().filter(|field| field.patchable()) {
        let (Some(mut new), old) = (visible.remove(field.name), before.get(field.name)) else { continue };
        if old == Some(&new) || (old.is_none() && new.is_null()) {
            continue;
        }
        if let (true, Value::Object(new), Some(Value::Object(old))) = (masked.contains(&field.name), &mut new, old) {
            mask::restore(new, old);
        }
        let new = field.checked(new)?;
        check_size(call, field, old, &new)?;
        after.insert(field.name.into(), new);
    }
    Ok(after)
}

/// Many small patches must not make what one body may not bring: a dictionary that is nested too deeply or too long.
fn check_size(call: &Call, field: &Field, old: Option<&Value>, new: &Value) -> Result<(), Fault> {
    let length = |value: &Value| serde_json::to_vec(value).map_or(0, |text| text.len());
    if !new.is_object() && !new.is_array() {
        return Ok(());
    }
    let (levels, most) = (call.api.config.max_json_depth, call.api.config.max_body_bytes);
    if deeper(new, levels) {
        return Err(Fault::invalid(format!("{} would be nested too deeply: at most {levels} levels are accepted.", field.name)));
    }
    let long = length(new);
    if long > most && old.is_none_or(|old| length(old) < long) {
        return Err(Fault::invalid(format!("{} would be too large: at most {most} bytes are accepted.", field.name)));
    }
    Ok(())
}

fn deeper(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(items), Some(levels)) => items.iter().any(|item| deeper(item, levels)),
        (Value::Object(map), Some(levels)) => map.values().any(|item| deeper(item, levels)),
        _ => false,
    }
}
