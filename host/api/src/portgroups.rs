//! `/v1/portgroups`.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::portgroup::DEFAULT_MODE;
use wrought_domain::{NodeId, Port, Portgroup};
use wrought_storage::{PartQuery, Reserved};

use crate::args::Args;
use crate::call::Call;
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, field};
use crate::paging::Paging;
use crate::parts::{self, Scope, Shown, check_name, checked_mac, filter_wired};
use crate::routes::Routes;

/// Every field of a port group.
pub(crate) const FIELDS: &[Field] = &[
    field("uuid", 23, Write::Create, Kind::Uuid),
    field("address", 23, Write::Both, Kind::Text(32)),
    field("name", 23, Write::Both, Kind::Text(255)),
    field("node_uuid", 23, Write::Both, Kind::Uuid),
    field("extra", 23, Write::Both, Kind::Dict),
    field("internal_info", 23, Write::Never, Kind::Shown),
    field("standalone_ports_supported", 23, Write::Both, Kind::Bool(true)),
    field("created_at", 23, Write::Never, Kind::Shown),
    field("updated_at", 23, Write::Never, Kind::Shown),
    field("links", 23, Write::Never, Kind::Shown),
    field("ports", 24, Write::Never, Kind::Shown),
    field("mode", 26, Write::Both, Kind::PlainText(255)),
    field("properties", 26, Write::Both, Kind::Dict),
    field("physical_network", 102, Write::Both, Kind::Text(64)),
    field("category", 103, Write::Both, Kind::Text(80)),
    field("dynamic_portgroup", 111, Write::Never, Kind::Shown),
];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/portgroups", parts::list::<Portgroup>)
        .post("/v1/portgroups", parts::create::<Portgroup>)
        .get("/v1/portgroups/detail", parts::detail::<Portgroup>)
        .get("/v1/portgroups/{portgroup}", parts::show::<Portgroup>)
        .patch("/v1/portgroups/{portgroup}", parts::update::<Portgroup>)
        .delete("/v1/portgroups/{portgroup}", parts::delete::<Portgroup>)
        .get("/v1/portgroups/{portgroup}/ports", ports)
        .get("/v1/portgroups/{portgroup}/ports/detail", ports_detail)
}

impl Shown for Portgroup {
    const ONE: &'static str = "Portgroup";
    const PATH: &'static str = "portgroups";
    const KEY: &'static str = "portgroups";
    const SINCE: u16 = 23;
    const DETAIL_SINCE: u16 = 43;
    const NAMED_SINCE: Option<u16> = Some(23);
    const FIELDS: &'static [Field] = FIELDS;
    const BRIEF: &'static [&'static str] = &["uuid", "address", "name"];
    const REQUIRED: &'static [&'static str] = &[];
    const MASKED: &'static [&'static str] = &[];
    const MADE_WHILE: Reserved = Reserved::Allow;

    fn fresh(uuid: Uuid, node: NodeId, now: Timestamp) -> Self {
        Self::new(uuid, node, now)
    }

    fn moments(&self) -> (Timestamp, Option<Timestamp>) {
        (self.created_at, self.updated_at)
    }

    fn shown_otherwise(&self, call: &Call, field: &str) -> Option<Value> {
        (field == "ports").then(|| call.base.links(&format!("portgroups/{}/ports", self.uuid)))
    }

    fn filter(call: &Call, args: &mut Args, paging: &mut Paging, query: &mut PartQuery) -> Result<(), Fault> {
        filter_wired(call, args, paging, query)
    }

    fn check(&mut self) -> Result<(), Fault> {
        if let Some(address) = &mut self.address {
            *address = checked_mac(address)?;
        }
        if self.mode.is_empty() {
            self.mode = DEFAULT_MODE.to_owned();
        }
        self.name.as_deref().map_or(Ok(()), |name| check_name("portgroup", name))
    }
}

/// `GET /v1/portgroups/{portgroup}/ports`.
async fn ports(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    members(&call, &ident, false).await
}

/// `GET /v1/portgroups/{portgroup}/ports/detail`.
async fn ports_detail(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    members(&call, &ident, true).await
}

async fn members(call: &Call, ident: &str, detail: bool) -> Result<Response, Fault> {
    call.since(24)?;
    let group: Portgroup = parts::find(call, ident).await?;
    let below = Some(format!("portgroups/{}/ports", group.uuid));
    parts::page::<Port>(call, Scope { portgroup: Some(group.uuid), below, detail, ..Scope::default() }).await
}
