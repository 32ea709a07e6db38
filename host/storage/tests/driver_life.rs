//! Uploads that were refused, and versions that are deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use common::record;
use serde_json::json;
use wrought_domain::{Digest, DriverName};
use wrought_storage::{Decision, DriverRejection, DriverStatus, DriverVersion, Durability, Store, StoreError};

fn name(name: &str) -> DriverName {
    name.parse().unwrap()
}

fn rejection(driver: &str, reason: &str) -> DriverRejection {
    DriverRejection {
        name: name(driver),
        digest: Digest::from_sha256([7; 32]),
        size: 1000,
        rejected_at: jiff::Timestamp::UNIX_EPOCH,
        uploaded_by: "operator".into(),
        uploaded_from: None,
        reason: reason.into(),
        report: json!([{"stage": "parse", "ok": false, "millis": 0.1, "reason": reason}]),
    }
}

fn version(driver: &str, number: u8) -> DriverVersion {
    DriverVersion {
        name: name(driver),
        digest: Digest::from_sha256([number; 32]),
        version: "1.0.0".into(),
        vendor: "acme".into(),
        summary: "a driver".into(),
        status: DriverStatus::Available,
        size: 1000,
        uploaded_at: jiff::Timestamp::UNIX_EPOCH,
        description: json!({}),
        requested: Vec::new(),
        uploaded_by: Some("operator".into()),
        uploaded_from: None,
        signature: json!({"status": "unsigned"}),
        report: json!([]),
    }
}

async fn decide(store: &Store, active: Option<&Digest>, status: Option<(&Digest, DriverStatus)>) {
    let statuses = status.map(|(digest, status)| (digest.clone(), status)).into_iter().collect();
    let active = active.map(|digest| Some(digest.clone()));
    store.decide(Decision { active, statuses, ..Decision::new(name("acme"), record("driver.activate")) }).await.unwrap();
}

#[tokio::test]
async fn of_refused_uploads_the_last_ones_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Durability::Normal).await.unwrap();
    for number in 0..25 {
        store.put_driver_rejection(&rejection("acme", &number.to_string())).await.unwrap();
    }
    let kept = store.driver_rejections(&name("acme")).await.unwrap();
    assert_eq!((kept.len(), kept[0].reason.as_str(), kept[19].reason.as_str()), (20, "24", "5"));
    assert_eq!(kept[0], rejection("acme", "24"));
    assert!(store.driver_versions(Some(&name("acme"))).await.unwrap().is_empty(), "none of them is a version");
    // However many names somebody makes up.
    for number in 0..500 {
        store.put_driver_rejection(&rejection(&format!("n{number}"), "no")).await.unwrap();
    }
    assert!(store.driver_rejections(&name("acme")).await.unwrap().is_empty());
    assert_eq!(store.driver_rejections(&name("n0")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_version_in_force_stays_and_a_component_goes_with_its_last_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Durability::Normal).await.unwrap();
    for version in [version("acme", 1), version("acme", 2), version("other", 1)] {
        store.put_driver_version(&version).await.unwrap();
    }
    let (one, two) = (version("acme", 1).digest, version("acme", 2).digest);
    decide(&store, Some(&one), None).await;
    let refused = store.delete_driver_version(&name("acme"), &one).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Referenced { by, .. } if by.contains("it is active")), "{refused}");
    decide(&store, Some(&two), None).await;
    decide(&store, None, Some((&one, DriverStatus::Canary))).await;
    store.delete_driver_version(&name("acme"), &one).await.unwrap_err();
    decide(&store, None, Some((&one, DriverStatus::Retired))).await;
    assert!(!store.delete_driver_version(&name("acme"), &one).await.unwrap(), "the other name still has the component");
    assert!(store.delete_driver_version(&name("other"), &one).await.unwrap());
    let gone = store.delete_driver_version(&name("other"), &one).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { .. }));
}
