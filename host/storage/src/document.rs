//! Documents and numbers, from Rust to the database and back.

use std::fmt::Display;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::seal::{KeyRing, SealError};

/// Where sealed documents lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Nodes,
    Ports,
    Operations,
    AgentSessions,
    DriverState,
    FailedOperations,
    DeployTemplates,
    Runbooks,
    Findings,
    InspectionRules,
    Allocations,
    Chassis,
    Portgroups,
    VolumeConnectors,
    VolumeTargets,
}

impl Table {
    pub(crate) const ALL: [Self; 15] = [
        Self::Nodes,
        Self::Ports,
        Self::Operations,
        Self::AgentSessions,
        Self::DriverState,
        Self::FailedOperations,
        Self::DeployTemplates,
        Self::Runbooks,
        Self::Findings,
        Self::InspectionRules,
        Self::Allocations,
        Self::Chassis,
        Self::Portgroups,
        Self::VolumeConnectors,
        Self::VolumeTargets,
    ];

    /// What a document is, for errors.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Nodes => "node",
            Self::Ports => "port",
            Self::Operations => "operation of node",
            Self::AgentSessions => "agent session of node",
            Self::DriverState => "driver state of node",
            Self::FailedOperations => "failed operation of node",
            Self::DeployTemplates => "deploy template",
            Self::Runbooks => "runbook",
            Self::Findings => "finding about node",
            Self::InspectionRules => "inspection rule",
            Self::Chassis => "chassis",
            Self::Portgroups => "portgroup",
            Self::VolumeConnectors => "volume connector",
            Self::VolumeTargets => "volume target",
            Self::Allocations => "allocation",
        }
    }

    /// The row that a document is sealed for: of nodes and ports the UUID, of driver states the node's and `/` and the driver, of
    /// findings the node's and `/` and the kind, of others the node's.
    pub(crate) fn place(self, id: impl Display) -> String {
        let table = match self {
            Self::Nodes => "nodes",
            Self::Ports => "ports",
            Self::Operations => "operations",
            Self::AgentSessions => "agent_sessions",
            Self::DriverState => "driver_state",
            Self::FailedOperations => "failed_operations",
            Self::DeployTemplates => "deploy_templates",
            Self::Runbooks => "runbooks",
            Self::Findings => "findings",
            Self::InspectionRules => "inspection_rules",
            Self::Chassis => "chassis",
            Self::Portgroups => "portgroups",
            Self::VolumeConnectors => "volume_connectors",
            Self::VolumeTargets => "volume_targets",
            Self::Allocations => "allocations",
        };
        format!("{table}/{id}")
    }

    pub(crate) fn count(self) -> &'static str {
        match self {
            Self::Nodes => "SELECT COUNT(*) FROM nodes",
            Self::Ports => "SELECT COUNT(*) FROM ports",
            Self::Operations => "SELECT COUNT(*) FROM operations",
            Self::AgentSessions => "SELECT COUNT(*) FROM agent_sessions",
            Self::DriverState => "SELECT COUNT(*) FROM driver_state",
            Self::FailedOperations => "SELECT COUNT(*) FROM failed_operations",
            Self::DeployTemplates => "SELECT COUNT(*) FROM deploy_templates",
            Self::Runbooks => "SELECT COUNT(*) FROM runbooks",
            Self::Findings => "SELECT COUNT(*) FROM findings",
            Self::InspectionRules => "SELECT COUNT(*) FROM inspection_rules",
            Self::Chassis => "SELECT COUNT(*) FROM chassis",
            Self::Portgroups => "SELECT COUNT(*) FROM portgroups",
            Self::VolumeConnectors => "SELECT COUNT(*) FROM volume_connectors",
            Self::VolumeTargets => "SELECT COUNT(*) FROM volume_targets",
            Self::Allocations => "SELECT COUNT(*) FROM allocations",
        }
    }

    /// Row, id as in [`Table::place`] and document of those after `$1`, `$2` at most.
    pub(crate) fn page(self) -> &'static str {
        match self {
            Self::Nodes => "SELECT rowid, uuid, doc FROM nodes WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::Ports => "SELECT rowid, uuid, doc FROM ports WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::Operations => "SELECT rowid, node, doc FROM operations WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::AgentSessions => "SELECT rowid, node, doc FROM agent_sessions WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::DriverState => "SELECT rowid, node || '/' || driver, doc FROM driver_state WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::FailedOperations => "SELECT rowid, node, doc FROM failed_operations WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::DeployTemplates => "SELECT rowid, uuid, doc FROM deploy_templates WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::Runbooks => "SELECT rowid, uuid, doc FROM runbooks WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::Findings => "SELECT rowid, node || '/' || kind, doc FROM findings WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::InspectionRules => "SELECT rowid, uuid, doc FROM inspection_rules WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::Chassis => "SELECT rowid, uuid, doc FROM chassis WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::Portgroups => "SELECT rowid, uuid, doc FROM portgroups WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::VolumeConnectors => "SELECT rowid, uuid, doc FROM volume_connectors WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::VolumeTargets => "SELECT rowid, uuid, doc FROM volume_targets WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            Self::Allocations => "SELECT rowid, uuid, doc FROM allocations WHERE rowid > $1 ORDER BY rowid LIMIT $2",
        }
    }

    /// Puts the document `$1` into the row `$2`.
    pub(crate) fn put(self) -> &'static str {
        match self {
            Self::Nodes => "UPDATE nodes SET doc = $1 WHERE rowid = $2",
            Self::Ports => "UPDATE ports SET doc = $1 WHERE rowid = $2",
            Self::Operations => "UPDATE operations SET doc = $1 WHERE rowid = $2",
            Self::AgentSessions => "UPDATE agent_sessions SET doc = $1 WHERE rowid = $2",
            Self::DriverState => "UPDATE driver_state SET doc = $1 WHERE rowid = $2",
            Self::FailedOperations => "UPDATE failed_operations SET doc = $1 WHERE rowid = $2",
            Self::DeployTemplates => "UPDATE deploy_templates SET doc = $1 WHERE rowid = $2",
            Self::Runbooks => "UPDATE runbooks SET doc = $1 WHERE rowid = $2",
            Self::Findings => "UPDATE findings SET doc = $1 WHERE rowid = $2",
            Self::InspectionRules => "UPDATE inspection_rules SET doc = $1 WHERE rowid = $2",
            Self::Chassis => "UPDATE chassis SET doc = $1 WHERE rowid = $2",
            Self::Portgroups => "UPDATE portgroups SET doc = $1 WHERE rowid = $2",
            Self::VolumeConnectors => "UPDATE volume_connectors SET doc = $1 WHERE rowid = $2",
            Self::VolumeTargets => "UPDATE volume_targets SET doc = $1 WHERE rowid = $2",
            Self::Allocations => "UPDATE allocations SET doc = $1 WHERE rowid = $2",
        }
    }
}

enum Unsealed {
    Json,
    Seal,
}

impl From<SealError> for Unsealed {
    fn from(_: SealError) -> Self {
        Self::Seal
    }
}

/// The JSON of a value, sealed for its row; `id` as in [`Table::place`].
pub(crate) fn seal<T: Serialize>(keys: &KeyRing, table: Table, id: impl Display, value: &T) -> Result<Vec<u8>, StoreError> {
    let sealed = keys.seal(&table.place(id), |buffer| serde_json::to_writer(buffer, value).map_err(|_| Unsealed::Json));
    sealed.map_err(|error| match error {
        Unsealed::Json => StoreError::Unwritable(table.what()),
        Unsealed::Seal => StoreError::Unsealable(table.what()),
    })
}

/// The value of a sealed document. The error tells the place only: the text may hold secrets.
pub(crate) fn open<T: DeserializeOwned>(keys: &KeyRing, table: Table, id: impl Display, sealed: &[u8]) -> Result<T, StoreError> {
    let document = keys.open(&table.place(&id), sealed).map_err(|error| unreadable(table.what(), &id, error.to_string()))?;
    serde_json::from_slice(&document).map_err(|error| unreadable(table.what(), &id, misplaced(&error)))
}

/// The JSON text of a value that holds no secret.
pub(crate) fn write<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Unwritable(what))
}

/// The value of a JSON text that is not sealed.
pub(crate) fn read<T: DeserializeOwned>(what: &'static str, id: impl Display, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable(what, id, misplaced(&error)))
}

/// The value of a name kept in a column.
pub(crate) fn parse<T: std::str::FromStr<Err: Display>>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|e: T::Err| unreadable(what, "in a column", e.to_string()))
}

pub(crate) fn unreadable(what: &'static str, id: impl Display, cause: String) -> StoreError {
    StoreError::Unreadable { what, id: id.to_string(), cause }
}

fn misplaced(error: &serde_json::Error) -> String {
    format!("{:?} error at column {}", error.classify(), error.column())
}

/// The moment of a column.
pub(crate) fn moment(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}

/// A number for the database, whose integers are signed.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of the database that is never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
