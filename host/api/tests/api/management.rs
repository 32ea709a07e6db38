use serde_json::{Value, json};
use wrought_domain::{NodeId, ProvisionState};
use wrought_engine::{BootMode, HistoryEntry, Setting, Severity};

use crate::host::{Asked, Host};

const NODE: &str = "/v1/nodes/n";

async fn fake(host: &Host) -> NodeId {
    let reply = host.post("/v1/nodes", json!({"driver": "fake-hardware", "name": "n"})).await.expect(201);
    NodeId(reply.json()["uuid"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn what_is_set_on_a_machine_is_handed_on() {
    let host = Host::new().await;
    let node = fake(&host).await;
    let put = async |path: &str, body: Value| host.put(&format!("{NODE}/{path}"), body).await;
    let accepted = put("states/boot_mode", json!({"target": "uefi"})).await.expect(202);
    assert_eq!((accepted.bytes.len(), accepted.header("location")), (0, "http://api.test/v1/nodes/n/states"));
    put("states/secure_boot", json!({"target": "True"})).await.expect(202);
    put("states/console", json!({"enabled": "on"})).await.expect(202);
    put("management/inject_nmi", json!({})).await.expect(204);
    let wanted = [Setting::BootMode(BootMode::Uefi), Setting::SecureBoot(true), Setting::Console(true)];
    let mut expected = wanted.map(|setting| Asked::Set(node, setting)).to_vec();
    expected.push(Asked::Nmi(node));
    assert_eq!(host.asked(), expected);
    for (path, wrong) in [
        ("states/boot_mode", json!({"target": "coreboot"})),
        ("states/boot_mode", json!({})),
        ("states/secure_boot", json!({"target": "perhaps"})),
        ("states/secure_boot", json!({"target": null})),
        ("states/console", json!({"enable": true})),
        ("management/inject_nmi", json!({"now": true})),
    ] {
        put(path, wrong).await.expect(400);
    }
    for (path, version) in [("states/boot_mode", "1.75"), ("states/secure_boot", "1.75"), ("management/inject_nmi", "1.28")] {
        host.call("PUT", &format!("{NODE}/{path}"), version, json!({"target": "uefi"})).await.expect(404);
    }
    assert!(host.asked().is_empty());
}

#[tokio::test]
async fn an_open_console_says_where_it_is() {
    let host = Host::new().await;
    let node = fake(&host).await;
    host.edit(node, |node| node.console_enabled = true).await;
    let console = host.get("/v1/nodes/n/states/console").await.expect(200).json();
    assert_eq!((&console["console_enabled"], &console["console_info"]["type"]), (&json!(true), &json!("fake")));
    assert!(console["console_info"]["url"].as_str().unwrap().contains(&node.to_string()));
}

#[tokio::test]
async fn a_raid_configuration_is_checked_kept_and_cleared() {
    let host = Host::new().await;
    let node = fake(&host).await;
    let raid = async |body: Value| host.put("/v1/nodes/n/states/raid", body).await;
    let config = json!({"logical_disks": [{"raid_level": "1", "size_gb": "MAX", "is_root_volume": true}]});
    raid(config.clone()).await.expect(204);
    assert_eq!(host.get("/v1/nodes/n/states").await.json()["target_raid_config"], config);
    let wrong = raid(json!({"logical_disks": [{"raid_level": "9", "size_gb": 1}]})).await.expect(400).fault();
    assert!(wrong.starts_with("RAID config validation error: 'raid_level'"), "{wrong}");
    raid(json!({})).await.expect(204);
    assert!(host.stored(node).await.target_raid_config.is_empty());
    host.call("PUT", "/v1/nodes/n/states/raid", "1.11", json!({})).await.expect(406);
}

#[tokio::test]
async fn indicators_are_named_with_their_components() {
    let host = Host::new().await;
    let node = fake(&host).await;
    let path = "/v1/nodes/n/management/indicators";
    let all = host.get(path).await.expect(200).json();
    let names = |list: &Value| list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&all["components"]), ["system", "chassis"]);
    assert_eq!(names(&all["indicators"]), ["led@system", "led@chassis"]);
    assert_eq!(all["indicators"][0]["states"], json!(["off", "on"]));
    assert_eq!(names(&host.get(&format!("{path}/chassis")).await.expect(200).json()["indicators"]), ["led@chassis"]);
    for one in ["led@system", "system/led"] {
        assert_eq!(host.get(&format!("{path}/{one}")).await.expect(200).json(), json!({"state": "off"}));
        host.put(&format!("{path}/{one}"), json!({"state": "ON"})).await.expect(204);
        assert_eq!(host.asked(), [Asked::Indicator(node, "system".into(), "led".into(), "on".into())]);
    }
    for none in ["disk", "led@disk", "system/lamp"] {
        host.get(&format!("{path}/{none}")).await.expect(404);
    }
    host.put(&format!("{path}/led"), json!({"state": "on"})).await.expect(400);
    host.put(&format!("{path}/led@system"), json!({})).await.expect(400);
    host.call("GET", path, "1.62", Value::Null).await.expect(404);
}

#[tokio::test]
async fn virtual_media_are_attached_shown_and_detached() {
    let host = Host::new().await;
    let node = fake(&host).await;
    let path = "/v1/nodes/n/vmedia";
    host.post(path, json!({"device_type": "cdrom", "image_url": "http://images/x.iso"})).await.expect(204);
    host.post(path, json!({"device_type": "floppy", "image_url": "http://images/y", "image_download_source": "http"})).await.expect(204);
    host.delete(&format!("{path}?device_types=cdrom,floppy")).await.expect(204);
    host.delete(path).await.expect(204);
    let attach = |device: &str, url: &str| Asked::Attach(node, device.into(), url.into());
    assert_eq!(
        host.asked(),
        [
            attach("cdrom", "http://images/x.iso"),
            attach("floppy", "http://images/y"),
            Asked::Detach(node, vec!["cdrom".into(), "floppy".into()]),
            Asked::Detach(node, vec![]),
        ]
    );
    for wrong in [
        json!({"image_url": "http://images/x.iso"}),
        json!({"device_type": "cdrom"}),
        json!({"device_type": "cdrom", "image_url": "http://images/x.iso", "image_download_source": "local"}),
        json!({"device_type": "cdrom", "image_url": "http://images/x.iso", "image_download_source": "tape"}),
        json!({"device_type": "cdrom", "image_url": "http://images/x.iso", "boot": true}),
    ] {
        host.post(path, wrong).await.expect(400);
    }
    let shown = host.get(path).await.expect(200).json();
    assert_eq!(shown, json!([{"media_types": ["CD"], "inserted": true, "image": "http://images/x.iso"}]));
    host.call("GET", path, "1.92", Value::Null).await.expect(404);
    host.call("POST", path, "1.88", json!({"device_type": "cdrom", "image_url": "http://x"})).await.expect(404);
}

#[tokio::test]
async fn the_history_tells_more_in_newer_versions() {
    let host = Host::new().await;
    let node = fake(&host).await;
    host.edit(node, |node| node.provision_state = ProvisionState::Manageable).await;
    let mut long = HistoryEntry::new(Severity::Info, "cleaning", "done");
    (long.project, long.duration_ms) = (Some("p".into()), Some(1500));
    host.store.record(node, vec![long, HistoryEntry::new(Severity::Error, "power", "lost")], "ada", Some("testhost")).await.unwrap();
    let list = host.get("/v1/nodes/n/history?detail=True").await.expect(200).json();
    let (long, short) = (&list["history"][0], &list["history"][1]);
    assert_eq!((&long["project"], &long["state"], &long["duration_seconds"]), (&json!("p"), &json!("manageable"), &json!(1.5)));
    assert_eq!(
        (&short["project"], &short["target_provision_state"], &short["duration_seconds"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let keys = async |version: &str| {
        let path = format!("/v1/nodes/n/history/{}", long["uuid"].as_str().unwrap());
        let one = host.call("GET", &path, version, Value::Null).await.expect(200).json();
        ["project", "state", "target_provision_state", "duration_seconds"].map(|key| one.get(key).is_some())
    };
    assert_eq!(keys("1.112").await, [false; 4]);
    assert_eq!(keys("1.113").await, [true, false, false, false]);
    assert_eq!(keys("1.115").await, [true; 4]);
}
