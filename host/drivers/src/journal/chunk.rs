//! The stored form of a call: compressed JSON, what repeats from call to call kept apart under its hash.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use super::{Entry, Header, Recorded};
use crate::answer::Outcome;

/// The form of what follows in a chunk or a part: JSON, compressed with the dictionary of that number.
const FORM: u8 = 1;

/// What chunks look like, so that small ones become small. Never changed once released: another one is another form.
const DICTIONARY: &[u8] = include_bytes!("dictionary-1.txt");

static PACKING: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static UNPACKING: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

/// Bytes that a chunk or a part may have when it is read: files come from strangers.
const MAX_RAW: usize = 32 << 20;

/// A value whose text is shorter stays where it is.
const WORTH_SHARING: usize = 200;

/// Fast, because every effect waits for it; the higher levels save little on small texts.
const LEVEL: i32 = 1;

/// What is likely to be the same in the next call, as JSON pointers.
const SHARED: [&str; 11] = [
    "/header/grants",
    "/header/limits",
    "/header/snapshot/node/driver_info",
    "/header/snapshot/node/instance_info",
    "/header/snapshot/node/properties",
    "/header/snapshot/node/extra",
    "/header/snapshot/ports",
    "/header/snapshot/options",
    "/header/state",
    "/outcome/answer/Ok/steps",
    "/outcome/state",
];

/// Names a part: the first half of the SHA-256 of its text.
pub type PartId = [u8; 16];

/// A value that calls share, compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub id: PartId,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// What is new of a call since its last chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk<'a> {
    /// In the first chunk of a call.
    pub header: Option<&'a Header>,
    /// The index of the first of `entries`; a former intent comes again, with its answer.
    pub from: usize,
    /// Host calls.
    pub entries: &'a [Entry],
    /// In the last chunk of a call.
    pub outcome: Option<&'a Outcome>,
}

/// A chunk as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The chunk.
    pub data: Vec<u8>,
    /// What it refers to.
    pub parts: Vec<Part>,
}

impl Encoded {
    /// Bytes of the chunk and its parts.
    pub fn size(&self) -> usize {
        self.parts.iter().map(|part| part.data.len()).sum::<usize>().saturating_add(self.data.len())
    }
}

/// A chunk that cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// It has no form that this program knows.
    #[error("it is of the unknown form {0}: a newer version wrote it, or it is damaged")]
    Form(u8),
    /// It cannot be unpacked, or is no JSON of the expected kind.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A shared part is missing.
    #[error("its part {0} is missing")]
    Part(String),
    /// The host's own fault.
    #[error("it cannot be packed: {0}")]
    Packing(String),
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'a Header>,
    #[serde(skip_serializing_if = "is_zero")]
    from: usize,
    entries: &'a [Entry],
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a Outcome>,
}

#[derive(Deserialize)]
struct Read {
    header: Option<Header>,
    #[serde(default)]
    from: usize,
    entries: Vec<Entry>,
    outcome: Option<Outcome>,
}

/// Where the references to parts stand in a stored chunk: pointer to hexadecimal name.
const PARTS: &str = "parts";

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Chunk<'_> {
    /// Packs it.
    ///
    /// # Errors
    /// [`ChunkError::Packing`].
    pub fn encode(&self) -> Result<Encoded, ChunkError> {
        let written = Written { header: self.header, from: self.from, entries: self.entries, outcome: self.outcome };
        let mut value = serde_json::to_value(written).map_err(packing)?;
        let mut parts = Vec::new();
        let mut references = Map::new();
        let of_entries = (0..self.entries.len()).flat_map(|index| [format!("/entries/{index}/args"), format!("/entries/{index}/answer")]);
        for pointer in SHARED.iter().map(|pointer| Cow::Borrowed(*pointer)).chain(of_entries.map(Cow::Owned)) {
            let Some(place) = value.pointer_mut(&pointer) else { continue };
            let text = serde_json::to_vec(place).map_err(packing)?;
            if text.len() < WORTH_SHARING {
                continue;
            }
            *place = Value::Null;
            let id = name(&text);
            references.insert(pointer.into_owned(), hex::encode(id).into());
            if !parts.iter().any(|part: &Part| part.id == id) {
                parts.push(Part { id, data: pack(&text)? });
            }
        }
        if let (Some(map), false) = (value.as_object_mut(), references.is_empty()) {
            map.insert(PARTS.to_owned(), references.into());
        }
        Ok(Encoded { data: pack(&serde_json::to_vec(&value).map_err(packing)?)?, parts })
    }
}

/// Puts a call together from its chunks, in order; `part` gives the stored parts.
///
/// # Errors
/// Whatever is wrong with a chunk or missing.
pub fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, part: impl Fn(&PartId) -> Option<&'a [u8]>) -> Result<Recorded, ChunkError> {
    let damaged = |error: serde_json::Error| ChunkError::Damaged(error.to_string());
    let (mut header, mut entries, mut outcome) = (None, Vec::new(), None);
    for chunk in chunks {
        let mut value: Value = serde_json::from_slice(&unpack(chunk)?).map_err(damaged)?;
        let references = value.as_object_mut().and_then(|map| map.remove(PARTS));
        for (pointer, id) in references.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let text = id.as_str().unwrap_or_default();
            let missing = || ChunkError::Part(text.to_owned());
            let mut id = PartId::default();
            hex::decode_to_slice(text, &mut id).map_err(|_| missing())?;
            let found = unpack(part(&id).ok_or_else(missing)?)?;
            if let Some(place) = value.pointer_mut(pointer) {
                *place = serde_json::from_slice(&found).map_err(damaged)?;
            }
        }
        let read: Read = serde_json::from_value(value).map_err(damaged)?;
        if read.from > entries.len() {
            return Err(ChunkError::Damaged("a chunk is missing".into()));
        }
        entries.truncate(read.from);
        entries.extend(read.entries);
        header = header.or(read.header);
        outcome = read.outcome;
    }
    let header = header.ok_or_else(|| ChunkError::Damaged("its first chunk is missing".into()))?;
    Ok(Recorded { header, entries, outcome })
}

fn name(text: &[u8]) -> PartId {
    let mut id = PartId::default();
    for (byte, hashed) in id.iter_mut().zip(Sha256::digest(text)) {
        *byte = hashed;
    }
    id
}

fn packing(error: impl std::fmt::Display) -> ChunkError {
    ChunkError::Packing(error.to_string())
}

fn pack(text: &[u8]) -> Result<Vec<u8>, ChunkError> {
    // Setting a compressor up costs more than compressing a kilobyte.
    thread_local!(static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) });
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::with_prepared_dictionary(&PACKING).map_err(packing)?),
        };
        let mut data = vec![FORM];
        data.extend(compressor.compress(text).map_err(packing)?);
        Ok(data)
    })
}

fn unpack(data: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let damaged = |error: std::io::Error| ChunkError::Damaged(error.to_string());
    match data.split_first() {
        Some((&FORM, packed)) => {
            let capacity = Decompressor::upper_bound(packed).unwrap_or(MAX_RAW).min(MAX_RAW);
            Decompressor::with_prepared_dictionary(&UNPACKING).map_err(damaged)?.decompress(packed, capacity).map_err(damaged)
        }
        Some((&form, _)) => Err(ChunkError::Form(form)),
        None => Err(ChunkError::Damaged("it is empty".into())),
    }
}
