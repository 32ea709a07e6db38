//! Where nodes, operations and drivers are kept: SQLite, one file, one process per data folder.
//!
//! Reads go through a few connections of their own; all writes go through one writer, which
//! commits in groups. A write returns after its commit. SQL is common to SQLite and
//! PostgreSQL, but for pragmas and the types of generated keys. Documents that may hold secrets are sealed ([`rotate`]).

mod allocation;
mod artifact;
mod audit;
mod chassis;
mod document;
mod driver;
mod driver_life;
mod driver_limits;
mod error;
mod event;
mod failed;
mod finding;
mod history;
mod inspection_rule;
mod journal;
mod key_file;
mod lifecycle;
mod lock;
mod node;
mod part;
mod peek;
mod port;
mod portgroup;
mod query;
mod recipe;
mod reseal;
mod rollout;
mod schema;
mod script;
mod seal;
mod session;
mod token;
mod vif;
mod volume;
mod webhook;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use wrought_domain::{Fence, NodeId, OperationId};

pub use allocation::{AllocationQuery, Given};
pub use artifact::Artifact;
pub use audit::{AuditQuery, AuditRecord, MAX_AUDIT};
pub use chassis::ChassisQuery;
pub use driver::{ActiveDriver, DriverStatus, DriverVersion};
pub use driver_life::DriverRejection;
pub use error::{Duplicate, StoreError};
pub use event::{EventQuery, MAX_EVENTS, NodeEvent};
pub use failed::FailedOperation;
pub use finding::FindingKind;
pub use history::{HistoryQuery, HistoryRecord};
pub use inspection_rule::RuleQuery;
pub use journal::{JournalAbout, JournalCall, JournalWrite, StoredCall, StoredOperation};
pub use key_file::KeyError;
pub use lifecycle::{Commit, Held};
pub use lock::{LockAnswer, LockRequest, LockUser, SharedLock};
pub use node::{NodeRef, Reserved, Revision, Stored};
pub use part::{Part, PartQuery};
pub use peek::{COLUMNS, Mark};
pub use query::{DEFAULT_LIMIT, NodeFilter, NodeQuery, Visibility};
pub use recipe::{Recipe, RecipeQuery};
pub use reseal::{Rotation, RotationProgress, rotate};
pub use rollout::{Decision, KeptState, Revocation};
pub use session::AgentSession;
pub use token::{NewToken, TOKEN_PREFIX, Token, UnfitToken, token_digest};
pub use webhook::WebhookCursor;
pub use writer::Writes;

use key_file::KeyFile;
use script::{Found, Script};
use seal::KeyRing;
use writer::{Counts, Writer};

/// Connections that read.
const READERS: u32 = 4;
/// Rows that a reader finds before somebody takes them: each time that it has to wait costs as much as many rows.
const ROWS_AHEAD: usize = 512;
/// The database's file in the data folder.
const DATABASE: &str = "wrought.db";
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

/// A moment of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is written yet.
    Before,
    /// It is committed, and nobody knows yet.
    After,
}

/// Is told of writes; a write goes on when the answer is ready.
pub type Watch = Box<dyn Fn(Moment) -> BoxFuture<'static, ()> + Send + Sync>;

/// The store of one data folder. Clones share it; it closes when the last one is gone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The operation that must hold its node at every write, where there is one.
    holder: Option<(NodeId, OperationId, Fence)>,
}

struct Inner {
    keys: Arc<KeyRing>,
    reads: SqlitePool,
    /// Nothing once the store is closed.
    writer: RwLock<Option<Writer>>,
    ended: Mutex<Option<JoinHandle<()>>>,
    watch: OnceLock<Watch>,
    /// Counts writes that added events.
    events: tokio::sync::watch::Sender<u64>,
    /// Held by the writer otherwise.
    _lock: Option<Arc<File>>,
    counts: Arc<Counts>,
    forgotten: Arc<token::Forgotten>,
}

impl Store {
    /// Opens the data folder `dir`, made if it is not there, and takes it for this process. Its documents are sealed with the keys
    /// in `secrets.key` in the folder.
    ///
    /// # Errors
    /// As [`Store::open_with`].
    pub async fn open(dir: &Path, durability: Durability) -> Result<Self, StoreError> {
        Self::open_with(dir, durability, None).await
    }

    /// The same with the keys in another file. It is made if it is not there and nothing is sealed yet; the documents of a database
    /// from before they were sealed are sealed now.
    ///
    /// # Errors
    /// The folder cannot be used, another process has it, a newer binary wrote it, or the key file is not the database's.
    pub async fn open_with(dir: &Path, durability: Durability, key_file: Option<&Path>) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| StoreError::folder(dir, e))?;
        let lock = Arc::new(take(dir)?);
        let path = dir.join(DATABASE);
        private(&path)?;
        let mut db = connect(&path, durability).await?;
        let file = KeyFile { path: key_path(dir, key_file), database: path.clone() };
        let keys = Arc::new(reseal::unlock(&mut db, &file).await?);
        let reads = readers(&path, durability).await?;
        let counts = Arc::new(Counts::default());
        let (writer, ended) = Writer::start(db, lock, counts.clone());
        Ok(Self {
            holder: None,
            inner: Arc::new(Inner {
                keys,
                reads,
                writer: RwLock::new(Some(writer)),
                ended: Mutex::new(Some(ended)),
                counts,
                watch: OnceLock::new(),
                forgotten: Arc::default(),
                events: tokio::sync::watch::Sender::default(),
                _lock: None,
            }),
        })
    }

    /// Opens the data folder `dir` to look at it while no host runs on it. Nothing is changed; writes answer
    /// [`StoreError::Closed`].
    ///
    /// # Errors
    /// There is no database, a process has the folder, another version wrote it, or the key file is not the database's.
    pub async fn open_to_read(dir: &Path, key_file: Option<&Path>) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE);
        if let Err(error) = std::fs::metadata(&path) {
            return Err(StoreError::folder(path, error));
        }
        let lock = Some(Arc::new(take(dir)?));
        let reads = readers(&path, Durability::Full).await?;
        let mut db = reads.acquire().await?;
        schema::check(&mut db, &path).await?;
        let keys = Arc::new(reseal::keys(&mut db, &KeyFile { path: key_path(dir, key_file), database: path }).await?);
        drop(db);
        let inner = Inner {
            keys,
            reads,
            writer: RwLock::new(None),
            ended: Mutex::new(None),
            counts: Arc::default(),
            watch: OnceLock::new(),
            forgotten: Arc::default(),
            events: tokio::sync::watch::Sender::default(),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner), holder: None })
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

    /// What documents are sealed with.
    pub(crate) fn keys(&self) -> &Arc<KeyRing> {
        &self.inner.keys
    }

    pub(crate) fn forgotten(&self) -> &Arc<token::Forgotten> {
        &self.inner.forgotten
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
        self.write_then(|_| (), work).await
    }

    /// The same, and `after` is called once that is committed, even when whoever asked has gone away in between. The writer calls it:
    /// it must neither wait nor panic.
    pub(crate) async fn write_then<T, F, A>(&self, after: A, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        let Some((node, operation, fence)) = self.holder else {
            return self.write_script_then(after, Script::default(), move |db, _| work(db)).await;
        };
        let mut script = Script::default();
        journal::holds(&mut script, node, operation, fence);
        self.write_script_then(after, script, move |db, held| match held {
            Ok(Some(_)) => work(db),
            Ok(None) => Box::pin(std::future::ready(Err(StoreError::StaleFence(node)))),
            Err(error) => Box::pin(std::future::ready(Err(error.into()))),
        })
        .await
    }

    /// Has `script` run and `work` go on with what its first statement found, in one trip to the database where `work` needs none;
    /// returns after the commit. Nothing of both is kept when `work` refuses.
    pub(crate) async fn write_script<T, F>(&self, script: Script, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, Found) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        self.write_script_then(|_| (), script, work).await
    }

    /// The same with what follows the commit, as in [`Store::write_then`].
    pub(crate) async fn write_script_then<T, F, A>(&self, after: A, script: Script, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, Found) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        let writer = self.inner.writer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let writer = writer.ok_or(StoreError::Closed)?;
        let Some(watch) = self.inner.watch.get() else { return writer.write(after, script, work).await };
        watch(Moment::Before).await;
        let written = writer.write(after, script, work).await;
        watch(Moment::After).await;
        written
    }

    /// Has every write told of, before it and after its commit: the moments at which tests stop the host. Once for a store.
    pub fn watch(&self, watch: Watch) {
        let _watched_already = self.inner.watch.set(watch);
    }
}

fn options(path: &Path, durability: Durability) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // What a savepoint may have to take back lies in memory, not in a file.
        .pragma("temp_store", "MEMORY")
        .synchronous(match durability {
            Durability::Normal => SqliteSynchronous::Normal,
            Durability::Full => SqliteSynchronous::Full,
        })
}

/// Connections that only read.
async fn readers(path: &Path, durability: Durability) -> Result<SqlitePool, StoreError> {
    let options = options(path, durability).pragma("query_only", "ON").row_buffer_size(ROWS_AHEAD);
    Ok(SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false).connect_with(options).await?)
}

/// A connection that writes, to a database of the newest schema.
async fn connect(path: &Path, durability: Durability) -> Result<SqliteConnection, StoreError> {
    let mut db = options(path, durability).connect().await?;
    schema::migrate(&mut db, path).await?;
    Ok(db)
}

fn key_path(dir: &Path, key_file: Option<&Path>) -> PathBuf {
    key_file.map_or_else(|| dir.join("secrets.key"), Path::to_owned)
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
