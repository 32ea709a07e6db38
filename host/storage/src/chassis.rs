//! Chassis. They belong to no project: who may see them is decided elsewhere.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;
use wrought_domain::{Chassis, PartError};

use crate::document::Table;
use crate::error::is_unique_violation;
use crate::query::Page;
use crate::{Duplicate, Store, StoreError, document};

/// A page of chassis.
#[derive(Debug, Clone, Default)]
pub struct ChassisQuery {
    /// Rows at most; [`crate::DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last one of the page before.
    pub marker: Option<Uuid>,
    /// `uuid`, `description`, `created_at` or `updated_at`; the order of creation if not given.
    pub sort_key: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
}

const KEYS: &[(&str, &str)] = &[("uuid", ""), ("description", "''"), ("created_at", ""), ("updated_at", "0")];

type Row = (String, Vec<u8>);

fn missing(uuid: Uuid) -> StoreError {
    StoreError::NotFound { what: Table::Chassis.what(), id: uuid.to_string() }
}

/// That a node's chassis is there, within the writer's transaction.
pub(crate) async fn check(db: &mut SqliteConnection, chassis: Option<Uuid>) -> Result<(), StoreError> {
    let Some(uuid) = chassis else { return Ok(()) };
    let found: Option<i64> = sqlx::query_scalar("SELECT id FROM chassis WHERE uuid = $1").bind(uuid.to_string()).fetch_optional(db).await?;
    found.map(drop).ok_or_else(|| missing(uuid))
}

impl Store {
    /// Adds a chassis.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when there is one of this UUID.
    pub async fn create_chassis(&self, chassis: Chassis) -> Result<Chassis, StoreError> {
        let doc = document::seal(self.keys(), Table::Chassis, chassis.uuid, &chassis)?;
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query("INSERT INTO chassis (uuid, description, created_at, doc) VALUES ($1, $2, $3, $4)");
                let query = query.bind(chassis.uuid.to_string()).bind(chassis.description.clone());
                match query.bind(chassis.created_at.as_microsecond()).bind(doc).execute(db).await {
                    Ok(_) => Ok(chassis),
                    Err(error) if is_unique_violation(&error) => Err(Duplicate::RecipeUuid("chassis", chassis.uuid).into()),
                    Err(error) => Err(error.into()),
                }
            })
        })
        .await
    }

    /// The chassis of this UUID.
    ///
    /// # Errors
    /// The database fails.
    pub async fn chassis(&self, uuid: Uuid) -> Result<Option<Chassis>, StoreError> {
        let query = sqlx::query_as("SELECT uuid, doc FROM chassis WHERE uuid = $1").bind(uuid.to_string());
        let row: Option<Row> = query.fetch_optional(self.reads()).await?;
        row.map(|(uuid, doc)| document::open(self.keys(), Table::Chassis, uuid, &doc)).transpose()
    }

    /// A page of chassis.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn all_chassis(&self, asked: &ChassisQuery) -> Result<Vec<Chassis>, StoreError> {
        if let Some(marker) = asked.marker
            && self.chassis(marker).await?.is_none()
        {
            return Err(StoreError::UnknownMarker(marker.to_string()));
        }
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("SELECT n.uuid, n.doc FROM chassis n WHERE 1 = 1");
        let page = Page {
            table: "chassis",
            keys: KEYS,
            sort_key: asked.sort_key.as_deref(),
            descending: asked.descending,
            marker: asked.marker.map(|uuid| uuid.to_string()),
            limit: asked.limit,
        };
        page.push(&mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|(uuid, doc)| document::open(self.keys(), Table::Chassis, uuid, &doc)).collect()
    }

    /// Writes a chassis that was read as `before`; sets `updated_at`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody changed it since, [`StoreError::NotFound`].
    pub async fn update_chassis(&self, before: &Chassis, after: Chassis) -> Result<Chassis, StoreError> {
        let now = Timestamp::now();
        let after = Chassis { uuid: before.uuid, created_at: before.created_at, updated_at: Some(now), ..after };
        let doc = document::seal(self.keys(), Table::Chassis, after.uuid, &after)?;
        let (before, keys) = (before.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                let id = after.uuid.to_string();
                let query = sqlx::query_as("SELECT uuid, doc FROM chassis WHERE uuid = $1").bind(id.clone());
                let (uuid, stored): Row = query.fetch_optional(&mut *db).await?.ok_or_else(|| missing(after.uuid))?;
                if document::open::<Chassis>(&keys, Table::Chassis, uuid, &stored)? != before {
                    return Err(StoreError::Stale { what: Table::Chassis.what(), id });
                }
                let query = sqlx::query("UPDATE chassis SET description = $2, updated_at = $3, doc = $4 WHERE uuid = $1").bind(id);
                query.bind(after.description.clone()).bind(now.as_microsecond()).bind(doc).execute(db).await?;
                Ok(after)
            })
        })
        .await
    }

    /// Removes a chassis.
    ///
    /// # Errors
    /// [`StoreError::Part`] while nodes are in it; [`StoreError::NotFound`].
    pub async fn delete_chassis(&self, uuid: Uuid) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let used: Option<i64> = sqlx::query_scalar("SELECT id FROM nodes WHERE chassis_uuid = $1 LIMIT 1")
                    .bind(uuid.to_string())
                    .fetch_optional(&mut *db)
                    .await?;
                if used.is_some() {
                    let text = format!("Cannot complete the requested action because chassis {uuid} contains nodes.");
                    return Err(PartError::Invalid(text).into());
                }
                let done = sqlx::query("DELETE FROM chassis WHERE uuid = $1").bind(uuid.to_string()).execute(db).await?;
                if done.rows_affected() == 0 { Err(missing(uuid)) } else { Ok(()) }
            })
        })
        .await
    }

    /// How many nodes are in each shard, by name; those in none come last.
    ///
    /// # Errors
    /// The database fails.
    pub async fn shards(&self) -> Result<Vec<(Option<String>, u64)>, StoreError> {
        let sql = "SELECT shard, COUNT(*) FROM nodes GROUP BY shard ORDER BY shard IS NULL, shard";
        let rows: Vec<(Option<String>, i64)> = sqlx::query_as(sql).fetch_all(self.reads()).await?;
        Ok(rows.into_iter().map(|(shard, count)| (shard, document::unsigned(count))).collect())
    }
}
