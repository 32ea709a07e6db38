//! `/v1/allocations`: requests for a node of some kind. The host looks for the node behind the answer.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::{Allocation, Map, NodeId};
use wrought_storage::{AllocationQuery, NodeRef};

use crate::access;
use crate::args::{Args, brief};
use crate::call::{Call, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, check_wanted, checked_body, field, keep};
use crate::nodes::fields::moment;
use crate::nodes::{rules, traits};
use crate::paging::Paging;
use crate::patching::{apply, changes};
use crate::routes::Routes;

/// The minor version that brought allocations.
pub(crate) const SINCE: u16 = 52;

/// The one that brought changes of them.
const UPDATE_SINCE: u16 = 57;

/// Candidates that one allocation may name.
const MAX_CANDIDATES: usize = 1000;

pub(crate) const FIELDS: &[Field] = &[
    field("uuid", SINCE, Write::Create, Kind::Uuid),
    field("name", SINCE, Write::Both, Kind::Text(255)),
    field("node_uuid", SINCE, Write::Never, Kind::Shown),
    field("state", SINCE, Write::Never, Kind::Shown),
    field("last_error", SINCE, Write::Never, Kind::Shown),
    field("resource_class", SINCE, Write::Create, Kind::Text(80)),
    field("candidate_nodes", SINCE, Write::Create, Kind::List),
    field("traits", SINCE, Write::Create, Kind::List),
    field("extra", SINCE, Write::Both, Kind::Dict),
    field("node", 58, Write::Create, Kind::Text(255)),
    field("owner", 60, Write::Create, Kind::Text(255)),
    field("created_at", SINCE, Write::Never, Kind::Shown),
    field("updated_at", SINCE, Write::Never, Kind::Shown),
    field("links", SINCE, Write::Never, Kind::Shown),
];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/allocations", list)
        .post("/v1/allocations", create)
        .get("/v1/allocations/{allocation}", show)
        .patch("/v1/allocations/{allocation}", update)
        .delete("/v1/allocations/{allocation}", delete)
}

/// All fields that the requested version knows; `node` is only given, never shown.
pub(crate) fn shown(call: &Call, allocation: &Allocation) -> Map {
    let value = |name: &str| match name {
        "uuid" => json!(allocation.uuid),
        "name" => json!(allocation.name),
        "node_uuid" => json!(allocation.node_uuid),
        "state" => json!(allocation.state.as_str()),
        "last_error" => json!(allocation.last_error),
        "resource_class" => json!(allocation.resource_class),
        "candidate_nodes" => json!(allocation.candidate_nodes),
        "traits" => json!(allocation.traits),
        "extra" => Value::Object(allocation.extra.clone()),
        "owner" => json!(allocation.owner),
        "created_at" => moment(Some(allocation.created_at)),
        "updated_at" => moment(allocation.updated_at),
        _ => call.base.links(&format!("allocations/{}", allocation.uuid)),
    };
    let known = FIELDS.iter().filter(|field| field.since <= call.version.0 && field.name != "node");
    known.map(|field| (field.name.to_owned(), value(field.name))).collect()
}

/// Ironic's 405 for writes of versions that do not know it; reads are answered 404.
pub(crate) fn writable(call: &Call, since: u16) -> Result<(), Fault> {
    call.since(since).map_err(|_| Fault::routing(405, "The API version does not allow allocations"))
}

/// The fields asked for.
pub(crate) fn wanted(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        if wanted.iter().any(|name| name == "node") {
            return Err(Fault::invalid("Field(s) \"node\" are not valid"));
        }
        check_wanted(FIELDS, wanted, call)?;
    }
    Ok(wanted)
}

/// The one that a path names.
async fn find(call: &Call, ident: &str) -> Result<Allocation, Fault> {
    let ident = call.plain(ident);
    let found = call.api.service.store().allocation(&call.who, ident).await?;
    found.ok_or_else(|| Fault::not_found(format!("Allocation {} could not be found.", brief(&Value::from(ident)))))
}

/// `GET /v1/allocations`.
async fn list(call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.query();
    let mut paging = Paging::take(&call, &mut args, "id")?;
    let wanted = wanted(&call, &mut args)?;
    paging.repeat("fields", wanted.as_ref().map(|fields| fields.join(",")));
    let [node, resource_class, state, owner] = ["node", "resource_class", "state", "owner"].map(|name| args.text(name));
    let (node, resource_class, state, owner) = (node?, resource_class?, state?, owner?);
    args.done()?;
    if owner.is_some() {
        call.accept(60)?;
    }
    for (name, value) in [("node", &node), ("resource_class", &resource_class), ("state", &state), ("owner", &owner)] {
        paging.repeat(name, value.as_ref());
    }
    let node = match node {
        Some(ident) => Some(visible_node(&call, &ident).await?),
        None => None,
    };
    let query = AllocationQuery {
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(crate::args::uuid).transpose()?,
        sort_key: (paging.sort_key != "id").then(|| paging.sort_key.clone()),
        descending: paging.descending,
        node,
        resource_class,
        state,
        owner,
    };
    let found = call.api.service.store().allocations(&call.who, &query).await?;
    let last = paging.marker_after(&found, |allocation| allocation.uuid.to_string());
    let items = found.iter().map(|allocation| {
        let mut shown = shown(&call, allocation);
        if let Some(wanted) = &wanted {
            keep(&mut shown, wanted);
        }
        Value::Object(shown)
    });
    Ok(ok(paging.document(&call, "allocations", "allocations", items.collect(), last)))
}

/// A node that a query or a body names: a wrong request where there is none, or none that the caller sees.
async fn visible_node(call: &Call, ident: &str) -> Result<NodeId, Fault> {
    let found = call.api.service.store().node(&call.who, &NodeRef::parse(ident)).await?;
    let missing = || Fault::invalid(format!("Node {} could not be found.", brief(&Value::from(ident))));
    Ok(found.ok_or_else(missing)?.value.uuid)
}

/// `GET /v1/allocations/{allocation}`.
async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.query();
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    let mut shown = shown(&call, &find(&call, &ident).await?);
    if let Some(wanted) = &wanted {
        keep(&mut shown, wanted);
    }
    Ok(ok(Value::Object(shown)))
}

fn check_name(name: &str) -> Result<(), Fault> {
    rules::check_name(name).map_err(|_| {
        let name: String = name.chars().take(80).collect();
        Fault::invalid(format!("Cannot create or rename an allocation with invalid name '{name}'"))
    })
}

/// The texts of a list in a body.
fn texts(document: &mut Map, name: &str) -> Result<Vec<String>, Fault> {
    let Some(Value::Array(items)) = document.remove(name) else { return Ok(Vec::new()) };
    if items.len() > MAX_CANDIDATES {
        return Err(Fault::invalid(format!("Invalid {name}: at most {MAX_CANDIDATES} are accepted.")));
    }
    let text = |item: Value| match item {
        Value::String(text) => Ok(text),
        other => Err(Fault::invalid(format!("Invalid {name}: '{}' is not of type 'string'", brief(&other)))),
    };
    items.into_iter().map(text).collect()
}

/// Whom it is to belong to: a caller of a project makes its project's own.
fn owner_of(call: &Call, given: Option<String>) -> Result<Option<String>, Fault> {
    match (&call.who.project, given) {
        (None, given) => Ok(given),
        (Some(project), None) => Ok(Some(project.clone())),
        (Some(project), Some(given)) if *project == given => Ok(Some(given)),
        (Some(_), Some(_)) => Err(Fault::forbidden("Cannot create an allocation with an owner that is not the requestor's project.")),
    }
}

/// `POST /v1/allocations`.
async fn create(call: Call) -> Result<Response, Fault> {
    writable(&call, SINCE)?;
    call.query().done()?;
    // Null is not given, in lists too.
    let body = call.object()?.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let mut document = checked_body("allocation", FIELDS, body, &call)?;
    let mut text = |name: &str| document.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let uuid = text("uuid").map_or_else(|| Ok(Uuid::new_v4()), |uuid| crate::args::uuid(&uuid))?;
    let mut allocation = Allocation::new(uuid, Timestamp::now());
    (allocation.name, allocation.resource_class) = (text("name"), text("resource_class").filter(|class| !class.is_empty()));
    let (node, owner) = (text("node"), text("owner"));
    if let Some(name) = &allocation.name {
        check_name(name)?;
    }
    allocation.owner = owner_of(&call, owner)?;
    allocation.traits = texts(&mut document, "traits")?;
    if allocation.traits.len() > traits::MOST {
        return Err(Fault::invalid(format!("Invalid traits: at most {} are accepted.", traits::MOST)));
    }
    allocation.traits.iter().try_for_each(|name| traits::check(name))?;
    allocation.traits.sort_unstable();
    allocation.traits.dedup();
    if let Some(Value::Object(extra)) = document.remove("extra") {
        allocation.extra = extra;
    }
    for ident in texts(&mut document, "candidate_nodes")? {
        allocation.candidate_nodes.push(visible_node(&call, &ident).await?);
    }
    let node = match node {
        Some(ident) => {
            let missing = || Fault::invalid(format!("Node {} could not be found.", brief(&Value::from(ident.as_str()))));
            let node = call.api.service.store().node(&call.who, &NodeRef::parse(&ident)).await?.ok_or_else(missing)?.value;
            call.check_as(access::USE, &node)?;
            allocation.resource_class = allocation.resource_class.or(node.resource_class);
            Some(node.uuid)
        }
        None if allocation.resource_class.is_none() => {
            return Err(Fault::invalid("The resource_class field is mandatory when not backfilling"));
        }
        None => None,
    };
    let allocation = call.api.service.create_allocation(&call.who, allocation, node).await?;
    let location = format!("{}/v1/allocations/{}", call.base, allocation.uuid);
    Ok(created(Value::Object(shown(&call, &allocation)), location))
}

/// `PATCH /v1/allocations/{allocation}`: its name and extra.
async fn update(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    writable(&call, UPDATE_SINCE)?;
    call.query().done()?;
    let changes = changes(&call, FIELDS)?;
    let before = find(&call, &ident).await?;
    let mut document = apply(&call, FIELDS, &shown(&call, &before), &changes, &[])?;
    let mut after = before.clone();
    after.name = document.remove("name").and_then(|name| name.as_str().map(str::to_owned));
    if let Some(name) = after.name.as_deref().filter(|_| after.name != before.name) {
        check_name(name)?;
    }
    if let Some(Value::Object(extra)) = document.remove("extra") {
        after.extra = extra;
    }
    let allocation = call.api.service.store().update_allocation(&before, after).await?;
    Ok(ok(Value::Object(shown(&call, &allocation))))
}

/// `DELETE /v1/allocations/{allocation}`.
async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    writable(&call, SINCE)?;
    call.args()?.done()?;
    let allocation = find(&call, &ident).await?;
    call.api.service.store().delete_allocation(&call.who, allocation.uuid).await?;
    Ok(no_content())
}
