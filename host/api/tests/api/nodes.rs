use serde_json::{Value, json};
use wrought_domain::{Principal, ProvisionState};
use wrought_engine::{HistoryEntry, Severity};

use crate::host::{Asked, Host, NEWEST};

/// The fields and the version that brought them, as Ironic's reference lists them.
const SINCE: &[(u16, &[&str])] = &[
    (
        1,
        &[
            "uuid",
            "driver",
            "driver_info",
            "properties",
            "extra",
            "instance_info",
            "instance_uuid",
            "chassis_uuid",
            "provision_state",
            "target_provision_state",
            "provision_updated_at",
            "power_state",
            "target_power_state",
            "last_error",
            "reservation",
            "maintenance",
            "maintenance_reason",
            "console_enabled",
            "created_at",
            "updated_at",
            "links",
            "ports",
        ],
    ),
    (3, &["driver_internal_info"]),
    (5, &["name"]),
    (6, &["inspection_started_at", "inspection_finished_at"]),
    (7, &["clean_step"]),
    (12, &["raid_config", "target_raid_config"]),
    (14, &["states"]),
    (20, &["network_interface"]),
    (21, &["resource_class"]),
    (24, &["portgroups"]),
    (
        31,
        &[
            "boot_interface",
            "console_interface",
            "deploy_interface",
            "inspect_interface",
            "management_interface",
            "power_interface",
            "raid_interface",
            "vendor_interface",
        ],
    ),
    (32, &["volume"]),
    (33, &["storage_interface"]),
    (37, &["traits"]),
    (38, &["rescue_interface"]),
    (40, &["bios_interface"]),
    (42, &["fault"]),
    (44, &["deploy_step"]),
    (46, &["conductor_group"]),
    (47, &["automated_clean"]),
    (48, &["protected", "protected_reason"]),
    (49, &["conductor"]),
    (50, &["owner"]),
    (51, &["description"]),
    (52, &["allocation_uuid"]),
    (61, &["retired", "retired_reason"]),
    (65, &["lessee"]),
    (66, &["network_data"]),
    (75, &["boot_mode", "secure_boot"]),
    (82, &["shard"]),
    (83, &["parent_node"]),
    (86, &["firmware_interface"]),
    (87, &["service_step"]),
    (95, &["disable_power_off"]),
    (104, &["instance_name"]),
    (109, &["health"]),
];

#[tokio::test]
async fn each_version_shows_exactly_its_fields() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for minor in 1..=115 {
        let shown = host.call("GET", &format!("/v1/nodes/{node}"), &format!("1.{minor}"), Value::Null).await.expect(200).json();
        let mut shown: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known: Vec<&str> = SINCE.iter().filter(|(since, _)| *since <= minor).flat_map(|(_, names)| names.iter().copied()).collect();
        shown.sort_unstable();
        known.sort_unstable();
        assert_eq!(shown, known, "1.{minor}");
    }
}

#[tokio::test]
async fn a_new_node_is_enrolled_with_resolved_interfaces() {
    let host = Host::new().await;
    let uuid = "0b5e55ed-1ab0-4000-8000-00000000c0de";
    let body = json!({"uuid": uuid, "name": "lab-0", "driver": "redfish", "deploy_interface": "acme", "boot_interface": null,
                      "properties": {"cpu_arch": "x86_64"}, "conductor_group": "Rack-A"});
    let reply = host.post("/v1/nodes", body).await.expect(201);
    assert_eq!(reply.header("location"), format!("http://api.test/v1/nodes/{uuid}"));
    let node = reply.json();
    for (field, value) in [
        ("uuid", json!(uuid)),
        ("provision_state", json!("enroll")),
        ("target_provision_state", json!(null)),
        ("deploy_interface", json!("acme")),
        ("boot_interface", json!("redfish-virtual-media")),
        ("power_interface", json!("redfish")),
        ("network_interface", json!("noop")),
        ("conductor_group", json!("rack-a")),
        ("conductor", json!("testhost")),
        ("maintenance", json!(false)),
        ("extra", json!({})),
        ("traits", json!([])),
        ("updated_at", json!(null)),
    ] {
        assert_eq!(node[field], value, "{field}");
    }
    assert!(node["created_at"].as_str().unwrap().ends_with("+00:00"));
    let links = |path: &str| json!([{"href": format!("http://api.test/v1/nodes/{path}"), "rel": "self"}, {"href": format!("http://api.test/nodes/{path}"), "rel": "bookmark"}]);
    assert_eq!(node["links"], links(uuid));
    assert_eq!(node["ports"], links(&format!("{uuid}/ports")));
    assert_eq!(node["states"], links(&format!("{uuid}/states")));
    assert_eq!(host.get("/v1/nodes/lab-0").await.json()["uuid"], uuid);
}

#[tokio::test]
async fn a_node_that_cannot_be_is_not_created() {
    let host = Host::new().await;
    host.enroll("taken").await;
    for (body, status, text) in [
        (json!({}), 400, "Missing mandatory parameter: driver"),
        (json!({"driver": "ilo"}), 400, "No valid host was found. Reason: No conductor service registered which supports driver ilo"),
        (json!({"driver": "redfish", "colour": "red"}), 400, "Additional properties are not allowed ('colour' was unexpected)"),
        (json!({"driver": "redfish", "provision_state": "active"}), 400, "Additional properties are not allowed"),
        (json!({"driver": "redfish", "traits": ["CUSTOM_X"]}), 400, "node traits API"),
        (json!({"driver": "redfish", "deploy_interface": "unknown"}), 400, "deploy interface 'unknown'"),
        (json!({"driver": "redfish", "power_interface": "fake"}), 400, "power interface 'fake'"),
        (json!({"driver": "redfish", "name": "taken"}), 409, "already exists"),
        (json!({"driver": "redfish", "name": "a/b"}), 400, "Cannot use invalid name"),
        (json!({"driver": "redfish", "name": "detail"}), 400, "Cannot use invalid name"),
        (json!({"driver": "redfish", "name": "0b5e55ed-1ab0-4000-8000-00000000c0de"}), 400, "Cannot use invalid name"),
        (json!({"driver": "redfish", "extra": 7}), 400, "extra"),
        (json!({"driver": "redfish", "uuid": "x"}), 400, "Expected a UUID"),
        (json!({"driver": "redfish", "maintenance": "perhaps"}), 400, "Unrecognized value"),
        (json!({"driver": "redfish", "resource_class": "x".repeat(81)}), 400, "At most 80"),
        (json!({"driver": "redfish", "parent_node": "0b5e55ed-1ab0-4000-8000-00000000c0de"}), 400, "could not be found"),
        (json!({"driver": "redfish", "chassis_uuid": "0b5e55ed-1ab0-4000-8000-00000000c0de"}), 400, "Chassis"),
        (json!({"driver": "redfish", "network_data": {"x": 1}}), 400, "network_data"),
    ] {
        let reply = host.post("/v1/nodes", body.clone()).await.expect(status);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
    let newer = host.call("POST", "/v1/nodes", "1.50", json!({"driver": "redfish", "description": "x"})).await.expect(406);
    assert_eq!(newer.fault(), "Request not acceptable.");
    host.call("POST", "/v1/nodes", "1.51", json!({"driver": "redfish", "description": "x"})).await.expect(201);
}

#[tokio::test]
async fn old_versions_see_states_under_their_old_names() {
    let host = Host::new().await;
    let old = host.call("POST", "/v1/nodes", "1.10", json!({"driver": "fake-hardware", "name": "old"})).await.expect(201);
    assert_eq!(old.json()["provision_state"], "available");
    let path = format!("/v1/nodes/{}", old.json()["uuid"].as_str().unwrap());
    assert_eq!(host.call("GET", &path, "1.1", Value::Null).await.json()["provision_state"], Value::Null);
    let node = host.enroll("n").await;
    host.edit(node, |node| node.provision_state = ProvisionState::InspectWait).await;
    for (version, state) in [("1.38", "inspecting"), ("1.39", "inspect wait")] {
        assert_eq!(host.call("GET", "/v1/nodes/n/states", version, Value::Null).await.json()["provision_state"], state);
    }
}

#[tokio::test]
async fn secrets_are_masked_wherever_a_node_is_shown() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.edit(node, |node| {
        node.driver_internal_info.insert("agent_secret_token".into(), json!("t0ken-value"));
        node.instance_info.insert("image_url".into(), json!("https://signed-url"));
        node.instance_info.insert("configdrive".into(), json!("c0nfig-value"));
    })
    .await;
    for path in
        ["/v1/nodes/n", "/v1/nodes/detail", "/v1/nodes?detail=true", "/v1/nodes?fields=driver_info,instance_info,driver_internal_info"]
    {
        let text = String::from_utf8(host.get(path).await.expect(200).bytes.to_vec()).unwrap();
        assert!(text.contains(r#""redfish_password":"******""#) && text.contains(r#""image_url":"******""#), "{path}: {text}");
        for secret in ["hunter2", "t0ken-value", "signed-url", "c0nfig-value"] {
            assert!(!text.contains(secret), "{path}: {text}");
        }
    }
}

#[tokio::test]
async fn lists_are_paged_filtered_and_sorted() {
    let host = Host::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        host.enroll(name).await;
    }
    let names = |page: &Value| page["nodes"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut seen = Vec::new();
    let mut next = Some("/v1/nodes?limit=2&fields=name,uuid&maintenance=false".to_owned());
    while let Some(path) = next {
        let page = host.get(&path).await.expect(200).json();
        seen.extend(names(&page));
        next = page["next"].as_str().map(|url| url.strip_prefix("http://api.test").unwrap().to_owned());
        if let Some(next) = &next {
            assert!(next.starts_with("/v1/nodes?sort_key=id&sort_dir=asc&fields=name,uuid&maintenance=false&limit=2&marker="), "{next}");
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    assert_eq!(names(&host.get("/v1/nodes?sort_key=name&sort_dir=desc&limit=2").await.json()), ["e", "d"]);
    let brief = host.get("/v1/nodes").await.json();
    let mut keys: Vec<&String> = brief["nodes"][0].as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["instance_uuid", "links", "maintenance", "name", "power_state", "provision_state", "uuid"]);
    assert!(brief.get("next").is_none());

    let b = host.stored(serde_json::from_value(host.get("/v1/nodes/b").await.json()["uuid"].clone()).unwrap()).await;
    host.edit(b.uuid, |node| {
        node.resource_class = Some("gold".into());
        node.maintenance = true;
        node.provision_state = ProvisionState::Active;
    })
    .await;
    for filter in ["resource_class=gold", "maintenance=yes", "provision_state=active", "maintenance=True&driver=redfish"] {
        assert_eq!(names(&host.get(&format!("/v1/nodes?{filter}")).await.expect(200).json()), ["b"], "{filter}");
    }
    for (query, version, status, text) in [
        ("limit=0", NEWEST, 400, "Limit must be positive"),
        ("limit=-1", NEWEST, 400, "Limit must be positive"),
        ("limit=x", NEWEST, 400, "Expected an integer"),
        ("sort_dir=up", NEWEST, 400, "Invalid sort direction"),
        ("sort_key=driver_info", NEWEST, 400, "driver_info"),
        ("marker=0b5e55ed-1ab0-4000-8000-00000000c0de", NEWEST, 404, "could not be found"),
        ("fields=name,nonsense", NEWEST, 400, "Field(s) \"nonsense\" are not valid"),
        ("fields=description", "1.50", 406, "Request not acceptable."),
        ("detail=true&fields=name", NEWEST, 400, "subset of fields"),
        ("provision_state=nowhere", NEWEST, 400, "is not valid"),
        ("owner=me", "1.49", 406, "Request not acceptable."),
        ("maintenance=maybe", NEWEST, 400, "Unrecognized value"),
    ] {
        let reply = host.call("GET", &format!("/v1/nodes?{query}"), version, Value::Null).await.expect(status);
        assert!(reply.fault().contains(text), "{query}: {}", reply.fault());
    }
}

#[tokio::test]
async fn children_are_hidden_unless_asked_for() {
    let host = Host::new().await;
    let parent = host.enroll("parent").await;
    let child = host.post("/v1/nodes", json!({"driver": "redfish", "name": "child", "parent_node": parent})).await.expect(201).json();
    let count = |page: Value| page["nodes"].as_array().unwrap().len();
    assert_eq!(count(host.get("/v1/nodes").await.json()), 1);
    assert_eq!(count(host.get("/v1/nodes?include_children=true").await.json()), 2);
    assert_eq!(host.get(&format!("/v1/nodes?parent_node={parent}")).await.json()["nodes"][0]["name"], "child");
    assert_eq!(host.get("/v1/nodes/parent/children").await.json()["children"], json!([child["uuid"]]));
}

#[tokio::test]
async fn only_nodes_that_nobody_needs_are_deleted() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let path = "/v1/nodes/n";
    host.edit(node, |node| node.provision_state = ProvisionState::Active).await;
    assert!(host.delete(path).await.expect(409).fault().contains("while it is in provision state \"active\""));
    host.edit(node, |node| node.protected = true).await;
    host.delete(path).await.expect(403);
    host.edit(node, |node| {
        node.protected = false;
        node.provision_state = ProvisionState::Available;
        node.instance_uuid = Some(uuid::Uuid::new_v4());
    })
    .await;
    assert!(host.delete(path).await.expect(409).fault().contains("is associated with instance"));
    host.edit(node, |node| node.maintenance = true).await;
    host.delete(path).await.expect(204);
    host.get(path).await.expect(404);
    host.delete("/v1/nodes").await.expect(400);
}

#[tokio::test]
async fn what_is_below_a_node_answers_clients() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let body = |path: &'static str| {
        let host = &host;
        async move { host.get(&format!("/v1/nodes/n/{path}")).await.expect(200).json() }
    };
    assert_eq!(body("vifs").await, json!({"vifs": []}));
    assert_eq!(body("bios").await, json!({"bios": []}));
    assert_eq!(body("firmware").await, json!({"firmware": []}));
    assert_eq!(body("portgroups").await, json!({"portgroups": []}));
    assert_eq!(body("states/console").await, json!({"console_enabled": false, "console_info": null}));
    let blink = json!({
        "async": true, "attach": false, "description": "Blinks.", "http_methods": ["POST"], "require_exclusive_lock": true
    });
    assert_eq!(body("vendor_passthru/methods").await, json!({ "blink": blink }));
    assert_eq!(body("management/boot_device").await, json!({"boot_device": "disk", "persistent": true}));
    assert_eq!(body("management/boot_device/supported").await, json!({"supported_boot_devices": ["pxe", "disk"]}));
    assert_eq!(
        body("validate").await,
        json!({"power": {"result": true}, "deploy": {"result": false, "reason": "no image"}, "raid": {"result": null, "reason": "not supported"}})
    );
    assert_eq!(host.get("/v1/nodes/validate?node_uuid=n").await.expect(200).json()["power"], json!({"result": true}));
    host.get("/v1/nodes/n/inventory").await.expect(404);
    let raid = host.put("/v1/nodes/n/states/raid", json!({"logical_disks": []})).await.expect(404);
    assert_eq!(raid.fault(), "Driver redfish does not support raid (disabled or not implemented).");
    host.post("/v1/nodes/n/vifs", json!({"id": "vif"})).await.expect(204);
    host.delete("/v1/nodes/n/vifs/vif").await.expect(204);
    host.put("/v1/nodes/n/management/boot_device", json!({"boot_device": "pxe"})).await.expect(204);
    host.put("/v1/nodes/n/management/boot_device", json!({"boot_device": "tape"})).await.expect(400);
    assert_eq!(host.asked(), [Asked::BootDevice(node, "pxe".into(), false)]);
    // Not there yet in old versions.
    for (path, version) in [("vifs", "1.27"), ("bios", "1.39"), ("history", "1.77"), ("firmware", "1.85")] {
        host.call("GET", &format!("/v1/nodes/n/{path}"), version, Value::Null).await.expect(404);
    }
}

#[tokio::test]
async fn traits_are_kept_with_the_node() {
    let host = Host::new().await;
    host.enroll("n").await;
    host.put("/v1/nodes/n/traits", json!({"traits": ["HW_CPU_X86_VMX", "CUSTOM_GOLD"]})).await.expect(204);
    let added = host.put("/v1/nodes/n/traits/CUSTOM_RED", Value::Null).await.expect(204);
    assert_eq!(added.header("location"), "http://api.test/v1/nodes/n/traits/CUSTOM_RED");
    host.delete("/v1/nodes/n/traits/CUSTOM_GOLD").await.expect(204);
    host.delete("/v1/nodes/n/traits/CUSTOM_GOLD").await.expect(404);
    assert_eq!(host.get("/v1/nodes/n/traits").await.json(), json!({"traits": ["CUSTOM_RED", "HW_CPU_X86_VMX"]}));
    for wrong in ["CUSTOM_", "red", "CUSTOM_red", "OTHER_X"] {
        assert!(host.put(&format!("/v1/nodes/n/traits/{wrong}"), Value::Null).await.expect(400).fault().contains("Invalid trait"));
    }
    let many: Vec<String> = (0..51).map(|i| format!("CUSTOM_{i}")).collect();
    host.put("/v1/nodes/n/traits", json!({"traits": many})).await.expect(400);
    host.delete("/v1/nodes/n/traits").await.expect(204);
    assert_eq!(host.get("/v1/nodes/n/traits").await.json(), json!({"traits": []}));
}

#[tokio::test]
async fn history_belongs_to_its_node() {
    let host = Host::new().await;
    let (node, _) = (host.enroll("n").await, host.enroll("other").await);
    let entry = |event: &str| HistoryEntry::new(Severity::Error, "deploying", event);
    host.store.record(node, vec![entry("one"), entry("two")], &Principal::noauth().user, Some("testhost")).await.unwrap();
    let list = host.get("/v1/nodes/n/history").await.expect(200).json();
    assert_eq!(list["history"].as_array().unwrap().len(), 2);
    assert!(list["history"][0].get("user").is_none());
    assert_eq!((&list["history"][0]["event"], &list["history"][0]["severity"]), (&json!("one"), &json!("ERROR")));
    let event = list["history"][1]["uuid"].as_str().unwrap();
    let one = host.get(&format!("/v1/nodes/n/history/{event}")).await.expect(200).json();
    assert_eq!((&one["event"], &one["conductor"], &one["event_type"]), (&json!("two"), &json!("testhost"), &json!("deploying")));
    host.get(&format!("/v1/nodes/other/history/{event}")).await.expect(404);
    let page = host.get("/v1/nodes/n/history?limit=1&sort_dir=desc").await.expect(200).json();
    assert_eq!(page["history"][0]["event"], "two");
    assert!(page["next"].is_string());
}

#[tokio::test]
async fn maintenance_is_set_and_cleared() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let reply = host.put("/v1/nodes/n/maintenance", json!({"reason": "new fan"})).await.expect(202);
    assert!(reply.bytes.is_empty());
    assert_eq!(host.stored(node).await.maintenance_reason.as_deref(), Some("new fan"));
    host.delete("/v1/nodes/n/maintenance").await.expect(202);
    let node = host.stored(node).await;
    assert_eq!((node.maintenance, node.maintenance_reason), (false, None));
}

#[tokio::test]
async fn a_vendors_methods_are_called_by_path_or_by_query() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let reply = host.call("PUT", "/v1/nodes/n/vendor_passthru/echo", "1.115", json!({"a": 1})).await.expect(200);
    assert_eq!(reply.json(), json!({"http": "PUT", "body": {"a": 1}}));
    let reply = host.get("/v1/nodes/n/vendor_passthru?method=echo").await.expect(200);
    assert_eq!(reply.json(), json!({"http": "GET", "body": null}));
    let reply = host.post("/v1/nodes/n/vendor_passthru?method=blink", json!({})).await.expect(202);
    assert_eq!(reply.header("location"), format!("http://api.test/v1/nodes/{node}/states"));
    host.post("/v1/nodes/n/vendor_passthru", json!({})).await.expect(400);
    host.post("/v1/nodes/n/vendor_passthru/other", json!({})).await.expect(400);
    host.post("/v1/nodes/none/vendor_passthru/echo", json!({})).await.expect(404);
}
