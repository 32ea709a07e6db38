//! What is asked of the conductor, and some of its answers.

use std::fmt;
use std::net::IpAddr;

use serde_json::Value;
use wrought_domain::{Map, OperationId, StepCall};

/// The body of `PUT /v1/nodes/{node}/states/provision` but for its target.
#[derive(Clone, Default, PartialEq)]
pub struct ProvisionRequest {
    /// Text (base64 of a gzipped ISO image, or a URL) or an object with `meta_data`,
    /// `network_data`, `user_data`, `vendor_data`.
    pub config_drive: Option<Value>,
    /// The steps of a manual cleaning.
    pub clean_steps: Vec<StepCall>,
    /// The steps of a service.
    pub service_steps: Vec<StepCall>,
    /// Steps that change the plan of a deployment.
    pub deploy_steps: Vec<StepCall>,
    /// Clean or service without booting the agent.
    pub disable_ramdisk: bool,
    /// Steps that an earlier operation has executed, and this one need not: for a retry, never of a body.
    pub skip: Vec<StepCall>,
    /// The new operation's id, where drivers were chosen for it already: for a retry, never of a body.
    pub id: Option<OperationId>,
    /// With which the operator logs in to a rescued machine.
    pub rescue_password: Option<String>,
}

impl fmt::Debug for ProvisionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisionRequest")
            .field("clean_steps", &self.clean_steps)
            .field("service_steps", &self.service_steps)
            .field("deploy_steps", &self.deploy_steps)
            .field("disable_ramdisk", &self.disable_ramdisk)
            .finish_non_exhaustive()
    }
}

/// An agent's heartbeat.
#[derive(Clone, PartialEq)]
pub struct Heartbeat {
    /// Where the agent listens.
    pub callback_url: String,
    /// The token that its lookup gave it.
    pub agent_token: Option<String>,
    /// Its version.
    pub agent_version: Option<String>,
    /// Its certificate, PEM.
    pub agent_verify_ca: Option<String>,
    /// Whence it came.
    pub peer: IpAddr,
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat")
            .field("callback_url", &self.callback_url)
            .field("agent_version", &self.agent_version)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// The answer to an agent's lookup: what it may see of its node, and its configuration with its token.
#[derive(Clone, PartialEq)]
pub struct Lookup {
    /// `uuid`, `properties`, `instance_info`, `driver_internal_info`, masked.
    pub node: Map,
    /// `heartbeat_timeout`, `agent_token` and the rest.
    pub config: Map,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("node", &self.node).finish_non_exhaustive()
    }
}

/// One row of `GET /v1/nodes/{node}/validate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceValidation {
    /// For example `deploy`.
    pub interface: &'static str,
    /// Nothing when the interface is not supported.
    pub result: Option<bool>,
    /// Why not.
    pub reason: Option<String>,
}

/// A boot device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootDevice {
    /// Ironic's name: `disk`, `pxe`, `cdrom`, `bios`, ...; nothing when unknown.
    pub device: Option<String>,
    /// Whether it outlasts the next boot.
    pub persistent: Option<bool>,
}

/// A lamp by which people find a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// `system` or `chassis`.
    pub component: &'static str,
    /// Its name among those of the component.
    pub name: String,
    /// `off`, `on`, `blinking` or `unknown`.
    pub state: &'static str,
    /// What it can be set to.
    pub states: Vec<&'static str>,
}

/// A virtual drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualDrive {
    /// What it plays, in Redfish's names.
    pub media_types: Vec<String>,
    /// Whether something is in it.
    pub inserted: bool,
    /// The URL of what is in it, without users and signatures.
    pub image: Option<String>,
}
