//! What belongs to nodes, and what nodes stand in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, missing_docs)]

mod common;

use common::{admin, end, member, node, open, reserved};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;
use wrought_domain::vif::Wanted;
use wrought_domain::{Chassis, Map, Node, NodeId, PartError, Port, Portgroup, PowerState, ProvisionState, VolumeConnector, VolumeTarget};
use wrought_storage::{Commit, Durability, PartQuery, Reserved, Store, StoreError, rotate};

fn port(n: u8, node: NodeId) -> Port {
    Port::new(Uuid::new_v4(), node, &format!("52:54:00:00:00:0{n}"), Timestamp::now())
}

async fn add(store: &Store, name: &str, change: impl FnOnce(&mut Node)) -> NodeId {
    let mut node = node(name);
    change(&mut node);
    store.create_node(&admin(), node).await.unwrap().value.uuid
}

/// One of each, all of this node.
async fn one_of_each(store: &Store, node: NodeId) -> (Portgroup, Port, VolumeConnector, VolumeTarget) {
    let now = Timestamp::now();
    let mut group = Portgroup::new(Uuid::new_v4(), node, now);
    (group.name, group.address) = (Some("g".into()), Some("52:54:00:00:00:0A".into()));
    let group = store.create_part(&admin(), group, Reserved::Allow).await.unwrap();
    assert_eq!(group.address.as_deref(), Some("52:54:00:00:00:0a"));
    let port = Port { portgroup_uuid: Some(group.uuid), ..port(1, node) };
    let port = store.create_part(&admin(), port, Reserved::Refuse).await.unwrap();
    let mut connector = VolumeConnector::new(Uuid::new_v4(), node, now);
    (connector.kind, connector.connector_id) = ("iqn".into(), "iqn.1".into());
    let mut target = VolumeTarget::new(Uuid::new_v4(), node, now);
    target.properties.insert("auth_password".into(), "canary-of-a-volume".into());
    let connector = store.create_part(&admin(), connector, Reserved::Refuse).await.unwrap();
    (group, port, connector, store.create_part(&admin(), target, Reserved::Refuse).await.unwrap())
}

#[tokio::test]
async fn all_that_belongs_to_a_node_is_sealed_renewed_and_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let chassis = Chassis { uuid: Uuid::new_v4(), description: None, extra: Map::new(), created_at: Timestamp::now(), updated_at: None };
    store.create_chassis(chassis.clone()).await.unwrap();
    let id = add(&store, "n", |node| node.chassis_uuid = Some(chassis.uuid)).await;
    let parts = one_of_each(&store, id).await;
    store.close().await;
    for file in ["wrought.db", "wrought.db-wal"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(18).any(|window| window == b"canary-of-a-volume"), "{file}");
    }
    rotate(dir.path(), None, &mut |_, _| {}).await.unwrap();
    let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
    let read = (
        store.named_part(&admin(), "g").await.unwrap().unwrap(),
        store.part(&admin(), parts.1.uuid).await.unwrap().unwrap(),
        store.part(&admin(), parts.2.uuid).await.unwrap().unwrap(),
        store.part(&admin(), parts.3.uuid).await.unwrap().unwrap(),
    );
    assert_eq!(read, parts);
    assert_eq!(store.chassis(chassis.uuid).await.unwrap(), Some(chassis.clone()));
    assert!(matches!(store.delete_chassis(chassis.uuid).await, Err(StoreError::Part(PartError::Invalid(_)))));

    let revision = store.node(&admin(), &id.into()).await.unwrap().unwrap().revision;
    store.delete_node(&admin(), id, revision).await.unwrap();
    assert_eq!(store.part::<Portgroup>(&admin(), parts.0.uuid).await.unwrap(), None);
    assert_eq!(store.part::<Port>(&admin(), parts.1.uuid).await.unwrap(), None);
    assert_eq!(store.part::<VolumeConnector>(&admin(), parts.2.uuid).await.unwrap(), None);
    assert_eq!(store.part::<VolumeTarget>(&admin(), parts.3.uuid).await.unwrap(), None);
    store.delete_chassis(chassis.uuid).await.unwrap();
    assert!(matches!(store.delete_chassis(chassis.uuid).await, Err(StoreError::NotFound { what: "chassis", .. })));
    // The chassis is looked for in the same transaction that writes the node.
    let orphan = Node { chassis_uuid: Some(chassis.uuid), ..node("m") };
    assert!(matches!(store.create_node(&admin(), orphan).await, Err(StoreError::NotFound { what: "chassis", .. })));
}

#[tokio::test]
async fn a_project_sees_and_touches_what_is_its_nodes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let own = add(&store, "own", |node| node.owner = Some("p".into())).await;
    let others = add(&store, "others", |node| node.owner = Some("q".into())).await;
    let (group, ..) = one_of_each(&store, others).await;
    let mine = store.create_part(&member("p"), port(2, own), Reserved::Refuse).await.unwrap();
    assert_eq!(store.parts::<Port>(&member("p"), &PartQuery::default()).await.unwrap(), std::slice::from_ref(&mine));
    assert_eq!(store.parts::<Portgroup>(&member("p"), &PartQuery::default()).await.unwrap(), []);
    assert_eq!(store.named_part::<Portgroup>(&member("p"), "g").await.unwrap(), None);
    let gone = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::NotFound { .. })), "{result:?}");
    gone(store.update_part(&member("p"), &group, group.clone(), Reserved::Refuse).await.map(drop));
    gone(store.delete_part::<Portgroup>(&member("p"), group.uuid, Reserved::Refuse).await);
    let moved = Port { node: others, ..mine.clone() };
    gone(store.update_part(&member("p"), &mine, moved, Reserved::Refuse).await.map(drop));
    gone(store.create_part(&member("p"), port(3, others), Reserved::Refuse).await.map(drop));
    gone(store.attach_vif(&member("p"), others, "v", Wanted::Any).await);
    gone(store.detach_vif(&member("p"), others, "v").await);
    // Nothing becomes another thing by a change.
    let other = Port { uuid: Uuid::new_v4(), ..mine.clone() };
    gone(store.update_part(&member("p"), &mine, other, Reserved::Refuse).await.map(drop));
}

#[tokio::test]
async fn what_an_operation_holds_is_changed_by_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, _) = reserved(&store, "n").await;
    let id = advance.next.node.uuid;
    let held = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Reserved { .. })), "{result:?}");
    held(store.create_part(&admin(), port(1, id), Reserved::Refuse).await.map(drop));
    let made = store.create_part(&admin(), port(1, id), Reserved::Allow).await.unwrap();
    let changed = Port { vendor: Some("acme".into()), ..made.clone() };
    held(store.update_part(&admin(), &made, changed.clone(), Reserved::Refuse).await.map(drop));
    held(store.delete_part::<Port>(&admin(), made.uuid, Reserved::Refuse).await);
    held(store.attach_vif(&admin(), id, "v", Wanted::Any).await);
    let changed = store.update_part(&admin(), &made, changed, Reserved::Allow).await.unwrap();
    assert!(changed.vendor.is_some() && changed.updated_at.is_some());
    // Nor is a port moved to the node.
    let free = add(&store, "free", |_| {}).await;
    let other = store.create_part(&admin(), port(2, free), Reserved::Refuse).await.unwrap();
    held(store.update_part(&admin(), &other, Port { node: id, ..other.clone() }, Reserved::Refuse).await.map(drop));
    store.delete_part::<Port>(&admin(), made.uuid, Reserved::Allow).await.unwrap();
}

#[tokio::test]
async fn volumes_change_while_the_machine_is_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let id = add(&store, "n", |node| node.power_state = Some(PowerState::On)).await;
    let (_, _, connector, target) = one_of_each(&store, id).await;
    for result in [
        store.update_part(&admin(), &connector, connector.clone(), Reserved::Refuse).await.map(drop),
        store.update_part(&admin(), &target, target.clone(), Reserved::Refuse).await.map(drop),
        store.delete_part::<VolumeConnector>(&admin(), connector.uuid, Reserved::Refuse).await,
        store.delete_part::<VolumeTarget>(&admin(), target.uuid, Reserved::Refuse).await,
    ] {
        assert!(matches!(result, Err(StoreError::Part(PartError::Invalid(_)))), "{result:?}");
    }
    store.patch_node(id, |node| node.power_state = Some(PowerState::Off)).await.unwrap();
    store.delete_part::<VolumeConnector>(&admin(), connector.uuid, Reserved::Refuse).await.unwrap();
    store.delete_part::<VolumeTarget>(&admin(), target.uuid, Reserved::Refuse).await.unwrap();
}

#[tokio::test]
async fn descriptions_are_looked_through_over_many_pages() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let id = add(&store, "n", |_| {}).await;
    let writes = (0..2100_u32).map(|n| {
        let mut port = Port::new(Uuid::new_v4(), id, &format!("52:54:00:00:{:02x}:{:02x}", n / 256, n % 256), Timestamp::now());
        port.description = (n % 700 == 0).then(|| format!("Marked {n}"));
        let store = store.clone();
        async move { store.create_part(&admin(), port, Reserved::Refuse).await.unwrap() }
    });
    futures::future::join_all(writes).await;
    let asked =
        |limit, marker| PartQuery { description_contains: Some("mARKED".into()), limit: Some(limit), marker, ..PartQuery::default() };
    let all: Vec<Port> = store.parts(&admin(), &asked(10, None)).await.unwrap();
    assert_eq!(all.iter().map(|port| port.description.clone().unwrap()).collect::<Vec<_>>(), ["Marked 0", "Marked 700", "Marked 1400"]);
    let first: Vec<Port> = store.parts(&admin(), &asked(2, None)).await.unwrap();
    assert_eq!(first, all[..2]);
    let rest: Vec<Port> = store.parts(&admin(), &asked(2, Some(first[1].uuid))).await.unwrap();
    assert_eq!(rest, all[2..]);
}

#[tokio::test]
async fn vifs_go_when_the_instance_is_torn_down_and_not_before() {
    for (has_instance, left) in [(false, Vec::<String>::new()), (true, vec!["v".into(), "w".into()])] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir).await;
        let id = add(&store, "n", |node| node.interfaces.network = "flat".into()).await;
        let group = store.create_part(&admin(), Portgroup::new(Uuid::new_v4(), id, Timestamp::now()), Reserved::Refuse).await.unwrap();
        store.create_part(&admin(), port(1, id), Reserved::Refuse).await.unwrap();
        let second = Port { portgroup_uuid: Some(group.uuid), ..port(2, id) };
        store.create_part(&admin(), second, Reserved::Refuse).await.unwrap();
        store.attach_vif(&admin(), id, "w", Wanted::Any).await.unwrap();
        store.attach_vif(&admin(), id, "v", Wanted::Any).await.unwrap();
        let mut vifs = store.vifs(id).await.unwrap();
        vifs.sort();
        assert_eq!(vifs, ["v", "w"]);

        let stored = store.node(&admin(), &id.into()).await.unwrap().unwrap();
        let mut advance = common::verify(stored.value);
        let held = store.begin(&advance, stored.revision, "host", "u").await.unwrap();
        let mut revision = held.revision;
        // The same operation, as if it tore the instance down: nothing is forgotten on the way.
        for state in [ProvisionState::Deleting, ProvisionState::Deleting, ProvisionState::Cleaning] {
            let was = advance.next.node.clone();
            advance.next.node.provision_state = state;
            if has_instance {
                advance.next.node.instance_info.insert("image_source".into(), json!("http://images/a"));
            }
            let commit = Commit { advance: &advance, was: &was, revision, fence: held.fence, driver_state: &[], journal: &[], user: "u" };
            assert_eq!(store.vifs(id).await.unwrap().len(), 2, "{state}");
            revision = store.commit(commit).await.unwrap();
        }
        let mut vifs = store.vifs(id).await.unwrap();
        vifs.sort();
        assert_eq!(vifs, left);
        let over = end(&advance, None);
        let was = advance.next.node.clone();
        let commit = Commit { advance: &over, was: &was, revision, fence: held.fence, driver_state: &[], journal: &[], user: "u" };
        store.commit(commit).await.unwrap();
    }
}
