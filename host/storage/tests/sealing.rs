//! Documents are sealed at rest: what is in the files, which key opens them, and how the key is changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{admin, node, open, reserved, verify};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;
use wrought_domain::{NodeId, Port};
use wrought_storage::{AgentSession, Commit, Durability, KeyError, NodeFilter, NodeQuery, NodeRef, Reserved, Store, StoreError, rotate};

const CANARY: &str = "canary-0d9f3c7a";

/// Files of the folder that hold the canary.
fn leaks(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn raw(dir: &Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("wrought.db")).connect().await.unwrap()
}

async fn execute(db: &mut SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db).await.unwrap();
}

fn secret_node(name: &str) -> wrought_domain::Node {
    let mut node = node(name);
    node.driver_info.insert("redfish_password".into(), CANARY.into());
    node
}

/// A database of `count` nodes.
async fn filled(dir: &TempDir, count: usize) -> Store {
    let store = open(dir).await;
    for i in 0..count {
        store.create_node(&admin(), secret_node(&format!("n{i}"))).await.unwrap();
    }
    store
}

async fn all_readable(store: &Store, count: usize) {
    let query = NodeQuery { filter: NodeFilter::all(), limit: Some(100_000), ..NodeQuery::default() };
    let nodes = store.nodes(&admin(), &query).await.unwrap();
    assert_eq!(nodes.len(), count);
    assert!(nodes.iter().all(|node| node.driver_info["redfish_password"] == CANARY));
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn keys_in(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("secrets.key")).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_may_hold_a_secret_is_in_no_file_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let stored = store.create_node(&admin(), secret_node("n")).await.unwrap();
    let id = stored.value.uuid;
    let mut advance = verify(stored.value);
    let held = store.begin(&advance, stored.revision, "host", "u").await.unwrap();
    let operation = advance.next.operation.as_mut().unwrap();
    operation.principal.user = CANARY.into();
    advance.failed = Some(Box::new(operation.clone()));
    let state = [("direct".parse().unwrap(), serde_json::json!({"operation": {"k": CANARY}, "node": {"k": CANARY}}))];
    let commit = Commit {
        advance: &advance,
        was: &advance.next.node,
        revision: held.revision,
        fence: held.fence,
        driver_state: &state,
        journal: &[],
        user: "u",
    };
    store.commit(commit).await.unwrap();
    assert_eq!(store.failed_operation(id).await.unwrap().unwrap().operation.principal.user, CANARY);
    let session = AgentSession {
        token: CANARY.into(),
        pregenerated: false,
        url: None,
        verify_ca: None,
        version: None,
        issued_at: jiff::Timestamp::now(),
        first_heartbeat_at: None,
        last_heartbeat_at: None,
    };
    store.put_agent_session(id, &session).await.unwrap();
    let mut port = Port::new(Uuid::new_v4(), id, "52:54:00:00:00:01", jiff::Timestamp::now());
    port.extra.insert("k".into(), CANARY.into());
    let port = store.create_part(&admin(), port, Reserved::Allow).await.unwrap();
    let mut changed = port.clone();
    changed.vendor = Some("acme".into());
    let changed = store.update_part(&admin(), &port, changed, Reserved::Allow).await.unwrap();
    assert!(matches!(store.update_part(&admin(), &port, port.clone(), Reserved::Allow).await, Err(StoreError::Stale { .. })));

    let log = fs::metadata(dir.path().join("wrought.db-wal")).unwrap().len();
    assert!(log > 0, "the log is where the writes are now");
    assert_eq!(leaks(dir.path()), Vec::<String>::new());
    store.close().await;
    assert_eq!(leaks(dir.path()), Vec::<String>::new());

    let store = open(&dir).await;
    assert_eq!(store.node(&admin(), &NodeRef::Uuid(id)).await.unwrap().unwrap().value.driver_info["redfish_password"], CANARY);
    assert_eq!(store.operation(id).await.unwrap().unwrap().principal.user, CANARY);
    assert_eq!(store.agent_session(id).await.unwrap().unwrap().token, CANARY);
    assert_eq!(store.driver_state(id, &"direct".parse().unwrap()).await.unwrap().unwrap(), state[0].1);
    assert_eq!(store.ports_of(id).await.unwrap(), [changed]);
}

#[tokio::test]
async fn the_database_of_an_earlier_version_is_sealed_and_nothing_plain_is_left() {
    const NODES: usize = 450;
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir, 3).await;
    let query = NodeQuery { filter: NodeFilter::all(), ..NodeQuery::default() };
    let node = store.nodes(&admin(), &query).await.unwrap().remove(0);
    store.close().await;
    // As the version before wrote it, with pages in it that are free by now.
    let mut db = raw(dir.path()).await;
    execute(&mut db, "DELETE FROM nodes; DELETE FROM seals").await;
    for i in 0..NODES * 2 {
        let id = NodeId(Uuid::new_v4());
        let doc = serde_json::to_string(&wrought_domain::Node { uuid: id, name: Some(format!("p{i}")), ..node.clone() }).unwrap();
        sqlx::query(
            "INSERT INTO nodes (uuid, doc, name, driver, provision_state, maintenance, conductor_group, retired, protected, created_at, \
             fence, revision) VALUES ($1, $2, $3, 'fake-hardware', 'enroll', FALSE, '', FALSE, FALSE, 0, 0, 1)",
        )
        .bind(id.to_string())
        .bind(doc)
        .bind(format!("p{i}"))
        .execute(&mut db)
        .await
        .unwrap();
    }
    execute(&mut db, "DELETE FROM nodes WHERE id % 2 = 0").await;
    db.close().await.unwrap();
    fs::remove_file(dir.path().join("secrets.key")).unwrap();
    assert!(!leaks(dir.path()).is_empty());

    let store = open(&dir).await;
    assert_eq!(leaks(dir.path()), Vec::<String>::new());
    all_readable(&store, NODES).await;
    store.close().await;
    all_readable(&open(&dir).await, NODES).await;
}

#[tokio::test]
async fn a_document_opens_in_its_own_row_only_and_unsealed_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir, 2).await;
    let (_, held) = reserved(&store, "held").await;
    assert!(held.fence.0 > 0);
    store.close().await;
    let mut db = raw(dir.path()).await;
    execute(&mut db, "UPDATE nodes SET doc = (SELECT doc FROM nodes WHERE name = 'n1') WHERE name = 'n0'").await;
    execute(&mut db, "UPDATE nodes SET doc = '{}' WHERE name = 'held'").await;
    db.close().await.unwrap();
    let store = open(&dir).await;
    let moved = store.node(&admin(), &NodeRef::parse("n0")).await.unwrap_err();
    assert!(matches!(moved, StoreError::Unreadable { what: "node", .. }), "{moved:?}");
    assert!(moved.to_string().contains("moved from another row"), "{moved}");
    let plain = store.node(&admin(), &NodeRef::parse("held")).await.unwrap_err();
    assert!(plain.to_string().contains("it is not sealed"), "{plain}");
    assert!(store.node(&admin(), &NodeRef::parse("n1")).await.unwrap().is_some());
}

#[tokio::test]
async fn only_the_right_key_file_opens_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("wrought.key");
    let opened = async || Store::open_with(dir.path(), Durability::Normal, Some(&file)).await;
    let store = opened().await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(!dir.path().join("secrets.key").exists());
    store.create_node(&admin(), secret_node("n0")).await.unwrap();
    store.close().await;
    let right = fs::read_to_string(&file).unwrap();

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = opened().await.err().unwrap();
    assert!(matches!(&exposed, StoreError::Key(KeyError::Exposed { .. })), "{exposed:?}");
    assert!(exposed.to_string().contains("chmod 600"), "{exposed}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

    fs::remove_file(&file).unwrap();
    let missing = opened().await.err().unwrap();
    assert!(matches!(&missing, StoreError::Key(KeyError::Missing { .. })), "{missing:?}");
    assert!(missing.to_string().contains("wrought.key") && missing.to_string().contains("put the file back"), "{missing}");
    assert!(!file.exists(), "no key is made that opens nothing");

    // Another key, and another key that claims to be the right one.
    let (id, key) = right.lines().last().unwrap().split_once(' ').unwrap();
    let other = if key.starts_with('A') { key.replacen('A', "B", 1) } else { key.replacen(|_| true, "A", 1) };
    for wrong in [format!("{:08x} {key}", !u32::from_str_radix(id, 16).unwrap()), format!("{id} {other}")] {
        write_private(&file, &wrong);
        let refused = opened().await.err().unwrap();
        assert!(matches!(&refused, StoreError::Key(KeyError::Wrong { .. })), "{refused:?}");
        assert!(refused.to_string().contains(id) && !refused.to_string().contains(key), "{refused}");
    }
    write_private(&file, &right);
    all_readable(&opened().await.unwrap(), 1).await;
}

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_drops_the_old_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir, 450).await;
    let refused = rotate(dir.path(), None, &mut |_, _| {}).await.unwrap_err();
    assert!(matches!(refused, StoreError::InUse(_)), "{refused:?}");
    store.close().await;
    let old = keys_in(dir.path());
    let mut steps = Vec::new();
    let done = rotate(dir.path(), None, &mut |done, all| steps.push((done, all))).await.unwrap();
    assert_eq!((&done.dropped, done.documents), (&old, 450));
    assert_eq!(keys_in(dir.path()), [done.key]);
    assert_eq!(steps.first(), Some(&(0, 450)));
    assert_eq!(steps.last(), Some(&(450, 450)));
    assert!(steps.len() > 3, "{steps:?}");
    all_readable(&open(&dir).await, 450).await;
    assert!(matches!(rotate(&dir.path().join("nothing"), None, &mut |_, _| {}).await, Err(StoreError::Folder { .. })));
}

#[tokio::test]
async fn a_rotation_that_was_cut_goes_on_and_the_host_starts_in_between() {
    // Before the first document, among them, and after the last.
    for at in [0, 200, 450] {
        let dir = tempfile::tempdir().unwrap();
        filled(&dir, 450).await.close().await;
        let old = keys_in(dir.path());
        let folder = dir.path().to_owned();
        let cut = tokio::spawn(async move { rotate(&folder, None, &mut |done, _| assert!(done < at, "cut here")).await.map(drop) });
        assert!(cut.await.unwrap_err().is_panic());
        let both = keys_in(dir.path());
        assert_eq!((both.len(), &both[1..]), (2, old.as_slice()), "the new key seals, the old one still opens");

        let store = open(&dir).await;
        all_readable(&store, 450).await;
        store.create_node(&admin(), secret_node("in between")).await.unwrap();
        store.close().await;

        let done = rotate(dir.path(), None, &mut |_, _| {}).await.unwrap();
        assert_eq!((&done.key, &done.dropped, done.documents), (&both[0], &old, 451), "no third key");
        assert_eq!(keys_in(dir.path()), both[..1]);
        all_readable(&open(&dir).await, 451).await;
    }
}
