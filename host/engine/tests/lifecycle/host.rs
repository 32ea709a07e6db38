//! The one who drives the engine: remembers what is in flight, and checks after each step what must always hold.

use jiff::{SignedDuration, Timestamp};
use wrought_domain::hardware_type::FAKE_HARDWARE;
use wrought_domain::state::ProvisionState;
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, ErrorKind, Function, Map, Node, NodeId, OperationId, Principal, Step, StepCall};
use wrought_engine::{
    Advance, Cause, Command, Event, HistoryEntry, Impossible, Kind, Lifecycle, LifecycleEvent, Operation, Pin, Request, Returned, Settings,
    Severity, Wipe, begin, step,
};

pub struct Host {
    pub node: Node,
    pub operation: Option<Operation>,
    pub settings: Settings,
    pub now: Timestamp,
    /// The call, the reading or the change that is being carried out.
    pub in_flight: Option<Command>,
    /// Tests that are being carried out.
    pub testing: usize,
    pub history: Vec<HistoryEntry>,
    pub wiped: Vec<Wipe>,
    /// The next operation is begun with `disable_ramdisk`.
    pub without_ramdisk: bool,
    /// The next operation waits for its turn.
    pub queued: bool,
    /// What the next operation runs on.
    pub drivers: Vec<Pin>,
    /// What the next operation need not execute again.
    pub skip: Vec<StepCall>,
    /// All that happened.
    pub events: Vec<LifecycleEvent>,
    /// Clean steps that were seen to succeed since the node was last offered to anybody.
    pub erased: Vec<String>,
}

impl Host {
    pub fn with(state: ProvisionState) -> Self {
        let now = "2026-05-01T12:00:00Z".parse().unwrap();
        let mut node = Node::new(NodeId(uuid::Uuid::nil()), "fake-hardware", FAKE_HARDWARE.defaults(), now);
        node.provision_state = state;
        node.target_provision_state = if state.is_stable() { None } else { state.default_target() };
        node.instance_info.insert("image_source".into(), "http://192.0.2.2/disk.qcow2".into());
        node.instance_uuid = Some(uuid::Uuid::max());
        let settings = Settings::default();
        Self {
            node,
            operation: None,
            settings,
            now,
            in_flight: None,
            testing: 0,
            history: Vec::new(),
            wiped: Vec::new(),
            without_ramdisk: false,
            queued: false,
            drivers: Vec::new(),
            skip: Vec::new(),
            events: Vec::new(),
            erased: Vec::new(),
        }
    }

    pub fn try_begin(&mut self, kind: Kind, asked: Vec<StepCall>) -> Result<(), Impossible> {
        assert!(self.operation.is_none());
        let request = Request {
            asked,
            disable_ramdisk: self.without_ramdisk,
            queued: self.queued,
            drivers: self.drivers.clone(),
            skip: self.skip.clone(),
            ..Request::new(OperationId(uuid::Uuid::nil()), kind, Principal::noauth())
        };
        let mut node = self.node.clone();
        node.reservation = Some("host-1".into());
        let advance = begin(node, request, &self.settings, self.now)?;
        self.take(advance);
        Ok(())
    }

    pub fn begin(&mut self, kind: Kind) {
        self.try_begin(kind, Vec::new()).unwrap();
    }

    pub fn handle(&mut self, event: Event) -> Result<(), Impossible> {
        let lifecycle = Lifecycle { node: self.node.clone(), operation: self.operation.clone() };
        let advance = step(lifecycle, event, &self.settings, self.now)?;
        self.take(advance);
        Ok(())
    }

    /// The present becomes what the engine says, and what must always hold is looked at.
    fn take(&mut self, advance: Advance) {
        let was = self.node.provision_state;
        let Advance { next: Lifecycle { node, operation }, commands, history, events, failed: ended_by, wipe } = advance;
        (self.node, self.operation) = (node, operation);
        let failed = history.last().is_some_and(|last| last.severity == Severity::Error);
        assert_eq!(failed, ended_by.is_some(), "a failure is told to whoever may retry it");
        self.history.extend(history);
        self.events.extend(events);
        self.wiped.extend(wipe);
        for command in commands {
            match command {
                Command::Test(_) => self.testing += 1,
                work => assert!(self.in_flight.replace(work).is_none(), "two commands at once"),
            }
        }
        let state = self.node.provision_state;
        if state == ProvisionState::Available && was != state {
            let wiped = self.settings.required.iter().all(|erasure| erasure.is_covered_by(&self.erased));
            let switched_off = !self.node.automated_clean.unwrap_or(self.settings.automated_clean);
            assert!(wiped || switched_off || self.node.driver == "fake-hardware", "available, and not wiped: {:?}", self.erased);
        }
        if state != ProvisionState::Cleaning && state != ProvisionState::CleanWait {
            self.erased.clear();
        }
        match &self.operation {
            Some(operation) => {
                let due = operation.due();
                assert!(state.is_stable() || state.is_failed() || operation.kind.moves(), "{state} belongs to what moves the node");
                assert!(self.in_flight.is_some() != due.is_some(), "{state}: neither a command nor a time, or both: {operation:?}");
                assert!(due.is_none_or(|due| due >= self.now), "{state}: due in the past");
                assert!(wipe.is_none_or(|wipe| wipe == Wipe::All), "state of the operation is erased at its end");
            }
            None => {
                assert!(state.is_stable() || state.is_failed(), "{state} without an operation");
                assert!(self.in_flight.is_none(), "{state}: {:?} goes on without an operation", self.in_flight);
                assert!(wipe.is_some(), "an end erases the operation's state");
                assert_eq!(self.node.reservation, None);
                assert_eq!(self.node.target_power_state, None);
                assert!(self.node.deploy_step.is_empty() && self.node.clean_step.is_empty());
                self.testing = 0;
                if failed {
                    let told = self.last_error();
                    assert!(told.ends_with('.') && told.contains(". Next: "), "{state} without a way out: {told}");
                }
            }
        }
        match self.node.target_provision_state {
            None => assert!(state.is_stable(), "{state} has lost its target"),
            Some(target) => assert!(!state.is_stable() && target.is_stable(), "{state} is heading for {target}"),
        }
    }

    /// What is called now, and why.
    pub fn calls(&self) -> (Function, Cause) {
        match &self.in_flight {
            Some(Command::Call { function, cause, .. }) => (*function, *cause),
            other => panic!("{other:?} is in flight"),
        }
    }

    pub fn calls_step(&self) -> (String, Cause) {
        match &self.in_flight {
            Some(Command::Call { cause, step: Some(step), .. }) => (step.id(), *cause),
            other => panic!("{other:?} is in flight"),
        }
    }

    /// The number of the call in flight.
    pub fn turn(&self) -> u64 {
        self.operation.as_ref().unwrap().turn
    }

    /// The host is killed, and is back after these seconds.
    pub fn killed_for(&mut self, seconds: i64) {
        (self.in_flight, self.testing) = (None, 0);
        self.pass(seconds);
        self.handle(Event::Interrupted { down: SignedDuration::from_secs(seconds) }).unwrap();
    }

    /// An operator breaks the lock. What is in flight goes on without anybody who listens.
    pub fn unlock(&mut self, reason: &str) {
        (self.in_flight, self.testing) = (None, 0);
        let principal = Principal { user: "ada".into(), ..Principal::noauth() };
        self.handle(Event::Unlocked { principal, reason: reason.into() }).unwrap();
    }

    /// A version that it runs on is revoked: nothing is in flight, or has just come back.
    pub fn revoke(&mut self, text: &str) {
        (self.in_flight, self.testing) = (None, 0);
        self.handle(Event::Revoked(text.into())).unwrap();
    }

    pub fn answer(&mut self, returned: Returned) {
        assert!(self.in_flight.take().is_some(), "nothing is in flight");
        self.handle(Event::Returned(returned)).unwrap();
    }

    /// The call ends well, and if it executes a clean step the host itself saw the agent succeed with it.
    pub fn seen_done(&mut self) {
        if let Some(operation) = &mut self.operation
            && let Some(Command::Call { function: Function::ExecuteCleanStep, step: Some(step), .. }) = &self.in_flight
        {
            operation.covered.push(step.id());
            self.erased.push(step.id());
        }
        self.done();
    }

    pub fn done(&mut self) {
        self.answer(Returned::Done);
    }

    /// Answers `done` to calls of these functions, in this order.
    pub fn all_done(&mut self, functions: &[Function]) {
        for function in functions {
            assert_eq!(self.calls().0, *function);
            self.done();
        }
    }

    pub fn refuse(&mut self, kind: ErrorKind, text: &str) {
        self.answer(Returned::Refused(DriverError::new(kind, "test.Error", text)));
    }

    pub fn wait(&mut self, condition: Condition, timeout_s: u32) {
        self.answer(Returned::Wait(Wait { condition, timeout_s }));
        assert_eq!(self.testing, 1, "a wait is tested at once");
    }

    pub fn tested(&mut self, met: bool) {
        self.testing = self.testing.saturating_sub(1);
        self.handle(Event::Tested { met }).unwrap();
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    pub fn state(&self) -> &str {
        self.node.provision_state.as_str()
    }

    pub fn target(&self) -> &str {
        self.node.target_provision_state.map_or("", ProvisionState::as_str)
    }

    /// The part of `last_error` before the exits.
    pub fn cause(&self) -> &str {
        self.last_error().split_once(". Next: ").expect("a failure names its exits").0
    }

    pub fn last_error(&self) -> &str {
        self.node.last_error.as_deref().unwrap_or_default()
    }
}

pub fn offered(interface: &str, name: &str, priority: u32) -> Step {
    Step {
        interface: interface.into(),
        step: name.into(),
        priority,
        abortable: true,
        requires_ramdisk: true,
        reboot_requested: false,
        arguments: Vec::new(),
        args: Map::new(),
        offered_by: None,
        children: None,
    }
}

pub fn asked(interface: &str, name: &str, priority: Option<u32>) -> StepCall {
    StepCall { interface: interface.into(), step: name.into(), args: Map::new(), priority, children: None }
}

pub fn pin(name: &str) -> Pin {
    let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    Pin { name: name.parse().unwrap(), digest, interfaces: vec!["deploy".into()] }
}
