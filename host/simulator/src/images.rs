//! `GET /images/<name>`: images whose bytes follow from their kind and size, so that nobody stores them.
//!
//! A `.raw` starts with a partition table and an `.iso` carries the ISO 9660 mark, so that they pass as what they are called.
//! `GET /images/<name>.sha256` gives the line that `sha256sum` would print.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::fleet::Shared;

const BLOCK: usize = 4096;
const BLOCK_U64: u64 = 4096;
const MARK: &[u8] = b"\x01CD001\x01";
/// Block of the ISO 9660 primary volume descriptor: byte 32,768.
const MARK_BLOCK: u64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Raw,
    Iso,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.') {
            Some((_, "raw")) => Some(Self::Raw),
            Some((_, "iso")) => Some(Self::Iso),
            _ => None,
        }
    }
}

/// The images of a fleet: all of one size.
#[derive(Debug)]
pub(crate) struct Images {
    size: u64,
    raw: OnceLock<String>,
    iso: OnceLock<String>,
}

impl Images {
    pub fn new(size: u64) -> Self {
        Self { size, raw: OnceLock::new(), iso: OnceLock::new() }
    }

    /// Lower-case hex SHA-256; takes a pass over the image the first time.
    fn sha256(&self, kind: Kind) -> &str {
        let cell = match kind {
            Kind::Raw => &self.raw,
            Kind::Iso => &self.iso,
        };
        cell.get_or_init(|| {
            let mut hash = Sha256::new();
            for block in blocks(kind, self.size) {
                hash.update(&block);
            }
            hex::encode(hash.finalize())
        })
    }
}

pub(crate) fn router(fleet: &Arc<Shared>) -> Router {
    Router::new().route("/images/{name}", get(image)).with_state(Arc::clone(fleet))
}

async fn image(State(fleet): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    if let Some(of) = name.strip_suffix(".sha256") {
        let Some(kind) = Kind::of(of) else {
            return not_found();
        };
        let shared = Arc::clone(&fleet);
        // A large image takes seconds of CPU.
        let hashed = tokio::task::spawn_blocking(move || shared.images.sha256(kind).to_owned()).await;
        return match hashed {
            Ok(hash) => ([(header::CONTENT_TYPE, "text/plain")], format!("{hash}  {of}\n")).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
    }
    let Some(kind) = Kind::of(&name) else {
        return not_found();
    };
    let size = fleet.images.size;
    let body = Body::from_stream(futures::stream::iter(blocks(kind, size).map(Ok::<_, std::io::Error>)));
    let headers = [(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::CONTENT_LENGTH, size.to_string())];
    (headers, body).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "images have names that end in .raw or .iso, checksums in .sha256\n").into_response()
}

fn blocks(kind: Kind, size: u64) -> impl Iterator<Item = Bytes> + Send + 'static {
    (0..size.div_ceil(BLOCK_U64)).map(move |number| {
        let mut bytes = block(kind, number);
        let left = size.saturating_sub(number.saturating_mul(BLOCK_U64));
        bytes.truncate(usize::try_from(left).unwrap_or(BLOCK));
        Bytes::from(bytes)
    })
}

fn block(kind: Kind, number: u64) -> Vec<u8> {
    let mut state = number ^ if kind == Kind::Raw { 0x7261_7700 } else { 0x6973_6f00 };
    let mut bytes: Vec<u8> = (0..BLOCK / 8).flat_map(|_| split_mix(&mut state).to_le_bytes()).collect();
    match (kind, number) {
        (Kind::Raw, 0) => {
            // One Linux partition from sector 1 on; without it an agent would say that nothing bootable was written.
            if let Some(table) = bytes.get_mut(446..512) {
                table.fill(0);
                table.copy_from_slice(&partition_table());
            }
        }
        (Kind::Iso, MARK_BLOCK) => {
            if let Some(mark) = bytes.get_mut(..MARK.len()) {
                mark.copy_from_slice(MARK);
            }
        }
        _ => {}
    }
    bytes
}

fn partition_table() -> [u8; 66] {
    let mut table = [0; 66];
    let entry = [0x80, 0, 2, 0, 0x83, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0x7f, 0, 0, 0];
    for (to, from) in table.iter_mut().zip(entry) {
        *to = from;
    }
    let [.., first, second] = &mut table;
    (*first, *second) = (0x55, 0xaa);
    table
}

/// SplitMix64, fixed here because the images must stay the same whatever the crates do.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;

    #[test]
    fn images_are_of_the_size_asked_for_and_carry_their_marks() {
        for size in [0, 1, 4096, 65_536, 70_001] {
            assert_eq!(blocks(Kind::Raw, size).map(|block| block.len()).sum::<usize>(), usize::try_from(size).unwrap());
        }
        let iso: Vec<u8> = blocks(Kind::Iso, 65_536).flatten().collect();
        assert_eq!(&iso[32_769..32_774], b"CD001");
        let raw: Vec<u8> = blocks(Kind::Raw, 65_536).flatten().collect();
        assert_eq!(&raw[510..512], [0x55, 0xaa]);
        assert_ne!(raw, iso);
    }
}
