//! Serves a router on a listener, with or without TLS, until told to stop; then every connection is cut at once, as if the power had gone.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(50);

/// Where and how to serve.
pub(crate) struct Site {
    pub listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
    pub router: Router,
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

/// Serves until `site.stop`.
pub(crate) async fn serve(site: Site) {
    let Site { listener, tls, router, connections, stop, tasks } = site;
    let places = Arc::new(Semaphore::new(connections));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors: trying again at once would only burn CPU.
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(AFTER_ACCEPT_ERROR).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(connection(stream, tls, router)).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    // Answers are small: waiting for more to send would only add latency.
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(stream, router).await,
        Some(acceptor) => match tokio::time::timeout(TLS_HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, router).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake with a client"),
            Err(_) => tracing::debug!("TLS handshake with a client timed out"),
        },
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let served: Result<(), hyper::Error> =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}
