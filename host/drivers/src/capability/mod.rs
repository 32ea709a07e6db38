//! One file for each interface that drivers import: what the guest calls, and the trait of what
//! is behind it. A capability's functions all look the same, because everything that matters
//! happens in [`CallState::pass`](crate::state::CallState::pass).

mod agent;
mod artifact;
mod authority;
mod boot;
mod events;
mod http;
mod image;
mod locking;
mod log;
mod network;
mod power;
mod redfish;
mod report;
mod state;
mod task;
mod wait;

use async_trait::async_trait;
use serde_json::Value;

use crate::contract::{import, types};
use crate::state::CallState;
use wrought_domain::{DriverError, ErrorKind};

pub use agent::Agent;
pub use artifact::Artifact;
pub use authority::Authority;
pub use boot::Boot;
pub use events::Progress;
pub use http::{Http, HttpAnswer, HttpBody, HttpRequest};
pub use image::{CONFIG_DRIVE, IMAGE_AUTHORIZATION, Image};
pub use locking::Locking;
pub(crate) use log::{MAX_LINE, escaped};
pub use network::{Network, NetworkChange};
pub use power::{Power, PowerChange};
pub use redfish::Redfish;
pub(crate) use report::{MAX_FINDING, MAX_REPORTS};
pub(crate) use state::MAX_KEY;
pub(crate) use wait::MAX_TOKENS;

/// What is behind the capabilities of one call: the conductor's clients, bound to one node. An
/// error's text goes to the guest, so it holds no address, user or secret.
pub trait World: Agent + Artifact + Authority + Boot + Http + Image + Locking + Network + Power + Progress + Redfish + Witness {}

impl<T: Agent + Artifact + Authority + Boot + Http + Image + Locking + Network + Power + Progress + Redfish + Witness> World for T {}

/// Looks at the world before it is changed.
#[async_trait]
pub trait Witness: Send + Sync {
    /// What tells afterwards whether an effect (`interface.function`) was done, where its result alone does not.
    ///
    /// # Errors
    /// Becomes the effect's answer: what cannot be seen is not changed.
    async fn before(&self, effect: &str) -> Result<Option<Value>, DriverError>;
}

impl import::types::Host for CallState {}

impl From<DriverError> for types::Error {
    fn from(error: DriverError) -> Self {
        Self { kind: error.kind.into(), code: error.code, message: error.message }
    }
}

impl From<types::Error> for DriverError {
    fn from(error: types::Error) -> Self {
        Self { kind: error.kind.into(), code: error.code, message: error.message }
    }
}

macro_rules! same_kinds {
    ($($kind:ident),+) => {
        impl From<ErrorKind> for types::ErrorKind {
            fn from(kind: ErrorKind) -> Self { match kind { $(ErrorKind::$kind => Self::$kind),+ } }
        }
        impl From<types::ErrorKind> for ErrorKind {
            fn from(kind: types::ErrorKind) -> Self { match kind { $(types::ErrorKind::$kind => Self::$kind),+ } }
        }
    };
}

same_kinds!(
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
    Failed
);

/// Bytes of JSON that a guest may pass: parsed it takes many times as much.
pub(crate) const MAX_JSON: usize = 1 << 20;

/// A JSON object that a guest passed as text.
pub(crate) fn json_object(text: &str, what: &str) -> Result<wrought_domain::Map, DriverError> {
    if text.len() > MAX_JSON {
        return Err(DriverError::new(ErrorKind::LimitExceeded, "wrought.JsonTooLarge", format!("{what} is larger than 1 MiB")));
    }
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(map)) => Ok(map),
        Ok(_) => Err(DriverError::new(ErrorKind::InvalidParameter, "wrought.NotAnObject", format!("{what} is not a JSON object"))),
        Err(error) => Err(DriverError::new(ErrorKind::InvalidParameter, "wrought.NotJson", format!("{what} is not JSON: {error}"))),
    }
}
