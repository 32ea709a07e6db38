//! A host in this process that is taken away where it stands, and started again on the same data.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use wrought_api::{ApiConfig, Service};
use wrought_conductor::{Clock, Conductor, ConductorConfig, Hardware, Passed, Passing, Setup};
use wrought_drivers::{Catalog, Compiler, DriversConfig, shipped};
use wrought_hardware::{DriverHttpConfig, ImageConfig};
use wrought_storage::{Durability, Store};

use super::Api;

static CATALOG: OnceCell<Arc<Catalog>> = OnceCell::const_new();

/// The driver that tests install to have single effects.
pub fn hostile() -> Vec<u8> {
    shipped::hostile("honest", "6.6.6", "")
}

/// The drivers are compiled once for all hosts: the shipped ones, and [`hostile`].
async fn catalog() -> Arc<Catalog> {
    let open = || async {
        // Outlives the process: what is compiled once serves the next run, too.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drivers");
        let runtime = wrought_drivers::Runtime::new(DriversConfig::default(), Compiler::InProcess).unwrap();
        let catalog = Catalog::open(runtime, &folder).await.unwrap();
        catalog.admit(hostile()).await.unwrap();
        Arc::new(catalog)
    };
    CATALOG.get_or_init(open).await.clone()
}

/// What a host passes.
#[derive(Debug, Clone)]
pub enum Passage {
    /// A host call of a driver.
    Call(Passed),
    /// The beginning or the end of a write.
    Write,
}

/// Is told of what a host passes; it goes on when the answer is ready.
pub type Watch = Arc<dyn Fn(Passage) -> BoxFuture<'static, ()> + Send + Sync>;

/// Where hosts live one after the other: a data folder and an address.
pub struct Place {
    folder: TempDir,
    listener: TcpListener,
    pub api: Api,
}

impl Place {
    pub fn new() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let api = Api::new(&format!("http://{}", listener.local_addr().unwrap()));
        Self { folder: tempfile::tempdir().unwrap(), listener, api }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts a host here.
    pub async fn start(&self, life: Life) -> MortalHost {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (data, listener, catalog) = (self.data(), self.listener.try_clone().unwrap(), catalog().await);
        let started = runtime.spawn(async move {
            let Life { clock, recovery_timeout, watch } = life;
            let store = Store::open(&data, Durability::Normal).await.unwrap();
            let of_writes = watch.clone();
            store.watch(Box::new(move |_| of_writes(Passage::Write)));
            let passing: Passing = Arc::new(move |passed| watch(Passage::Call(passed)));
            let setup = Setup {
                conductor: ConductorConfig { poll_min_ms: 20, poll_max_ms: 200, recovery_timeout, ..ConductorConfig::default() },
                hardware: Hardware {
                    image: ImageConfig { allow_loopback: true, ..ImageConfig::default() },
                    driver_http: DriverHttpConfig { exempt_networks: vec!["127.0.0.0/8".parse().unwrap()], ..DriverHttpConfig::default() },
                    ..Hardware::default()
                },
                clock,
                passing: Some(passing),
                ..Setup::new(store, catalog, data.join("artifacts"))
            };
            let service: Arc<dyn Service> = Arc::new(Conductor::start(setup).await.unwrap());
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = wrought_api::router(service, ApiConfig::default());
            tokio::spawn(wrought_api::serve(listener, router, CancellationToken::new().cancelled_owned()));
        });
        started.await.unwrap();
        MortalHost { runtime: Some(runtime) }
    }
}

/// What differs from one life of a host to the next.
pub struct Life {
    pub clock: Clock,
    /// Seconds.
    pub recovery_timeout: u32,
    pub watch: Watch,
}

impl Life {
    /// As an operator gets it without asking.
    pub fn ordinary(watch: Watch) -> Self {
        Self { clock: Clock::system(), recovery_timeout: ConductorConfig::default().recovery_timeout, watch }
    }
}

/// A host in a runtime of its own, so that it can be taken away as a whole.
pub struct MortalHost {
    runtime: Option<Runtime>,
}

impl MortalHost {
    /// Takes it away where it stands.
    pub async fn vanish(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(10))).await.unwrap();
    }
}

impl Drop for MortalHost {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
