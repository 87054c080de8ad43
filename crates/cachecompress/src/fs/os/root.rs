//! The directory of a source, to which every lookup is confined.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::file::RealFile;
use super::{nowait, platform};
use crate::fs::{DiskFile, DiskRoot, FileKind, Fingerprint, Stat};

/// A directory whose lookups cap-std confines.
///
/// On Linux it calls `openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_MAGICLINKS`; elsewhere it
/// walks by descriptors.
#[derive(Debug)]
pub(super) struct RealRoot {
    dir: Dir,
    /// The same directory, for [`stat`](DiskRoot::stat).
    file: File,
    /// Whether the file system is local, so that the kernel's caches of its files are true.
    is_local: bool,
}

impl RealRoot {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        dir.entries()?; // fails for a directory that can be opened, but not be read
        let file = dir.try_clone()?.into_std_file();
        let is_local = nowait::is_local(&file);
        Ok(Self { dir, file, is_local })
    }
}

impl DiskRoot for RealRoot {
    fn stat(&self) -> io::Result<Stat> {
        platform::stat_file(&self.file)
    }

    /// Looks before it opens, because opening some devices has an effect: a watchdog starts to
    /// count, a tape rewinds. If the file is replaced in between, `O_NONBLOCK` still keeps a FIFO
    /// from blocking the call, and the opened file is looked at again.
    fn open(&self, path: &Path) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        let path = self_if_empty(path);
        let kind = self.dir.metadata(path).map_err(outside_is_nowhere)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Ok((OTHER, None));
        }
        let opened = self.dir.open_with(path, &platform::source_file());
        self::opened(opened.map_err(outside_is_nowhere)?.into_std())
    }

    fn open_nowait(&self, path: &Path) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        if !self.is_local {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let seen = nowait::stat_beneath(&self.file, path)?;
        if seen.kind != FileKind::Regular {
            return Ok((seen, None));
        }
        opened(nowait::open_beneath(&self.file, path)?)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let entries = self.dir.read_dir(self_if_empty(path)).map_err(outside_is_nowhere)?;
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }
}

/// Looks at the opened file, which may be another than the one looked at before.
fn opened(file: File) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
    let stat = platform::stat_file(&file)?;
    if stat.kind == FileKind::Other {
        return Ok((OTHER, None));
    }
    Ok((stat, Some(Arc::new(RealFile::from(file)))))
}

/// The result for a file that is never opened. Its fingerprint says nothing.
const OTHER: Stat = Stat {
    kind: FileKind::Other,
    fingerprint: Fingerprint { device: 0, inode: 0, size: 0, modified: 0, changed: 0 },
};

fn self_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Turns cap-std's error for a path that leads out of the root into `NotFound`.
///
/// cap-std reports such a path as a `PermissionDenied` without an error of the system. A file that
/// the process may not read comes with one, and must stay apart from it.
fn outside_is_nowhere(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
        return io::Error::new(io::ErrorKind::NotFound, error);
    }
    error
}

/// Whether `error` says that the path leads to nothing, rather than that something is there and
/// cannot be read.
///
/// The cases are: no such file, a file in place of a directory, symlinks in a circle, a name that no
/// file can have.
pub(crate) fn leads_nowhere(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
        || platform::is_impossible_path(error)
}
