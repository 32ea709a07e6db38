//! The one error of this crate.

use std::fmt;

pub use wrought_domain::ErrorKind as Kind;

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
