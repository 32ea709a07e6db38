//! What is known of the files that operators uploaded for drivers; the bytes lie elsewhere.

use jiff::Timestamp;
use wrought_domain::{ArtifactName, Digest};

use crate::{Store, StoreError, document};

/// A file for drivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name.
    pub name: ArtifactName,
    /// Of the bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// By whom.
    pub uploaded_by: String,
    /// From which address.
    pub uploaded_from: Option<String>,
    /// Until when a URL that a driver was given for it may be used; long ago if none was.
    pub url_until: Timestamp,
}

type Row = (String, String, i64, i64, String, Option<String>, i64);

const COLUMNS: &str = "SELECT name, digest, size, uploaded_at, uploaded_by, uploaded_from, url_until FROM artifacts";

fn artifact(row: Row) -> Result<Artifact, StoreError> {
    let (name, digest, size, uploaded_at, uploaded_by, uploaded_from, url_until) = row;
    Ok(Artifact {
        name: document::parse("artifact", &name)?,
        digest: document::parse("artifact", &digest)?,
        size: u64::try_from(size).unwrap_or(0),
        uploaded_at: document::moment(uploaded_at),
        uploaded_by,
        uploaded_from,
        url_until: document::moment(url_until),
    })
}

impl Store {
    /// Keeps what is known of an artifact, unless there is one of its name. The one that is there now.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_artifact(&self, new: &Artifact) -> Result<Artifact, StoreError> {
        let new = new.clone();
        self.write(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO artifacts (name, digest, size, uploaded_at, uploaded_by, uploaded_from) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING";
                let query = sqlx::query(sql).bind(new.name.to_string()).bind(new.digest.to_string());
                let query = query.bind(document::signed(new.size)).bind(new.uploaded_at.as_microsecond());
                query.bind(new.uploaded_by).bind(new.uploaded_from).execute(&mut *db).await?;
                let query = sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = $1"))).bind(new.name.to_string());
                artifact(query.fetch_one(db).await?)
            })
        })
        .await
    }

    /// All artifacts, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        let query = sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY name")));
        let rows: Vec<Row> = query.fetch_all(self.reads()).await?;
        rows.into_iter().map(artifact).collect()
    }

    /// Notes that a URL of these bytes may be used until then. Whether there are such bytes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_artifact_url(&self, digest: &Digest, until: Timestamp) -> Result<bool, StoreError> {
        let (digest, until) = (digest.to_string(), until.as_microsecond());
        self.write(move |db| {
            Box::pin(async move {
                let sql = "UPDATE artifacts SET url_until = CASE WHEN url_until < $2 THEN $2 ELSE url_until END WHERE digest = $1";
                Ok(sqlx::query(sql).bind(digest).bind(until).execute(db).await?.rows_affected() > 0)
            })
        })
        .await
    }

    /// Forgets an artifact to which no URL leads any more. Whether its bytes are none of any name's now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Referenced`] while a URL that a driver was given may be used.
    pub async fn delete_artifact(&self, name: &ArtifactName, now: Timestamp) -> Result<bool, StoreError> {
        let name = name.to_string();
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query_as("SELECT digest, url_until FROM artifacts WHERE name = $1").bind(name.clone());
                let found: Option<(String, i64)> = query.fetch_optional(&mut *db).await?;
                let Some((digest, until)) = found else { return Err(StoreError::NotFound { what: "artifact", id: name }) };
                let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM artifacts WHERE digest = $1 AND name <> $2)");
                let shared: bool = query.bind(digest).bind(name.clone()).fetch_one(&mut *db).await?;
                if !shared && until > now.as_microsecond() {
                    let by = format!("a driver was given a URL of it that may be used until {:.0}; wait for that", document::moment(until));
                    return Err(StoreError::Referenced { what: format!("artifact {name}"), by });
                }
                sqlx::query("DELETE FROM artifacts WHERE name = $1").bind(name).execute(db).await?;
                Ok(!shared)
            })
        })
        .await
    }
}
