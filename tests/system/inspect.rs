//! Inspection: from within by the agent, from without by the controller, with the operator's rules in between.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::Faults;

use crate::support::{HostConfig, Node, Setup, Shared, World, run};

const RULES: &str = "/v1/inspection_rules";

/// A manageable node that is inspected by this interface.
async fn manageable<'w>(world: &'w World, interface: &str) -> Node<'w> {
    let interface = interface.to_owned();
    let node = world.enrol_with(move |body| body["inspect_interface"] = interface.into()).await;
    node.provision("manage").await;
    node.reach("manageable").await;
    node
}

async fn ports(node: &Node<'_>) -> Vec<(String, bool)> {
    let all = node.world.api().get(&node.path("/ports/detail")).await.ok();
    let port = |port: &Value| (port["address"].as_str().unwrap().to_owned(), port["pxe_enabled"].as_bool().unwrap());
    let mut ports: Vec<_> = all["ports"].as_array().unwrap().iter().map(port).collect();
    ports.sort();
    ports
}

async fn history(node: &Node<'_>) -> String {
    node.world.api().get(&node.path("/history")).await.ok().to_string()
}

#[test]
fn the_agent_looks_at_the_machine_and_the_host_writes_it_down() {
    run(async {
        let world = Shared::world().await;
        let node = manageable(&world, "agent").await;
        node.provision("inspect").await;
        let seen = node.states_until("manageable").await;
        assert!(seen.contains(&"inspect wait".to_owned()), "{seen:?}");
        let inspected = node.reach("manageable").await;
        let properties = &inspected["properties"];
        assert_eq!(
            (&properties["cpu_arch"], &properties["cpus"], &properties["memory_mb"], &properties["local_gb"], &properties["capabilities"]),
            (&json!("x86_64"), &json!(64), &json!(32768), &json!(446), &json!("boot_mode:uefi"))
        );
        assert!(inspected["inspection_started_at"].is_null() && inspected["inspection_finished_at"].is_string(), "{inspected}");
        assert_eq!((&inspected["power_state"], &inspected["last_error"]), (&json!("power off"), &Value::Null));
        assert!(inspected["driver_internal_info"].get("inventory").is_none());
        let found = world.api().get(&node.path("/inventory")).await.ok();
        assert_eq!(found["inventory"]["system_vendor"]["product_name"], "Simulated server");
        assert_eq!(found["plugin_data"]["root_disk"]["name"], "/dev/sda");
        assert!(found["plugin_data"].get("logs").is_none());
        let mac = world.fleet.nodes()[node.server.unwrap()].mac.clone();
        assert_eq!(ports(&node).await, [(mac, true)]);
        assert_eq!((node.counts().inspections, node.counts().agent_boots), (1, 1));
        assert_eq!(world.fleet.node(node.server.unwrap()).unwrap().media, None, "the agent's medium is ejected");

        // The same again: what is there stays.
        node.provision("inspect").await;
        node.reach("manageable").await;
        assert_eq!(ports(&node).await.len(), 1);
    });
}

#[test]
fn the_controller_tells_what_the_machine_consists_of_and_nothing_is_booted() {
    run(async {
        let world = Shared::world().await;
        let node = manageable(&world, "redfish").await;
        node.provision("inspect").await;
        let inspected = node.reach("manageable").await;
        let properties = &inspected["properties"];
        assert_eq!(
            (&properties["cpu_arch"], &properties["cpus"], &properties["memory_mb"], &properties["local_gb"]),
            (&json!("x86_64"), &json!(64), &json!(32768), &json!(446)),
            "{inspected}"
        );
        assert!(inspected["inspection_finished_at"].is_string() && inspected["last_error"].is_null(), "{inspected}");
        assert_eq!((node.counts().agent_boots, node.counts().power_on), (0, 0));
        assert_eq!(ports(&node).await.len(), 2, "no interface is known to have an address or to boot from, so all have ports");
        let found = world.api().get(&node.path("/inventory")).await.ok();
        assert_eq!(found["inventory"]["disks"].as_array().unwrap().len(), 2);
        let bios = world.api().get(&node.path("/bios/SystemProfile")).await.ok();
        assert_eq!(bios["SystemProfile"]["value"], "PerfPerWattOptimized");
        let firmware = world.api().get(&node.path("/firmware")).await.ok();
        let versions: Vec<_> =
            firmware["firmware"].as_array().unwrap().iter().map(|item| (&item["component"], &item["current_version"])).collect();
        assert_eq!(versions, [(&json!("bios"), &json!("1.0.0")), (&json!("bmc"), &json!("1.00"))]);
        for internal in ["inventory", "bios_settings", "firmware_components"] {
            assert!(inspected["driver_internal_info"].get(internal).is_none(), "{internal}");
        }
    });
}

#[test]
fn rules_change_the_node_and_end_inspections() {
    run(async {
        let world = World::new(Setup { servers: 2, ..Setup::default() }).await;
        let node = manageable(&world, "agent").await;
        let make = async |body: Value| world.api().call(Method::POST, RULES, &body).await.ok()["uuid"].as_str().unwrap().to_owned();
        let by_vendor = make(json!({
            "description": "a class by size", "priority": 10,
            "conditions": [
                {"op": "matches", "args": {"value": "{inventory[system_vendor][manufacturer]}", "regex": "(?i)wrought"}},
                {"op": "gt", "args": {"values": ["{inventory[memory][physical_mb]}", 16384]}},
                {"op": "!in-net", "args": {"address": "{inventory[bmc_address]}", "subnet": "192.0.2.0/24"}},
            ],
            "actions": [
                {"op": "set-attribute", "args": {"path": "/resource_class", "value": "cpu{inventory[cpu][count]}"}},
                {"op": "set-attribute", "args": {"path": "/extra/disks", "value": "{inventory[disks]}"}},
                {"op": "set-attribute", "args": {"path": "{item[path]}", "value": "{item[value]}"},
                    "loop": [{"path": "/extra/serial", "value": "{inventory[system_vendor][serial_number]}"}]},
                {"op": "set-attribute", "args": ["/rescue_interface", "agent"]},
                {"op": "add-trait", "args": {"name": "CUSTOM_SIMULATED"}},
                {"op": "set-capability", "args": {"name": "secure_boot", "value": true}},
                {"op": "set-plugin-data", "args": {"path": "rack.row", "value": 7}},
                {"op": "log", "args": {"msg": "rule saw {node.uuid} of {inventory[system_vendor][manufacturer]}", "level": "warning"}},
            ],
        }))
        .await;
        node.provision("inspect").await;
        let inspected = node.reach("manageable").await;
        assert_eq!((&inspected["resource_class"], &inspected["extra"]["serial"]), (&json!("cpu64"), &json!("SIM00000000")));
        assert_eq!(inspected["extra"]["disks"].as_array().unwrap().len(), 2);
        assert_eq!(inspected["traits"], json!(["CUSTOM_SIMULATED"]));
        assert_eq!(inspected["rescue_interface"], "agent");
        assert_eq!(inspected["properties"]["capabilities"], "boot_mode:uefi,secure_boot:true");
        let found = world.api().get(&node.path("/inventory")).await.ok();
        assert_eq!(found["plugin_data"]["rack"]["row"], 7);
        assert!(history(&node).await.contains(&by_vendor));
        assert!(world.host.log().contains(&format!("rule saw {} of Wrought", node.uuid)));

        let refusing =
            make(json!({"priority": 90, "actions": [{"op": "fail", "args": {"msg": "{inventory[cpu][count]} CPUs are too few"}}]})).await;
        node.provision("inspect").await;
        node.rest().await;
        assert_eq!(node.state().await, "inspect failed");
        let error = node.last_error().await;
        assert!(error.contains(&refusing) && error.contains("64 CPUs are too few"), "{error}");
        assert_eq!(world.fleet.node(node.server.unwrap()).unwrap().media, None);
        assert!(world.api().get(&node.path("/inventory")).await.status == 200, "what was found helps to see why");
        world.api().send(Method::DELETE, &format!("{RULES}/{refusing}"), |request| request).await;

        let elsewhere = make(json!({"actions": [{"op": "set-attribute", "args": ["/driver", "idrac"]}]})).await;
        node.provision("inspect").await;
        node.rest().await;
        assert_eq!(node.state().await, "inspect failed");
        let error = node.last_error().await;
        assert!(error.contains("the driver \"idrac\", which this host does not have"), "{error}");
        assert_eq!(node.get().await["driver"], "redfish");
        world.api().send(Method::DELETE, &format!("{RULES}/{elsewhere}"), |request| request).await;
        node.provision("inspect").await;
        assert_eq!(node.reach("manageable").await["last_error"], Value::Null);
    });
}

#[test]
fn an_inspection_that_fails_on_the_machine_says_why_and_leaves_it_off() {
    run(async {
        let conductor = "inspect_wait_timeout = 3\n";
        let world = World::new(Setup { host: HostConfig { conductor, ..HostConfig::default() }, servers: 3, ..Setup::default() }).await;

        let broken = manageable(&world, "agent").await;
        let findings = serde_json::from_value(json!({"error": "collector default failed: no lshw"})).unwrap();
        broken.set_faults(Faults { findings, ..Faults::default() });
        broken.provision("inspect").await;
        broken.rest().await;
        let error = broken.last_error().await;
        assert!(broken.state().await == "inspect failed" && error.contains("collector default failed: no lshw"), "{error}");

        let silent = manageable(&world, "agent").await;
        silent.set_faults(Faults { silent_inspection: true, ..Faults::default() });
        silent.provision("inspect").await;
        silent.pass("inspect wait").await;
        silent.rest().await;
        let error = silent.last_error().await;
        assert!(silent.state().await == "inspect failed" && error.contains("no agent posted"), "{error}");
        silent.reach_power("power off").await;

        let aborted = manageable(&world, "agent").await;
        aborted.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        aborted.provision("inspect").await;
        aborted.pass("inspect wait").await;
        aborted.provision("abort").await;
        aborted.reach("inspect failed").await;
        aborted.reach_power("power off").await;
        aborted.set_faults(Faults::default());
        aborted.provision("inspect").await;
        aborted.reach("manageable").await;
        silent.set_faults(Faults::default());
        silent.provision("manage").await;
        silent.reach("manageable").await;
    });
}

#[test]
fn a_node_without_ports_is_found_by_its_controller_and_gets_them() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let mut body = world.body(0);
        body["inspect_interface"] = json!("agent");
        let uuid = world.api().call(Method::POST, "/v1/nodes", &body).await.ok()["uuid"].as_str().unwrap().to_owned();
        let node = Node { world: &world, uuid, server: Some(0) };
        node.provision("manage").await;
        node.reach("manageable").await;
        node.provision("inspect").await;
        node.reach("manageable").await;
        assert_eq!(ports(&node).await, [(world.fleet.nodes()[0].mac.clone(), true)]);
    });
}

#[test]
fn findings_that_nobody_waits_for_are_not_found_a_node_for() {
    run(async {
        let world = Shared::world().await;
        let node = manageable(&world, "no-inspect").await;
        let mac = world.fleet.nodes()[node.server.unwrap()].mac.clone();
        let posted = json!({"inventory": {"interfaces": [{"name": "eno1", "mac_address": mac}]}});
        let refused = world.api().call(Method::POST, "/v1/continue_inspection", &posted).await;
        assert_eq!(refused.status, 404, "{}", refused.text);
        assert_eq!(world.api().get(&node.path("/inventory")).await.status, 404);
        let unsupported = node.ask(json!({"target": "inspect"})).await;
        assert!((400..500).contains(&unsupported.status), "{}: {}", unsupported.status, unsupported.text);
        assert_eq!(node.state().await, "manageable");
    });
}

#[test]
fn a_host_that_is_killed_while_the_machine_boots_takes_the_findings_afterwards() {
    run(async {
        let fleet = |options: &mut wrought_simulator::Options| options.boot_delay = 0.5;
        let mut world = World::new(Setup { servers: 1, fleet, ..Setup::default() }).await;
        let uuid = {
            let node = manageable(&world, "agent").await;
            node.provision("inspect").await;
            node.pass("inspect wait").await;
            node.uuid
        };
        world.host.kill().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.host.start_again().await;
        let node = Node { world: &world, uuid, server: Some(0) };
        assert_eq!(node.reach("manageable").await["properties"]["memory_mb"], 32768);
        assert_eq!(node.counts().power_on, 1, "the machine is not booted again");
    });
}

#[test]
fn the_first_findings_count_and_later_ones_are_refused() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = manageable(&world, "agent").await;
        let mac = world.fleet.nodes()[0].mac.clone();
        let post = async |cpus: u32| {
            let posted = json!({"inventory": {"interfaces": [{"name": "eno1", "mac_address": mac}], "cpu": {"count": cpus}}});
            world.api().call(Method::POST, "/v1/continue_inspection", &posted).await.status
        };
        // The machine takes its time, so that there are moments between its findings and the end.
        node.set_faults(Faults { silent_inspection: true, delay_s: 0.3, ..Faults::default() });
        node.provision("inspect").await;
        let first = async {
            loop {
                match post(7).await {
                    202 => break,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), first).await.unwrap();
        let mut later = Vec::new();
        while node.state().await.starts_with("inspect") {
            later.push(post(9).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!later.is_empty() && later.iter().all(|status| [404, 409].contains(status)), "{later:?}");
        assert_eq!(node.reach("manageable").await["properties"]["cpus"], 7);
        assert_eq!(world.api().get(&node.path("/inventory")).await.ok()["inventory"]["cpu"]["count"], 7);
    });
}

#[test]
fn findings_that_nobody_asked_for_take_no_token_away() {
    run(async {
        let fleet = |options: &mut wrought_simulator::Options| options.boot_delay = 1.0;
        let world = World::new(Setup { servers: 1, fleet, ..Setup::default() }).await;
        let node = manageable(&world, "agent").await;
        let mac = world.fleet.nodes()[0].mac.clone();
        node.provision("provide").await;
        node.pass("clean wait").await;
        let posted = json!({"inventory": {"interfaces": [{"name": "eno1", "mac_address": mac}]}});
        let refused = world.api().call(Method::POST, "/v1/continue_inspection", &posted).await;
        assert_eq!(refused.status, 404, "{}", refused.text);
        node.reach("available").await;
    });
}

#[test]
fn what_an_agent_says_of_its_failure_is_plain_text() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = manageable(&world, "agent").await;
        let findings = serde_json::from_value(json!({"error": "no lshw\u{1b}]0;owned\u{7}\r\nnode-2 is active"})).unwrap();
        node.set_faults(Faults { findings, ..Faults::default() });
        node.provision("inspect").await;
        node.rest().await;
        let error = node.last_error().await;
        assert!(error.contains("no lshw ]0;owned   node-2 is active") && !error.contains(char::is_control), "{error:?}");
        let told = history(&node).await;
        assert!(told.contains("no lshw ]0;owned") && !told.contains("\\u001b"), "{told}");
    });
}
