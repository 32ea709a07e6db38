//! Deploy templates and runbooks.

use serde_json::{Value, json};
use wrought_conductor::ProvisionRequest;
use wrought_domain::{ProvisionState, Verb};

use crate::host::{Asked, Host};

const TEMPLATES: &str = "/v1/deploy_templates";
const RUNBOOKS: &str = "/v1/runbooks";

fn template(name: &str) -> Value {
    json!({"name": name, "extra": {"a": 1}, "steps": [
        {"interface": "raid", "step": "apply", "args": {"level": 1, "password": "hunter2"}, "priority": 90},
        {"interface": "bios", "step": "set", "args": {}, "priority": 0},
    ]})
}

fn runbook(name: &str) -> Value {
    json!({"name": name, "steps": [
        {"interface": "bios", "step": "set", "args": {"token": "t"}, "order": 2},
        {"interface": "power", "step": "reboot", "order": "3"},
        {"interface": "raid", "step": "apply", "order": 1},
        {"interface": "power", "step": "reboot", "order": 4},
    ]})
}

#[tokio::test]
async fn a_template_is_created_listed_changed_and_deleted() {
    let host = Host::new().await;
    let reply = host.post(TEMPLATES, template("CUSTOM_A")).await.expect(201);
    let made = reply.json();
    let uuid = made["uuid"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("http://api.test{TEMPLATES}/{uuid}"));
    assert_eq!((&made["name"], &made["extra"], &made["updated_at"]), (&json!("CUSTOM_A"), &json!({"a": 1}), &Value::Null));
    assert_eq!(made["steps"][0], json!({"interface": "raid", "step": "apply", "args": {"level": 1, "password": "******"}, "priority": 90}));
    assert_eq!(made["links"][0]["href"], format!("http://api.test/v1/deploy_templates/{uuid}"));

    let list = host.get(TEMPLATES).await.expect(200).json();
    let names: Vec<&String> = list["deploy_templates"][0].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(host.get(&format!("{TEMPLATES}?detail=true")).await.json()["deploy_templates"][0]["extra"], json!({"a": 1}));
    let asked = host.get(&format!("{TEMPLATES}?fields=steps")).await.expect(200).json();
    assert_eq!(asked["deploy_templates"][0].as_object().unwrap().len(), 2);
    assert_eq!(asked["deploy_templates"][0]["steps"][0]["args"]["password"], "******");
    host.get(&format!("{TEMPLATES}?fields=colour")).await.expect(400);
    host.get(&format!("{TEMPLATES}?sort_key=steps")).await.expect(400);
    for ident in [&uuid, "CUSTOM_A"] {
        assert_eq!(host.get(&format!("{TEMPLATES}/{ident}")).await.expect(200).json()["uuid"], uuid.as_str());
    }
    // Older versions take the suffix off.
    let suffixed = format!("{TEMPLATES}/CUSTOM_A.json");
    assert_eq!(host.call("GET", &suffixed, "1.90", Value::Null).await.expect(200).json()["uuid"], uuid.as_str());
    host.get(&suffixed).await.expect(404);

    let changes = json!([
        {"op": "replace", "path": "/name", "value": "CUSTOM_B"},
        {"op": "replace", "path": "/steps/1/priority", "value": 7},
        {"op": "add", "path": "/extra/b", "value": 2},
    ]);
    let changed = host.patch(&format!("{TEMPLATES}/CUSTOM_A"), changes).await.expect(200).json();
    assert_eq!((&changed["name"], &changed["steps"][1]["priority"], &changed["extra"]["b"]), (&json!("CUSTOM_B"), &json!(7), &json!(2)));
    host.get(&format!("{TEMPLATES}/CUSTOM_A")).await.expect(404);
    host.delete(&format!("{TEMPLATES}/CUSTOM_B")).await.expect(204);
    host.delete(&format!("{TEMPLATES}/{uuid}")).await.expect(404);
}

#[tokio::test]
async fn secrets_in_a_templates_arguments_survive_changes_and_are_never_shown() {
    let host = Host::new().await;
    let made = host.post(TEMPLATES, template("CUSTOM_A")).await.expect(201).json();
    let path = format!("{TEMPLATES}/CUSTOM_A");
    // As clients do that change one thing: all steps as they were shown.
    let mut steps = made["steps"].clone();
    steps.as_array_mut().unwrap().reverse();
    steps[1]["args"]["level"] = json!(5);
    let shown = host.patch(&path, json!([{"op": "replace", "path": "/steps", "value": steps}])).await.expect(200);
    assert!(!String::from_utf8_lossy(&shown.bytes).contains("hunter2"));
    host.patch(&path, json!([{"op": "replace", "path": "/steps/0/priority", "value": 3}])).await.expect(200);
    let stored = host.store.templates_named(&["CUSTOM_A".into()]).await.unwrap().remove(0);
    assert_eq!((&stored.steps[1].args["password"], &stored.steps[1].args["level"]), (&json!("hunter2"), &json!(5)));
    assert_eq!(stored.steps[0].priority, Some(3));
}

#[tokio::test]
async fn a_template_that_is_none_is_refused() {
    let host = Host::new().await;
    host.post(TEMPLATES, template("CUSTOM_A")).await.expect(201);
    let step = |change: Value| {
        let mut step = json!({"interface": "raid", "step": "apply", "args": {}, "priority": 1});
        step.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"name": "CUSTOM_X", "steps": [step]})
    };
    for (body, status, text) in [
        (template("CUSTOM_A"), 409, "deploy template with name CUSTOM_A"),
        (template("custom"), 400, "Deploy template name must be a valid trait"),
        (json!({"name": "CUSTOM_X"}), 400, "Missing mandatory parameter: steps"),
        (json!({"steps": []}), 400, "Missing mandatory parameter: name"),
        (json!({"name": "CUSTOM_X", "steps": []}), 400, "at least one step"),
        (json!({"name": "CUSTOM_X", "steps": {}}), 400, "Expected a list"),
        (json!({"name": "CUSTOM_X", "steps": [{"interface": "raid", "step": "a", "priority": 1}]}), 400, "'args' is a required property"),
        (json!({"name": "CUSTOM_X", "steps": [{"interface": "raid", "step": "a", "args": {}}]}), 400, "'priority' is a required property"),
        (step(json!({"priority": -1})), 400, "priority is not a whole number"),
        (step(json!({"interface": "nose"})), 400, "'nose' is not an interface"),
        (step(json!({"order": 1})), 400, "'order' was unexpected"),
        (step(json!({"interface": "deploy", "step": "deploy"})), 400, "core step"),
        (json!({"name": "CUSTOM_X", "colour": 1, "steps": []}), 400, "'colour' was unexpected"),
        (json!({"name": "CUSTOM_X", "uuid": "x", "steps": []}), 400, "Expected a UUID"),
        (
            json!({"name": "CUSTOM_X", "steps": [
            {"interface": "raid", "step": "a", "args": {}, "priority": 1}, {"interface": "raid", "step": "a", "args": {}, "priority": 2}]}),
            400,
            "duplicate steps: interface: raid, step: a",
        ),
    ] {
        let reply = host.post(TEMPLATES, body.clone()).await.expect(status);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
    for (changes, text) in [
        (json!([{"op": "remove", "path": "/steps"}]), "Missing mandatory parameter: steps"),
        (json!([{"op": "remove", "path": "/name"}]), "Missing mandatory parameter: name"),
        (json!([{"op": "replace", "path": "/uuid", "value": "x"}]), "Only the following can be updated"),
        (json!([{"op": "add", "path": "/steps/-", "value": {"interface": "raid"}}]), "'step' is a required property"),
    ] {
        let reply = host.patch(&format!("{TEMPLATES}/CUSTOM_A"), changes).await.expect(400);
        assert!(reply.fault().contains(text), "{}", reply.fault());
    }
}

#[tokio::test]
async fn pages_of_templates_follow_each_other() {
    let host = Host::new().await;
    for name in ["CUSTOM_B", "CUSTOM_C", "CUSTOM_A"] {
        host.post(TEMPLATES, template(name)).await.expect(201);
    }
    let first = host.get(&format!("{TEMPLATES}?limit=2&sort_key=name&fields=name")).await.expect(200).json();
    let next = first["next"].as_str().unwrap().strip_prefix("http://api.test").unwrap().to_owned();
    let second = host.get(&next).await.expect(200).json();
    let names: Vec<&str> = [&first, &second]
        .iter()
        .flat_map(|page| page["deploy_templates"].as_array().unwrap())
        .map(|template| template["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["CUSTOM_A", "CUSTOM_B", "CUSTOM_C"]);
    assert!(second.get("next").is_none());
}

#[tokio::test]
async fn each_resource_came_with_its_version() {
    let host = Host::new().await;
    host.post(TEMPLATES, template("CUSTOM_A")).await.expect(201);
    host.post(RUNBOOKS, runbook("book")).await.expect(201);
    for (path, minor) in [(TEMPLATES, 55), (RUNBOOKS, 92)] {
        host.call("GET", path, &format!("1.{}", minor - 1), Value::Null).await.expect(404);
        host.call("GET", path, &format!("1.{minor}"), Value::Null).await.expect(200);
    }
    let old = host.call("GET", &format!("{RUNBOOKS}/book"), "1.111", Value::Null).await.expect(200).json();
    assert!(old.get("traits").is_none() && old.get("description").is_none());
    host.call("GET", &format!("{RUNBOOKS}/book?fields=traits"), "1.111", Value::Null).await.expect(406);
    host.call("POST", RUNBOOKS, "1.111", runbook("free-name")).await.expect(400);
    host.call("POST", RUNBOOKS, "1.111", runbook("CUSTOM_R")).await.expect(201);
    host.call("GET", &format!("{RUNBOOKS}/book/traits"), "1.111", Value::Null).await.expect(404);
}

#[tokio::test]
async fn a_runbook_is_created_shown_changed_and_has_traits() {
    let host = Host::new().await;
    let made = host.post(RUNBOOKS, runbook("my.book")).await.expect(201).json();
    for (field, value) in [
        ("disable_ramdisk", json!(false)),
        ("public", json!(false)),
        ("owner", Value::Null),
        ("description", Value::Null),
        ("traits", json!([])),
        ("extra", json!({})),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert_eq!(made["steps"][0], json!({"interface": "bios", "step": "set", "args": {"token": "******"}, "order": 2}));
    assert_eq!(made["steps"][1]["order"], 3);

    let path = format!("{RUNBOOKS}/my.book");
    host.put(&format!("{path}/traits/CUSTOM_B"), Value::Null).await.expect(204);
    host.put(&format!("{path}/traits"), json!({"traits": ["CUSTOM_C", "CUSTOM_A"]})).await.expect(204);
    host.put(&format!("{path}/traits/CUSTOM_B"), Value::Null).await.expect(204);
    host.put(&format!("{path}/traits/bad"), Value::Null).await.expect(400);
    assert_eq!(host.get(&format!("{path}/traits")).await.json(), json!({"traits": ["CUSTOM_A", "CUSTOM_B", "CUSTOM_C"]}));
    host.delete(&format!("{path}/traits/CUSTOM_C")).await.expect(204);
    host.delete(&format!("{path}/traits/CUSTOM_C")).await.expect(204);
    assert_eq!(host.get(&path).await.json()["traits"], json!(["CUSTOM_A", "CUSTOM_B"]));

    let changes = json!([
        {"op": "replace", "path": "/disable_ramdisk", "value": true},
        {"op": "replace", "path": "/description", "value": "for new racks"},
        {"op": "replace", "path": "/steps/0/order", "value": 9},
        {"op": "replace", "path": "/public", "value": true},
    ]);
    let changed = host.patch(&path, changes).await.expect(200).json();
    assert_eq!((&changed["disable_ramdisk"], &changed["steps"][0]["order"], &changed["public"]), (&json!(true), &json!(9), &json!(true)));
    let owned = host.patch(&path, json!([{"op": "replace", "path": "/owner", "value": "p"}])).await.expect(400);
    assert!(owned.fault().contains("public runbook"));
    let both = json!([{"op": "replace", "path": "/owner", "value": "p"}, {"op": "replace", "path": "/public", "value": false}]);
    assert_eq!(host.patch(&path, both).await.expect(200).json()["owner"], "p");
    let public = host.patch(&path, json!([{"op": "replace", "path": "/public", "value": true}])).await.expect(200).json();
    assert_eq!((&public["owner"], &public["public"]), (&Value::Null, &json!(true)));
    host.patch(&path, json!([{"op": "add", "path": "/traits/-", "value": "CUSTOM_X"}])).await.expect(400);
    host.delete(&format!("{path}/traits")).await.expect(204);
    assert_eq!(host.get(&path).await.json()["traits"], json!([]));
    host.delete(&path).await.expect(204);
    host.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_runbook_that_is_none_is_refused() {
    let host = Host::new().await;
    for (body, text) in [
        (runbook("a b"), "Cannot use invalid name 'a b'"),
        (runbook("1be26c0b-03f2-4d2e-ae87-c02d7f33c123"), "Cannot use invalid name"),
        (json!({"name": "b", "steps": [{"interface": "bios", "step": "set"}]}), "'order' is a required property"),
        (json!({"name": "b", "steps": [{"interface": "bios", "step": "set", "order": 1, "priority": 1}]}), "'priority' was unexpected"),
        (
            json!({"name": "b", "steps": [
            {"interface": "bios", "step": "set", "order": 1}, {"interface": "bios", "step": "set", "order": 2}]}),
            "duplicate steps",
        ),
        (json!({"name": "b", "traits": ["CUSTOM_A"], "steps": []}), "'traits' was unexpected"),
    ] {
        let reply = host.post(RUNBOOKS, body.clone()).await.expect(400);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
}

#[tokio::test]
async fn a_runbook_gives_a_cleaning_or_a_service_its_steps_in_order() {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.post(RUNBOOKS, runbook("book")).await.expect(201);
    let path = "/v1/nodes/n/states/provision";
    for (state, target, verb) in [(ProvisionState::Manageable, "clean", Verb::Clean), (ProvisionState::Active, "service", Verb::Service)] {
        host.edit(node, move |node| {
            node.provision_state = state;
            node.traits = vec![];
        })
        .await;
        host.delete("/v1/runbooks/book/traits").await.expect(204);
        let body = json!({"target": target, "runbook": "book"});
        assert!(host.put(path, body.clone()).await.expect(400).fault().contains("has no traits"));
        host.put("/v1/runbooks/book/traits", json!({"traits": ["CUSTOM_A", "CUSTOM_B"]})).await.expect(204);
        assert!(host.put(path, body.clone()).await.expect(400).fault().contains("none of the traits CUSTOM_A, CUSTOM_B"));
        host.edit(node, |node| node.traits = vec!["CUSTOM_B".into()]).await;
        // Who knows no traits of runbooks names it like a trait of the node.
        let old = host.call("PUT", path, "1.111", body.clone()).await.expect(400);
        assert!(old.fault().contains("its name is none of the node's traits"));
        host.put(path, json!({"target": target, "runbook": "book", format!("{target}_steps"): []})).await.expect(400);
        assert!(host.asked().is_empty());
        host.put(path, body).await.expect(202);
        let [Asked::Provision(asked, by, request)] = &host.asked()[..] else { panic!("not asked") };
        assert_eq!((*asked, *by), (node, verb));
        let ProvisionRequest { clean_steps, service_steps, .. } = request;
        let (steps, none) = if verb == Verb::Clean { (clean_steps, service_steps) } else { (service_steps, clean_steps) };
        let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
        assert_eq!(names, ["apply", "set", "reboot", "reboot"]);
        assert_eq!(steps[1].args["token"], "t");
        assert!(none.is_empty());
    }
    host.edit(node, |node| node.traits = vec!["CUSTOM_R".into()]).await;
    host.call("POST", RUNBOOKS, "1.92", runbook("CUSTOM_R")).await.expect(201);
    host.call("PUT", path, "1.92", json!({"target": "service", "runbook": "CUSTOM_R"})).await.expect(202);
}

#[tokio::test]
async fn writes_of_versions_that_do_not_know_recipes_are_answered_405() {
    let host = Host::new().await;
    for (path, version, name) in [(TEMPLATES, "1.54", "deploy templates"), (RUNBOOKS, "1.91", "runbooks")] {
        let one = format!("{path}/CUSTOM_A");
        host.call("GET", path, version, Value::Null).await.expect(404);
        host.call("GET", &one, version, Value::Null).await.expect(404);
        for (method, path) in [("POST", path), ("PATCH", &one), ("DELETE", &one)] {
            let reply = host.call(method, path, version, json!([])).await.expect(405);
            assert!(reply.json().to_string().contains(&format!("The API version does not allow {name}")), "{method} {path}");
        }
    }
    let traits = format!("{RUNBOOKS}/CUSTOM_A/traits");
    host.call("GET", &traits, "1.92", Value::Null).await.expect(404);
    host.call("PUT", &traits, "1.92", json!({"traits": []})).await.expect(405);
}
