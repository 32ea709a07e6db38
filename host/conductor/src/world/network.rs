//! `network`: the `noop` back end, which leaves all ports where they are.

use async_trait::async_trait;
use wrought_domain::{DriverError, ErrorKind};
use wrought_drivers::capability::{Network, NetworkChange};

use super::NodeWorld;

impl NodeWorld {
    fn noop(&self) -> Result<(), DriverError> {
        match self.node.interfaces.network.as_str() {
            "noop" => Ok(()),
            other => Err(DriverError::new(
                ErrorKind::InvalidParameter,
                "wrought.UnknownInterface",
                format!("network interface {other:?} is not known; use noop"),
            )),
        }
    }
}

#[async_trait]
impl Network for NodeWorld {
    async fn validate_network(&self) -> Result<(), DriverError> {
        self.noop()
    }

    async fn change_network(&self, _change: NetworkChange) -> Result<(), DriverError> {
        self.noop()
    }
}
