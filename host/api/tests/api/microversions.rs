//! Each version has what Ironic's has, and nothing newer: tables by hand from the reference of Ironic's API.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use wrought_domain::ProvisionState;

use crate::host::{Host, Reply};

async fn at(host: &Host, minor: u16, method: &str, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    let request = request.header("X-OpenStack-Ironic-API-Version", format!("1.{minor}")).header("Content-Type", "application/json");
    host.send(request.body(body).unwrap()).await
}

fn said(reply: &Reply) -> String {
    format!("{} {}", reply.status, String::from_utf8_lossy(&reply.bytes))
}

/// Field, first version, may be given to POST, to PATCH, a value.
type Written = (&'static str, u16, bool, bool, Value);

fn node_fields() -> Vec<Written> {
    let uuid = "0b5e55ed-1ab0-4000-8000-00000000c0de";
    let mut fields = vec![
        ("uuid", 1, true, false, json!(uuid)),
        ("driver", 1, true, true, json!("redfish")),
        ("driver_info", 1, true, true, json!({"a": 1})),
        ("properties", 1, true, true, json!({"a": 1})),
        ("extra", 1, true, true, json!({"a": 1})),
        ("instance_info", 1, true, true, json!({"a": 1})),
        ("instance_uuid", 1, true, true, json!(uuid)),
        ("maintenance", 1, true, true, json!(true)),
        ("console_enabled", 1, true, false, json!(false)),
        ("provision_state", 1, false, false, json!("active")),
        ("target_provision_state", 1, false, false, json!("active")),
        ("provision_updated_at", 1, false, false, json!(null)),
        ("power_state", 1, false, false, json!("power on")),
        ("target_power_state", 1, false, false, json!("power on")),
        ("last_error", 1, false, false, json!("e")),
        ("reservation", 1, false, false, json!("h")),
        ("maintenance_reason", 1, false, false, json!("r")),
        ("created_at", 1, false, false, json!(null)),
        ("updated_at", 1, false, false, json!(null)),
        ("links", 1, false, false, json!([])),
        ("driver_internal_info", 3, false, false, json!({})),
        ("name", 5, true, true, json!("fresh")),
        ("inspection_started_at", 6, false, false, json!(null)),
        ("clean_step", 7, false, false, json!({})),
        ("raid_config", 12, false, false, json!({})),
        ("target_raid_config", 12, false, false, json!({})),
        ("network_interface", 20, true, true, json!("noop")),
        ("resource_class", 21, true, true, json!("c")),
        ("traits", 37, false, false, json!([])),
        ("fault", 42, false, false, json!("f")),
        ("deploy_step", 44, false, false, json!({})),
        ("conductor_group", 46, true, true, json!("g")),
        ("automated_clean", 47, true, true, json!(true)),
        ("protected", 48, false, true, json!(false)),
        ("protected_reason", 48, false, true, json!(null)),
        ("conductor", 49, false, false, json!("h")),
        ("owner", 50, true, true, json!("o")),
        ("description", 51, true, true, json!("d")),
        ("allocation_uuid", 52, false, false, json!(uuid)),
        ("retired", 61, true, true, json!(true)),
        ("lessee", 65, true, true, json!("l")),
        ("network_data", 66, true, true, json!({})),
        ("boot_mode", 75, true, false, json!("uefi")),
        ("secure_boot", 75, true, false, json!(true)),
        ("shard", 82, true, true, json!("s")),
        ("parent_node", 83, true, true, json!(null)),
        ("service_step", 87, false, false, json!({})),
        ("disable_power_off", 95, true, true, json!(true)),
        ("instance_name", 104, true, true, json!("i")),
        ("health", 109, false, false, json!("OK")),
    ];
    for (interface, since, name) in [
        ("boot", 31, "redfish-virtual-media"),
        ("console", 31, "no-console"),
        ("deploy", 31, "direct"),
        ("inspect", 31, "redfish"),
        ("management", 31, "redfish"),
        ("power", 31, "redfish"),
        ("raid", 31, "no-raid"),
        ("vendor", 31, "no-vendor"),
        ("storage", 33, "noop"),
        ("rescue", 38, "no-rescue"),
        ("bios", 40, "no-bios"),
        ("firmware", 86, "no-firmware"),
    ] {
        fields.push((Box::leak(format!("{interface}_interface").into_boxed_str()), since, true, true, json!(name)));
    }
    fields
}

/// A resource in which fields are newer than the resource: its path, its base body, and its fields.
async fn writes_follow_the_version(host: &Host, collection: &str, one: &str, born: u16, base: &Value, fields: &[Written]) {
    for (name, since, posted, patched, value) in fields {
        let mut body = base.clone();
        body[*name] = value.clone();
        let patch = json!([{"op": "add", "path": format!("/{name}"), "value": value}]);
        if *since > born {
            // Before a name is known, it may be unknown (400) or newer (406), never taken.
            for (method, path, body, allowed) in [("POST", collection, &body, *posted), ("PATCH", one, &patch, *patched)] {
                let old = at(host, since - 1, method, path, body).await;
                let status = old.status.as_u16();
                assert!(status == 406 || (!allowed && status == 400), "{method} {name} at 1.{}: {}", since - 1, said(&old));
            }
        }
        let made = at(host, *since, "POST", collection, &body).await;
        assert_eq!(made.status.as_u16(), if *posted { 201 } else { 400 }, "POST {name} at 1.{since}: {}", said(&made));
        if *posted {
            let uuid = made.json()["uuid"].as_str().unwrap().to_owned();
            let gone = at(host, 115, "DELETE", &format!("{collection}/{uuid}"), &Value::Null).await;
            if gone.status.as_u16() != 204 {
                let node = wrought_domain::NodeId(uuid.parse().unwrap());
                host.edit(node, |node| node.maintenance = true).await;
                at(host, 115, "DELETE", &format!("{collection}/{uuid}"), &Value::Null).await.expect(204);
            }
        }
        let changed = at(host, *since, "PATCH", one, &patch).await;
        assert_eq!(changed.status.as_u16(), if *patched { 200 } else { 400 }, "PATCH {name} at 1.{since}: {}", said(&changed));
    }
}

#[tokio::test]
async fn each_field_of_a_node_is_written_since_its_version() {
    let host = Host::new().await;
    for (name, since, ..) in &node_fields() {
        // Each field meets a node as it was enrolled.
        let node = host.enroll("one").await;
        let fields: Vec<Written> = node_fields().into_iter().filter(|field| field.0 == *name).collect();
        writes_follow_the_version(&host, "/v1/nodes", &format!("/v1/nodes/{node}"), 1, &json!({"driver": "redfish"}), &fields).await;
        if *since > 8 {
            let at_since = at(&host, *since, "GET", &format!("/v1/nodes?fields={name}"), &Value::Null).await.expect(200).json();
            assert!(at_since["nodes"][0].get(*name).is_some(), "{name}");
            at(&host, since - 1, "GET", &format!("/v1/nodes?fields={name}"), &Value::Null).await.expect(406);
            at(&host, since - 1, "GET", &format!("/v1/nodes/{node}?fields={name}"), &Value::Null).await.expect(406);
        }
        host.edit(node, |node| node.maintenance = true).await;
        at(&host, 115, "DELETE", &format!("/v1/nodes/{node}"), &Value::Null).await.expect(204);
    }
}

#[tokio::test]
async fn each_field_of_a_port_is_written_since_its_version() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let port = json!({"node_uuid": node, "address": "52:54:00:00:00:01"});
    let uuid = at(&host, 1, "POST", "/v1/ports", &port).await.expect(201).json()["uuid"].as_str().unwrap().to_owned();
    let fields = [
        ("extra", 1, true, true, json!({"a": 1})),
        ("created_at", 1, false, false, json!(null)),
        ("internal_info", 18, false, false, json!({})),
        ("pxe_enabled", 19, true, true, json!(false)),
        ("local_link_connection", 19, true, true, json!({})),
        ("portgroup_uuid", 24, true, true, json!(null)),
        ("physical_network", 34, true, true, json!("p")),
        ("is_smartnic", 53, true, true, json!(false)),
        ("name", 88, true, true, json!("eth0")),
        ("description", 97, true, true, json!("d")),
        ("vendor", 100, true, true, json!("v")),
        ("category", 101, true, true, json!("c")),
        ("available_for_dynamic_portgroup", 111, true, true, json!(false)),
    ];
    let base = json!({"node_uuid": node, "address": "52:54:00:00:00:02"});
    for field in fields {
        let (name, since) = (field.0, field.1);
        at(&host, 115, "PATCH", &format!("/v1/ports/{uuid}"), &json!([{"op": "remove", "path": "/name"}])).await;
        writes_follow_the_version(&host, "/v1/ports", &format!("/v1/ports/{uuid}"), 1, &base, &[field]).await;
        if since > 8 {
            at(&host, since, "GET", &format!("/v1/ports?fields={name}"), &Value::Null).await.expect(200);
            at(&host, since - 1, "GET", &format!("/v1/ports?fields={name}"), &Value::Null).await.expect(406);
        }
    }
    let mut by_name = base.clone();
    by_name["node_uuid"].take();
    let by_name = json!({"node_ident": "n", "address": by_name["address"]});
    at(&host, 93, "POST", "/v1/ports", &by_name).await.expect(406);
    at(&host, 94, "POST", "/v1/ports", &by_name).await.expect(201);
}

#[tokio::test]
async fn each_argument_of_a_query_is_known_since_its_version() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201);
    let nodes = [
        ("fields=uuid", 8),
        ("provision_state=enroll", 9),
        ("driver=redfish", 16),
        ("resource_class=c", 21),
        ("fault=clean%20failure", 42),
        ("detail=true", 43),
        ("conductor_group=g", 46),
        ("conductor=testhost", 49),
        ("owner=o", 50),
        ("description_contains=d", 51),
        ("retired=false", 61),
        ("lessee=l", 65),
        ("project=p", 65),
        ("shard=s", 82),
        ("sharded=true", 82),
        ("parent_node=0b5e55ed-1ab0-4000-8000-00000000c0de", 83),
        ("include_children=true", 83),
        ("instance_name=i", 104),
    ];
    let ports = [("fields=uuid", 8), ("detail=true", 43), ("shard=s", 82), ("description_contains=d", 97), ("conductor_groups=g", 99)];
    let drivers = [("type=dynamic", 30), ("detail=true", 30), ("fields=name", 77)];
    let bios = [("detail=true", 74), ("fields=name", 74)];
    let rows = nodes.iter().map(|row| ("/v1/nodes", row)).chain(ports.iter().map(|row| ("/v1/ports", row)));
    let rows = rows.chain(drivers.iter().map(|row| ("/v1/drivers", row))).chain(bios.iter().map(|row| ("/v1/nodes/n/bios", row)));
    for (path, (query, since)) in rows {
        let path = format!("{path}?{query}");
        let old = at(&host, since - 1, "GET", &path, &Value::Null).await.expect(406);
        assert_eq!(old.fault(), "Request not acceptable.", "{path}");
        at(&host, *since, "GET", &path, &Value::Null).await.expect(200);
    }
    for query in ["instance_uuid=0b5e55ed-1ab0-4000-8000-00000000c0de", "associated=true", "maintenance=true", "limit=1", "sort_key=uuid"] {
        at(&host, 1, "GET", &format!("/v1/nodes?{query}"), &Value::Null).await.expect(200);
    }
    at(&host, 4, "GET", "/v1/ports?node=n", &Value::Null).await.expect(406);
    at(&host, 5, "GET", "/v1/ports?node=n", &Value::Null).await.expect(200);
    at(&host, 4, "GET", "/v1/nodes/n", &Value::Null).await.expect(404);
    at(&host, 5, "GET", "/v1/nodes/n", &Value::Null).await.expect(200);
    let driver = json!([{"op": "replace", "path": "/driver", "value": "redfish"}]);
    at(&host, 44, "PATCH", "/v1/nodes/n?reset_interfaces=true", &driver).await.expect(406);
    at(&host, 45, "PATCH", "/v1/nodes/n?reset_interfaces=true", &driver).await.expect(200);
}

#[tokio::test]
async fn each_verb_is_known_since_its_version() {
    use ProvisionState as S;
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let steps = json!([{"interface": "deploy", "step": "erase_devices"}]);
    for (verb, since, state) in [
        ("active", 1, S::Available),
        ("rebuild", 1, S::Active),
        ("deleted", 1, S::Active),
        ("manage", 4, S::Enroll),
        ("provide", 4, S::Manageable),
        ("inspect", 6, S::Manageable),
        ("abort", 13, S::CleanWait),
        ("clean", 15, S::Manageable),
        ("rescue", 38, S::Active),
        ("unrescue", 38, S::Rescue),
        ("abort", 41, S::InspectWait),
        ("deploy", 73, S::Available),
        ("undeploy", 73, S::Active),
        ("unhold", 85, S::CleanHold),
        ("service", 87, S::Active),
        ("abort", 110, S::WaitCallBack),
    ] {
        host.edit(node, move |node| node.provision_state = state).await;
        let mut body = json!({"target": verb});
        match verb {
            "clean" => body["clean_steps"] = steps.clone(),
            "service" => body["service_steps"] = steps.clone(),
            "rescue" => body["rescue_password"] = json!("p"),
            _ => {}
        }
        let path = &format!("/v1/nodes/{node}/states/provision");
        if since > 1 {
            at(&host, since - 1, "PUT", path, &body).await.expect(406);
        }
        let reply = at(&host, since, "PUT", path, &body).await;
        assert_eq!(reply.status.as_u16(), 202, "{verb} at 1.{since}: {}", said(&reply));
    }
    host.edit(node, |node| node.provision_state = S::Active).await;
    at(&host, 16, "PUT", "/v1/nodes/n/states/provision", &json!({"target": "adopt"})).await.expect(406);
    at(&host, 17, "PUT", "/v1/nodes/n/states/provision", &json!({"target": "adopt"})).await.expect(400);
    let _ = host.asked();
}

#[tokio::test]
async fn each_argument_of_a_body_is_known_since_its_version() {
    use ProvisionState as S;
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let clean = json!([{"interface": "deploy", "step": "erase_devices"}]);
    let deploy = json!([{"interface": "deploy", "step": "erase_devices", "args": {}, "priority": 5}]);
    let drive = json!({"meta_data": {}});
    let vendor = json!({"vendor_data": {}});
    for (path, state, body, since) in [
        ("states/power", S::Enroll, json!({"target": "soft power off"}), 27),
        ("states/power", S::Enroll, json!({"target": "soft rebooting"}), 27),
        ("states/power", S::Enroll, json!({"target": "power on", "timeout": 5}), 27),
        ("states/provision", S::Available, json!({"target": "active", "configdrive": drive}), 56),
        ("states/provision", S::Available, json!({"target": "active", "configdrive": vendor}), 59),
        ("states/provision", S::Available, json!({"target": "active", "deploy_steps": deploy}), 69),
        ("states/provision", S::Manageable, json!({"target": "clean", "clean_steps": clean, "disable_ramdisk": true}), 70),
        ("states/provision", S::Active, json!({"target": "service", "service_steps": clean, "disable_ramdisk": true}), 108),
    ] {
        host.edit(node, move |node| node.provision_state = state).await;
        let path = format!("/v1/nodes/n/{path}");
        let old = at(&host, since - 1, "PUT", &path, &body).await;
        assert_eq!(old.status.as_u16(), 406, "{body} at 1.{}: {}", since - 1, said(&old));
        let new = at(&host, since, "PUT", &path, &body).await;
        assert_eq!(new.status.as_u16(), 202, "{body} at 1.{since}: {}", said(&new));
    }
    // Which verbs take a config drive.
    host.edit(node, |node| node.provision_state = S::Active).await;
    let rebuild = json!({"target": "rebuild", "configdrive": "H4sI"});
    at(&host, 34, "PUT", "/v1/nodes/n/states/provision", &rebuild).await.expect(400);
    at(&host, 35, "PUT", "/v1/nodes/n/states/provision", &rebuild).await.expect(202);
    let runbook = json!({"name": "CUSTOM_R", "steps": [{"interface": "deploy", "step": "erase_devices", "args": {}, "order": 1}]});
    at(&host, 92, "POST", "/v1/runbooks", &runbook).await.expect(201);
    host.put("/v1/nodes/n/traits/CUSTOM_R", Value::Null).await.expect(204);
    host.edit(node, |node| node.provision_state = S::Manageable).await;
    let clean = json!({"target": "clean", "runbook": "CUSTOM_R"});
    at(&host, 91, "PUT", "/v1/nodes/n/states/provision", &clean).await.expect(406);
    at(&host, 92, "PUT", "/v1/nodes/n/states/provision", &clean).await.expect(202);
    let _ = host.asked();
}

/// Method, path, first version, status before it.
const RESOURCES: &[(&str, &str, u16, u16)] = &[
    ("GET", "/v1/lookup?addresses=52:54:00:00:00:01", 22, 404),
    ("POST", "/v1/heartbeat/n", 22, 404),
    ("GET", "/v1/portgroups", 23, 404),
    ("GET", "/v1/portgroups/detail", 23, 404),
    ("GET", "/v1/volume", 32, 404),
    ("GET", "/v1/volume/connectors", 32, 404),
    ("GET", "/v1/volume/targets", 32, 404),
    ("GET", "/v1/conductors", 49, 404),
    ("GET", "/v1/conductors/testhost", 49, 404),
    ("GET", "/v1/allocations", 52, 404),
    ("GET", "/v1/deploy_templates", 55, 404),
    ("POST", "/v1/deploy_templates", 55, 405),
    ("GET", "/v1/shards", 82, 404),
    ("GET", "/v1/runbooks", 92, 404),
    ("POST", "/v1/runbooks", 92, 405),
    ("GET", "/v1/inspection_rules", 96, 404),
    ("POST", "/v1/inspection_rules", 96, 405),
    ("PUT", "/v1/nodes/n/states/raid", 12, 406),
    ("GET", "/v1/nodes/n/portgroups", 24, 404),
    ("GET", "/v1/nodes/n/vifs", 28, 404),
    ("POST", "/v1/nodes/n/vifs", 28, 404),
    ("PUT", "/v1/nodes/n/management/inject_nmi", 29, 404),
    ("GET", "/v1/nodes/n/volume", 32, 404),
    ("GET", "/v1/nodes/n/volume/connectors", 32, 404),
    ("GET", "/v1/nodes/n/traits", 37, 406),
    ("PUT", "/v1/nodes/n/traits/CUSTOM_A", 37, 405),
    ("GET", "/v1/nodes/n/bios", 40, 404),
    ("GET", "/v1/nodes/n/allocation", 52, 404),
    ("GET", "/v1/nodes/n/management/indicators", 63, 404),
    ("PUT", "/v1/nodes/n/states/boot_mode", 76, 404),
    ("PUT", "/v1/nodes/n/states/secure_boot", 76, 404),
    ("GET", "/v1/nodes/n/history", 78, 404),
    ("GET", "/v1/nodes/n/inventory", 81, 404),
    ("GET", "/v1/nodes/n/children", 83, 404),
    ("GET", "/v1/nodes/n/firmware", 86, 404),
    ("POST", "/v1/nodes/n/vmedia", 89, 404),
    ("GET", "/v1/drivers/redfish/raid/logical_disk_properties", 12, 406),
    ("POST", "/v1/allocations", 52, 405),
    ("POST", "/v1/portgroups", 23, 404),
    ("POST", "/v1/volume/connectors", 32, 404),
    ("POST", "/v1/volume/targets", 32, 404),
    ("POST", "/v1/events", 54, 404),
];

/// The text of an answer of a resource that is not there (yet).
const NOWHERE: &str = "The resource could not be found.";

#[tokio::test]
async fn each_resource_is_there_since_its_version() {
    let host = Host::new().await;
    host.enroll("n").await;
    let mut defects = Vec::new();
    for (method, path, since, before) in RESOURCES {
        let old = at(&host, since - 1, method, path, &Value::Null).await;
        let status = old.status.as_u16();
        if status != *before || (status == 404 && old.fault() != NOWHERE) {
            defects.push(format!("{method} {path} at 1.{}: {} and not {before}", since - 1, said(&old)));
        }
        let new = at(&host, *since, method, path, &Value::Null).await;
        let gone = matches!(new.status.as_u16(), 405 | 406) || (new.status.as_u16() == 404 && new.fault() == NOWHERE);
        if gone || new.status.is_server_error() {
            defects.push(format!("{method} {path} at 1.{since}: {}", said(&new)));
        }
    }
    assert!(defects.is_empty(), "{}", defects.join("\n"));
    let _ = host.asked();
}

#[tokio::test]
async fn recipes_have_fields_and_names_of_their_version() {
    let host = Host::new().await;
    let step = json!([{"interface": "deploy", "step": "erase_devices", "args": {}, "order": 1}]);
    for (name, minor, status) in [("CUSTOM_A", 92, 201), ("free name", 112, 400), ("free-name", 111, 400), ("free-name", 112, 201)] {
        let reply = at(&host, minor, "POST", "/v1/runbooks", &json!({"name": name, "steps": step})).await;
        assert_eq!(reply.status.as_u16(), status, "{name} at 1.{minor}: {}", said(&reply));
    }
    let described = json!({"name": "CUSTOM_B", "steps": step, "description": "d"});
    at(&host, 111, "POST", "/v1/runbooks", &described).await.expect(406);
    at(&host, 112, "POST", "/v1/runbooks", &described).await.expect(201);
    for (minor, there) in [(111, false), (112, true)] {
        let shown = at(&host, minor, "GET", "/v1/runbooks/CUSTOM_B", &Value::Null).await.expect(200).json();
        assert_eq!(shown.get("traits").is_some(), there);
        assert_eq!(shown.get("description").is_some(), there);
    }
    at(&host, 111, "GET", "/v1/runbooks/CUSTOM_B/traits", &Value::Null).await.expect(404);
    at(&host, 112, "GET", "/v1/runbooks/CUSTOM_B/traits", &Value::Null).await.expect(200);
}

#[tokio::test]
async fn drivers_show_what_their_version_knows() {
    let host = Host::new().await;
    for (minor, key, there) in [
        (13, "properties", false),
        (14, "properties", true),
        (29, "type", false),
        (30, "type", true),
        (29, "default_deploy_interface", false),
        (30, "default_deploy_interface", true),
        (32, "enabled_storage_interfaces", false),
        (33, "enabled_storage_interfaces", true),
        (37, "default_rescue_interface", false),
        (38, "default_rescue_interface", true),
        (39, "default_bios_interface", false),
        (40, "default_bios_interface", true),
        (85, "default_firmware_interface", false),
        (86, "default_firmware_interface", true),
    ] {
        let shown = at(&host, minor, "GET", "/v1/drivers/redfish", &Value::Null).await.expect(200).json();
        assert_eq!(shown.get(key).is_some(), there, "{key} at 1.{minor}");
    }
}

#[tokio::test]
async fn states_and_what_is_enrolled_follow_the_version() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for (minor, state) in [(10, json!("available")), (11, json!("enroll"))] {
        let made = at(&host, minor, "POST", "/v1/nodes", &json!({"driver": "redfish"})).await.expect(201).json();
        assert_eq!(made["provision_state"], state, "1.{minor}");
    }
    host.edit(node, |node| node.provision_state = ProvisionState::Available).await;
    for (minor, state) in [(1, Value::Null), (2, json!("available"))] {
        let shown = at(&host, minor, "GET", &format!("/v1/nodes/{node}"), &Value::Null).await.expect(200).json();
        assert_eq!(shown["provision_state"], state, "1.{minor}");
    }
    // Heartbeats' fields are refused as Ironic does: 400.
    for (minor, field, value) in [(35, "agent_version", "9"), (67, "agent_verify_ca", "c"), (71, "agent_status", "start")] {
        let body = json!({"callback_url": "https://192.0.2.1:9999", "agent_token": "t", field: value});
        at(&host, minor, "POST", &format!("/v1/heartbeat/{node}"), &body).await.expect(400);
    }
}

#[tokio::test]
async fn each_field_of_a_port_group_is_written_since_its_version() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let base = json!({ "node_uuid": node });
    let uuid = at(&host, 23, "POST", "/v1/portgroups", &base).await.expect(201).json()["uuid"].as_str().unwrap().to_owned();
    let fields = [
        ("extra", 23, true, true, json!({"a": 1})),
        ("standalone_ports_supported", 23, true, true, json!(false)),
        ("internal_info", 23, false, false, json!({})),
        ("mode", 26, true, true, json!("802.3ad")),
        ("properties", 26, true, true, json!({"miimon": 100})),
        ("physical_network", 102, true, true, json!("p")),
        ("category", 103, true, true, json!("c")),
        ("dynamic_portgroup", 111, false, false, json!(true)),
    ];
    writes_follow_the_version(&host, "/v1/portgroups", &format!("/v1/portgroups/{uuid}"), 23, &base, &fields).await;
    for (name, since, ..) in fields.iter().filter(|field| field.1 > 23) {
        for (minor, there) in [(since - 1, false), (*since, true)] {
            let shown = at(&host, minor, "GET", &format!("/v1/portgroups/{uuid}"), &Value::Null).await.expect(200).json();
            assert_eq!(shown.get(*name).is_some(), there, "{name} at 1.{minor}");
        }
    }
}

#[tokio::test]
async fn allocations_are_changed_owned_and_backfilled_since_their_versions() {
    let host = Host::new().await;
    let base = json!({"resource_class": "c"});
    let uuid = at(&host, 52, "POST", "/v1/allocations", &base).await.expect(201).json()["uuid"].as_str().unwrap().to_owned();
    let path = format!("/v1/allocations/{uuid}");
    let rename = json!([{"op": "add", "path": "/name", "value": "fresh"}]);
    at(&host, 56, "PATCH", &path, &rename).await.expect(405);
    at(&host, 57, "PATCH", &path, &rename).await.expect(200);
    at(&host, 59, "POST", "/v1/allocations", &json!({"resource_class": "c", "owner": "o"})).await.expect(406);
    at(&host, 60, "POST", "/v1/allocations", &json!({"resource_class": "c", "owner": "o"})).await.expect(201);
    at(&host, 57, "POST", "/v1/allocations", &json!({"resource_class": "c", "node": "none"})).await.expect(406);
    at(&host, 58, "POST", "/v1/allocations", &json!({"resource_class": "c", "node": "none"})).await.expect(400);
    for (minor, there) in [(59, false), (60, true)] {
        assert_eq!(at(&host, minor, "GET", &path, &Value::Null).await.expect(200).json().get("owner").is_some(), there);
        let status = if there { 200 } else { 406 };
        at(&host, minor, "GET", "/v1/allocations?owner=o", &Value::Null).await.expect(status);
    }
}
