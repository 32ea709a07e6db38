//! One simulated machine behind the capabilities: what `direct` needs to deploy it, and the ways in which a world can be bad.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use serde_json::{Value, json};
use wrought_domain::{DriverError, ErrorKind, Map};
use wrought_drivers::Grants;
use wrought_drivers::capability::{
    Agent, Artifact, Authority, Boot, Http, HttpAnswer, HttpBody, HttpRequest, Image, Locking, Network, NetworkChange, Power, PowerChange,
    Progress, Redfish, Witness,
};
use wrought_drivers::contract::agent::{Command, CommandStatus, Session, StepKind};
use wrought_drivers::contract::artifact::Info;
use wrought_drivers::contract::boot::{BootDevice, Device, Mode};
use wrought_drivers::contract::image::{Image as Resolved, Kind};
use wrought_drivers::contract::redfish::Response;
use wrought_drivers::contract::types::{PowerState, Step};

type Answer<T> = Result<T, DriverError>;

/// How the world is behind every call.
#[derive(Clone, Copy, Default, PartialEq)]
pub enum Mood {
    #[default]
    Good,
    /// Never answers.
    Silent,
    /// A bug of the host.
    Panics,
}

#[derive(Default)]
pub struct Machine {
    pub on: bool,
    pub ramdisk: bool,
    pub agent: bool,
    pub commands: Vec<Command>,
    /// Everything that was done to it, in order.
    pub done: Vec<String>,
    pub progress: Vec<(Option<u32>, String)>,
    pub image_written: bool,
}

#[derive(Default)]
pub struct Scripted {
    machine: Mutex<Machine>,
    mood: Mood,
    /// What is granted, look by look; the last one stays. Everything where there is none.
    pub grants: Mutex<VecDeque<Grants>>,
    /// Host calls that are let through before the version is revoked.
    pub revoked_after: Mutex<Option<u32>>,
}

impl Scripted {
    pub fn good() -> Arc<Self> {
        Arc::default()
    }

    /// With these grants in force, one for each look; the last one stays.
    pub fn granting(grants: impl IntoIterator<Item = Grants>) -> Arc<Self> {
        Arc::new(Self { grants: Mutex::new(grants.into_iter().collect()), ..Self::default() })
    }

    /// Whose driver is revoked after so many host calls.
    pub fn revoking_after(host_calls: u32) -> Arc<Self> {
        Arc::new(Self { revoked_after: Mutex::new(Some(host_calls)), ..Self::default() })
    }

    pub fn with(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood, ..Self::default() })
    }

    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
    }

    /// What an agent and a controller do by themselves while the driver waits.
    pub fn time_passes(&self) {
        let mut machine = self.machine();
        machine.agent = machine.on && machine.ramdisk;
        for command in &mut machine.commands {
            command.status = CommandStatus::Succeeded;
        }
        let off = machine.commands.last().is_some_and(|command| command.name == "power_off");
        if off {
            machine.on = false;
            machine.agent = false;
            machine.commands.clear();
        }
    }

    async fn act<T>(&self, what: &str, act: impl FnOnce(&mut Machine) -> T) -> Answer<T> {
        match self.mood {
            Mood::Good => {}
            Mood::Silent => std::future::pending().await,
            Mood::Panics => panic!("a bug in {what}"),
        }
        let mut machine = self.machine();
        machine.done.push(what.to_owned());
        Ok(act(&mut machine))
    }

    async fn look<T>(&self, look: impl FnOnce(&Machine) -> T) -> Answer<T> {
        match self.mood {
            Mood::Good => Ok(look(&self.machine())),
            Mood::Silent => std::future::pending().await,
            Mood::Panics => panic!("a bug in looking"),
        }
    }
}

fn missing(what: &str) -> DriverError {
    DriverError::new(ErrorKind::NotFound, "test.NotFound", what)
}

fn step(interface: &str, name: &str, priority: u32) -> Step {
    Step {
        interface: interface.into(),
        step: name.into(),
        priority,
        abortable: true,
        requires_ramdisk: true,
        arguments: Vec::new(),
        reboot_requested: false,
    }
}

#[async_trait]
impl Agent for Scripted {
    async fn agent_session(&self) -> Answer<Option<Session>> {
        self.look(|machine| machine.agent.then(|| Session { version: "11.0".into(), heard_seconds: 1 })).await
    }

    async fn run_command(&self, name: String, params: Map, wait: bool) -> Answer<Command> {
        let short = name.split_once('.').map_or(name.clone(), |(_, short)| short.to_owned());
        let result = match short.as_str() {
            "get_partition_uuids" => json!({"root uuid": "0x1234abcd"}),
            _ => Value::Null,
        };
        self.act(&format!("agent {name} {}", Value::Object(params)), |machine| {
            let command = Command {
                id: format!("command-{}", machine.done.len()),
                name: short,
                status: if wait { CommandStatus::Succeeded } else { CommandStatus::Running },
                result: result.to_string(),
                error: None,
            };
            machine.commands.push(command.clone());
            command
        })
        .await
    }

    async fn run_step(&self, kind: StepKind, interface: String, step: String, args: Map) -> Answer<Command> {
        let part = match kind {
            StepKind::Deploy => "deploy_step",
            StepKind::Clean => "clean_step",
            StepKind::Service => "service_step",
        };
        self.act(&format!("agent step {interface}.{step}"), |machine| {
            machine.image_written |= step == "write_image" && args.contains_key("image_info");
            let command = Command {
                id: format!("command-{}", machine.done.len()),
                name: format!("execute_{part}"),
                status: CommandStatus::Running,
                result: json!({ part: { "interface": interface, "step": step, "reboot_requested": step == "burnin_cpu" } }).to_string(),
                error: None,
            };
            machine.commands.push(command.clone());
            command
        })
        .await
    }

    async fn command(&self, id: String) -> Answer<Command> {
        self.look(|machine| machine.commands.iter().find(|command| command.id == id).cloned()).await?.ok_or_else(|| missing("no command"))
    }

    async fn commands(&self) -> Answer<Vec<Command>> {
        self.look(|machine| machine.commands.clone()).await
    }

    async fn agent_steps(&self, kind: StepKind) -> Answer<Vec<Step>> {
        self.look(|_| match kind {
            StepKind::Deploy => vec![step("deploy", "write_image", 0), step("raid", "apply_configuration", 0)],
            StepKind::Clean => vec![step("deploy", "erase_devices", 10), step("deploy", "erase_devices_metadata", 99)],
            StepKind::Service => vec![step("deploy", "burnin_cpu", 0), step("raid", "apply_configuration", 0)],
        })
        .await
    }
}

impl Authority for Scripted {
    fn grants(&self) -> Arc<Grants> {
        let mut grants = self.grants.lock().unwrap();
        let last = grants.len() == 1;
        let now = if last { grants.front().cloned() } else { grants.pop_front() };
        Arc::new(now.unwrap_or_else(Grants::all))
    }

    fn revoked(&self) -> Option<String> {
        match self.revoked_after.lock().unwrap().as_mut()? {
            0 => Some("it burns".into()),
            left => {
                *left -= 1;
                None
            }
        }
    }
}

#[async_trait]
impl Boot for Scripted {
    async fn validate_boot(&self) -> Answer<()> {
        self.look(|_| ()).await
    }
    async fn prepare_ramdisk(&self, _params: Vec<(String, String)>) -> Answer<()> {
        self.act("boot: agent", |machine| machine.ramdisk = true).await
    }
    async fn clean_up_ramdisk(&self) -> Answer<()> {
        self.act("boot: no agent", |machine| machine.ramdisk = false).await
    }
    async fn prepare_instance(&self) -> Answer<()> {
        self.act("boot: instance", |machine| machine.ramdisk = false).await
    }
    async fn clean_up_instance(&self) -> Answer<()> {
        self.act("boot: no instance", |_| ()).await
    }
    async fn boot_device(&self) -> Answer<BootDevice> {
        self.look(|_| BootDevice { device: Device::Disk, persistent: true }).await
    }
    async fn set_boot_device(&self, device: Device, persistent: bool) -> Answer<()> {
        self.act(&format!("boot device {device:?} {persistent}"), |_| ()).await
    }
    async fn boot_mode(&self) -> Answer<Mode> {
        self.look(|_| Mode::Uefi).await
    }
    async fn set_boot_mode(&self, mode: Mode) -> Answer<()> {
        self.act(&format!("boot mode {mode:?}"), |_| ()).await
    }
    async fn secure_boot(&self) -> Answer<bool> {
        self.look(|_| false).await
    }
    async fn set_secure_boot(&self, enabled: bool) -> Answer<()> {
        self.act(&format!("secure boot {enabled}"), |_| ()).await
    }
    async fn insert_media(&self, url: String) -> Answer<()> {
        self.act(&format!("insert {url}"), |_| ()).await
    }
    async fn eject_media(&self) -> Answer<()> {
        self.act("eject", |_| ()).await
    }
}

#[async_trait]
impl Image for Scripted {
    async fn validate_image(&self) -> Answer<()> {
        self.look(|_| ()).await
    }
    async fn resolve_image(&self) -> Answer<Resolved> {
        self.look(|_| Resolved {
            id: "disk.qcow2".into(),
            url: "http://192.0.2.2/disk.qcow2".into(),
            kind: Kind::WholeDisk,
            disk_format: Some("qcow2".into()),
            container_format: None,
            checksum: None,
            hash_algorithm: Some("sha256".into()),
            hash_value: Some("69de".into()),
            kernel: None,
            ramdisk: None,
            size_mib: Some(512),
        })
        .await
    }
}

#[async_trait]
impl Locking for Scripted {
    async fn upgrade_lock(&self) -> Answer<()> {
        self.act("lock: exclusive", |_| ()).await
    }
    async fn downgrade_lock(&self) -> Answer<()> {
        self.act("lock: shared", |_| ()).await
    }
    async fn acquire_shared_lock(&self, name: String) -> Answer<()> {
        self.act(&format!("lock {name}"), |_| ()).await
    }
    async fn release_shared_lock(&self, name: String) -> Answer<()> {
        self.act(&format!("unlock {name}"), |_| ()).await
    }
}

#[async_trait]
impl Network for Scripted {
    async fn validate_network(&self) -> Answer<()> {
        self.look(|_| ()).await
    }
    async fn change_network(&self, change: NetworkChange) -> Answer<()> {
        self.act(&format!("network {change:?}"), |_| ()).await
    }
}

#[async_trait]
impl Power for Scripted {
    async fn power_state(&self) -> Answer<PowerState> {
        self.look(|machine| if machine.on { PowerState::On } else { PowerState::Off }).await
    }
    async fn change_power(&self, change: PowerChange) -> Answer<()> {
        self.act(&format!("power {change:?}"), |machine| {
            machine.on = matches!(change, PowerChange::On | PowerChange::Restart);
            machine.agent = false;
            machine.commands.clear();
        })
        .await
    }
    async fn go_off(&self) -> Answer<()> {
        self.change_power(PowerChange::Off).await
    }
}

#[async_trait]
impl Redfish for Scripted {
    async fn read_resource(&self, path: String) -> Answer<Response> {
        self.look(|_| answer(200, &path)).await
    }
    async fn patch_resource(&self, path: String, body: Map) -> Answer<Response> {
        self.act(&format!("redfish patch {path} {}", Value::Object(body)), |_| answer(200, &path)).await
    }
    async fn post_to_resource(&self, path: String, body: Map) -> Answer<Response> {
        self.act(&format!("redfish post {path} {}", Value::Object(body)), |_| answer(204, &path)).await
    }
    async fn delete_resource(&self, path: String) -> Answer<Response> {
        self.act(&format!("redfish delete {path}"), |_| answer(204, &path)).await
    }
}

fn answer(status: u16, path: &str) -> Response {
    let body = if status == 200 { json!({ "@odata.id": path }) } else { Value::Null };
    Response { status, body: body.to_string(), etag: None, location: None, task: None }
}

#[async_trait]
impl Witness for Scripted {
    async fn before(&self, effect: &str) -> Answer<Option<Value>> {
        if !effect.starts_with("agent.") {
            return Ok(None);
        }
        self.look(|machine| Some(json!({"commands": machine.commands.len()}))).await
    }
}

#[async_trait]
impl Progress for Scripted {
    async fn progress(&self, percent: Option<u32>, message: String) {
        self.machine().progress.push((percent, message));
    }
}

#[async_trait]
impl Http for Scripted {
    async fn http(&self, request: HttpRequest) -> Answer<HttpAnswer> {
        let answer = HttpAnswer { status: 200, headers: vec![("x-seen".into(), "yes".into())], body: HttpBody::of(vec![0xff]) };
        match request.method.as_str() {
            "GET" | "HEAD" => self.look(|_| answer).await,
            method => self.act(&format!("http {method} {}", request.url), |_| answer).await,
        }
    }
}

#[async_trait]
impl Artifact for Scripted {
    async fn find_artifact(&self, which: String) -> Answer<Info> {
        self.look(|_| Info { digest: format!("sha256:{}", "0".repeat(64)), name: which, size_kib: 1 }).await
    }
    async fn artifact_url(&self, digest: String, seconds: u32) -> Answer<String> {
        self.look(|_| format!("secret-ref:artifact/{digest}/{seconds}")).await
    }
    async fn push_artifact(&self, digest: String, path: String, _parameters: Map) -> Answer<String> {
        self.act(&format!("push {digest} to {path}"), |_| "push-1".to_owned()).await
    }
    async fn artifact_pushed(&self, _push: String) -> Answer<Option<Response>> {
        self.look(|_| None).await
    }
}
