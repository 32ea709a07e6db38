//! Ports.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;
use wrought_domain::{NodeId, Port, Principal};

use crate::document::Table;
use crate::error::{is_dangling, is_unique_violation};
use crate::node::{current, sees};
use crate::query::{Page, Visibility};
use crate::seal::KeyRing;
use crate::{Duplicate, Store, StoreError, document};

/// A page of ports. All filters that are given must hold.
#[derive(Debug, Clone, Default)]
pub struct PortQuery {
    /// The ports of this node.
    pub node: Option<NodeId>,
    /// The port with this MAC address.
    pub address: Option<String>,
    /// The ports of this port group.
    pub portgroup: Option<Uuid>,
    /// Rows at most; [`crate::DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last port of the page before.
    pub marker: Option<Uuid>,
    /// `uuid`, `address`, `name`, `created_at` or `updated_at`; the order of creation if not given.
    pub sort_key: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
}

const SORT_KEYS: &[(&str, &str)] = &[("uuid", ""), ("address", ""), ("name", "''"), ("created_at", ""), ("updated_at", "0")];

/// A port's UUID and document.
type Row = (String, Vec<u8>);

/// Ports, called `n` as [`Page`] wants it, of nodes that the principal sees.
fn visible(principal: &Principal) -> QueryBuilder<Sqlite> {
    if Visibility::of(principal) == Visibility::All {
        return QueryBuilder::new("SELECT n.uuid, n.doc FROM ports n WHERE 1 = 1");
    }
    let mut query = QueryBuilder::new("SELECT n.uuid, n.doc FROM ports n WHERE n.node IN (SELECT n.uuid FROM nodes n WHERE 1 = 1");
    Visibility::of(principal).push(&mut query);
    query.push(")");
    query
}

/// Which unique value of the port is taken, or whether its node is gone.
async fn explain(db: &mut SqliteConnection, port: &Port, error: sqlx::Error) -> StoreError {
    if is_dangling(&error) {
        return StoreError::no_node(port.node);
    }
    if !is_unique_violation(&error) {
        return error.into();
    }
    let sql = "SELECT address, name FROM ports WHERE (address = $2 OR name = $3) AND uuid <> $1";
    let query = sqlx::query_as(sql).bind(port.uuid.to_string()).bind(port.address.clone()).bind(port.name.clone());
    let taken: Vec<(String, Option<String>)> = match query.fetch_all(db).await {
        Ok(taken) => taken,
        Err(error) => return error.into(),
    };
    match &port.name {
        _ if taken.iter().any(|(address, _)| *address == port.address) => Duplicate::PortAddress(port.address.clone()),
        Some(name) if !taken.is_empty() => Duplicate::PortName(name.clone()),
        _ => Duplicate::PortUuid(port.uuid),
    }
    .into()
}

fn no_port(uuid: Uuid) -> StoreError {
    StoreError::NotFound { what: "port", id: uuid.to_string() }
}

/// Refuses a principal that does not see the port's node.
async fn check(db: &mut SqliteConnection, keys: &KeyRing, principal: &Principal, node: NodeId) -> Result<(), StoreError> {
    let node = current(db, keys, node).await?.value;
    if sees(principal, &node) { Ok(()) } else { Err(StoreError::no_node(node.uuid)) }
}

impl Store {
    /// Adds a port; its address is put into lower case.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] names what is taken; [`StoreError::NotFound`] without its node.
    pub async fn create_port(&self, principal: &Principal, mut port: Port) -> Result<Port, StoreError> {
        port.address.make_ascii_lowercase();
        let doc = document::seal(self.keys(), Table::Ports, port.uuid, &port)?;
        let (principal, keys) = (principal.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                check(db, &keys, &principal, port.node).await?;
                let sql = "INSERT INTO ports (uuid, node, address, name, portgroup, created_at, updated_at, doc) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
                let query = sqlx::query(sql)
                    .bind(port.uuid.to_string())
                    .bind(port.node.to_string())
                    .bind(port.address.clone())
                    .bind(port.name.clone())
                    .bind(port.portgroup_uuid.map(|u| u.to_string()))
                    .bind(port.created_at.as_microsecond())
                    .bind(port.updated_at.map(Timestamp::as_microsecond))
                    .bind(doc);
                match query.execute(&mut *db).await {
                    Ok(_) => Ok(port),
                    Err(error) => Err(explain(db, &port, error).await),
                }
            })
        })
        .await
    }

    /// The port, if it is there and the principal sees its node.
    ///
    /// # Errors
    /// The database fails.
    pub async fn port(&self, principal: &Principal, uuid: Uuid) -> Result<Option<Port>, StoreError> {
        let mut query = visible(principal);
        query.push(" AND n.uuid = ").push_bind(uuid.to_string());
        let row: Option<Row> = query.build_query_as().fetch_optional(self.reads()).await?;
        row.map(|(uuid, doc)| document::open(self.keys(), Table::Ports, uuid, &doc)).transpose()
    }

    /// A page of ports.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn ports(&self, principal: &Principal, asked: &PortQuery) -> Result<Vec<Port>, StoreError> {
        if let Some(marker) = asked.marker
            && self.port(principal, marker).await?.is_none()
        {
            return Err(StoreError::UnknownMarker(marker.to_string()));
        }
        let mut query = visible(principal);
        let filters = [
            (" AND n.node = ", asked.node.map(|id| id.to_string())),
            (" AND n.address = ", asked.address.as_deref().map(str::to_ascii_lowercase)),
            (" AND n.portgroup = ", asked.portgroup.map(|u| u.to_string())),
        ];
        for (condition, value) in filters {
            if let Some(value) = value {
                query.push(condition).push_bind(value);
            }
        }
        let page = Page {
            table: "ports",
            keys: SORT_KEYS,
            sort_key: asked.sort_key.as_deref(),
            descending: asked.descending,
            marker: asked.marker.map(|uuid| uuid.to_string()),
            limit: asked.limit,
        };
        page.push(&mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|(uuid, doc)| document::open(self.keys(), Table::Ports, uuid, &doc)).collect()
    }

    /// The ports of a node, in the order of creation.
    ///
    /// # Errors
    /// The database fails.
    pub async fn ports_of(&self, node: NodeId) -> Result<Vec<Port>, StoreError> {
        self.ports(&Principal::host(), &PortQuery { node: Some(node), ..PortQuery::default() }).await
    }

    /// Writes a port that was read as `before`; sets `updated_at`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody changed it since, [`StoreError::Duplicate`],
    /// [`StoreError::NotFound`].
    pub async fn update_port(&self, principal: &Principal, before: &Port, mut after: Port) -> Result<Port, StoreError> {
        after.uuid = before.uuid;
        after.created_at = before.created_at;
        after.updated_at = Some(Timestamp::now());
        after.address.make_ascii_lowercase();
        let doc = document::seal(self.keys(), Table::Ports, after.uuid, &after)?;
        let (before, principal, keys) = (before.clone(), principal.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                check(db, &keys, &principal, before.node).await?;
                if after.node != before.node {
                    check(db, &keys, &principal, after.node).await?;
                }
                let query = sqlx::query_as("SELECT uuid, doc FROM ports WHERE uuid = $1").bind(after.uuid.to_string());
                let (uuid, now): Row = query.fetch_optional(&mut *db).await?.ok_or_else(|| no_port(after.uuid))?;
                if document::open::<Port>(&keys, Table::Ports, uuid, &now)? != before {
                    return Err(StoreError::Stale { what: "port", id: after.uuid.to_string() });
                }
                let sql = "UPDATE ports SET node = $2, address = $3, name = $4, portgroup = $5, updated_at = $6, doc = $7 WHERE uuid = $1";
                let query = sqlx::query(sql)
                    .bind(after.uuid.to_string())
                    .bind(after.node.to_string())
                    .bind(after.address.clone())
                    .bind(after.name.clone())
                    .bind(after.portgroup_uuid.map(|u| u.to_string()))
                    .bind(after.updated_at.map(Timestamp::as_microsecond))
                    .bind(doc);
                match query.execute(&mut *db).await {
                    Ok(_) => Ok(after),
                    Err(error) => Err(explain(db, &after, error).await),
                }
            })
        })
        .await
    }

    /// Removes a port.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or the database fails.
    pub async fn delete_port(&self, principal: &Principal, uuid: Uuid) -> Result<(), StoreError> {
        let port = self.port(principal, uuid).await?.ok_or_else(|| no_port(uuid))?;
        self.write(move |db| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM ports WHERE uuid = $1").bind(port.uuid.to_string()).execute(db).await?;
                if done.rows_affected() == 0 { Err(no_port(port.uuid)) } else { Ok(()) }
            })
        })
        .await
    }
}
