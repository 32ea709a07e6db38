//! Reserving, advancing and letting go: fences, revisions and groups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use common::{admin, asks, end, further, node, open, reserved, verify};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;
use wrought_domain::{Fence, NodeId, OperationId};
use wrought_engine::Wipe;
use wrought_storage::{AgentSession, Commit, HistoryQuery, LockAnswer, Reserved, Revision, Store, StoreError};

async fn commit(store: &Store, advance: &wrought_engine::Advance, revision: Revision, fence: Fence) -> Result<Revision, StoreError> {
    store.commit(Commit { advance, was: &advance.next.node, revision, fence, driver_state: &[], journal: &[], user: "u" }).await
}

#[tokio::test]
async fn a_stale_unit_in_a_group_is_rolled_back_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut held = Vec::new();
    for i in 0..40 {
        held.push(reserved(&store, &format!("n{i}")).await);
    }
    let advances: Vec<_> = held.iter().map(|(advance, _)| further(advance, "moved")).collect();
    let state = [("direct".parse().unwrap(), json!({"operation": {}, "node": {"k": 1}}))];
    let commits = advances.iter().zip(&held).enumerate().map(|(i, (advance, (_, held)))| {
        // All are queued before the writer has its turn, so that they form one group.
        let fence = if i == 17 { Fence(0) } else { held.fence };
        store.commit(Commit {
            advance,
            was: &advance.next.node,
            revision: held.revision,
            fence,
            driver_state: &state,
            journal: &[],
            user: "u",
        })
    });
    let answers = join_all(commits).await;
    for (i, answer) in answers.iter().enumerate() {
        let id = advances[i].next.node.uuid;
        let now = store.node(&admin(), &id.into()).await.unwrap().unwrap();
        let history = store.history(id, &HistoryQuery::default()).await.unwrap();
        let noted = history.iter().any(|entry| entry.event == "moved");
        let stated = store.driver_state(id, &state[0].0).await.unwrap();
        if i == 17 {
            assert!(matches!(answer, Err(StoreError::StaleFence(node)) if *node == id), "{answer:?}");
            assert_eq!((now.revision, now.value.extra.get("note"), noted, stated), (Revision(2), None, false, None));
        } else {
            assert_eq!(*answer.as_ref().unwrap(), Revision(3));
            assert_eq!((now.revision, noted, stated), (Revision(3), true, Some(state[0].1.clone())));
            assert_eq!(now.value.extra["note"], "moved");
        }
    }
}

#[tokio::test]
async fn an_operation_holds_its_node_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, held) = reserved(&store, "n").await;
    let (id, operation) = (advance.next.node.uuid, advance.next.operation.as_ref().unwrap().id);
    assert_eq!((held.fence, held.revision), (Fence(1), Revision(2)));
    let stored = store.node(&admin(), &id.into()).await.unwrap().unwrap();
    assert_eq!(stored.value.reservation.as_deref(), Some("host-1"));
    let kept = store.operation(id).await.unwrap().unwrap();
    assert_eq!((kept.id, kept.fence), (operation, Fence(1)));
    assert_eq!(store.open_operations().await.unwrap(), [kept]);

    let second = store.begin(&verify(node("n")), stored.revision, "host-2", "u").await.unwrap_err();
    assert!(matches!(second, StoreError::NotFound { .. }), "{second:?}");
    let second = store.begin(&advance, stored.revision, "host-2", "u").await.unwrap_err();
    assert!(matches!(&second, StoreError::Reserved { host, .. } if host == "host-1"), "{second:?}");
    let refused = store.update_node(&admin(), stored.value.clone(), stored.revision, Reserved::Refuse).await.unwrap_err();
    assert!(matches!(refused, StoreError::Reserved { .. }), "{refused:?}");
    let refused = store.delete_node(&admin(), id, stored.revision).await.unwrap_err();
    assert!(matches!(refused, StoreError::Reserved { .. }), "{refused:?}");

    assert_eq!(store.acquire_lock(asks("disk", id, operation)).await.unwrap(), LockAnswer::Held);
    assert_eq!(store.acquire_lock(asks("disk", id, operation)).await.unwrap(), LockAnswer::Held, "it holds it already");
    let (other, _) = reserved(&store, "other").await;
    let (other_id, other_operation) = (other.next.node.uuid, other.next.operation.unwrap().id);
    assert_eq!(store.acquire_lock(asks("disk", other_id, other_operation)).await.unwrap(), LockAnswer::Taken);
    assert!(!store.release_lock("disk", other_operation).await.unwrap());
    let gone = store.acquire_lock(asks("new", other_id, OperationId(Uuid::new_v4()))).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { what: "operation", .. }), "{gone:?}");

    let direct = "direct".parse().unwrap();
    let kept = json!({"operation": {"a": 1}, "node": {"b": 2}});
    let next = further(&advance, "x");
    let now = store
        .commit(Commit {
            advance: &next,
            was: &next.next.node,
            revision: held.revision,
            fence: held.fence,
            driver_state: &[(direct, kept)],
            journal: &[],
            user: "u",
        })
        .await
        .unwrap();
    let ended = end(&next, Some(Wipe::Operation));
    let now = commit(&store, &ended, now, held.fence).await.unwrap();
    let direct = "direct".parse().unwrap();
    assert_eq!(store.driver_state(id, &direct).await.unwrap(), Some(json!({"operation": {}, "node": {"b": 2}})));
    assert_eq!(store.operation(id).await.unwrap(), None);
    assert!(store.locks().await.unwrap().is_empty(), "the lock ends with its operation");
    assert_eq!(store.node(&admin(), &id.into()).await.unwrap().unwrap().value.reservation, None);
    let late = commit(&store, &next, now, held.fence).await.unwrap_err();
    assert!(matches!(late, StoreError::StaleFence(_)), "{late:?}");

    let again = store.begin(&advance, now, "host-1", "u").await.unwrap();
    assert_eq!(again.fence, Fence(2));
    let old = commit(&store, &next, again.revision, held.fence).await.unwrap_err();
    assert!(matches!(old, StoreError::StaleFence(_)), "{old:?}");
    commit(&store, &end(&next, Some(Wipe::All)), again.revision, again.fence).await.unwrap();
    assert_eq!(store.driver_state(id, &direct).await.unwrap(), None);
}

#[tokio::test]
async fn what_others_patch_is_neither_lost_nor_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, held) = reserved(&store, "n").await;
    let id = advance.next.node.uuid;
    let patches = (0..50).map(|i| store.patch_node(id, move |node| drop(node.driver_internal_info.insert(format!("k{i}"), i.into()))));
    for patched in join_all(patches).await {
        patched.unwrap();
    }
    let same = store.patch_node(id, |_| ()).await.unwrap();
    assert_eq!(same.revision, Revision(52), "a patch that changes nothing is not a write");
    let stored = store.set_maintenance(&admin(), id, true, Some("disk".into())).await.unwrap();
    assert_eq!((stored.value.driver_internal_info.len(), stored.revision), (50, Revision(53)));

    let next = further(&advance, "late");
    let stale = commit(&store, &next, held.revision, held.fence).await.unwrap_err();
    assert!(matches!(stale, StoreError::Stale { .. }), "{stale:?}");
    let mut again = further(&advance, "again");
    again.next.node = stored.value;
    commit(&store, &again, stored.revision, held.fence).await.unwrap();
    let now = store.node(&admin(), &id.into()).await.unwrap().unwrap().value;
    assert!(now.maintenance && now.driver_internal_info.len() == 50);
}

#[tokio::test]
async fn a_panic_in_a_patch_harms_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let made = store.create_node(&admin(), node("n")).await.unwrap();
    let id = made.value.uuid;
    let (broken, good) =
        tokio::join!(store.patch_node(id, |_| panic!("on purpose")), store.patch_node(id, |node| node.description = Some("d".into())),);
    assert!(matches!(broken, Err(StoreError::Panicked)));
    assert_eq!(good.unwrap().revision, Revision(2));
}

#[tokio::test]
async fn a_new_holder_shuts_the_former_one_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, held) = reserved(&store, "n").await;
    let (operation, taken) = store.adopt(advance.next.node.uuid, "host-2").await.unwrap();
    assert_eq!((operation.fence, taken.fence), (Fence(2), Fence(2)));
    let next = further(&advance, "x");
    let old = commit(&store, &next, taken.revision, held.fence).await.unwrap_err();
    assert!(matches!(old, StoreError::StaleFence(_)), "{old:?}");
    commit(&store, &next, taken.revision, taken.fence).await.unwrap();
    assert_eq!(store.operation(advance.next.node.uuid).await.unwrap().unwrap().fence, Fence(2));
    assert!(store.adopt(NodeId(Uuid::new_v4()), "host-2").await.is_err());
}

#[tokio::test]
async fn an_advance_without_operation_reserves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let stored = store.create_node(&admin(), node("n")).await.unwrap();
    let held = store.begin(&end(&verify(stored.value.clone()), None), stored.revision, "host-1", "u").await.unwrap();
    assert_eq!((held.fence, held.revision), (Fence(0), Revision(2)));
    let now = store.node(&admin(), &stored.value.uuid.into()).await.unwrap().unwrap();
    assert_eq!((now.value.reservation, now.value.provision_state.as_str()), (None, "verifying"));
    assert_eq!(store.operation(stored.value.uuid).await.unwrap(), None);
}

#[tokio::test]
async fn history_is_paged_and_kept_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let id = store.create_node(&admin(), node("n")).await.unwrap().value.uuid;
    for i in 0..35 {
        let entry = |j: i32| wrought_engine::HistoryEntry::new(wrought_engine::Severity::Error, "t", format!("{}", i * 10 + j));
        store.record(id, (0..10).map(entry).collect(), "u", Some("host-1")).await.unwrap();
    }
    let all = store.history(id, &HistoryQuery::default()).await.unwrap();
    assert_eq!((all.len(), all[0].event.as_str(), all[299].event.as_str()), (300, "50", "349"));
    let asked = HistoryQuery { limit: Some(3), marker: Some(all[299].uuid), descending: true, sort_key: Some("created_at".into()) };
    let page: Vec<_> = store.history(id, &asked).await.unwrap().into_iter().map(|entry| entry.event).collect();
    assert_eq!(page, ["348", "347", "346"]);
    assert_eq!(store.history_entry(NodeId(Uuid::new_v4()), all[0].uuid).await.unwrap(), None, "an entry of another node");
    assert_eq!((all[0].state.as_deref(), all[0].duration_ms), (Some("enroll"), None), "of an entry without a state it is the node's");
    let entry = wrought_engine::HistoryEntry::new(wrought_engine::Severity::Info, "t", "e");
    let unknown = store.record(NodeId(Uuid::new_v4()), vec![entry], "u", None).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_session_is_kept_and_its_token_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let id = store.create_node(&admin(), node("n")).await.unwrap().value.uuid;
    let now = jiff::Timestamp::now();
    let session = AgentSession {
        token: "very-secret".into(),
        pregenerated: true,
        url: Some("https://192.0.2.1:9999".into()),
        verify_ca: None,
        version: Some("11".into()),
        issued_at: now,
        first_heartbeat_at: None,
        last_heartbeat_at: Some(now),
    };
    assert!(!format!("{session:?}").contains("very-secret"));
    store.put_agent_session(id, &session).await.unwrap();
    store.put_agent_session(id, &AgentSession { pregenerated: false, ..session.clone() }).await.unwrap();
    assert_eq!(store.agent_session(id).await.unwrap(), Some(AgentSession { pregenerated: false, ..session.clone() }));
    store.delete_agent_session(id).await.unwrap();
    assert_eq!(store.agent_session(id).await.unwrap(), None);
    assert!(matches!(store.put_agent_session(NodeId(Uuid::new_v4()), &session).await, Err(StoreError::NotFound { .. })));
}
