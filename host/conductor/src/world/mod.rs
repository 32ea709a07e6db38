//! What is behind the capabilities of one driver call: the clients of the node's controller and
//! agent, bound to this node and to the operation that holds it.

mod agent;
mod boot;
mod image;
mod locking;
mod network;
mod power;

pub(crate) use locking::names_lock;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use secrecy::SecretString;
use serde_json::Value;
use wrought_domain::{DriverError, ErrorKind, Fence, Map, Node, OperationId, Port, PowerState, StepCall};
use wrought_drivers::capability::{CONFIG_DRIVE, IMAGE_AUTHORIZATION, Progress};
use wrought_engine::Operation;
use wrought_hardware::image::MaybeSecret;
use wrought_hardware::secrets::Secrets;
use wrought_hardware::{Bmc, HardwareError};

use crate::conductor::Conductor;
use crate::convert;

/// The world of one call.
pub(crate) struct NodeWorld {
    conductor: Conductor,
    node: Node,
    ports: Vec<Port>,
    /// The operation that holds the node; nothing for a call that is part of none.
    holder: Option<(OperationId, Fence)>,
    secrets: Secrets,
    power_seen: Mutex<Option<PowerState>>,
}

impl NodeWorld {
    pub(crate) fn new(conductor: Conductor, node: Node, ports: Vec<Port>, operation: Option<&Operation>, step: Option<&StepCall>) -> Self {
        let secrets = secrets(&node, step);
        Self {
            conductor,
            ports,
            holder: operation.map(|operation| (operation.id, operation.fence)),
            secrets,
            node,
            power_seen: Mutex::new(None),
        }
    }

    /// The power state that was seen or set last.
    pub(crate) fn power_seen(&self) -> Option<PowerState> {
        *self.power_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see_power(&self, state: Option<PowerState>) {
        *self.power_seen.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// What a controller or a server said, with this node's secrets masked: it goes to the driver.
    fn failed(&self, error: HardwareError) -> DriverError {
        let error = convert::error(error);
        DriverError { message: self.secrets.scrub_text(&error.message), ..error }
    }

    fn bmc(&self) -> Result<std::sync::Arc<dyn Bmc>, DriverError> {
        self.conductor.0.machines.bmc(&self.node)
    }

    /// Before each effect: this operation must still hold the node.
    async fn still_held(&self) -> Result<OperationId, DriverError> {
        let Some((id, fence)) = self.holder else {
            return Err(DriverError::new(ErrorKind::Locked, "wrought.NotHeld", "this call does not hold the node"));
        };
        match self.conductor.0.store.operation(self.node.uuid).await {
            Ok(Some(open)) if open.id == id && open.fence == fence => Ok(id),
            Ok(_) => Err(DriverError::new(ErrorKind::Locked, "wrought.StaleFence", "this operation does not hold the node any more")),
            Err(error) => Err(convert::store_error(&error)),
        }
    }
}

/// The node's secrets by the names that drivers know. A driver can place them in a command to the
/// node's own agent, nowhere else.
pub(crate) fn secrets(node: &Node, step: Option<&StepCall>) -> Secrets {
    let mut secrets = Secrets::default();
    let text = |map: &Map, key: &str| map.get(key).and_then(|value| value.as_str()).filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(drive) = text(&node.instance_info, "configdrive") {
        secrets.insert(name(CONFIG_DRIVE), SecretString::from(drive));
    }
    if let Some(header) = text(&node.instance_info, "image_request_authorization_secret") {
        let encoded = base64::engine::general_purpose::STANDARD.encode(&header);
        secrets.insert(name(IMAGE_AUTHORIZATION), SecretString::from(encoded));
        // The header itself has no reference, but must not come back in an agent's answer.
        secrets.insert("image-authorization-header", SecretString::from(header));
    }
    for key in IMAGE_URLS {
        if let Some(url) = text(&node.instance_info, key).filter(|url| MaybeSecret::of(url).is_secret()) {
            secrets.insert(image_secret(key), SecretString::from(url));
        }
    }
    if let Some(step) = step {
        hide_arguments(&mut step.args.clone(), "step", &mut secrets);
    }
    for (key, value) in &node.driver_info {
        if let (true, Some(value)) = (wrought_domain::mask::is_secret(key), value.as_str()) {
            secrets.insert(format!("driver-info-{key}"), SecretString::from(value.to_owned()));
        }
    }
    secrets
}

/// The keys of `instance_info` whose values may be signed URLs.
const IMAGE_URLS: [&str; 5] = ["image_source", "image_checksum", "image_os_hash_value", "kernel", "ramdisk"];

/// The name under which drivers know such a value.
fn image_secret(key: &str) -> String {
    format!("instance-info-{key}")
}

/// `instance_info` with references in place of the URLs that hold a secret.
pub(crate) fn without_image_secrets(instance_info: &Map) -> Map {
    let mut shown = instance_info.clone();
    for key in IMAGE_URLS {
        if let Some(Value::String(text)) = shown.get_mut(key)
            && MaybeSecret::of(text).is_secret()
        {
            *text = Secrets::reference(&image_secret(key));
        }
    }
    shown
}

/// Puts references in place of the secret arguments of a step, named after where they are.
pub(crate) fn hide_arguments(args: &mut Map, path: &str, secrets: &mut Secrets) {
    for (key, value) in args {
        let path = format!("{path}-{key}");
        match value {
            Value::String(text) if wrought_domain::mask::is_secret(key) && !text.is_empty() => {
                let reference = Secrets::reference(&path);
                secrets.insert(path, SecretString::from(std::mem::replace(text, reference)));
            }
            Value::Object(inner) => hide_arguments(inner, &path, secrets),
            _ => {}
        }
    }
}

fn name(reference: &str) -> &str {
    reference.strip_prefix("secret-ref:").unwrap_or(reference)
}

#[async_trait]
impl Progress for NodeWorld {
    async fn progress(&self, percent: Option<u32>, message: String) {
        tracing::info!(target: "wrought::progress", node = %self.node.uuid, percent, "{message}");
    }
}
