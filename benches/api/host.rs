//! A host in a process of its own, filled with nodes.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;
use wrought_domain::hardware_type::{FAKE_HARDWARE, REDFISH};
use wrought_domain::{Map, Node, NodeId, Port, PowerState, Principal, ProvisionState};
use wrought_storage::{Durability, Reserved, Store};

use crate::load::{post, put};

/// Requests at once while the host is filled.
const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(120);

/// `wrought serve`.
pub struct Host {
    process: Child,
    pub address: String,
    http: reqwest::Client,
    pub nodes: Vec<NodeId>,
    /// On nodes that wait in a cleaning.
    pub agents: Vec<Agent>,
    _folder: TempDir,
}

/// An agent that was given its token and has been heard once.
pub struct Agent {
    pub node: NodeId,
    pub mac: String,
    token: String,
}

impl Agent {
    /// Its next heartbeat.
    pub fn heartbeat(&self) -> Vec<u8> {
        let beat = json!({"callback_url": "https://127.0.0.1:9", "agent_version": "11.2.0", "agent_token": self.token});
        post(&format!("/v1/heartbeat/{}", self.node), &beat)
    }
}

/// What a process holds in memory, MiB.
#[derive(Clone, Copy)]
pub struct Memory {
    pub now: f64,
    pub peak: f64,
}

impl Host {
    /// One with so many nodes, on so many of which an agent runs.
    pub async fn start(nodes: usize, agents: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // All agents have the address of this process.
        let api = "[api]\nagent_requests_per_second = 0\nagent_requests_per_second_total = 0\n";
        let config = format!("[conductor]\nsync_power_state_interval = 0\nmax_concurrent_clean = 100000\n{api}");
        std::fs::write(folder.path().join("wrought.toml"), config)?;
        let data = folder.path().join("data");
        let (uuids, macs) = fill(&data, nodes, agents).await?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_wrought"));
        command.args(["serve", "--json", "--follow-stdin", "--listen", "127.0.0.1:0", "--log", "error"]);
        command.arg("--data").arg(&data).arg("--config").arg(folder.path().join("wrought.toml"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("it has an output")?).read_line(&mut line).await?;
        let told: Value = serde_json::from_str(&line).context("the host did not start")?;
        let address = told["listen"].as_str().context("it tells its address")?.to_owned();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut host = Self { process, address, http, nodes: uuids, agents: Vec::new(), _folder: folder };
        host.boot_agents(&macs[..agents]).await?;
        Ok(host)
    }

    pub fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Has nodes wait in a cleaning; their agents ask for a token and are heard.
    async fn boot_agents(&mut self, macs: &[String]) -> Result<()> {
        let host = &*self;
        let one = |(node, mac): (&NodeId, &String)| {
            let (node, mac) = (*node, mac.clone());
            async move {
                let wait = json!({"interface": "deploy", "step": "wait", "args": {"seconds": 86_400}});
                let clean = json!({"target": "clean", "clean_steps": [wait]});
                crate::load::once(&host.address, &put(&format!("/v1/nodes/{node}/states/provision"), &clean), 202).await?;
                let began = Instant::now();
                while host.get(&format!("/v1/nodes/{node}/states")).await?["provision_state"] != "clean wait" {
                    ensure!(began.elapsed() < PATIENCE, "node {node} does not wait");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let found = host.get(&format!("/v1/lookup?addresses={mac}")).await?;
                let token = found["config"]["agent_token"].as_str().context("a lookup gives a token")?.to_owned();
                let agent = Agent { node, mac, token };
                crate::load::once(&host.address, &agent.heartbeat(), 202).await?;
                anyhow::Ok(agent)
            }
        };
        let agents = stream::iter(host.nodes.iter().zip(macs)).map(one).buffered(AT_ONCE).try_collect().await?;
        self.agents = agents;
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self.http.get(format!("http://{}{path}", self.address)).header("X-OpenStack-Ironic-API-Version", "1.95");
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("{path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// The paths of all pages of a list, which has each node once.
    pub async fn pages(&self, first: &str) -> Result<Vec<String>> {
        let (mut pages, mut items) = (vec![first.to_owned()], 0);
        loop {
            let page = self.get(&pages[pages.len() - 1]).await?;
            items += page["nodes"].as_array().context("a list")?.len();
            let Some(next) = page["next"].as_str() else { break };
            pages.push(next[next.find("/v1/").context("a link into the API")?..].to_owned());
        }
        ensure!(items == self.nodes.len(), "the pages have {items} nodes");
        Ok(pages)
    }

    /// Transactions that were committed.
    pub async fn commits(&self) -> Result<u64> {
        self.get("/wrought/v1/stats").await?["commits"].as_u64().context("the host counts commits")
    }

    /// CPU time of all its threads.
    pub fn cpu(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<&str> = text.rsplit_once(')').context("a process's state")?.1.split_whitespace().collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // The unit has been a hundredth of a second on every Linux for long.
        Ok(Duration::from_millis(ticks * 10))
    }

    pub fn memory(&self) -> Result<Memory> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let mib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).context("what memory it has")?;
            let kib: f64 = line.trim_start_matches(':').split_whitespace().next().context("a number")?.parse()?;
            anyhow::Ok(kib / 1024.0)
        };
        Ok(Memory { now: mib("VmRSS")?, peak: mib("VmHWM")? })
    }

    /// Asks it to end, and waits.
    pub async fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }
}

/// Writes nodes into a data folder; their UUIDs and the addresses of their ports.
async fn fill(data: &Path, nodes: usize, manageable: usize) -> Result<(Vec<NodeId>, Vec<String>)> {
    let store = Store::open(data, Durability::Normal).await?;
    let who = Principal::noauth();
    let one = |number: usize| {
        let (store, who) = (&store, &who);
        async move {
            let node = node(number, number < manageable);
            let mac = format!("52:54:00:{:02x}:{:02x}:{:02x}", number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff);
            let port = Port::new(Uuid::new_v4(), node.uuid, &mac, Timestamp::now());
            let uuid = store.create_node(who, node).await?.value.uuid;
            store.create_part(who, port, Reserved::Refuse).await?;
            anyhow::Ok((uuid, mac))
        }
    };
    let filled: Vec<(NodeId, String)> = stream::iter(0..nodes).map(one).buffered(4 * AT_ONCE).try_collect().await?;
    store.close().await;
    Ok(filled.into_iter().unzip())
}

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A node as a host of some years has them.
fn node(number: usize, manageable: bool) -> Node {
    let hardware = if manageable { FAKE_HARDWARE } else { REDFISH };
    let mut node = Node::new(NodeId(Uuid::new_v4()), hardware.name, hardware.defaults(), Timestamp::now());
    let image = format!("https://images.example/{:03}/root.qcow2", number % 40);
    node.name = Some(format!("rack{:03}-node{number:05}", number / 40));
    node.driver_info = map(json!({
        "redfish_address": format!("https://bmc-{number}.mgmt.example"), "redfish_username": "ironic", "redfish_password": format!("secret {number}"),
        "redfish_system_id": "/redfish/v1/Systems/1", "redfish_verify_ca": "/etc/wrought/ca.pem",
        "deploy_kernel": "https://images.example/ipa/kernel", "deploy_ramdisk": "https://images.example/ipa/initramfs",
        "cleaning_network": "provisioning", "provisioning_network": "provisioning", "rescuing_network": "provisioning",
    }));
    node.properties = map(json!({
        "cpus": 64, "cpu_arch": "x86_64", "memory_mb": 524_288, "local_gb": 1787, "vendor": "ACME", "serial_number": format!("S{number:08}"),
        "capabilities": "boot_mode:uefi,secure_boot:true,cpu_vt:true,cpu_aes:true,cpu_hugepages:true,cpu_hugepages_1g:true",
        "root_device": {"wwn": format!("0x5000c500{number:08x}"), "hint": "s== ssd"},
    }));
    node.instance_info = map(json!({
        "image_source": image, "image_checksum": "9e1a2f6b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7",
        "image_os_hash_algo": "sha256", "image_disk_format": "qcow2", "root_gb": 100, "display_name": format!("instance-{number}"),
        "capabilities": {"boot_option": "local", "boot_mode": "uefi"}, "configdrive": "x".repeat(600),
        "nova_host_id": "compute-7", "vcpus": 64, "memory_mb": 524_288, "local_gb": 1787,
    }));
    node.extra = map(json!({
        "rack": format!("R{:03}", number / 40), "unit": number % 40, "site": "fra-1", "asset_tag": format!("A{number:08}"),
        "owner_contact": "platform@example.org", "purchased": "2024-05-17", "warranty_until": "2029-05-16",
        "switch": {"name": format!("tor-{:03}", number / 40), "port": format!("Ethernet1/{}", number % 40), "vlan": 1200},
        "notes": "Memory replaced in 2025; fans replaced in 2026. Serves the batch cluster, may be drained without asking anybody.",
    }));
    node.driver_internal_info = map(json!({
        "is_whole_disk_image": true, "clean_steps": null, "last_power_state_change": "2026-03-01T12:00:00.000000",
        "root_uuid_or_disk_id": "0x00000000", "deploy_boot_mode": "uefi", "automatic_lessee": false,
    }));
    node.traits = (0..12).map(|item| format!("CUSTOM_TRAIT_{item}_{}", number % 7)).collect();
    node.resource_class = Some(format!("baremetal-{}", number % 5));
    node.instance_uuid = (!manageable).then(Uuid::new_v4);
    node.provision_state = if manageable { ProvisionState::Manageable } else { ProvisionState::Active };
    node.power_state = Some(PowerState::On);
    node.provision_updated_at = Some(Timestamp::now());
    node.description = Some(format!("Compute server {number} of the batch cluster"));
    node.owner = Some(format!("project-{}", number % 20));
    node.conductor = Some("conductor-1".into());
    node.boot_mode = Some("uefi".into());
    node
}
