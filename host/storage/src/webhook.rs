//! How far each webhook has told of events.

use sqlx::QueryBuilder;

use crate::{Store, StoreError, document};

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WebhookCursor {
    /// The last event that it is done with.
    pub event: u64,
    /// Events that were passed over since it last told of one.
    pub skipped: u64,
}

impl Store {
    /// Where a webhook stands. One that is new begins behind the newest event.
    ///
    /// # Errors
    /// The database fails.
    pub async fn webhook_cursor(&self, name: &str) -> Result<WebhookCursor, StoreError> {
        let name = name.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO webhooks (name, cursor, skipped) VALUES ($1, COALESCE((SELECT MAX(id) FROM events), \
                     (SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), 0) ON CONFLICT (name) DO NOTHING";
                sqlx::query(sql).bind(&name).execute(&mut *db).await?;
                let query = sqlx::query_as("SELECT cursor, skipped FROM webhooks WHERE name = $1").bind(&name);
                let (event, skipped): (i64, i64) = query.fetch_one(db).await?;
                Ok(WebhookCursor { event: document::unsigned(event), skipped: document::unsigned(skipped) })
            })
        })
        .await
    }

    /// Notes where a webhook stands.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_webhook_cursor(&self, name: &str, cursor: WebhookCursor) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query("UPDATE webhooks SET cursor = $2, skipped = $3 WHERE name = $1").bind(name);
                query.bind(document::signed(cursor.event)).bind(document::signed(cursor.skipped)).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// Forgets where webhooks stand that are not among these.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keep_webhooks(&self, names: Vec<String>) -> Result<(), StoreError> {
        let known: Vec<String> = sqlx::query_scalar("SELECT name FROM webhooks").fetch_all(self.reads()).await?;
        if known.iter().all(|name| names.contains(name)) {
            return Ok(());
        }
        self.write(move |db| {
            Box::pin(async move {
                let mut query = QueryBuilder::new("DELETE FROM webhooks WHERE name NOT IN (''");
                for name in names {
                    query.push(", ").push_bind(name);
                }
                query.push(")").build().execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}
