//! The loop over the steps of a plan, the same for every kind of operation, and the steps that the host itself executes.

use jiff::{SignedDuration, Timestamp};
use wrought_domain::state::{Event as Transition, PowerState};
use wrought_domain::step::Reserved;
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, ErrorKind, Map, Step, StepCall};

use crate::events::EventKind;
use crate::exits::FailureKind;
use crate::kind::{Kind, Phase};
use crate::operation::{Cause, Command, Operation, PowerAction, Returned, Severity};
use crate::settings::Settings;
use crate::step::{Impossible, Run};

/// How often the agent's hardware managers may change in one operation.
const MAX_MISMATCHES: u32 = 3;

impl Run<'_> {
    /// The phase in which this operation executes steps, with the name of their kind.
    fn step_phase(&self) -> (Phase, &'static str) {
        match self.operation.kind {
            Kind::Deploy | Kind::Rebuild => (Phase::DeployStep, "deploy"),
            Kind::Service => (Phase::ServiceStep, "service"),
            Kind::Verify => (Phase::VerifyStep, "verify"),
            _ => (Phase::CleanStep, "clean"),
        }
    }

    /// Takes over a plan, and shows it.
    pub(crate) fn take_plan(&mut self, plan: Vec<Step>) {
        let (_, kind) = self.step_phase();
        let steps: Vec<serde_json::Value> = plan.iter().map(|step| shown(step).into()).collect();
        if self.operation.kind.moves() {
            self.node.driver_internal_info.insert(format!("{kind}_steps"), steps.into());
        }
        self.operation.plan = plan;
    }

    /// Begins the step that the index stands at, past those that need not be executed again, or ends the loop.
    pub(crate) fn next_step(&mut self) -> Result<(), Impossible> {
        while let Some(step) = self.operation.plan.get(self.operation.index).cloned() {
            if !self.skips(&step) {
                break;
            }
            let id = step.id();
            self.note(Severity::Info, self.event_type(), format!("step {id} was executed before, and is not executed again"));
            self.operation.finished.push(id);
            self.operation.index = self.operation.index.saturating_add(1);
        }
        if let Some(step) = self.operation.plan.get(self.operation.index).cloned() {
            self.begin_step(&step);
            return Ok(());
        }
        match self.operation.kind {
            Kind::Deploy | Kind::Rebuild => self.deployed(),
            Kind::Service => self.all_serviced(),
            Kind::Verify => self.all_verified(),
            Kind::ChildStep => {
                self.finished(Severity::Info, "cleaning", "the step of the parent's operation ended".into());
                Ok(())
            }
            _ => self.all_cleaned(),
        }
    }

    /// What an earlier operation has executed just so. A step that the plan has twice is skipped as often as it was executed.
    fn skips(&mut self, step: &Step) -> bool {
        // Only the agent that wrote partitions can tell which they are, and it is gone.
        let partitions = step.is("deploy", "write_image") && self.writes_partitions();
        if partitions || !may_be_skipped(self.operation.kind, step, self.settings) {
            return false;
        }
        let call = called(step);
        let before = self.operation.skip.iter().position(|executed| executed.names(&call) && executed.args == call.args);
        before.map(|at| self.operation.skip.remove(at)).is_some()
    }

    /// Whether the image is one of partitions, not of a whole disk (Ironic's `image_type`; one with a kernel of its own is, too).
    fn writes_partitions(&self) -> bool {
        let info = &self.node.instance_info;
        info.get("image_type").and_then(serde_json::Value::as_str) == Some("partition") || info.contains_key("kernel")
    }

    /// Shows a step, and begins it.
    fn begin_step(&mut self, step: &Step) {
        let (phase, kind) = self.step_phase();
        if self.operation.kind.moves() {
            self.node.driver_internal_info.insert(format!("{kind}_step_index"), self.operation.index.into());
            match phase {
                Phase::CleanStep => self.node.clean_step = shown(step),
                Phase::DeployStep => self.node.deploy_step = shown(step),
                Phase::ServiceStep => self.node.service_step = shown(step),
                _ => {}
            }
        }
        self.operation.step_since = Some(self.now);
        let (id, by) = (step.id(), step.offered_by.clone());
        self.happened(EventKind::StepStarted, |event| (event.step, event.driver) = (Some(id), by));
        let reserved = step.reserved().filter(|_| step.children.is_none());
        let Some(reserved) = reserved else {
            self.call(phase, Cause::First);
            return;
        };
        self.operation.phase = phase;
        self.operation.turn = self.operation.turn.saturating_add(1);
        if reserved == Reserved::PowerOff && self.node.disable_power_off {
            let text = "the node has disable_power_off set: its power can not be switched off".into();
            let _ended = self.fail(FailureKind::Refused(ErrorKind::Unsupported), text);
            return;
        }
        match reserved {
            Reserved::PowerOn => self.begin_power_step(PowerAction::On),
            Reserved::PowerOff => self.begin_power_step(PowerAction::Off),
            Reserved::Reboot if self.node.disable_power_off => self.begin_power_step(PowerAction::Restart),
            Reserved::Reboot => self.begin_power_step(PowerAction::Off),
            Reserved::Hold => {
                self.apply_if_allowed(Transition::Hold);
                self.note(Severity::Info, self.event_type(), "the operation holds until `unhold`".into());
                self.happened(EventKind::Waiting, |event| event.reason = Some(Condition::Unhold.to_string()));
                self.rest_until(Condition::Unhold);
            }
            Reserved::Wait => {
                let condition = match step.args.get("seconds").and_then(serde_json::Value::as_u64) {
                    Some(seconds) => Condition::Until { at: after(self.now, seconds) },
                    None => Condition::Heartbeat { since: self.now },
                };
                self.wait(Wait { condition, timeout_s: 0 }, false);
            }
        }
    }

    /// A step has ended well.
    pub(crate) fn step_done(&mut self) -> Result<(), Impossible> {
        let Some(step) = self.operation.current().cloned() else {
            return self.fail(FailureKind::Fault, "a step ended that is not in the plan".into());
        };
        let id = step.id();
        if let (Phase::CleanStep, Some(driver)) = (self.operation.phase, &step.offered_by) {
            self.operation.covered.push(format!("{driver}:{id}"));
        }
        self.operation.finished.push(id.clone());
        self.operation.others.clear();
        let lasted = self.operation.step_since.take().map(|since| self.since(since));
        let by = step.offered_by.clone();
        self.happened(EventKind::StepFinished, |event| {
            (event.step, event.duration_ms, event.driver) = (Some(id), lasted, by);
        });
        if self.operation.abort_after {
            return self.aborted();
        }
        if step.is("deploy", "deploy") && self.operation.kind.deploys() && !self.operation.plan_complete {
            self.call(Phase::ListDeploySteps, Cause::First);
            return Ok(());
        }
        self.operation.index = self.operation.index.saturating_add(1);
        self.next_step()
    }

    fn begin_power_step(&mut self, action: PowerAction) {
        self.operation.power_step = Some(action);
        self.command(Command::SetPower(action));
    }

    /// The controller has answered to the change of power of a reserved step.
    pub(crate) fn power_step_returned(&mut self, returned: Returned) -> Result<(), Impossible> {
        match returned {
            Returned::Done => {
                let on = self.operation.power_step != Some(PowerAction::Off);
                self.wait(Wait { condition: Condition::Power { on }, timeout_s: 0 }, false);
                Ok(())
            }
            Returned::Refused(error) => self.fail(FailureKind::Refused(error.kind), error.to_string()),
            other => self.fail(FailureKind::Refused(ErrorKind::PowerFailed), format!("the controller answered with {other:?}")),
        }
    }

    /// The machine has reached the power state of a reserved step, or has not in time.
    pub(crate) fn power_step_changed(&mut self, met: bool) -> Result<(), Impossible> {
        let on = self.operation.power_step != Some(PowerAction::Off);
        let state = if on { PowerState::On } else { PowerState::Off };
        if !met {
            return self.fail(FailureKind::Timeout, format!("the machine did not reach {state} in time"));
        }
        self.node.power_state = Some(state);
        let reboots = self.operation.current().and_then(Step::reserved) == Some(Reserved::Reboot);
        if !on {
            self.node.wipe_agent();
        }
        if !on && reboots {
            self.operation.turn = self.operation.turn.saturating_add(1);
            self.begin_power_step(PowerAction::On);
            return Ok(());
        }
        self.operation.power_step = None;
        self.step_done()
    }

    /// The step `wait` has waited.
    pub(crate) fn waited(&mut self, met: bool) -> Result<(), Impossible> {
        if met { self.step_done() } else { self.fail(FailureKind::Timeout, "the agent was not heard in time".into()) }
    }

    /// An operator lets an operation go on that holds.
    pub(crate) fn unhold(&mut self) -> Result<(), Impossible> {
        if !self.operation.holds() {
            return Err(Impossible::NotNow(self.node.provision_state));
        }
        self.operation.waiting = None;
        self.apply_if_allowed(Transition::Unhold);
        self.apply_if_allowed(Transition::Resume);
        self.step_done()
    }

    /// The agent's hardware managers changed while a step was asked of them: what they offer now is asked again. An automated cleaning
    /// begins anew, because what it has to do may have changed; others repeat the step.
    pub(crate) fn agent_changed(&mut self, error: &DriverError) -> Result<(), Impossible> {
        self.operation.mismatches = self.operation.mismatches.saturating_add(1);
        if self.operation.mismatches > MAX_MISMATCHES {
            return self.fail(FailureKind::Refused(error.kind), error.to_string());
        }
        self.note(Severity::Info, "agent", format!("{error}; the agent is asked for its steps again"));
        if self.operation.kind == Kind::Clean {
            self.operation.index = 0;
            self.operation.finished.clear();
            self.operation.covered.clear();
            self.call(Phase::ListCleanSteps, Cause::First);
        } else {
            self.call(self.operation.phase, Cause::Interrupted);
        }
        Ok(())
    }
}

impl Operation {
    /// The steps that it has executed, with what they were given, as far as the same operation begun again need not execute them.
    pub fn executed(&self, settings: &Settings) -> Vec<StepCall> {
        let executed = self.plan.get(..self.index).unwrap_or_default().iter();
        executed.filter(|step| may_be_skipped(self.kind, step, settings)).map(called).collect()
    }
}

/// Never what boots the agent, what the host executes itself, or an erasure that has to be seen. In a deployment a retry boots the agent
/// again, so that of the steps which lead from it to the instance none is left out; but the image that is written is written.
fn may_be_skipped(kind: Kind, step: &Step, settings: &Settings) -> bool {
    let writes = step.is("deploy", "write_image") || step.is("deploy", "execute_bootc_install");
    !(kind.deploys() && step.interface == "deploy" && !writes)
        && step.reserved().is_none()
        && !(kind.cleans() && settings.required.iter().any(|erasure| erasure.names(step)))
}

fn called(step: &Step) -> StepCall {
    StepCall {
        interface: step.interface.clone(),
        step: step.step.clone(),
        args: step.args.clone(),
        priority: None,
        children: step.children.clone(),
    }
}

fn after(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    now.checked_add(seconds).unwrap_or(Timestamp::MAX)
}

/// A step as `deploy_step`, `clean_step` and `service_step` of the node show it.
fn shown(step: &Step) -> Map {
    let mut map = Map::new();
    map.insert("interface".into(), step.interface.clone().into());
    map.insert("step".into(), step.step.clone().into());
    map.insert("priority".into(), step.priority.into());
    map.insert("abortable".into(), step.abortable.into());
    map.insert("requires_ramdisk".into(), step.requires_ramdisk.into());
    map.insert("args".into(), wrought_domain::mask::masked(&step.args).into());
    map
}
