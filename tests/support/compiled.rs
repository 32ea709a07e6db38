//! The shipped drivers as machine code, compiled by the first host of a build and taken by all after it: that is most of a start.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

const PREFIX: &str = "shipped-";

/// Where those of this build are kept.
fn place() -> PathBuf {
    let built = fs::metadata(env!("CARGO_BIN_EXE_wrought")).unwrap();
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{PREFIX}{}-{}", built.mtime(), built.mtime_nsec()))
}

/// Puts them into a host's folder before its first start; false if there are none yet.
pub fn take(drivers: &Path) -> bool {
    let place = place();
    place.is_dir() && copy(&place, drivers).is_ok()
}

/// Keeps those that a host has made, in place of those of former builds.
pub fn keep(drivers: &Path) {
    let (place, folder) = (place(), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let Ok(whole) = tempfile::Builder::new().prefix(".making-").tempdir_in(folder) else { return };
    if copy(drivers, &whole.path().join("drivers")).is_err() {
        return;
    }
    for former in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = former.file_name();
        if name.to_string_lossy().starts_with(PREFIX) && former.path() != place {
            let _ = fs::remove_dir_all(former.path());
        }
    }
    // Another host of this build may have been as quick: then its are as good.
    let _ = fs::rename(whole.path().join("drivers"), place);
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
