use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::{NodeId, PowerState, Principal, ProvisionState, Role};
use wrought_storage::Given;

use crate::callers::{Caller, guarded};
use crate::host::Host;

/// A node that can be given away.
async fn available(host: &Host, name: &str) -> NodeId {
    let node = host.enroll(name).await;
    host.edit(node, |node| {
        node.provision_state = ProvisionState::Available;
        node.power_state = Some(PowerState::Off);
        node.resource_class = Some("gold".into());
        node.traits = vec!["CUSTOM_A".into()];
    })
    .await;
    node
}

fn uuid(of: &Value) -> Uuid {
    of["uuid"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_allocation_is_made_shown_changed_and_deleted() {
    let host = Host::new().await;
    let node = available(&host, "n").await;
    let body =
        json!({"name": "a", "resource_class": "gold", "candidate_nodes": ["n"], "traits": ["CUSTOM_A"], "extra": {"k": 1}, "owner": null});
    let reply = host.post("/v1/allocations", body).await.expect(201);
    let made = reply.json();
    assert_eq!(reply.header("location"), format!("http://api.test/v1/allocations/{}", uuid(&made)));
    assert_eq!((&made["state"], &made["node_uuid"], &made["last_error"]), (&json!("allocating"), &Value::Null, &Value::Null));
    assert_eq!((&made["candidate_nodes"], &made["traits"], &made["extra"]), (&json!([node]), &json!(["CUSTOM_A"]), &json!({"k": 1})));
    assert!(made.get("node").is_none() && made["links"][0]["href"].as_str().unwrap().contains("/v1/allocations/"));
    assert_eq!(host.get("/v1/allocations/a").await.expect(200).json(), made);

    // What the host does behind the answer.
    assert!(matches!(host.store.allocate(uuid(&made), node).await.unwrap(), Given::Yes(_)));
    let active = host.get(&format!("/v1/allocations/{}", uuid(&made))).await.expect(200).json();
    assert_eq!((&active["state"], &active["node_uuid"]), (&json!("active"), &json!(node)));
    let shown = host.get("/v1/nodes/n").await.json();
    assert_eq!((&shown["instance_uuid"], &shown["allocation_uuid"]), (&made["uuid"], &made["uuid"]));
    assert_eq!(shown["instance_info"]["traits"], json!(["CUSTOM_A"]));
    assert_eq!(host.get("/v1/nodes/n/allocation").await.expect(200).json()["uuid"], made["uuid"]);

    let patch = json!([{"op": "replace", "path": "/name", "value": "b"}, {"op": "add", "path": "/extra/l", "value": 2}]);
    let changed = host.patch("/v1/allocations/a", patch).await.expect(200).json();
    assert_eq!((&changed["name"], &changed["extra"], &changed["state"]), (&json!("b"), &json!({"k": 1, "l": 2}), &json!("active")));
    for path in ["/state", "/node_uuid", "/resource_class", "/owner"] {
        host.patch("/v1/allocations/b", json!([{"op": "replace", "path": path, "value": "x"}])).await.expect(400);
    }
    host.patch("/v1/allocations/b", json!([{"op": "replace", "path": "/name", "value": "a b"}])).await.expect(400);

    host.delete("/v1/allocations/b").await.expect(204);
    host.get("/v1/allocations/b").await.expect(404);
    host.get("/v1/nodes/n/allocation").await.expect(404);
    let free = host.get("/v1/nodes/n").await.json();
    assert_eq!((&free["instance_uuid"], &free["allocation_uuid"], &free["instance_info"]), (&Value::Null, &Value::Null, &json!({})));
}

#[tokio::test]
async fn a_node_that_is_in_use_stays_allocated() {
    let host = Host::new().await;
    let node = available(&host, "n").await;
    let made = host.post("/v1/allocations", json!({"name": "a", "resource_class": "gold"})).await.expect(201).json();
    host.store.allocate(uuid(&made), node).await.unwrap();
    host.edit(node, |node| node.provision_state = ProvisionState::Active).await;
    for path in ["/v1/allocations/a", "/v1/nodes/n/allocation"] {
        assert!(host.delete(path).await.expect(409).fault().contains("because the node is active"));
    }
    host.put("/v1/nodes/n/maintenance", Value::Null).await.expect(202);
    host.delete("/v1/nodes/n/allocation").await.expect(204);
    host.get("/v1/allocations/a").await.expect(404);

    // A node that is deleted, and one whose instance is removed, take their allocations along.
    for remove in [true, false] {
        host.edit(node, |node| (node.provision_state, node.maintenance) = (ProvisionState::Available, false)).await;
        let made = host.post("/v1/allocations", json!({"name": "a", "resource_class": "gold"})).await.expect(201).json();
        host.store.allocate(uuid(&made), node).await.unwrap();
        if remove {
            host.patch("/v1/nodes/n", json!([{"op": "remove", "path": "/instance_uuid"}])).await.expect(200);
        } else {
            host.put("/v1/nodes/n/maintenance", Value::Null).await.expect(202);
            host.delete("/v1/nodes/n").await.expect(204);
        }
        host.get("/v1/allocations/a").await.expect(404);
        if remove {
            assert_eq!(host.get("/v1/nodes/n").await.expect(200).json()["instance_info"], json!({}), "the traits went with it");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_allocation_is_said() {
    let host = Host::new().await;
    available(&host, "n").await;
    for (body, status, expected) in [
        (json!({}), 400, "resource_class field is mandatory"),
        (json!({"resource_class": "gold", "name": "a b"}), 400, "invalid name"),
        (json!({"resource_class": "gold", "name": Uuid::new_v4()}), 400, "invalid name"),
        (json!({"resource_class": "gold", "traits": ["red"]}), 400, "Invalid trait"),
        (json!({"resource_class": "gold", "traits": [1]}), 400, "not of type 'string'"),
        (json!({"resource_class": "gold", "candidate_nodes": ["m"]}), 400, "Node m could not be found"),
        (json!({"resource_class": "gold", "candidate_nodes": "n"}), 400, "Expected a list"),
        (json!({"resource_class": "g".repeat(81)}), 400, "At most 80"),
        (json!({"resource_class": "gold", "state": "active"}), 400, "'state' was unexpected"),
        (json!({"node": "m"}), 400, "Node m could not be found"),
        (json!({"node": "n"}), 409, "Node must be in the \"active\" state"),
    ] {
        let fault = host.post("/v1/allocations", body.clone()).await.expect(status).fault();
        assert!(fault.contains(expected), "{body}: {fault}");
    }
    host.post("/v1/allocations", json!({"resource_class": "gold", "name": "a"})).await.expect(201);
    let taken = host.post("/v1/allocations", json!({"resource_class": "gold", "name": "a"})).await.expect(409).fault();
    assert!(taken.contains("allocation with name a already exists"), "{taken}");
    host.get("/v1/allocations?fields=node").await.expect(400);
    host.get("/v1/allocations?sort_key=extra").await.expect(400);
    host.get("/v1/allocations?node=m").await.expect(400);
    host.get(&format!("/v1/allocations?marker={}", Uuid::new_v4())).await.expect(404);
}

#[tokio::test]
async fn a_deployed_node_is_given_its_allocation_afterwards() {
    let host = Host::new().await;
    let node = available(&host, "n").await;
    host.edit(node, |node| node.provision_state = ProvisionState::Active).await;
    let wrong = host.post("/v1/allocations", json!({"node": "n", "resource_class": "silver"})).await.expect(409).fault();
    assert!(wrong.contains("Resource class gold does not match"), "{wrong}");
    let made = host.post("/v1/allocations", json!({"node": "n", "name": "a"})).await.expect(201).json();
    assert_eq!((&made["state"], &made["node_uuid"], &made["resource_class"]), (&json!("active"), &json!(node), &json!("gold")));
    let again = host.post("/v1/allocations", json!({"node": "n", "name": "b"})).await.expect(409).fault();
    assert!(again.contains("is associated with instance"), "{again}");
    host.call("POST", "/v1/allocations", "1.57", json!({"node": "n", "resource_class": "gold"})).await.expect(406);
}

#[tokio::test]
async fn a_node_is_given_an_allocation_afterwards_by_whoever_may_use_it() {
    let host = guarded().await;
    let root = Caller::new(&host, Role::Admin, None).await;
    let made = root.post("/v1/nodes", json!({"driver": "redfish", "name": "n"})).await.expect(201).json();
    let node = NodeId(uuid(&made));
    let (owner, lessee) = (Caller::new(&host, Role::Member, Some("own")).await, Caller::new(&host, Role::Member, Some("lease")).await);
    let admin = Caller::new(&host, Role::Admin, Some("lease")).await;
    for (caller, allowed) in [(&lessee, false), (&admin, true), (&owner, true)] {
        host.edit(node, |node| {
            (node.provision_state, node.resource_class) = (ProvisionState::Active, Some("gold".into()));
            (node.owner, node.lessee) = (Some("own".into()), Some("lease".into()));
            (node.allocation_uuid, node.instance_uuid) = (None, None);
        })
        .await;
        caller.post("/v1/allocations", json!({"node": "n"})).await.expect(if allowed { 201 } else { 403 });
        assert_eq!(host.stored(node).await.allocation_uuid.is_some(), allowed);
    }
}

#[tokio::test]
async fn an_allocation_in_use_or_of_another_project_is_not_removed_with_the_instance() {
    let host = guarded().await;
    let root = Caller::new(&host, Role::Admin, None).await;
    let (owner, lessee) = (Caller::new(&host, Role::Member, Some("own")).await, Caller::new(&host, Role::Admin, Some("lease")).await);
    let made = root.post("/v1/nodes", json!({"driver": "redfish", "name": "n"})).await.expect(201).json();
    let node = NodeId(uuid(&made));
    let remove = json!([{"op": "remove", "path": "/instance_uuid"}]);
    let give = async |state: ProvisionState, maintenance: bool| {
        host.edit(node, move |node| {
            (node.provision_state, node.maintenance, node.resource_class) = (state, maintenance, Some("gold".into()));
            (node.owner, node.lessee) = (Some("own".into()), Some("lease".into()));
            (node.allocation_uuid, node.instance_uuid) = (None, None);
        })
        .await;
        host.edit(node, |node| node.provision_state = ProvisionState::Active).await;
        let made = owner.post("/v1/allocations", json!({"node": "n"})).await.expect(201).json();
        host.edit(node, move |node| node.provision_state = state).await;
        format!("/v1/allocations/{}", uuid(&made))
    };
    use ProvisionState as S;
    for (state, maintenance, allowed) in [
        (S::Active, false, false),
        (S::DeployFailed, false, false),
        (S::Rescue, false, false),
        (S::ServiceFailed, false, false),
        (S::Active, true, true),
        (S::Available, false, true),
    ] {
        let allocation = give(state, maintenance).await;
        lessee.call("PATCH", "/v1/nodes/n", remove.clone()).await.expect(403);
        let null = json!([{"op": "replace", "path": "/instance_uuid", "value": null}]);
        for change in [null, remove.clone()] {
            if !allowed {
                for who in [&owner, &root] {
                    let refused = who.call("PATCH", "/v1/nodes/n", change.clone()).await.expect(409).fault();
                    assert!(
                        refused.contains("Cannot remove instance_uuid from node") && refused.contains("with an allocation"),
                        "{refused}"
                    );
                }
            }
        }
        owner.get(&allocation).await.expect(200);
        if allowed {
            owner.call("PATCH", "/v1/nodes/n", remove.clone()).await.expect(200);
        } else {
            host.edit(node, |node| node.maintenance = true).await;
            root.call("PATCH", "/v1/nodes/n", remove.clone()).await.expect(200);
        }
        owner.get(&allocation).await.expect(404);
    }
}

#[tokio::test]
async fn allocations_are_filtered_and_paged_by_version() {
    let host = Host::new().await;
    let node = available(&host, "n").await;
    for (name, class, owner) in [("a", "gold", json!("p")), ("b", "gold", Value::Null), ("c", "silver", Value::Null)] {
        let made = host.post("/v1/allocations", json!({"name": name, "resource_class": class, "owner": owner})).await.expect(201).json();
        if name == "b" {
            host.store.allocate(uuid(&made), node).await.unwrap();
        }
    }
    let names = async |query: &str| {
        let list = host.get(&format!("/v1/allocations?{query}")).await.expect(200).json();
        let names: Vec<String> = list["allocations"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap().to_owned()).collect();
        names.join("")
    };
    for (query, expected) in [
        ("", "abc"),
        ("resource_class=gold", "ab"),
        ("state=active", "b"),
        ("state=allocating", "ac"),
        ("owner=p", "a"),
        ("node=n", "b"),
        ("sort_key=name&sort_dir=desc", "cba"),
        ("limit=2", "ab"),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    let page = host.get("/v1/allocations?limit=2&fields=name").await.json();
    assert!(page["allocations"][0].get("state").is_none());
    let next = page["next"].as_str().unwrap().trim_start_matches("http://api.test").to_owned();
    assert_eq!(host.get(&next).await.expect(200).json()["allocations"][0]["name"], "c");

    let old = |method: &'static str, path: &'static str, version: &'static str| host.call(method, path, version, Value::Null);
    old("GET", "/v1/allocations", "1.51").await.expect(404);
    old("GET", "/v1/allocations/a", "1.51").await.expect(404);
    old("GET", "/v1/nodes/n/allocation", "1.51").await.expect(404);
    for method in ["POST", "DELETE", "PATCH"] {
        let path = if method == "POST" { "/v1/allocations" } else { "/v1/allocations/a" };
        old(method, path, "1.51").await.expect(405);
    }
    old("PATCH", "/v1/allocations/a", "1.56").await.expect(405);
    old("GET", "/v1/allocations?owner=p", "1.59").await.expect(406);
    old("GET", "/v1/allocations?fields=owner", "1.59").await.expect(406);
    assert!(old("GET", "/v1/allocations/a", "1.59").await.expect(200).json().get("owner").is_none());
    host.call("POST", "/v1/allocations", "1.59", json!({"resource_class": "gold", "owner": "p"})).await.expect(406);
}

#[tokio::test]
async fn a_project_sees_its_own_allocations_and_gets_nodes_that_are_its_own() {
    let host = Host::new().await;
    let (theirs, shared) = (available(&host, "theirs").await, available(&host, "shared").await);
    host.edit(shared, |node| node.lessee = Some("p".into())).await;
    let own = host.post("/v1/allocations", json!({"name": "own", "resource_class": "gold", "owner": "p"})).await.expect(201).json();
    host.post("/v1/allocations", json!({"name": "other", "resource_class": "gold"})).await.expect(201);
    let member = Principal { user: "ada".into(), project: Some("p".into()), roles: vec!["member".into()], source: None };
    let seen = host.store.allocations(&member, &wrought_storage::AllocationQuery::default()).await.unwrap();
    assert_eq!(seen.iter().map(|a| a.name.as_deref().unwrap()).collect::<Vec<_>>(), ["own"]);
    assert!(host.store.allocation(&member, "other").await.unwrap().is_none());
    let candidates = host.store.allocation_candidates(&seen[0]).await.unwrap();
    assert_eq!(candidates, [(shared, Some("shared".into()))]);
    assert_eq!(host.store.allocate(uuid(&own), theirs).await.unwrap(), Given::Unfit);
    assert!(matches!(host.store.allocate(uuid(&own), shared).await.unwrap(), Given::Yes(_)));
    assert_eq!(host.store.allocate(uuid(&own), theirs).await.unwrap(), Given::Over);
}
