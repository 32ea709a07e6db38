//! What the host does on its own account, now and then.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wrought_storage::StoreError;

use crate::conductor::Conductor;

/// How often the host notes that it is alive, while operations go on.
const ALIVE: Duration = Duration::from_secs(5);

/// How often the journal is looked through for what is too old or too much.
const PURGE: Duration = Duration::from_secs(600);

/// Between two batches of a purge, so that it never holds up the work.
pub(crate) const PURGE_PAUSE: Duration = Duration::from_millis(50);

impl Conductor {
    /// Starts the host's own chores; they end when it stops.
    pub(crate) fn keep_house(&self) {
        self.watch_locks();
        self.tend_queue();
        self.watch_power();
        self.tend_allocations();
        let this = self.clone();
        tokio::spawn(async move {
            while this.goes_on_for(ALIVE).await {
                this.0.catalog.runtime().tell_dropped();
                // Without operations no deadline depends on it.
                if this.0.gates.any_open() {
                    noted("noting that the host is alive", this.0.store.note_alive(&this.0.host, this.now()).await);
                }
            }
        });
        let this = self.clone();
        tokio::spawn(async move {
            while this.goes_on_for(PURGE).await {
                noted("purging the journal", this.purge_journal().await);
                noted("purging the audit", this.purge_audit().await);
                noted("purging the events", this.purge_events().await);
            }
        });
    }

    /// Waits, unless the host stops meanwhile.
    pub(crate) async fn goes_on_for(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.stopping().cancelled()).await.is_err()
    }

    async fn purge_journal(&self) -> Result<(), StoreError> {
        let config = &self.0.journal;
        let kept = SignedDuration::from_hours(i64::from(config.keep_days).saturating_mul(24));
        let bound = self.now().checked_sub(kept).unwrap_or(Timestamp::MIN);
        let mut purged = 0_u64;
        loop {
            match self.0.store.purge_journal(bound, u64::from(config.max_mib) << 20).await? {
                0 => break,
                more => purged = purged.saturating_add(more),
            }
            tokio::time::sleep(PURGE_PAUSE).await;
        }
        if purged > 0 {
            tracing::info!(operations = purged, "dropped from the journal");
        }
        Ok(())
    }
}

fn noted(chore: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "{chore} failed; it is tried again later");
    }
}
