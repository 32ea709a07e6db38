//! Between the hardware's, the contract's and the domain's types.

use wrought_domain::{DriverError, ErrorKind, PartError, PowerState};
use wrought_drivers::contract::{agent, boot, types};
use wrought_hardware as hardware;
use wrought_storage::StoreError;

use crate::Refusal;

pub(crate) fn error(error: hardware::HardwareError) -> DriverError {
    DriverError::new(error.kind, error.code, error.message)
}

/// The host's own failure, without details; they are logged.
pub(crate) fn store_error(error: &StoreError) -> DriverError {
    tracing::error!(error = %error, "the store failed during a driver call");
    DriverError::new(ErrorKind::Failed, "wrought.Store", "the host's store failed")
}

pub(crate) fn refusal(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound { what: "node", id } => Refusal::NotFound(format!("Node {id} could not be found.")),
        error @ StoreError::NotFound { .. } => Refusal::NotFound(error.to_string()),
        StoreError::Reserved { node, host } => Refusal::Locked { node, host },
        error @ StoreError::Stale { .. } => Refusal::Stale(error.to_string()),
        error @ (StoreError::Duplicate(_) | StoreError::StaleFence(_) | StoreError::Referenced { .. }) => {
            Refusal::Conflict(error.to_string())
        }
        StoreError::Part(PartError::Conflict(text)) => Refusal::Conflict(text),
        StoreError::Part(PartError::Invalid(text)) => Refusal::Invalid(text),
        StoreError::Refused(text) => Refusal::Conflict(format!("{text}.")),
        error @ (StoreError::UnknownMarker(_) | StoreError::UnknownSortKey(_)) => Refusal::Invalid(error.to_string()),
        error => {
            let cause: &dyn std::error::Error = &error;
            tracing::error!(error = cause, "the store failed");
            Refusal::Internal("the host's store failed; its log says more".into())
        }
    }
}

/// Between two states is neither on nor off.
pub(crate) fn power(state: hardware::PowerState) -> types::PowerState {
    match state {
        hardware::PowerState::On => types::PowerState::On,
        hardware::PowerState::Off => types::PowerState::Off,
        _ => types::PowerState::Unknown,
    }
}

pub(crate) fn shown_power(state: hardware::PowerState) -> Option<PowerState> {
    match state {
        hardware::PowerState::On => Some(PowerState::On),
        hardware::PowerState::Off => Some(PowerState::Off),
        _ => None,
    }
}

pub(crate) fn device(device: boot::Device) -> hardware::Device {
    match device {
        boot::Device::Disk => hardware::Device::Disk,
        boot::Device::Pxe => hardware::Device::Pxe,
        boot::Device::Cdrom => hardware::Device::Cdrom,
        boot::Device::Http => hardware::Device::Http,
        boot::Device::BiosSetup => hardware::Device::BiosSetup,
    }
}

pub(crate) fn device_of(device: hardware::Device) -> boot::Device {
    match device {
        hardware::Device::Disk => boot::Device::Disk,
        hardware::Device::Pxe => boot::Device::Pxe,
        hardware::Device::Cdrom => boot::Device::Cdrom,
        hardware::Device::Http => boot::Device::Http,
        hardware::Device::BiosSetup => boot::Device::BiosSetup,
    }
}

/// Ironic's name of a boot device.
pub(crate) fn device_name(device: hardware::Device) -> &'static str {
    match device {
        hardware::Device::Disk => "disk",
        hardware::Device::Pxe => "pxe",
        hardware::Device::Cdrom => "cdrom",
        hardware::Device::Http => "uefihttp",
        hardware::Device::BiosSetup => "bios",
    }
}

/// The boot device of an Ironic name.
pub(crate) fn device_named(name: &str) -> Option<hardware::Device> {
    [hardware::Device::Disk, hardware::Device::Pxe, hardware::Device::Cdrom, hardware::Device::Http, hardware::Device::BiosSetup]
        .into_iter()
        .find(|device| device_name(*device) == name)
}

pub(crate) fn command(command: hardware::agent::Command) -> agent::Command {
    use hardware::agent::CommandStatus as Status;
    agent::Command {
        id: command.id,
        name: command.name,
        status: match command.status {
            Status::Running => agent::CommandStatus::Running,
            Status::Succeeded => agent::CommandStatus::Succeeded,
            Status::Failed => agent::CommandStatus::Failed,
            Status::VersionMismatch => agent::CommandStatus::VersionMismatch,
        },
        result: command.result.to_string(),
        error: command.error.map(|error| if error.kind.is_empty() { error.message } else { format!("{}: {}", error.kind, error.message) }),
    }
}
