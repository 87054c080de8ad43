//! What every Unix does alike.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::fs::{FileKind, Fingerprint, Stat};

/// Options under which a new file is its owner's only, and a symlink in its place an error.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// A builder of directories that are their owner's only.
pub(super) fn private_dir() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Makes `file` as long as `len` without taking room for it.
pub(super) fn set_sparse_len(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

/// Marks `file` as being in use until its description is closed; `false` if somebody is just
/// removing it. A file system without locks has no marks either.
pub(super) fn mark_used(file: &File) -> bool {
    !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Removes `path`, unless its file is [marked](mark_used).
///
/// Marks come after opening, so that a reader who is late finds the removal under way; the name
/// is looked at under the lock, because another file may have taken it meanwhile.
pub(super) fn remove_unused(path: &Path) -> io::Result<bool> {
    let file = plain_file().open(path)?;
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Ok(false);
    }
    let (opened, named) = (stat_file(&file)?.fingerprint, stat_path(path)?.fingerprint);
    if (opened.device, opened.inode) != (named.device, named.inode) {
        return Ok(false);
    }
    std::fs::remove_file(path)?;
    Ok(true)
}

pub(super) fn stat_file(file: &File) -> io::Result<Stat> {
    file.metadata().map(|metadata| stat(&metadata))
}

pub(super) fn stat_path(path: &Path) -> io::Result<Stat> {
    std::fs::metadata(path).map(|metadata| stat(&metadata))
}

pub(super) fn stat_link(path: &Path) -> io::Result<Stat> {
    std::fs::symlink_metadata(path).map(|metadata| stat(&metadata))
}

fn stat(metadata: &Metadata) -> Stat {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => FileKind::Regular,
        kind if kind.is_dir() => FileKind::Directory,
        _ => FileKind::Other,
    };
    let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let fingerprint = Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: time(metadata.mtime(), metadata.mtime_nsec()),
        changed: time(metadata.ctime(), metadata.ctime_nsec()),
    };
    Stat { kind, fingerprint }
}

/// The options under which a file that exists is opened for reading: a symlink is an error, a
/// FIFO does not wait for a writer, a terminal does not become the process's own.
pub(super) fn plain_file() -> OpenOptions {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

/// The options under which a source's file is opened: a FIFO does not wait for a writer, a
/// terminal does not become the process's own.
pub(super) fn source_file() -> cap_std::fs::OpenOptions {
    use cap_std::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut options = cap_std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

/// Symlinks in a circle, a name in an encoding that the file system does not allow (macOS), or a
/// socket or a device without a driver, which took the name between look and open.
pub(super) fn is_impossible_path(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::LOOP | Errno::ILSEQ | Errno::NXIO | Errno::NODEV))
}

/// No descriptor is left, to the process or to the system.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The path in the file system that a source path's bytes mean. Here every one is possible.
pub(crate) fn path_from_bytes(bytes: &[u8]) -> Option<&Path> {
    Some(Path::new(OsStr::from_bytes(bytes)))
}

/// The bytes of one name of a directory, as they stand in a source path.
pub(crate) fn name_to_bytes(name: &OsStr) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Borrowed(name.as_bytes()))
}
