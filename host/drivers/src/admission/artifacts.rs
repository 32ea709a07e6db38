//! Compiled components at rest. Machine code is run as it is, so only what this host wrote is ever loaded: beside each file
//! lies its keyed hash, the key of which lies in the folder, for this user alone.

use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use wasmtime::Engine;
use wasmtime::component::Component;
use wrought_domain::Digest;

use super::Rejection;
use super::load::{Genuine, load};
use crate::partial::{PARTIAL, sync_folder};
use crate::private::{key, make_private, remove};

const KEY: &str = "key";
const CODE: &str = "cwasm";
const MAC: &str = "mac";

/// A hash of all that code depends on beside the component: the engine's version, its settings, this kind of processor.
pub(crate) fn settings(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hash = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hash);
    hex::encode(hash.0.finalize()).chars().take(16).collect()
}

/// The folder of compiled components.
#[derive(Debug, Clone)]
pub(crate) struct Artifacts {
    folder: PathBuf,
    key: hmac::Key,
    settings: String,
}

impl Artifacts {
    /// Opens the folder, made if it is not there, and removes what an earlier host or a crash left: whatever is not complete or
    /// is for another engine.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> std::io::Result<Self> {
        make_private(folder)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key(&folder.join(KEY))?);
        let this = Self { folder: folder.to_owned(), key, settings: settings(engine) };
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let current = name == KEY || name.split_once('.').is_some_and(|(stem, end)| this.is_own(stem) && [CODE, MAC].contains(&end));
            if !current {
                remove(&path);
            }
        }
        Ok(this)
    }

    fn is_own(&self, stem: &str) -> bool {
        stem.split_once('-').is_some_and(|(_, settings)| settings == self.settings)
    }

    fn path(&self, digest: &Digest, end: &str) -> PathBuf {
        self.folder.join(format!("{}-{}.{end}", digest.hex(), self.settings))
    }

    /// The code of a component: nothing if there is none that this host made.
    ///
    /// # Errors
    /// The engine does not take it.
    pub(super) async fn load(&self, engine: &Engine, digest: &Digest) -> Result<Option<Component>, wasmtime::Error> {
        let (this, engine, digest) = (self.clone(), engine.clone(), digest.clone());
        let loaded = tokio::task::spawn_blocking(move || match this.genuine(&digest) {
            Ok(Some(code)) => load(&engine, &code).map(Some),
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::warn!(digest = digest.short(), %error, "compiled code cannot be used, the component is compiled again");
                Ok(None)
            }
        });
        loaded.await?
    }

    /// Whether the code is what was written.
    fn genuine(&self, digest: &Digest) -> Result<Option<Genuine>, String> {
        let path = self.path(digest, CODE);
        let code = match std::fs::File::open(&path) {
            Ok(code) => code,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mac = std::fs::read(self.path(digest, MAC)).map_err(|error| format!("its keyed hash: {error}"))?;
        let signed = self.mac(digest, code).map_err(|error| error.to_string())?;
        match aws_lc_rs::constant_time::verify_slices_are_equal(signed.as_ref(), &mac) {
            Ok(()) => Ok(Some(Genuine::verified(path))),
            Err(_) => Err("its keyed hash is another one: it was changed on disk".to_owned()),
        }
    }

    /// Of the component's digest, the settings and the code.
    fn mac(&self, digest: &Digest, mut code: impl Read) -> std::io::Result<hmac::Tag> {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(format!("{digest} {}\n", self.settings).as_bytes());
        let mut buffer = vec![0; 64 << 10];
        loop {
            match code.read(&mut buffer)? {
                0 => return Ok(context.sign()),
                read => context.update(buffer.get(..read).unwrap_or_default()),
            }
        }
    }

    /// A file for new code; dropping it removes it.
    pub(super) fn begin(&self) -> Result<NamedTempFile, Rejection> {
        let file = tempfile::Builder::new().suffix(PARTIAL).tempfile_in(&self.folder);
        file.map_err(|error| Rejection::storing("beginning a file", &error))
    }

    /// Keeps new code: first its hash, so that the code is never there without.
    pub(super) async fn keep(&self, file: NamedTempFile, digest: &Digest) -> Result<(), Rejection> {
        let (this, digest) = (self.clone(), digest.clone());
        let kept = tokio::task::spawn_blocking(move || {
            file.as_file().sync_all()?;
            let mac = this.mac(&digest, file.reopen()?)?;
            let mut beside = tempfile::Builder::new().suffix(PARTIAL).tempfile_in(&this.folder)?;
            beside.write_all(mac.as_ref())?;
            beside.as_file().sync_all()?;
            beside.persist(this.path(&digest, MAC))?;
            let code = this.path(&digest, CODE);
            file.persist(&code)?;
            sync_folder(&code)
        });
        let kept = kept.await.map_err(|error| Rejection::Host(error.to_string()))?;
        kept.map_err(|error| Rejection::storing("keeping compiled code", &error))
    }

    /// Forgets the code of a component.
    pub(crate) fn remove(&self, digest: &Digest) {
        remove(&self.path(digest, CODE));
        remove(&self.path(digest, MAC));
    }

    /// Forgets the code of components for which `known` says no.
    pub(crate) fn prune(&self, known: impl Fn(&str) -> bool) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.split_once('-').is_some_and(|(digest, _)| !known(digest)) {
                remove(&path);
            }
        }
        Ok(())
    }
}
