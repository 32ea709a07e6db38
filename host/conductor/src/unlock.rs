//! The lock of an operation that is not trusted to end, broken by an operator.

use serde_json::{Value, json};
use wrought_domain::{NodeId, Principal};
use wrought_engine::{Event, Operation};

use crate::audit::must_say_why;
use crate::conductor::{Conductor, HandleError};
use crate::refusal::administrator;
use crate::secrets::secrets;
use crate::seen::Seen;
use crate::{Refusal, convert};

impl Conductor {
    /// Ends the operation that holds a node, which may hang or do harm: the node fails by name, what the operation still
    /// has under way is refused from now on, and the machine is left as it is. What was ended.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] without a reason that can be shown; [`Refusal::NotFound`]; [`Refusal::Conflict`] when nothing
    /// holds the node.
    pub async fn unlock(&self, who: &Principal, node: &str, reason: String) -> Result<Value, Refusal> {
        administrator(who)?;
        let reason = must_say_why(&reason)?;
        let id = self.find_node(who, node).await?;
        let (this, who) = (self.clone(), who.clone());
        self.through(async move { this.unlock_now(&who, id, &reason).await }).await
    }

    /// Ends it on somebody's behalf, who may.
    ///
    /// # Errors
    /// As [`Conductor::unlock`].
    pub(crate) async fn unlock_now(&self, who: &Principal, id: NodeId, reason: &str) -> Result<Value, Refusal> {
        let node = self.node(who, id).await?.value;
        let held = self.0.store.operation(id).await.map_err(convert::refusal)?;
        let Some(operation) = held else {
            return Err(match node.reservation {
                Some(host) => Refusal::Conflict(format!("Node {id} is reserved by {host} without an operation: try again.")),
                None => Refusal::Conflict(format!("Node {id} is not reserved: there is nothing to unlock.")),
            });
        };
        let reason = secrets(&self.0.machines.references, &node, None).scrub_text(reason);
        let event = Event::Unlocked { principal: who.clone(), reason: reason.clone() };
        match self.try_handle(id, None, event, Seen::default()).await {
            Ok(()) => {}
            Err(HandleError::Store(error)) => return Err(convert::refusal(error)),
            Err(HandleError::Impossible(impossible)) => {
                return Err(Refusal::Conflict(format!("Node {id} cannot be unlocked now: {impossible}.")));
            }
        }
        tracing::warn!(node = %id, operation = %operation.id, user = who.user, reason, "an operator unlocked the node");
        let now = self.node(who, id).await?.value;
        Ok(json!({
            "node": id,
            "operation": ended(&operation),
            "provision_state": now.provision_state.as_str(),
            "last_error": now.last_error,
        }))
    }
}

/// What an operator is told of an operation that is no more.
fn ended(operation: &Operation) -> Value {
    json!({
        "id": operation.id,
        "kind": operation.kind.name(),
        "user": operation.principal.user,
        "began_at": operation.started_at.to_string(),
        "driver_calls": operation.calls,
    })
}
