//! Requests that make no sense: refused in Ironic's form, and the node stays as it was.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Node, Shared, run};

#[test]
fn bad_bodies_are_refused_and_change_nothing() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        let before = node.get().await;
        let provision = node.path("/states/provision");
        let (put, patch) = (Method::PUT, Method::PATCH);
        let bomb = format!("{{\"target\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let open_bomb = "[".repeat(500_000);
        for (method, path, body) in [
            (&put, provision.as_str(), "{\"target\": \"act"),
            (&put, &provision, "not JSON"),
            (&put, &provision, "\u{feff}{}"),
            (&put, &provision, ""),
            (&put, &provision, "[]"),
            (&put, &provision, "\"active\""),
            (&put, &provision, "{}"),
            (&put, &provision, "{\"target\": null}"),
            (&put, &provision, "{\"target\": 7}"),
            (&put, &provision, "{\"target\": \"active\", \"unknown\": 1}"),
            (&put, &provision, "{\"target\": \"active\", \"clean_steps\": []}"),
            (&put, &provision, "{\"target\": \"active\", \"configdrive\": 7}"),
            (&put, &provision, "{\"target\": \"active\", \"configdrive\": \"no base64!\"}"),
            (&put, &provision, "{\"target\": \"active\", \"configdrive\": {\"user\": 1}}"),
            (&put, &provision, "{\"target\": \"active\", \"deploy_steps\": [{\"interface\": \"deploy\"}]}"),
            (&put, &provision, &bomb),
            (&put, &provision, &open_bomb),
            (&patch, &node.path(""), "{}"),
            (&patch, &node.path(""), "[{\"op\": \"replace\"}]"),
            (&patch, &node.path(""), "[{\"op\": \"explode\", \"path\": \"/name\", \"value\": \"x\"}]"),
            (&patch, &node.path(""), "[{\"op\": \"replace\", \"path\": \"/provision_state\", \"value\": \"active\"}]"),
            (&patch, &node.path(""), "[{\"op\": \"add\", \"path\": \"/unknown\", \"value\": 1}]"),
            (&patch, &node.path(""), "[{\"op\": \"add\", \"path\": \"/deploy_interface\", \"value\": \"nobody\"}]"),
            (&put, &node.path("/states/power"), "{\"target\": \"explode\"}"),
            (&put, &node.path("/states/power"), "{\"target\": \"power on\", \"timeout\": -1}"),
        ] {
            let answer = world.api().raw(method.clone(), path, body.to_owned()).await;
            let start: String = body.chars().take(80).collect();
            assert!((400..500).contains(&answer.status), "{start}: {} {}", answer.status, answer.text);
            assert!(answer.reason().len() < 2000, "{start}: {}", answer.text);
        }
        assert_eq!(node.get().await, before);
    });
}

#[test]
fn bad_nodes_are_refused() {
    run(async {
        let world = Shared::world().await;
        let create = async |body: Value| world.api().call(Method::POST, "/v1/nodes", &body).await;
        for (body, word) in [
            (json!({}), "driver"),
            (json!({"driver": "nobody"}), "nobody"),
            (json!({"driver": "fake-hardware", "unknown_field": 1}), "unknown_field"),
            (json!({"driver": "fake-hardware", "name": "two words"}), "two words"),
            (json!({"driver": "fake-hardware", "uuid": "7"}), "UUID"),
            (json!({"driver": "fake-hardware", "properties": []}), "properties"),
            (json!({"driver": "fake-hardware", "deploy_interface": "nobody"}), "nobody"),
            (json!({"driver": "fake-hardware", "provision_state": "active"}), "provision_state"),
        ] {
            let reason = create(body.clone()).await.refused(400);
            assert!(reason.contains(word), "{body}: {reason}");
        }
    });
}

#[test]
fn a_verb_is_refused_by_name_in_a_state_that_does_not_have_it() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        let before = node.get().await;
        for verb in ["explode", "provide", "abort", "rebuild", "unrescue", "adopt"] {
            let reason = node.ask(json!({ "target": verb })).await.refused(400);
            assert!(reason.contains(verb) && reason.contains("available"), "{verb}: {reason}");
        }
        let clean = json!({"target": "clean", "clean_steps": [{"interface": "deploy", "step": "erase_devices"}]});
        let reason = node.ask(clean).await.refused(400);
        assert!(reason.contains("clean") && reason.contains("available"), "{reason}");
        node.ask(json!({"target": "rescue", "rescue_password": "x"})).await.refused(400);
        assert_eq!(node.get().await, before);
    });
}

#[test]
fn what_is_not_there_is_not_found_and_what_a_node_lacks_is_named() {
    run(async {
        let world = Shared::world().await;
        let api = world.api();
        for path in ["/v1/nodes/nobody", "/v1/nobody", "/nobody", "/v1/nodes/00000000-0000-0000-0000-000000000000/states"] {
            api.get(path).await.refused(404);
        }
        // Without an image there is nothing to deploy; without credentials nothing to ask.
        let node = world.enrol_with(|body| body["instance_info"] = json!({})).await;
        node.patch("/automated_clean", false.into()).await;
        node.make_available().await;
        let reason = node.ask(json!({"target": "active"})).await.refused(400);
        assert!(reason.contains("image_source"), "{reason}");
        assert_eq!(node.state().await, "available");
        let validation = api.get(&node.path("/validate")).await.ok();
        assert_eq!(validation["deploy"]["result"], false);
        assert!(validation["deploy"]["reason"].as_str().unwrap().contains("image_source"), "{validation}");
        assert_eq!(validation["power"]["result"], true);

        let no_address = world.enrol_with(|body| body["driver_info"] = json!({})).await;
        let reason = no_address.ask(json!({"target": "manage"})).await.refused(400);
        assert!(reason.contains("redfish_address"), "{reason}");
    });
}

#[test]
fn a_node_that_is_held_is_not_changed_by_others() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({"fake_deploy_delay": 2})).await;
        node.provision("active").await;
        node.pass("wait call-back").await;
        let refusals: [(&str, u16, Answer); 4] = [
            ("delete", 409, world.api().send(Method::DELETE, &node.path(""), |request| request).await),
            ("power", 409, node.power("power off").await),
            ("provide", 400, node.ask(json!({"target": "provide"})).await),
            ("interface", 409, patched(&node, "/deploy_interface", "direct".into()).await),
        ];
        for (what, status, answer) in refusals {
            let reason = answer.refused(status);
            assert!(!reason.is_empty(), "{what}");
        }
        let active = node.reach("active").await;
        assert_eq!(active["deploy_interface"], "fake");
    });
}

async fn patched(node: &Node<'_>, path: &str, value: Value) -> Answer {
    let change = json!([{"op": "replace", "path": path, "value": value}]);
    node.world.api().call(Method::PATCH, &node.path(""), &change).await
}
