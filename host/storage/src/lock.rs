//! Locks that operations of several nodes share, for example on a chassis: who holds them, and who waits in which order.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::SqliteConnection;
use wrought_domain::lock::MAX_HELD;
use wrought_domain::{NodeId, OperationId};
use wrought_engine::{HistoryEntry, Severity};

use crate::script::Script;
use crate::{Store, StoreError, document, history};

/// A lock that is held or waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedLock {
    /// Its name.
    pub name: String,
    /// Who holds it; nobody while those who wait rest in maintenance, or for the moment between two holders.
    pub holder: Option<LockUser>,
    /// Who waits for it, in the order of asking.
    pub waiters: Vec<LockUser>,
}

/// Who holds a lock or waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockUser {
    /// The node.
    pub node: NodeId,
    /// Its operation; with its end it neither holds nor waits.
    pub operation: OperationId,
    /// Since when.
    pub since: Timestamp,
}

/// Asks for a lock.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// The lock.
    pub name: String,
    /// For which node.
    pub node: NodeId,
    /// For which operation of it.
    pub operation: OperationId,
    /// Whether it gets a place among those who wait, if the lock cannot be had.
    pub queue: bool,
    /// The present time.
    pub now: Timestamp,
}

/// What came of asking for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockAnswer {
    /// The operation holds it, from now on or as before.
    Held,
    /// Another one holds it, or waits and asked before.
    Taken,
    /// The operation holds as many locks as it may.
    TooMany,
    /// The operation holds a lock whose name comes after this one's: two operations that took them in different orders would wait for each
    /// other forever.
    OutOfOrder,
}

impl LockRequest {
    async fn holder(&self, db: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT operation FROM shared_locks WHERE name = $1").bind(&self.name).fetch_optional(db).await
    }

    /// Whether somebody asked before. Those in maintenance keep their place, and are passed over: they do not go on.
    async fn is_behind(&self, db: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM lock_waiters w JOIN nodes n ON n.uuid = w.node \
             WHERE w.name = $1 AND w.operation <> $2 AND n.maintenance = FALSE AND NOT EXISTS \
             (SELECT 1 FROM lock_waiters own WHERE own.name = $1 AND own.operation = $2 AND own.id < w.id))";
        sqlx::query_scalar(sql).bind(&self.name).bind(self.operation.to_string()).fetch_one(db).await
    }

    async fn ask(self, db: &mut SqliteConnection) -> Result<LockAnswer, StoreError> {
        let (node, operation) = (self.node.to_string(), self.operation.to_string());
        // What outlives its operation must not take a lock that nobody would release.
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM operations WHERE node = $1 AND id = $2)");
        let open: bool = query.bind(&node).bind(&operation).fetch_one(&mut *db).await?;
        if !open {
            return Err(StoreError::NotFound { what: "operation", id: operation });
        }
        let holder = self.holder(&mut *db).await?;
        if holder.as_deref() == Some(operation.as_str()) {
            return Ok(LockAnswer::Held);
        }
        let query = sqlx::query_scalar("SELECT name FROM shared_locks WHERE operation = $1 ORDER BY name DESC");
        let held: Vec<String> = query.bind(&operation).fetch_all(&mut *db).await?;
        if held.len() >= MAX_HELD {
            return Ok(LockAnswer::TooMany);
        }
        if held.first().is_some_and(|last| *last > self.name) {
            return Ok(LockAnswer::OutOfOrder);
        }
        if holder.is_none() && !self.is_behind(&mut *db).await? {
            let query = sqlx::query("INSERT INTO shared_locks (name, node, operation, acquired_at) VALUES ($1, $2, $3, $4)");
            query.bind(&self.name).bind(node).bind(&operation).bind(self.now.as_microsecond()).execute(&mut *db).await?;
            let query = sqlx::query("DELETE FROM lock_waiters WHERE name = $1 AND operation = $2");
            query.bind(&self.name).bind(operation).execute(db).await?;
            return Ok(LockAnswer::Held);
        }
        if self.queue {
            let sql = "INSERT INTO lock_waiters (name, node, operation, asked_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (name, operation) DO NOTHING";
            sqlx::query(sql).bind(self.name).bind(node).bind(operation).bind(self.now.as_microsecond()).execute(db).await?;
        }
        Ok(LockAnswer::Taken)
    }
}

/// All that an operation holds of locks, and its places among those who wait.
pub(crate) fn end(script: &mut Script, node: NodeId) {
    script.add("DELETE FROM shared_locks WHERE node = ?").bind(node.to_string());
    leave(script, node);
    script.add("DELETE FROM broken_locks WHERE node = ?").bind(node.to_string());
}

/// Its places among those who wait.
pub(crate) fn leave(script: &mut Script, node: NodeId) {
    script.add("DELETE FROM lock_waiters WHERE node = ?").bind(node.to_string());
}

type Row = (String, String, String, i64);

fn user(row: Row) -> Result<(String, LockUser), StoreError> {
    let (name, node, operation, since) = row;
    let (node, operation) = (document::parse("lock", &node)?, document::parse("lock", &operation)?);
    Ok((name, LockUser { node: NodeId(node), operation: OperationId(operation), since: document::moment(since) }))
}

impl Store {
    /// Takes a lock if it is free and nobody asked before. An operation takes its locks in the order of their names, two at most.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] unless the operation is open on the node, or the database fails.
    pub async fn acquire_lock(&self, request: LockRequest) -> Result<LockAnswer, StoreError> {
        if request.queue && self.waits_on(&request).await? {
            return Ok(LockAnswer::Taken);
        }
        self.write(move |db| Box::pin(request.ask(db))).await
    }

    /// Whether nothing has changed for somebody who waits: a test of the wait costs no commit then.
    async fn waits_on(&self, request: &LockRequest) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM lock_waiters WHERE name = $1 AND operation = $2) \
             AND EXISTS (SELECT 1 FROM shared_locks WHERE name = $1 AND operation <> $2)";
        let query = sqlx::query_scalar(sql).bind(request.name.clone()).bind(request.operation.to_string());
        Ok(query.fetch_one(self.reads()).await?)
    }

    /// Releases the lock if this operation holds it, and forgets that it was broken; whether it was held.
    ///
    /// # Errors
    /// The database fails.
    pub async fn release_lock(&self, name: &str, operation: OperationId) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query("DELETE FROM broken_locks WHERE name = $1 AND operation = $2");
                query.bind(name.clone()).bind(operation.to_string()).execute(&mut *db).await?;
                let query = sqlx::query("DELETE FROM shared_locks WHERE name = $1 AND operation = $2");
                Ok(query.bind(name).bind(operation.to_string()).execute(db).await?.rows_affected() == 1)
            })
        })
        .await
    }

    /// Takes a lock away from its holder, which is to learn of it, with an entry in its node's history; who held it. With `held_by` only
    /// from that operation.
    ///
    /// # Errors
    /// The database fails.
    pub async fn break_lock(
        &self,
        name: &str,
        held_by: Option<OperationId>,
        why: &str,
        user_name: &str,
        host: &str,
    ) -> Result<Option<LockUser>, StoreError> {
        let (name, why, user_name, host) = (name.to_owned(), why.to_owned(), user_name.to_owned(), host.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query_as(
                    "DELETE FROM shared_locks WHERE name = $1 AND ($2 IS NULL OR operation = $2) RETURNING name, node, operation, acquired_at",
                );
                let row: Option<Row> =
                    query.bind(name.clone()).bind(held_by.map(|operation| operation.to_string())).fetch_optional(&mut *db).await?;
                let Some(row) = row else { return Ok(None) };
                let (_, holder) = user(row)?;
                let sql = "INSERT INTO broken_locks (name, node, operation) VALUES ($1, $2, $3) ON CONFLICT (name, operation) DO NOTHING";
                let query = sqlx::query(sql).bind(name.clone()).bind(holder.node.to_string()).bind(holder.operation.to_string());
                query.execute(&mut *db).await?;
                let event = format!("the shared lock {name} was taken away from operation {}: {why}", holder.operation);
                let entry = HistoryEntry::new(Severity::Error, "lock", event);
                let mut script = Script::default();
                history::insert(&mut script, holder.node, &[entry], &user_name, Some(&host));
                history::trim(&mut script, holder.node);
                script.run(db).await?;
                Ok(Some(holder))
            })
        })
        .await
    }

    /// Every lock that is held or waited for, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn locks(&self) -> Result<Vec<SharedLock>, StoreError> {
        let query = sqlx::query_as("SELECT name, node, operation, acquired_at FROM shared_locks");
        let held: Vec<Row> = query.fetch_all(self.reads()).await?;
        let query = sqlx::query_as("SELECT name, node, operation, asked_at FROM lock_waiters ORDER BY id");
        let waiting: Vec<Row> = query.fetch_all(self.reads()).await?;
        let mut all = std::collections::BTreeMap::<String, (Option<LockUser>, Vec<LockUser>)>::new();
        for row in held {
            let (name, holder) = user(row)?;
            all.entry(name).or_default().0 = Some(holder);
        }
        for row in waiting {
            let (name, waiter) = user(row)?;
            all.entry(name).or_default().1.push(waiter);
        }
        Ok(all.into_iter().map(|(name, (holder, waiters))| SharedLock { name, holder, waiters }).collect())
    }

    /// Whether anybody waits for a lock who goes on, and the nodes whose turn it is: the first in line of each lock that is free.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_for_locks(&self) -> Result<(bool, Vec<NodeId>), StoreError> {
        let sql = "SELECT w.name, w.node, EXISTS (SELECT 1 FROM shared_locks l WHERE l.name = w.name) FROM lock_waiters w \
             JOIN nodes n ON n.uuid = w.node WHERE n.maintenance = FALSE ORDER BY w.name, w.id";
        let mut rows: Vec<(String, String, bool)> = sqlx::query_as(sql).fetch_all(self.reads()).await?;
        let anybody = !rows.is_empty();
        rows.dedup_by(|later, first| later.0 == first.0);
        let free = rows.into_iter().filter(|(_, _, held)| !held);
        let nodes = free.map(|(_, node, _)| Ok(NodeId(document::parse("lock", &node)?))).collect::<Result<_, StoreError>>()?;
        Ok((anybody, nodes))
    }

    /// The locks that were taken away from operations that go on, with their nodes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn broken_locks(&self) -> Result<Vec<(NodeId, OperationId, String)>, StoreError> {
        let query = sqlx::query_as("SELECT node, operation, name FROM broken_locks ORDER BY node, name");
        let rows: Vec<(String, String, String)> = query.fetch_all(self.reads()).await?;
        let read = |(node, operation, name): (String, String, String)| {
            Ok((NodeId(document::parse("lock", &node)?), OperationId(document::parse("lock", &operation)?), name))
        };
        rows.into_iter().map(read).collect()
    }
}
