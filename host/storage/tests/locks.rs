//! Locks that nodes share: first come first served, bounded, breakable, and kept over a restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use common::{admin, asks, end, further, open, reserved};
use wrought_domain::wait::Condition;
use wrought_domain::{NodeId, OperationId};
use wrought_engine::{Advance, Waiting};
use wrought_storage::{Commit, Held, HistoryQuery, LockAnswer, LockRequest, Revision, Store};

struct Holder {
    node: NodeId,
    operation: OperationId,
    advance: Advance,
    held: Held,
}

async fn begun(store: &Store, name: &str) -> Holder {
    let (advance, held) = reserved(store, name).await;
    Holder { node: advance.next.node.uuid, operation: advance.next.operation.as_ref().unwrap().id, advance, held }
}

impl Holder {
    async fn asks(&self, store: &Store, lock: &str) -> LockAnswer {
        store.acquire_lock(asks(lock, self.node, self.operation)).await.unwrap()
    }

    async fn waits(&self, store: &Store, lock: &str) -> LockAnswer {
        store.acquire_lock(LockRequest { queue: true, ..asks(lock, self.node, self.operation) }).await.unwrap()
    }

    async fn commit(&mut self, store: &Store, advance: &Advance) {
        let Held { fence, revision } = self.held;
        let commit = Commit { advance, was: &advance.next.node, revision, fence, driver_state: &[], journal: &[], user: "u" };
        self.held.revision = store.commit(commit).await.unwrap();
    }
}

async fn waiters(store: &Store, name: &str) -> Vec<NodeId> {
    let locks = store.locks().await.unwrap();
    locks.into_iter().filter(|lock| lock.name == name).flat_map(|lock| lock.waiters).map(|waiter| waiter.node).collect()
}

#[tokio::test]
async fn who_asked_first_gets_it_first_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir).await;
    let (a, b, mut c) = (begun(&store, "a").await, begun(&store, "b").await, begun(&store, "c").await);
    assert_eq!(a.asks(&store, "chassis").await, LockAnswer::Held);
    for waiter in [&b, &c, &b] {
        assert_eq!(waiter.waits(&store, "chassis").await, LockAnswer::Taken);
    }
    assert_eq!(waiters(&store, "chassis").await, [b.node, c.node]);
    assert_eq!(store.next_for_locks().await.unwrap(), (true, vec![]), "nobody's turn while it is held");

    store.close().await;
    store = open(&dir).await;
    assert!(store.release_lock("chassis", a.operation).await.unwrap());
    assert_eq!(store.next_for_locks().await.unwrap(), (true, vec![b.node]));
    assert_eq!(c.waits(&store, "chassis").await, LockAnswer::Taken, "b asked before");
    assert_eq!(a.asks(&store, "chassis").await, LockAnswer::Taken, "who had it does not jump the queue");
    assert_eq!(b.waits(&store, "chassis").await, LockAnswer::Held);
    assert_eq!(waiters(&store, "chassis").await, [c.node]);

    // Who does not wait any more loses its place, and so does who ends.
    let mut waiting = further(&c.advance, "waits");
    let at = jiff::Timestamp::now();
    waiting.next.operation.as_mut().unwrap().waiting = Some(Waiting {
        condition: Condition::Lock { name: "chassis".into() },
        since: at,
        deadline: at,
        due: at,
        retry: false,
        renew_s: None,
        tests: 0,
    });
    c.commit(&store, &waiting).await;
    assert_eq!(waiters(&store, "chassis").await, [c.node]);
    let goes_on = further(&c.advance, "goes on");
    c.commit(&store, &goes_on).await;
    assert!(waiters(&store, "chassis").await.is_empty());
    assert_eq!(c.waits(&store, "chassis").await, LockAnswer::Taken);
    let ended = end(&goes_on, None);
    c.commit(&store, &ended).await;
    assert!(waiters(&store, "chassis").await.is_empty());
    assert_eq!(store.locks().await.unwrap()[0].holder.as_ref().unwrap().node, b.node);
}

#[tokio::test]
async fn a_node_in_maintenance_keeps_its_place_and_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (a, b, c) = (begun(&store, "a").await, begun(&store, "b").await, begun(&store, "c").await);
    assert_eq!(a.asks(&store, "chassis").await, LockAnswer::Held);
    for waiter in [&b, &c] {
        assert_eq!(waiter.waits(&store, "chassis").await, LockAnswer::Taken);
    }
    store.set_maintenance(&admin(), b.node, true, None).await.unwrap();
    store.release_lock("chassis", a.operation).await.unwrap();
    assert_eq!(store.next_for_locks().await.unwrap(), (true, vec![c.node]));
    assert_eq!(c.waits(&store, "chassis").await, LockAnswer::Held);
    store.set_maintenance(&admin(), b.node, false, None).await.unwrap();
    store.release_lock("chassis", c.operation).await.unwrap();
    assert_eq!(c.asks(&store, "chassis").await, LockAnswer::Taken, "b is back in its place");
    assert_eq!(b.waits(&store, "chassis").await, LockAnswer::Held);
}

#[tokio::test]
async fn an_operation_has_two_locks_at_most_and_takes_them_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let a = begun(&store, "a").await;
    assert_eq!(a.asks(&store, "m").await, LockAnswer::Held);
    assert_eq!(a.asks(&store, "b").await, LockAnswer::OutOfOrder);
    assert_eq!(a.asks(&store, "z").await, LockAnswer::Held);
    assert_eq!(a.asks(&store, "zz").await, LockAnswer::TooMany);
    assert_eq!(a.asks(&store, "m").await, LockAnswer::Held, "what it holds it may ask for in any order");
    store.release_lock("m", a.operation).await.unwrap();
    store.release_lock("z", a.operation).await.unwrap();
    assert_eq!(a.asks(&store, "b").await, LockAnswer::Held);
}

#[tokio::test]
async fn a_broken_lock_goes_to_the_next_and_its_node_tells() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (mut a, b) = (begun(&store, "a").await, begun(&store, "b").await);
    a.asks(&store, "chassis").await;
    b.waits(&store, "chassis").await;
    assert_eq!(store.break_lock("chassis", Some(b.operation), "stuck", "ops", "host-1").await.unwrap(), None, "b does not hold it");
    assert_eq!(store.break_lock("free", None, "stuck", "ops", "host-1").await.unwrap(), None);
    let broken = store.break_lock("chassis", None, "stuck", "ops", "host-1").await.unwrap().unwrap();
    assert_eq!((broken.node, broken.operation), (a.node, a.operation));
    assert_eq!(store.broken_locks().await.unwrap(), [(a.node, a.operation, "chassis".to_owned())]);
    assert_eq!(b.waits(&store, "chassis").await, LockAnswer::Held);
    let told = store.history(a.node, &HistoryQuery::default()).await.unwrap();
    assert!(told.last().unwrap().event.contains("chassis") && told.last().unwrap().event.contains("stuck"), "{told:?}");
    // The new holder's lock is untouched by the end of the former one.
    let ended = end(&a.advance, None);
    a.commit(&store, &ended).await;
    assert!(store.broken_locks().await.unwrap().is_empty());
    assert_eq!(store.locks().await.unwrap()[0].holder.as_ref().unwrap().node, b.node);
    assert_ne!(a.held.revision, Revision(0));
}

#[tokio::test]
async fn the_limits_of_a_driver_are_kept_until_they_are_set_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let acme: wrought_domain::DriverName = "acme".parse().unwrap();
    let limits = wrought_domain::Map::from_iter([("memory_mib".to_owned(), 512.into())]);
    store.set_driver_limits(&acme, &limits).await.unwrap();
    assert_eq!(store.driver_limits().await.unwrap(), [(acme.clone(), limits)]);
    store.set_driver_limits(&acme, &wrought_domain::Map::new()).await.unwrap();
    assert!(store.driver_limits().await.unwrap().is_empty());
}
