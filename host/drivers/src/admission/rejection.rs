//! Why a component is refused.

use std::io::ErrorKind;

use wrought_domain::Digest;

use super::Report;

/// A refused component, and how far it came.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct Rejected {
    /// Its digest, if it arrived whole.
    pub digest: Option<Digest>,
    /// Bytes of it.
    pub size: u64,
    /// Why.
    pub why: Rejection,
    /// What the stages found.
    pub report: Report,
}

impl From<Rejection> for Box<Rejected> {
    fn from(why: Rejection) -> Self {
        Box::new(Rejected { digest: None, size: 0, why, report: Report::default() })
    }
}

/// Why bytes are no driver for this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No bytes at all.
    #[error("the upload is empty; send the component's bytes")]
    Empty,
    /// More bytes than allowed.
    #[error("the component is larger than {limit_mib} MiB; the limit is drivers.max_component_mib")]
    TooLarge {
        /// The limit.
        limit_mib: u32,
    },
    /// The sender went away in the middle.
    #[error("the upload ended early; send it again")]
    BrokenOff,
    /// The sender is too slow.
    #[error("the upload took longer than {limit_s} s; the limit is drivers.upload_s")]
    TooSlow {
        /// The limit.
        limit_s: u32,
    },
    /// Others are at it.
    #[error("other uploads are under way; try again in a moment")]
    Busy,
    /// The disk is full, or the folder's quota used up.
    #[error("the host has no space left to store the driver; nothing was kept")]
    NoSpace,
    /// The policy wants a signature.
    #[error("it is not signed, and drivers.signature_policy is \"require\": sign it with `minisign -Sm FILE` and send FILE.minisig along")]
    NoSignature,
    /// Nobody known signed it.
    #[error("it is signed with the key {key}, which is none of drivers.trusted_keys")]
    UnknownKey {
        /// The key's id.
        key: String,
    },
    /// Somebody known signed something else.
    #[error("the signature by the key {key} is not of this file: the component or the signature was changed after signing")]
    Tampered {
        /// The key's id.
        key: String,
    },
    /// What was sent is no signature.
    #[error("the signature cannot be read: {0}; send the content of the .minisig file that `minisign -S` writes")]
    MalformedSignature(String),
    /// Not WebAssembly.
    #[error("this is not a WebAssembly component: {0}")]
    NotWasm(String),
    /// A core module.
    #[error("this is a core WebAssembly module; make a component of it, for example with `wasm-tools component new`")]
    CoreModule,
    /// An import that the host does not have.
    #[error("it imports {import}, which this host does not offer; it offers baremetal:deploy/* at version 0.1 and WASI 0.2 without HTTP")]
    UnknownImport {
        /// The import's name.
        import: String,
    },
    /// The one required interface is not exported.
    #[error("it does not export baremetal:deploy/driver@0.1.0, which every driver must")]
    NoDriverInterface,
    /// It has too much of something.
    #[error("it has {found} {what}; at most {limit} are allowed by drivers.component.{key}")]
    TooMany {
        /// Of what, for example `functions`.
        what: &'static str,
        /// How many.
        found: u64,
        /// The limit.
        limit: u64,
        /// The option that sets the limit.
        key: &'static str,
    },
    /// Compiling it takes too long.
    #[error("compiling it took more than {limit_s} s{}; the limit is drivers.compile.{key}", if *.key == "cpu_s" { " of CPU time" } else { "" })]
    CompileTime {
        /// The limit.
        limit_s: u32,
        /// The option that sets the limit.
        key: &'static str,
    },
    /// Compiling it takes too much memory.
    #[error("compiling it took more than {limit_mib} MiB of memory; the limit is drivers.compile.memory_mib")]
    CompileMemory {
        /// The limit.
        limit_mib: u32,
    },
    /// It compiles to too much.
    #[error("it compiles to more than {limit_mib} MiB; the limit is drivers.compile.code_mib")]
    CompiledTooLarge {
        /// The limit.
        limit_mib: u32,
    },
    /// The compiler went down with it.
    #[error("the compiler crashed on it: {0}")]
    CompilerCrashed(String),
    /// Something in it contradicts the contract.
    #[error("it does not fit the contract: {0}")]
    Contract(String),
    /// It breaks when it is called.
    #[error("it does not answer: {0}")]
    Broken(String),
    /// The host failed.
    #[error("storing or loading the driver failed: {0}")]
    Host(String),
}

impl Rejection {
    /// Whether the fault is the host's or the moment's, so that the same bytes may pass another time.
    pub fn is_circumstance(&self) -> bool {
        matches!(self, Self::BrokenOff | Self::TooSlow { .. } | Self::Busy | Self::NoSpace | Self::Host(_))
    }

    /// Of a failure to store; `what` tells where.
    pub(crate) fn storing(what: &str, error: &std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::NoSpace,
            _ => Self::Host(format!("{what}: {error}")),
        }
    }
}
