//! What agents post, inspection rules, and what was found about nodes.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http::Request;
use serde_json::{Value, json};
use wrought_storage::FindingKind;

use crate::host::{Asked, Host, NEWEST, send};

const RULES: &str = "/v1/inspection_rules";

fn posted(mac: &str) -> Value {
    json!({"inventory": {"interfaces": [{"name": "eno1", "mac_address": mac}]}, "logs": "H4sI"})
}

#[tokio::test]
async fn an_agent_posts_what_it_found_without_a_version_or_a_token() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:1a:b0:01"})).await.expect(201);
    for path in ["/v1/continue_inspection", "/v1/continue_inspection.json"] {
        let request = Request::post(path).body(Body::from(posted("52-54-00-1A-B0-01").to_string())).unwrap();
        let reply = send(host.agents(), request).await.expect(202);
        assert_eq!(reply.json(), json!({"uuid": node}));
    }
    assert_eq!(host.asked(), vec![Asked::Inspection(vec!["52:54:00:1a:b0:01".into()], false); 2]);
    let newer = host.call("POST", "/v1/continue_inspection", "1.84", posted("52:54:00:1a:b0:01")).await.expect(202).json();
    assert_eq!((&newer["node"]["uuid"], &newer["config"]["heartbeat_timeout"]), (&json!(node), &json!(300)));
    assert_eq!(newer["node"]["links"][0]["href"], format!("http://api.test/v1/nodes/{node}"));
    host.call("POST", "/v1/continue_inspection", "1.1", posted("52:54:00:1a:b0:09")).await.expect(404);
}

#[tokio::test]
async fn findings_that_are_too_much_or_none_are_refused() {
    let host = Host::new().await;
    let deep = format!("{{\"inventory\": {}{}}}", "[".repeat(40), "]".repeat(40));
    // Objects in objects: they have no commas, and take a hundred times the memory of their bytes.
    let nested = vec![format!("{}1{}", "{\"\":".repeat(20), "}".repeat(20)); 20_000].join(",");
    let nested = format!("{{\"inventory\": {{\"interfaces\": [{{\"mac_address\": \"52:54:00:00:00:09\"}}]}}, \"x\": [{nested}]}}");
    for (body, status) in [
        ("{}".to_owned(), 400),
        (nested.clone(), 400),
        ("[]".into(), 400),
        ("{\"inventory\": {\"interfaces\": []}}".into(), 400),
        (deep, 400),
        (format!("{{\"x\": [{}1]}}", "1,".repeat(300_000)), 400),
        (format!("{{\"x\": \"{}\"}}", "y".repeat(17 << 20)), 413),
    ] {
        let request = Request::post("/v1/continue_inspection").body(Body::from(body)).unwrap();
        send(host.agents(), request).await.expect(status);
    }
    // More than other bodies may have, and less than this one may.
    let large = json!({"inventory": {"interfaces": [{"mac_address": "52:54:00:00:00:09"}]}, "logs": "y".repeat(3 << 20)});
    let request = Request::post("/v1/continue_inspection").body(Body::from(large.to_string())).unwrap();
    send(host.agents(), request).await.expect(404);
    // The same holds for the other bodies that may be large.
    host.enroll("n").await;
    let config_drive = format!("{{\"target\": \"active\", \"configdrive\": {{\"meta_data\": {nested}}}}}");
    let request = Request::put("/v1/nodes/n/states/provision").header("X-OpenStack-Ironic-API-Version", NEWEST);
    let told = host.send(request.body(Body::from(config_drive)).unwrap()).await.expect(400).json();
    assert!(told["faultstring"].as_str().unwrap().contains("too many values"), "{told}");
}

#[tokio::test]
async fn agents_that_send_nothing_hinder_no_others() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.post("/v1/ports", json!({"node_uuid": node, "address": "52:54:00:1a:b0:01"})).await.expect(201);
    let post = |peer: &str, body: Body| {
        let mut request = Request::post("/v1/continue_inspection").body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        send(host.agents(), request)
    };
    let idle = || Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let mut waiting: futures::stream::FuturesUnordered<_> = (0..100).map(|_| post("192.0.2.1", idle())).collect();
    let began = tokio::time::Instant::now();
    let other = async {
        // The idle ones come first.
        tokio::time::sleep(Duration::from_millis(100)).await;
        post("192.0.2.2", Body::from(posted("52:54:00:1a:b0:01").to_string())).await
    };
    tokio::pin!(other);
    let mut sent_away = Vec::new();
    let reply = loop {
        tokio::select! {
            reply = &mut other => break reply,
            Some(reply) = futures::StreamExt::next(&mut waiting) => sent_away.push(reply.status.as_u16()),
        }
    };
    reply.expect(202);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?} {sent_away:?}", began.elapsed());
    // The first of them have a few seconds, the others wait for them.
    assert!(sent_away.is_empty(), "{sent_away:?}");
}

fn rule() -> Value {
    json!({
        "description": "Dells have a class of their own", "priority": "100",
        "conditions": [{"op": "contains", "args": {"value": "{inventory[system_vendor][manufacturer]}", "regex": "(?i)dell"}},
            {"op": "eq", "args": {"values": ["{item}", 1]}, "loop": [1, 2]}],
        "actions": [{"op": "set-attribute", "args": {"path": "/resource_class", "value": "dell"}}],
    })
}

#[tokio::test]
async fn a_rule_is_created_listed_changed_and_deleted() {
    let host = Host::new().await;
    let reply = host.post(RULES, rule()).await.expect(201);
    let made = reply.json();
    let uuid = made["uuid"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("http://api.test{RULES}/{uuid}"));
    assert_eq!((&made["priority"], &made["phase"], &made["sensitive"]), (&json!(100), &json!("main"), &json!(false)));
    assert_eq!(made["actions"][0].get("loop"), None);
    assert_eq!((made["conditions"][0].get("loop"), &made["conditions"][1]["multiple"]), (None, &json!("any")));
    let list = host.get(RULES).await.expect(200).json();
    let keys: Vec<&str> = list["inspection_rules"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!(host.get(&format!("{RULES}?detail=true")).await.json()["inspection_rules"][0]["actions"], made["actions"]);
    assert_eq!(host.get(&format!("{RULES}?phase=other")).await.json()["inspection_rules"], json!([]));
    assert_eq!(host.get(&format!("{RULES}/{uuid}?fields=priority")).await.json()["priority"], 100);
    host.get(&format!("{RULES}?sort_key=actions")).await.expect(400);

    let changes = json!([
        {"op": "replace", "path": "/priority", "value": 5},
        {"op": "add", "path": "/actions/-", "value": {"op": "add-trait", "args": {"name": "CUSTOM_DELL"}}},
        {"op": "remove", "path": "/description"},
    ]);
    let changed = host.patch(&format!("{RULES}/{uuid}"), changes).await.expect(200).json();
    assert_eq!((&changed["priority"], &changed["description"], changed["actions"].as_array().unwrap().len()), (&json!(5), &json!(null), 2));
    host.delete(&format!("{RULES}/{uuid}")).await.expect(204);
    host.get(&format!("{RULES}/{uuid}")).await.expect(404);
    host.delete(&format!("{RULES}/{uuid}")).await.expect(404);
}

#[tokio::test]
async fn a_sensitive_rule_shows_neither_conditions_nor_actions() {
    let host = Host::new().await;
    let mut secret = rule();
    secret["sensitive"] = json!(true);
    let made = host.post(RULES, secret).await.expect(201).json();
    assert_eq!((&made["conditions"], &made["actions"]), (&Value::Null, &Value::Null));
    let path = format!("{RULES}/{}", made["uuid"].as_str().unwrap());
    let changed = host.patch(&path, json!([{"op": "replace", "path": "/priority", "value": 1}])).await.expect(200).json();
    assert_eq!((&changed["priority"], &changed["actions"]), (&json!(1), &Value::Null));
    assert!(!host.get(&format!("{RULES}?detail=true")).await.json().to_string().contains("resource_class"));
    let kept = host.store.inspection_rule(made["uuid"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.actions[0].op, "set-attribute");
}

#[tokio::test]
async fn secrets_that_rules_set_are_shown_to_nobody() {
    let host = Host::new().await;
    let actions = json!([
        {"op": "set-attribute", "args": {"path": "/driver_info/redfish_password", "value": "hunter2"}},
        {"op": "set-attribute", "args": ["/driver_info/redfish_password", "hunter2"]},
        {"op": "set-attribute", "args": {"path": "{item[path]}", "value": "{item[value]}"},
            "loop": [{"path": "/driver_info/redfish_password", "value": "hunter2"}, {"path": "/extra/rack", "value": "seven"}]},
        {"op": "set-attribute", "args": {"path": "/driver_info/redfish_password", "value": "{item}"}, "loop": ["hunter2"]},
        {"op": "set-attribute", "args": {"path": "/extra/login", "value": {"user": "root", "password": "hunter2"}}},
    ]);
    let made = host.post(RULES, json!({"actions": actions})).await.expect(201).json();
    let path = format!("{RULES}/{}", made["uuid"].as_str().unwrap());
    let changed = host.patch(&path, json!([{"op": "replace", "path": "/priority", "value": 1}])).await.expect(200).json();
    let shown = [
        made,
        changed,
        host.get(&path).await.json(),
        host.get(&format!("{RULES}?detail=true")).await.json()["inspection_rules"][0].clone(),
    ];
    for shown in shown {
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_eq!(shown["actions"][0]["args"], json!({"path": "/driver_info/redfish_password", "value": "******"}));
        assert_eq!(shown["actions"][2]["loop"][1], json!({"path": "/extra/rack", "value": "seven"}));
        assert_eq!(shown["actions"][4]["args"]["value"]["user"], "root");
    }
    let kept = host.store.inspection_rules(&wrought_storage::RuleQuery::default()).await.unwrap();
    assert_eq!(json!(kept[0].actions), actions, "what is shown is not what is kept");
    let wrong =
        json!([{"op": "set-attribute", "args": {"path": "/driver_info/redfish_password", "value": "hunter2"}, "multiple": "hunter2"}]);
    let fault = host.post(RULES, json!({"sensitive": true, "actions": wrong})).await.expect(400).fault();
    assert!(fault.contains("actions, item 1") && !fault.contains("hunter2"), "{fault}");
}

#[tokio::test]
async fn wrong_rules_are_refused_with_the_reason() {
    let host = Host::new().await;
    let with = |key: &str, value: Value| {
        let mut rule = rule();
        rule[key] = value;
        rule
    };
    for (body, text) in [
        (with("priority", json!(10_000)), "from 0 to 9999"),
        (with("phase", json!("early")), "Invalid phase: early"),
        (with("actions", json!([])), "at least one action"),
        (with("actions", json!([{"op": "set-attribute"}])), "missing field `args`"),
        (with("actions", json!([{"op": "log", "args": {"msg": "x"}, "scope": "x"}])), "unknown field `scope`"),
        (with("conditions", json!([{"op": "near", "args": {}}])), "it is not supported"),
        (with("scope", json!("x")), "'scope' was unexpected"),
        (json!({"conditions": []}), "Missing mandatory parameter: actions"),
    ] {
        let fault = host.post(RULES, body).await.expect(400).fault();
        assert!(fault.contains(text), "{fault:?} should say {text:?}");
    }
    host.call("GET", RULES, "1.95", Value::Null).await.expect(404);
    host.call("POST", RULES, "1.95", rule()).await.expect(405);
}

#[tokio::test]
async fn what_was_found_about_a_node_is_shown() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    let now = jiff::Timestamp::UNIX_EPOCH;
    let bios = json!([{"name": "NumLock", "value": true}, {"name": "BootMode", "value": "Uefi", "allowable_values": ["Uefi", "Bios"]}, {"value": 1}, 7]);
    host.store.put_finding(node, FindingKind::Bios, now, &bios).await.unwrap();
    let firmware = json!([{"component": "bmc", "current_version": "1.00"}]);
    host.store.put_finding(node, FindingKind::Firmware, now, &firmware).await.unwrap();
    let found = json!({"inventory": {"cpu": {"count": 4}}, "plugin_data": {"a": 1}});
    host.store.put_finding(node, FindingKind::Inventory, now, &found).await.unwrap();

    assert_eq!(host.get("/v1/nodes/n/inventory").await.expect(200).json(), found);
    let brief = host.get("/v1/nodes/n/bios").await.expect(200).json();
    let href = format!("http://api.test/v1/nodes/{node}/bios/BootMode");
    let bookmark = format!("http://api.test/nodes/{node}/bios/BootMode");
    let links = json!([{"href": href, "rel": "self"}, {"href": bookmark, "rel": "bookmark"}]);
    assert_eq!(brief["bios"][0], json!({"name": "BootMode", "value": "Uefi", "links": links}));
    assert_eq!((brief["bios"].as_array().unwrap().len(), &brief["bios"][1]["value"]), (2, &json!("true")));
    let detail = host.get("/v1/nodes/n/bios?detail=true").await.expect(200).json();
    assert_eq!(detail["bios"][0]["allowable_values"], json!(["Uefi", "Bios"]));
    let one = host.get("/v1/nodes/n/bios/BootMode").await.expect(200).json();
    assert_eq!((&one["BootMode"]["value"], &one["BootMode"]["read_only"]), (&json!("Uefi"), &json!(null)));
    assert!(host.call("GET", "/v1/nodes/n/bios/BootMode", "1.73", Value::Null).await.json()["BootMode"].get("read_only").is_none());
    host.get("/v1/nodes/n/bios/Other").await.expect(404);
    host.get("/v1/nodes/n/bios?fields=colour").await.expect(400);
    host.call("GET", "/v1/nodes/n/bios?detail=true", "1.73", Value::Null).await.expect(406);

    let shown = host.call("GET", "/v1/nodes/n/firmware", "1.86", Value::Null).await.expect(200).json();
    let component = &shown["firmware"][0];
    assert_eq!(
        (&component["component"], &component["current_version"], &component["initial_version"]),
        (&json!("bmc"), &json!("1.00"), &json!("1.00"))
    );
    assert!(component.get("vendor").is_none());
    assert!(host.call("GET", "/v1/nodes/n/firmware", NEWEST, Value::Null).await.json()["firmware"][0].get("vendor").is_some());
}
