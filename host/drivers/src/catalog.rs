//! The drivers of this host: components at rest under their digests, versions that are loaded, and the generation in force.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{Semaphore, watch};
use wrought_domain::{Digest, DriverName};

use crate::admission::{self, Admitted, Artifacts, Rejected, Rejection, TrustedKeys, UntrustedKey, Upload, Uploaded};
use crate::config::SignaturePolicy;
use crate::driver::Driver;
use crate::generation::{Generation, InForce};
use crate::private;
use crate::runtime::Runtime;
use crate::shipped::Shipped;

/// Uploads that are received and judged at once; each may hold a component in memory.
const UPLOADS: usize = 2;

/// Versions that are loaded at once.
const LOADING: usize = 4;

/// How long an upload waits for its turn.
const TURN: Duration = Duration::from_secs(30);

/// What components are called in the folder.
const COMPONENT: &str = "wasm";

/// Versions that stay loaded although nothing has them on call, for operations that have pinned them and for rollbacks.
const IDLE: usize = 64;

/// The versions that are loaded, each with the moment of its last use. One that is let go is loaded again when it is asked for.
#[derive(Default)]
struct Loaded {
    drivers: HashMap<Digest, (Arc<Driver>, u64)>,
    /// Grows with each use.
    now: u64,
}

impl Loaded {
    fn get(&mut self, digest: &Digest) -> Option<Arc<Driver>> {
        self.now = self.now.saturating_add(1);
        let (driver, used) = self.drivers.get_mut(digest)?;
        *used = self.now;
        Some(driver.clone())
    }

    fn keep(&mut self, driver: Arc<Driver>) -> Arc<Driver> {
        self.now = self.now.saturating_add(1);
        let kept = self.drivers.entry(driver.digest.clone()).or_insert((driver, self.now)).0.clone();
        let mut idle: Vec<(u64, Digest)> = self
            .drivers
            .values()
            .filter(|(driver, _)| Arc::strong_count(driver) == 1)
            .map(|(driver, used)| (*used, driver.digest.clone()))
            .collect();
        idle.sort_unstable();
        for (_, digest) in idle.iter().take(idle.len().saturating_sub(IDLE)) {
            self.drivers.remove(digest);
        }
        kept
    }
}

/// Components and the versions made of them.
pub struct Catalog {
    runtime: Runtime,
    folder: PathBuf,
    artifacts: Artifacts,
    trusted: TrustedKeys,
    uploads: Arc<Semaphore>,
    loading: Semaphore,
    loaded: Mutex<Loaded>,
    current: watch::Sender<Arc<Generation>>,
}

/// Why the drivers' folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It cannot be made, read or written.
    #[error("the drivers' folder {}: {cause}; check that this user may write to it", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// A trusted key cannot be used.
    #[error(transparent)]
    Key(#[from] UntrustedKey),
}

/// Why a version is not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is in use: in force, or on call for operations that are under way")]
pub struct InUse;

impl Catalog {
    /// A catalog whose components lie in `folder`. What a crash left half done is removed.
    ///
    /// # Errors
    /// The folder cannot be used, or a trusted key not be read.
    pub async fn open(runtime: Runtime, folder: &Path) -> Result<Self, CatalogError> {
        let trusted = TrustedKeys::read(&runtime.config.trusted_keys)?;
        let failed = |cause: std::io::Error| CatalogError::Folder { folder: folder.to_owned(), cause };
        let artifacts = open(folder, &runtime).map_err(failed)?;
        Ok(Self {
            runtime,
            folder: folder.to_owned(),
            artifacts,
            trusted,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            loading: Semaphore::new(LOADING),
            loaded: Mutex::default(),
            current: watch::channel(Arc::default()).0,
        })
    }

    /// The runtime that calls the drivers.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Receives a component; `announced` is its length, if the sender told it. Nothing of it stays unless it is admitted.
    ///
    /// # Errors
    /// It is too large, too slow or broken off, or cannot be stored, or others are at it for too long.
    pub async fn receive<E>(
        &self,
        announced: Option<u64>,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Uploaded, Box<Rejected>> {
        let limit_mib = self.runtime.config.max_component_mib;
        if announced.is_some_and(|length| length > u64::from(limit_mib) << 20) {
            return Err(Rejection::TooLarge { limit_mib }.into());
        }
        let slot = tokio::time::timeout(TURN, self.uploads.clone().acquire_owned()).await.map_err(|_| Rejection::Busy)?;
        let slot = slot.map_err(|error| Rejection::Host(error.to_string()))?;
        Upload::begin(&self.folder, limit_mib, Some(slot))?.take(self.runtime.config.upload_s, body).await
    }

    /// Judges what was received, with the content of its `.minisig` file, if it has one: stage by stage, and keeps it if it
    /// passes them all. What was compiled before is not compiled again.
    ///
    /// # Errors
    /// Why it is refused, and what the stages found. Nothing of it is kept then.
    pub async fn judge(&self, mut uploaded: Uploaded, signature: Option<&str>) -> Result<Admitted, Box<Rejected>> {
        let place = uploaded.place();
        let digest = uploaded.digest().clone();
        let verified = uploaded.verify(self.runtime.config.signature_policy, &self.trusted, signature)?;
        let checked = verified.parse()?.check(&self.runtime.config.component)?;
        let admitted = self.admit_checked(checked).await.inspect_err(|_| self.forget_code(&digest))?;
        if let Some(place) = place {
            place.keep(self.path(&digest)).await?;
        }
        Ok(Admitted { driver: self.keep(admitted.driver.clone()), ..admitted })
    }

    /// The same for bytes at hand.
    ///
    /// # Errors
    /// As [`Self::receive`] and [`Self::judge`].
    pub async fn admit(&self, component: impl Into<Bytes>) -> Result<Admitted, Box<Rejected>> {
        let whole = std::iter::once(Ok::<Bytes, std::convert::Infallible>(component.into()));
        self.judge(self.receive(None, futures::stream::iter(whole)).await?, None).await
    }

    /// A driver of the binary, from the folder if it is there.
    ///
    /// # Errors
    /// It cannot be stored, or does not load: then the binary is broken.
    pub async fn shipped(&self, shipped: &Shipped) -> Result<Admitted, Box<Rejected>> {
        let digest = shipped.digest();
        let Ok(stored) = self.component(&digest).await else { return self.admit(Bytes::from_static(shipped.component)).await };
        let verified = Uploaded::stored(stored.into(), &digest)?.verify(SignaturePolicy::Require, &self.trusted, None)?;
        let admitted = self.admit_checked(verified.parse()?.checked_before()).await?;
        Ok(Admitted { driver: self.keep(admitted.driver.clone()), ..admitted })
    }

    /// A version by its digest, loaded from the folder if need be.
    ///
    /// # Errors
    /// The component is gone, damaged, or does not load any more.
    pub async fn version(&self, digest: &Digest) -> Result<Arc<Driver>, Box<Rejected>> {
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        // Loading takes the whole component into memory, and whoever asks for the same one meanwhile finds it loaded.
        let _turn = self.loading.acquire().await;
        if let Some(known) = self.known(digest) {
            return Ok(known);
        }
        let stored = Uploaded::stored(self.component(digest).await?.into(), digest)?;
        let checked = stored.verified_before().parse()?.checked_before();
        Ok(self.keep(self.admit_checked(checked).await?.driver))
    }

    async fn admit_checked(&self, checked: admission::Checked) -> Result<Admitted, Box<Rejected>> {
        checked.compile(&self.runtime, &self.artifacts).await?.link(&self.runtime)?.smoke(&self.runtime).await
    }

    /// The bytes of a version, to be handed on.
    ///
    /// # Errors
    /// The component is gone, or was changed on disk.
    pub async fn component(&self, digest: &Digest) -> Result<Vec<u8>, Rejection> {
        let failed = |error: &dyn std::fmt::Display| Rejection::Host(format!("component {}: {error}", digest.short()));
        let bytes = tokio::fs::read(self.path(digest)).await.map_err(|error| failed(&error))?;
        if admission::digest(&bytes) == *digest { Ok(bytes) } else { Err(failed(&"it was changed on disk")) }
    }

    /// Lets go of a version that nothing in memory refers to, so that its component can be removed with [`Self::remove`].
    ///
    /// # Errors
    /// It is in force, or a call or an operation under way has it.
    pub fn unload(&self, digest: &Digest) -> Result<(), InUse> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded.drivers.get(digest) {
            Some((driver, _)) if Arc::strong_count(driver) > 1 => Err(InUse),
            _ => {
                loaded.drivers.remove(digest);
                Ok(())
            }
        }
    }

    /// Removes a component and its code, for good.
    ///
    /// # Errors
    /// The file is there and cannot be removed.
    pub async fn remove(&self, digest: &Digest) -> Result<(), Rejection> {
        self.artifacts.remove(digest);
        match tokio::fs::remove_file(self.path(digest)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Rejection::storing("removing the component", &error)),
            _ => Ok(()),
        }
    }

    /// The generation in force now. What holds it keeps it.
    pub fn current(&self) -> Arc<Generation> {
        self.current.borrow().clone()
    }

    /// Puts versions in force, for operations that begin from now on. Cannot fail: what may fail was done before.
    pub fn publish(&self, name: DriverName, driver: InForce) {
        self.current.send_modify(|current| {
            let mut drivers = current.drivers.clone();
            drivers.insert(name, driver);
            *current = Arc::new(Generation { id: current.id.saturating_add(1), drivers });
        });
    }

    fn known(&self, digest: &Digest) -> Option<Arc<Driver>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(digest)
    }

    fn keep(&self, driver: Arc<Driver>) -> Arc<Driver> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).keep(driver)
    }

    /// Of a component that was refused, unless it is there from an earlier time.
    fn forget_code(&self, digest: &Digest) {
        if !self.path(digest).exists() {
            self.artifacts.remove(digest);
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.{COMPONENT}", digest.hex()))
    }
}

fn open(folder: &Path, runtime: &Runtime) -> std::io::Result<Artifacts> {
    private::make_private(folder)?;
    let mut components = HashSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension().and_then(|end| end.to_str()) {
            Some(COMPONENT) => components.extend(path.file_stem().and_then(|digest| digest.to_str()).map(str::to_owned)),
            Some("part") => private::remove(&path),
            _ => {}
        }
    }
    let artifacts = Artifacts::open(&folder.join("aot"), &runtime.engine)?;
    artifacts.prune(|digest| components.contains(digest))?;
    Ok(artifacts)
}
