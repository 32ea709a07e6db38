use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::host::{Host, NEWEST};

fn get(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = headers.iter().fold(Request::builder().uri(path), |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn the_root_names_the_range_of_versions() {
    let reply = Host::new().await.send(get("/", &[])).await.expect(200);
    let v1 = json!({
        "id": "v1", "links": [{"href": "http://api.test/v1/", "rel": "self"}], "status": "CURRENT", "min_version": "1.1", "version": "1.115",
    });
    let document = reply.json();
    assert_eq!(document["name"], "OpenStack Ironic API");
    assert_eq!((&document["default_version"], &document["versions"]), (&v1, &json!([v1])));
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn the_version_document_grows_with_the_version() {
    let host = Host::new().await;
    for (version, known, unknown) in [
        ("1.1", vec!["nodes", "ports", "drivers", "chassis"], vec!["lookup", "conductors"]),
        ("1.22", vec!["lookup", "heartbeat"], vec!["portgroups"]),
        ("1.49", vec!["conductors", "volume"], vec!["allocations"]),
        ("1.115", vec!["runbooks", "inspection_rules", "continue_inspection", "shards", "events"], vec![]),
    ] {
        let document = host.call("GET", "/v1", version, Value::Null).await.expect(200).json();
        assert_eq!(document["media_types"]["type"], "application/vnd.openstack.ironic.v1+json");
        for key in known {
            assert_eq!(document[key][0], json!({"href": format!("http://api.test/v1/{key}/"), "rel": "self"}), "{version}");
        }
        for key in unknown {
            assert!(document.get(key).is_none(), "{version} {key}");
        }
    }
}

#[tokio::test]
async fn every_reply_carries_versions_and_request_ids() {
    let host = Host::new().await;
    for (path, version, status, used) in [
        ("/v1/nodes", "1.82", 200, "1.82"),
        ("/v1/nodes/none", "latest", 404, "1.115"),
        ("/v1/nothing", "1.9", 404, "1.9"),
        ("/v1", "1.200", 406, "1.1"),
    ] {
        let reply = host.call("GET", path, version, Value::Null).await.expect(status);
        assert_eq!(reply.header("x-openstack-ironic-api-version"), used);
        assert_eq!(reply.header("x-openstack-ironic-api-minimum-version"), "1.1");
        assert_eq!(reply.header("x-openstack-ironic-api-maximum-version"), NEWEST);
        assert!(reply.header("x-openstack-request-id").starts_with("req-"));
        assert_eq!(reply.header("openstack-request-id"), reply.header("x-openstack-request-id"));
    }
}

#[tokio::test]
async fn no_header_means_the_oldest_version_and_the_common_header_wins() {
    let host = Host::new().await;
    assert_eq!(host.send(get("/v1/nodes", &[])).await.header("x-openstack-ironic-api-version"), "1.1");
    let both = [("X-OpenStack-Ironic-API-Version", "1.30"), ("OpenStack-API-Version", "baremetal 1.82")];
    assert_eq!(host.send(get("/v1/nodes", &both)).await.header("x-openstack-ironic-api-version"), "1.82");
    let other = [("X-OpenStack-Ironic-API-Version", "1.30"), ("OpenStack-API-Version", "compute 2.1")];
    assert_eq!(host.send(get("/v1/nodes", &other)).await.header("x-openstack-ironic-api-version"), "1.30");
}

#[tokio::test]
async fn versions_that_are_not_served_are_refused_in_ironics_words() {
    let host = Host::new().await;
    let refused = host.call("GET", "/v1/nodes", "1.200", Value::Null).await.expect(406);
    let inner: Value = serde_json::from_str(refused.json()["error_message"].as_str().unwrap()).unwrap();
    assert_eq!(
        inner,
        json!({"code": 406, "title": "Not Acceptable", "description": "Version 1.200 was requested but the minor version is not supported \
               by this service. The supported version range is: [1.1, 1.115]."})
    );
    assert!(
        host.call("GET", "/v1/nodes", "2.1", Value::Null).await.expect(406).fault().starts_with("Mutually exclusive versions requested.")
    );
    for wrong in ["one", "1", "1.x", "1.+3", "1.1.1", "-1.1", "1.", ""] {
        let refused = host.call("GET", "/v1/nodes", wrong, Value::Null).await.expect(406);
        assert_eq!(refused.fault(), "Invalid value for X-OpenStack-Ironic-API-Version header");
    }
    assert!(host.call("GET", "/v1/nodes", "1.99999999999", Value::Null).await.expect(406).fault().contains("is not supported"));
}

#[tokio::test]
async fn a_missing_v1_and_a_trailing_slash_are_tolerated() {
    let host = Host::new().await;
    host.enroll("n").await;
    for path in [
        "/v1/nodes",
        "/v1/nodes/",
        "/nodes",
        "/nodes/",
        "/nodes/detail",
        "/nodes?limit=1",
        "/nodes/n/states",
        "/drivers/redfish/properties",
    ] {
        host.get(path).await.expect(200);
    }
    for path in ["/v2", "/v2/nodes", "/v1/none", "/none", "/v1/nodes/n/none"] {
        host.get(path).await.expect(404);
    }
}
