//! Inspection rules.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::QueryBuilder;
use uuid::Uuid;
use wrought_inspection::rules::Rule;

use crate::document::Table;
use crate::error::is_unique_violation;
use crate::query::Page;
use crate::{Duplicate, Store, StoreError, document};

/// A page of inspection rules.
#[derive(Debug, Clone, Default)]
pub struct RuleQuery {
    /// Rules of this phase.
    pub phase: Option<String>,
    /// Rows at most; [`crate::DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last rule of the page before.
    pub marker: Option<Uuid>,
    /// `uuid`, `priority`, `phase`, `description`, `sensitive`, `created_at` or `updated_at`; the order of creation if not given.
    pub sort_key: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
}

const SORT_KEYS: &[(&str, &str)] =
    &[("uuid", ""), ("priority", ""), ("phase", ""), ("description", "''"), ("sensitive", ""), ("created_at", ""), ("updated_at", "0")];

type Row = (String, Vec<u8>);

fn no_rule(uuid: Uuid) -> StoreError {
    StoreError::NotFound { what: Table::InspectionRules.what(), id: uuid.to_string() }
}

fn explain(uuid: Uuid, error: sqlx::Error) -> StoreError {
    match is_unique_violation(&error) {
        true => Duplicate::RecipeUuid(Table::InspectionRules.what(), uuid).into(),
        false => error.into(),
    }
}

impl Store {
    /// Adds a rule.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its UUID is taken, or the database fails.
    pub async fn add_inspection_rule(&self, rule: Rule) -> Result<Rule, StoreError> {
        let doc = document::seal(self.keys(), Table::InspectionRules, rule.uuid, &rule)?;
        self.write(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO inspection_rules (uuid, priority, phase, description, sensitive, created_at, doc) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
                let query = sqlx::query(sql)
                    .bind(rule.uuid.to_string())
                    .bind(i64::from(rule.priority))
                    .bind(rule.phase.clone())
                    .bind(rule.description.clone())
                    .bind(rule.sensitive)
                    .bind(rule.created_at.as_microsecond())
                    .bind(doc);
                match query.execute(db).await {
                    Ok(_) => Ok(rule),
                    Err(error) => Err(explain(rule.uuid, error)),
                }
            })
        })
        .await
    }

    /// The rule of this UUID.
    ///
    /// # Errors
    /// The database fails.
    pub async fn inspection_rule(&self, uuid: Uuid) -> Result<Option<Rule>, StoreError> {
        let query = sqlx::query_scalar("SELECT doc FROM inspection_rules WHERE uuid = $1").bind(uuid.to_string());
        let doc: Option<Vec<u8>> = query.fetch_optional(self.reads()).await?;
        doc.map(|doc| document::open(self.keys(), Table::InspectionRules, uuid, &doc)).transpose()
    }

    /// How many rules there are.
    ///
    /// # Errors
    /// The database fails.
    pub async fn count_inspection_rules(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM inspection_rules").fetch_one(self.reads()).await?;
        Ok(document::unsigned(count))
    }

    /// A page of rules.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn inspection_rules(&self, asked: &RuleQuery) -> Result<Vec<Rule>, StoreError> {
        if let Some(marker) = asked.marker
            && self.inspection_rule(marker).await?.is_none()
        {
            return Err(StoreError::UnknownMarker(marker.to_string()));
        }
        let mut query = QueryBuilder::new("SELECT n.uuid, n.doc FROM inspection_rules n WHERE 1 = 1");
        if let Some(phase) = &asked.phase {
            query.push(" AND n.phase = ").push_bind(phase.clone());
        }
        let page = Page {
            table: "inspection_rules",
            keys: SORT_KEYS,
            sort_key: asked.sort_key.as_deref(),
            descending: asked.descending,
            marker: asked.marker.map(|uuid| uuid.to_string()),
            limit: asked.limit,
        };
        page.push(&mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|(uuid, doc)| document::open(self.keys(), Table::InspectionRules, uuid, &doc)).collect()
    }

    /// Writes a rule that was read as `before`; sets `updated_at`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody changed it since, [`StoreError::NotFound`], or the database fails.
    pub async fn update_inspection_rule(&self, before: &Rule, mut after: Rule) -> Result<Rule, StoreError> {
        after.uuid = before.uuid;
        after.created_at = before.created_at;
        let now = Timestamp::now();
        after.updated_at = Some(now);
        let doc = document::seal(self.keys(), Table::InspectionRules, after.uuid, &after)?;
        let (before, keys) = (before.clone(), Arc::clone(self.keys()));
        self.write(move |db| {
            Box::pin(async move {
                let id = after.uuid.to_string();
                let query = sqlx::query_scalar("SELECT doc FROM inspection_rules WHERE uuid = $1").bind(id.clone());
                let stored: Option<Vec<u8>> = query.fetch_optional(&mut *db).await?;
                let stored = stored.ok_or_else(|| no_rule(after.uuid))?;
                if document::open::<Rule>(&keys, Table::InspectionRules, &id, &stored)? != before {
                    return Err(StoreError::Stale { what: Table::InspectionRules.what(), id });
                }
                let sql = "UPDATE inspection_rules SET priority = $2, phase = $3, description = $4, sensitive = $5, updated_at = $6, doc = $7 \
                     WHERE uuid = $1";
                let query = sqlx::query(sql)
                    .bind(id)
                    .bind(i64::from(after.priority))
                    .bind(after.phase.clone())
                    .bind(after.description.clone())
                    .bind(after.sensitive)
                    .bind(now.as_microsecond())
                    .bind(doc);
                query.execute(db).await?;
                Ok(after)
            })
        })
        .await
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or the database fails.
    pub async fn delete_inspection_rule(&self, uuid: Uuid) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM inspection_rules WHERE uuid = $1").bind(uuid.to_string()).execute(db).await?;
                if done.rows_affected() == 0 { Err(no_rule(uuid)) } else { Ok(()) }
            })
        })
        .await
    }
}
