//! Breakers: when operations fail one after the other because of one image server, one network of controllers or one driver, no
//! new ones are started on it. They wait in the queue, and one at a time is let through to see whether it works again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wrought_domain::{DriverName, Node, NodeId, OperationId};
use wrought_engine::{Advance, Event, Lifecycle, Operation, Returned};

use crate::chain::chosen_by;
use crate::queue::Lane;

/// For how long a failure is held against what it was blamed on.
const MEMORY: SignedDuration = SignedDuration::from_hours(1);

/// Dependencies that are remembered; the oldest is forgotten first.
const MAX_REMEMBERED: usize = 10_000;

/// What many nodes depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Dependency {
    /// The server of an image: host and port.
    ImageHost(String),
    /// Controllers that are near each other: a /24, a /64, or a name without its first label.
    BmcNetwork(String),
    /// A driver, whatever its version.
    Driver(DriverName),
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageHost(host) => write!(f, "image server {host}"),
            Self::BmcNetwork(network) => write!(f, "controllers in {network}"),
            Self::Driver(name) => write!(f, "driver {name}"),
        }
    }
}

/// What is known of one.
#[derive(Debug, Clone)]
struct Health {
    /// The nodes that failed because of it since it worked for the last time, each with its latest failure: one node that fails over
    /// and over says little about what others depend on.
    failures: Vec<(NodeId, Timestamp)>,
    /// The operation that was let through to see whether it works again.
    probe: Option<OperationId>,
}

impl Health {
    fn failed_at(&self) -> Timestamp {
        self.failures.iter().map(|(_, at)| *at).max().unwrap_or(Timestamp::MIN)
    }
}

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    /// Nodes that failed without a success in between; 0 never.
    pub(crate) failures: u32,
    /// Seconds from the last failure until it is tried again.
    pub(crate) pause_s: u32,
}

/// The health of everything that operations depend on.
pub(crate) struct Breakers {
    thresholds: Thresholds,
    known: Mutex<HashMap<Dependency, Health>>,
}

impl Breakers {
    pub(crate) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, known: Mutex::default() }
    }

    /// Whether an operation may start. While something is tried again, only the operation that tries it may.
    pub(crate) fn may(&self, depends_on: &[Dependency], operation: OperationId, now: Timestamp) -> bool {
        let known = self.known();
        known.is_empty() || depends_on.iter().all(|dependency| known.get(dependency).is_none_or(|health| self.lets(health, operation, now)))
    }

    /// An operation that may start does: what it depends on and what fails is tried by it alone.
    pub(crate) fn begins(&self, depends_on: &[Dependency], operation: OperationId) {
        let mut known = self.known();
        for dependency in depends_on {
            if let Some(health) = known.get_mut(dependency).filter(|health| self.is_open(health)) {
                health.probe = Some(operation);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Dependency, Health>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self, health: &Health) -> bool {
        self.thresholds.failures > 0 && health.failures.len() >= usize::try_from(self.thresholds.failures).unwrap_or(usize::MAX)
    }

    fn lets(&self, health: &Health, operation: OperationId, now: Timestamp) -> bool {
        if !self.is_open(health) {
            return true;
        }
        match health.probe {
            Some(probe) => probe == operation,
            None => now >= self.again_at(health),
        }
    }

    fn again_at(&self, health: &Health) -> Timestamp {
        let pause = SignedDuration::from_secs(i64::from(self.thresholds.pause_s));
        health.failed_at().checked_add(pause).unwrap_or(Timestamp::MAX)
    }

    /// What of these is failing, for people.
    pub(crate) fn failing(&self, depends_on: &[Dependency], now: Timestamp) -> Vec<String> {
        let known = self.known();
        let open =
            depends_on.iter().filter_map(|dependency| Some((dependency, known.get(dependency).filter(|health| self.is_open(health))?)));
        open.map(|(dependency, health)| {
            let again = match health.probe {
                Some(_) => "one operation is trying whether it works again".to_owned(),
                None if now >= self.again_at(health) => "it is tried again now".to_owned(),
                None => format!("it is tried again at {:.0}", self.again_at(health)),
            };
            format!("{dependency}: {} nodes in a row failed because of it; {again}", health.failures.len())
        })
        .collect()
    }

    fn failed(&self, dependency: Dependency, node: NodeId, now: Timestamp) {
        let mut known = self.known();
        if known.len() >= MAX_REMEMBERED && !known.contains_key(&dependency) {
            let oldest = known.iter().min_by_key(|(_, health)| health.failed_at()).map(|(dependency, _)| dependency.clone());
            oldest.map(|oldest| known.remove(&oldest));
        }
        let health = known.entry(dependency.clone()).or_insert(Health { failures: Vec::new(), probe: None });
        let was_open = self.is_open(health);
        let forgotten = now.checked_sub(MEMORY).unwrap_or(Timestamp::MIN);
        health.failures.retain(|(other, at)| *other != node && *at > forgotten);
        // More than it takes need not be remembered.
        if was_open && self.is_open(health) {
            health.failures.remove(0);
        }
        health.failures.push((node, now));
        health.probe = None;
        if self.is_open(health) && !was_open {
            tracing::warn!(%dependency, nodes = health.failures.len(), "no new operations are started on it for a while");
        }
    }

    fn succeeded(&self, depends_on: &[Dependency]) {
        let mut known = self.known();
        for dependency in depends_on {
            if let Some(health) = known.remove(dependency)
                && self.is_open(&health)
            {
                tracing::info!(%dependency, "it works again");
            }
        }
    }

    /// An operation is over without having told anything about what it depends on.
    pub(crate) fn tried(&self, operation: OperationId) {
        let mut known = self.known();
        for health in known.values_mut().filter(|health| health.probe == Some(operation)) {
            health.probe = None;
        }
    }

    /// Learns from what became of an operation.
    pub(crate) fn learn(&self, before: &Lifecycle, advance: &Advance, event: &Event, now: Timestamp) {
        // What is not held back itself does not hold others back.
        let Some(operation) = before.operation.as_ref().filter(|operation| Lane::of(operation.kind).is_some()) else { return };
        let began_to_fail = operation.failure.is_none()
            && (advance.failed.is_some() || advance.next.operation.as_ref().is_some_and(|operation| operation.failure.is_some()));
        if began_to_fail && let Some(dependency) = blamed(operation, &before.node, event) {
            self.failed(dependency, before.node.uuid, now);
        }
        if advance.next.operation.is_none() {
            // What hardly asked anything of them tells nothing about them.
            if advance.failed.is_none() && operation.calls > 0 {
                self.succeeded(&dependencies(&before.node, operation.drivers.iter().map(|pin| pin.name.clone())));
            }
            self.tried(operation.id);
        }
    }
}

/// What says of a controller that it does not answer, or not as it should; not what it says of one machine or one account.
const UNREACHABLE: [&str; 10] = [
    "redfish.Unreachable",
    "redfish.Deadline",
    "redfish.AnswerLost",
    "redfish.TlsRefused",
    "redfish.Busy",
    "redfish.GeneralError",
    // Of the base registry (DSP0268).
    "redfish.InternalError",
    "redfish.ServiceInUnknownState",
    "redfish.ServiceShuttingDown",
    "redfish.ServiceTemporarilyUnavailable",
];

/// What a failure is blamed on, as far as others depend on it.
fn blamed(operation: &Operation, node: &Node, event: &Event) -> Option<Dependency> {
    let driver = || {
        let by = operation.current().and_then(|step| step.offered_by.clone());
        let role = operation.phase.function().map_or("deploy", chosen_by);
        let serving = || operation.drivers.iter().find(|pin| pin.interfaces.iter().any(|interface| interface == role));
        by.or_else(|| serving().map(|pin| pin.name.clone())).map(Dependency::Driver)
    };
    match event {
        Event::Returned(Returned::Fault(_)) => driver(),
        // What it says of one image is that image's fault; that nobody answers is the server's.
        Event::Returned(Returned::Refused(error)) if ["image.Unreachable", "image.TlsRefused"].contains(&error.code.as_str()) => {
            image_host(node).map(Dependency::ImageHost)
        }
        Event::Returned(Returned::Refused(error)) if UNREACHABLE.contains(&error.code.as_str()) => {
            bmc_network(node).map(Dependency::BmcNetwork)
        }
        _ => None,
    }
}

/// What an operation on a node depends on.
pub(crate) fn dependencies(node: &Node, drivers: impl IntoIterator<Item = DriverName>) -> Vec<Dependency> {
    let hosts = image_host(node).map(Dependency::ImageHost).into_iter().chain(bmc_network(node).map(Dependency::BmcNetwork));
    hosts.chain(drivers.into_iter().map(Dependency::Driver)).collect()
}

fn image_host(node: &Node) -> Option<String> {
    let source = node.instance_info.get("image_source").and_then(Value::as_str)?;
    let url = url::Url::parse(source).ok()?;
    let host = url.host_str()?;
    Some(match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

fn bmc_network(node: &Node) -> Option<String> {
    let address = node.driver_info.get("redfish_address").and_then(Value::as_str)?;
    let with_scheme = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let url = url::Url::parse(&with_scheme).ok()?;
    Some(match url.host()? {
        url::Host::Ipv4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        url::Host::Ipv6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        url::Host::Domain(name) => name.split_once('.').map_or(name, |(_, domain)| domain).to_owned(),
    })
}
