//! Who may do what: one table over all routes.
//!
//! A caller has a role within a scope: everything, or a project. A caller with a project sees the nodes that the project owns or
//! has leased, and what belongs to them; all else does not exist for it (404). What it sees but may not do is refused (403). The
//! rules are those of Ironic's policies, reduced to three roles.

use http::Method;
use wrought_domain::{Node, Principal, Rights, Role};

use crate::errors::Fault;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever reaches the address; no credentials are looked at.
    Public,
    /// Callers without a project and with this role.
    System(Role),
    /// Callers with this role in any scope; the handler shows and changes only what is the caller's.
    Own(Role),
    /// The path is about a node, or about something that belongs to one.
    Node(Rights),
}

const fn node(system: Role, owner: Role, lessee: Option<Role>) -> Access {
    Access::Node(Rights { system, owner, lessee })
}

const READER: Role = Role::Reader;
const MEMBER: Role = Role::Member;
const ADMIN: Role = Role::Admin;

/// Whoever sees the node.
const LOOK: Access = node(READER, READER, Some(READER));
/// Who uses the machine: its owner's members, its lessee's administrators.
pub(crate) const USE: Access = Access::Node(Rights::USE);
/// Who runs the machine: nobody who has only leased it.
const RUN: Access = node(MEMBER, MEMBER, None);
/// The same, but only to look.
const INSPECT: Access = node(READER, READER, None);
/// Who switches it on and off.
const POWER: Access = Access::Node(Rights::POWER);
/// Who sees to how the machine is built and boots.
pub(crate) const MANAGE: Access = node(MEMBER, ADMIN, None);
/// Who decides about the machine.
pub(crate) const OWN: Access = node(ADMIN, ADMIN, None);

/// The decision for each method and path.
#[rustfmt::skip]
const TABLE: &[(Method, &str, Access)] = &[
    // Before anybody is known, and for agents.
    (Method::GET, "/", Access::Public),
    (Method::GET, "/v1", Access::Public),
    (Method::GET, "/openapi.json", Access::Public),
    (Method::GET, "/v1/lookup", Access::Public),
    (Method::POST, "/v1/heartbeat/{node}", Access::Public),
    (Method::POST, "/v1/heartbeat", Access::Public),
    (Method::POST, "/v1/continue_inspection", Access::Public),
    (Method::POST, "/v1/continue_inspection.json", Access::Public),
    (Method::GET, "/wrought/v1/artifacts/{name}/content", Access::Public),

    // Nodes.
    (Method::GET, "/v1/nodes", Access::Own(READER)),
    (Method::POST, "/v1/nodes", Access::Own(ADMIN)),
    (Method::DELETE, "/v1/nodes", Access::Own(ADMIN)),
    (Method::GET, "/v1/nodes/detail", Access::Own(READER)),
    (Method::GET, "/v1/nodes/validate", USE),
    (Method::GET, "/v1/nodes/{node}", LOOK),
    (Method::PATCH, "/v1/nodes/{node}", USE),
    (Method::DELETE, "/v1/nodes/{node}", OWN),
    (Method::GET, "/v1/nodes/{node}/states", LOOK),
    (Method::PUT, "/v1/nodes/{node}/states/provision", USE),
    (Method::PUT, "/v1/nodes/{node}/states/power", POWER),
    (Method::GET, "/v1/nodes/{node}/states/console", RUN),
    (Method::PUT, "/v1/nodes/{node}/states/console", RUN),
    (Method::PUT, "/v1/nodes/{node}/states/raid", RUN),
    (Method::PUT, "/v1/nodes/{node}/states/boot_mode", RUN),
    (Method::PUT, "/v1/nodes/{node}/states/secure_boot", RUN),
    (Method::PUT, "/v1/nodes/{node}/maintenance", USE),
    (Method::DELETE, "/v1/nodes/{node}/maintenance", USE),
    (Method::GET, "/v1/nodes/{node}/validate", USE),
    (Method::GET, "/v1/nodes/{node}/management/boot_device", MANAGE),
    (Method::PUT, "/v1/nodes/{node}/management/boot_device", MANAGE),
    (Method::GET, "/v1/nodes/{node}/management/boot_device/supported", MANAGE),
    (Method::PUT, "/v1/nodes/{node}/management/inject_nmi", MANAGE),
    (Method::GET, "/v1/nodes/{node}/management/indicators", LOOK),
    (Method::GET, "/v1/nodes/{node}/management/indicators/{which}", LOOK),
    (Method::PUT, "/v1/nodes/{node}/management/indicators/{which}", RUN),
    (Method::GET, "/v1/nodes/{node}/management/indicators/{which}/{indicator}", LOOK),
    (Method::PUT, "/v1/nodes/{node}/management/indicators/{which}/{indicator}", RUN),
    (Method::GET, "/v1/nodes/{node}/ports", LOOK),
    (Method::GET, "/v1/nodes/{node}/ports/detail", LOOK),
    (Method::GET, "/v1/nodes/{node}/portgroups", LOOK),
    (Method::GET, "/v1/nodes/{node}/portgroups/detail", LOOK),
    (Method::GET, "/v1/nodes/{node}/volume", LOOK),
    (Method::GET, "/v1/nodes/{node}/volume/connectors", LOOK),
    (Method::GET, "/v1/nodes/{node}/volume/targets", LOOK),
    (Method::GET, "/v1/nodes/{node}/history", INSPECT),
    (Method::GET, "/v1/nodes/{node}/history/{event}", INSPECT),
    (Method::GET, "/v1/nodes/{node}/children", LOOK),
    (Method::GET, "/v1/nodes/{node}/allocation", LOOK),
    (Method::DELETE, "/v1/nodes/{node}/allocation", USE),
    (Method::GET, "/v1/nodes/{node}/inventory", INSPECT),
    (Method::GET, "/v1/nodes/{node}/bios", LOOK),
    (Method::GET, "/v1/nodes/{node}/bios/{setting}", LOOK),
    (Method::GET, "/v1/nodes/{node}/firmware", LOOK),
    (Method::GET, "/v1/nodes/{node}/vmedia", INSPECT),
    (Method::POST, "/v1/nodes/{node}/vmedia", RUN),
    (Method::DELETE, "/v1/nodes/{node}/vmedia", RUN),
    (Method::GET, "/v1/nodes/{node}/vifs", LOOK),
    (Method::POST, "/v1/nodes/{node}/vifs", USE),
    (Method::DELETE, "/v1/nodes/{node}/vifs/{vif}", USE),
    (Method::GET, "/v1/nodes/{node}/vendor_passthru/methods", OWN),
    (Method::GET, "/v1/nodes/{node}/vendor_passthru", Access::System(ADMIN)),
    (Method::POST, "/v1/nodes/{node}/vendor_passthru", Access::System(ADMIN)),
    (Method::PUT, "/v1/nodes/{node}/vendor_passthru", Access::System(ADMIN)),
    (Method::PATCH, "/v1/nodes/{node}/vendor_passthru", Access::System(ADMIN)),
    (Method::DELETE, "/v1/nodes/{node}/vendor_passthru", Access::System(ADMIN)),
    (Method::GET, "/v1/nodes/{node}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::POST, "/v1/nodes/{node}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::PUT, "/v1/nodes/{node}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::PATCH, "/v1/nodes/{node}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::DELETE, "/v1/nodes/{node}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::GET, "/v1/nodes/{node}/traits", LOOK),
    (Method::PUT, "/v1/nodes/{node}/traits", MANAGE),
    (Method::DELETE, "/v1/nodes/{node}/traits", MANAGE),
    (Method::PUT, "/v1/nodes/{node}/traits/{trait}", MANAGE),
    (Method::DELETE, "/v1/nodes/{node}/traits/{trait}", MANAGE),

    // What nodes have.
    (Method::GET, "/v1/ports", Access::Own(READER)),
    (Method::POST, "/v1/ports", OWN),
    (Method::DELETE, "/v1/ports", Access::Own(ADMIN)),
    (Method::GET, "/v1/ports/detail", Access::Own(READER)),
    (Method::GET, "/v1/ports/{port}", LOOK),
    (Method::PATCH, "/v1/ports/{port}", MANAGE),
    (Method::DELETE, "/v1/ports/{port}", OWN),
    (Method::GET, "/v1/portgroups", Access::Own(READER)),
    (Method::POST, "/v1/portgroups", OWN),
    (Method::GET, "/v1/portgroups/detail", Access::Own(READER)),
    (Method::GET, "/v1/portgroups/{portgroup}", LOOK),
    (Method::PATCH, "/v1/portgroups/{portgroup}", MANAGE),
    (Method::DELETE, "/v1/portgroups/{portgroup}", OWN),
    (Method::GET, "/v1/portgroups/{portgroup}/ports", LOOK),
    (Method::GET, "/v1/portgroups/{portgroup}/ports/detail", LOOK),
    (Method::GET, "/v1/volume", Access::Own(READER)),
    (Method::GET, "/v1/volume/connectors", Access::Own(READER)),
    (Method::POST, "/v1/volume/connectors", USE),
    (Method::GET, "/v1/volume/connectors/{connector}", LOOK),
    (Method::PATCH, "/v1/volume/connectors/{connector}", USE),
    (Method::DELETE, "/v1/volume/connectors/{connector}", USE),
    (Method::GET, "/v1/volume/targets", Access::Own(READER)),
    (Method::POST, "/v1/volume/targets", USE),
    (Method::GET, "/v1/volume/targets/{target}", LOOK),
    (Method::PATCH, "/v1/volume/targets/{target}", USE),
    (Method::DELETE, "/v1/volume/targets/{target}", USE),
    (Method::GET, "/v1/allocations", Access::Own(READER)),
    (Method::POST, "/v1/allocations", Access::Own(MEMBER)),
    (Method::GET, "/v1/allocations/{allocation}", Access::Own(READER)),
    (Method::PATCH, "/v1/allocations/{allocation}", Access::Own(MEMBER)),
    (Method::DELETE, "/v1/allocations/{allocation}", Access::Own(MEMBER)),

    // What no project has.
    (Method::GET, "/v1/chassis", Access::System(READER)),
    (Method::POST, "/v1/chassis", Access::System(ADMIN)),
    (Method::GET, "/v1/chassis/detail", Access::System(READER)),
    (Method::GET, "/v1/chassis/{chassis}", Access::System(READER)),
    (Method::PATCH, "/v1/chassis/{chassis}", Access::System(MEMBER)),
    (Method::DELETE, "/v1/chassis/{chassis}", Access::System(ADMIN)),
    (Method::GET, "/v1/chassis/{chassis}/nodes", Access::System(READER)),
    (Method::GET, "/v1/chassis/{chassis}/nodes/detail", Access::System(READER)),
    (Method::POST, "/v1/events", Access::System(ADMIN)),
    (Method::GET, "/v1/shards", Access::System(READER)),
    (Method::GET, "/v1/drivers", Access::System(READER)),
    (Method::GET, "/v1/drivers/{driver}", Access::System(READER)),
    (Method::GET, "/v1/drivers/{driver}/properties", Access::System(READER)),
    (Method::GET, "/v1/drivers/{driver}/raid/logical_disk_properties", Access::System(READER)),
    (Method::GET, "/v1/drivers/{driver}/vendor_passthru/methods", Access::System(READER)),
    (Method::GET, "/v1/drivers/{driver}/vendor_passthru", Access::System(ADMIN)),
    (Method::POST, "/v1/drivers/{driver}/vendor_passthru", Access::System(ADMIN)),
    (Method::PUT, "/v1/drivers/{driver}/vendor_passthru", Access::System(ADMIN)),
    (Method::PATCH, "/v1/drivers/{driver}/vendor_passthru", Access::System(ADMIN)),
    (Method::DELETE, "/v1/drivers/{driver}/vendor_passthru", Access::System(ADMIN)),
    (Method::GET, "/v1/drivers/{driver}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::POST, "/v1/drivers/{driver}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::PUT, "/v1/drivers/{driver}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::PATCH, "/v1/drivers/{driver}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::DELETE, "/v1/drivers/{driver}/vendor_passthru/{method}", Access::System(ADMIN)),
    (Method::GET, "/v1/conductors", Access::System(READER)),
    (Method::GET, "/v1/conductors/{hostname}", Access::System(READER)),
    (Method::GET, "/v1/deploy_templates", Access::System(READER)),
    (Method::POST, "/v1/deploy_templates", Access::System(ADMIN)),
    (Method::GET, "/v1/deploy_templates/{template}", Access::System(READER)),
    (Method::PATCH, "/v1/deploy_templates/{template}", Access::System(ADMIN)),
    (Method::DELETE, "/v1/deploy_templates/{template}", Access::System(ADMIN)),
    (Method::GET, "/v1/inspection_rules", Access::System(READER)),
    (Method::POST, "/v1/inspection_rules", Access::System(ADMIN)),
    (Method::GET, "/v1/inspection_rules/{rule}", Access::System(READER)),
    (Method::PATCH, "/v1/inspection_rules/{rule}", Access::System(ADMIN)),
    (Method::DELETE, "/v1/inspection_rules/{rule}", Access::System(ADMIN)),

    // Runbooks have an owner, or are everybody's to use.
    (Method::GET, "/v1/runbooks", Access::Own(READER)),
    (Method::POST, "/v1/runbooks", Access::Own(MEMBER)),
    (Method::GET, "/v1/runbooks/{runbook}", Access::Own(READER)),
    (Method::PATCH, "/v1/runbooks/{runbook}", Access::Own(MEMBER)),
    (Method::DELETE, "/v1/runbooks/{runbook}", Access::Own(MEMBER)),
    (Method::GET, "/v1/runbooks/{runbook}/traits", Access::Own(READER)),
    (Method::PUT, "/v1/runbooks/{runbook}/traits", Access::Own(MEMBER)),
    (Method::DELETE, "/v1/runbooks/{runbook}/traits", Access::Own(MEMBER)),
    (Method::PUT, "/v1/runbooks/{runbook}/traits/{trait}", Access::Own(MEMBER)),
    (Method::DELETE, "/v1/runbooks/{runbook}/traits/{trait}", Access::Own(MEMBER)),

    // Wrought's own.
    (Method::GET, "/wrought/v1/stats", Access::System(READER)),
    (Method::GET, "/wrought/v1/drivers", Access::System(READER)),
    (Method::GET, "/wrought/v1/drivers/{name}", Access::System(READER)),
    (Method::PUT, "/wrought/v1/drivers/{name}", Access::System(ADMIN)),
    (Method::DELETE, "/wrought/v1/drivers/{name}/versions/{digest}", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/drivers/{name}/limits", Access::System(READER)),
    (Method::PUT, "/wrought/v1/drivers/{name}/limits", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/drivers/{name}/events", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/drivers/{name}/activate", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/drivers/{name}/rollback", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/drivers/{name}/pause", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/drivers/{name}/resume", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/drivers/{name}/grant", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/drivers/{name}/ungrant", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/drivers/{name}/canary", Access::System(ADMIN)),
    (Method::DELETE, "/wrought/v1/drivers/{name}/canary", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/revocations", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/audit", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/artifacts", Access::System(READER)),
    (Method::GET, "/wrought/v1/artifacts/{name}", Access::System(READER)),
    (Method::POST, "/wrought/v1/artifacts/{name}", Access::System(ADMIN)),
    (Method::DELETE, "/wrought/v1/artifacts/{name}", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/locks", Access::System(READER)),
    (Method::DELETE, "/wrought/v1/locks/{name}", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/webhooks", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/events", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/journal", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/journal/{which}", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/journal/{which}/export", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/tokens", Access::System(ADMIN)),
    (Method::POST, "/wrought/v1/tokens", Access::System(ADMIN)),
    (Method::DELETE, "/wrought/v1/tokens/{name}", Access::System(ADMIN)),
    (Method::GET, "/wrought/v1/nodes/{node}/events", INSPECT),
    (Method::GET, "/wrought/v1/nodes/{node}/why", INSPECT),
    (Method::POST, "/wrought/v1/nodes/{node}/retry", USE),
    (Method::POST, "/wrought/v1/nodes/{node}/cancel", USE),
    (Method::POST, "/wrought/v1/nodes/{node}/unlock", Access::System(ADMIN)),
];

/// The decision for a route; nothing for a route that nobody decided about, which is then nobody's.
pub(crate) fn of(method: &Method, path: &str) -> Option<Access> {
    // The router answers HEAD by GET's handler.
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    TABLE.iter().find(|(m, p, _)| m == method && *p == path).map(|(.., access)| *access)
}

impl Access {
    /// What can be said before it is known what the path is about: whether the caller may do this with anything at all.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check(self, who: &Principal) -> Result<(), Fault> {
        let enough = |least: Role| who.role().is_some_and(|role| role >= least);
        let may = match self {
            Self::Public => true,
            Self::System(least) => who.system_role().is_some_and(|role| role >= least),
            Self::Own(least) => enough(least),
            Self::Node(needs) if who.project.is_none() => enough(needs.system),
            // A node that the caller does not see is not there (404), whatever it may do with others.
            Self::Node(_) => enough(Role::Reader),
        };
        if may { Ok(()) } else { Err(forbidden()) }
    }

    /// Whether the caller may do this with this node, which it sees.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_node(self, who: &Principal, node: &Node) -> Result<(), Fault> {
        self.check_parties(who, node.owner.as_deref(), node.lessee.as_deref())
    }

    /// The same of a node of which only its owner and its lessee are known.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_parties(self, who: &Principal, owner: Option<&str>, lessee: Option<&str>) -> Result<(), Fault> {
        let Self::Node(needs) = self else { return self.check(who) };
        if needs.allow(who, owner, lessee) { Ok(()) } else { Err(forbidden()) }
    }
}

fn forbidden() -> Fault {
    Fault::forbidden("Access was denied to the following resource: your role does not allow this.")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_a_decision_and_every_decision_a_route() {
        let routes = crate::all_routes();
        let key = |method: &Method, path: &str| format!("{method} {path}");
        let served: BTreeSet<String> = routes.served().iter().map(|(method, path)| key(method, path)).collect();
        let decided: BTreeSet<String> = TABLE.iter().map(|(method, path, _)| key(method, path)).collect();
        assert_eq!(decided.len(), TABLE.len(), "a route is decided twice");
        assert_eq!(served.difference(&decided).collect::<Vec<_>>(), Vec::<&String>::new(), "nobody decided who may use these");
        assert_eq!(decided.difference(&served).collect::<Vec<_>>(), Vec::<&String>::new(), "these are not served");
    }
}
