use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use wrought_api::ApiConfig;
use wrought_conductor::{DriverDecision, RevokeRequest};
use wrought_domain::DriverName;
use wrought_domain::rollout::Bounds;
use wrought_storage::AuditQuery;

use crate::host::{Asked, Host};

#[tokio::test]
async fn hardware_types_are_drivers_to_ironic() {
    let host = Host::new().await;
    let list = host.get("/v1/drivers/").await.expect(200).json();
    let names: Vec<&str> = list["drivers"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fake-hardware", "redfish"]);
    let brief = &list["drivers"][1];
    assert_eq!((&brief["hosts"], &brief["type"]), (&json!(["testhost"]), &json!("dynamic")));
    assert!(brief.get("default_deploy_interface").is_none());
    let detail = host.get("/v1/drivers/?detail=True").await.expect(200).json()["drivers"][1].clone();
    assert_eq!(detail, host.get("/v1/drivers/redfish").await.expect(200).json());
    assert_eq!(detail["default_deploy_interface"], "direct");
    assert_eq!(detail["enabled_deploy_interfaces"], json!(["acme", "direct", "fake"]));
    assert_eq!(detail["enabled_power_interfaces"], json!(["redfish"]));
    let old = host.call("GET", "/v1/drivers/redfish", "1.29", Value::Null).await.json();
    assert!(old.get("type").is_none() && old.get("default_deploy_interface").is_none());
    assert!(host.call("GET", "/v1/drivers/redfish", "1.85", Value::Null).await.json().get("default_firmware_interface").is_none());
    assert_eq!(host.get("/v1/drivers?type=classic").await.json(), json!({"drivers": []}));
    host.get("/v1/drivers?type=x").await.expect(400);
    host.get("/v1/drivers/none").await.expect(404);
    assert_eq!(host.get("/v1/drivers/redfish/properties").await.json(), json!({"redfish_address": "The URL of the controller. Required."}));
    assert_eq!(host.get("/v1/drivers/redfish/vendor_passthru/methods").await.expect(200).json(), json!({}));
}

#[tokio::test]
async fn this_host_is_the_conductor() {
    let host = Host::new().await;
    let list = host.get("/v1/conductors").await.expect(200).json();
    assert_eq!((&list["conductors"][0]["hostname"], &list["conductors"][0]["alive"]), (&json!("testhost"), &json!(true)));
    let one = host.get("/v1/conductors/testhost").await.expect(200).json();
    assert_eq!(one["drivers"], json!(["fake-hardware", "redfish"]));
    host.get("/v1/conductors/none").await.expect(404);
    host.call("GET", "/v1/conductors", "1.48", Value::Null).await.expect(404);
}

#[tokio::test]
async fn raid_and_methods_of_a_hardware_type_are_told_where_there_are_any() {
    let host = Host::new().await;
    let disks = host.get("/v1/drivers/fake-hardware/raid/logical_disk_properties").await.expect(200).json();
    assert!(disks["raid_level"].as_str().unwrap().contains("Required"), "{disks}");
    let none = host.get("/v1/drivers/redfish/raid/logical_disk_properties").await.expect(404).fault();
    assert!(none.starts_with("Driver redfish does not support"), "{none}");
    for call in [
        host.post("/v1/drivers/redfish/vendor_passthru?method=shout", json!({})),
        host.post("/v1/drivers/redfish/vendor_passthru/shout", json!({})),
    ] {
        assert_eq!(call.await.expect(400).fault(), "No handler for method shout");
    }
    host.post("/v1/drivers/redfish/vendor_passthru", json!({})).await.expect(400);
    host.post("/v1/drivers/none/vendor_passthru?method=shout", json!({})).await.expect(404);
}

#[tokio::test]
async fn fields_of_drivers_and_conductors_are_chosen() {
    let host = Host::new().await;
    let one = host.get("/v1/drivers/redfish?fields=name,default_power_interface").await.expect(200).json();
    assert_eq!((&one["default_power_interface"], one.as_object().unwrap().len()), (&json!("redfish"), 3), "links stay: {one}");
    let list = host.get("/v1/drivers?fields=name").await.expect(200).json();
    assert_eq!(list["drivers"][0]["name"], "fake-hardware");
    assert!(list["drivers"][0].get("hosts").is_none());
    host.get("/v1/drivers?fields=name&detail=True").await.expect(400);
    host.get("/v1/drivers?fields=colour").await.expect(400);
    host.call("GET", "/v1/drivers?fields=name", "1.76", Value::Null).await.expect(406);
    let detail = host.get("/v1/conductors?detail=True").await.expect(200).json();
    assert_eq!(detail["conductors"][0]["drivers"], json!(["fake-hardware", "redfish"]));
    let few = host.get("/v1/conductors?fields=hostname,alive").await.expect(200).json();
    assert!(few["conductors"][0].get("conductor_group").is_none(), "{few}");
    host.get("/v1/conductors?fields=colour").await.expect(400);
    host.get("/v1/conductors?detail=True&fields=alive").await.expect(400);
}

#[tokio::test]
async fn a_component_is_uploaded_and_activated() {
    let host = Host::new().await;
    let put = |name: &str| Request::put(format!("/wrought/v1/drivers/{name}"));
    let signed = put("acme").header("Content-Length", "1000").header("X-Wrought-Signature", "dW50cnVzdGVk");
    let record = host.send(signed.body(Body::from(vec![7; 1000])).unwrap()).await.expect(201).json();
    assert_eq!(record["status"], "available");
    let acme: DriverName = "acme".parse().unwrap();
    assert_eq!(host.asked(), [Asked::Upload(acme.clone(), Some(1000), Some("untrusted".into()), 1000)]);

    let chunks = futures::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![7; 100])));
    host.send(put("acme").body(Body::from_stream(chunks)).unwrap()).await.expect(201);
    assert_eq!(host.asked(), [Asked::Upload(acme.clone(), None, None, 1100)]);
    let broken = futures::stream::iter([Ok(vec![7; 100]), Err(std::io::Error::other("gone"))]);
    host.send(put("acme").body(Body::from_stream(broken)).unwrap()).await.expect(400);
    for wrong in ["?", "/w=="] {
        let garbled = put("acme").header("X-Wrought-Signature", wrong).body(Body::from("x")).unwrap();
        assert_eq!(host.send(garbled).await.expect(400).json()["error"]["code"], "invalid");
    }
    assert_eq!(host.send(put("Acme!").body(Body::from("x")).unwrap()).await.expect(400).json()["error"]["code"], "invalid");
    assert!(host.asked().is_empty());

    let delete = Request::delete("/wrought/v1/drivers/acme/versions/sha256:0011").body(Body::empty()).unwrap();
    host.send(delete).await.expect(204);
    assert_eq!(host.asked(), [Asked::Delete(acme.clone(), "sha256:0011".into())]);

    let path = "/wrought/v1/drivers/acme/activate";
    let missing = host.post(path, Value::Null).await;
    assert_eq!(missing.status.as_u16(), 409, "{missing:?}");
    assert_eq!(missing.json()["error"], json!({"code": "conflict", "message": "missing grants: agent, power"}));
    host.post(path, json!({"version": "1.0.0", "grant": ["agent", "power"]})).await.expect(200);
    host.post(path, json!({"digest": "sha256:00", "grant": ["agent"], "reason": "it is better"})).await.expect(200);
    let activate = |version: &str, grant: &[&str], reason: Option<&str>| DriverDecision::Activate {
        version: Some(version.into()),
        grant: grant.iter().map(|name| (*name).to_owned()).collect(),
        reason: reason.map(str::to_owned),
    };
    assert_eq!(
        host.asked(),
        [
            Asked::Decide(acme.clone(), activate("1.0.0", &["agent", "power"], None)),
            Asked::Decide(acme, activate("sha256:00", &["agent"], Some("it is better"))),
        ]
    );
    for wrong in [json!({"version": "1", "digest": "2"}), json!({"versoin": "1"}), json!([]), json!({"grant": "all"})] {
        assert_eq!(host.post(path, wrong).await.expect(400).json()["error"]["code"], "invalid");
    }
    assert_eq!(host.get("/wrought/v1/drivers").await.expect(200).json(), json!({"drivers": []}));
    assert_eq!(host.get("/wrought/v1/drivers/none").await.expect(404).json()["error"]["code"], "not-found");
    assert_eq!(host.get("/wrought/v1/nothing").await.expect(404).json()["error"]["code"], "not-found");
    assert_eq!(host.post("/wrought/v1/drivers", json!({})).await.expect(405).json()["error"]["code"], "method-not-allowed");
}

#[tokio::test]
async fn decisions_are_read_as_they_are_documented() {
    let host = Host::new().await;
    let acme: DriverName = "acme".parse().unwrap();
    let path = |verb: &str| format!("/wrought/v1/drivers/acme/{verb}");
    let canary = json!({
        "version": "2.0.0", "percent": 20, "selector": {"traits": ["CUSTOM_GPU"], "resource_class": "gold"},
        "bounds": {"max_failure_percent": 10},
    });
    host.post(&path("canary"), canary).await.expect(200);
    host.post(&path("rollback"), json!({})).await.expect(200);
    host.post(&path("pause"), json!({"reason": "it smokes"})).await.expect(200);
    host.post(&path("resume"), Value::Null).await.expect(200);
    host.post(&path("grant"), json!({"grant": ["power.get"]})).await.expect(200);
    host.post(&path("ungrant"), json!({"grant": ["power"]})).await.expect(200);
    host.send(Request::delete(path("canary")).body(Body::empty()).unwrap()).await.expect(200);
    let expected = [
        DriverDecision::Canary {
            version: Some("2.0.0".into()),
            grant: Vec::new(),
            percent: Some(20),
            selector: "trait=CUSTOM_GPU,resource_class=gold".parse().unwrap(),
            bounds: Bounds { max_failure_percent: 10, ..Bounds::default() },
            reason: None,
        },
        DriverDecision::Rollback { version: None, reason: None },
        DriverDecision::Pause { reason: Some("it smokes".into()) },
        DriverDecision::Resume { reason: None },
        DriverDecision::Grant { grant: vec!["power.get".into()], reason: None },
        DriverDecision::Ungrant { grant: vec!["power".into()], reason: None },
        DriverDecision::StopCanary { reason: None },
    ];
    assert_eq!(host.asked(), expected.map(|decision| Asked::Decide(acme.clone(), decision)));
    for (verb, wrong) in [
        ("canary", json!({"percent": 300})),
        ("canary", json!({"percent": 20, "selector": {"colour": "red"}})),
        ("resume", json!({"decision": "pause", "raeson": "x"})),
        ("rollback", json!({"to": "1.0.0"})),
        ("grant", json!({})),
        ("grant", json!({"grant": vec!["power"; 101]})),
    ] {
        assert_eq!(host.post(&path(verb), wrong.clone()).await.expect(400).json()["error"]["code"], "invalid", "{verb} {wrong}");
    }
    host.post("/wrought/v1/revocations", json!({"digest": "sha256:00112233", "reason": "it burns"})).await.expect(200);
    host.get("/wrought/v1/drivers/acme/events?after=7").await.expect(200);
    host.get("/wrought/v1/audit?verb=power.on&limit=100000").await.expect(200);
    let ask = |object: Option<&str>, verb: Option<&str>, after, limit| {
        Asked::Audit(AuditQuery { object: object.map(str::to_owned), verb: verb.map(str::to_owned), after, limit })
    };
    assert_eq!(
        host.asked(),
        [
            Asked::Revoke(RevokeRequest { digest: "sha256:00112233".into(), reason: "it burns".into(), rollback: false }),
            ask(Some("driver/acme"), None, Some(7), 100),
            ask(None, Some("power.on"), None, 1000),
        ]
    );
    for wrong in ["limit=0", "color=red", "after=x"] {
        host.get(&format!("/wrought/v1/audit?{wrong}")).await.expect(400);
    }
    host.post("/wrought/v1/revocations", json!({"digest": "sha256:00112233"})).await.expect(400);
}

#[tokio::test]
async fn the_server_answers_on_a_socket_and_ends_when_told() {
    let host = Host::with(ApiConfig::default()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(wrought_api::serve(listener, host.router.clone(), async {
        let _ = stopped.await;
    }));
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    socket.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    // Without a public endpoint, links follow the request's host.
    assert!(answer.contains(&format!("http://{address}/v1/")), "{answer}");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_upload_that_stalls_is_ended() {
    let host = Host::new().await;
    tokio::time::pause();
    let stalled = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = Request::put("/wrought/v1/drivers/acme").body(stalled).unwrap();
    let refused = host.send(request).await.expect(400).json();
    assert_eq!(refused["error"], json!({"code": "invalid", "message": "the upload ended early; send it again"}));
    assert!(host.asked().is_empty());
}
