//! What lists of nodes are filtered and sorted by, and who sees which nodes.

use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;
use wrought_domain::{NodeId, Principal, ProvisionState};

use crate::StoreError;

/// Rows of a list that has no limit.
pub const DEFAULT_LIMIT: u32 = 1000;

/// The nodes that a principal sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility<'a> {
    /// All: who has a role and no project, the host itself, and agents, which prove themselves by a token.
    All,
    /// Those whose owner or lessee is this project.
    Project(&'a str),
    /// None: no role and no project.
    Nothing,
}

impl<'a> Visibility<'a> {
    /// What this principal sees.
    pub fn of(principal: &'a Principal) -> Self {
        if principal.system_role().is_some() || *principal == Principal::agent() {
            return Self::All;
        }
        principal.role().and(principal.project.as_deref()).map_or(Self::Nothing, Self::Project)
    }

    /// Adds the condition to a query in which the nodes are called `n`.
    pub(crate) fn push(self, query: &mut QueryBuilder<Sqlite>) {
        match self {
            Self::All => {}
            Self::Project(project) => {
                query.push(" AND (n.owner = ").push_bind(project.to_owned());
                query.push(" OR n.lessee = ").push_bind(project.to_owned()).push(")");
            }
            Self::Nothing => {
                query.push(" AND 1 = 0");
            }
        }
    }
}

/// A page of nodes.
#[derive(Debug, Clone, Default)]
pub struct NodeQuery {
    /// Which nodes.
    pub filter: NodeFilter,
    /// Rows at most; [`DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last node of the page before.
    pub marker: Option<NodeId>,
    /// A scalar field that has a column; the order of creation if not given. Nothing sorts as
    /// an empty text or zero.
    pub sort_key: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// Ironic's filters of `GET /v1/nodes`. All that are given must hold.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the filters are Ironic's own, documented in its API reference")]
pub struct NodeFilter {
    pub instance_uuid: Option<Uuid>,
    pub instance_name: Option<String>,
    pub chassis_uuid: Option<Uuid>,
    pub associated: Option<bool>,
    pub maintenance: Option<bool>,
    pub provision_state: Option<ProvisionState>,
    pub driver: Option<String>,
    pub resource_class: Option<String>,
    pub fault: Option<String>,
    pub conductor_group: Option<String>,
    pub conductor: Option<String>,
    pub owner: Option<String>,
    pub lessee: Option<String>,
    /// Owner or lessee.
    pub project: Option<String>,
    /// Any of these; an empty list is no filter.
    pub shard: Vec<String>,
    pub sharded: Option<bool>,
    pub description_contains: Option<String>,
    pub retired: Option<bool>,
    /// Whether an operation holds the node.
    pub reserved: Option<bool>,
    /// The children of this node.
    pub parent_node: Option<Uuid>,
    /// Nodes with a parent are hidden unless this is set or `parent_node` is given.
    pub include_children: bool,
}

impl NodeFilter {
    /// Every node, children included.
    pub fn all() -> Self {
        Self { include_children: true, ..Self::default() }
    }

    pub(crate) fn push(&self, query: &mut QueryBuilder<Sqlite>) {
        let texts = [
            ("n.instance_uuid", self.instance_uuid.map(|u| u.to_string())),
            ("n.instance_name", self.instance_name.clone()),
            ("n.chassis_uuid", self.chassis_uuid.map(|u| u.to_string())),
            ("n.provision_state", self.provision_state.map(|s| s.to_string())),
            ("n.driver", self.driver.clone()),
            ("n.resource_class", self.resource_class.clone()),
            ("n.fault", self.fault.clone()),
            ("n.conductor_group", self.conductor_group.clone()),
            ("n.conductor", self.conductor.clone()),
            ("n.owner", self.owner.clone()),
            ("n.lessee", self.lessee.clone()),
            ("n.parent_node", self.parent_node.map(|u| u.to_string())),
        ];
        for (column, value) in texts {
            if let Some(value) = value {
                query.push(" AND ").push(column).push(" = ").push_bind(value);
            }
        }
        for (column, value) in [("n.maintenance", self.maintenance), ("n.retired", self.retired)] {
            if let Some(value) = value {
                query.push(" AND ").push(column).push(" = ").push_bind(value);
            }
        }
        for (column, given) in [("n.instance_uuid", self.associated), ("n.shard", self.sharded), ("n.reservation", self.reserved)] {
            if let Some(given) = given {
                query.push(" AND ").push(column).push(if given { " IS NOT NULL" } else { " IS NULL" });
            }
        }
        if self.parent_node.is_none() && !self.include_children {
            query.push(" AND n.parent_node IS NULL");
        }
        if let Some(project) = &self.project {
            Visibility::Project(project).push(query);
        }
        if !self.shard.is_empty() {
            query.push(" AND n.shard IN (");
            let mut list = query.separated(", ");
            for shard in &self.shard {
                list.push_bind(shard.clone());
            }
            query.push(")");
        }
        if let Some(text) = &self.description_contains {
            let pattern = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            // The database lowers both, as each has its own idea of letters.
            query.push(" AND LOWER(n.description) LIKE LOWER(").push_bind(format!("%{pattern}%")).push(") ESCAPE '\\'");
        }
    }
}

/// Fields that have a column: the name and what stands for nothing in a comparison, so that
/// the order is total and the same in every database.
const SORT_KEYS: &[(&str, &str)] = &[
    ("uuid", "''"),
    ("name", "''"),
    ("driver", "''"),
    ("instance_uuid", "''"),
    ("instance_name", "''"),
    ("chassis_uuid", "''"),
    ("provision_state", "''"),
    ("target_provision_state", "''"),
    ("provision_updated_at", "0"),
    ("power_state", "''"),
    ("target_power_state", "''"),
    ("maintenance", ""),
    ("fault", "''"),
    ("resource_class", "''"),
    ("conductor_group", "''"),
    ("conductor", "''"),
    ("owner", "''"),
    ("lessee", "''"),
    ("shard", "''"),
    ("parent_node", "''"),
    ("retired", ""),
    ("protected", ""),
    ("description", "''"),
    ("reservation", "''"),
    ("created_at", "0"),
    ("updated_at", "0"),
];

/// The order and the place in it from where a page goes on, of any table with `id` and `uuid`
/// whose rows are called `n`.
pub(crate) struct Page<'a> {
    pub(crate) table: &'static str,
    pub(crate) keys: &'static [(&'static str, &'static str)],
    pub(crate) sort_key: Option<&'a str>,
    pub(crate) descending: bool,
    pub(crate) marker: Option<String>,
    pub(crate) limit: Option<u32>,
}

impl Page<'_> {
    pub(crate) fn push(self, query: &mut QueryBuilder<Sqlite>) -> Result<(), StoreError> {
        let by = match self.sort_key {
            None | Some("id") => None,
            Some(key) => Some(self.keys.iter().find(|(name, _)| *name == key).ok_or_else(|| StoreError::UnknownSortKey(key.to_owned()))?),
        };
        let (direction, beyond) = if self.descending { ("DESC", "<") } else { ("ASC", ">") };
        let Some((column, nothing)) = by else {
            if let Some(marker) = self.marker {
                query.push(format!(" AND n.id {beyond} (SELECT m.id FROM {} m WHERE m.uuid = ", self.table)).push_bind(marker).push(")");
            }
            query.push(format!(" ORDER BY n.id {direction} LIMIT "));
            query.push_bind(i64::from(self.limit.unwrap_or(DEFAULT_LIMIT)));
            return Ok(());
        };
        let value = |row: &str| if nothing.is_empty() { format!("{row}.{column}") } else { format!("COALESCE({row}.{column}, {nothing})") };
        if let Some(marker) = self.marker {
            query.push(format!(" AND ({}, n.id) {beyond} (SELECT {}, m.id FROM {} m WHERE m.uuid = ", value("n"), value("m"), self.table));
            query.push_bind(marker).push(")");
        }
        query.push(format!(" ORDER BY {} {direction}, n.id {direction} LIMIT ", value("n")));
        query.push_bind(i64::from(self.limit.unwrap_or(DEFAULT_LIMIT)));
        Ok(())
    }
}

impl NodeQuery {
    /// The rest of `SELECT ... FROM nodes n`.
    pub(crate) fn push(&self, principal: &Principal, query: &mut QueryBuilder<Sqlite>) -> Result<(), StoreError> {
        query.push(" WHERE 1 = 1");
        Visibility::of(principal).push(query);
        self.filter.push(query);
        let page = Page {
            table: "nodes",
            keys: SORT_KEYS,
            sort_key: self.sort_key.as_deref(),
            descending: self.descending,
            marker: self.marker.map(|id| id.to_string()),
            limit: self.limit,
        };
        page.push(query)
    }
}
