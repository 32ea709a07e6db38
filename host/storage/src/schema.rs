//! The schema's versions.

use std::cmp::Ordering;
use std::path::Path;

use sqlx::{Connection, SqliteConnection};

use crate::StoreError;

/// Every step from one schema to the next; never changed once released.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../migrations/0001_first.sql")),
    (2, include_str!("../migrations/0002_journal.sql")),
    (3, include_str!("../migrations/0003_seals.sql")),
    (4, include_str!("../migrations/0004_rejections.sql")),
    (5, include_str!("../migrations/0005_rollout.sql")),
    (6, include_str!("../migrations/0006_locks_and_limits.sql")),
    (7, include_str!("../migrations/0007_artifacts.sql")),
    (8, include_str!("../migrations/0008_recipes.sql")),
    (9, include_str!("../migrations/0009_events.sql")),
    (10, include_str!("../migrations/0010_inspection.sql")),
    (11, include_str!("../migrations/0011_events_by_kind.sql")),
    (12, include_str!("../migrations/0012_resources.sql")),
    (13, include_str!("../migrations/0013_allocations.sql")),
    (14, include_str!("../migrations/0014_tokens.sql")),
    (15, include_str!("../migrations/0015_node_lists.sql")),
];

/// That the database has this binary's schema; it is left as it is.
pub(crate) async fn check(db: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM schema").fetch_one(db).await?;
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    let path = path.to_owned();
    match found.cmp(&known) {
        Ordering::Greater => Err(StoreError::NewerSchema { path, found, known }),
        Ordering::Less => Err(StoreError::OlderSchema { path, found, known }),
        Ordering::Equal => Ok(()),
    }
}

/// Brings the database to the newest schema.
pub(crate) async fn migrate(db: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    sqlx::query("CREATE TABLE IF NOT EXISTS schema (version BIGINT NOT NULL)").execute(&mut *db).await?;
    let found: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM schema").fetch_one(&mut *db).await?;
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        let mut transaction = db.begin().await?;
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO schema (version) VALUES ($1)").bind(version).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}
