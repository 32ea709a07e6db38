//! `/v1/ports`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::port::mac;
use wrought_domain::{Map, Node, NodeId, Port, ProvisionState};
use wrought_storage::{NodeRef, PortQuery};

use crate::args::{Args, brief, uuid};
use crate::call::{Call, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, check_wanted, checked_body, keep};
use crate::nodes::fields::moment;
use crate::paging::Paging;
use crate::patching::{apply, changes};
use crate::routes::Routes;

const fn field(name: &'static str, since: u16, write: Write, kind: Kind) -> Field {
    Field { name, since, write, kind }
}

/// Every field of a port.
const FIELDS: &[Field] = &[
    field("uuid", 1, Write::Create, Kind::Uuid),
    field("address", 1, Write::Both, Kind::Mandatory(32)),
    field("node_uuid", 1, Write::Both, Kind::Uuid),
    field("extra", 1, Write::Both, Kind::Dict),
    field("created_at", 1, Write::Never, Kind::Shown),
    field("updated_at", 1, Write::Never, Kind::Shown),
    field("links", 1, Write::Never, Kind::Shown),
    field("internal_info", 18, Write::Never, Kind::Shown),
    field("pxe_enabled", 19, Write::Both, Kind::Bool(true)),
    field("local_link_connection", 19, Write::Both, Kind::Dict),
    field("portgroup_uuid", 24, Write::Both, Kind::Uuid),
    field("physical_network", 34, Write::Both, Kind::Text(64)),
    field("is_smartnic", 53, Write::Both, Kind::Bool(false)),
    field("name", 88, Write::Both, Kind::Text(255)),
    field("description", 97, Write::Both, Kind::Text(255)),
    field("vendor", 100, Write::Both, Kind::Text(32)),
    field("category", 101, Write::Both, Kind::Text(80)),
    field("available_for_dynamic_portgroup", 111, Write::Both, Kind::Bool(true)),
];

/// What a list shows of a port unless asked for more.
const BRIEF: &[&str] = &["uuid", "address"];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/ports", list)
        .post("/v1/ports", create)
        .delete("/v1/ports", delete_all)
        .get("/v1/ports/detail", detail)
        .get("/v1/ports/{port}", show)
        .patch("/v1/ports/{port}", update)
        .delete("/v1/ports/{port}", delete)
}

/// The stored form of a port under the API's names.
fn flat(port: &Port) -> Result<Map, Fault> {
    match serde_json::to_value(port) {
        Ok(Value::Object(mut document)) => {
            let node = document.remove("node").unwrap_or_default();
            document.insert("node_uuid".into(), node);
            Ok(document)
        }
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(Fault::internal("writing a port as JSON", &error)),
    }
}

fn unflat(mut document: Map) -> Result<Port, Fault> {
    let node = document.remove("node_uuid").filter(|node| !node.is_null()).ok_or_else(|| crate::args::missing("node_uuid"))?;
    document.insert("node".into(), node);
    serde_json::from_value(Value::Object(document)).map_err(|error| Fault::invalid(format!("The port is not valid: {error}")))
}

fn shown(call: &Call, port: &Port) -> Result<Map, Fault> {
    let mut document = flat(port)?;
    let visible = FIELDS.iter().filter(|field| field.since <= call.version.0);
    Ok(visible
        .map(|field| {
            let value = match field.name {
                "created_at" => moment(Some(port.created_at)),
                "updated_at" => moment(port.updated_at),
                "links" => call.base.links(&format!("ports/{}", port.uuid)),
                name => document.remove(name).unwrap_or_default(),
            };
            (field.name.to_owned(), value)
        })
        .collect())
}

fn item(call: &Call, port: &Port, detail: bool, wanted: Option<&[String]>) -> Result<Map, Fault> {
    let mut shown = shown(call, port)?;
    match wanted {
        Some(wanted) => keep(&mut shown, wanted),
        None if detail => {}
        None => shown.retain(|name, _| name == "links" || BRIEF.contains(&name.as_str())),
    }
    Ok(shown)
}

fn wanted(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        call.accept(8)?;
        check_wanted(FIELDS, wanted, call)?;
    }
    Ok(wanted)
}

/// `GET /v1/ports`.
async fn list(call: Call) -> Result<Response, Fault> {
    page(&call, None, false, "ports").await
}

/// `GET /v1/ports/detail`.
async fn detail(call: Call) -> Result<Response, Fault> {
    page(&call, None, true, "ports/detail").await
}

/// `GET /v1/nodes/{node}/ports`.
pub(crate) async fn page_of_node(call: &Call, node: NodeId, detail: bool) -> Result<Response, Fault> {
    let path = format!("nodes/{node}/ports{}", if detail { "/detail" } else { "" });
    page(call, Some(node), detail, &path).await
}

async fn page(call: &Call, below: Option<NodeId>, detail_path: bool, path: &str) -> Result<Response, Fault> {
    let mut args = call.query();
    let mut paging = Paging::take(call, &mut args, "id")?;
    let detail = args.boolean("detail")?;
    if detail.is_some() {
        call.accept(43)?;
        paging.repeat("detail", detail);
    }
    let detailed = detail_path || detail == Some(true);
    let wanted = wanted(call, &mut args)?;
    if detailed && wanted.is_some() {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    paging.repeat("fields", wanted.as_ref().map(|fields| fields.join(",")));
    let mut query = PortQuery {
        node: below,
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(uuid).transpose()?,
        sort_key: (paging.sort_key != "id").then(|| paging.sort_key.clone()),
        descending: paging.descending,
        ..PortQuery::default()
    };
    if below.is_none() {
        for name in ["node", "node_uuid"] {
            if let Some(ident) = args.text(name)? {
                if name == "node" {
                    call.accept(6)?;
                }
                query.node = Some(call.node(&ident).await?.value.uuid);
                paging.repeat(if name == "node" { "node" } else { "node_uuid" }, Some(ident));
            }
        }
        if let Some(address) = args.text("address")? {
            let given = brief(&Value::from(address.as_str()));
            let address = mac(&address).ok_or_else(|| Fault::invalid(format!("Expected a MAC address but received {given}.")))?;
            paging.repeat("address", Some(&address));
            query.address = Some(address);
        }
        if let Some(portgroup) = args.text("portgroup")? {
            call.accept(24)?;
            return Err(Fault::not_found(format!("Portgroup {} could not be found.", brief(&Value::from(portgroup)))));
        }
        for (name, since) in [("shard", 82), ("description_contains", 97), ("conductor_groups", 99)] {
            if args.has(name) {
                call.accept(since)?;
            }
        }
    }
    let description = args.text("description_contains")?.map(|text| text.to_lowercase());
    let (shards, groups) = (args.list("shard")?, args.list("conductor_groups")?);
    args.done()?;
    let mut found = call.api.service.store().ports(&call.who, &query).await?;
    let last = paging.marker_after(&found, |port| port.uuid.to_string());
    // These are rare, and a page is bounded: it may just come out shorter.
    if let Some(text) = description {
        found.retain(|port| port.description.as_deref().is_some_and(|description| description.to_lowercase().contains(&text)));
    }
    if shards.is_some() || groups.is_some() {
        let mut fits = BTreeMap::new();
        for port in &found {
            if let Entry::Vacant(vacant) = fits.entry(port.node) {
                let node = node_of(call, port.node).await?;
                let in_shard = shards.as_ref().is_none_or(|shards| node.shard.is_some_and(|shard| shards.contains(&shard)));
                vacant.insert(in_shard && groups.as_ref().is_none_or(|groups| groups.contains(&node.conductor_group)));
            }
        }
        found.retain(|port| fits.get(&port.node) == Some(&true));
    }
    let items: Result<Vec<Value>, Fault> =
        found.iter().map(|port| item(call, port, detailed, wanted.as_deref()).map(Value::Object)).collect();
    Ok(ok(paging.document(call, "ports", path, items?, last)))
}

async fn find(call: &Call, ident: &str) -> Result<Port, Fault> {
    let gone = || Fault::not_found(format!("Port {} could not be found.", brief(&Value::from(ident))));
    let uuid = Uuid::parse_str(ident).map_err(|_| gone())?;
    call.api.service.store().port(&call.who, uuid).await?.ok_or_else(gone)
}

/// `GET /v1/ports/{port}`.
async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    let port = find(&call, &ident).await?;
    Ok(ok(Value::Object(item(&call, &port, true, wanted.as_deref())?)))
}

/// The node that a port belongs to.
async fn node_of(call: &Call, node: NodeId) -> Result<Node, Fault> {
    let found = call.api.service.store().node(&call.who, &NodeRef::Uuid(node)).await?;
    found.map(|stored| stored.value).ok_or_else(|| Fault::invalid(format!("Node {node} could not be found.")))
}

/// What holds for every port that is stored.
fn check(port: &mut Port) -> Result<(), Fault> {
    let given = brief(&Value::from(port.address.as_str()));
    port.address = mac(&port.address).ok_or_else(|| Fault::invalid(format!("Expected a MAC address but received {given}.")))?;
    if let Some(group) = port.portgroup_uuid {
        return Err(Fault::invalid(format!("Portgroup {group} could not be found.")));
    }
    const LINK_KEYS: &[&str] = &["switch_id", "port_id", "switch_info", "network_type", "hostname"];
    if let Some(key) = port.local_link_connection.keys().find(|key| !LINK_KEYS.contains(&key.as_str())) {
        let key: String = key.chars().take(80).collect();
        return Err(Fault::invalid(format!("Invalid local_link_connection: unexpected key '{key}'.")));
    }
    if port.name.as_deref() == Some("") {
        return Err(Fault::invalid("Cannot use an empty name for a port."));
    }
    Ok(())
}

/// `POST /v1/ports`.
async fn create(call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let mut body = call.object()?;
    let ident = body.remove("node_ident");
    if ident.is_some() {
        call.accept(94)?;
        if body.contains_key("node_uuid") {
            return Err(Fault::invalid("Exactly one of node_uuid and node_ident must be given"));
        }
    }
    let mut document = checked_body("port", FIELDS, body, &call)?;
    let address = document.remove("address").ok_or_else(|| crate::args::missing("address"))?;
    let node = match (document.remove("node_uuid"), ident) {
        (Some(Value::String(node)), _) => node_of(&call, NodeId(uuid(&node)?)).await?,
        (_, Some(Value::String(ident))) => {
            let found = call.api.service.store().node(&call.who, &NodeRef::parse(&ident)).await?;
            found.ok_or_else(|| Fault::invalid(format!("Node {} could not be found.", brief(&Value::from(ident)))))?.value
        }
        _ => return Err(crate::args::missing("node_uuid")),
    };
    let id = match document.remove("uuid").as_ref().and_then(Value::as_str) {
        Some(text) => uuid(text)?,
        None => Uuid::new_v4(),
    };
    let mut flat = flat(&Port::new(id, node.uuid, address.as_str().unwrap_or_default(), Timestamp::now()))?;
    flat.extend(document);
    let mut port = unflat(flat)?;
    check(&mut port)?;
    let port = call.api.service.store().create_port(&call.who, port).await?;
    let location = format!("{}/v1/ports/{}", call.base, port.uuid);
    Ok(created(Value::Object(shown(&call, &port)?), location))
}

/// Whether connectivity may change: in a state without an instance, or in maintenance.
fn connectivity_may_change(node: &Node) -> bool {
    use ProvisionState as S;
    node.maintenance || matches!(node.provision_state, S::Enroll | S::Inspecting | S::InspectWait | S::Manageable)
}

fn check_free(node: &Node) -> Result<(), Fault> {
    node.reservation.as_deref().map_or(Ok(()), |host| Err(Fault::locked(node.uuid, host)))
}

/// `PATCH /v1/ports/{port}`.
async fn update(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let changes = changes(&call, FIELDS)?;
    let before = find(&call, &ident).await?;
    let node = node_of(&call, before.node).await?;
    let mut after = unflat(apply(&call, FIELDS, &flat(&before)?, &changes, &[])?)?;
    check(&mut after)?;
    check_free(&node)?;
    let rewired = before.portgroup_uuid != after.portgroup_uuid
        || before.pxe_enabled != after.pxe_enabled
        || before.local_link_connection != after.local_link_connection
        || before.physical_network != after.physical_network;
    if rewired && !connectivity_may_change(&node) {
        return Err(Fault::conflict(format!(
            "Port {} can not have any connectivity attributes (portgroup_uuid, pxe_enabled, local_link_connection, physical_network) \
             updated unless node {} is in one of the states enroll, inspecting, inspect wait, manageable or in maintenance mode.",
            before.uuid, node.uuid
        )));
    }
    let in_use = node.instance_uuid.is_some() || node.provision_state == ProvisionState::Active;
    if before.address != after.address && in_use && !node.maintenance {
        return Err(Fault::conflict(format!("Cannot update the address of port {} while node {} is in use.", before.uuid, node.uuid)));
    }
    if before.node != after.node {
        node_of(&call, after.node).await?;
        if !connectivity_may_change(&node) {
            return Err(Fault::conflict(format!("Cannot move port {} while node {} is in use.", before.uuid, node.uuid)));
        }
    }
    let port = call.api.service.store().update_port(&call.who, &before, after).await?;
    Ok(ok(Value::Object(shown(&call, &port)?)))
}

/// `DELETE /v1/ports/{port}`.
async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.args()?.done()?;
    let port = find(&call, &ident).await?;
    let node = node_of(&call, port.node).await?;
    check_free(&node)?;
    if node.instance_uuid.is_some() && node.provision_state == ProvisionState::Active && !node.maintenance {
        return Err(Fault::conflict(format!("Cannot delete port {} while node {} is active with an instance.", port.uuid, node.uuid)));
    }
    call.api.service.store().delete_port(&call.who, port.uuid).await?;
    Ok(no_content())
}

/// `DELETE /v1/ports`: a port must be named.
async fn delete_all(_: Call) -> Result<Response, Fault> {
    Err(crate::args::missing("port_ident"))
}
