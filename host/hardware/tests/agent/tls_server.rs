//! An axum server over TLS, as the agent's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub struct TlsServer {
    address: SocketAddr,
    handshakes: Arc<AtomicUsize>,
}

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
    handshakes: Arc<AtomicUsize>,
}

impl TlsServer {
    pub async fn start(certificate: &str, key: &str, router: Router) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, handshakes) = (tcp.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let listener = TlsListener { tcp, tls: TlsAcceptor::from(Arc::new(config)), handshakes: handshakes.clone() };
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, handshakes }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Handshakes that succeeded.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.tls.accept(stream).await {
                self.handshakes.fetch_add(1, Ordering::SeqCst);
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
