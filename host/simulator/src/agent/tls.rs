//! The certificate that each agent makes for itself at its start, as the real one does.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Why an agent has no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("making the agent's certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("serving TLS with the agent's certificate")]
    Tls(#[from] rustls::Error),
}

/// What an agent proves itself with.
pub(crate) struct Identity {
    pub acceptor: TlsAcceptor,
    /// Goes to the API as `agent_verify_ca`.
    pub certificate_pem: String,
}

/// A fresh EC P-384 key and a self-signed certificate, not a CA, for one address.
pub(crate) fn identity(address: IpAddr) -> Result<Identity, IdentityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, address.to_string());
    params.subject_alt_names.push(SanType::IpAddress(address));
    let certificate = params.self_signed(&key)?;
    let key_der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key_der)?;
    Ok(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), certificate_pem: certificate.pem() })
}
