//! What every test needs: one runtime, the drivers loaded once, and calls about one node.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use wrought_domain::{Fence, Function, NodeId, OperationId, StepCall};
use wrought_drivers::contract::task;
use wrought_drivers::contract::types::PowerState;
use wrought_drivers::journal::{Header, Journal, MemoryJournal};
use wrought_drivers::{
    Catalog, Compiler, Completed, Driver, DriverState, DriversConfig, Grants, Rejection, Runtime, Snapshot, call, shipped,
};

use crate::world::Scripted;

static RUNTIME: OnceCell<Runtime> = OnceCell::const_new();
static HOSTILE: OnceCell<Arc<Driver>> = OnceCell::const_new();
static FAKE: OnceCell<Arc<Driver>> = OnceCell::const_new();
static DIRECT: OnceCell<Arc<Driver>> = OnceCell::const_new();

/// Small limits, so that breaking them takes no time.
pub fn limits() -> DriversConfig {
    DriversConfig { memory_mib: 64, cpu_ms: 300, concurrent_calls: 32, log_lines_s: 100_000, ..DriversConfig::default() }
}

pub async fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| async { Runtime::new(limits(), Compiler::InProcess).unwrap() }).await
}

pub async fn load(runtime: &Runtime, bytes: &[u8]) -> Result<Arc<Driver>, Rejection> {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(runtime.clone(), folder.path()).await.unwrap();
    catalog.admit(bytes.to_vec()).await.map(|admitted| admitted.driver).map_err(|rejected| rejected.why)
}

pub async fn hostile() -> &'static Arc<Driver> {
    HOSTILE.get_or_init(|| async { load(runtime().await, shipped::HOSTILE).await.unwrap() }).await
}

pub async fn fake() -> &'static Arc<Driver> {
    FAKE.get_or_init(|| async { load(runtime().await, shipped::FAKE).await.unwrap() }).await
}

pub async fn direct() -> &'static Arc<Driver> {
    DIRECT.get_or_init(|| async { load(runtime().await, shipped::DIRECT).await.unwrap() }).await
}

/// A call about a node that has everything granted.
pub fn header(driver: &Driver, function: Function, driver_info: Value) -> Header {
    let step = function.name().starts_with("execute").then(|| step_call("deploy", "deploy"));
    Header {
        operation: Some(OperationId(uuid::Uuid::nil())),
        node: NodeId(uuid::Uuid::nil()),
        fence: Fence(1),
        driver: driver.about.name.parse().unwrap(),
        digest: driver.digest.clone(),
        function,
        step: step.clone(),
        started_at: "2026-05-01T12:00:00Z".parse().unwrap(),
        seed: 42,
        grants: Grants::all(),
        limits: limits().limits(),
        state: DriverState::default(),
        snapshot: Snapshot {
            operation: task::Operation { id: uuid::Uuid::nil().to_string(), name: "deploy".into() },
            node: task::Node {
                uuid: uuid::Uuid::nil().to_string(),
                name: Some("rack-1".into()),
                driver: "redfish".into(),
                provision_state: "deploying".into(),
                target_provision_state: Some("active".into()),
                power: PowerState::Off,
                driver_info: driver_info.to_string(),
                instance_info: json!({"image_source": "http://192.0.2.2/disk.qcow2"}).to_string(),
                ..Snapshot::of_nobody().node
            },
            lock_mode: task::LockMode::Exclusive,
            step,
            config_drive: true,
            ..Snapshot::of_nobody()
        },
    }
}

pub fn step_call(interface: &str, step: &str) -> StepCall {
    StepCall { interface: interface.into(), step: step.into(), args: Map::new(), priority: None, children: None }
}

/// A call of `hostile` which does `how` in the step.
pub async fn misbehave(how: &str) -> Completed {
    misbehave_in(how, Function::ExecuteDeployStep, Scripted::good()).await
}

pub async fn misbehave_in(how: &str, function: Function, world: Arc<Scripted>) -> Completed {
    let driver = hostile().await;
    call(runtime().await, driver, hostile_header(driver, how, function), world, None).await
}

pub fn hostile_header(driver: &Driver, how: &str, function: Function) -> Header {
    header(driver, function, json!({"hostile": how, "hostile_in": function.name()}))
}

pub fn journal() -> (Arc<MemoryJournal>, Option<Arc<dyn Journal>>) {
    let journal = Arc::new(MemoryJournal::default());
    (journal.clone(), Some(journal))
}
