//! The writes of operations: reserving a node, advancing, letting go. All carry the fence.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::SqliteConnection;
use wrought_domain::{DriverName, Fence, Node, NodeId, Port, ProvisionState};
use wrought_engine::{Advance, Operation, Wipe};

use crate::document::Table;
use crate::journal::JournalWrite;
use crate::node::{Revision, bind, current, explain, node_columns};
use crate::script::Script;
use crate::seal::KeyRing;
use crate::{Store, StoreError, allocation, document, event, failed, history, journal, lock};

/// Operations read at once.
const PAGE: i64 = 500;

/// A node that was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Goes with every write of the operation.
    pub fence: Fence,
    /// The node's revision now.
    pub revision: Revision,
}

/// An advance of an operation, committed as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// What the engine answered. Without an operation in it the node is let go of.
    pub advance: &'a Advance,
    /// The node as it was: what changed of its power and maintenance is told of.
    pub was: &'a Node,
    /// The revision that the advance was computed on.
    pub revision: Revision,
    /// The operation's fence.
    pub fence: Fence,
    /// The state that drivers asked to keep: `{"operation": {..}, "node": {..}, "schema": n, "digest": "sha256:.."}` each, the
    /// latter two of the version that writes it. It is written first, then wiped as the advance says.
    pub driver_state: &'a [(DriverName, Value)],
    /// The last chunks of the driver calls that led to the advance.
    pub journal: &'a [JournalWrite],
    /// On whose behalf, for the history.
    pub user: &'a str,
}

const RESERVE: &str = concat!(
    "UPDATE nodes SET ",
    node_columns!(),
    ", reservation = ?, fence = fence + ?, revision = revision + 1 WHERE uuid = ? AND revision = ? AND reservation IS NULL RETURNING fence"
);

const ADVANCE: &str = concat!(
    "UPDATE nodes SET ",
    node_columns!(),
    ", reservation = CASE WHEN ? THEN reservation ELSE NULL END, revision = revision + 1 \
     WHERE uuid = ? AND revision = ? AND fence = ? AND reservation IS NOT NULL RETURNING revision"
);

/// The id that a driver's state is sealed for.
fn state_id(node: NodeId, driver: impl Display) -> String {
    format!("{node}/{driver}")
}

fn put_operation(script: &mut Script, node: NodeId, id: &str, due: Option<Timestamp>, doc: Vec<u8>) {
    script
        .add(
            "INSERT INTO operations (node, id, due_at, doc) VALUES (?, ?, ?, ?) \
             ON CONFLICT (node) DO UPDATE SET id = excluded.id, due_at = excluded.due_at, doc = excluded.doc",
        )
        .bind(node.to_string())
        .bind(id.to_owned())
        .bind(due.map(Timestamp::as_microsecond))
        .bind(doc);
}

fn end_operation(script: &mut Script, node: NodeId, error: Option<&str>) {
    journal::end(script, node, error);
    script.add("DELETE FROM operations WHERE node = ?").bind(node.to_string());
    lock::end(script, node);
    // The agent of this operation is not to be believed in the next one.
    script.add("DELETE FROM agent_sessions WHERE node = ?").bind(node.to_string());
}

fn put_state(script: &mut Script, node: NodeId, driver: &str, state: &Value, doc: Vec<u8>) {
    let keeps = state.get("node").and_then(Value::as_object).is_some_and(|keys| !keys.is_empty());
    script
        .add(
            "INSERT INTO driver_state (node, driver, doc, keeps, state_schema, digest) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (node, driver) DO UPDATE SET doc = excluded.doc, keeps = excluded.keeps, \
             state_schema = excluded.state_schema, digest = excluded.digest",
        )
        .bind(node.to_string())
        .bind(driver.to_owned())
        .bind(doc)
        .bind(keeps)
        .bind(state.get("schema").and_then(Value::as_i64))
        .bind(state.get("digest").and_then(Value::as_str).map(str::to_owned));
}

/// Forgets what a driver keeps of an operation; whether there was something.
fn wipe_operation(state: &mut Value) -> bool {
    let kept = state.get_mut("operation").filter(|kept| kept.as_object().is_some_and(|map| !map.is_empty()));
    kept.map(|kept| *kept = Value::Object(serde_json::Map::new())).is_some()
}

/// Why a fenced write of a node hit no row.
async fn refusal(db: &mut SqliteConnection, keys: &KeyRing, node: NodeId, fence: Fence) -> StoreError {
    match current(db, keys, node).await {
        Err(error) => error,
        Ok(now) if now.fence != fence || now.value.reservation.is_none() => StoreError::StaleFence(node),
        Ok(_) => StoreError::Stale { what: "node", id: node.to_string() },
    }
}

impl Store {
    /// Starts what an advance begins: reserves the node for `host` under a new fence and stores
    /// the operation with that fence. An advance without an operation (a transition that needs
    /// no work) is written under the same conditions, and nothing is reserved.
    ///
    /// # Errors
    /// [`StoreError::Reserved`] when an operation holds the node, [`StoreError::Stale`] when it
    /// was changed since `revision`.
    pub async fn begin(&self, advance: &Advance, revision: Revision, host: &str, user: &str) -> Result<Held, StoreError> {
        let (mut node, operation) = (advance.next.node.clone(), advance.next.operation.clone());
        let (host, wipe) = (host.to_owned(), advance.wipe);
        node.updated_at = Some(Timestamp::now());
        let doc = document::seal(self.keys(), Table::Nodes, node.uuid, &node)?;
        let keys = Arc::clone(self.keys());
        let mut reserve = Script::default();
        bind(&mut reserve, RESERVE, &node, doc)
            .bind(operation.is_some().then(|| host.clone()))
            .bind(i64::from(operation.is_some()))
            .bind(node.uuid.to_string())
            .bind(document::signed(revision.0));
        let mut script = Script::default();
        self.put_states(&mut script, node.uuid, &[], wipe).await?;
        history::insert(&mut script, node.uuid, &advance.history, user, Some(&host));
        history::trim(&mut script, node.uuid);
        event::insert(&mut script, node.uuid, event::of_operation(&advance.events, &node, user));
        if operation.as_ref().is_some_and(|operation| operation.kind.moves()) {
            failed::forget(&mut script, node.uuid);
        }
        let begun = self.write_script_then(self.tell_events(), reserve, move |db, reserved| {
            Box::pin(async move {
                let row = match reserved {
                    Ok(Some(row)) => row,
                    Ok(None) => {
                        return Err(match current(db, &keys, node.uuid).await?.value.reservation {
                            Some(host) => StoreError::Reserved { node: node.uuid, host },
                            None => StoreError::Stale { what: "node", id: node.uuid.to_string() },
                        });
                    }
                    Err(error) => return Err(explain(db, &node, error).await),
                };
                let fence = Fence(document::unsigned(sqlx::Row::try_get(&row, 0)?));
                if let Some(mut operation) = operation {
                    operation.fence = fence;
                    let doc = document::seal(&keys, Table::Operations, node.uuid, &operation)?;
                    put_operation(&mut script, node.uuid, &operation.id.to_string(), operation.due(), doc);
                }
                script.run(db).await?;
                Ok(Held { fence, revision: Revision(revision.0.saturating_add(1)) })
            })
        });
        begun.await
    }

    /// Stores an advance of the operation that holds the node: node, operation, driver state and
    /// history. Answers with the node's new revision.
    ///
    /// # Errors
    /// [`StoreError::StaleFence`] when the operation does not hold the node any more;
    /// [`StoreError::Stale`] when somebody else patched the node since: read it and step again.
    pub async fn commit(&self, commit: Commit<'_>) -> Result<Revision, StoreError> {
        let Commit { advance, was, revision, fence, driver_state, journal, user } = commit;
        let (mut node, wipe) = (advance.next.node.clone(), advance.wipe);
        let id = node.uuid;
        node.updated_at = Some(Timestamp::now());
        let keys = Arc::clone(self.keys());
        let doc = document::seal(&keys, Table::Nodes, id, &node)?;
        let mut script = Script::default();
        bind(&mut script, ADVANCE, &node, doc)
            .bind(advance.next.operation.is_some())
            .bind(id.to_string())
            .bind(document::signed(revision.0))
            .bind(document::signed(fence.0));
        let conductor = node.reservation.as_deref().or(node.conductor.as_deref());
        history::insert(&mut script, id, &advance.history, user, conductor);
        event::insert(&mut script, id, event::of_operation(&advance.events, &node, user));
        event::insert(&mut script, id, event::changes(was, &node, user));
        allocation::follow(&mut script, was, &node);
        if let Some(operation) = advance.failed.as_ref().filter(|operation| operation.kind.moves()) {
            failed::put(&mut script, &keys, &node, operation)?;
        }
        for write in journal {
            journal::put(&mut script, write, fence);
        }
        match &advance.next.operation {
            Some(operation) => {
                let kept = Operation { fence, ..operation.clone() };
                let doc = document::seal(&keys, Table::Operations, id, &kept)?;
                put_operation(&mut script, id, &operation.id.to_string(), operation.due(), doc);
                if !operation.waiting.as_ref().is_some_and(|waiting| waiting.condition.waits_for_lock()) {
                    lock::leave(&mut script, id);
                }
            }
            None => {
                history::trim(&mut script, id);
                end_operation(&mut script, id, node.last_error.as_deref());
            }
        }
        self.put_states(&mut script, id, driver_state, wipe).await?;
        let torn_down = was.provision_state == ProvisionState::Deleting && node.provision_state != ProvisionState::Deleting;
        if torn_down && node.instance_uuid.is_none() && node.instance_info.is_empty() {
            self.forget_vifs(&mut script, id).await?;
        }
        let committed = self.write_script_then(self.tell_events(), script, move |db, advanced| {
            Box::pin(async move {
                match advanced {
                    Ok(Some(_)) => Ok(Revision(revision.0.saturating_add(1))),
                    Ok(None) => Err(refusal(db, &keys, id, fence).await),
                    Err(error) => Err(explain(db, &node, error).await),
                }
            })
        });
        committed.await
    }

    /// Writes what drivers asked to keep, wiped as an advance says. Nobody but who holds the node writes it, so what is stored
    /// may be read before.
    async fn put_states(
        &self,
        script: &mut Script,
        node: NodeId,
        asked: &[(DriverName, Value)],
        wipe: Option<Wipe>,
    ) -> Result<(), StoreError> {
        if wipe == Some(Wipe::All) {
            script.add("DELETE FROM driver_state WHERE node = ?").bind(node.to_string());
            return Ok(());
        }
        let mut states: Vec<(String, Cow<'_, Value>)> =
            asked.iter().map(|(driver, state)| (driver.to_string(), Cow::Borrowed(state))).collect();
        if wipe == Some(Wipe::Operation) {
            for (_, state) in &mut states {
                wipe_operation(state.to_mut());
            }
            let query = sqlx::query_as("SELECT driver, doc FROM driver_state WHERE node = $1").bind(node.to_string());
            let stored: Vec<(String, Vec<u8>)> = query.fetch_all(self.reads()).await?;
            for (driver, doc) in stored.into_iter().filter(|(driver, _)| asked.iter().all(|(name, _)| name.as_str() != driver)) {
                let mut state: Value = document::open(self.keys(), Table::DriverState, state_id(node, &driver), &doc)?;
                if wipe_operation(&mut state) {
                    states.push((driver, Cow::Owned(state)));
                }
            }
        }
        for (driver, state) in states {
            let doc = document::seal(self.keys(), Table::DriverState, state_id(node, &driver), state.as_ref())?;
            put_state(script, node, &driver, state.as_ref(), doc);
        }
        Ok(())
    }

    /// Takes over the open operation of a node and its open driver call under a new fence: writes
    /// and effects of the former holder are refused from now on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no operation is open.
    pub async fn adopt(&self, node: NodeId, host: &str) -> Result<(Operation, Held), StoreError> {
        let (host, keys) = (host.to_owned(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query_scalar("SELECT doc FROM operations WHERE node = $1").bind(node.to_string());
                let found: Option<Vec<u8>> = query.fetch_optional(&mut *db).await?;
                let found = found.ok_or_else(|| StoreError::NotFound { what: "operation of node", id: node.to_string() })?;
                let mut operation: Operation = document::open(&keys, Table::Operations, node, &found)?;
                let sql = "UPDATE nodes SET reservation = $2, fence = fence + 1, revision = revision + 1 WHERE uuid = $1 RETURNING fence, revision";
                let taken: (i64, i64) = sqlx::query_as(sql).bind(node.to_string()).bind(host).fetch_one(&mut *db).await?;
                operation.fence = Fence(document::unsigned(taken.0));
                let doc = document::seal(&keys, Table::Operations, node, &operation)?;
                let mut script = Script::default();
                put_operation(&mut script, node, &operation.id.to_string(), operation.due(), doc);
                journal::adopt(&mut script, operation.id, operation.fence);
                script.run(db).await?;
                let held = Held { fence: operation.fence, revision: Revision(document::unsigned(taken.1)) };
                Ok((operation, held))
            })
        })
        .await
    }

    /// The operation that holds the node.
    ///
    /// # Errors
    /// The database fails.
    pub async fn operation(&self, node: NodeId) -> Result<Option<Operation>, StoreError> {
        let query = sqlx::query_scalar("SELECT doc FROM operations WHERE node = $1").bind(node.to_string());
        let doc: Option<Vec<u8>> = query.fetch_optional(self.reads()).await?;
        doc.map(|doc| document::open(self.keys(), Table::Operations, node, &doc)).transpose()
    }

    /// Every open operation, the one that is due first at the beginning: for the start of the host.
    ///
    /// # Errors
    /// The database fails.
    pub async fn open_operations(&self) -> Result<Vec<Operation>, StoreError> {
        let mut all: Vec<Operation> = Vec::new();
        let mut after = String::new();
        loop {
            let query =
                sqlx::query_as("SELECT node, doc FROM operations WHERE node > $1 ORDER BY node LIMIT $2").bind(after.clone()).bind(PAGE);
            let page: Vec<(String, Vec<u8>)> = query.fetch_all(self.reads()).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (node, doc) in page {
                all.push(document::open(self.keys(), Table::Operations, node, &doc)?);
            }
        }
        all.sort_by_key(Operation::due);
        Ok(all)
    }

    /// What a driver call is given besides its node, in one read: the node's ports, in the order of creation, and what the driver
    /// keeps about the node, as [`Store::driver_state`].
    ///
    /// # Errors
    /// The database fails.
    pub async fn call_inputs(&self, node: NodeId, driver: &DriverName) -> Result<(Vec<Port>, Option<Value>), StoreError> {
        let sql = "SELECT id, uuid, doc FROM ports WHERE node = $1 \
             UNION ALL SELECT 0, NULL, doc FROM driver_state WHERE node = $1 AND driver = $2 ORDER BY 1";
        let query = sqlx::query_as(sql).bind(node.to_string()).bind(driver.to_string());
        let rows: Vec<(i64, Option<String>, Vec<u8>)> = query.fetch_all(self.reads()).await?;
        let (mut ports, mut state) = (Vec::new(), None);
        for (_, port, doc) in rows {
            match port {
                Some(port) => ports.push(document::open(self.keys(), Table::Ports, port, &doc)?),
                None => state = Some(document::open(self.keys(), Table::DriverState, state_id(node, driver), &doc)?),
            }
        }
        Ok((ports, state))
    }

    /// What a driver keeps about a node: `{"operation": {..}, "node": {..}}`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn driver_state(&self, node: NodeId, driver: &DriverName) -> Result<Option<Value>, StoreError> {
        let query = sqlx::query_scalar("SELECT doc FROM driver_state WHERE node = $1 AND driver = $2");
        let doc: Option<Vec<u8>> = query.bind(node.to_string()).bind(driver.to_string()).fetch_optional(self.reads()).await?;
        doc.map(|doc| document::open(self.keys(), Table::DriverState, state_id(node, driver), &doc)).transpose()
    }
}
