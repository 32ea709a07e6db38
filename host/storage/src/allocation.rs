//! Allocations: requests for nodes. Every change of an allocation together with its node is one unit of the writer, so no node is
//! ever given away twice, and neither of the two is left without the other.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;
use wrought_domain::allocation::{Allocation, AllocationState, release};
use wrought_domain::{Node, NodeId, Principal};

use crate::document::Table;
use crate::error::is_unique_violation;
use crate::node::{current, free, replace, sees};
use crate::query::{Page, Visibility};
use crate::script::Script;
use crate::seal::KeyRing;
use crate::{Duplicate, Store, StoreError, document};

/// A page of allocations.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the filters are Ironic's own")]
pub struct AllocationQuery {
    /// Rows at most; [`crate::DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last one of the page before.
    pub marker: Option<Uuid>,
    /// A scalar field; the order of creation if not given.
    pub sort_key: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
    pub node: Option<NodeId>,
    pub resource_class: Option<String>,
    pub state: Option<String>,
    pub owner: Option<String>,
}

/// What came of trying to give an allocation a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// It has the node.
    Yes(Box<Allocation>),
    /// The node is not, or no longer, one that fits.
    Unfit,
    /// An operation holds the node.
    Reserved,
    /// The allocation does not look for a node any more.
    Over,
}

type Row = (String, Vec<u8>);

const SORT_KEYS: &[(&str, &str)] = &[
    ("uuid", ""),
    ("name", "''"),
    ("state", ""),
    ("resource_class", "''"),
    ("owner", "''"),
    ("last_error", "''"),
    ("created_at", ""),
    ("updated_at", "0"),
];

const INSERT: &str = "INSERT INTO allocations (name, node, state, resource_class, owner, last_error, updated_at, doc, created_at, uuid) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const UPDATE: &str = "UPDATE allocations SET name = ?, node = ?, state = ?, resource_class = ?, owner = ?, last_error = ?, updated_at = ?, \
     doc = ? WHERE created_at = ? AND uuid = ?";

fn open(keys: &KeyRing, (uuid, doc): Row) -> Result<Allocation, StoreError> {
    document::open(keys, Table::Allocations, uuid, &doc)
}

/// The beginning of a query for what a principal sees: a project its own.
fn visible(principal: &Principal) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT n.uuid, n.doc FROM allocations n WHERE 1 = 1");
    match Visibility::of(principal) {
        Visibility::All => {}
        Visibility::Project(project) => {
            query.push(" AND n.owner = ").push_bind(project.to_owned());
        }
        Visibility::Nothing => {
            query.push(" AND 1 = 0");
        }
    }
    query
}

async fn put(db: &mut SqliteConnection, keys: &KeyRing, sql: &'static str, allocation: &Allocation) -> Result<(), StoreError> {
    let doc = document::seal(keys, Table::Allocations, allocation.uuid, allocation)?;
    let query = sqlx::query(sql)
        .bind(allocation.name.clone())
        .bind(allocation.node_uuid.map(|node| node.to_string()))
        .bind(allocation.state.as_str())
        .bind(allocation.resource_class.clone())
        .bind(allocation.owner.clone())
        .bind(allocation.last_error.clone())
        .bind(allocation.updated_at.map(Timestamp::as_microsecond))
        .bind(doc)
        .bind(allocation.created_at.as_microsecond())
        .bind(allocation.uuid.to_string());
    match query.execute(&mut *db).await {
        Ok(_) => Ok(()),
        Err(error) if is_unique_violation(&error) => Err(taken(db, allocation).await?.into()),
        Err(error) => Err(error.into()),
    }
}

/// Which unique value is taken.
async fn taken(db: &mut SqliteConnection, allocation: &Allocation) -> Result<Duplicate, StoreError> {
    let sql = "SELECT uuid, name FROM allocations WHERE uuid = $1 OR name = $2";
    let query = sqlx::query_as(sql).bind(allocation.uuid.to_string()).bind(allocation.name.clone());
    let rows: Vec<(String, Option<String>)> = query.fetch_all(db).await?;
    Ok(match &allocation.name {
        Some(name) if rows.iter().any(|(_, taken)| taken.as_ref() == Some(name)) => Duplicate::AllocationName(name.clone()),
        _ => Duplicate::AllocationUuid(allocation.uuid),
    })
}

async fn find(db: &mut SqliteConnection, keys: &KeyRing, uuid: Uuid) -> Result<Option<Allocation>, StoreError> {
    let query = sqlx::query_as("SELECT uuid, doc FROM allocations WHERE uuid = $1").bind(uuid.to_string());
    let row: Option<Row> = query.fetch_optional(db).await?;
    row.map(|row| open(keys, row)).transpose()
}

fn missing(uuid: Uuid) -> StoreError {
    StoreError::NotFound { what: "allocation", id: uuid.to_string() }
}

/// The allocation goes when a write takes it away from its node.
pub(crate) fn follow(script: &mut Script, before: &Node, after: &Node) {
    if let (Some(uuid), None) = (before.allocation_uuid, after.allocation_uuid) {
        script.add("DELETE FROM allocations WHERE uuid = ?").bind(uuid.to_string());
    }
}

impl Store {
    /// Adds one that looks for a node.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`], or the database fails.
    pub async fn add_allocation(&self, allocation: Allocation) -> Result<Allocation, StoreError> {
        let keys = Arc::clone(self.keys());
        self.write(move |db| {
            Box::pin(async move {
                put(db, &keys, INSERT, &allocation).await?;
                Ok(allocation)
            })
        })
        .await
    }

    /// Adds one for a node that has been deployed without.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Reserved`]; [`StoreError::Refused`] when the node does not fit or has another instance;
    /// [`StoreError::Duplicate`].
    pub async fn backfill_allocation(
        &self,
        principal: &Principal,
        mut allocation: Allocation,
        node: NodeId,
    ) -> Result<Allocation, StoreError> {
        let (principal, keys) = (principal.clone(), Arc::clone(self.keys()));
        let written = self.write_then(self.tell_events(), move |db| {
            Box::pin(async move {
                let before = current(db, &keys, node).await?;
                if !sees(&principal, &before.value) {
                    return Err(StoreError::no_node(node));
                }
                free(&before.value)?;
                if let Some(why) = allocation.unfit_to_backfill(&before.value) {
                    return Err(StoreError::Refused(why));
                }
                let associated = before.value.instance_uuid.filter(|instance| *instance != allocation.uuid);
                if let Some(instance) = associated.or(before.value.allocation_uuid) {
                    return Err(StoreError::Refused(format!("Node {node} is associated with instance {instance}")));
                }
                let mut after = before.value.clone();
                allocation.take(&mut after);
                put(db, &keys, INSERT, &allocation).await?;
                replace(db, &keys, &before, after, &principal.user).await?;
                Ok(allocation)
            })
        });
        written.await
    }

    /// The one of this UUID or name, if it is there and the principal sees it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn allocation(&self, principal: &Principal, ident: &str) -> Result<Option<Allocation>, StoreError> {
        let mut query = visible(principal);
        match Uuid::parse_str(ident) {
            Ok(uuid) => query.push(" AND n.uuid = ").push_bind(uuid.to_string()),
            Err(_) => query.push(" AND n.name = ").push_bind(ident.to_owned()),
        };
        let row: Option<Row> = query.build_query_as().fetch_optional(self.reads()).await?;
        row.map(|row| open(self.keys(), row)).transpose()
    }

    /// A page of those that the principal sees.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn allocations(&self, principal: &Principal, asked: &AllocationQuery) -> Result<Vec<Allocation>, StoreError> {
        if let Some(marker) = asked.marker
            && self.allocation(principal, &marker.to_string()).await?.is_none()
        {
            return Err(StoreError::UnknownMarker(marker.to_string()));
        }
        let mut query = visible(principal);
        let texts = [
            (" AND n.node = ", asked.node.map(|node| node.to_string())),
            (" AND n.resource_class = ", asked.resource_class.clone()),
            (" AND n.state = ", asked.state.clone()),
            (" AND n.owner = ", asked.owner.clone()),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                query.push(condition).push_bind(value);
            }
        }
        let page = Page {
            table: "allocations",
            keys: SORT_KEYS,
            sort_key: asked.sort_key.as_deref(),
            descending: asked.descending,
            marker: asked.marker.map(|uuid| uuid.to_string()),
            limit: asked.limit,
        };
        page.push(&mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|row| open(self.keys(), row)).collect()
    }

    /// Writes name and extra of one that was read as `before`; sets `updated_at`. What the host writes of it meanwhile stays.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody changed these since, [`StoreError::Duplicate`], [`StoreError::NotFound`].
    pub async fn update_allocation(&self, before: &Allocation, after: Allocation) -> Result<Allocation, StoreError> {
        let (before, keys) = (before.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                let mut now = find(db, &keys, before.uuid).await?.ok_or_else(|| missing(before.uuid))?;
                if (&now.name, &now.extra) != (&before.name, &before.extra) {
                    return Err(StoreError::Stale { what: "allocation", id: before.uuid.to_string() });
                }
                (now.name, now.extra, now.updated_at) = (after.name, after.extra, Some(Timestamp::now()));
                put(db, &keys, UPDATE, &now).await?;
                Ok(now)
            })
        })
        .await
    }

    /// Removes one and frees its node.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Reserved`] when an operation holds the node; [`StoreError::Refused`] when the node has
    /// to stay allocated in the state that it is in.
    pub async fn delete_allocation(&self, principal: &Principal, uuid: Uuid) -> Result<(), StoreError> {
        let (principal, keys) = (principal.clone(), Arc::clone(self.keys()));
        let deleted = self.write_then(self.tell_events(), move |db| {
            Box::pin(async move {
                let allocation = find(db, &keys, uuid).await?.ok_or_else(|| missing(uuid))?;
                if let Some(node) = allocation.node_uuid {
                    let before = current(db, &keys, node).await?;
                    free(&before.value)?;
                    if let Some(why) = allocation.bound_to(&before.value) {
                        return Err(StoreError::Refused(why));
                    }
                    let mut after = before.value.clone();
                    release(&mut after);
                    replace(db, &keys, &before, after, &principal.user).await?;
                }
                sqlx::query("DELETE FROM allocations WHERE uuid = $1").bind(uuid.to_string()).execute(db).await?;
                Ok(())
            })
        });
        deleted.await
    }

    /// Some of those that look for a node, the oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn open_allocations(&self, limit: u32) -> Result<Vec<Allocation>, StoreError> {
        let state = Some(AllocationState::Allocating.as_str().to_owned());
        self.allocations(&Principal::host(), &AllocationQuery { limit: Some(limit), state, ..AllocationQuery::default() }).await
    }

    /// The nodes that may fit an allocation by what the database can tell without opening them, with their names.
    ///
    /// # Errors
    /// The database fails.
    pub async fn allocation_candidates(&self, allocation: &Allocation) -> Result<Vec<(NodeId, Option<String>)>, StoreError> {
        let mut query = QueryBuilder::new(
            "SELECT n.uuid, n.name FROM nodes n WHERE n.provision_state = 'available' AND n.instance_uuid IS NULL \
             AND n.power_state IS NOT NULL AND n.maintenance = ",
        );
        query.push_bind(false);
        match &allocation.resource_class {
            Some(class) => query.push(" AND n.resource_class = ").push_bind(class.clone()),
            None => query.push(" AND n.resource_class IS NULL"),
        };
        if let Some(owner) = &allocation.owner {
            query.push(" AND (n.owner = ").push_bind(owner.clone()).push(" OR n.lessee = ").push_bind(owner.clone()).push(")");
        }
        if !allocation.candidate_nodes.is_empty() {
            query.push(" AND n.uuid IN (");
            let mut list = query.separated(", ");
            for node in &allocation.candidate_nodes {
                list.push_bind(node.to_string());
            }
            query.push(")");
        }
        let rows: Vec<(String, Option<String>)> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|(uuid, name)| Ok((NodeId(document::parse("node", &uuid)?), name))).collect()
    }

    /// Gives an allocation this node, if it fits now and nothing holds it.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another node has the allocation's UUID as its instance; or the database fails.
    pub async fn allocate(&self, allocation: Uuid, node: NodeId) -> Result<Given, StoreError> {
        let keys = Arc::clone(self.keys());
        let written = self.write_then(self.tell_events(), move |db| {
            Box::pin(async move {
                let found = find(db, &keys, allocation).await?;
                let Some(mut allocation) = found.filter(|found| found.state == AllocationState::Allocating) else { return Ok(Given::Over) };
                let before = match current(db, &keys, node).await {
                    Ok(before) => before,
                    // One that cannot be read does not fit anybody; the others may.
                    Err(StoreError::NotFound { .. } | StoreError::Unreadable { .. }) => return Ok(Given::Unfit),
                    Err(error) => return Err(error),
                };
                if before.value.reservation.is_some() {
                    return Ok(Given::Reserved);
                }
                if !allocation.fits(&before.value) {
                    return Ok(Given::Unfit);
                }
                let mut after = before.value.clone();
                allocation.take(&mut after);
                allocation.updated_at = Some(Timestamp::now());
                put(db, &keys, UPDATE, &allocation).await?;
                replace(db, &keys, &before, after, &Principal::host().user).await?;
                Ok(Given::Yes(Box::new(allocation)))
            })
        });
        written.await
    }

    /// Ends the search of an allocation without a node; nothing if it has ended already.
    ///
    /// # Errors
    /// The database fails.
    pub async fn fail_allocation(&self, allocation: Uuid, why: String) -> Result<(), StoreError> {
        let keys = Arc::clone(self.keys());
        self.write(move |db| {
            Box::pin(async move {
                let found = find(db, &keys, allocation).await?;
                let Some(mut allocation) = found.filter(|found| found.state == AllocationState::Allocating) else { return Ok(()) };
                allocation.state = AllocationState::Error;
                allocation.last_error = Some(why);
                allocation.updated_at = Some(Timestamp::now());
                put(db, &keys, UPDATE, &allocation).await
            })
        })
        .await
    }
}
