//! Calls that every Unix has.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use cap_std::fs::Dir;

use crate::fs::{FileKind, Fingerprint, Stat};

/// Returns options for a new file that only its owner may use. A symlink in its place is an error.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Returns a builder of directories that only their owner may use.
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

/// Makes `file` `len` bytes long without taking room for it.
pub(super) fn set_sparse_len(file: &File, len: u64) -> io::Result<()> {
    may_be_long(len)?;
    file.set_len(len)
}

/// Fails as `FileTooLarge` if this process may not make a file `len` bytes long (RLIMIT_FSIZE). The
/// call that does it nevertheless would end the process by a signal.
pub(super) fn may_be_long(len: u64) -> io::Result<()> {
    let most = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if most.is_some_and(|most| len > most) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Marks `file` as being in use until its description is closed, by a shared lock; `false` if
/// somebody is just removing it. A file system without locks has no marks either.
pub(super) fn mark_used(file: &File) -> bool {
    !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Removes `path`, unless its file is [marked](mark_used).
///
/// A reader marks after it opens, so a late one finds the removal under way. The name is looked at
/// under the lock, because another file may have taken it meanwhile.
pub(super) fn remove_unused(path: &Path) -> io::Result<bool> {
    let file = plain_file().open(path)?;
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Ok(false);
    }
    let (opened, named) = (stat_file(&file)?.fingerprint, stat_path(path)?.fingerprint);
    if opened.identity() != named.identity() {
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

/// Returns options to open an existing file for reading. A symlink is an error, a FIFO does not
/// wait for a writer, and a terminal does not become the process's own.
pub(super) fn plain_file() -> OpenOptions {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

/// Returns options to open a source's file. A FIFO does not wait for a writer, and a terminal does
/// not become the process's own.
pub(super) fn source_file() -> cap_std::fs::OpenOptions {
    use cap_std::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut options = cap_std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

/// Opens a regular file or a directory beneath `root`, through any symlink; `None` for anything else.
pub(super) fn open_following(root: &File, _: &Path, path: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let stat = statat(root, path, AtFlags::empty())?;
    if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory)
    {
        return Ok(None);
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(Some(openat(root, path, flags, Mode::empty())?.into()))
}

/// Opens a regular file or a directory beneath `root`, through no symlink; `None` for anything else.
/// A symlink that takes a name meanwhile is an error.
pub(super) fn open_without_links(root: &Dir, path: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
    // A directory that may not be read can still be passed.
    #[cfg(target_os = "linux")]
    const PASSED: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const PASSED: OFlags = OFlags::empty();
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names: Vec<&OsStr> = path.iter().collect();
    let last = names.pop().unwrap_or(OsStr::new("."));
    let mut dir = openat(root, ".", flags | OFlags::DIRECTORY | PASSED, Mode::empty())?;
    for name in names {
        dir = openat(&dir, name, flags | OFlags::DIRECTORY | PASSED, Mode::empty())?;
    }
    let stat = statat(&dir, last, AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory)
    {
        return Ok(None);
    }
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(Some(openat(&dir, last, flags, Mode::empty())?.into()))
}

/// Whether no regular file can be at the path: symlinks in a circle, a name in an encoding that the
/// file system does not allow (macOS), or a socket or a device without a driver, which took the
/// name between look and open.
pub(super) fn is_impossible_path(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::LOOP | Errno::ILSEQ | Errno::NXIO | Errno::NODEV))
}

/// Whether no descriptor is left, to the process or to the system.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Returns the path in the file system for a source path's bytes. On Unix every one is possible.
pub(crate) fn path_from_bytes(bytes: &[u8]) -> Option<&Path> {
    Some(Path::new(OsStr::from_bytes(bytes)))
}

/// Returns the bytes of one name of a directory, as they stand in a source path.
pub(crate) fn name_to_bytes(name: &OsStr) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Borrowed(name.as_bytes()))
}
