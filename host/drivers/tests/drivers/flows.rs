//! What the shipped drivers do beside deploying to a disk, call by call; every record replays.

use std::sync::Arc;

use serde_json::{Value, json};
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Function};
use wrought_drivers::contract::report::Kind;
use wrought_drivers::contract::task::{Cause, WaitResult};
use wrought_drivers::fault::Cause as Broken;
use wrought_drivers::{Answer, Driver, Rejection, call, passthru_call, replay, shipped};

use crate::deploy::Operation;
use crate::host::{direct, fake, header, hostile, load, runtime};
use crate::world::Scripted;

async fn driver(component: &[u8]) -> &'static Arc<Driver> {
    Box::leak(Box::new(load(runtime().await, component).await.unwrap()))
}

/// Asserts that these were done in this order, maybe with others between.
fn in_order(world: &Scripted, expected: &[&str]) {
    let machine = world.machine();
    let mut done = machine.done.iter();
    for what in expected {
        assert!(done.any(|done| done.starts_with(what)), "{what} is missing or comes too early: {:?}", machine.done);
    }
}

fn running() -> Arc<Scripted> {
    let world = Scripted::good();
    world.machine().on = true;
    world
}

#[tokio::test]
async fn direct_services_a_machine_and_gives_it_back_to_its_instance() {
    let world = running();
    let mut service = Operation::new(direct().await, &world, "service");
    assert!(service.steps(Function::GetServiceSteps).await.is_empty(), "without an agent there are no steps of its own");
    let waited = service.finish(Function::PrepareService, None).await;
    assert_eq!(waited, [Condition::Power { on: false }, Condition::Power { on: true }, Condition::AgentBooted]);
    assert_eq!(service.steps(Function::GetServiceSteps).await, ["deploy.burnin_cpu", "raid.apply_configuration"]);
    service.finish(Function::ExecuteServiceStep, Some(("raid", "apply_configuration"))).await;
    // A step that asks for a reboot is followed by a fresh agent.
    let waited = service.finish(Function::ExecuteServiceStep, Some(("deploy", "burnin_cpu"))).await;
    assert_eq!(waited.last(), Some(&Condition::AgentBooted));
    service.finish(Function::TearDownService, None).await;
    in_order(
        &world,
        &[
            "power Off",
            "network UnconfigureTenant",
            "network AddServicing",
            "boot: agent",
            "power On",
            "agent step raid",
            "agent step deploy",
        ],
    );
    in_order(
        &world,
        &["agent step deploy", "power Off", "network RemoveServicing", "network ConfigureTenant", "boot: instance", "power On"],
    );
    assert!(world.machine().on && !world.machine().ramdisk);
    service.replay_all().await;
}

#[tokio::test]
async fn agent_rescues_with_a_password_that_it_never_sees_and_leads_back() {
    let world = running();
    let agent = driver(shipped::AGENT).await;
    assert_eq!(agent.exports, ["rescue", "inspection"]);
    let mut rescue = Operation::new(agent, &world, "rescue");
    rescue.once(Function::ValidateRescue, None, Cause::First).await.record.outcome.answer.unwrap();
    let waited = rescue.finish(Function::Rescue, None).await;
    assert_eq!(waited, [Condition::Power { on: false }, Condition::Power { on: true }, Condition::AgentBooted]);
    in_order(&world, &["boot: agent", "power On", "agent rescue.finalize_rescue", "boot: no agent", "network ConfigureTenant"]);
    let sent = world.machine().done.iter().find(|done| done.contains("finalize_rescue")).cloned().unwrap();
    assert!(sent.contains(r#"{"hashed":true,"rescue_password":"secret-ref:rescue-password"}"#), "{sent}");
    rescue.replay_all().await;

    let mut back = Operation::new(agent, &world, "unrescue");
    assert_eq!(back.finish(Function::Unrescue, None).await, [Condition::Power { on: false }, Condition::Power { on: true }]);
    in_order(&world, &["agent rescue", "power Off", "boot: instance", "power On"]);
    back.replay_all().await;

    let mut failed = Operation::new(agent, &world, "rescue");
    failed.finish(Function::CleanUpRescue, None).await;
    assert!(!world.machine().on);
    failed.replay_all().await;
}

#[tokio::test]
async fn agent_inspects_until_the_data_has_arrived() {
    let world = running();
    let agent = driver(shipped::AGENT).await;
    let mut inspect = Operation::new(agent, &world, "inspect");
    let waited = inspect.finish(Function::InspectHardware, None).await;
    assert!(matches!(waited[..], [Condition::Power { on: false }, Condition::InspectionData { .. }, Condition::Power { on: false }]));
    in_order(&world, &["power Off", "boot: agent", "power On", "power Off", "boot: no agent"]);
    inspect.replay_all().await;

    // An agent that never posts is a time-out by name.
    let mut silent = Operation::new(agent, &world, "inspect");
    assert!(matches!(silent.once(Function::InspectHardware, None, Cause::First).await.record.outcome.answer, Ok(Answer::Wait(_))));
    let answer = silent.once(Function::InspectHardware, None, Cause::Resumed(WaitResult::TimedOut)).await.record.outcome.answer;
    let Ok(Answer::Refused(error)) = answer else { panic!("{answer:?}") };
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Timeout, "agent.InspectionTimeout"));
    silent.finish(Function::AbortInspection, None).await;
    assert!(!world.machine().on && !world.machine().ramdisk);
    silent.replay_all().await;
}

#[tokio::test]
async fn redfish_inspects_without_booting_anything() {
    let world = running();
    let redfish = driver(shipped::REDFISH).await;
    let mut inspect = Operation::new(redfish, &world, "inspect");
    let answer = inspect.once(Function::ValidateInspection, None, Cause::First).await.record.outcome.answer;
    assert!(matches!(&answer, Ok(Answer::Refused(error)) if error.kind == ErrorKind::MissingParameter), "{answer:?}");
    inspect.driver_info = json!({"redfish_system_id": "/redfish/v1/Systems/1", "redfish_address": "https://192.0.2.9:8443"});
    let completed = inspect.once(Function::InspectHardware, None, Cause::First).await;
    assert_eq!(completed.record.outcome.answer, Ok(Answer::Done));
    let inventory = completed.record.outcome.reports.iter().find(|report| report.kind == Kind::Inventory).unwrap();
    assert_eq!(inventory.finding["bmc_address"], "192.0.2.9");
    assert!(world.machine().done.is_empty(), "nothing was done to the machine");
    inspect.replay_all().await;
}

#[tokio::test]
async fn ramdisk_boots_its_medium_and_writes_nothing() {
    let world = running();
    let mut deploy = Operation::new(driver(shipped::RAMDISK).await, &world, "deploy");
    let answer = deploy.once(Function::Validate, None, Cause::First).await.record.outcome.answer;
    assert!(matches!(&answer, Ok(Answer::Refused(error)) if error.kind == ErrorKind::MissingParameter), "an image to write is not for it");
    deploy.instance_info = Some(json!({"boot_iso": "http://192.0.2.2/live.iso"}));
    assert_eq!(deploy.once(Function::Validate, None, Cause::First).await.record.outcome.answer, Ok(Answer::Done));
    deploy.finish(Function::Prepare, None).await;
    assert_eq!(deploy.steps(Function::GetDeploySteps).await, ["deploy.deploy"]);
    assert_eq!(deploy.finish(Function::ExecuteDeployStep, Some(("deploy", "deploy"))).await, [Condition::Power { on: true }]);
    in_order(
        &world,
        &["power Off", "network ConfigureTenant", "insert http://192.0.2.2/live.iso", "boot device Device::Cdrom true", "power On"],
    );
    assert!(!world.machine().image_written);

    // After a service it is the medium again that boots.
    let mut service = Operation::new(driver(shipped::RAMDISK).await, &world, "service");
    service.instance_info.clone_from(&deploy.instance_info);
    service.finish(Function::PrepareService, None).await;
    service.finish(Function::TearDownService, None).await;
    in_order(&world, &["boot: agent", "power On", "power Off", "insert http://192.0.2.2/live.iso", "power On"]);

    // A take-over leaves the medium where it is.
    let before = world.machine().done.len();
    let mut taken = Operation::new(driver(shipped::RAMDISK).await, &world, "take-over");
    taken.instance_info.clone_from(&deploy.instance_info);
    taken.finish(Function::Prepare, None).await;
    assert_eq!(world.machine().done.len(), before);
    for operation in [deploy, service, taken] {
        operation.replay_all().await;
    }
}

#[tokio::test]
async fn bootc_and_custom_agent_have_steps_of_their_own() {
    let world = running();
    let mut bootc = Operation::new(driver(shipped::BOOTC).await, &world, "deploy");
    bootc.instance_info = Some(json!({"image_source": "oci://registry.example/os:42"}));
    assert_eq!(bootc.once(Function::Validate, None, Cause::First).await.record.outcome.answer, Ok(Answer::Done));
    bootc.finish(Function::Prepare, None).await;
    assert!(bootc.steps(Function::GetDeploySteps).await.contains(&"deploy.execute_bootc_install".to_owned()));
    bootc.finish(Function::ExecuteDeployStep, Some(("deploy", "deploy"))).await;
    bootc.finish(Function::ExecuteDeployStep, Some(("deploy", "execute_bootc_install"))).await;
    bootc.finish(Function::ExecuteDeployStep, Some(("deploy", "prepare_instance_boot"))).await;
    in_order(&world, &["boot: agent", "agent step deploy.execute_bootc_install", "boot device Device::Disk true", "boot: instance"]);
    bootc.replay_all().await;

    let mut custom = Operation::new(driver(shipped::CUSTOM_AGENT).await, &world, "adopt");
    custom.finish(Function::Prepare, None).await;
    assert_eq!(world.machine().done.last().map(String::as_str), Some("boot: instance"), "an adopted machine is not powered off");
    let own = ["deploy", "prepare_instance_boot", "tear_down_agent", "switch_to_tenant_network", "boot_instance"];
    world.machine().agent = false;
    assert_eq!(custom.steps(Function::GetDeploySteps).await, own.map(|step| format!("deploy.{step}")));
    custom.replay_all().await;
}

#[tokio::test]
async fn a_method_that_says_that_it_only_looks_may_not_touch() {
    let hostile = hostile().await;
    let ask = async |method: &str, body: Value| {
        let mut header = header(hostile, Function::VendorCall, json!({}));
        header.step = Some(passthru_call(method, "POST", body));
        let completed = call(runtime().await, hostile, header, Scripted::good(), None).await;
        replay(runtime().await, hostile, &completed.record).await.unwrap();
        completed.record.outcome.answer
    };
    let denied = ask("look", json!({"do": "effect"})).await;
    assert!(matches!(&denied, Ok(Answer::Refused(error)) if error.kind == ErrorKind::Denied), "{denied:?}");
    assert_eq!(ask("touch", json!({"do": "effect"})).await, Ok(Answer::Value(json!(true))));
    // What it is called with is the call's, whatever the names in it are.
    let echo = json!({"http": "POST", "body": {"http_method": "GET", "secret": "s"}});
    assert_eq!(ask("look", echo["body"].clone()).await, Ok(Answer::Value(echo)));
    for nonsense in ["nonsense", "giant"] {
        let answer = ask("look", json!({ "do": nonsense })).await;
        assert!(matches!(&answer, Err(fault) if matches!(fault.cause, Broken::Answer(_))), "{answer:?}");
    }
    for mode in ["odd-method", "double-method", "odd-verb"] {
        let refused = load(runtime().await, &shipped::hostile(mode, "1.0.0", "")).await.unwrap_err();
        assert!(matches!(&refused, Rejection::Contract(text) if text.contains("method")), "{refused}");
    }
}

#[tokio::test]
async fn fake_has_steps_with_arguments_and_methods_of_its_own() {
    let fake = fake().await;
    let method = |name: &str, http: &str, body: Value| {
        let mut header = header(fake, Function::VendorCall, json!({}));
        header.step = Some(passthru_call(name, http, body));
        header
    };
    let answer = async |header: wrought_drivers::journal::Header| {
        let completed = call(runtime().await, fake, header, Scripted::good(), None).await;
        replay(runtime().await, fake, &completed.record).await.unwrap();
        completed.record.outcome
    };
    assert_eq!(answer(method("third_method_sync", "POST", json!({"bar": "meow"}))).await.answer, Ok(Answer::Value(json!(true))));
    let noted = answer(method("first_method", "POST", json!({"bar": "b"}))).await;
    assert_eq!((noted.answer, noted.state.unwrap().node["bar"].as_str()), (Ok(Answer::Value(Value::Null)), "\"b\""));
    for (name, body, kind) in [("first_method", Value::Null, ErrorKind::MissingParameter), ("no_such", json!({}), ErrorKind::NotFound)] {
        let refused = answer(method(name, "POST", body)).await.answer;
        assert!(matches!(&refused, Ok(Answer::Refused(error)) if error.kind == kind), "{refused:?}");
    }
    assert!(fake.method("first_method").unwrap().effects && !fake.method("third_method_sync").unwrap().effects);

    let world = Scripted::good();
    let mut verify = Operation::new(fake, &world, "verify");
    assert!(verify.steps(Function::GetVerifySteps).await.is_empty());
    verify.driver_info = json!({"fake_verify_delay": 1});
    assert_eq!(verify.steps(Function::GetVerifySteps).await, ["management.fake_verify"]);
    assert_eq!(verify.finish(Function::ExecuteVerifyStep, Some(("management", "fake_verify"))).await.len(), 1);
    let mut clean = Operation::new(fake, &world, "manual-clean");
    assert!(clean.steps(Function::GetCleanSteps).await.contains(&"bios.apply_configuration".to_owned()));
    let done = clean.once(Function::ExecuteCleanStep, Some(("raid", "create_configuration")), Cause::First).await;
    assert_eq!(done.record.outcome.reports.len(), 1, "what was set up is reported");
    for operation in [verify, clean] {
        operation.replay_all().await;
    }
}
