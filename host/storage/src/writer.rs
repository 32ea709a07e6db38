//! The one writer. Commits are the cost, not statements: what is queued becomes one transaction.
//!
//! Every unit runs in a savepoint of its own, so a refused unit is rolled back alone; answers
//! are given after the commit. A savepoint that a unit leaves open is the next one's to end.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::StoreError;
use crate::script::{Found, Script};

/// Units in one transaction at most.
const BATCH: usize = 256;
/// Units that wait at most; who comes then waits for a place.
const QUEUE: usize = 1024;

type Outcome<T> = Result<T, StoreError>;

/// Work that is committed as a whole or not at all.
trait Unit: Send {
    /// Does the work in a new savepoint; whether it may be kept. An error is the transaction's.
    fn run<'a>(&'a mut self, db: &'a mut SqliteConnection) -> BoxFuture<'a, Result<bool, sqlx::Error>>;
    /// Answers whoever waits; `batch` is how the transaction ended.
    fn answer(self: Box<Self>, batch: Outcome<()>);
}

struct Task<T, F, A> {
    /// What is run first, and what goes on with the row that it found.
    todo: Option<(Script, F)>,
    outcome: Outcome<T>,
    /// What follows the commit.
    after: A,
    reply: oneshot::Sender<Outcome<T>>,
}

impl<T, F, A> Unit for Task<T, F, A>
where
    T: Send,
    A: FnOnce(&T) + Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection, Found) -> BoxFuture<'c, Outcome<T>> + Send,
{
    fn run<'a>(&'a mut self, db: &'a mut SqliteConnection) -> BoxFuture<'a, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            let Some((script, work)) = self.todo.take() else { return Ok(false) };
            let found = script.run_after(NEXT, db).await?;
            let run = AssertUnwindSafe(async { work(db, found).await }).catch_unwind();
            self.outcome = run.await.unwrap_or(Err(StoreError::Panicked));
            Ok(self.outcome.is_ok())
        })
    }

    fn answer(self: Box<Self>, batch: Outcome<()>) {
        let Task { outcome, after, reply, .. } = *self;
        let answer = batch.and(outcome);
        if let Ok(value) = &answer {
            after(value);
        }
        // A caller that went away does not need the answer.
        let _ = reply.send(answer);
    }
}

/// What was written since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Writes {
    /// Transactions that were committed, each with a flush to disk under [`crate::Durability::Full`].
    pub transactions: u64,
    /// Units of work in them, those that were refused included.
    pub units: u64,
}

/// Counts for measurements: no order between the two is promised.
#[derive(Default)]
pub(crate) struct Counts {
    transactions: AtomicU64,
    units: AtomicU64,
}

impl Counts {
    fn add(&self, units: usize) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.units.fetch_add(u64::try_from(units).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Writes {
        Writes { transactions: self.transactions.load(Ordering::Relaxed), units: self.units.load(Ordering::Relaxed) }
    }
}

/// The way to the writer.
#[derive(Clone)]
pub(crate) struct Writer(mpsc::Sender<Box<dyn Unit>>);

impl Writer {
    /// Starts the writer; it ends, and lets go of `lock`, when the last sender is gone.
    pub(crate) fn start(db: SqliteConnection, lock: Arc<File>, counts: Arc<Counts>) -> (Self, JoinHandle<()>) {
        let (send, receive) = mpsc::channel(QUEUE);
        (Self(send), tokio::spawn(run(db, receive, lock, counts)))
    }

    /// Has `script` run and `work` go on with what it found, within a transaction; returns after the commit. What follows from the
    /// commit, whether or not the caller is still there, is in `after`, which must neither wait nor panic.
    ///
    /// # Errors
    /// The work's own error, and then nothing of both is kept; or the database's.
    pub(crate) async fn write<T, F, A>(&self, after: A, script: Script, work: F) -> Outcome<T>
    where
        T: Send + 'static,
        A: FnOnce(&T) + Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, Found) -> BoxFuture<'c, Outcome<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let unit = Task { todo: Some((script, work)), outcome: Err(StoreError::Closed), after, reply };
        self.0.send(Box::new(unit)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

async fn run(mut db: SqliteConnection, mut queue: mpsc::Receiver<Box<dyn Unit>>, lock: Arc<File>, counts: Arc<Counts>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let ended = commit(&mut db, &mut batch).await.map_err(StoreError::from);
        match &ended {
            Ok(()) => counts.add(batch.len()),
            Err(error) => tracing::error!(units = batch.len(), error = ?error, "a batch of writes was not committed"),
        }
        for unit in batch.drain(..) {
            unit.answer(ended.clone());
        }
    }
    if let Err(error) = db.close().await {
        tracing::warn!(%error, "closing the database");
    }
    drop(lock);
}

const BEGIN: &str = "BEGIN IMMEDIATE; SAVEPOINT unit";
/// Keeps what the unit before did, and begins the next one.
const NEXT: [&str; 2] = ["RELEASE unit", "SAVEPOINT unit"];

async fn commit(db: &mut SqliteConnection, batch: &mut [Box<dyn Unit>]) -> Result<(), sqlx::Error> {
    if execute(db, BEGIN).await.is_err() {
        // A transaction that could not be ended the last time is in the way.
        execute(db, "ROLLBACK").await.ok();
        execute(db, BEGIN).await?;
    }
    let ended = units(db, batch).await;
    if ended.is_err() {
        execute(db, "ROLLBACK").await.ok();
    }
    ended
}

async fn units(db: &mut SqliteConnection, batch: &mut [Box<dyn Unit>]) -> Result<(), sqlx::Error> {
    for unit in batch {
        if !unit.run(db).await? {
            execute(db, "ROLLBACK TO unit").await?;
        }
    }
    // Ends what savepoints are left, too.
    execute(db, "COMMIT").await
}

async fn execute(db: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(db).await.map(drop)
}
