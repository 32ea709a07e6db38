//! Which versions of which drivers a new operation takes, and keeps to its end.

use std::sync::Arc;

use wrought_domain::hardware_type::HardwareType;
use wrought_domain::{DriverName, Function, Map, Node, OperationId, ProvisionState};
use wrought_drivers::{BrokenChain, Driver, Generation};
use wrought_engine::Kind;
use wrought_storage::KeptState;

use crate::chain::{Chain, STEP_INTERFACES};
use crate::conductor::Conductor;
use crate::{Refusal, convert};

/// The deploy interface that lets the host choose.
pub(crate) const AUTODETECT: &str = "autodetect";

/// Key of `driver_internal_info`: the driver that `autodetect` chose for the instance on the machine.
pub(crate) const DETECTED: &str = "detected_deploy_interface";

/// A number from 0 to 99 that an operation's random id stands for: it decides whether the operation takes part in a trial.
pub(crate) fn roll(operation: OperationId) -> u8 {
    u8::try_from(operation.0.as_u128() % 100).unwrap_or(0)
}

impl Conductor {
    /// The drivers in force for a node's deploy interface, and those that its other interfaces name, for a look that begins nothing.
    pub(crate) fn chain(&self, node: &Node) -> Result<Chain, Refusal> {
        let generation = self.0.catalog.current();
        let deploy = generation.chain(&deploy_interface(node)?).map_err(|broken| Refusal::Invalid(broken.to_string()))?;
        let mut chain = Chain::default();
        for (name, driver) in deploy {
            chain.add(name, driver, "deploy");
        }
        for interface in STEP_INTERFACES.into_iter().chain(["inspect", "rescue"]) {
            if let Some((name, driver)) = active(&generation, node, interface) {
                chain.add(name, driver, interface);
            }
        }
        Ok(chain)
    }

    /// The drivers that a new operation on the node runs on. A version on trial may be among them; a driver that keeps something
    /// about the node in a form that the version in force cannot read stays with the version that wrote it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] where no version serves, [`Refusal::Unavailable`] for a driver that is paused,
    /// [`Refusal::Conflict`] where the version that could read a state was revoked.
    pub(crate) async fn select(&self, node: &Node, operation: OperationId, kind: Kind) -> Result<Chain, Refusal> {
        let selection = Selection {
            conductor: self,
            generation: self.0.catalog.current(),
            kept: self.0.store.kept_states(node.uuid).await.map_err(convert::refusal)?,
            node,
            operation,
            kind,
        };
        let mut chain = Chain::default();
        let mut next = Some(deploy_interface(node)?);
        while let Some(name) = next {
            if chain.find(&name).is_some() {
                return Err(Refusal::Invalid(BrokenChain::Circle(name).to_string()));
            }
            let driver = selection.version(&name).await?;
            next = driver.about.base.clone();
            chain.add(name, driver, "deploy");
        }
        for interface in STEP_INTERFACES {
            if let Some(name) = selection.named_by(interface)? {
                let driver = selection.version(&name).await?;
                // What a management interface of the host's own is called may also be the name of a driver for something else.
                if offers_steps(&driver) || (interface == "vendor" && kind == Kind::VendorPassthru) {
                    chain.add(name, driver, interface);
                }
            }
        }
        let rescued = matches!(
            node.provision_state,
            ProvisionState::Rescue | ProvisionState::RescueWait | ProvisionState::RescueFailed | ProvisionState::UnrescueFailed
        );
        let more = match kind {
            Kind::Inspect => Some("inspect"),
            Kind::Rescue | Kind::Unrescue => Some("rescue"),
            Kind::TearDown if rescued => Some("rescue"),
            _ => None,
        };
        if let Some(interface) = more
            && let Some(name) = selection.named_by(interface)?
        {
            let driver = selection.version(&name).await?;
            chain.add(name, driver, interface);
        }
        Ok(chain)
    }

    /// The version that wrote what a driver keeps about a node.
    async fn writer_of(&self, node: &Node, state: &KeptState) -> Result<Arc<Driver>, Refusal> {
        let KeptState { driver: name, schema, digest } = state;
        let about = format!(
            "what driver {name} keeps about node {} is in form {}, which the version in force does not read; activate one whose \
             state-schema reads it",
            node.uuid,
            schema.unwrap_or(1)
        );
        let Some(digest) = digest else { return Err(Refusal::Conflict(format!("{about}: which one wrote it was not recorded."))) };
        if let Some(reason) = self.0.grants.revoked(digest) {
            return Err(Refusal::Conflict(format!("{about}: {}, which wrote it, was revoked: {reason}", digest.short())));
        }
        self.0
            .catalog
            .version(digest)
            .await
            .map_err(|error| Refusal::Conflict(format!("{about}: {}, which wrote it: {error}", digest.short())))
    }
}

/// A choice of versions for one operation.
struct Selection<'a> {
    conductor: &'a Conductor,
    generation: Arc<Generation>,
    kept: Vec<KeptState>,
    node: &'a Node,
    operation: OperationId,
    kind: Kind,
}

impl Selection<'_> {
    /// The version of a driver that the operation takes.
    async fn version(&self, name: &DriverName) -> Result<Arc<Driver>, Refusal> {
        let in_force = self.generation.drivers.get(name);
        if let Some(paused) = in_force.and_then(|driver| driver.rollout.paused.as_ref()) {
            return Err(Refusal::Unavailable(format!(
                "Driver {name} is paused by {} since {}: {}. It takes new operations again after: wrought driver resume {name}",
                paused.by, paused.at, paused.reason
            )));
        }
        let chosen = in_force.and_then(|driver| driver.choose(self.node, roll(self.operation)));
        let state = self.kept.iter().find(|state| state.driver == *name);
        match (chosen, state) {
            (Some(chosen), Some(state)) if !reads(&chosen.about.schemas.reads, state) => self.conductor.writer_of(self.node, state).await,
            // What was begun on a driver that is out of service can be ended, and nothing else be begun.
            (None, Some(state)) if ends(self.kind) && state.digest.is_some() => self.conductor.writer_of(self.node, state).await,
            (Some(chosen), _) => Ok(chosen.clone()),
            (None, _) => Err(Refusal::Invalid(BrokenChain::NotActive(name.clone()).to_string())),
        }
    }

    /// The driver that one of the node's interfaces names; nothing where it names something that the host itself knows.
    fn named_by(&self, interface: &str) -> Result<Option<DriverName>, Refusal> {
        let value = self.node.interfaces.get(interface).unwrap_or_default();
        let known = HardwareType::find(&self.node.driver).is_some_and(|hardware| hardware.implementations(interface).contains(&value));
        match value.parse::<DriverName>() {
            Ok(name) if self.generation.drivers.contains_key(&name) => Ok(Some(name)),
            _ if known || value.is_empty() => Ok(None),
            _ => Err(Refusal::Invalid(format!(
                "The node's {interface}_interface is {value:?}, and no driver of that name is active: activate it with `wrought driver \
                 activate {value}`, or set another {interface}_interface."
            ))),
        }
    }
}

/// The active driver that one of the node's interfaces names, if there is one.
fn active(generation: &Generation, node: &Node, interface: &str) -> Option<(DriverName, Arc<Driver>)> {
    let name: DriverName = node.interfaces.get(interface)?.parse().ok()?;
    let driver = generation.active(&name)?.clone();
    Some((name, driver))
}

fn offers_steps(driver: &Driver) -> bool {
    Function::ALL.iter().any(|function| function.lists_steps() && driver.serves(*function))
}

/// Whether an operation takes back what an earlier one did.
fn ends(kind: Kind) -> bool {
    kind.cleans() || matches!(kind, Kind::TearDown | Kind::Unrescue | Kind::AbortService)
}

fn reads(schemas: &[u32], state: &KeptState) -> bool {
    state.schema.is_none_or(|schema| schemas.contains(&schema))
}

fn deploy_interface(node: &Node) -> Result<DriverName, Refusal> {
    let name = match node.interfaces.deploy.as_str() {
        AUTODETECT => detect(node),
        named => named,
    };
    name.parse().map_err(|error: wrought_domain::id::InvalidId| Refusal::Invalid(error.to_string()))
}

/// What `autodetect` stands for: the driver of the instance that is there, else the one that its image asks for. Without any instance
/// it is `direct`, which cleans: a node is never left unwiped because nobody knew who should.
fn detect(node: &Node) -> &str {
    let of = |map: &'_ Map, key: &str| map.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    if let Some(kept) = node.driver_internal_info.get(DETECTED).and_then(serde_json::Value::as_str) {
        return kept;
    }
    let source = of(&node.instance_info, "image_source").unwrap_or_default();
    if source.starts_with("oci://") && of(&node.instance_info, "image_disk_format").is_none() {
        return "bootc";
    }
    let has_ramdisk = node.instance_info.contains_key("boot_iso") || (source.is_empty() && node.instance_info.contains_key("ramdisk"));
    if has_ramdisk { "ramdisk" } else { "direct" }
}

/// The driver that `autodetect` chose, to be kept as long as the instance is there.
pub(crate) fn detected(node: &Node) -> Option<String> {
    (node.interfaces.deploy == AUTODETECT).then(|| detect(node).to_owned())
}
