//! What a real driver component reaches through the import `redfish`, at a simulated controller of several machines.

use serde_json::{Value, json};
use wrought_drivers::shipped;
use wrought_simulator::Faults;

use crate::support::{Api, HostConfig, Node, Setup, World, run};

const UPDATE: &str = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate";
const LOCK: &str = "chassis-7";

/// No server is told to fetch anything but from the test's own network.
const HOST: HostConfig = HostConfig { conductor: "", sections: "denied_networks = [\"198.51.100.0/24\"]\n", log: "info" };

async fn world() -> World {
    World::new(Setup { host: HOST, servers: 3, ..Setup::default() }).await
}

/// Puts the driver in force, granted all that it imports, of `redfish` what is given.
async fn install(api: &Api, redfish: &[&str]) {
    let pushed = api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
    let mut grant: Vec<String> = pushed["requested"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    grant.retain(|name| name != "redfish");
    grant.extend(redfish.iter().map(|name| (*name).to_owned()));
    api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": grant })).await.ok();
}

/// Lets a driver ask for these, in this order; what it was answered.
async fn asked(node: &Node<'_>, requests: &[Value]) -> Vec<String> {
    node.patch("/driver_info/hostile_redfish", json!(requests)).await;
    let deployed = node.deploy().await;
    let answers = deployed["driver_internal_info"]["root_uuid_or_disk_id"].as_str().unwrap().to_owned();
    node.provision("deleted").await;
    node.reach("available").await;
    answers.lines().map(str::to_owned).collect()
}

/// A node on a server of its own that the driver deploys.
async fn enrolled(world: &World) -> Node<'_> {
    let node = world
        .enrol_with(|body| {
            body["deploy_interface"] = "hostile".into();
            body["automated_clean"] = false.into();
            body["properties"] = json!({ "shared_locks": [LOCK] });
        })
        .await;
    node.make_available().await;
    node
}

/// Has the controller begin an update that is nobody's here.
async fn begin_update(world: &World) {
    let server = &world.fleet.nodes()[2];
    let request = reqwest::Client::new().post(format!("{}{UPDATE}", world.fleet.url()));
    let request = request.basic_auth(&server.username, Some(&server.password)).json(&json!({ "ImageURI": "http://192.0.2.1/other.bin" }));
    assert_eq!(request.send().await.unwrap().status(), 202);
}

fn get(path: &str) -> Value {
    json!({ "do": "get", "path": path })
}

fn with(what: &str, path: &str, body: Value) -> Value {
    json!({ "do": what, "path": path, "body": body })
}

#[test]
fn a_driver_changes_its_own_system_and_waits_for_its_tasks() {
    run(async {
        let world = world().await;
        install(world.api(), &["redfish"]).await;
        let node = enrolled(&world).await;
        let system = world.fleet.nodes()[0].system_path.clone();
        let cooling = format!("{system}/Oem/Wrought/Cooling");
        let id = system.rsplit('/').next().unwrap();
        let answers = asked(
            &node,
            &[
                get(&system),
                get(&format!("/redfish/v1/Chassis/{id}")),
                get(&format!("/redfish/v1/Managers/{id}")),
                with("patch", &cooling, json!({ "FanMode": "Quiet" })),
                get(&cooling),
                with("patch", &cooling, json!({ "FanMode": "Silent" })),
                with("post", &format!("{cooling}/Profiles"), json!({ "Name": "Night" })),
                json!({ "do": "delete", "path": format!("{cooling}/Profiles/Factory") }),
                get(&format!("{cooling}/Profiles/Factory")),
                with("post", &format!("{cooling}/Actions/WroughtCooling.SelfTest"), json!({})),
                json!({ "do": "wait" }),
                json!({ "do": "task" }),
                get("/redfish/v1/TaskService/Tasks/1"),
            ],
        )
        .await;
        let begins: Vec<&str> = answers.iter().map(|answer| answer.split(' ').next().unwrap()).collect();
        let expected = [
            "200",
            "200",
            "200",
            "204",
            "200",
            "redfish.PropertyValueNotInList",
            "201",
            "204",
            "redfish.ResourceMissingAtURI",
            "202",
            "waited",
            "204",
            "200",
        ];
        assert_eq!(begins, expected, "{answers:#?}");
        assert!(answers[4].contains("\"FanMode\":\"Quiet\""), "{}", answers[4]);
        assert!(answers[12].contains("\"TaskState\":\"Completed\""), "the wait ended with the task: {}", answers[12]);
        let view = world.fleet.node(0).unwrap();
        assert_eq!(view.cooling.fan_mode, "Quiet");
        assert_eq!((view.counts.oem_changes, view.counts.oem_creations, view.counts.oem_deletions, view.counts.oem_actions), (1, 1, 1, 1));
    });
}

#[test]
fn a_driver_reaches_neither_other_machines_nor_accounts_nor_power_and_boot() {
    run(async {
        let world = world().await;
        install(world.api(), &["redfish", "redfish=/redfish/v1/UpdateService"]).await;
        let node = enrolled(&world).await;
        let [system, other] = [0, 1].map(|server| world.fleet.nodes()[server].system_path.clone());
        let (id, other_id) = (system.rsplit('/').next().unwrap(), other.rsplit('/').next().unwrap());
        let drive = format!("/redfish/v1/Managers/{id}/VirtualMedia/Cd");
        let cases: Vec<(Value, &str)> = vec![
            (get(&other), "wrought.PathDenied"),
            (with("patch", &format!("{other}/Oem/Wrought/Cooling"), json!({ "FanMode": "Full" })), "wrought.PathDenied"),
            (with("post", &format!("{other}/Actions/ComputerSystem.Reset"), json!({ "ResetType": "On" })), "wrought.PathDenied"),
            (get(&format!("/redfish/v1/Chassis/{other_id}")), "wrought.NotGranted"),
            (get(&format!("/redfish/v1/Managers/{other_id}")), "wrought.NotGranted"),
            (get("/redfish/v1/Systems"), "wrought.PathDenied"),
            (get(&format!("{system}/../{other_id}")), "wrought.InvalidPath"),
            (get(&format!("{system}/%2e%2e/{other_id}")), "wrought.InvalidPath"),
            (get(&format!("{system}/%252e%252e/{other_id}")), "wrought.InvalidPath"),
            (get(&format!("{system}/..;/{other_id}")), "wrought.InvalidPath"),
            (get(&format!("{system}%2f..%2f{other_id}")), "wrought.InvalidPath"),
            (get(&format!("{system}\\..\\{other_id}")), "wrought.InvalidPath"),
            (get(&format!("{system}//Bios")), "wrought.InvalidPath"),
            (get(&format!("{system}?$expand=*")), "wrought.InvalidPath"),
            (get(&format!("{system}\u{1}")), "wrought.InvalidPath"),
            (with("post", "/redfish/v1/$batch", json!({})), "wrought.InvalidPath"),
            (get(&format!("{}{system}", world.fleet.url())), "wrought.InvalidPath"),
            (get("/redfish/v1/AccountService/Accounts/1"), "wrought.PathDenied"),
            (get("/redfish/v1/%41ccountservice"), "wrought.PathDenied"),
            (with("patch", "/redfish/v1/AccountService/Accounts/1", json!({ "Enabled": false })), "wrought.PathDenied"),
            (get("/redfish/v1/SessionService/Sessions"), "wrought.PathDenied"),
            (with("patch", &system, json!({ "Oem": { "Wrought": [{ "AdminPassword": "x" }] } })), "wrought.SecretInBody"),
            (with("post", &format!("{system}/Actions/ComputerSystem.Reset"), json!({ "ResetType": "On" })), "wrought.UsePower"),
            (with("patch", &system, json!({ "Boot": { "BootSourceOverrideTarget": "Pxe" } })), "wrought.UseBoot"),
            (with("patch", &format!("{system}/SecureBoot"), json!({ "SecureBootEnable": true })), "wrought.UseBoot"),
            (
                with("post", &format!("{drive}/Actions/VirtualMedia.InsertMedia"), json!({ "Image": "http://192.0.2.1/a.iso" })),
                "wrought.UseBoot",
            ),
            (with("patch", &format!("{system}/Oem/Wrought/Cooling"), json!({ "CurveUri": "http://169.254.169.254/" })), "egress.Denied"),
            (with("patch", &format!("{system}/Oem/Wrought/Cooling"), json!({ "CurveUri": "nfs://192.0.2.1/curve" })), "egress.Denied"),
            (with("patch", &format!("{system}/Oem/Wrought/Cooling"), json!({ "CurveUri": "http://198.51.100.7/curve" })), "egress.Denied"),
            (with("patch", &format!("{system}/Oem/Wrought/Cooling"), json!({ "CurveUri": other })), "wrought.PathDenied"),
            (
                with("patch", &format!("{system}/Oem/Wrought/Cooling"), json!({ "CurveUri": format!("{}{other}", world.fleet.url()) })),
                "wrought.PathDenied",
            ),
            (with("patch", &format!("{system}/Oem/Wrought/Cooling"), json!({ "CurveUri": "192.0.2.1:/curve" })), "egress.Denied"),
            (
                with("patch", &format!("{system}/Bios/Settings"), json!({ "Attributes": [{ "Name": "Users.2#Password", "Value": "x" }] })),
                "wrought.SecretInBody",
            ),
            (
                with("patch", &system, json!({ "Oem": { "Profile": "<Attribute Name=\"&#85;sers.2#Pass&#119;ord\">x</Attribute>" } })),
                "wrought.InvalidBody",
            ),
            (with("post", &format!("{system}/SecureBoot/Actions/SecureBoot.ResetKeys"), json!({})), "wrought.UseBoot"),
            (with("patch", &format!("{system}/BootOptions/Boot0001"), json!({ "Alias": "Pxe" })), "wrought.UseBoot"),
            (with("patch", &system, json!({ "HostWatchdogTimer": { "TimeoutAction": "PowerDown" } })), "wrought.UsePower"),
            (with("post", &format!("/redfish/v1/Chassis/{id}/Power/Actions/PowerSupply.Reset"), json!({})), "wrought.UsePower"),
            (with("post", &format!("/redfish/v1/Managers/{id}/Actions/Manager.ResetToDefaults"), json!({})), "wrought.PathDenied"),
            (with("post", UPDATE, json!({ "Targets": [format!("{system}/Actions/ComputerSystem.Reset")] })), "wrought.UsePower"),
        ];
        // A path that is no path at all is no reason to wait; one that may not be read ends at once.
        let (requests, expected): (Vec<Value>, Vec<&str>) = cases.into_iter().unzip();
        let answers = asked(&node, &requests).await;
        let wrong: Vec<_> = requests.iter().zip(&expected).zip(&answers).filter(|((_, expected), answer)| answer != *expected).collect();
        assert!(wrong.is_empty() && answers.len() == expected.len(), "{wrong:#?}");
        let waited = asked(&node, &[json!({ "do": "wait", "path": other }), get(&other)]).await;
        assert_eq!(waited, ["waited", "wrought.PathDenied"]);
        for server in [0, 1] {
            let view = world.fleet.node(server).unwrap();
            assert_eq!((view.counts.oem_changes, view.counts.boot_changes, view.counts.media_inserts), (0, 0, 0));
            assert_eq!((view.counts.resets, view.counts.secure_boot_changes), (0, 0));
        }
    });
}

#[test]
fn what_machines_share_takes_a_grant_by_path_and_a_shared_lock() {
    run(async {
        let world = world().await;
        install(world.api(), &["redfish"]).await;
        let node = enrolled(&world).await;
        let update = || with("post", UPDATE, json!({ "ImageURI": "http://192.0.2.1/fw.bin", "TransferProtocol": "HTTP" }));
        let lock = json!({ "do": "lock", "path": LOCK });
        let shared = || get("/redfish/v1/UpdateService");
        // A task says what it is about: whoever was not granted that may not read it.
        begin_update(&world).await;
        let answers = asked(&node, &[shared(), lock.clone(), update(), get("/redfish/v1/TaskService/Tasks/1")]).await;
        assert_eq!(answers, ["wrought.NotGranted", "200 null", "wrought.NotGranted", "wrought.PathDenied"]);

        install(world.api(), &["redfish", "redfish=/redfish/v1/UpdateService"]).await;
        let [read, changed] = asked(&node, &[shared(), update()]).await.try_into().unwrap();
        assert!(read.starts_with("200 ") && changed == "wrought.LockNeeded", "{read}, {changed}");

        let answers = asked(&node, &[lock, update(), json!({ "do": "wait" }), json!({ "do": "task" })]).await;
        assert!(answers[1].starts_with("202 ") && answers[2..] == ["waited", "204 null"], "{answers:#?}");
        let refused = world.api().activate("hostile", &json!({ "grant": ["redfish=/redfish/v1/Systems"] })).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    });
}

#[test]
fn a_driver_that_may_only_look_changes_nothing() {
    run(async {
        let world = world().await;
        install(world.api(), &["redfish.get"]).await;
        let node = enrolled(&world).await;
        let cooling = format!("{}/Oem/Wrought/Cooling", world.fleet.nodes()[0].system_path);
        let change = with("patch", &cooling, json!({ "FanMode": "Quiet" }));
        let [read, changed] = asked(&node, &[get(&cooling), change]).await.try_into().unwrap();
        assert!(read.starts_with("200 ") && changed == "wrought.NotGranted", "{read}, {changed}");
        assert_eq!(node.counts().oem_changes, 0);
    });
}

#[test]
fn no_secret_of_the_node_goes_to_its_controller() {
    run(async {
        let world = world().await;
        install(world.api(), &["redfish"]).await;
        let node = enrolled(&world).await;
        node.patch("/instance_info/configdrive", "Y2FuYXJ5LWRyaXZl".into()).await;
        node.patch("/instance_info/image_request_authorization_secret", "Bearer canary-image".into()).await;
        let cooling = format!("{}/Oem/Wrought/Cooling", world.fleet.nodes()[0].system_path);
        let profiles = format!("{cooling}/Profiles");
        let answers = asked(
            &node,
            &[
                with("post", &profiles, json!({ "Name": "secret-ref:image-authorization" })),
                with("patch", &cooling, json!({ "FanMode": "secret-ref:config-drive" })),
                with("patch", &cooling, json!({ "FanMode": "Quiet", "Sent": vec!["secret-ref:nothing"; 20] })),
            ],
        )
        .await;
        assert_eq!(answers, ["secret.Unknown"; 3]);
        assert_eq!((node.counts().oem_changes, node.counts().oem_creations), (0, 0));
    });
}

#[test]
fn a_wait_for_a_task_outlives_the_host_and_a_controller_that_does_not_answer() {
    run(async {
        let mut world = world().await;
        install(world.api(), &["redfish"]).await;
        let node = enrolled(&world).await;
        let cooling = format!("{}/Oem/Wrought/Cooling", world.fleet.nodes()[0].system_path);
        let requests = json!([get(&cooling), { "do": "wait", "path": cooling }, get(&cooling)]);
        node.patch("/driver_info/hostile_redfish", requests).await;
        node.set_faults(Faults { bmc_status: Some(503), ..Faults::default() });
        node.provision("active").await;
        node.pass("wait call-back").await;
        let uuid = node.uuid.clone();
        world.host.kill().await;
        world.host.start_again().await;
        let node = Node { world: &world, uuid, server: Some(0) };
        node.left_alone().await;
        assert_eq!(node.state().await, "wait call-back", "what cannot be asked has not ended");
        node.set_faults(Faults::default());
        let active = node.reach("active").await;
        let answers = active["driver_internal_info"]["root_uuid_or_disk_id"].as_str().unwrap();
        assert!(answers.starts_with("redfish.ServiceTemporarilyUnavailable\nwaited\n200 {"), "{answers}");
    });
}
