//! Port groups.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;
use wrought_domain::{NodeId, Portgroup};

use crate::Duplicate;
use crate::document::Table;
use crate::part::kept::{Around, Kept, Verdict};
use crate::part::{Statement, all_with};

impl Kept for Portgroup {
    const TABLE: Table = Table::Portgroups;
    const ROWS: &'static str = "portgroups";
    const COLUMNS: &'static [&'static str] = &["address", "name", "mode", "standalone_ports_supported", "physical_network", "category"];
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("uuid", ""),
        ("address", "''"),
        ("name", "''"),
        ("mode", ""),
        ("standalone_ports_supported", ""),
        ("physical_network", "''"),
        ("category", "''"),
        ("created_at", ""),
        ("updated_at", "0"),
    ];

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
        statement
            .bind(self.address.clone())
            .bind(self.name.clone())
            .bind(self.mode.clone())
            .bind(self.standalone_ports_supported)
            .bind(self.physical_network.clone())
            .bind(self.category.clone())
    }

    fn taken(&self, columns: &str) -> Option<Duplicate> {
        match (&self.address, &self.name) {
            (Some(address), _) if columns.contains(".address") => Some(Duplicate::PortgroupAddress(address.clone())),
            (_, Some(name)) if columns.contains(".name") => Some(Duplicate::PortgroupName(name.clone())),
            _ => None,
        }
    }

    fn settle(&mut self) {
        if let Some(address) = &mut self.address {
            address.make_ascii_lowercase();
        }
    }

    fn admit<'c>(&'c self, before: Option<&'c Self>, around: Around<'c>, db: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move {
            let Some(before) = before else { return Ok(()) };
            let ports = all_with(db, around.keys, "portgroup", self.uuid).await?;
            Ok(self.check_change(before, around.node, around.target, &ports)?)
        })
    }

    fn release<'c>(&'c self, around: Around<'c>, db: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move { Ok(self.check_deletion(&all_with(db, around.keys, "portgroup", self.uuid).await?)?) })
    }
}
