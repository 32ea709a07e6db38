//! Errors as the contract between host and drivers knows them (`wit/types.wit`).

use serde::{Deserialize, Serialize};

/// What went wrong, as far as the host acts upon it; the cases of `types.error-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each case is documented in wit/types.wit")]
pub enum ErrorKind {
    InvalidParameter,
    MissingParameter,
    Unsupported,
    Denied,
    Locked,
    NotFound,
    Conflict,
    AgentUnreachable,
    AgentInProgress,
    PowerFailed,
    Timeout,
    LimitExceeded,
    OutcomeUnknown,
    Failed,
}

/// An error given by the host to a driver, or by a driver to the host. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct DriverError {
    /// What the host acts upon.
    pub kind: ErrorKind,
    /// Open vocabulary, for example `redfish.OemLicenseNotPassed`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl DriverError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into() }
    }
}
