//! The directory of a source, which no lookup leaves.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::disk::RealFile;
use super::{nowait, platform};
use crate::fs::{DiskFile, DiskRoot, FileKind, Fingerprint, Stat};

/// A directory whose lookups cap-std confines: `openat2` with `RESOLVE_BENEATH` and
/// `RESOLVE_NO_MAGICLINKS` on Linux, a walk by descriptors elsewhere.
#[derive(Debug)]
pub(super) struct RealRoot {
    dir: Dir,
    /// The same directory, for [`stat`](DiskRoot::stat).
    file: File,
    /// Whether what the kernel remembers of its files is all there is to know.
    is_local: bool,
}

impl RealRoot {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        dir.entries()?; // a directory may be open and yet not be readable
        let file = dir.try_clone()?.into_std_file();
        let is_local = nowait::is_local(&file);
        Ok(Self { dir, file, is_local })
    }
}

impl DiskRoot for RealRoot {
    fn stat(&self) -> io::Result<Stat> {
        platform::stat_file(&self.file)
    }

    /// Generations before it opens, because opening some devices does something (a watchdog starts
    /// to count, a tape rewinds). If the file is replaced in between, `O_NONBLOCK` still keeps
    /// a FIFO from holding us, and what was opened is looked at again.
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

/// What was opened may be another than what was looked at before.
fn opened(file: File) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
    let stat = platform::stat_file(&file)?;
    if stat.kind == FileKind::Other {
        return Ok((OTHER, None));
    }
    Ok((stat, Some(Arc::new(RealFile::from(file)))))
}

/// Said of what is never opened: its fingerprint is of no use to anybody.
const OTHER: Stat = Stat {
    kind: FileKind::Other,
    fingerprint: Fingerprint { device: 0, inode: 0, size: 0, modified: 0, changed: 0 },
};

fn self_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// cap-std reports a way out of the root as a `PermissionDenied` without an error of the
/// system; a file that the process may not read comes with one, and must stay apart from it.
fn outside_is_nowhere(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
        return io::Error::new(io::ErrorKind::NotFound, error);
    }
    error
}
