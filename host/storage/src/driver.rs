//! What is known of drivers: versions, grants, and which version is in force. The components
//! themselves are files, kept by the driver runtime under their digests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::SqliteConnection;
use wrought_domain::{Digest, DriverName};

use crate::{Store, StoreError, document};

/// Where a version of a driver stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverStatus {
    /// Verified and ready to be activated.
    Available,
    /// In force.
    Active,
    /// In force for some nodes.
    Canary,
    /// No new operation takes it.
    Retired,
    /// Nothing may run on it.
    Revoked,
    /// It was not admitted.
    Rejected,
}

impl DriverStatus {
    /// Every status.
    pub const ALL: [DriverStatus; 6] = [Self::Available, Self::Active, Self::Canary, Self::Retired, Self::Revoked, Self::Rejected];

    /// The status as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Active => "active",
            Self::Canary => "canary",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
            Self::Rejected => "rejected",
        }
    }
}

/// A version of a driver that was uploaded, or came with the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverVersion {
    /// The name it is registered under.
    pub name: DriverName,
    /// Its component.
    pub digest: Digest,
    /// What it calls itself: the version.
    pub version: String,
    /// Who made it.
    pub vendor: String,
    /// What it does, in a line.
    pub summary: String,
    /// Where it stands.
    pub status: DriverStatus,
    /// Bytes of the component.
    pub size: u64,
    /// When it came.
    pub uploaded_at: Timestamp,
    /// All that it says about itself.
    pub description: Value,
    /// The capabilities that it asks for.
    pub requested: Vec<String>,
    /// Who uploaded it.
    #[serde(default)]
    pub uploaded_by: Option<String>,
    /// From which address.
    #[serde(default)]
    pub uploaded_from: Option<String>,
    /// What is known of its origin.
    #[serde(default)]
    pub signature: Value,
    /// What the stages of admission found.
    #[serde(default)]
    pub report: Value,
}

/// The version of a driver that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveDriver {
    /// The driver.
    pub name: DriverName,
    /// The version.
    pub digest: Digest,
    /// Grows with every activation of any driver.
    pub generation: u64,
}

fn no_version(name: &DriverName, digest: &Digest) -> StoreError {
    StoreError::NotFound { what: "driver version", id: format!("{name} {}", digest.short()) }
}

pub(crate) async fn set_status(
    db: &mut SqliteConnection,
    name: &DriverName,
    digest: &Digest,
    status: DriverStatus,
) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE driver_versions SET status = $3 WHERE name = $1 AND digest = $2");
    let done = query.bind(name.to_string()).bind(digest.to_string()).bind(status.as_str()).execute(db).await?;
    if done.rows_affected() == 0 { Err(no_version(name, digest)) } else { Ok(()) }
}

pub(crate) async fn put_version(db: &mut SqliteConnection, version: &DriverVersion) -> Result<(), StoreError> {
    let doc = document::write("driver version", version)?;
    let uploaded_at = version.uploaded_at.as_microsecond();
    sqlx::query("INSERT INTO components (digest, size, uploaded_at) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
        .bind(version.digest.to_string())
        .bind(document::signed(version.size))
        .bind(uploaded_at)
        .execute(&mut *db)
        .await?;
    let sql = "INSERT INTO driver_versions (name, digest, version, status, uploaded_at, doc) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (name, digest) DO UPDATE SET version = excluded.version, doc = excluded.doc";
    sqlx::query(sql)
        .bind(version.name.to_string())
        .bind(version.digest.to_string())
        .bind(&version.version)
        .bind(version.status.as_str())
        .bind(uploaded_at)
        .bind(doc)
        .execute(db)
        .await?;
    Ok(())
}

impl Store {
    /// Keeps a version; one that is there already keeps its status and its time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_driver_version(&self, version: &DriverVersion) -> Result<(), StoreError> {
        let version = version.clone();
        self.write(move |db| Box::pin(async move { put_version(db, &version).await })).await
    }

    /// The versions of a driver, or of all drivers; the latest of each name first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn driver_versions(&self, name: Option<&DriverName>) -> Result<Vec<DriverVersion>, StoreError> {
        let sql =
            "SELECT doc, status, uploaded_at FROM driver_versions WHERE ($1 IS NULL OR name = $1) ORDER BY name, uploaded_at DESC, digest";
        let query = sqlx::query_as(sql).bind(name.map(DriverName::to_string));
        let rows: Vec<(String, String, i64)> = query.fetch_all(self.reads()).await?;
        let mut versions = Vec::with_capacity(rows.len());
        for (doc, status, uploaded_at) in rows {
            let mut version: DriverVersion = document::read("driver version", "in a list", &doc)?;
            version.status = DriverStatus::ALL.into_iter().find(|s| s.as_str() == status).unwrap_or(DriverStatus::Rejected);
            version.uploaded_at = document::moment(uploaded_at);
            versions.push(version);
        }
        Ok(versions)
    }

    /// The versions in force, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn active(&self) -> Result<Vec<ActiveDriver>, StoreError> {
        let query = sqlx::query_as("SELECT name, digest, generation FROM active_drivers ORDER BY name");
        let rows: Vec<(String, String, i64)> = query.fetch_all(self.reads()).await?;
        rows.into_iter()
            .map(|(name, digest, generation)| {
                let (name, digest) = (document::parse("active driver", &name)?, document::parse("active driver", &digest)?);
                Ok(ActiveDriver { name, digest, generation: document::unsigned(generation) })
            })
            .collect()
    }

    /// The capabilities granted to each driver, in alphabetical order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn grants(&self) -> Result<BTreeMap<DriverName, Vec<String>>, StoreError> {
        let query = sqlx::query_as("SELECT name, capability FROM driver_grants ORDER BY name, capability");
        let rows: Vec<(String, String)> = query.fetch_all(self.reads()).await?;
        let mut grants = BTreeMap::<DriverName, Vec<String>>::new();
        for (name, capability) in rows {
            grants.entry(document::parse("grant", &name)?).or_default().push(capability);
        }
        Ok(grants)
    }
}
