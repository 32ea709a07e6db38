//! A node's controller, by its hardware type.

use std::sync::Arc;

use jiff::Timestamp;
use wrought_domain::{DriverError, ErrorKind, Node, PowerState};
use wrought_hardware::redfish::guest::Guest;
use wrought_hardware::redfish::{RedfishRegistry, RedfishTarget};
use wrought_hardware::{Bmc, FakeBmcs, References};

use crate::convert;

/// The controllers of all nodes.
pub(crate) struct Machines {
    pub(crate) redfish: RedfishRegistry,
    pub(crate) fake: FakeBmcs,
    /// Resolves what credentials refer to.
    pub(crate) references: References,
}

impl Machines {
    fn target(&self, node: &Node) -> Result<RedfishTarget, DriverError> {
        let info = self.references.resolved(&node.driver_info).map_err(convert::error)?;
        RedfishTarget::from_driver_info(&info).map_err(convert::error)
    }

    /// The resources of the node's controller, as a driver may name them that was granted these shared paths.
    pub(crate) fn guest(&self, node: &Node, granted: &[String]) -> Result<Guest, DriverError> {
        if node.interfaces.power != "redfish" {
            return Err(DriverError::new(ErrorKind::Unsupported, "wrought.NoRedfish", "the node's controller does not speak Redfish"));
        }
        self.redfish.guest(&self.target(node)?, granted).map_err(convert::error)
    }

    /// When the node's controller answered last, as far as this process remembers. Asks nobody.
    pub(crate) fn answered(&self, node: &Node) -> Option<Timestamp> {
        let target = (node.interfaces.power == "redfish").then(|| self.target(node).ok()).flatten()?;
        Timestamp::try_from(self.redfish.answered(&target)?).ok()
    }

    /// The node's controller. Asks nobody.
    pub(crate) fn bmc(&self, node: &Node) -> Result<Arc<dyn Bmc>, DriverError> {
        match node.interfaces.power.as_str() {
            "redfish" => self.redfish.get(&self.target(node)?).map_err(convert::error),
            "fake" => {
                let recorded = match node.power_state {
                    Some(PowerState::On) => wrought_hardware::PowerState::On,
                    _ => wrought_hardware::PowerState::Off,
                };
                Ok(self.fake.get(&node.uuid.to_string(), recorded))
            }
            other => Err(DriverError::new(
                ErrorKind::InvalidParameter,
                "wrought.UnknownInterface",
                format!("power interface {other:?} is not known; use redfish or fake"),
            )),
        }
    }
}
