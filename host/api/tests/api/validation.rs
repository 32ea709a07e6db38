//! Bodies and queries that are not what they should be: refused with a clear text, and never the host's fault.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use wrought_api::ApiConfig;
use wrought_domain::ProvisionState;

use crate::host::{Host, NEWEST, Reply};

async fn raw(host: &Host, method: &str, path: &str, kind: Option<&str>, body: impl Into<Body>) -> Reply {
    let request = Request::builder().method(method).uri(path).header("X-OpenStack-Ironic-API-Version", NEWEST);
    let request = kind.into_iter().fold(request, |request, kind| request.header("Content-Type", kind));
    host.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn json_that_can_be_understood_in_two_ways_is_refused() {
    let host = Host::new().await;
    host.enroll("n").await;
    for (body, text) in [
        (&br#"{"driver":"redfish","driver":"fake-hardware"}"#[..], "the key 'driver' is there twice"),
        (br#"{"driver":"redfish","extra":{"a":{"b":1,"b":2}}}"#, "the key 'b' is there twice"),
        (br#"{"driver":"redfish","description":"a\u0000b"}"#, "NUL"),
        (br#"{"driver":"redfish","extra":{"\u0000":1}}"#, "NUL"),
        (br#"{"driver":"redfish","extra":{"a":NaN}}"#, "not valid JSON"),
        (br#"{"driver":"redfish","extra":{"a":Infinity}}"#, "not valid JSON"),
        (br#"{"driver":"redfish","extra":{"a":1e999}}"#, "out of range"),
        (br#"{"driver":"redfish","extra":{"a":123456789012345678901234567890}}"#, "too large"),
        (br#"{"driver":"redfish","extra":{"a":"\ud800"}}"#, "not valid JSON"),
        (b"{\"driver\":\"redfish\",\"extra\":{\"a\":\"\xff\"}}", "not valid JSON"),
        (b"{'driver': 'redfish'}", "not valid JSON"),
        (br#"{"driver":"redfish"} x"#, "not valid JSON"),
        (br#"["driver"]"#, "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"", "not valid JSON"),
    ] {
        let reply = raw(&host, "POST", "/v1/nodes", Some("application/json"), body).await.expect(400);
        assert!(reply.fault().contains(text), "{}: {}", String::from_utf8_lossy(body), reply.fault());
    }
    assert_eq!(host.get("/v1/nodes").await.json()["nodes"].as_array().unwrap().len(), 1);
    // What is exact stays so.
    let numbers = json!({"a": 18_446_744_073_709_551_615_u64, "b": -9_223_372_036_854_775_808_i64, "c": 0.1, "d": "\u{10ffff}é"});
    let node = host.post("/v1/nodes", json!({"driver": "redfish", "extra": numbers})).await.expect(201).json();
    assert_eq!(node["extra"], numbers);
}

#[tokio::test]
async fn a_body_is_json_or_says_that_it_is() {
    let host = Host::new().await;
    let body = json!({"driver": "redfish"}).to_string();
    for (kind, status) in [
        (None, 201),
        (Some("application/json"), 201),
        (Some("application/json; charset=utf-8"), 201),
        (Some("APPLICATION/JSON"), 201),
        (Some("application/json-patch+json"), 201),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("multipart/form-data; boundary=x"), 415),
        (Some("application/octet-stream"), 415),
        (Some(""), 415),
    ] {
        let reply = raw(&host, "POST", "/v1/nodes", kind, body.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{kind:?}: {}", String::from_utf8_lossy(&reply.bytes));
        if status == 415 {
            assert!(reply.fault().contains("application/json"), "{}", reply.fault());
        }
    }
    // Without a body nothing is said about it.
    raw(&host, "GET", "/v1/nodes", Some("text/html"), "").await.expect(200);
}

#[tokio::test]
async fn a_query_is_utf8_percent_encoded_and_names_each_argument_once() {
    let host = Host::new().await;
    host.enroll("n").await;
    let long = format!("owner={}", "x".repeat(16 * 1024));
    for (query, text) in [
        ("maintenance=true&maintenance=false", "The argument maintenance is given more than once."),
        ("fields=uuid&fields=name", "The argument fields is given more than once."),
        ("owner=%zz", "cannot be decoded"),
        ("owner=%", "cannot be decoded"),
        ("owner=%f", "cannot be decoded"),
        ("owner=%ff", "cannot be decoded"),
        ("%ff=1", "cannot be decoded"),
        ("owner=%00", "NUL"),
        ("=1", "Unexpected arguments: "),
        ("marker=x", "Expected a UUID"),
        ("limit=1e3", "Expected an integer"),
        ("limit=0x10", "Expected an integer"),
        (long.as_str(), "too long"),
    ] {
        let reply = host.get(&format!("/v1/nodes?{query}")).await.expect(400);
        assert!(reply.fault().contains(text), "{:.40}: {}", query, reply.fault());
    }
    let names: Vec<String> = (0..40).map(|n| format!("argument-{n}=1")).collect();
    let reply = host.get(&format!("/v1/nodes?{}", names.join("&"))).await.expect(400);
    assert!(reply.fault().len() < 1000, "{}", reply.fault());
    for query in ["owner=", "owner=%C3%A9+x", "description_contains=%25", "&&", "owner=a%26b"] {
        host.get(&format!("/v1/nodes?{query}")).await.expect(200);
    }
}

#[tokio::test]
async fn a_patch_is_a_list_of_changes() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let before = host.stored(node).await;
    for (changes, text) in [
        (json!(null), "Invalid patch"),
        (json!("x"), "Invalid patch"),
        (json!([1]), "Invalid patch"),
        (json!(["x"]), "Invalid patch"),
        (json!([[]]), "Invalid patch"),
        (json!([null]), "Invalid patch"),
        (json!([{}]), "Invalid patch"),
        (json!([{"op": "add"}]), "Invalid patch"),
        (json!([{"op": 1, "path": "/extra/a", "value": 1}]), "Invalid patch"),
        (json!([{"op": "add", "path": 1, "value": 1}]), "Invalid patch"),
        (json!([{"op": "add", "path": "/extra/a", "value": 1, "from": "/x"}]), "Invalid patch"),
        (json!([{"op": "ADD", "path": "/extra/a", "value": 1}]), "use add, replace or remove"),
        (json!([{"op": "copy", "path": "/extra/a", "value": 1}]), "use add, replace or remove"),
        (json!([{"op": "add", "path": "", "value": {}}]), "JSON Pointer"),
        (json!([{"op": "add", "path": "/", "value": {}}]), "JSON Pointer"),
        (json!([{"op": "add", "path": "extra/a", "value": 1}]), "JSON Pointer"),
        (json!([{"op": "add", "path": "/extra/~3", "value": 1}]), "JSON Pointer"),
        (json!([{"op": "add", "path": "/extra/a/b/c", "value": 1}]), "does not exist"),
        (json!([{"op": "add", "path": "/extra/l", "value": [1]}, {"op": "add", "path": "/extra/l/+0", "value": 2}]), "does not exist"),
        (json!([{"op": "add", "path": "/extra/l", "value": [1]}, {"op": "remove", "path": "/extra/l/00"}]), "does not exist"),
        (json!([{"op": "add", "path": "/extra/l", "value": [1]}, {"op": "remove", "path": "/extra/l/-"}]), "does not exist"),
        (json!([{"op": "add", "path": "/name/x", "value": 1}]), "does not exist"),
        (json!([{"op": "replace", "path": "/extra", "value": null}, {"op": "replace", "path": "/driver", "value": null}]), "driver"),
        (Value::Array(vec![json!({"op": "add", "path": "/extra/a", "value": 1}); 1001]), "at most 1000 changes"),
    ] {
        let reply = host.send(patch_of(&changes)).await.expect(400);
        assert!(reply.fault().contains(text), "{:.120}: {}", changes.to_string(), reply.fault());
    }
    assert_eq!(host.stored(node).await, before);
    host.patch("/v1/nodes/n", json!([])).await.expect(200);
}

fn patch_of(changes: &Value) -> Request<Body> {
    let request = Request::patch("/v1/nodes/n").header("X-OpenStack-Ironic-API-Version", NEWEST);
    request.header("Content-Type", "application/json").body(Body::from(changes.to_string())).unwrap()
}

/// What one body may not bring, many small ones may not make.
#[tokio::test]
async fn small_patches_do_not_grow_a_node_without_end() {
    let host = Host::with(ApiConfig { max_body_bytes: 20_000, ..ApiConfig::default() }).await;
    let node = host.enroll("n").await;
    let add = |path: String, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    let mut path = "/extra/d".to_owned();
    let mut refused = None;
    for _ in 0..40 {
        let reply = host.patch("/v1/nodes/n", add(path.clone(), json!({}))).await;
        if reply.status.as_u16() != 200 {
            refused = Some(reply.expect(400).fault());
            break;
        }
        path.push_str("/d");
    }
    assert!(refused.unwrap().contains("nested too deeply"));
    host.patch("/v1/nodes/n", json!([{"op": "remove", "path": "/extra"}])).await.expect(200);
    for n in 0..3 {
        let reply = host.patch("/v1/nodes/n", add(format!("/extra/{n}"), json!("x".repeat(9_000)))).await;
        assert_eq!(reply.status.as_u16(), if n < 2 { 200 } else { 400 }, "{n}");
    }
    // What is large already may shrink.
    host.edit(node, |node| {
        node.instance_info.insert("configdrive".into(), json!("x".repeat(50_000)));
        node.instance_info.insert("a".into(), json!(1));
    })
    .await;
    host.patch("/v1/nodes/n", json!([{"op": "remove", "path": "/instance_info/a"}])).await.expect(200);
    host.patch("/v1/nodes/n", add("/instance_info/b".into(), json!("more"))).await.expect(400);
}

#[tokio::test]
async fn fields_hold_what_their_table_says() {
    let host = Host::new().await;
    host.enroll("n").await;
    let texts = |count: usize| json!("é".repeat(count));
    for (field, value, status) in [
        ("description", texts(4096), 200),
        ("description", texts(4097), 400),
        ("description", json!(7), 400),
        ("owner", texts(255), 200),
        ("owner", texts(256), 400),
        ("resource_class", texts(81), 400),
        ("instance_name", json!(""), 400),
        ("name", json!(""), 400),
        ("name", json!("x".repeat(256)), 400),
        ("name", json!("..."), 400),
        ("name", json!("é"), 400),
        ("name", json!("ports"), 400),
        ("extra", json!([]), 400),
        ("properties", json!("{}"), 400),
        ("maintenance", json!("perhaps"), 400),
        ("maintenance", json!(2), 400),
        ("maintenance", json!([]), 400),
        ("automated_clean", json!(null), 200),
        ("automated_clean", json!({}), 400),
        ("instance_uuid", json!(7), 400),
        ("instance_uuid", json!("0b5e55ed-1ab0-4000-8000-00000000c0dé"), 400),
        ("deploy_interface", json!(["direct"]), 400),
        ("network_data", json!({"links": [], "networks": []}), 400),
        ("network_data", json!({"links": [{"id": "a", "type": "phy"}], "networks": [], "services": []}), 400),
        ("network_data", json!({"links": [], "networks": [], "services": []}), 200),
    ] {
        let changes = json!([{"op": "add", "path": format!("/{field}"), "value": value}]);
        let reply = host.send(patch_of(&changes)).await;
        assert_eq!(reply.status.as_u16(), status, "{field} {:.60}: {}", value.to_string(), String::from_utf8_lossy(&reply.bytes));
        if status == 400 {
            assert!(reply.fault().len() < 600, "{}", reply.fault());
        }
    }
}

#[tokio::test]
async fn traits_and_steps_are_bounded() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for traits in [json!("CUSTOM_A"), json!({"CUSTOM_A": 1}), json!([1]), json!([null]), json!([["CUSTOM_A"]]), json!(["CUSTOM_é"])] {
        host.put("/v1/nodes/n/traits", json!({"traits": traits})).await.expect(400);
    }
    let name = |length: usize| format!("CUSTOM_{}", "A".repeat(length - 7));
    host.put("/v1/nodes/n/traits", json!({"traits": [name(255)]})).await.expect(204);
    host.put("/v1/nodes/n/traits", json!({"traits": [name(256)]})).await.expect(400);
    let fifty: Vec<String> = (0..50).map(|n| format!("CUSTOM_{n}")).collect();
    host.put("/v1/nodes/n/traits", json!({"traits": fifty})).await.expect(204);
    host.put("/v1/nodes/n/traits/CUSTOM_50", Value::Null).await.expect(400);
    host.edit(node, |node| node.provision_state = ProvisionState::Manageable).await;
    let step = json!({"interface": "deploy", "step": "erase_devices"});
    for (steps, text) in [
        (json!({}), "expected a list"),
        (json!([]), "names no step"),
        (json!([1]), "expected an object"),
        (json!([{"interface": "deploy", "step": "a", "colour": 1}]), "'colour' was unexpected"),
        (json!([{"interface": "colour", "step": "a"}]), "'colour' is not an interface"),
        (json!([{"interface": "deploy", "step": "a", "args": []}]), "args is not an object"),
        (Value::Array(vec![step.clone(); 101]), "at most 100 steps"),
    ] {
        let body = json!({"target": "clean", "clean_steps": steps});
        let reply = host.put("/v1/nodes/n/states/provision", body).await.expect(400);
        assert!(reply.fault().contains(text), "{steps:.80}: {}", reply.fault());
    }
    assert!(host.asked().is_empty());
}

#[tokio::test]
async fn what_a_port_is_wired_to_has_a_form() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for (link, status) in [
        (json!({}), 201),
        (json!({"switch_id": "0a:1b:2c:3d:4e:5f", "port_id": "Ethernet3/1", "switch_info": "switch1"}), 201),
        (json!({"port_id": "rep0-0", "hostname": "host1"}), 201),
        (json!({"network_type": "unmanaged"}), 201),
        (json!({"switch_id": "0a:1b:2c:3d:4e:5f", "port_id": "1", "colour": "red"}), 400),
        (json!({"network_type": "other"}), 400),
        (json!({"switch_id": 7, "port_id": "1"}), 400),
        (json!({"switch_id": "nonsense", "port_id": "1"}), 400),
        (json!([]), 400),
    ] {
        let port = json!({"node_uuid": node, "address": "52:54:00:00:00:01", "local_link_connection": link});
        let reply = host.post("/v1/ports", port).await;
        assert_eq!(reply.status.as_u16(), status, "{link}: {}", String::from_utf8_lossy(&reply.bytes));
        if status == 201 {
            host.delete(&format!("/v1/ports/{}", reply.json()["uuid"].as_str().unwrap())).await.expect(204);
        }
    }
}

/// Each limit holds while the body arrives: what comes after it is not read.
#[tokio::test]
async fn bodies_are_refused_as_soon_as_they_are_too_long() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let host = Host::new().await;
    let node = host.enroll("n").await;
    for (method, path, limit) in [
        ("POST", "/v1/nodes".to_owned(), 1 << 20),
        ("PATCH", format!("/v1/nodes/{node}"), 1 << 20),
        ("PUT", format!("/v1/nodes/{node}/states/power"), 1 << 20),
        ("PUT", format!("/v1/nodes/{node}/states/provision"), 64 << 20),
        ("POST", "/v1/continue_inspection".to_owned(), 16 << 20),
    ] {
        const PIECE: usize = 256 << 10;
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let endless = futures::stream::iter((0..4096).map(move |_| {
            counter.fetch_add(PIECE, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b' '; PIECE])
        }));
        let reply = raw(&host, method, &path, Some("application/json"), Body::from_stream(endless)).await.expect(413);
        assert_eq!(reply.json()["faultcode"], "Client", "{path}");
        assert!(sent.load(Ordering::Relaxed) <= limit + 2 * PIECE, "{path}: {}", sent.load(Ordering::Relaxed));
    }
}
