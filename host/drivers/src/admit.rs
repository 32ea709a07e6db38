//! Whether bytes are a component that this host can serve. Everything here looks; nothing runs.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use wasmparser::{Encoding, Parser, Payload};
use wrought_domain::Digest;

use crate::grants::{FREE, GRANTABLE, Grants};

/// The contract's package.
const PACKAGE: &str = "baremetal:deploy/";

/// The versions of the contract that this host serves begin so.
const VERSION: &str = "0.1.";

/// WASI packages that ordinary toolchains import; nothing is behind them.
const WASI: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Bytes that look like a driver.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The capabilities that it imports.
    pub requested: Grants,
    /// The interfaces of the contract that it exports.
    pub(crate) exports: BTreeSet<String>,
    pub(crate) wasi: bool,
}

/// Why bytes are no driver for this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// More bytes than allowed.
    #[error("the component is larger than {limit_mib} MiB; the limit is drivers.max_component_mib")]
    TooLarge {
        /// The limit.
        limit_mib: u32,
    },
    /// Not WebAssembly.
    #[error("this is not a WebAssembly component: {0}")]
    NotWasm(String),
    /// A core module.
    #[error("this is a core WebAssembly module; make a component of it, for example with `wasm-tools component new`")]
    CoreModule,
    /// An import that the host does not have.
    #[error("it imports {import}, which this host does not offer; it offers {PACKAGE}* at version 0.1 and WASI 0.2 without HTTP")]
    UnknownImport {
        /// The import's name.
        import: String,
    },
    /// The one required interface is not exported.
    #[error("it does not export baremetal:deploy/driver@0.1.0, which every driver must")]
    NoDriverInterface,
    /// Something in it contradicts the contract.
    #[error("it does not fit the contract: {0}")]
    Contract(String),
    /// It breaks when it is called.
    #[error("it does not answer: {0}")]
    Broken(String),
    /// The host failed.
    #[error("storing the driver failed: {0}")]
    Host(String),
}

/// Looks at bytes of at most `limit_mib`.
///
/// # Errors
/// Why they are refused, for the operator who uploaded them.
pub fn check(bytes: Vec<u8>, limit_mib: u32) -> Result<Admitted, Rejection> {
    if bytes.len() > usize::try_from(limit_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20) {
        return Err(Rejection::TooLarge { limit_mib });
    }
    let mut imports: Vec<String> = Vec::new();
    let mut exports: Vec<String> = Vec::new();
    let mut depth = 0_u32;
    let bad = |error: wasmparser::BinaryReaderError| Rejection::NotWasm(error.message().to_owned());
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.map_err(bad)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(Rejection::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth = depth.saturating_add(1),
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(bad)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(bad)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    // What toolchains export beside the contract is none of our business; another version of it is.
    if let Some(other) = exports.iter().find(|name| name.starts_with(PACKAGE) && interface(name).is_none()) {
        return Err(Rejection::Contract(format!("it exports {}; this host serves version 0.1", wrought_domain::node::cut(other, 120))));
    }
    let exports: BTreeSet<String> = exports.iter().filter_map(|name| interface(name)).map(str::to_owned).collect();
    if !exports.contains("driver") {
        return Err(Rejection::NoDriverInterface);
    }
    let mut requested = Vec::new();
    let mut wasi = false;
    for import in &imports {
        match interface(import) {
            Some(name) if GRANTABLE.contains(&name) => requested.push(name.to_owned()),
            Some(name) if FREE.contains(&name) => {}
            _ if WASI.iter().any(|package| import.starts_with(package)) && import.contains("@0.2.") => wasi = true,
            _ => return Err(Rejection::UnknownImport { import: import.chars().take(120).collect() }),
        }
    }
    let requested = Grants::of(&requested).map_err(|error| Rejection::Contract(error.to_string()))?;
    let digest = digest(&bytes);
    Ok(Admitted { bytes, digest, requested, exports, wasi })
}

/// The digest of a component.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// The name of one of our interfaces, if that is what the import or export is.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(VERSION).then_some(interface)
}
