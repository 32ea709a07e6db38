//! The conductor: what it holds, how it starts and stops, and how an event of a node is handled.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wrought_domain::NodeId;
use wrought_drivers::Catalog;
use wrought_drivers::journal::Moment;
use wrought_engine::{Advance, Event, Impossible, Lifecycle, Returned, Settings, step};
use wrought_hardware::agent::AgentClients;
use wrought_hardware::driver_http::DriverHttp;
use wrought_hardware::image::Images;
use wrought_hardware::redfish::RedfishRegistry;
use wrought_hardware::{AgentConfig, DriverHttpConfig, FakeBmcs, HardwareError, ImageConfig, RedfishConfig, References, SecretsConfig};
use wrought_inspection::InspectionConfig;
use wrought_storage::{Commit, NodeRef, Store, StoreError};

use crate::Refusal;
use crate::agents::Agents;
use crate::allocations::Allocator;
use crate::artifacts::{Artifacts, ArtifactsError, ArtifactsSetup};
use crate::audit::Denials;
use crate::breakers::Breakers;
use crate::clock::Clock;
use crate::config::{CleaningConfig, ConductorConfig, DeployConfig, InvalidSetting};
use crate::contacts::Contacts;
use crate::events::{EventsSetup, Polls};
use crate::gate::{Gate, Gates, Held, Inside, Tag};
use crate::grants::Grants;
use crate::heartbeats::Heartbeats;
use crate::journal::{JournalConfig, Journals};
use crate::locks::Locks;
use crate::machine::Machines;
use crate::power_sync::PowerFailures;
use crate::queue::Queue;
use crate::recovery::Recovering;
use crate::requests::Requests;
use crate::seen::Seen;
use crate::stats::{CallTimes, Stats};
use crate::webhooks::Webhooks;

/// Until an event that could not be stored is tried again, at first; grows.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// What this pause grows to.
const RETRY_LAST: Duration = Duration::from_secs(30);

/// Fake machines that are remembered.
const FAKE_MACHINES: usize = 100_000;

/// Runs the lifecycle of all nodes. Clones share it.
#[derive(Clone)]
pub struct Conductor(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: ConductorConfig,
    pub(crate) deploy: DeployConfig,
    pub(crate) inspection: InspectionConfig,
    /// Nodes are looked up by their controller one at a time.
    pub(crate) searching: tokio::sync::Mutex<()>,
    pub(crate) power_failures: PowerFailures,
    pub(crate) agent: AgentConfig,
    pub(crate) image: ImageConfig,
    pub(crate) settings: Settings,
    pub(crate) host: String,
    pub(crate) started_at: Timestamp,
    clock: Clock,
    pub(crate) store: Store,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) grants: Grants,
    /// Decisions about drivers are made one at a time.
    pub(crate) deciding: tokio::sync::Mutex<()>,
    pub(crate) machines: Machines,
    pub(crate) clients: AgentClients,
    pub(crate) images: Images,
    pub(crate) http: DriverHttp,
    pub(crate) artifacts: Artifacts,
    pub(crate) agents: Agents,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) allocator: Allocator,
    pub(crate) journal: JournalConfig,
    pub(crate) journals: Journals,
    pub(crate) recovering: Recovering,
    pub(crate) locks: Locks,
    pub(crate) passing: Option<Passing>,
    pub(crate) stats: Stats,
    pub(crate) denials: Denials,
    pub(crate) events: EventsSetup,
    pub(crate) polls: Polls,
    pub(crate) webhooks: Webhooks,
    pub(crate) contacts: Contacts,
    pub(crate) gates: Gates,
    pub(crate) requests: Requests,
    pub(crate) queue: Queue,
    pub(crate) breakers: Breakers,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// How machines, agents and image servers are talked to.
#[derive(Debug, Clone, Default)]
pub struct Hardware {
    /// `[redfish]`.
    pub redfish: RedfishConfig,
    /// `[agent]`.
    pub agent: AgentConfig,
    /// `[image]`.
    pub image: ImageConfig,
    /// `[secrets]`.
    pub secrets: SecretsConfig,
    /// `[driver_http]`.
    pub driver_http: DriverHttpConfig,
    /// The ports of this host's own API, which drivers never reach.
    pub own_ports: Vec<u16>,
}

/// What a conductor is made of.
pub struct Setup {
    /// Where everything is kept.
    pub store: Store,
    /// The drivers.
    pub catalog: Arc<Catalog>,
    /// `[conductor]`.
    pub conductor: ConductorConfig,
    /// `[deploy]`.
    pub deploy: DeployConfig,
    /// `[cleaning]`.
    pub cleaning: CleaningConfig,
    /// `[inspection]`.
    pub inspection: InspectionConfig,
    /// How machines, agents and image servers are talked to.
    pub hardware: Hardware,
    /// `[journal]`.
    pub journal: JournalConfig,
    /// Files for drivers to hand on.
    pub artifacts: ArtifactsSetup,
    /// The record of events, and who is told of them.
    pub events: EventsSetup,
    /// The time that the lifecycle goes by.
    pub clock: Clock,
    /// Told of every host call of operations, for tests that stop the host there.
    pub passing: Option<Passing>,
}

impl Setup {
    /// With the default of every setting, and the artifacts in a folder.
    pub fn new(store: Store, catalog: Arc<Catalog>, artifacts: std::path::PathBuf) -> Self {
        Self {
            store,
            catalog,
            conductor: ConductorConfig::default(),
            deploy: DeployConfig::default(),
            cleaning: CleaningConfig::default(),
            inspection: InspectionConfig::default(),
            hardware: Hardware::default(),
            journal: JournalConfig::default(),
            artifacts: ArtifactsSetup { folder: artifacts, public_url: String::new(), config: crate::ArtifactsConfig::default() },
            events: EventsSetup::default(),
            clock: Clock::default(),
            passing: None,
        }
    }
}

/// A moment of a host call of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The node that the operation holds.
    pub node: NodeId,
    /// `interface.function`.
    pub function: String,
    /// How far the host call is.
    pub moment: Moment,
}

/// Is told of host calls; a call goes on when the answer is ready.
pub type Passing = Arc<dyn Fn(Passed) -> BoxFuture<'static, ()> + Send + Sync>;

/// Why the conductor does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings of the hardware's clients.
    #[error(transparent)]
    Hardware(#[from] HardwareError),
    /// The artifacts' folder.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// A setting that makes no sense.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
}

impl Conductor {
    /// Starts with the store's state: loads drivers, and goes on with open operations.
    ///
    /// # Errors
    /// [`StartError`]. A broken uploaded driver is no reason: it is logged, its nodes stay readable.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { store, catalog, conductor: config, deploy, cleaning, inspection, hardware, journal, artifacts, events, clock, passing } =
            setup;
        let host = if config.host.is_empty() { host_name() } else { config.host.clone() };
        let breakers = Breakers::new(config.breakers());
        let artifacts = Artifacts::open(artifacts, &store).await?;
        let conductor = Self(Arc::new(Inner {
            settings: config.settings(&cleaning)?,
            config,
            deploy,
            inspection,
            searching: tokio::sync::Mutex::default(),
            power_failures: PowerFailures::default(),
            agent: hardware.agent.clone(),
            image: hardware.image.clone(),
            host,
            started_at: clock.now(),
            clock,
            store,
            catalog,
            grants: Grants::default(),
            deciding: tokio::sync::Mutex::default(),
            machines: Machines {
                redfish: RedfishRegistry::new(hardware.redfish),
                fake: FakeBmcs::new(FAKE_MACHINES),
                references: References::new(hardware.secrets),
            },
            clients: AgentClients::new(hardware.agent),
            images: Images::new(hardware.image)?,
            http: DriverHttp::new(hardware.driver_http, hardware.own_ports)?,
            artifacts,
            agents: Agents::default(),
            heartbeats: Heartbeats::default(),
            allocator: Allocator::default(),
            journal,
            journals: Journals::default(),
            passing,
            recovering: Recovering::default(),
            locks: Locks::default(),
            stats: Stats::default(),
            denials: Denials::default(),
            events,
            polls: Polls::default(),
            webhooks: Webhooks::default(),
            contacts: Contacts::default(),
            gates: Gates::default(),
            requests: Requests::default(),
            queue: Queue::default(),
            breakers,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }));
        conductor.load_drivers().await?;
        conductor.load_limits().await?;
        conductor.load_locks().await?;
        conductor.recover().await?;
        conductor.keep_house();
        conductor.start_webhooks().await?;
        Ok(conductor)
    }

    /// Ends within `graceful_shutdown_timeout`: no new work begins, calls in flight may finish,
    /// sessions with controllers are closed.
    pub async fn stop(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        let bound = Duration::from_secs(u64::from(self.0.config.graceful_shutdown_timeout));
        if tokio::time::timeout(bound, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.0.tasks.len(), "work is still in flight at the end of graceful_shutdown_timeout");
        }
        if tokio::time::timeout(Duration::from_secs(5), self.0.machines.redfish.close_all()).await.is_err() {
            tracing::warn!("some sessions with controllers could not be closed in time");
        }
        self.0.store.close().await;
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The name of this host.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// How long driver calls take.
    pub fn call_times(&self) -> CallTimes {
        self.0.stats.times()
    }

    /// Host calls of drivers that the host denied, since it started.
    pub fn denials(&self) -> u64 {
        self.0.stats.denials()
    }

    /// The time that the lifecycle goes by.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Starts a task that a stop waits for; none when stopping.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if !self.0.stopping.is_cancelled() {
            self.0.tasks.spawn(task);
        }
    }

    /// Starts a command. What is stored says that it began, so it does, stopping or not.
    pub(crate) fn spawn_command(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    pub(crate) fn gate(&self, node: NodeId) -> Gate {
        self.0.gates.get(node)
    }

    /// Handles an event of a node's operation, for a command that was carried out. Nobody else will tell of it, so a
    /// store that fails is tried again until the host stops.
    pub(crate) async fn handle(&self, node: NodeId, tag: Option<Tag>, event: Event, seen: Seen) {
        let mut pause = RETRY_FIRST;
        loop {
            match self.try_handle(node, tag.clone(), event.clone(), seen.clone()).await {
                Ok(()) | Err(HandleError::Impossible(Impossible::Late)) => return,
                Err(HandleError::Impossible(impossible)) => {
                    tracing::error!(%node, %impossible, "an event does not fit the state, so the operation fails");
                    let text = format!("a fault in the host: {impossible}");
                    let failed = self.try_handle(node, tag, Event::Returned(Returned::Fault(text)), Seen::default()).await;
                    if let Err(error) = failed {
                        tracing::error!(%node, %error, "the operation could not be ended");
                    }
                    return;
                }
                Err(HandleError::Store(error @ (StoreError::Closed | StoreError::StaleFence(_) | StoreError::NotFound { .. }))) => {
                    tracing::warn!(%node, %error, "an event is dropped");
                    return;
                }
                Err(HandleError::Store(error)) => {
                    tracing::error!(%node, ?error, "an event could not be stored; it is tried again");
                    tokio::select! {
                        () = self.0.stopping.cancelled() => return,
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_LAST),
                    }
                }
            }
        }
    }

    /// Carries a request through even when the one who asked goes away: what was stored must be followed by what it
    /// leads to.
    pub(crate) async fn through<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.0.tasks.spawn(request).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request broke");
            Err(Refusal::Internal("the request broke through a fault in the host; its log says more".into()))
        })
    }

    /// Handles an event: one at a time per node, stored before anything follows from it.
    pub(crate) async fn try_handle(&self, id: NodeId, tag: Option<Tag>, event: Event, seen: Seen) -> Result<(), HandleError> {
        let gate = self.gate(id);
        let mut inside = gate.lock().await;
        loop {
            let Some(held) = self.held(&mut inside, id).await? else { return Err(Impossible::Late.into()) };
            if tag.as_ref().is_some_and(|tag| *tag != Tag::of(&held.operation)) {
                return Err(Impossible::Late.into());
            }
            // What a revoked version answers leads to nothing any more; while a call of it is in flight, its next host call ends it.
            let revoked = matches!(event, Event::Revoked(_)) || tag.is_some() && matches!(event, Event::Returned(_));
            let stripped;
            let (event, seen) = match self.revoked_pin(&held.operation).filter(|_| revoked) {
                Some(_) if tag.is_none() && held.operation.waiting.is_none() => return Err(Impossible::Late.into()),
                Some(text) => {
                    stripped = seen.clone().without_findings();
                    (Event::Revoked(text), &stripped)
                }
                // Another operation holds the node by now.
                None if matches!(event, Event::Revoked(_)) => return Err(Impossible::Late.into()),
                None => (event.clone(), &seen),
            };
            let before = Lifecycle { node: held.node.clone(), operation: Some(held.operation.clone()) };
            let mut lifecycle = before.clone();
            seen.apply(&mut lifecycle.node);
            if let Some(operation) = &mut lifecycle.operation {
                operation.covered.extend(seen.covered.iter().cloned());
            }
            let revision = held.revision;
            let (operation, fence) = (held.operation.id, held.operation.fence);
            let user = held.operation.principal.user.clone();
            let mut advance = step(lifecycle, event.clone(), &self.0.settings, self.now())?;
            crate::provision::note_progress(&mut advance, &before);
            self.hold_back(&mut advance);
            if nothing_to_store(&before, &advance) {
                self.take(id, &gate, &mut inside, advance, revision);
                return Ok(());
            }
            if let Err(error) = self.keep_findings(id, operation, fence, seen).await {
                inside.held = None;
                return Err(error.into());
            }
            let commit = Commit {
                advance: &advance,
                was: &before.node,
                revision,
                fence,
                driver_state: &seen.state,
                journal: &seen.journal,
                user: &user,
            };
            match self.0.store.commit(commit).await {
                Ok(revision) => {
                    self.judge_trial(&before, &advance, &event);
                    self.0.breakers.learn(&before, &advance, &event, self.now());
                    self.take(id, &gate, &mut inside, advance, revision);
                    return Ok(());
                }
                // Somebody patched the node in between: on what is there now, again.
                Err(StoreError::Stale { .. }) => inside.held = None,
                Err(error) => {
                    inside.held = None;
                    return Err(error.into());
                }
            }
        }
    }

    /// A stopping host begins nothing any more. That it did not is stored, or the next start would take it for begun.
    pub(crate) fn hold_back(&self, advance: &mut Advance) {
        if self.0.stopping.is_cancelled()
            && let Some(operation) = &mut advance.next.operation
            && operation.waiting.is_none()
            && !advance.commands.is_empty()
        {
            operation.held_back = true;
            advance.commands.clear();
        }
    }

    /// The node and its operation as they are now, where it has one.
    pub(crate) async fn held<'a>(&self, inside: &'a mut Inside, id: NodeId) -> Result<Option<&'a mut Held>, StoreError> {
        if inside.held.is_none() {
            let Some(operation) = self.0.store.operation(id).await? else { return Ok(None) };
            let principal = wrought_domain::Principal::host();
            let Some(stored) = self.0.store.node(&principal, &NodeRef::Uuid(id)).await? else { return Ok(None) };
            let mut operation = operation;
            // How often the agent was heard since the wait was stored is not known here, and is not held against it.
            if let Some(waiting) = &mut operation.waiting
                && let Some(seconds) = waiting.renew_s
            {
                let renewed = self.now().checked_add(jiff::SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX);
                waiting.deadline = waiting.deadline.max(renewed);
            }
            inside.held = Some(Held { node: stored.value, revision: stored.revision, operation });
        }
        Ok(inside.held.as_mut())
    }

    /// What is stored becomes the present, and its commands begin.
    pub(crate) fn take(&self, id: NodeId, gate: &Gate, inside: &mut Inside, advance: Advance, revision: wrought_storage::Revision) {
        let Some(operation) = advance.next.operation else {
            if let Some(ended) = inside.held.take() {
                self.leave_queue(ended.operation.id);
            }
            inside.set_timer(None);
            self.0.gates.release(id);
            self.0.agents.end(id);
            self.0.denials.end(id);
            self.0.journals.end(id);
            self.locks_ended(id);
            return;
        };
        self.works(&operation);
        self.0.gates.keep(id, gate);
        let timer = operation.due().map(|due| self.timer(id, due));
        inside.set_timer(timer);
        for command in advance.commands {
            self.carry_out(&advance.next.node, &operation, command);
        }
        inside.held = Some(Held { node: advance.next.node, revision, operation });
    }

    fn timer(&self, node: NodeId, due: Timestamp) -> tokio::task::AbortHandle {
        let pause = Duration::try_from(due.duration_since(self.now())).unwrap_or_default();
        let this = self.clone();
        // Not tracked: a stop does not wait for times to come.
        let stopping = self.0.stopping.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(pause) => {
                    // A task of its own, because handling the event replaces this timer.
                    let node_events = this.clone();
                    this.spawn(async move { node_events.handle(node, None, Event::Due, Seen::default()).await });
                }
            }
        })
        .abort_handle()
    }
}

/// A test that was not met changes only when to test again, which a restart finds out anew.
fn nothing_to_store(before: &Lifecycle, advance: &Advance) -> bool {
    let (Some(old), Some(new)) = (&before.operation, &advance.next.operation) else { return false };
    let mut new = new.clone();
    if let (Some(new), Some(old)) = (&mut new.waiting, &old.waiting) {
        (new.tests, new.due) = (old.tests, old.due);
        // What heartbeats put off is found out anew after a restart, too.
        if new.renew_s.is_some() {
            new.deadline = old.deadline;
        }
    }
    new == *old && advance.next.node == before.node && advance.history.is_empty() && advance.wipe.is_none()
}

/// Why an event was not handled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandleError {
    #[error(transparent)]
    Impossible(#[from] Impossible),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}
