//! What operators have controllers do besides provisioning: interrupts, boot mode, secure boot, media, lamps, consoles.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;
use wrought_simulator::machine::{BootMode, IndicatorLed};

use crate::support::{Answer, Node, Shared, run, until};

async fn put(node: &Node<'_>, path: &str, body: Value) -> Answer {
    node.world.api().call(Method::PUT, &node.path(path), &body).await
}

async fn get(node: &Node<'_>, path: &str) -> Answer {
    node.world.api().get(&node.path(path)).await
}

fn machine(node: &Node<'_>) -> wrought_simulator::NodeView {
    node.world.fleet.node(node.server.unwrap()).unwrap()
}

#[test]
fn boot_mode_and_secure_boot_are_set_while_the_node_is_held() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        let fake = world.fake("fake", json!({})).await;
        for node in [&node, &fake] {
            assert_eq!(put(node, "/states/boot_mode", json!({"target": "bios"})).await.status, 202);
            let rests = node.rest().await;
            assert_eq!((&rests["boot_mode"], &rests["last_error"]), (&json!("bios"), &Value::Null));
            assert_eq!(put(node, "/states/secure_boot", json!({"target": true})).await.status, 202);
            node.rest().await;
            let states = get(node, "/states").await.ok();
            assert_eq!(
                (&states["boot_mode"], &states["secure_boot"], &states["provision_state"]),
                (&json!("bios"), &json!(true), &json!("available"))
            );
        }
        assert_eq!((machine(&node).boot.mode, machine(&node).secure_boot), (BootMode::Legacy, true));
        let history = get(&node, "/history?detail=True").await.ok();
        let told =
            history["history"].as_array().unwrap().iter().find(|entry| entry["event"] == "secure boot on by request").unwrap().clone();
        assert_eq!((&told["event_type"], &told["state"], &told["user"]), (&json!("management"), &json!("available"), &json!("noauth")));
        assert!(told["duration_seconds"].is_f64(), "{told}");

        // What the controller refuses is told on the node.
        node.set_faults(Faults { bmc_status: Some(400), ..Faults::default() });
        assert_eq!(put(&node, "/states/boot_mode", json!({"target": "uefi"})).await.status, 202);
        let failed = node.rest().await;
        assert_eq!(failed["boot_mode"], "bios");
        assert!(failed["last_error"].as_str().unwrap().contains("boot mode"), "{failed}");
        node.set_faults(Faults::default());
    });
}

#[test]
fn a_node_that_an_operation_holds_is_left_alone() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        node.provision("active").await;
        node.pass("wait call-back").await;
        let refused = put(&node, "/states/boot_mode", json!({"target": "bios"})).await.refused(409);
        assert!(refused.contains("Try again later"), "{refused}");
        let media = json!({"device_type": "cdrom", "image_url": format!("{}/images/agent.iso", world.fleet.url())});
        let vmedia = node.path("/vmedia");
        let attach = world.api().call(Method::POST, &vmedia, &media);
        let interrupt = put(&node, "/management/inject_nmi", json!({}));
        let (attach, interrupt) = futures::future::join(attach, interrupt).await;
        for answer in [attach, interrupt] {
            assert!(answer.refused(409).contains("is locked by host"), "{}", answer.text);
        }
        assert_eq!((node.counts().nmis, machine(&node).boot.mode), (0, BootMode::Uefi));
        node.set_faults(Faults::default());
        node.provision("deleted").await;
        node.reach("available").await;
        assert_eq!(put(&node, "/states/boot_mode", json!({"target": "bios"})).await.status, 202);
        assert_eq!(node.reach("available").await["boot_mode"], "bios");
    });
}

#[test]
fn an_interrupt_reaches_a_machine_that_runs() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        let off = put(&node, "/management/inject_nmi", json!({})).await;
        assert_ne!(off.status, 204, "the machine is off");
        node.power("power on").await;
        node.reach_power("power on").await;
        assert_eq!(put(&node, "/management/inject_nmi", json!({})).await.status, 204);
        assert_eq!(node.counts().nmis, 1);
    });
}

#[test]
fn a_slow_controller_is_asked_for_one_thing_at_a_time_and_nothing_queues_behind_it() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.power("power on").await;
        node.reach_power("power on").await;
        node.set_faults(Faults { delay_s: 2.0, ..Faults::default() });
        let interrupt = || put(&node, "/management/inject_nmi", json!({}));
        assert!(tokio::time::timeout(Duration::from_millis(500), interrupt()).await.is_err(), "its caller leaves");
        let began = Instant::now();
        for _ in 0..3 {
            assert!(interrupt().await.refused(409).contains("is locked by host"));
        }
        assert_eq!(node.power("power off").await.status, 409, "no operation begins meanwhile");
        assert_eq!(put(&node, "/maintenance", json!({"reason": "slow"})).await.status, 202);
        assert_eq!(world.api().call(Method::DELETE, &node.path("/maintenance"), &json!({})).await.status, 202);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        // Only what was begun is carried through, and told.
        let sent = async || {
            let history = get(&node, "/history?detail=True").await.ok();
            let told = history["history"].as_array().unwrap().iter().filter(|entry| entry["event"].as_str().unwrap().contains("interrupt"));
            Some(told.count()).filter(|sent| *sent > 0)
        };
        assert_eq!(until("the interrupt is told", sent).await, 1);
        assert_eq!(node.counts().nmis, 1);
        // Some may look at once; more are told to come later.
        let looks = futures::future::join_all((0..6).map(|_| get(&node, "/management/boot_device"))).await;
        let count = |status: u16| looks.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(200), count(503)), (4, 2));
        node.set_faults(Faults::default());
        assert_eq!(node.power("power off").await.status, 202);
        node.reach_power("power off").await;
    });
}

#[test]
fn lamps_are_lit_and_put_out() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        let path = "/management/indicators";
        let all = get(&node, path).await.ok();
        let names: Vec<&str> = all["indicators"].as_array().unwrap().iter().map(|lamp| lamp["name"].as_str().unwrap()).collect();
        let id = machine(&node).system_id;
        assert_eq!(names, [format!("{id}@system"), format!("{id}@chassis")]);
        assert_eq!(all["indicators"][1]["states"], json!(["off", "on"]));
        let lamp = |component: &str| format!("{path}/{id}@{component}");
        assert_eq!(put(&node, &lamp("system"), json!({"state": "BLINKING"})).await.status, 204);
        assert_eq!(put(&node, &lamp("chassis"), json!({"state": "on"})).await.status, 204);
        assert_eq!((machine(&node).indicator_led, machine(&node).location_active), (IndicatorLed::Blinking, true));
        assert_eq!(get(&node, &lamp("system")).await.ok(), json!({"state": "blinking"}));
        assert_eq!(put(&node, &format!("{path}/system/{id}"), json!({"state": "off"})).await.status, 204);
        assert_eq!(machine(&node).indicator_led, IndicatorLed::Off);
        put(&node, &lamp("chassis"), json!({"state": "blinking"})).await.refused(400);
        put(&node, &lamp("system"), json!({"state": "purple"})).await.refused(400);
        // A name is looked up, and never part of a path on the controller.
        put(&node, &format!("{path}/..%2F..%2FAccountService@system"), json!({"state": "on"})).await.refused(404);

        let fake = world.fake("fake", json!({})).await;
        assert_eq!(put(&fake, &format!("{path}/led@chassis"), json!({"state": "blinking"})).await.status, 204);
        assert_eq!(get(&fake, &format!("{path}/led@chassis")).await.ok(), json!({"state": "blinking"}));
    });
}

#[test]
fn media_are_attached_by_kind_and_detached() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        let attach = async |device: &str, url: &str| {
            world.api().call(Method::POST, &node.path("/vmedia"), &json!({"device_type": device, "image_url": url})).await
        };
        let (iso, floppy) =
            (format!("{}/images/agent.iso?sig=s3cret", world.fleet.url()), format!("{}/images/demo.raw", world.fleet.url()));
        assert_eq!(attach("cdrom", &iso).await.status, 204);
        assert_eq!(attach("floppy", &floppy).await.status, 204);
        assert_eq!((machine(&node).media, machine(&node).floppy), (Some(iso.clone()), Some(floppy.clone())));
        let shown = get(&node, "/vmedia").await.ok();
        let cd = shown.as_array().unwrap().iter().find(|drive| drive["media_types"] == json!(["CD", "DVD"])).unwrap().clone();
        assert_eq!((&cd["inserted"], cd["image"].as_str().unwrap().contains("s3cret")), (&json!(true), false), "{cd}");
        // Another image takes the place of the first.
        assert_eq!(attach("cdrom", &floppy).await.status, 204);
        assert_eq!(machine(&node).media, Some(floppy.clone()));
        let detach = async |query: &str| world.api().call(Method::DELETE, &node.path(&format!("/vmedia{query}")), &json!({})).await;
        assert_eq!(detach("?device_types=floppy").await.status, 204);
        assert_eq!((machine(&node).media, machine(&node).floppy), (Some(floppy), None));
        assert_eq!(detach("").await.status, 204);
        assert_eq!(machine(&node).media, None);
        assert_eq!(detach("").await.status, 204, "an empty drive is no error");

        for (device, url, expected) in [
            ("disk", iso.as_str(), "no such virtual drive"),
            ("tape", iso.as_str(), "device type"),
            ("cdrom", "http://169.254.169.254/latest", "image_url"),
            ("cdrom", "file:///etc/passwd", "image_url"),
        ] {
            let refused = attach(device, url).await.refused(400);
            assert!(refused.contains(expected), "{url}: {refused}");
        }
        assert_eq!(machine(&node).media, None);
    });
}

#[test]
fn the_fake_console_is_switched_and_others_are_none() {
    run(async {
        let world = Shared::world().await;
        let fake = world.fake("fake", json!({})).await;
        assert_eq!(put(&fake, "/states/console", json!({"enabled": true})).await.status, 202);
        assert_eq!(fake.rest().await["console_enabled"], true);
        assert_eq!(get(&fake, "/states/console").await.ok()["console_info"]["type"], "fake");
        fake.deploy().await;
        fake.provision("deleted").await;
        assert_eq!(fake.reach("available").await["console_enabled"], false, "nobody looks on at the next tenant's");
        let node = world.enrol().await;
        let refused = put(&node, "/states/console", json!({"enabled": true})).await.refused(400);
        assert_eq!(refused, "Driver redfish does not support console (disabled or not implemented).");
        assert_eq!(get(&node, "/states/console").await.ok(), json!({"console_enabled": false, "console_info": null}));
    });
}

#[test]
fn fake_hardware_has_what_clients_tests_ask_for() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        assert_eq!(
            node.world.api().call(Method::POST, &node.path("/vendor_passthru/second_method"), &json!({"bar": "kazoo"})).await.status,
            202
        );
        until("the method has run", async || node.get().await["reservation"].is_null().then_some(())).await;
        assert_eq!(node.get().await["last_error"], Value::Null);
        node.provision("manage").await;
        node.reach("manageable").await;
        node.provision("inspect").await;
        node.reach("manageable").await;
        assert_eq!(get(&node, "/inventory").await.ok()["inventory"]["system_vendor"]["product_name"], "Fake");
        node.provision("provide").await;
        node.reach("available").await;
        node.deploy().await;
        assert_eq!(node.ask(json!({"target": "rescue", "rescue_password": "hunter2!"})).await.status, 202);
        node.reach("rescue").await;
        node.provision("unrescue").await;
        node.reach("active").await;
        // What the node's interfaces do not do is refused in Ironic's words.
        let plain = world.enrol().await;
        plain.provision("manage").await;
        plain.reach("manageable").await;
        plain.patch("/inspect_interface", "no-inspect".into()).await;
        let refused = plain.ask(json!({"target": "inspect"})).await.refused(400);
        assert!(refused.starts_with("Driver redfish does not support inspect (disabled or not implemented)."), "{refused}");
        let refused = world.api().call(Method::PUT, &plain.path("/states/raid"), &json!({})).await.refused(404);
        assert!(refused.contains("does not support raid"), "{refused}");
    });
}
