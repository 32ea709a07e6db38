//! Connections: how many there are, over TLS or not, and how long a client may take to say what it wants.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_rustls::LazyConfigAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::addresses::Addresses;
use crate::auth::{Door, Origin, SetupError};
use crate::config::ApiConfig;
use crate::progress::Progress;
use crate::tls::Tls;

/// Between two looks whether the certificate's files changed.
const LOOK: Duration = Duration::from_secs(2);
/// How long a client may take to begin its TLS handshake.
const HELLO: Duration = Duration::from_secs(5);
/// Out of file descriptors: trying again at once would only burn CPU.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(50);
/// What is kept of a connection before it is handled: headers, and parts of bodies. In bytes.
const BUFFER: usize = 128 << 10;

/// How connections are served. Clones share the certificate.
#[derive(Clone)]
pub struct Server {
    tls: Option<Tls>,
    handshake_timeout: Duration,
    handshakes: Arc<Semaphore>,
    header_timeout: Duration,
    write_timeout: Duration,
    connections: usize,
    of_one_address: u32,
    proxies: Vec<IpNet>,
}

impl Server {
    /// As the configuration wants it, which is checked here wholly: files are read that hold accounts and certificates.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(config: &ApiConfig) -> Result<Self, SetupError> {
        Door::check(config)?;
        let number = |key: &'static str, value: u32| match usize::try_from(value) {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(SetupError::Zero { key }),
        };
        number("tls_handshake_timeout", config.tls_handshake_timeout)?;
        number("header_timeout", config.header_timeout)?;
        number("write_timeout", config.write_timeout)?;
        number("body_timeout", config.body_timeout)?;
        Ok(Self {
            tls: Tls::new(config)?,
            handshake_timeout: Duration::from_secs(config.tls_handshake_timeout.into()),
            handshakes: Arc::new(Semaphore::new(number("tls_max_handshakes", config.tls_max_handshakes)?.min(Semaphore::MAX_PERMITS))),
            header_timeout: Duration::from_secs(config.header_timeout.into()),
            write_timeout: Duration::from_secs(config.write_timeout.into()),
            of_one_address: config.max_connections_per_address,
            proxies: config.trusted_proxies.clone(),
            connections: number("max_connections", config.max_connections)?.min(Semaphore::MAX_PERMITS),
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Reads the certificate again, whether or not its files changed.
    pub async fn reload(&self) {
        self.look(true).await;
    }

    async fn look(&self, always: bool) {
        if let Some(tls) = self.tls.clone()
            && let Err(error) = tokio::task::spawn_blocking(move || tls.reload(always)).await
        {
            tracing::error!(%error, "reading the TLS certificate");
        }
    }

    /// Serves until `shutdown` ends, then finishes the requests at hand. Connections end with this future.
    ///
    /// # Errors
    /// None now: what goes wrong with one connection is that one's.
    pub async fn serve(self, listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send) -> std::io::Result<()> {
        let mut shutdown = pin!(shutdown);
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(self.connections));
        let addresses = Addresses::new(self.of_one_address, &self.proxies);
        let stop = CancellationToken::new();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                _ = look.tick() => {
                    self.look(false).await;
                    continue;
                }
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((place, stream, peer)) => {
                    let Some(of_address) = addresses.take(peer.ip()) else {
                        tracing::debug!(%peer, "too many connections of this address");
                        continue;
                    };
                    let (this, router, stop) = (self.clone(), router.clone(), stop.clone());
                    connections.spawn(async move {
                        this.connection(stream, peer, router, stop).await;
                        drop((place, of_address));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(AFTER_ACCEPT_ERROR).await;
                }
            }
        }
        drop(listener);
        stop.cancel();
        while connections.join_next().await.is_some() {}
        Ok(())
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
        // Answers are small: waiting for more to send would only add latency.
        let _ = stream.set_nodelay(true);
        let stream = Progress::new(stream, self.write_timeout);
        let Some(tls) = &self.tls else { return self.requests(stream, peer, router, stop).await };
        let handshake = async {
            let hello = LazyConfigAcceptor::new(Default::default(), stream);
            let begun = tokio::time::timeout(HELLO, hello).await.map_err(|_| ErrorKind::TimedOut)??;
            // Whoever says nothing takes nobody's turn.
            let _turn = self.handshakes.acquire().await;
            begun.into_stream(Arc::clone(&tls.config)).await
        };
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.handshake_timeout, handshake) => shaken,
            () = stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.requests(stream, peer, router, stop).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake with a client"),
            Err(_) => tracing::debug!(%peer, "TLS handshake with a client timed out"),
        }
    }

    async fn requests<S>(&self, stream: S, peer: SocketAddr, router: Router, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let origin = Origin { secure: self.tls.is_some(), host: None };
        let service = router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(origin.clone());
            request.map(axum::body::Body::new)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.header_timeout).max_buf_size(BUFFER);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}

type Accepted = (tokio::sync::OwnedSemaphorePermit, TcpStream, SocketAddr);

/// Accepts a connection when there is a place for one.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((place, stream, peer))
}

/// Serves without TLS and with the usual bounds until `shutdown` ends, then finishes the requests at hand.
///
/// # Errors
/// As [`Server::serve`].
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let server = Server::new(&ApiConfig::default()).map_err(std::io::Error::other)?;
    server.serve(listener, router, shutdown).await
}
