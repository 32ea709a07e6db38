//! What was found about nodes, by their agents and drivers.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wrought_domain::NodeId;

use crate::document::Table;
use crate::error::is_dangling;
use crate::{Store, StoreError, document};

/// What a finding is about. The store keeps the latest of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// What the agent posted in an inspection that is going on.
    Posted,
    /// The inventory that a driver reported in an inspection that is going on.
    Reported,
    /// What the last inspection found.
    Inventory,
    /// The settings of the machine's firmware.
    Bios,
    /// The versions of the machine's firmware.
    Firmware,
}

impl FindingKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Reported => "reported",
            Self::Inventory => "inventory",
            Self::Bios => "bios",
            Self::Firmware => "firmware",
        }
    }
}

/// The id that a finding is sealed for.
fn id(node: NodeId, kind: FindingKind) -> String {
    format!("{node}/{}", kind.as_str())
}

impl Store {
    /// Keeps a finding in place of a former one of its kind.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the node, or the database fails.
    pub async fn put_finding<T: Serialize>(&self, node: NodeId, kind: FindingKind, at: Timestamp, finding: &T) -> Result<(), StoreError> {
        let doc = document::seal(self.keys(), Table::Findings, id(node, kind), finding)?;
        self.write(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO findings (node, kind, found_at, doc) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (node, kind) DO UPDATE SET found_at = excluded.found_at, doc = excluded.doc";
                let query = sqlx::query(sql).bind(node.to_string()).bind(kind.as_str()).bind(at.as_microsecond()).bind(doc);
                match query.execute(db).await {
                    Ok(_) => Ok(()),
                    Err(error) if is_dangling(&error) => Err(StoreError::no_node(node)),
                    Err(error) => Err(error.into()),
                }
            })
        })
        .await
    }

    /// The finding, and when it was made.
    ///
    /// # Errors
    /// The database fails, or the finding is not a `T`.
    pub async fn finding<T: DeserializeOwned>(&self, node: NodeId, kind: FindingKind) -> Result<Option<(Timestamp, T)>, StoreError> {
        let query = sqlx::query_as("SELECT found_at, doc FROM findings WHERE node = $1 AND kind = $2");
        let row: Option<(i64, Vec<u8>)> = query.bind(node.to_string()).bind(kind.as_str()).fetch_optional(self.reads()).await?;
        row.map(|(at, doc)| Ok((document::moment(at), document::open(self.keys(), Table::Findings, id(node, kind), &doc)?))).transpose()
    }

    /// When the finding was made.
    ///
    /// # Errors
    /// The database fails.
    pub async fn found_at(&self, node: NodeId, kind: FindingKind) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar("SELECT found_at FROM findings WHERE node = $1 AND kind = $2");
        let at: Option<i64> = query.bind(node.to_string()).bind(kind.as_str()).fetch_optional(self.reads()).await?;
        Ok(at.map(document::moment))
    }

    /// Forgets findings, if there are any.
    ///
    /// # Errors
    /// The database fails.
    pub async fn drop_findings(&self, node: NodeId, kinds: &'static [FindingKind]) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                for kind in kinds {
                    let query = sqlx::query("DELETE FROM findings WHERE node = $1 AND kind = $2").bind(node.to_string());
                    query.bind(kind.as_str()).execute(&mut *db).await?;
                }
                Ok(())
            })
        })
        .await
    }
}
