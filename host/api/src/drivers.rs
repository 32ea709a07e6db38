//! `/v1/drivers`: Ironic's name for hardware types.

use axum::extract::{Path, RawPathParams};
use axum::response::Response;
use serde_json::{Map, Value, json};
use wrought_domain::hardware_type::{self, HardwareType};
use wrought_domain::node::Interfaces;
use wrought_domain::raid;

use crate::args::{Args, brief};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::fields::keep;
use crate::nodes::rules::implementations;
use crate::routes::Routes;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/drivers", list)
        .get("/v1/drivers/{driver}", show)
        .get("/v1/drivers/{driver}/properties", properties)
        .get("/v1/drivers/{driver}/raid/logical_disk_properties", logical_disk_properties)
        .get("/v1/drivers/{driver}/vendor_passthru/methods", vendor_methods)
        .merge(passthru())
}

/// A method may be called in any way; the vendor says which ones it takes.
fn passthru() -> Routes {
    ["/v1/drivers/{driver}/vendor_passthru", "/v1/drivers/{driver}/vendor_passthru/{method}"].iter().fold(Routes::new(), |routes, path| {
        let routes = routes.get(path, vendor_passthru).post(path, vendor_passthru).put(path, vendor_passthru);
        routes.patch(path, vendor_passthru).delete(path, vendor_passthru)
    })
}

fn find(driver: &str) -> Result<HardwareType, Fault> {
    HardwareType::find(driver)
        .ok_or_else(|| Fault::not_found(format!("Could not find the following driver(s) or hardware type(s): {}.", brief(&driver.into()))))
}

/// The minor version that brought an interface to the drivers' document.
fn since(interface: &str) -> u16 {
    match interface {
        "storage" => 33,
        "rescue" => 38,
        "bios" => 40,
        "firmware" => 86,
        _ => 30,
    }
}

fn shown(call: &Call, hardware: &HardwareType, detail: bool) -> Map<String, Value> {
    let mut shown = Map::new();
    let path = format!("drivers/{}", hardware.name);
    shown.insert("name".into(), json!(hardware.name));
    shown.insert("hosts".into(), json!([call.api.service.host()]));
    shown.insert("links".into(), call.base.links(&path));
    if call.version.0 >= 14 {
        shown.insert("properties".into(), call.base.links(&format!("{path}/properties")));
    }
    if call.version.0 >= 30 {
        shown.insert("type".into(), json!("dynamic"));
    }
    for interface in Interfaces::NAMES.iter().filter(|interface| detail && call.version.0 >= since(interface)) {
        shown.insert(format!("default_{interface}_interface"), json!(hardware.default_of(interface)));
        shown.insert(format!("enabled_{interface}_interfaces"), json!(implementations(call, hardware, interface)));
    }
    shown
}

fn wanted(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        call.accept(77)?;
        let known = shown(call, &hardware_type::REDFISH, true);
        let unknown: Vec<&str> = wanted.iter().filter(|name| !known.contains_key(*name)).map(String::as_str).take(20).collect();
        if !unknown.is_empty() {
            return Err(Fault::invalid(format!("Field(s) \"{}\" are not valid", unknown.join(", "))));
        }
    }
    Ok(wanted)
}

async fn list(call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let kind = args.text("type")?;
    let detail = args.boolean("detail")?;
    if kind.is_some() || detail.is_some() {
        call.accept(30)?;
    }
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    if detail == Some(true) && wanted.is_some() {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    let all = match kind.as_deref() {
        None | Some("dynamic") => hardware_type::ALL,
        Some("classic") => &[],
        Some(_) => return Err(Fault::invalid("\"type\" filter must be one of \"classic\" or \"dynamic\", if specified.")),
    };
    let items = all.iter().map(|hardware| {
        let mut item = shown(&call, hardware, detail == Some(true) || wanted.is_some());
        if let Some(wanted) = &wanted {
            keep(&mut item, wanted);
        }
        Value::Object(item)
    });
    Ok(ok(json!({"drivers": items.collect::<Vec<_>>()})))
}

async fn show(Path(driver): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    let mut shown = shown(&call, &find(&driver)?, true);
    if let Some(wanted) = &wanted {
        keep(&mut shown, wanted);
    }
    Ok(ok(Value::Object(shown)))
}

async fn properties(Path(driver): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    let hardware = find(&driver)?;
    let described = call.api.service.driver_properties(hardware.name).unwrap_or_default();
    Ok(ok(Value::Object(described.into_iter().map(|(name, text)| (name, Value::from(text))).collect())))
}

/// `GET .../raid/logical_disk_properties`: what `states/raid` takes, where the hardware type has RAID by default.
async fn logical_disk_properties(Path(driver): Path<String>, call: Call) -> Result<Response, Fault> {
    call.accept(12)?;
    call.query().done()?;
    let hardware = find(&driver)?;
    if hardware.default_of("raid") == "no-raid" {
        let what = "get_raid_logical_disk_properties";
        return Err(Fault::not_found(format!("Driver {} does not support {what} (disabled or not implemented).", hardware.name)));
    }
    Ok(ok(Value::Object(raid::LOGICAL_DISK.iter().map(|(name, about)| ((*name).to_owned(), Value::from(*about))).collect())))
}

/// `GET .../vendor_passthru/methods`: no hardware type of ours has methods of its own; those of vendors belong to nodes.
async fn vendor_methods(Path(driver): Path<String>, call: Call) -> Result<Response, Fault> {
    call.query().done()?;
    find(&driver)?;
    Ok(ok(json!({})))
}

/// `.../vendor_passthru`, by any HTTP method, with the vendor's method in the path or in the query.
async fn vendor_passthru(path: RawPathParams, call: Call) -> Result<Response, Fault> {
    let part = |name: &str| path.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    find(&part("driver").unwrap_or_default())?;
    let method = match part("method") {
        Some(method) => method,
        None => call.query().mandatory("method")?,
    };
    Err(Fault::invalid(format!("No handler for method {}", brief(&Value::from(method)))))
}
