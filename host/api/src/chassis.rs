//! `/v1/chassis`.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use wrought_domain::{Chassis, Map};
use wrought_storage::ChassisQuery;

use crate::args::{Args, brief, uuid};
use crate::call::{Call, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, check_wanted, checked_body, keep};
use crate::nodes::fields::moment;
use crate::nodes::list;
use crate::paging::Paging;
use crate::patching::{apply, changes};
use crate::recipes::taken_uuid;
use crate::routes::Routes;

const fn field(name: &'static str, write: Write, kind: Kind) -> Field {
    Field { name, since: 1, write, kind }
}

/// Every field of a chassis.
pub(crate) const FIELDS: &[Field] = &[
    field("uuid", Write::Create, Kind::Uuid),
    field("description", Write::Both, Kind::Text(255)),
    field("extra", Write::Both, Kind::Dict),
    field("nodes", Write::Never, Kind::Shown),
    field("created_at", Write::Never, Kind::Shown),
    field("updated_at", Write::Never, Kind::Shown),
    field("links", Write::Never, Kind::Shown),
];

/// What a list shows of a chassis unless asked for more.
const BRIEF: &[&str] = &["uuid", "description", "links"];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/chassis", all)
        .post("/v1/chassis", create)
        .get("/v1/chassis/detail", detail)
        .get("/v1/chassis/{chassis}", show)
        .patch("/v1/chassis/{chassis}", update)
        .delete("/v1/chassis/{chassis}", delete)
        .get("/v1/chassis/{chassis}/nodes", nodes)
        .get("/v1/chassis/{chassis}/nodes/detail", nodes_detail)
}

fn flat(chassis: &Chassis) -> Result<Map, Fault> {
    match serde_json::to_value(chassis) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(Fault::internal("writing a chassis as JSON", &error)),
    }
}

fn unflat(document: Map) -> Result<Chassis, Fault> {
    serde_json::from_value(Value::Object(document)).map_err(|error| Fault::invalid(format!("The chassis is not valid: {error}")))
}

fn shown(call: &Call, chassis: &Chassis) -> Map {
    let resource = format!("chassis/{}", chassis.uuid);
    let value = |name: &str| match name {
        "uuid" => json!(chassis.uuid),
        "description" => json!(chassis.description),
        "extra" => Value::Object(chassis.extra.clone()),
        "nodes" => call.base.links(&format!("{resource}/nodes")),
        "created_at" => moment(Some(chassis.created_at)),
        "updated_at" => moment(chassis.updated_at),
        _ => call.base.links(&resource),
    };
    FIELDS.iter().map(|field| (field.name.to_owned(), value(field.name))).collect()
}

fn wanted(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        call.accept(8)?;
        check_wanted(FIELDS, wanted, call)?;
    }
    Ok(wanted)
}

/// `GET /v1/chassis`.
async fn all(call: Call) -> Result<Response, Fault> {
    page(&call, false).await
}

/// `GET /v1/chassis/detail`.
async fn detail(call: Call) -> Result<Response, Fault> {
    page(&call, true).await
}

async fn page(call: &Call, detail_path: bool) -> Result<Response, Fault> {
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
    args.done()?;
    let query = ChassisQuery {
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(uuid).transpose()?,
        sort_key: (paging.sort_key != "id").then(|| paging.sort_key.clone()),
        descending: paging.descending,
    };
    let found = call.api.service.store().all_chassis(&query).await?;
    let last = paging.marker_after(&found, |chassis| chassis.uuid.to_string());
    let items = found.iter().map(|chassis| {
        let mut shown = shown(call, chassis);
        match &wanted {
            Some(wanted) => keep(&mut shown, wanted),
            None if detailed => {}
            None => shown.retain(|name, _| BRIEF.contains(&name.as_str())),
        }
        Value::Object(shown)
    });
    let path = if detail_path { "chassis/detail" } else { "chassis" };
    Ok(ok(paging.document(call, "chassis", path, items.collect(), last)))
}

/// The chassis that a path names.
async fn find(call: &Call, ident: &str) -> Result<Chassis, Fault> {
    let gone = || Fault::not_found(format!("Chassis {} could not be found.", brief(&Value::from(ident))));
    let uuid = uuid(ident).map_err(|_| gone())?;
    call.api.service.store().chassis(uuid).await?.ok_or_else(gone)
}

/// `GET /v1/chassis/{chassis}`.
async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    let mut shown = shown(&call, &find(&call, &ident).await?);
    if let Some(wanted) = &wanted {
        keep(&mut shown, wanted);
    }
    Ok(ok(Value::Object(shown)))
}

/// `POST /v1/chassis`.
async fn create(call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let mut document = checked_body("chassis", FIELDS, call.object()?, &call)?;
    let uuid = taken_uuid(&mut document)?;
    let bare = Chassis { uuid, description: None, extra: Map::new(), created_at: Timestamp::now(), updated_at: None };
    let mut flat = flat(&bare)?;
    flat.extend(document);
    let chassis = call.api.service.store().create_chassis(unflat(flat)?).await?;
    let location = format!("{}/v1/chassis/{}", call.base, chassis.uuid);
    Ok(created(Value::Object(shown(&call, &chassis)), location))
}

/// `PATCH /v1/chassis/{chassis}`.
async fn update(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let changes = changes(&call, FIELDS)?;
    let before = find(&call, &ident).await?;
    let after = unflat(apply(&call, FIELDS, &flat(&before)?, &changes, &[])?)?;
    let chassis = call.api.service.store().update_chassis(&before, after).await?;
    Ok(ok(Value::Object(shown(&call, &chassis))))
}

/// `DELETE /v1/chassis/{chassis}`.
async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.args()?.done()?;
    let chassis = find(&call, &ident).await?;
    call.api.service.store().delete_chassis(chassis.uuid).await?;
    Ok(no_content())
}

/// `GET /v1/chassis/{chassis}/nodes`.
async fn nodes(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let chassis = find(&call, &ident).await?;
    list::of_chassis(&call, chassis.uuid, false).await
}

/// `GET /v1/chassis/{chassis}/nodes/detail`.
async fn nodes_detail(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let chassis = find(&call, &ident).await?;
    list::of_chassis(&call, chassis.uuid, true).await
}
