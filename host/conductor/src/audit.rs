//! The audit: every decision about drivers, and what was denied to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wrought_domain::node::cut;
use wrought_domain::{DriverName, Node, NodeId, OperationId, Principal};
use wrought_drivers::Driver;
use wrought_engine::Operation;
use wrought_storage::{AuditQuery, AuditRecord, StoreError};

use crate::conductor::Conductor;
use crate::house::PURGE_PAUSE;
use crate::refusal::administrator;
use crate::{Refusal, convert};

/// What was denied in calls of no operation, such as `validate`, is noted again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// Nodes of which is remembered what was noted.
const MAX_NODES: usize = 100_000;

/// The longest reason, characters.
const MAX_REASON: usize = 500;

/// What a driver is called in the audit.
pub(crate) fn object_of(name: &DriverName) -> String {
    format!("driver/{name}")
}

/// An operator's reason, fit for logs and errors. Nothing where there is none.
pub(crate) fn reason(text: Option<&str>) -> String {
    cut(text.unwrap_or_default().trim(), MAX_REASON).replace(char::is_control, " ")
}

/// A reason that there must be, in an operator's words, fit to be shown.
///
/// # Errors
/// [`Refusal::Invalid`] without one, for a longer one, or one of several lines.
pub(crate) fn must_say_why(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_REASON || text.contains(char::is_control) {
        return Err(Refusal::Invalid(format!(
            "Give a reason of 1 to {MAX_REASON} characters on one line: it is shown to those who meet it."
        )));
    }
    Ok(text.to_owned())
}

/// A record of something that was done.
pub(crate) fn done(who: &Principal, verb: &str, object: String, reason: String, detail: Value) -> AuditRecord {
    AuditRecord {
        at: Timestamp::now(),
        principal: cut(&who.user, MAX_REASON),
        source: who.source.map(|source| source.to_string()),
        verb: verb.to_owned(),
        object,
        outcome: "done".into(),
        reason,
        detail,
    }
}

type Denied = BTreeMap<(String, String), u32>;

/// What was noted already of what drivers were denied, node by node.
#[derive(Default)]
pub(crate) struct Denials(Mutex<HashMap<NodeId, Noted>>);

struct Noted {
    operation: Option<OperationId>,
    since: Instant,
    functions: BTreeSet<(String, String)>,
}

impl Denials {
    /// What of this is to be noted for the first time.
    fn first(&self, node: NodeId, operation: Option<OperationId>, denied: &Denied) -> Denied {
        if denied.is_empty() {
            return Denied::new();
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_NODES {
            all.clear();
        }
        let fresh = || Noted { operation, since: Instant::now(), functions: BTreeSet::new() };
        let noted = all.entry(node).or_insert_with(fresh);
        if noted.operation != operation || (operation.is_none() && noted.since.elapsed() > AGAIN) {
            *noted = fresh();
        }
        denied.iter().filter(|(what, _)| noted.functions.insert((*what).clone())).map(|(what, count)| (what.clone(), *count)).collect()
    }

    /// The node's operation has ended.
    pub(crate) fn end(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }
}

impl Conductor {
    /// Adds records; that they cannot be added is logged, and stops nothing that was done already.
    pub(crate) async fn note(&self, records: Vec<AuditRecord>) {
        if let Err(error) = self.0.store.audit(records).await {
            tracing::error!(%error, "the audit could not be written");
        }
    }

    /// Notes what a driver asked for in a call and was denied: each function and answer once in an operation, or a driver that asks
    /// over and over would fill the audit.
    pub(crate) async fn note_denied(
        &self,
        node: &Node,
        name: &DriverName,
        driver: &Driver,
        operation: Option<&Operation>,
        denied: &Denied,
    ) {
        let count = denied.values().copied().map(u64::from).fold(0, u64::saturating_add);
        self.0.stats.denied(count);
        let new = self.0.denials.first(node.uuid, operation.map(|operation| operation.id), denied);
        if new.is_empty() {
            return;
        }
        let who = operation.map_or_else(Principal::host, |operation| operation.principal.clone());
        let records = new.iter().map(|((function, code), count)| {
            let detail = json!({
                "driver": name, "version": driver.about.version, "digest": driver.digest, "count": count, "code": code,
                "operation": operation.map(|operation| operation.id),
            });
            let reason = format!("driver {name} was answered {code}");
            AuditRecord { outcome: "denied".into(), ..done(&who, function, format!("node/{}", node.uuid), reason, detail) }
        });
        let records: Vec<AuditRecord> = records.collect();
        tracing::warn!(
            node = %node.uuid, driver = %name, digest = driver.digest.short(), count,
            functions = new.keys().map(|(function, _)| function.as_str()).collect::<Vec<_>>().join(","), "the driver asked for what is denied to it"
        );
        self.note(records).await;
    }

    /// Records of the audit: about one object, or with one verb; those after a number, or the latest.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] unless it is an administrator who asks.
    pub async fn audit_trail(&self, who: &Principal, asked: &AuditQuery) -> Result<Value, Refusal> {
        administrator(who)?;
        let records = self.0.store.audit_records(asked).await.map_err(convert::refusal)?;
        let shown = records.into_iter().map(|(id, record)| {
            let AuditRecord { at, principal, source, verb, object, outcome, reason, detail } = record;
            json!({
                "id": id, "at": at.to_string(), "principal": principal, "source": source, "verb": verb, "object": object,
                "outcome": outcome, "reason": reason, "detail": detail,
            })
        });
        Ok(json!({ "audit": shown.collect::<Vec<_>>() }))
    }

    /// Forgets records that are older than the operator keeps them.
    pub(crate) async fn purge_audit(&self) -> Result<(), StoreError> {
        let kept = SignedDuration::from_hours(i64::from(self.0.journal.audit_days).saturating_mul(24));
        let bound = self.now().checked_sub(kept).unwrap_or(Timestamp::MIN);
        while self.0.store.purge_audit(bound).await? > 0 {
            tokio::time::sleep(PURGE_PAUSE).await;
        }
        Ok(())
    }
}
