//! `network`: the back ends `noop` and `flat`, which leave all ports where they are. `flat` differs in the API alone: it records
//! which VIFs are attached.

use async_trait::async_trait;
use wrought_domain::{DriverError, ErrorKind};
use wrought_drivers::capability::{Network, NetworkChange};

use super::NodeWorld;

impl NodeWorld {
    fn nothing_to_do(&self) -> Result<(), DriverError> {
        match self.node.interfaces.network.as_str() {
            "noop" | "flat" => Ok(()),
            other => Err(DriverError::new(
                ErrorKind::InvalidParameter,
                "wrought.UnknownInterface",
                format!("network interface {other:?} is not known; use noop or flat"),
            )),
        }
    }
}

#[async_trait]
impl Network for NodeWorld {
    async fn validate_network(&self) -> Result<(), DriverError> {
        self.nothing_to_do()
    }

    async fn change_network(&self, _change: NetworkChange) -> Result<(), DriverError> {
        self.nothing_to_do()
    }
}
