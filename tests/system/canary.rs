//! A canary in each kind of secret is found in no file of the host, in no answer and in no line of its log, whatever fails on the
//! way: the controller and the agent repeat all that they were told.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use wrought_conductor::Export;
use wrought_domain::{NodeId, Principal};
use wrought_simulator::Faults;
use wrought_storage::{Durability, NodeRef, Store};

use crate::support::{BMC_PASSWORD, DRIVE_TEXT, HostConfig, Node, Setup, World, run, until};

/// A gzipped image, in base64.
const DRIVE: &str = "H4sIAAAAAAACAwFaAKX/ZibJPbK7AnkCc8yRxQgrXOoYxiwacZgMEtbhul3l7r0UQBVVmY8N0HsqP9yayIWLa0tRSt2C9wjaTWQymzT4j5B5lJnjOB7AcrlQaDpC5Sn6e6+1tPZSDeem8Vp+SloAAAA=";
/// Some of it.
const DRIVE_PART: &str = "gMEtbhul3l7r0UQBVVmY8N0HsqP9yayI";
const AUTHORIZATION: &str = "Bearer canary-image-auth-90c1f2";
const IMAGE_SIGNATURE: &str = "canary-image-sig-7d1e55";
const ISO_SIGNATURE: &str = "canary-iso-sig-e21b08";
const STEP_ARGUMENT: &str = "canary-step-arg-4ff0ac";
const RESCUE_PASSWORD: &str = "canary-rescue-c0b7a3";

/// Where secrets are looked for.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    /// Secrets are ASCII: what is no text in `bytes` does not matter.
    fn add(&mut self, name: impl Into<String>, bytes: impl AsRef<[u8]>) {
        self.0.push((name.into(), String::from_utf8_lossy(bytes.as_ref()).into_owned()));
    }

    /// Every file below `folder`.
    fn files(&mut self, what: &str, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.files(what, &path);
            } else {
                self.add(format!("{what}: {}", path.display()), fs::read(&path).unwrap());
            }
        }
    }

    fn holds(&self, text: &str) -> bool {
        self.0.iter().any(|(_, place)| place.contains(text))
    }

    /// Each place with each secret that is in it, as it is, in base64 or in a URL.
    fn leaks(&self, secrets: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for secret in secrets {
            for form in forms(secret) {
                for (name, place) in self.0.iter().filter(|(_, place)| place.contains(&form)) {
                    let (before, after) = place.split_once(&form).unwrap();
                    let before: String = before.chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
                    let after: String = after.chars().take(80).collect();
                    found.push(format!("{secret} in {name}: ...{before}[{form}]{after}..."));
                }
            }
        }
        found
    }
}

fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    if secret.contains(' ') {
        forms.push(secret.replace(' ', "%20"));
    }
    // Where a base64 text holds the secret among others, it begins at one of three places of a group.
    for shift in 0..3 {
        let bytes = [vec![0; shift], secret.as_bytes().to_vec()].concat();
        let encoded = STANDARD_NO_PAD.encode(&bytes);
        forms.push(encoded[(shift * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned());
    }
    forms
}

#[test]
fn the_search_finds_what_is_there() {
    let mut seen = Seen::default();
    seen.add("plain", [b"\x00\xff".as_slice(), IMAGE_SIGNATURE.as_bytes(), b"\xff"].concat());
    seen.add("basic", STANDARD_NO_PAD.encode(format!("admin:{BMC_PASSWORD}!")));
    seen.add("url", "?a=Bearer%20canary-image-auth-90c1f2");
    assert_eq!(seen.leaks(&[IMAGE_SIGNATURE, BMC_PASSWORD, AUTHORIZATION, ISO_SIGNATURE]).len(), 3);
}

#[test]
fn a_canary_in_each_kind_of_secret_is_found_nowhere() {
    run(async {
        let host = HostConfig { log: "debug", ..HostConfig::default() };
        let mut world = World::new(Setup { host, servers: 4, fleet: |options| options.write_delay = 1.0 }).await;
        let mut seen = Seen::default();

        // A whole life.
        let node = with_canaries(&world).await;
        node.make_available().await;
        deploy(&node, DRIVE.into()).await;
        node.pass("wait call-back").await;
        everything_about(&mut seen, &node).await;
        node.reach("active").await;
        everything_about(&mut seen, &node).await;
        node.patch("/automated_clean", true.into()).await;
        node.provision("deleted").await;
        node.pass("cleaning").await;
        everything_about(&mut seen, &node).await;
        node.reach("available").await;
        everything_about(&mut seen, &node).await;

        // A talkative controller.
        let mute = with_canaries(&world).await;
        mute.set_faults(Faults { bmc_status: Some(400), echo: true, ..Faults::default() });
        mute.provision("manage").await;
        let error = until("the controller refuses", async || Some(mute.last_error().await).filter(|error| !error.is_empty())).await;
        assert!(error.contains("for the password ******"), "{error}");
        seen.add("the boot device", world.api().get(&mute.path("/management/boot_device")).await.text);
        everything_about(&mut seen, &mute).await;
        mute.set_faults(Faults { fail_insert_media: true, echo: true, ..Faults::default() });
        mute.make_available().await;
        deploy(&mute, DRIVE.into()).await;
        let failed = mute.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("inserting virtual media"), "{failed}");
        everything_about(&mut seen, &mute).await;

        // A talkative agent, and a host that is killed while it writes.
        let cut = with_canaries(&world).await;
        cut.make_available().await;
        cut.set_faults(Faults { fail_write_image: true, echo: true, ..Faults::default() });
        let drive = json!({"meta_data": {"uuid": cut.uuid}, "user_data": DRIVE_TEXT});
        deploy(&cut, drive).await;
        until("the image is being written", async || (cut.counts().image_writes == 1).then_some(())).await;
        everything_about(&mut seen, &cut).await;
        let (uuid, server) = (cut.uuid.clone(), cut.server);
        world.host.kill().await;
        let data = world.host.data();
        assert!(fs::metadata(data.join("wrought.db-wal")).unwrap().len() > 0, "what was written last is in the log");
        seen.files("after kill -9", &data);
        let (token, stored_drive) = of_a_copy(&data, &uuid).await;
        world.host.start_again().await;
        let cut = Node { world: &world, uuid, server };
        let failed = cut.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("simulated fault: token ******"), "{failed}");
        everything_about(&mut seen, &cut).await;

        for path in ["/v1/nodes/detail", "/v1/ports/detail", "/v1/drivers?detail=true", "/v1/conductors", "/wrought/v1/drivers"] {
            let answer = world.api().get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            seen.add(path, answer.text);
        }
        journal(&mut seen, &world).await;
        assert!(seen.holds("secret-ref:step-raid_config-password") && seen.holds("secret-ref:config-drive"), "they were handed on by name");
        assert!(world.host.stop().await.success());
        seen.files("after the end", &data);
        let log = world.host.log();
        assert!(log.contains("DEBUG"), "the log is not at debug level");
        seen.add("the log", log);

        let secrets = [
            BMC_PASSWORD,
            DRIVE_PART,
            DRIVE_TEXT,
            AUTHORIZATION,
            IMAGE_SIGNATURE,
            ISO_SIGNATURE,
            STEP_ARGUMENT,
            RESCUE_PASSWORD,
            &token,
            &stored_drive[40..80],
        ];
        let leaks = seen.leaks(&secrets);
        assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
        assert!(seen.0.len() > 60, "{} places were searched", seen.0.len());
    });
}

/// A node that has a canary in every field that takes a secret.
async fn with_canaries(world: &World) -> Node<'_> {
    world
        .enrol_with(|body| {
            body["automated_clean"] = false.into();
            let signed = |url: &Value, signature: &str| Value::from(format!("{}?sig={signature}", url.as_str().unwrap()));
            body["driver_info"]["deploy_iso"] = signed(&body["driver_info"]["deploy_iso"], ISO_SIGNATURE);
            let info = &mut body["instance_info"];
            info["image_source"] = signed(&info["image_source"], IMAGE_SIGNATURE);
            info["image_request_authorization_secret"] = AUTHORIZATION.into();
            info["rescue_password"] = RESCUE_PASSWORD.into();
        })
        .await
}

/// Asks for a deployment with a config drive, and with a step whose argument is secret.
async fn deploy(node: &Node<'_>, drive: Value) {
    let raid = json!({"logical_disks": [], "password": STEP_ARGUMENT});
    let step = json!({"interface": "raid", "step": "apply_configuration", "args": {"raid_config": raid}, "priority": 50});
    let answer = node.ask(json!({"target": "active", "configdrive": drive, "deploy_steps": [step]})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

/// Every way to look at a node.
async fn everything_about(seen: &mut Seen, node: &Node<'_>) {
    let ways = ["", "/states", "/history?detail=true", "/validate", "/ports?detail=true", "?fields=driver_info,instance_info,last_error"];
    for below in ways {
        let answer = node.world.api().get(&node.path(below)).await;
        assert_eq!(answer.status, 200, "{below}: {}", answer.text);
        seen.add(node.path(below), answer.text);
    }
    let change = json!([{"op": "add", "path": "/extra/seen", "value": true}]);
    seen.add("a patch", node.world.api().call(Method::PATCH, &node.path(""), &change).await.text);
}

/// What the journal shows, and what it exports.
async fn journal(seen: &mut Seen, world: &World) {
    let listed = world.api().get("/wrought/v1/journal").await;
    let operations = listed.ok()["operations"].as_array().unwrap().clone();
    assert!(operations.len() >= 4, "{operations:?}");
    seen.add("the journal's list", listed.text);
    for operation in operations {
        let id = operation["id"].as_str().unwrap();
        let shown = world.api().get(&format!("/wrought/v1/journal/{id}?detail=true")).await;
        shown.ok();
        seen.add(format!("the journal of {operation}"), shown.text);
        let file = reqwest::get(format!("{}/wrought/v1/journal/{id}/export", world.api().url())).await.unwrap().bytes().await.unwrap();
        let export = Export::read(&file).unwrap();
        seen.add(format!("the export of {operation}"), serde_json::to_vec(&export).unwrap());
    }
}

/// The agent's token and the config drive of a node, read from a copy of the data folder with its key.
async fn of_a_copy(data: &Path, uuid: &str) -> (String, String) {
    let copy = tempfile::tempdir().unwrap();
    for name in ["wrought.db", "wrought.db-wal", "secrets.key"] {
        fs::copy(data.join(name), copy.path().join(name)).unwrap();
    }
    let store = Store::open(copy.path(), Durability::Normal).await.unwrap();
    let id = NodeId(uuid.parse().unwrap());
    let token = store.agent_session(id).await.unwrap().expect("an agent is known").token;
    let node = store.node(&Principal::host(), &NodeRef::Uuid(id)).await.unwrap().unwrap().value;
    let drive = node.instance_info["configdrive"].as_str().unwrap().to_owned();
    assert_eq!(node.driver_info["redfish_password"], BMC_PASSWORD);
    store.close().await;
    (token, drive)
}
