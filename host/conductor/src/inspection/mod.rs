//! What an inspection found, and what the host makes of it.
//!
//! The agent posts its findings ([`posted`]), a driver reports them; both are stored before anybody hears of it. When the driver's
//! `inspect-hardware` is done, the host runs the hooks and the operator's rules on them, and keeps the inventory. All of that can be
//! done twice, so a host that stopped in the middle does it again.

mod findings;
mod posted;
mod rules;

use jiff::Timestamp;
use uuid::Uuid;
use wrought_domain::hardware_type::HardwareType;
use wrought_domain::node::{Interfaces, cut};
use wrought_domain::{DriverError, ErrorKind, Fence, Map, Node, NodeId, OperationId, Port, Principal};
use wrought_engine::{HistoryEntry, Operation, Returned, Severity};
use wrought_inspection::rules::{Outcome, apply};
use wrought_inspection::{Findings, Means, Source, Subject, apply_hooks};
use wrought_storage::{FindingKind, Reserved, Store, StoreError};

use crate::conductor::Conductor;
use crate::convert;
use crate::seen::Seen;

pub(crate) use findings::{Inspected, Kept};

/// Findings that have been made use of.
const USED: &[FindingKind] = &[FindingKind::Posted, FindingKind::Reported];

/// Times that ports are written anew when somebody changed one in between.
const ATTEMPTS: usize = 3;

fn refused(kind: ErrorKind, code: &str, text: impl Into<String>) -> DriverError {
    DriverError::new(kind, code, text)
}

impl Conductor {
    /// Makes use of what the inspection found.
    pub(crate) async fn apply_inspection(&self, node: &Node, operation: &Operation) -> (Returned, Seen) {
        match self.made_use_of(node, operation).await {
            Ok(inspected) => (Returned::Done, Seen { inspected: Some(inspected), ..Seen::default() }),
            Err(error) => (Returned::Refused(error), Seen::default()),
        }
    }

    /// Whether the agent has posted what it found since a moment.
    pub(crate) async fn inspection_posted(&self, node: NodeId, since: Timestamp) -> bool {
        match self.0.store.found_at(node, FindingKind::Posted).await {
            Ok(at) => at.is_some_and(|at| at > since),
            Err(error) => {
                tracing::warn!(%node, %error, "looking for inspection data while waiting for it");
                false
            }
        }
    }

    /// What was found since the operation began, and by whom. After a restart in the middle it is the inventory already.
    async fn found(&self, node: &Node, operation: &Operation) -> Result<(Findings, Source), DriverError> {
        let mut kinds = [
            (FindingKind::Posted, Source::InBand),
            (FindingKind::Reported, Source::OutOfBand),
            (FindingKind::Inventory, Source::OutOfBand),
        ];
        // Nobody vouches for who posts, so what the controller said is preferred where it was asked.
        if !posted::is_in_band(node) {
            kinds.swap(0, 1);
        }
        for (kind, source) in kinds {
            let found = self.0.store.finding::<Kept>(node.uuid, kind).await.map_err(|error| convert::store_error(&error))?;
            if let Some((_, kept)) = found.filter(|(at, _)| *at >= operation.started_at) {
                return Ok((Findings { inventory: kept.inventory, plugin_data: kept.plugin_data }, source));
            }
        }
        let text =
            "the inspection is said to be done, but nothing was found: no agent posted anything, and the driver reported no inventory";
        Err(refused(ErrorKind::NotFound, "inspection.NothingFound", text))
    }

    async fn made_use_of(&self, node: &Node, operation: &Operation) -> Result<Inspected, DriverError> {
        let store = &self.0.store.held_by(node.uuid, operation.id, operation.fence);
        let failed = |error: StoreError| convert::store_error(&error);
        let (findings, source) = self.found(node, operation).await?;
        let kept = Kept { inventory: findings.inventory.clone(), plugin_data: findings.plugin_data.clone() };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let before = store.ports_of(node.uuid).await.map_err(failed)?;
            let subject = Subject {
                node: node.clone(),
                ports: before.clone(),
                inventory: findings.inventory.clone(),
                plugin_data: findings.plugin_data.clone(),
            };
            let ran = self.hooks_and_rules(subject, source).await?;
            let (subject, outcome) = match ran.and_then(|(subject, outcome)| {
                self.check_hardware(node, &subject.node)?;
                Ok((subject, outcome))
            }) {
                Ok(done) => done,
                Err(error) => {
                    // What was found helps whoever looks for the reason.
                    self.keep_inventory(store, node.uuid, &kept).await?;
                    return Err(error);
                }
            };
            let kept = Kept { inventory: subject.inventory, plugin_data: subject.plugin_data };
            match self.write_ports(store, node, &before, subject.ports).await {
                Ok(()) => {}
                Err(StoreError::Stale { .. } | StoreError::NotFound { .. }) if attempt < ATTEMPTS => continue,
                Err(error) => return Err(convert::store_error(&error)),
            }
            self.keep_inventory(store, node.uuid, &kept).await?;
            self.tell_of_rules(store, node.uuid, &outcome).await.map_err(failed)?;
            return Ok(Inspected::new(node, subject.node));
        }
    }

    /// Runs the hooks and the rules; the inner error is that of the findings, or of a rule.
    async fn hooks_and_rules(&self, mut subject: Subject, source: Source) -> Result<Result<(Subject, Outcome), DriverError>, DriverError> {
        let rules = self.all_rules().await.map_err(|error| convert::store_error(&error))?;
        let (config, now) = (self.0.inspection.clone(), self.now());
        // Rules may take a while, and nothing else shall wait for them.
        let work = move || {
            let mut fresh = Uuid::new_v4;
            let mut means = Means { now, fresh: &mut fresh };
            if let Err(error) = apply_hooks(&mut subject, source, &config, &mut means) {
                return Err(refused(ErrorKind::Failed, "inspection.Hook", error.to_string()));
            }
            match apply(&rules, &mut subject) {
                Ok(outcome) => Ok((subject, outcome)),
                Err(error) => Err(refused(ErrorKind::Failed, "inspection.Rule", error.to_string())),
            }
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| refused(ErrorKind::Failed, "wrought.Inspection", "a fault in the host: the inspection's hooks and rules broke"))
    }

    /// That there are the hardware type and the interfaces that rules have set.
    fn check_hardware(&self, before: &Node, after: &Node) -> Result<(), DriverError> {
        if before.driver == after.driver && before.interfaces == after.interfaces {
            return Ok(());
        }
        let wrong = |text: String| refused(ErrorKind::Failed, "inspection.Rule", format!("inspection rules set {text}"));
        let hardware = HardwareType::find(&after.driver)
            .ok_or_else(|| wrong(format!("the driver {:?}, which this host does not have", cut(&after.driver, 80))))?;
        for interface in Interfaces::NAMES {
            let chosen = after.interfaces.get(interface).unwrap_or_default();
            let known = match interface {
                "deploy" => self.deploy_interfaces().iter().any(|name| name == chosen),
                other => {
                    hardware.implementations(other).contains(&chosen) || self.interface_drivers(other).iter().any(|name| name == chosen)
                }
            };
            if !known {
                let chosen = cut(chosen, 80);
                return Err(wrong(format!(
                    "what leaves the node with {interface}_interface {chosen:?}, which {} does not have",
                    hardware.name
                )));
            }
        }
        Ok(())
    }

    async fn keep_inventory(&self, store: &Store, node: NodeId, kept: &Kept) -> Result<(), DriverError> {
        let failed = |error: StoreError| convert::store_error(&error);
        store.put_finding(node, FindingKind::Inventory, self.now(), kept).await.map_err(failed)?;
        store.drop_findings(node, USED).await.map_err(failed)
    }

    /// Notes in the node's history why a port is not as it was found.
    async fn tell_of_port(&self, store: &Store, node: &Node, text: String) -> Result<(), StoreError> {
        let entry = HistoryEntry::new(Severity::Error, "introspection", text);
        store.record(node.uuid, vec![entry], &Principal::host().user, Some(&self.0.host)).await
    }

    /// Writes what differs. An address that another node has stays with it.
    async fn write_ports(&self, store: &Store, node: &Node, before: &[Port], after: Vec<Port>) -> Result<(), StoreError> {
        let host = Principal::host();
        for port in before.iter().filter(|old| after.iter().all(|new| new.uuid != old.uuid)) {
            match store.delete_part::<Port>(&host, port.uuid, Reserved::Allow).await {
                Err(StoreError::Part(refused)) => self.tell_of_port(store, node, refused.to_string()).await?,
                other => other?,
            }
        }
        for port in after {
            let address = port.address.clone();
            let written = match before.iter().find(|old| old.uuid == port.uuid) {
                Some(old) if *old == port => Ok(()),
                Some(old) => store.update_part(&host, old, port, Reserved::Allow).await.map(drop),
                None => store.create_part(&host, port, Reserved::Allow).await.map(drop),
            };
            match written {
                Err(StoreError::Duplicate(duplicate)) => {
                    tracing::warn!(node = %node.uuid, %address, %duplicate, "no port is made of a network interface that was found");
                    let text = format!("no port was made of the network interface {address}: a {duplicate} already exists");
                    self.tell_of_port(store, node, text).await?;
                }
                Err(StoreError::Part(refused)) => self.tell_of_port(store, node, refused.to_string()).await?,
                other => other?,
            }
        }
        Ok(())
    }

    async fn tell_of_rules(&self, store: &Store, node: NodeId, outcome: &Outcome) -> Result<(), StoreError> {
        for (rule, level, line) in &outcome.logged {
            match level.as_str() {
                "debug" => tracing::debug!(%node, %rule, "{line}"),
                "info" => tracing::info!(%node, %rule, "{line}"),
                "warning" => tracing::warn!(%node, %rule, "{line}"),
                _ => tracing::error!(%node, %rule, "{line}"),
            }
        }
        if outcome.applied.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = outcome.applied.iter().take(20).map(ToString::to_string).collect();
        let more = if outcome.applied.len() > names.len() { ", ..." } else { "" };
        let text = format!("{} inspection rules applied: {}{more}", outcome.applied.len(), names.join(", "));
        let entry = HistoryEntry::new(Severity::Info, "introspection", text);
        store.record(node, vec![entry], &Principal::host().user, Some(&self.0.host)).await
    }

    /// Keeps what a driver reported about the machine, where the API finds it.
    pub(crate) async fn keep_findings(&self, node: NodeId, operation: OperationId, fence: Fence, seen: &Seen) -> Result<(), StoreError> {
        use wrought_drivers::contract::report::Kind;
        let store = self.0.store.held_by(node, operation, fence);
        for report in &seen.reports {
            let now = self.now();
            match (report.kind, &report.finding) {
                (Kind::Inventory, serde_json::Value::Object(inventory)) => {
                    let kept = Kept { inventory: inventory.clone(), plugin_data: Map::new() };
                    store.put_finding(node, FindingKind::Reported, now, &kept).await?;
                }
                (Kind::BiosSettings, finding) => store.put_finding(node, FindingKind::Bios, now, finding).await?,
                (Kind::Firmware, finding) => store.put_finding(node, FindingKind::Firmware, now, finding).await?,
                _ => {}
            }
        }
        Ok(())
    }
}
