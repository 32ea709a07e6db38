//! The BMCs, the images and the control API over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod common;

use axum::http::StatusCode;
use common::{Bmc, FakeIronic, client, eventually, fast, fleet};
use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::{Fleet, Options};

#[tokio::test]
async fn sessions_are_few_and_end_when_deleted() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, Options { max_sessions: 1, ..fast() }).await;
    let (http, url) = (client(&[]), fleet.url());
    let sessions = format!("{url}/redfish/v1/SessionService/Sessions");
    let log_in = |password: &str| http.post(&sessions).json(&json!({ "UserName": "admin", "Password": password })).send();

    assert_eq!(log_in("wrong").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let opened = log_in("password").await.unwrap();
    assert_eq!(opened.status(), StatusCode::CREATED);
    let token = opened.headers()["x-auth-token"].to_str().unwrap().to_owned();
    let location = opened.headers()["location"].to_str().unwrap().to_owned();
    let full = log_in("password").await.unwrap();
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = full.json().await.unwrap();
    assert_eq!(body["error"]["@Message.ExtendedInfo"][0]["MessageId"], "Base.1.18.SessionLimitExceeded");

    let systems = || http.get(format!("{url}/redfish/v1/Systems"));
    let listed: Value = systems().header("X-Auth-Token", &token).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["Members@odata.count"], 2);
    assert_eq!(systems().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(systems().basic_auth("admin", Some("wrong")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(http.get(format!("{url}/redfish/v1/")).send().await.unwrap().status(), StatusCode::OK);

    let deleted = http.delete(format!("{url}{location}")).header("X-Auth-Token", &token).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(systems().header("X-Auth-Token", &token).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(log_in("password").await.unwrap().status(), StatusCode::CREATED);
    fleet.stop().await;
}

#[tokio::test]
async fn power_passes_through_its_transitions_and_refuses_what_is_done_already() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, Options { power_delay: 0.3, ..fast() }).await;
    let bmc = Bmc::of(&fleet, 0);
    assert_eq!(bmc.power_state().await, "Off");
    assert_eq!(bmc.reset("ForceOff").await, StatusCode::CONFLICT);
    assert_eq!(bmc.reset("On").await, StatusCode::NO_CONTENT);
    assert_eq!(bmc.power_state().await, "PoweringOn");
    assert_eq!(bmc.reset("Sideways").await, StatusCode::BAD_REQUEST);
    eventually("power on", || (fleet.counts(0).unwrap().power_on == 1).then_some(())).await;
    assert_eq!(bmc.power_state().await, "On");
    assert_eq!(bmc.reset("On").await, StatusCode::CONFLICT);
    // It booted its disk.
    assert_eq!(fleet.counts(0).unwrap().agent_boots, 0);
    assert_eq!(fleet.counts(0).unwrap().resets, 1);
    fleet.stop().await;
}

#[tokio::test]
async fn changes_are_checked_against_the_etag_and_all_or_nothing() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let bmc = Bmc::of(&fleet, 0);
    let url = format!("{}{}", bmc.url, bmc.node.system_path);
    let system = bmc.client.get(&url).basic_auth("admin", Some("password")).send().await.unwrap();
    let tag = system.headers()["etag"].to_str().unwrap().to_owned();
    let body: Value = system.json().await.unwrap();
    assert_eq!(body["@odata.etag"], tag.as_str());
    let patch = |tag: String, target: &str| {
        let body = json!({ "Boot": { "BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": "Once" } });
        bmc.client.patch(&url).basic_auth("admin", Some("password")).header("If-Match", tag).json(&body).send()
    };
    assert_eq!(patch(tag.clone(), "Pxe").await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(patch(tag, "Hdd").await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(patch("*".into(), "Tape").await.unwrap().status(), StatusCode::BAD_REQUEST);
    let (_, system) = bmc.ask(Method::GET, "", None).await;
    assert_eq!(system["Boot"]["BootSourceOverrideTarget"], "Pxe");

    let enable = json!({ "SecureBootEnable": true });
    assert_eq!(bmc.ask(Method::PATCH, "/SecureBoot", Some(enable)).await.0, StatusCode::NO_CONTENT);
    let (_, secure) = bmc.ask(Method::GET, "/SecureBoot", None).await;
    assert_eq!((&secure["SecureBootEnable"], &secure["SecureBootCurrentBoot"]), (&json!(true), &json!("Disabled")));
    fleet.stop().await;
}

#[tokio::test]
async fn system_and_manager_show_one_drive() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let bmc = Bmc::of(&fleet, 0);
    let insert = || json!({ "Image": "http://127.0.0.1:9/boot.iso", "Inserted": true, "WriteProtected": true });
    let action = |name: &str| format!("/VirtualMedia/Cd/Actions/VirtualMedia.{name}");
    assert_eq!(bmc.ask(Method::POST, &action("InsertMedia"), Some(json!({}))).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bmc.ask(Method::POST, &action("InsertMedia"), Some(insert())).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bmc.ask(Method::POST, &action("InsertMedia"), Some(insert())).await.0, StatusCode::CONFLICT);

    let mut manager = Bmc::of(&fleet, 0);
    manager.node.system_path = manager.node.system_path.replace("Systems", "Managers");
    let (_, drives) = manager.ask(Method::GET, "/VirtualMedia", None).await;
    assert_eq!(drives["Members@odata.count"], 2);
    let (_, drive) = manager.ask(Method::GET, "/VirtualMedia/Cd", None).await;
    assert_eq!((&drive["Inserted"], &drive["ImageName"]), (&json!(true), &json!("boot.iso")));
    assert_eq!(manager.ask(Method::POST, &action("EjectMedia"), Some(json!({}))).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bmc.ask(Method::POST, &action("EjectMedia"), None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bmc.ask(Method::GET, "/VirtualMedia/Cd", None).await.1["Inserted"], false);
    let counts = fleet.counts(0).unwrap();
    assert_eq!((counts.media_inserts, counts.media_ejects), (1, 1));

    let (_, cards) = bmc.ask(Method::GET, "/EthernetInterfaces/NIC1", None).await;
    assert_eq!(cards["MACAddress"], bmc.node.mac.as_str());
    assert_eq!(bmc.ask(Method::GET, "/Nothing", None).await.0, StatusCode::NOT_FOUND);
    fleet.stop().await;
}

#[tokio::test]
async fn a_seed_always_gives_the_same_servers() {
    let ironic = FakeIronic::start().await;
    let of = async |seed| {
        let fleet = fleet(&ironic, Options { nodes: 300, seed, ..fast() }).await;
        let nodes: Vec<_> = fleet.nodes().iter().map(|node| (node.system_id, node.mac.clone())).collect();
        fleet.stop().await;
        nodes
    };
    let (one, again, other) = (of(7).await, of(7).await, of(8).await);
    assert_eq!(one, again);
    assert!(one.iter().zip(&other).all(|(a, b)| a.0 != b.0 && a.1 != b.1));
    let ids: std::collections::HashSet<_> = one.iter().collect();
    assert_eq!(ids.len(), 300);
    assert!(one[259].1.ends_with(":00:01:03"));
}

#[tokio::test]
async fn the_control_api_lists_and_resets() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    Bmc::of(&fleet, 1).power_state().await;
    let (http, url) = (client(&[]), format!("{}/simulator/v1", fleet.url()));
    let list: Value = http.get(format!("{url}/nodes")).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["nodes"][1]["counts"]["bmc_requests"], 1);
    assert_eq!(list["nodes"][1]["mac"], fleet.nodes()[1].mac.as_str());
    assert_eq!(http.post(format!("{url}/reset-counts")).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let node: Value = http.get(format!("{url}/nodes/1")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&node["counts"]["bmc_requests"], &node["agent_alive"]), (&json!(0), &json!(false)));
    assert_eq!(http.get(format!("{url}/nodes/2")).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let typo = http.put(format!("{url}/nodes/1/faults")).json(&json!({ "fail": true })).send().await.unwrap();
    assert!(typo.status().is_client_error());
    fleet.stop().await;
}

#[tokio::test]
async fn a_stopped_fleet_leaves_its_address_free() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let listen = fleet.address();
    let taken = Fleet::start(Options { listen, ..fast() }).await.err().unwrap();
    assert!(taken.to_string().contains(&listen.to_string()));
    fleet.stop().await;
    Fleet::start(Options { listen, ..fast() }).await.unwrap().stop().await;
}

#[tokio::test]
async fn the_command_runs_until_its_shutdown() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(wrought_simulator::run(Options { json: true, ..fast() }, async {
        let _ = stopped.await;
    }));
    assert!(!running.is_finished());
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_vendors_own_resource_is_changed_and_its_collection_grows_and_shrinks() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let cooling = format!("{}{}/Oem/Wrought/Cooling", fleet.url(), fleet.nodes()[0].system_path);
    let http = client(&[]);
    let ask = |method: Method, below: &str, body: Value| {
        http.request(method, format!("{cooling}{below}")).basic_auth("admin", Some("password")).json(&body).send()
    };
    let shown = ask(Method::GET, "", Value::Null).await.unwrap();
    let etag = shown.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(shown.json::<Value>().await.unwrap()["FanMode"], "Normal");
    assert_eq!(ask(Method::PATCH, "", json!({ "FanMode": "Quiet" })).await.unwrap().status(), StatusCode::NO_CONTENT);
    let stale = http.patch(&cooling).basic_auth("admin", Some("password")).header("If-Match", etag).json(&json!({ "FanMode": "Full" }));
    assert_eq!(stale.send().await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
    for wrong in [json!({ "FanMode": "Silent" }), json!({ "Fan": 1 })] {
        assert_eq!(ask(Method::PATCH, "", wrong).await.unwrap().status(), StatusCode::BAD_REQUEST);
    }
    let made = ask(Method::POST, "/Profiles", json!({ "Name": "Night" })).await.unwrap();
    assert_eq!((made.status(), made.headers()["location"].to_str().unwrap().ends_with("/Profiles/1")), (StatusCode::CREATED, true));
    for (status, _) in [(StatusCode::NO_CONTENT, "there"), (StatusCode::NOT_FOUND, "gone")] {
        assert_eq!(ask(Method::DELETE, "/Profiles/1", Value::Null).await.unwrap().status(), status);
    }
    let view = fleet.node(0).unwrap();
    assert_eq!((view.cooling.fan_mode.as_str(), view.counts.oem_changes, view.counts.oem_deletions), ("Quiet", 1, 1));
}

#[tokio::test]
async fn what_takes_a_while_is_a_task_that_ends() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, fast()).await;
    let http = client(&[]);
    let ask = |method: Method, path: String, body: Value| {
        let request = http.request(method, format!("{}{path}", fleet.url())).basic_auth("admin", Some("password"));
        async move { request.json(&body).send().await.unwrap() }
    };
    let update = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate";
    let test = format!("{}/Oem/Wrought/Cooling/Actions/WroughtCooling.SelfTest", fleet.nodes()[0].system_path);
    assert_eq!(ask(Method::POST, update.into(), json!({})).await.status(), StatusCode::BAD_REQUEST);
    for (target, body) in [(update.to_owned(), json!({ "ImageURI": "http://192.0.2.1/fw.bin" })), (test, json!({}))] {
        let begun = ask(Method::POST, target.clone(), body).await;
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        let monitor = begun.headers()["location"].to_str().unwrap().to_owned();
        let task: Value = begun.json().await.unwrap();
        assert_eq!((&task["TaskState"], &task["Payload"]["TargetUri"]), (&json!("Running"), &json!(target)));
        assert_eq!(ask(Method::GET, monitor.clone(), Value::Null).await.status(), StatusCode::ACCEPTED);
        let path = task["@odata.id"].as_str().unwrap().to_owned();
        let mut looks = 0;
        while ask(Method::GET, monitor.clone(), Value::Null).await.status() != StatusCode::NO_CONTENT {
            looks += 1;
            assert!(looks < 200, "the task does not end");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let ended: Value = ask(Method::GET, path, Value::Null).await.json().await.unwrap();
        assert_eq!(ended["TaskState"], "Completed");
    }
}

#[tokio::test]
async fn every_part_of_a_server_is_reached_by_links_and_tells_of_itself() {
    let ironic = FakeIronic::start().await;
    let fleet = fleet(&ironic, Options { nodes: 2, ..fast() }).await;
    let bmc = Bmc::of(&fleet, 1);
    let (_, system) = bmc.ask(Method::GET, "", None).await;
    let below = |link: &Value| link["@odata.id"].as_str().unwrap().strip_prefix(bmc.node.system_path.as_str()).unwrap().to_owned();
    let members = async |name: &str| {
        let (status, all) = bmc.ask(Method::GET, &below(&system[name]), None).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        let mut parts = Vec::new();
        for member in all["Members"].as_array().unwrap() {
            let (status, part) = bmc.ask(Method::GET, &below(member), None).await;
            assert_eq!((status, &part["@odata.id"]), (StatusCode::OK, &member["@odata.id"]));
            parts.push(part);
        }
        parts
    };
    let sum = |parts: &[Value], key: &str| parts.iter().map(|part| part[key].as_u64().unwrap()).sum::<u64>();
    let processors = members("Processors").await;
    assert_eq!(sum(&processors, "TotalThreads"), system["ProcessorSummary"]["LogicalProcessorCount"]);
    assert_eq!(sum(&members("Memory").await, "CapacityMiB") / 1024, system["MemorySummary"]["TotalSystemMemoryGiB"]);
    let cards = members("EthernetInterfaces").await;
    assert_eq!((&cards[0]["MACAddress"], &cards[1]["LinkStatus"]), (&json!(bmc.node.mac), &json!("NoLink")));
    let storage = members("Storage").await;
    let (_, drive) = bmc.ask(Method::GET, &below(&storage[0]["Drives"][1]), None).await;
    assert_eq!(drive["CapacityBytes"], 960_197_124_096_u64);
    let (_, bios) = bmc.ask(Method::GET, &below(&system["Bios"]), None).await;
    assert_eq!(bios["Attributes"]["BootMode"], "Uefi");
    for nothing in ["/Processors/CPU3", "/Memory/DIMM0", "/Storage/SATA/Drives/Disk9", "/EthernetInterfaces/NIC3"] {
        assert_eq!(bmc.ask(Method::GET, nothing, None).await.0, StatusCode::NOT_FOUND, "{nothing}");
    }
    let mut service = Bmc::of(&fleet, 1);
    service.node.system_path = "/redfish/v1/UpdateService".into();
    let (_, firmware) = service.ask(Method::GET, "/FirmwareInventory", None).await;
    assert_eq!(firmware["Members@odata.count"], 4);
    let (_, component) = service.ask(Method::GET, &format!("/FirmwareInventory/{}-BMC", bmc.node.system_id), None).await;
    assert_eq!((&component["Version"], &component["RelatedItem"][0]["@odata.id"]), (&json!("1.00"), &system["@odata.id"]));
    fleet.stop().await;
}
