//! Who asks.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// On whose behalf something is done. Every request and every query of the store carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The user's name or id.
    pub user: String,
    /// The project, where the authentication knows projects.
    pub project: Option<String>,
    /// Role names, for example `admin`.
    pub roles: Vec<String>,
    /// The address that the request came from; nothing for what the host does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

impl Principal {
    /// The caller of an API without authentication.
    pub fn noauth() -> Self {
        Self { user: "noauth".into(), project: None, roles: vec!["admin".into()], source: None }
    }

    /// The host itself: timers, recovery, take-over.
    pub fn host() -> Self {
        Self { user: "wrought".into(), project: None, roles: vec!["admin".into()], source: None }
    }

    /// An agent on its public routes.
    pub fn agent() -> Self {
        Self { user: "agent".into(), project: None, roles: vec![], source: None }
    }

    /// Whether it may see and do everything.
    pub fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }
}
