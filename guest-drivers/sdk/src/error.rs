//! Errors: the contract's record, with a constructor for each kind.

use crate::bindings::imports::baremetal::deploy::types::{Error, ErrorKind};

/// What every fallible function of a driver gives.
pub type Result<T> = core::result::Result<T, Error>;

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident,)*) => {
        impl Error {
            $($(#[$doc])*
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(ErrorKind::$kind, concat!("driver.", stringify!($kind)), message)
            })*
        }
    };
}

constructors! {
    /// A value is wrong. In `validate` it becomes a 400 for the operator.
    invalid_parameter => InvalidParameter,
    /// A value is missing. In `validate` it becomes a 400 for the operator.
    missing_parameter => MissingParameter,
    /// This machine or controller cannot do it.
    unsupported => Unsupported,
    /// The call's class forbids it.
    denied => Denied,
    /// Somebody else holds the lock.
    locked => Locked,
    /// The thing does not exist.
    not_found => NotFound,
    /// The request contradicts the present state.
    conflict => Conflict,
    /// The agent does not answer: the host repeats the step when the agent is back.
    agent_unreachable => AgentUnreachable,
    /// The agent is busy: the host repeats the step at the next heartbeat.
    agent_in_progress => AgentInProgress,
    /// The machine did not change its power state.
    power_failed => PowerFailed,
    /// It took too long.
    timeout => Timeout,
    /// A budget is used up.
    limit_exceeded => LimitExceeded,
    /// Sent, not confirmed: observe before repeating.
    outcome_unknown => OutcomeUnknown,
    /// Everything else.
    failed => Failed,
}

impl Error {
    /// An error whose `code` (dotted, `namespace.Name`) is the driver's own. `message` must hold no secret.
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into() }
    }

    /// The same with another code, for example `acme.FirmwareTooOld`.
    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> Self {
        Self { code: code.into(), ..self }
    }

    /// The same with `what` said first: `what: message`.
    #[must_use]
    pub fn context(self, what: impl core::fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::failed(error.to_string()).with_code("json.Invalid")
    }
}
