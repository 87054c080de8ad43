//! What every Unix does alike.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::{FileKind, Fingerprint, Stat};

/// Options under which a new file is its owner's only.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
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

pub(super) fn stat_file(file: &File) -> io::Result<Stat> {
    file.metadata().map(|metadata| stat(&metadata))
}

pub(super) fn stat_path(path: &Path) -> io::Result<Stat> {
    std::fs::metadata(path).map(|metadata| stat(&metadata))
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

/// The path in the file system that a source path's bytes mean. Here every one is possible.
pub(crate) fn path_from_bytes(bytes: &[u8]) -> Option<&Path> {
    Some(Path::new(OsStr::from_bytes(bytes)))
}

/// The bytes of one name of a directory, as they stand in a source path.
pub(crate) fn name_to_bytes(name: &OsStr) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Borrowed(name.as_bytes()))
}
