//! `power`: the node's controller, observed before it is asked.

use std::time::Duration;

use async_trait::async_trait;
use wrought_domain::{DriverError, ErrorKind, PowerState};
use wrought_drivers::capability::{Power, PowerChange};
use wrought_drivers::contract::types;
use wrought_hardware::{PowerAction, PowerState as BmcPower};

use super::NodeWorld;
use crate::convert;

/// How long `reboot` waits for the machine to go off (`wit/power.wit`); what is left of an import's time is for switching it on.
const OFF_PATIENCE: Duration = Duration::from_secs(6);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

#[async_trait]
impl Power for NodeWorld {
    async fn power_state(&self) -> Result<types::PowerState, DriverError> {
        let state = self.bmc()?.power_state().await.map_err(|error| self.failed(error))?;
        self.see_power(convert::shown_power(state));
        Ok(convert::power(state))
    }

    async fn change_power(&self, change: PowerChange) -> Result<(), DriverError> {
        if self.node.disable_power_off && matches!(change, PowerChange::Off | PowerChange::SoftOff) {
            return Err(DriverError::new(ErrorKind::Unsupported, "power.OffDisabled", "the node has disable_power_off set"));
        }
        match change {
            PowerChange::On => self.ask(PowerAction::On).await,
            PowerChange::Off => self.ask(PowerAction::ForceOff).await,
            PowerChange::SoftOff => self.ask(PowerAction::SoftOff).await,
            PowerChange::Restart => self.ask(PowerAction::Restart).await,
        }
    }

    async fn go_off(&self) -> Result<(), DriverError> {
        let bmc = self.bmc()?;
        let gone_off = async {
            self.ask(PowerAction::ForceOff).await?;
            loop {
                match bmc.power_state().await {
                    Ok(BmcPower::Off) => return Ok(()),
                    Ok(_) => tokio::time::sleep(LOOK).await,
                    Err(error) => return Err(self.failed(error)),
                }
            }
        };
        match tokio::time::timeout(OFF_PATIENCE, gone_off).await {
            Ok(off) => off?,
            Err(_) => {
                let text = "the machine is still going off; wait for it, then switch it on";
                return Err(DriverError::new(ErrorKind::Timeout, "power.off-pending", text));
            }
        }
        self.see_power(Some(PowerState::Off));
        Ok(())
    }
}

impl NodeWorld {
    async fn ask(&self, action: PowerAction) -> Result<(), DriverError> {
        let bmc = self.bmc()?;
        let (wanted, shown) = match action {
            PowerAction::On | PowerAction::Restart => (BmcPower::On, PowerState::On),
            PowerAction::ForceOff | PowerAction::SoftOff => (BmcPower::Off, PowerState::Off),
        };
        let is_there = bmc.power_state().await.map_err(|error| self.failed(error))? == wanted;
        if is_there && action != PowerAction::Restart {
            self.see_power(Some(shown));
            return Ok(());
        }
        // Before the request, so that no agent of the former boot is believed after it.
        self.conductor.forget_agent(self.node.uuid).await?;
        bmc.set_power(action).await.map_err(|error| self.failed(error))?;
        self.see_power(Some(shown));
        Ok(())
    }
}
