//! Methods of the vendor's own, of the driver that the node's `vendor_interface` names.

use serde_json::Value;
use uuid::Uuid;
use wrought_domain::step::{Step, StepCall};
use wrought_domain::{ErrorKind, Function, Node, NodeId, OperationId, Principal};
use wrought_drivers::{Answer, Method, passthru_call};
use wrought_engine::{Cause, Kind, Request, VendorCall};

use crate::Refusal;
use crate::chain::Member;
use crate::command::Callee;
use crate::conductor::Conductor;

impl Conductor {
    /// The methods of a node's vendor interface.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; [`Refusal::Invalid`] when a driver that the node names is not active.
    pub async fn vendor_methods(&self, who: &Principal, node: NodeId) -> Result<Vec<Method>, Refusal> {
        let node = self.node(who, node).await?.value;
        let chain = self.chain(&node)?;
        Ok(chain.serving(Function::VendorCall).map(|member| member.driver.about.methods.clone()).unwrap_or_default())
    }

    /// Calls one. What it answered, or nothing when it changes the world: then it runs as an operation, which has begun.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for a method that there is not, or that takes no such request; what the driver refuses.
    pub async fn call_vendor_method(
        &self,
        who: &Principal,
        node: NodeId,
        method: &str,
        http_method: &str,
        body: Value,
    ) -> Result<Option<Value>, Refusal> {
        let stored = self.node(who, node).await?;
        let chain = self.chain(&stored.value)?;
        let unknown = || Refusal::Invalid(format!("Driver {} does not support vendor passthru method {method}.", stored.value.driver));
        let member = chain.serving(Function::VendorCall).ok_or_else(unknown)?;
        let found = member.driver.method(method).ok_or_else(unknown)?;
        if !found.http_methods.iter().any(|known| known == http_method) {
            let text = format!("The method {method} does not support HTTP {http_method}: use {}.", found.http_methods.join(", "));
            return Err(Refusal::Invalid(text));
        }
        if !found.effects {
            return self.ask_vendor(member, &stored.value, passthru_call(method, http_method, body)).await.map(Some);
        }
        let id = OperationId(Uuid::new_v4());
        let chain = self.select(&stored.value, id, Kind::VendorPassthru).await?;
        // A version on trial may have other methods.
        if !chain.serving(Function::VendorCall).and_then(|member| member.driver.method(method)).is_some_and(|method| method.effects) {
            return Err(unknown());
        }
        let call = VendorCall { method: method.to_owned(), http_method: http_method.to_owned(), body: body.to_string() };
        let request = Request { drivers: chain.pins(), vendor_call: Some(call), ..Request::new(id, Kind::VendorPassthru, who.clone()) };
        self.start_operation(stored, request).await.map(|()| None)
    }

    /// A call that only looks.
    async fn ask_vendor(&self, member: &Member, node: &Node, call: StepCall) -> Result<Value, Refusal> {
        let step = Step {
            interface: call.interface,
            step: call.step,
            priority: 0,
            abortable: false,
            requires_ramdisk: false,
            reboot_requested: false,
            arguments: Vec::new(),
            args: call.args,
            offered_by: None,
            children: None,
        };
        let callee = Callee { node, operation: None, function: Function::VendorCall, cause: Cause::First, step: Some(&step) };
        match self.call_driver(&member.name, &member.driver, callee).await.0.answer {
            Ok(Answer::Value(value)) => Ok(value),
            Ok(Answer::Refused(error)) => Err(match error.kind {
                ErrorKind::NotFound => Refusal::NotFound(error.message),
                ErrorKind::Conflict | ErrorKind::Locked => Refusal::Conflict(error.message),
                ErrorKind::InvalidParameter | ErrorKind::MissingParameter => Refusal::Invalid(error.message),
                ErrorKind::Unsupported | ErrorKind::Denied => Refusal::Invalid(error.message),
                _ => Refusal::Unavailable(error.to_string()),
            }),
            Ok(other) => Err(Refusal::Internal(format!("unexpected answer {other:?}"))),
            Err(fault) => Err(Refusal::Unavailable(fault.to_string())),
        }
    }
}
