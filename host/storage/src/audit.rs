//! Who decided what, and what was denied to whom: records are added, and never changed.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::{QueryBuilder, SqliteConnection};

use crate::{Store, StoreError, document};

/// Records that one question is answered with at most.
pub const MAX_AUDIT: u32 = 1000;

/// Records that are kept, whatever their age.
const KEPT: i64 = 1_000_000;

/// A record of the audit.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who: the user of a request, `wrought` for the host itself.
    pub principal: String,
    /// The address that a request came from.
    pub source: Option<String>,
    /// What was decided or asked for, such as `driver.activate` or `power.on`.
    pub verb: String,
    /// What it was about, such as `driver/acme` or `node/<uuid>`.
    pub object: String,
    /// `done`, `refused` or `denied`.
    pub outcome: String,
    /// Why, in words.
    pub reason: String,
    /// More, as the verb has it. Holds no secret.
    pub detail: Value,
}

/// Which records are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// About this object.
    pub object: Option<String>,
    /// With this verb.
    pub verb: Option<String>,
    /// Those after this one, the oldest first; without it the latest ones.
    pub after: Option<u64>,
    /// How many at most; [`MAX_AUDIT`] is the most.
    pub limit: u32,
}

type Row = (i64, i64, String, Option<String>, String, String, String, String, String);

pub(crate) async fn add(db: &mut SqliteConnection, record: &AuditRecord) -> Result<(), StoreError> {
    let detail = document::write("audit record", &record.detail)?;
    let sql = "INSERT INTO audit (at, principal, source, verb, object, outcome, reason, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(sql)
        .bind(record.at.as_microsecond())
        .bind(&record.principal)
        .bind(&record.source)
        .bind(&record.verb)
        .bind(&record.object)
        .bind(&record.outcome)
        .bind(&record.reason)
        .bind(detail)
        .execute(db)
        .await?;
    Ok(())
}

impl Store {
    /// Adds records.
    ///
    /// # Errors
    /// The database fails; then none is added.
    pub async fn audit(&self, records: Vec<AuditRecord>) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                for record in &records {
                    add(db, record).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Records with their numbers, in the order in which they were added.
    ///
    /// # Errors
    /// The database fails.
    pub async fn audit_records(&self, asked: &AuditQuery) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
        let mut query = QueryBuilder::new("SELECT id, at, principal, source, verb, object, outcome, reason, detail FROM audit WHERE id > ");
        query.push_bind(document::signed(asked.after.unwrap_or(0)));
        if let Some(object) = &asked.object {
            query.push(" AND object = ").push_bind(object.clone());
        }
        if let Some(verb) = &asked.verb {
            query.push(" AND verb = ").push_bind(verb.clone());
        }
        query.push(if asked.after.is_some() { " ORDER BY id LIMIT " } else { " ORDER BY id DESC LIMIT " });
        query.push_bind(i64::from(asked.limit.min(MAX_AUDIT)));
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        let mut records: Vec<(u64, AuditRecord)> = rows.into_iter().map(record).collect::<Result<_, _>>()?;
        records.sort_by_key(|(id, _)| *id);
        Ok(records)
    }

    /// Forgets what is older than `before` or one too many (a million are kept), some thousand records at most; how many those were.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 LIMIT 5000)";
                let old = sqlx::query(sql).bind(before.as_microsecond()).execute(&mut *db).await?.rows_affected();
                let sql = "DELETE FROM audit WHERE id IN \
                     (SELECT id FROM audit WHERE id <= (SELECT COALESCE(MAX(id), 0) FROM audit) - $1 ORDER BY id LIMIT 5000)";
                Ok(sqlx::query(sql).bind(KEPT).execute(db).await?.rows_affected().saturating_add(old))
            })
        })
        .await
    }
}

fn record(row: Row) -> Result<(u64, AuditRecord), StoreError> {
    let (id, at, principal, source, verb, object, outcome, reason, detail) = row;
    let detail = document::read("audit record", id, &detail)?;
    let at = document::moment(at);
    Ok((document::unsigned(id), AuditRecord { at, principal, source, verb, object, outcome, reason, detail }))
}
