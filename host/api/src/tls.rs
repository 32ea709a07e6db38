//! The host's certificate, read anew when its files change. A new one that is no use leaves the old one in place.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::auth::SetupError;
use crate::config::ApiConfig;

const CERTIFICATE: &str = "tls_certificate_file";
const KEY: &str = "tls_key_file";
/// The largest file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Which content of both files was read: inode, size and time of change.
type Stamp = [(u64, u64, i64, i64); 2];

struct Kept {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Option<Stamp>>,
}

/// TLS of the host.
#[derive(Clone)]
pub(crate) struct Tls {
    kept: Arc<Kept>,
    pub(crate) config: Arc<ServerConfig>,
}

impl Tls {
    /// Nothing when the configuration names no certificate.
    pub(crate) fn new(config: &ApiConfig) -> Result<Option<Self>, SetupError> {
        let (certificate, key) = match (&config.tls_certificate_file, &config.tls_key_file) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, None) => return Ok(None),
            _ => return Err(SetupError::Missing("tls_certificate_file and tls_key_file belong together")),
        };
        let provider = Arc::new(default_provider());
        let seen = Mutex::new(stamp(&certificate, &key));
        let current = RwLock::new(Arc::new(load(&certificate, &key, &provider)?));
        let kept = Arc::new(Kept { certificate, key, provider: Arc::clone(&provider), current, seen });
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let resolver: Arc<dyn ResolvesServerCert> = kept.clone();
        let unfit =
            |error: rustls::Error| SetupError::Unfit { key: CERTIFICATE, path: kept.certificate.clone(), problem: error.to_string() };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(unfit)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self { kept, config: Arc::new(server) }))
    }

    /// Reads the files again if they changed, or `always`. Blocks for as long as that takes.
    pub(crate) fn reload(&self, always: bool) {
        let kept = &self.kept;
        let now = stamp(&kept.certificate, &kept.key);
        let mut seen = kept.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now && !always {
            return;
        }
        *seen = now;
        match load(&kept.certificate, &kept.key, &kept.provider) {
            Ok(new) => {
                *kept.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                tracing::info!(file = %kept.certificate.display(), "new TLS certificate in use");
            }
            Err(error) => tracing::error!(%error, "the new TLS certificate is no use; the one before stays"),
        }
    }
}

fn stamp(certificate: &Path, key: &Path) -> Option<Stamp> {
    let of = |path: &Path| std::fs::metadata(path).ok().map(|about| (about.ino(), about.len(), about.ctime(), about.ctime_nsec()));
    Some([of(certificate)?, of(key)?])
}

fn load(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, SetupError> {
    let unfit = |key: &'static str, path: &Path, problem: String| SetupError::Unfit { key, path: path.to_owned(), problem };
    let pem = |key: &'static str, path: &Path| {
        let read = std::fs::metadata(path).and_then(|about| match about.len() {
            0..=MAX_FILE => std::fs::read(path),
            _ => Err(std::io::Error::other(format!("it is larger than {MAX_FILE} bytes"))),
        });
        read.map_err(|source| SetupError::Read { key, path: path.to_owned(), source })
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&pem(CERTIFICATE, certificate)?).collect();
    let chain = chain.map_err(|error| unfit(CERTIFICATE, certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(unfit(CERTIFICATE, certificate, "there is no certificate in PEM form in it".to_owned()));
    }
    // What is wrong with a key is told without what stands in it.
    let private = PrivateKeyDer::from_pem_slice(&pem(KEY, key)?)
        .map_err(|_| unfit(KEY, key, "there is no private key in PEM form in it, or it has a password".to_owned()))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| unfit(KEY, key, format!("with this certificate: {error}")))
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Kept {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
