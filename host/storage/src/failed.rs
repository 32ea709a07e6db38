//! The operation that failed last on a node: what a retry goes on with.

use jiff::Timestamp;
use wrought_domain::NodeId;
use wrought_engine::Operation;

use crate::document::Table;
use crate::script::Script;
use crate::{Store, StoreError, document};

/// An operation that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedOperation {
    /// When.
    pub at: Timestamp,
    /// As it was when it failed.
    pub operation: Operation,
}

/// Keeps it in place of the former.
pub(crate) fn put(script: &mut Script, node: NodeId, doc: Vec<u8>) {
    script
        .add(
            "INSERT INTO failed_operations (node, failed_at, doc) VALUES (?, ?, ?) \
             ON CONFLICT (node) DO UPDATE SET failed_at = excluded.failed_at, doc = excluded.doc",
        )
        .bind(node.to_string())
        .bind(Timestamp::now().as_microsecond())
        .bind(doc);
}

/// Forgets it: another operation begins.
pub(crate) fn forget(script: &mut Script, node: NodeId) {
    script.add("DELETE FROM failed_operations WHERE node = ?").bind(node.to_string());
}

impl Store {
    /// The operation that failed last on the node, until another one begins there that is more than a change of power.
    ///
    /// # Errors
    /// The database fails.
    pub async fn failed_operation(&self, node: NodeId) -> Result<Option<FailedOperation>, StoreError> {
        let query = sqlx::query_as("SELECT failed_at, doc FROM failed_operations WHERE node = $1").bind(node.to_string());
        let found: Option<(i64, Vec<u8>)> = query.fetch_optional(self.reads()).await?;
        let Some((at, doc)) = found else { return Ok(None) };
        let operation = document::open(self.keys(), Table::FailedOperations, node, &doc)?;
        Ok(Some(FailedOperation { at: document::moment(at), operation }))
    }
}
