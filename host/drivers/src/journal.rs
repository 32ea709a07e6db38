//! The record of a driver call: enough to run it again offline and get the same answer.

use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wrought_domain::{Digest, DriverName, Fence, Function, NodeId, OperationId, StepCall};

use crate::answer::Outcome;
use crate::grants::Grants;
use crate::snapshot::{DriverState, Snapshot};

/// What a host function does to the world (`wit/`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Reads the world.
    Observe,
    /// Changes it.
    Effect,
}

/// One host call and what came of it. Pure host functions are not recorded: they answer from the header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `interface.function`.
    pub function: String,
    /// What it does to the world.
    pub class: Class,
    /// What the driver passed.
    pub args: Value,
    /// What it was answered; nothing while an effect is only intended.
    pub answer: Option<Value>,
}

/// The inputs of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The operation; nothing for a call that belongs to none.
    pub operation: Option<OperationId>,
    /// The node.
    pub node: NodeId,
    /// The reservation's fence.
    pub fence: Fence,
    /// The driver's registered name.
    pub driver: DriverName,
    /// Its version.
    pub digest: Digest,
    /// The function.
    pub function: Function,
    /// The step, for `execute-*-step`.
    pub step: Option<StepCall>,
    /// When it began; the guest's clocks start here.
    pub started_at: Timestamp,
    /// Seeds the guest's randomness.
    pub seed: u64,
    /// What was granted when it began.
    pub grants: Grants,
    /// The world as `task` shows it.
    pub snapshot: Snapshot,
    /// The driver's state on the node.
    pub state: DriverState,
}

/// A whole call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The inputs.
    pub header: Header,
    /// The host calls, in order.
    pub entries: Vec<Entry>,
    /// How it ended.
    pub outcome: Outcome,
}

/// The journal could not be written: the call must not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("writing the journal: {0}")]
pub struct JournalError(pub String);

/// Where records go. A call that is part of no operation has none.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Before an effect acts: `entries` are all of the call so far, the last one is the intent.
    /// Returns when they are durable.
    async fn intent(&self, header: &Header, entries: &[Entry]) -> Result<(), JournalError>;

    /// The call has ended.
    async fn close(&self, record: Record) -> Result<(), JournalError>;
}

/// Keeps records in memory: for tests, and for drivers' authors.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    records: Mutex<Vec<Record>>,
    intents: Mutex<Vec<Entry>>,
}

impl MemoryJournal {
    /// The records so far, and forgets them.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The intents so far, in order.
    pub fn intents(&self) -> Vec<Entry> {
        self.intents.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn intent(&self, _header: &Header, entries: &[Entry]) -> Result<(), JournalError> {
        let mut intents = self.intents.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        intents.extend(entries.last().cloned());
        Ok(())
    }

    async fn close(&self, record: Record) -> Result<(), JournalError> {
        self.records.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(record);
        Ok(())
    }
}
