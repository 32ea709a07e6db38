//! Findings that the driver hands to the host, which checks and stores them when the call succeeds. At most 16 a call.

use serde::Serialize;

use crate::bindings::imports::baremetal::deploy::report as host;
use crate::error::Result;

pub use host::Kind;

/// Hands over a finding of at most 64 KiB of JSON; which shape belongs to which kind is in the contract.
pub fn put(kind: Kind, finding: &impl Serialize) -> Result<()> {
    host::put(kind, &serde_json::to_string(finding)?)
}
