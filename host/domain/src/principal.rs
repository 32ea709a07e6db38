//! Who asks.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a caller may do, each more than the one before. They hold for everything, or, with a project, for what the project owns
/// or has leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks.
    Reader,
    /// Uses: power, deployments, cleaning.
    Member,
    /// Decides: creates, deletes, grants.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Member, Self::Admin];

    /// Its name, as tokens and configuration write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.chars().take(40).collect()))
    }
}

/// There is no role of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown role {0:?}: there are reader, member and admin")]
pub struct UnknownRole(String);

/// On whose behalf something is done. Every request and every query of the store carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The user's name or id.
    pub user: String,
    /// The project, where the authentication knows projects.
    pub project: Option<String>,
    /// Role names: those of [`Role`] count, others are carried along.
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

    /// Whoever uses a public route: no credentials were looked at.
    pub fn nobody() -> Self {
        Self { user: "nobody".into(), project: None, roles: vec![], source: None }
    }

    /// The most that it may do, within its scope.
    pub fn role(&self) -> Option<Role> {
        self.roles.iter().filter_map(|role| role.parse().ok()).max()
    }

    /// What it may do with everything, whosoever it is: nothing for a caller that is bound to a project.
    pub fn system_role(&self) -> Option<Role> {
        self.role().filter(|_| self.project.is_none())
    }

    /// Whether it may see and do everything.
    pub fn is_admin(&self) -> bool {
        self.system_role() == Some(Role::Admin)
    }
}
