//! Decisions about drivers, and the audit.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::record;
use jiff::Timestamp;
use serde_json::json;
use wrought_domain::rollout::Rollout;
use wrought_domain::{Digest, DriverName};
use wrought_storage::{AuditQuery, AuditRecord, Decision, DriverStatus, DriverVersion, Durability, Revocation, Store};

fn name() -> DriverName {
    "acme".parse().unwrap()
}

fn digest(byte: u8) -> Digest {
    format!("sha256:{}", format!("{byte:02x}").repeat(32)).parse().unwrap()
}

async fn with_versions() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
    for byte in [1, 2] {
        let version = DriverVersion {
            name: name(),
            digest: digest(byte),
            version: format!("{byte}.0.0"),
            vendor: "Acme".into(),
            summary: String::new(),
            status: DriverStatus::Available,
            size: 1,
            uploaded_at: Timestamp::now(),
            description: json!({}),
            requested: Vec::new(),
            uploaded_by: None,
            uploaded_from: None,
            signature: json!(null),
            report: json!(null),
        };
        store.put_driver_version(&version).await.unwrap();
    }
    (dir, store)
}

async fn statuses(store: &Store) -> Vec<(String, DriverStatus)> {
    let mut all: Vec<_> = store.driver_versions(None).await.unwrap().into_iter().map(|v| (v.version, v.status)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn a_decision_is_stored_whole_or_not_at_all() {
    let (_dir, store) = with_versions().await;
    let rollout = Rollout { former: vec![digest(1)], ..Rollout::default() };
    let decision = Decision {
        active: Some(Some(digest(2))),
        statuses: vec![(digest(1), DriverStatus::Retired)],
        grants: Some(vec!["power".into()]),
        rollout: Some(rollout.clone()),
        ..Decision::new(name(), record("driver.activate"))
    };
    let wrong = Decision { statuses: vec![(digest(9), DriverStatus::Retired)], ..decision.clone() };
    store.decide(wrong).await.unwrap_err();
    assert!(store.active().await.unwrap().is_empty() && store.rollouts().await.unwrap().is_empty());
    assert!(store.audit_records(&AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap().is_empty());
    store.decide(decision).await.unwrap();
    assert_eq!(statuses(&store).await, [("1.0.0".into(), DriverStatus::Retired), ("2.0.0".into(), DriverStatus::Active)]);
    assert_eq!(store.active().await.unwrap()[0].digest, digest(2));
    assert_eq!(store.grants().await.unwrap()[&name()], ["power"]);
    assert_eq!(store.rollouts().await.unwrap()[&name()], rollout);
    store.decide(Decision { active: Some(None), ..Decision::new(name(), record("driver.revoke")) }).await.unwrap();
    assert!(store.active().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_revoked_stays_so_and_says_why() {
    let (_dir, store) = with_versions().await;
    let of = |reason: &str| Revocation { digest: digest(1), reason: reason.into(), by: "ada".into() };
    let revoked = Decision { statuses: vec![(digest(1), DriverStatus::Revoked)], ..Decision::new(name(), record("driver.revoke")) };
    store.revoke(of("it burns"), vec![revoked], record("driver.revoke")).await.unwrap();
    store.revoke(of("again"), Vec::new(), record("driver.revoke")).await.unwrap();
    assert_eq!(store.revocations().await.unwrap()[&digest(1)], "it burns");
    assert_eq!(statuses(&store).await[0].1, DriverStatus::Revoked);
}

#[tokio::test]
async fn the_audit_is_read_by_object_verb_and_number() {
    let (_dir, store) = with_versions().await;
    let other = AuditRecord { object: "node/1".into(), verb: "power.on".into(), outcome: "denied".into(), ..record("x") };
    store.audit(vec![record("driver.pause"), other.clone(), record("driver.resume")]).await.unwrap();
    let ask = async |query: AuditQuery| {
        let found = store.audit_records(&query).await.unwrap();
        found.into_iter().map(|(id, record)| (id, record.verb)).collect::<Vec<_>>()
    };
    let all = AuditQuery { limit: 10, ..AuditQuery::default() };
    assert_eq!(ask(all.clone()).await, [(1, "driver.pause".into()), (2, "power.on".into()), (3, "driver.resume".into())]);
    assert_eq!(ask(AuditQuery { limit: 1, ..all.clone() }).await, [(3, "driver.resume".into())], "the latest");
    assert_eq!(ask(AuditQuery { after: Some(1), limit: 1, ..all.clone() }).await, [(2, "power.on".into())], "the next");
    assert_eq!(ask(AuditQuery { object: Some("node/1".into()), ..all.clone() }).await.len(), 1);
    assert_eq!(ask(AuditQuery { verb: Some("driver.resume".into()), ..all.clone() }).await.len(), 1);
    assert_eq!(store.audit_records(&AuditQuery { object: Some("node/1".into()), ..all.clone() }).await.unwrap()[0].1.detail, other.detail);
    assert_eq!(store.purge_audit(Timestamp::now()).await.unwrap(), 3);
}
