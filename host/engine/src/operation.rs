//! What the engine works on: the operation, its phases, the events and the commands.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wrought_domain::function::Function;
use wrought_domain::state::ProvisionState;
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{Digest, DriverError, DriverName, Fence, Map, Node, NodeId, OperationId, PowerState, Principal, Step, StepCall};

use crate::exits::FailureKind;

/// One run of a verb on one node: a durable record that survives the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id; drivers see it.
    pub id: OperationId,
    /// The node.
    pub node: NodeId,
    /// What is being done.
    pub kind: Kind,
    /// On whose behalf.
    pub principal: Principal,
    /// The reservation's fence: every write of this operation carries it.
    pub fence: Fence,
    /// The drivers that serve it from start to end: the node's own, then its bases. Empty for
    /// operations without a driver.
    pub drivers: Vec<Pin>,
    /// The steps that the request asked for.
    pub asked: Vec<StepCall>,
    /// The steps to execute, in order.
    pub plan: Vec<Step>,
    /// Index into `plan` of the step that is executed.
    pub index: usize,
    /// Whether the plan holds the agent's own steps as well.
    pub plan_complete: bool,
    /// What is going on.
    pub phase: Phase,
    /// What the operation waits for; nothing while a command is carried out.
    pub waiting: Option<Waiting>,
    /// Why the function in flight is called.
    pub cause: Cause,
    /// The failure that is being handled.
    pub failure: Option<Failure>,
    /// An abort was asked for while the step could not be aborted: end after it.
    pub abort_after: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// Driver calls made so far.
    pub calls: u32,
    /// The number of the latest driver call, counted over the whole operation and never reset. It names the call in
    /// flight in the journal.
    #[serde(default)]
    pub turn: u64,
    /// Clean without booting the agent.
    pub disable_ramdisk: bool,
    /// Seconds that a power request may take, where it said so.
    pub power_timeout: Option<u32>,
    /// The host was stopping when the command that follows from this state was due, so it was not carried out. Only
    /// the restart of a machine that is never off needs to know: its power does not tell whether it happened.
    #[serde(default)]
    pub held_back: bool,
}

/// A verb that is to be begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The new operation's id.
    pub id: OperationId,
    /// What to do.
    pub kind: Kind,
    /// On whose behalf.
    pub principal: Principal,
    /// The drivers that will serve it.
    pub drivers: Vec<Pin>,
    /// Steps that the request asks for.
    pub asked: Vec<StepCall>,
    /// Clean without booting the agent.
    pub disable_ramdisk: bool,
    /// Seconds that a power request may take.
    pub power_timeout: Option<u32>,
}

/// A driver pinned by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The registered name.
    pub name: DriverName,
    /// The version, exactly.
    pub digest: Digest,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `manage` from `enroll`: can the controller be talked to?
    Verify,
    /// `active`.
    Deploy,
    /// `rebuild`.
    Rebuild,
    /// `deleted`; becomes `Clean` when the instance is gone.
    TearDown,
    /// Automated cleaning: of `provide` and of a tear-down.
    Clean,
    /// `clean` with steps.
    ManualClean,
    /// A power request.
    Power(PowerTarget),
}

impl Kind {
    /// As drivers know it (`wit/task.wit`).
    pub fn name(self) -> &'static str {
        match self {
            Kind::Verify => "verify",
            Kind::Deploy => "deploy",
            Kind::Rebuild => "rebuild",
            Kind::TearDown => "tear-down",
            Kind::Clean => "clean",
            Kind::ManualClean => "manual-clean",
            Kind::Power(_) => "power",
        }
    }
}

/// What `PUT /v1/nodes/{node}/states/power` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerTarget {
    /// `power on`.
    #[serde(rename = "power on")]
    On,
    /// `power off`.
    #[serde(rename = "power off")]
    Off,
    /// `rebooting`.
    #[serde(rename = "rebooting")]
    Reboot,
    /// `soft power off`.
    #[serde(rename = "soft power off")]
    SoftOff,
    /// `soft rebooting`.
    #[serde(rename = "soft rebooting")]
    SoftReboot,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading the power state to verify access.
    Verify,
    /// `deploy.prepare`.
    Prepare,
    /// `deploy-steps.get-deploy-steps`.
    ListDeploySteps,
    /// `deploy-steps.execute-deploy-step`.
    DeployStep,
    /// `deploy.clean-up`, in a tear-down or after a failed deploy.
    CleanUp,
    /// `deploy.tear-down`.
    TearDown,
    /// `cleaning.prepare-cleaning`.
    PrepareCleaning,
    /// `cleaning.get-clean-steps`.
    ListCleanSteps,
    /// `cleaning.execute-clean-step`.
    CleanStep,
    /// `cleaning.tear-down-cleaning`, at the end or after a failure.
    TearDownCleaning,
    /// Switching the power off, the first half of a reboot or all of a power off.
    PowerOff,
    /// Switching the power on.
    PowerOn,
}

impl Phase {
    /// The driver's function that is called in this phase; nothing where the host itself acts.
    pub fn function(self) -> Option<Function> {
        Some(match self {
            Phase::Prepare => Function::Prepare,
            Phase::ListDeploySteps => Function::GetDeploySteps,
            Phase::DeployStep => Function::ExecuteDeployStep,
            Phase::CleanUp => Function::CleanUp,
            Phase::TearDown => Function::TearDown,
            Phase::PrepareCleaning => Function::PrepareCleaning,
            Phase::ListCleanSteps => Function::GetCleanSteps,
            Phase::CleanStep => Function::ExecuteCleanStep,
            Phase::TearDownCleaning => Function::TearDownCleaning,
            Phase::Verify | Phase::PowerOff | Phase::PowerOn => return None,
        })
    }
}

/// A wait with its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What is waited for.
    pub condition: Condition,
    /// When the wait began.
    pub since: Timestamp,
    /// When it ends as timed out.
    pub deadline: Timestamp,
    /// When the condition is to be tested again.
    pub due: Timestamp,
    /// The host waits on its own account, to call the function again with `interrupted`.
    pub retry: bool,
    /// Tests made so far: their spacing grows.
    pub tests: u32,
}

/// Why a function is called (`wit/task.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// For the first time.
    First,
    /// The condition is met.
    Met,
    /// The wait ran out of time.
    TimedOut,
    /// The step is repeated, because the agent could not be reached or was busy.
    Interrupted,
}

/// Why an operation fails; kept while clean-up runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Becomes `last_error`, with the exits behind it.
    pub text: String,
    /// Decides which exits are named.
    #[serde(default)]
    pub kind: FailureKind,
    /// An operator asked for it.
    pub aborted: bool,
    /// A cleaning was cut off in the middle: the node needs a look, so it goes into maintenance.
    pub in_step: bool,
}

/// What happens to an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The command in flight is carried out.
    Returned(Returned),
    /// The condition that is waited for was tested.
    Tested {
        /// Whether it is met.
        met: bool,
    },
    /// The agent was heard: a reason to test.
    Heartbeat,
    /// The time of `Waiting::due` has come.
    Due,
    /// An operator asks for an abort.
    Abort,
    /// An operator asks for `deleted` while a deployment waits.
    Delete {
        /// On whose behalf.
        principal: Principal,
    },
    /// An operator breaks the lock: the operation ends at once, and the machine is left as it is.
    Unlocked {
        /// On whose behalf.
        principal: Principal,
        /// Why, in the operator's words; cut to what an error has room for.
        reason: String,
    },
    /// A version of a driver that the operation runs on was revoked, and no call of it is in flight any more: the operation ends
    /// at once, and the machine is left as it is. The text names the driver, the version and the reason.
    Revoked(String),
    /// The host stopped and is back; nothing is known of the end of the command in flight.
    Interrupted {
        /// How long the host was down: this time counts against no deadline.
        down: SignedDuration,
    },
    /// An operator ended the maintenance in which the wait rested.
    MaintenanceEnded,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Returned {
    /// The function is done.
    Done,
    /// The function asks to wait.
    Wait(Wait),
    /// The steps that the drivers offer.
    Steps(Vec<Step>),
    /// The power state that was read.
    Power(PowerState),
    /// The driver, or the hardware behind a command of the host, answered with an error.
    Refused(DriverError),
    /// The driver broke: it trapped, or went over a limit. The text names driver, version and function.
    Fault(String),
}

/// What the conductor is to do after the next state is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Call this function of the operation's drivers, and hand back [`Event::Returned`].
    Call {
        /// The function.
        function: Function,
        /// Why.
        cause: Cause,
        /// The step, for `execute-*-step`.
        step: Option<Step>,
    },
    /// Test the condition, and hand back [`Event::Tested`].
    Test(Condition),
    /// Read the power state, and hand back [`Event::Returned`].
    ReadPower,
    /// Ask the controller for a change, and hand back [`Event::Returned`].
    SetPower(PowerAction),
}

/// A single power action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "plain words")]
pub enum PowerAction {
    On,
    Off,
    SoftOff,
    Restart,
}

/// A node and the operation that holds it, if any.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle {
    /// The node.
    pub node: Node,
    /// The operation; nothing when the node is free.
    pub operation: Option<Operation>,
}

/// What a step leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    /// The next state, to be stored in one transaction with the rest of this.
    pub next: Lifecycle,
    /// What to do then.
    pub commands: Vec<Command>,
    /// For the node's history.
    pub history: Vec<HistoryEntry>,
    /// Driver state to erase.
    pub wipe: Option<Wipe>,
}

/// Driver state to erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wipe {
    /// The keys of the operation: it ended.
    Operation,
    /// All keys: a tear-down succeeded.
    All,
}

/// An entry of the node's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// `INFO` or `ERROR`.
    pub severity: Severity,
    /// For example `provisioning`, `deploying`, `cleaning`.
    pub event_type: String,
    /// What happened.
    pub event: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "plain words")]
pub enum Severity {
    Info,
    Error,
}

/// What an operator set, as far as the lifecycle goes. Seconds; 0 is never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Ironic's `deploy_callback_timeout`: a wait of a deploy whose driver gave no timeout.
    pub deploy_callback_timeout: u32,
    /// Ironic's `clean_callback_timeout`.
    pub clean_callback_timeout: u32,
    /// Ironic's `power_state_change_timeout`.
    pub power_state_change_timeout: u32,
    /// Ironic's `soft_power_off_timeout`.
    pub soft_power_off_timeout: u32,
    /// Ironic's `automated_clean`.
    pub automated_clean: bool,
    /// Milliseconds between the first tests of a condition that has to be polled.
    pub poll_min_ms: u32,
    /// Milliseconds that this spacing grows to.
    pub poll_max_ms: u32,
    /// Seconds that a driver may ask to wait at most, whatever time it gives.
    pub max_wait: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deploy_callback_timeout: 1800,
            clean_callback_timeout: 1800,
            power_state_change_timeout: 60,
            soft_power_off_timeout: 600,
            automated_clean: true,
            poll_min_ms: 500,
            poll_max_ms: 5000,
            max_wait: 604_800,
        }
    }
}

impl Operation {
    /// The step that is executed.
    pub fn current(&self) -> Option<&Step> {
        match self.phase {
            Phase::DeployStep | Phase::CleanStep => self.plan.get(self.index),
            _ => None,
        }
    }

    /// When the operation wants to be looked at again.
    pub fn due(&self) -> Option<Timestamp> {
        self.waiting.as_ref().map(|waiting| waiting.due)
    }

    /// The state that a manual cleaning ends in; others take the defaults of the table.
    pub(crate) fn final_target(&self) -> Option<ProvisionState> {
        (self.kind == Kind::ManualClean).then_some(ProvisionState::Manageable)
    }
}

/// A step as `deploy_step` and `clean_step` of the node show it.
pub(crate) fn shown(step: &Step) -> Map {
    let mut map = Map::new();
    map.insert("interface".into(), step.interface.clone().into());
    map.insert("step".into(), step.step.clone().into());
    map.insert("priority".into(), step.priority.into());
    map.insert("abortable".into(), step.abortable.into());
    map.insert("args".into(), wrought_domain::mask::masked(&step.args).into());
    map
}
