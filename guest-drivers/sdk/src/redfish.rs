//! The controller's own resources, for what no other module covers: OEM settings, actions, firmware.
//!
//! ```no_run
//! # use wrought_sdk::prelude::*;
//! # use wrought_sdk::serde_json::json;
//! # fn quiet() -> Result<Outcome> {
//! let fans = "/redfish/v1/Systems/1/Oem/Acme/Fans";
//! redfish::patch(fans, &json!({ "Profile": "Quiet" }))?.wait(300)
//! # }
//! ```
//!
//! Paths lie below the node's own System and the Chassis and Managers that it links; what machines share is granted by path. Power,
//! boot and virtual media go by [`power`](crate::power) and [`boot`](crate::boot).

use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::imports::baremetal::deploy::redfish as host;
use crate::bindings::imports::baremetal::deploy::types::Outcome;
use crate::error::Result;

pub use host::{Response, delete, get};

/// Reads a resource as the driver's own type.
pub fn get_json<T: DeserializeOwned>(path: &str) -> Result<T> {
    get(path)?.json()
}

/// Changes members of a resource, with its ETag as it is now.
pub fn patch(path: &str, body: &impl Serialize) -> Result<Response> {
    host::patch(path, &serde_json::to_string(body)?)
}

/// Has an action, or makes a member of a collection. References to artifacts in `body` are filled in by the host.
pub fn post(path: &str, body: &impl Serialize) -> Result<Response> {
    host::post(path, &serde_json::to_string(body)?)
}

impl Response {
    /// The answer as the driver's own type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.body)?)
    }

    /// Waits for the task that goes on, if one does: the same function is called again when it has ended.
    pub fn wait(&self, timeout_seconds: u32) -> Result<Outcome> {
        match &self.task {
            Some(task) => crate::wait::bmc_task(task, timeout_seconds),
            None => Ok(Outcome::Done),
        }
    }
}
