//! Volume connectors and targets.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;
use wrought_domain::volume::check_off;
use wrought_domain::{NodeId, VolumeConnector, VolumeTarget};

use crate::Duplicate;
use crate::document::Table;
use crate::part::Statement;
use crate::part::kept::{Around, Kept, Verdict};

impl Kept for VolumeConnector {
    const TABLE: Table = Table::VolumeConnectors;
    const ROWS: &'static str = "volume_connectors";
    const COLUMNS: &'static [&'static str] = &["type", "connector_id"];
    const KEYS: &'static [(&'static str, &'static str)] =
        &[("uuid", ""), ("type", ""), ("connector_id", ""), ("created_at", ""), ("updated_at", "0")];

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
        statement.bind(self.kind.clone()).bind(self.connector_id.clone())
    }

    fn taken(&self, columns: &str) -> Option<Duplicate> {
        let taken = || Duplicate::VolumeConnector { kind: self.kind.clone(), id: self.connector_id.clone() };
        columns.contains(".connector_id").then(taken)
    }

    fn admit<'c>(&'c self, before: Option<&'c Self>, around: Around<'c>, _: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move { all_off("volume connector update", before.is_some(), around) })
    }

    fn release<'c>(&'c self, around: Around<'c>, _: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move { all_off("volume connector deletion", true, around) })
    }
}

impl Kept for VolumeTarget {
    const TABLE: Table = Table::VolumeTargets;
    const ROWS: &'static str = "volume_targets";
    const COLUMNS: &'static [&'static str] = &["boot_index", "volume_id", "volume_type"];
    const KEYS: &'static [(&'static str, &'static str)] =
        &[("uuid", ""), ("boot_index", ""), ("volume_id", ""), ("volume_type", ""), ("created_at", ""), ("updated_at", "0")];

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
        statement.bind(i64::from(self.boot_index)).bind(self.volume_id.clone()).bind(self.volume_type.clone())
    }

    fn taken(&self, columns: &str) -> Option<Duplicate> {
        columns.contains(".boot_index").then_some(Duplicate::BootIndex(self.boot_index))
    }

    fn admit<'c>(&'c self, before: Option<&'c Self>, around: Around<'c>, _: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move { all_off("volume target update", before.is_some(), around) })
    }

    fn release<'c>(&'c self, around: Around<'c>, _: &'c mut SqliteConnection) -> Verdict<'c> {
        Box::pin(async move { all_off("volume target deletion", true, around) })
    }
}

/// That the machines are off, where they must be: a new volume is nothing to a machine that runs.
fn all_off(action: &str, must: bool, around: Around<'_>) -> Result<(), crate::StoreError> {
    if must {
        check_off(action, around.node)?;
        check_off(action, around.target)?;
    }
    Ok(())
}
