//! `/v1/conductors`: the hosts. This one, for now.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use wrought_domain::hardware_type;

use crate::args::{Args, brief};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::fields::keep;
use crate::links::time;
use crate::paging::Paging;
use crate::routes::Routes;

/// The minor version that brought conductors.
const SINCE: u16 = 49;
const FIELDS: &[&str] = &["hostname", "conductor_group", "alive", "drivers", "created_at", "updated_at", "links"];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().get("/v1/conductors", list).get("/v1/conductors/{hostname}", show)
}

fn shown(call: &Call, detail: bool) -> Map<String, Value> {
    let host = call.api.service.host();
    let mut shown = Map::new();
    shown.insert("hostname".into(), json!(host));
    shown.insert("conductor_group".into(), json!(""));
    shown.insert("alive".into(), json!(true));
    shown.insert("links".into(), call.base.links(&format!("conductors/{host}")));
    if detail {
        let drivers: Vec<&str> = hardware_type::ALL.iter().map(|hardware| hardware.name).collect();
        shown.insert("drivers".into(), json!(drivers));
        shown.insert("created_at".into(), json!(time(call.api.started)));
        shown.insert("updated_at".into(), json!(time(jiff::Timestamp::now())));
    }
    shown
}

/// What conductors are sorted by.
const SORTED: &[&str] = &["id", "hostname", "conductor_group", "created_at", "updated_at"];

fn wanted(args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    let unknown: Vec<&str> = wanted.iter().flatten().map(String::as_str).filter(|name| !FIELDS.contains(name)).take(20).collect();
    if !unknown.is_empty() {
        return Err(Fault::invalid(format!("Field(s) \"{}\" are not valid", unknown.join(", "))));
    }
    Ok(wanted)
}

async fn list(call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.query();
    let mut paging = Paging::take(&call, &mut args, "hostname")?;
    if !SORTED.contains(&paging.sort_key.as_str()) {
        let key = brief(&Value::from(paging.sort_key.as_str()));
        return Err(Fault::invalid(format!("The sort_key value \"{key}\" is an invalid field for sorting")));
    }
    let detail = args.boolean("detail")?;
    paging.repeat("detail", detail);
    let detail = detail.unwrap_or_default();
    let wanted = wanted(&mut args)?;
    paging.repeat("fields", wanted.as_ref().map(|fields| fields.join(",")));
    args.done()?;
    if detail && wanted.is_some() {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    let host = call.api.service.host();
    let rest = match paging.marker.as_deref() {
        None => vec![host],
        Some(marker) if marker == host => vec![],
        Some(marker) => return Err(unknown(marker)),
    };
    let last = paging.marker_after(&rest, |host| (*host).to_owned());
    let item = || {
        let mut item = shown(&call, detail || wanted.is_some());
        if let Some(wanted) = &wanted {
            keep(&mut item, wanted);
        }
        Value::Object(item)
    };
    let items = rest.iter().map(|_| item()).collect();
    Ok(ok(paging.document(&call, "conductors", "conductors", items, last)))
}

async fn show(Path(hostname): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.query();
    let wanted = wanted(&mut args)?;
    args.done()?;
    if hostname != call.api.service.host() {
        return Err(unknown(&hostname));
    }
    let mut shown = shown(&call, true);
    if let Some(wanted) = &wanted {
        keep(&mut shown, wanted);
    }
    Ok(ok(Value::Object(shown)))
}

fn unknown(hostname: &str) -> Fault {
    Fault::not_found(format!("Conductor {} could not be found.", brief(&Value::from(hostname))))
}
