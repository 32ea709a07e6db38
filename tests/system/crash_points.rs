//! The host is stopped before and after every host call and every write, and started again.
//!
//! A run of a flow without a stop counts these moments. Then the flow runs once for each of them: there everything of the
//! host stands still, its runtime is taken away, and another host starts on the same data. The simulated server lives on and counts.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;
use wrought_api::{ApiConfig, Service};
use wrought_conductor::{Clock, Conductor, ConductorConfig, DeployConfig, Hardware, JournalConfig, Passing, Setup};
use wrought_drivers::{Catalog, DriversConfig};
use wrought_hardware::ImageConfig;
use wrought_simulator::{Counts, Fleet};
use wrought_storage::{Durability, Store};

use crate::support::{Api, fleet_options, image_sha256, redfish_node, run};

/// Runs at a time: most of a run is waiting for a simulated machine.
const SIDE_BY_SIDE: usize = 12;

/// No run takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

static CATALOG: OnceCell<Arc<Catalog>> = OnceCell::const_new();

/// The drivers are compiled once for all hosts.
async fn catalog() -> Arc<Catalog> {
    let open = || async {
        let folder = tempfile::tempdir().unwrap().keep();
        let catalog = Catalog::open(wrought_drivers::Runtime::new(DriversConfig::default()).unwrap(), &folder).await.unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        Arc::new(catalog)
    };
    CATALOG.get_or_init(open).await.clone()
}

/// Counts the moments of a flow, and stops everything at one of them.
#[derive(Default)]
struct Stopper {
    armed: AtomicBool,
    passed: AtomicUsize,
    /// The moment, from 1; 0 is none.
    at: AtomicUsize,
    dead: AtomicBool,
    died: Notify,
}

impl Stopper {
    async fn moment(self: Arc<Self>) {
        if self.armed.load(Ordering::SeqCst) {
            let moment = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
            if moment == self.at.load(Ordering::SeqCst) {
                self.dead.store(true, Ordering::SeqCst);
                self.died.notify_one();
            }
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn arm(&self, at: usize) {
        self.at.store(at, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }
}

/// A host in a runtime of its own, so that it can be taken away as a whole.
struct Host {
    runtime: Option<Runtime>,
    stopper: Arc<Stopper>,
}

impl Host {
    async fn start(folder: &Path, listener: &TcpListener, clock: Clock) -> Self {
        let catalog = catalog().await;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stopper = Arc::new(Stopper::default());
        let (folder, listener, watched) = (folder.to_owned(), listener.try_clone().unwrap(), stopper.clone());
        let started = runtime.spawn(async move {
            let store = Store::open(&folder, Durability::Normal).await.unwrap();
            let of_writes = watched.clone();
            store.watch(Box::new(move |_| Box::pin(of_writes.clone().moment())));
            let passing: Passing = Arc::new(move |_| Box::pin(watched.clone().moment()));
            let setup = Setup {
                store,
                catalog,
                conductor: ConductorConfig { poll_min_ms: 20, poll_max_ms: 200, ..ConductorConfig::default() },
                deploy: DeployConfig::default(),
                hardware: Hardware { image: ImageConfig { allow_loopback: true, ..ImageConfig::default() }, ..Hardware::default() },
                journal: JournalConfig::default(),
                clock,
                passing: Some(passing),
            };
            let service: Arc<dyn Service> = Arc::new(Conductor::start(setup).await.unwrap());
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = wrought_api::router(service, ApiConfig::default());
            tokio::spawn(wrought_api::serve(listener, router, CancellationToken::new().cancelled_owned()));
        });
        started.await.unwrap();
        Self { runtime: Some(runtime), stopper }
    }

    /// Takes it away where it stands.
    async fn vanish(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(10))).await.unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is done with a node, from where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Deploy,
    Clean,
    TearDown,
}

impl Flow {
    /// The verbs and states that lead to its beginning.
    fn before(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Flow::Deploy => &[("manage", "manageable"), ("provide", "available")],
            Flow::Clean => &[("manage", "manageable")],
            Flow::TearDown => &[("manage", "manageable"), ("provide", "available"), ("active", "active")],
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Flow::Deploy => "active",
            Flow::Clean => "provide",
            Flow::TearDown => "deleted",
        }
    }

    fn end(self) -> &'static str {
        if self == Flow::Deploy { "active" } else { "available" }
    }
}

/// A server, its node, and the host that is about to be stopped.
struct Run {
    flow: Flow,
    _folder: tempfile::TempDir,
    listener: TcpListener,
    data: std::path::PathBuf,
    fleet: Fleet,
    api: Api,
    uuid: String,
    host: Option<Host>,
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    state: String,
    last_error: Option<String>,
    counts: Counts,
    moments: usize,
    stopped: bool,
}

impl Run {
    async fn new(flow: Flow) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let data = folder.path().join("data");
        let host = Host::start(&data, &listener, Clock::system()).await;
        let api = Api::new(&format!("http://{}", listener.local_addr().unwrap()));
        let mut options = fleet_options(api.url(), 1);
        (options.image_size, options.boot_delay, options.write_delay) = (1 << 16, 0.05, 0.05);
        let fleet = Fleet::start(options).await.unwrap();
        let mut body = redfish_node(&fleet, 0, &image_sha256(&fleet).await);
        // Only what the flow is about is cleaned.
        body["automated_clean"] = (flow == Flow::Clean).into();
        let uuid = api.call(Method::POST, "/v1/nodes", &body).await.ok()["uuid"].as_str().unwrap().to_owned();
        let port = json!({"node_uuid": uuid, "address": fleet.nodes()[0].mac});
        api.call(Method::POST, "/v1/ports", &port).await.ok();
        let run = Self { flow, _folder: folder, listener, data, fleet, api, uuid, host: Some(host) };
        for (verb, state) in flow.before() {
            run.ask(verb).await;
            let node = run.rest().await;
            assert_eq!(node["provision_state"], *state, "{node}");
        }
        if flow == Flow::TearDown {
            // Behind a tear down nodes are cleaned.
            let change = json!([{"op": "replace", "path": "/automated_clean", "value": true}]);
            run.api.call(Method::PATCH, &format!("/v1/nodes/{}", run.uuid), &change).await.ok();
        }
        run.fleet.reset_counts();
        run
    }

    async fn ask(&self, verb: &str) {
        let path = format!("/v1/nodes/{}/states/provision", self.uuid);
        self.api.call(Method::PUT, &path, &json!({ "target": verb })).await.ok();
    }

    /// Waits until nobody holds the node.
    async fn rest(&self) -> Value {
        let began = Instant::now();
        loop {
            let node = self.api.get(&format!("/v1/nodes/{}", self.uuid)).await.ok();
            if node["reservation"].is_null() {
                return node;
            }
            assert!(began.elapsed() < PATIENCE, "the node is stuck: {node}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs the flow, with a stop at a moment (0: none) and a start `later`.
    async fn finish(mut self, at: usize, later: SignedDuration) -> Ended {
        let stopper = self.host.as_ref().unwrap().stopper.clone();
        stopper.arm(at);
        let asking = {
            let (api, path) = (self.api.clone(), format!("/v1/nodes/{}/states/provision", self.uuid));
            let body = json!({ "target": self.flow.verb() });
            // The request that begins the flow may be cut off, too: then it was not granted, or was and nobody was told.
            tokio::spawn(async move { api.try_send(Method::PUT, &path, |request| request.json(&body)).await })
        };
        let watched = async { if asking.await.unwrap().is_ok() { self.rest().await } else { std::future::pending().await } };
        let stopped = tokio::select! {
            _ = watched => false,
            () = stopper.died.notified() => true,
        };
        if stopped {
            self.host.take().unwrap().vanish().await;
            self.host = Some(Host::start(&self.data, &self.listener, Clock::ahead(later)).await);
        }
        let node = self.rest().await;
        let ended = Ended {
            state: node["provision_state"].as_str().unwrap().to_owned(),
            last_error: node["last_error"].as_str().map(str::to_owned),
            counts: self.fleet.counts(0).unwrap(),
            moments: stopper.passed.load(Ordering::SeqCst),
            stopped,
        };
        self.host.take().unwrap().vanish().await;
        ended
    }
}

/// Every moment of a flow.
async fn every_moment(flow: Flow) {
    let uncut = Run::new(flow).await.finish(0, SignedDuration::ZERO).await;
    assert_eq!(uncut.state, flow.end(), "{uncut:?}");
    assert!(uncut.moments > 20, "{uncut:?}");
    let ends: Vec<(usize, Ended)> =
        stream::iter(1..=uncut.moments)
            .map(|at| async move {
                (at, tokio::spawn(async move { Run::new(flow).await.finish(at, SignedDuration::ZERO).await }).await.unwrap())
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
    let mut faults = Vec::new();
    for (at, ended) in &ends {
        if let Some(fault) = fault(flow, &uncut, ended) {
            faults.push(format!("stopped at moment {at} of {}: {fault}: {ended:?}", uncut.moments));
        }
    }
    let stopped = ends.iter().filter(|(_, ended)| ended.stopped).count();
    println!("{flow:?}: {} moments, {stopped} stops, {} faults", uncut.moments, faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(stopped * 10 > uncut.moments * 9, "the runs take the same way: {stopped} of {}", uncut.moments);
}

/// What is wrong with the end of a run.
fn fault(flow: Flow, uncut: &Ended, ended: &Ended) -> Option<&'static str> {
    let (was, is) = (&uncut.counts, &ended.counts);
    if ended.state != flow.end() {
        let not_begun = flow.before().last().is_some_and(|(_, state)| *state == ended.state);
        if not_begun && is.resets == 0 {
            // It was stopped before the request was granted.
            return None;
        }
        let names_its_exit = ended.last_error.as_ref().is_some_and(|error| error.contains("Next: "));
        return Some(if names_its_exit { "it ends in another state" } else { "it ends in another state without an exit" });
    }
    if is.image_writes != was.image_writes {
        return Some("another number of image writes");
    }
    if is.clean_steps != was.clean_steps {
        return Some("another number of clean steps");
    }
    if is.resets > was.resets {
        return Some("more resets");
    }
    if is.media_inserts > was.media_inserts {
        return Some("more media inserted");
    }
    None
}

#[test]
fn a_deployment_goes_on_from_every_moment() {
    run(every_moment(Flow::Deploy));
}

#[test]
fn a_cleaning_goes_on_from_every_moment() {
    run(every_moment(Flow::Clean));
}

#[test]
fn a_tear_down_goes_on_from_every_moment() {
    run(every_moment(Flow::TearDown));
}

#[test]
fn an_hour_without_a_host_lets_nothing_time_out() {
    run(async {
        let later = SignedDuration::from_hours(1);
        let ends: Vec<Ended> = stream::iter(0..100)
            .map(|index| tokio::spawn(async move { Run::new(Flow::Deploy).await.finish(10 + index, later).await }))
            .buffer_unordered(SIDE_BY_SIDE)
            .map(Result::unwrap)
            .collect()
            .await;
        for ended in ends {
            assert_eq!(ended.state, "active", "{ended:?}");
        }
    });
}
