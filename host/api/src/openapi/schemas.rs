//! The document's schemas, of the tables of fields and by hand.

use serde_json::{Value, json};
use wrought_domain::Map;

use crate::fields::{Field, Kind};
use crate::openapi::describe::{Arg, Type};
use crate::{allocations, chassis, deploy_templates, inspection_rules, nodes, portgroups, ports, runbooks, steps, volumes};

/// A reference to a schema of the document.
pub(crate) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn nullable(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

fn with(mut schema: Value, key: &str, value: impl Into<Value>) -> Value {
    if let Some(map) = schema.as_object_mut() {
        map.insert(key.into(), value.into());
    }
    schema
}

/// The version that brought something, as an extension of the schema.
pub(crate) fn since(schema: Value, minor: u16) -> Value {
    if minor > 1 { with(schema, "x-since", format!("1.{minor}")) } else { schema }
}

/// What an argument holds; texts of queries have the spellings of texts alone.
pub(crate) fn of_type(kind: Type, in_query: bool) -> Value {
    match kind {
        Type::Text => json!({"type": "string"}),
        Type::Short(most) => json!({"type": "string", "maxLength": most}),
        Type::Uuid => json!({"type": "string", "format": "uuid"}),
        Type::Bool if in_query => json!({"type": "boolean"}),
        Type::Bool => named("Boolean"),
        Type::Int(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Type::Moment => json!({"type": "string", "format": "date-time"}),
        Type::Csv => json!({"type": "string", "description": "A list, joined by commas."}),
        Type::OneOf(names) => json!({"type": "string", "enum": names}),
        Type::Object => json!({"type": "object"}),
        Type::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Type::Named(name) => named(name),
        Type::Each(name) => json!({"type": "array", "items": named(name)}),
    }
}

/// What a field may be set to.
fn written(field: &Field) -> Value {
    match field.kind {
        Kind::Uuid => with(nullable("string"), "format", "uuid"),
        Kind::Text(most) => with(nullable("string"), "maxLength", most),
        Kind::PlainText(most) => with(nullable("string"), "maxLength", most),
        Kind::Mandatory(most) => json!({"type": "string", "maxLength": most}),
        Kind::Bool(default) => json!({"anyOf": [named("Boolean"), {"type": "null"}], "default": default}),
        Kind::OptionalBool => json!({"anyOf": [named("Boolean"), {"type": "null"}]}),
        Kind::Number(most) => json!({"type": ["integer", "null"], "minimum": 0, "maximum": most}),
        Kind::Dict => nullable("object"),
        Kind::List => json!({"type": "array"}),
        Kind::Shown => json!({}),
    }
}

/// What a field is shown as.
fn shown(field: &Field) -> Value {
    match field.kind {
        Kind::Uuid => with(nullable("string"), "format", "uuid"),
        Kind::Text(_) => nullable("string"),
        Kind::PlainText(_) | Kind::Mandatory(_) => json!({"type": "string"}),
        Kind::Bool(_) => json!({"type": "boolean"}),
        Kind::OptionalBool => nullable("boolean"),
        Kind::Number(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
        Kind::Dict => json!({"type": "object"}),
        // Ironic shows null where the rule is sensitive.
        Kind::List => json!({"type": ["array", "null"]}),
        Kind::Shown => shown_only(field.name),
    }
}

/// Fields that nobody writes, by name.
fn shown_only(name: &str) -> Value {
    match name {
        "created_at" | "updated_at" | "provision_updated_at" | "inspection_started_at" | "inspection_finished_at" => {
            with(nullable("string"), "format", "date-time")
        }
        "links" | "ports" | "states" | "portgroups" | "volume" | "nodes" | "connectors" | "targets" => named("Links"),
        "driver_internal_info" | "internal_info" | "clean_step" | "deploy_step" | "service_step" | "raid_config" | "target_raid_config" => {
            nullable("object")
        }
        "traits" => json!({"type": "array", "items": {"type": "string"}}),
        "allocation_uuid" | "node_uuid" => with(nullable("string"), "format", "uuid"),
        "dynamic_portgroup" => json!({"type": "boolean"}),
        _ => nullable("string"),
    }
}

fn object(properties: Map, required: &[&str], open: bool) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !open {
        schema = with(schema, "additionalProperties", false);
    }
    if !required.is_empty() {
        schema = with(schema, "required", json!(required));
    }
    schema
}

/// A resource as it is shown.
fn resource(fields: &[Field]) -> Value {
    object(fields.iter().map(|field| (field.name.to_owned(), since(shown(field), field.since))).collect(), &[], false)
}

/// A new resource.
pub(crate) fn creation(fields: &[Field], more: &[Arg], required: &[&str]) -> Value {
    let mut properties: Map = fields
        .iter()
        .filter(|field| field.postable())
        .map(|field| (field.name.to_owned(), since(of_list(field).unwrap_or_else(|| written(field)), field.since)))
        .collect();
    properties.extend(more.iter().map(|arg| (arg.name.to_owned(), property(arg))));
    object(properties, required, false)
}

/// What the lists of resources hold.
fn of_list(field: &Field) -> Option<Value> {
    let items = match field.name {
        "steps" => "Step",
        "conditions" | "actions" => "Clause",
        "candidate_nodes" | "traits" => return Some(json!({"type": ["array", "null"], "items": {"type": "string"}})),
        _ => return None,
    };
    Some(json!({"type": "array", "items": named(items), "maxItems": steps::MAX_STEPS}))
}

fn property(arg: &Arg) -> Value {
    with(since(of_type(arg.kind, false), arg.since), "description", arg.about)
}

/// An object of keys.
pub(crate) fn keys(args: &[Arg]) -> Value {
    let required: Vec<&str> = args.iter().filter(|arg| arg.required).map(|arg| arg.name).collect();
    object(args.iter().map(|arg| (arg.name.to_owned(), property(arg))).collect(), &required, false)
}

/// A JSON Patch, with the paths that it may change.
pub(crate) fn json_patch(fields: &[Field]) -> Value {
    let paths: Vec<String> = fields.iter().filter(|field| field.patchable()).map(|field| format!("/{}", field.name)).collect();
    json!({
        "type": "array", "maxItems": crate::patching::MAX_CHANGES, "items": named("Change"),
        "description": format!("May change {} and what is below them.", paths.join(", ")), "x-paths": paths,
    })
}

/// Every schema that has a name.
pub(crate) fn all() -> Map {
    let mut all = Map::new();
    for (name, fields) in [
        ("Node", nodes::fields::FIELDS),
        ("Port", ports::FIELDS),
        ("Allocation", allocations::FIELDS),
        ("Chassis", chassis::FIELDS),
        ("Portgroup", portgroups::FIELDS),
        ("VolumeConnector", volumes::CONNECTOR_FIELDS),
        ("VolumeTarget", volumes::TARGET_FIELDS),
        ("DeployTemplate", deploy_templates::FIELDS),
        ("Runbook", runbooks::FIELDS),
        ("InspectionRule", inspection_rules::FIELDS),
    ] {
        all.insert(name.into(), resource(fields));
    }
    all.extend(by_hand());
    all
}

fn by_hand() -> Map {
    let text = json!({"type": "string"});
    let link = json!({
        "type": "object", "required": ["href", "rel"], "additionalProperties": false,
        "properties": {"href": text, "rel": text, "type": text},
    });
    let version = json!({
        "type": "object", "required": ["id", "links", "status", "min_version", "version"], "additionalProperties": false,
        "properties": {"id": text, "links": named("Links"), "status": text, "min_version": text, "version": text},
    });
    let schemas = json!({
        "Boolean": {
            "description": "True or false; also 1 t true on y yes and 0 f false off n no, in any case.",
            "anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["1", "t", "true", "True", "on", "y", "yes", "0", "f", "false", "False", "off", "n", "no"]}],
        },
        "Link": link,
        "Links": {"type": "array", "items": named("Link")},
        "Change": {
            "type": "object", "required": ["op", "path"], "additionalProperties": false,
            "properties": {
                "op": {"type": "string", "enum": ["add", "replace", "remove"]},
                "path": {"type": "string", "pattern": "^/.+", "description": "A JSON Pointer."},
                "value": {"description": "What to set; add and replace need it."},
            },
        },
        "Version": version,
        "Root": {
            "type": "object", "required": ["name", "description", "default_version", "versions"], "additionalProperties": false,
            "properties": {
                "name": text, "description": text, "default_version": named("Version"), "versions": {"type": "array", "items": named("Version")},
            },
        },
        "V1": {
            "type": "object", "required": ["id", "links", "media_types", "version"],
            "properties": {"id": text, "links": named("Links"), "media_types": {"type": "object"}, "version": named("Version")},
            "additionalProperties": named("Links"),
        },
        "Fault": {
            "description": "An error; error_message is JSON once more, with faultstring or description. Without it where a body breaks a limit.",
            "anyOf": [
                {"type": "object", "required": ["error_message"], "properties": {"error_message": text}, "additionalProperties": false},
                {
                    "type": "object", "required": ["faultcode", "faultstring"], "properties": {"faultcode": text, "faultstring": text},
                    "additionalProperties": false,
                },
            ],
        },
        "Error": {
            "type": "object", "required": ["error"], "additionalProperties": false,
            "properties": {"error": {
                "type": "object", "required": ["code", "message"],
                "properties": {"code": {"type": ["string", "integer"]}, "message": text},
            }},
        },
        "Step": {
            "type": "object", "required": ["interface", "step"], "additionalProperties": false,
            "properties": {
                "interface": text, "step": text, "args": {"type": ["object", "null"]},
                "priority": {"type": "integer", "minimum": 0, "description": "Of deploy_steps and deploy templates, which need it."},
                "order": {"type": ["integer", "string"], "description": "Of runbooks, which need it."},
                "execute_on_child_nodes": {"type": ["boolean", "null"]},
                "limit_child_node_execution": {"type": ["array", "null"], "items": {"type": "string", "format": "uuid"}},
            },
        },
        "Clause": {
            "type": "object", "required": ["op", "args"], "additionalProperties": false,
            "properties": {
                "op": text, "args": {"type": ["object", "array"]}, "loop": {"type": ["object", "array", "null"]},
                "multiple": {"type": ["string", "null"]},
            },
        },
        "ConfigDrive": {
            "description": "A config drive, as gzip in base64 or its URL; since 1.56 what it is to be built of.",
            "anyOf": [
                text,
                {
                    "type": "object", "additionalProperties": false,
                    "properties": {
                        "meta_data": {"type": ["object", "null"]}, "network_data": {"type": ["object", "null"]},
                        "user_data": {"type": ["object", "array", "string", "null"]}, "vendor_data": {"type": ["object", "null"]},
                    },
                },
            ],
        },
        "Validation": {
            "type": "object", "required": ["result"], "additionalProperties": false,
            "properties": {"result": {"type": ["boolean", "null"]}, "reason": {"type": ["string", "null"]}},
        },
        "VendorMethod": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "async": {"type": "boolean"}, "attach": {"type": "boolean"}, "description": text, "http_methods": {"type": "array", "items": text},
                "require_exclusive_lock": {"type": "boolean"},
            },
        },
        "NewVif": {
            "description": "The virtual interface, and since 1.67 where it is to be attached; what else is there is the network interface's.",
            "type": "object", "required": ["id"],
            "properties": {"id": {"type": "string", "minLength": 1}, "port_uuid": {"type": "string"}, "portgroup_uuid": {"type": "string"}},
        },
        "Event": {
            "type": "object", "required": ["event", "port_id", "mac_address", "status"], "additionalProperties": false,
            "properties": {
                "event": {"type": "string", "enum": ["network.bind_port", "network.unbind_port", "network.delete_port"]},
                "port_id": {"type": "string", "format": "uuid"}, "mac_address": text, "status": text,
                "device_id": {"type": ["string", "null"]}, "binding:host_id": {"type": ["string", "null"]}, "binding:vnic_type": {"type": ["string", "null"]},
            },
        },
        "Vif": {"type": "object", "required": ["id"], "properties": {"id": text}},
        "HistoryEvent": {
            "type": "object", "required": ["uuid"],
            "properties": {
                "uuid": {"type": "string", "format": "uuid"}, "created_at": {"type": "string", "format": "date-time"}, "severity": text,
                "event": text, "links": named("Links"), "event_type": text, "conductor": {"type": ["string", "null"]},
                "user": {"type": ["string", "null"]},
            },
        },
        "BiosSetting": {
            "type": "object",
            "properties": {
                "name": text, "value": {"type": ["string", "null"]}, "links": named("Links"),
                "created_at": {"type": ["string", "null"], "format": "date-time"}, "updated_at": {"type": ["string", "null"], "format": "date-time"},
            },
        },
        "Firmware": {
            "type": "object",
            "properties": {
                "component": {"type": ["string", "null"]}, "initial_version": {"type": ["string", "null"]},
                "current_version": {"type": ["string", "null"]}, "last_version_flashed": {"type": ["string", "null"]},
            },
        },
        "Driver": {
            "type": "object",
            "properties": {
                "name": text, "hosts": {"type": "array", "items": text}, "links": named("Links"), "properties": named("Links"),
                "type": {"type": "string", "enum": ["classic", "dynamic"]},
            },
            "additionalProperties": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": text}]},
        },
        "Conductor": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "hostname": text, "conductor_group": text, "alive": {"type": "boolean"}, "drivers": {"type": "array", "items": text},
                "created_at": {"type": "string", "format": "date-time"}, "updated_at": {"type": ["string", "null"], "format": "date-time"},
                "links": named("Links"),
            },
        },
        "Shard": {
            "type": "object", "required": ["name", "count"], "additionalProperties": false,
            "properties": {"name": {"type": ["string", "null"]}, "count": {"type": "integer", "minimum": 0}},
        },
    });
    match schemas {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}
