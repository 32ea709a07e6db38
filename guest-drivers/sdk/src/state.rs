//! The driver's own state on the node: typed values, stored as JSON, at most 64 KiB in all.
//!
//! Writes are seen by the same call and are stored with its outcome; a call that fails stores nothing.

use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::imports::baremetal::deploy::state as host;
use crate::bindings::imports::baremetal::deploy::types::Error;
use crate::error::Result;

pub use host::Scope;

/// The value, if the key exists. `failed` when it has another shape, for example written by another version of the driver.
pub fn get<T: DeserializeOwned>(scope: Scope, key: &str) -> Result<Option<T>> {
    host::get(scope, key)
        .map(|value| serde_json::from_str(&value).map_err(|e| Error::from(e).context(format_args!("driver state `{key}`"))))
        .transpose()
}

/// Stores the value. `limit-exceeded` when the state would grow past its limit; a key has at most 128 bytes.
pub fn set(scope: Scope, key: &str, value: &impl Serialize) -> Result<()> {
    host::set(scope, key, &serde_json::to_string(value)?)
}

/// Deletes the key; no error when it does not exist.
pub fn delete(scope: Scope, key: &str) {
    host::delete(scope, key);
}

/// The keys, in order.
pub fn keys(scope: Scope) -> Vec<String> {
    host::keys(scope)
}
