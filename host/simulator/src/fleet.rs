//! The fleet: all nodes, the one listener of their BMCs, and the end of everything.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::http::{self, Site};
use crate::images::Images;
use crate::node::{Counts, Faults, Node, NodeView};
use crate::options::{Options, Timing};
use crate::redfish::{PushedFile, Sessions, Tasks, Updates};
use crate::{control, images, redfish};

const BMC_CONNECTIONS: usize = 8192;
const STOP_PATIENCE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a fleet could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option has a value that makes no sense.
    #[error("--{flag} {value}: use {accepted}")]
    Option {
        /// The flag without dashes.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        accepted: String,
    },
    /// The address is taken or not ours.
    #[error("listening on {address}: choose another --listen address")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS for the agents' own requests could not be set up.
    #[error("setting up TLS for requests to the API")]
    Tls(#[from] rustls::Error),
    /// The HTTP client of the agents could not be made.
    #[error("making the agents' HTTP client")]
    Client(#[from] reqwest::Error),
}

/// How to reach one node's BMC.
#[derive(Debug, Clone, Serialize)]
pub struct NodeInfo {
    /// Position in the fleet, from 0.
    pub index: usize,
    /// Id of the Redfish system.
    pub system_id: Uuid,
    /// Path of the Redfish system, for `redfish_system_id`.
    pub system_path: String,
    /// MAC address, for the node's port.
    pub mac: String,
    /// Account of the BMC.
    pub username: String,
    /// Its password.
    pub password: String,
}

/// What all nodes share.
pub(crate) struct Shared {
    pub options: Options,
    pub timing: Timing,
    pub nodes: Vec<Arc<Node>>,
    by_id: HashMap<Uuid, usize>,
    pub sessions: Sessions,
    pub redfish_tasks: Tasks,
    pub updates: Updates,
    pub images: Images,
    /// The one client of all agents.
    pub client: reqwest::Client,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

impl Shared {
    /// Runs `work` until it ends or the fleet does.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// The node whose system, manager or chassis has this id.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Node>> {
        self.by_id.get(&Uuid::parse_str(id).ok()?).and_then(|&index| self.nodes.get(index))
    }

    pub fn base_url(address: SocketAddr) -> String {
        format!("http://{address}")
    }
}

/// A running fleet. Dropping it ends all its listeners, agents and tasks.
pub struct Fleet {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Fleet {
    /// Makes the nodes, all off, and listens.
    ///
    /// # Errors
    /// [`StartError`] for options without sense and for an address that cannot be listened on.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let timing = options.timing()?;
        let nodes: Vec<_> = (0..options.node_count()?).map(|index| Arc::new(Node::new(options.seed, index))).collect();
        let by_id = nodes.iter().map(|node| (node.id, node.index)).collect();
        let listen = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared {
            timing,
            nodes,
            by_id,
            sessions: Sessions::new(options.max_sessions),
            redfish_tasks: Tasks::default(),
            updates: Updates::default(),
            images: Images::new(options.image_size),
            client: client()?,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            options,
        });
        let router = Router::new().merge(redfish::router(&shared)).merge(images::router(&shared)).merge(control::router(&shared));
        shared.tasks.spawn(http::serve(Site {
            listener,
            tls: None,
            router,
            connections: BMC_CONNECTIONS,
            stop: shared.stop.clone(),
            tasks: shared.tasks.clone(),
        }));
        tracing::info!(%address, nodes = shared.nodes.len(), "fleet ready");
        Ok(Self { shared, address })
    }

    /// `http://address:port` of the BMCs, the images and the control API.
    pub fn url(&self) -> String {
        Shared::base_url(self.address)
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How to reach each node's BMC.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let options = &self.shared.options;
        let info = |node: &Arc<Node>| NodeInfo {
            index: node.index,
            system_id: node.id,
            system_path: node.system_path(),
            mac: node.mac.clone(),
            username: options.username.clone(),
            password: options.password.clone(),
        };
        self.shared.nodes.iter().map(info).collect()
    }

    /// What happened to node `index`; `None` if there is no such node.
    pub fn counts(&self, index: usize) -> Option<Counts> {
        self.shared.nodes.get(index).map(|node| node.counts())
    }

    /// All there is to see of node `index`; `None` if there is no such node.
    pub fn node(&self, index: usize) -> Option<NodeView> {
        self.shared.nodes.get(index).map(|node| node.view())
    }

    /// Makes things go wrong with node `index` from now on; `false` if there is no such node.
    pub fn set_faults(&self, index: usize, faults: Faults) -> bool {
        self.shared.nodes.get(index).is_some_and(|node| {
            node.lock().faults = faults;
            true
        })
    }

    /// Has the agent of node `index` start anew, with all commands forgotten; `false` if none serves.
    pub fn restart_agent(&self, index: usize) -> bool {
        let agent = self.shared.nodes.get(index).and_then(|node| node.agent());
        agent.inspect(|agent| agent.start_anew()).is_some()
    }

    /// The files that were pushed to the update service, 64 at most.
    pub fn pushed_files(&self) -> Vec<PushedFile> {
        self.shared.updates.files()
    }

    /// Files that are being pushed now.
    pub fn arriving_files(&self) -> usize {
        self.shared.updates.arriving()
    }

    /// While held, the update service reads nothing of what is pushed to it.
    pub fn hold_updates(&self, held: bool) {
        self.shared.updates.hold(held);
    }

    /// Sets all counts of all nodes to zero.
    pub fn reset_counts(&self) {
        for node in &self.shared.nodes {
            node.count(|counts| *counts = Counts::default());
        }
    }

    /// Ends everything and waits for it, 5 s at most.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.shared.tasks.len(), "fleet stopped with tasks still at work");
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Runs a fleet until `shutdown`, for the command line: prints one line to standard output when ready.
///
/// # Errors
/// As [`Fleet::start`], or if standard output is closed.
pub async fn run(options: Options, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    use std::io::Write;

    let json = options.json;
    let fleet = Fleet::start(options).await?;
    let (url, nodes) = (fleet.url(), fleet.shared.nodes.len());
    let line = if json {
        serde_json::json!({ "listen": fleet.address().to_string(), "url": url, "nodes": nodes }).to_string()
    } else {
        format!("{nodes} simulated servers: Redfish at {url}/redfish/v1/, images at {url}/images/, control at {url}/simulator/v1/nodes")
    };
    writeln!(std::io::stdout(), "{line}")?;
    shutdown.await;
    fleet.stop().await;
    Ok(())
}

/// One client for all agents: its own crypto provider, no proxies, no endless waits.
fn client() -> Result<reqwest::Client, StartError> {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(Duration::from_secs(30))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(32)
        .build()?;
    Ok(client)
}
