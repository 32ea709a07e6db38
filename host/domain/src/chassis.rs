//! Chassis: what nodes stand in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Map;

/// A group of nodes; the fields of Ironic's chassis resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are Ironic's own, documented in its API reference")]
pub struct Chassis {
    pub uuid: Uuid,
    /// At most 255 bytes.
    pub description: Option<String>,
    #[serde(default)]
    pub extra: Map,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
}
