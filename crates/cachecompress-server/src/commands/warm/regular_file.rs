//! Files that are opened only if they are regular ones.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens the regular file at `path`, or the one that a symlink there leads to, to be read. `None` if there
/// is none. A FIFO is not waited for.
///
/// # Errors
///
/// If it cannot be opened.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    let is_missing = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    };
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    match without_wait(options.read(true), false).open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens the regular file at `path` itself by these `options`, which may create it.
///
/// # Errors
///
/// If it cannot be opened, or is no regular file, such as a symlink.
pub(super) fn open_itself(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let irregular = || io::Error::other("it is no regular file");
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(irregular()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = without_wait(options, true).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(irregular()) }
}

/// Lets an open not wait for the other end of a FIFO, and not follow a symlink at the end of the path
/// where only the file `itself` counts.
#[cfg(unix)]
fn without_wait(options: &mut OpenOptions, itself: bool) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    let flags = if itself { OFlags::NONBLOCK | OFlags::NOFOLLOW } else { OFlags::NONBLOCK };
    options.custom_flags(flags.bits().cast_signed())
}

#[cfg(not(unix))]
fn without_wait(options: &mut OpenOptions, _: bool) -> &mut OpenOptions {
    options
}
