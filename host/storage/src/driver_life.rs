//! How drivers come and go: uploads that were refused, and versions that nothing refers to any more.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::SqliteConnection;
use wrought_domain::{Digest, DriverName};
use wrought_engine::Operation;

use crate::document::Table;
use crate::driver::DriverStatus;
use crate::seal::KeyRing;
use crate::{Store, StoreError, document};

/// Refused uploads that are remembered for one name.
const REJECTIONS_PER_NAME: i64 = 20;

/// Refused uploads that are remembered at all.
const REJECTIONS: i64 = 500;

/// Documents that are looked at in one go.
const PAGE: i64 = 500;

/// An upload that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverRejection {
    /// The name it was to be registered under.
    pub name: DriverName,
    /// Of the bytes.
    pub digest: Digest,
    /// How many there were.
    pub size: u64,
    /// When.
    pub rejected_at: Timestamp,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// From which address.
    pub uploaded_from: Option<String>,
    /// Why it was refused.
    pub reason: String,
    /// What the stages of admission found.
    pub report: Value,
}

/// What refers to a version of a driver, in words for the one who wants to delete it.
async fn reference(db: &mut SqliteConnection, keys: &KeyRing, name: &DriverName, digest: &Digest) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT status FROM driver_versions WHERE name = $1 AND digest = $2");
    let status: Option<String> = query.bind(name.to_string()).bind(digest.to_string()).fetch_optional(&mut *db).await?;
    let Some(status) = status else {
        return Err(StoreError::NotFound { what: "driver version", id: format!("{name} {}", digest.short()) });
    };
    if [DriverStatus::Active, DriverStatus::Canary].iter().any(|serving| serving.as_str() == status) {
        return Ok(Some(format!("it is {status}; put another version in force first")));
    }
    if let Some(node) = pinned(db, keys, name, digest).await? {
        return Ok(Some(format!("an operation on node {node} runs on it; wait for its end")));
    }
    if let Some(node) = written(db, name, digest).await? {
        return Ok(Some(format!("it may have written what the driver keeps about node {node}; tear that node down first")));
    }
    let query = sqlx::query_scalar("SELECT COUNT(*) FROM journal_calls WHERE driver = $1 AND digest = $2");
    let calls: i64 = query.bind(name.to_string()).bind(digest.to_string()).fetch_one(db).await?;
    if calls > 0 {
        return Ok(Some(format!("the journal has {calls} of its calls; they are dropped after journal.keep_days")));
    }
    Ok(None)
}

/// A node with an open operation on the version.
async fn pinned(db: &mut SqliteConnection, keys: &KeyRing, name: &DriverName, digest: &Digest) -> Result<Option<String>, StoreError> {
    let mut after = String::new();
    loop {
        let query = sqlx::query_as("SELECT node, doc FROM operations WHERE node > $1 ORDER BY node LIMIT $2");
        let page: Vec<(String, Vec<u8>)> = query.bind(after.clone()).bind(PAGE).fetch_all(&mut *db).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        after.clone_from(last);
        for (node, doc) in page {
            let operation: Operation = document::open(keys, Table::Operations, &node, &doc)?;
            if operation.drivers.iter().any(|pin| pin.name == *name && pin.digest == *digest) {
                return Ok(Some(node));
            }
        }
    }
}

/// A node about which the driver keeps state that the version wrote, or that does not tell who wrote it.
async fn written(db: &mut SqliteConnection, name: &DriverName, digest: &Digest) -> Result<Option<String>, StoreError> {
    let sql = "SELECT node FROM driver_state WHERE driver = $1 AND (keeps IS NULL OR (keeps AND (digest IS NULL OR digest = $2))) LIMIT 1";
    let query = sqlx::query_scalar(sql).bind(name.to_string()).bind(digest.to_string());
    Ok(query.fetch_optional(db).await?)
}

impl Store {
    /// Remembers an upload that was refused, in place of the oldest ones.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_driver_rejection(&self, rejection: &DriverRejection) -> Result<(), StoreError> {
        let doc = document::write("refused upload", rejection)?;
        let (name, rejected_at) = (rejection.name.to_string(), rejection.rejected_at.as_microsecond());
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query("INSERT INTO driver_rejections (name, rejected_at, doc) VALUES ($1, $2, $3)");
                query.bind(name.clone()).bind(rejected_at).bind(doc).execute(&mut *db).await?;
                let sql = "DELETE FROM driver_rejections WHERE name = $1 AND id NOT IN \
                     (SELECT id FROM driver_rejections WHERE name = $1 ORDER BY id DESC LIMIT $2)";
                sqlx::query(sql).bind(name).bind(REJECTIONS_PER_NAME).execute(&mut *db).await?;
                let sql = "DELETE FROM driver_rejections WHERE id NOT IN (SELECT id FROM driver_rejections ORDER BY id DESC LIMIT $1)";
                sqlx::query(sql).bind(REJECTIONS).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// The uploads under a name that were refused, the last one first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn driver_rejections(&self, name: &DriverName) -> Result<Vec<DriverRejection>, StoreError> {
        let query = sqlx::query_scalar("SELECT doc FROM driver_rejections WHERE name = $1 ORDER BY id DESC");
        let docs: Vec<String> = query.bind(name.to_string()).fetch_all(self.reads()).await?;
        docs.iter().map(|doc| document::read("refused upload", "in a list", doc)).collect()
    }

    /// Forgets a version that nothing refers to. Answers whether its component is none of any name's any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without this version; [`StoreError::Referenced`] while it is in force, or an operation, a
    /// node's driver state or the journal refers to it.
    pub async fn delete_driver_version(&self, name: &DriverName, digest: &Digest) -> Result<bool, StoreError> {
        let (name, digest, keys) = (name.clone(), digest.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                if let Some(by) = reference(db, &keys, &name, &digest).await? {
                    return Err(StoreError::Referenced { what: format!("version {} of driver {name}", digest.short()), by });
                }
                let query = sqlx::query("DELETE FROM driver_versions WHERE name = $1 AND digest = $2");
                query.bind(name.to_string()).bind(digest.to_string()).execute(&mut *db).await?;
                let sql = "DELETE FROM components WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM driver_versions WHERE digest = $1)";
                let gone = sqlx::query(sql).bind(digest.to_string()).execute(db).await?;
                Ok(gone.rows_affected() > 0)
            })
        })
        .await
    }
}
