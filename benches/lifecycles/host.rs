//! A host in this process, its nodes, and what it counts.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use futures::future::try_join_all;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tempfile::TempDir;
use uuid::Uuid;
use wrought_conductor::{Conductor, JournalConfig, ProvisionRequest, Setup};
use wrought_domain::hardware_type::FAKE_HARDWARE;
use wrought_domain::{Node, NodeId, Principal, Verb};
use wrought_drivers::{Catalog, Compiler, DriversConfig, Runtime};
use wrought_storage::{Durability, Store, Writes};

/// Between two looks whether all operations have ended.
const LOOK: Duration = Duration::from_millis(20);

/// After this long without an end something is stuck.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Synchronous {
    Normal,
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    Off,
    On,
}

/// A host with its nodes, all `available`.
pub struct Host {
    pub synchronous: Synchronous,
    pub journal: Switch,
    conductor: Conductor,
    pub nodes: Vec<NodeId>,
    /// Looks into the database from outside, so that the store needs no function for it.
    looks: SqlitePool,
    pub rounds: Vec<Round>,
    pub before: Totals,
    _folder: TempDir,
}

/// One lifecycle of all nodes.
pub struct Round {
    pub wall: Duration,
    pub cpu: Duration,
}

/// Counts that grow while a host works.
#[derive(Clone, Copy)]
pub struct Totals {
    pub writes: Writes,
    pub calls: u64,
    pub database: i64,
    pub journal: i64,
}

impl Host {
    pub async fn start(synchronous: Synchronous, journal: Switch, nodes: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let durability = match synchronous {
            Synchronous::Normal => Durability::Normal,
            Synchronous::Full => Durability::Full,
        };
        let store = Store::open(&data, durability).await?;
        let conductor = Self::conductor(store, &folder.path().join("drivers"), journal).await?;
        let looks = SqliteConnectOptions::new().filename(data.join("wrought.db")).read_only(true);
        let looks = SqlitePoolOptions::new().max_connections(1).connect_with(looks).await?;
        let nothing = Totals { writes: Writes::default(), calls: 0, database: 0, journal: 0 };
        let mut host =
            Self { synchronous, journal, conductor, nodes: Vec::new(), looks, rounds: Vec::new(), before: nothing, _folder: folder };
        for _ in 0..nodes {
            let node = Node::new(NodeId(Uuid::new_v4()), FAKE_HARDWARE.name, FAKE_HARDWARE.defaults(), Timestamp::now());
            host.nodes.push(host.conductor.create_node(&Principal::noauth(), node).await?.uuid);
        }
        for (verb, state) in [(Verb::Manage, "manageable"), (Verb::Provide, "available")] {
            host.provision(verb, state).await?;
        }
        Ok(host)
    }

    async fn conductor(store: Store, drivers: &Path, journal: Switch) -> Result<Conductor> {
        let catalog = Arc::new(Catalog::open(Runtime::new(DriversConfig::default(), Compiler::InProcess)?, drivers).await?);
        let setup = Setup {
            journal: JournalConfig { off: journal == Switch::Off, ..JournalConfig::default() },
            ..Setup::new(store, catalog, drivers.join("artifacts"))
        };
        Ok(Conductor::start(setup).await?)
    }

    /// Asks the same of all nodes at once; returns when all have reached `state`.
    async fn provision(&self, verb: Verb, state: &str) -> Result<()> {
        let who = Principal::noauth();
        let ask = |node: &NodeId| {
            let (conductor, who, node) = (self.conductor.clone(), who.clone(), *node);
            tokio::spawn(async move { conductor.provision(&who, node, verb, ProvisionRequest::default()).await })
        };
        for asked in try_join_all(self.nodes.iter().map(ask)).await? {
            asked?;
        }
        let began = Instant::now();
        while self.number("SELECT EXISTS (SELECT 1 FROM operations)").await? > 0 {
            ensure!(began.elapsed() < PATIENCE, "after {} s not every operation has ended", PATIENCE.as_secs());
            tokio::time::sleep(LOOK).await;
        }
        let there: i64 =
            sqlx::query_scalar("SELECT count(*) FROM nodes WHERE provision_state = $1").bind(state).fetch_one(&self.looks).await?;
        ensure!(usize::try_from(there)? == self.nodes.len(), "{there} of {} nodes are {state}", self.nodes.len());
        Ok(())
    }

    pub async fn lifecycle(&self) -> Result<Round> {
        let (began, cpu) = (Instant::now(), cpu_time()?);
        self.provision(Verb::Active, "active").await?;
        self.provision(Verb::Deleted, "available").await?;
        Ok(Round { wall: began.elapsed(), cpu: cpu_time()?.saturating_sub(cpu) })
    }

    async fn number(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.looks).await?)
    }

    pub async fn totals(&self) -> Result<Totals> {
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'journal_%'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&self.looks).await?;
        let mut journal = 0;
        for table in tables {
            journal += self.content(&table).await?;
        }
        Ok(Totals {
            writes: self.conductor.store().writes(),
            calls: self.conductor.call_times().count,
            database: self.number("PRAGMA page_count").await? * self.number("PRAGMA page_size").await?,
            journal,
        })
    }

    /// Bytes of a table's values, without what the database adds.
    async fn content(&self, table: &str) -> Result<i64> {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)").bind(table).fetch_all(&self.looks).await?;
        let lengths: Vec<String> = columns.iter().map(|column| format!("coalesce(octet_length({column}), 0)")).collect();
        let sql = sqlx::AssertSqlSafe(format!("SELECT coalesce(sum({}), 0) FROM {table}", lengths.join(" + ")));
        Ok(sqlx::query_scalar(sql).fetch_one(&self.looks).await?)
    }

    pub async fn stop(self) {
        self.looks.close().await;
        self.conductor.stop().await;
    }
}

/// CPU time of this process, all threads.
fn cpu_time() -> Result<Duration> {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).map_err(|_| anyhow::anyhow!("a CPU time below 0"))
}
