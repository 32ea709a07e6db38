//! What the tests share: a host, a fleet, nodes, and waiting for things to come about.

mod api;
mod cli;
mod compiled;
mod component;
mod host;
mod node;
mod outside;
mod steps;
mod stopped;
mod world;

#[path = "../../host/cli/demo/variant.rs"]
mod variant;

use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

pub use api::{Answer, Api};
pub use cli::wrought;
pub use component::{garbles, grows_a_table, only_describes, wants_the_moon};
pub use host::{Host, HostConfig};
pub use node::{DRIVE_TEXT, Node, rests};
pub use outside::Outside;
pub use stopped::{Life, MortalHost, Passage, Place, Watch, hostile};
pub use variant::with_note;
pub use world::{BMC_PASSWORD, Setup, Shared, World, fleet_options, image_sha256, redfish_node};

/// Longer than anything that a test waits for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(15);

/// One for all tests: a fleet that several tests use outlives each of them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nobody else installs a provider");
    // What the fleet does, for whoever looks for the reason of a failure.
    if let Ok(filter) = std::env::var("WROUGHT_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Runs a test.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// Looks again and again until there is something to see.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_patience_ends(look).await.unwrap_or_else(|| panic!("{what}: not after {} s", PATIENCE.as_secs()))
}

async fn until_patience_ends<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(seen) = look().await {
            return Some(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
    None
}
