//! Allocations: nodes are looked for behind the back of whoever asked.
//!
//! One task takes those that look for a node from the store, the oldest first, a few at a time, and the next as one ends; so whatever
//! is open when the host stops is gone on with by the next start. That no node is given away twice is the store's doing, in one unit
//! of its writer.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rand::seq::SliceRandom as _;
use tokio::sync::Notify;
use uuid::Uuid;
use wrought_domain::{Allocation, NodeId, Principal};
use wrought_storage::{Given, NodeRef, StoreError};

use crate::conductor::Conductor;
use crate::{Refusal, convert};

/// Allocations that are read at once.
const PAGE: u32 = 100;

/// Allocations that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Between two looks for what nobody told of.
const IDLE: Duration = Duration::from_secs(60);

/// How often nodes that operations hold are tried, and the pause in between: Ironic's `node_locked_retry_attempts` and
/// `node_locked_retry_interval`.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Wakes the task.
#[derive(Default)]
pub(crate) struct Allocator(Notify);

impl Conductor {
    /// Stores an allocation; a node is looked for behind it. With a node, which has been deployed already, it has it at once.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] for a name or UUID that is taken, and for a node that does not fit; [`Refusal::Locked`].
    pub async fn create_allocation(&self, who: &Principal, allocation: Allocation, node: Option<NodeId>) -> Result<Allocation, Refusal> {
        if let Some(node) = node {
            return self.0.store.backfill_allocation(who, allocation, node).await.map_err(convert::refusal);
        }
        let this = self.clone();
        self.through(async move {
            let allocation = this.0.store.add_allocation(allocation).await.map_err(convert::refusal)?;
            this.0.allocator.0.notify_one();
            Ok(allocation)
        })
        .await
    }

    /// Starts the task.
    pub(crate) fn tend_allocations(&self) {
        let this = self.clone();
        tokio::spawn(async move {
            let (mut open, mut looking, mut searches) = (VecDeque::new(), HashSet::new(), FuturesUnordered::new());
            while !this.stopping().is_cancelled() {
                if open.is_empty() {
                    match this.0.store.open_allocations(PAGE).await {
                        Ok(page) => open.extend(page.into_iter().filter(|one| !looking.contains(&one.uuid))),
                        Err(StoreError::Closed) => return,
                        Err(error) => {
                            tracing::error!(?error, "the allocations could not be read");
                            this.goes_on_for(PAUSE).await;
                            continue;
                        }
                    }
                }
                while looking.len() < AT_ONCE
                    && let Some(one) = open.pop_front()
                {
                    looking.insert(one.uuid);
                    searches.push(this.allocate(one));
                }
                tokio::select! {
                    () = this.stopping().cancelled() => {}
                    Some(ended) = searches.next() => {
                        looking.remove(&ended);
                    }
                    () = this.0.allocator.0.notified(), if open.is_empty() => {}
                    () = tokio::time::sleep(IDLE) => {}
                }
            }
        });
    }

    /// Looks for a node, and says whose search it was.
    async fn allocate(&self, allocation: Allocation) -> Uuid {
        let uuid = allocation.uuid;
        let ended = match self.search(&allocation).await {
            Ok(Search::Ended) => Ok(()),
            Ok(Search::Failed(why)) => {
                let text = format!("Failed to process allocation {uuid}: {why}.");
                tracing::info!(allocation = %uuid, "{text}");
                self.0.store.fail_allocation(uuid, text).await
            }
            Err(StoreError::Duplicate(taken)) => {
                let text = format!("Failed to process allocation {uuid}: a {taken} already exists.");
                self.0.store.fail_allocation(uuid, text).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &ended {
            tracing::warn!(allocation = %uuid, %error, "an allocation could not be worked on");
            // It is tried again, and not at once.
            self.goes_on_for(PAUSE).await;
        }
        uuid
    }

    async fn search(&self, allocation: &Allocation) -> Result<Search, StoreError> {
        let mut candidates = self.0.store.allocation_candidates(allocation).await?;
        if candidates.is_empty() {
            let class = allocation.resource_class.as_deref().unwrap_or("None");
            return Ok(Search::Failed(match allocation.candidate_nodes.is_empty() {
                true => format!("no available nodes match the resource class {class}"),
                false => format!("none of the requested nodes are available and match the resource class {class}"),
            }));
        }
        // So that those who look at the same time do not all begin with the same one.
        candidates.shuffle(&mut rand::rng());
        candidates.sort_by_key(|(_, name)| allocation.name.is_none() || *name != allocation.name);
        let mut nodes: Vec<NodeId> = candidates.into_iter().map(|(node, _)| node).collect();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 && !self.goes_on_for(PAUSE).await {
                // The next start goes on with it.
                return Ok(Search::Ended);
            }
            let (mut held, mut suitable) = (Vec::new(), false);
            for node in nodes {
                if !self.has_traits(allocation, node).await? {
                    continue;
                }
                suitable = true;
                match self.0.store.allocate(allocation.uuid, node).await? {
                    Given::Yes(_) => {
                        tracing::info!(allocation = %allocation.uuid, %node, "allocated");
                        return Ok(Search::Ended);
                    }
                    Given::Over => return Ok(Search::Ended),
                    Given::Unfit => {}
                    Given::Reserved => held.push(node),
                }
            }
            if !suitable && attempt == 0 {
                return Ok(Search::Failed(format!("no suitable nodes have the requested traits {}", allocation.traits.join(", "))));
            }
            if held.is_empty() {
                return Ok(Search::Failed("all nodes were filtered out during reservation".into()));
            }
            nodes = held;
        }
        Ok(Search::Failed(format!("could not reserve any of {} suitable nodes", nodes.len())))
    }

    /// Looked at before the writer is asked, which serves everybody.
    async fn has_traits(&self, allocation: &Allocation, node: NodeId) -> Result<bool, StoreError> {
        if allocation.traits.is_empty() {
            return Ok(true);
        }
        match self.0.store.node(&Principal::host(), &NodeRef::Uuid(node)).await {
            Ok(found) => Ok(found.is_some_and(|found| allocation.traits_match(&found.value))),
            Err(error @ StoreError::Unreadable { .. }) => {
                tracing::warn!(%node, %error, "a node that cannot be read is not given away");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// How a search ended.
enum Search {
    /// With a node, or because nobody looks for one any more.
    Ended,
    /// Without one.
    Failed(String),
}
