//! `/v1/volume`: connectors and targets.

use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::volume::CONNECTOR_TYPES;
use wrought_domain::{NodeId, VolumeConnector, VolumeTarget, mask};
use wrought_storage::{PartQuery, Reserved};

use crate::args::{Args, brief};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write};
use crate::paging::Paging;
use crate::parts::{self, Shown};
use crate::routes::Routes;

const fn field(name: &'static str, write: Write, kind: Kind) -> Field {
    Field { name, since: SINCE, write, kind }
}

/// The minor version that brought volumes, with all their fields.
const SINCE: u16 = 32;

/// Every field of a volume connector.
pub(crate) const CONNECTOR_FIELDS: &[Field] = &[
    field("uuid", Write::Create, Kind::Uuid),
    field("node_uuid", Write::Both, Kind::Uuid),
    field("type", Write::Both, Kind::Mandatory(32)),
    field("connector_id", Write::Both, Kind::Mandatory(255)),
    field("extra", Write::Both, Kind::Dict),
    field("created_at", Write::Never, Kind::Shown),
    field("updated_at", Write::Never, Kind::Shown),
    field("links", Write::Never, Kind::Shown),
];

/// Every field of a volume target.
pub(crate) const TARGET_FIELDS: &[Field] = &[
    field("uuid", Write::Create, Kind::Uuid),
    field("node_uuid", Write::Both, Kind::Uuid),
    field("volume_type", Write::Both, Kind::Mandatory(64)),
    field("properties", Write::Both, Kind::Dict),
    field("boot_index", Write::Both, Kind::Number(u16::MAX)),
    field("volume_id", Write::Both, Kind::Mandatory(36)),
    field("extra", Write::Both, Kind::Dict),
    field("created_at", Write::Never, Kind::Shown),
    field("updated_at", Write::Never, Kind::Shown),
    field("links", Write::Never, Kind::Shown),
];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/volume", index)
        .get("/v1/volume/connectors", parts::list::<VolumeConnector>)
        .post("/v1/volume/connectors", parts::create::<VolumeConnector>)
        .get("/v1/volume/connectors/{connector}", parts::show::<VolumeConnector>)
        .patch("/v1/volume/connectors/{connector}", parts::update::<VolumeConnector>)
        .delete("/v1/volume/connectors/{connector}", parts::delete::<VolumeConnector>)
        .get("/v1/volume/targets", parts::list::<VolumeTarget>)
        .post("/v1/volume/targets", parts::create::<VolumeTarget>)
        .get("/v1/volume/targets/{target}", parts::show::<VolumeTarget>)
        .patch("/v1/volume/targets/{target}", parts::update::<VolumeTarget>)
        .delete("/v1/volume/targets/{target}", parts::delete::<VolumeTarget>)
}

/// `GET /v1/volume`.
async fn index(call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    call.query().done()?;
    Ok(ok(links(&call, "volume")))
}

/// What is below a path of volumes.
pub(crate) fn links(call: &Call, path: &str) -> Value {
    json!({
        "links": call.base.links(path),
        "connectors": call.base.links(&format!("{path}/connectors")),
        "targets": call.base.links(&format!("{path}/targets")),
    })
}

impl Shown for VolumeConnector {
    const ONE: &'static str = "Volume connector";
    const PATH: &'static str = "volume/connectors";
    const KEY: &'static str = "connectors";
    const SINCE: u16 = SINCE;
    const DETAIL_SINCE: u16 = SINCE;
    const NAMED_SINCE: Option<u16> = None;
    const FIELDS: &'static [Field] = CONNECTOR_FIELDS;
    const BRIEF: &'static [&'static str] = &["uuid", "node_uuid", "type", "connector_id"];
    const REQUIRED: &'static [&'static str] = &["connector_id", "type"];
    const MASKED: &'static [&'static str] = &[];
    const MADE_WHILE: Reserved = Reserved::Allow;

    fn fresh(uuid: Uuid, node: NodeId, now: Timestamp) -> Self {
        Self::new(uuid, node, now)
    }

    fn moments(&self) -> (Timestamp, Option<Timestamp>) {
        (self.created_at, self.updated_at)
    }

    fn filter(_: &Call, _: &mut Args, _: &mut Paging, _: &mut PartQuery) -> Result<(), Fault> {
        Ok(())
    }

    fn check(&mut self) -> Result<(), Fault> {
        if CONNECTOR_TYPES.contains(&self.kind.as_str()) {
            return Ok(());
        }
        let given = brief(&Value::from(self.kind.as_str()));
        Err(Fault::invalid(format!("Schema error for volume connector: '{given}' is not one of {}", CONNECTOR_TYPES.join(", "))))
    }
}

impl Shown for VolumeTarget {
    const ONE: &'static str = "Volume target";
    const PATH: &'static str = "volume/targets";
    const KEY: &'static str = "targets";
    const SINCE: u16 = SINCE;
    const DETAIL_SINCE: u16 = SINCE;
    const NAMED_SINCE: Option<u16> = None;
    const FIELDS: &'static [Field] = TARGET_FIELDS;
    const BRIEF: &'static [&'static str] = &["uuid", "node_uuid", "volume_type", "boot_index", "volume_id"];
    const REQUIRED: &'static [&'static str] = &["boot_index", "volume_id", "volume_type"];
    const MASKED: &'static [&'static str] = &["properties"];
    const MADE_WHILE: Reserved = Reserved::Allow;

    fn fresh(uuid: Uuid, node: NodeId, now: Timestamp) -> Self {
        Self::new(uuid, node, now)
    }

    fn moments(&self) -> (Timestamp, Option<Timestamp>) {
        (self.created_at, self.updated_at)
    }

    fn shown_otherwise(&self, _: &Call, field: &str) -> Option<Value> {
        (field == "properties").then(|| Value::Object(mask::masked(&self.properties)))
    }

    fn filter(_: &Call, _: &mut Args, _: &mut Paging, _: &mut PartQuery) -> Result<(), Fault> {
        Ok(())
    }

    fn check(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
