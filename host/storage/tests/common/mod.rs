//! What the tests of the store share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use jiff::Timestamp;
use uuid::Uuid;
use wrought_domain::hardware_type::FAKE_HARDWARE;
use wrought_domain::{Node, NodeId, OperationId, Principal};
use wrought_engine::{Advance, HistoryEntry, Kind, Lifecycle, Request, Settings, Severity, Wipe};
use wrought_storage::{AuditRecord, Durability, Held, LockRequest, Store};

pub async fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path(), Durability::Normal).await.unwrap()
}

pub fn admin() -> Principal {
    Principal::noauth()
}

pub fn member(project: &str) -> Principal {
    Principal { user: "u".into(), project: Some(project.into()), roles: vec!["member".into()], source: None }
}

/// A record of the audit about the driver `acme`.
pub fn record(verb: &str) -> AuditRecord {
    AuditRecord {
        at: Timestamp::now(),
        principal: "ada".into(),
        source: Some("192.0.2.7".into()),
        verb: verb.into(),
        object: "driver/acme".into(),
        outcome: "done".into(),
        reason: "because".into(),
        detail: serde_json::json!({"n": 1}),
    }
}

pub fn node(name: &str) -> Node {
    let mut node = Node::new(NodeId(Uuid::new_v4()), "fake-hardware", FAKE_HARDWARE.defaults(), Timestamp::now());
    node.name = Some(name.into());
    node
}

/// The beginning of a verification.
pub fn verify(node: Node) -> Advance {
    let request = Request::new(OperationId(Uuid::new_v4()), Kind::Verify, admin());
    wrought_engine::begin(node, request, &Settings::default(), Timestamp::now()).unwrap()
}

/// A further advance of the operation, with an entry for the history.
pub fn further(before: &Advance, note: &str) -> Advance {
    let entry = HistoryEntry::new(Severity::Info, "test", note);
    let mut next = before.next.clone();
    next.node.extra.insert("note".into(), note.into());
    Advance { next, commands: vec![], history: vec![entry], events: vec![], failed: None, wipe: None }
}

/// The end of the operation.
pub fn end(before: &Advance, wipe: Option<Wipe>) -> Advance {
    let next = Lifecycle { node: before.next.node.clone(), operation: None };
    Advance { next, commands: vec![], history: vec![], events: vec![], failed: None, wipe }
}

/// Adds a node and reserves it.
pub async fn reserved(store: &Store, name: &str) -> (Advance, Held) {
    let stored = store.create_node(&admin(), node(name)).await.unwrap();
    let advance = verify(stored.value);
    let held = store.begin(&advance, stored.revision, "host-1", "noauth").await.unwrap();
    (advance, held)
}

/// Asks for a lock, without waiting for it.
pub fn asks(name: &str, node: NodeId, operation: OperationId) -> LockRequest {
    LockRequest { name: name.into(), node, operation, queue: false, now: Timestamp::now() }
}
