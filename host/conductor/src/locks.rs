//! Locks that nodes share: whose turn it is, which have been held for too long, and which an operator takes away.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wrought_domain::{Node, NodeId, OperationId, Principal};
use wrought_engine::Event;
use wrought_storage::{LockAnswer, LockRequest, StoreError};

use crate::Refusal;
use crate::audit::{done, must_say_why};
use crate::conductor::Conductor;
use crate::refusal::{administrator, overseer};
use crate::seen::Seen;

/// Between two looks for locks that have been held for too long, at most.
const LOOK: Duration = Duration::from_secs(5);

/// What is remembered of locks; all of it is stored as well.
#[derive(Default)]
pub(crate) struct Locks {
    /// Taken away from an operation of the node.
    broken: Mutex<HashMap<NodeId, (OperationId, BTreeSet<String>)>>,
    /// Whether anybody may wait for a lock.
    waited_for: AtomicBool,
}

impl Locks {
    fn broken(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, (OperationId, BTreeSet<String>)>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lock that was taken away from an operation, and that its driver has not released since.
    pub(crate) fn broken_of(&self, node: NodeId, operation: OperationId) -> Option<String> {
        self.broken().get(&node).filter(|(of, _)| *of == operation).and_then(|(_, names)| names.first().cloned())
    }

    /// An operation may have ended before this is noted: then it is replaced when the node's next one loses a lock.
    fn note_broken(&self, node: NodeId, operation: OperationId, name: String) {
        let mut broken = self.broken();
        let noted = broken.entry(node).or_insert_with(|| (operation, BTreeSet::new()));
        if noted.0 != operation {
            *noted = (operation, BTreeSet::new());
        }
        noted.1.insert(name);
    }

    fn forget(&self, node: NodeId, name: &str) {
        let mut broken = self.broken();
        if let Some((_, names)) = broken.get_mut(&node) {
            names.remove(name);
            if names.is_empty() {
                broken.remove(&node);
            }
        }
    }
}

impl Conductor {
    /// What the store knows of locks, at the start.
    pub(crate) async fn load_locks(&self) -> Result<(), StoreError> {
        for (node, operation, name) in self.0.store.broken_locks().await? {
            self.0.locks.note_broken(node, operation, name);
        }
        let (anybody, _) = self.0.store.next_for_locks().await?;
        self.0.locks.waited_for.store(anybody, Ordering::Release);
        Ok(())
    }

    /// Asks for a lock, with `queue` for a place among those who wait.
    pub(crate) async fn ask_for_lock(
        &self,
        node: NodeId,
        operation: OperationId,
        name: &str,
        queue: bool,
    ) -> Result<LockAnswer, StoreError> {
        let request = LockRequest { name: name.to_owned(), node, operation, queue, now: self.now() };
        let answer = self.0.store.acquire_lock(request).await?;
        if queue && answer == LockAnswer::Taken {
            // After it is stored: who lets go in between either sees it, or sees this.
            self.0.locks.waited_for.store(true, Ordering::Release);
        }
        Ok(answer)
    }

    /// Whether a wait for a lock is over: it is held, or asking again will tell why it cannot be had.
    pub(crate) async fn lock_wait_is_over(&self, node: &Node, operation: OperationId, name: &str) -> bool {
        if !wrought_domain::lock::names(&node.properties, name) || self.0.locks.broken_of(node.uuid, operation).is_some() {
            return true;
        }
        match self.ask_for_lock(node.uuid, operation, name, true).await {
            Ok(answer) => answer != LockAnswer::Taken,
            Err(error) => {
                tracing::warn!(%error, "testing a lock");
                false
            }
        }
    }

    /// Lets go of a lock.
    pub(crate) async fn release_lock(&self, node: NodeId, operation: OperationId, name: &str) -> Result<(), StoreError> {
        let held = self.0.store.release_lock(name, operation).await?;
        self.0.locks.forget(node, name);
        if held {
            self.wake_lock_waiters();
        }
        Ok(())
    }

    /// An operation ended, and its locks with it.
    pub(crate) fn locks_ended(&self, node: NodeId) {
        self.0.locks.broken().remove(&node);
        self.wake_lock_waiters();
    }

    /// Has those tested whose turn it is. Who misses it is tested when its time comes.
    fn wake_lock_waiters(&self) {
        if !self.0.locks.waited_for.swap(false, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        self.spawn(async move {
            let nodes = match this.0.store.next_for_locks().await {
                Ok((anybody, nodes)) => {
                    if anybody {
                        this.0.locks.waited_for.store(true, Ordering::Release);
                    }
                    nodes
                }
                Err(error) => {
                    this.0.locks.waited_for.store(true, Ordering::Release);
                    tracing::warn!(%error, "looking whose turn it is to have a lock");
                    return;
                }
            };
            for node in nodes {
                this.handle(node, None, Event::Due, Seen::default()).await;
            }
        });
    }

    /// Takes locks away that have been held for longer than `max_lock_hold`, until the host stops. The time counts anew when the host
    /// starts: while it is down no driver can release anything.
    pub(crate) fn watch_locks(&self) {
        let max = self.0.config.max_lock_hold;
        if max == 0 {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            while this.goes_on_for(LOOK.min(Duration::from_secs(u64::from(max)))).await {
                if this.0.gates.any_open()
                    && let Err(error) = this.break_overdue_locks(SignedDuration::from_secs(i64::from(max))).await
                {
                    tracing::warn!(%error, "looking for locks that are held for too long failed; it is tried again later");
                }
            }
        });
    }

    async fn break_overdue_locks(&self, max: SignedDuration) -> Result<(), StoreError> {
        let now = self.now();
        for lock in self.0.store.locks().await? {
            let Some(holder) = lock.holder else { continue };
            let since: Timestamp = holder.since.max(self.0.started_at);
            if now.duration_since(since) >= max {
                let why = format!("it was held for longer than max_lock_hold, {} s", max.as_secs());
                self.take_away(&lock.name, Some(holder.operation), &why, &Principal::host()).await?;
            }
        }
        Ok(())
    }

    /// Every lock that is held or waited for.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for a caller that is bound to a project.
    pub async fn list_locks(&self, who: &Principal) -> Result<Value, Refusal> {
        overseer(who)?;
        let locks = self.0.store.locks().await?;
        let shown =
            |user: &wrought_storage::LockUser| json!({ "node": user.node, "operation": user.operation, "since": user.since.to_string() });
        let locks = locks.iter().map(|lock| {
            json!({
                "name": lock.name,
                "node": lock.holder.as_ref().map(|holder| holder.node),
                "operation": lock.holder.as_ref().map(|holder| holder.operation),
                "since": lock.holder.as_ref().map(|holder| holder.since.to_string()),
                "waiters": lock.waiters.iter().map(shown).collect::<Vec<_>>(),
            })
        });
        Ok(json!({ "locks": locks.collect::<Vec<_>>(), "max_lock_hold": self.0.config.max_lock_hold }))
    }

    /// Takes a lock away from its holder; what was ended. The operation goes on without it: the next effect of its driver is answered
    /// `locked`, and so are all others until the driver releases the lock.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] without a reason that can be shown; [`Refusal::NotFound`] when nobody holds the lock.
    pub async fn break_lock(&self, who: &Principal, name: &str, why: &str) -> Result<Value, Refusal> {
        administrator(who)?;
        let why = must_say_why(why)?;
        let (this, who, name) = (self.clone(), who.clone(), name.to_owned());
        self.through(async move {
            let why = format!("{} broke it: {why}", who.user);
            let Some(holder) = this.take_away(&name, None, &why, &who).await? else {
                let name: String = name.chars().take(wrought_domain::lock::MAX_NAME).collect();
                return Err(Refusal::NotFound(format!(
                    "Nobody holds a lock {name:?}; those that are held are shown by: wrought lock list"
                )));
            };
            Ok(json!({ "name": name, "node": holder.node, "operation": holder.operation, "since": holder.since.to_string() }))
        })
        .await
    }

    async fn take_away(
        &self,
        name: &str,
        held_by: Option<OperationId>,
        why: &str,
        who: &Principal,
    ) -> Result<Option<wrought_storage::LockUser>, StoreError> {
        let broken = self.0.store.break_lock(name, held_by, why, &who.user, &self.0.host).await?;
        if let Some(holder) = &broken {
            self.0.locks.note_broken(holder.node, holder.operation, name.to_owned());
            let detail = json!({ "node": holder.node, "operation": holder.operation });
            self.note(vec![done(who, "break-lock", format!("lock/{name}"), why.to_owned(), detail)]).await;
            tracing::warn!(lock = name, node = %holder.node, operation = %holder.operation, user = who.user, why, "a shared lock was taken away");
            self.wake_lock_waiters();
        }
        Ok(broken)
    }
}

/// What came of asking for a lock, as a driver hears it.
pub(crate) fn heard(answer: LockAnswer) -> Result<(), wrought_domain::DriverError> {
    use wrought_domain::ErrorKind::{Conflict, LimitExceeded, Locked};
    let (kind, code, text) = match answer {
        LockAnswer::Held => return Ok(()),
        LockAnswer::Taken => (Locked, "wrought.SharedLock", "another node's operation holds this lock, or asked for it before"),
        LockAnswer::TooMany => (LimitExceeded, "wrought.TooManyLocks", "an operation holds two shared locks at most: release one first"),
        LockAnswer::OutOfOrder => (
            Conflict,
            "wrought.LockOrder",
            "shared locks are taken in the order of their names, so that no two operations wait for each other: release the one that comes \
             after this one first",
        ),
    };
    Err(wrought_domain::DriverError::new(kind, code, text))
}

/// That a lock was taken away, as a driver hears it.
pub(crate) fn heard_broken(name: &str) -> wrought_domain::DriverError {
    let text = format!(
        "the shared lock {name} was taken away from this operation: look at what it was for before going on, then release it to be allowed \
         effects again"
    );
    wrought_domain::DriverError::new(wrought_domain::ErrorKind::Locked, "wrought.LockBroken", text)
}
