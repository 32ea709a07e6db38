//! The journal's tables: fenced intents, ends, purging.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use common::{end, further, open, reserved};
use jiff::{SignedDuration, Timestamp};
use wrought_domain::{Digest, Fence, NodeId, OperationId};
use wrought_engine::Advance;
use wrought_storage::{Commit, FindingKind, Held, JournalAbout, JournalCall, JournalWrite, Store, StoreError};

fn write(advance: &Advance, turn: u64, seq: u32, data: &[u8], outcome: Option<&'static str>) -> JournalWrite {
    let operation = advance.next.operation.as_ref().unwrap();
    JournalWrite {
        call: JournalCall {
            operation: operation.id,
            turn,
            driver: "direct".parse().unwrap(),
            digest: Digest::from_sha256([1; 32]),
            function: "deploy.prepare".into(),
            step: None,
            began_at: Timestamp::now(),
        },
        about: JournalAbout { node: operation.node, kind: "deploy", user: "u".into(), began_at: operation.started_at },
        seq,
        data: data.to_vec(),
        parts: vec![([7; 16], b"part".to_vec())],
        outcome,
    }
}

fn ids(advance: &Advance) -> (NodeId, OperationId) {
    (advance.next.node.uuid, advance.next.operation.as_ref().unwrap().id)
}

/// An operation with two calls, the second one open, ended if so wanted.
async fn recorded(store: &Store, name: &str, ended: bool) -> (Advance, Held) {
    let (advance, held) = reserved(store, name).await;
    store.journal_intent(write(&advance, 1, 0, b"a0", None), held.fence).await.unwrap();
    let next = further(&advance, "moved");
    let journal = [write(&advance, 1, 1, b"a1", Some("done")), write(&advance, 2, 0, b"b0", Some("wait"))];
    let commit = Commit {
        advance: &next,
        was: &next.next.node,
        revision: held.revision,
        fence: held.fence,
        driver_state: &[],
        journal: &journal,
        user: "u",
    };
    let revision = store.commit(commit).await.unwrap();
    store.journal_intent(write(&advance, 3, 0, b"c0", None), held.fence).await.unwrap();
    if ended {
        let mut last = end(&next, None);
        last.next.node.last_error = Some("it broke".into());
        let commit =
            Commit { advance: &last, was: &last.next.node, revision, fence: held.fence, driver_state: &[], journal: &[], user: "u" };
        store.commit(commit).await.unwrap();
    }
    (advance, Held { revision, ..held })
}

#[tokio::test]
async fn calls_are_kept_in_order_with_their_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, held) = recorded(&store, "n", false).await;
    let (node, operation) = ids(&advance);
    let calls = store.journal_calls(operation).await.unwrap();
    let seen: Vec<_> = calls.iter().map(|call| (call.call.turn, call.chunks.clone(), call.outcome.as_deref())).collect();
    let chunk = |text: &str| text.as_bytes().to_vec();
    assert_eq!(
        seen,
        [(1, vec![chunk("a0"), chunk("a1")], Some("done")), (2, vec![chunk("b0")], Some("wait")), (3, vec![chunk("c0")], None)]
    );
    assert!(calls[0].ended_at.is_some() && calls[2].ended_at.is_none());
    assert_eq!(store.journal_parts(operation).await.unwrap(), [([7; 16], b"part".to_vec())]);
    assert_eq!(store.open_call(operation, 3).await.unwrap().unwrap().id, calls[2].id);
    assert_eq!(store.open_call(operation, 2).await.unwrap(), None, "it has ended");
    assert_eq!(store.journal_call(calls[1].id).await.unwrap().unwrap(), calls[1]);
    let about = store.journal_operation(operation).await.unwrap().unwrap();
    assert_eq!((about.node, about.calls, about.ended_at, about.error.as_deref()), (node, 3, None, None));
    assert_eq!(held.fence, calls[0].fence);

    let (_, adopted) = store.adopt(node, "host-2").await.unwrap();
    assert_eq!(store.open_call(operation, 3).await.unwrap().unwrap().fence, adopted.fence, "adopted with its operation");
    let late = store.journal_intent(write(&advance, 3, 1, b"c1", None), held.fence).await;
    assert!(matches!(late, Err(StoreError::StaleFence(stale)) if stale == node), "{late:?}");
    assert_eq!(store.open_call(operation, 3).await.unwrap().unwrap().chunks.len(), 1, "nothing of it is kept");
    assert!(!store.holds(node, operation, held.fence).await.unwrap());
    assert!(store.holds(node, operation, adopted.fence).await.unwrap());
    store.journal_intent(write(&advance, 3, 1, b"c1", None), adopted.fence).await.unwrap();
    let other = store.journal_intent(write(&advance, 4, 0, b"d0", None), Fence(0)).await;
    assert!(matches!(other, Err(StoreError::StaleFence(_))));
    // The same holds for what it writes besides.
    let put = async |fence| store.held_by(node, operation, fence).put_finding(node, FindingKind::Bios, Timestamp::now(), &fence.0).await;
    assert!(matches!(put(held.fence).await, Err(StoreError::StaleFence(stale)) if stale == node));
    assert_eq!(store.found_at(node, FindingKind::Bios).await.unwrap(), None);
    put(adopted.fence).await.unwrap();
    assert!(store.found_at(node, FindingKind::Bios).await.unwrap().is_some());
}

#[tokio::test]
async fn what_has_ended_is_purged_by_age_and_by_size_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut ended = Vec::new();
    for i in 0..120 {
        ended.push(ids(&recorded(&store, &format!("n{i}"), true).await.0).1);
    }
    let (open, _) = recorded(&store, "open", false).await;
    let about = store.journal_operation(ended[0]).await.unwrap().unwrap();
    assert_eq!(about.error.as_deref(), Some("it broke"));
    let long_ago = Timestamp::now() - SignedDuration::from_hours(1);
    assert_eq!(store.purge_journal(long_ago, u64::MAX).await.unwrap(), 0, "nothing is old");

    let half = (about.bytes * 121).div_ceil(2);
    let mut batches = Vec::new();
    while let purged @ 1.. = store.purge_journal(long_ago, half).await.unwrap() {
        batches.push(purged);
    }
    assert!(batches.len() > 1 && batches.iter().all(|purged| *purged <= 50), "{batches:?}");
    assert!(store.journal_operation(ended[0]).await.unwrap().is_none(), "those that ended first go first");
    assert!(store.journal_operation(ended[119]).await.unwrap().is_some());
    assert!(store.journal_calls(ended[0]).await.unwrap().is_empty() && store.journal_parts(ended[0]).await.unwrap().is_empty());

    while store.purge_journal(Timestamp::now(), u64::MAX).await.unwrap() > 0 {}
    let left = store.journal_operations(None, None, 100).await.unwrap();
    assert_eq!(left.iter().map(|left| left.operation).collect::<Vec<_>>(), [ids(&open).1], "what goes on is kept");
    while store.purge_journal(Timestamp::now(), 0).await.unwrap() > 0 {}
    assert!(store.journal_operation(ids(&open).1).await.unwrap().is_some());
}

#[tokio::test]
async fn the_last_sign_of_life_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    assert_eq!(store.last_alive().await.unwrap(), None);
    let at: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
    store.note_alive("host-1", at).await.unwrap();
    store.note_alive("host-1", at + SignedDuration::from_secs(5)).await.unwrap();
    store.note_alive("host-2", at).await.unwrap();
    assert_eq!(store.last_alive().await.unwrap(), Some(at + SignedDuration::from_secs(5)));
}
