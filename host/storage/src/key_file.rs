//! The key file: the keys that documents are sealed with, as text.
//!
//! One key on each line, `<id, 8 hex digits> <key, 32 bytes in base64>`; the first is the one in use. `#` begins a comment.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;

use crate::seal::{KEY_LEN, Key, KeyId, KeyRing, SealError};

/// A key file is some lines.
const LONGEST: u64 = 64 << 10;

const HEADER: &str = "# Wrought: the keys that documents in the database are sealed with. The first seals, all of them open.\n\
     # Keep a copy apart from the data folder: without this file the database cannot be read.\n";

/// Why the key file is no use.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Documents are sealed, and there is no key.
    #[error(
        "the key file {} is not there, but what {} holds is sealed: put the file back from where you keep its copy, or name it \
         (--key-file, or [database] key_file)",
        path.display(), database.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The sealed database.
        database: PathBuf,
    },
    /// It cannot be read or written.
    #[error("the key file {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: Arc<io::Error>,
    },
    /// Others than its owner may read it.
    #[error("the key file {} may be used by others than its owner (mode {mode:04o}): run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A line is none of a key.
    #[error(
        "the key file {}, line {line}: use an id of 8 hexadecimal digits, different on each line, a space, and a key of 32 bytes in base64",
        path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// There is no key in it, or it is not a file of keys.
    #[error("the key file {} holds no key: put the one back that what {} holds is sealed with", path.display(), database.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The database.
        database: PathBuf,
    },
    /// The database is sealed with another key.
    #[error(
        "what {} holds is sealed with key {id}, which is not the one in the key file {}: put that key back, or name the right file \
         (--key-file, or [database] key_file)",
        database.display(), path.display()
    )]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The database.
        database: PathBuf,
        /// Which key is needed.
        id: String,
    },
    /// The system gives no random numbers.
    #[error("making a key failed: the system gives no random numbers")]
    NoRandom,
}

impl From<SealError> for KeyError {
    fn from(_: SealError) -> Self {
        Self::NoRandom
    }
}

/// Where the keys of a database are kept.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    pub(crate) path: PathBuf,
    pub(crate) database: PathBuf,
}

impl KeyFile {
    pub(crate) fn file_error(&self, cause: io::Error) -> KeyError {
        KeyError::File { path: self.path.clone(), cause: Arc::new(cause) }
    }

    pub(crate) fn missing(&self) -> KeyError {
        KeyError::Missing { path: self.path.clone(), database: self.database.clone() }
    }

    pub(crate) fn wrong(&self, id: impl ToString) -> KeyError {
        KeyError::Wrong { path: self.path.clone(), database: self.database.clone(), id: id.to_string() }
    }

    /// The keys; nothing when there is no such file.
    pub(crate) fn read(&self) -> Result<Option<KeyRing>, KeyError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.file_error(error)),
        };
        let mode = file.metadata().map_err(|e| self.file_error(e))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: self.path.clone(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LONGEST).read_to_string(&mut text).map_err(|e| self.file_error(e))?;
        self.parse(&text).map(Some)
    }

    fn parse(&self, text: &str) -> Result<KeyRing, KeyError> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let key = key(line).filter(|key: &Key| keys.iter().all(|known: &Key| known.id() != key.id()));
            keys.push(key.ok_or_else(|| KeyError::Form { path: self.path.clone(), line: number })?);
        }
        if keys.is_empty() {
            return Err(KeyError::Empty { path: self.path.clone(), database: self.database.clone() });
        }
        Ok(KeyRing::new(keys))
    }

    /// Puts these keys in place of what the file held, as a whole or not at all.
    pub(crate) fn write(&self, ring: &KeyRing) -> Result<(), KeyError> {
        let mut text = Zeroizing::new(String::from(HEADER));
        for key in ring.keys() {
            let encoded = Zeroizing::new(STANDARD.encode(key.expose()));
            text.push_str(&format!("{} ", key.id()));
            text.push_str(&encoded);
            text.push('\n');
        }
        self.replace(text.as_bytes()).map_err(|e| self.file_error(e))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        // Where the path is a link, the file that it leads to.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mut next = path.clone().into_os_string();
        next.push(".new");
        let next = PathBuf::from(next);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        // One that a killed process left may have other permissions.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(Path::new("."))?.sync_all(),
        }
    }
}

/// The key of a line.
fn key(line: &str) -> Option<Key> {
    let (id, encoded) = line.split_once(char::is_whitespace)?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let bytes: &[u8; KEY_LEN] = bytes.as_slice().try_into().ok()?;
    Key::new(KeyId::parse(id)?, bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(dir: &tempfile::TempDir) -> KeyFile {
        KeyFile { path: dir.path().join("k"), database: dir.path().join("wrought.db") }
    }

    #[test]
    fn keys_come_back_in_their_order_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        assert!(file.read().unwrap().is_none());
        let ring = KeyRing::default().renewed().unwrap().renewed().unwrap();
        file.write(&ring).unwrap();
        let read = file.read().unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{ring:?}"));
        assert_eq!(std::fs::metadata(&file.path).unwrap().permissions().mode() & 0o7777, 0o600);

        std::fs::set_permissions(&file.path, Permissions::from_mode(0o640)).unwrap();
        let refused = file.read().unwrap_err().to_string();
        assert!(refused.contains("mode 0640") && refused.contains(&format!("chmod 600 {}", file.path.display())), "{refused}");
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number_only() {
        let dir = tempfile::tempdir().unwrap();
        let good = format!("0badf00d {}", STANDARD.encode([7; 32]));
        for (text, line) in [
            (format!("# one\n{good} # in use\n0badf00d {}", STANDARD.encode([8; 32])), Some(3)),
            (format!("{good}\nabc {}", STANDARD.encode([8; 32])), Some(2)),
            (format!("{good}\n12345678 {}", STANDARD.encode([8; 31])), Some(2)),
            ("nonsense".into(), Some(1)),
            ("# nothing\n\n".into(), None),
        ] {
            match (file(&dir).parse(&text).unwrap_err(), line) {
                (KeyError::Form { line, .. }, Some(wanted)) => assert_eq!(line, wanted, "{text}"),
                (KeyError::Empty { .. }, None) => {}
                (other, _) => panic!("{text}: {other}"),
            }
        }
        assert!(file(&dir).parse(&format!("\n  {good}  # in use\n")).is_ok());
    }
}
