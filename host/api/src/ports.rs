//! `/v1/ports`.

use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::{NodeId, Port};
use wrought_storage::{NodeRef, PartQuery, Reserved};

use crate::args::{Args, brief, missing};
use crate::call::Call;
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, field};
use crate::paging::Paging;
use crate::parts::{self, Shown, check_name, checked_mac, filter_wired};
use crate::routes::Routes;

/// Every field of a port.
pub(crate) const FIELDS: &[Field] = &[
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

/// Checks a key of `local_link_connection` and what it holds.
fn check_link(key: &str, value: &Value) -> Result<(), Fault> {
    // A switch is known by its MAC address or the id of its OpenFlow datapath.
    let datapath =
        |text: &str| text.trim_start_matches("0x").len() == 16 && text.trim_start_matches("0x").bytes().all(|b| b.is_ascii_hexdigit());
    let text = value.as_str();
    let expected = match key {
        "switch_id" if text.is_none_or(|text| checked_mac(text).is_err() && !datapath(text)) => "a MAC address or an OpenFlow datapath_id",
        "network_type" if !matches!(text, Some("managed" | "unmanaged")) => "managed or unmanaged",
        "port_id" | "switch_info" | "hostname" if text.is_none() => "a text",
        "switch_id" | "network_type" | "port_id" | "switch_info" | "hostname" => return Ok(()),
        _ => return Err(Fault::invalid(format!("Invalid local_link_connection: unexpected key '{}'.", brief(&Value::from(key))))),
    };
    Err(Fault::invalid(format!("Invalid local_link_connection: {key} is '{}', expected {expected}.", brief(value))))
}

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/ports", parts::list::<Port>)
        .post("/v1/ports", create)
        .delete("/v1/ports", delete_all)
        .get("/v1/ports/detail", parts::detail::<Port>)
        .get("/v1/ports/{port}", parts::show::<Port>)
        .patch("/v1/ports/{port}", parts::update::<Port>)
        .delete("/v1/ports/{port}", parts::delete::<Port>)
}

impl Shown for Port {
    const ONE: &'static str = "Port";
    const PATH: &'static str = "ports";
    const KEY: &'static str = "ports";
    const SINCE: u16 = 1;
    const DETAIL_SINCE: u16 = 43;
    const NAMED_SINCE: Option<u16> = Some(88);
    const FIELDS: &'static [Field] = FIELDS;
    const BRIEF: &'static [&'static str] = &["uuid", "address"];
    const REQUIRED: &'static [&'static str] = &["address"];
    const MASKED: &'static [&'static str] = &[];
    const GROUPED_SINCE: Option<u16> = Some(24);
    const MADE_WHILE: Reserved = Reserved::Refuse;

    fn fresh(uuid: Uuid, node: NodeId, now: Timestamp) -> Self {
        Self::new(uuid, node, "", now)
    }

    fn moments(&self) -> (Timestamp, Option<Timestamp>) {
        (self.created_at, self.updated_at)
    }

    fn filter(call: &Call, args: &mut Args, paging: &mut Paging, query: &mut PartQuery) -> Result<(), Fault> {
        if let Some(node) = args.uuid("node_uuid")? {
            paging.repeat("node_uuid", Some(node));
            query.node = Some(NodeId(node));
        }
        filter_wired(call, args, paging, query)?;
        if args.has("description_contains") {
            call.accept(97)?;
            query.description_contains = args.text("description_contains")?;
            paging.repeat("description_contains", query.description_contains.as_ref());
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.address = checked_mac(&self.address)?;
        self.local_link_connection.iter().try_for_each(|(key, value)| check_link(key, value))?;
        self.name.as_deref().map_or(Ok(()), |name| check_name("port", name))
    }
}

/// `POST /v1/ports`.
async fn create(call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let mut body = call.object()?;
    let node = match body.remove("node_ident") {
        None => None,
        Some(ident) => {
            call.accept(94)?;
            if body.contains_key("node_uuid") {
                return Err(Fault::invalid("Exactly one of node_uuid and node_ident must be given"));
            }
            Some(NodeRef::parse(ident.as_str().ok_or_else(|| missing("node_ident"))?))
        }
    };
    parts::create_in::<Port>(&call, body, node).await
}

/// `DELETE /v1/ports`: a port must be named.
async fn delete_all(_: Call) -> Result<Response, Fault> {
    Err(missing("port_ident"))
}
