//! What belongs to nodes: ports, port groups, volume connectors and volume targets.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;
use wrought_domain::{Node, NodeId, Port, Portgroup, Principal, VolumeConnector, VolumeTarget};

use crate::document::Table;
use crate::error::is_unique_violation;
use crate::node::{current, sees, unheld};
use crate::query::{DEFAULT_LIMIT, Page, Visibility};
use crate::seal::KeyRing;
use crate::{Duplicate, Reserved, Store, StoreError, document};

/// A statement to which values are bound.
pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

pub(crate) mod kept {
    use futures::future::BoxFuture;

    use super::{Duplicate, KeyRing, Node, NodeId, SqliteConnection, Statement, StoreError, Table, Timestamp, Uuid};

    /// What is looked at before something is written.
    #[derive(Clone, Copy)]
    pub struct Around<'a> {
        pub(crate) keys: &'a KeyRing,
        /// The node that it belongs to.
        pub node: &'a Node,
        /// The node that it is to belong to.
        pub target: &'a Node,
    }

    pub type Verdict<'c> = BoxFuture<'c, Result<(), StoreError>>;

    pub trait Kept: Sized {
        const TABLE: Table;
        /// The table's name.
        const ROWS: &'static str;
        /// The columns beside those that all have: they repeat what the document says.
        const COLUMNS: &'static [&'static str];
        /// What lists are sorted by, and what stands for nothing in a comparison.
        const KEYS: &'static [(&'static str, &'static str)];
        fn uuid(&self) -> Uuid;
        fn node(&self) -> NodeId;
        /// When it was made, and changed last.
        fn times(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>);
        /// Binds the values of [`Kept::COLUMNS`].
        fn bind(&self, statement: Statement) -> Statement;
        /// Which value is taken, from the columns that a unique index names.
        fn taken(&self, columns: &str) -> Option<Duplicate>;
        /// Brings it into the form in which it is kept.
        fn settle(&mut self) {}
        /// Whether its description has this text, in lower case.
        fn described(&self, _text: &str) -> bool {
            true
        }
        /// Whether it may be written; `before` is what it was.
        fn admit<'c>(&'c self, before: Option<&'c Self>, around: Around<'c>, db: &'c mut SqliteConnection) -> Verdict<'c>;
        /// Whether it may go.
        fn release<'c>(&'c self, around: Around<'c>, db: &'c mut SqliteConnection) -> Verdict<'c>;
    }
}

use kept::Around;

/// Something that belongs to a node and goes with it.
pub trait Part: kept::Kept + Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {}

impl Part for Port {}
impl Part for Portgroup {}
impl Part for VolumeConnector {}
impl Part for VolumeTarget {}

/// A page of what belongs to nodes. All filters that are given must hold.
#[derive(Debug, Clone, Default)]
pub struct PartQuery {
    /// What belongs to this node.
    pub node: Option<NodeId>,
    /// What has this MAC address; of ports and groups.
    pub address: Option<String>,
    /// The ports of this group.
    pub portgroup: Option<Uuid>,
    /// What belongs to nodes in any of these shards; an empty list is no filter.
    pub shards: Vec<String>,
    /// What belongs to nodes in any of these conductor groups; an empty list is no filter.
    pub conductor_groups: Vec<String>,
    /// Ports whose description has this text, in whatever case.
    pub description_contains: Option<String>,
    /// Rows at most; [`DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last one of the page before.
    pub marker: Option<Uuid>,
    /// A scalar field that has a column; the order of creation if not given.
    pub sort_key: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl PartQuery {
    fn push(&self, query: &mut QueryBuilder<Sqlite>) {
        let texts = [
            ("node", self.node.map(|id| id.to_string())),
            ("address", self.address.as_deref().map(str::to_ascii_lowercase)),
            ("portgroup", self.portgroup.map(|uuid| uuid.to_string())),
        ];
        for (column, value) in texts {
            if let Some(value) = value {
                query.push(" AND n.").push(column).push(" = ").push_bind(value);
            }
        }
        for (column, values) in [("shard", &self.shards), ("conductor_group", &self.conductor_groups)] {
            if !values.is_empty() {
                query.push(" AND n.node IN (SELECT o.uuid FROM nodes o WHERE o.").push(column).push(" IN (");
                let mut list = query.separated(", ");
                for value in values {
                    list.push_bind(value.clone());
                }
                query.push("))");
            }
        }
    }
}

/// The UUID and the document.
type Row = (String, Vec<u8>);

fn read<P: Part>(keys: &KeyRing, (uuid, doc): Row) -> Result<P, StoreError> {
    document::open(keys, P::TABLE, uuid, &doc)
}

/// Those of nodes that the principal sees, called `n` as [`Page`] wants it.
fn visible<P: Part>(principal: &Principal) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(format!("SELECT n.uuid, n.doc FROM {} n WHERE 1 = 1", P::ROWS));
    if Visibility::of(principal) != Visibility::All {
        query.push(" AND n.node IN (SELECT n.uuid FROM nodes n WHERE 1 = 1");
        Visibility::of(principal).push(&mut query);
        query.push(")");
    }
    query
}

fn missing<P: Part>(id: impl ToString) -> StoreError {
    StoreError::NotFound { what: P::TABLE.what(), id: id.to_string() }
}

fn explain<P: Part>(part: &P, error: sqlx::Error) -> StoreError {
    if !is_unique_violation(&error) {
        return error.into();
    }
    part.taken(&error.to_string()).unwrap_or(Duplicate::RecipeUuid(P::TABLE.what(), part.uuid())).into()
}

/// The node, if the principal sees it and nobody holds it who must not.
async fn owner(
    db: &mut SqliteConnection,
    keys: &KeyRing,
    principal: &Principal,
    node: NodeId,
    reserved: Reserved,
) -> Result<Node, StoreError> {
    let node = current(db, keys, node).await?.value;
    if !sees(principal, &node) {
        return Err(StoreError::no_node(node.uuid));
    }
    if reserved == Reserved::Refuse {
        unheld(&node)?;
    }
    Ok(node)
}

/// All whose column has this value, in the order of creation, within the writer's transaction.
pub(crate) async fn all_with<P: Part>(
    db: &mut SqliteConnection,
    keys: &KeyRing,
    column: &'static str,
    value: impl ToString,
) -> Result<Vec<P>, StoreError> {
    let sql = AssertSqlSafe(format!("SELECT uuid, doc FROM {} WHERE {column} = $1 ORDER BY id", P::ROWS));
    let rows: Vec<Row> = sqlx::query_as(sql).bind(value.to_string()).fetch_all(db).await?;
    rows.into_iter().map(|row| read(keys, row)).collect()
}

/// Writes what was changed within the writer's transaction.
pub(crate) async fn put<P: Part>(db: &mut SqliteConnection, keys: &KeyRing, mut part: P) -> Result<P, StoreError> {
    let now = Timestamp::now();
    *part.times().1 = Some(now);
    let doc = document::seal(keys, P::TABLE, part.uuid(), &part)?;
    let columns: String = P::COLUMNS.iter().map(|column| format!("{column} = ?, ")).collect();
    let sql = format!("UPDATE {} SET {columns}node = ?, updated_at = ?, doc = ? WHERE uuid = ?", P::ROWS);
    let statement = part.bind(sqlx::query(AssertSqlSafe(sql)));
    let statement = statement.bind(part.node().to_string()).bind(now.as_microsecond()).bind(doc).bind(part.uuid().to_string());
    match statement.execute(db).await {
        Ok(_) => Ok(part),
        Err(error) => Err(explain(&part, error)),
    }
}

impl Store {
    /// Adds something to its node.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] names what is taken; [`StoreError::NotFound`] without its node; [`StoreError::Reserved`] unless
    /// allowed; [`StoreError::Part`] says what stands against it.
    pub async fn create_part<P: Part>(&self, principal: &Principal, mut part: P, reserved: Reserved) -> Result<P, StoreError> {
        part.settle();
        let doc = document::seal(self.keys(), P::TABLE, part.uuid(), &part)?;
        let (principal, keys) = (principal.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                let node = owner(db, &keys, &principal, part.node(), reserved).await?;
                part.admit(None, Around { keys: &keys, node: &node, target: &node }, &mut *db).await?;
                let columns: String = P::COLUMNS.iter().map(|column| format!("{column}, ")).collect();
                let places = "?, ".repeat(P::COLUMNS.len());
                let sql = format!("INSERT INTO {} ({columns}node, created_at, doc, uuid) VALUES ({places}?, ?, ?, ?)", P::ROWS);
                let created_at = part.times().0.as_microsecond();
                let statement = part.bind(sqlx::query(AssertSqlSafe(sql)));
                let statement = statement.bind(node.uuid.to_string()).bind(created_at).bind(doc).bind(part.uuid().to_string());
                match statement.execute(db).await {
                    Ok(_) => Ok(part),
                    Err(error) => Err(explain(&part, error)),
                }
            })
        })
        .await
    }

    /// The one of this UUID, if it is there and the principal sees its node.
    ///
    /// # Errors
    /// The database fails.
    pub async fn part<P: Part>(&self, principal: &Principal, uuid: Uuid) -> Result<Option<P>, StoreError> {
        self.one(principal, "uuid", uuid.to_string()).await
    }

    /// The port or group of this name, if it is there and the principal sees its node.
    ///
    /// # Errors
    /// The database fails.
    pub async fn named_part<P: Part>(&self, principal: &Principal, name: &str) -> Result<Option<P>, StoreError> {
        self.one(principal, "name", name.to_owned()).await
    }

    async fn one<P: Part>(&self, principal: &Principal, column: &'static str, value: String) -> Result<Option<P>, StoreError> {
        let mut query = visible::<P>(principal);
        query.push(" AND n.").push(column).push(" = ").push_bind(value);
        let row: Option<Row> = query.build_query_as().fetch_optional(self.reads()).await?;
        row.map(|row| read(self.keys(), row)).transpose()
    }

    /// A page of them.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn parts<P: Part>(&self, principal: &Principal, asked: &PartQuery) -> Result<Vec<P>, StoreError> {
        if let Some(marker) = asked.marker
            && self.part::<P>(principal, marker).await?.is_none()
        {
            return Err(StoreError::UnknownMarker(marker.to_string()));
        }
        let Some(text) = asked.description_contains.as_deref().map(str::to_lowercase) else {
            return self.page(principal, asked).await;
        };
        // Descriptions are sealed: pages are read until one is full of what fits.
        let limit = usize::try_from(asked.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        let mut asked = PartQuery { limit: None, ..asked.clone() };
        let mut found: Vec<P> = Vec::new();
        loop {
            let page: Vec<P> = self.page(principal, &asked).await?;
            let last = page.last().filter(|_| page.len() >= usize::try_from(DEFAULT_LIMIT).unwrap_or(usize::MAX)).map(P::uuid);
            found.extend(page.into_iter().filter(|part| part.described(&text)));
            if found.len() >= limit || last.is_none() {
                found.truncate(limit);
                return Ok(found);
            }
            asked.marker = last;
        }
    }

    async fn page<P: Part>(&self, principal: &Principal, asked: &PartQuery) -> Result<Vec<P>, StoreError> {
        let mut query = visible::<P>(principal);
        asked.push(&mut query);
        let page = Page {
            table: P::ROWS,
            keys: P::KEYS,
            sort_key: asked.sort_key.as_deref(),
            descending: asked.descending,
            marker: asked.marker.map(|uuid| uuid.to_string()),
            limit: asked.limit,
        };
        page.push(&mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|row| read(self.keys(), row)).collect()
    }

    /// Writes something that was read as `before`; sets `updated_at`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody changed it since; else as [`Store::create_part`], for the node that it belongs to and for
    /// the one that it is to belong to.
    pub async fn update_part<P: Part>(&self, principal: &Principal, before: &P, mut after: P, reserved: Reserved) -> Result<P, StoreError> {
        after.settle();
        if after.uuid() != before.uuid() {
            return Err(missing::<P>(after.uuid()));
        }
        let (before, principal, keys) = (before.clone(), principal.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                let id = before.uuid();
                let node = owner(db, &keys, &principal, before.node(), reserved).await?;
                let moved = match after.node() {
                    same if same == node.uuid => None,
                    other => Some(owner(db, &keys, &principal, other, reserved).await?),
                };
                let now = all_with::<P>(db, &keys, "uuid", id).await?.pop().ok_or_else(|| missing::<P>(id))?;
                if now != before {
                    return Err(StoreError::Stale { what: P::TABLE.what(), id: id.to_string() });
                }
                let around = Around { keys: &keys, node: &node, target: moved.as_ref().unwrap_or(&node) };
                after.admit(Some(&before), around, &mut *db).await?;
                put(db, &keys, after).await
            })
        })
        .await
    }

    /// Removes something from its node.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Reserved`] unless allowed; [`StoreError::Part`] says what stands against it.
    pub async fn delete_part<P: Part>(&self, principal: &Principal, uuid: Uuid, reserved: Reserved) -> Result<(), StoreError> {
        let (principal, keys) = (principal.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                let part = all_with::<P>(db, &keys, "uuid", uuid).await?.pop().ok_or_else(|| missing::<P>(uuid))?;
                let node = match owner(db, &keys, &principal, part.node(), reserved).await {
                    Err(StoreError::NotFound { .. }) => return Err(missing::<P>(uuid)),
                    other => other?,
                };
                part.release(Around { keys: &keys, node: &node, target: &node }, &mut *db).await?;
                let sql = AssertSqlSafe(format!("DELETE FROM {} WHERE uuid = $1", P::ROWS));
                sqlx::query(sql).bind(uuid.to_string()).execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}
