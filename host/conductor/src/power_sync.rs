//! Compares the power that is recorded of nodes with the machines', as Ironic's power synchronisation does.
//!
//! A node that an operation holds is left alone: its power is the operation's. Every controller is asked once in
//! `sync_power_state_interval`, at moments spread over it, a few at a time; a controller of several machines has its own bound
//! beside that. What is wrong is put right by an ordinary power operation. A controller that cannot be asked, or a machine that cannot be
//! put right, several times in a row puts its node into maintenance with fault `power failure`; when it answers again, the maintenance
//! ends by itself.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use tokio::time::Instant;
use wrought_domain::{Node, NodeId, OperationId, PowerState, Principal, ProvisionState};
use wrought_engine::{HistoryEntry, Kind, PowerTarget, Request, Severity};
use wrought_storage::{NodeFilter, NodeQuery, NodeRef, Reserved, StoreError, Stored};

use crate::Refusal;
use crate::conductor::Conductor;
use crate::convert;
use crate::secrets::{scrubbed, secrets};

/// The fault that ends by itself.
const FAULT: &str = "power failure";

/// Nodes that are read at once.
const PAGE: u32 = 500;

/// Between the begins of two readings on one worker, at most.
const LONGEST_SPACING: Duration = Duration::from_secs(1);

/// How often each node failed in a row. Lost with the process: a restart begins to count anew.
#[derive(Default)]
pub(crate) struct PowerFailures(Mutex<HashMap<NodeId, u32>>);

impl PowerFailures {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<NodeId, u32>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of(&self, node: NodeId) -> u32 {
        self.with(|all| all.get(&node).copied().unwrap_or_default())
    }

    /// One more; how many there are now.
    fn add(&self, node: NodeId) -> u32 {
        self.with(|all| {
            let count = all.entry(node).or_default();
            *count = count.saturating_add(1);
            *count
        })
    }

    fn forget(&self, node: NodeId) {
        self.with(|all| all.remove(&node));
    }
}

/// Whether the power of a node is looked after: not while a machine is expected to change it by itself, nor before it is managed.
fn looked_after(node: &Node) -> bool {
    use ProvisionState as S;
    node.reservation.is_none()
        && node.target_power_state.is_none()
        && !matches!(node.provision_state, S::Enroll | S::WaitCallBack | S::CleanWait | S::AdoptFailed)
}

impl Conductor {
    /// Starts both loops; they end when the host stops.
    pub(crate) fn watch_power(&self) {
        let seconds = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
        if let Some(interval) = seconds(self.0.config.sync_power_state_interval) {
            let this = self.clone();
            tokio::spawn(async move { this.sync_for_ever(interval).await });
        }
        if let Some(interval) = seconds(self.0.config.power_failure_recovery_interval) {
            let this = self.clone();
            tokio::spawn(async move {
                while this.goes_on_for(interval).await {
                    this.recover_from_power_failures().await;
                }
            });
        }
    }

    async fn sync_for_ever(&self, interval: Duration) {
        // Hosts that are started together shall not ask together.
        let mut pause = interval.mul_f64(rand::rng().random_range(0.1..1.0));
        while self.goes_on_for(pause).await {
            let began = Instant::now();
            self.sync_all(interval).await;
            let took = began.elapsed();
            if took > interval * 3 {
                tracing::warn!(seconds = took.as_secs(), "comparing the power of all nodes took more than three times its interval");
            }
            pause = interval.saturating_sub(took).max(interval / 10);
        }
    }

    /// The nodes that a filter chooses and `wanted` lets pass.
    async fn chosen(&self, filter: &NodeFilter, wanted: fn(&Node) -> bool) -> Result<Vec<NodeId>, StoreError> {
        let mut all = Vec::new();
        let mut marker = None;
        loop {
            let asked = NodeQuery { filter: filter.clone(), limit: Some(PAGE), marker, ..NodeQuery::default() };
            let page = match self.0.store.nodes(&Principal::host(), &asked).await {
                // The last one of the page before was deleted meanwhile; the next round has the rest.
                Err(StoreError::UnknownMarker(_)) => return Ok(all),
                page => page?,
            };
            marker = page.last().map(|node| node.uuid);
            all.extend(page.iter().filter(|node| wanted(node)).map(|node| node.uuid));
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(all);
            }
        }
    }

    /// Looks at every node once, those that failed first.
    async fn sync_all(&self, interval: Duration) {
        let filter = NodeFilter { maintenance: Some(false), reserved: Some(false), ..NodeFilter::all() };
        let mut nodes = match self.chosen(&filter, looked_after).await {
            Ok(nodes) => nodes,
            Err(error) => {
                tracing::warn!(%error, "the nodes whose power is compared could not be read");
                return;
            }
        };
        nodes.shuffle(&mut rand::rng());
        nodes.sort_by_key(|node| std::cmp::Reverse(self.0.power_failures.of(*node)));
        self.0.power_failures.with(|all| all.retain(|node, _| nodes.contains(node)));
        let workers = usize::try_from(self.0.config.sync_power_state_workers).unwrap_or(1).max(1);
        let count = u32::try_from(nodes.len().div_ceil(workers)).unwrap_or(u32::MAX).max(1);
        let spacing = (interval.mul_f64(0.8) / count).min(LONGEST_SPACING);
        stream::iter(nodes)
            .for_each_concurrent(workers, |node| async move {
                let jitter = spacing.mul_f64(rand::rng().random_range(0.5..1.5));
                if self.goes_on_for(jitter).await {
                    self.sync_power(node).await;
                }
            })
            .await;
    }

    async fn read_node(&self, node: NodeId) -> Option<Stored<Node>> {
        match self.0.store.node(&Principal::host(), &NodeRef::Uuid(node)).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%node, %error, "a node whose power is compared could not be read");
                None
            }
        }
    }

    /// Compares one node.
    pub(crate) async fn sync_power(&self, id: NodeId) {
        let Some(stored) = self.read_node(id).await.filter(|stored| looked_after(&stored.value) && !stored.value.maintenance) else {
            return;
        };
        let node = &stored.value;
        let bmc = match self.0.machines.bmc(node) {
            Ok(bmc) => bmc,
            // Nobody has said yet how the machine is reached.
            Err(_) if node.power_state.is_none() => return,
            Err(error) => return self.power_failed(stored, None, &error.to_string()).await,
        };
        let actual = match bmc.power_state().await {
            Ok(wrought_hardware::PowerState::PoweringOn | wrought_hardware::PowerState::PoweringOff) => return,
            Ok(state) => convert::shown_power(state),
            Err(error) => return self.power_failed(stored, None, &convert::error(error).to_string()).await,
        };
        let Some(actual) = actual else {
            return self.power_failed(stored, None, "the controller reports neither power on nor power off").await;
        };
        match node.power_state {
            Some(recorded) if recorded == actual => self.0.power_failures.forget(id),
            Some(recorded @ (PowerState::On | PowerState::Off)) => self.power_differs(stored, recorded, actual).await,
            _ => self.record_power(stored, actual, None).await,
        }
    }

    /// The machine is put back to what is recorded, or the record to what the machine is.
    async fn power_differs(&self, stored: Stored<Node>, recorded: PowerState, actual: PowerState) {
        let node = &stored.value;
        let id = node.uuid;
        let forces = self.0.config.force_power_state_during_sync && !(node.disable_power_off && recorded == PowerState::Off);
        if !forces {
            let text = format!("the machine is {actual} and was recorded as {recorded}: the record is corrected");
            return self.record_power(stored, actual, Some((Severity::Info, text))).await;
        }
        if self.0.power_failures.of(id) >= self.0.config.power_state_sync_max_retries {
            let text = format!("it is {actual} and stays so, though {recorded} was asked for");
            return self.power_failed(stored, Some(actual), &text).await;
        }
        self.0.power_failures.add(id);
        let target = if recorded == PowerState::On { PowerTarget::On } else { PowerTarget::Off };
        tracing::info!(node = %id, %recorded, %actual, "the machine's power is not as recorded, so it is changed");
        // On what was read before the controller was asked: whoever has changed the power since goes before.
        let request = Request::new(OperationId(uuid::Uuid::new_v4()), Kind::Power(target), Principal::host());
        match self.start_operation(stored, request).await {
            Ok(()) => {
                let text = format!("the machine was {actual} and is recorded as {recorded}: its power is changed");
                self.noted(id, Severity::Info, text).await;
            }
            Err(Refusal::Locked { .. } | Refusal::Conflict(_) | Refusal::Stale(_)) => {}
            Err(refusal) => tracing::info!(node = %id, %refusal, "the machine's power could not be changed"),
        }
    }

    /// Writes the power that was read, unless somebody was quicker.
    async fn record_power(&self, stored: Stored<Node>, actual: PowerState, entry: Option<(Severity, String)>) {
        let id = stored.value.uuid;
        let node = Node { power_state: Some(actual), ..stored.value };
        match self.0.store.update_node(&Principal::host(), node, stored.revision, Reserved::Refuse).await {
            Ok(_) => self.0.power_failures.forget(id),
            Err(error) => return tracing::debug!(node = %id, %error, "the power that was read could not be recorded"),
        }
        if let Some((severity, text)) = entry {
            self.noted(id, severity, text).await;
        }
    }

    /// One failure more; too many put the node into maintenance.
    async fn power_failed(&self, stored: Stored<Node>, actual: Option<PowerState>, cause: &str) {
        let node = stored.value;
        let id = node.uuid;
        let cause = scrubbed(&secrets(&self.0.machines.references, &node, None), cause);
        let failures = self.0.power_failures.add(id);
        tracing::info!(node = %id, failures, %cause, "comparing the power of a node failed");
        if failures <= self.0.config.power_state_sync_max_retries {
            return;
        }
        let recorded = node.power_state.map_or("unknown".to_owned(), |state| state.to_string());
        let shown = actual.map_or("unknown".to_owned(), |state| state.to_string());
        let text = format!(
            "During sync_power_state, max retries exceeded for node {id}, node state {shown} does not match expected state {recorded}: {cause}. \
             The node is put into maintenance until its controller answers again; look at the controller, its address and its account."
        );
        let mut node = Node { power_state: actual, maintenance: true, fault: Some(FAULT.into()), ..node };
        node.fail_with(&text);
        node.maintenance_reason = node.last_error.clone();
        match self.0.store.update_node(&Principal::host(), node, stored.revision, Reserved::Refuse).await {
            Ok(_) => self.0.power_failures.forget(id),
            Err(error) => return tracing::debug!(node = %id, %error, "a power failure could not be recorded"),
        }
        self.noted(id, Severity::Error, text).await;
    }

    /// Ends the maintenance of nodes whose controllers answer again.
    async fn recover_from_power_failures(&self) {
        let filter = NodeFilter { maintenance: Some(true), fault: Some(FAULT.into()), reserved: Some(false), ..NodeFilter::all() };
        let nodes = match self.chosen(&filter, |_| true).await {
            Ok(nodes) => nodes,
            Err(error) => return tracing::warn!(%error, "the nodes with a power failure could not be read"),
        };
        let workers = usize::try_from(self.0.config.sync_power_state_workers).unwrap_or(1).max(1);
        stream::iter(nodes).for_each_concurrent(workers, |node| self.recover_from_power_failure(node)).await;
    }

    async fn recover_from_power_failure(&self, id: NodeId) {
        let Some(Stored { value: node, revision, .. }) = self.read_node(id).await else { return };
        let still = node.maintenance && node.fault.as_deref() == Some(FAULT) && node.reservation.is_none();
        let Some(bmc) = self.0.machines.bmc(&node).ok().filter(|_| still) else { return };
        let Some(actual) = bmc.power_state().await.ok().and_then(convert::shown_power) else { return };
        let last_error = node.last_error.clone().filter(|text| !text.starts_with("During sync_power_state"));
        let node = Node { maintenance: false, maintenance_reason: None, fault: None, power_state: Some(actual), last_error, ..node };
        match self.0.store.update_node(&Principal::host(), node, revision, Reserved::Refuse).await {
            Ok(_) => {
                self.noted(id, Severity::Info, format!("the power state can be read again ({actual}): the maintenance has ended")).await
            }
            Err(error) => tracing::debug!(node = %id, %error, "the end of a power failure could not be recorded"),
        }
    }

    async fn noted(&self, node: NodeId, severity: Severity, event: String) {
        let entry = HistoryEntry::new(severity, "monitoring", event);
        if let Err(error) = self.0.store.record(node, vec![entry], &Principal::host().user, Some(&self.0.host)).await {
            tracing::warn!(%node, %error, "an entry of the node's history could not be written");
        }
    }
}
