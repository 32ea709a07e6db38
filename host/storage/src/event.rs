//! What happened to nodes, for programs: events are added with the write that they tell of, and never changed.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::QueryBuilder;
use wrought_domain::{Map, Node, NodeId, OperationId, Principal};
use wrought_engine::LifecycleEvent;

use crate::script::Script;
use crate::{Store, StoreError, document};

/// Events that one question is answered with at most.
pub const MAX_EVENTS: u32 = 1000;

/// An event of a node, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeEvent {
    /// Grows by one with each event of any node.
    pub id: u64,
    /// When it was stored.
    pub at: Timestamp,
    /// The node, which may be gone.
    pub node: NodeId,
    /// For example `transition`, `step-finished`, `failed`, `maintenance`.
    pub kind: String,
    /// `user`, `name` (the node's) and what the kind has. Holds no secret.
    pub detail: Map,
}

/// Which events are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this node alone.
    pub node: Option<NodeId>,
    /// Of these kinds alone; all if empty.
    pub kinds: Vec<String>,
    /// Of this operation alone; to be asked with its node.
    pub operation: Option<OperationId>,
    /// Those after this one, the oldest first; without it the latest ones.
    pub after: Option<u64>,
    /// How many at most; [`MAX_EVENTS`] is the most.
    pub limit: u32,
}

/// An event that is to be added with a write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewEvent {
    kind: String,
    detail: Map,
}

impl NewEvent {
    /// An event about a node, on somebody's behalf.
    pub(crate) fn new(kind: &str, node: &Node, user: &str) -> Self {
        let mut detail = Map::new();
        detail.insert("user".into(), user.into());
        if let Some(name) = &node.name {
            detail.insert("name".into(), name.as_str().into());
        }
        Self { kind: kind.to_owned(), detail }
    }

    /// The same with one more thing to tell; null is nothing.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.detail.insert(key.to_owned(), value);
        }
        self
    }
}

/// What an operation tells of itself.
pub(crate) fn of_operation(events: &[LifecycleEvent], node: &Node, user: &str) -> Vec<NewEvent> {
    let told = events.iter().filter_map(|event| match serde_json::to_value(event) {
        Ok(Value::Object(mut detail)) => {
            let kind = detail.remove("kind")?;
            let mut event = NewEvent::new(kind.as_str()?, node, user);
            event.detail.extend(detail);
            Some(event)
        }
        _ => None,
    });
    told.collect()
}

/// What a write changed about a node beside its lifecycle: power and maintenance.
pub(crate) fn changes(was: &Node, node: &Node, user: &str) -> Vec<NewEvent> {
    let mut events = Vec::new();
    if was.power_state != node.power_state {
        let event = NewEvent::new("power", node, user);
        events
            .push(event.with("from", was.power_state.map(|state| state.as_str())).with("to", node.power_state.map(|state| state.as_str())));
    }
    if (was.maintenance, &was.fault) != (node.maintenance, &node.fault) {
        let event = NewEvent::new("maintenance", node, user).with("on", node.maintenance);
        events.push(event.with("reason", node.maintenance_reason.as_deref()).with("fault", node.fault.as_deref()));
    }
    events
}

/// The same with the state, for writes outside of operations, whose own events tell of it.
pub(crate) fn all_changes(was: &Node, node: &Node, user: &str) -> Vec<NewEvent> {
    let mut events = changes(was, node, user);
    if was.provision_state != node.provision_state {
        let event = NewEvent::new("transition", node, user).with("from", was.provision_state.as_str());
        events
            .push(event.with("to", node.provision_state.as_str()).with("target", node.target_provision_state.map(|state| state.as_str())));
    }
    events
}

/// Adds events.
pub(crate) fn insert(script: &mut Script, node: NodeId, events: Vec<NewEvent>) {
    let now = Timestamp::now().as_microsecond();
    for event in events {
        script
            .add("INSERT INTO events (at, node, kind, doc) VALUES (?, ?, ?, ?)")
            .bind(now)
            .bind(node.to_string())
            .bind(event.kind)
            .bind(Value::Object(event.detail).to_string());
    }
}

type Row = (i64, i64, String, String, String);

fn event((id, at, node, kind, doc): Row) -> Result<NodeEvent, StoreError> {
    Ok(NodeEvent {
        id: document::unsigned(id),
        at: document::moment(at),
        node: NodeId(document::parse("event", &node)?),
        kind,
        detail: document::read("event", id, &doc)?,
    })
}

impl Store {
    /// Events with their numbers, in the order in which they were added. Ask [`Store::node`] first whether the principal sees the
    /// node; events of all nodes are for administrators.
    ///
    /// # Errors
    /// The database fails.
    pub async fn events(&self, asked: &EventQuery) -> Result<Vec<NodeEvent>, StoreError> {
        let mut query = QueryBuilder::new("SELECT id, at, node, kind, doc FROM events WHERE id > ");
        query.push_bind(document::signed(asked.after.unwrap_or(0)));
        if let Some(node) = asked.node {
            query.push(" AND node = ").push_bind(node.to_string());
        }
        if !asked.kinds.is_empty() {
            query.push(" AND kind IN (");
            let mut list = query.separated(", ");
            for kind in &asked.kinds {
                list.push_bind(kind.clone());
            }
            query.push(")");
        }
        if let Some(operation) = asked.operation {
            // A quotation mark within a text of the document is escaped, so this is the operation itself.
            query.push(" AND doc LIKE ").push_bind(format!("%\"operation\":\"{operation}\"%"));
        }
        query.push(if asked.after.is_some() { " ORDER BY id LIMIT " } else { " ORDER BY id DESC LIMIT " });
        query.push_bind(i64::from(asked.limit.min(MAX_EVENTS)));
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        let mut events: Vec<NodeEvent> = rows.into_iter().map(event).collect::<Result<_, _>>()?;
        events.sort_by_key(|event| event.id);
        Ok(events)
    }

    /// The numbers of the oldest and of the newest event that are kept. Without any, the number that the last one had and the
    /// one after it, so that the oldest is behind the newest.
    ///
    /// # Errors
    /// The database fails.
    pub async fn event_bounds(&self) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT (SELECT MIN(id) FROM events), COALESCE((SELECT MAX(id) FROM events), \
             (SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)";
        let (oldest, newest): (Option<i64>, i64) = sqlx::query_as(sql).fetch_one(self.reads()).await?;
        let newest = document::unsigned(newest);
        Ok((oldest.map_or(newest.saturating_add(1), document::unsigned), newest))
    }

    /// Waits for the next events of any node: the value changes with each write that added some.
    pub fn event_watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.events.subscribe()
    }

    /// Tells those who wait for events that some were added: for [`Store::write_then`].
    pub(crate) fn tell_events<T>(&self) -> impl FnOnce(&T) + Send + use<T> {
        let events = self.inner.events.clone();
        move |_| events.send_modify(|writes| *writes = writes.wrapping_add(1))
    }

    /// Adds an event of a node outside of other writes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_event(&self, who: &Principal, node: &Node, kind: &str, detail: Map) -> Result<(), StoreError> {
        let mut event = NewEvent::new(kind, node, &who.user);
        event.detail.extend(detail);
        let mut script = Script::default();
        insert(&mut script, node.uuid, vec![event]);
        self.write_then(self.tell_events(), move |db| Box::pin(async move { Ok(script.run(db).await?) })).await
    }

    /// Forgets what is older than `before`, and the oldest beyond the newest `kept`; some thousand events at most. How many those were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_events(&self, before: Timestamp, kept: u32) -> Result<u64, StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                // They lie in the order of time: only the oldest are looked at.
                let sql = "DELETE FROM events WHERE id IN (SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT 5000) \
                     WHERE at < $1 OR id <= (SELECT COALESCE(MAX(id), 0) FROM events) - $2)";
                let done = sqlx::query(sql).bind(before.as_microsecond()).bind(i64::from(kept)).execute(db).await?;
                Ok(done.rows_affected())
            })
        })
        .await
    }
}
