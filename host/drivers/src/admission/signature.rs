//! Who vouches for a component: detached minisign signatures, looked at by the operator's policy.

use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use minisign_verify::PublicKey;
use serde::{Deserialize, Serialize};

use super::report::{Dossier, Finding, Stage};
use super::{Rejected, Rejection, Uploaded};
use crate::config::SignaturePolicy;
use crate::shipped;

/// Longer ones are not looked at.
const MAX_SIGNATURE: usize = 4096;

/// What is known of a component's origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Signature {
    /// It came with this host, bit for bit.
    Shipped,
    /// A trusted key signed it.
    Trusted {
        /// The key's id.
        key: String,
        /// What the signer wrote and signed along.
        comment: String,
    },
    /// Somebody signed it, who is not known here.
    UnknownKey {
        /// The key's id.
        key: String,
    },
    /// Nobody signed it.
    Unsigned,
    /// Signatures are not looked at.
    Unchecked,
}

/// The keys whose signatures are good.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<(String, PublicKey)>);

/// A trusted key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("drivers.trusted_keys: {entry:?} is neither a minisign public key nor the path of one: {cause}")]
pub struct UntrustedKey {
    entry: String,
    cause: String,
}

impl TrustedKeys {
    /// Keys, or the paths of files with keys.
    ///
    /// # Errors
    /// The entry that cannot be used.
    pub fn read(entries: &[String]) -> Result<Self, UntrustedKey> {
        let key = |entry: &String| {
            let failed = |cause: String| UntrustedKey { entry: entry.clone(), cause };
            if let Ok(key) = PublicKey::from_base64(entry.trim()) {
                return Ok((key_id(entry.trim()).unwrap_or_default(), key));
            }
            let text = std::fs::read_to_string(Path::new(entry)).map_err(|error| failed(error.to_string()))?;
            let key = PublicKey::decode(&text).map_err(|error| failed(error.to_string()))?;
            let id = text.lines().nth(1).and_then(|line| key_id(line.trim())).unwrap_or_default();
            Ok((id, key))
        };
        Ok(Self(entries.iter().map(key).collect::<Result<_, _>>()?))
    }

    /// Who signed `bytes`, if it is somebody trusted.
    fn verify(&self, bytes: &[u8], text: &str) -> Result<Signature, Rejection> {
        let malformed = |cause: &dyn std::fmt::Display| Rejection::MalformedSignature(cause.to_string());
        if text.len() > MAX_SIGNATURE {
            return Err(malformed(&"it is too long"));
        }
        let signature = minisign_verify::Signature::decode(text).map_err(|error| malformed(&error))?;
        let key = text.lines().nth(1).and_then(|line| key_id(line.trim())).ok_or_else(|| malformed(&"it names no key"))?;
        let Some((_, trusted)) = self.0.iter().find(|(id, _)| *id == key) else { return Ok(Signature::UnknownKey { key }) };
        match trusted.verify(bytes, &signature, true) {
            Ok(()) => Ok(Signature::Trusted { key, comment: shown(signature.trusted_comment()) }),
            Err(minisign_verify::Error::InvalidSignature) => Err(Rejection::Tampered { key }),
            Err(error) => Err(malformed(&error)),
        }
    }
}

fn shown(comment: &str) -> String {
    crate::capability::escaped(&wrought_domain::node::cut(comment, 256))
}

/// The id of the key in a public key or a signature, as minisign prints it.
fn key_id(base64: &str) -> Option<String> {
    let bytes = STANDARD.decode(base64).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

/// Bytes of which the policy allows the origin.
#[derive(Debug)]
pub struct Verified {
    pub(super) component: Bytes,
    pub(super) dossier: Dossier,
}

impl Uploaded {
    /// Looks at the origin: the content of a `.minisig` file, if there is one.
    ///
    /// # Errors
    /// The policy does not allow it, or the signature is not of these bytes.
    pub fn verify(self, policy: SignaturePolicy, trusted: &TrustedKeys, text: Option<&str>) -> Result<Verified, Box<Rejected>> {
        let began = Instant::now();
        let Self { component, dossier, .. } = self;
        let found = judge(&component, policy, trusted, text).map(|signature| {
            let warning = match &signature {
                Signature::Unsigned => Some("it is not signed".to_owned()),
                Signature::UnknownKey { key } => Some(format!("it is signed with the key {key}, which is none of drivers.trusted_keys")),
                Signature::Shipped | Signature::Trusted { .. } | Signature::Unchecked => None,
            };
            let details = serde_json::to_value(&signature).unwrap_or_default();
            (signature, Finding { warning, ..details.into() })
        });
        let (signature, dossier) = dossier.judge(Stage::Verify, began, found)?;
        Ok(Verified { component, dossier: Dossier { signature, ..dossier } })
    }

    /// For what lies in the host's own folder, which was verified when it came.
    pub(crate) fn verified_before(self) -> Verified {
        Verified { component: self.component, dossier: self.dossier }
    }
}

fn judge(component: &[u8], policy: SignaturePolicy, trusted: &TrustedKeys, text: Option<&str>) -> Result<Signature, Rejection> {
    if shipped::all().iter().any(|shipped| shipped.component == component) {
        return Ok(Signature::Shipped);
    }
    let signature = match (policy, text) {
        (SignaturePolicy::Off, _) => return Ok(Signature::Unchecked),
        (_, None) => Signature::Unsigned,
        (_, Some(text)) => trusted.verify(component, text)?,
    };
    match (policy, signature) {
        (SignaturePolicy::Require, Signature::Unsigned) => Err(Rejection::NoSignature),
        (SignaturePolicy::Require, Signature::UnknownKey { key }) => Err(Rejection::UnknownKey { key }),
        (_, signature) => Ok(signature),
    }
}
