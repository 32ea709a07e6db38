//! Nodes: enrolment, changes, maintenance, validation, boot device.

use wrought_domain::hardware_type::HardwareType;
use wrought_domain::{DriverError, ErrorKind, Node, NodeId, Principal};
use wrought_hardware::BootDevice as BmcBootDevice;
use wrought_storage::{NodeRef, Reserved, Revision, Stored};

use crate::conductor::Conductor;
use crate::convert;
use crate::{BootDevice, InterfaceValidation, Refusal};
use wrought_domain::Function;
use wrought_drivers::capability::{Boot as _, Network as _};
use wrought_engine::{Event, Returned};

use crate::secrets::{scrubbed, secrets};
use crate::seen::Seen;
use crate::world::NodeWorld;

impl Conductor {
    /// The node as this principal may see it.
    pub(crate) async fn node(&self, who: &Principal, node: NodeId) -> Result<Stored<Node>, Refusal> {
        let found = self.0.store.node(who, &NodeRef::Uuid(node)).await.map_err(convert::refusal)?;
        found.ok_or_else(|| Refusal::NotFound(format!("Node {node} could not be found.")))
    }

    /// Stores a new node.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when its name or UUID is taken.
    pub async fn create_node(&self, who: &Principal, mut node: Node) -> Result<Node, Refusal> {
        node.conductor = Some(self.0.host.clone());
        self.0.store.create_node(who, node).await.map(|stored| stored.value).map_err(convert::refusal)
    }

    /// Stores a changed node if it still has this revision. `last_error` of an operation stays.
    ///
    /// # Errors
    /// [`Refusal::Locked`] while an operation holds it, [`Refusal::Stale`] when somebody else changed it.
    pub async fn update_node(&self, who: &Principal, node: Node, revision: u64) -> Result<Node, Refusal> {
        let updated = self.0.store.update_node(who, node, Revision(revision), Reserved::Refuse).await;
        updated.map(|stored| stored.value).map_err(convert::refusal)
    }

    /// Forgets a node and its ports if it still has this revision. An operation that only waits ends when the node is in
    /// maintenance, where it would wait for ever.
    ///
    /// # Errors
    /// [`Refusal::Locked`] while an operation holds it, [`Refusal::Stale`] when somebody else changed it.
    pub async fn delete_node(&self, who: &Principal, node: NodeId, revision: u64) -> Result<(), Refusal> {
        let mut revision = Revision(revision);
        let now = self.node(who, node).await?;
        let waits = now.value.reservation.is_some() && now.value.holder().is_none();
        if now.revision == revision && now.value.maintenance && waits {
            self.unlock_now(who, node, "the node is deleted").await?;
            revision = self.node(who, node).await?.revision;
        }
        self.0.store.delete_node(who, node, revision).await.map_err(convert::refusal)
    }

    /// Sets or ends maintenance, whoever holds the node.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn set_maintenance(&self, who: &Principal, node: NodeId, on: bool, reason: Option<String>) -> Result<(), Refusal> {
        let ends = self.node(who, node).await?.value.maintenance && !on;
        let (this, who) = (self.clone(), who.clone());
        self.through(async move {
            this.0.store.set_maintenance(&who, node, on, reason).await.map_err(convert::refusal)?;
            this.gate(node).lock().await.held = None;
            this.rests_in_queue(node, on);
            if ends {
                let waiting = this.clone();
                this.spawn(async move { waiting.handle(node, None, Event::MaintenanceEnded, Seen::default()).await });
            }
            Ok(())
        })
        .await
    }

    /// Asks every interface of the node whether it has what it needs.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn validate(&self, who: &Principal, node: NodeId) -> Result<Vec<InterfaceValidation>, Refusal> {
        let node = self.node(who, node).await?.value;
        let world = NodeWorld::new(self.clone(), node.clone(), Vec::new(), None, None);
        let mut all = Vec::new();
        for interface in
            ["bios", "boot", "console", "deploy", "firmware", "inspect", "management", "network", "power", "raid", "rescue", "storage"]
        {
            let result = match interface {
                "boot" => Some(world.validate_boot().await),
                "deploy" => Some(self.validate_deploy(&node).await),
                "inspect" => self.validate_optional(&node, Function::ValidateInspection).await,
                "rescue" => self.validate_optional(&node, Function::ValidateRescue).await,
                "management" | "power" => Some(self.0.machines.bmc(&node).map(drop)),
                "network" => Some(world.validate_network().await),
                "storage" => Some(Ok(())),
                _ if node.interfaces.get(interface) == Some("fake") => Some(Ok(())),
                _ => None,
            };
            all.push(match result {
                Some(Ok(())) => InterfaceValidation { interface, result: Some(true), reason: None },
                Some(Err(error)) => InterfaceValidation { interface, result: Some(false), reason: Some(error.message) },
                None => {
                    let reason = format!("Driver {} does not support {interface} (disabled or not implemented).", node.driver);
                    InterfaceValidation { interface, result: None, reason: Some(reason) }
                }
            });
        }
        Ok(all)
    }

    async fn validate_deploy(&self, node: &Node) -> Result<(), DriverError> {
        let chain = self.chain(node).map_err(|refusal| unusable(refusal.to_string()))?;
        self.call_validate(node, &chain, Function::Validate).await.map_err(unusable_for)
    }

    /// Nothing where no driver of the node does that.
    async fn validate_optional(&self, node: &Node, function: Function) -> Option<Result<(), DriverError>> {
        let chain = self.chain(node).ok()?;
        chain.serving(function)?;
        Some(self.call_validate(node, &chain, function).await.map_err(unusable_for))
    }

    /// The boot device that the controller reports.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when the controller cannot be asked; [`Refusal::Unavailable`] while too many requests ask it.
    pub async fn boot_device(&self, who: &Principal, node: NodeId) -> Result<BootDevice, Refusal> {
        let node = self.node(who, node).await?.value;
        let device = self.look(&node, "get_boot_device", |bmc| async move { bmc.boot_device().await }).await?;
        Ok(BootDevice {
            device: device.map(|device| convert::device_name(device.device).to_owned()),
            persistent: device.map(|device| device.persistent),
        })
    }

    /// Sets the boot device.
    ///
    /// # Errors
    /// [`Refusal::Locked`] while an operation, or another request, holds the node; [`Refusal::Invalid`] for a device
    /// that is not known.
    pub async fn set_boot_device(&self, who: &Principal, node: NodeId, device: &str, persistent: bool) -> Result<(), Refusal> {
        let device = convert::device_named(device)
            .ok_or_else(|| Refusal::Invalid(format!("Invalid boot device {device:?} specified: use {}.", DEVICES.join(", "))))?;
        let wanted = BmcBootDevice { device, persistent };
        self.alone(who, node, "set_boot_device", None, move |bmc| Box::pin(async move { bmc.set_boot_device(wanted).await }))
            .await
            .map(drop)
    }

    /// What the node's controller said, fit for whoever asked.
    pub(crate) fn asked(&self, node: &Node, error: DriverError) -> Refusal {
        let message = scrubbed(&secrets(&self.0.machines.references, node, None), &error.message);
        match error.kind {
            ErrorKind::InvalidParameter | ErrorKind::MissingParameter | ErrorKind::Unsupported => Refusal::Invalid(message),
            _ => Refusal::Unavailable(DriverError { message, ..error }.to_string()),
        }
    }

    /// The boot devices that can be set.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn supported_boot_devices(&self, who: &Principal, node: NodeId) -> Result<Vec<String>, Refusal> {
        self.node(who, node).await?;
        Ok(DEVICES.map(str::to_owned).to_vec())
    }

    /// The keys of `driver_info` that a hardware type knows.
    pub fn driver_properties(&self, hardware_type: &str) -> Option<Vec<(String, String)>> {
        let hardware = HardwareType::find(hardware_type)?;
        let mut all: Vec<(String, String)> = Vec::new();
        if hardware.name == "redfish" {
            all.extend(wrought_hardware::redfish::properties().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
            all.push(("deploy_iso".into(), "URL of an image that boots the agent from virtual media. Required.".into()));
        }
        let generation = self.0.catalog.current();
        let deploy = hardware.default_of("deploy");
        if let Some(driver) = deploy.parse().ok().and_then(|name| generation.active(&name)) {
            let of_driver =
                driver.about.properties.iter().map(|(name, text)| (name.trim_start_matches("driver_info/").to_owned(), text.clone()));
            let new: Vec<(String, String)> = of_driver.filter(|(name, _)| !all.iter().any(|(known, _)| known == name)).collect();
            all.extend(new);
        }
        Some(all)
    }
}

const DEVICES: [&str; 5] = ["pxe", "disk", "cdrom", "bios", "uefihttp"];

fn unusable(text: String) -> DriverError {
    DriverError::new(ErrorKind::InvalidParameter, "wrought.Driver", text)
}

/// Why a driver that was asked to validate did not say that it is well.
fn unusable_for(returned: Returned) -> DriverError {
    match returned {
        Returned::Refused(error) => error,
        Returned::Fault(text) => unusable(text),
        other => unusable(format!("unexpected answer {other:?}")),
    }
}
