//! The data folder: who may open it, and what is left in it after a crash. Drivers' tables too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{admin, node, open, record};
use sqlx::{ConnectOptions, Connection};
use wrought_domain::{Digest, DriverName};
use wrought_storage::{Decision, DriverStatus, DriverVersion, Durability, NodeFilter, NodeQuery, NodeRef, Store, StoreError};

#[tokio::test]
async fn a_folder_belongs_to_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("deep/data");
    let store = Store::open(&folder, Durability::Full).await.unwrap();
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(folder.join("wrought.db").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let refused = Store::open(&folder, Durability::Normal).await.err().unwrap();
    assert!(matches!(refused, StoreError::InUse(_)), "{refused:?}");
    assert!(refused.to_string().contains("deep/data"), "{refused}");

    store.create_node(&admin(), node("n")).await.unwrap();
    let clone = store.clone();
    store.close().await;
    assert!(matches!(clone.create_node(&admin(), node("m")).await, Err(StoreError::Closed)));
    assert!(matches!(clone.node(&admin(), &NodeRef::parse("n")).await, Err(StoreError::Closed)));
    let again = Store::open(&folder, Durability::Normal).await.unwrap();
    assert!(again.node(&admin(), &NodeRef::parse("n")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = Store::open(&file.path().join("data"), Durability::Normal).await.err().unwrap();
    assert!(matches!(refused, StoreError::Folder { .. }), "{refused:?}");
    assert!(refused.to_string().contains("/data: "), "{refused}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir).await.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("wrought.db"));
    let mut db = options.connect().await.unwrap();
    sqlx::query("INSERT INTO schema (version) VALUES (99)").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let refused = Store::open(dir.path(), Durability::Normal).await.err().unwrap();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, .. }), "{refused:?}");
    assert!(refused.to_string().contains("has schema 99, this binary knows up to "), "{refused}");
}

const FOLDER: &str = "WROUGHT_TEST_FOLDER";

/// The process that [`what_was_acknowledged_survives_kill_9`] kills.
#[tokio::test]
#[ignore = "a part of another test"]
async fn write_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = Store::open(folder.as_ref(), Durability::Normal).await.unwrap();
    let host = wrought_domain::Principal::host();
    for i in 0.. {
        let group = (0..8).map(|j| store.create_node(&host, node(&format!("n{}", i * 8 + j))));
        for made in futures::future::join_all(group).await {
            println!("ack {}", made.unwrap().value.uuid);
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "write_until_killed", "--nocapture"])
        .env(FOLDER, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let ack = |line: String| line.strip_prefix("ack ").map(|id| id.parse().unwrap());
    let mut acknowledged: Vec<uuid::Uuid> = lines.by_ref().filter_map(ack).take(500).collect();
    child.kill().unwrap();
    // The last line may be cut.
    acknowledged.extend(lines.filter(|line| line.len() == 40).filter_map(ack));
    child.wait().unwrap();
    assert!(acknowledged.len() >= 500, "{}", acknowledged.len());

    let store = open(&dir).await;
    for id in acknowledged {
        assert!(store.node(&admin(), &wrought_domain::NodeId(id).into()).await.unwrap().is_some(), "{id}");
    }
    let query = NodeQuery { filter: NodeFilter::all(), limit: Some(1_000_000), ..NodeQuery::default() };
    assert!(store.nodes(&admin(), &query).await.unwrap().len() >= 500);
}

#[tokio::test]
async fn the_folder_is_free_once_the_last_clone_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    store.create_node(&admin(), node("n")).await.unwrap();
    drop(store);
    let mut tries = 0;
    let again = loop {
        match Store::open(dir.path(), Durability::Normal).await {
            Ok(store) => break store,
            Err(StoreError::InUse(_)) if tries < 100 => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error:?}"),
        }
        tries += 1;
    };
    assert!(again.node(&admin(), &NodeRef::parse("n")).await.unwrap().is_some());
}

fn version(name: &str, number: u8) -> DriverVersion {
    DriverVersion {
        name: name.parse().unwrap(),
        digest: Digest::from_sha256([number; 32]),
        version: format!("1.0.{number}"),
        vendor: "acme".into(),
        summary: "a driver".into(),
        status: DriverStatus::Available,
        size: 1000,
        uploaded_at: jiff::Timestamp::from_second(i64::from(number)).unwrap(),
        description: serde_json::json!({"properties": []}),
        requested: vec!["power".into()],
        uploaded_by: Some("operator".into()),
        uploaded_from: Some("192.0.2.7".into()),
        signature: serde_json::json!({"status": "unsigned"}),
        report: serde_json::json!([]),
    }
}

#[tokio::test]
async fn one_version_of_a_driver_is_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (one, two, other) = (version("acme", 1), version("acme", 2), version("direct", 1));
    for version in [&one, &two, &other] {
        store.put_driver_version(version).await.unwrap();
    }
    let name: DriverName = "acme".parse().unwrap();
    assert_eq!(store.driver_versions(Some(&name)).await.unwrap(), [two.clone(), one.clone()]);
    assert_eq!(store.driver_versions(None).await.unwrap().len(), 3);

    let decide = async |digest: &Digest, status: Option<DriverStatus>| {
        let statuses = status.map(|status| (one.digest.clone(), status)).into_iter().collect();
        let grants = Some(vec!["power".into(), "boot".into(), "power".into()]);
        store
            .decide(Decision {
                active: Some(Some(digest.clone())),
                statuses,
                grants,
                ..Decision::new(name.clone(), record("driver.activate"))
            })
            .await
    };
    let statuses = async || store.driver_versions(Some(&name)).await.unwrap().into_iter().map(|v| v.status).collect::<Vec<_>>();
    decide(&one.digest, None).await.unwrap();
    decide(&two.digest, None).await.unwrap();
    store.put_driver_version(&two).await.unwrap();
    assert_eq!(statuses().await, [DriverStatus::Active, DriverStatus::Available], "keeping a version again leaves its status");
    let unknown = decide(&Digest::from_sha256([9; 32]), None).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "driver version", .. }), "{unknown:?}");
    let active = store.active().await.unwrap();
    assert_eq!((active.len(), &active[0].digest), (1, &two.digest), "a refused activation changes nothing");
    assert_eq!(statuses().await[0], DriverStatus::Active);
    decide(&two.digest, Some(DriverStatus::Revoked)).await.unwrap();
    assert_eq!(statuses().await, [DriverStatus::Active, DriverStatus::Revoked]);
    decide(&two.digest, None).await.unwrap();
    assert_eq!(store.grants().await.unwrap()[&name], ["boot", "power"]);
}
