//! The current call: what it belongs to, why it is made, and the one node that it is about.

use serde::de::DeserializeOwned;

use crate::bindings::imports::baremetal::deploy::task as host;
use crate::bindings::imports::baremetal::deploy::types::{Error, StepCall};
use crate::error::Result;

pub use host::{Cause, LockMode, Node, Operation, Port, WaitResult};

/// Why this export is called.
pub fn cause() -> Cause {
    host::get_cause()
}

/// Whether this call was made because the last call's wait ran out of time.
pub fn timed_out() -> bool {
    matches!(cause(), Cause::Resumed(WaitResult::TimedOut))
}

/// The operation that this call belongs to.
pub fn operation() -> Operation {
    host::get_operation()
}

/// The node, its secrets replaced by `******`.
pub fn node() -> Node {
    host::get_node()
}

/// The node's ports.
pub fn ports() -> Vec<Port> {
    host::get_ports()
}

/// The node's traits.
pub fn traits() -> Vec<String> {
    host::get_traits()
}

/// How this call holds the node.
pub fn lock_mode() -> LockMode {
    host::get_lock_mode()
}

/// The step being executed, in `execute-*-step`.
pub fn step() -> Option<StepCall> {
    host::get_step()
}

/// What the operator set for drivers, as the driver's own type.
pub fn options<T: DeserializeOwned>() -> Result<T> {
    dictionary("options", &host::get_options())
}

impl Node {
    /// `driver_info` as the driver's own type or as a [`serde_json::Map`]. `invalid-parameter` when it does not fit.
    pub fn driver_info<T: DeserializeOwned>(&self) -> Result<T> {
        dictionary("driver_info", &self.driver_info)
    }

    /// `instance_info`, likewise.
    pub fn instance_info<T: DeserializeOwned>(&self) -> Result<T> {
        dictionary("instance_info", &self.instance_info)
    }

    /// `properties`, likewise.
    pub fn properties<T: DeserializeOwned>(&self) -> Result<T> {
        dictionary("properties", &self.properties)
    }

    /// `extra`, likewise.
    pub fn extra<T: DeserializeOwned>(&self) -> Result<T> {
        dictionary("extra", &self.extra)
    }
}

impl Port {
    /// `local_link_connection` as the driver's own type.
    pub fn local_link_connection<T: DeserializeOwned>(&self) -> Result<T> {
        dictionary("local_link_connection", &self.local_link_connection)
    }
}

fn dictionary<T: DeserializeOwned>(name: &str, json: &str) -> Result<T> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    serde_json::from_str(json).map_err(|e| Error::invalid_parameter(format!("{name}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::dictionary;
    use crate::prelude::ErrorKind;

    #[derive(serde::Deserialize)]
    struct Info {
        delay: u32,
    }

    #[test]
    fn a_dictionary_that_does_not_fit_is_the_operators_mistake() {
        assert_eq!(dictionary::<Info>("driver_info", r#"{"delay": 3}"#).map(|i| i.delay).ok(), Some(3));
        let error = dictionary::<Info>("driver_info", r#"{"delay": "soon"}"#).err();
        assert_eq!(error.as_ref().map(|e| e.kind), Some(ErrorKind::InvalidParameter));
        assert!(error.is_some_and(|e| e.message.starts_with("driver_info: ")));
    }
}
