//! The drivers of this host: components at rest, versions that are loaded, and the generation in
//! force.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use wrought_domain::{Digest, DriverName, Function};

use crate::admit::{self, Rejection};
use crate::driver::Driver;
use crate::runtime::Runtime;
use crate::shipped;

/// The drivers in force. Never changed once published.
#[derive(Debug, Default)]
pub struct Generation {
    /// Grows by one with every change.
    pub id: u64,
    /// The version of each name that a new operation takes.
    pub active: BTreeMap<DriverName, Arc<Driver>>,
}

impl Generation {
    /// A driver and its bases, its own first. What one does not export, the next serves.
    ///
    /// # Errors
    /// The name that is not active, or a circle of bases.
    pub fn chain(&self, name: &DriverName) -> Result<Vec<(DriverName, Arc<Driver>)>, BrokenChain> {
        let mut chain: Vec<(DriverName, Arc<Driver>)> = Vec::new();
        let mut next = Some(name.clone());
        while let Some(name) = next {
            if chain.iter().any(|(seen, _)| *seen == name) {
                return Err(BrokenChain::Circle(name));
            }
            let driver = self.active.get(&name).cloned().ok_or_else(|| BrokenChain::NotActive(name.clone()))?;
            next = driver.about.base.clone();
            chain.push((name, driver));
        }
        Ok(chain)
    }
}

/// Why a driver cannot serve a new operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// No version of it is active.
    #[error("no version of driver {0} is active; upload one with `wrought driver push` and activate it with `wrought driver activate`")]
    NotActive(DriverName),
    /// The bases name each other.
    #[error("driver {0} is its own base")]
    Circle(DriverName),
}

/// The first driver of a chain that exports what holds a function.
pub fn serving(chain: &[(DriverName, Arc<Driver>)], function: Function) -> Option<&(DriverName, Arc<Driver>)> {
    chain.iter().find(|(_, driver)| driver.serves(function))
}

/// Components and the versions made of them.
pub struct Catalog {
    runtime: Runtime,
    folder: PathBuf,
    loaded: Mutex<HashMap<Digest, Arc<Driver>>>,
    current: watch::Sender<Arc<Generation>>,
}

impl Catalog {
    /// A catalog whose components lie in `folder`, with the shipped drivers loaded.
    ///
    /// # Errors
    /// The folder cannot be made, or a shipped driver does not load: then the binary is broken.
    pub async fn open(runtime: Runtime, folder: &Path) -> Result<Self, Rejection> {
        let io = |error: std::io::Error| Rejection::Host(format!("{}: {error}", folder.display()));
        tokio::fs::create_dir_all(folder).await.map_err(io)?;
        let catalog = Self { runtime, folder: folder.to_owned(), loaded: Mutex::default(), current: watch::channel(Arc::default()).0 };
        for driver in shipped::all() {
            catalog.admit(driver.component.to_vec()).await?;
        }
        Ok(catalog)
    }

    /// The runtime that calls the drivers.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Judges uploaded bytes: parse, compile, link, smoke calls; then stores them. A version that
    /// is known already is answered at once.
    ///
    /// # Errors
    /// Why the bytes are refused. Nothing has changed then.
    pub async fn admit(&self, bytes: Vec<u8>) -> Result<Arc<Driver>, Rejection> {
        let admitted = admit::check(bytes, self.runtime.config.max_component_mib)?;
        if let Some(known) = self.known(&admitted.digest) {
            return Ok(known);
        }
        let (path, bytes) = (self.path(&admitted.digest), admitted.bytes.clone());
        let driver = Driver::load(&self.runtime, admitted).await?;
        let io = |error: std::io::Error| Rejection::Host(error.to_string());
        // First under another name, so that a crash leaves no half component under the real one.
        let partial = path.with_extension(format!("{}.part", uuid::Uuid::new_v4().simple()));
        tokio::fs::write(&partial, &bytes).await.map_err(io)?;
        tokio::fs::rename(&partial, &path).await.map_err(io)?;
        Ok(self.keep(driver))
    }

    /// A version by its digest, loaded from the folder if need be.
    ///
    /// # Errors
    /// The component is gone or broken.
    pub async fn version(&self, digest: &Digest) -> Result<Arc<Driver>, Rejection> {
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let bytes =
            tokio::fs::read(self.path(digest)).await.map_err(|error| Rejection::Host(format!("component {}: {error}", digest.short())))?;
        let admitted = admit::check(bytes, self.runtime.config.max_component_mib)?;
        if admitted.digest != *digest {
            return Err(Rejection::Host(format!("component {} was changed on disk", digest.short())));
        }
        Ok(self.keep(Driver::load(&self.runtime, admitted).await?))
    }

    /// The bytes of a version, to be handed on.
    ///
    /// # Errors
    /// The component is gone, or was changed on disk.
    pub async fn component(&self, digest: &Digest) -> Result<Vec<u8>, Rejection> {
        let failed = |error: &dyn std::fmt::Display| Rejection::Host(format!("component {}: {error}", digest.short()));
        let bytes = tokio::fs::read(self.path(digest)).await.map_err(|error| failed(&error))?;
        if admit::digest(&bytes) == *digest { Ok(bytes) } else { Err(failed(&"it was changed on disk")) }
    }

    /// The generation in force now. What holds it keeps it.
    pub fn current(&self) -> Arc<Generation> {
        self.current.borrow().clone()
    }

    /// Puts a version in force, for operations that begin from now on. Cannot fail: what may fail
    /// was done before.
    pub fn publish(&self, name: DriverName, driver: Arc<Driver>) {
        self.current.send_modify(|current| {
            let mut active = current.active.clone();
            active.insert(name, driver);
            *current = Arc::new(Generation { id: current.id.saturating_add(1), active });
        });
    }

    fn known(&self, digest: &Digest) -> Option<Arc<Driver>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn keep(&self, driver: Arc<Driver>) -> Arc<Driver> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).entry(driver.digest.clone()).or_insert(driver).clone()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.hex()))
    }
}
