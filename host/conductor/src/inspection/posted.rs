//! What agents post. Nobody proves who they are here, so what is posted is believed of one node alone: the one that is being inspected and
//! has one of the network addresses, or whose controller has the address that the machine sees.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use wrought_domain::{Node, NodeId, Principal, ProvisionState};
use wrought_engine::Event;
use wrought_inspection::Posted;
use wrought_storage::{FindingKind, NodeFilter, NodeQuery, NodeRef};

use super::Kept;
use crate::conductor::{Conductor, HandleError};
use crate::contacts::Contact;
use crate::convert;
use crate::seen::Seen;
use crate::{Lookup, Refusal};

/// Nodes in inspection whose controllers' addresses are compared.
const MOST: u32 = 1000;

/// For the name of a controller to be resolved.
const RESOLVING: Duration = Duration::from_secs(2);

/// Names that are resolved at the same time.
const SIDE_BY_SIDE: usize = 32;

impl Conductor {
    /// An agent posts what it found. The findings are stored when this returns; with `lookup` the answer holds what a lookup says.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when no node, or more than one, is being inspected that they can be of; [`Refusal::Invalid`].
    pub async fn continue_inspection(&self, posted: Posted, lookup: bool, peer: IpAddr) -> Result<(NodeId, Option<Lookup>), Refusal> {
        let not_found =
            || Refusal::NotFound("No node that is being inspected has one of these MAC addresses, or this controller.".to_owned());
        let id = self.inspected_node(&posted).await?.ok_or_else(not_found)?;
        let looked_up = if lookup { Some(self.lookup(&[], Some(id), peer).await?) } else { None };
        let read = tokio::task::spawn_blocking(move || posted.findings()).await;
        let broke = |_| Refusal::Internal("a fault in the host: the inspection data could not be read; its log says more".into());
        let findings = read.map_err(broke)?.map_err(|unfit| Refusal::Invalid(format!("Invalid inspection data: {unfit}.")))?;
        let gate = self.gate(id);
        let inside = gate.lock().await;
        let stored = self.0.store.node(&Principal::agent(), &NodeRef::Uuid(id)).await.map_err(convert::refusal)?;
        stored.filter(|stored| waits(&stored.value)).ok_or_else(not_found)?;
        let kept = Kept { inventory: findings.inventory, plugin_data: findings.plugin_data };
        self.0.store.put_finding(id, FindingKind::Posted, self.now(), &kept).await.map_err(convert::refusal)?;
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
        let filter = NodeFilter { provision_state: Some(ProvisionState::InspectWait), ..NodeFilter::all() };
        let asked = NodeQuery { filter, limit: Some(MOST), ..NodeQuery::default() };
        let nodes = self.0.store.nodes(&Principal::host(), &asked).await.map_err(convert::refusal)?;
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

/// An agent may be quicker than the host, which has just been started again: what it posts before the wait has begun counts, too,
/// where it is the agent that inspects.
fn waits(node: &Node) -> bool {
    match node.provision_state {
        ProvisionState::InspectWait => true,
        ProvisionState::Inspecting => node.interfaces.inspect == "agent",
        _ => false,
    }
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
    match tokio::time::timeout(RESOLVING, tokio::net::lookup_host((host, 443))).await {
        Ok(Ok(mut found)) => found.any(|found| addresses.contains(&found.ip())),
        _ => false,
    }
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
