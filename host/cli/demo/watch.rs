//! What the nodes go through, as the API shows it: polled, and kept per node.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;
use tokio::sync::Notify;

use crate::client::Client;
use crate::node;

/// States may last only a moment, so that there is little rest between two looks, but more than the host works for one.
const REST: Duration = Duration::from_millis(20);
/// Longer than anything that a node of the demo waits for.
const STALLED: Duration = Duration::from_secs(120);
/// A host under load may be late; one that answers nothing for so long is not there.
const UNANSWERED: Duration = Duration::from_secs(15);

/// What one node went through.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Each provision state, with the milliseconds at which it was first seen.
    pub states: Vec<(String, u64)>,
    target: Option<String>,
    last_error: Option<String>,
}

impl Record {
    pub fn state(&self) -> &str {
        self.states.last().map_or("", |(state, _)| state)
    }

    /// Why the node will not come to `goal` by itself.
    fn failure(&self, goal: &str) -> Option<String> {
        let state = self.state();
        let ended = self.target.is_none() && state != goal && self.last_error.is_some();
        (state == "error" || state.ends_with(" failed") || ended)
            .then(|| format!("{state}: {}", self.last_error.as_deref().unwrap_or("the host gives no reason")))
    }
}

/// All nodes, by UUID. One task polls while others wait.
pub struct Watch {
    client: Client,
    start: Instant,
    records: Mutex<BTreeMap<String, Record>>,
    seen: Notify,
}

impl Watch {
    pub fn new(client: Client) -> Self {
        Self { client, start: Instant::now(), records: Mutex::default(), seen: Notify::new() }
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn records(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many nodes are in each state.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for record in self.records().values() {
            *counts.entry(record.state().to_owned()).or_default() += 1;
        }
        counts
    }

    /// Polls until cancelled.
    ///
    /// # Errors
    /// If the host does not answer, or no node changes, for too long.
    pub async fn poll(&self) -> anyhow::Error {
        let (mut answered, mut changed) = (Instant::now(), Instant::now());
        loop {
            let asked = Instant::now();
            match node::list(&self.client, "uuid,provision_state,target_provision_state,last_error", "").await {
                Ok(nodes) => {
                    answered = Instant::now();
                    if self.take(&nodes) {
                        changed = answered;
                    }
                    self.seen.notify_waiters();
                }
                Err(error) if answered.elapsed() > UNANSWERED => return error.context("asking for the nodes' states"),
                Err(error) => tracing::debug!("asking for the nodes' states: {error:#}"),
            }
            if changed.elapsed() > STALLED {
                return anyhow::anyhow!("nothing has changed for {} s; nodes by state: {:?}", STALLED.as_secs(), self.counts());
            }
            tokio::time::sleep(REST.max(asked.elapsed() * 2)).await;
        }
    }

    /// Notes what is new in answers about nodes; whether anything is.
    pub fn take(&self, nodes: &[Value]) -> bool {
        let now = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut records = self.records();
        let mut news = false;
        for node in nodes {
            let text = |key: &str| node.get(key).and_then(Value::as_str).map(str::to_owned);
            let (Some(uuid), Some(state)) = (text("uuid"), text("provision_state")) else { continue };
            let record = records.entry(uuid).or_default();
            (record.target, record.last_error) = (text("target_provision_state"), text("last_error"));
            if record.state() != state {
                record.states.push((state, now));
                news = true;
            }
        }
        news
    }

    /// Waits until all of `nodes` are in state `goal`, seen by a poll that began after this call.
    ///
    /// # Errors
    /// At once when one of them failed, with all that did.
    pub async fn all_reach(&self, nodes: &[String], goal: &str) -> anyhow::Result<()> {
        self.all(nodes, |record| record.state() == goal, goal).await
    }

    /// As [`Watch::all_reach`], for nodes that may only pass by: those that are no longer in `start` have left it.
    pub async fn all_leave(&self, nodes: &[String], start: &str) -> anyhow::Result<()> {
        self.all(nodes, |record| record.state() != start, "").await
    }

    async fn all(&self, nodes: &[String], there: impl Fn(&Record) -> bool, goal: &str) -> anyhow::Result<()> {
        // The answer under way may be older than the request that the caller has just made, the one after it is not.
        self.seen.notified().await;
        loop {
            self.seen.notified().await;
            let records = self.records();
            let watched = || nodes.iter().filter_map(|uuid| Some((uuid, records.get(uuid)?)));
            let failed: Vec<_> = watched().filter_map(|(uuid, record)| Some(format!("node {uuid}: {}", record.failure(goal)?))).collect();
            if !failed.is_empty() {
                bail!("{} of {} nodes failed:\n{}", failed.len(), nodes.len(), failed.join("\n"));
            }
            if watched().filter(|(_, record)| there(record)).count() == nodes.len() {
                return Ok(());
            }
        }
    }
}
