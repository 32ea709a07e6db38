//! `wrought serve`: joins the parts to a host, and ends them in order.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wrought_api::Authentication;

use crate::config::{Loaded, LogFormat};
use crate::{UsageError, config, logging, output, shutdown};

/// What is under way may end within this long after a request to stop; nothing is lost by cutting it off.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct Serve {
    /// Address of the API; port 0 takes a free one
    #[arg(long, env = "WROUGHT_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6385")]
    listen: SocketAddr,
    /// One more address that serves only what agents call, for the provisioning network
    #[arg(long, env = "WROUGHT_AGENT_LISTEN", value_name = "ADDRESS:PORT")]
    agent_listen: Option<SocketAddr>,
    /// URL at which agents reach this host [default: the address listened on]
    #[arg(long, env = "WROUGHT_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Folder of all that is kept [default: /var/lib/wrought for root, else ~/.local/state/wrought]
    #[arg(long, env = "WROUGHT_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file; see `wrought config default`
    #[arg(long, env = "WROUGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log, such as info or info,wrought_drivers=debug
    #[arg(long, env = "WROUGHT_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How to log
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Print one line of JSON when ready
    #[arg(long)]
    json: bool,
    /// End when standard input does
    #[arg(long, hide = true)]
    follow_stdin: bool,
}

impl Serve {
    pub async fn run(self, verbose: u8) -> anyhow::Result<()> {
        let loaded = config::load(self.config.as_deref())?;
        let log = &loaded.config.log;
        logging::start(self.log.as_deref().unwrap_or(&log.filter), verbose, self.log_format.unwrap_or(log.format))?;
        self.refuse_open_door(&loaded)?;
        let stop = shutdown::requested_or_orphaned(self.follow_stdin)?;

        let listener = bind("--listen", self.listen).await?;
        let agent_listener = match self.agent_listen {
            Some(address) => Some(bind("--agent-listen", address).await?),
            None => None,
        };
        let address = listener.local_addr()?;
        let agent_address = agent_listener.as_ref().map_or(Ok(address), TcpListener::local_addr)?;
        let public_url = self.public_url(agent_address)?;
        let data = match &self.data {
            Some(folder) => folder.clone(),
            None => default_data()?,
        };
        make_folder(&data)?;
        let _ = (&loaded, &public_url, listener, agent_listener, stop);
        anyhow::bail!("not wired yet")
    }

    /// Without authentication whoever reaches the port owns the servers: that must be somebody's decision.
    fn refuse_open_door(&self, loaded: &Loaded) -> anyhow::Result<()> {
        let Authentication::Noauth = loaded.config.api.auth_strategy;
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        if !loaded.sets("api", "auth_strategy") {
            let text = format!(
                "--listen {}: without authentication everybody who reaches this address owns all servers. Listen on 127.0.0.1, or, if \
                 something else guards the address, say so in the configuration: [api] auth_strategy = \"noauth\"",
                self.listen
            );
            return Err(UsageError(text).into());
        }
        tracing::warn!(listen = %self.listen, "NO AUTHENTICATION: everybody who reaches this address owns all servers (auth_strategy = \"noauth\")");
        Ok(())
    }

    /// What agents are told.
    fn public_url(&self, address: SocketAddr) -> anyhow::Result<String> {
        match &self.public_url {
            Some(url) if reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) => {
                Ok(url.trim_end_matches('/').to_owned())
            }
            Some(url) => Err(UsageError(format!("--public-url {url:?}: use a URL such as http://192.0.2.1:6385")).into()),
            None if address.ip().is_unspecified() => {
                let text = format!(
                    "listening on {address}: agents must be told an address that leads here; add --public-url http://ADDRESS:{}",
                    address.port()
                );
                Err(UsageError(text).into())
            }
            None => Ok(format!("http://{address}")),
        }
    }
}

async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}: choose another address with {flag}"))
}

/// Where a service of this user keeps its state.
fn default_data() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    match state.or_else(|| home.clone().filter(|home| home != Path::new("/root")).map(|home| home.join(".local/state"))) {
        Some(state) => Ok(state.join("wrought")),
        None if home.is_some() => Ok(PathBuf::from("/var/lib/wrought")),
        None => Err(UsageError("neither HOME nor XDG_STATE_HOME is set: name a folder with --data or WROUGHT_DATA".to_owned()).into()),
    }
}

/// Credentials of controllers lie in there: for nobody else to read.
fn make_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making the data folder {}: choose another with --data or WROUGHT_DATA", folder.display()))
}
