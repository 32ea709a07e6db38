//! Why the conductor refuses a request.

use wrought_domain::{NodeId, Principal};

/// A request that is not carried out; nothing has changed. Each case is an HTTP status of Ironic's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404: there is no such thing, or the principal may not see it.
    #[error("{0}")]
    NotFound(String),
    /// 400: the request is wrong, or cannot be done in the node's state.
    #[error("{0}")]
    Invalid(String),
    /// 403: protected, or not for this principal.
    #[error("{0}")]
    Forbidden(String),
    /// 409: contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// 409: somebody else changed it in between; the same request may be carried out on what it is now.
    #[error("{0}")]
    Stale(String),
    /// 409: an operation holds the node.
    #[error("Node {node} is locked by host {host}, please retry after the current operation is completed.")]
    Locked {
        /// The node.
        node: NodeId,
        /// The holder.
        host: String,
    },
    /// 413: more bytes than are taken.
    #[error("{0}")]
    TooLarge(String),
    /// 503: not now.
    #[error("{0}")]
    Unavailable(String),
    /// 500: the host's own fault; the text has no details, the log has.
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// The HTTP status that stands for it.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::NotFound(_) => 404,
            Refusal::Invalid(_) => 400,
            Refusal::Forbidden(_) => 403,
            Refusal::Conflict(_) | Refusal::Stale(_) | Refusal::Locked { .. } => 409,
            Refusal::TooLarge(_) => 413,
            Refusal::Unavailable(_) => 503,
            Refusal::Internal(_) => 500,
        }
    }
}

/// Lets those pass who may look at everything.
pub(crate) fn overseer(who: &Principal) -> Result<(), Refusal> {
    match who.system_role() {
        Some(_) => Ok(()),
        None => Err(Refusal::Forbidden("This is for callers without a project.".into())),
    }
}

/// Lets administrators pass.
pub(crate) fn administrator(who: &Principal) -> Result<(), Refusal> {
    if who.is_admin() { Ok(()) } else { Err(Refusal::Forbidden("This needs the role admin.".into())) }
}
