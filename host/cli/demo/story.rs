//! What happens in the demo, in order.

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::fleet::{self, Simulated};
use super::progress::Progress;
use super::summary::{NodeStory, Summary, Version};
use super::variant;
use super::watch::Watch;
use crate::client::Client;
use crate::node;

const DRIVER: &str = "direct";

pub struct Story {
    client: Client,
    simulator_url: String,
    watch: Watch,
    progress: Progress,
}

impl Story {
    pub fn new(host_url: &str, simulator_url: &str, nodes: u32) -> anyhow::Result<Self> {
        let client = Client::new(host_url)?;
        let watch = Watch::new(client.clone());
        Ok(Self { client, simulator_url: simulator_url.to_owned(), watch, progress: Progress::new(nodes) })
    }

    /// Plays it, with somebody watching the nodes and drawing what is seen.
    pub async fn play(self) -> anyhow::Result<Summary> {
        tokio::select! {
            summary = self.acts() => summary,
            error = self.watch.poll() => Err(error),
            never = self.progress.follow(&self.watch) => match never {},
        }
    }

    async fn acts(&self) -> anyhow::Result<Summary> {
        let (client, watch) = (&self.client, &self.watch);
        self.progress.act("enrolling", "enroll");
        let nodes = Simulated::at(&self.simulator_url).await?.enrol(client, |node| _ = watch.take(std::slice::from_ref(node))).await?;

        // Nobody has used these servers yet, so that the first cleaning would clean nothing.
        self.progress.act("making available", "available");
        fleet::provision(client, &nodes, "manage").await?;
        watch.all_reach(&nodes, "manageable").await?;
        fleet::provision(client, &nodes, "provide").await?;
        watch.all_reach(&nodes, "available").await?;

        self.progress.act("deploying", "active");
        let before = self.active_version().await?;
        let (first, second) = nodes.split_at(nodes.len().div_ceil(2));
        fleet::provision(client, first, "active").await?;
        watch.all_leave(first, "available").await?;
        let after = self.swap_driver().await?;
        ensure!(before.digest != after.digest, "the new version of {DRIVER} has the digest of the old one");
        let in_flight = watch.records().values().filter(|record| !["available", "active"].contains(&record.state())).count();
        self.progress.note(&format!(
            "new {DRIVER} {} is active; {in_flight} deploys under way stay on {}",
            short(&after.digest),
            short(&before.digest)
        ));
        fleet::provision(client, second, "active").await?;
        watch.all_reach(&nodes, "active").await?;
        let deployed = self.deployed().await?;

        self.progress.act("undeploying, cleaning", "available");
        fleet::enable_cleaning(client, &nodes).await?;
        fleet::provision(client, &nodes, "deleted").await?;
        watch.all_reach(&nodes, "available").await?;
        self.summary(deployed, vec![before, after], in_flight).await
    }

    async fn active_version(&self) -> anyhow::Result<Version> {
        let driver = self.client.get(&format!("/wrought/v1/drivers/{DRIVER}")).await?;
        let versions = driver.get("versions").and_then(Value::as_array);
        let active = versions.into_iter().flatten().find(|version| version.get("status").is_some_and(|status| status == "active"));
        version(active.with_context(|| format!("no version of {DRIVER} is active: {driver}"))?)
    }

    /// Uploads the shipped driver once more, with a note in it, and activates that with the same grants.
    async fn swap_driver(&self) -> anyhow::Result<Version> {
        let component = variant::with_note(wrought_drivers::shipped::DIRECT, "uploaded by the demo");
        let length = u64::try_from(component.len())?;
        let uploaded = self.client.upload(&format!("/wrought/v1/drivers/{DRIVER}"), length, None, component.into()).await?;
        let uploaded_version = version(&uploaded)?;
        let body = json!({ "digest": uploaded_version.digest, "grant": uploaded.get("requested") });
        self.client.call(Method::POST, &format!("/wrought/v1/drivers/{DRIVER}/activate"), &body).await?;
        Ok(uploaded_version)
    }

    /// Which version deployed each node, in how many calls.
    async fn deployed(&self) -> anyhow::Result<Vec<NodeStory>> {
        let nodes = node::list(&self.client, "uuid,driver_internal_info", "").await?;
        let story = |node: &Value| {
            let uuid = node.get("uuid").and_then(Value::as_str).context("a node without UUID")?;
            let internal = |key: &str| node.get("driver_internal_info").and_then(|info| info.get(key));
            let digest =
                internal("wrought_driver_digest").and_then(Value::as_str).with_context(|| format!("node {uuid} names no driver digest"))?;
            let driver_calls =
                internal("wrought_driver_calls").and_then(Value::as_u64).with_context(|| format!("node {uuid} counts no driver calls"))?;
            Ok(NodeStory { uuid: uuid.to_owned(), states: Vec::new(), digest: digest.to_owned(), driver_calls })
        };
        nodes.iter().map(story).collect()
    }

    async fn summary(&self, mut nodes: Vec<NodeStory>, drivers: Vec<Version>, in_flight: usize) -> anyhow::Result<Summary> {
        let stats = self.client.get("/wrought/v1/stats").await?;
        let number = |pointer: &str| {
            stats.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no {pointer} in the host's statistics: {stats}"))
        };
        let records = self.watch.records();
        for node in &mut nodes {
            node.states = records.get(&node.uuid).map(|record| record.states.clone()).unwrap_or_default();
        }
        Ok(Summary {
            nodes,
            drivers,
            in_flight,
            call_us: (number("/driver_call_us/p50")?, number("/driver_call_us/p99")?),
            wall_s: self.watch.elapsed().as_secs_f64(),
            host_rss_mib: number("/rss_mib")?,
        })
    }
}

fn version(answer: &Value) -> anyhow::Result<Version> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let digest = text("digest").with_context(|| format!("the host names no digest of {DRIVER}: {answer}"))?;
    Ok(Version { name: DRIVER.to_owned(), digest, version: text("version").unwrap_or_default() })
}

fn short(digest: &str) -> &str {
    digest.trim_start_matches("sha256:").get(..12).unwrap_or(digest)
}
