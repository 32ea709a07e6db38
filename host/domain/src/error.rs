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

impl std::fmt::Display for ErrorKind {
    /// The case's name in the contract, for example `outcome-unknown`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InvalidParameter => "invalid-parameter",
            Self::MissingParameter => "missing-parameter",
            Self::Unsupported => "unsupported",
            Self::Denied => "denied",
            Self::Locked => "locked",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::AgentUnreachable => "agent-unreachable",
            Self::AgentInProgress => "agent-in-progress",
            Self::PowerFailed => "power-failed",
            Self::Timeout => "timeout",
            Self::LimitExceeded => "limit-exceeded",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::Failed => "failed",
        })
    }
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
