//! Nodes and ports: uniqueness, revisions, lists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use std::collections::HashSet;

use common::{admin, asks, end, member, node, open, reserved};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;
use wrought_domain::{Node, NodeId, Port, Principal, ProvisionState};
use wrought_storage::{
    AgentSession, Commit, Duplicate, HistoryQuery, NodeFilter, NodeQuery, NodeRef, PartQuery, Reserved, Revision, Store, StoreError,
};

#[tokio::test]
async fn a_value_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut first = node("a");
    first.instance_uuid = Some(Uuid::new_v4());
    store.create_node(&admin(), first.clone()).await.unwrap();
    let same_uuid = Node { uuid: first.uuid, ..node("b") };
    let same_name = node("a");
    let same_instance = Node { instance_uuid: first.instance_uuid, ..node("c") };
    let duplicate = async |node| match store.create_node(&admin(), node).await {
        Err(StoreError::Duplicate(duplicate)) => duplicate,
        other => panic!("{other:?}"),
    };
    assert_eq!(duplicate(same_uuid).await, Duplicate::NodeUuid(first.uuid));
    assert_eq!(duplicate(first.clone()).await, Duplicate::NodeUuid(first.uuid));
    assert_eq!(duplicate(same_name).await, Duplicate::NodeName("a".into()));
    assert_eq!(duplicate(same_instance).await, Duplicate::InstanceUuid(first.instance_uuid.unwrap()));

    let other = store.create_node(&admin(), node("d")).await.unwrap();
    let renamed = Node { name: Some("a".into()), ..other.value.clone() };
    let refused = store.update_node(&admin(), renamed, other.revision, Reserved::Refuse).await.unwrap_err();
    assert!(matches!(refused, StoreError::Duplicate(Duplicate::NodeName(_))), "{refused:?}");
    assert_eq!(refused.to_string(), "a node with name a already exists");

    let port = Port::new(Uuid::new_v4(), first.uuid, "AA:BB:CC:00:00:01", Timestamp::now());
    store.create_part(&admin(), port.clone(), Reserved::Refuse).await.unwrap();
    let again = store.create_part(&admin(), Port { uuid: Uuid::new_v4(), ..port.clone() }, Reserved::Refuse).await.unwrap_err();
    assert!(matches!(&again, StoreError::Duplicate(Duplicate::PortAddress(mac)) if mac == "aa:bb:cc:00:00:01"), "{again:?}");
    let orphan = Port::new(Uuid::new_v4(), NodeId(Uuid::new_v4()), "aa:bb:cc:00:00:02", Timestamp::now());
    assert!(matches!(store.create_part(&admin(), orphan, Reserved::Refuse).await, Err(StoreError::NotFound { what: "node", .. })));
}

#[tokio::test]
async fn only_one_of_two_writes_on_one_revision_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let made = store.create_node(&admin(), node("a")).await.unwrap();
    let write = |text: &str| {
        let changed = Node { description: Some(text.into()), ..made.value.clone() };
        let store = store.clone();
        async move { store.update_node(&admin(), changed, made.revision, Reserved::Refuse).await }
    };
    let (one, two) = tokio::join!(write("one"), write("two"));
    let one = one.unwrap();
    assert_eq!((one.revision, one.value.updated_at.is_some()), (Revision(2), true));
    assert!(matches!(two, Err(StoreError::Stale { what: "node", .. })), "{two:?}");
    let by_name = store.node(&admin(), &NodeRef::parse("a")).await.unwrap().unwrap();
    let by_uuid = store.node(&admin(), &NodeRef::parse(&made.value.uuid.to_string())).await.unwrap().unwrap();
    assert_eq!(by_name, one);
    assert_eq!(by_uuid, one);
    assert_eq!(store.node(&admin(), &NodeRef::parse("b")).await.unwrap(), None);
}

#[tokio::test]
async fn a_project_sees_its_own_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let owned = Node { owner: Some("p".into()), ..node("owned") };
    let leased = Node { lessee: Some("p".into()), owner: Some("q".into()), ..node("leased") };
    let foreign = node("foreign");
    for node in [&owned, &leased, &foreign] {
        store.create_node(&admin(), node.clone()).await.unwrap();
    }
    let names = async |who: &Principal| -> Vec<String> {
        store.nodes(who, &NodeQuery::default()).await.unwrap().into_iter().filter_map(|node| node.name).collect()
    };
    assert_eq!(names(&member("p")).await, ["owned", "leased"]);
    assert_eq!(names(&Principal::agent()).await.len(), 3);
    assert!(names(&Principal { user: "x".into(), project: None, roles: vec![], source: None }).await.is_empty());
    assert_eq!(store.node(&member("p"), &foreign.uuid.into()).await.unwrap(), None);
    assert!(matches!(store.delete_node(&member("p"), foreign.uuid, Revision(1)).await, Err(StoreError::NotFound { .. })));
    assert!(store.create_node(&member("p"), node("x")).await.is_err());
    let port = Port::new(Uuid::new_v4(), foreign.uuid, "aa:bb:cc:00:00:01", Timestamp::now());
    assert!(store.create_part(&member("p"), port.clone(), Reserved::Refuse).await.is_err());
    store.create_part(&admin(), port.clone(), Reserved::Refuse).await.unwrap();
    assert_eq!(store.part::<Port>(&member("p"), port.uuid).await.unwrap(), None);
    assert!(store.parts::<Port>(&member("p"), &PartQuery::default()).await.unwrap().is_empty());
    assert_eq!(store.parts::<Port>(&admin(), &PartQuery::default()).await.unwrap(), [port]);
}

async fn many(store: &Store) -> Vec<Node> {
    let nodes: Vec<Node> = (0..2500)
        .map(|i: usize| {
            let mut node = node(&format!("node-{:04}", (i * 7) % 2500));
            node.provision_state = ProvisionState::ALL[i % 4];
            node.maintenance = i.is_multiple_of(10);
            node.retired = i.is_multiple_of(50);
            node.owner = i.is_multiple_of(3).then(|| format!("owner-{}", i % 2));
            node.shard = i.is_multiple_of(5).then(|| format!("s{}", i % 25));
            node.instance_uuid = i.is_multiple_of(4).then(Uuid::new_v4);
            node.resource_class = Some(if i.is_multiple_of(2) { "big" } else { "small" }.into());
            node.description = i.is_multiple_of(100).then(|| "Rack 5_% left".to_owned());
            node
        })
        .collect();
    let host = Principal::host();
    for made in join_all(nodes.iter().map(|node| store.create_node(&host, node.clone()))).await {
        made.unwrap();
    }
    nodes
}

async fn pages(store: &Store, mut query: NodeQuery) -> Vec<Node> {
    let mut all = Vec::new();
    loop {
        let page = store.nodes(&admin(), &query).await.unwrap();
        let full = page.len() == query.limit.unwrap() as usize;
        query.marker = page.last().map(|node| node.uuid);
        all.extend(page);
        if !full {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_sorted_and_paged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let nodes = many(&store).await;

    let by_creation = pages(&store, NodeQuery { limit: Some(600), ..NodeQuery::default() }).await;
    assert_eq!(by_creation.len(), 2500);
    let at_once = store.nodes(&admin(), &NodeQuery { limit: Some(9999), ..NodeQuery::default() }).await.unwrap();
    assert!(by_creation == at_once, "pages follow each other without a gap");
    let made: HashSet<_> = nodes.iter().map(|node| node.uuid).collect();
    assert_eq!(by_creation.iter().map(|node| node.uuid).collect::<HashSet<_>>(), made);
    assert_eq!(store.nodes(&admin(), &NodeQuery::default()).await.unwrap().len(), 1000);

    for descending in [false, true] {
        let by_name = NodeQuery { limit: Some(333), sort_key: Some("name".into()), descending, ..NodeQuery::default() };
        let mut names: Vec<_> = pages(&store, by_name).await.into_iter().filter_map(|node| node.name).collect();
        if descending {
            names.reverse();
        }
        assert_eq!(names.len(), 2500);
        assert!(names.is_sorted());
    }
    // Most have no owner, and owners repeat: no page may lose or repeat a node.
    for key in ["owner", "maintenance", "updated_at", "provision_state"] {
        let query = NodeQuery { limit: Some(170), sort_key: Some(key.into()), descending: true, ..NodeQuery::default() };
        let seen: HashSet<_> = pages(&store, query).await.into_iter().map(|node| node.uuid).collect();
        assert_eq!(seen.len(), 2500, "{key}");
    }

    type Wanted = fn(&Node) -> bool;
    let cases: Vec<(NodeFilter, Wanted)> = vec![
        (NodeFilter { provision_state: Some(ProvisionState::ALL[1]), ..NodeFilter::default() }, |n| {
            n.provision_state == ProvisionState::ALL[1]
        }),
        (NodeFilter { maintenance: Some(true), retired: Some(false), ..NodeFilter::default() }, |n| n.maintenance && !n.retired),
        (NodeFilter { associated: Some(true), ..NodeFilter::default() }, |n| n.instance_uuid.is_some()),
        (NodeFilter { associated: Some(false), resource_class: Some("big".into()), ..NodeFilter::default() }, |n| {
            n.instance_uuid.is_none() && n.resource_class.as_deref() == Some("big")
        }),
        (NodeFilter { owner: Some("owner-1".into()), ..NodeFilter::default() }, |n| n.owner.as_deref() == Some("owner-1")),
        (NodeFilter { project: Some("owner-0".into()), ..NodeFilter::default() }, |n| n.owner.as_deref() == Some("owner-0")),
        (NodeFilter { shard: vec!["s5".into(), "s10".into()], ..NodeFilter::default() }, |n| {
            matches!(n.shard.as_deref(), Some("s5" | "s10"))
        }),
        (NodeFilter { sharded: Some(false), ..NodeFilter::default() }, |n| n.shard.is_none()),
        (NodeFilter { description_contains: Some("rACK 5_%".into()), ..NodeFilter::default() }, |n| n.description.is_some()),
        (NodeFilter { description_contains: Some("5__ left".into()), ..NodeFilter::default() }, |_| false),
        (NodeFilter { reserved: Some(true), ..NodeFilter::default() }, |_| false),
        (NodeFilter { driver: Some("redfish".into()), ..NodeFilter::default() }, |_| false),
    ];
    for (filter, wanted) in cases {
        let found: HashSet<_> = pages(&store, NodeQuery { filter: filter.clone(), limit: Some(500), ..NodeQuery::default() })
            .await
            .into_iter()
            .map(|node| node.uuid)
            .collect();
        let expected: HashSet<_> = nodes.iter().filter(|node| wanted(node)).map(|node| node.uuid).collect();
        assert_eq!(found, expected, "{filter:?}");
    }

    let child = Node { parent_node: Some(nodes[0].uuid.0), ..node("child") };
    store.create_node(&admin(), child.clone()).await.unwrap();
    let count = async |filter| store.nodes(&admin(), &NodeQuery { filter, limit: Some(9999), ..NodeQuery::default() }).await.unwrap().len();
    assert_eq!(count(NodeFilter::default()).await, 2500);
    assert_eq!(count(NodeFilter::all()).await, 2501);
    assert_eq!(count(NodeFilter { parent_node: Some(nodes[0].uuid.0), ..NodeFilter::default() }).await, 1);

    let unknown = NodeQuery { marker: Some(NodeId(Uuid::new_v4())), ..NodeQuery::default() };
    assert!(matches!(store.nodes(&admin(), &unknown).await, Err(StoreError::UnknownMarker(_))));
    for key in ["extra", "traits", "doc", "name; DROP TABLE nodes"] {
        let query = NodeQuery { sort_key: Some(key.into()), ..NodeQuery::default() };
        assert!(matches!(store.nodes(&admin(), &query).await, Err(StoreError::UnknownSortKey(k)) if k == key));
    }
}

#[tokio::test]
async fn ports_are_found_by_address_changed_once_and_paged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (a, b) = (node("a"), node("b"));
    for node in [&a, &b] {
        store.create_node(&admin(), node.clone()).await.unwrap();
    }
    let mut ports = Vec::new();
    for i in 0..10 {
        let owner = if i < 7 { a.uuid } else { b.uuid };
        let port = Port::new(Uuid::new_v4(), owner, &format!("AA:00:00:00:00:0{}", 9 - i), Timestamp::now());
        ports.push(store.create_part(&admin(), port, Reserved::Refuse).await.unwrap());
    }
    assert_eq!(store.ports_of(a.uuid).await.unwrap(), ports[..7]);
    let addresses = ["AA:00:00:00:00:09", "aa:00:00:00:00:08", "aa:00:00:00:00:00", "aa:11:11:11:11:11"].map(str::to_owned);
    let mut found = store.nodes_with_addresses(&addresses).await.unwrap();
    found.sort();
    let mut both = [a.uuid, b.uuid];
    both.sort();
    assert_eq!(found, both);
    assert!(store.nodes_with_addresses(&[]).await.unwrap().is_empty());

    let asked = PartQuery { address: Some("AA:00:00:00:00:03".into()), ..PartQuery::default() };
    assert_eq!(store.parts::<Port>(&admin(), &asked).await.unwrap(), [ports[6].clone()]);
    let asked = PartQuery { sort_key: Some("address".into()), limit: Some(2), marker: Some(ports[9].uuid), ..PartQuery::default() };
    assert_eq!(store.parts::<Port>(&admin(), &asked).await.unwrap(), [ports[8].clone(), ports[7].clone()]);
    let asked = PartQuery { sort_key: Some("extra".into()), ..PartQuery::default() };
    assert!(matches!(store.parts::<Port>(&admin(), &asked).await, Err(StoreError::UnknownSortKey(_))));

    let changed = Port { pxe_enabled: false, ..ports[0].clone() };
    let now = store.update_part(&admin(), &ports[0], changed.clone(), Reserved::Refuse).await.unwrap();
    assert_eq!(store.part(&admin(), now.uuid).await.unwrap(), Some(now.clone()));
    assert!(matches!(store.update_part(&admin(), &ports[0], changed, Reserved::Refuse).await, Err(StoreError::Stale { what: "port", .. })));
    let taken = Port { address: ports[1].address.clone(), ..now.clone() };
    assert!(matches!(
        store.update_part(&admin(), &now, taken, Reserved::Refuse).await,
        Err(StoreError::Duplicate(Duplicate::PortAddress(_)))
    ));
    store.delete_part::<Port>(&admin(), now.uuid, Reserved::Refuse).await.unwrap();
    assert!(matches!(
        store.delete_part::<Port>(&admin(), now.uuid, Reserved::Refuse).await,
        Err(StoreError::NotFound { what: "port", .. })
    ));
}

#[tokio::test]
async fn all_of_a_node_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let (advance, held) = reserved(&store, "n").await;
    let (id, operation) = (advance.next.node.uuid, advance.next.operation.as_ref().unwrap().id);
    let port = Port::new(Uuid::new_v4(), id, "aa:bb:cc:00:00:01", Timestamp::now());
    store.create_part(&admin(), port.clone(), Reserved::Allow).await.unwrap();
    store.acquire_lock(asks("l", id, operation)).await.unwrap();
    let session = AgentSession {
        token: "t".into(),
        pregenerated: false,
        url: None,
        verify_ca: None,
        version: None,
        issued_at: Timestamp::now(),
        first_heartbeat_at: None,
        last_heartbeat_at: None,
    };
    store.put_agent_session(id, &session).await.unwrap();
    let state = [("direct".parse().unwrap(), json!({"operation": {}, "node": {"k": 1}}))];
    let next = common::further(&advance, "x");
    let now = store
        .commit(Commit {
            advance: &next,
            was: &next.next.node,
            revision: held.revision,
            fence: held.fence,
            driver_state: &state,
            journal: &[],
            user: "u",
        })
        .await
        .unwrap();
    store
        .commit(Commit {
            advance: &end(&next, None),
            was: &next.next.node,
            revision: now,
            fence: held.fence,
            driver_state: &[],
            journal: &[],
            user: "u",
        })
        .await
        .unwrap();
    let kept = store.driver_state(id, &state[0].0).await.unwrap();
    assert!(kept.is_some());
    assert_eq!(store.call_inputs(id, &state[0].0).await.unwrap(), (store.ports_of(id).await.unwrap(), kept));
    assert!(!store.history(id, &HistoryQuery::default()).await.unwrap().is_empty());

    let revision = store.node(&admin(), &id.into()).await.unwrap().unwrap().revision;
    let early = store.delete_node(&admin(), id, Revision(1)).await;
    assert!(matches!(early, Err(StoreError::Stale { .. })), "{early:?}");
    store.delete_node(&admin(), id, revision).await.unwrap();
    assert_eq!(store.node(&admin(), &id.into()).await.unwrap(), None);
    assert_eq!(store.part::<Port>(&admin(), port.uuid).await.unwrap(), None);
    assert_eq!(store.agent_session(id).await.unwrap(), None);
    assert_eq!(store.driver_state(id, &state[0].0).await.unwrap(), None);
    assert!(store.history(id, &HistoryQuery::default()).await.unwrap().is_empty());
    assert!(matches!(store.delete_node(&admin(), id, revision).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_node_that_changes_while_a_page_is_read_is_shown_only_if_it_still_passes_the_filter() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let id = store.create_node(&admin(), node("a")).await.unwrap().value.uuid;
    store.create_node(&admin(), node("b")).await.unwrap();
    let filter = NodeFilter { maintenance: Some(false), ..NodeFilter::default() };
    let marks = store.peek_nodes(&admin(), &NodeQuery { filter: filter.clone(), ..NodeQuery::default() }).await.unwrap();
    store.set_maintenance(&admin(), id, true, None).await.unwrap();
    let rows: Vec<i64> = marks.iter().map(|mark| mark.row).collect();
    let shown = store.nodes_of_rows(&admin(), &filter, &rows).await.unwrap();
    assert_eq!((rows.len(), shown.iter().filter_map(|(_, node)| node.name.as_deref()).collect::<Vec<_>>()), (2, vec!["b"]));
}
