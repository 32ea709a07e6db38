//! Allocations on a real host: who gets which node, and what becomes of it.

use std::collections::HashSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, HostConfig, Node, Setup, Shared, World, run, until};

async fn allocate(api: &Api, body: Value) -> Value {
    api.call(Method::POST, "/v1/allocations", &body).await.ok()
}

/// An allocation whose search has ended.
async fn settled(api: &Api, allocation: &Value) -> Value {
    let path = format!("/v1/allocations/{}", allocation["uuid"].as_str().unwrap());
    until("the search ends", async || Some(api.get(&path).await.ok()).filter(|now| now["state"] != "allocating")).await
}

async fn available<'w>(world: &'w World, name: String, class: &str) -> Node<'w> {
    let node = world.fake("fake", json!({})).await;
    node.patch("/resource_class", class.into()).await;
    node.patch("/name", name.into()).await;
    node
}

#[test]
fn fifty_allocations_over_twenty_nodes_give_no_node_twice_over_a_restart() {
    run(async {
        let mut world = World::new(Setup { host: HostConfig::default(), servers: 0, ..Setup::default() }).await;
        let nodes: Vec<String> =
            join_all((0..20).map(|i| available(&world, format!("n{i}"), "gold"))).await.into_iter().map(|node| node.uuid).collect();
        let mut made = Vec::new();
        for round in 0..2 {
            let posts = (0..25).map(|i| allocate(world.api(), json!({"resource_class": "gold", "name": format!("a{round}-{i}")})));
            made.extend(join_all(posts).await);
            if round == 0 {
                // Some of them look for a node still, and the next start goes on with these.
                world.host.kill().await;
                world.host.start_again().await;
            }
        }
        let ended = join_all(made.iter().map(|one| settled(world.api(), one))).await;
        let (active, failed): (Vec<&Value>, Vec<&Value>) = ended.iter().partition(|one| one["state"] == "active");
        assert_eq!((active.len(), failed.len()), (20, 30));
        let given: HashSet<&str> = active.iter().map(|one| one["node_uuid"].as_str().unwrap()).collect();
        assert_eq!(given, nodes.iter().map(String::as_str).collect::<HashSet<_>>());
        for one in active {
            let node = world.api().get(&format!("/v1/nodes/{}", one["node_uuid"].as_str().unwrap())).await.ok();
            assert_eq!((&node["instance_uuid"], &node["allocation_uuid"]), (&one["uuid"], &one["uuid"]));
        }
        for one in failed {
            assert_eq!((&one["state"], &one["node_uuid"]), (&json!("error"), &Value::Null));
            assert!(one["last_error"].as_str().unwrap().starts_with("Failed to process allocation"), "{one}");
        }
    });
}

#[test]
fn a_node_of_the_allocations_name_goes_first_and_traits_and_candidates_count() {
    run(async {
        let world = Shared::world().await;
        let mut nodes = Vec::new();
        for name in ["chosen-a", "chosen-b", "chosen-c"] {
            nodes.push(available(&world, name.into(), "chosen").await);
        }
        world.api().call(Method::PUT, &nodes[2].path("/traits"), &json!({"traits": ["CUSTOM_RARE"]})).await.ok();
        let api = world.api();
        let ask = async |body: Value| settled(api, &allocate(api, body).await).await;
        assert_eq!(ask(json!({"name": "chosen-b", "resource_class": "chosen"})).await["node_uuid"], nodes[1].uuid);
        let rare = ask(json!({"resource_class": "chosen", "traits": ["CUSTOM_RARE"]})).await;
        assert_eq!(rare["node_uuid"], nodes[2].uuid);
        let rarer = ask(json!({"resource_class": "chosen", "traits": ["CUSTOM_RARER"]})).await;
        assert!(rarer["last_error"].as_str().unwrap().contains("no suitable nodes have the requested traits CUSTOM_RARER"), "{rarer}");
        let taken = ask(json!({"resource_class": "chosen", "candidate_nodes": ["chosen-b"]})).await;
        assert!(taken["last_error"].as_str().unwrap().contains("none of the requested nodes are available"), "{taken}");
        let none = ask(json!({"resource_class": "unobtainium"})).await;
        assert!(none["last_error"].as_str().unwrap().contains("no available nodes match the resource class unobtainium"), "{none}");
        // Given back, it is the one that fits.
        let path = format!("/v1/allocations/{}", rare["uuid"].as_str().unwrap());
        assert_eq!(api.call(Method::DELETE, &path, &json!({})).await.status, 204);
        assert_eq!(ask(json!({"resource_class": "chosen", "traits": ["CUSTOM_RARE"]})).await["node_uuid"], nodes[2].uuid);
    });
}

#[test]
fn a_tear_down_ends_the_allocation_of_its_node() {
    run(async {
        let world = Shared::world().await;
        let node = available(&world, "ends".into(), "ends").await;
        let api = world.api();
        let allocation = settled(api, &allocate(api, json!({"name": "ends-1", "resource_class": "ends"})).await).await;
        assert_eq!(allocation["node_uuid"], node.uuid);
        node.deploy().await;
        let refused = api.call(Method::DELETE, "/v1/allocations/ends-1", &json!({})).await.refused(409);
        assert!(refused.contains("because the node is active"), "{refused}");
        node.provision("deleted").await;
        let free = node.reach("available").await;
        assert_eq!((&free["instance_uuid"], &free["allocation_uuid"]), (&Value::Null, &Value::Null));
        assert_eq!(api.get("/v1/allocations/ends-1").await.status, 404);
    });
}
