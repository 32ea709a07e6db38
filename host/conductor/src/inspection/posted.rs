//! What agents post. Nobody proves who they are here, so what is posted is believed of one node alone: the one that is being inspected and
//! has one of the network addresses, or whose controller has the address that the machine sees.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::Semaphore;
use wrought_domain::{Condition, Node, NodeId, Principal, ProvisionState};
use wrought_engine::{Event, Kind, Operation};
use wrought_inspection::Posted;
use wrought_storage::{FindingKind, NodeFilter, NodeQuery};

use super::Kept;
use crate::conductor::{Conductor, HandleError};
use crate::contacts::Contact;
use crate::convert;
use crate::gate::Inside;
use crate::seen::Seen;
use crate::{Lookup, Refusal};

/// The states of an inspection.
const INSPECTED: [ProvisionState; 2] = [ProvisionState::InspectWait, ProvisionState::Inspecting];

/// Nodes in each of them whose controllers' addresses are compared.
const MOST: u32 = 1000;

/// For the name of a controller to be resolved.
const RESOLVING: Duration = Duration::from_secs(2);

/// Names that are resolved at the same time.
const SIDE_BY_SIDE: usize = 32;

/// Each takes a thread until the operating system answers, however long nobody waits for it any more.
static RESOLVERS: Semaphore = Semaphore::const_new(SIDE_BY_SIDE);

impl Conductor {
    /// An agent posts what it found. The findings are stored when this returns; with `lookup` the answer holds what a lookup says.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when no node, or more than one, is being inspected that they can be of; [`Refusal::Conflict`] when
    /// others were posted before; [`Refusal::Invalid`].
    pub async fn continue_inspection(&self, posted: Posted, lookup: bool, peer: IpAddr) -> Result<(NodeId, Option<Lookup>), Refusal> {
        let not_found =
            || Refusal::NotFound("No node that is being inspected has one of these MAC addresses, or this controller.".to_owned());
        let id = self.inspected_node(&posted).await?.ok_or_else(not_found)?;
        let gate = self.gate(id);
        // A lookup may give out the one token that there is, so it is made for an agent that is waited for alone.
        self.asked_for(&mut *gate.lock().await, id).await?.ok_or_else(not_found)?;
        let looked_up = if lookup { Some(self.lookup(&[], Some(id), peer).await?) } else { None };
        let read = tokio::task::spawn_blocking(move || posted.findings()).await;
        let broke = |_| Refusal::Internal("a fault in the host: the inspection data could not be read; its log says more".into());
        let findings = read.map_err(broke)?.map_err(|unfit| Refusal::Invalid(format!("Invalid inspection data: {unfit}.")))?;
        let kept = Kept { inventory: findings.inventory, plugin_data: findings.plugin_data };
        let mut inside = gate.lock().await;
        let operation = self.asked_for(&mut inside, id).await?.ok_or_else(not_found)?;
        let before = self.0.store.finding::<Kept>(id, FindingKind::Posted).await.map_err(convert::refusal)?;
        match before.filter(|(at, _)| *at >= operation.started_at) {
            // An agent that missed the answer posts the same again.
            Some((_, before)) if before == kept => {}
            Some(_) => {
                tracing::warn!(node = %id, %peer, "other findings were posted already, so these are refused");
                return Err(Refusal::Conflict("Inspection data of this node was posted already.".into()));
            }
            None => {
                let store = self.0.store.held_by(id, operation.id, operation.fence);
                store.put_finding(id, FindingKind::Posted, self.now(), &kept).await.map_err(convert::refusal)?;
            }
        }
        self.0.contacts.note(id, Contact::Inspection, self.now());
        drop(inside);
        tracing::info!(node = %id, %peer, "the agent posted what it found");
        let this = self.clone();
        self.spawn(async move {
            match this.try_handle(id, None, Event::Heartbeat, Seen::default()).await {
                Ok(()) | Err(HandleError::Impossible(_)) => {}
                Err(error) => tracing::warn!(node = %id, %error, "posted findings could not be handled"),
            }
        });
        Ok((id, looked_up))
    }

    /// The operation of a node, when its agent is asked for findings. The node's gate is held.
    async fn asked_for(&self, inside: &mut Inside, id: NodeId) -> Result<Option<Operation>, Refusal> {
        let held = self.held(inside, id).await.map_err(convert::refusal)?;
        Ok(held.filter(|held| waits(&held.node, &held.operation)).map(|held| held.operation.clone()))
    }

    /// The node that findings are of.
    async fn inspected_node(&self, posted: &Posted) -> Result<Option<NodeId>, Refusal> {
        match self.0.store.nodes_with_addresses(posted.addresses()).await.map_err(convert::refusal)?.as_slice() {
            [one] => Ok(Some(*one)),
            [] => self.by_controller(posted.bmc_addresses()).await,
            _ => Ok(None),
        }
    }

    /// The one node in inspection whose controller has one of these addresses. One search at a time: anybody may ask for it.
    async fn by_controller(&self, addresses: &[IpAddr]) -> Result<Option<NodeId>, Refusal> {
        if addresses.is_empty() {
            return Ok(None);
        }
        let Ok(_one) = self.0.searching.try_lock() else {
            return Err(Refusal::Unavailable("Another inspection is being looked up by its controller; try again.".into()));
        };
        let mut nodes = Vec::new();
        for state in INSPECTED {
            let filter = NodeFilter { provision_state: Some(state), ..NodeFilter::all() };
            let asked = NodeQuery { filter, limit: Some(MOST), ..NodeQuery::default() };
            nodes.extend(self.0.store.nodes(&Principal::host(), &asked).await.map_err(convert::refusal)?);
        }
        // One that moved on in between was read twice.
        nodes.sort_by_key(|node| node.uuid);
        nodes.dedup_by_key(|node| node.uuid);
        let places = nodes.into_iter().filter_map(|node| Some((node.uuid, host_of(&node)?)));
        let found: Vec<NodeId> = stream::iter(places)
            .map(|(id, host)| async move { resolves_to(&host, addresses).await.then_some(id) })
            .buffer_unordered(SIDE_BY_SIDE)
            .filter_map(|found| async move { found })
            .collect()
            .await;
        Ok(match found.as_slice() {
            [one] => Some(*one),
            _ => None,
        })
    }
}

/// Whether the agent is what inspects the node.
pub(super) fn is_in_band(node: &Node) -> bool {
    node.interfaces.inspect == "agent"
}

/// Whether findings are waited for. An agent may be quicker than the host, which has just been started again: what it posts before the
/// wait has begun counts, too, where it is the agent that inspects.
fn waits(node: &Node, operation: &Operation) -> bool {
    fn for_findings(condition: &Condition) -> bool {
        match condition {
            Condition::InspectionData { .. } => true,
            Condition::Any(any) => any.iter().any(for_findings),
            _ => false,
        }
    }
    let asked = match &operation.waiting {
        Some(waiting) => for_findings(&waiting.condition),
        None => is_in_band(node),
    };
    operation.kind == Kind::Inspect && asked && INSPECTED.contains(&node.provision_state)
}

/// The host of the node's controller.
fn host_of(node: &Node) -> Option<String> {
    let address = node.driver_info.get("redfish_address")?.as_str()?.trim();
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None if authority.matches(':').count() > 1 => authority,
        None => authority.split(':').next().unwrap_or_default(),
    };
    (!host.is_empty()).then(|| host.to_owned())
}

async fn resolves_to(host: &str, addresses: &[IpAddr]) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return addresses.contains(&address);
    }
    let name = host.to_owned();
    let found = async move {
        let turn = RESOLVERS.acquire().await.ok()?;
        let resolve = async move {
            let found = tokio::net::lookup_host((name, 443)).await.map(|found| found.map(|found| found.ip()).collect::<Vec<_>>());
            drop(turn);
            found
        };
        tokio::spawn(resolve).await.ok()?.ok()
    };
    let found = tokio::time::timeout(RESOLVING, found).await.ok().flatten().unwrap_or_default();
    found.iter().any(|found| addresses.contains(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wrought_domain::hardware_type::REDFISH;

    #[test]
    fn the_controllers_host_is_found_in_every_form_of_its_address() {
        for (address, host) in [
            ("https://192.0.2.1", Some("192.0.2.1")),
            ("bmc-7.example:8443", Some("bmc-7.example")),
            ("http://user:pw@[2001:db8::1]:8000/redfish", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("https://", None),
        ] {
            let mut node = Node::new(NodeId(uuid::Uuid::nil()), "redfish", REDFISH.defaults(), jiff::Timestamp::UNIX_EPOCH);
            node.driver_info.insert("redfish_address".into(), address.into());
            assert_eq!(host_of(&node).as_deref(), host, "{address}");
        }
    }

    #[tokio::test]
    async fn names_count_as_the_addresses_that_they_have() {
        let local: [IpAddr; 2] = ["127.0.0.1", "::1"].map(|text| text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])));
        assert!(resolves_to("127.0.0.1", &local).await && resolves_to("localhost", &local).await);
        assert!(!resolves_to("192.0.2.1", &local).await);
    }
}
