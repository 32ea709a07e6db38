//! The API's document in OpenAPI 3.1: of the tables of fields that the handlers use, and of one description of each route. It is
//! kept in `openapi.json`, and tests compare it with what is served and with what it describes.

mod describe;
mod nodes;
mod parts;
mod resources;
mod schemas;
mod wrought;

use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use http::{Method, Uri, header};
use serde_json::{Value, json};
use wrought_domain::Map;

use crate::access::{self, Access};
use crate::errors::Fault;
use crate::openapi::describe::{Answer, Arg, Body, Op};
use crate::openapi::schemas::named;
use crate::routes::Routes;
use crate::versions::{MAX, MIN};

/// The document as it is kept; a test compares it with [`document`].
const KEPT: &str = include_str!("../../openapi.json");

/// The route.
pub(crate) fn routes() -> Routes {
    Routes::new().get("/openapi.json", show)
}

async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], KEPT).into_response()
}

/// The minor version that brought a path; nothing for one that is not described.
pub(crate) fn since(path: &str) -> Option<u16> {
    ops().filter(|op| op.path == path).map(|op| op.since).min()
}

fn ops() -> impl Iterator<Item = &'static Op> {
    nodes::OPS.iter().chain(parts::OPS).chain(resources::OPS).chain(wrought::OPS)
}

/// Refuses arguments that the route's description does not have.
///
/// # Errors
/// 400.
pub(crate) fn check_query(method: &Method, path: &str, uri: &Uri) -> Result<(), Fault> {
    // The router answers HEAD by GET's handler.
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let Some(op) = ops().find(|op| op.path == path && op.method.eq_ignore_ascii_case(method.as_str())) else { return Ok(()) };
    let given = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| Fault::invalid("the query cannot be decoded"))?.0;
    match given.iter().find(|(name, _)| !op.open_query && op.arguments().all(|arg| arg.name != name)) {
        Some((name, _)) => Err(Fault::invalid(format!("the query: this takes no argument {}", name.chars().take(80).collect::<String>()))),
        None => Ok(()),
    }
}

/// The whole document, as it is written to `openapi.json`.
pub fn document() -> String {
    let mut paths = Map::new();
    for op in ops() {
        let entry = paths.entry(op.path).or_insert_with(|| json!({}));
        if let Some(methods) = entry.as_object_mut() {
            methods.insert(op.method.to_owned(), operation(op));
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Wrought",
            "version": format!("1.{}", MAX.0),
            "description": "Ironic's API of bare metal v1 with its microversions, and Wrought's own below /wrought/v1. A request without \
                a version is one of 1.1; x-since says which version brought something. What is newer than the version of the request \
                does not exist in it: resources are answered 404 or 405, fields and arguments 406.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}, {"bearer": []}, {"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": refusals(),
            "parameters": {"Version": {
                "name": "X-OpenStack-Ironic-API-Version", "in": "header", "required": false,
                "description": format!("The version of the API, {MIN} to {MAX} or latest; {MIN} if not given."),
                "schema": {"type": "string", "pattern": "^(latest|1\\.([1-9]|[1-9][0-9]|10[0-9]|11[0-5]))$"},
            }},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "Accounts of the host's password file."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token that wrought token create made."},
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": "The same token, as clients of OpenStack send it."},
            },
        },
    });
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    format!("{text}\n")
}

fn schemas() -> Map {
    let mut all = schemas::all();
    let states: Vec<&str> = wrought_domain::ProvisionState::ALL.iter().map(|state| state.as_str()).collect();
    all.insert("ProvisionState".into(), json!({"type": "string", "enum": states}));
    all.insert("StrictBoolean".into(), json!({"type": "boolean"}));
    all.insert("RaidConfig".into(), json!({"type": "object", "description": "logical_disks, or nothing for no RAID."}));
    all.insert("Limits".into(), json!({"type": "object", "additionalProperties": {"type": "integer"}}));
    all.insert(
        "Findings".into(),
        json!({"type": "object", "required": ["inventory"], "properties": {"inventory": {"type": "object"}}, "description": "An inventory, and what collectors of the agent add."}),
    );
    all
}

/// Who may use a route, in words.
fn who(access: Option<Access>) -> String {
    let role = |role: wrought_domain::Role| format!("{role:?}").to_lowercase();
    match access {
        Some(Access::Public) => "Needs no credentials.".into(),
        Some(Access::System(least)) => format!("Needs the role {} of everything.", role(least)),
        Some(Access::Own(least)) => format!("Needs the role {}; with a project, only what belongs to it is there.", role(least)),
        Some(Access::Node(needs)) => {
            let lessee = needs.lessee.map_or_else(|| "nobody".to_owned(), role);
            format!(
                "Needs the role {} of everything, {} of the node's owner, or {lessee} of its lessee.",
                role(needs.system),
                role(needs.owner)
            )
        }
        None => String::new(),
    }
}

fn operation(op: &Op) -> Value {
    let method = Method::from_bytes(op.method.to_uppercase().as_bytes()).unwrap_or_default();
    let access = access::of(&method, op.path);
    let mut parameters: Vec<Value> = path_names(op.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
        .collect();
    if op.is_ironic() {
        parameters.push(json!({"$ref": "#/components/parameters/Version"}));
    }
    parameters.extend(op.arguments().map(parameter));
    let words: String = op.path.split(['/', '{', '}', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    let mut described = json!({
        "operationId": format!("{}_{words}", op.method),
        "summary": op.summary,
        "description": who(access),
        "parameters": parameters,
        "responses": responses(op),
    });
    let Some(map) = described.as_object_mut() else { return described };
    if op.since > 1 {
        map.insert("x-since".into(), format!("1.{}", op.since).into());
    }
    if op.open_query {
        map.insert("x-any-query".into(), true.into());
    }
    if access == Some(Access::Public) {
        map.insert("security".into(), json!([]));
    }
    if let Some(body) = request_body(op) {
        map.insert("requestBody".into(), body);
    }
    described
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(arg: &Arg) -> Value {
    let mut parameter = json!({
        "name": arg.name, "in": "query", "required": arg.required, "description": arg.about, "schema": schemas::of_type(arg.kind, true),
    });
    if let (Some(map), true) = (parameter.as_object_mut(), arg.since > 1) {
        map.insert("x-since".into(), format!("1.{}", arg.since).into());
    }
    parameter
}

fn request_body(op: &Op) -> Option<Value> {
    let json = |schema: Value, required: bool| json!({"required": required, "content": {"application/json": {"schema": schema}}});
    Some(match op.body {
        Body::Nothing => return None,
        Body::Resource(fields, more, required) => json(schemas::creation(fields, more, required), true),
        Body::Patch(fields) => json(schemas::json_patch(fields), true),
        Body::Args(args) | Body::Keys(args) => json(schemas::keys(args), args.iter().any(|arg| arg.required)),
        Body::Named(name, optional) => json(named(name), !optional),
        Body::Free => json(json!({}), false),
        Body::Bytes => {
            json!({"required": true, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}})
        }
    })
}

/// The answer when all is well, and those when it is not.
fn responses(op: &Op) -> Map {
    let mut all = Map::new();
    let json = |schema: Value| json!({"application/json": {"schema": schema}});
    let content = match op.answer {
        Answer::Empty => None,
        Answer::One(name) => Some(json(named(name))),
        Answer::List(key, item) => Some(json(json!({
            "type": "object", "required": [key], "additionalProperties": false,
            "properties": {key: {"type": "array", "items": named(item)}, "next": {"type": "string"}},
        }))),
        Answer::Keys(keys) => Some(json(json!({"type": "object", "required": keys}))),
        Answer::Map(kind) => Some(json(json!({"type": "object", "additionalProperties": schemas::of_type(kind, true)}))),
        Answer::Array => Some(json(json!({"type": "array"}))),
        Answer::Free => Some(json(json!({}))),
        Answer::Bytes => Some(json!({"application/octet-stream": {}})),
    };
    let mut good = json!({"description": reason(op.status)});
    if let (Some(map), Some(content)) = (good.as_object_mut(), content) {
        map.insert("content".into(), content);
    }
    if let (Some(map), 201, true) = (good.as_object_mut(), op.status, op.is_ironic()) {
        map.insert("headers".into(), json!({"Location": {"required": true, "schema": {"type": "string"}}}));
    }
    all.insert(op.status.to_string(), good);
    for status in op.also {
        all.insert(status.to_string(), json!({"description": reason(*status)}));
    }
    let body = !matches!(op.body, Body::Nothing);
    for (status, there) in [
        (400, true),
        (401, true),
        (403, true),
        (404, true),
        (405, true),
        (406, op.is_ironic()),
        (408, op.path.starts_with("/v1/continue_inspection")),
        (409, op.method != "get" || op.path.contains("{node}") || op.path.contains("lookup")),
        // A body may come where none is expected.
        (413, body || op.is_ironic()),
        (415, body || op.is_ironic()),
        (429, true),
        (503, true),
    ] {
        if there {
            let part = if op.is_ironic() { "Fault" } else { "Error" };
            all.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{part}{status}")}));
        }
    }
    all
}

/// The answers to what cannot be done, in the forms of both APIs.
fn refusals() -> Map {
    let mut all = Map::new();
    for (part, schema) in [("Fault", named("Fault")), ("Error", named("Error"))] {
        for status in [400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 429, 503] {
            let schema =
                if matches!(status, 401 | 403 | 429) { json!({"anyOf": [named("Fault"), named("Error")]}) } else { schema.clone() };
            let content = json!({"application/json": {"schema": schema}});
            all.insert(format!("{part}{status}"), json!({"description": reason(status), "content": content}));
        }
    }
    all
}

fn reason(status: u16) -> String {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_served_is_described_and_nothing_else_is() {
        let routes = crate::all_routes();
        let served: BTreeSet<String> = routes.served().iter().map(|(method, path)| format!("{method} {path}")).collect();
        let described: BTreeSet<String> = ops().map(|op| format!("{} {}", op.method.to_uppercase(), op.path)).collect();
        assert_eq!(described.len(), ops().count(), "a route is described twice");
        assert_eq!(served.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "these are not described");
        assert_eq!(described.difference(&served).collect::<Vec<_>>(), Vec::<&String>::new(), "these are not served");
    }

    #[test]
    fn the_kept_document_is_the_present_one() {
        assert!(KEPT == document(), "run `cargo run -q -p wrought-api --example openapi > host/api/openapi.json` and commit it");
    }
}
