//! What a server consists of: processors, memory, storage, network cards, settings and versions of its firmware.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::error::Refusal;
use super::{OfNode, collection, link};
use crate::fleet::Shared;
use crate::hardware::{
    BIOS_VERSION, BMC_VERSION, CORES, CPU_MHZ, CPU_MODEL, CPUS, DISKS, MANUFACTURER, MODULE_MIB, MODULES, THREADS, cards,
};
use crate::node::Node;

const FIRMWARE: &str = "/redfish/v1/UpdateService/FirmwareInventory";

fn healthy() -> Value {
    json!({ "State": "Enabled", "Health": "OK" })
}

fn missing(path: &str, id: &str) -> Refusal {
    Refusal::missing(&format!("{path}/{id}"))
}

/// The number of a part's id such as `CPU2`.
fn numbered(id: &str, prefix: &str, count: u64) -> Option<u64> {
    id.strip_prefix(prefix)?.parse().ok().filter(|number| (1..=count).contains(number))
}

pub(super) async fn processors(Extension(node): OfNode) -> Json<Value> {
    let path = format!("{}/Processors", node.system_path());
    collection("Processor", "Processors", &path, (1..=CPUS).map(|number| format!("{path}/CPU{number}")))
}

pub(super) async fn processor(Extension(node): OfNode, Path((_, id)): Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    let path = format!("{}/Processors", node.system_path());
    let number = numbered(&id, "CPU", CPUS).ok_or_else(|| missing(&path, &id))?;
    Ok(Json(json!({
        "@odata.type": "#Processor.v1_8_0.Processor",
        "@odata.id": format!("{path}/{id}"),
        "Id": id,
        "Name": format!("Processor {number}"),
        "Socket": format!("CPU {number}"),
        "ProcessorType": "CPU",
        "ProcessorArchitecture": "x86",
        "InstructionSet": "x86-64",
        "Manufacturer": MANUFACTURER,
        "Model": CPU_MODEL,
        "MaxSpeedMHz": CPU_MHZ,
        "TotalCores": CORES,
        "TotalThreads": THREADS,
        "Status": healthy(),
    })))
}

pub(super) async fn memory(Extension(node): OfNode) -> Json<Value> {
    let path = format!("{}/Memory", node.system_path());
    collection("Memory", "Memory", &path, (1..=MODULES).map(|number| format!("{path}/DIMM{number}")))
}

pub(super) async fn module(Extension(node): OfNode, Path((_, id)): Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    let path = format!("{}/Memory", node.system_path());
    let number = numbered(&id, "DIMM", MODULES).ok_or_else(|| missing(&path, &id))?;
    Ok(Json(json!({
        "@odata.type": "#Memory.v1_9_0.Memory",
        "@odata.id": format!("{path}/{id}"),
        "Id": id,
        "Name": format!("DIMM {number}"),
        "MemoryType": "DRAM",
        "MemoryDeviceType": "DDR4",
        "CapacityMiB": MODULE_MIB,
        "OperatingSpeedMhz": 3200,
        "Manufacturer": MANUFACTURER,
        "SerialNumber": format!("SM{:08}{number}", node.index),
        "Status": healthy(),
    })))
}

pub(super) async fn storage(Extension(node): OfNode) -> Json<Value> {
    let path = format!("{}/Storage", node.system_path());
    collection("Storage", "Storage", &path, [format!("{path}/SATA")].into_iter())
}

pub(super) async fn controller(Extension(node): OfNode) -> Json<Value> {
    let path = format!("{}/Storage/SATA", node.system_path());
    let drives: Vec<Value> = DISKS.iter().map(|disk| link(&format!("{path}/Drives/{}", disk.id))).collect();
    Json(json!({
        "@odata.type": "#Storage.v1_10_0.Storage",
        "@odata.id": path,
        "Id": "SATA",
        "Name": "SATA controller",
        "Drives@odata.count": drives.len(),
        "Drives": drives,
        "StorageControllers": [{
            "@odata.id": format!("{path}#/StorageControllers/0"),
            "MemberId": "0",
            "Name": "SATA controller",
            "SupportedDeviceProtocols": ["SATA"],
            "Status": healthy(),
        }],
        "Status": healthy(),
    }))
}

pub(super) async fn drive(Extension(node): OfNode, Path((_, id)): Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    let path = format!("{}/Storage/SATA/Drives", node.system_path());
    let disk = DISKS.iter().find(|disk| disk.id == id).ok_or_else(|| missing(&path, &id))?;
    Ok(Json(json!({
        "@odata.type": "#Drive.v1_11_0.Drive",
        "@odata.id": format!("{path}/{id}"),
        "Id": id,
        "Name": disk.model,
        "Model": disk.model,
        "Manufacturer": MANUFACTURER,
        "SerialNumber": disk.serial(&node),
        "CapacityBytes": disk.bytes,
        "MediaType": "SSD",
        "Protocol": disk.protocol,
        "BlockSizeBytes": 512,
        "Status": healthy(),
    })))
}

pub(super) async fn network_cards(Extension(node): OfNode) -> Json<Value> {
    let path = format!("{}/EthernetInterfaces", node.system_path());
    let members: Vec<String> = cards(&node).iter().map(|card| format!("{path}/{}", card.id)).collect();
    collection("EthernetInterface", "Ethernet Interfaces", &path, members.into_iter())
}

pub(super) async fn network_card(Extension(node): OfNode, Path((_, id)): Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    let path = format!("{}/EthernetInterfaces", node.system_path());
    let all = cards(&node);
    let card = all.iter().find(|card| card.id == id).ok_or_else(|| missing(&path, &id))?;
    Ok(Json(json!({
        "@odata.type": "#EthernetInterface.v1_4_0.EthernetInterface",
        "@odata.id": format!("{path}/{id}"),
        "Id": id,
        "Name": format!("Network card {}", card.device),
        "MACAddress": card.mac,
        "PermanentMACAddress": card.mac,
        "SpeedMbps": if card.wired { 25_000 } else { 0 },
        "LinkStatus": if card.wired { "LinkUp" } else { "NoLink" },
        "Status": { "State": if card.wired { "Enabled" } else { "StandbyOffline" }, "Health": "OK" },
    })))
}

pub(super) async fn bios(Extension(node): OfNode) -> Json<Value> {
    let boot = node.lock().machine.boot.mode;
    Json(json!({
        "@odata.type": "#Bios.v1_1_0.Bios",
        "@odata.id": format!("{}/Bios", node.system_path()),
        "Id": "BIOS",
        "Name": "BIOS settings",
        "AttributeRegistry": "SimulatedAttributeRegistry.v1_0_0",
        "Attributes": {
            "BootMode": if boot == crate::machine::BootMode::Uefi { "Uefi" } else { "Bios" },
            "LogicalProc": "Enabled",
            "ProcTurboMode": "Enabled",
            "ProcVirtualization": "Enabled",
            "SriovGlobalEnable": "Disabled",
            "SystemProfile": "PerfPerWattOptimized",
            "NumLock": true,
            "AcPwrRcvryUserDelay": 60,
        },
    }))
}

/// The components whose firmware has a version: id, name and version.
fn components(node: &Node) -> [(String, &'static str, &'static str); 2] {
    [(format!("{}-BIOS", node.id), "BIOS", BIOS_VERSION), (format!("{}-BMC", node.id), "BMC", BMC_VERSION)]
}

pub(super) async fn firmware(State(fleet): State<Arc<Shared>>) -> Json<Value> {
    let ids = fleet.nodes.iter().flat_map(|node| components(node)).map(|(id, ..)| format!("{FIRMWARE}/{id}"));
    collection("SoftwareInventory", "Firmware inventory", FIRMWARE, ids)
}

pub(super) async fn component(State(fleet): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let found = id.rsplit_once('-').and_then(|(node, _)| fleet.by_id(node)).and_then(|node| {
        let component = components(node).into_iter().find(|(known, ..)| *known == id)?;
        Some((node.system_path(), component))
    });
    let (system, (id, name, version)) = found.ok_or_else(|| missing(FIRMWARE, &id))?;
    Ok(Json(json!({
        "@odata.type": "#SoftwareInventory.v1_5_0.SoftwareInventory",
        "@odata.id": format!("{FIRMWARE}/{id}"),
        "Id": id,
        "Name": name,
        "Manufacturer": MANUFACTURER,
        "Version": version,
        "Updateable": true,
        "RelatedItem": [link(&system)],
        "Status": healthy(),
    })))
}
