//! What every server of a fleet consists of, as its agent and its BMC tell it: two processors, four memory modules, two disks, two network
//! cards of which one is wired, and the versions of its firmware.

use serde_json::{Value, json};

use crate::machine::{BootMode, Machine};
use crate::node::Node;

/// Who made the servers.
pub(crate) const MANUFACTURER: &str = "Wrought";
/// What they are called.
pub(crate) const MODEL: &str = "Simulated server";
pub(crate) const BIOS_VERSION: &str = "1.0.0";
pub(crate) const BMC_VERSION: &str = "1.00";
const BUILT: &str = "02/29/2024";

pub(crate) const CPUS: u64 = 2;
pub(crate) const CORES: u64 = 16;
pub(crate) const THREADS: u64 = 32;
pub(crate) const CPU_MODEL: &str = "Simulated(R) Processor 6338 @ 2.00GHz";
pub(crate) const CPU_MHZ: u64 = 2000;

pub(crate) const MODULES: u64 = 4;
pub(crate) const MODULE_MIB: u64 = 8192;
/// What an operating system has of the memory: the firmware keeps some.
const USABLE_BYTES: u64 = 33_368_711_168;

/// A disk.
pub(crate) struct Disk {
    /// Its id at the BMC.
    pub id: &'static str,
    /// Its name at the operating system.
    pub device: &'static str,
    pub model: &'static str,
    pub bytes: u64,
    pub protocol: &'static str,
}

pub(crate) const DISKS: [Disk; 2] = [
    Disk { id: "Disk0", device: "/dev/sda", model: "SimDisk 480", bytes: 480_103_981_056, protocol: "SATA" },
    Disk { id: "Disk1", device: "/dev/sdb", model: "SimDisk 960", bytes: 960_197_124_096, protocol: "SATA" },
];

impl Disk {
    /// The same at BMC and agent.
    pub fn serial(&self, node: &Node) -> String {
        format!("SD{:08}{}", node.index, self.id.trim_start_matches("Disk"))
    }
}

/// The serial number of the server.
pub(crate) fn serial(node: &Node) -> String {
    format!("SIM{:08}", node.index)
}

/// A network card.
pub(crate) struct Card {
    /// Its id at the BMC.
    pub id: &'static str,
    /// Its name at the operating system.
    pub device: &'static str,
    pub mac: String,
    /// Whether a cable leads to a switch.
    pub wired: bool,
}

/// The network cards; the first is the one that agents are known by.
pub(crate) fn cards(node: &Node) -> [Card; 2] {
    let spare = format!("56{}", node.mac.trim_start_matches("52"));
    [Card { id: "NIC1", device: "eno1", mac: node.mac.clone(), wired: true }, Card { id: "NIC2", device: "eno2", mac: spare, wired: false }]
}

fn boot_mode(machine: &Machine) -> &'static str {
    match machine.boot.mode {
        BootMode::Uefi => "uefi",
        BootMode::Legacy => "bios",
    }
}

/// What the agent's inspection posts, in the shape of a real one's collectors `default,logs`.
pub(crate) fn inspection(node: &Node) -> Value {
    let machine = node.lock().machine.clone();
    let interfaces: Vec<Value> = cards(node)
        .iter()
        .map(|card| {
            json!({
                "name": card.device, "mac_address": card.mac, "ipv4_address": card.wired.then_some("127.0.0.1"), "ipv6_address": null,
                "has_carrier": card.wired, "lldp": null, "vendor": "0x8086", "product": "0x1592", "client_id": null, "biosdevname": null,
                "speed_mbps": card.wired.then_some(25_000), "pci_address": null, "driver": "ice",
            })
        })
        .collect();
    let disks: Vec<Value> = DISKS
        .iter()
        .map(|disk| {
            json!({
                "name": disk.device, "model": disk.model, "size": disk.bytes, "rotational": false, "wwn": null, "serial": disk.serial(node),
                "vendor": "ATA", "wwn_with_extension": null, "wwn_vendor_extension": null, "hctl": null, "by_path": null,
                "logical_sectors": 512, "physical_sectors": 4096, "tran": "sata",
            })
        })
        .collect();
    json!({
        "root_disk": disks.first(),
        "boot_interface": null,
        "inventory": {
            "interfaces": interfaces,
            "cpu": {
                "model_name": CPU_MODEL, "frequency": format!("{CPU_MHZ}.0000"), "count": CPUS * THREADS, "architecture": "x86_64",
                "flags": ["fpu", "vmx", "aes", "avx2"], "socket_count": CPUS,
            },
            "disks": disks,
            "memory": { "total": USABLE_BYTES, "physical_mb": MODULES * MODULE_MIB },
            "bmc_address": "127.0.0.1",
            "bmc_v6address": "::/0",
            "system_vendor": {
                "product_name": MODEL, "serial_number": serial(node), "manufacturer": MANUFACTURER,
                "firmware": { "vendor": MANUFACTURER, "version": BIOS_VERSION, "build_date": BUILT },
            },
            "boot": { "current_boot_mode": boot_mode(&machine), "pxe_interface": null },
            "hostname": "localhost.localdomain",
            "bmc_mac": null,
        },
        "configuration": { "collectors": ["default", "logs"], "managers": [{ "name": "generic_hardware_manager", "version": "1.2" }] },
        "logs": "H4sIAAAAAAAAAwMAAAAAAAAAAAA=",
        "error": null,
    })
}
