//! What the engine works on: the operation, its phases, the events and the commands.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wrought_domain::function::Function;
use wrought_domain::state::ProvisionState;
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{Digest, DriverError, DriverName, Fence, Node, NodeId, OperationId, PowerState, Principal, Step, StepCall};

use crate::events::LifecycleEvent;
use crate::exits::FailureKind;
use crate::kind::{Kind, Phase, Setting};

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
    /// Steps that the deploy templates of the instance add.
    #[serde(default)]
    pub templates: Vec<StepCall>,
    /// Index into `plan` of the step that is executed.
    pub index: usize,
    /// `interface.step` of the steps that were executed.
    #[serde(default)]
    pub finished: Vec<String>,
    /// Steps that an earlier operation has executed, and this one need not; each is taken out when the plan comes to it. The name in
    /// documents is not `skip`, which once was a list of names.
    #[serde(default, rename = "executed_before")]
    pub skip: Vec<StepCall>,
    /// Operations of other nodes that the step it is at has waited for.
    #[serde(default)]
    pub others: Vec<OperationId>,
    /// What was erased: `interface.step` where the host itself saw the agent succeed with the step, and `driver:interface.step` for each
    /// clean step that a driver said to be done.
    #[serde(default)]
    pub covered: Vec<String>,
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
    /// Clean or service without booting the agent.
    pub disable_ramdisk: bool,
    /// Whether the machine was prepared to run the agent for a cleaning or a service, so that it has to be taken back.
    #[serde(default)]
    pub ramdisk: bool,
    /// The change of power that a reserved step is at.
    #[serde(default)]
    pub power_step: Option<PowerAction>,
    /// When the step that is executed began.
    #[serde(default)]
    pub step_since: Option<Timestamp>,
    /// How often the agent's hardware managers changed under a step.
    #[serde(default)]
    pub mismatches: u32,
    /// What a vendor's method is called with.
    #[serde(default)]
    pub vendor_call: Option<VendorCall>,
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
    /// Steps that the deploy templates of the instance add.
    pub templates: Vec<StepCall>,
    /// Steps that an earlier operation has executed, with what they were given, and this one need not ([`Operation::executed`]).
    pub skip: Vec<StepCall>,
    /// Clean or service without booting the agent.
    pub disable_ramdisk: bool,
    /// Seconds that a power request may take.
    pub power_timeout: Option<u32>,
    /// What a vendor's method is called with.
    pub vendor_call: Option<VendorCall>,
    /// Whether it waits for its turn before its first command ([`Condition::Turn`]).
    pub queued: bool,
}

impl Request {
    /// A request for nothing special.
    pub fn new(id: OperationId, kind: Kind, principal: Principal) -> Self {
        Self {
            id,
            kind,
            principal,
            drivers: Vec::new(),
            asked: Vec::new(),
            templates: Vec::new(),
            skip: Vec::new(),
            disable_ramdisk: false,
            power_timeout: None,
            vendor_call: None,
            queued: false,
        }
    }
}

/// A call of a vendor's own method (`wit/vendor-passthru.wit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorCall {
    /// The method.
    pub method: String,
    /// `POST`, `PUT`, ...
    pub http_method: String,
    /// JSON.
    pub body: String,
}

/// A driver pinned by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The registered name.
    pub name: DriverName,
    /// The version, exactly.
    pub digest: Digest,
    /// By which of the node's interfaces it was chosen: `deploy` for the deploy driver and its bases, else `raid`, `bios`, `firmware`,
    /// `management`, `vendor`, `inspect` or `rescue`.
    #[serde(default = "by_deploy_interface")]
    pub interfaces: Vec<String>,
}

/// What was stored before drivers were chosen by other interfaces.
fn by_deploy_interface() -> Vec<String> {
    vec!["deploy".into()]
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
    /// Seconds that each heartbeat puts the deadline off by, counted from the heartbeat.
    #[serde(default)]
    pub renew_s: Option<u32>,
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
    /// A cleaning or a service was cut off in the middle: the node needs a look, so it goes into maintenance.
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
    /// An operator lets an operation go on that holds.
    Unhold,
    /// An operator ends an operation that has not had its turn yet.
    Cancel {
        /// On whose behalf.
        principal: Principal,
    },
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
    /// Have the step executed on the node's children, one after the other, and hand back [`Event::Returned`]: `Done` when all have
    /// ended well. Level-triggered: it is given again after each wait that it asks for, and after a restart.
    Children(Step),
    /// Make use of what the inspection found, and hand back [`Event::Returned`].
    ApplyInspection,
    /// Set this on the machine, and hand back [`Event::Returned`]. What is so already succeeds.
    Set(Setting),
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
    /// For the record of all that happened.
    pub events: Vec<LifecycleEvent>,
    /// The operation that has just ended by a failure, as it was.
    pub failed: Option<Box<Operation>>,
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
    /// On behalf of which project; nothing for callers without one.
    #[serde(default)]
    pub project: Option<String>,
    /// The node's provision state then; the store takes the node's own where it is not said.
    #[serde(default)]
    pub state: Option<ProvisionState>,
    /// Where the node was heading.
    #[serde(default)]
    pub target_provision_state: Option<ProvisionState>,
    /// How long the operation had lasted.
    #[serde(default)]
    pub duration_ms: Option<u64>,
}

impl HistoryEntry {
    /// An entry that is part of no operation.
    pub fn new(severity: Severity, event_type: &str, event: impl Into<String>) -> Self {
        let (event_type, event) = (event_type.to_owned(), event.into());
        Self { severity, event_type, event, project: None, state: None, target_provision_state: None, duration_ms: None }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "plain words")]
pub enum Severity {
    Info,
    Error,
}

impl Operation {
    /// The step that is executed.
    pub fn current(&self) -> Option<&Step> {
        match self.phase {
            phase if phase.is_step() => self.plan.get(self.index),
            _ => None,
        }
    }

    /// Whether it has not had its turn yet ([`Condition::Turn`]).
    pub fn is_queued(&self) -> bool {
        self.waits_for(&Condition::Turn)
    }

    /// Whether it rests until an operator says `unhold`.
    pub fn holds(&self) -> bool {
        self.waits_for(&Condition::Unhold)
    }

    fn waits_for(&self, condition: &Condition) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.condition == *condition)
    }

    /// The pinned version of a driver.
    pub fn pin(&self, name: &DriverName) -> Option<&Pin> {
        self.drivers.iter().find(|pin| pin.name == *name)
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
