//! Documents that may hold secrets are sealed as a whole before they reach the database.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the form, 1 |
//! | 4 | which key |
//! | 12 | a random nonce |
//! | all others | the document under AES-256-GCM-SIV, with its tag |
//!
//! The row that a document lies in is sealed with it, so one that was moved to another row does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};

const FORM: u8 = 1;
const ID_LEN: usize = 4;
/// What stands before the ciphertext.
const HEAD: usize = 1 + ID_LEN + NONCE_LEN;

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;

/// Which key; no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyId([u8; ID_LEN]);

impl KeyId {
    /// From 8 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 2 * ID_LEN && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u32::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes())))?
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// Why bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("it is not sealed")]
    NotSealed,
    #[error("it is sealed with key {0}, which is not in the key file")]
    UnknownKey(KeyId),
    #[error("it was changed, or moved from another row, or sealed with another key")]
    Broken,
    /// The system gives no random numbers, or the document is too long.
    #[error("sealing failed")]
    Refused,
}

/// One key.
pub(crate) struct Key {
    id: KeyId,
    bytes: SecretBox<[u8; KEY_LEN]>,
    // GCM-SIV and not GCM, whose random nonces are safe for 2^32 documents only: a busy host writes as many within days.
    cipher: LessSafeKey,
}

impl Key {
    pub(crate) fn new(id: KeyId, bytes: &[u8; KEY_LEN]) -> Result<Self, SealError> {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, bytes).map_err(|_| SealError::Refused)?);
        Ok(Self { id, bytes: SecretBox::new(Box::new(*bytes)), cipher })
    }

    /// A new one with an id that none of `others` has.
    pub(crate) fn random(others: &KeyRing) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        fill(bytes.as_mut_slice())?;
        let mut id = [0; ID_LEN];
        loop {
            fill(&mut id)?;
            if !others.holds(KeyId(id)) {
                return Self::new(KeyId(id), &bytes);
            }
        }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// The key itself, for the key file.
    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        self.bytes.expose_secret()
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), SealError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| SealError::Refused)
}

/// The keys of a key file: the first one seals, all of them open.
#[derive(Default)]
pub(crate) struct KeyRing {
    keys: Vec<Key>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(Key::id)).finish()
    }
}

impl KeyRing {
    /// These keys, the one in use first.
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// With a new key in use.
    pub(crate) fn renewed(mut self) -> Result<Self, SealError> {
        self.keys.insert(0, Key::random(&self)?);
        Ok(self)
    }

    /// Only the key in use; the ids of those left out.
    pub(crate) fn without_old(mut self) -> (Self, Vec<KeyId>) {
        let old = self.keys.split_off(self.keys.len().min(1));
        (self, old.iter().map(Key::id).collect())
    }

    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The id of the key in use.
    pub(crate) fn in_use(&self) -> Option<KeyId> {
        self.keys.first().map(Key::id)
    }

    pub(crate) fn holds(&self, id: KeyId) -> bool {
        self.key(id).is_some()
    }

    fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Seals what `write` puts into a buffer, for the row `place`.
    pub(crate) fn seal<E: From<SealError>>(&self, place: &str, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Vec<u8>, E> {
        let key = self.keys.first().ok_or(SealError::Refused)?;
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(4096);
        sealed.push(FORM);
        sealed.extend(key.id.0);
        sealed.extend(nonce);
        write(&mut sealed)?;
        let body = sealed.get_mut(HEAD..).ok_or(SealError::Refused)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.cipher.seal_in_place_separate_tag(nonce, Aad::from(place), body).map_err(|_| SealError::Refused)?;
        sealed.extend(tag.as_ref());
        Ok(sealed)
    }

    /// What was sealed for the row `place`.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = sealed_with(sealed).ok_or(SealError::NotSealed)?;
        let key = self.key(id).ok_or(SealError::UnknownKey(id))?;
        let (head, body) = sealed.split_at_checked(HEAD).ok_or(SealError::Broken)?;
        let nonce = head.get(1 + ID_LEN..).ok_or(SealError::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = key.cipher.open_in_place(nonce, Aad::from(place), &mut body).map_err(|_| SealError::Broken)?.len();
        body.truncate(length);
        Ok(body)
    }
}

/// The key that the bytes are sealed with; nothing when they are not sealed.
pub(crate) fn sealed_with(bytes: &[u8]) -> Option<KeyId> {
    let (form, rest) = bytes.split_first()?;
    (*form == FORM).then(|| rest.first_chunk().map(|id| KeyId(*id)))?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn sealed(ring: &KeyRing, place: &str, text: &str) -> Vec<u8> {
        ring.seal::<SealError>(place, |buffer| {
            buffer.extend(text.as_bytes());
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_row_only() {
        let ring = KeyRing::default().renewed().unwrap();
        let one = sealed(&ring, "nodes/1", "hunter2");
        assert!(!one.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(ring.open("nodes/1", &one).unwrap().as_slice(), b"hunter2");
        assert_eq!(ring.open("nodes/2", &one).unwrap_err(), SealError::Broken);
        assert_ne!(one, sealed(&ring, "nodes/1", "hunter2"), "equal documents are not seen to be equal");
        for at in 0..one.len() {
            let mut other = one.clone();
            other[at] ^= 1;
            assert!(ring.open("nodes/1", &other).is_err(), "byte {at}");
        }
        for end in 0..one.len() {
            assert!(ring.open("nodes/1", &one[..end]).is_err(), "{end} bytes");
        }
        assert_eq!(ring.open("nodes/1", b"{}").unwrap_err(), SealError::NotSealed);
    }

    #[test]
    fn old_keys_open_and_the_new_one_seals() {
        let ring = KeyRing::default().renewed().unwrap();
        let old = ring.in_use().unwrap();
        let before = sealed(&ring, "a/1", "x");
        let ring = ring.renewed().unwrap();
        assert_eq!(sealed_with(&before), Some(old));
        assert_eq!(ring.open("a/1", &before).unwrap().as_slice(), b"x");
        let after = sealed(&ring, "a/1", "x");
        assert_eq!(sealed_with(&after), ring.in_use());
        let (ring, dropped) = ring.without_old();
        assert_eq!((dropped, ring.open("a/1", &before).unwrap_err()), (vec![old], SealError::UnknownKey(old)));
        assert_eq!(ring.open("a/1", &after).unwrap().as_slice(), b"x");
    }

    #[test]
    fn debug_output_holds_no_key() {
        let key = Key::new(KeyId::parse("00c0ffee").unwrap(), &[0xab; KEY_LEN]).unwrap();
        let text = format!("{:?}", KeyRing::new(vec![key]));
        assert!(text.len() < 40 && !text.contains("171") && !text.contains("abab"), "{text}");
    }
}
