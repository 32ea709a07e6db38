//! Records driver calls: packs what a call did into chunks for the store, within what an operation may record.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wrought_domain::{Fence, NodeId, OperationId};
use wrought_drivers::journal::{Chunk, Encoded, Entry, Header, Journal, JournalError, Moment, PartId, Record};
use wrought_drivers::{Answer, Completed, Driver, journal_full};
use wrought_engine::Operation;
use wrought_storage::{JournalAbout, JournalCall, JournalWrite, Store, StoreError};

use crate::Conductor;
use crate::conductor::{Passed, Passing};

/// KiB beyond the limit that the clean-up after a failure may take.
const CLEAN_UP_KIB: u32 = 16;

/// The record of what drivers did: for going on after a crash, for replay and for audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JournalConfig {
    /// KiB that one operation may record, compressed. At this limit its driver calls fail with `limit-exceeded`.
    pub max_operation_kib: u32,
    /// Days after which an operation that has ended is dropped from the journal.
    pub keep_days: u32,
    /// Days after which a record of the audit is dropped: who decided what about drivers, and what was denied to them.
    pub audit_days: u32,
    /// MiB that all operations together may take; then those that ended first are dropped.
    pub max_mib: u32,
    /// Nothing is recorded, so nothing can be resumed: for measuring what the journal costs.
    #[serde(skip)]
    #[schemars(skip)]
    pub off: bool,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { max_operation_kib: 64, keep_days: 30, audit_days: 400, max_mib: 1024, off: false }
    }
}

/// What is known of an operation's journal without asking the store.
#[derive(Debug, Default)]
struct Known {
    bytes: u64,
    parts: HashSet<PartId>,
}

/// The journals of open operations.
#[derive(Default)]
pub(crate) struct Journals(Mutex<HashMap<NodeId, (OperationId, SharedKnown)>>);

type SharedKnown = Arc<Mutex<Known>>;

impl Journals {
    /// The node's operation has ended.
    pub(crate) fn end(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    fn get(&self, operation: &Operation) -> Option<SharedKnown> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&operation.node).filter(|(id, _)| *id == operation.id).map(|(_, known)| known.clone())
    }

    fn keep(&self, operation: &Operation, bytes: u64) -> SharedKnown {
        let known = Arc::new(Mutex::new(Known { bytes, parts: HashSet::new() }));
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(operation.node, (operation.id, known.clone()));
        known
    }
}

/// How far a call is recorded.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// The next chunk.
    seq: u32,
    /// The first entry that the next chunk holds.
    from: usize,
}

/// The journal of one call.
pub(crate) struct CallJournal {
    store: Store,
    known: SharedKnown,
    node: NodeId,
    operation: OperationId,
    fence: Fence,
    turn: u64,
    about: JournalAbout,
    limit_kib: u32,
    off: bool,
    passing: Option<Passing>,
    progress: Mutex<Progress>,
}

impl Conductor {
    /// The journal for a call of an operation; `stored` is how many chunks and entries of it are stored already.
    pub(crate) async fn journal_of(&self, operation: &Operation, stored: Option<(usize, usize)>) -> Result<Arc<CallJournal>, StoreError> {
        let known = match self.0.journals.get(operation) {
            Some(known) => known,
            // The first call of an operation that began in this process has nothing behind it.
            None if operation.turn <= 1 && stored.is_none() => self.0.journals.keep(operation, 0),
            None => {
                let bytes = self.0.store.journal_operation(operation.id).await?.map_or(0, |stored| stored.bytes);
                self.0.journals.keep(operation, bytes)
            }
        };
        let config = &self.0.journal;
        let cleaning_up = if operation.failure.is_some() { CLEAN_UP_KIB } else { 0 };
        let progress = stored.map_or_else(Progress::default, |(chunks, entries)| Progress {
            seq: u32::try_from(chunks).unwrap_or(u32::MAX),
            from: entries.saturating_sub(1),
        });
        Ok(Arc::new(CallJournal {
            store: self.0.store.clone(),
            known,
            node: operation.node,
            operation: operation.id,
            fence: operation.fence,
            turn: operation.turn,
            about: JournalAbout {
                node: operation.node,
                kind: operation.kind.name(),
                user: operation.principal.user.clone(),
                began_at: operation.started_at,
            },
            limit_kib: config.max_operation_kib.saturating_add(cleaning_up),
            off: config.off,
            passing: self.0.passing.clone(),
            progress: Mutex::new(progress),
        }))
    }
}

impl CallJournal {
    /// Packs a chunk, unless the operation's journal would be too large with it.
    fn pack(&self, progress: Progress, header: &Header, chunk: Chunk<'_>, limit_kib: u32) -> Result<JournalWrite, JournalError> {
        let failed = |error: &dyn std::fmt::Display| JournalError::Failed(error.to_string());
        let outcome = chunk.outcome.map(|outcome| match &outcome.answer {
            Ok(Answer::Done) => "done",
            Ok(Answer::Wait(_)) => "wait",
            Ok(Answer::Steps(_)) => "steps",
            Ok(Answer::Value(_)) => "value",
            Ok(Answer::Refused(_)) => "refused",
            Err(_) => "fault",
        });
        let Encoded { data, parts } = chunk.encode().map_err(|error| failed(&error))?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let parts: Vec<_> = parts.into_iter().filter(|part| !known.parts.contains(&part.id)).map(|part| (part.id, part.data)).collect();
        let size = size(&data, &parts);
        if known.bytes.saturating_add(size) > u64::from(limit_kib) << 10 {
            return Err(JournalError::Full { limit_kib });
        }
        Ok(JournalWrite { call: self.call(header), about: self.about.clone(), seq: progress.seq, data, parts, outcome })
    }

    fn call(&self, header: &Header) -> JournalCall {
        JournalCall {
            operation: self.operation,
            turn: self.turn,
            driver: header.driver.clone(),
            digest: header.digest.clone(),
            function: format!("{}.{}", header.function.interface(), header.function.name()),
            step: header.step.as_ref().map(|step| format!("{}.{}", step.interface, step.step)),
            began_at: header.started_at,
        }
    }

    fn count(&self, write: &JournalWrite) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.bytes = known.bytes.saturating_add(size(&write.data, &write.parts));
        known.parts.extend(write.parts.iter().map(|(id, _)| *id));
    }

    /// The call's last chunk, to be committed with what follows from its outcome. A call for which there is no room any
    /// more ends as a fault, and what it did since its last intent is not kept.
    pub(crate) fn close(&self, driver: &Driver, completed: &mut Completed) -> Option<JournalWrite> {
        if self.off {
            return None;
        }
        let progress = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = match self.pack(progress, &completed.record.header, last(progress, &completed.record), self.limit_kib) {
            Err(error) => {
                tracing::warn!(node = %self.node, operation = %self.operation, %error, "a driver call is not recorded in full");
                journal_full(driver, &mut completed.record, progress.from, self.limit_kib);
                self.pack(progress, &completed.record.header, last(progress, &completed.record), u32::MAX)
            }
            packed => packed,
        };
        match packed {
            Ok(write) => {
                self.count(&write);
                Some(write)
            }
            Err(error) => {
                tracing::error!(node = %self.node, operation = %self.operation, %error, "a driver call could not be recorded");
                None
            }
        }
    }
}

fn last(progress: Progress, record: &Record) -> Chunk<'_> {
    Chunk {
        header: (progress.seq == 0).then_some(&record.header),
        from: progress.from,
        entries: record.entries.get(progress.from..).unwrap_or_default(),
        outcome: Some(&record.outcome),
    }
}

fn size(data: &[u8], parts: &[(PartId, Vec<u8>)]) -> u64 {
    let bytes = parts.iter().map(|(_, data)| data.len()).sum::<usize>().saturating_add(data.len());
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[async_trait]
impl Journal for CallJournal {
    async fn intent(&self, header: &Header, entries: &[Entry]) -> Result<(), JournalError> {
        let failed = |error: StoreError| match error {
            StoreError::StaleFence(_) => JournalError::Stale,
            error => JournalError::Failed(error.to_string()),
        };
        if self.off {
            return match self.store.holds(self.node, self.operation, self.fence).await.map_err(failed)? {
                true => Ok(()),
                false => Err(JournalError::Stale),
            };
        }
        let progress = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let chunk = Chunk {
            header: (progress.seq == 0).then_some(header),
            from: progress.from,
            entries: entries.get(progress.from..).unwrap_or_default(),
            outcome: None,
        };
        let write = self.pack(progress, header, chunk, self.limit_kib)?;
        self.store.journal_intent(write.clone(), self.fence).await.map_err(failed)?;
        self.count(&write);
        let next = Progress { seq: progress.seq.saturating_add(1), from: entries.len().saturating_sub(1) };
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    async fn passing(&self, entry: &Entry, moment: Moment) {
        if let Some(passing) = &self.passing {
            passing(Passed { node: self.node, function: entry.function.clone(), moment }).await;
        }
    }
}
