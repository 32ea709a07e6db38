//! The journal from the operator's side: who did what to which machine, an operation as a file; and the lock of an
//! operation that is not trusted to end, broken.

use std::collections::HashMap;
use std::io;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;
use wrought_domain::{NodeId, OperationId, Principal};
use wrought_drivers::journal::{PartId, decode};
use wrought_engine::{Event, Operation};
use wrought_storage::{NodeRef, StoredCall, StoredOperation};

use crate::conductor::{Conductor, HandleError};
use crate::export::{Counted, Export, RecordedCall, RecordedDriver, RecordedOperation};
use crate::secrets::secrets;
use crate::seen::Seen;
use crate::{Refusal, convert};

/// Bytes of JSON that the records in one answer or one file may take. What is stored is small, but drivers choose how
/// much it unpacks to.
const MAX_RECORDS: usize = 64 << 20;

/// Bytes of all components in one file.
const MAX_COMPONENTS: usize = 128 << 20;

/// Characters of a reason.
const MAX_REASON: usize = 500;

/// Records are unpacked for so many requests at once: each may take all of the bounds above.
static UNPACKING: Semaphore = Semaphore::const_new(2);

impl Conductor {
    /// Operations in the journal, the latest first: of one node, by name or UUID, or of all; `limit` at most, of those
    /// that began before `before`.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] unless it is an administrator who asks; [`Refusal::NotFound`] for a name that no node has.
    pub async fn journal(
        &self,
        who: &Principal,
        node: Option<&str>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RecordedOperation>, Refusal> {
        administrator(who)?;
        let node = match node {
            Some(node) => Some(self.journaled_node(who, node).await?),
            None => None,
        };
        let stored = self.0.store.journal_operations(node, before, limit).await.map_err(convert::refusal)?;
        Ok(stored.into_iter().map(RecordedOperation::from).collect())
    }

    /// An operation and its calls, in order. `which` is an operation; a node, by name or UUID, for its last operation; or
    /// the number of a call, for that one alone. With `detail` each call has its record.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] unless it is an administrator who asks; [`Refusal::NotFound`] when there is none;
    /// [`Refusal::Invalid`] when there is too much to tell at once.
    pub async fn journaled(&self, who: &Principal, which: &str, detail: bool) -> Result<(RecordedOperation, Vec<RecordedCall>), Refusal> {
        administrator(who)?;
        let (operation, calls) = self.find(who, which).await?;
        let stored = self.0.store.journal_parts(operation.operation).await.map_err(convert::refusal)?;
        let parts: HashMap<PartId, Vec<u8>> = stored.into_iter().collect();
        let calls = unpacking(move || read_calls(calls, &parts, detail)).await??;
        Ok((operation.into(), calls))
    }

    /// What [`Conductor::journaled`] gives as a file, with the components of its drivers where they are asked for.
    ///
    /// # Errors
    /// As there; [`Refusal::Invalid`] when the components are too large for a file.
    pub async fn export_journal(&self, who: &Principal, which: &str, components: bool) -> Result<(OperationId, Vec<u8>), Refusal> {
        let (operation, calls) = self.journaled(who, which, true).await?;
        let mut drivers: Vec<RecordedDriver> = Vec::new();
        for RecordedCall { driver: name, digest, .. } in &calls {
            if !drivers.iter().any(|known| known.digest == *digest && known.name == *name) {
                drivers.push(RecordedDriver { name: name.clone(), digest: digest.clone(), component: None });
            }
        }
        if components {
            self.put_components(&mut drivers).await?;
        }
        let id = operation.id;
        let file = unpacking(move || Export::new(operation, calls, drivers).write()).await?;
        Ok((id, file.map_err(|error| Refusal::Internal(format!("Operation {id} cannot be exported: {error}.")))?))
    }

    async fn put_components(&self, drivers: &mut [RecordedDriver]) -> Result<(), Refusal> {
        let mut total = 0_usize;
        for driver in drivers {
            match self.0.catalog.component(&driver.digest).await {
                Ok(component) => {
                    total = total.saturating_add(component.len());
                    if total > MAX_COMPONENTS {
                        let text = format!("The components take more than {} MiB: export without them.", MAX_COMPONENTS >> 20);
                        return Err(Refusal::Invalid(text));
                    }
                    driver.component = Some(component);
                }
                // The records are worth having all the same: who has the component can replay them.
                Err(error) => tracing::warn!(driver = %driver.name, %error, "a component is left out of an export"),
            }
        }
        Ok(())
    }

    /// Ends the operation that holds a node, which may hang or do harm: the node fails by name, what the operation still
    /// has under way is refused from now on, and the machine is left as it is. What was ended.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] without a reason that can be shown; [`Refusal::NotFound`]; [`Refusal::Conflict`] when nothing
    /// holds the node.
    pub async fn unlock(&self, who: &Principal, node: &str, reason: String) -> Result<Value, Refusal> {
        administrator(who)?;
        let reason = self::reason(&reason)?;
        let id = self.find_node(who, node).await?;
        let (this, who) = (self.clone(), who.clone());
        self.through(async move { this.unlock_now(&who, id, &reason).await }).await
    }

    async fn unlock_now(&self, who: &Principal, id: NodeId, reason: &str) -> Result<Value, Refusal> {
        let node = self.node(who, id).await?.value;
        let held = self.0.store.operation(id).await.map_err(convert::refusal)?;
        let Some(operation) = held else {
            return Err(match node.reservation {
                Some(host) => Refusal::Conflict(format!("Node {id} is reserved by {host} without an operation: try again.")),
                None => Refusal::Conflict(format!("Node {id} is not reserved: there is nothing to unlock.")),
            });
        };
        let reason = secrets(&self.0.machines.references, &node, None).scrub_text(reason);
        let event = Event::Unlocked { principal: who.clone(), reason: reason.clone() };
        match self.try_handle(id, None, event, Seen::default()).await {
            Ok(()) => {}
            Err(HandleError::Store(error)) => return Err(convert::refusal(error)),
            Err(HandleError::Impossible(impossible)) => {
                return Err(Refusal::Conflict(format!("Node {id} cannot be unlocked now: {impossible}.")));
            }
        }
        tracing::warn!(node = %id, operation = %operation.id, user = who.user, reason, "an operator unlocked the node");
        let now = self.node(who, id).await?.value;
        Ok(json!({
            "node": id,
            "operation": ended(&operation),
            "provision_state": now.provision_state.as_str(),
            "last_error": now.last_error,
        }))
    }

    /// The node that a text names.
    async fn find_node(&self, who: &Principal, node: &str) -> Result<NodeId, Refusal> {
        let found = self.0.store.node(who, &NodeRef::parse(node)).await.map_err(convert::refusal)?;
        found.map(|stored| stored.value.uuid).ok_or_else(|| Refusal::NotFound(format!("Node {node} could not be found.")))
    }

    /// As `find_node`; the journal knows nodes that are gone, by their UUID.
    async fn journaled_node(&self, who: &Principal, node: &str) -> Result<NodeId, Refusal> {
        match Uuid::parse_str(node) {
            Ok(uuid) => Ok(NodeId(uuid)),
            Err(_) => self.find_node(who, node).await,
        }
    }

    async fn find(&self, who: &Principal, which: &str) -> Result<(StoredOperation, Vec<StoredCall>), Refusal> {
        let store = &self.0.store;
        let missing = |what: String| Refusal::NotFound(format!("{what} is not in the journal: it never was, or it was purged."));
        if let Ok(number) = which.parse::<i64>() {
            let call = store.journal_call(number).await.map_err(convert::refusal)?;
            let call = call.ok_or_else(|| missing(format!("Call {number}")))?;
            let operation = store.journal_operation(call.call.operation).await.map_err(convert::refusal)?;
            let operation = operation.ok_or_else(|| missing(format!("Operation {}", call.call.operation)))?;
            return Ok((operation, vec![call]));
        }
        let by_id = match Uuid::parse_str(which) {
            Ok(uuid) => store.journal_operation(OperationId(uuid)).await.map_err(convert::refusal)?,
            Err(_) => None,
        };
        let operation = match by_id {
            Some(operation) => operation,
            None => {
                let node = self.journaled_node(who, which).await?;
                let last = store.journal_operations(Some(node), None, 1).await.map_err(convert::refusal)?.pop();
                last.ok_or_else(|| missing(format!("An operation {which}, or one of a node {which},")))?
            }
        };
        let calls = store.journal_calls(operation.operation).await.map_err(convert::refusal)?;
        Ok((operation, calls))
    }
}

pub(crate) fn administrator(who: &Principal) -> Result<(), Refusal> {
    if who.is_admin() { Ok(()) } else { Err(Refusal::Forbidden("This needs the role admin.".into())) }
}

/// A reason in an operator's words, fit to be shown.
pub(crate) fn reason(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_REASON || text.contains(char::is_control) {
        return Err(Refusal::Invalid(format!("Give a reason of 1 to {MAX_REASON} characters on one line: it is shown on the node.")));
    }
    Ok(text.to_owned())
}

/// What an operator is told of an operation that is no more.
fn ended(operation: &Operation) -> Value {
    json!({
        "id": operation.id,
        "kind": operation.kind.name(),
        "user": operation.principal.user,
        "began_at": operation.started_at.to_string(),
        "driver_calls": operation.calls,
    })
}

/// Does heavy work beside the host's own threads.
async fn unpacking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let internal = |error: &dyn std::fmt::Display| Refusal::Internal(format!("The journal could not be unpacked: {error}."));
    let _turn = UNPACKING.acquire().await.map_err(|error| internal(&error))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| internal(&error))
}

fn read_calls(calls: Vec<StoredCall>, parts: &HashMap<PartId, Vec<u8>>, detail: bool) -> Result<Vec<RecordedCall>, Refusal> {
    let mut room = MAX_RECORDS;
    let mut read = Vec::with_capacity(calls.len());
    for call in calls {
        let decoded = decode(call.chunks.iter().map(Vec::as_slice), |id| parts.get(id).map(Vec::as_slice));
        let record = decoded.map_err(|error| Refusal::Internal(format!("Call {} of the journal cannot be read: {error}.", call.id)))?;
        if detail {
            let mut counted = Counted { inner: io::sink(), room };
            if serde_json::to_writer(&mut counted, &record).is_err() {
                let text =
                    format!("The records take more than {} MiB: ask for one call, number {} for example.", MAX_RECORDS >> 20, call.id);
                return Err(Refusal::Invalid(text));
            }
            room = counted.room;
        }
        read.push(RecordedCall::of(call, record, detail));
    }
    Ok(read)
}
