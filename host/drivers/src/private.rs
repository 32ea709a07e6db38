//! Folders and keys that are for this user alone.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const KEY_BYTES: usize = 32;

/// Removes a file that nobody needs; that it stays hurts nobody either.
pub fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), %error, "a file that is not needed any more cannot be removed");
        }
        _ => {}
    }
}

/// Makes a folder that is for this user alone, or makes it so.
///
/// # Errors
/// It cannot be made, or is another user's.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// The random key of 32 bytes in a file, made if it is not there. What was signed with another key is worth nothing then.
///
/// # Errors
/// It cannot be written.
pub fn key(path: &Path) -> std::io::Result<Vec<u8>> {
    if let Ok(key) = std::fs::read(path)
        && key.len() == KEY_BYTES
    {
        return Ok(key);
    }
    remove(path);
    let mut key = vec![0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| std::io::Error::other("no randomness"))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}
