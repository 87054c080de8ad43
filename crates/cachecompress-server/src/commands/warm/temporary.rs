//! The temporary files of exports.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use cachecompress::SourcePath;
use tempfile::NamedTempFile;

use super::regular_file;

const START: &str = ".cachecompress-export-";
const END: &str = ".tmp";

/// Creates a temporary file in `directory`. It is locked for as long as it is open, where the file system
/// has locks.
///
/// # Errors
///
/// If it cannot be created.
pub(super) fn create(directory: &Path) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix(START).suffix(END).tempfile_in(directory)?;
    // Where the file system has no locks, nobody else gets one either.
    drop(file.as_file().try_lock());
    Ok(file)
}

/// Whether `path` has the name of a temporary file.
pub(super) fn is_named_so(path: &SourcePath) -> bool {
    let name = path.file_name();
    name.starts_with(START.as_bytes()) && name.ends_with(END.as_bytes())
}

/// Removes a temporary file, unless it is that of an export which runs, in a directory above or beneath.
///
/// # Errors
///
/// If it is no regular file, or cannot be locked or removed.
pub(super) fn remove_abandoned(file: &Path) -> io::Result<()> {
    let opened = regular_file::open_itself(file, OpenOptions::new().read(true).write(true))?;
    match opened.try_lock() {
        Ok(()) => fs::remove_file(file),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_file_is_removed_once_nobody_has_it_open() {
        let directory = tempfile::tempdir().unwrap();
        let (file, path) = create(directory.path()).unwrap().keep().unwrap();
        let name = SourcePath::parse(path.file_name().unwrap().as_encoded_bytes()).unwrap();
        assert!(is_named_so(&name), "{name}");
        remove_abandoned(&path).unwrap();
        assert!(path.exists(), "its export runs");
        drop(file);
        remove_abandoned(&path).unwrap();
        assert!(!path.exists());
    }
}
