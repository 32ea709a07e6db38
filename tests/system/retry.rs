//! What failed is begun again after its last finished step, one node or many, not faster than asked for.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{Node, Setup, World, run, until, wrought};

async fn retry(node: &Node<'_>, body: Value) -> crate::support::Answer {
    node.world.api().call(Method::POST, &format!("/wrought/v1/nodes/{}/retry", node.uuid), &body).await
}

async fn started(node: &Node<'_>, step: &str) -> usize {
    let path = format!("/wrought/v1/nodes/{}/events?kind=step-started&after=0&limit=1000", node.uuid);
    let told = node.world.api().get(&path).await.ok();
    told["events"].as_array().unwrap().iter().filter(|event| event["step"] == step).count()
}

#[test]
fn a_cleaning_goes_on_after_its_last_finished_step() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = world.enrol().await;
        node.provision("manage").await;
        node.reach("manageable").await;
        retry(&node, json!({})).await.refused(409);
        node.set_faults(Faults { failing_step: Some("erase_pstore".into()), ..Faults::default() });
        let steps = json!([{"interface": "deploy", "step": "burnin_cpu"}, {"interface": "deploy", "step": "erase_pstore"}]);
        assert_eq!(node.ask(json!({"target": "clean", "clean_steps": steps})).await.status, 202);
        let failed = node.reach("clean failed").await;
        assert_eq!((&failed["maintenance"], &failed["fault"]), (&json!(true), &json!("clean failure")), "{failed}");
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("erase_pstore") && error.contains("Next: "), "what, where and what next: {error}");
        let history = world.api().get(&node.path("/history?detail=true")).await.ok();
        assert!(
            history["history"].as_array().unwrap().iter().any(|entry| {
                let event = entry["event"].as_str().unwrap_or_default();
                event.contains("erase_pstore") && event.contains("Next: ")
            }),
            "{history}"
        );

        node.set_faults(Faults::default());
        let answer = retry(&node, json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!((&answer.json()["verb"], &answer.json()["skipped"]), (&json!("clean"), &json!(["deploy.burnin_cpu"])));
        let clean = node.reach("manageable").await;
        assert_eq!((&clean["maintenance"], &clean["last_error"]), (&json!(false), &Value::Null), "{clean}");
        assert_eq!((started(&node, "deploy.burnin_cpu").await, started(&node, "deploy.erase_pstore").await), (1, 2));
        retry(&node, json!({})).await.refused(409);

        // An erasure is never taken for done.
        node.set_faults(Faults { failing_step: Some("erase_devices".into()), ..Faults::default() });
        node.provision("provide").await;
        node.reach("clean failed").await;
        node.set_faults(Faults::default());
        retry(&node, json!({})).await.ok();
        node.reach("available").await;
        assert_eq!(started(&node, "deploy.erase_devices_metadata").await, 2);
    });
}

#[test]
fn a_retry_that_is_refused_changes_nothing() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = world.enrol().await;
        node.provision("manage").await;
        node.reach("manageable").await;
        node.set_faults(Faults { failing_step: Some("burnin_cpu".into()), ..Faults::default() });
        let steps = json!([{"interface": "deploy", "step": "burnin_cpu"}]);
        assert_eq!(node.ask(json!({"target": "clean", "clean_steps": steps})).await.status, 202);
        node.reach("clean failed").await;
        let address = node.get().await["driver_info"]["redfish_address"].clone();
        let change = json!([{"op": "remove", "path": "/driver_info/redfish_address"}]);
        world.api().call(Method::PATCH, &node.path(""), &change).await.ok();
        retry(&node, json!({})).await.refused(400);
        let now = node.get().await;
        assert_eq!(
            (&now["provision_state"], &now["maintenance"], &now["fault"]),
            (&json!("clean failed"), &json!(true), &json!("clean failure")),
            "{now}"
        );
        node.patch("/driver_info/redfish_address", address).await;
        node.set_faults(Faults::default());
        retry(&node, json!({})).await.ok();
        node.reach("manageable").await;
    });
}

#[test]
fn what_a_template_changed_meanwhile_is_executed_again() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let settings = |value: &str| json!([{"name": "boot", "value": value}]);
        let steps = |value: &str| json!([{"interface": "bios", "step": "apply_configuration", "args": {"settings": settings(value)}, "priority": 90}]);
        let template = json!({"name": "CUSTOM_BIOS", "steps": steps("1")});
        world.api().call(Method::POST, "/v1/deploy_templates", &template).await.ok();
        let node = world.fake("fake", json!({})).await;
        world.api().call(Method::PUT, &node.path("/traits"), &json!({"traits": ["CUSTOM_BIOS"]})).await.ok();
        node.patch("/instance_info/traits", json!(["CUSTOM_BIOS"])).await;
        let hold = json!([{"interface": "power", "step": "hold", "priority": 20}]);
        let held = async || {
            node.pass("deploy hold").await;
            node.provision("abort").await;
            node.reach("deploy failed").await;
        };
        assert_eq!(node.ask(json!({"target": "active", "deploy_steps": hold})).await.status, 202);
        held().await;

        let again = retry(&node, json!({})).await.ok();
        assert_eq!((&again["skipped"], &again["changed"]), (&json!(["bios.apply_configuration"]), &json!(false)), "{again}");
        held().await;
        assert_eq!(started(&node, "bios.apply_configuration").await, 1);

        let change = json!([{"op": "replace", "path": "/steps", "value": steps("2")}]);
        world.api().call(Method::PATCH, "/v1/deploy_templates/CUSTOM_BIOS", &change).await.ok();
        let again = retry(&node, json!({})).await.ok();
        assert_eq!((&again["skipped"], &again["changed"]), (&json!([]), &json!(true)), "{again}");
        held().await;
        assert_eq!(started(&node, "bios.apply_configuration").await, 2);
        let bios = world.api().get(&node.path("/bios")).await.ok();
        assert_eq!(bios["bios"][0]["value"], "2", "{bios}");
    });
}

#[test]
fn a_deployment_writes_its_image_once_more_only_when_another_one_is_asked_for() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = world.available().await;
        let fails = || Faults { failing_step: Some("inject_files".into()), ..Faults::default() };
        node.set_faults(fails());
        let steps = json!([{"interface": "deploy", "step": "inject_files", "priority": 70, "args": {"files": []}}]);
        let answer = node.ask(json!({"target": "active", "deploy_steps": steps})).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let failed = node.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("inject_files"), "{failed}");
        assert_eq!(node.counts().image_writes, 1);

        let again = retry(&node, json!({})).await.ok();
        assert!(again["skipped"].as_array().unwrap().contains(&json!("deploy.write_image")), "{again}");
        node.reach("deploy failed").await;
        assert_eq!(node.counts().image_writes, 1, "it is on the disk");

        node.patch("/instance_info/image_properties", json!({"os": "another"})).await;
        node.set_faults(Faults::default());
        let again = retry(&node, json!({})).await.ok();
        assert_eq!((&again["skipped"], &again["changed"]), (&json!([]), &json!(true)));
        node.reach("active").await;
        assert_eq!((node.counts().image_writes, started(&node, "deploy.inject_files").await), (2, 3));
    });
}

#[test]
fn many_nodes_that_failed_for_one_reason_are_found_retried_and_undeployed_at_a_rate() {
    run(async {
        let world = World::new(Setup { servers: 3, ..Setup::default() }).await;
        let gold = async || {
            let node = world.enrol_with(|body| (body["automated_clean"], body["resource_class"]) = (false.into(), "gold".into())).await;
            node.make_available().await;
            node
        };
        let nodes = [gold().await, gold().await, world.available().await];
        for node in &nodes {
            node.set_faults(Faults { fail_write_image: true, ..Faults::default() });
            node.provision("active").await;
        }
        for node in &nodes {
            node.reach("deploy failed").await;
            node.set_faults(Faults::default());
        }
        let folder = tempfile::tempdir().unwrap();
        let url = world.api().url().to_owned();
        let cli = async |args: &[&str]| wrought(folder.path(), &url, args).await;
        let groups = cli(&["node", "list", "--failed", "--group-by", "reason", "--json"]).await.ended(0).json();
        assert_eq!((&groups["failed"], groups["groups"].as_array().unwrap().len()), (&json!(3), 1), "{groups}");
        assert!(groups["groups"][0]["group"].as_str().unwrap().contains("Error writing image to device"), "{groups}");
        assert!(groups["groups"][0]["next"].as_str().unwrap().contains("`active`"), "{groups}");
        let table = cli(&["node", "list", "--failed", "--group-by", "reason"]).await.ended(0).text();
        assert!(table.lines().nth(1).unwrap().trim_start().starts_with("3 "), "{table}");

        let none = cli(&["node", "retry"]).await.ended(2);
        assert!(none.stderr.contains("--selector"), "{}", none.stderr);
        let dry = cli(&["node", "retry", "--selector", "resource_class=gold", "--dry-run", "--json"]).await.ended(0).json();
        assert_eq!(dry["nodes"].as_array().unwrap().len(), 2, "{dry}");
        assert_eq!(nodes[0].state().await, "deploy failed", "nothing was asked for");
        let began = Instant::now();
        let args = ["node", "retry", "--selector", "resource_class=gold", "--reason", "writing image", "--rate", "1/s", "--wait", "--json"];
        let done = cli(&args).await.ended(0).json();
        assert!(began.elapsed() >= Duration::from_secs(1), "two at one a second");
        assert_eq!((done["asked"].as_array().unwrap().len(), &done["refused"]), (2, &json!([])), "{done}");
        assert!(done["ended"].as_array().unwrap().iter().all(|node| node["provision_state"] == "active"), "{done}");
        assert_eq!(nodes[2].state().await, "deploy failed", "it is of another kind");

        // Who is named is asked, and the host says why not.
        let refused = cli(&["node", "retry", &nodes[0].uuid]).await.ended(1);
        assert!(refused.stderr.contains("there is nothing to retry"), "{}", refused.stderr);
        let undeployed = cli(&["node", "undeploy", "--all", "--rate", "20/s", "--wait"]).await.ended(0).text();
        assert!(undeployed.contains("undeploy: 3 nodes asked, 0 refused, 3 ended well, 0 failed"), "{undeployed}");
        for node in &nodes {
            until("the node is available", async || (node.state().await == "available").then_some(())).await;
        }
    });
}
