//! `wrought demo`: a host and a simulated fleet, as two child processes of this one, and everything that an operator would do with them,
//! over HTTP only: enrol, deploy, swap the driver under way, undeploy, clean.

mod child;
mod fleet;
mod progress;
mod story;
mod summary;
mod variant;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;

use crate::{UsageError, logging, output, shutdown};
use child::Child;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6385);
/// What the host must be told to work with a fleet on its own loopback address.
const HOST_CONFIG: &str = "[image]\nallow_loopback = true\n";

#[derive(Debug, Args)]
pub struct Demo {
    /// How many servers
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    nodes: u32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Address of the host's API, reachable while the demo runs [default: 127.0.0.1:6385, or a free port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Keep the host's data and the logs in this new or empty folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Seconds that a server takes to boot, to write an image, and for a clean step; the last one given stands for those that follow
    #[arg(long, value_name = "SECONDS", num_args = 1..=3, default_values_t = [1.0, 1.0, 0.5])]
    delay: Vec<f64>,
}

impl Demo {
    pub async fn run(self, verbose: u8) -> anyhow::Result<()> {
        logging::start("warn", verbose, crate::config::LogFormat::Text)?;
        let interrupted = shutdown::requested()?;
        // Dropped last: the folder goes when both children are gone.
        let folder = Folder::new(self.data.as_deref())?;
        let mut children = Children::default();
        let played = tokio::select! {
            result = self.play(folder.path(), &mut children) => Some(result),
            () = interrupted => None,
        };
        let result = match played {
            Some(result) => result.map_err(|error| children.explain(error)),
            None => Err(anyhow::anyhow!("interrupted")),
        };
        children.stop().await;
        let summary = result?;
        if self.json { output::say(&serde_json::to_string(&summary.as_json())?) } else { output::say(&summary.to_string()) }
    }

    async fn play(&self, folder: &Path, children: &mut Children) -> anyhow::Result<summary::Summary> {
        let listen = self.listen().await?;
        let config = folder.join("wrought.toml");
        std::fs::write(&config, HOST_CONFIG).with_context(|| format!("writing {}", config.display()))?;
        let [config, data] = [config, folder.join("host")].map(|path| path.into_os_string());

        let mut serve = vec!["serve".into(), "--listen".into(), listen.to_string().into()];
        serve.extend(["--config".into(), config, "--data".into(), data, "--log".into(), "info".into()]);
        let host = children.host.insert(Child::start("host", serve, folder)?);
        let host_url = host.ready().await?;

        let [boot, write, clean] = self.delays();
        let mut simulator: Vec<_> =
            ["simulator", "--listen", "127.0.0.1:0", "--log", "info", "--api-url", &host_url].map(Into::into).to_vec();
        for (flag, value) in [
            ("--nodes", self.nodes.to_string()),
            ("--boot-delay", boot.to_string()),
            ("--write-delay", write.to_string()),
            ("--clean-delay", clean.to_string()),
        ] {
            simulator.extend([flag.into(), value.into()]);
        }
        let simulator = children.simulator.insert(Child::start("simulator", simulator, folder)?);
        let simulator_url = simulator.ready().await?;

        output::complain(&format!("{} simulated servers; the host is at {host_url} meanwhile", self.nodes));
        let story = story::Story::new(&host_url, &simulator_url, self.nodes)?;
        tokio::select! {
            summary = story.play() => summary,
            gone = host.gone() => Err(gone),
            gone = simulator.gone() => Err(gone),
        }
    }

    /// The address asked for; the default one only if it is free.
    async fn listen(&self) -> anyhow::Result<SocketAddr> {
        if let Some(address) = self.listen {
            return Ok(address);
        }
        if TcpListener::bind(DEFAULT_LISTEN).await.is_ok() {
            return Ok(DEFAULT_LISTEN);
        }
        output::complain(&format!("{DEFAULT_LISTEN} is taken, so the host listens on a free port"));
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    fn delays(&self) -> [f64; 3] {
        let mut last = 1.0;
        [0, 1, 2].map(|index| {
            last = self.delay.get(index).copied().unwrap_or(last);
            last
        })
    }
}

/// Where a demo keeps its files.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn new(kept: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = kept else {
            return Ok(Self::Temporary(tempfile::Builder::new().prefix("wrought-demo-").tempdir().context("making a temporary folder")?));
        };
        std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        if path.read_dir().with_context(|| format!("reading {}", path.display()))?.next().is_some() {
            return Err(UsageError(format!("--data {}: use a new or an empty folder", path.display())).into());
        }
        Ok(Self::Kept(path.canonicalize()?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

#[derive(Default)]
struct Children {
    host: Option<Child>,
    simulator: Option<Child>,
}

impl Children {
    /// Adds what the children logged last, because their logs may go with the temporary folder.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let logs: String = self.host.iter().chain(&self.simulator).map(Child::last_words).collect();
        if logs.is_empty() { error } else { anyhow::anyhow!("{error:#}\n{logs}") }
    }

    async fn stop(self) {
        let stop = |child: Option<Child>| async move {
            if let Some(child) = child {
                child.stop().await;
            }
        };
        // Agents talk to the host, so that the simulator may go first or at the same time, but the host must not wait for it.
        tokio::join!(stop(self.host), stop(self.simulator));
    }
}
