//! One node of the fleet: the server, what has been done to it, and the faults that a test gave it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::agent::Agent;
use crate::machine::{Boot, Cooling, IndicatorLed, Machine, PowerState};

/// What happened to a node since the start or since `reset-counts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Reset actions that the BMC accepted, of every type.
    pub resets: u64,
    /// Changes from off to on that took effect.
    pub power_on: u64,
    /// Changes to off that took effect.
    pub power_off: u64,
    /// Non-maskable interrupts that the BMC accepted.
    pub nmis: u64,
    /// Media inserted.
    pub media_inserts: u64,
    /// Media ejected; ejecting an empty drive does not count.
    pub media_ejects: u64,
    /// Changes of the boot override and of the boot mode that the BMC accepted.
    pub boot_changes: u64,
    /// Changes of secure boot that the BMC accepted.
    pub secure_boot_changes: u64,
    /// Changes of the vendor's own resource that the BMC accepted.
    pub oem_changes: u64,
    /// Members made of the vendor's own collection.
    pub oem_creations: u64,
    /// Members deleted of it.
    pub oem_deletions: u64,
    /// Actions of the vendor's own resource begun.
    pub oem_actions: u64,
    /// Times that an image began to overwrite the disk.
    pub image_writes: u64,
    /// Clean steps begun.
    pub clean_steps: u64,
    /// Service steps begun.
    pub service_steps: u64,
    /// Containers installed.
    pub bootc_installs: u64,
    /// Ramdisks that came up.
    pub agent_boots: u64,
    /// Findings posted.
    pub inspections: u64,
    /// Lookups sent.
    pub lookups: u64,
    /// Heartbeats sent.
    pub heartbeats: u64,
    /// Commands that the agent accepted.
    pub commands: u64,
    /// Redfish requests about this node.
    pub bmc_requests: u64,
    /// Most Redfish requests about this node at one time.
    pub bmc_in_flight_max: u64,
}

/// What goes wrong with a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// `write_image` fails after it has begun to overwrite the disk.
    pub fail_write_image: bool,
    /// A ramdisk boot never leads to an agent.
    pub vanish_on_boot: bool,
    /// HTTP status of every Redfish answer about this node, for example 503.
    pub bmc_status: Option<u16>,
    /// The BMC accepts resets and does nothing.
    pub reset_ignored: bool,
    /// Seconds by which each Redfish answer about this node is late.
    pub delay_s: f64,
    /// The BMC refuses to insert media.
    pub fail_insert_media: bool,
    /// The step of this name fails on the agent.
    pub failing_step: Option<String>,
    /// The step of this name wants a reboot after it.
    pub rebooting_step: Option<String>,
    /// The agent refuses rescue passwords.
    pub fail_rescue: bool,
    /// The agent posts nothing of what it finds.
    pub silent_inspection: bool,
    /// Members that take the place of those that the agent would post.
    pub findings: serde_json::Map<String, serde_json::Value>,
    /// What fails repeats all that it was told, credentials included.
    pub echo: bool,
}

/// How far the agent of a node has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStage {
    /// No ramdisk runs.
    #[default]
    Absent,
    /// The ramdisk boots.
    Booting,
    /// Asks the API for its node.
    LookingUp,
    /// Serves its API and sends heartbeats.
    Alive,
    /// Was refused a token and has none: serves nothing.
    LockedDown,
    /// Found no node within the lookup timeout.
    GaveUp,
    /// Has set the rescue password and ended.
    Rescued,
}

/// A node as the control API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct NodeView {
    /// Position in the fleet, from 0.
    pub index: usize,
    /// Id of the system, of its manager and of its chassis.
    pub system_id: Uuid,
    /// Path of the system on the BMC.
    pub system_path: String,
    /// MAC address of its one network card.
    pub mac: String,
    /// Power as the BMC shows it.
    pub power_state: PowerState,
    /// Whether the agent serves its API.
    pub agent_alive: bool,
    /// How far the agent has come.
    pub agent_stage: AgentStage,
    /// What is in the virtual CD drive.
    pub media: Option<String>,
    /// The boot override.
    pub boot: Boot,
    /// Whether secure boot is set.
    pub secure_boot: bool,
    /// What is in the virtual floppy drive.
    pub floppy: Option<String>,
    /// What the lamp of the system shows: `IndicatorLED`.
    pub indicator_led: IndicatorLed,
    /// Whether the lamp of the chassis is lit: `LocationIndicatorActive`.
    pub location_active: bool,
    /// What the vendor's own resource says.
    pub cooling: Cooling,
    /// What its agents were told last.
    pub told: Told,
    /// What happened so far.
    pub counts: Counts,
    /// What is made to go wrong.
    pub faults: Faults,
}

/// What the agents of a node were told last.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Told {
    /// The rescue password, as it came.
    pub rescue_password: Option<String>,
    /// The arguments of the last container installation.
    pub bootc_install: Option<serde_json::Value>,
}

/// One run of the ramdisk: ends with `stop`.
#[derive(Debug)]
pub(crate) struct Life {
    pub stop: CancellationToken,
    pub stage: AgentStage,
    /// Its agent, once that serves.
    pub agent: Weak<Agent>,
}

/// All of a node that changes.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub machine: Machine,
    pub counts: Counts,
    pub faults: Faults,
    pub told: Told,
    pub life: Option<Life>,
    in_flight: u64,
}

impl Inner {
    /// Power went away or the server was reset: the agent is gone, with all it remembered.
    pub fn end_agent(&mut self) {
        if let Some(life) = self.life.take() {
            life.stop.cancel();
        }
    }
}

/// One node. Its lock is never held across an await.
#[derive(Debug)]
pub(crate) struct Node {
    pub index: usize,
    pub id: Uuid,
    pub mac: String,
    inner: Mutex<Inner>,
}

impl Node {
    /// Node `index` of the fleet with that seed: the same id and MAC address at each start.
    pub fn new(seed: u64, index: usize) -> Self {
        let mut rng = rng(seed, index, 0);
        let [.., fleet] = seed.to_be_bytes();
        let [.., a, b, c] = index.to_be_bytes();
        Self {
            index,
            id: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
            mac: format!("52:54:{fleet:02x}:{a:02x}:{b:02x}:{c:02x}"),
            inner: Mutex::default(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every write under the lock is complete in itself, so that a panicked holder leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.lock().counts);
    }

    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Records how far the agent of the run `stop` has come, unless that run is over.
    pub fn set_stage(&self, stop: &CancellationToken, stage: AgentStage) {
        let mut inner = self.lock();
        if let Some(life) = inner.life.as_mut().filter(|_| !stop.is_cancelled()) {
            life.stage = stage;
        }
    }

    /// The agent of the run `stop` serves.
    pub fn set_agent(&self, stop: &CancellationToken, agent: &Arc<Agent>) {
        let mut inner = self.lock();
        if let Some(life) = inner.life.as_mut().filter(|_| !stop.is_cancelled()) {
            life.agent = Arc::downgrade(agent);
            life.stage = AgentStage::Alive;
        }
    }

    /// The agent that serves.
    pub fn agent(&self) -> Option<Arc<Agent>> {
        self.lock().life.as_ref()?.agent.upgrade()
    }

    pub fn system_path(&self) -> String {
        format!("/redfish/v1/Systems/{}", self.id)
    }

    pub fn view(&self) -> NodeView {
        let inner = self.lock();
        let stage = inner.life.as_ref().map_or(AgentStage::Absent, |life| life.stage);
        NodeView {
            index: self.index,
            system_id: self.id,
            system_path: self.system_path(),
            mac: self.mac.clone(),
            power_state: inner.machine.power_state(),
            agent_alive: stage == AgentStage::Alive,
            agent_stage: stage,
            media: inner.machine.media.clone(),
            boot: inner.machine.boot.clone(),
            secure_boot: inner.machine.secure_boot,
            floppy: inner.machine.floppy.clone(),
            indicator_led: inner.machine.indicator_led,
            location_active: inner.machine.location_active,
            cooling: inner.machine.cooling(),
            told: inner.told.clone(),
            counts: inner.counts,
            faults: inner.faults.clone(),
        }
    }

    /// Counts a Redfish request from now until the guard is dropped.
    pub fn request(&self) -> RequestGuard<'_> {
        let mut inner = self.lock();
        inner.in_flight += 1;
        inner.counts.bmc_requests += 1;
        inner.counts.bmc_in_flight_max = inner.counts.bmc_in_flight_max.max(inner.in_flight);
        RequestGuard(self)
    }
}

/// One Redfish request in flight.
pub(crate) struct RequestGuard<'a>(&'a Node);

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
    }
}

/// Randomness of one node: the same for the same seed, node and `stream`.
pub(crate) fn rng(seed: u64, index: usize, stream: u64) -> StdRng {
    let mut bytes = [0; 32];
    let parts = seed.to_le_bytes().into_iter().chain(index.to_le_bytes()).chain(stream.to_le_bytes());
    for (byte, part) in bytes.iter_mut().zip(parts) {
        *byte = part;
    }
    StdRng::from_seed(bytes)
}
