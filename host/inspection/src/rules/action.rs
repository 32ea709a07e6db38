//! Actions.

use serde_json::Value;
use wrought_domain::node::{Interfaces, cut};
use wrought_domain::{Map, Node, Port};

use super::text::{Filled, text_of};
use super::{Budget, Clause, Stop, broken, signature};
use crate::Subject;

/// Parts of a path, and bytes of one.
const MAX_PARTS: usize = 16;
const MAX_PART: usize = 255;
/// Bytes of a text that a rule writes into a field, or of a line that it logs.
const MAX_TEXT: usize = 4096;
/// Bytes of the name of a hardware type or an interface.
const MAX_NAME: usize = 255;
/// Traits of a node; Ironic's limit.
const MAX_TRAITS: usize = 50;

/// Objects of a node that rules may change.
const NODE_MAPS: [&str; 4] = ["properties", "extra", "driver_info", "network_data"];
/// Texts of a node that rules may set, and bytes of each; the interfaces (`deploy_interface`) as well. Whether there is such a driver
/// or interface is the host's to know when the rules have run.
const NODE_TEXTS: [(&str, usize); 7] = [
    ("driver", MAX_NAME),
    ("description", 4096),
    ("resource_class", 80),
    ("conductor_group", 255),
    ("owner", 255),
    ("lessee", 255),
    ("shard", 255),
];
/// Objects of a port.
const PORT_MAPS: [&str; 2] = ["extra", "local_link_connection"];
/// Texts of a port.
const PORT_TEXTS: [(&str, usize); 4] = [("physical_network", 64), ("description", 255), ("vendor", 32), ("category", 80)];
/// Keys of `local_link_connection`.
const LINK_KEYS: [&str; 5] = ["switch_id", "port_id", "switch_info", "network_type", "hostname"];

/// The parts of a path, written `a/b/c` or `a.b.c`.
fn parts(path: &str) -> Result<Vec<String>, String> {
    let slashes = path.contains('/');
    let split: Vec<&str> = if slashes { path.trim_matches('/').split('/').collect() } else { path.split('.').collect() };
    let braces = path.contains(['{', '}']);
    if braces
        || split.len() > MAX_PARTS
        || split.iter().any(|part| part.is_empty() || part.len() > MAX_PART || part.contains(char::is_control))
    {
        return Err(format!("path {:?} is none: write a/b/c or a.b.c, with at most {MAX_PARTS} parts", cut(path, 60)));
    }
    let plain = |part: &str| if slashes { part.replace("~1", "/").replace("~0", "~") } else { part.to_owned() };
    Ok(split.into_iter().map(plain).collect())
}

/// The interface that a field such as `deploy_interface` chooses.
fn interface_of(field: &str) -> Option<&str> {
    field.strip_suffix("_interface").filter(|name| Interfaces::NAMES.contains(name))
}

/// Whether the action may work on this path. A brace never is part of one, so that a text with braces leads nowhere when the rule
/// runs; as Ironic, it may be stored.
pub(super) fn check_path(op: &str, path: &str) -> Result<(), String> {
    let parts = parts(path)?;
    let (Some(root), deep) = (parts.first(), parts.len() > 1) else { return Ok(()) };
    let listed = |maps: &[&str], texts: &[(&str, usize)], others: &[&str]| {
        let text = texts.iter().any(|(name, _)| name == root) || others.contains(&root.as_str());
        match (maps.contains(&root.as_str()), text) {
            (true, _) if deep => Ok(()),
            (true, _) => Err(format!("{root} as a whole cannot be changed: name a key of it")),
            (_, true) if !deep => Ok(()),
            _ => {
                let texts: Vec<&str> =
                    maps.iter().copied().chain(texts.iter().map(|(name, _)| *name)).chain(others.iter().copied()).collect();
                Err(format!("path {:?} cannot be changed by a rule; what can is {}", cut(path, 60), texts.join(", ")))
            }
        }
    };
    match op {
        "set-attribute" | "del-attribute" if !deep && interface_of(root).is_some() => Ok(()),
        "set-attribute" | "extend-attribute" | "del-attribute" => listed(&NODE_MAPS, &NODE_TEXTS, &[]),
        "set-port-attribute" | "extend-port-attribute" | "del-port-attribute" => listed(&PORT_MAPS, &PORT_TEXTS, &["pxe_enabled"]),
        _ => Ok(()),
    }
}

/// Whether the action may work on this name.
pub(super) fn check_name(op: &str, name: &str) -> Result<(), String> {
    match op {
        "add-trait" | "remove-trait" => {
            let good = name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.len() <= 255
                && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            if good { Ok(()) } else { Err(format!("{:?} is not a trait: it has A-Z, 0-9 and _ only", cut(name, 60))) }
        }
        _ => {
            let good = (1..=255).contains(&name.len()) && !name.contains([',', ':']) && !name.contains(char::is_control);
            if good { Ok(()) } else { Err(format!("{:?} is not the name of a capability", cut(name, 60))) }
        }
    }
}

/// Carries an action out, once for each item; what it logs.
pub(super) fn carry_out(clause: &Clause, subject: &mut Subject, budget: &mut Budget) -> Result<Vec<(String, String)>, Stop> {
    let Some(signature) = signature::action(&clause.op) else { return broken(format!("there is no action {:?}", clause.op)) };
    let mut logged = Vec::new();
    for item in clause.items() {
        let args = clause.filled(signature, item, Filled::Error, subject, budget)?;
        // Fields were filled in: now it must be right.
        signature.check(&args).map_err(Stop::Broken)?;
        logged.extend(act(signature.op(), &args, subject, budget)?);
    }
    Ok(logged)
}

fn act(op: &str, args: &Map, subject: &mut Subject, budget: &mut Budget) -> Result<Option<(String, String)>, Stop> {
    let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    let value = args.get("value").cloned().unwrap_or_default();
    budget.written(&value)?;
    let unique = args.get("unique") == Some(&Value::Bool(true));
    let path = parts(text("path"));
    let path = || path.clone().map_err(Stop::Broken);
    match op {
        "fail" => return Err(Stop::Fail(line(text("msg")))),
        "log" => {
            let level = text("level").to_lowercase();
            return Ok(Some((if level.is_empty() { "info".into() } else { level }, line(text("msg")))));
        }
        "set-attribute" => of_node(&mut subject.node, &path()?, Change::Set(value))?,
        "extend-attribute" => of_node(&mut subject.node, &path()?, Change::Extend(value, unique))?,
        "del-attribute" => of_node(&mut subject.node, &path()?, Change::Remove)?,
        "set-capability" => {
            let plain = text_of(&value);
            if plain.contains(',') || plain.contains(char::is_control) || plain.len() > MAX_PART {
                return broken(format!("{:?} is no value of a capability", cut(&plain, 60)));
            }
            capability(&mut subject.node.properties, text("name"), Some(&value));
        }
        "unset-capability" => capability(&mut subject.node.properties, text("name"), None),
        "add-trait" => add_trait(&mut subject.node.traits, text("name"))?,
        "remove-trait" => subject.node.traits.retain(|name| name != text("name")),
        "set-plugin-data" => change(&mut subject.plugin_data, &path()?, Change::Set(value))?,
        "extend-plugin-data" => change(&mut subject.plugin_data, &path()?, Change::Extend(value, unique))?,
        "unset-plugin-data" => change(&mut subject.plugin_data, &path()?, Change::Remove)?,
        "set-port-attribute" => of_port(port(subject, text("port_id"))?, &path()?, Change::Set(value))?,
        "extend-port-attribute" => of_port(port(subject, text("port_id"))?, &path()?, Change::Extend(value, unique))?,
        "del-port-attribute" => of_port(port(subject, text("port_id"))?, &path()?, Change::Remove)?,
        other => return broken(format!("there is no action {other:?}")),
    }
    Ok(None)
}

/// A line for logs and errors.
fn line(text: &str) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    cut(&plain, MAX_TEXT)
}

fn add_trait(traits: &mut Vec<String>, name: &str) -> Result<(), Stop> {
    if traits.iter().any(|known| known == name) {
        return Ok(());
    }
    if traits.len() >= MAX_TRAITS {
        return broken(format!("a node has at most {MAX_TRAITS} traits"));
    }
    traits.push(name.to_owned());
    Ok(())
}

/// Sets a capability, or takes it away. The form that they are kept in, text or object, stays.
pub(crate) fn capability(properties: &mut Map, name: &str, value: Option<&Value>) {
    if let Some(Value::Object(map)) = properties.get_mut("capabilities") {
        match value {
            Some(value) => drop(map.insert(name.to_owned(), Value::String(text_of(value)))),
            None => drop(map.remove(name)),
        }
        return;
    }
    let text = properties.get("capabilities").and_then(Value::as_str).unwrap_or_default();
    let is = |pair: &&str| pair.split_once(':').is_some_and(|(key, _)| key.trim() == name);
    let mut pairs: Vec<String> = text.split(',').map(str::trim).filter(|pair| !pair.is_empty() && !is(pair)).map(str::to_owned).collect();
    pairs.extend(value.map(|value| format!("{name}:{}", text_of(value))));
    if pairs.is_empty() {
        properties.remove("capabilities");
    } else {
        properties.insert("capabilities".into(), pairs.join(",").into());
    }
}

enum Change {
    Set(Value),
    Extend(Value, bool),
    Remove,
}

/// Changes what is at a path. Objects on the way are made where something is to be put there.
fn change(map: &mut Map, path: &[String], change: Change) -> Result<(), Stop> {
    let Some((key, before)) = path.split_last() else { return Ok(()) };
    let mut map = map;
    for part in before {
        if matches!(change, Change::Remove) && !map.contains_key(part) {
            return Ok(());
        }
        match map.entry(part.clone()).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => map = inner,
            _ => return broken(format!("{part:?} on the way to {:?} is not an object", path.join("/"))),
        }
    }
    match change {
        Change::Set(value) => drop(map.insert(key.clone(), value)),
        Change::Remove => drop(map.remove(key)),
        Change::Extend(value, unique) => match map.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(items) if unique && items.contains(&value) => {}
            Value::Array(items) => items.push(value),
            _ => return broken(format!("{:?} is not a list", path.join("/"))),
        },
    }
    Ok(())
}

/// The text that a field is set to.
fn field_text(root: &str, max: usize, change: Change) -> Result<Option<String>, Stop> {
    match change {
        Change::Remove | Change::Set(Value::Null) => Ok(None),
        Change::Set(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
            let text = text_of(&value);
            if text.len() > max || text.contains(char::is_control) {
                return broken(format!("{root} is a text of at most {max} bytes"));
            }
            Ok(Some(text))
        }
        _ => broken(format!("{root} is a text")),
    }
}

fn of_node(node: &mut Node, path: &[String], what: Change) -> Result<(), Stop> {
    let Some((root, rest)) = path.split_first() else { return Ok(()) };
    if let Some((_, max)) = NODE_TEXTS.iter().find(|(name, _)| name == root) {
        let text = field_text(root, *max, what)?;
        match root.as_str() {
            "driver" => match text {
                Some(driver) => node.driver = driver,
                None => return broken("driver is a text"),
            },
            "description" => node.description = text,
            "resource_class" => node.resource_class = text,
            "conductor_group" => node.conductor_group = text.unwrap_or_default().to_lowercase(),
            "owner" => node.owner = text,
            "lessee" => node.lessee = text,
            _ => node.shard = text,
        }
        return Ok(());
    }
    if let Some(interface) = interface_of(root) {
        let Some(chosen) = field_text(root, MAX_NAME, what)? else { return broken(format!("{root} is a text")) };
        if let Some(place) = node.interfaces.get_mut(interface) {
            *place = chosen;
        }
        return Ok(());
    }
    let map = match root.as_str() {
        "properties" => &mut node.properties,
        "extra" => &mut node.extra,
        "driver_info" => &mut node.driver_info,
        _ => &mut node.network_data,
    };
    change(map, rest, what)
}

fn port<'s>(subject: &'s mut Subject, id: &str) -> Result<&'s mut Port, Stop> {
    let mac = wrought_domain::port::mac(id);
    let is = |port: &&mut Port| Some(&port.address) == mac.as_ref() || port.uuid.to_string().eq_ignore_ascii_case(id);
    subject.ports.iter_mut().find(is).ok_or_else(|| Stop::Broken(format!("the node has no port {:?}", cut(id, 60))))
}

fn of_port(port: &mut Port, path: &[String], what: Change) -> Result<(), Stop> {
    let Some((root, rest)) = path.split_first() else { return Ok(()) };
    if let Some((_, max)) = PORT_TEXTS.iter().find(|(name, _)| name == root) {
        let text = field_text(root, *max, what)?;
        match root.as_str() {
            "physical_network" => port.physical_network = text,
            "description" => port.description = text,
            "vendor" => port.vendor = text,
            _ => port.category = text,
        }
        return Ok(());
    }
    match (root.as_str(), what) {
        ("pxe_enabled", Change::Set(Value::Bool(enabled))) => port.pxe_enabled = enabled,
        ("pxe_enabled", Change::Remove) => port.pxe_enabled = true,
        ("pxe_enabled", _) => return broken("pxe_enabled is true or false"),
        ("local_link_connection", what) => {
            if let Some(key) = rest.first().filter(|key| !LINK_KEYS.contains(&key.as_str())) {
                return broken(format!("local_link_connection has no key {:?}", cut(key, 60)));
            }
            change(&mut port.local_link_connection, rest, what)?;
        }
        (_, what) => change(&mut port.extra, rest, what)?,
    }
    Ok(())
}
