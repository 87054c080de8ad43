//! The directory of a source, to which every lookup is confined.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::file::RealFile;
use super::links::{self, leads_nowhere};
use super::{nowait, platform};
use crate::fs::{DiskFile, DiskRoot, FileKind, Fingerprint, Stat, Symlinks};
use crate::limits::LINK_TRIES;

/// A directory whose lookups cap-std confines.
///
/// On Linux it calls `openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_MAGICLINKS`; elsewhere it
/// walks by descriptors.
#[derive(Debug)]
pub(super) struct RealRoot {
    dir: Dir,
    /// The same directory, for calls that cap-std lacks.
    file: File,
    /// The directory's path without symlinks, for their targets.
    path: PathBuf,
    /// Whether the file system is local, so that the kernel's caches of its files are true.
    is_local: bool,
}

impl RealRoot {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Opened by the path that is kept, so that the two belong together when a symlink on the way
        // changes. A path that cannot be resolved leaves absolute symlinks unfollowed.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        dir.entries()?; // fails for a directory that can be opened, but not be read
        let file = dir.try_clone()?.into_std_file();
        let is_local = nowait::is_local(&file);
        Ok(Self { dir, file, path, is_local })
    }

    /// Opens a regular file or a directory; `None` for anything else.
    fn open_file(&self, path: &Path, symlinks: Symlinks) -> io::Result<Option<File>> {
        match symlinks {
            Symlinks::Within => match self.open_beneath(path) {
                Err(error) if leads_out(&error) => self.open_within(path),
                done => done,
            },
            Symlinks::Follow => platform::open_following(&self.file, &self.path, path),
            Symlinks::Deny => {
                links::refuse_any(&self.dir, path)?;
                platform::open_without_links(&self.dir, path)
            }
        }
    }

    /// Opens `path` if no symlink on the way is absolute or leads out, by cap-std's rules.
    ///
    /// Looks before it opens, because opening some devices has an effect: a watchdog starts to
    /// count, a tape rewinds. If the file is replaced in between, `O_NONBLOCK` still keeps a FIFO
    /// from blocking the call, and the opened file is looked at again.
    fn open_beneath(&self, path: &Path) -> io::Result<Option<File>> {
        let path = self_if_empty(path);
        let kind = self.dir.metadata(path)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Ok(None);
        }
        Ok(Some(self.dir.open_with(path, &platform::source_file())?.into_std()))
    }

    /// Opens `path` through symlinks whose targets lie in the root, however they are written.
    ///
    /// The resolved path is opened by [`open_beneath`](Self::open_beneath), so that a symlink which
    /// is changed in between leads nowhere, and never out.
    fn open_within(&self, path: &Path) -> io::Result<Option<File>> {
        let mut target = links::resolve(&self.path, path)?;
        for _ in 0..LINK_TRIES {
            match self.open_beneath(&target) {
                Err(error) if leads_out(&error) || leads_nowhere(&error) => {
                    let now = links::resolve(&self.path, path)?;
                    if now == target {
                        break;
                    }
                    target = now;
                }
                done => return done,
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

impl DiskRoot for RealRoot {
    fn stat(&self) -> io::Result<Stat> {
        platform::stat_file(&self.file)
    }

    fn open(
        &self,
        path: &Path,
        symlinks: Symlinks,
    ) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        match self.open_file(path, symlinks)? {
            Some(file) => opened(file),
            None => Ok((OTHER, None)),
        }
    }

    fn open_nowait(
        &self,
        path: &Path,
        symlinks: Symlinks,
    ) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        if !self.is_local {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let seen = nowait::stat_beneath(&self.file, path, symlinks)?;
        if seen.kind != FileKind::Regular {
            return Ok((seen, None));
        }
        opened(nowait::open_beneath(&self.file, path, symlinks)?)
    }

    fn list(&self, path: &Path, symlinks: Symlinks) -> io::Result<Vec<OsString>> {
        let opened = self.open_file(path, symlinks)?;
        let dir = Dir::from_std_file(opened.ok_or(io::ErrorKind::NotADirectory)?);
        dir.entries()?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn list_some(&self, path: &Path, symlinks: Symlinks, most: usize) -> io::Result<Vec<OsString>> {
        let opened = self.open_file(path, symlinks)?;
        let dir = Dir::from_std_file(opened.ok_or(io::ErrorKind::NotADirectory)?);
        dir.entries()?.take(most).map(|entry| entry.map(|entry| entry.file_name())).collect()
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

/// Whether `error` is cap-std's for a path that leads out of the root.
///
/// cap-std reports such a path as a `PermissionDenied` without an error of the system. A file that
/// the process may not read comes with one, and must stay apart from it.
fn leads_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}
