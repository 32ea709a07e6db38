//! Tests the conditions that operations wait for.

use std::time::Duration;

use futures::future::BoxFuture;
use wrought_domain::wait::Condition;
use wrought_domain::{ErrorKind, Node};
use wrought_drivers::contract::agent::CommandStatus;
use wrought_engine::Operation;
use wrought_hardware::PowerState;

use crate::conductor::Conductor;
use crate::convert;
use crate::seen::Seen;
use crate::world::NodeWorld;

/// Between the two equal readings that make a power state believable.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// Where controllers keep tasks of all machines. Whether one of them has ended tells nothing else.
const TASK_SERVICES: [&str; 2] = ["/redfish/v1/JobService", "/redfish/v1/TaskService"];

impl Conductor {
    /// Whether the condition is met now, and what was seen on the way. What cannot be asked is not met.
    pub(crate) async fn test(&self, node: &Node, operation: &Operation, condition: &Condition) -> (bool, Seen) {
        let mut seen = Seen::default();
        let met = self.met(node, operation, condition, &mut seen).await;
        (met, seen)
    }

    fn met<'a>(&'a self, node: &'a Node, operation: &'a Operation, condition: &'a Condition, seen: &'a mut Seen) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match condition {
                Condition::Until { at } => self.now() >= *at,
                Condition::AgentBooted => self.agent_is_up(node.uuid).await,
                Condition::Heartbeat { since } => self.0.agents.heard_after(node.uuid, *since),
                Condition::Power { on } => {
                    let met = self.power_is(node, *on).await;
                    if met {
                        seen.power = Some(if *on { wrought_domain::PowerState::On } else { wrought_domain::PowerState::Off });
                    }
                    met
                }
                Condition::AgentCommand { id } => self.command_ended(node, operation, id).await,
                Condition::Lock { name } => self.lock_wait_is_over(node, operation.id, name).await,
                Condition::BmcTask { path } => self.task_ended(node, path).await,
                Condition::ArtifactPush { push } => !self.0.artifacts.pushes.is_running(push, operation.id),
                // Whatever waits is an operation, and each holds its node exclusively.
                Condition::Exclusive => true,
                Condition::Turn => self.has_turn(operation),
                Condition::Unhold => false,
                Condition::InspectionData { since } => self.inspection_posted(node.uuid, *since).await,
                Condition::Operation { node, id } => self.operation_ended(*node, *id).await,
                Condition::Any(any) => {
                    for condition in any {
                        if self.met(node, operation, condition, seen).await {
                            return true;
                        }
                    }
                    false
                }
            }
        })
    }

    async fn power_is(&self, node: &Node, on: bool) -> bool {
        let wanted = if on { PowerState::On } else { PowerState::Off };
        let Ok(bmc) = self.0.machines.bmc(node) else { return false };
        for look in 0..2 {
            if look > 0 {
                tokio::time::sleep(SECOND_LOOK).await;
            }
            match bmc.power_state().await {
                Ok(state) if state == wanted => {}
                Ok(_) => return false,
                Err(error) => {
                    let error = convert::error(error);
                    tracing::info!(node = %node.uuid, code = %error.code, "reading the power state while waiting for it");
                    return false;
                }
            }
        }
        true
    }

    /// A controller that does not answer may be what the task is about.
    async fn task_ended(&self, node: &Node, path: &str) -> bool {
        let shared = TASK_SERVICES.map(str::to_owned);
        match self.0.machines.guest(node, &shared) {
            Ok(guest) => guest.has_ended(path).await.unwrap_or_else(|error| {
                tracing::info!(node = %node.uuid, code = %error.code, "reading a task of the controller while waiting for it");
                false
            }),
            // Whoever waits asks the same, and is told why.
            Err(_) => true,
        }
    }

    /// An agent that has forgotten the command was restarted, and does not run it any more.
    async fn command_ended(&self, node: &Node, operation: &Operation, id: &str) -> bool {
        use wrought_drivers::capability::Agent as _;
        let world = NodeWorld::new(self.clone(), node.clone(), Vec::new(), Some(operation), None);
        match world.command(id.to_owned()).await {
            Ok(command) => command.status != CommandStatus::Running,
            Err(error) => error.kind == ErrorKind::NotFound,
        }
    }
}
