//! The journal from the operator's side: who did what to which machine, and an operation as a file.

use std::collections::HashMap;
use std::io;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use uuid::Uuid;
use wrought_domain::{NodeId, OperationId, Principal};
use wrought_drivers::journal::{PartId, decode};
use wrought_storage::{NodeRef, StoredCall, StoredOperation};

use crate::conductor::Conductor;
use crate::export::{Counted, Export, RecordedCall, RecordedDriver, RecordedOperation};
use crate::refusal::administrator;
use crate::{Refusal, convert};

/// Bytes of JSON that the records in one answer or one file may take. What is stored is small, but drivers choose how
/// much it unpacks to.
const MAX_RECORDS: usize = 64 << 20;

/// Bytes of all components in one file.
const MAX_COMPONENTS: usize = 128 << 20;

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

    /// The node that a text names.
    pub(crate) async fn find_node(&self, who: &Principal, node: &str) -> Result<NodeId, Refusal> {
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
