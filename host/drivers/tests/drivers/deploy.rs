//! The shipped drivers do their work, every call is recorded, and every record replays.

use std::sync::Arc;

use serde_json::{Value, json};
use wrought_domain::Function;
use wrought_domain::wait::Condition;
use wrought_drivers::contract::task::{Cause, WaitResult};
use wrought_drivers::journal::{Class, Record};
use wrought_drivers::{Answer, Completed, Driver, DriverState, Fault, call, replay};

use crate::host::{direct, fake, header, journal, load, runtime, step_call};
use crate::world::Scripted;

/// Runs an operation on one machine, as the conductor would.
pub struct Operation {
    driver: &'static Arc<Driver>,
    world: Arc<Scripted>,
    name: &'static str,
    pub driver_info: Value,
    /// That of a deployment, if not said otherwise.
    pub instance_info: Option<Value>,
    state: DriverState,
    records: Vec<Record>,
}

impl Operation {
    pub fn new(driver: &'static Arc<Driver>, world: &Arc<Scripted>, name: &'static str) -> Self {
        let (state, records, world) = (DriverState::default(), Vec::new(), world.clone());
        Self { driver, world, name, driver_info: json!({}), instance_info: None, state, records }
    }

    pub async fn once(&mut self, function: Function, step: Option<(&str, &str)>, cause: Cause) -> Completed {
        let mut header = header(self.driver, function, self.driver_info.clone());
        if let Some(instance_info) = &self.instance_info {
            header.snapshot.node.instance_info = instance_info.to_string();
        }
        header.step = step.map(|(interface, step)| step_call(interface, step));
        header.state = self.state.clone();
        header.snapshot.cause = cause;
        header.snapshot.operation.name = self.name.into();
        header.snapshot.step = header.step.clone();
        let (memory, journal) = journal();
        let completed = call(runtime().await, self.driver, header, self.world.clone(), journal).await;
        let effects = completed.record.entries.iter().filter(|entry| entry.class == Class::Effect);
        assert_eq!(memory.intents().len(), effects.count(), "an intent before every effect");
        if let Some(state) = &completed.record.outcome.state {
            self.state = state.clone();
        }
        self.records.push(completed.record.clone());
        completed
    }

    /// Calls until done; gives the conditions that were waited for.
    pub async fn finish(&mut self, function: Function, step: Option<(&str, &str)>) -> Vec<Condition> {
        let (mut waited, mut cause) = (Vec::new(), Cause::First);
        for _ in 0..10 {
            match self.once(function, step, cause).await.record.outcome.answer.unwrap() {
                Answer::Done => return waited,
                Answer::Wait(wait) => waited.push(wait.condition),
                other => panic!("{function:?} answered {other:?}"),
            }
            self.world.time_passes();
            cause = Cause::Resumed(WaitResult::Met);
        }
        panic!("{function:?} never ends");
    }

    pub async fn steps(&mut self, function: Function) -> Vec<String> {
        match self.once(function, None, Cause::First).await.record.outcome.answer.unwrap() {
            Answer::Steps(steps) => steps.iter().map(wrought_domain::Step::id).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn replay_all(&self) {
        for record in &self.records {
            // Through JSON, as it is stored.
            let stored: Record = serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
            assert_eq!(stored, *record);
            replay(runtime().await, self.driver, &stored).await.unwrap();
        }
    }
}

async fn deployment(world: &Arc<Scripted>) -> Operation {
    let mut deploy = Operation::new(direct().await, world, "deploy");
    assert!(deploy.finish(Function::Prepare, None).await.is_empty(), "the machine is off already");
    assert!(!deploy.steps(Function::GetDeploySteps).await.contains(&"raid.apply_configuration".into()), "no agent yet");
    let waited = deploy.finish(Function::ExecuteDeployStep, Some(("deploy", "deploy"))).await;
    assert_eq!(waited, [Condition::Power { on: true }, Condition::AgentBooted]);
    assert!(deploy.steps(Function::GetDeploySteps).await.contains(&"raid.apply_configuration".into()), "the agent's steps");
    for (step, waits) in
        [("write_image", 1), ("prepare_instance_boot", 1), ("tear_down_agent", 1), ("switch_to_tenant_network", 0), ("boot_instance", 1)]
    {
        assert_eq!(deploy.finish(Function::ExecuteDeployStep, Some(("deploy", step))).await.len(), waits, "{step}");
    }
    deploy
}

#[tokio::test]
async fn the_shipped_drivers_say_who_they_are() {
    let (direct, fake) = (direct().await, fake().await);
    assert_eq!((direct.about.name.as_str(), fake.about.name.as_str()), ("direct", "fake"));
    assert_eq!(direct.exports, ["deploy", "deploy-steps", "cleaning", "servicing"]);
    assert!(direct.about.steps.iter().any(|step| step.is("deploy", "write_image")));
    assert!(direct.about.properties.iter().any(|(name, _)| name == "properties/root_device"));
    assert_eq!(fake.about.methods.iter().filter(|method| method.effects).count(), 2);
    for shipped in wrought_drivers::shipped::all() {
        let driver = load(runtime().await, shipped.component).await.unwrap();
        assert_eq!(driver.about.name, shipped.name.as_str());
        assert_eq!(shipped.grants.names(), driver.requested.names(), "{}: what it imports is what it is granted", shipped.name);
    }
}

#[tokio::test]
async fn direct_deploys_a_machine_tears_it_down_and_cleans_it_and_every_call_replays() {
    let world = Scripted::good();
    let deploy = deployment(&world).await;
    {
        let machine = world.machine();
        assert!(machine.image_written && machine.on && !machine.ramdisk, "{:?}", machine.done);
        let at = |what: &str| {
            machine.done.iter().position(|done| done.starts_with(what)).unwrap_or_else(|| panic!("no {what}: {:?}", machine.done))
        };
        let order = [
            "network AddProvisioning",
            "boot: agent",
            "power On",
            "agent step deploy.write_image",
            "boot: instance",
            "network ConfigureTenant",
        ];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{:?}", machine.done);
    }
    deploy.replay_all().await;
    let secret = "secret-ref:config-drive";
    let sent = deploy.records.iter().flat_map(|record| &record.entries).find(|entry| entry.function == "agent.run-step").unwrap();
    assert_eq!(sent.args[3]["configdrive"], secret, "a reference crosses, and is what is recorded");

    let mut tear_down = Operation::new(direct().await, &world, "tear-down");
    tear_down.finish(Function::CleanUp, None).await;
    tear_down.finish(Function::TearDown, None).await;
    assert!(!world.machine().on);
    tear_down.finish(Function::PrepareCleaning, None).await;
    assert_eq!(tear_down.steps(Function::GetCleanSteps).await, ["deploy.erase_devices", "deploy.erase_devices_metadata"]);
    tear_down.finish(Function::ExecuteCleanStep, Some(("deploy", "erase_devices_metadata"))).await;
    tear_down.finish(Function::TearDownCleaning, None).await;
    assert!(!world.machine().on);
    tear_down.replay_all().await;
}

#[tokio::test]
async fn a_replay_touches_nothing() {
    let world = Scripted::good();
    let deploy = deployment(&world).await;
    let before = world.machine().done.len();
    deploy.replay_all().await;
    assert_eq!(world.machine().done.len(), before);
}

#[tokio::test]
async fn replay_names_the_first_difference() {
    let world = Scripted::good();
    let deploy = deployment(&world).await;
    let record = deploy.records.iter().find(|record| record.header.function == Function::Prepare).unwrap();

    let other_driver = replay(runtime().await, fake().await, record).await.unwrap_err();
    assert_eq!((other_driver.at, other_driver.recorded.as_str()), (0, "network.validate null"), "fake asks for nothing");

    let mut machine_was_on = record.clone();
    let seen = machine_was_on.entries.iter().position(|entry| entry.function == "power.get").unwrap();
    machine_was_on.entries[seen].answer = Some(json!({"Ok": "On"}));
    let diverged = replay(runtime().await, direct().await, &machine_was_on).await.unwrap_err();
    assert_eq!(diverged.at, seen + 1);
    assert!(diverged.replayed.starts_with("power.off"), "{diverged}");

    let mut other_outcome = record.clone();
    other_outcome.outcome.state = None;
    let diverged = replay(runtime().await, direct().await, &other_outcome).await.unwrap_err();
    assert_eq!(diverged.at, record.entries.len());
    assert!(diverged.recorded.contains("\"state\":null") && diverged.replayed.contains("disk.qcow2"), "{diverged}");

    let mut shortened = record.clone();
    shortened.entries.pop();
    let diverged = replay(runtime().await, direct().await, &shortened).await.unwrap_err();
    assert_eq!((diverged.at, diverged.recorded.as_str()), (record.entries.len() - 1, "the end of the call"));
}

#[tokio::test]
async fn what_a_driver_remembers_is_kept_only_when_it_succeeds() {
    use crate::host::misbehave;
    let kept = misbehave("remember").await.record.outcome;
    assert_eq!(kept.state.unwrap().node["count"], "1");
    let lost = misbehave("remember-and-fail").await.record.outcome;
    assert!(matches!(lost.answer, Ok(Answer::Refused(_))));
    assert_eq!((lost.state, lost.reports), (None, Vec::new()));
}

#[tokio::test]
async fn a_missing_interface_is_named() {
    let only_described = crate::host::load(runtime().await, &crate::wasi::only_driver_interface()).await.unwrap();
    assert!(only_described.exports.is_empty());
    assert!(!only_described.serves(Function::Validate));
    let completed =
        call(runtime().await, &only_described, header(&only_described, Function::Validate, json!({})), Scripted::good(), None).await;
    let fault: Fault = completed.record.outcome.answer.unwrap_err();
    assert!(fault.to_string().contains("it does not export the interface deploy"), "{fault}");
}
