//! The life of one agent: from the ramdisk's boot until its server loses power.
//!
//! ```text
//! boot delay -> findings posted -> GET {api}/ -> lookup, again and again -> own certificate and listener -> heartbeats, commands -> cut off
//! ```
//!
//! Everything runs under the token `stop` of one [`Life`](crate::node::Life): cancelling it is pulling the plug.

mod api;
mod commands;
mod image;
mod ironic;
mod steps;
mod tls;
mod work;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fleet::Shared;
use crate::hardware;
use crate::http::{self, Site};
use crate::node::{self, AgentStage, Node};
use commands::CommandLog;
use ironic::{AskError, Found, Heartbeat, Ironic, Version};

/// The version that the agents say they are.
pub(crate) const VERSION: &str = "13.0.0";
/// An API of this version or later is told the agent's own certificate.
const AUTO_TLS: Version = Version(1, 68);
/// Tokens shorter than this are no tokens.
const TOKEN_LENGTH: usize = 32;
const HIDDEN_TOKEN: &str = "******";
const CONNECTIONS: usize = 32;
/// How often findings are posted to an API that is busy or absent.
const INSPECTION_ATTEMPTS: usize = 5;

/// A running agent.
pub(crate) struct Agent {
    pub fleet: Arc<Shared>,
    pub node: Arc<Node>,
    pub stop: CancellationToken,
    started: Mutex<Timestamp>,
    /// What callers must show; an agent without one refuses every command.
    pub token: Option<String>,
    pub commands: CommandLog,
    /// Whether an image is on the disk.
    pub written: AtomicBool,
    /// A command ended: the host wants to know.
    pub heartbeat_now: Notify,
}

impl Agent {
    /// When its process started.
    pub fn started(&self) -> Timestamp {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its process starts anew and has forgotten all commands. Address, certificate and token stay.
    pub fn start_anew(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Timestamp::now();
        self.commands.forget();
    }
}

/// Boots a ramdisk on `node` and runs its agent until `stop`.
pub(crate) async fn live(fleet: Arc<Shared>, node: Arc<Node>, stop: CancellationToken) {
    let life = stop.clone();
    life.run_until_cancelled(run(fleet, node, stop)).await;
}

async fn run(fleet: Arc<Shared>, node: Arc<Node>, stop: CancellationToken) {
    tokio::time::sleep(fleet.timing.boot).await;
    let boots = {
        let mut inner = node.lock();
        inner.counts.agent_boots += 1;
        inner.counts.agent_boots
    };
    let mut rng = node::rng(fleet.options.seed, node.index, boots);
    let ironic = Ironic::new(&fleet.client, &fleet.options.api_url);
    node.set_stage(&stop, AgentStage::LookingUp);
    let inspected = inspect(&fleet, &node, &ironic, &mut rng).await;
    let Some(found) = look_up(&fleet, &node, &ironic, inspected.as_deref(), &mut rng).await else {
        tracing::warn!(node = node.index, "agent found no node and gives up");
        return node.set_stage(&stop, AgentStage::GaveUp);
    };
    let token = match found.token.as_deref() {
        Some(token) if token.len() >= TOKEN_LENGTH => found.token,
        // Somebody else has the token: the real agent stops its API and waits for the end.
        Some(HIDDEN_TOKEN) => {
            tracing::warn!(node = node.index, "agent was refused a token and locks itself down");
            return node.set_stage(&stop, AgentStage::LockedDown);
        }
        _ => None,
    };
    if let Err(error) = serve(Arc::clone(&fleet), node, stop, ironic, Found { token, ..found }, rng).await {
        tracing::error!(%error, "agent cannot serve");
    }
}

/// Posts what there is on the machine. As with a real agent, a failure leads to the lookup; a busy or absent API is asked again.
async fn inspect(fleet: &Shared, node: &Node, ironic: &Ironic<'_>, rng: &mut StdRng) -> Option<String> {
    let faults = node.lock().faults.clone();
    if !fleet.options.inspection || faults.silent_inspection {
        return None;
    }
    let mut findings = hardware::inspection(node);
    if let Some(map) = findings.as_object_mut() {
        map.extend(faults.findings);
    }
    for _ in 0..INSPECTION_ATTEMPTS {
        node.count(|counts| counts.inspections += 1);
        match ironic.inspect(&findings).await {
            Ok(uuid) => return Some(uuid),
            Err(AskError::Status(status)) if status.is_client_error() && status != StatusCode::CONFLICT => return None,
            Err(error) => tracing::debug!(node = node.index, %error, "inspection"),
        }
        // A real agent waits 5 to 30 s here, and 1 s and more between lookups.
        tokio::time::sleep(fleet.timing.lookup_retry.mul_f64(rng.random_range(10.0..20.0))).await;
    }
    None
}

async fn look_up(fleet: &Shared, node: &Node, ironic: &Ironic<'_>, inspected: Option<&str>, rng: &mut StdRng) -> Option<Found> {
    let deadline = Instant::now() + fleet.timing.lookup_timeout;
    let mut wait = fleet.timing.lookup_retry;
    loop {
        node.count(|counts| counts.lookups += 1);
        match ironic.look_up(&node.mac, inspected).await {
            Ok(found) => return Some(found),
            Err(error) => tracing::debug!(node = node.index, %error, "lookup"),
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(wait.mul_f64(rng.random_range(0.5..1.0))).await;
        wait = (wait * 2).min(fleet.timing.lookup_retry * 20);
    }
}

async fn serve(
    fleet: Arc<Shared>,
    node: Arc<Node>,
    stop: CancellationToken,
    ironic: Ironic<'_>,
    found: Found,
    mut rng: StdRng,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let address = listener.local_addr()?;
    let identity = if fleet.options.tls_agents && ironic.version().await >= AUTO_TLS { Some(tls::identity(address.ip())?) } else { None };
    let (tls, verify_ca) = identity.map(|identity| (identity.acceptor, identity.certificate_pem)).unzip();
    let heartbeat = Heartbeat {
        node_uuid: found.node_uuid,
        callback_url: format!("{}://{address}", if verify_ca.is_some() { "https" } else { "http" }),
        token: found.token.clone(),
        verify_ca,
    };
    let agent = Arc::new(Agent {
        fleet: Arc::clone(&fleet),
        node: Arc::clone(&node),
        stop: stop.clone(),
        started: Mutex::new(Timestamp::now()),
        token: found.token,
        commands: CommandLog::default(),
        written: AtomicBool::new(false),
        heartbeat_now: Notify::new(),
    });
    let router = api::router(Arc::clone(&agent));
    let tasks = fleet.tasks.clone();
    fleet.tasks.spawn(http::serve(Site { listener, tls, router, connections: CONNECTIONS, stop: stop.clone(), tasks }));
    node.set_agent(&stop, &agent);
    heartbeats(&agent, &ironic, &heartbeat, found.heartbeat_timeout, &mut rng).await;
    Ok(())
}

/// At once, then at a random part of the timeout, sooner when a command ends; never stops by itself.
async fn heartbeats(agent: &Agent, ironic: &Ironic<'_>, heartbeat: &Heartbeat, timeout: Duration, rng: &mut StdRng) {
    let timing = agent.fleet.timing;
    loop {
        agent.node.count(|counts| counts.heartbeats += 1);
        let sent = ironic.heartbeat(heartbeat).await;
        let wait = match sent {
            Ok(()) => timeout.mul_f64(rng.random_range(0.3..0.6)),
            Err(error) => {
                tracing::debug!(node = agent.node.index, %error, "heartbeat");
                timing.heartbeat_retry.mul_f64(rng.random_range(1.0..2.0))
            }
        };
        let started = Instant::now();
        let _ = tokio::time::timeout(wait, agent.heartbeat_now.notified()).await;
        tokio::time::sleep_until(started + timing.heartbeat_gap.min(wait)).await;
    }
}
