//! TLS towards the outside: aws-lc-rs as the one provider, and four ways to trust a server.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;
use tracing::warn;

use crate::config::{TlsVersion, VerifyCa};
use crate::error::{HardwareError, Kind};

/// Certificates in one PEM text, at most: a bundle of public authorities has about 150.
const MOST_CERTIFICATES: usize = 1000;
/// Bytes of a file with authorities, at most.
const LARGEST_CA_FILE: u64 = 2 * 1024 * 1024;

/// Trust as `verify` says.
pub(crate) fn verified_by(verify: &VerifyCa, lowest: TlsVersion) -> Result<ClientConfig, HardwareError> {
    match verify {
        VerifyCa::Switch(true) => platform(lowest),
        VerifyCa::Switch(false) => insecure(lowest),
        VerifyCa::File(path) => pinned(&read_ca(path)?, lowest),
    }
}

/// Trust in the platform's authorities; in nobody where the platform has none, as in a minimal container.
pub(crate) fn platform(lowest: TlsVersion) -> Result<ClientConfig, HardwareError> {
    match Verifier::new(provider()) {
        Ok(verifier) => with_verifier(Arc::new(verifier), lowest),
        Err(_) => {
            warn!("the platform has no certificates of authorities: every certificate that they should verify is refused");
            let whom = Whom::Pinned { leaves: Vec::new(), authorities: RootCertStore::empty() };
            with_verifier(Arc::new(Trust { provider: provider(), whom }), lowest)
        }
    }
}

/// Trust in everybody.
pub(crate) fn insecure(lowest: TlsVersion) -> Result<ClientConfig, HardwareError> {
    with_verifier(Arc::new(Trust { provider: provider(), whom: Whom::Everybody }), lowest)
}

/// Trust in exactly the certificates of `pem`, and in what those of them sign that are authorities.
pub(crate) fn pinned(pem: &[u8], lowest: TlsVersion) -> Result<ClientConfig, HardwareError> {
    let provider = provider();
    let mut leaves = Vec::new();
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem).take(MOST_CERTIFICATES) {
        let certificate = certificate.map_err(|_| trouble("the PEM text is not one of certificates"))?.into_owned();
        match Leaf::new(&certificate, &provider) {
            Some(leaf) => leaves.push(leaf),
            None => authorities.add(certificate).map_err(|_| trouble("the PEM text holds a broken certificate"))?,
        }
    }
    if leaves.is_empty() && authorities.is_empty() {
        return Err(trouble("the PEM text holds no certificate"));
    }
    with_verifier(Arc::new(Trust { provider, whom: Whom::Pinned { leaves, authorities } }), lowest)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn with_verifier(verifier: Arc<dyn ServerCertVerifier>, lowest: TlsVersion) -> Result<ClientConfig, HardwareError> {
    let versions: &[&rustls::SupportedProtocolVersion] = match lowest {
        TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|_| trouble("the TLS version is not supported"))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

// A node's owner may name the path: nothing of the file's content reaches the error.
fn read_ca(path: &Path) -> Result<Vec<u8>, HardwareError> {
    let unreadable = || trouble("the file of certificate authorities cannot be read: name a PEM file");
    let regular = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST_CA_FILE);
    if !regular {
        return Err(unreadable());
    }
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|_| unreadable())?;
    file.take(LARGEST_CA_FILE).read_to_end(&mut pem).map_err(|_| unreadable())?;
    Ok(pem)
}

fn trouble(text: &str) -> HardwareError {
    HardwareError::new(Kind::InvalidParameter, "tls.Trust", text)
}

#[derive(Debug)]
struct Trust {
    provider: Arc<CryptoProvider>,
    whom: Whom,
}

#[derive(Debug)]
enum Whom {
    Everybody,
    Pinned { leaves: Vec<Leaf>, authorities: RootCertStore },
}

/// A certificate that its server made for itself, as the agent does.
#[derive(Debug)]
struct Leaf {
    certificate: CertificateDer<'static>,
    /// The certificate as its own only authority.
    itself: RootCertStore,
}

impl Leaf {
    /// `None` if it is not self-signed, or an authority: webpki refuses those as a server's certificate.
    fn new(certificate: &CertificateDer<'static>, provider: &CryptoProvider) -> Option<Self> {
        let mut itself = RootCertStore::empty();
        itself.add(certificate.clone()).ok()?;
        let leaf = Self { certificate: certificate.clone(), itself };
        match leaf.check(UnixTime::now(), provider) {
            Ok(()) => Some(leaf),
            // Not valid now, so it will be refused, and for that reason.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )) => Some(leaf),
            Err(_) => None,
        }
    }

    /// Its time, its purpose, and its own signature.
    fn check(&self, now: UnixTime, provider: &CryptoProvider) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(&self.certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.itself, &[], now, provider.signature_verification_algorithms.all)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Whom::Pinned { leaves, authorities } = &self.whom else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        match leaves.iter().find(|leaf| leaf.certificate == *end_entity) {
            Some(leaf) => leaf.check(now, &self.provider)?,
            None if authorities.is_empty() => return Err(CertificateError::UnknownIssuer.into()),
            None => {
                let algorithms = self.provider.signature_verification_algorithms.all;
                verify_server_cert_signed_by_trust_anchor(&parsed, authorities, intermediates, now, algorithms)?;
            }
        }
        verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
