//! What happened to nodes, for people.

use jiff::Timestamp;
use sqlx::QueryBuilder;
use uuid::Uuid;
use wrought_domain::NodeId;
use wrought_domain::node::plain;
use wrought_engine::{HistoryEntry, Severity};

use crate::query::Page;
use crate::script::Script;
use crate::{Store, StoreError, document};

/// Entries kept for a node; Ironic's `node_history_max_entries`.
const KEPT: i64 = 300;

/// An entry of a node's history, as it is kept.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are Ironic's own")]
pub struct HistoryRecord {
    pub uuid: Uuid,
    pub node: NodeId,
    pub created_at: Timestamp,
    pub severity: Severity,
    pub event_type: String,
    pub event: String,
    pub user: String,
    pub conductor: Option<String>,
    pub project: Option<String>,
    /// The node's provision state when it was written.
    pub state: Option<String>,
    pub target_provision_state: Option<String>,
    /// Of the operation that it tells of, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// A page of a node's history.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    /// Rows at most; [`crate::DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last entry of the page before.
    pub marker: Option<Uuid>,
    /// `created_at` (as it happened, the default), `uuid`, `severity` or `event_type`.
    pub sort_key: Option<String>,
    /// Whether the latest comes first.
    pub descending: bool,
}

type Text = Option<String>;
type Row = (String, String, i64, String, String, String, String, Text, Text, Text, Text, Option<i64>);

const COLUMNS: &str = "SELECT n.uuid, n.node, n.created_at, n.severity, n.event_type, n.event, n.user_name, n.conductor, n.project, n.state, \
     n.target_state, n.duration_ms FROM history n WHERE n.node = ";

/// Without a state of its own an entry has the node's.
const INSERT: &str = "INSERT INTO history (uuid, created_at, severity, event_type, event, user_name, conductor, project, duration_ms, state, \
     target_state, node) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, COALESCE(?, n.provision_state), CASE WHEN ? THEN ? ELSE n.target_provision_state END, \
     n.uuid FROM nodes n WHERE n.uuid = ?";

const SORT_KEYS: &[(&str, &str)] = &[("uuid", ""), ("severity", ""), ("event_type", "")];

fn record(row: Row) -> Result<HistoryRecord, StoreError> {
    let (uuid, node, created_at, severity, event_type, event, user, conductor, project, state, target, duration) = row;
    Ok(HistoryRecord {
        uuid: document::parse("history entry", &uuid)?,
        node: NodeId(document::parse("history entry", &node)?),
        created_at: document::moment(created_at),
        severity: if severity == "ERROR" { Severity::Error } else { Severity::Info },
        event_type,
        event,
        user,
        conductor,
        project,
        state,
        target_provision_state: target,
        duration_ms: duration.map(document::unsigned),
    })
}

/// Adds entries; their texts as [`plain`] ones, since some of it may be a machine's.
pub(crate) fn insert(script: &mut Script, node: NodeId, entries: &[HistoryEntry], user: &str, conductor: Option<&str>) {
    let now = Timestamp::now().as_microsecond();
    for entry in entries {
        let severity = match entry.severity {
            Severity::Info => "INFO",
            Severity::Error => "ERROR",
        };
        script
            .add(INSERT)
            .bind(Uuid::new_v4().to_string())
            .bind(now)
            .bind(severity)
            .bind(entry.event_type.clone())
            .bind(plain(&entry.event))
            .bind(user.to_owned())
            .bind(conductor.map(str::to_owned))
            .bind(entry.project.clone())
            .bind(entry.duration_ms.map(document::signed))
            .bind(entry.state.map(|state| state.as_str()))
            .bind(entry.state.is_some())
            .bind(entry.target_provision_state.map(|state| state.as_str()))
            .bind(node.to_string());
    }
}

/// Drops what is older than the node's latest entries.
pub(crate) fn trim(script: &mut Script, node: NodeId) {
    script
        .add("DELETE FROM history WHERE node = ? AND id <= (SELECT id FROM history WHERE node = ? ORDER BY id DESC LIMIT 1 OFFSET ?)")
        .bind(node.to_string())
        .bind(node.to_string())
        .bind(KEPT);
}

impl Store {
    /// Adds entries to a node's history outside of an operation's writes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or the database fails.
    pub async fn record(&self, node: NodeId, entries: Vec<HistoryEntry>, user: &str, conductor: Option<&str>) -> Result<(), StoreError> {
        let mut script = Script::default();
        insert(&mut script, node, &entries, user, conductor);
        trim(&mut script, node);
        self.write(move |db| {
            Box::pin(async move {
                let known = sqlx::query_scalar("SELECT COUNT(*) FROM nodes WHERE uuid = $1").bind(node.to_string());
                if known.fetch_one(&mut *db).await.map(|rows: i64| rows == 0)? {
                    return Err(StoreError::no_node(node));
                }
                Ok(script.run(db).await?)
            })
        })
        .await
    }

    /// A page of a node's history. Ask [`Store::node`] first whether the principal sees the node.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn history(&self, node: NodeId, asked: &HistoryQuery) -> Result<Vec<HistoryRecord>, StoreError> {
        if let Some(marker) = asked.marker
            && self.history_entry(node, marker).await?.is_none()
        {
            return Err(StoreError::UnknownMarker(marker.to_string()));
        }
        let mut query = QueryBuilder::new(COLUMNS);
        query.push_bind(node.to_string());
        let page = Page {
            table: "history",
            keys: SORT_KEYS,
            // Entries are made in the order of time, and their ids tell those of one moment apart.
            sort_key: asked.sort_key.as_deref().filter(|key| *key != "created_at"),
            descending: asked.descending,
            marker: asked.marker.map(|uuid| uuid.to_string()),
            limit: asked.limit,
        };
        page.push(&mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(record).collect()
    }

    /// One entry of a node's history.
    ///
    /// # Errors
    /// The database fails.
    pub async fn history_entry(&self, node: NodeId, uuid: Uuid) -> Result<Option<HistoryRecord>, StoreError> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push_bind(node.to_string()).push(" AND n.uuid = ").push_bind(uuid.to_string());
        let row: Option<Row> = query.build_query_as().fetch_optional(self.reads()).await?;
        row.map(record).transpose()
    }
}
