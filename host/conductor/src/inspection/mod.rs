//! What an inspection found, and what the host makes of it.

use jiff::Timestamp;
use wrought_domain::{DriverError, ErrorKind, Node, NodeId};
use wrought_engine::{Operation, Returned};

use crate::conductor::Conductor;
use crate::seen::Seen;

impl Conductor {
    /// Makes use of what the inspection found.
    pub(crate) async fn apply_inspection(&self, _node: &Node, _operation: &Operation) -> (Returned, Seen) {
        let text = "what the inspection found cannot be made use of yet";
        (Returned::Refused(DriverError::new(ErrorKind::Unsupported, "wrought.Inspection", text)), Seen::default())
    }

    /// Whether the agent has posted what it found since a moment.
    pub(crate) async fn inspection_posted(&self, _node: NodeId, _since: Timestamp) -> bool {
        false
    }
}
