//! Files that the host pushes to controllers for a driver.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use wrought_drivers::shipped;

use crate::support::{HostConfig, Node, Setup, World, run, until};

const PARTS: &str = "/redfish/v1/UpdateService/update-multipart";
const BYTES: &str = "/redfish/v1/UpdateService/update";

/// MiB.
const LARGE: usize = 48;

/// A world whose driver may push, but for what is in `without`, and the digest of a file of so many bytes.
async fn world(bytes: Vec<u8>, without: &[&str]) -> (World, String) {
    world_with("", bytes, without).await
}

async fn world_with(sections: &'static str, bytes: Vec<u8>, without: &[&str]) -> (World, String) {
    let host = HostConfig { sections, ..HostConfig::default() };
    let world = World::new(Setup { host, servers: 1, ..Setup::default() }).await;
    let api = world.api();
    let sent = api.send(Method::POST, "/wrought/v1/artifacts/nic-fw.bin", |request| request.body(bytes)).await.ok();
    let pushed = api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
    let mut grant = pushed["requested"].as_array().unwrap().clone();
    grant.push("redfish=/redfish/v1/UpdateService".into());
    if !without.is_empty() {
        grant.retain(|name| !without.contains(&name.as_str().unwrap()));
        grant.push("redfish.get".into());
    }
    api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": grant })).await.ok();
    (world, sent["digest"].as_str().unwrap().to_owned())
}

async fn enrolled(world: &World) -> Node<'_> {
    let node = world.enrol_with(|body| {
        body["deploy_interface"] = "hostile".into();
        body["automated_clean"] = false.into();
        body["properties"] = json!({ "shared_locks": ["chassis"] });
    });
    let node = node.await;
    node.make_available().await;
    node
}

async fn begin(node: &Node<'_>, requests: &[Value]) {
    node.patch("/extra/hostile_outside", json!(requests)).await;
    node.provision("active").await;
}

fn answers(deployed: &Value) -> Vec<String> {
    let answers = deployed["driver_internal_info"]["root_uuid_or_disk_id"].as_str().unwrap();
    answers.lines().map(str::to_owned).collect()
}

async fn asked(node: &Node<'_>, requests: &[Value]) -> Vec<String> {
    begin(node, requests).await;
    answers(&node.reach("active").await)
}

fn push(digest: &str, path: &str, parameters: Value) -> Value {
    json!({ "do": "push", "name": digest, "url": path, "body": parameters })
}

fn just(what: &str) -> Value {
    json!({ "do": what, "name": "chassis" })
}

/// KiB of `key` in what the kernel says of a process.
fn memory(pid: u32, key: &str) -> usize {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_file_is_pushed_as_a_form_and_its_task_waited_for_in_little_memory() {
    run(async {
        let (world, digest) = world((0..LARGE << 20).map(|at| (at % 251) as u8).collect(), &[]).await;
        let node = enrolled(&world).await;
        let pid = world.host.pid();
        // From now on the kernel notes the most memory anew.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        let before = memory(pid, "VmRSS");
        let parameters = json!({ "Targets": [], "@Redfish.OperationApplyTime": "Immediate" });
        let requests = [
            just("lock"),
            push(&digest, PARTS, parameters.clone()),
            just("wait-push"),
            just("pushed"),
            just("wait-task"),
            just("task"),
            just("pushed"),
        ];
        let answers = asked(&node, &requests).await;
        let most = memory(pid, "VmHWM");
        assert_eq!(answers, ["locked", "pushing", "waited", "202", "waited", "204", "202"]);
        let files = world.fleet.pushed_files();
        assert_eq!(files.len(), 1);
        assert_eq!(format!("sha256:{}", files[0].sha256), digest);
        assert_eq!((files[0].size, files[0].name.as_str(), &files[0].parameters), (LARGE << 20, "nic-fw.bin", &parameters));
        println!("memory of the host: {before} KiB before, {most} KiB at most while {LARGE} MiB were pushed");
        assert!(most < before + (LARGE << 10) / 2, "{before} KiB before, {most} KiB at most");
    });
}

#[test]
fn a_file_is_pushed_as_it_is_and_only_where_it_may_go() {
    run(async {
        let (world, digest) = world(b"firmware".to_vec(), &[]).await;
        let node = enrolled(&world).await;
        let simple = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate";
        let requests = [
            push(&digest, BYTES, json!({})),
            just("lock"),
            push(&digest, "/redfish/v1/Managers/other/upload", json!({})),
            push(&digest, "/redfish/v1/UpdateService/../AccountService", json!({})),
            push(&digest, simple, json!({})),
            push(&digest, BYTES, json!({ "Targets": [] })),
            push(&digest, PARTS, json!({ "Password": "x" })),
            push(&digest, PARTS, json!({ "Targets": ["/redfish/v1/Systems/another"] })),
            push("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", PARTS, json!({})),
            push(&digest, BYTES, json!({})),
            just("wait-push"),
            just("pushed"),
        ];
        let answers = asked(&node, &requests).await;
        let expected = [
            "wrought.LockNeeded",
            "locked",
            "wrought.NotGranted",
            "wrought.InvalidPath",
            "redfish.NotPushUri",
            "redfish.NoParameters",
            "wrought.SecretInBody",
            "wrought.PathDenied",
            "artifact.NotFound",
            "pushing",
            "waited",
            "202",
        ];
        assert_eq!(answers, expected);
        let files = world.fleet.pushed_files();
        assert_eq!((files.len(), format!("sha256:{}", files[0].sha256)), (1, digest));
    });
}

#[test]
fn who_may_not_post_to_the_controller_may_not_push_to_it() {
    run(async {
        let (world, digest) = world(b"firmware".to_vec(), &["redfish", "redfish=/redfish/v1/UpdateService"]).await;
        let node = enrolled(&world).await;
        assert_eq!(asked(&node, &[just("lock"), push(&digest, PARTS, json!({}))]).await, ["locked", "wrought.NotGranted"]);
        assert_eq!(world.fleet.arriving_files() + world.fleet.pushed_files().len(), 0);
        node.provision("deleted").await;
        node.reach("available").await;
    });
}

/// The file has begun to arrive, and stays where it is.
async fn stuck(world: &World) {
    until("the file to be on its way", async || (world.fleet.arriving_files() == 1).then_some(())).await;
}

/// Of the file that was on its way a part arrives and no more.
async fn broken_off(world: &World) {
    world.fleet.hold_updates(false);
    until("the push to end", async || (world.fleet.arriving_files() == 0).then_some(())).await;
    assert_eq!(world.fleet.pushed_files().len(), 0);
}

#[test]
fn a_push_ends_with_its_lock_and_with_its_operation() {
    run(async {
        let (world, digest) = world(vec![7; 8 << 20], &[]).await;
        let node = enrolled(&world).await;
        world.fleet.hold_updates(true);
        let requests = [just("lock"), push(&digest, PARTS, json!({})), just("pushed"), just("unlock"), just("wait-push"), just("pushed")];
        let answers = asked(&node, &requests).await;
        assert_eq!(answers, ["locked", "pushing", "running", "unlocked", "waited", "artifact.PushEnded"]);
        broken_off(&world).await;

        world.fleet.hold_updates(true);
        node.provision("deleted").await;
        node.reach("available").await;
        begin(&node, &[just("lock"), push(&digest, PARTS, json!({})), just("wait-push")]).await;
        stuck(&world).await;
        let unlock = format!("/wrought/v1/nodes/{}/unlock", node.uuid);
        let answer = world.api().call(Method::POST, &unlock, &json!({ "reason": "the controller hangs" })).await;
        assert!(answer.status < 300, "{}", answer.text);
        until("the push to end", async || world.host.log().contains("its operation has ended").then_some(())).await;
        broken_off(&world).await;
    });
}

#[test]
fn a_push_ends_with_the_revocation_of_its_driver() {
    run(async {
        let (world, digest) = world(vec![7; 8 << 20], &[]).await;
        let node = enrolled(&world).await;
        world.fleet.hold_updates(true);
        begin(&node, &[just("lock"), push(&digest, PARTS, json!({})), just("wait-push")]).await;
        stuck(&world).await;
        let driver = node.driver_digest().await;
        let revoke = json!({ "digest": driver, "reason": "it pushes the wrong file" });
        world.api().call(Method::POST, "/wrought/v1/revocations", &revoke).await.ok();
        let failed = node.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("it pushes the wrong file"), "{failed}");
        until("the push to end", async || world.host.log().contains("the file was not pushed").then_some(())).await;
        broken_off(&world).await;
    });
}

#[test]
fn a_push_that_takes_too_long_ends_and_nobody_knows_what_the_controller_has() {
    run(async {
        let (world, digest) = world_with("[artifacts]\nmax_push_s = 2\n", vec![7; 8 << 20], &[]).await;
        let node = enrolled(&world).await;
        world.fleet.hold_updates(true);
        let requests = [just("lock"), push(&digest, PARTS, json!({})), just("wait-push"), just("pushed")];
        assert_eq!(asked(&node, &requests).await, ["locked", "pushing", "waited", "redfish.AnswerLost"]);
        broken_off(&world).await;
    });
}

#[test]
fn a_push_that_a_host_was_killed_in_is_not_known_by_name() {
    run(async {
        let (mut world, digest) = world(vec![7; 8 << 20], &[]).await;
        let node = enrolled(&world).await;
        world.fleet.hold_updates(true);
        begin(&node, &[just("lock"), push(&digest, PARTS, json!({})), just("wait-push"), just("pushed")]).await;
        stuck(&world).await;
        // The wait is stored.
        until("the driver to be gone", async || (node.state().await == "wait call-back").then_some(())).await;
        let uuid = node.uuid.clone();
        world.host.kill().await;
        world.host.start_again().await;
        let node = Node { world: &world, uuid, server: Some(0) };
        let answers = answers(&node.reach("active").await);
        assert_eq!(answers, ["locked", "pushing", "waited", "artifact.PushUnknown"]);
        broken_off(&world).await;
    });
}
