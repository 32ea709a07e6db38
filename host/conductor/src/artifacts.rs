//! Files that operators upload for drivers to hand on: firmware, profiles. A driver never sees their bytes: it gets a reference to
//! a URL that expires, which the host fills in where a machine is told of it, or has the host push them to a controller.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::sync::{Mutex, Semaphore};
use wrought_domain::artifact::WhichArtifact;
use wrought_domain::{ArtifactName, Digest, NodeId, Principal};
use wrought_drivers::partial::{NotArrived, Partial, Whole, is_no_space};
use wrought_drivers::private::{key, make_private, remove};
use wrought_storage::{Artifact, Store, StoreError};

use crate::audit::done;
use crate::conductor::Conductor;
use crate::pushes::Pushes;
use crate::refusal::{administrator, overseer};
use crate::uploads::BrokenOff;
use crate::{Refusal, convert};

/// Artifacts that are received at once.
const UPLOADS: usize = 4;

/// How long an upload waits for its turn.
const TURN: Duration = Duration::from_secs(30);

/// The file of the key that URLs are signed with.
const KEY: &str = "key";

/// What a signature begins with, so that one is known wherever it comes back.
pub(crate) const SIGNATURE_PREFIX: &str = "wsig-";

/// `[artifacts]`: files for drivers to hand on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArtifactsConfig {
    /// The largest file, in MiB. Default 4096.
    pub max_mib: u32,
    /// Seconds that an upload may take. Default 3600.
    pub upload_s: u32,
    /// Seconds for which a URL may be used that a driver asked for, at most. Default 21600, six hours.
    pub max_url_s: u32,
    /// Seconds that a push of a file to a controller may take. Default 3600.
    pub max_push_s: u32,
}

impl Default for ArtifactsConfig {
    fn default() -> Self {
        Self { max_mib: 4096, upload_s: 3600, max_url_s: 6 * 3600, max_push_s: 3600 }
    }
}

/// Where artifacts are kept, and how machines reach them.
#[derive(Debug, Clone)]
pub struct ArtifactsSetup {
    /// The folder; made if it is not there.
    pub folder: PathBuf,
    /// URL at which machines reach this host, without a slash at the end.
    pub public_url: String,
    /// `[artifacts]`.
    pub config: ArtifactsConfig,
}

/// A file on its way here.
pub struct ArtifactUpload {
    /// Where it comes from.
    pub from: Option<IpAddr>,
    /// How long it is, if the sender told.
    pub length: Option<u64>,
    /// Its digest, if the sender told.
    pub digest: Option<Digest>,
    /// Its bytes. An error is the end of a connection.
    pub body: BoxStream<'static, Result<Bytes, BrokenOff>>,
}

/// What a URL of an artifact says beside its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactTicket {
    /// Until when it may be used, in seconds since 1970.
    pub expires: i64,
    /// For which node's machine it was made.
    pub node: NodeId,
    /// The proof that this host made it.
    pub signature: String,
}

/// The files of the artifacts.
pub(crate) struct Artifacts {
    folder: PathBuf,
    public_url: String,
    pub(crate) config: ArtifactsConfig,
    key: hmac::Key,
    uploads: Arc<Semaphore>,
    /// So that a file is not removed between being kept and being known.
    keeping: Mutex<()>,
    /// Those on their way to controllers.
    pub(crate) pushes: Pushes,
}

impl Artifacts {
    /// Opens the folder. What a crash left half done, and what no artifact refers to, is removed.
    pub(crate) async fn open(setup: ArtifactsSetup, store: &Store) -> Result<Self, ArtifactsError> {
        let known: HashSet<String> = store.artifacts().await?.into_iter().map(|artifact| artifact.digest.hex().to_owned()).collect();
        let folder = setup.folder;
        let failed = |cause: io::Error| ArtifactsError::Folder { folder: folder.clone(), cause };
        let signed_with = clean(&folder, &known).map_err(failed)?;
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &signed_with),
            public_url: setup.public_url,
            config: setup.config,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            keeping: Mutex::default(),
            pushes: Pushes::default(),
            folder,
        })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// The bytes, to be read. That the artifact is deleted meanwhile does not matter to who reads.
    pub(crate) async fn read(&self, digest: &Digest) -> io::Result<File> {
        File::open(self.path(digest)).await
    }

    /// A URL of bytes for a node's machine. The same for the same, always.
    pub(crate) fn url(&self, digest: &Digest, expires: i64, node: NodeId) -> String {
        let signature = hex(hmac::sign(&self.key, signed(digest, expires, node).as_bytes()).as_ref());
        let (base, hex) = (&self.public_url, digest.hex());
        format!("{base}/wrought/v1/artifacts/{hex}/content?expires={expires}&node={node}&signature={SIGNATURE_PREFIX}{signature}")
    }

    /// Whether this host made the URL.
    fn is_genuine(&self, digest: &Digest, ticket: &ArtifactTicket) -> bool {
        let signature = ticket.signature.strip_prefix(SIGNATURE_PREFIX).and_then(unhex).unwrap_or_default();
        hmac::verify(&self.key, signed(digest, ticket.expires, ticket.node).as_bytes(), &signature).is_ok()
    }
}

/// Why the artifacts' folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// It cannot be made, read or written.
    #[error("the artifacts' folder {}: {cause}; check that this user may write to it", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Removes what is none of the known digests; the key.
fn clean(folder: &Path, known: &HashSet<String>) -> io::Result<Vec<u8>> {
    make_private(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name == KEY || known.contains(name)) {
            remove(&entry.path());
        }
    }
    key(&folder.join(KEY))
}

fn signed(digest: &Digest, expires: i64, node: NodeId) -> String {
    format!("artifact\n{digest}\n{expires}\n{node}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    if digits.len() == 64 { pairs.collect() } else { None }
}

impl Conductor {
    /// Receives a file and keeps it under a name. The same bytes under the same name are no error.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for other bytes than announced, none, or half of them; [`Refusal::Conflict`] when the name is taken;
    /// [`Refusal::TooLarge`]; [`Refusal::Unavailable`] when there is no room or no turn. Nothing is kept then.
    pub async fn upload_artifact(&self, who: &Principal, name: ArtifactName, upload: ArtifactUpload) -> Result<Value, Refusal> {
        administrator(who)?;
        let artifacts = &self.0.artifacts;
        let ArtifactsConfig { max_mib, upload_s, .. } = artifacts.config;
        let limit = u64::from(max_mib) << 20;
        let too_large = || Refusal::TooLarge(format!("The artifact is larger than {max_mib} MiB; the limit is artifacts.max_mib."));
        if upload.length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        if let Some(digest) = &upload.digest {
            self.free_for(&name, digest).await?;
        }
        let busy = || Refusal::Unavailable("Other artifacts are being uploaded; try again in a moment.".into());
        let _slot = tokio::time::timeout(TURN, artifacts.uploads.clone().acquire_owned()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let partial = Partial::begin(&artifacts.folder, limit).map_err(|error| not_stored(&error))?;
        let patience = Duration::from_secs(u64::from(upload_s));
        let whole = partial.take(patience, upload.body).await.map_err(|error| match error {
            NotArrived::TooLarge => too_large(),
            NotArrived::BrokenOff => Refusal::Invalid("The upload ended early; nothing was kept. Send it again.".into()),
            NotArrived::TooSlow => {
                Refusal::Invalid(format!("The upload took longer than {upload_s} s; the limit is artifacts.upload_s. Nothing was kept."))
            }
            NotArrived::Storing(error) => not_stored(&error),
        })?;
        if whole.size == 0 {
            return Err(Refusal::Invalid("The upload is empty; send the file's bytes.".into()));
        }
        if let Some(announced) = upload.digest.filter(|announced| *announced != whole.digest) {
            let text =
                format!("The bytes that arrived have the digest {}, not {announced}; nothing was kept. Send them again.", whole.digest);
            return Err(Refusal::Invalid(text));
        }
        let (this, who, from) = (self.clone(), who.clone(), upload.from);
        // It is whole: that the sender does not wait for the answer changes nothing.
        self.through(async move { this.keep_artifact(name, whole, &who, from).await }).await
    }

    async fn keep_artifact(&self, name: ArtifactName, whole: Whole, who: &Principal, from: Option<IpAddr>) -> Result<Value, Refusal> {
        let artifacts = &self.0.artifacts;
        let new = Artifact {
            name,
            digest: whole.digest.clone(),
            size: whole.size,
            uploaded_at: Timestamp::now(),
            uploaded_by: who.user.clone(),
            uploaded_from: from.map(|from| from.to_string()),
            url_until: Timestamp::UNIX_EPOCH,
        };
        let _keeping = artifacts.keeping.lock().await;
        self.free_for(&new.name, &new.digest).await?;
        whole.keep(artifacts.path(&new.digest)).await.map_err(|error| not_stored(&error))?;
        let kept = self.0.store.put_artifact(&new).await?;
        let detail = json!({ "digest": kept.digest, "size": kept.size });
        self.note(vec![done(who, "artifact.upload", format!("artifact/{}", kept.name), String::new(), detail)]).await;
        tracing::info!(artifact = %kept.name, digest = kept.digest.short(), size = kept.size, user = who.user, "artifact uploaded");
        Ok(self.shown_artifact(&kept))
    }

    /// Whether these bytes may have this name.
    async fn free_for(&self, name: &ArtifactName, digest: &Digest) -> Result<(), Refusal> {
        let taken = self.0.store.artifacts().await?.into_iter().find(|known| known.name == *name && known.digest != *digest);
        match taken {
            Some(known) => Err(Refusal::Conflict(format!(
                "There is an artifact {name} with other bytes, {}: choose another name, or delete that one.",
                known.digest.short()
            ))),
            None => Ok(()),
        }
    }

    /// All artifacts, by name.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for a caller that is bound to a project.
    pub async fn list_artifacts(&self, who: &Principal) -> Result<Value, Refusal> {
        overseer(who)?;
        let all = self.0.store.artifacts().await?;
        Ok(json!({ "artifacts": all.iter().map(|artifact| self.shown_artifact(artifact)).collect::<Vec<_>>() }))
    }

    /// One artifact, by its name or its digest (or the beginning of that).
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; [`Refusal::Invalid`] when several are named.
    pub async fn show_artifact(&self, who: &Principal, which: &str) -> Result<Value, Refusal> {
        overseer(who)?;
        Ok(self.shown_artifact(&self.artifact(which).await?))
    }

    /// Deletes an artifact, named in the same way, and its bytes if they are no other name's.
    ///
    /// # Errors
    /// As [`Self::show_artifact`]; [`Refusal::Conflict`] while a URL that a driver was given may be used.
    pub async fn delete_artifact(&self, who: &Principal, which: &str) -> Result<(), Refusal> {
        administrator(who)?;
        let artifact = self.artifact(which).await?;
        let (this, who) = (self.clone(), who.clone());
        self.through(async move {
            let _keeping = this.0.artifacts.keeping.lock().await;
            let gone = this.0.store.delete_artifact(&artifact.name, Timestamp::now()).await.map_err(convert::refusal)?;
            if gone {
                remove(&this.0.artifacts.path(&artifact.digest));
            }
            let detail = json!({ "digest": artifact.digest });
            this.note(vec![done(&who, "artifact.delete", format!("artifact/{}", artifact.name), String::new(), detail)]).await;
            tracing::info!(artifact = %artifact.name, digest = artifact.digest.short(), user = who.user, "artifact deleted");
            Ok(())
        })
        .await
    }

    /// The file that a URL leads to, for whoever has the URL.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], in the same words whatever is wrong with it.
    pub fn artifact_content(&self, hex: &str, ticket: Option<&ArtifactTicket>) -> Result<PathBuf, Refusal> {
        let forbidden = || Refusal::Forbidden("This URL is not one that the host made, or it has expired.".into());
        let digest: Digest = format!("sha256:{hex}").parse().map_err(|_| forbidden())?;
        let ticket = ticket.ok_or_else(forbidden)?;
        let genuine = self.0.artifacts.is_genuine(&digest, ticket);
        if genuine && ticket.expires > Timestamp::now().as_second() { Ok(self.0.artifacts.path(&digest)) } else { Err(forbidden()) }
    }

    /// The one artifact that a text names.
    async fn artifact(&self, which: &str) -> Result<Artifact, Refusal> {
        let wanted: WhichArtifact = which.parse().map_err(|error| Refusal::Invalid(format!("{error}.")))?;
        let found = self.0.store.artifacts().await?.into_iter().filter(|known| wanted.is(&known.name, &known.digest)).collect::<Vec<_>>();
        match <[Artifact; 1]>::try_from(found) {
            Ok([one]) => Ok(one),
            Err(none) if none.is_empty() => Err(Refusal::NotFound(format!("There is no artifact {which}."))),
            Err(several) => {
                let names = several.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
                Err(Refusal::Invalid(format!("{which} names several artifacts, {names}: give a name.")))
            }
        }
    }

    fn shown_artifact(&self, artifact: &Artifact) -> Value {
        let Artifact { name, digest, size, uploaded_at, uploaded_by, uploaded_from, url_until } = artifact;
        let url_until = (*url_until > Timestamp::now()).then(|| url_until.to_string());
        json!({
            "name": name, "digest": digest, "size": size, "uploaded_at": uploaded_at.to_string(), "uploaded_by": uploaded_by,
            "uploaded_from": uploaded_from, "url_until": url_until,
        })
    }
}

fn not_stored(error: &io::Error) -> Refusal {
    if is_no_space(error) {
        return Refusal::Unavailable("The host has no space left to store the artifact; nothing was kept.".into());
    }
    tracing::error!(%error, "an artifact could not be stored");
    Refusal::Internal("the artifact could not be stored; the host's log says more".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;
    use wrought_storage::Durability;

    use super::*;

    async fn artifacts(dir: &Path) -> Artifacts {
        let store = Store::open(&dir.join("data"), Durability::Normal).await.unwrap();
        let setup = ArtifactsSetup { folder: dir.join("artifacts"), public_url: "http://h:1".into(), config: ArtifactsConfig::default() };
        let artifacts = Artifacts::open(setup, &store).await.unwrap();
        store.close().await;
        artifacts
    }

    fn ticket(url: &str) -> (String, ArtifactTicket) {
        let (path, query) = url.split_once('?').unwrap();
        let digest = path.rsplit('/').nth(1).unwrap().to_owned();
        let of = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}="))).unwrap().to_owned();
        let node = NodeId(of("node").parse().unwrap());
        (digest, ArtifactTicket { expires: of("expires").parse().unwrap(), node, signature: of("signature") })
    }

    #[tokio::test]
    async fn a_url_is_good_for_its_bytes_its_node_and_its_time_and_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = artifacts(dir.path()).await;
        let (digest, other) = (Digest::from_sha256([1; 32]), Digest::from_sha256([2; 32]));
        let node = NodeId(Uuid::from_u128(7));
        let url = artifacts.url(&digest, 1_000, node);
        let (hex, good) = ticket(&url);
        assert!(url.starts_with("http://h:1/wrought/v1/artifacts/0101") && hex == digest.hex());
        assert!(artifacts.is_genuine(&digest, &good));
        assert!(!artifacts.is_genuine(&other, &good));
        for forged in [
            ArtifactTicket { expires: 1_001, ..good.clone() },
            ArtifactTicket { node: NodeId(Uuid::nil()), ..good.clone() },
            ArtifactTicket { signature: good.signature.replace(SIGNATURE_PREFIX, ""), ..good.clone() },
            ArtifactTicket { signature: format!("{SIGNATURE_PREFIX}{}", "0".repeat(64)), ..good.clone() },
            ArtifactTicket { signature: String::new(), ..good.clone() },
        ] {
            assert!(!artifacts.is_genuine(&digest, &forged), "{forged:?}");
        }
        let again = self::artifacts(dir.path()).await;
        assert_eq!(again.url(&digest, 1_000, node), url, "the next life of the host makes the same");
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(self::artifacts(elsewhere.path()).await.url(&digest, 1_000, node), url);
    }

    #[tokio::test]
    async fn what_a_crash_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        drop(artifacts(dir.path()).await);
        let folder = dir.path().join("artifacts");
        std::fs::write(folder.join("upload-x.part"), "half").unwrap();
        std::fs::write(folder.join(Digest::from_sha256([3; 32]).hex()), "nobody's").unwrap();
        drop(artifacts(dir.path()).await);
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [KEY]);
    }
}
