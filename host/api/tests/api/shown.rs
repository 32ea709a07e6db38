//! Nodes are shown the same whichever way they come: as the answer to a change, by `GET`, in lists; and always as they are now.

use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wrought_api::ApiConfig;
use wrought_domain::{Node, NodeId, PowerState, Principal, ProvisionState};
use wrought_storage::{NodeQuery, Store};

use crate::host::{Host, NEWEST};

/// Something in every field.
fn fill(node: &mut Node) {
    let map = |value: Value| value.as_object().cloned().unwrap();
    node.provision_state = ProvisionState::Available;
    node.power_state = Some(PowerState::On);
    node.driver_info = map(
        json!({"redfish_address": "https://u:p@bmc/?sig=1", "redfish_password": "hunter2", "deep": [{"a_token": "hunter2"}, null, 1.5]}),
    );
    node.driver_internal_info = map(json!({"secret": {"a": "hunter2"}, "empty_secret": "", "none_secret": null, "plain": true}));
    node.instance_info = map(json!({"image_url": "http://hunter2", "image_source": "http://h/a?hunter2", "\"quoted\"\n": "\u{1f600}\\"}));
    node.properties = map(json!({"cpus": 4, "capabilities": "boot_mode:uefi"}));
    node.raid_config = map(json!({"logical_disks": []}));
    node.clean_step = map(json!({"step": "erase", "args": {}}));
    node.traits = vec!["CUSTOM_A".into(), "HW_CPU_X86_VMX".into()];
    node.provision_updated_at = Some("2026-01-02T03:04:05Z".parse().unwrap());
    node.inspection_started_at = Some("2026-01-02T03:04:05.0204Z".parse().unwrap());
    node.inspection_finished_at = Some(Timestamp::now());
    node.last_error = Some("it said \"no\"".into());
    node.maintenance_reason = Some("why".into());
    node.instance_uuid = Some(uuid::Uuid::new_v4());
    node.resource_class = Some("baremetal".into());
    node.description = Some("<b>".into());
    node.owner = Some("p1".into());
    node.lessee = Some("p2".into());
    node.secure_boot = Some(false);
    node.health = Some("OK".into());
}

#[tokio::test]
async fn a_node_is_shown_the_same_by_every_way_in_every_version() {
    let host = Host::new().await;
    let id = host.enroll("one").await;
    host.edit(id, fill).await;
    for minor in 1..=115 {
        let version = format!("1.{minor}");
        let patch = json!([{"op": "add", "path": "/extra/n", "value": minor}]);
        let changed = host.call("PATCH", &format!("/v1/nodes/{id}"), &version, patch).await.expect(200);
        let text = String::from_utf8(changed.bytes.to_vec()).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        for _ in 0..2 {
            let got = host.call("GET", &format!("/v1/nodes/{id}"), &version, Value::Null).await.expect(200);
            assert_eq!(String::from_utf8_lossy(&got.bytes), text, "in {version}");
            assert_eq!(got.header("content-type"), "application/json");
        }
        let list = host.call("GET", "/v1/nodes/detail", &version, Value::Null).await.expect(200);
        assert_eq!(String::from_utf8_lossy(&list.bytes), format!("{{\"nodes\":[{text}]}}"), "in {version}");
        assert_eq!(list.header("content-length"), list.bytes.len().to_string());
        let brief = host.call("GET", "/v1/nodes", &version, Value::Null).await.expect(200).json();
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert!(brief["nodes"][0].as_object().unwrap().iter().all(|(name, value)| *value == whole[name]), "{brief}");
    }
}

#[tokio::test]
async fn any_selection_of_fields_is_a_part_of_the_whole() {
    let host = Host::new().await;
    let id = host.enroll("one").await;
    host.edit(id, fill).await;
    let whole = host.get(&format!("/v1/nodes/{id}")).await.expect(200).json();
    let names: Vec<&String> = whole.as_object().unwrap().keys().collect();
    let others = names.iter().zip(names.iter().cycle().skip(7)).map(|(one, other)| format!("{one},{other}"));
    for fields in names.iter().map(|name| (*name).clone()).chain(others) {
        let part = |name: &&String| *name == "links" || fields.split(',').any(|field| field == name.as_str());
        let expected: Map<String, Value> =
            names.iter().filter(|name| part(name)).map(|name| ((*name).clone(), whole[*name].clone())).collect();
        let got = host.get(&format!("/v1/nodes/{id}?fields={fields}")).await.expect(200).json();
        assert_eq!(got, Value::Object(expected.clone()), "{fields}");
        let list = host.get(&format!("/v1/nodes?fields={fields}")).await.expect(200);
        assert_eq!(list.json(), json!({"nodes": [expected]}), "{fields}");
        assert_eq!(list.header("content-length"), list.bytes.len().to_string());
    }
}

#[tokio::test]
async fn old_versions_know_neither_available_nor_inspect_wait() {
    let host = Host::new().await;
    let id = host.enroll("one").await;
    for (state, version, shown) in [
        (ProvisionState::Available, "1.1", Value::Null),
        (ProvisionState::Available, "1.2", json!("available")),
        (ProvisionState::InspectWait, "1.38", json!("inspecting")),
        (ProvisionState::InspectWait, "1.39", json!("inspect wait")),
    ] {
        host.edit(id, move |node| node.provision_state = state).await;
        for path in [format!("/v1/nodes/{id}"), "/v1/nodes".into(), "/v1/nodes/detail".into()] {
            let got = host.call("GET", &path, version, Value::Null).await.expect(200).json();
            let node = got["nodes"].get(0).unwrap_or(&got);
            assert_eq!(node["provision_state"], shown, "{path} in {version}");
        }
    }
}

#[tokio::test]
async fn links_lead_to_where_the_client_came_from() {
    let host = Host::with(ApiConfig::default()).await;
    let id = host.enroll("one").await;
    for name in ["a.test", "b.test:6385", "a.test"] {
        for path in [format!("/v1/nodes/{id}"), "/v1/nodes".into(), "/v1/nodes/detail?limit=1".into()] {
            let request = Request::get(&path).header("Host", name).header("X-OpenStack-Ironic-API-Version", NEWEST);
            let got = host.send(request.body(Body::empty()).unwrap()).await.expect(200).json();
            let node = got["nodes"].get(0).unwrap_or(&got);
            assert_eq!(node["links"][0]["href"], format!("http://{name}/v1/nodes/{id}"));
            assert_eq!(node["links"][1]["href"], format!("http://{name}/nodes/{id}"));
            if path.contains("limit") {
                assert!(got["next"].as_str().unwrap().starts_with(&format!("http://{name}/v1/nodes/detail?")), "{got}");
                assert_eq!(node["states"][0]["href"], format!("http://{name}/v1/nodes/{id}/states"));
            }
        }
    }
}

#[tokio::test]
async fn what_changed_is_shown_at_once_also_of_a_node_that_was_made_again() {
    let host = Host::new().await;
    let id = host.enroll("one").await;
    let shown = async |field: &str| {
        let one = host.get(&format!("/v1/nodes/{id}")).await.expect(200).json()[field].clone();
        let list = host.get("/v1/nodes/detail").await.expect(200).json()["nodes"][0][field].clone();
        let brief = host.get(&format!("/v1/nodes?fields={field}")).await.expect(200).json()["nodes"][0][field].clone();
        assert_eq!((&one, &one), (&list, &brief));
        one
    };
    for turn in 0..5 {
        host.edit(id, move |node| node.description = Some(turn.to_string())).await;
        assert_eq!(shown("description").await, turn.to_string());
    }
    let revision = revision(&host.store, id).await;
    host.delete(&format!("/v1/nodes/{id}")).await.expect(204);
    host.get(&format!("/v1/nodes/{id}")).await.expect(404);
    assert_eq!(host.get("/v1/nodes/detail").await.expect(200).json(), json!({"nodes": []}));
    host.post("/v1/nodes", json!({"uuid": id, "driver": "redfish", "description": "new"})).await.expect(201);
    while self::revision(&host.store, id).await < revision {
        host.edit(id, |node| node.console_enabled = !node.console_enabled).await;
    }
    assert_eq!(self::revision(&host.store, id).await, revision, "the same revision of another node");
    assert_eq!(shown("description").await, "new");
}

async fn revision(store: &Store, id: NodeId) -> u64 {
    store.node(&Principal::host(), &id.into()).await.unwrap().unwrap().revision.0
}

#[tokio::test]
async fn every_page_is_whole_and_pages_of_any_order_show_each_node_once() {
    let host = Host::new().await;
    let mut ids = Vec::new();
    for number in 0..25_u8 {
        let id = host.enroll(&format!("node-{number:02}")).await;
        host.edit(id, move |node| node.resource_class = (number % 3 > 0).then(|| format!("class-{}", number % 3))).await;
        ids.push(id.to_string());
    }
    let stored = host.store.nodes(&Principal::host(), &NodeQuery::default()).await.unwrap();
    assert_eq!(stored.iter().map(|node| node.uuid.to_string()).collect::<Vec<_>>(), ids);
    for path in ["/v1/nodes?", "/v1/nodes/detail?", "/v1/nodes?fields=uuid,name,extra&"] {
        for order in ["", "&sort_dir=desc", "&sort_key=name", "&sort_key=resource_class", "&sort_key=resource_class&sort_dir=desc"] {
            let (mut next, mut seen) = (format!("{path}limit=7{order}"), Vec::new());
            loop {
                let page = host.get(&next).await.expect(200).json();
                seen.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["uuid"].as_str().unwrap().to_owned()));
                let Some(link) = page["next"].as_str() else { break };
                next = link.trim_start_matches("http://api.test").to_owned();
            }
            let whole = host.get(&format!("{path}{}", order.trim_start_matches('&'))).await.expect(200).json();
            let whole: Vec<&str> = whole["nodes"].as_array().unwrap().iter().map(|node| node["uuid"].as_str().unwrap()).collect();
            assert_eq!(seen, whole, "{path} {order}");
            if order.is_empty() {
                assert_eq!(seen, ids);
            }
        }
    }
    host.get(&format!("/v1/nodes?marker={}", uuid::Uuid::new_v4())).await.expect(404);
    assert_eq!(host.get(&format!("/v1/nodes?marker={}", ids[24])).await.expect(200).json(), json!({"nodes": []}));
}
