//! Where nodes, operations and drivers are kept: SQLite, one file, one process per data folder.
//!
//! Reads go through a few connections of their own; all writes go through one writer, which
//! commits in groups. A write returns after its commit. SQL is common to SQLite and
//! PostgreSQL, but for pragmas and the types of generated keys.

mod document;
mod driver;
mod error;
mod history;
mod lifecycle;
mod lock;
mod node;
mod port;
mod query;
mod schema;
mod session;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

pub use driver::{ActiveDriver, DriverStatus, DriverVersion};
pub use error::{Duplicate, StoreError};
pub use history::{HistoryQuery, HistoryRecord};
pub use lifecycle::{Commit, Held};
pub use lock::SharedLock;
pub use node::{NodeRef, Reserved, Revision, Stored};
pub use port::PortQuery;
pub use query::{DEFAULT_LIMIT, NodeFilter, NodeQuery, Visibility};
pub use session::AgentSession;
pub use writer::Writes;

use writer::{Counts, Writer};

/// Connections that read.
const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of the process, however abrupt; a power loss may take the last commits.
    Normal,
    /// A power loss as well, at the price of a flush to disk for each group of writes.
    #[default]
    Full,
}

/// The store of one data folder. Clones share it; it closes when the last one is gone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    reads: SqlitePool,
    /// Nothing once the store is closed.
    writer: RwLock<Option<Writer>>,
    ended: Mutex<Option<JoinHandle<()>>>,
    counts: Arc<Counts>,
}

impl Store {
    /// Opens the data folder `dir`, made if it is not there, and takes it for this process.
    ///
    /// # Errors
    /// The folder cannot be used, another process has it, or a newer binary wrote it.
    pub async fn open(dir: &Path, durability: Durability) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| StoreError::folder(dir, e))?;
        let lock = Arc::new(take(dir)?);
        let path = dir.join("wrought.db");
        private(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .synchronous(match durability {
                Durability::Normal => SqliteSynchronous::Normal,
                Durability::Full => SqliteSynchronous::Full,
            });
        let mut db = options.connect().await?;
        schema::migrate(&mut db, &path).await?;
        let reads = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.pragma("query_only", "ON")).await?;
        let counts = Arc::new(Counts::default());
        let (writer, ended) = Writer::start(db, lock, counts.clone());
        Ok(Self { inner: Arc::new(Inner { reads, writer: RwLock::new(Some(writer)), ended: Mutex::new(Some(ended)), counts }) })
    }

    /// Finishes what is queued, closes the database and lets go of the folder. Later calls on
    /// any clone answer [`StoreError::Closed`].
    pub async fn close(&self) {
        self.inner.reads.close().await;
        self.inner.writer.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = self.inner.ended.lock().await.take() {
            ended.await.ok();
        }
    }

    /// How much was written since the store was opened.
    pub fn writes(&self) -> Writes {
        self.inner.counts.read()
    }

    pub(crate) fn reads(&self) -> &SqlitePool {
        &self.inner.reads
    }

    /// Has `work` done by the writer; returns after the commit.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let writer = self.inner.writer.read().unwrap_or_else(PoisonError::into_inner).clone();
        writer.ok_or(StoreError::Closed)?.write(work).await
    }
}

/// Takes the folder's lock; it lasts as long as the file is open.
fn take(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("wrought.lock");
    let file = private(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::folder(path, error)),
    }
}

/// Opens a file that only its owner may read, made if it is not there: the database holds secrets.
fn private(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    opened.map_err(|e| StoreError::folder(path, e))
}
