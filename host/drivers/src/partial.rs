//! Files that arrive over the network: under another name until they are complete and wanted, and gone if they are not.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;
use wrought_domain::Digest;

/// How a file that is not complete ends.
pub const PARTIAL: &str = ".part";

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum NotArrived {
    /// More bytes than allowed.
    #[error("it is too large")]
    TooLarge,
    /// The sender went away in the middle.
    #[error("the upload ended early; send it again")]
    BrokenOff,
    /// The sender is too slow.
    #[error("the upload took too long")]
    TooSlow,
    /// It cannot be stored.
    #[error("writing a file: {0}")]
    Storing(#[from] io::Error),
}

/// Whether there was no room for what was to be stored.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// A file under way. Dropping it removes what has arrived.
pub struct Partial {
    file: tokio::fs::File,
    path: TempPath,
    hash: Sha256,
    size: u64,
    limit: u64,
}

impl Partial {
    /// Begins one, of at most `limit` bytes, in `folder`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(folder: &Path, limit: u64) -> io::Result<Self> {
        let (file, path) = tempfile::Builder::new().prefix("upload-").suffix(PARTIAL).tempfile_in(folder)?.into_parts();
        Ok(Self { file: tokio::fs::File::from_std(file), path, hash: Sha256::new(), size: 0, limit })
    }

    /// Takes all of a body, which may last so long. The bytes are on the disk when this returns.
    ///
    /// # Errors
    /// [`NotArrived`].
    pub async fn take<E>(
        mut self,
        patience: Duration,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Whole, NotArrived> {
        let all = async {
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|_| NotArrived::BrokenOff)?;
                self.size = self.size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                if self.size > self.limit {
                    return Err(NotArrived::TooLarge);
                }
                self.hash.update(&chunk);
                self.file.write_all(&chunk).await?;
            }
            self.file.flush().await?;
            Ok(())
        };
        tokio::time::timeout(patience, all).await.map_err(|_| NotArrived::TooSlow)??;
        self.file.sync_all().await?;
        Ok(Whole { path: self.path, digest: Digest::from_sha256(self.hash.finalize().into()), size: self.size })
    }
}

/// A complete file that still has the name of a partial one. Dropping it removes the file.
#[derive(Debug)]
pub struct Whole {
    path: TempPath,
    /// SHA-256 of its bytes, as they arrived.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

impl Whole {
    /// Where it is for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, for good.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub async fn keep(self, path: PathBuf) -> io::Result<()> {
        let kept = tokio::task::spawn_blocking(move || {
            self.path.persist(&path).map_err(|error| error.error)?;
            sync_folder(&path)
        });
        kept.await.map_err(io::Error::other)?
    }
}

/// Makes the name of a file as durable as its content.
pub(crate) fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
