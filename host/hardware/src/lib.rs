//! What bare metal speaks: controllers ([`Bmc`]: [`redfish`], [`FakeBmcs`]), the agent on the machine
//! ([`agent`]), servers of images ([`image`]), what the instance finds at its first boot ([`config_drive`]),
//! and what guards the way out ([`egress`], [`secrets`], [`References`]).
//!
//! Nothing here knows nodes, drivers or the journal: inputs are the node's free-form maps and typed
//! settings, outputs are plain data or a [`HardwareError`] whose kind is one of the driver contract's.
//! Texts of errors hold no address, user or secret, so that they may reach a driver.

pub mod agent;
mod bmc;
mod config;
pub mod config_drive;
pub mod driver_http;
mod echo;
pub mod egress;
mod error;
mod fake_bmc;
mod http;
pub mod image;
mod iso9660;
pub mod redfish;
mod references;
pub mod secrets;
mod tls;
pub mod webhook;

pub use bmc::{
    Bmc, BootDevice, BootMode, Component, Device, Drive, Identity, Indicator, IndicatorState, Media, MediaKind, PowerAction, PowerState,
};
pub use config::{AgentConfig, DriverHttpConfig, ImageConfig, RedfishConfig, TlsVersion, VerifyCa};
pub use error::{HardwareError, Kind};
pub use fake_bmc::FakeBmcs;
pub use references::{References, SecretsConfig};
