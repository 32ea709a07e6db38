//! What the journal tells of an operation, and the file that it is exported as: zstd-compressed JSON of [`Export`].
//!
//! The file replays without the host that it comes from (`wrought replay`), so it may be handed to a driver's vendor; who
//! reads one trusts nothing in it.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wrought_domain::{Digest, DriverName, Fence, NodeId, OperationId};
use wrought_drivers::journal::Recorded;
use wrought_storage::{StoredCall, StoredOperation};

/// What such a file says that it is.
const FORMAT: &str = "wrought-journal";

/// The version of the file's form. A reader takes this one only.
const VERSION: u32 = 1;

/// Bytes that a file may unpack to, written or read.
const MAX_JSON: usize = 256 << 20;

/// Components are WebAssembly, which packs well at any level.
const LEVEL: i32 = 3;

/// An operation as one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Export {
    format: String,
    version: u32,
    /// The version of the host that wrote it.
    pub wrought: String,
    /// The operation.
    pub operation: RecordedOperation,
    /// Its driver calls, in order, each with its record.
    pub calls: Vec<RecordedCall>,
    /// Every version of a driver that was called.
    pub drivers: Vec<RecordedDriver>,
}

/// An operation in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedOperation {
    /// Its id.
    pub id: OperationId,
    /// The node; it may be gone.
    pub node: NodeId,
    /// For example `deploy`.
    pub kind: String,
    /// On whose behalf.
    pub user: String,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; nothing while it goes on.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// Calls of drivers.
    pub calls: u64,
    /// Bytes that it takes in the journal.
    pub bytes: u64,
}

/// A driver call in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// Its id, on the host that recorded it.
    pub id: i64,
    /// Its number in the operation.
    pub turn: u64,
    /// The driver's registered name.
    pub driver: DriverName,
    /// Its version.
    pub digest: Digest,
    /// `interface.function`.
    pub function: String,
    /// The step, `interface.step`.
    pub step: Option<String>,
    /// The fence of its last write.
    pub fence: Fence,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; nothing where it never did.
    pub ended_at: Option<Timestamp>,
    /// `done`, `wait`, `steps`, `refused` or `fault`.
    pub outcome: Option<String>,
    /// Host calls that observe or act.
    pub host_calls: usize,
    /// All of it, where it was asked for; always in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Recorded>,
}

/// A version of a driver that was called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedDriver {
    /// The registered name.
    pub name: DriverName,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// The component; nothing where it was left out or is gone.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "to_base64", deserialize_with = "of_base64")]
    pub component: Option<Vec<u8>>,
}

/// A file that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is not compressed as an export is, or damaged.
    #[error("this is no export of a journal, or it is damaged: {0}")]
    Unpack(io::Error),
    /// It unpacks to too much.
    #[error("it holds more than {} MiB", MAX_JSON >> 20)]
    TooLarge,
    /// It is no JSON of the expected kind.
    #[error("this is no export of a journal, or it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It says that it is something else.
    #[error("this is no export of a journal: its format is {0:?}")]
    Format(String),
    /// Another version of Wrought wrote it.
    #[error(
        "it is written in version {0} of the format and this program reads version {VERSION}: use the release of Wrought that wrote it"
    )]
    Version(u32),
    /// It cannot be packed.
    #[error("it cannot be packed: {0}")]
    Pack(io::Error),
}

impl Export {
    /// What this host tells of an operation.
    pub fn new(operation: RecordedOperation, calls: Vec<RecordedCall>, drivers: Vec<RecordedDriver>) -> Self {
        let wrought = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT.to_owned(), version: VERSION, wrought, operation, calls, drivers }
    }

    /// The file.
    ///
    /// # Errors
    /// [`ExportError::TooLarge`], [`ExportError::Pack`].
    pub fn write(&self) -> Result<Vec<u8>, ExportError> {
        let mut packer = zstd::Encoder::new(Vec::new(), LEVEL).map_err(ExportError::Pack)?;
        // What was damaged on its way is told from what was never right.
        packer.include_checksum(true).map_err(ExportError::Pack)?;
        let mut counted = Counted { inner: &mut packer, room: MAX_JSON };
        if let Err(error) = serde_json::to_writer(&mut counted, self) {
            return Err(if counted.room == 0 { ExportError::TooLarge } else { error.into() });
        }
        packer.finish().map_err(ExportError::Pack)
    }

    /// Reads a file from whomever.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn read(file: &[u8]) -> Result<Self, ExportError> {
        /// What every version of the form has.
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let unpacker = zstd::Decoder::new(file).map_err(ExportError::Unpack)?;
        let mut json = Vec::new();
        unpacker.take(u64::try_from(MAX_JSON).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut json).map_err(ExportError::Unpack)?;
        if json.len() > MAX_JSON {
            return Err(ExportError::TooLarge);
        }
        let Head { format, version } = serde_json::from_slice(&json)?;
        if format != FORMAT {
            return Err(ExportError::Format(format.chars().take(80).collect()));
        }
        if version != VERSION {
            return Err(ExportError::Version(version));
        }
        Ok(serde_json::from_slice(&json)?)
    }
}

impl From<StoredOperation> for RecordedOperation {
    fn from(stored: StoredOperation) -> Self {
        let StoredOperation { operation, node, kind, user, began_at, ended_at, error, calls, bytes } = stored;
        Self { id: operation, node, kind, user, began_at, ended_at, error, calls, bytes }
    }
}

impl RecordedCall {
    /// A stored call and what it was decoded to.
    pub(crate) fn of(stored: StoredCall, record: Recorded, detail: bool) -> Self {
        let StoredCall { id, call, fence, ended_at, outcome, .. } = stored;
        Self {
            id,
            turn: call.turn,
            driver: call.driver,
            digest: call.digest,
            function: call.function,
            step: call.step,
            fence,
            began_at: call.began_at,
            ended_at,
            outcome,
            host_calls: record.entries.len(),
            record: detail.then_some(record),
        }
    }
}

/// Passes on as many bytes as there is room for.
pub(crate) struct Counted<W> {
    pub(crate) inner: W,
    pub(crate) room: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.room {
            self.room = 0;
            return Err(io::Error::other("there is no more room"));
        }
        let written = self.inner.write(bytes)?;
        self.room = self.room.saturating_sub(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn to_base64<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(serializer)
}

fn of_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]
    use super::*;

    fn export() -> Export {
        let operation = RecordedOperation {
            id: OperationId(uuid::Uuid::from_u128(1)),
            node: NodeId(uuid::Uuid::from_u128(2)),
            kind: "deploy".into(),
            user: "ada".into(),
            began_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            error: None,
            calls: 0,
            bytes: 0,
        };
        let driver = |component: Option<Vec<u8>>| RecordedDriver {
            name: "direct".parse().unwrap(),
            digest: Digest::from_sha256([7; 32]),
            component,
        };
        Export::new(operation, Vec::new(), vec![driver(Some(vec![0, 97, 255])), driver(None)])
    }

    fn packed(json: &[u8]) -> Vec<u8> {
        zstd::encode_all(json, 1).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Export::read(&export().write().unwrap()).unwrap(), export());
    }

    #[test]
    fn what_is_no_export_is_an_error_that_says_so() {
        let file = export().write().unwrap();
        let whole = zstd::decode_all(&*file).unwrap();
        let with = |from: &str, to: &str| packed(String::from_utf8(whole.clone()).unwrap().replace(from, to).as_bytes());
        for (what, bytes, word) in [
            ("nothing", Vec::new(), "damaged"),
            ("text", b"{\"format\": \"wrought-journal\"}".to_vec(), "damaged"),
            ("half a file", file[..file.len() / 2].to_vec(), "damaged"),
            ("half of its text", packed(&whole[..whole.len() / 2]), "damaged"),
            ("another format", with("wrought-journal", "shopping-list"), "shopping-list"),
            ("a later version", with("\"version\":1", "\"version\":2"), "version 2"),
            ("no base64", with("AGH/", "AGH!"), "damaged"),
            ("deep nesting", packed("[".repeat(100_000).as_bytes()), "damaged"),
            ("a bomb", packed(&vec![b' '; MAX_JSON + 1]), "more than 256 MiB"),
        ] {
            let error = Export::read(&bytes).expect_err(what).to_string();
            assert!(error.contains(word), "{what}: {error}");
        }
        // Every byte of it may be wrong.
        for place in 0..file.len() {
            let mut bytes = file.clone();
            bytes[place] ^= 0x55;
            let _ = Export::read(&bytes);
        }
    }
}
