//! Locks that operations of several nodes share, for example on a disk of theirs.

use jiff::Timestamp;
use wrought_domain::{NodeId, OperationId};

use crate::error::is_dangling;
use crate::{Store, StoreError, document};

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedLock {
    /// Its name.
    pub name: String,
    /// The node that holds it.
    pub node: NodeId,
    /// The operation that holds it; the lock is released when it ends.
    pub operation: OperationId,
    /// Since when.
    pub acquired_at: Timestamp,
}

impl Store {
    /// Takes the lock; whether this operation holds it now, as it may have done before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] unless this operation is open on the node, or the database fails.
    pub async fn acquire_lock(&self, name: &str, node: NodeId, operation: OperationId) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                // The condition keeps a call that outlives its operation from taking a lock that nobody would release.
                let sql = "INSERT INTO shared_locks (name, node, operation, acquired_at) \
                     SELECT $1, node, id, $4 FROM operations WHERE node = $2 AND id = $3 ON CONFLICT (name) DO NOTHING";
                let query = sqlx::query(sql).bind(name.clone()).bind(node.to_string()).bind(operation.to_string());
                match query.bind(Timestamp::now().as_microsecond()).execute(&mut *db).await {
                    Ok(done) if done.rows_affected() == 1 => return Ok(true),
                    Ok(_) => {}
                    Err(error) if is_dangling(&error) => return Err(StoreError::no_node(node)),
                    Err(error) => return Err(error.into()),
                }
                let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM operations WHERE node = $1 AND id = $2")
                    .bind(node.to_string())
                    .bind(operation.to_string())
                    .fetch_one(&mut *db)
                    .await?;
                if open == 0 {
                    return Err(StoreError::NotFound { what: "operation", id: operation.to_string() });
                }
                let holder: Option<String> =
                    sqlx::query_scalar("SELECT operation FROM shared_locks WHERE name = $1").bind(name).fetch_optional(db).await?;
                Ok(holder.is_some_and(|holder| holder == operation.to_string()))
            })
        })
        .await
    }

    /// Releases the lock if this operation holds it; whether it did.
    ///
    /// # Errors
    /// The database fails.
    pub async fn release_lock(&self, name: &str, operation: OperationId) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                let query =
                    sqlx::query("DELETE FROM shared_locks WHERE name = $1 AND operation = $2").bind(name).bind(operation.to_string());
                Ok(query.execute(db).await?.rows_affected() == 1)
            })
        })
        .await
    }

    /// Every lock that is held, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn locks(&self) -> Result<Vec<SharedLock>, StoreError> {
        let query = sqlx::query_as("SELECT name, node, operation, acquired_at FROM shared_locks ORDER BY name");
        let rows: Vec<(String, String, String, i64)> = query.fetch_all(self.reads()).await?;
        rows.into_iter()
            .map(|(name, node, operation, acquired_at)| {
                Ok(SharedLock {
                    name,
                    node: NodeId(document::parse("lock", &node)?),
                    operation: OperationId(document::parse("lock", &operation)?),
                    acquired_at: document::moment(acquired_at),
                })
            })
            .collect()
    }
}
