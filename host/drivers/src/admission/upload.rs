//! An upload: streamed to a file that has another name until the component is admitted, and that is gone if it is not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use wrought_domain::Digest;

use super::report::{Dossier, Stage};
use super::{Rejected, Rejection};

/// How a file that is not complete ends.
pub(super) const PARTIAL: &str = ".part";

/// The digest of a component.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// An upload under way. Dropping it removes what has arrived.
pub struct Upload {
    file: tokio::fs::File,
    path: TempPath,
    hash: Sha256,
    size: u64,
    limit_mib: u32,
    began: Instant,
    slot: Option<OwnedSemaphorePermit>,
}

impl Upload {
    /// Begins one, of at most `limit_mib`, in `folder`.
    pub(crate) fn begin(folder: &Path, limit_mib: u32, slot: Option<OwnedSemaphorePermit>) -> Result<Self, Rejection> {
        let file = tempfile::Builder::new().prefix("upload-").suffix(PARTIAL).tempfile_in(folder);
        let (file, path) = file.map_err(|error| Rejection::storing("beginning a file", &error))?.into_parts();
        let file = tokio::fs::File::from_std(file);
        Ok(Self { file, path, hash: Sha256::new(), size: 0, limit_mib, began: Instant::now(), slot })
    }

    /// Takes all of a body, which may last `limit_s`.
    ///
    /// # Errors
    /// It is too large, too slow or broken off, or cannot be stored.
    pub async fn take<E>(
        mut self,
        limit_s: u32,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Uploaded, Box<Rejected>> {
        let all = async {
            while let Some(chunk) = body.next().await {
                self.write(&chunk.map_err(|_| Rejection::BrokenOff)?).await?;
            }
            Ok::<_, Rejection>(())
        };
        match tokio::time::timeout(Duration::from_secs(u64::from(limit_s)), all).await {
            Err(_) => Err(Rejection::TooSlow { limit_s }.into()),
            Ok(Err(why)) => Err(why.into()),
            Ok(Ok(())) => self.finish().await,
        }
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<(), Rejection> {
        self.size = self.size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.size > u64::from(self.limit_mib) << 20 {
            return Err(Rejection::TooLarge { limit_mib: self.limit_mib });
        }
        self.hash.update(chunk);
        self.file.write_all(chunk).await.map_err(|error| Rejection::storing("writing the component", &error))
    }

    async fn finish(mut self) -> Result<Uploaded, Box<Rejected>> {
        if self.size == 0 {
            return Err(Rejection::Empty.into());
        }
        let kept = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            tokio::fs::read(&self.path).await
        };
        let component = kept.await.map_err(|error| Rejection::storing("writing the component", &error))?;
        let digest = Digest::from_sha256(self.hash.finalize().into());
        let found = json!({ "digest": digest, "size": self.size });
        let dossier = Dossier::new(digest, self.size);
        // What came back from the disk is what is looked at from here on.
        let same = super::digest(&component) == dossier.digest;
        let found = if same { Ok(((), found.into())) } else { Err(Rejection::Host("the disk gave back other bytes".into())) };
        let ((), dossier) = dossier.judge(Stage::Upload, self.began, found)?;
        Ok(Uploaded { component: component.into(), place: Some(Place { path: self.path, _slot: self.slot }), dossier })
    }
}

/// Bytes that arrived whole.
#[derive(Debug)]
pub struct Uploaded {
    pub(super) component: Bytes,
    place: Option<Place>,
    pub(super) dossier: Dossier,
}

impl Uploaded {
    /// SHA-256 of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.dossier.digest
    }

    /// The file that holds them, to be kept when they are admitted.
    pub(crate) fn place(&mut self) -> Option<Place> {
        self.place.take()
    }

    /// Bytes that were admitted once and lie in the host's own folder.
    pub(crate) fn stored(component: Bytes, digest: &Digest) -> Result<Self, Rejection> {
        if super::digest(&component) != *digest {
            return Err(Rejection::Host(format!("component {} was changed on disk", digest.short())));
        }
        let dossier = Dossier::new(digest.clone(), u64::try_from(component.len()).unwrap_or(u64::MAX));
        Ok(Self { component, place: None, dossier })
    }
}

/// A complete file that still has the name of a partial one. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Place {
    path: TempPath,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Gives it its name, for good.
    pub(crate) async fn keep(self, path: PathBuf) -> Result<(), Rejection> {
        let kept = tokio::task::spawn_blocking(move || {
            self.path.persist(&path).map_err(|error| error.error)?;
            sync_folder(&path)
        });
        let kept = kept.await.map_err(|error| Rejection::Host(error.to_string()))?;
        kept.map_err(|error| Rejection::storing("keeping the component", &error))
    }
}

/// Makes the name of a file as durable as its content.
pub(super) fn sync_folder(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
