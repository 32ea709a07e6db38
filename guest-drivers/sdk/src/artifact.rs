//! Files that the operator uploaded, such as firmware: a machine fetches them by a URL, or the host pushes them to its controller.
//!
//! ```no_run
//! # use wrought_sdk::prelude::*;
//! # use wrought_sdk::serde_json::json;
//! use wrought_sdk::state::Scope;
//!
//! # fn update() -> Result<Outcome> {
//! let Some(push) = state::get::<String>(Scope::Operation, "push")? else {
//!     let firmware = artifact::find("nic-fw-1.2.bin")?;
//!     let push = artifact::push(&firmware.digest, "/redfish/v1/UpdateService/upload", &json!({ "Targets": [] }))?;
//!     state::set(Scope::Operation, "push", &push)?;
//!     return wait::artifact_push(&push, 1800);
//! };
//! match artifact::pushed(&push)? {
//!     None => wait::artifact_push(&push, 1800),
//!     // Then the task at the controller; called again after it, this function should know that from its state.
//!     Some(answer) => answer.wait(1800),
//! }
//! # }
//! ```

use serde::Serialize;

use crate::bindings::imports::baremetal::deploy::artifact as host;
use crate::error::Result;

pub use host::{Info, find, pushed, url};

/// Has the host send the file to where the controller's UpdateService takes files, with these `UpdateParameters`; `&()` is none.
/// The name of the push, for [`wait::artifact_push`](crate::wait::artifact_push) and [`pushed`].
pub fn push(digest: &str, path: &str, parameters: &impl Serialize) -> Result<String> {
    let parameters = serde_json::to_string(parameters)?;
    host::push(digest, path, if parameters == "null" { "" } else { &parameters })
}
