//! Why a call into a driver gave no answer, and who is to blame.

use std::fmt;

use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;
use wrought_domain::{Digest, DriverError, DriverName, Function};

use crate::config::Limits;

/// A call that broke. The driver's own refusal is not a fault: it is an answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// The driver's registered name.
    pub driver: DriverName,
    /// Its version.
    pub version: String,
    /// Its digest.
    pub digest: Digest,
    /// The function that was called.
    pub function: String,
    /// Host functions that it had called.
    #[serde(default)]
    pub host_calls: u32,
    /// What happened.
    pub cause: Cause,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The guest ran into a trap of its own making.
    #[error("it trapped: {0}")]
    Trap(String),
    /// The guest recursed too deeply.
    #[error("it overflowed its stack")]
    StackOverflow,
    /// The guest used up its CPU time.
    #[error("it used more than {limit_ms} ms of CPU time")]
    Cpu {
        /// The limit.
        limit_ms: u32,
    },
    /// The call took too long.
    #[error("it took longer than {limit_s} s")]
    Deadline {
        /// The limit.
        limit_s: u32,
    },
    /// The guest wanted too much memory.
    #[error("it wanted more than {limit_mib} MiB of memory")]
    Memory {
        /// The limit.
        limit_mib: u32,
    },
    /// The guest wanted too large a table.
    #[error("it wanted a table of more than {limit} elements")]
    Table {
        /// The limit.
        limit: u32,
    },
    /// The guest called the host too often.
    #[error("it called host functions more than {limit} times")]
    HostCalls {
        /// The limit.
        limit: u32,
    },
    /// A value that the guest gave cannot be taken: it is too large, or breaks the contract's encoding.
    #[error("it passed a value that cannot be taken, of at most {limit_kib} KiB: {what}")]
    Value {
        /// The limit.
        limit_kib: u32,
        /// The engine's words.
        what: String,
    },
    /// The guest used an import about a node where there is none.
    #[error("describe and get-properties are about no node and may use no import but log")]
    NoNode,
    /// The guest answered something that makes no sense.
    #[error("it answered nonsense: {0}")]
    Answer(String),
    /// The driver does not export what is needed.
    #[error("it does not export the interface {0}")]
    NotExported(String),
    /// What the operation may record is used up; nothing goes on unrecorded.
    #[error("the journal of this operation has reached its {limit_kib} KiB (limit-exceeded)")]
    JournalFull {
        /// The limit.
        limit_kib: u32,
    },
    /// The operator revoked the version.
    #[error("it is revoked: {reason}")]
    Revoked {
        /// The operator's words.
        reason: String,
    },
    /// The host stopped while an effect was on its way, and whether it was done cannot be seen. The driver did not run.
    #[error("{0}")]
    Unsettled(DriverError),
    /// A call that was run again, to go on with it or to replay it, asked for something other than recorded.
    #[error("it diverged from its record at host call {at}: recorded {recorded}, asked for {asked}")]
    Diverged {
        /// Index of the host call.
        at: usize,
        /// What the record says.
        recorded: String,
        /// What the guest asked for.
        asked: String,
    },
    /// The host failed; the driver is not to blame.
    #[error("the host failed: {0}")]
    Host(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { driver, version, digest, function, cause, .. } = self;
        match cause {
            Cause::Unsettled(error) => return error.fmt(f),
            Cause::Revoked { reason } => {
                return write!(f, "driver {driver} {version} ({}) was revoked before it ended {function}: {reason}", digest.short());
            }
            _ => {}
        }
        write!(f, "driver {driver} {version} ({}) broke in {function}: {cause}", digest.short())
    }
}

impl std::error::Error for Fault {}

impl Cause {
    /// Whether the host failed, not the guest.
    pub fn is_host(&self) -> bool {
        matches!(self, Cause::Host(_))
    }

    /// Whether a replay, on a machine of another speed and without a host behind it, need not come to the same end.
    pub(crate) fn is_circumstance(&self) -> bool {
        matches!(
            self,
            Cause::Cpu { .. }
                | Cause::Deadline { .. }
                | Cause::JournalFull { .. }
                | Cause::Unsettled(_)
                | Cause::Host(_)
                | Cause::Revoked { .. }
        )
    }

    /// Tells by type what an error of the engine means, and by when it came: once the guest runs, an error
    /// that has no type of ours or of the engine's is about a value that the guest passed.
    pub(crate) fn of(error: &wasmtime::Error, guest_ran: bool, memory_refused: bool, limits: &Limits) -> Self {
        if let Some(cause) = error.downcast_ref::<Cause>() {
            return cause.clone();
        }
        // The engine has no type for a refused memory; the limiter knows.
        if memory_refused {
            return Cause::Memory { limit_mib: limits.memory_mib };
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Cause::Trap(format!("it ended itself with exit code {}", exit.0));
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => Cause::StackOverflow,
            Some(trap) => Cause::Trap(trap.to_string()),
            None if !guest_ran || error.is::<PoolConcurrencyLimitError>() || error.is::<std::io::Error>() => {
                Cause::Host(error.root_cause().to_string())
            }
            None => Cause::Value { limit_kib: limits.value_kib, what: error.root_cause().to_string() },
        }
    }
}

/// The name of a function for people.
pub(crate) fn named(function: Function) -> String {
    format!("{}.{}", function.interface(), function.name())
}
