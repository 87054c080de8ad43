//! Writing files, with the directories above them.

use std::io;
use std::path::Path;

use fs_err as fs;

/// Makes `path` an empty directory.
pub(crate) fn create_empty(path: &Path) -> io::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::create_dir_all(path)
}

/// Writes a file, and creates the directories above it.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, bytes)
}
