//! The directory of a source.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use super::file::DiskFile;
use super::stat::Stat;

/// The symlinks that a lookup follows beneath a root. The root itself may be one in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Symlinks {
    /// Symlinks whose target lies in the root, be it written relative or absolute.
    #[default]
    Within,
    /// All of them. A lookup may leave the root, for trees of links as Bazel, Nix and package managers
    /// make them.
    Follow,
    /// None.
    Deny,
}

/// The reason of an error of [`DiskRoot`]: a symlink that is not followed.
#[derive(Debug)]
pub(crate) struct RefusedLink {
    /// The symlink's path beneath the root.
    pub(crate) path: PathBuf,
}

impl RefusedLink {
    /// Finds the refused symlink of `error`, if there is one.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<RefusedLink> for io::Error {
    fn from(refused: RefusedLink) -> Self {
        Self::new(io::ErrorKind::NotFound, refused)
    }
}

impl fmt::Display for RefusedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the symlink {:?} is not followed", self.path)
    }
}

impl std::error::Error for RefusedLink {}

/// A directory under which a source's files lie. No lookup leaves it, but by
/// [`Symlinks::Follow`].
pub trait DiskRoot: fmt::Debug + Send + Sync {
    /// Returns what the root's descriptor leads to.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::metadata`].
    fn stat(&self) -> io::Result<Stat>;

    /// Opens `path` beneath the root for reading, and returns what it is.
    ///
    /// - An empty path is the root itself.
    /// - Only a regular file or a directory is opened. For anything else the file is `None` and
    ///   the fingerprint says nothing.
    /// - `symlinks` tells which symlinks are followed. Another one is `NotFound`.
    /// - The call never waits for a FIFO's writer.
    ///
    /// # Errors
    ///
    /// `NotFound` (also for a path that leads out of the root), `NotADirectory`,
    /// `PermissionDenied` and the others of `open`.
    fn open(
        &self,
        path: &Path,
        symlinks: Symlinks,
    ) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)>;

    /// As [`open`](Self::open), but only if that needs no wait for the disk. The error is
    /// `WouldBlock` if it does, or if the platform cannot tell.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`open`](Self::open).
    fn open_nowait(
        &self,
        _path: &Path,
        _symlinks: Symlinks,
    ) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Returns the names in the directory `path` beneath the root. An empty path is the root
    /// itself.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn list(&self, path: &Path, symlinks: Symlinks) -> io::Result<Vec<OsString>>;

    /// As [`list`](Self::list), but at most `most` names, whichever come first.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn list_some(&self, path: &Path, symlinks: Symlinks, most: usize) -> io::Result<Vec<OsString>> {
        let mut names = self.list(path, symlinks)?;
        names.truncate(most);
        Ok(names)
    }
}
