//! Why a call into a driver gave no answer, and who is to blame.

use std::fmt;

use wasmtime::Trap;
use wrought_domain::{Digest, DriverName, Function};

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
    /// The guest called the host too often.
    #[error("it called host functions more than {limit} times")]
    HostCalls {
        /// The limit.
        limit: u32,
    },
    /// A value that the guest gave is too large.
    #[error("it passed a value larger than {limit_kib} KiB")]
    Value {
        /// The limit.
        limit_kib: u32,
    },
    /// The guest answered something that makes no sense.
    #[error("it answered nonsense: {0}")]
    Answer(String),
    /// The driver does not export what is needed.
    #[error("it does not export the interface {0}")]
    NotExported(String),
    /// A replayed call asked for something other than recorded.
    #[error("replay diverged at host call {at}: recorded {recorded}, asked for {asked}")]
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
        let Self { driver, version, digest, function, cause } = self;
        write!(f, "driver {driver} {version} ({}) broke in {function}: {cause}", digest.short())
    }
}

impl std::error::Error for Fault {}

impl Cause {
    /// Whether the host failed, not the guest.
    pub fn is_host(&self) -> bool {
        matches!(self, Cause::Host(_))
    }

    /// Tells by type what an error of the engine means; text is never looked at, but for the one
    /// case in which the engine has no type: a limiter that refuses memory, which `memory_refused` knows.
    pub(crate) fn of(error: &wasmtime::Error, memory_refused: bool, limit_mib: u32, _limit_kib: u32) -> Self {
        if let Some(cause) = error.downcast_ref::<Cause>() {
            return cause.clone();
        }
        if memory_refused {
            return Cause::Memory { limit_mib };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => Cause::StackOverflow,
            Some(trap) => Cause::Trap(trap.to_string()),
            None => Cause::Host(error.root_cause().to_string()),
        }
    }
}

/// The name of a function for people.
pub(crate) fn named(function: Function) -> String {
    format!("{}.{}", function.interface(), function.name())
}
