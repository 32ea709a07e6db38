//! One effect of the contract, named by the node in `driver_info/hostile_effect`, for tests that stop the host around it. Another
//! way to have the same effect is named by a word behind it. What the effect was answered is reported as
//! `driver_internal_info/root_uuid_or_disk_id`.

use serde_json::{Map, Value, json};
use wrought_sdk::agent::{Command, CommandStatus, StepKind};
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;

/// Key of the id of the agent's command that is waited for.
const COMMAND: &str = "effect-command";

/// In `prepare`: boots an agent for the effects that are commands to it.
pub fn prepare(effect: &str) -> Result<Outcome> {
    if !effect.starts_with("agent.") || agent::current()?.is_some() {
        return Ok(Outcome::Done);
    }
    boot::prepare_ramdisk(&[])?;
    power::on()?;
    wait::agent_booted(0)
}

/// In a step: has the effect, and follows what it began to its end.
pub fn provoke(effect: &str) -> Result<Outcome> {
    let medium = || crate::driver_info("deploy_iso").unwrap_or_default();
    let resumed = matches!(task::cause(), Cause::Resumed(_));
    let nothing = Map::new();
    match effect {
        "power.on" => answered(effect, power::on()),
        "power.off" => answered(effect, power::off()),
        "power.soft-off" => answered(effect, power::soft_off()),
        // Which of its effects a reboot has is decided by the host.
        "power.reboot-off" | "power.reboot-on" | "power.restart" => answered(effect, power::reboot()),

        "agent.run power-off" if resumed => answered(effect, Ok(())),
        "agent.run power-off" => {
            agent::run("standby.power_off", &nothing)?;
            wait::power(PowerState::Off, 30)
        }
        "agent.run" | "agent.run-step" | "agent.run-step clean" if resumed => {
            let id: String = state::get(Scope::Operation, COMMAND)?.ok_or_else(|| Error::failed("no command is known"))?;
            succeeded(effect, agent::status(&id)?)
        }
        "agent.run" => begun(agent::run("image.install_bootloader", &json!({ "root_uuid": "0" }))?),
        "agent.run-step" => begun(agent::run_step(StepKind::Deploy, &step("erase_devices_metadata")?)?),
        "agent.run-step clean" => begun(agent::run_step(StepKind::Clean, &step("erase_devices")?)?),
        "agent.call" => succeeded(effect, agent::call("standby.sync", &nothing)?),

        "boot.prepare-ramdisk" => answered(effect, boot::prepare_ramdisk(&[])),
        "boot.insert-media" => answered(effect, boot::insert_media(&medium())),
        "boot.clean-up-ramdisk" => {
            boot::prepare_ramdisk(&[])?;
            answered(effect, boot::clean_up_ramdisk())
        }
        "boot.prepare-instance" => {
            boot::prepare_ramdisk(&[])?;
            answered(effect, boot::prepare_instance())
        }
        "boot.clean-up-instance" => answered(effect, boot::clean_up_instance()),
        "boot.set-device" => answered(effect, boot::set_device(boot::Device::Pxe, true)),
        "boot.set-mode" => answered(effect, boot::set_mode(boot::Mode::Bios)),
        "boot.set-secure-boot" => answered(effect, boot::set_secure_boot(true)),
        "boot.eject-media" => {
            boot::insert_media(&medium())?;
            answered(effect, boot::eject_media())
        }

        "network.add-provisioning" => answered(effect, network::add_provisioning()),
        "network.remove-provisioning" => answered(effect, network::remove_provisioning()),
        "network.add-cleaning" => answered(effect, network::add_cleaning()),
        "network.remove-cleaning" => answered(effect, network::remove_cleaning()),
        "network.add-servicing" => answered(effect, network::add_servicing()),
        "network.remove-servicing" => answered(effect, network::remove_servicing()),
        "network.configure-tenant" => answered(effect, network::configure_tenant()),
        "network.unconfigure-tenant" => answered(effect, network::unconfigure_tenant()),

        "redfish.patch" => answered(effect, redfish::patch(&cooling(""), &json!({ "FanMode": "Quiet" })).map(drop)),
        "redfish.post" => answered(effect, redfish::post(&cooling("/Profiles"), &json!({ "Name": "Night" })).map(drop)),
        "redfish.delete" => answered(effect, redfish::delete(&cooling("/Profiles/Factory")).map(drop)),

        // To a service that is shared, so it takes the lock that is named like the effect.
        "artifact.push" => {
            locking::acquire(effect)?;
            let file = artifact::find("effect-file")?;
            answered(effect, artifact::push(&file.digest, "/redfish/v1/UpdateService/update-multipart", &json!({})).map(drop))
        }

        // To the server that the node's medium is on, which takes none of them: that is an answer like another.
        "http.post" => answered(effect, http::post(&medium(), &[], None).map(drop)),
        "http.put" => answered(effect, http::put(&medium(), &[], None).map(drop)),
        "http.patch" => answered(effect, http::patch(&medium(), &[], None).map(drop)),
        "http.delete" => answered(effect, http::delete(&medium(), &[]).map(drop)),

        "locking.upgrade" => answered(effect, locking::upgrade()),
        "locking.downgrade" => answered(effect, locking::downgrade()),
        // The lock is named like the effect.
        "locking.acquire" => answered(effect, locking::acquire(effect)),
        "locking.release" => {
            locking::acquire(effect)?;
            answered(effect, locking::release(effect))
        }
        other => Err(Error::invalid_parameter(format!("driver_info/hostile_effect: there is no effect {other}"))),
    }
}

/// The vendor's own resource of a simulated server.
fn cooling(below: &str) -> String {
    format!("{}/Oem/Wrought/Cooling{below}", crate::driver_info("redfish_system_id").unwrap_or_default())
}

fn step(name: &str) -> Result<StepCall> {
    StepCall::new("deploy", name, &Map::new())
}

/// A command that goes on running.
fn begun(command: Command) -> Result<Outcome> {
    state::set(Scope::Operation, COMMAND, &command.id)?;
    wait::agent_command(&command.id, 0)
}

/// A command that has ended.
fn succeeded(effect: &str, command: Command) -> Result<Outcome> {
    match command.status {
        CommandStatus::Succeeded => put(effect, &command.name),
        status => Err(Error::failed(format!("{effect} was answered with {}, {status:?}", command.name))),
    }
}

fn answered(effect: &str, answer: Result<()>) -> Result<Outcome> {
    answer?;
    put(effect, "done")
}

fn put(effect: &str, answer: &str) -> Result<Outcome> {
    let finding: Value = json!({ "root_uuid_or_disk_id": format!("{effect}: {answer}") });
    report::put(report::Kind::Instance, &finding).map(|()| Outcome::Done)
}
