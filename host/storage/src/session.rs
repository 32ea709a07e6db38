//! Sessions of agents: who may speak for a node.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wrought_domain::NodeId;

use crate::document::Table;
use crate::error::is_dangling;
use crate::{Store, StoreError, document};

/// What the host knows of the agent that runs on a node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSession {
    /// The secret that the agent proves itself with.
    pub token: String,
    /// The token went into the boot medium, so no lookup may have it.
    pub pregenerated: bool,
    /// Where the agent listens.
    pub url: Option<String>,
    /// The certificate that its TLS connection is checked against, PEM.
    pub verify_ca: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// When the token was made.
    pub issued_at: Timestamp,
    /// When it was first heard.
    pub first_heartbeat_at: Option<Timestamp>,
    /// When it was last heard, as far as that was committed.
    pub last_heartbeat_at: Option<Timestamp>,
}

impl fmt::Debug for AgentSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSession")
            .field("pregenerated", &self.pregenerated)
            .field("url", &self.url)
            .field("version", &self.version)
            .field("issued_at", &self.issued_at)
            .field("first_heartbeat_at", &self.first_heartbeat_at)
            .field("last_heartbeat_at", &self.last_heartbeat_at)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The session of the node's agent.
    ///
    /// # Errors
    /// The database fails.
    pub async fn agent_session(&self, node: NodeId) -> Result<Option<AgentSession>, StoreError> {
        let query = sqlx::query_scalar("SELECT doc FROM agent_sessions WHERE node = $1").bind(node.to_string());
        let doc: Option<Vec<u8>> = query.fetch_optional(self.reads()).await?;
        doc.map(|doc| document::open(self.keys(), Table::AgentSessions, node, &doc)).transpose()
    }

    /// Keeps the session in place of a former one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the node, or the database fails.
    pub async fn put_agent_session(&self, node: NodeId, session: &AgentSession) -> Result<(), StoreError> {
        let doc = document::seal(self.keys(), Table::AgentSessions, node, session)?;
        self.write(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO agent_sessions (node, doc) VALUES ($1, $2) ON CONFLICT (node) DO UPDATE SET doc = excluded.doc";
                match sqlx::query(sql).bind(node.to_string()).bind(doc).execute(db).await {
                    Ok(_) => Ok(()),
                    Err(error) if is_dangling(&error) => Err(StoreError::no_node(node)),
                    Err(error) => Err(error.into()),
                }
            })
        })
        .await
    }

    /// Forgets the session, if there is one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_agent_session(&self, node: NodeId) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                sqlx::query("DELETE FROM agent_sessions WHERE node = $1").bind(node.to_string()).execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}
