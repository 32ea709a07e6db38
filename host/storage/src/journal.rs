//! The journal's tables: chunks of driver calls, as the drivers' crate packs them. Nothing in here looks into a chunk.

use jiff::Timestamp;
use wrought_domain::{Digest, DriverName, Fence, NodeId, OperationId};

use crate::script::Script;
use crate::{Store, StoreError, document};

/// Operations purged in one transaction.
const PURGE_BATCH: i64 = 50;

/// A driver call as the journal lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalCall {
    /// The operation.
    pub operation: OperationId,
    /// The number of the call in its operation.
    pub turn: u64,
    /// The driver's registered name: lists of steps are asked of several drivers in one turn.
    pub driver: DriverName,
    /// The version.
    pub digest: Digest,
    /// `interface.function`.
    pub function: String,
    /// The step, `interface.step`.
    pub step: Option<String>,
    /// When it began.
    pub began_at: Timestamp,
}

/// What is written of a call at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalWrite {
    /// The call.
    pub call: JournalCall,
    /// The operation, should the journal not know it yet.
    pub about: JournalAbout,
    /// The index of the chunk, from 0.
    pub seq: u32,
    /// The chunk.
    pub data: Vec<u8>,
    /// The parts that the chunk refers to and the operation does not have yet.
    pub parts: Vec<([u8; 16], Vec<u8>)>,
    /// `done`, `wait`, `steps`, `refused` or `fault`: this chunk is the last one.
    pub outcome: Option<&'static str>,
}

/// What the journal says of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalAbout {
    /// The node.
    pub node: NodeId,
    /// For example `deploy`.
    pub kind: &'static str,
    /// On whose behalf.
    pub user: String,
    /// When it began.
    pub began_at: Timestamp,
}

/// A stored call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCall {
    /// Its id in this database.
    pub id: i64,
    /// What it is.
    pub call: JournalCall,
    /// The fence of its last write.
    pub fence: Fence,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How, in one word.
    pub outcome: Option<String>,
    /// Its chunks, in order.
    pub chunks: Vec<Vec<u8>>,
}

/// An operation in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOperation {
    /// Its id.
    pub operation: OperationId,
    /// The node; it may be gone.
    pub node: NodeId,
    /// For example `deploy`.
    pub kind: String,
    /// On whose behalf.
    pub user: String,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// Calls.
    pub calls: u64,
    /// Bytes of its chunks and parts.
    pub bytes: u64,
}

type OperationRow = (String, String, String, String, i64, Option<i64>, Option<String>, i64, i64);
type CallRow = (i64, String, i64, String, String, String, Option<String>, i64, i64, Option<i64>, Option<String>, Vec<u8>);

const OPERATION: &str = "SELECT operation, node, kind, user_name, began_at, ended_at, error, calls, bytes FROM journal_operations";

const CALL: &str =
    "SELECT id, operation, turn, driver, digest, function, step, fence, began_at, ended_at, outcome, data FROM journal_calls";

fn operation(row: OperationRow) -> Result<StoredOperation, StoreError> {
    let (operation, node, kind, user, began_at, ended_at, error, calls, bytes) = row;
    Ok(StoredOperation {
        operation: OperationId(document::parse("journal", &operation)?),
        node: NodeId(document::parse("journal", &node)?),
        kind,
        user,
        began_at: document::moment(began_at),
        ended_at: ended_at.map(document::moment),
        error,
        calls: document::unsigned(calls),
        bytes: document::unsigned(bytes),
    })
}

/// Writes a chunk.
pub(crate) fn put(script: &mut Script, write: &JournalWrite, fence: Fence) {
    let JournalWrite { call, about, seq, data, parts, outcome } = write;
    let id = call.operation.to_string();
    let bytes = parts.iter().map(|(_, data)| data.len()).sum::<usize>().saturating_add(data.len());
    script
        .add(
            "INSERT INTO journal_operations (operation, node, kind, user_name, began_at, calls, bytes) VALUES (?, ?, ?, ?, ?, 1, ?) \
             ON CONFLICT (operation) DO UPDATE SET calls = calls + ?, bytes = bytes + excluded.bytes, kind = excluded.kind",
        )
        .bind(id.clone())
        .bind(about.node.to_string())
        .bind(about.kind)
        .bind(about.user.clone())
        .bind(about.began_at.as_microsecond())
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind(i64::from(*seq == 0));
    for (part, data) in parts {
        script
            .add("INSERT INTO journal_parts (operation, id, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(id.clone())
            .bind(part.to_vec())
            .bind(data.clone());
    }
    let ended_at = outcome.map(|_| Timestamp::now().as_microsecond());
    let (turn, driver, fence) = (document::signed(call.turn), call.driver.to_string(), document::signed(fence.0));
    if *seq == 0 {
        script
            .add(
                "INSERT INTO journal_calls (operation, turn, driver, digest, function, step, fence, began_at, ended_at, outcome, data) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(turn)
            .bind(driver)
            .bind(call.digest.to_string())
            .bind(call.function.clone())
            .bind(call.step.clone())
            .bind(fence)
            .bind(call.began_at.as_microsecond())
            .bind(ended_at)
            .bind(*outcome)
            .bind(data.clone());
        return;
    }
    script
        .add("UPDATE journal_calls SET ended_at = ?, outcome = ?, fence = ? WHERE operation = ? AND turn = ? AND driver = ?")
        .bind(ended_at)
        .bind(*outcome)
        .bind(fence)
        .bind(id.clone())
        .bind(turn)
        .bind(driver.clone());
    // Without the call, which cannot be, NULL is refused.
    script
        .add(
            "INSERT INTO journal_chunks (call, seq, data) \
             VALUES ((SELECT id FROM journal_calls WHERE operation = ? AND turn = ? AND driver = ?), ?, ?)",
        )
        .bind(id)
        .bind(turn)
        .bind(driver)
        .bind(i64::from(*seq))
        .bind(data.clone());
}

/// Puts the open call of an operation under the fence of who goes on with it.
pub(crate) fn adopt(script: &mut Script, operation: OperationId, fence: Fence) {
    let sql = "UPDATE journal_calls SET fence = ? WHERE operation = ? AND ended_at IS NULL";
    script.add(sql).bind(document::signed(fence.0)).bind(operation.to_string());
}

/// Notes that the open operation of a node ends.
pub(crate) fn end(script: &mut Script, node: NodeId, error: Option<&str>) {
    script
        .add("UPDATE journal_operations SET ended_at = ?, error = ? WHERE operation = (SELECT id FROM operations WHERE node = ?)")
        .bind(Timestamp::now().as_microsecond())
        .bind(error.map(str::to_owned))
        .bind(node.to_string());
}

impl Store {
    /// Writes an effect's intent, with all that is new of its call: durable when this returns, and the operation was found
    /// to hold the node in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::StaleFence`] when it does not hold the node; the database fails.
    pub async fn journal_intent(&self, write: JournalWrite, fence: Fence) -> Result<(), StoreError> {
        let node = write.about.node;
        let mut script = Script::default();
        holds(&mut script, node, write.call.operation, fence);
        put(&mut script, &write, fence);
        self.write_script(script, move |_, held| Box::pin(async move { held?.map(drop).ok_or(StoreError::StaleFence(node)) })).await
    }

    /// Whether an operation holds its node under this fence.
    ///
    /// # Errors
    /// The database fails.
    pub async fn holds(&self, node: NodeId, operation: OperationId, fence: Fence) -> Result<bool, StoreError> {
        let mut script = Script::default();
        holds(&mut script, node, operation, fence);
        Ok(script.run_if(&mut *self.reads().acquire().await?).await?.is_some())
    }

    /// The store for what an operation writes besides its advances: ports, findings, history. Such a write is done only while the operation
    /// holds the node under this fence, in the same transaction; else it is refused as [`StoreError::StaleFence`].
    #[must_use]
    pub fn held_by(&self, node: NodeId, operation: OperationId, fence: Fence) -> Self {
        Self { holder: Some((node, operation, fence)), ..self.clone() }
    }

    /// The call of an operation that has this number and has not ended, if there is one, with its chunks.
    ///
    /// # Errors
    /// The database fails.
    pub async fn open_call(&self, operation: OperationId, turn: u64) -> Result<Option<StoredCall>, StoreError> {
        let open = self.calls_where("operation = $1 AND ended_at IS NULL", operation.to_string()).await?;
        Ok(open.into_iter().find(|open| open.call.turn == turn))
    }

    /// All calls of an operation, in order, with their chunks.
    ///
    /// # Errors
    /// The database fails.
    pub async fn journal_calls(&self, operation: OperationId) -> Result<Vec<StoredCall>, StoreError> {
        self.calls_where("operation = $1", operation.to_string()).await
    }

    /// One call by its id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn journal_call(&self, id: i64) -> Result<Option<StoredCall>, StoreError> {
        Ok(self.calls_where("id = CAST($1 AS BIGINT)", id.to_string()).await?.pop())
    }

    async fn calls_where(&self, condition: &'static str, value: String) -> Result<Vec<StoredCall>, StoreError> {
        let sql = format!("{CALL} WHERE {condition} ORDER BY id");
        let rows: Vec<CallRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(value.clone()).fetch_all(self.reads()).await?;
        let sql = format!(
            "SELECT call, data FROM journal_chunks WHERE call IN (SELECT id FROM journal_calls WHERE {condition}) ORDER BY call, seq"
        );
        let more: Vec<(i64, Vec<u8>)> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(value).fetch_all(self.reads()).await?;
        let mut more = more.into_iter().peekable();
        let mut calls = Vec::with_capacity(rows.len());
        for (id, operation, turn, driver, digest, function, step, fence, began_at, ended_at, outcome, data) in rows {
            let mut chunks = vec![data];
            while let Some((_, data)) = more.next_if(|(call, _)| *call == id) {
                chunks.push(data);
            }
            calls.push(StoredCall {
                id,
                call: JournalCall {
                    operation: OperationId(document::parse("journal", &operation)?),
                    turn: document::unsigned(turn),
                    driver: document::parse("journal", &driver)?,
                    digest: document::parse("journal", &digest)?,
                    function,
                    step,
                    began_at: document::moment(began_at),
                },
                fence: Fence(document::unsigned(fence)),
                ended_at: ended_at.map(document::moment),
                outcome,
                chunks,
            });
        }
        Ok(calls)
    }

    /// The parts that an operation's chunks refer to.
    ///
    /// # Errors
    /// The database fails.
    pub async fn journal_parts(&self, operation: OperationId) -> Result<Vec<([u8; 16], Vec<u8>)>, StoreError> {
        let query = sqlx::query_as("SELECT id, data FROM journal_parts WHERE operation = $1").bind(operation.to_string());
        let rows: Vec<(Vec<u8>, Vec<u8>)> = query.fetch_all(self.reads()).await?;
        Ok(rows.into_iter().filter_map(|(id, data)| Some((id.try_into().ok()?, data))).collect())
    }

    /// An operation in the journal.
    ///
    /// # Errors
    /// The database fails.
    pub async fn journal_operation(&self, id: OperationId) -> Result<Option<StoredOperation>, StoreError> {
        let sql = format!("{OPERATION}{}", " WHERE operation = $1");
        let row: Option<OperationRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(self.reads()).await?;
        row.map(operation).transpose()
    }

    /// Operations, the latest first: of one node or of all, `limit` at most, of those that began before `before`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn journal_operations(
        &self,
        node: Option<NodeId>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<StoredOperation>, StoreError> {
        let sql =
            format!("{OPERATION}{}", " WHERE ($1 IS NULL OR node = $1) AND ($2 IS NULL OR began_at < $2) ORDER BY began_at DESC LIMIT $3");
        let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(node.map(|node| node.to_string()));
        let rows: Vec<OperationRow> =
            query.bind(before.map(Timestamp::as_microsecond)).bind(i64::from(limit)).fetch_all(self.reads()).await?;
        rows.into_iter().map(operation).collect()
    }

    /// Drops a batch of operations that ended before `ended_before`, or, while all together take more than `max_bytes`,
    /// those that ended first. Operations that go on are kept. How many were dropped; 0 when there is nothing to do.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_journal(&self, ended_before: Timestamp, max_bytes: u64) -> Result<u64, StoreError> {
        let total: i64 = sqlx::query_scalar("SELECT COALESCE(SUM(bytes), 0) FROM journal_operations").fetch_one(self.reads()).await?;
        let too_many = document::unsigned(total) > max_bytes;
        let bound = if too_many { i64::MAX } else { ended_before.as_microsecond() };
        let sql = "SELECT operation FROM journal_operations WHERE ended_at < $1 ORDER BY ended_at LIMIT $2";
        let victims: Vec<String> = sqlx::query_scalar(sql).bind(bound).bind(PURGE_BATCH).fetch_all(self.reads()).await?;
        if victims.is_empty() {
            return Ok(0);
        }
        self.write(move |db| {
            Box::pin(async move {
                let mut purged = 0_u64;
                for victim in victims {
                    let query = sqlx::query("DELETE FROM journal_operations WHERE operation = $1").bind(victim);
                    purged = purged.saturating_add(query.execute(&mut *db).await?.rows_affected());
                }
                Ok(purged)
            })
        })
        .await
    }

    /// Notes that the host is alive at `now`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_alive(&self, host: &str, now: Timestamp) -> Result<(), StoreError> {
        let host = host.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                let sql =
                    "INSERT INTO hosts (name, alive_at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET alive_at = excluded.alive_at";
                sqlx::query(sql).bind(host).bind(now.as_microsecond()).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// When any host was last alive; nothing when none ever was.
    ///
    /// # Errors
    /// The database fails.
    pub async fn last_alive(&self) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<i64> = sqlx::query_scalar("SELECT MAX(alive_at) FROM hosts").fetch_one(self.reads()).await?;
        Ok(at.map(document::moment))
    }
}

/// Finds a row if the operation holds its node under this fence.
pub(crate) fn holds(script: &mut Script, node: NodeId, operation: OperationId, fence: Fence) {
    script
        .add(
            "SELECT 1 FROM nodes n JOIN operations o ON o.node = n.uuid \
             WHERE n.uuid = ? AND n.fence = ? AND n.reservation IS NOT NULL AND o.id = ?",
        )
        .bind(node.to_string())
        .bind(document::signed(fence.0))
        .bind(operation.to_string());
}
