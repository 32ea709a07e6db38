//! A node's controller, by its hardware type.

use std::sync::Arc;

use wrought_domain::{DriverError, ErrorKind, Node, PowerState};
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
    /// The node's controller. Asks nobody.
    pub(crate) fn bmc(&self, node: &Node) -> Result<Arc<dyn Bmc>, DriverError> {
        match node.interfaces.power.as_str() {
            "redfish" => {
                let info = self.references.resolved(&node.driver_info).map_err(convert::error)?;
                let target = RedfishTarget::from_driver_info(&info).map_err(convert::error)?;
                self.redfish.get(&target).map_err(convert::error)
            }
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
