//! The operator's limits on concurrent operations, as a queue: what finds no room waits for its turn with its node reserved, and
//! nobody is refused for it. First come, first served, but for those whose image server, controllers or driver are failing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use wrought_domain::{Node, NodeId, OperationId, Principal};
use wrought_engine::{Event, Kind, Operation};
use wrought_storage::{NodeRef, StoreError};

use crate::breakers::Dependency;
use crate::conductor::Conductor;
use crate::config::ConductorConfig;
use crate::seen::Seen;

/// How often it is looked whether somebody has his turn, in case that a wake-up was lost or a failing dependency is tried again.
const TEND: std::time::Duration = std::time::Duration::from_secs(1);

/// Operations that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Ironic's `max_concurrent_deploy`.
    Deploy,
    /// Ironic's `max_concurrent_clean`: cleanings, also those behind `provide`, and tear-downs.
    Clean,
}

impl Lane {
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Deploy | Kind::Rebuild => Some(Self::Deploy),
            Kind::TearDown | Kind::Clean | Kind::ManualClean => Some(Self::Clean),
            _ => None,
        }
    }
}

/// Somebody who waits.
#[derive(Debug, Clone)]
struct Entry {
    operation: OperationId,
    node: NodeId,
    depends_on: Vec<Dependency>,
    /// The node is in maintenance: it keeps its place, and others go first.
    rests: bool,
}

#[derive(Default)]
struct State {
    working: HashMap<OperationId, Lane>,
    deploy: VecDeque<Entry>,
    clean: VecDeque<Entry>,
    /// Whether all operations that were open at the start have been adopted: nobody begins anything before.
    open: bool,
}

impl State {
    fn waiting(&mut self, lane: Lane) -> &mut VecDeque<Entry> {
        match lane {
            Lane::Deploy => &mut self.deploy,
            Lane::Clean => &mut self.clean,
        }
    }

    fn room(&self, lane: Lane, limit: usize) -> usize {
        limit.saturating_sub(self.working.values().filter(|at| **at == lane).count())
    }
}

/// Who is at work, and who waits.
#[derive(Default)]
pub(crate) struct Queue(Mutex<State>);

fn limit(config: &ConductorConfig, lane: Lane) -> usize {
    let limit = match lane {
        Lane::Deploy => config.max_concurrent_deploy,
        Lane::Clean => config.max_concurrent_clean,
    };
    if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) }
}

impl Queue {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conductor {
    /// Gives a new operation on a node a place: at work, or, with `true`, in the queue.
    pub(crate) fn enqueue(&self, operation: OperationId, node: &Node, kind: Kind, depends_on: Vec<Dependency>) -> bool {
        let Some(lane) = Lane::of(kind) else { return false };
        let mut state = self.0.queue.state();
        state.waiting(lane).push_back(Entry { operation, node: node.uuid, depends_on, rests: false });
        let waits = !self.takes_turn(&mut state, lane, operation);
        if let Some(entry) = state.waiting(lane).back_mut().filter(|_| waits) {
            // What maintenance allows begins where there is room; only what has to wait rests while it does.
            entry.rests = node.maintenance;
        }
        waits
    }

    /// Has an operation begin, if it is among the first that may, as many as there is room for.
    fn takes_turn(&self, state: &mut State, lane: Lane, operation: OperationId) -> bool {
        if !self.next_of(state, lane).iter().any(|(id, _)| *id == operation) {
            return false;
        }
        let waiting = state.waiting(lane);
        let at = waiting.iter().position(|entry| entry.operation == operation);
        let Some(entry) = at.and_then(|at| waiting.remove(at)) else { return false };
        self.0.breakers.begins(&entry.depends_on, operation);
        state.working.insert(operation, lane);
        true
    }

    /// A node is in maintenance from now on, or is not any more.
    pub(crate) fn rests_in_queue(&self, node: NodeId, rests: bool) {
        let mut state = self.0.queue.state();
        let State { deploy, clean, .. } = &mut *state;
        for entry in deploy.iter_mut().chain(clean).filter(|entry| entry.node == node) {
            entry.rests = rests;
        }
    }

    /// After a restart: whoever was at work is, and whoever waited waits, in the order in which they came.
    pub(crate) async fn restore_queue(&self, open: &[Operation]) -> Result<(), StoreError> {
        let mut queued: Vec<(Timestamp, &Operation)> = Vec::new();
        {
            let mut state = self.0.queue.state();
            for operation in open {
                match (Lane::of(operation.kind), operation.waiting.as_ref().filter(|_| operation.is_queued())) {
                    (Some(_), Some(waiting)) => queued.push((waiting.since, operation)),
                    (Some(lane), None) => drop(state.working.insert(operation.id, lane)),
                    (None, _) => {}
                }
            }
        }
        queued.sort_by_key(|(since, operation)| (*since, operation.id));
        for (_, operation) in queued {
            let Some(lane) = Lane::of(operation.kind) else { continue };
            // Nobody knows any more what is failing, so nothing is held back for it.
            let node = self.0.store.node(&Principal::host(), &NodeRef::Uuid(operation.node)).await?;
            let rests = node.is_some_and(|node| node.value.maintenance);
            let entry = Entry { operation: operation.id, node: operation.node, depends_on: Vec::new(), rests };
            self.0.queue.state().waiting(lane).push_back(entry);
        }
        Ok(())
    }

    /// All operations that were open at the start are adopted.
    pub(crate) fn open_queue(&self) {
        self.0.queue.state().open = true;
    }

    /// Whether it is an operation's turn; if it is, it has it from now on.
    pub(crate) fn has_turn(&self, operation: &Operation) -> bool {
        let Some(lane) = Lane::of(operation.kind) else { return true };
        let mut state = self.0.queue.state();
        state.working.contains_key(&operation.id) || self.takes_turn(&mut state, lane, operation.id)
    }

    /// The first of those who wait and may begin, as many as there is room for.
    fn next_of(&self, state: &mut State, lane: Lane) -> Vec<(OperationId, NodeId)> {
        let room = if state.open { state.room(lane, limit(&self.0.config, lane)) } else { 0 };
        let now = self.now();
        let may = |entry: &&Entry| !entry.rests && self.0.breakers.may(&entry.depends_on, entry.operation, now);
        state.waiting(lane).iter().filter(may).take(room).map(|entry| (entry.operation, entry.node)).collect()
    }

    /// An operation is at work with this, whatever it did before: it is not stopped in the middle, even where there is no room for it.
    /// One that holds leaves its place to others.
    pub(crate) fn works(&self, operation: &Operation) {
        if operation.holds() {
            return self.leave_queue(operation.id);
        }
        if operation.is_queued() {
            return;
        }
        let left = {
            let mut state = self.0.queue.state();
            match Lane::of(operation.kind) {
                Some(lane) => state.working.insert(operation.id, lane).filter(|was| *was != lane),
                None => state.working.remove(&operation.id),
            }
        };
        if let Some(lane) = left {
            self.wake_next(lane);
        }
    }

    /// An operation has ended, was not begun after all, or holds.
    pub(crate) fn leave_queue(&self, operation: OperationId) {
        self.0.breakers.tried(operation);
        let left = {
            let mut state = self.0.queue.state();
            state.deploy.retain(|entry| entry.operation != operation);
            state.clean.retain(|entry| entry.operation != operation);
            state.working.remove(&operation)
        };
        if let Some(lane) = left {
            self.wake_next(lane);
        }
    }

    fn wake_next(&self, lane: Lane) {
        let next = self.next_of(&mut self.0.queue.state(), lane);
        for (_, node) in next {
            let this = self.clone();
            self.spawn(async move { this.handle(node, None, Event::Due, Seen::default()).await });
        }
    }

    /// Where a node's operation stands in its queue, counted from 1, and how many wait there; nothing if it does not wait.
    pub fn queue_position(&self, node: NodeId) -> Option<(usize, usize)> {
        let mut state = self.0.queue.state();
        [Lane::Deploy, Lane::Clean].into_iter().find_map(|lane| {
            let waiting = state.waiting(lane);
            let at = waiting.iter().position(|entry| entry.node == node)?;
            Some((at.saturating_add(1), waiting.len()))
        })
    }

    /// Why a node's operation is held back although there may be room for it: what it depends on is failing.
    pub fn held_back_by(&self, node: NodeId) -> Vec<String> {
        let depends_on = {
            let state = self.0.queue.state();
            let entry = state.deploy.iter().chain(&state.clean).find(|entry| entry.node == node);
            entry.map(|entry| entry.depends_on.clone()).unwrap_or_default()
        };
        self.0.breakers.failing(&depends_on, self.now())
    }

    /// Looks now and then whether somebody has his turn.
    pub(crate) fn tend_queue(&self) {
        let this = self.clone();
        tokio::spawn(async move {
            while this.goes_on_for(TEND).await {
                this.wake_next(Lane::Deploy);
                this.wake_next(Lane::Clean);
            }
        });
    }
}
