//! Rescue: the agent gives the rescue user a password and leaves the machine to it.

use serde_json::json;
use wrought_agent_deploy::{in_band, life, machine, ramdisk};
use wrought_sdk::agent::CommandStatus;
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;

use crate::InBand;

/// What stands for the password's hash in a command to the agent.
const PASSWORD: &str = "secret-ref:rescue-password";
/// Key that says that the agent of this rescue has booted.
const BOOTED: &str = "rescue-booted";
/// Key that says that it has the password.
const FINALIZED: &str = "rescue-finalized";

fn is_set(key: &str) -> Result<bool> {
    Ok(state::get::<bool>(Scope::Operation, key)?.is_some())
}

impl Rescue for InBand {
    fn validate() -> Result<()> {
        boot::validate()?;
        network::validate()
    }

    fn rescue() -> Result<Outcome> {
        let node = task::node();
        if !is_set(BOOTED)? {
            if !ramdisk::is_booting()? {
                if let Some(outcome) = machine::off(&node)? {
                    return Ok(outcome);
                }
                boot::clean_up_instance()?;
                network::unconfigure_tenant()?;
                network::add_provisioning()?;
                boot::prepare_ramdisk(&[])?;
            }
            match ramdisk::boot(&node)? {
                Outcome::Done => state::set(Scope::Operation, BOOTED, &true)?,
                wait => return Ok(wait),
            }
        }
        if !is_set(FINALIZED)? {
            finalize()?;
            state::set(Scope::Operation, FINALIZED, &true)?;
        }
        // The agent runs from memory; a reboot leads back to the instance.
        boot::clean_up_ramdisk()?;
        network::remove_provisioning()?;
        network::configure_tenant()?;
        Ok(Outcome::Done)
    }

    fn unrescue() -> Result<Outcome> {
        life::back_to_instance(network::remove_provisioning)
    }

    fn clean_up() -> Result<Outcome> {
        if let Some(outcome) = machine::off(&task::node())? {
            return Ok(outcome);
        }
        boot::clean_up_ramdisk()?;
        network::remove_provisioning()?;
        Ok(Outcome::Done)
    }
}

/// Afterwards the agent serves no more: it will not be heard again.
fn finalize() -> Result<()> {
    let command = agent::call("rescue.finalize_rescue", &json!({ "rescue_password": PASSWORD, "hashed": true }))?;
    match command.status {
        CommandStatus::Succeeded => Ok(()),
        _ => {
            let message = format!("the agent did not take the rescue password: {}", in_band::words(&command));
            Err(Error::failed(message).with_code("agent.CommandFailed"))
        }
    }
}
