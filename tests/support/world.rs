//! A host and a fleet for it.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use wrought_simulator::{Fleet, Options};

use super::{Api, Host, HostConfig, Node};

/// Of every controller of every fleet; found nowhere else.
pub const BMC_PASSWORD: &str = "bmc-Passw0rd-2f6c1e";

/// How a world is made.
pub struct Setup {
    pub host: HostConfig,
    pub servers: usize,
    /// Changes the quick delays of the fleet.
    pub fleet: fn(&mut Options),
}

impl Default for Setup {
    fn default() -> Self {
        Self { host: HostConfig::default(), servers: 8, fleet: |_| {} }
    }
}

/// A fleet that is as quick as it goes, for a host at `api_url`.
pub fn fleet_options(api_url: &str, servers: usize) -> Options {
    Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        api_url: api_url.to_owned(),
        nodes: servers,
        power_delay: 0.05,
        boot_delay: 0.1,
        write_delay: 0.15,
        clean_delay: 0.05,
        command_delay: 0.05,
        heartbeat_retry: 0.1,
        heartbeat_gap: 0.05,
        lookup_retry: 0.1,
        password: BMC_PASSWORD.to_owned(),
        ..Options::default()
    }
}

/// Fields are dropped in this order: agents call the host until they are gone.
pub struct World {
    pub fleet: Fleet,
    pub host: Host,
    image_sha256: String,
    next: AtomicUsize,
}

impl World {
    pub async fn new(setup: Setup) -> Self {
        let host = Host::start(setup.host).await;
        let mut options = fleet_options(host.api.url(), setup.servers);
        (setup.fleet)(&mut options);
        let fleet = Fleet::start(options).await.unwrap();
        let image_sha256 = image_sha256(&fleet).await;
        Self { fleet, host, image_sha256, next: AtomicUsize::new(0) }
    }

    pub fn api(&self) -> &Api {
        &self.host.api
    }

    /// The body of a node for the server `index`.
    pub fn body(&self, index: usize) -> Value {
        redfish_node(&self.fleet, index, &self.image_sha256)
    }

    /// Enrols the next server, with its port, `change` having the last word on the node.
    pub async fn enrol_with(&self, change: impl FnOnce(&mut Value)) -> Node<'_> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let mut body = self.body(index);
        change(&mut body);
        let created = self.api().call(Method::POST, "/v1/nodes", &body).await.ok();
        let uuid = created["uuid"].as_str().unwrap().to_owned();
        let port = json!({"node_uuid": uuid, "address": self.fleet.nodes()[index].mac});
        self.api().call(Method::POST, "/v1/ports", &port).await.ok();
        Node { world: self, uuid, server: Some(index) }
    }

    pub async fn enrol(&self) -> Node<'_> {
        self.enrol_with(|_| {}).await
    }

    /// A node that is available, without having been cleaned.
    pub async fn available(&self) -> Node<'_> {
        let node = self.enrol_with(|body| body["automated_clean"] = false.into()).await;
        node.make_available().await;
        node
    }

    /// A node without a server behind it, `available`.
    pub async fn fake(&self, deploy_interface: &str, driver_info: Value) -> Node<'_> {
        let body = json!({
            "driver": "fake-hardware", "deploy_interface": deploy_interface, "driver_info": driver_info, "automated_clean": false,
        });
        let created = self.api().call(Method::POST, "/v1/nodes", &body).await.ok();
        let node = Node { world: self, uuid: created["uuid"].as_str().unwrap().to_owned(), server: None };
        node.make_available().await;
        node
    }
}

/// The checksum of the fleet's image.
pub async fn image_sha256(fleet: &Fleet) -> String {
    let line = reqwest::get(format!("{}/images/demo.raw.sha256", fleet.url())).await.unwrap().text().await.unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// The body of a node for the server `index` of a fleet.
pub fn redfish_node(fleet: &Fleet, index: usize, image_sha256: &str) -> Value {
    let server = fleet.nodes()[index].clone();
    let url = fleet.url();
    json!({
        "driver": "redfish",
        "deploy_interface": "direct",
        "driver_info": {
            "redfish_address": url,
            "redfish_system_id": server.system_path,
            "redfish_username": server.username,
            "redfish_password": server.password,
            "deploy_iso": format!("{url}/images/agent.iso"),
        },
        "instance_info": {
            "image_source": format!("{url}/images/demo.raw"),
            "image_os_hash_algo": "sha256",
            "image_os_hash_value": image_sha256,
        },
    })
}

/// The world of all tests that need none of their own: there while one of them runs.
pub struct Shared(Arc<World>);

static SHARED: Mutex<Weak<World>> = Mutex::const_new(Weak::new());

impl Shared {
    pub async fn world() -> Self {
        let mut shared = SHARED.lock().await;
        if let Some(world) = shared.upgrade() {
            return Self(world);
        }
        // At debug level, because `secrets` reads the log of whatever happened.
        let host = HostConfig { log: "debug", ..HostConfig::default() };
        let world = Arc::new(World::new(Setup { host, servers: 64, ..Setup::default() }).await);
        *shared = Arc::downgrade(&world);
        Self(world)
    }
}

impl Deref for Shared {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Others may go on with it, so that it is not dropped in this panic.
        if std::thread::panicking() && Arc::strong_count(&self.0) > 1 {
            self.0.host.show_log();
        }
    }
}
