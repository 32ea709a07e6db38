use serde_json::{Value, json};
use wrought_conductor::ProvisionRequest;
use wrought_domain::{ProvisionState, StepCall, Verb};
use wrought_engine::PowerTarget;

use crate::host::{Asked, Host, NEWEST};

const PATH: &str = "/v1/nodes/n/states/provision";

async fn in_state(state: ProvisionState) -> (Host, wrought_domain::NodeId) {
    let host = Host::new().await;
    let node = host.enroll("n").await;
    host.edit(node, move |node| node.provision_state = state).await;
    (host, node)
}

#[tokio::test]
async fn a_verb_is_accepted_with_an_empty_body_and_a_place_to_look() {
    let (host, node) = in_state(ProvisionState::Available).await;
    let drive = json!({"meta_data": {"hostname": "web"}, "user_data": "#!/bin/sh"});
    let steps = json!([{"interface": "raid", "step": "apply", "args": {"level": 1}, "priority": 90}]);
    let reply = host.put(PATH, json!({"target": "active", "configdrive": drive, "deploy_steps": steps})).await.expect(202);
    assert!(reply.bytes.is_empty());
    assert_eq!(reply.header("location"), "http://api.test/v1/nodes/n/states");
    assert_eq!(reply.header("content-length"), "0");
    let args = json!({"level": 1}).as_object().cloned().unwrap();
    let request = ProvisionRequest {
        config_drive: Some(drive),
        deploy_steps: vec![StepCall { interface: "raid".into(), step: "apply".into(), args, priority: Some(90), children: None }],
        ..ProvisionRequest::default()
    };
    assert_eq!(host.asked(), [Asked::Provision(node, Verb::Active, request)]);
    // The name of a verb may be newer than the verb; arguments may stand in the query.
    host.call("PUT", &format!("{PATH}?target=deploy"), "1.73", Value::Null).await.expect(202);
    host.call("PUT", PATH, "1.72", json!({"target": "deploy"})).await.expect(406);
}

#[tokio::test]
async fn a_verb_that_does_not_fit_the_state_is_refused_in_ironics_words() {
    let (host, node) = in_state(ProvisionState::Available).await;
    for target in ["provide", "rebuild", "dance"] {
        let reply = host.put(PATH, json!({"target": target})).await.expect(400);
        let text = format!("The requested action \"{target}\" can not be performed on node \"{node}\" while it is in state \"available\".");
        assert_eq!(reply.fault(), text);
    }
    assert!(host.asked().is_empty());
}

#[tokio::test]
async fn every_verb_needs_its_version() {
    let (host, node) = in_state(ProvisionState::Active).await;
    let path = &format!("/v1/nodes/{node}/states/provision");
    for (target, minor) in [
        ("manage", 4),
        ("provide", 4),
        ("inspect", 6),
        ("abort", 13),
        ("clean", 15),
        ("adopt", 17),
        ("rescue", 38),
        ("unrescue", 38),
        ("undeploy", 73),
        ("unhold", 85),
        ("service", 87),
    ] {
        let reply = host.call("PUT", path, &format!("1.{}", minor - 1), json!({"target": target})).await.expect(406);
        assert_eq!(reply.fault(), "Request not acceptable.", "{target}");
        let known = host.call("PUT", path, &format!("1.{minor}"), json!({"target": target})).await;
        assert_ne!(known.status.as_u16(), 406, "{target}");
    }
}

#[tokio::test]
async fn arguments_belong_to_their_verbs() {
    let (host, _) = in_state(ProvisionState::Manageable).await;
    let steps = json!([{"interface": "deploy", "step": "erase_devices"}]);
    for (body, version, status, text) in [
        (json!({"target": "clean"}), NEWEST, 400, "\"clean_steps\" is required"),
        (json!({"target": "provide", "clean_steps": steps}), NEWEST, 400, "\"clean_steps\" is only valid"),
        (json!({"target": "provide", "deploy_steps": steps}), NEWEST, 400, "\"deploy_steps\" is only valid"),
        (json!({"target": "provide", "configdrive": "x"}), NEWEST, 400, "Adding a config drive is only supported"),
        (json!({"target": "rebuild", "configdrive": "x"}), "1.34", 400, "Adding a config drive is only supported"),
        (json!({"target": "active", "configdrive": {"meta_data": {}}}), "1.55", 406, "Request not acceptable."),
        (json!({"target": "active", "configdrive": {"vendor_data": {}}}), "1.58", 406, "Request not acceptable."),
        (json!({"target": "active", "configdrive": {"other": {}}}), NEWEST, 400, "'other' was unexpected"),
        (json!({"target": "active", "configdrive": 7}), NEWEST, 400, "configdrive"),
        (json!({"target": "active", "deploy_steps": steps}), "1.68", 406, "Request not acceptable."),
        (json!({"target": "active", "deploy_steps": steps}), NEWEST, 400, "'priority' is a required property"),
        (json!({"target": "rescue"}), NEWEST, 400, "\"rescue_password\" is required"),
        (json!({"target": "service"}), NEWEST, 400, "\"service_steps\" is required"),
        (json!({"target": "clean", "runbook": "x"}), NEWEST, 400, "Runbook x could not be found."),
        (json!({"target": "clean", "runbook": "x", "clean_steps": steps}), NEWEST, 400, "mutually exclusive"),
        (json!({"target": "clean", "clean_steps": steps, "disable_ramdisk": true}), "1.69", 406, "Request not acceptable."),
        (json!({"target": "clean", "clean_steps": [{"interface": "deploy"}]}), NEWEST, 400, "'step' is a required property"),
        (json!({"target": "clean", "clean_steps": [{"interface": "x", "step": "y"}]}), NEWEST, 400, "'x' is not an interface"),
        (
            json!({"target": "clean", "clean_steps": [{"interface": "deploy", "step": "y", "prio": 1}]}),
            NEWEST,
            400,
            "'prio' was unexpected",
        ),
        (json!({"target": "clean", "clean_steps": []}), NEWEST, 400, "\"clean_steps\" names no step"),
        (json!({"target": "service", "service_steps": []}), NEWEST, 400, "\"service_steps\" names no step"),
        (
            json!({"target": "clean", "clean_steps": [{"interface": "deploy", "step": "y", "limit_child_node_execution": []}]}),
            NEWEST,
            400,
            "needs execute_on_child_nodes",
        ),
        (
            json!({"target": "clean", "clean_steps": [
                {"interface": "deploy", "step": "y", "execute_on_child_nodes": true, "limit_child_node_execution": ["n"]}]}),
            NEWEST,
            400,
            "expected a UUID but received n",
        ),
        (
            json!({"target": "active", "deploy_steps": [{"interface": "deploy", "step": "y", "priority": 3, "execute_on_child_nodes": true}]}),
            NEWEST,
            400,
            "'execute_on_child_nodes' was unexpected",
        ),
        (json!({"target": "clean", "clean_steps": "all"}), NEWEST, 400, "expected a list"),
        (json!({"target": "provide", "force": true}), NEWEST, 400, "Unexpected arguments: force"),
        (json!({}), NEWEST, 400, "Missing mandatory parameter: target"),
    ] {
        let reply = host.call("PUT", PATH, version, body.clone()).await.expect(status);
        assert!(reply.fault().contains(text), "{body}: {}", reply.fault());
    }
    assert!(host.asked().is_empty());
    host.put(PATH, json!({"target": "clean", "clean_steps": steps, "disable_ramdisk": "yes"})).await.expect(202);
    let [Asked::Provision(_, Verb::Clean, request)] = &host.asked()[..] else { panic!("not asked") };
    assert!(request.disable_ramdisk && request.clean_steps[0].step == "erase_devices");
}

#[tokio::test]
async fn maintenance_protection_and_retirement_are_respected() {
    let (host, node) = in_state(ProvisionState::Available).await;
    host.edit(node, |node| node.maintenance = true).await;
    assert!(host.put(PATH, json!({"target": "active"})).await.expect(400).fault().contains("maintenance mode"));
    host.edit(node, |node| {
        node.maintenance = false;
        node.protected = true;
        node.provision_state = ProvisionState::Active;
    })
    .await;
    for target in ["deleted", "undeploy", "rebuild"] {
        host.put(PATH, json!({"target": target})).await.expect(403);
    }
    host.edit(node, |node| {
        node.retired = true;
        node.provision_state = ProvisionState::Manageable;
    })
    .await;
    assert!(host.put(PATH, json!({"target": "provide"})).await.expect(400).fault().contains("retired"));
    assert!(host.asked().is_empty());
}

#[tokio::test]
async fn power_is_changed_where_it_may_be() {
    let (host, node) = in_state(ProvisionState::Active).await;
    let path = "/v1/nodes/n/states/power";
    let reply = host.put(path, json!({"target": "power on"})).await.expect(202);
    assert_eq!(reply.header("location"), "http://api.test/v1/nodes/n/states");
    host.put(path, json!({"target": "soft power off", "timeout": 30})).await.expect(202);
    host.call("PUT", "/nodes/n/states/power?target=rebooting", "1.5", Value::Null).await.expect(202);
    assert_eq!(
        host.asked(),
        [
            Asked::Power(node, PowerTarget::On, None),
            Asked::Power(node, PowerTarget::SoftOff, Some(30)),
            Asked::Power(node, PowerTarget::Reboot, None)
        ]
    );
    host.call("PUT", path, "1.26", json!({"target": "soft rebooting"})).await.expect(406);
    host.call("PUT", path, "1.26", json!({"target": "power off", "timeout": 5})).await.expect(406);
    host.put(path, json!({"target": "power off", "timeout": 0})).await.expect(400);
    assert!(host.put(path, json!({"target": "explode"})).await.expect(400).fault().contains("The requested action \"explode\""));
    host.edit(node, |node| node.disable_power_off = true).await;
    host.put(path, json!({"target": "power off"})).await.expect(409);
    host.edit(node, |node| node.provision_state = ProvisionState::CleanWait).await;
    assert!(host.put(path, json!({"target": "power on"})).await.expect(400).fault().contains("while it is in state \"clean wait\""));
    assert!(host.asked().is_empty());
}

#[tokio::test]
async fn states_show_their_fields_by_version() {
    let (host, node) = in_state(ProvisionState::Active).await;
    for (version, count) in [("1.1", 7), ("1.12", 9), ("1.75", 11), (NEWEST, 11)] {
        let states = host.call("GET", &format!("/v1/nodes/{node}/states"), version, Value::Null).await.expect(200).json();
        assert_eq!(states.as_object().unwrap().len(), count, "{version}: {states}");
    }
}
