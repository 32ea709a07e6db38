//! What is asked of a machine's controller besides its power and its boot device: boot mode, secure boot and console, which are
//! operations of their own, and interrupts, indicators and virtual media, which are done while the caller waits.

use std::sync::Arc;

use futures::future::BoxFuture;
use uuid::Uuid;
use wrought_domain::{DriverError, ErrorKind, Node, NodeId, OperationId, Principal};
use wrought_engine::{BootMode, HistoryEntry, Kind, Operation, Request, Returned, Setting, Severity};
use wrought_hardware::egress::NOT_RESOLVED;
use wrought_hardware::{Bmc, Component, HardwareError, IndicatorState, MediaKind};

use crate::conductor::Conductor;
use crate::request::{Indicator, VirtualDrive};
use crate::rules::{check_rests, unsupported};
use crate::secrets::{scrubbed, secrets};
use crate::{Refusal, convert};

/// The components that indicators are on, by Ironic's names.
const COMPONENTS: [(Component, &str); 2] = [(Component::System, "system"), (Component::Chassis, "chassis")];

/// What indicators show, by Ironic's names.
const STATES: [(IndicatorState, &str); 4] = [
    (IndicatorState::Off, "off"),
    (IndicatorState::On, "on"),
    (IndicatorState::Blinking, "blinking"),
    (IndicatorState::Unknown, "unknown"),
];

/// Kinds of virtual media, by Ironic's names.
const MEDIA: [(MediaKind, &str); 3] = [(MediaKind::Cd, "cdrom"), (MediaKind::Floppy, "floppy"), (MediaKind::Disk, "disk")];

fn name<T: PartialEq>(names: &[(T, &'static str)], of: &T) -> &'static str {
    names.iter().find(|(known, _)| known == of).map_or("unknown", |(_, name)| name)
}

fn named<T: Copy>(names: &[(T, &'static str)], what: &str, name: &str) -> Result<T, Refusal> {
    names.iter().find(|(_, known)| *known == name).map(|(value, _)| *value).ok_or_else(|| {
        let (known, name): (Vec<&str>, String) = (names.iter().map(|(_, name)| *name).collect(), name.chars().take(80).collect());
        Refusal::Invalid(format!("Invalid {what} '{name}': use one of {}.", known.join(", ")))
    })
}

/// The URL of a medium as anybody may see it: neither the user nor what signs it.
fn shown_url(url: &str) -> String {
    let (plain, signed) = url.split_once('?').map_or((url, ""), |(plain, _)| (plain, "?******"));
    let plain = match plain.split_once("://") {
        Some((scheme, rest)) if rest.split('/').next().is_some_and(|authority| authority.contains('@')) => {
            format!("{scheme}://{}", rest.split_once('@').map_or(rest, |(_, rest)| rest))
        }
        _ => plain.to_owned(),
    };
    format!("{plain}{signed}")
}

impl Conductor {
    /// The controller of a node whose management interface manages it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub(crate) fn managed(&self, node: &Node, what: &str) -> Result<Arc<dyn Bmc>, Refusal> {
        if node.interfaces.management == "noop" {
            return Err(unsupported(node, what));
        }
        self.0.machines.bmc(node).map_err(|error| self.asked(node, error))
    }

    /// Begins to set something on the machine, as an operation that holds the node meanwhile.
    ///
    /// # Errors
    /// [`Refusal::Locked`]; [`Refusal::Conflict`] while the node's state is on the move; [`Refusal::Invalid`] where the node's
    /// interfaces do not do that.
    pub async fn set(&self, who: &Principal, node: NodeId, setting: Setting) -> Result<(), Refusal> {
        let stored = self.node(who, node).await?;
        match setting {
            Setting::Console(_) if stored.value.interfaces.console != "fake" => return Err(unsupported(&stored.value, "console")),
            Setting::Console(_) => {}
            Setting::BootMode(_) => {
                self.managed(&stored.value, "set_boot_mode")?;
                check_rests(&stored.value, "boot mode")?;
            }
            Setting::SecureBoot(_) => {
                self.managed(&stored.value, "set_secure_boot")?;
                check_rests(&stored.value, "secure boot state")?;
            }
        }
        self.start_operation(stored, Request::new(OperationId(Uuid::new_v4()), Kind::Setting(setting), who.clone())).await
    }

    /// Carries the operation out.
    pub(crate) async fn apply_setting(&self, node: &Node, operation: &Operation, setting: Setting) -> Returned {
        let set = async {
            let held = self.0.store.holds(node.uuid, operation.id, operation.fence).await;
            if !held.map_err(|error| convert::store_error(&error))? {
                let text = "this operation does not hold the node any more";
                return Err(DriverError::new(ErrorKind::Locked, "wrought.StaleFence", text));
            }
            let bmc = self.0.machines.bmc(node)?;
            let set = match setting {
                Setting::BootMode(BootMode::Bios) => bmc.set_boot_mode(wrought_hardware::BootMode::Bios).await,
                Setting::BootMode(BootMode::Uefi) => bmc.set_boot_mode(wrought_hardware::BootMode::Uefi).await,
                Setting::SecureBoot(enabled) => bmc.set_secure_boot(enabled).await,
                // The one console that there is has no machine behind it.
                Setting::Console(_) => Ok(()),
            };
            set.map_err(convert::error)
        };
        match set.await {
            Ok(()) => Returned::Done,
            Err(error) => Returned::Refused(error),
        }
    }

    /// Does something with the machine of a node that neither an operation nor another request holds, and keeps both from beginning
    /// meanwhile. Once begun, it is carried through when the one who asked is gone, and so is what the node's history then tells.
    ///
    /// # Errors
    /// [`Refusal::Locked`]; what the controller refuses.
    pub(crate) async fn alone<T: Send + 'static>(
        &self,
        who: &Principal,
        id: NodeId,
        what: &'static str,
        told: Option<String>,
        act: impl FnOnce(Arc<dyn Bmc>) -> BoxFuture<'static, Result<T, HardwareError>> + Send + 'static,
    ) -> Result<T, Refusal> {
        // No operation begins between the look at the node and the note. The gate is open again when the machine is asked.
        let gate = self.gate(id);
        let inside = gate.lock().await;
        let node = self.node(who, id).await?.value;
        if let Some(host) = node.reservation.clone() {
            return Err(Refusal::Locked { node: id, host });
        }
        let bmc = self.managed(&node, what)?;
        let under_way = self.0.requests.change(id).ok_or_else(|| self.locked(id))?;
        drop(inside);
        let (this, who) = (self.clone(), who.clone());
        self.through(async move {
            let _under_way = under_way;
            let done = act(bmc).await.map_err(|error| this.asked(&node, convert::error(error)))?;
            if let Some(event) = told {
                this.managed_by(&who, id, event).await;
            }
            Ok(done)
        })
        .await
    }

    /// Has the controller of a node tell something. It may do so beside whatever happens to the node, for a few at a time.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when enough ask it; what the controller refuses.
    pub(crate) async fn look<T, F>(&self, node: &Node, what: &str, ask: impl FnOnce(Arc<dyn Bmc>) -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, HardwareError>>,
    {
        let bmc = self.managed(node, what)?;
        let _under_way = self.0.requests.look(node.uuid).ok_or_else(|| {
            Refusal::Unavailable(format!("Other requests wait for the controller of node {} to answer; try again later.", node.uuid))
        })?;
        ask(bmc).await.map_err(|error| self.asked(node, convert::error(error)))
    }

    /// Sends a non-maskable interrupt.
    ///
    /// # Errors
    /// [`Refusal::Locked`] while an operation, or another request, holds the node; what the controller refuses.
    pub async fn inject_nmi(&self, who: &Principal, node: NodeId) -> Result<(), Refusal> {
        let told = Some("a non-maskable interrupt was sent by request".into());
        self.alone(who, node, "inject_nmi", told, |bmc| Box::pin(async move { bmc.inject_nmi().await })).await
    }

    /// The indicators of the machine.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; [`Refusal::Unavailable`] while too many requests ask it; what the controller refuses.
    pub async fn indicators(&self, who: &Principal, node: NodeId) -> Result<Vec<Indicator>, Refusal> {
        let node = self.node(who, node).await?.value;
        let found = self.look(&node, "get_supported_indicators", |bmc| async move { bmc.indicators().await }).await?;
        Ok(found
            .into_iter()
            .map(|indicator| Indicator {
                component: name(&COMPONENTS, &indicator.component),
                name: indicator.name,
                state: name(&STATES, &indicator.state),
                states: indicator.states.iter().map(|state| name(&STATES, state)).collect(),
            })
            .collect())
    }

    /// Sets an indicator.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for a component or a state that there is not; [`Refusal::NotFound`] for such an indicator;
    /// [`Refusal::Locked`]; what the controller refuses.
    pub async fn set_indicator(&self, who: &Principal, node: NodeId, component: &str, indicator: &str, state: &str) -> Result<(), Refusal> {
        let component = named(&COMPONENTS, "component", component)?;
        let state = named(&STATES, "indicator state", state)?;
        if !self
            .indicators(who, node)
            .await?
            .iter()
            .any(|known| known.component == name(&COMPONENTS, &component) && known.name == indicator)
        {
            let indicator: String = indicator.chars().take(80).collect();
            return Err(Refusal::NotFound(format!("Node {node} has no indicator {indicator} on its {}.", name(&COMPONENTS, &component))));
        }
        let wanted = indicator.to_owned();
        let set = move |bmc: Arc<dyn Bmc>| -> BoxFuture<'static, _> {
            Box::pin(async move { bmc.set_indicator(component, &wanted, state).await })
        };
        self.alone(who, node, "set_indicator_state", None, set).await
    }

    /// The machine's virtual drives and what is in them.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; [`Refusal::Unavailable`] while too many requests ask it; what the controller refuses.
    pub async fn virtual_media(&self, who: &Principal, node: NodeId) -> Result<Vec<VirtualDrive>, Refusal> {
        let node = self.node(who, node).await?.value;
        let drives = self.look(&node, "get_virtual_media", |bmc| async move { bmc.drives().await }).await?;
        let known = secrets(&self.0.machines.references, &node, None);
        let shown = drives.into_iter().map(|drive| VirtualDrive {
            media_types: drive.types,
            inserted: drive.media.inserted,
            image: drive.media.image.map(|url| scrubbed(&known, &shown_url(&url))),
        });
        Ok(shown.collect())
    }

    /// Has the controller insert an image into one of its virtual drives.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for a kind of media that there is not, and for a URL that the host's policy does not allow;
    /// [`Refusal::Locked`] while an operation, or another request, holds the node; what the controller refuses.
    pub async fn attach_media(&self, who: &Principal, node: NodeId, device: &str, url: &str) -> Result<(), Refusal> {
        let kind = named(&MEDIA, "device type", device)?;
        let invalid = |error: HardwareError| Refusal::Invalid(error.message);
        match self.0.images.policy().check("image_url", url).await {
            Ok(_) => {}
            // It is the controller that fetches it, and that may know names which this host does not.
            Err(error) if error.code == NOT_RESOLVED => {}
            Err(error) => return Err(invalid(error)),
        }
        let (url, told) = (url.to_owned(), Some(format!("virtual media ({device}) attached by request")));
        self.alone(who, node, "attach_virtual_media", told, move |bmc| Box::pin(async move { bmc.attach_media(kind, &url).await })).await
    }

    /// Has it eject media of these kinds, of every kind if there are none.
    ///
    /// # Errors
    /// As [`Conductor::attach_media`].
    pub async fn detach_media(&self, who: &Principal, node: NodeId, devices: &[String]) -> Result<(), Refusal> {
        let kinds = devices.iter().map(|device| named(&MEDIA, "device type", device)).collect::<Result<Vec<_>, _>>()?;
        let told = Some("virtual media detached by request".into());
        self.alone(who, node, "detach_virtual_media", told, move |bmc| Box::pin(async move { bmc.detach_media(&kinds).await })).await
    }

    /// Notes in the node's history what an operator had done.
    pub(crate) async fn managed_by(&self, who: &Principal, node: NodeId, event: String) {
        let mut entry = HistoryEntry::new(Severity::Info, "management", event);
        entry.project.clone_from(&who.project);
        if let Err(error) = self.0.store.record(node, vec![entry], &who.user, Some(&self.0.host)).await {
            tracing::warn!(%node, %error, "an entry of the node's history could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_users_nor_signatures_of_urls_are_shown() {
        assert_eq!(shown_url("http://host/a.iso"), "http://host/a.iso");
        assert_eq!(shown_url("https://user:word@host/a@b.iso?sig=1&x=2"), "https://host/a@b.iso?******");
        assert_eq!(shown_url("https://host/a@b.iso"), "https://host/a@b.iso");
    }
}
