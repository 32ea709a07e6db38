//! Virtual interfaces: the ports of tenants' networks that are attached to ports of nodes.

use uuid::Uuid;

use crate::part::PartError;
use crate::{Map, Node, NodeId, Port, Portgroup};

/// The key of `internal_info` below which a port or group keeps the VIF that is attached to it, as Ironic does.
pub const KEY: &str = "tenant_vif_port_id";

/// Whether the node's network interface records VIFs: `noop` does not.
pub fn records(node: &Node) -> bool {
    node.interfaces.network != "noop"
}

/// The VIF that is attached to whose `internal_info` this is.
pub fn attached(internal_info: &Map) -> Option<&str> {
    internal_info.get(KEY).and_then(|vif| vif.as_str())
}

/// Where a VIF shall be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Wherever there is place.
    Any,
    /// To this port.
    Port(Uuid),
    /// To this group.
    Portgroup(Uuid),
}

/// Where a VIF is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To this port.
    Port(Uuid),
    /// To this group.
    Portgroup(Uuid),
}

/// The place for a VIF among a node's ports and groups: groups come first, then ports that boot from the network, then others.
/// A group without ports, or with a port that has a VIF, is none; the free ports of the latter are.
///
/// # Errors
/// The VIF is attached already, or there is no place.
pub fn choose(vif: &str, wanted: Wanted, ports: &[Port], groups: &[Portgroup]) -> Result<Place, PartError> {
    let already = |what: &str, uuid: Uuid| {
        PartError::Conflict(format!("Unable to attach VIF because VIF {vif} is already attached to Ironic {what} {uuid}"))
    };
    if let Some(port) = ports.iter().find(|port| attached(&port.internal_info) == Some(vif)) {
        return Err(already("Port", port.uuid));
    }
    if let Some(group) = groups.iter().find(|group| attached(&group.internal_info) == Some(vif)) {
        return Err(already("Portgroup", group.uuid));
    }
    let free = |port: &&Port| attached(&port.internal_info).is_none();
    let free_group = |group: &&Portgroup| {
        let mut members = ports.iter().filter(|port| port.portgroup_uuid == Some(group.uuid)).peekable();
        attached(&group.internal_info).is_none() && members.peek().is_some() && members.all(|port| free(&port))
    };
    let usable_alone = |port: &&Port| {
        let group = port.portgroup_uuid.and_then(|uuid| groups.iter().find(|group| group.uuid == uuid));
        group.is_none_or(|group| attached(&group.internal_info).is_none() && !free_group(&group))
    };
    let place = match wanted {
        Wanted::Port(uuid) => ports.iter().filter(free).find(|port| port.uuid == uuid).map(|port| Place::Port(port.uuid)),
        Wanted::Portgroup(uuid) => {
            groups.iter().filter(free_group).find(|group| group.uuid == uuid).map(|group| Place::Portgroup(group.uuid))
        }
        Wanted::Any => {
            let group = groups.iter().find(free_group).map(|group| Place::Portgroup(group.uuid));
            let port = |pxe: bool| {
                let mut fit = ports.iter().filter(free).filter(usable_alone).filter(|port| port.pxe_enabled == pxe);
                fit.next().map(|port| Place::Port(port.uuid))
            };
            group.or_else(|| port(true)).or_else(|| port(false))
        }
    };
    place.ok_or_else(|| PartError::Invalid(format!("Unable to attach VIF {vif}, not enough free physical ports.")))
}

/// The refusal for a VIF that is not attached.
pub fn not_attached(vif: &str, node: NodeId) -> PartError {
    PartError::Invalid(format!("Unable to detach VIF {vif} from node {node} because it is not attached to it."))
}

/// That no VIF is attached to a port or group that is to go.
pub(crate) fn check_free(what: &str, uuid: Uuid, internal_info: &Map) -> Result<(), PartError> {
    match attached(internal_info) {
        None => Ok(()),
        Some(vif) => Err(PartError::Conflict(format!("Cannot delete the {what} {uuid} as it is bound to VIF {vif}. Detach it first."))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use jiff::Timestamp;

    const NODE: NodeId = NodeId(Uuid::nil());

    fn port(n: u128, pxe: bool, group: Option<u128>, vif: Option<&str>) -> Port {
        let mut port = Port::new(Uuid::from_u128(n), NODE, "52:54:00:00:00:01", Timestamp::UNIX_EPOCH);
        port.pxe_enabled = pxe;
        port.portgroup_uuid = group.map(Uuid::from_u128);
        port.internal_info.extend(vif.map(|vif| (KEY.to_owned(), vif.into())));
        port
    }

    fn group(n: u128, vif: Option<&str>) -> Portgroup {
        let mut group = Portgroup::new(Uuid::from_u128(n), NODE, Timestamp::UNIX_EPOCH);
        group.internal_info.extend(vif.map(|vif| (KEY.to_owned(), vif.into())));
        group
    }

    fn any(ports: &[Port], groups: &[Portgroup]) -> Result<Place, PartError> {
        choose("v", Wanted::Any, ports, groups)
    }

    #[test]
    fn groups_come_first_then_ports_that_boot_then_others() {
        let on_port = |n| Ok(Place::Port(Uuid::from_u128(n)));
        let on_group = |n| Ok(Place::Portgroup(Uuid::from_u128(n)));
        let (plain, boots, member) = (port(1, false, None, None), port(2, true, None, None), port(3, true, Some(9), None));
        assert_eq!(any(&[plain.clone(), boots.clone(), member.clone()], &[group(9, None)]), on_group(9));
        assert_eq!(any(&[plain.clone(), boots], &[group(9, None)]), on_port(2));
        assert_eq!(any(&[plain], &[]), on_port(1));
        // A group with a port in use is none, its other ports are places.
        let ports = [port(3, true, Some(9), Some("w")), port(4, false, Some(9), None)];
        assert_eq!(any(&ports, &[group(9, None)]), on_port(4));
        // A group in use takes its ports with it.
        assert!(matches!(any(std::slice::from_ref(&member), &[group(9, Some("w"))]), Err(PartError::Invalid(_))));
        assert_eq!(choose("v", Wanted::Port(member.uuid), std::slice::from_ref(&member), &[group(9, None)]), on_port(3));
        assert_eq!(choose("v", Wanted::Portgroup(Uuid::from_u128(9)), &[member], &[group(9, None)]), on_group(9));
    }

    #[test]
    fn a_vif_is_attached_once_and_only_where_there_is_place() {
        let taken = [port(1, true, None, Some("v"))];
        assert!(matches!(any(&taken, &[]), Err(PartError::Conflict(text)) if text.contains("already attached to Ironic Port")));
        assert!(matches!(any(&[], &[group(9, Some("v"))]), Err(PartError::Conflict(text)) if text.contains("Ironic Portgroup")));
        for wanted in [Wanted::Any, Wanted::Port(Uuid::from_u128(1)), Wanted::Portgroup(Uuid::from_u128(7))] {
            let refused = choose("w", wanted, &taken, &[]);
            assert_eq!(refused, Err(PartError::Invalid("Unable to attach VIF w, not enough free physical ports.".into())));
        }
    }
}
