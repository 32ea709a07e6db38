//! What is refused by looking at the node and the request alone. The API asks before it hands a request on, the conductor
//! again when it has read the node: one rule and one text for both. The texts are Ironic's.

use wrought_domain::{Node, ProvisionState, Verb};

use crate::Refusal;

/// Whether the node can take a verb, which the request spelt `spelling` (`deploy` is `active`).
///
/// # Errors
/// [`Refusal::Invalid`] in maintenance, when it is retired, or in the wrong state; [`Refusal::Locked`] when that is
/// because of an operation; [`Refusal::Forbidden`] when it is protected.
pub fn check_verb(node: &Node, verb: Verb, spelling: &str) -> Result<(), Refusal> {
    let id = node.uuid;
    if node.maintenance && matches!(verb, Verb::Active | Verb::Rebuild | Verb::Clean | Verb::Service | Verb::Rescue) {
        return Err(Refusal::Invalid(format!(
            "The provisioning operation can't be performed on node {id} because it's in maintenance mode."
        )));
    }
    if node.retired && verb == Verb::Provide {
        return Err(Refusal::Invalid(format!(
            "The {spelling} operation can't be performed on node {id} because it is in maintenance or retired mode."
        )));
    }
    if !verb.allowed_from(node.provision_state) {
        return Err(match node.holder() {
            Some(host) => Refusal::Locked { node: id, host: host.to_owned() },
            None => not_in_state(node, spelling, node.provision_state.as_str()),
        });
    }
    if matches!(verb, Verb::Deleted | Verb::Rebuild) {
        check_unprotected(node)?;
    }
    if verb == Verb::Abort && node.provision_state == ProvisionState::ServiceFailed && node.maintenance {
        return Err(Refusal::Conflict(format!("Node {id} is in maintenance: end it before the service is given up.")));
    }
    Ok(())
}

/// Whether somebody said that the node's instance must stay.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub fn check_unprotected(node: &Node) -> Result<(), Refusal> {
    if node.protected {
        let text = format!("Node \"{}\" is protected and can not be undeployed, rebuilt or deleted.", node.uuid);
        return Err(Refusal::Forbidden(text));
    }
    Ok(())
}

/// The refusal of an action that the node's state, provision or power, does not allow.
pub fn not_in_state(node: &Node, action: &str, state: &str) -> Refusal {
    Refusal::Invalid(format!(
        "The requested action \"{action}\" can not be performed on node \"{}\" while it is in state \"{state}\".",
        node.uuid
    ))
}

/// The refusal of what an interface of the node does not do.
pub fn unsupported(node: &Node, what: &str) -> Refusal {
    Refusal::Invalid(format!("Driver {} does not support {what} (disabled or not implemented).", node.driver))
}

/// Whether the node's state stays as it is, so that a setting of the machine disturbs nothing.
///
/// # Errors
/// [`Refusal::Conflict`].
pub fn check_rests(node: &Node, what: &str) -> Result<(), Refusal> {
    let state = node.provision_state;
    if state.is_stable() || state.is_failed() {
        return Ok(());
    }
    Err(Refusal::Conflict(format!(
        "Node {} is in {state} state. Since node is transitioning, the {what} will not be set as this may interfere with ongoing changes \
         and result in erroneous modification. Try again later.",
        node.uuid
    )))
}
