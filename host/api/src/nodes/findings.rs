//! What was found about a node: its inventory, the settings of its firmware, and the versions of it.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use wrought_domain::{Map, NodeId};
use wrought_storage::FindingKind;

use crate::args::{Args, brief};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::fields::keep;
use crate::nodes::fields::moment;

/// Settings or components that are shown of a node.
const MOST: usize = 4096;

/// What the registry of a controller says of a setting.
const REGISTRY: [&str; 9] = [
    "attribute_type",
    "allowable_values",
    "lower_bound",
    "max_length",
    "min_length",
    "read_only",
    "reset_required",
    "unique",
    "upper_bound",
];

/// `GET /v1/nodes/{node}/inventory`.
pub(crate) async fn inventory(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(81)?;
    call.query().done()?;
    let node = call.node(&ident).await?.value.uuid;
    let found = call.api.service.store().finding::<Map>(node, FindingKind::Inventory).await?;
    let (_, mut found) = found.ok_or_else(|| Fault::not_found(format!("Node {node} has no inventory associated with it.")))?;
    let mut take = |key: &str| found.remove(key).unwrap_or_else(|| json!({}));
    Ok(ok(json!({"inventory": take("inventory"), "plugin_data": take("plugin_data")})))
}

/// What drivers reported: a list, or an object from names to values.
async fn reported(call: &Call, node: NodeId, kind: FindingKind, name: &str) -> Result<(Timestamp, Vec<Map>), Fault> {
    let found = call.api.service.store().finding::<Value>(node, kind).await?;
    let Some((at, found)) = found else { return Ok((Timestamp::UNIX_EPOCH, Vec::new())) };
    let items: Vec<Map> = match found {
        Value::Array(items) => items.into_iter().filter_map(|item| if let Value::Object(map) = item { Some(map) } else { None }).collect(),
        Value::Object(map) => {
            let named = |(key, value): (String, Value)| match value {
                Value::Object(mut inner) => {
                    inner.insert(name.to_owned(), key.into());
                    inner
                }
                value => Map::from_iter([(name.to_owned(), Value::from(key)), ("value".to_owned(), value)]),
            };
            map.into_iter().map(named).collect()
        }
        _ => Vec::new(),
    };
    let mut items: Vec<Map> = items.into_iter().filter(|item| item.get(name).is_some_and(Value::is_string)).take(MOST).collect();
    items.sort_by(|a, b| a.get(name).and_then(Value::as_str).cmp(&b.get(name).and_then(Value::as_str)));
    items.dedup_by(|a, b| a.get(name) == b.get(name));
    Ok((at, items))
}

/// Ironic's values are texts.
fn text(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => Value::Null,
        Some(Value::String(text)) => json!(text),
        Some(other) => json!(other.to_string()),
    }
}

fn setting(call: &Call, node: NodeId, at: Timestamp, found: &Map) -> Map {
    let name = found.get("name").and_then(Value::as_str).unwrap_or_default();
    let href = format!("{}/v1/nodes/{node}/bios/{name}", call.base);
    let bookmark = format!("{}/nodes/{node}/bios/{name}", call.base);
    let mut shown = Map::new();
    shown.insert("created_at".into(), moment(Some(at)));
    shown.insert("updated_at".into(), Value::Null);
    shown.insert("name".into(), json!(name));
    shown.insert("value".into(), text(found.get("value")));
    if call.version.0 >= 74 {
        shown.extend(REGISTRY.iter().map(|key| ((*key).to_owned(), found.get(*key).cloned().unwrap_or_default())));
    }
    shown.insert("links".into(), json!([{"href": href, "rel": "self"}, {"href": bookmark, "rel": "bookmark"}]));
    shown
}

/// Which fields are shown: those asked for, all of them, or a few.
fn choice(call: &Call, args: &mut Args, since: u16, few: &[&str], all: &[&str]) -> Result<Option<Vec<String>>, Fault> {
    let detail = args.boolean("detail")?;
    let fields = args.list("fields")?;
    if detail.is_some() || fields.is_some() {
        call.accept(since)?;
    }
    if detail == Some(true) && fields.is_some() {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    let known = |name: &String| all.contains(&name.as_str());
    if let Some(unknown) = fields.iter().flatten().find(|name| !known(name)) {
        return Err(Fault::invalid(format!("Field(s) \"{}\" are not valid", brief(&Value::from(unknown.as_str())))));
    }
    match (fields, detail) {
        (Some(fields), _) => Ok(Some(fields)),
        (None, Some(true)) => Ok(None),
        (None, _) => Ok(Some(few.iter().map(|name| (*name).to_owned()).collect())),
    }
}

/// `GET /v1/nodes/{node}/bios`.
pub(crate) async fn bios(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(40)?;
    let mut args = call.query();
    let all = [&REGISTRY[..], &["name", "value", "created_at", "updated_at"]].concat();
    let wanted = choice(&call, &mut args, 74, &["name", "value"], &all)?;
    args.done()?;
    let node = call.node(&ident).await?.value.uuid;
    let (at, found) = reported(&call, node, FindingKind::Bios, "name").await?;
    let item = |found: &Map| {
        let mut shown = setting(&call, node, at, found);
        if let Some(wanted) = &wanted {
            keep(&mut shown, wanted);
        }
        Value::Object(shown)
    };
    Ok(ok(json!({"bios": found.iter().map(item).collect::<Vec<_>>()})))
}

/// `GET /v1/nodes/{node}/bios/{setting}`.
pub(crate) async fn bios_setting(Path((ident, name)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    call.since(40)?;
    call.query().done()?;
    let node = call.node(&ident).await?.value.uuid;
    let (at, found) = reported(&call, node, FindingKind::Bios, "name").await?;
    let found = found.iter().find(|found| found.get("name").and_then(Value::as_str) == Some(name.as_str()));
    let shown = brief(&Value::from(name.as_str()));
    let found = found.ok_or_else(|| Fault::not_found(format!("Node {node} doesn't have a BIOS setting '{shown}'")))?;
    Ok(ok(json!({name: setting(&call, node, at, found)})))
}

/// `GET /v1/nodes/{node}/firmware`.
pub(crate) async fn firmware(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(86)?;
    let mut args = call.query();
    let newer = ["vendor", "model", "serial_number"];
    let few = ["component", "initial_version", "current_version", "last_version_flashed"];
    let few = if call.version.0 >= 114 { [&few[..], &newer[..]].concat() } else { few.to_vec() };
    let all = [&few[..], &["created_at", "updated_at"]].concat();
    let wanted = choice(&call, &mut args, 86, &all, &all)?;
    args.done()?;
    let node = call.node(&ident).await?.value.uuid;
    let (at, found) = reported(&call, node, FindingKind::Firmware, "component").await?;
    let item = |found: &Map| {
        let mut shown: Map = few.iter().map(|key| ((*key).to_owned(), text(found.get(*key)))).collect();
        if shown.get("current_version").is_some_and(Value::is_null) {
            // A report of names and values.
            shown.insert("current_version".into(), text(found.get("value")));
        }
        // What is there when a component is first seen is what it had.
        if shown.get("initial_version").is_some_and(Value::is_null) {
            let current = shown.get("current_version").cloned().unwrap_or_default();
            shown.insert("initial_version".into(), current);
        }
        shown.insert("created_at".into(), moment(Some(at)));
        shown.insert("updated_at".into(), Value::Null);
        if let Some(wanted) = &wanted {
            shown.retain(|name, _| wanted.contains(name));
        }
        Value::Object(shown)
    };
    Ok(ok(json!({"firmware": found.iter().map(item).collect::<Vec<_>>()})))
}
