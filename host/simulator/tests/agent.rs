//! Agents over real sockets: boot, commands, end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use axum::http::StatusCode;
use common::{AgentClient, Bmc, FakeIronic, booted, client, eventually, fast, fleet};
use serde_json::{Value, json};
use wrought_simulator::{AgentStage, Faults, Fleet, Options};

fn write_image(fleet: &Fleet, checksum: &str) -> Value {
    json!({
        "step": { "interface": "deploy", "step": "write_image", "args": { "image_info": {
            "id": "disk.raw",
            "urls": [format!("{}/images/disk.raw", fleet.url())],
            "disk_format": "raw",
            "container_format": null,
            "stream_raw_images": true,
            "os_hash_algo": "sha256",
            "os_hash_value": checksum,
            "node_uuid": "0b5e55ed-1ab0-4000-8000-00000000c0de",
        }}},
        "node": { "uuid": "0b5e55ed-1ab0-4000-8000-00000000c0de" },
        "ports": [],
        "deploy_version": { "generic_hardware_manager": "1.2" },
    })
}

async fn checksum(fleet: &Fleet) -> String {
    let line = client(&[]).get(format!("{}/images/disk.raw.sha256", fleet.url())).send().await.unwrap().text().await.unwrap();
    let (hash, name) = line.trim_end().split_once("  ").unwrap();
    assert_eq!(name, "disk.raw");
    hash.to_owned()
}

#[tokio::test]
async fn a_boot_from_cd_starts_an_agent_that_looks_up_and_heartbeats_over_tls() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (bmc, agent) = booted(&ironic, &fleet).await;

    let heartbeat = ironic.heartbeat_after(0).await;
    assert!(agent.url.starts_with("https://127.0.0.1:"));
    assert_eq!(heartbeat["agent_version"], "13.0.0");
    assert_eq!(heartbeat["uuid"], "0b5e55ed-1ab0-4000-8000-00000000c0de");
    let status: Value = agent.client.get(format!("{}/v1/status", agent.url)).send().await.unwrap().json().await.unwrap();
    assert_eq!(status["version"], "13.0.0");
    assert!(status["started_at"].as_f64().unwrap() > 1.0e9);

    let node = fleet.node(0).unwrap();
    assert!(node.agent_alive);
    assert_eq!((node.counts.agent_boots, node.counts.lookups, node.counts.power_on), (1, 1, 1));
    // `Once` is used up.
    let (_, system) = bmc.ask(reqwest::Method::GET, "", None).await;
    assert_eq!(system["Boot"]["BootSourceOverrideEnabled"], "Disabled");
    fleet.stop().await;
}

#[tokio::test]
async fn an_image_is_fetched_verified_and_counted() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (_, agent) = booted(&ironic, &fleet).await;
    let seen = ironic.heartbeats();

    let (status, result) = agent.run("deploy.execute_deploy_step", write_image(&fleet, &checksum(&fleet).await), false).await;
    assert_eq!((status, &result["command_status"]), (StatusCode::OK, &json!("RUNNING")));
    assert_eq!(result["command_name"], "execute_deploy_step");
    ironic.heartbeat_after(seen).await;

    let last = agent.commands().await.pop().unwrap();
    assert_eq!(last["command_status"], "SUCCEEDED", "{last}");
    let text = "prepare_image: image (disk.raw) written to device /dev/vda root_uuid=0x00000000";
    assert_eq!(last["command_result"]["deploy_result"], json!({ "result": text }));
    assert_eq!(last["command_result"]["deploy_step"]["step"], "write_image");
    assert_eq!(fleet.counts(0).unwrap().image_writes, 1);
    let (_, uuids) = agent.run("standby.get_partition_uuids", json!({}), true).await;
    assert_eq!(uuids["command_result"], json!({ "root uuid": "0x00000000" }));
    fleet.stop().await;
}

#[tokio::test]
async fn a_wrong_checksum_fails_the_command_as_on_the_real_agent() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (_, agent) = booted(&ironic, &fleet).await;

    let (status, result) = agent.run("deploy.execute_deploy_step", write_image(&fleet, &"0".repeat(64)), true).await;
    assert_eq!((status, &result["command_status"]), (StatusCode::OK, &json!("FAILED")));
    assert_eq!(result["command_error"]["type"], "ImageChecksumError");
    assert_eq!(result["command_error"]["code"], 500);
    assert!(result["command_error"]["details"].as_str().unwrap().contains(&checksum(&fleet).await));
    assert_eq!(result["command_result"], Value::Null);
    fleet.stop().await;
}

#[tokio::test]
async fn a_checksum_may_be_the_url_of_a_file() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (_, agent) = booted(&ironic, &fleet).await;
    let url = format!("{}/images/disk.raw.sha256", fleet.url());
    let (_, result) = agent.run("deploy.execute_deploy_step", write_image(&fleet, &url), true).await;
    assert_eq!(result["command_status"], "SUCCEEDED", "{result}");
    fleet.stop().await;
}

#[tokio::test]
async fn a_missing_image_fails_the_command() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (_, agent) = booted(&ironic, &fleet).await;
    let mut params = write_image(&fleet, &"0".repeat(64));
    params["step"]["args"]["image_info"]["urls"] = json!([format!("{}/images/nothing.txt", fleet.url())]);
    let (_, result) = agent.run("deploy.execute_deploy_step", params, true).await;
    assert_eq!(result["command_error"]["type"], "ImageDownloadError", "{result}");
    assert_eq!(fleet.counts(0).unwrap().image_writes, 0);
    fleet.stop().await;
}

#[tokio::test]
async fn power_off_ends_the_agent_at_once() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, Options { power_delay: 1.0, ..fast() }).await;
    let (bmc, agent) = booted(&ironic, &fleet).await;

    assert_eq!(bmc.reset("ForceOff").await, StatusCode::NO_CONTENT);
    assert_eq!(bmc.power_state().await, "PoweringOff");
    let refused = agent.client.get(format!("{}/v1/status", agent.url)).send().await;
    assert!(refused.is_err(), "the agent still answers");
    assert_eq!(fleet.node(0).unwrap().agent_stage, AgentStage::Absent);
    eventually("power off", || (fleet.counts(0).unwrap().power_off == 1).then_some(())).await;
    assert_eq!(bmc.power_state().await, "Off");
    fleet.stop().await;
}

#[tokio::test]
async fn the_agent_can_power_its_server_off() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (bmc, agent) = booted(&ironic, &fleet).await;
    let (_, result) = agent.run("standby.power_off", json!({}), false).await;
    assert_eq!(result["command_status"], "RUNNING");
    eventually("power off", || (fleet.counts(0).unwrap().power_off == 1).then_some(())).await;
    assert_eq!(bmc.power_state().await, "Off");
    assert!(!fleet.node(0).unwrap().agent_alive);
    fleet.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (_, agent) = booted(&ironic, &fleet).await;
    let stranger = AgentClient { token: "x".repeat(43), ..agent };
    let (status, body) = stranger.run("standby.sync", json!({}), true).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body, json!({ "faultcode": "Client", "faultstring": "Token invalid." }));
    let without = stranger.client.get(format!("{}/v1/commands/", stranger.url)).send().await.unwrap();
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(fleet.counts(0).unwrap().commands, 0);
    fleet.stop().await;
}

#[tokio::test]
async fn a_busy_agent_refuses_commands() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (_, agent) = booted(&ironic, &fleet).await;
    let clean = json!({ "step": { "step": "erase_devices_metadata", "interface": "deploy" }, "node": {}, "ports": [] });
    let (_, first) = agent.run("clean.execute_clean_step", clean, false).await;
    let (status, body) = agent.run("standby.sync", json!({}), true).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["faultstring"], "Agent is busy: executing command execute_clean_step");

    let url = format!("{}/v1/commands/{}?wait=true&agent_token={}", agent.url, first["id"].as_str().unwrap(), agent.token);
    let done: Value = agent.client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(done["command_status"], "SUCCEEDED");
    assert_eq!(done["command_result"]["clean_result"], Value::Null);
    assert_eq!(agent.run("standby.sync", json!({}), true).await.0, StatusCode::OK);
    assert_eq!(fleet.counts(0).unwrap().clean_steps, 1);
    fleet.stop().await;
}

#[tokio::test]
async fn unknown_commands_and_versions_are_told_apart() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (_, agent) = booted(&ironic, &fleet).await;
    assert_eq!(agent.run("nope.sync", json!({}), true).await.0, StatusCode::NOT_FOUND);
    assert_eq!(agent.run("standby.nope", json!({}), true).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(agent.run("clean.execute_clean_step", json!({}), true).await.0, StatusCode::BAD_REQUEST);
    let stale = json!({ "step": { "step": "erase_pstore" }, "node": {}, "ports": [], "clean_version": { "other": "1" } });
    let (_, result) = agent.run("clean.execute_clean_step", stale, true).await;
    assert_eq!(result["command_status"], "CLEAN_VERSION_MISMATCH");
    let (_, steps) = agent.run("deploy.get_deploy_steps", json!({ "node": {}, "ports": [] }), true).await;
    assert_eq!(steps["command_result"]["deploy_steps"]["GenericHardwareManager"][3]["step"], "write_image");
    fleet.stop().await;
}

#[tokio::test]
async fn an_agent_without_a_token_locks_itself_down() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (bmc, _) = booted(&ironic, &fleet).await;
    // The host does not know of this reset: its next lookup answers with a hidden token.
    let again = json!({ "Boot": { "BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Once" } });
    bmc.ask(reqwest::Method::PATCH, "", Some(again.clone())).await;
    assert_eq!(bmc.reset("ForceRestart").await, StatusCode::NO_CONTENT);
    eventually("lock-down", || (fleet.node(0).unwrap().agent_stage == AgentStage::LockedDown).then_some(())).await;

    let seen = ironic.heartbeats();
    ironic.forget_tokens();
    bmc.ask(reqwest::Method::PATCH, "", Some(again)).await;
    bmc.reset("ForceRestart").await;
    ironic.heartbeat_after(seen).await;
    assert_eq!(fleet.counts(0).unwrap().agent_boots, 3);
    fleet.stop().await;
}

#[tokio::test]
async fn faults_happen_when_asked_for() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (bmc, agent) = booted(&ironic, &fleet).await;
    assert!(fleet.set_faults(0, Faults { fail_write_image: true, ..Faults::default() }));
    let (_, result) = agent.run("deploy.execute_deploy_step", write_image(&fleet, &checksum(&fleet).await), true).await;
    assert_eq!(result["command_error"]["type"], "ImageWriteError");

    fleet.set_faults(0, Faults { reset_ignored: true, ..Faults::default() });
    assert_eq!(bmc.reset("ForceOff").await, StatusCode::NO_CONTENT);
    assert_eq!(bmc.power_state().await, "On");

    let url = format!("{}/simulator/v1/nodes/0/faults", fleet.url());
    client(&[]).put(url).json(&json!({ "bmc_status": 503 })).send().await.unwrap().error_for_status().unwrap();
    let (status, body) = bmc.ask(reqwest::Method::GET, "", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body["error"]["@Message.ExtendedInfo"][0]["MessageId"].as_str().unwrap().starts_with("Base."));

    let other = Bmc::of(&fleet, 1);
    fleet.set_faults(1, Faults { vanish_on_boot: true, ..Faults::default() });
    other.boot_from_cd("http://127.0.0.1:9/x.iso").await;
    eventually("power on", || (fleet.counts(1).unwrap().power_on == 1).then_some(())).await;
    assert_eq!(fleet.node(1).unwrap().agent_stage, AgentStage::Absent);
    fleet.stop().await;
}

#[tokio::test]
async fn the_rescue_command_ends_the_agent_after_its_answer() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let (bmc, agent) = booted(&ironic, &fleet).await;
    let (_, result) = agent.run("rescue.finalize_rescue", json!({ "rescue_password": "x", "hashed": true }), true).await;
    assert_eq!(result["command_status"], "SUCCEEDED");
    eventually("the end", || (fleet.node(0).unwrap().agent_stage == AgentStage::Rescued).then_some(())).await;
    eventually("a closed port", || {
        let address = agent.url.trim_start_matches("https://").to_owned();
        std::net::TcpStream::connect(address).is_err().then_some(())
    })
    .await;
    assert_eq!(bmc.power_state().await, "On");
    fleet.stop().await;
}

#[tokio::test]
async fn an_agent_that_nobody_knows_gives_up() {
    let ironic = FakeIronic::start().await;
    ironic.known.lock().unwrap().lookup_fails = true;
    let fleet = fleet(&ironic, Options { lookup_timeout: 0.2, ..fast() }).await;
    Bmc::of(&fleet, 0).boot_from_cd("http://127.0.0.1:9/x.iso").await;
    eventually("giving up", || (fleet.node(0).unwrap().agent_stage == AgentStage::GaveUp).then_some(())).await;
    assert!(fleet.counts(0).unwrap().lookups > 1);
    fleet.stop().await;
}

#[tokio::test]
async fn an_agent_posts_what_it_finds_before_it_looks_up_its_node() {
    let ironic = FakeIronic::start().await;
    ironic.known.lock().unwrap().inspects = true;
    let fleet = fleet(&ironic, fast()).await;
    let findings = serde_json::from_value(json!({"error": "a disk is broken"})).unwrap();
    assert!(fleet.set_faults(0, Faults { findings, ..Faults::default() }));
    booted(&ironic, &fleet).await;
    let (findings, named) = {
        let known = ironic.known.lock().unwrap();
        (known.findings.clone(), known.named.clone())
    };
    assert_eq!(named, ["0b5e55ed-1ab0-4000-8000-00000000c0de"]);
    assert_eq!((findings.len(), fleet.counts(0).unwrap().inspections), (1, 1));
    let found = &findings[0];
    assert_eq!(found["inventory"]["interfaces"][0]["mac_address"], fleet.nodes()[0].mac);
    assert_eq!((&found["inventory"]["memory"]["physical_mb"], &found["inventory"]["cpu"]["count"]), (&json!(32768), &json!(64)));
    assert_eq!((&found["root_disk"]["size"], &found["error"]), (&json!(480_103_981_056_u64), &json!("a disk is broken")));
    fleet.stop().await;
}

#[tokio::test]
async fn an_agent_whose_findings_nobody_wants_looks_up_its_node_all_the_same() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    booted(&ironic, &fleet).await;
    assert_eq!(fleet.counts(0).unwrap().inspections, 1);
    assert!(ironic.known.lock().unwrap().named.is_empty());
    fleet.stop().await;
}
