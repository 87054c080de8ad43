//! The directory of a source.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use super::file::DiskFile;
use super::stat::Stat;

/// A directory under which a source's files lie. No lookup leaves it.
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
    /// - Symlinks are followed as long as they are relative and stay beneath the root.
    /// - The call never waits for a FIFO's writer.
    ///
    /// # Errors
    ///
    /// `NotFound` (also for a path that leads out of the root), `NotADirectory`,
    /// `PermissionDenied` and the others of `open`.
    fn open(&self, path: &Path) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)>;

    /// As [`open`](Self::open), but only if that needs no wait for the disk. The error is
    /// `WouldBlock` if it does, or if the platform cannot tell.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`open`](Self::open).
    fn open_nowait(&self, _path: &Path) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Returns the names in the directory `path` beneath the root. An empty path is the root
    /// itself.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
}
