//! The one error of this crate.

use std::fmt;

/// What went wrong, as far as the host acts upon it: `error-kind` of the driver contract, case by case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value is wrong.
    InvalidParameter,
    /// A value is missing.
    MissingParameter,
    /// This machine or controller cannot do it.
    Unsupported,
    /// Policy forbids it.
    Denied,
    /// Somebody else holds the lock.
    Locked,
    /// The thing does not exist.
    NotFound,
    /// The request contradicts the present state.
    Conflict,
    /// The agent does not answer, and what was asked of it did not begin.
    AgentUnreachable,
    /// The agent is busy with another command.
    AgentInProgress,
    /// The controller refused to change the power state.
    PowerFailed,
    /// No answer in time; nothing was changed.
    Timeout,
    /// An answer or a table is larger than allowed.
    LimitExceeded,
    /// Sent, not confirmed: observe before repeating.
    OutcomeUnknown,
    /// Everything else.
    Failed,
}

impl Kind {
    /// The case's name in the contract, for example `outcome-unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
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
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an operation on hardware did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HardwareError {
    /// What the host acts upon.
    pub kind: Kind,
    /// Open vocabulary, `namespace.Name`; for example `redfish.OemLicenseNotPassed`.
    pub code: String,
    /// For people: lowercase, says what was attempted. Holds no address, user or secret.
    pub message: String,
}

impl HardwareError {
    /// An error of `kind`.
    pub fn new(kind: Kind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into() }
    }

    /// The value of `key` is wrong: `why` says what is accepted.
    pub(crate) fn invalid(key: &str, why: impl fmt::Display) -> Self {
        Self::new(Kind::InvalidParameter, "node.InvalidParameter", format!("{key}: {why}"))
    }

    /// `key` is required and not there.
    pub(crate) fn missing(key: &str) -> Self {
        Self::new(Kind::MissingParameter, "node.MissingParameter", format!("{key} is missing"))
    }

    /// The same with another kind.
    pub(crate) fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}
