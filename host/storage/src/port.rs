//! Ports.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;
use wrought_domain::{NodeId, Port, Portgroup, Principal};

use crate::document::Table;
use crate::part::kept::{Around, Kept, Verdict};
use crate::part::{Statement, all_with};
use crate::{Duplicate, PartQuery, Store, StoreError};

impl Kept for Port {
    const TABLE: Table = Table::Ports;
    const ROWS: &'static str = "ports";
    const COLUMNS: &'static [&'static str] = &["address", "name", "portgroup"];
    const KEYS: &'static [(&'static str, &'static str)] =
        &[("uuid", ""), ("address", ""), ("name", "''"), ("created_at", ""), ("updated_at", "0")];

    fn uuid(&self) -> Uuid {
        self.uuid
    }

    fn node(&self) -> NodeId {
        self.node
    }

    fn times(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>) {
        (&mut self.created_at, &mut self.updated_at)
    }

    fn bind(&self, statement: Statement) -> Statement {
        statement.bind(self.address.clone()).bind(self.name.clone()).bind(self.portgroup_uuid.map(|uuid| uuid.to_string()))
    }

    fn taken(&self, columns: &str) -> Option<Duplicate> {
        match &self.name {
            _ if columns.contains(".address") => Some(Duplicate::PortAddress(self.address.clone())),
            Some(name) if columns.contains(".name") => Some(Duplicate::PortName(name.clone())),
            _ => None,
        }
    }

    fn settle(&mut self) {
        self.address.make_ascii_lowercase();
    }

    fn described(&self, text: &str) -> bool {
        self.description.as_deref().is_some_and(|description| description.to_lowercase().contains(text))
    }

    fn admit<'c>(&'c self, before: Option<&'c Self>, around: Around<'c>, db: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move {
            if let Some(before) = before {
                self.check_change(before, around.node, around.target)?;
            }
            let group = match self.portgroup_uuid {
                Some(group) => all_with::<Portgroup>(db, around.keys, "uuid", group).await?.pop(),
                None => None,
            };
            self.check_group(before, group.as_ref())?;
            let rewired = before.is_none_or(|b| (b.portgroup_uuid, &b.physical_network) != (self.portgroup_uuid, &self.physical_network));
            if let (Some(group), true) = (self.portgroup_uuid, rewired) {
                let members: Vec<Self> = all_with(db, around.keys, "portgroup", group).await?;
                self.check_network(group, &members)?;
            }
            Ok(())
        })
    }

    fn release<'c>(&'c self, around: Around<'c>, _: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move { Ok(self.check_deletion(around.node)?) })
    }
}

impl Store {
    /// The ports of a node, in the order of creation.
    ///
    /// # Errors
    /// The database fails.
    pub async fn ports_of(&self, node: NodeId) -> Result<Vec<Port>, StoreError> {
        self.parts(&Principal::host(), &PartQuery { node: Some(node), ..PartQuery::default() }).await
    }
}
