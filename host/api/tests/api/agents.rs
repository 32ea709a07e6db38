use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use wrought_api::ApiConfig;

use crate::host::{Asked, Host, NEWEST, send};

#[tokio::test]
async fn an_agent_finds_its_node_by_its_addresses() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:1a:b0:01"})).await.expect(201);
    let reply = host.call("GET", "/v1/lookup?addresses=52%3A54%3A00%3A1A%3Ab0%3A01,nonsense", "1.62", Value::Null).await.expect(200);
    let found = reply.json();
    assert_eq!(found["node"]["uuid"], json!(node));
    assert_eq!(found["node"]["links"][0]["href"], format!("http://api.test/v1/nodes/{node}"));
    assert_eq!(found["config"]["heartbeat_timeout"], 300);
    assert_eq!(host.asked(), [Asked::Lookup(vec!["52:54:00:1a:b0:01".into()], None)]);
    host.get("/v1/lookup?addresses=52:54:00:00:00:09").await.expect(404);
    host.get("/v1/lookup?addresses=nonsense").await.expect(400);
    host.get("/v1/lookup").await.expect(400);
    host.call("GET", "/v1/lookup?addresses=52:54:00:1a:b0:01", "1.21", Value::Null).await.expect(404);
}

#[tokio::test]
async fn a_heartbeat_is_checked_in_ironics_order() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let path = format!("/v1/heartbeat/{node}");
    let beat = json!({"callback_url": "https://192.0.2.1:9999", "agent_token": "t", "agent_version": "13.0.0", "agent_verify_ca": "PEM"});
    let with = |key: &str, value: Value| {
        let mut beat = beat.clone();
        beat[key] = value;
        beat
    };
    let reply = host.call("POST", &path, "1.68", beat.clone()).await.expect(202);
    assert!(reply.bytes.is_empty());
    let [Asked::Heartbeat(id, heard)] = &host.asked()[..] else { panic!("not heard") };
    assert_eq!((*id, heard.callback_url.as_str(), heard.agent_token.as_deref()), (node, "https://192.0.2.1:9999", Some("t")));
    for (path, version, body, status) in [
        (path.as_str(), "1.21", beat.clone(), 404),
        (&path, "1.35", json!({"callback_url": "https://x", "agent_token": "t", "agent_version": "1"}), 400),
        (&path, "1.67", beat.clone(), 400),
        (&path, "1.71", with("agent_status", json!("start")), 400),
        ("/v1/heartbeat/0b5e55ed-1ab0-4000-8000-00000000c0de", "1.68", beat.clone(), 404),
        (&path, NEWEST, with("callback_url", json!("file:///etc/passwd")), 400),
        (&path, NEWEST, with("callback_url", Value::Null), 400),
        (&path, NEWEST, with("agent_token", Value::Null), 400),
        (&path, NEWEST, with("agent_version", Value::Null), 400),
        (&path, NEWEST, with("agent_status", json!("dancing")), 400),
        (&path, NEWEST, with("agent_verify_ca", json!("x".repeat(100_000))), 400),
        (&path, NEWEST, with("colour", json!("red")), 400),
    ] {
        let reply = host.call("POST", path, version, body.clone()).await.expect(status);
        assert!(!reply.fault().is_empty(), "{body}");
    }
    assert!(host.asked().is_empty());
}

#[tokio::test]
async fn the_agents_address_serves_nothing_else() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let agents = host.agents();
    for (path, status) in [
        ("/".to_owned(), 200),
        ("/v1".into(), 200),
        ("/v1/nodes".into(), 404),
        (format!("/v1/nodes/{node}"), 404),
        ("/wrought/v1/drivers".into(), 404),
        ("/v1/lookup?addresses=52:54:00:00:00:09".into(), 404),
    ] {
        let request = Request::get(&path).header("X-OpenStack-Ironic-API-Version", NEWEST).body(Body::empty()).unwrap();
        send(agents.clone(), request).await.expect(status);
    }
    let posted = json!({"inventory": {"interfaces": [{"mac_address": "52:54:00:00:00:09"}]}});
    let inspected = Request::post("/v1/continue_inspection").body(Body::from(posted.to_string())).unwrap();
    send(agents, inspected).await.expect(404);
}

#[tokio::test]
async fn the_agents_routes_can_be_disabled() {
    let host = Host::with(ApiConfig { enable_ramdisk_endpoints: false, ..ApiConfig::default() }).await;
    host.get("/v1/lookup?addresses=52:54:00:00:00:09").await.expect(403);
    host.post("/v1/heartbeat/x", json!({"callback_url": "https://x"})).await.expect(403);
    host.post("/v1/continue_inspection", json!({})).await.expect(403);
}
