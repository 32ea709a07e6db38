//! Nodes: reading, and the writes of those who do not hold them.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{QueryBuilder, SqliteConnection};
use uuid::Uuid;
use wrought_domain::{Fence, Node, NodeId, Principal};

use crate::document::Table;
use crate::error::is_unique_violation;
use crate::event::NewEvent;
use crate::query::{NodeQuery, Visibility};
use crate::script::Script;
use crate::seal::KeyRing;
use crate::{Duplicate, Store, StoreError, allocation, chassis, document, event};

/// Grows with every write of a node; a write says on which one it was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A node as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// Its revision.
    pub revision: Revision,
    /// The fence of its latest reservation.
    pub fence: Fence,
}

/// How a request names a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRef {
    /// By UUID.
    Uuid(NodeId),
    /// By name.
    Name(String),
}

impl NodeRef {
    /// A UUID if the text is one, else a name.
    pub fn parse(text: &str) -> Self {
        Uuid::parse_str(text).map_or_else(|_| Self::Name(text.to_owned()), |uuid| Self::Uuid(NodeId(uuid)))
    }
}

impl From<NodeId> for NodeRef {
    fn from(id: NodeId) -> Self {
        Self::Uuid(id)
    }
}

/// What a write does when an operation holds the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It is refused.
    Refuse,
    /// It is done: it touches nothing that the operation owns.
    Allow,
}

/// A node's document and where it stands: `uuid, doc, reservation, revision, fence`.
pub(crate) type Row = (String, Vec<u8>, Option<String>, i64, i64);

/// The node of a row; the reservation is the column's, as the document may be older.
pub(crate) fn stored(keys: &KeyRing, row: Row) -> Result<Stored<Node>, StoreError> {
    let (uuid, doc, reservation, revision, fence) = row;
    let mut value: Node = document::open(keys, Table::Nodes, uuid, &doc)?;
    value.reservation = reservation;
    Ok(Stored { value, revision: Revision(document::unsigned(revision)), fence: Fence(document::unsigned(fence)) })
}

/// The columns that repeat what the document says, for filters, order and uniqueness, in the
/// order in which [`bind`] gives them.
macro_rules! node_columns {
    () => {
        "doc = ?, name = ?, driver = ?, instance_uuid = ?, instance_name = ?, chassis_uuid = ?, provision_state = ?, \
         target_provision_state = ?, provision_updated_at = ?, power_state = ?, target_power_state = ?, maintenance = ?, \
         fault = ?, resource_class = ?, conductor_group = ?, conductor = ?, owner = ?, lessee = ?, shard = ?, \
         parent_node = ?, retired = ?, protected = ?, description = ?, created_at = ?, updated_at = ?"
    };
}
pub(crate) use node_columns;

const INSERT: &str = "INSERT INTO nodes (doc, name, driver, instance_uuid, instance_name, chassis_uuid, provision_state, \
     target_provision_state, provision_updated_at, power_state, target_power_state, maintenance, fault, resource_class, \
     conductor_group, conductor, owner, lessee, shard, parent_node, retired, protected, description, created_at, updated_at, \
     uuid, fence, revision) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 1)";

const UPDATE: &str =
    concat!("UPDATE nodes SET ", node_columns!(), ", revision = revision + 1 WHERE uuid = ? AND revision = ? RETURNING revision");

const SELECT: &str = "SELECT uuid, doc, reservation, revision, fence FROM nodes WHERE uuid = $1";

/// Adds a statement that begins with the columns of a node, and binds these.
pub(crate) fn bind<'s>(script: &'s mut Script, sql: &'static str, node: &Node, doc: Vec<u8>) -> &'s mut Script {
    script
        .add(sql)
        .bind(doc)
        .bind(node.name.clone())
        .bind(node.driver.clone())
        .bind(node.instance_uuid.map(|u| u.to_string()))
        .bind(node.instance_name.clone())
        .bind(node.chassis_uuid.map(|u| u.to_string()))
        .bind(node.provision_state.as_str())
        .bind(node.target_provision_state.map(|s| s.as_str()))
        .bind(node.provision_updated_at.map(Timestamp::as_microsecond))
        .bind(node.power_state.map(|s| s.as_str()))
        .bind(node.target_power_state.map(|s| s.as_str()))
        .bind(node.maintenance)
        .bind(node.fault.clone())
        .bind(node.resource_class.clone())
        .bind(node.conductor_group.clone())
        .bind(node.conductor.clone())
        .bind(node.owner.clone())
        .bind(node.lessee.clone())
        .bind(node.shard.clone())
        .bind(node.parent_node.map(|u| u.to_string()))
        .bind(node.retired)
        .bind(node.protected)
        .bind(node.description.clone())
        .bind(node.created_at.as_microsecond())
        .bind(node.updated_at.map(Timestamp::as_microsecond))
}

/// The node as it stands within the writer's transaction.
pub(crate) async fn current(db: &mut SqliteConnection, keys: &KeyRing, id: NodeId) -> Result<Stored<Node>, StoreError> {
    let row: Option<Row> = sqlx::query_as(SELECT).bind(id.to_string()).fetch_optional(db).await?;
    stored(keys, row.ok_or_else(|| StoreError::no_node(id))?)
}

/// Which unique value of the node is taken, when `error` says that one is.
pub(crate) async fn explain(db: &mut SqliteConnection, node: &Node, error: sqlx::Error) -> StoreError {
    if !is_unique_violation(&error) {
        return error.into();
    }
    let sql = "SELECT uuid, name FROM nodes WHERE uuid = $1 OR ((name = $2 OR instance_uuid = $3) AND uuid <> $1)";
    let query = sqlx::query_as(sql).bind(node.uuid.to_string()).bind(node.name.clone()).bind(node.instance_uuid.map(|u| u.to_string()));
    let taken: Vec<(String, Option<String>)> = match query.fetch_all(db).await {
        Ok(taken) => taken,
        Err(error) => return error.into(),
    };
    let own = node.uuid.to_string();
    let others: Vec<_> = taken.iter().filter(|(uuid, _)| *uuid != own).collect();
    match (&node.name, node.instance_uuid) {
        (Some(name), _) if others.iter().any(|(_, taken)| taken.as_ref() == Some(name)) => Duplicate::NodeName(name.clone()),
        (_, Some(instance)) if !others.is_empty() => Duplicate::InstanceUuid(instance),
        _ => Duplicate::NodeUuid(node.uuid),
    }
    .into()
}

impl From<Duplicate> for StoreError {
    fn from(duplicate: Duplicate) -> Self {
        Self::Duplicate(duplicate)
    }
}

/// Writes a node over the revision it was computed on, and gives it back as it stands now.
pub(crate) async fn replace(
    db: &mut SqliteConnection,
    keys: &KeyRing,
    before: &Stored<Node>,
    mut node: Node,
    user: &str,
) -> Result<Stored<Node>, StoreError> {
    node.uuid = before.value.uuid;
    node.created_at = before.value.created_at;
    node.reservation.clone_from(&before.value.reservation);
    node.updated_at = Some(Timestamp::now());
    let doc = document::seal(keys, Table::Nodes, node.uuid, &node)?;
    let mut script = Script::default();
    bind(&mut script, UPDATE, &node, doc).bind(node.uuid.to_string()).bind(document::signed(before.revision.0));
    event::insert(&mut script, node.uuid, event::all_changes(&before.value, &node, user));
    allocation::follow(&mut script, &before.value, &node);
    match script.run_if(&mut *db).await {
        Ok(Some(_)) => Ok(Stored { value: node, revision: Revision(before.revision.0.saturating_add(1)), fence: before.fence }),
        Ok(None) => Err(StoreError::Stale { what: "node", id: node.uuid.to_string() }),
        Err(error) => Err(explain(db, &node, error).await),
    }
}

/// Whether the principal sees the node.
pub(crate) fn sees(principal: &Principal, node: &Node) -> bool {
    match Visibility::of(principal) {
        Visibility::All => true,
        Visibility::Project(project) => node.owner.as_deref() == Some(project) || node.lessee.as_deref() == Some(project),
        Visibility::Nothing => false,
    }
}

/// That no operation is at work on the node; one that waits computes its next step on the node as it is then.
pub(crate) fn unheld(node: &Node) -> Result<(), StoreError> {
    match node.holder() {
        Some(host) => Err(StoreError::Reserved { node: node.uuid, host: host.to_owned() }),
        None => Ok(()),
    }
}

/// That there is no operation on the node.
pub(crate) fn free(node: &Node) -> Result<(), StoreError> {
    match &node.reservation {
        Some(host) => Err(StoreError::Reserved { node: node.uuid, host: host.clone() }),
        None => Ok(()),
    }
}

impl Store {
    /// The node, if it is there and the principal sees it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn node(&self, principal: &Principal, node: &NodeRef) -> Result<Option<Stored<Node>>, StoreError> {
        let mut query = QueryBuilder::new("SELECT n.uuid, n.doc, n.reservation, n.revision, n.fence FROM nodes n WHERE ");
        match node {
            NodeRef::Uuid(id) => query.push("n.uuid = ").push_bind(id.to_string()),
            NodeRef::Name(name) => query.push("n.name = ").push_bind(name.clone()),
        };
        Visibility::of(principal).push(&mut query);
        let row: Option<Row> = query.build_query_as().fetch_optional(self.reads()).await?;
        row.map(|row| stored(self.keys(), row)).transpose()
    }

    /// A page of nodes, in the order asked for.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn nodes(&self, principal: &Principal, asked: &NodeQuery) -> Result<Vec<Node>, StoreError> {
        let mut query = QueryBuilder::new("SELECT n.uuid, n.doc, n.reservation, n.revision, n.fence FROM nodes n");
        asked.push(principal, &mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        self.check_marker(principal, asked, rows.is_empty()).await?;
        rows.into_iter().map(|row| stored(self.keys(), row).map(|s| s.value)).collect()
    }

    /// The nodes that have a port with one of these MAC addresses (lower case), each once. Give
    /// at most some hundreds.
    ///
    /// # Errors
    /// The database fails.
    pub async fn nodes_with_addresses(&self, addresses: &[String]) -> Result<Vec<NodeId>, StoreError> {
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::new("SELECT DISTINCT node FROM ports WHERE address IN (");
        let mut list = query.separated(", ");
        for address in addresses {
            list.push_bind(address.to_ascii_lowercase());
        }
        query.push(") ORDER BY node");
        let nodes: Vec<String> = query.build_query_scalar().fetch_all(self.reads()).await?;
        nodes.iter().map(|text| document::parse("node", text).map(NodeId)).collect()
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] names what is taken; [`StoreError::NotFound`] if the principal
    /// would not see the node.
    pub async fn create_node(&self, principal: &Principal, mut node: Node) -> Result<Stored<Node>, StoreError> {
        if !sees(principal, &node) {
            return Err(StoreError::no_node(node.uuid));
        }
        node.reservation = None;
        let doc = document::seal(self.keys(), Table::Nodes, node.uuid, &node)?;
        let created = NewEvent::new("created", &node, &principal.user).with("to", node.provision_state.as_str());
        let written = self.write_then(self.tell_events(), move |db| {
            Box::pin(async move {
                chassis::check(&mut *db, node.chassis_uuid).await?;
                let mut script = Script::default();
                bind(&mut script, INSERT, &node, doc).bind(node.uuid.to_string());
                event::insert(&mut script, node.uuid, vec![created]);
                match script.run(&mut *db).await {
                    Ok(()) => Ok(Stored { value: node, revision: Revision(1), fence: Fence(0) }),
                    Err(error) => Err(explain(db, &node, error).await),
                }
            })
        });
        written.await
    }

    /// Writes a node that was read at `expected`; sets `updated_at`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody wrote since, [`StoreError::Reserved`] unless allowed,
    /// [`StoreError::Duplicate`], [`StoreError::NotFound`].
    pub async fn update_node(
        &self,
        principal: &Principal,
        node: Node,
        expected: Revision,
        reserved: Reserved,
    ) -> Result<Stored<Node>, StoreError> {
        let (principal, keys) = (principal.clone(), Arc::clone(self.keys()));
        let written = self.write_then(self.tell_events(), move |db| {
            Box::pin(async move {
                let before = current(db, &keys, node.uuid).await?;
                if !sees(&principal, &before.value) {
                    return Err(StoreError::no_node(node.uuid));
                }
                if reserved == Reserved::Refuse {
                    unheld(&before.value)?;
                }
                if before.revision != expected {
                    return Err(StoreError::Stale { what: "node", id: node.uuid.to_string() });
                }
                if node.chassis_uuid != before.value.chassis_uuid {
                    chassis::check(&mut *db, node.chassis_uuid).await?;
                }
                replace(db, &keys, &before, node, &principal.user).await
            })
        });
        written.await
    }

    /// Changes some fields of a node, whoever holds it, on the node as it stands: for what
    /// others than the holder write, such as maintenance and what agents report. Nothing is
    /// written when nothing changes. A holder that computed on the former revision gets
    /// [`StoreError::Stale`] and steps again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Duplicate`], or the database fails.
    pub async fn patch_node(&self, id: NodeId, change: impl FnOnce(&mut Node) + Send + 'static) -> Result<Stored<Node>, StoreError> {
        self.patch_node_for(&Principal::host(), id, change).await
    }

    /// The same on somebody's behalf, for the events.
    ///
    /// # Errors
    /// As [`Store::patch_node`].
    pub async fn patch_node_for(
        &self,
        who: &Principal,
        id: NodeId,
        change: impl FnOnce(&mut Node) + Send + 'static,
    ) -> Result<Stored<Node>, StoreError> {
        let (keys, user) = (Arc::clone(self.keys()), who.user.clone());
        let written = self.write_then(self.tell_events(), move |db| {
            Box::pin(async move {
                let before = current(db, &keys, id).await?;
                let mut node = before.value.clone();
                change(&mut node);
                if node == before.value {
                    return Ok(before);
                }
                replace(db, &keys, &before, node, &user).await
            })
        });
        written.await
    }

    /// Sets or ends maintenance; ending it clears the reason and the fault.
    ///
    /// # Errors
    /// As [`Store::patch_node`].
    pub async fn set_maintenance(&self, who: &Principal, id: NodeId, on: bool, reason: Option<String>) -> Result<Stored<Node>, StoreError> {
        let change = move |node: &mut Node| {
            node.maintenance = on;
            node.maintenance_reason = reason.filter(|_| on);
            if !on {
                node.fault = None;
            }
        };
        self.patch_node_for(who, id, change).await
    }

    /// Removes a node that was read at `expected`, with its ports, state, session, history and locks. Its events stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Reserved`] when an operation holds it; [`StoreError::Stale`] when somebody wrote since.
    pub async fn delete_node(&self, principal: &Principal, id: NodeId, expected: Revision) -> Result<(), StoreError> {
        let (principal, keys) = (principal.clone(), Arc::clone(self.keys()));
        let deleted = self.write_then(self.tell_events(), move |db| {
            Box::pin(async move {
                let before = current(db, &keys, id).await?;
                if !sees(&principal, &before.value) {
                    return Err(StoreError::no_node(id));
                }
                free(&before.value)?;
                if before.revision != expected {
                    return Err(StoreError::Stale { what: "node", id: id.to_string() });
                }
                // Everything else of the node follows by its foreign key.
                sqlx::query("DELETE FROM nodes WHERE uuid = $1").bind(id.to_string()).execute(&mut *db).await?;
                let mut script = Script::default();
                let deleted = NewEvent::new("deleted", &before.value, &principal.user);
                event::insert(&mut script, id, vec![deleted.with("from", before.value.provision_state.as_str())]);
                Ok(script.run(db).await?)
            })
        });
        deleted.await
    }
}
