//! Secrets are in no answer and in no log, at debug level either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{BMC_PASSWORD, Node, Shared, World, run, until};

/// A gzipped image, in base64.
const DRIVE: &str = "H4sIAAAAAAACAwFaAKX/pU3KGCUwux1tEyze1iN7LtkeP3IfyxlxF0SU1kk8nVw0YL4xIB5p/tqg7ui5mX9cfCmZ/a/lkyU81lSvTfrXFCegrrP+6SMvivIhH57kkcWxC+y1Vjv8Hm+TgH0PO1oAAAA=";
/// Some of it.
const DRIVE_PART: &str = "LtkeP3IfyxlxF0SU1kk8nVw0YL4xIB5p";
const AUTHORIZATION: &str = "Bearer image-secret-c81e03";
const WRONG_PASSWORD: &str = "wrong-Passw0rd-77aa12";

#[test]
fn secrets_are_in_no_answer_and_not_in_the_log() {
    run(async {
        let world = Shared::world().await;
        let mut answers = Vec::new();

        let node = world
            .enrol_with(|body| {
                body["automated_clean"] = false.into();
                body["instance_info"]["image_request_authorization_secret"] = AUTHORIZATION.into();
            })
            .await;
        node.make_available().await;
        assert_eq!(node.ask(json!({"target": "active", "configdrive": DRIVE})).await.status, 202);
        node.pass("wait call-back").await;
        answers.extend(everything_about(&node).await);
        node.reach("active").await;
        answers.extend(everything_about(&node).await);

        // Failures have words, too.
        let failing = world.available().await;
        failing.set_faults(Faults { fail_write_image: true, ..Faults::default() });
        assert_eq!(failing.ask(json!({"target": "active", "configdrive": DRIVE})).await.status, 202);
        failing.reach("deploy failed").await;
        answers.extend(everything_about(&failing).await);
        let stranger = world.enrol_with(|body| body["driver_info"]["redfish_password"] = WRONG_PASSWORD.into()).await;
        stranger.provision("manage").await;
        until("the password is refused", async || (!stranger.last_error().await.is_empty()).then_some(())).await;
        answers.extend(everything_about(&stranger).await);

        let (token, again) = token_of_an_agent(&world).await;
        answers.extend(again);
        answers.push(world.api().get("/v1/nodes/detail").await.text);
        answers.push(world.api().get("/wrought/v1/drivers").await.text);

        let log = world.host.log();
        assert!(log.contains("DEBUG"), "the log is not at debug level");
        let encoded = STANDARD.encode(AUTHORIZATION);
        for secret in [BMC_PASSWORD, WRONG_PASSWORD, DRIVE_PART, AUTHORIZATION, &encoded, &token] {
            for answer in &answers {
                assert!(!answer.contains(secret), "{secret} is in an answer: {answer}");
            }
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(secret)).take(3).collect();
            assert!(lines.is_empty(), "{secret} is in the log: {lines:#?}");
        }
        let shown = node.get().await;
        assert_eq!(shown["driver_info"]["redfish_password"], "******");
        assert_eq!(shown["instance_info"]["configdrive"], "******");
    });
}

#[test]
fn a_masked_secret_that_comes_back_in_a_patch_stays_what_it_was() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        let shown = node.get().await["driver_info"].clone();
        node.patch("/driver_info", shown).await;
        node.patch("/automated_clean", false.into()).await;
        node.make_available().await;
    });
}

/// Every way to look at a node.
async fn everything_about(node: &Node<'_>) -> Vec<String> {
    let mut answers = Vec::new();
    for below in ["", "/states", "/history?detail=true", "/validate", "?fields=driver_info,instance_info,driver_internal_info,last_error"] {
        let answer = node.world.api().get(&node.path(below)).await;
        assert_eq!(answer.status, 200, "{below}: {}", answer.text);
        answers.push(answer.text);
    }
    let change = json!([{"op": "add", "path": "/extra/seen", "value": true}]);
    answers.push(node.world.api().call(Method::PATCH, &node.path(""), &change).await.text);
    answers
}

/// The token that a first lookup was given, and what later lookups are told.
async fn token_of_an_agent(world: &World) -> (String, Vec<String>) {
    let node = world.available().await;
    node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
    node.provision("active").await;
    node.pass("wait call-back").await;
    let lookup = format!("/v1/lookup?addresses={}", world.fleet.nodes()[node.server.unwrap()].mac);
    let first: Value = world.api().get(&lookup).await.ok();
    let token = first["config"]["agent_token"].as_str().unwrap().to_owned();
    assert_eq!(first["node"]["driver_internal_info"]["agent_secret_token"], Value::Null);
    let beat = json!({"callback_url": "https://127.0.0.1:9", "agent_version": "13.0.0", "agent_token": token});
    let heard = world.api().call(Method::POST, &format!("/v1/heartbeat/{}", node.uuid), &beat).await;
    assert_eq!(heard.status, 202, "{}", heard.text);
    let mut answers = vec![world.api().get(&lookup).await.text, heard.text];
    answers.extend(everything_about(&node).await);
    (token, answers)
}
