//! An upload: streamed to a file that has another name until the component is admitted, and that is gone if it is not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use wrought_domain::Digest;

use super::report::{Dossier, Stage};
use super::{Rejected, Rejection};
use crate::partial::{NotArrived, Partial, Whole};

/// The digest of a component.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// An upload under way. Dropping it removes what has arrived.
pub struct Upload {
    file: Partial,
    limit_mib: u32,
    began: Instant,
    slot: Option<OwnedSemaphorePermit>,
}

impl Upload {
    /// Begins one, of at most `limit_mib`, in `folder`.
    pub(crate) fn begin(folder: &Path, limit_mib: u32, slot: Option<OwnedSemaphorePermit>) -> Result<Self, Rejection> {
        let file = Partial::begin(folder, u64::from(limit_mib) << 20).map_err(|error| Rejection::storing("beginning a file", &error))?;
        Ok(Self { file, limit_mib, began: Instant::now(), slot })
    }

    /// Takes all of a body, which may last `limit_s`.
    ///
    /// # Errors
    /// It is too large, too slow or broken off, or cannot be stored.
    pub async fn take<E>(self, limit_s: u32, body: impl Stream<Item = Result<Bytes, E>> + Unpin) -> Result<Uploaded, Box<Rejected>> {
        let limit_mib = self.limit_mib;
        let whole = self.file.take(Duration::from_secs(u64::from(limit_s)), body).await.map_err(|error| match error {
            NotArrived::TooLarge => Rejection::TooLarge { limit_mib },
            NotArrived::BrokenOff => Rejection::BrokenOff,
            NotArrived::TooSlow => Rejection::TooSlow { limit_s },
            NotArrived::Storing(error) => Rejection::storing("writing the component", &error),
        })?;
        if whole.size == 0 {
            return Err(Rejection::Empty.into());
        }
        let component = tokio::fs::read(whole.path()).await.map_err(|error| Rejection::storing("writing the component", &error))?;
        let found = json!({ "digest": whole.digest, "size": whole.size });
        let dossier = Dossier::new(whole.digest.clone(), whole.size);
        // What came back from the disk is what is looked at from here on.
        let same = digest(&component) == dossier.digest;
        let found = if same { Ok(((), found.into())) } else { Err(Rejection::Host("the disk gave back other bytes".into())) };
        let ((), dossier) = dossier.judge(Stage::Upload, self.began, found)?;
        Ok(Uploaded { component: component.into(), place: Some(Place { whole, _slot: self.slot }), dossier })
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

/// The file of a component that is not admitted yet. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Place {
    whole: Whole,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Gives it its name, for good.
    pub(crate) async fn keep(self, path: PathBuf) -> Result<(), Rejection> {
        self.whole.keep(path).await.map_err(|error| Rejection::storing("keeping the component", &error))
    }
}
