//! What operators decide about drivers: each decision is one transaction, with its record in the audit.

use std::collections::{BTreeMap, HashMap};

use sqlx::SqliteConnection;
use wrought_domain::rollout::Rollout;
use wrought_domain::{Digest, DriverName, NodeId};

use crate::audit::{self, AuditRecord};
use crate::driver::{DriverStatus, DriverVersion, put_version, set_status};
use crate::{Store, StoreError, document};

/// What changes with a decision. What is not named stays.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The driver.
    pub name: DriverName,
    /// The version that is in force from now on; `Some(None)` for none.
    pub active: Option<Option<Digest>>,
    /// Versions that stand elsewhere from now on. Those in force are changed before.
    pub statuses: Vec<(Digest, DriverStatus)>,
    /// All that is granted from now on.
    pub grants: Option<Vec<String>>,
    /// What is decided beside.
    pub rollout: Option<Rollout>,
    /// A version that came with the host, and is not known yet.
    pub version: Option<DriverVersion>,
    /// For the audit.
    pub record: AuditRecord,
}

impl Decision {
    /// One that changes nothing yet.
    pub fn new(name: DriverName, record: AuditRecord) -> Self {
        Self { name, active: None, statuses: Vec::new(), grants: None, rollout: None, version: None, record }
    }
}

/// Why a version was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The version.
    pub digest: Digest,
    /// Why.
    pub reason: String,
    /// On whose behalf.
    pub by: String,
}

/// What a driver keeps about a node, and which version wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptState {
    /// The driver.
    pub driver: DriverName,
    /// The form that it is written in, as the version numbers it; nothing where that is not known.
    pub schema: Option<u32>,
    /// The version that wrote it last.
    pub digest: Option<Digest>,
}

async fn carry_out(db: &mut SqliteConnection, decision: &Decision) -> Result<(), StoreError> {
    let name = decision.name.to_string();
    if let Some(version) = &decision.version {
        put_version(db, version).await?;
    }
    if let Some(active) = &decision.active {
        sqlx::query("UPDATE driver_versions SET status = 'available' WHERE name = $1 AND status = 'active'")
            .bind(&name)
            .execute(&mut *db)
            .await?;
        let query = sqlx::query_scalar("UPDATE counters SET value = value + 1 WHERE name = 'driver generation' RETURNING value");
        let generation: i64 = query.fetch_one(&mut *db).await?;
        match active {
            Some(digest) => {
                set_status(db, &decision.name, digest, DriverStatus::Active).await?;
                let sql = "INSERT INTO active_drivers (name, digest, generation) VALUES ($1, $2, $3) \
                     ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, generation = excluded.generation";
                sqlx::query(sql).bind(&name).bind(digest.to_string()).bind(generation).execute(&mut *db).await?;
            }
            None => {
                sqlx::query("DELETE FROM active_drivers WHERE name = $1").bind(&name).execute(&mut *db).await?;
            }
        }
    }
    for (digest, status) in &decision.statuses {
        set_status(db, &decision.name, digest, *status).await?;
    }
    if let Some(grants) = &decision.grants {
        sqlx::query("DELETE FROM driver_grants WHERE name = $1").bind(&name).execute(&mut *db).await?;
        for capability in grants {
            let sql = "INSERT INTO driver_grants (name, capability) VALUES ($1, $2) ON CONFLICT (name, capability) DO NOTHING";
            sqlx::query(sql).bind(&name).bind(capability).execute(&mut *db).await?;
        }
    }
    if let Some(rollout) = &decision.rollout {
        put(db, &decision.name, rollout).await?;
    }
    audit::add(db, &decision.record).await
}

async fn put(db: &mut SqliteConnection, name: &DriverName, rollout: &Rollout) -> Result<(), StoreError> {
    let doc = document::write("rollout", rollout)?;
    let sql = "INSERT INTO driver_rollouts (name, doc) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc";
    sqlx::query(sql).bind(name.to_string()).bind(doc).execute(db).await?;
    Ok(())
}

impl Store {
    /// Stores a decision as a whole.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without one of the versions, or the database fails.
    pub async fn decide(&self, decision: Decision) -> Result<(), StoreError> {
        self.write(move |db| Box::pin(async move { carry_out(db, &decision).await })).await
    }

    /// Revokes a version under all names, together with what else is decided about each of those.
    ///
    /// # Errors
    /// As [`Store::decide`].
    pub async fn revoke(&self, revocation: Revocation, decisions: Vec<Decision>, record: AuditRecord) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO driver_revocations (digest, reason, revoked_at, revoked_by) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (digest) DO NOTHING";
                let query = sqlx::query(sql).bind(revocation.digest.to_string()).bind(revocation.reason);
                query.bind(record.at.as_microsecond()).bind(revocation.by).execute(&mut *db).await?;
                for decision in &decisions {
                    carry_out(db, decision).await?;
                }
                audit::add(db, &record).await
            })
        })
        .await
    }

    /// The versions that were revoked, and why.
    ///
    /// # Errors
    /// The database fails.
    pub async fn revocations(&self) -> Result<HashMap<Digest, String>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT digest, reason FROM driver_revocations").fetch_all(self.reads()).await?;
        rows.into_iter().map(|(digest, reason)| Ok((document::parse("revocation", &digest)?, reason))).collect()
    }

    /// What was decided about each driver.
    ///
    /// # Errors
    /// The database fails.
    pub async fn rollouts(&self) -> Result<BTreeMap<DriverName, Rollout>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT name, doc FROM driver_rollouts").fetch_all(self.reads()).await?;
        let read = |(name, doc): (String, String)| Ok((document::parse("rollout", &name)?, document::read("rollout", &name, &doc)?));
        rows.into_iter().map(read).collect()
    }

    /// Notes how operations on trial ended.
    ///
    /// # Errors
    /// The database fails.
    pub async fn put_rollout(&self, name: &DriverName, rollout: Rollout) -> Result<(), StoreError> {
        let name = name.clone();
        self.write(move |db| Box::pin(async move { put(db, &name, &rollout).await })).await
    }

    /// What drivers keep about a node until it is torn down.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept_states(&self, node: NodeId) -> Result<Vec<KeptState>, StoreError> {
        let query = sqlx::query_as("SELECT driver, state_schema, digest FROM driver_state WHERE node = $1 AND keeps");
        let rows: Vec<(String, Option<i64>, Option<String>)> = query.bind(node.to_string()).fetch_all(self.reads()).await?;
        rows.into_iter()
            .map(|(driver, schema, digest)| {
                Ok(KeptState {
                    driver: document::parse("driver state", &driver)?,
                    schema: schema.and_then(|schema| u32::try_from(schema).ok()),
                    digest: digest.map(|digest| document::parse("driver state", &digest)).transpose()?,
                })
            })
            .collect()
    }

    /// What drivers keep about nodes that a version wrote: node, driver and form, `limit` at most.
    ///
    /// # Errors
    /// The database fails.
    pub async fn states_written_by(&self, digest: &Digest, limit: u32) -> Result<Vec<(NodeId, DriverName, Option<u32>)>, StoreError> {
        let sql = "SELECT node, driver, state_schema FROM driver_state WHERE keeps AND digest = $1 ORDER BY node, driver LIMIT $2";
        let query = sqlx::query_as(sql).bind(digest.to_string()).bind(i64::from(limit));
        let rows: Vec<(String, String, Option<i64>)> = query.fetch_all(self.reads()).await?;
        rows.into_iter()
            .map(|(node, driver, schema)| {
                let node = NodeId(document::parse("driver state", &node)?);
                Ok((node, document::parse("driver state", &driver)?, schema.and_then(|schema| u32::try_from(schema).ok())))
            })
            .collect()
    }

    /// Nodes about which a driver keeps something in another form than these, `limit` at most.
    ///
    /// # Errors
    /// The database fails.
    pub async fn unreadable_states(&self, driver: &DriverName, reads: &[u32], limit: u32) -> Result<Vec<NodeId>, StoreError> {
        let schemas = document::write("list of schemas", &reads)?;
        let sql = "SELECT node FROM driver_state WHERE driver = $1 AND keeps AND state_schema IS NOT NULL \
             AND state_schema NOT IN (SELECT value FROM json_each($2)) ORDER BY node LIMIT $3";
        let query = sqlx::query_scalar(sql).bind(driver.to_string()).bind(schemas).bind(i64::from(limit));
        let nodes: Vec<String> = query.fetch_all(self.reads()).await?;
        nodes.iter().map(|node| Ok(NodeId(document::parse("driver state", node)?))).collect()
    }
}
