//! Why the store refuses or fails.

use std::path::PathBuf;
use std::sync::Arc;

use wrought_domain::{NodeId, PartError};

use crate::KeyError;

/// Why the store refuses or fails. The texts are fit for users: no SQL, no stored data.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the data folder open.
    #[error("data folder {} is in use by another process; stop it, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// The data folder cannot be used.
    #[error("data folder {}: {cause}; check that it exists or can be made, and that this user may write to it", path.display())]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the operating system said.
        cause: Arc<std::io::Error>,
    },
    /// A newer binary wrote the database.
    #[error("database {} has schema {found}, this binary knows up to {known}; run the version that wrote it or a newer one", path.display())]
    NewerSchema {
        /// The database's file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// This binary's newest.
        known: i64,
    },
    /// An older binary wrote the database, and it is only to be read.
    #[error("database {} has schema {found}, this binary's is {known}; start the host with this binary once, or use the one that wrote it", path.display())]
    OlderSchema {
        /// The database's file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// This binary's.
        known: i64,
    },
    /// There is no such thing, or the principal may not see it.
    #[error("{what} {id} could not be found")]
    NotFound {
        /// For example `node`.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// A value that must be unique is taken.
    #[error("a {0} already exists")]
    Duplicate(Duplicate),
    /// The marker of a page is not there.
    #[error("marker {0} could not be found")]
    UnknownMarker(String),
    /// A list cannot be sorted by this.
    #[error("the sort_key value \"{0}\" is invalid for sorting")]
    UnknownSortKey(String),
    /// An operation holds the node.
    #[error("node {node} is locked by host {host}, please retry after the current operation is completed")]
    Reserved {
        /// The node.
        node: NodeId,
        /// The holder.
        host: String,
    },
    /// It cannot be deleted.
    #[error("{what} cannot be deleted: {by}")]
    Referenced {
        /// For example `version 1f2e of driver acme`.
        what: String,
        /// What refers to it, and what to do.
        by: String,
    },
    /// It does not fit what is there; the text is whole.
    #[error("{0}")]
    Refused(String),
    /// What belongs to a node cannot be as asked.
    #[error(transparent)]
    Part(#[from] PartError),
    /// Somebody else wrote in between: read again and retry.
    #[error("{what} {id} was changed by somebody else in between; read it again and retry")]
    Stale {
        /// For example `node`.
        what: &'static str,
        /// Which one.
        id: String,
    },
    /// The writer does not hold the node any more; what it does has no effect.
    #[error("node {0} is not held by this operation any more")]
    StaleFence(NodeId),
    /// A stored document cannot be read.
    #[error("the stored {what} {id} cannot be read: {cause}")]
    Unreadable {
        /// For example `node`.
        what: &'static str,
        /// Which one.
        id: String,
        /// What is wrong, without the data.
        cause: String,
    },
    /// A document could not be sealed.
    #[error("the {0} could not be sealed")]
    Unsealable(&'static str),
    /// The key file is no use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A document cannot be written as JSON.
    #[error("the {0} cannot be stored as JSON")]
    Unwritable(&'static str),
    /// The database failed; the source says how.
    #[error("the database failed")]
    Database(#[source] Arc<sqlx::Error>),
    /// A write panicked and was rolled back.
    #[error("a write failed through a fault in this program and was rolled back")]
    Panicked,
    /// There are as many as there may be.
    #[error("there are {most} {what} already; delete those that nobody needs")]
    TooMany {
        /// For example `tokens`.
        what: &'static str,
        /// How many there may be.
        most: i64,
    },
    /// The store is closed, or its process is about to end.
    #[error("the store is closed")]
    Closed,
}

/// What is taken already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum Duplicate {
    #[error("node with UUID {0}")]
    NodeUuid(NodeId),
    #[error("node with name {0}")]
    NodeName(String),
    #[error("node with instance UUID {0}")]
    InstanceUuid(uuid::Uuid),
    #[error("port with MAC address {0}")]
    PortAddress(String),
    #[error("port with name {0}")]
    PortName(String),
    #[error("portgroup with MAC address {0}")]
    PortgroupAddress(String),
    #[error("portgroup with name {0}")]
    PortgroupName(String),
    #[error("volume connector with type {kind} and connector ID {id}")]
    VolumeConnector { kind: String, id: String },
    #[error("volume target with boot index '{0}' for the same node")]
    BootIndex(u16),
    #[error("deploy template with name {0}")]
    TemplateName(String),
    #[error("runbook with name {0}")]
    RunbookName(String),
    #[error("token with name {0} that is in force; revoke it, or choose another name")]
    TokenName(String),
    #[error("allocation with name {0}")]
    AllocationName(String),
    #[error("allocation with UUID {0}")]
    AllocationUuid(uuid::Uuid),
    #[error("{0} with UUID {1}")]
    RecipeUuid(&'static str, uuid::Uuid),
}

impl StoreError {
    pub(crate) fn no_node(id: impl ToString) -> Self {
        Self::NotFound { what: "node", id: id.to_string() }
    }

    pub(crate) fn folder(path: impl Into<PathBuf>, cause: std::io::Error) -> Self {
        Self::Folder { path: path.into(), cause: Arc::new(cause) }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::Closed,
            error => Self::Database(Arc::new(error)),
        }
    }
}

/// Whether a unique value was taken.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.is_unique_violation())
}

/// Whether a row that is referred to is not there.
pub(crate) fn is_dangling(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.is_foreign_key_violation())
}
