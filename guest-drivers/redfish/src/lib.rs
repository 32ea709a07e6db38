//! The `redfish` driver: Ironic's `redfish` inspect interface. The controller tells what the machine consists of; nothing is booted.

mod inventory;

use serde_json::{Map, Value, json};
use wrought_sdk::prelude::*;

use inventory::{Found, text};

/// The driver.
pub struct Redfish;

/// Members of a collection that are looked at.
const MEMBERS: usize = 64;

/// Where the node's System is. The host finds a single System by itself, but tells nobody.
fn system_path() -> Result<String> {
    let info: Map<String, Value> = task::node().driver_info()?;
    let path = info.get("redfish_system_id").and_then(Value::as_str).map(str::trim).filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| {
        Error::missing_parameter(
            "driver_info/redfish_system_id is missing: the path of the machine's System, such as /redfish/v1/Systems/1",
        )
    })?;
    Ok(path.trim_end_matches('/').to_owned())
}

/// What a link leads to; nothing where there is no such link, or where the controller does not have what it links.
fn follow(resource: &Value, link: &str) -> Result<Option<Value>> {
    match resource.pointer(&format!("{link}/@odata.id")).and_then(Value::as_str) {
        Some(path) => read(path),
        None => Ok(None),
    }
}

fn read(path: &str) -> Result<Option<Value>> {
    match redfish::get_json(path) {
        Ok(resource) => Ok(Some(resource)),
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unsupported) => Ok(None),
        Err(error) => Err(error.context(path)),
    }
}

/// The members of the collection that a link leads to.
fn members(resource: &Value, link: &str) -> Result<Vec<Value>> {
    let Some(collection) = follow(resource, link)? else { return Ok(Vec::new()) };
    let links = collection.get("Members").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for link in links.iter().take(MEMBERS) {
        found.extend(follow(link, "")?);
    }
    Ok(found)
}

/// The drives behind all storage controllers.
fn drives(system: &Value) -> Result<Vec<Value>> {
    let mut drives = Vec::new();
    for storage in members(system, "/Storage")? {
        for link in storage.get("Drives").and_then(Value::as_array).into_iter().flatten() {
            if drives.len() < MEMBERS {
                drives.extend(follow(link, "")?);
            }
        }
    }
    Ok(drives)
}

/// The address of the controller, without scheme, port and path.
fn controller_address() -> Result<Option<String>> {
    let info: Map<String, Value> = task::node().driver_info()?;
    Ok(info.get("redfish_address").and_then(Value::as_str).and_then(inventory::host_of))
}

impl Driver for Redfish {
    fn describe() -> Description {
        Description::new("redfish", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Inspects machines by their controllers: inventory, settings of the BIOS, versions of the firmware, health.")
    }

    fn get_properties() -> Vec<Property> {
        vec![Property::required("driver_info/redfish_system_id", "The path of the machine's System, such as /redfish/v1/Systems/1.")]
    }
}

impl Inspection for Redfish {
    fn validate() -> Result<()> {
        system_path().map(drop)
    }

    fn inspect_hardware() -> Result<Outcome> {
        let path = system_path()?;
        let system: Value = redfish::get_json(&path)?;
        let found = Found {
            processors: members(&system, "/Processors")?,
            drives: drives(&system)?,
            network_cards: members(&system, "/EthernetInterfaces")?,
            controller_address: controller_address()?,
            system: &system,
        };
        report::put(report::Kind::Inventory, &found.inventory())?;
        if let Some(bios) = follow(&system, "/Bios")? {
            report::put(report::Kind::BiosSettings, &inventory::bios_settings(&bios))?;
        }
        let manager = follow(&system, "/Links/ManagedBy/0")?;
        report::put(report::Kind::Firmware, &inventory::firmware(&system, manager.as_ref()))?;
        if let Some(health) = text(&system, "/Status/HealthRollup").or_else(|| text(&system, "/Status/Health")).and_then(inventory::health)
        {
            report::put(report::Kind::Health, &json!(health))?;
        }
        Ok(Outcome::Done)
    }

    fn abort() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

export_driver!(Redfish: inspection);
