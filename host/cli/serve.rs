//! `wrought serve`: joins the parts to a host, and ends them in order.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wrought_api::{ApiConfig, Authentication, Server, Service};
use wrought_conductor::{ArtifactsSetup, Clock, Conductor, EventsSetup, Hardware, Setup};
use wrought_drivers::{Catalog, Compiler, Runtime};
use wrought_storage::Store;

use crate::config::{Config, Loaded, LogFormat};
use crate::{COMPILE_DRIVER, UsageError, config, logging, output, shutdown};

/// Requests at hand may be answered within this long after the host was told to stop.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

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
    /// File of the keys that the data is sealed with; better not in the same folder [default: secrets.key in it]
    #[arg(long, env = "WROUGHT_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
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
        let api = loaded.config.api.clone();
        let server = Server::new(&api).map_err(|error| UsageError(error.to_string()))?;
        self.refuse_open_door(&loaded, server.scheme() == "https")?;
        let stop = shutdown::requested_or_orphaned(self.follow_stdin)?;

        let listener = bind("--listen", self.listen).await?;
        let agent_listener = match self.agent_listen {
            Some(address) => Some(bind("--agent-listen", address).await?),
            None => None,
        };
        let address = listener.local_addr()?;
        let agent_address = agent_listener.as_ref().map_or(Ok(address), TcpListener::local_addr)?;
        let public_url = self.public_url(server.scheme(), agent_address)?;
        let data = match &self.data {
            Some(folder) => folder.clone(),
            None => default_data()?,
        };
        make_folder(&data)?;

        let mut config = loaded.config.clone();
        config.database.key_file = self.key_file.clone().or(config.database.key_file);
        refuse_open_keys(&data, &config)?;
        let conductor = start(&data, config, public_url.clone(), vec![address.port(), agent_address.port()])
            .await
            .with_context(|| format!("starting on the data in {}", data.display()))?;
        let service: Arc<dyn Service> = Arc::new(conductor.clone());
        let closing = CancellationToken::new();
        let mut servers = JoinSet::new();
        if let Some(listener) = agent_listener {
            // Agents follow the links of the documents that they are served.
            let for_agents = ApiConfig { public_endpoint: Some(public_url.clone()), ..api.clone() };
            let router = wrought_api::agent_router(Arc::clone(&service), for_agents);
            servers.spawn(server.clone().serve(listener, router, closing.clone().cancelled_owned()));
        }
        servers.spawn(server.clone().serve(listener, wrought_api::router(service, api), closing.clone().cancelled_owned()));
        let scheme = server.scheme();
        let reloading = tokio::spawn(reload(shutdown::reloads()?, server));
        tracing::info!(%address, %agent_address, %public_url, data = %data.display(), "serving");
        self.say_ready(scheme, address, &public_url, &data)?;

        let served = tokio::select! {
            () = stop => Ok(()),
            Some(ended) = servers.join_next() => ended.context("serving the API")?.context("serving the API"),
        };
        tracing::info!("stopping");
        reloading.abort();
        let again = shutdown::requested()?;
        tokio::select! {
            () = close(closing, servers, &conductor) => tracing::info!("stopped"),
            () = again => tracing::warn!("stopped at once; what was under way goes on at the next start"),
        }
        served
    }

    fn say_ready(&self, scheme: &str, address: SocketAddr, public_url: &str, data: &Path) -> anyhow::Result<()> {
        let url = format!("{scheme}://{address}");
        output::say(&if self.json {
            json!({ "listen": address.to_string(), "url": url, "public_url": public_url, "data": data }).to_string()
        } else {
            format!("wrought {}: API at {url}, data in {}", env!("CARGO_PKG_VERSION"), data.display())
        })
    }

    /// Without authentication whoever reaches the port owns the servers: that must be somebody's decision.
    fn refuse_open_door(&self, loaded: &Loaded, tls: bool) -> anyhow::Result<()> {
        let loopback = self.listen.ip().is_loopback();
        if loaded.config.api.auth_strategy != Authentication::Noauth {
            if !tls && !loopback {
                tracing::warn!(
                    listen = %self.listen,
                    "NO TLS: passwords and tokens can be read on their way; set [api] tls_certificate_file and tls_key_file, or have a \
                     proxy before this address speak TLS"
                );
            }
            return Ok(());
        }
        if loopback {
            return Ok(());
        }
        if !loaded.sets("api", "auth_strategy") {
            let text = format!(
                "--listen {}: without authentication everybody who reaches this address owns all servers. Listen on 127.0.0.1, or set [api] \
                 auth_strategy = \"token\" or \"http_basic\"; or, if something else guards the address, say so in the configuration: [api] \
                 auth_strategy = \"noauth\"",
                self.listen
            );
            return Err(UsageError(text).into());
        }
        tracing::warn!(listen = %self.listen, "NO AUTHENTICATION: everybody who reaches this address owns all servers (auth_strategy = \"noauth\")");
        Ok(())
    }

    /// What agents are told.
    fn public_url(&self, scheme: &str, address: SocketAddr) -> anyhow::Result<String> {
        match &self.public_url {
            Some(url) if reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) => {
                Ok(url.trim_end_matches('/').to_owned())
            }
            Some(url) => Err(UsageError(format!("--public-url {url:?}: use a URL such as http://192.0.2.1:6385")).into()),
            None if address.ip().is_unspecified() => {
                let text = format!(
                    "listening on {address}: agents must be told an address that leads here; add --public-url {scheme}://ADDRESS:{}",
                    address.port()
                );
                Err(UsageError(text).into())
            }
            None => Ok(format!("{scheme}://{address}")),
        }
    }
}

/// Users of the API may have any file below a root sent to a controller: the host's own keys are none of them.
fn refuse_open_keys(data: &Path, config: &Config) -> anyhow::Result<()> {
    let key_file = config.database.key_file.clone().unwrap_or_else(|| data.join("secrets.key"));
    for own in [data, &key_file, key_file.parent().unwrap_or(data)] {
        let own = own.canonicalize().unwrap_or_else(|_| own.to_owned());
        let mut roots = config.secrets.file_roots.iter().filter(|root| root.canonicalize().is_ok_and(|root| own.starts_with(root)));
        if let Some(root) = roots.next() {
            let text = format!(
                "[secrets] file_roots: {} holds {}, which users of the API must not reach; name a folder that holds nodes' secrets only",
                root.display(),
                own.display()
            );
            return Err(UsageError(text).into());
        }
    }
    Ok(())
}

/// Opens the store and goes on with what was under way.
async fn start(data: &Path, config: Config, public_url: String, own_ports: Vec<u16>) -> anyhow::Result<Conductor> {
    let store = Store::open_with(data, config.database.durability.into(), config.database.key_file.as_deref()).await?;
    let hardware = Hardware {
        redfish: config.redfish,
        agent: config.agent,
        image: config.image,
        secrets: config.secrets,
        driver_http: config.driver_http,
        own_ports,
    };
    let artifacts = ArtifactsSetup { folder: data.join("artifacts"), public_url, config: config.artifacts };
    let runtime = Runtime::new(config.drivers, Compiler::this_program(COMPILE_DRIVER))?;
    let catalog = Arc::new(Catalog::open(runtime, &data.join("drivers")).await?);
    let (conductor, deploy, cleaning, journal) = (config.conductor, config.deploy, config.cleaning, config.journal);
    let inspection = config.inspection;
    let events = EventsSetup { config: config.events, webhooks: config.webhook };
    Ok(Conductor::start(Setup {
        store,
        catalog,
        conductor,
        deploy,
        cleaning,
        inspection,
        hardware,
        journal,
        artifacts,
        events,
        clock: Clock::system(),
        passing: None,
    })
    .await?)
}

/// Reads the certificate again whenever somebody asks for it.
async fn reload(mut asked: Signal, server: Server) {
    while asked.recv().await.is_some() {
        tracing::info!("reading the TLS certificate again, as SIGHUP asks for");
        server.reload().await;
    }
}

/// No new requests, then no new work; each may end what is under way, for a while.
async fn close(closing: CancellationToken, mut servers: JoinSet<std::io::Result<()>>, conductor: &Conductor) {
    closing.cancel();
    conductor.end_waits();
    let answered = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(ANSWER_PATIENCE, answered).await.is_err() {
        tracing::warn!("some requests are cut off");
    }
    conductor.stop().await;
}

async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}: choose another address with {flag}"))
}

/// Where a service of this user keeps its state. Root's own folder is no place for one.
pub fn default_data() -> anyhow::Result<PathBuf> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    fn serve(flags: &[&str]) -> Serve {
        Line::parse_from([&["serve"], flags].concat()).serve
    }

    fn refused(serve: &Serve, config: &str) -> bool {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let refused = serve.refuse_open_door(&config::load(Some(file.path())).unwrap(), false);
        refused.is_err_and(|error| error.is::<UsageError>())
    }

    #[test]
    fn an_address_for_everybody_needs_a_decision() {
        for open in ["0.0.0.0:6385", "192.0.2.1:6385", "[::]:6385"] {
            let serve = serve(&["--listen", open]);
            assert!(refused(&serve, ""), "{open}");
            assert!(refused(&serve, "[api]\nmax_limit = 5"), "{open}");
            for decided in ["noauth", "token", "http_basic"] {
                assert!(!refused(&serve, &format!("[api]\nauth_strategy = '{decided}'")), "{open}");
            }
        }
        assert!(!refused(&serve(&["--listen", "127.0.0.2:0"]), ""));
        assert!(!refused(&serve(&["--listen", "[::1]:0"]), ""));
    }

    #[test]
    fn the_hosts_own_keys_are_not_below_a_root() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let (data, keys, nodes) = (folder("data"), folder("keys"), folder("nodes"));
        let refused = |root: &Path, key_file: Option<PathBuf>| {
            let mut config = Config::default();
            config.database.key_file = key_file;
            config.secrets.file_roots = vec![root.to_owned()];
            refuse_open_keys(&data, &config).is_err_and(|error| error.is::<UsageError>())
        };
        assert!(refused(dir.path(), None) && refused(&data, None) && refused(&keys, Some(keys.join("wrought.key"))));
        assert!(!refused(&nodes, None) && !refused(&nodes, Some(keys.join("wrought.key"))));
    }

    #[test]
    fn agents_are_told_an_address_that_can_be_reached() {
        let url = |flags: &[&str], address: &str| serve(flags).public_url("http", address.parse().unwrap());
        assert_eq!(url(&[], "127.0.0.1:6385").unwrap(), "http://127.0.0.1:6385");
        assert_eq!(url(&[], "[::1]:6385").unwrap(), "http://[::1]:6385");
        assert_eq!(url(&["--public-url", "https://deploy.example/"], "0.0.0.0:6385").unwrap(), "https://deploy.example");
        assert!(url(&[], "0.0.0.0:6385").unwrap_err().to_string().contains("--public-url http://ADDRESS:6385"));
        for wrong in ["deploy.example", "ftp://deploy.example", "http://"] {
            assert!(url(&["--public-url", wrong], "127.0.0.1:1").is_err(), "{wrong}");
        }
    }
}
