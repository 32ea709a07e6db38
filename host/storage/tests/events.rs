//! Events: what adds them, in which order they are read, and where webhooks stand in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use common::{admin, end, node, open, reserved, verify};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;
use wrought_domain::{Map, OperationId, PowerState, ProvisionState};
use wrought_engine::{Advance, Kind, PowerTarget, Request, Settings};
use wrought_storage::{Commit, EventQuery, NodeEvent, Store, WebhookCursor};

async fn after(store: &Store, after: u64) -> Vec<NodeEvent> {
    store.events(&EventQuery { after: Some(after), limit: 1000, ..EventQuery::default() }).await.unwrap()
}

fn kinds(events: &[NodeEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn every_write_tells_what_it_changed_and_on_whose_behalf() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut told = store.event_watch();
    let stored = store.create_node(&admin(), node("n")).await.unwrap();
    assert!(told.has_changed().unwrap());
    told.mark_unchanged();
    let id = stored.value.uuid;
    store.set_maintenance(&admin(), id, true, Some("disk".into())).await.unwrap();
    store.patch_node(id, |node| node.power_state = Some(PowerState::On)).await.unwrap();
    store.patch_node(id, |node| node.extra = Map::from_iter([("k".to_owned(), 1.into())])).await.unwrap();
    let revision = store.node(&admin(), &id.into()).await.unwrap().unwrap().revision;
    store.delete_node(&admin(), id, revision).await.unwrap();
    assert!(told.has_changed().unwrap());

    let events = after(&store, 0).await;
    assert_eq!(kinds(&events), ["created", "maintenance", "power", "deleted"]);
    assert!(events.iter().enumerate().all(|(place, event)| event.id == place as u64 + 1 && event.node == id));
    assert_eq!(json!(events[1].detail), json!({"name": "n", "on": true, "reason": "disk", "user": "noauth"}));
    assert_eq!(json!(events[2].detail), json!({"name": "n", "to": "power on", "user": "wrought"}));
    // They outlive their node, and one of many kinds is found among all.
    let query = EventQuery { node: Some(id), kinds: vec!["power".into(), "deleted".into()], limit: 1, ..EventQuery::default() };
    assert_eq!(kinds(&store.events(&query).await.unwrap()), ["deleted"], "the latest, where none is named");
    assert_eq!(after(&store, 2).await.len(), 2);
}

#[tokio::test]
async fn events_are_told_of_even_when_whoever_wrote_has_gone_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let id = store.create_node(&admin(), node("n")).await.unwrap().value.uuid;
    let mut told = store.event_watch();
    told.mark_unchanged();
    {
        let asked = std::pin::pin!(store.patch_node(id, |node| node.maintenance = true));
        assert!(futures::poll!(asked).is_pending());
    }
    tokio::time::timeout(std::time::Duration::from_secs(10), told.changed()).await.unwrap().unwrap();
    assert_eq!(kinds(&after(&store, 1).await), ["maintenance"]);
}

#[tokio::test]
async fn the_end_of_an_operation_is_found_behind_any_number_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let node = store.create_node(&admin(), node("n")).await.unwrap().value;
    let ids: Vec<OperationId> = (0..150).map(|at| OperationId(Uuid::from_u128(at))).collect();
    for id in &ids {
        let detail = Map::from_iter([("operation".to_owned(), id.to_string().into()), ("reason".to_owned(), "x".into())]);
        store.note_event(&admin(), &node, "finished", detail).await.unwrap();
    }
    let query = EventQuery { node: Some(node.uuid), kinds: vec!["finished".into()], operation: Some(ids[3]), limit: 10, after: None };
    let found = store.events(&query).await.unwrap();
    assert_eq!((found.len(), &found[0].detail["operation"]), (1, &json!(ids[3].to_string())));
    let other = EventQuery { operation: Some(OperationId(Uuid::max())), ..query };
    assert!(store.events(&other).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_commit_that_is_refused_leaves_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, held) = reserved(&store, "n").await;
    let before = store.event_bounds().await.unwrap().1;
    let mut next = Advance { events: vec![], ..advance.clone() };
    next.next.node.power_state = Some(PowerState::Off);
    let commit = Commit {
        advance: &next,
        was: &advance.next.node,
        revision: held.revision,
        fence: wrought_domain::Fence(99),
        driver_state: &[],
        journal: &[],
        user: "u",
    };
    store.commit(commit).await.unwrap_err();
    assert_eq!(after(&store, before).await, []);
    store.commit(Commit { fence: held.fence, ..commit }).await.unwrap();
    let events = after(&store, before).await;
    assert_eq!((kinds(&events), &events[0].detail["user"]), (vec!["power"], &json!("u")));
}

#[tokio::test]
async fn an_operation_tells_of_itself_and_is_kept_when_it_fails_until_the_next_one_begins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, held) = reserved(&store, "n").await;
    let begun = after(&store, 1).await;
    assert!(begun.iter().any(|event| event.kind == "transition" && event.detail["verb"] == "verify"), "{begun:?}");
    let operation = advance.next.operation.clone().unwrap();
    let mut failed = Advance { failed: Some(Box::new(operation.clone())), ..end(&advance, None) };
    failed.next.node.provision_state = ProvisionState::Enroll;
    let commit = Commit {
        advance: &failed,
        was: &advance.next.node,
        revision: held.revision,
        fence: held.fence,
        driver_state: &[],
        journal: &[],
        user: "u",
    };
    let revision = store.commit(commit).await.unwrap();
    let kept = store.failed_operation(operation.node).await.unwrap().unwrap();
    assert_eq!((kept.operation.id, kept.operation.kind), (operation.id, operation.kind));
    // A change of power forgets nothing, another operation does.
    let next = |kind| {
        let request = Request::new(OperationId(Uuid::new_v4()), kind, admin());
        wrought_engine::begin(failed.next.node.clone(), request, &Settings::default(), Timestamp::now()).unwrap()
    };
    let power = next(Kind::Power(PowerTarget::On));
    let held = store.begin(&power, revision, "host-1", "u").await.unwrap();
    assert!(store.failed_operation(operation.node).await.unwrap().is_some());
    let let_go = end(&power, None);
    let commit = Commit { advance: &let_go, was: &power.next.node, revision: held.revision, fence: held.fence, ..commit };
    let revision = store.commit(commit).await.unwrap();
    store.begin(&verify(let_go.next.node.clone()), revision, "host-1", "u").await.unwrap();
    assert_eq!(store.failed_operation(operation.node).await.unwrap(), None);
}

#[tokio::test]
async fn the_oldest_go_by_age_and_by_number_and_numbers_are_never_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let stored = store.create_node(&admin(), node("n")).await.unwrap();
    for n in 0..9 {
        store.note_event(&admin(), &stored.value, "noted", Map::from_iter([("n".to_owned(), n.into())])).await.unwrap();
    }
    assert_eq!(store.purge_events(Timestamp::UNIX_EPOCH, 4).await.unwrap(), 6);
    assert_eq!(store.event_bounds().await.unwrap(), (7, 10));
    assert_eq!(store.purge_events(Timestamp::UNIX_EPOCH, 4).await.unwrap(), 0);
    assert_eq!(store.purge_events(Timestamp::now(), 4).await.unwrap(), 4);
    assert_eq!(store.event_bounds().await.unwrap(), (11, 10));
    store.note_event(&admin(), &stored.value, "noted", Map::new()).await.unwrap();
    assert_eq!(after(&store, 0).await[0].id, 11);
}

#[tokio::test]
async fn a_webhook_begins_behind_the_newest_event_and_keeps_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    store.create_node(&admin(), node("n")).await.unwrap();
    assert_eq!(store.webhook_cursor("ops").await.unwrap(), WebhookCursor { event: 1, skipped: 0 });
    store.create_node(&admin(), node("m")).await.unwrap();
    let there = WebhookCursor { event: 2, skipped: 7 };
    store.put_webhook_cursor("ops", there).await.unwrap();
    store.webhook_cursor("other").await.unwrap();
    store.keep_webhooks(vec!["ops".into()]).await.unwrap();
    store.close().await;
    let store = open(&dir).await;
    store.create_node(&admin(), node("o")).await.unwrap();
    assert_eq!(store.webhook_cursor("ops").await.unwrap(), there);
    assert_eq!(store.webhook_cursor("other").await.unwrap().event, 3, "it was forgotten");
}
