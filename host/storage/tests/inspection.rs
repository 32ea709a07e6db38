//! Findings and inspection rules in the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use common::{admin, node, open};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use wrought_inspection::rules::Rule;
use wrought_storage::{FindingKind, RuleQuery, StoreError, rotate};

fn rule(priority: u16) -> Rule {
    serde_json::from_value(json!({
        "uuid": Uuid::new_v4(), "description": format!("rule {priority}"), "priority": priority, "phase": "main", "sensitive": true,
        "conditions": [], "actions": [{"op": "fail", "args": {"msg": "canary-77a1"}}], "created_at": "2026-01-01T00:00:00Z",
        "updated_at": null,
    }))
    .unwrap()
}

#[tokio::test]
async fn the_latest_finding_of_each_kind_is_kept_and_goes_with_its_node() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let node = store.create_node(&admin(), node("n")).await.unwrap().value.uuid;
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let found = async |kind| store.finding::<Value>(node, kind).await.unwrap();
    assert_eq!(found(FindingKind::Posted).await, None);
    store.put_finding(node, FindingKind::Posted, at(1), &json!({"a": 1})).await.unwrap();
    store.put_finding(node, FindingKind::Posted, at(2), &json!({"a": 2})).await.unwrap();
    store.put_finding(node, FindingKind::Bios, at(3), &json!([])).await.unwrap();
    assert_eq!(found(FindingKind::Posted).await, Some((at(2), json!({"a": 2}))));
    assert_eq!(store.found_at(node, FindingKind::Bios).await.unwrap(), Some(at(3)));
    store.drop_findings(node, &[FindingKind::Posted, FindingKind::Reported]).await.unwrap();
    assert_eq!((found(FindingKind::Posted).await, found(FindingKind::Bios).await), (None, Some((at(3), json!([])))));
    let revision = store.node(&admin(), &node.into()).await.unwrap().unwrap().revision;
    store.delete_node(&admin(), node, revision).await.unwrap();
    assert_eq!(found(FindingKind::Bios).await, None);
    let gone = store.put_finding(node, FindingKind::Bios, at(4), &json!([])).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { what: "node", .. }), "{gone}");
}

#[tokio::test]
async fn rules_are_kept_paged_changed_and_sealed() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let mut made = Vec::new();
    for priority in [5, 90, 5] {
        made.push(store.add_inspection_rule(rule(priority)).await.unwrap());
    }
    let taken = store.add_inspection_rule(made[0].clone()).await.unwrap_err();
    assert!(taken.to_string().contains("inspection rule with UUID"), "{taken}");
    let sorted = RuleQuery { sort_key: Some("priority".into()), descending: true, limit: Some(2), ..RuleQuery::default() };
    let page = store.inspection_rules(&sorted).await.unwrap();
    assert_eq!(page.iter().map(|rule| rule.uuid).collect::<Vec<_>>(), [made[1].uuid, made[2].uuid]);
    let rest = store.inspection_rules(&RuleQuery { marker: Some(made[2].uuid), ..sorted }).await.unwrap();
    assert_eq!(rest, [made[0].clone()]);
    assert_eq!(store.inspection_rules(&RuleQuery { phase: Some("early".into()), ..RuleQuery::default() }).await.unwrap(), []);

    let changed = store.update_inspection_rule(&made[0], Rule { priority: 7, ..made[0].clone() }).await.unwrap();
    assert!(changed.updated_at.is_some());
    let stale = store.update_inspection_rule(&made[0], made[0].clone()).await.unwrap_err();
    assert!(matches!(stale, StoreError::Stale { .. }), "{stale}");
    store.close().await;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(11).any(|part| part == b"canary-77a1"));
    }
    let store = open(&dir).await;
    assert_eq!(store.inspection_rule(made[0].uuid).await.unwrap(), Some(changed));
    store.delete_inspection_rule(made[0].uuid).await.unwrap();
    assert!(matches!(store.delete_inspection_rule(made[0].uuid).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.count_inspection_rules().await.unwrap(), 2);
}

#[tokio::test]
async fn findings_and_rules_follow_a_change_of_key() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let node = store.create_node(&admin(), node("n")).await.unwrap().value.uuid;
    store.put_finding(node, FindingKind::Inventory, jiff::Timestamp::UNIX_EPOCH, &json!({"cpu": 1})).await.unwrap();
    let made = store.add_inspection_rule(rule(1)).await.unwrap();
    store.close().await;
    rotate(dir.path(), None, &mut |_, _| {}).await.unwrap();
    let store = open(&dir).await;
    assert_eq!(store.finding::<Value>(node, FindingKind::Inventory).await.unwrap().unwrap().1, json!({"cpu": 1}));
    assert_eq!(store.inspection_rule(made.uuid).await.unwrap(), Some(made));
}
