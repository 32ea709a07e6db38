//! What happened to nodes: asked for, waited for, forgotten in time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wrought_domain::{NodeId, Principal};
use wrought_storage::{EventQuery, NodeEvent, StoreError};

use crate::conductor::Conductor;
use crate::house::PURGE_PAUSE;
use crate::refusal::administrator;
use crate::webhooks::WebhookConfig;
use crate::{Refusal, convert};

/// Requests that wait for events at a time; more are answered at once.
const WAITING: usize = 256;

/// Of these, one user's.
const WAITING_EACH: usize = 64;

/// No request waits longer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Events of a busy host come in bursts: a request that waited takes them together.
const GATHER: Duration = Duration::from_millis(100);

/// Every kind of event.
pub(crate) const KINDS: [&str; 13] = [
    "created",
    "deleted",
    "queued",
    "started",
    "transition",
    "step-started",
    "step-finished",
    "waiting",
    "failed",
    "finished",
    "aborted",
    "maintenance",
    "power",
];

/// The record of what happened to nodes, which `wrought node events` shows and webhooks tell of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// Days after which an event is dropped.
    pub keep_days: u32,
    /// Events that are kept at most, of all nodes together; the oldest are dropped first.
    pub max_events: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { keep_days: 90, max_events: 1_000_000 }
    }
}

/// How events are kept, and who is told of them.
#[derive(Debug, Clone, Default)]
pub struct EventsSetup {
    /// `[events]`.
    pub config: EventsConfig,
    /// `[webhook.NAME]`, each by its name.
    pub webhooks: BTreeMap<String, WebhookConfig>,
}

/// Which events are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsAsked {
    /// Of this node alone, by UUID or name; of all nodes if not given.
    pub node: Option<String>,
    /// Of these kinds alone.
    pub kinds: Vec<String>,
    /// Those after this one, the oldest first; without it the latest ones.
    pub after: Option<u64>,
    /// How many at most.
    pub limit: u32,
    /// How long to wait for one, when there is none; [`LONGEST_WAIT`] is the most.
    pub wait: Duration,
}

/// Requests that wait for events.
#[derive(Default)]
pub(crate) struct Polls {
    /// How many each user has; no more users than places.
    taken: Mutex<HashMap<Caller, usize>>,
    /// The host is about to stop.
    leaving: CancellationToken,
}

/// A user and the project.
type Caller = (String, Option<String>);

/// A place among the requests that wait.
struct Place<'p> {
    polls: &'p Polls,
    caller: Caller,
}

impl Polls {
    /// A place for one more request, unless all are taken, or too many by the same user.
    fn place(&self, who: &Principal) -> Option<Place<'_>> {
        let caller = (who.user.clone(), who.project.clone());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&caller).copied().unwrap_or(0);
        if own >= WAITING_EACH || taken.values().sum::<usize>() >= WAITING {
            return None;
        }
        taken.insert(caller.clone(), own.saturating_add(1));
        Some(Place { polls: self, caller })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.polls.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.caller).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            taken.remove(&self.caller);
        } else {
            taken.insert(self.caller.clone(), left);
        }
    }
}

/// An event as users and receivers see it.
pub(crate) fn shown(event: NodeEvent) -> Value {
    let mut shown = event.detail;
    shown.insert("id".into(), event.id.into());
    shown.insert("at".into(), event.at.to_string().into());
    shown.insert("node".into(), event.node.to_string().into());
    shown.insert("kind".into(), event.kind.into());
    Value::Object(shown)
}

impl Conductor {
    /// Has requests that wait for events answered now, for a host that is about to stop.
    pub fn end_waits(&self) {
        self.0.polls.leaving.cancel();
    }

    /// Events of one node or of all, in their order; `last` is where to go on.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] unless it is an administrator who asks for those of all nodes; [`Refusal::NotFound`];
    /// [`Refusal::Invalid`] for a kind that there is not.
    pub async fn node_events(&self, who: &Principal, asked: EventsAsked) -> Result<Value, Refusal> {
        check_kinds(&asked.kinds).map_err(Refusal::Invalid)?;
        let node = match &asked.node {
            Some(node) => Some(self.known_node(who, node).await?),
            None => {
                administrator(who)?;
                None
            }
        };
        let mut watch = self.0.store.event_watch();
        let mut query = EventQuery { node, kinds: asked.kinds, after: asked.after, limit: asked.limit, ..EventQuery::default() };
        let ends = Instant::now() + asked.wait.min(LONGEST_WAIT);
        let place = asked.after.and_then(|_| self.0.polls.place(who));
        loop {
            watch.mark_unchanged();
            // Read first: what is not found up to here will not come any more.
            let (oldest, newest) = self.0.store.event_bounds().await.map_err(convert::refusal)?;
            let events = self.0.store.events(&query).await.map_err(convert::refusal)?;
            if !events.is_empty() || place.is_none() || Instant::now() >= ends || self.0.polls.leaving.is_cancelled() {
                let dropped = asked.after.map_or(0, |after| oldest.saturating_sub(after.saturating_add(1)));
                let last = events.last().map_or_else(|| newest.max(asked.after.unwrap_or(0)), |event| event.id);
                let events: Vec<Value> = events.into_iter().map(shown).collect();
                return Ok(json!({ "events": events, "last": last, "dropped": dropped }));
            }
            // What was looked through is not looked through again.
            query.after = query.after.map(|after| after.max(newest));
            tokio::select! {
                changed = watch.changed() => if changed.is_ok() { tokio::time::sleep(GATHER).await },
                () = tokio::time::sleep_until(ends) => {}
                () = self.0.polls.leaving.cancelled() => {}
            }
        }
    }

    /// The node that a text names. Events know nodes that are gone, by their UUID, for administrators.
    async fn known_node(&self, who: &Principal, node: &str) -> Result<NodeId, Refusal> {
        match (self.find_node(who, node).await, Uuid::parse_str(node)) {
            (Err(Refusal::NotFound(_)), Ok(gone)) if who.is_admin() => Ok(NodeId(gone)),
            (found, _) => found,
        }
    }

    /// Forgets events that are older than the operator keeps them, or too many.
    pub(crate) async fn purge_events(&self) -> Result<(), StoreError> {
        let EventsConfig { keep_days, max_events } = self.0.events.config;
        let kept = SignedDuration::from_hours(i64::from(keep_days).saturating_mul(24));
        let bound = self.now().checked_sub(kept).unwrap_or(Timestamp::MIN);
        while self.0.store.purge_events(bound, max_events).await? > 0 {
            tokio::time::sleep(PURGE_PAUSE).await;
        }
        Ok(())
    }
}

/// That each is a kind of event; else what there is.
pub(crate) fn check_kinds(kinds: &[String]) -> Result<(), String> {
    match kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        Some(unknown) => {
            let unknown: String = unknown.chars().take(40).collect();
            Err(format!("there is no kind of event {unknown:?}: use {}", KINDS.join(", ")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_all() {
        let polls = Polls::default();
        let (greedy, other) = (Principal { user: "greedy".into(), ..Principal::noauth() }, Principal::noauth());
        let mut own: Vec<Place<'_>> = std::iter::from_fn(|| polls.place(&greedy)).take(WAITING).collect();
        assert_eq!(own.len(), WAITING_EACH);
        drop(polls.place(&other).unwrap());
        own.pop();
        own.push(polls.place(&greedy).unwrap());
        assert!(polls.place(&greedy).is_none());
        drop(own);
        assert!(polls.taken.lock().unwrap().is_empty());
    }
}
