//! Breakers: when operations fail one after the other because of one image server, one network of controllers or one driver, no
//! new ones are started on it. They wait in the queue, and one at a time is let through to see whether it works again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wrought_domain::{DriverName, ErrorKind, Node, OperationId};
use wrought_engine::{Advance, Event, Lifecycle, Operation, Returned};

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
#[derive(Debug, Clone, Copy)]
struct Health {
    /// Failures since the last success.
    failures: u32,
    failed_at: Timestamp,
    /// The operation that was let through to see whether it works again.
    probe: Option<OperationId>,
}

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    /// Failures one after the other; 0 never.
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
    pub(crate) fn allow(&self, depends_on: &[Dependency], operation: OperationId, now: Timestamp) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let free = depends_on.iter().all(|dependency| known.get(dependency).is_none_or(|health| self.lets(health, operation, now)));
        if free {
            for dependency in depends_on {
                if let Some(health) = known.get_mut(dependency).filter(|health| self.is_open(health)) {
                    health.probe = Some(operation);
                }
            }
        }
        free
    }

    fn is_open(&self, health: &Health) -> bool {
        self.thresholds.failures > 0 && health.failures >= self.thresholds.failures
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
        health.failed_at.checked_add(pause).unwrap_or(Timestamp::MAX)
    }

    /// What of these is failing, for people.
    pub(crate) fn failing(&self, depends_on: &[Dependency], now: Timestamp) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let open =
            depends_on.iter().filter_map(|dependency| Some((dependency, known.get(dependency).filter(|health| self.is_open(health))?)));
        open.map(|(dependency, health)| {
            let again = match health.probe {
                Some(_) => "one operation is trying whether it works again".to_owned(),
                None if now >= self.again_at(health) => "it is tried again now".to_owned(),
                None => format!("it is tried again at {:.0}", self.again_at(health)),
            };
            format!("{dependency}: the last {} operations failed because of it; {again}", health.failures)
        })
        .collect()
    }

    fn failed(&self, dependency: Dependency, now: Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED && !known.contains_key(&dependency) {
            let oldest = known.iter().min_by_key(|(_, health)| health.failed_at).map(|(dependency, _)| dependency.clone());
            oldest.map(|oldest| known.remove(&oldest));
        }
        let health = known.entry(dependency.clone()).or_insert(Health { failures: 0, failed_at: now, probe: None });
        let was_open = self.is_open(health);
        (health.failures, health.failed_at, health.probe) = (health.failures.saturating_add(1), now, None);
        if self.is_open(health) && !was_open {
            tracing::warn!(%dependency, failures = health.failures, "no new operations are started on it for a while");
        }
    }

    fn succeeded(&self, depends_on: &[Dependency]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for dependency in depends_on {
            if let Some(health) = known.remove(dependency)
                && self.is_open(&health)
            {
                tracing::info!(%dependency, "it works again");
            }
        }
    }

    /// An operation is over without having told anything about what it depends on.
    fn tried(&self, operation: OperationId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for health in known.values_mut().filter(|health| health.probe == Some(operation)) {
            health.probe = None;
        }
    }

    /// Learns from what became of an operation.
    pub(crate) fn learn(&self, before: &Lifecycle, advance: &Advance, event: &Event, now: Timestamp) {
        let Some(operation) = &before.operation else { return };
        let began_to_fail = operation.failure.is_none()
            && (advance.failed.is_some() || advance.next.operation.as_ref().is_some_and(|operation| operation.failure.is_some()));
        if began_to_fail && let Some(dependency) = blamed(operation, &before.node, event) {
            self.failed(dependency, now);
        }
        if advance.next.operation.is_none() {
            // What hardly asked anything of them tells nothing about them.
            if advance.failed.is_none() && operation.calls > 0 && (operation.kind.deploys() || operation.kind.cleans()) {
                self.succeeded(&dependencies(&before.node, operation.drivers.iter().map(|pin| pin.name.clone())));
            }
            self.tried(operation.id);
        }
    }
}

/// What a failure is blamed on, as far as others depend on it.
fn blamed(operation: &Operation, node: &Node, event: &Event) -> Option<Dependency> {
    let driver = || {
        let by = operation.current().and_then(|step| step.offered_by.clone());
        by.or_else(|| operation.drivers.first().map(|pin| pin.name.clone())).map(Dependency::Driver)
    };
    match event {
        Event::Returned(Returned::Fault(_)) => driver(),
        Event::Returned(Returned::Refused(error)) if error.code.starts_with("image.") => image_host(node).map(Dependency::ImageHost),
        Event::Returned(Returned::Refused(error))
            if error.kind == ErrorKind::PowerFailed || ["redfish.", "bmc.", "power."].iter().any(|of| error.code.starts_with(of)) =>
        {
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
