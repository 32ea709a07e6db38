//! What the demo asks of the host's API about nodes, as any client of Ironic would.

use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, ClientError};

/// Requests under way at a time.
const AT_ONCE: usize = 16;
/// As the `baremetal` CLI does for a node that is locked or a host that is busy.
const RETRIES: u32 = 20;
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The images of the simulator, and its servers.
pub struct Simulated {
    url: String,
    sha256: String,
    servers: Vec<Value>,
}

impl Simulated {
    /// Asks the simulator at `url`.
    pub async fn at(url: &str) -> anyhow::Result<Self> {
        let mut servers = Client::new(url)?.get("/simulator/v1/nodes").await?;
        let line = reqwest::get(format!("{url}/images/demo.raw.sha256")).await?.error_for_status()?.text().await?;
        let sha256 = line.split_whitespace().next().context("the simulator gave no checksum")?.to_owned();
        let Some(Value::Array(servers)) = servers.get_mut("nodes").map(Value::take) else {
            anyhow::bail!("the simulator listed no servers");
        };
        Ok(Self { url: url.to_owned(), sha256, servers })
    }

    /// The node of a server, as it is enrolled.
    fn node(&self, index: usize, server: &Value) -> Value {
        let account = wrought_simulator::Options::default();
        json!({
            "name": format!("demo-{index}"),
            "driver": "redfish",
            "deploy_interface": "direct",
            "resource_class": "demo",
            "automated_clean": false,
            "driver_info": {
                "redfish_address": self.url,
                "redfish_system_id": server.get("system_path"),
                "redfish_username": account.username,
                "redfish_password": account.password,
                "deploy_iso": format!("{}/images/demo.iso", self.url),
            },
            "instance_info": {
                "image_source": format!("{}/images/demo.raw", self.url),
                "image_os_hash_algo": "sha256",
                "image_os_hash_value": self.sha256,
            },
        })
    }

    /// Creates a node and its port for every server, and shows `seen` each new node; the UUIDs in the order of the servers.
    pub async fn enrol(&self, client: &Client, seen: impl Fn(&Value)) -> anyhow::Result<Vec<String>> {
        let seen = &seen;
        let each = self.servers.iter().enumerate().map(|(index, server)| async move {
            let node = retrying(client, Method::POST, "/v1/nodes", &self.node(index, server)).await?;
            seen(&node);
            let uuid = node.get("uuid").and_then(Value::as_str).context("the new node has no UUID")?.to_owned();
            let port = json!({ "node_uuid": uuid, "address": server.get("mac") });
            retrying(client, Method::POST, "/v1/ports", &port).await?;
            anyhow::Ok(uuid)
        });
        stream::iter(each).buffered(AT_ONCE).try_collect().await
    }
}

/// Asks for `target`, such as `active`, of all nodes.
pub async fn provision(client: &Client, nodes: &[String], target: &str) -> anyhow::Result<()> {
    let body = json!({ "target": target });
    for_each(client, nodes, Method::PUT, "/states/provision", &body).await
}

/// Lets nodes be cleaned from now on when they become available.
pub async fn enable_cleaning(client: &Client, nodes: &[String]) -> anyhow::Result<()> {
    let body = json!([{ "op": "replace", "path": "/automated_clean", "value": true }]);
    for_each(client, nodes, Method::PATCH, "", &body).await
}

async fn for_each(client: &Client, nodes: &[String], method: Method, below: &str, body: &Value) -> anyhow::Result<()> {
    let each = nodes.iter().map(|uuid| retrying_owned(client, method.clone(), format!("/v1/nodes/{uuid}{below}"), body));
    stream::iter(each).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await
}

async fn retrying_owned(client: &Client, method: Method, path: String, body: &Value) -> anyhow::Result<Value> {
    retrying(client, method, &path, body).await
}

async fn retrying(client: &Client, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
    let mut tries = 0;
    loop {
        match client.call(method.clone(), path, body).await {
            Err(ClientError::Refused { status: StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE, .. }) if tries < RETRIES => {
                tries += 1;
                tokio::time::sleep(RETRY_DELAY).await;
            }
            answer => return Ok(answer?),
        }
    }
}
