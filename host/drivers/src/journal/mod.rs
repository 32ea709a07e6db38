//! The record of a driver call: enough to go on with it after a crash, and to run it again offline with the same answer.
//!
//! A call is stored in chunks: one with each effect's intent, before the effect acts, and one with the outcome. Each
//! chunk holds what is new since the one before (`chunk`).

mod chunk;

use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wrought_domain::{Digest, DriverName, Fence, Function, NodeId, OperationId, StepCall};

use crate::answer::Outcome;
use crate::config::Limits;
use crate::grants::Grants;
use crate::snapshot::{DriverState, Snapshot};

pub use chunk::{Chunk, ChunkError, Encoded, Part, PartId, decode};

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
    /// What was seen just before an effect, where a look afterwards tells by it whether the effect was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The number of the host call, where what was granted then was not what was granted when the call began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u32>,
    /// What it was answered; nothing while an effect is only intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// The inputs of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The operation; nothing for a call that belongs to none.
    pub operation: Option<OperationId>,
    /// The node.
    pub node: NodeId,
    /// The reservation's fence when the call began.
    pub fence: Fence,
    /// The driver's registered name.
    pub driver: DriverName,
    /// Its version.
    pub digest: Digest,
    /// The function.
    pub function: Function,
    /// The step, for `execute-*-step`; for `vendor-passthru.call` what [`passthru_call`](crate::passthru_call) makes.
    pub step: Option<StepCall>,
    /// When it began; the guest's clocks start here.
    pub started_at: Timestamp,
    /// Seeds the guest's randomness.
    pub seed: u64,
    /// What was granted when it began.
    pub grants: Grants,
    /// The limits under which it ran.
    #[serde(default)]
    pub limits: Limits,
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

/// A call that may have no end yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The inputs.
    pub header: Header,
    /// The host calls so far. Without an outcome the last one is an effect that was intended.
    pub entries: Vec<Entry>,
    /// How it ended; nothing while it has not.
    pub outcome: Option<Outcome>,
}

impl Recorded {
    /// The effect that was intended and whose answer is not known.
    pub fn intent(&self) -> Option<&Entry> {
        self.entries.last().filter(|entry| self.outcome.is_none() && entry.answer.is_none())
    }

    /// The whole call, where it has ended.
    pub fn ended(self) -> Option<Record> {
        let Self { header, entries, outcome } = self;
        outcome.map(|outcome| Record { header, entries, outcome })
    }
}

/// An effect may not act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The operation does not hold the node any more. The driver is told, and nobody else is affected.
    #[error("this operation does not hold the node any more")]
    Stale,
    /// What the operation may record is used up: the call ends.
    #[error("the journal of this operation has reached its {limit_kib} KiB")]
    Full {
        /// The limit.
        limit_kib: u32,
    },
    /// The journal could not be written: the call ends.
    #[error("writing the journal: {0}")]
    Failed(String),
}

/// Where the intents of one call go.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Before an effect acts: `entries` are all of the call so far, the last one is the intent. Returns when they are
    /// durable and the operation was found to hold the node, both in one transaction.
    ///
    /// # Errors
    /// [`JournalError`]; then the effect does not act.
    async fn intent(&self, header: &Header, entries: &[Entry]) -> Result<(), JournalError>;

    /// Told of every host call that is recorded, moment by moment: where tests stop the host.
    async fn passing(&self, _entry: &Entry, _moment: Moment) {}
}

/// A moment of a host call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It was asked for, and nothing has happened yet.
    Asked,
    /// Of an effect: what is intended is stored, and nothing has acted yet.
    Intended,
    /// The world was looked at or changed, and the answer is known to nobody yet.
    Acted,
}

/// Keeps intents in memory: for tests, and for drivers' authors.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    intents: Mutex<Vec<Entry>>,
}

impl MemoryJournal {
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
}
