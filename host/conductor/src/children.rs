//! Parents and children: steps that are executed on a node's children in its stead, and power that children take from their parent.
//!
//! What a parent's operation does on a child is an operation of the child, with the child's own drivers, under the child's own
//! reservation. Its id follows from the parent's, so it is begun once, however often the parent asks.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wrought_domain::step::{Children, Reserved};
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, ErrorKind, Node, NodeId, OperationId, PowerState, Principal, ProvisionState, Rights, Step, StepCall};
use wrought_engine::{Kind, Operation, PowerAction, PowerTarget, Request, Returned};
use wrought_storage::{EventQuery, NodeEvent, NodeFilter, NodeQuery, NodeRef, Stored};

use crate::conductor::Conductor;
use crate::rules::check_unprotected;
use crate::{Refusal, convert};

/// Children of one node that a step is executed on.
const MAX_CHILDREN: u32 = 256;
/// The key of `driver_info` that says that a child does not take its power from its parent.
const DEDICATED_SUPPLY: &str = "has_dedicated_power_supply";
/// How long a change of a node's power waits for that of its parent or its children; less than a command may last.
const RELATIVES_TIMEOUT: Duration = Duration::from_secs(45);
/// In which a child has no instance, and nothing is half done.
const STATES: [ProvisionState; 4] =
    [ProvisionState::Enroll, ProvisionState::Manageable, ProvisionState::Available, ProvisionState::InspectFailed];
/// How long after somebody else's write a child is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where an operation on a relative stands.
enum Stand {
    /// It has never begun.
    Unknown,
    /// It holds its node.
    Running,
    /// It has ended well.
    Done,
    /// It has failed, and why.
    Failed(String),
}

/// The id of what an operation does on another node: the same each time.
fn derived(operation: OperationId, what: &str, node: NodeId) -> OperationId {
    let mut hash = Sha256::new();
    hash.update(operation.0.as_bytes());
    hash.update(node.0.as_bytes());
    hash.update(what.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, hashed)| *byte = hashed);
    OperationId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

fn failed(code: &str, text: String) -> DriverError {
    DriverError::new(ErrorKind::Failed, code, text)
}

impl Conductor {
    /// Has a step executed on the children of an operation's node, one after the other. Asked again, after a wait or a restart, it
    /// goes on where it stood.
    pub(crate) async fn step_on_children(&self, node: &Node, operation: &Operation, step: &Step) -> Returned {
        match self.next_child(node, operation, step).await {
            Ok(None) => Returned::Done,
            Ok(Some(condition)) => Returned::Wait(Wait { condition, timeout_s: 0 }),
            Err(error) => Returned::Refused(error),
        }
    }

    /// Whether an operation does not hold its node any more.
    pub(crate) async fn operation_ended(&self, node: NodeId, id: OperationId) -> bool {
        match self.0.store.operation(node).await {
            Ok(now) => now.is_none_or(|now| now.id != id),
            Err(error) => {
                tracing::warn!(%node, %error, "reading the operation that another one waits for");
                false
            }
        }
    }

    /// What to wait for, if the step has not been executed on all children.
    async fn next_child(&self, node: &Node, operation: &Operation, step: &Step) -> Result<Option<Condition>, DriverError> {
        let what = format!("{} {}", operation.index, step.id());
        for child in self.children_of(node, step.children.as_ref().unwrap_or(&Children::All)).await? {
            let id = derived(operation.id, &what, child.uuid);
            match self.stands(child.uuid, id, operation).await? {
                Stand::Done => {}
                Stand::Running => return Ok(Some(Condition::Operation { node: child.uuid, id })),
                Stand::Failed(reason) => {
                    return Err(failed("wrought.ChildFailed", format!("step {} failed on child node {}: {reason}", step.id(), child.uuid)));
                }
                Stand::Unknown => return self.begin_child(&child, id, operation, step).await.map(Some),
            }
        }
        Ok(None)
    }

    /// Begins the step on a child, or says what it has to wait for.
    async fn begin_child(&self, child: &Node, id: OperationId, operation: &Operation, step: &Step) -> Result<Condition, DriverError> {
        let refused = |why: &dyn std::fmt::Display| {
            failed("wrought.ChildRefused", format!("step {} can not be executed on child node {}: {why}", step.id(), child.uuid))
        };
        let stored = self.relative(child.uuid).await?;
        if stored.value.maintenance {
            return Err(refused(&"it is in maintenance"));
        }
        let changes_power = matches!(step.reserved(), Some(Reserved::PowerOn | Reserved::PowerOff | Reserved::Reboot));
        let rights = if changes_power { Rights::POWER } else { Rights::USE };
        check_allowed(&stored.value, operation, rights).map_err(|why| refused(&why))?;
        if let Some(other) = self.0.store.operation(child.uuid).await.map_err(|error| convert::store_error(&error))? {
            return Ok(Condition::Operation { node: child.uuid, id: other.id });
        }
        check_child(&stored.value, step).map_err(|why| refused(&why))?;
        let call = StepCall {
            interface: step.interface.clone(),
            step: step.step.clone(),
            args: step.args.clone(),
            priority: None,
            children: None,
        };
        // What is executed on a child runs without the agent: nobody boots one there for a single step.
        let chain = self.select(&stored.value, id, Kind::ChildStep).await.map_err(|refusal| refused(&refusal))?;
        let request = Request {
            drivers: chain.pins(),
            asked: vec![call],
            disable_ramdisk: true,
            ..Request::new(id, Kind::ChildStep, operation.principal.clone())
        };
        match self.start_operation(stored, request).await {
            Ok(()) => Ok(Condition::Operation { node: child.uuid, id }),
            // Somebody else wrote to the child at that moment: it is asked again. Nothing has begun, so nothing is waited for by its id.
            Err(Refusal::Locked { .. } | Refusal::Conflict(_) | Refusal::Stale(_)) => {
                Ok(Condition::Until { at: self.now().checked_add(ASK_AGAIN).unwrap_or(jiff::Timestamp::MAX) })
            }
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    /// Before a change of power: a child's parent is switched on first, a parent's children are switched off first, but for those
    /// that have a supply of their own.
    pub(crate) async fn power_relatives(&self, node: &Node, operation: &Operation, action: PowerAction) -> Result<(), DriverError> {
        let reboots = matches!(operation.kind, Kind::Power(PowerTarget::Reboot | PowerTarget::SoftReboot))
            || operation.current().is_some_and(|step| step.step == "reboot");
        match action {
            // The parent's operation holds the parent, and says by its own steps what becomes of its power.
            _ if operation.kind == Kind::ChildStep => Ok(()),
            PowerAction::On | PowerAction::Restart => {
                let Some(parent) = node.parent_node.filter(|_| !has_own_supply(node)) else { return Ok(()) };
                let parent = self.relative(NodeId(parent)).await?.value;
                if parent.power_state == Some(PowerState::On) {
                    return Ok(());
                }
                check_allowed(&parent, operation, Rights::POWER).map_err(|why| wrong_power(&parent, &why))?;
                self.power_relative(&parent, operation, PowerTarget::On).await
            }
            PowerAction::Off | PowerAction::SoftOff if !reboots => {
                let mut children = self.children_of(node, &Children::All).await?;
                children.retain(|child| !has_own_supply(child) && child.power_state != Some(PowerState::Off));
                // All are asked before the first is switched off.
                for child in &children {
                    self.check_may_be_off(child, operation).await?;
                }
                let each = children.iter().map(|child| self.power_relative(child, operation, PowerTarget::Off));
                futures::future::try_join_all(each).await.map(drop)
            }
            PowerAction::Off | PowerAction::SoftOff => Ok(()),
        }
    }

    /// Whether a child that takes its power from its parent may be switched off with it.
    async fn check_may_be_off(&self, child: &Node, operation: &Operation) -> Result<(), DriverError> {
        check_allowed(child, operation, Rights::POWER).map_err(|why| wrong_power(child, &why))?;
        if child.disable_power_off {
            return Err(wrong_power(child, &"it has disable_power_off set"));
        }
        let other = self.0.store.operation(child.uuid).await.map_err(|error| convert::store_error(&error))?;
        match other.filter(|other| !matches!(other.kind, Kind::Power(_))) {
            None => Ok(()),
            Some(other) => {
                let text = format!(
                    "it is in state {} and held by operation {} ({}); wait for that or end it, or have an administrator `wrought node \
                     unlock` the child",
                    child.provision_state,
                    other.id,
                    other.kind.name()
                );
                Err(wrong_power(child, &text))
            }
        }
    }

    /// Changes the power of a parent or child, and waits until that has ended.
    async fn power_relative(&self, node: &Node, operation: &Operation, target: PowerTarget) -> Result<(), DriverError> {
        let id = derived(operation.id, &format!("power {} {target:?}", operation.turn), node.uuid);
        let wrong = |why: &dyn std::fmt::Display| wrong_power(node, why);
        let waited = tokio::time::timeout(RELATIVES_TIMEOUT, async {
            loop {
                match self.stands(node.uuid, id, operation).await? {
                    Stand::Done => return Ok(()),
                    Stand::Failed(reason) => return Err(wrong(&reason)),
                    Stand::Running => {}
                    Stand::Unknown => {
                        let stored = self.relative(node.uuid).await?;
                        if target == PowerTarget::Off {
                            self.check_may_be_off(&stored.value, operation).await?;
                        }
                        if stored.value.reservation.is_none() {
                            let begun =
                                self.start_operation(stored, Request::new(id, Kind::Power(target), operation.principal.clone())).await;
                            match begun {
                                Ok(()) | Err(Refusal::Locked { .. }) => {}
                                Err(refusal) => return Err(wrong(&refusal)),
                            }
                        }
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        waited
            .await
            .unwrap_or_else(|_| Err(wrong(&format!("it did not end within {} s; ask again when it has", RELATIVES_TIMEOUT.as_secs()))))
    }

    /// The children of a node: all, or those named.
    async fn children_of(&self, node: &Node, which: &Children) -> Result<Vec<Node>, DriverError> {
        let filter = NodeFilter { parent_node: Some(node.uuid.0), ..NodeFilter::all() };
        let query = NodeQuery { filter, limit: Some(MAX_CHILDREN.saturating_add(1)), ..NodeQuery::default() };
        let all = self.0.store.nodes(&Principal::host(), &query).await.map_err(|error| convert::store_error(&error))?;
        if all.len() > usize::try_from(MAX_CHILDREN).unwrap_or(usize::MAX) {
            return Err(failed("wrought.TooManyChildren", format!("node {} has more than {MAX_CHILDREN} children", node.uuid)));
        }
        let Children::Only(wanted) = which else { return Ok(all) };
        let find = |id: &Uuid| {
            let found = all.iter().find(|child| child.uuid.0 == *id).cloned();
            found.ok_or_else(|| failed("wrought.NoChild", format!("node {id} is no child of node {}", node.uuid)))
        };
        wanted.iter().map(find).collect()
    }

    async fn relative(&self, node: NodeId) -> Result<Stored<Node>, DriverError> {
        let found = self.0.store.node(&Principal::host(), &NodeRef::Uuid(node)).await.map_err(|error| convert::store_error(&error))?;
        found.ok_or_else(|| failed("wrought.NoChild", format!("node {node} could not be found")))
    }

    /// Where an operation stands that this host began on a parent or child for another one, which knows those it has waited for.
    async fn stands(&self, node: NodeId, id: OperationId, of: &Operation) -> Result<Stand, DriverError> {
        let store = &self.0.store;
        let now = store.operation(node).await.map_err(|error| convert::store_error(&error))?;
        if now.is_some_and(|now| now.id == id) {
            return Ok(Stand::Running);
        }
        let kinds = ["finished", "failed", "aborted"].map(str::to_owned).to_vec();
        let query = EventQuery { node: Some(node), kinds, operation: Some(id), after: None, limit: 10 };
        let ends = store.events(&query).await.map_err(|error| convert::store_error(&error))?;
        let own = id.to_string();
        let end = ends.iter().find(|event| event.detail.get("operation").and_then(|id| id.as_str()) == Some(own.as_str()));
        Ok(ended(end, of.others.contains(&id)))
    }
}

/// Where an operation stands that does not hold its node, by the event of its end. One that was waited for has begun: when its end is
/// forgotten, it is not begun a second time.
fn ended(end: Option<&NodeEvent>, waited_for: bool) -> Stand {
    match end {
        None if waited_for => Stand::Failed("how it ended is not known any more".to_owned()),
        None => Stand::Unknown,
        Some(event) if event.kind == "finished" => Stand::Done,
        Some(event) => {
            let reason = event.detail.get("reason").and_then(|reason| reason.as_str());
            Stand::Failed(reason.unwrap_or("the events of the node say no more").to_owned())
        }
    }
}

/// Whether the one who asked for an operation may do the like with a parent or child.
fn check_allowed(node: &Node, operation: &Operation, rights: Rights) -> Result<(), String> {
    let who = &operation.principal;
    if rights.allow_with(who, node) { Ok(()) } else { Err(format!("{} is not allowed to do that with it", who.user)) }
}

/// Whether a step may be executed on a child. Steps on children are clean steps, which may destroy an instance; power is
/// changed in any state, as by a request.
fn check_child(child: &Node, step: &Step) -> Result<(), String> {
    match step.reserved() {
        Some(Reserved::PowerOff) if child.disable_power_off => return Err("it has disable_power_off set".to_owned()),
        Some(Reserved::PowerOn | Reserved::PowerOff | Reserved::Reboot) => return Ok(()),
        _ => {}
    }
    check_unprotected(child).map_err(|refusal| refusal.to_string())?;
    if !STATES.contains(&child.provision_state) {
        let states: Vec<&str> = STATES.iter().map(|state| state.as_str()).collect();
        return Err(format!("it is in state {}; it has to be in one of: {}", child.provision_state, states.join(", ")));
    }
    Ok(())
}

fn wrong_power(node: &Node, why: &dyn std::fmt::Display) -> DriverError {
    let text = format!("the power of node {}, with which this one shares its supply, could not be changed: {why}", node.uuid);
    DriverError::new(ErrorKind::PowerFailed, "wrought.RelativePower", text)
}

/// Whether a child's power does not come from its parent.
fn has_own_supply(node: &Node) -> bool {
    match node.driver_info.get(DEDICATED_SUPPLY) {
        Some(serde_json::Value::Bool(own)) => *own,
        Some(serde_json::Value::String(text)) => matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use wrought_domain::hardware_type::FAKE_HARDWARE;

    use super::*;

    #[test]
    fn the_same_is_asked_of_a_child_once() {
        let (operation, other) = (OperationId(Uuid::from_u128(1)), OperationId(Uuid::from_u128(2)));
        let child = NodeId(Uuid::from_u128(3));
        let id = derived(operation, "0 raid.apply", child);
        assert_eq!(id, derived(operation, "0 raid.apply", child));
        for different in [
            derived(other, "0 raid.apply", child),
            derived(operation, "1 raid.apply", child),
            derived(operation, "0 raid.apply", NodeId(Uuid::from_u128(4))),
        ] {
            assert_ne!(id, different);
        }
    }

    #[test]
    fn what_has_begun_is_not_begun_again_when_its_end_is_forgotten() {
        assert!(matches!(ended(None, false), Stand::Unknown));
        assert!(matches!(ended(None, true), Stand::Failed(_)));
    }

    #[test]
    fn steps_are_for_children_without_an_instance_and_power_for_all() {
        let mut child = Node::new(NodeId(Uuid::nil()), "redfish", FAKE_HARDWARE.defaults(), jiff::Timestamp::UNIX_EPOCH);
        let step = |name: &str| Step {
            interface: "deploy".into(),
            step: name.into(),
            priority: 0,
            abortable: false,
            requires_ramdisk: false,
            reboot_requested: false,
            arguments: Vec::new(),
            args: wrought_domain::Map::new(),
            offered_by: None,
            children: None,
        };
        for state in [ProvisionState::Active, ProvisionState::Rescue, ProvisionState::DeployFailed, ProvisionState::CleanFailed] {
            child.provision_state = state;
            assert!(check_child(&child, &step("erase_devices")).unwrap_err().contains(state.as_str()));
            check_child(&child, &step("power_off")).unwrap();
        }
        child.provision_state = ProvisionState::Available;
        check_child(&child, &step("erase_devices")).unwrap();
        (child.protected, child.disable_power_off) = (true, true);
        check_child(&child, &step("erase_devices")).unwrap_err();
        check_child(&child, &step("power_off")).unwrap_err();
        check_child(&child, &step("reboot")).unwrap();
    }
}
