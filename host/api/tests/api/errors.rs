use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use wrought_api::ApiConfig;

use crate::host::{Host, NEWEST};

#[tokio::test]
async fn errors_are_encoded_twice() {
    let host = Host::new().await;
    let reply = host.get("/v1/nodes/0b5e55ed-1ab0-4000-8000-00000000c0de").await.expect(404);
    assert_eq!(
        String::from_utf8_lossy(&reply.bytes),
        r#"{"error_message":"{\"faultcode\":\"Client\",\"faultstring\":\"Node 0b5e55ed-1ab0-4000-8000-00000000c0de could not be found.\",\"debuginfo\":null}"}"#
    );
    assert_eq!(reply.header("content-type"), "application/json");
    let reply = host.get("/v1/nothing").await.expect(404);
    assert_eq!(
        String::from_utf8_lossy(&reply.bytes),
        r#"{"error_message":"{\"code\":404,\"title\":\"Not Found\",\"description\":\"The resource could not be found.\"}"}"#
    );
}

#[tokio::test]
async fn another_method_is_answered_405_with_what_is_allowed() {
    let host = Host::new().await;
    host.enroll("n").await;
    for (method, path, allowed) in [
        ("PUT", "/v1/nodes/n", vec!["GET", "PATCH", "DELETE"]),
        ("POST", "/v1/drivers", vec!["GET"]),
        ("GET", "/v1/nodes/n/states/provision", vec!["PUT"]),
        ("PUT", "/v1/allocations", vec!["GET", "POST"]),
        ("PUT", "/v1/runbooks/x", vec!["GET", "PATCH", "DELETE"]),
    ] {
        let reply = host.call(method, path, NEWEST, Value::Null).await.expect(405);
        for verb in allowed {
            assert!(reply.header("allow").contains(verb), "{method} {path}: {}", reply.header("allow"));
        }
        assert!(reply.fault().contains("is not allowed"), "{}", reply.fault());
    }
}

#[tokio::test]
async fn json_that_is_too_deep_or_too_long_is_refused_without_the_wrapper() {
    let host = Host::with(ApiConfig { max_body_bytes: 4096, max_provision_body_bytes: 8192, ..ApiConfig::default() }).await;
    let node = host.enroll("n").await;
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let post = |body: String| Request::post("/v1/nodes").header("X-OpenStack-Ironic-API-Version", NEWEST).body(Body::from(body)).unwrap();
    let reply = host.send(post(nested(26))).await.expect(400);
    assert_eq!(reply.json()["faultcode"], "Client");
    assert!(reply.json()["faultstring"].as_str().unwrap().contains("25 levels"));
    assert!(host.send(post(nested(25))).await.expect(400).json()["error_message"].is_string());
    // Bodies of a stated and of an unknown length.
    let long = "x".repeat(5000);
    let reply = host.send(post(long.clone())).await.expect(413);
    assert_eq!(reply.json()["faultcode"], "Client");
    let chunks = futures::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>("y".repeat(1000))));
    let streamed = Request::post("/v1/nodes").body(Body::from_stream(chunks)).unwrap();
    host.send(streamed).await.expect(413);
    // A provision request may be longer.
    host.edit(node, |node| node.provision_state = wrought_domain::ProvisionState::Available).await;
    host.put("/v1/nodes/n/states/provision", json!({"target": "active", "configdrive": long})).await.expect(202);
}

#[tokio::test]
async fn a_panic_in_a_handler_is_a_500_without_details() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.edit(node, |node| node.provision_state = wrought_domain::ProvisionState::Manageable).await;
    let reply = host.put("/v1/nodes/n/states/provision", json!({"target": "adopt"})).await.expect(500);
    assert_eq!(reply.fault(), "Internal error of the host; its log has the details.");
    host.get("/v1/nodes/n").await.expect(200);
}

/// Every route, with bodies and arguments that nobody expects: the client is told, and nothing is
/// the host's fault.
#[tokio::test]
async fn nonsense_is_never_a_500() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let port = host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:00:00:01"})).await.expect(201).json()["uuid"].clone();
    let port = format!("/v1/ports/{}", port.as_str().unwrap());
    let below = [
        "",
        "/states",
        "/states/provision",
        "/states/power",
        "/states/console",
        "/states/raid",
        "/states/boot_mode",
        "/states/secure_boot",
        "/maintenance",
        "/validate",
        "/management/boot_device",
        "/management/boot_device/supported",
        "/management/inject_nmi",
        "/management/indicators",
        "/ports",
        "/ports/detail",
        "/portgroups",
        "/volume",
        "/volume/connectors",
        "/volume/targets",
        "/history",
        "/history/x",
        "/children",
        "/allocation",
        "/inventory",
        "/bios",
        "/bios/x",
        "/firmware",
        "/vmedia",
        "/vifs",
        "/vifs/x",
        "/vendor_passthru/methods",
        "/vendor_passthru",
        "/vendor_passthru/x",
        "/traits",
        "/traits/x",
    ];
    let mut paths: Vec<String> = below.iter().map(|path| format!("/v1/nodes/n{path}")).collect();
    paths.extend(
        [
            "/",
            "/v1",
            "/v1/nodes",
            "/v1/nodes/detail",
            "/v1/nodes/validate",
            "/v1/ports",
            "/v1/ports/detail",
            &port,
            "/v1/drivers",
            "/v1/drivers/redfish",
            "/v1/drivers/x",
            "/v1/drivers/redfish/properties",
            "/v1/conductors",
            "/v1/conductors/x",
            "/v1/chassis",
            "/v1/chassis/x",
            "/v1/allocations",
            "/v1/runbooks",
            "/v1/shards",
            "/v1/volume",
            "/v1/volume/targets",
            "/v1/lookup",
            "/v1/heartbeat/n",
            "/v1/heartbeat/x",
            "/v1/continue_inspection",
            "/wrought",
            "/wrought/v1",
            "/wrought/v1/drivers",
            "/wrought/v1/drivers/x",
            "/wrought/v1/drivers/X!",
            "/wrought/v1/drivers/x/activate",
            "/v1/nodes/%FF",
            "/v1/ports/%00",
        ]
        .map(str::to_owned),
    );
    let bodies: [&[u8]; 11] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"{\"x\":1}",
        b"[{\"op\":\"add\",\"path\":\"/driver_info\",\"value\":7}]",
        b"[{\"op\":\"remove\",\"path\":\"/driver\"}]",
        b"{\"target\":[]}",
        b"{\"callback_url\":{}}",
        b"\xff\xfe",
    ];
    let queries =
        ["", "?x=1", "?limit=0", "?limit=99999999999999999999", "?marker=x", "?sort_key=x", "?fields=x", "?a=%ff", "?detail=maybe"];
    for path in &paths {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::HEAD, Method::OPTIONS, Method::DELETE] {
            // The node itself shall stay.
            if method == Method::DELETE && (path == "/v1/nodes/n" || *path == port) {
                continue;
            }
            let requests = bodies.iter().map(|body| (*body, "")).chain(queries.iter().map(|query| (&b""[..], *query)));
            for (body, query) in requests {
                for version in ["1.1", NEWEST] {
                    let request = Request::builder().method(&method).uri(format!("{path}{query}"));
                    let request = request.header("X-OpenStack-Ironic-API-Version", version).header("Content-Type", "application/json");
                    let reply = host.send(request.body(Body::from(body.to_vec())).unwrap()).await;
                    let said = String::from_utf8_lossy(&reply.bytes).into_owned();
                    assert!(reply.status.as_u16() < 500, "{method} {path}{query} {body:?}: {} {said}", reply.status);
                    if reply.status.is_client_error() && method != Method::HEAD && !path.starts_with("/wrought") {
                        assert!(!reply.fault().is_empty(), "{method} {path}{query}");
                    }
                }
            }
        }
    }
    let _ = host.asked();
}

#[tokio::test]
async fn what_nobody_expects_is_refused_by_name() {
    let host = Host::new().await;
    host.enroll("n").await;
    assert_eq!(host.get("/v1/nodes?colour=red").await.expect(400).fault(), "Unexpected arguments: colour");
    assert_eq!(host.put("/v1/nodes/n/states/power", json!({})).await.expect(400).fault(), "Missing mandatory parameter: target");
    let reply = host.put("/v1/nodes/n/states/power", json!({"target": "power on", "force": true})).await.expect(400);
    assert_eq!(reply.fault(), "Unexpected arguments: force");
}

/// What needs no long body gets none; a config drive is read for a node alone that is there.
#[tokio::test]
async fn a_body_is_as_long_as_its_route_needs() {
    let host = Host::new().await;
    host.enroll("n").await;
    let of = |method: &str, path: &str, length: usize| {
        let request = Request::builder().method(method).uri(path).header("X-OpenStack-Ironic-API-Version", NEWEST);
        request.header("Content-Type", "application/json").body(Body::from(vec![b' '; length])).unwrap()
    };
    for (method, path, limit) in [
        ("GET", "/", 16 << 10),
        ("GET", "/v1", 16 << 10),
        ("GET", "/v1/lookup", 16 << 10),
        ("GET", "/v1/nodes", 16 << 10),
        ("DELETE", "/v1/nodes/n/maintenance", 16 << 10),
        ("POST", "/v1/heartbeat", 128 << 10),
        ("POST", "/v1/heartbeat/n", 128 << 10),
        ("PUT", "/v1/nodes/n/states/provision", 64 << 20),
    ] {
        assert_ne!(host.send(of(method, path, limit)).await.status, 413, "{method} {path}");
        host.send(of(method, path, limit + 1)).await.expect(413);
    }
    host.send(of("PUT", "/v1/nodes/nobody/states/provision", 2 << 20)).await.expect(404);
}
