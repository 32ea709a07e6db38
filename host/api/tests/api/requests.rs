//! The requests that the `baremetal` command line 6.3 and openstacksdk 4.22 send, each in every spelling that they use.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use wrought_domain::{NodeId, ProvisionState};

use crate::host::{Host, NEWEST, Reply};

/// Method, path, the version that openstacksdk sends, body, status. `{name}` stands for the UUID of what was last created there. The
/// method `state` puts the node into a state.
type Row = (&'static str, &'static str, &'static str, &'static str, u16);

const NODES: &[Row] = &[
    ("GET", "/", "", "", 200),
    ("GET", "/v1", "", "", 200),
    ("GET", "/v1/chassis", "1.8", "", 200),
    ("POST", "/v1/chassis", "1.8", r#"{"description":"rack"}"#, 201),
    ("GET", "/v1/conductors", "1.49", "", 200),
    ("GET", "/v1/conductors/testhost", "1.49", "", 200),
    ("GET", "/v1/drivers", "1.86", "", 200),
    ("GET", "/v1/drivers?detail=True", "1.86", "", 200),
    ("GET", "/v1/drivers/fake-hardware", "1.86", "", 200),
    ("GET", "/v1/drivers/fake-hardware/properties", "1.86", "", 200),
    ("GET", "/v1/drivers/fake-hardware/raid/logical_disk_properties", "1.86", "", 200),
    ("GET", "/v1/drivers/fake-hardware/vendor_passthru/methods", "1.86", "", 200),
    (
        "POST",
        "/v1/nodes",
        "1.109",
        r#"{"driver":"fake-hardware","name":"ns~name","properties":{"cpu_arch":"x86_64"},"resource_class":"small"}"#,
        201,
    ),
    ("GET", "/v1/nodes", "1.109", "", 200),
    ("GET", "/v1/nodes?driver=fake-hardware&fields=uuid,name&limit=2&provision_state=enroll", "1.109", "", 200),
    ("GET", "/v1/nodes/detail?provision_state=enroll", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}", "1.109", "", 200),
    ("GET", "/v1/nodes/ns~name", "1.109", "", 200),
    ("GET", "/v1/nodes/ns%7Ename", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}?fields=uuid,provision_state,target_provision_state,last_error,reservation", "1.109", "", 200),
    (
        "PATCH",
        "/v1/nodes/{nodes}",
        "1.109",
        r#"[{"op":"add","path":"/description","value":"d"},{"op":"add","path":"/driver_info/a","value":"b"},
            {"op":"add","path":"/extra/a","value":{"b":[1]}},{"op":"add","path":"/instance_info/a","value":1},
            {"op":"add","path":"/owner","value":"o"},{"op":"add","path":"/properties/a","value":"b"}]"#,
        200,
    ),
    (
        "PATCH",
        "/v1/nodes/{nodes}",
        "1.109",
        r#"[{"op":"replace","path":"/description","value":"e"},{"op":"remove","path":"/driver_info/a"},{"op":"remove","path":"/extra/a"},
            {"op":"remove","path":"/description"}]"#,
        200,
    ),
    ("GET", "/v1/nodes/{nodes}/states", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/validate", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/bios", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/children", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/firmware", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/history", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/inventory", "1.109", "", 404),
    ("PUT", "/v1/nodes/{nodes}/maintenance", "1.109", r#"{"reason":"r"}"#, 202),
    ("DELETE", "/v1/nodes/{nodes}/maintenance", "1.109", "", 202),
    ("GET", "/v1/nodes/{nodes}/management/boot_device", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/management/boot_device/supported", "1.109", "", 200),
    ("PUT", "/v1/nodes/{nodes}/management/boot_device", "1.109", r#"{"boot_device":"pxe","persistent":false}"#, 204),
    ("PUT", "/v1/nodes/{nodes}/states/power", "1.109", r#"{"target":"power on"}"#, 202),
    ("PUT", "/v1/nodes/{nodes}/states/power", "1.109", r#"{"target":"soft rebooting","timeout":60}"#, 202),
    ("GET", "/v1/nodes/{nodes}/traits", "1.37", "", 200),
    ("PUT", "/v1/nodes/{nodes}/traits", "1.37", r#"{"traits":["CUSTOM_A","HW_CPU_X86_VMX"]}"#, 204),
    ("PUT", "/v1/nodes/{nodes}/traits/CUSTOM_B", "1.37", "{}", 204),
    ("DELETE", "/v1/nodes/{nodes}/traits/CUSTOM_B", "1.37", "", 204),
    ("DELETE", "/v1/nodes/{nodes}/traits", "1.37", "", 204),
    ("GET", "/v1/nodes/{nodes}/vendor_passthru/methods", "1.109", "", 200),
    ("POST", "/v1/nodes/{nodes}/vendor_passthru/blink", "1.109", r#"{"bar":"x"}"#, 202),
    ("POST", "/v1/nodes/{nodes}/vendor_passthru?method=blink", "1.109", r#"{"bar":"x"}"#, 202),
];

const PROVISIONING: &[Row] = &[
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"manage"}"#, 202),
    ("state", "manageable", "", "", 0),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"inspect"}"#, 202),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"provide"}"#, 202),
    (
        "PUT",
        "/v1/nodes/{nodes}/states/provision",
        "1.109",
        r#"{"target":"clean","clean_steps":[{"interface":"deploy","step":"erase_devices_metadata"}]}"#,
        202,
    ),
    ("state", "available", "", "", 0),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"active","configdrive":{"meta_data":{"hostname":"h"}}}"#, 202),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"active","configdrive":"H4sIAAAA"}"#, 202),
    ("state", "active", "", "", 0),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"rebuild"}"#, 202),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"rescue","rescue_password":"secret"}"#, 202),
    (
        "PUT",
        "/v1/nodes/{nodes}/states/provision",
        "1.109",
        r#"{"target":"service","service_steps":[{"interface":"bios","step":"apply_configuration","args":{"settings":[]}}]}"#,
        202,
    ),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"deleted"}"#, 202),
    ("state", "rescue", "", "", 0),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"unrescue"}"#, 202),
    ("state", "clean wait", "", "", 0),
    ("PUT", "/v1/nodes/{nodes}/states/provision", "1.109", r#"{"target":"abort"}"#, 202),
    ("state", "enroll", "", "", 0),
];

const WHAT_NODES_HAVE: &[Row] = &[
    ("GET", "/v1/portgroups", "1.26", "", 200),
    ("POST", "/v1/portgroups", "1.26", r#"{"node_uuid":"{nodes}","name":"pg"}"#, 201),
    ("DELETE", "/v1/portgroups/{portgroups}", "1.26", "", 204),
    ("POST", "/v1/ports", "1.101", r#"{"address":"52:54:00:00:00:01","node_uuid":"{nodes}"}"#, 201),
    ("GET", "/v1/ports", "1.101", "", 200),
    ("GET", "/v1/ports?node={nodes}", "1.101", "", 200),
    ("GET", "/v1/ports/detail", "1.101", "", 200),
    ("GET", "/v1/ports/{ports}", "1.101", "", 200),
    ("PATCH", "/v1/ports/{ports}", "1.101", r#"[{"op":"add","path":"/extra/a","value":"b"}]"#, 200),
    ("PATCH", "/v1/ports/{ports}", "1.101", r#"[{"op":"remove","path":"/extra/a"}]"#, 200),
    ("GET", "/v1/nodes/{nodes}/ports", "1.109", "", 200),
    ("GET", "/v1/nodes/{nodes}/vifs", "1.109", "", 200),
    ("POST", "/v1/nodes/{nodes}/vifs", "1.109", r#"{"id":"vif-1"}"#, 204),
    ("DELETE", "/v1/nodes/{nodes}/vifs/vif-1", "1.109", "", 204),
    ("GET", "/v1/volume", "1.32", "", 200),
    ("GET", "/v1/volume/connectors", "1.32", "", 200),
    ("GET", "/v1/volume/targets", "1.32", "", 200),
    ("DELETE", "/v1/ports/{ports}", "1.101", "", 204),
    ("GET", "/v1/shards", "1.82", "", 200),
    (
        "POST",
        "/v1/events",
        "1.109",
        r#"{"events":[{"event":"network.bind_port","port_id":"{ports}","mac_address":"52:54:00:00:00:01","status":"ACTIVE"}]}"#,
        204,
    ),
];

const REST: &[Row] = &[
    ("GET", "/v1/allocations", "1.60", "", 200),
    ("POST", "/v1/allocations", "1.60", r#"{"name":"a","resource_class":"small","candidate_nodes":["{nodes}"]}"#, 201),
    ("GET", "/v1/allocations/{allocations}", "1.60", "", 200),
    ("GET", "/v1/allocations/a", "1.60", "", 200),
    ("DELETE", "/v1/allocations/{allocations}", "1.60", "", 204),
    ("GET", "/v1/nodes/{nodes}/allocation", "1.60", "", 404),
    ("GET", "/v1/deploy_templates", "1.55", "", 200),
    (
        "POST",
        "/v1/deploy_templates",
        "1.55",
        r#"{"name":"CUSTOM_T","steps":[{"interface":"bios","step":"apply_configuration","args":{},"priority":150}]}"#,
        201,
    ),
    ("DELETE", "/v1/deploy_templates/{deploy_templates}", "1.55", "", 204),
    ("GET", "/v1/runbooks", "1.112", "", 200),
    (
        "POST",
        "/v1/runbooks",
        "1.112",
        r#"{"name":"CUSTOM_R","steps":[{"interface":"bios","step":"apply_configuration","args":{},"order":1}]}"#,
        201,
    ),
    ("DELETE", "/v1/runbooks/{runbooks}", "1.112", "", 204),
    ("GET", "/v1/inspection_rules", "1.96", "", 200),
    ("GET", "/v1/nodes/{nodes}/states/console", "1.109", "", 200),
    ("DELETE", "/v1/chassis/{chassis}", "1.8", "", 204),
    ("DELETE", "/v1/nodes/{nodes}", "1.109", "", 204),
    ("GET", "/v1/nodes/{nodes}", "1.109", "", 404),
];

/// How a client writes its requests.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    /// The command line: 1.115 on every request.
    Plain,
    /// The command line's lists.
    TrailingSlash,
    /// The SDK: both headers, with the version of the resource.
    Sdk,
    /// Without `/v1`.
    Unversioned,
}

fn request(spelling: Spelling, method: &str, path: &str, sdk: &str, body: &str) -> Request<Body> {
    let (path, query) = path.split_once('?').map_or((path, String::new()), |(path, query)| (path, format!("?{query}")));
    let path = match spelling {
        Spelling::TrailingSlash if path != "/" => format!("{path}/"),
        Spelling::Unversioned => path.strip_prefix("/v1").filter(|rest| !rest.is_empty()).unwrap_or(path).to_owned(),
        _ => path.to_owned(),
    };
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(format!("{path}{query}"));
    let request = request.header("Content-Type", "application/json").header("Accept", "application/json").header("X-Auth-Token", "");
    let request = match spelling {
        Spelling::Sdk if sdk.is_empty() => request,
        Spelling::Sdk => request.header("X-OpenStack-Ironic-API-Version", sdk).header("OpenStack-API-Version", format!("baremetal {sdk}")),
        _ => request.header("X-OpenStack-Ironic-API-Version", NEWEST),
    };
    request.body(Body::from(body.to_owned())).unwrap()
}

/// What is wrong with an answer.
fn wrong(reply: &Reply, status: u16, what: &str) -> Option<String> {
    let said = String::from_utf8_lossy(&reply.bytes);
    if reply.status.as_u16() != status {
        return Some(format!("{} and not {status}: {said}", reply.status));
    }
    let id = reply.header("x-openstack-request-id");
    if !id.starts_with("req-") || id != reply.header("openstack-request-id") {
        return Some(format!("request id {id}"));
    }
    let versions = ["", "-minimum", "-maximum"].map(|part| format!("x-openstack-ironic-api{part}-version"));
    if versions.iter().any(|header| !reply.header(header).starts_with("1.")) {
        return Some(format!("{:?}", reply.headers));
    }
    match status {
        202 | 204 if !reply.bytes.is_empty() => return Some(said.into()),
        // Where to look how it goes on.
        202 if what.contains("/states/") || what.contains("vendor_passthru") => {
            return (!reply.header("location").ends_with("/states")).then(|| format!("{:?}", reply.headers));
        }
        202 | 204 => return None,
        _ if reply.header("content-type") != "application/json" => return Some(reply.header("content-type").to_owned()),
        _ => {}
    }
    let document = reply.json();
    let (location, uuid) = (reply.header("location"), document["uuid"].as_str().unwrap_or("none"));
    let located = status != 201 || (location.starts_with("http://api.test/v1/") && location.ends_with(uuid));
    (!located).then(|| format!("{location} and not {uuid}"))
}

async fn play(spelling: Spelling, rows: &[&[Row]], defects: &mut Vec<String>) {
    let host = Host::new().await;
    let mut made: Vec<(String, String)> = Vec::new();
    for (method, path, sdk, body, status) in rows.iter().copied().flatten().copied() {
        let fill = |text: &str| made.iter().rev().fold(text.to_owned(), |text, (name, uuid)| text.replace(&format!("{{{name}}}"), uuid));
        if method == "state" {
            let (node, state) = (NodeId(fill("{nodes}").parse().unwrap()), path.parse::<ProvisionState>().unwrap());
            host.edit(node, move |node| {
                node.provision_state = state;
                node.target_provision_state = None;
            })
            .await;
            continue;
        }
        let (path, body) = (fill(path), fill(body));
        let reply = host.send(request(spelling, method, &path.replace(['{', '}'], ""), sdk, &body)).await;
        let what = format!("{spelling:?} {method} {path} {body}");
        defects.extend(wrong(&reply, status, &what).map(|wrong| format!("{what}: {wrong}")));
        if reply.status.as_u16() == 201 {
            made.push((path.rsplit('/').next().unwrap().to_owned(), reply.json()["uuid"].as_str().unwrap().to_owned()));
        }
    }
    let _ = host.asked();
}

#[tokio::test]
async fn every_request_of_the_clients_is_answered_in_every_spelling() {
    let mut defects = Vec::new();
    for spelling in [Spelling::Plain, Spelling::TrailingSlash, Spelling::Sdk, Spelling::Unversioned] {
        play(spelling, &[NODES, PROVISIONING, WHAT_NODES_HAVE, REST], &mut defects).await;
    }
    assert!(defects.is_empty(), "{}", defects.join("\n"));
}

/// Over a socket, where headers such as `Content-Length` are the server's.
#[tokio::test]
async fn an_answer_without_a_body_says_that_it_has_none() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = Host::new().await;
    host.enroll("n").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(wrought_api::serve(listener, host.router.clone(), async move {
        let _ = stopped.await;
    }));
    for (line, body, head) in [
        ("PUT /v1/nodes/n/maintenance", "{}", "HTTP/1.1 202 Accepted"),
        ("PUT /v1/nodes/n/states/power", r#"{"target":"power on"}"#, "HTTP/1.1 202 Accepted"),
        ("PUT /v1/nodes/n/management/boot_device", r#"{"boot_device":"pxe"}"#, "HTTP/1.1 204 No Content"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: h\r\nX-OpenStack-Ironic-API-Version: 1.109\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let answer = answer.to_lowercase();
        assert!(answer.starts_with(&head.to_lowercase()), "{line}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{line}: {answer}");
        assert_eq!(answer.contains("content-length: 0"), head.contains("202"), "{line}: {answer}");
    }
    let _ = stop.send(());
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_global_request_id_is_taken_and_the_answer_keeps_its_own() {
    let host = Host::new().await;
    for given in ["req-3dccb8c4-08fe-4706-a91d-e843b8fe9ed2", "nonsense", "req-", ""] {
        let request = Request::get("/v1/nodes").header("X-OpenStack-Request-ID", given).header("X-OpenStack-Ironic-API-Version", "1.107");
        let reply = host.send(request.body(Body::empty()).unwrap()).await.expect(200);
        let id = reply.header("x-openstack-request-id");
        assert!(id.starts_with("req-") && id.len() == 40 && id != given, "{given}: {id}");
    }
}

#[tokio::test]
async fn booleans_have_ironics_spellings() {
    let host = Host::new().await;
    host.enroll("n").await;
    for (given, wanted) in [
        ("1", true),
        ("t", true),
        ("true", true),
        ("True", true),
        ("TRUE", true),
        ("on", true),
        ("y", true),
        ("YES", true),
        ("0", false),
        ("f", false),
        ("False", false),
        ("off", false),
        ("N", false),
        ("no", false),
    ] {
        let found = host.get(&format!("/v1/nodes?associated={given}")).await.expect(200).json();
        assert_eq!(found["nodes"].as_array().unwrap().is_empty(), wanted, "{given}");
        let changes = json!([{"op": "add", "path": "/disable_power_off", "value": given}]);
        assert_eq!(host.patch("/v1/nodes/n", changes).await.expect(200).json()["disable_power_off"], wanted, "{given}");
    }
    for wrong in ["2", "tru", "none", "-1", "1.0", ""] {
        let reply = host.get(&format!("/v1/nodes?associated={wrong}")).await.expect(400);
        assert!(reply.fault().contains("acceptable values are: '0', '1', 'f', 'false'"), "{}", reply.fault());
    }
}

#[tokio::test]
async fn query_and_body_are_one_name_space_where_the_body_is_no_resource() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for path in [
        "/v1/nodes/n/states/power?target=power%20on",
        "/v1/nodes/n/maintenance?reason=r",
        "/v1/nodes/n/states/provision?target=manage",
        "/v1/nodes/n/management/boot_device?boot_device=pxe&persistent=true",
    ] {
        let status = if path.contains("boot_device") { 204 } else { 202 };
        host.put(path, Value::Null).await.expect(status);
        host.put(path, json!({})).await.expect(status);
        host.put(&format!("{path}&colour=red"), Value::Null).await.expect(400);
        host.put(path, json!({"colour": "red"})).await.expect(400);
    }
    assert_eq!(host.stored(node).await.maintenance_reason.as_deref(), Some("r"));
    // Where the body is a resource, the query is not part of it.
    host.post("/v1/nodes?driver=redfish", json!({"name": "m"})).await.expect(400);
    host.call("PATCH", "/v1/nodes/n?name=m", NEWEST, json!([])).await.expect(400);
}

/// gophercloud compares codes, and finds nodes by their name after their UUID.
#[tokio::test]
async fn metal3_enrolls_deploys_and_releases() {
    let host = Host::new().await;
    let call = |method: &'static str, path: String, body: Value| host.call(method, Box::leak(path.into_boxed_str()), "1.109", body);
    let root = host.send(Request::get("/").body(Body::empty()).unwrap()).await.expect(200).json();
    assert_eq!(root["versions"][0]["version"], "1.115");
    call("GET", "/v1/nodes/metal3~worker-0".into(), Value::Null).await.expect(404);
    let node = json!({
        "driver": "redfish", "name": "metal3~worker-0", "boot_interface": "redfish-virtual-media", "inspect_interface": "agent",
        "driver_info": {"redfish_address": "https://bmc", "redfish_system_id": "/redfish/v1/Systems/1", "redfish_username": "u",
            "redfish_password": "p", "redfish_verify_ca": false, "deploy_iso": "http://i/a.iso"},
        "disable_power_off": false, "extra": {"a": 1},
    });
    let uuid = call("POST", "/v1/nodes".into(), node).await.expect(201).json()["uuid"].as_str().unwrap().to_owned();
    let at = |rest: &str| format!("/v1/nodes/{uuid}{rest}");
    let put = |rest: &str, body: Value| call("PUT", at(rest), body);
    let state = |state| host.edit(NodeId(uuid.parse().unwrap()), move |node| node.provision_state = state);
    put("/states/provision", json!({"target": "manage"})).await.expect(202);
    state(ProvisionState::Manageable).await;
    let port = json!({"node_uuid": uuid, "address": "52:54:00:00:00:01", "pxe_enabled": true, "physical_network": "p"});
    call("POST", "/v1/ports".into(), port).await.expect(201);
    call("GET", "/v1/ports?address=52%3A54%3A00%3A00%3A00%3A01&fields=node_uuid".into(), Value::Null).await.expect(200);
    let changes = json!([
        {"op": "replace", "path": "/instance_uuid", "value": uuid}, {"op": "add", "path": "/instance_info/image_source", "value": "http://i/x"},
        {"op": "add", "path": "/instance_info/capabilities", "value": {"boot_option": "local"}}, {"op": "add", "path": "/properties/root_device",
         "value": {"name": "s== /dev/sda"}}, {"op": "add", "path": "/automated_clean", "value": false}, {"op": "remove", "path": "/extra/a"},
    ]);
    call("PATCH", at(""), changes).await.expect(200);
    let seen = call("GET", at("/validate"), Value::Null).await.expect(200).json();
    assert!(seen["power"]["result"].is_boolean());
    put("/states/provision", json!({"target": "inspect"})).await.expect(202);
    call("GET", at("/inventory"), Value::Null).await.expect(404);
    put("/states/provision", json!({"target": "clean", "clean_steps": [{"interface": "deploy", "step": "erase_devices", "args": {}}]}))
        .await
        .expect(202);
    put("/states/provision", json!({"target": "provide"})).await.expect(202);
    state(ProvisionState::Available).await;
    let deploy = json!({"target": "active", "configdrive": {"meta_data": {"uuid": uuid}, "user_data": "x", "network_data": {}}});
    put("/states/provision", deploy).await.expect(202);
    state(ProvisionState::Active).await;
    put("/states/power", json!({"target": "soft power off", "timeout": 5})).await.expect(202);
    put("/maintenance", json!({"reason": "m"})).await.expect(202);
    call("DELETE", at("/maintenance"), Value::Null).await.expect(202);
    put("/states/provision", json!({"target": "deleted"})).await.expect(202);
    call("DELETE", at(""), Value::Null).await.expect(409);
    call("PATCH", at(""), json!([{"op": "remove", "path": "/instance_uuid"}])).await.expect(200);
    state(ProvisionState::Manageable).await;
    call("DELETE", at(""), Value::Null).await.expect(204);
    call("GET", at(""), Value::Null).await.expect(404);
    let _ = host.asked();
}

/// What Ironic 39.0.0 answers with a 500, or wrongly.
#[tokio::test]
async fn ironics_known_defects_are_not_here() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for list in ["nodes", "ports", "deploy_templates", "runbooks", "drivers", "conductors", "inspection_rules"] {
        let reply = host.get(&format!("/v1/{list}?fields=colour")).await.expect(400);
        assert_eq!(reply.fault(), "Field(s) \"colour\" are not valid", "{list}");
    }
    for body in ["{", "[{]", "\u{feff}[]", "nope", "[1", "\"\\ud800\""] {
        let request = Request::patch("/v1/nodes/n").header("X-OpenStack-Ironic-API-Version", NEWEST);
        let reply = host.send(request.header("Content-Type", "application/json").body(Body::from(body)).unwrap()).await.expect(400);
        assert!(reply.fault().contains("not valid JSON"), "{body}: {}", reply.fault());
    }
    host.edit(node, |node| node.provision_state = ProvisionState::Manageable).await;
    let steps = json!({"target": "clean", "clean_steps": [{"interface": "deploy"}]});
    assert!(host.put("/v1/nodes/n/states/provision", steps).await.expect(400).fault().contains("'step' is a required property"));
    host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201);
    assert_eq!(host.get("/v1/nodes/n/ports").await.expect(200).json()["ports"].as_array().unwrap().len(), 1);
    let changes = json!([
        {"op": "add", "path": "/extra/a~1b", "value": 1}, {"op": "add", "path": "/extra/c~0d", "value": 2},
        {"op": "add", "path": "/extra/e.f", "value": 3}, {"op": "add", "path": "/extra/~01", "value": 4},
    ]);
    let extra = host.patch("/v1/nodes/n", changes).await.expect(200).json()["extra"].clone();
    assert_eq!(extra, json!({"a/b": 1, "c~d": 2, "e.f": 3, "~1": 4}));
    host.edit(node, |node| {
        node.provision_state = ProvisionState::Servicing;
        node.target_provision_state = Some(ProvisionState::Active);
    })
    .await;
    host.patch("/v1/nodes/n", json!([{"op": "add", "path": "/extra/x", "value": 1}])).await.expect(409);
}

/// 406 has the headers too, and says which versions there are.
#[tokio::test]
async fn what_is_not_acceptable_is_said_with_the_range_of_versions() {
    let host = Host::new().await;
    host.enroll("n").await;
    for (path, header, value, text) in [
        ("/v1/nodes", "X-OpenStack-Ironic-API-Version", "1.200", "Version 1.200 was requested but the minor version is not supported"),
        ("/v1/nodes", "X-OpenStack-Ironic-API-Version", "1.0", "Version 1.0 was requested but the minor version is not supported"),
        ("/v1/nodes", "OpenStack-API-Version", "baremetal 1.200", "Version 1.200 was requested but the minor version is not supported"),
        ("/v1/nodes", "X-OpenStack-Ironic-API-Version", "3.1", "Mutually exclusive versions requested."),
        ("/v1/nodes", "X-OpenStack-Ironic-API-Version", "newest", "Invalid value for X-OpenStack-Ironic-API-Version header"),
        ("/v1/nodes?owner=x", "X-OpenStack-Ironic-API-Version", "1.49", "Request not acceptable."),
        ("/v1/nodes/n?fields=owner", "X-OpenStack-Ironic-API-Version", "1.49", "Request not acceptable."),
    ] {
        let reply = host.send(Request::get(path).header(header, value).body(Body::empty()).unwrap()).await.expect(406);
        assert!(reply.fault().starts_with(text), "{value}: {}", reply.fault());
        assert_eq!(reply.header("x-openstack-ironic-api-minimum-version"), "1.1");
        assert_eq!(reply.header("x-openstack-ironic-api-maximum-version"), "1.115");
        assert!(reply.header("x-openstack-request-id").starts_with("req-"));
    }
    let latest = Request::get("/v1/nodes").header("OpenStack-API-Version", "baremetal latest").body(Body::empty()).unwrap();
    assert_eq!(host.send(latest).await.expect(200).header("x-openstack-ironic-api-version"), "1.115");
}
