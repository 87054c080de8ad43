//! A file system.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use super::file::DiskFile;
use super::lock::DiskLock;
use super::root::DiskRoot;
use super::stat::Stat;

/// A file system.
///
/// Every path is absolute, or relative to the process's working directory. No part of a path
/// comes from a request, but for [`DiskRoot::open`], which confines it.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Creates `path` and its missing parents, readable for the owner only (0700).
    ///
    /// # Errors
    ///
    /// As [`std::fs::DirBuilder::create`]; an existing directory is none.
    fn create_private_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a file (0600) in `dir` that has no name yet. It vanishes with its last descriptor,
    /// unless [`DiskFile::publish`] gives it a name.
    ///
    /// A platform without unnamed files gives it a private name, which starts with
    /// [`PRIVATE_PREFIX`](super::PRIVATE_PREFIX). That name goes away when the file is published
    /// or dropped; a killed process leaves it.
    ///
    /// # Errors
    ///
    /// If `dir` is missing, not writable, or out of inodes.
    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens the file `path` for reading. Never waits for a FIFO's writer.
    ///
    /// The file is in use as long as it lives, as one from
    /// [`create_unnamed`](Self::create_unnamed) is: see [`remove_unused`](Self::remove_unused).
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::open`]; `NotFound` also for a file that is just being removed; and if
    /// `path` itself is a symlink. Anything but a regular file may be opened or refused;
    /// [`DiskFile::stat`] tells its kind.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// As [`open`](Self::open), but only if that needs no wait for the disk. The error is
    /// `WouldBlock` if it does, or if the platform cannot tell. Only for a path that
    /// [`is_local`](Self::is_local).
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`open`](Self::open).
    fn open_nowait(&self, _path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Whether `path` is known to lie on a file system of this machine, where a call can wait
    /// only for a disk.
    fn is_local(&self, _path: &Path) -> bool {
        false
    }

    /// Returns what stands at `path`, symlinks followed.
    ///
    /// # Errors
    ///
    /// As [`std::fs::metadata`].
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// As [`stat`](Self::stat), but only if that needs no wait for the disk. The error is
    /// `WouldBlock` if it does, or if the platform cannot tell. On a network's file system the
    /// result may be old.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`stat`](Self::stat).
    fn stat_nowait(&self, _path: &Path) -> io::Result<Stat> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Returns what stands at `path` itself: a symlink is
    /// [`FileKind::Other`](super::FileKind::Other).
    ///
    /// # Errors
    ///
    /// As [`std::fs::symlink_metadata`].
    fn stat_link(&self, path: &Path) -> io::Result<Stat>;

    /// Returns the names in the directory `path`, in no order.
    ///
    /// # Errors
    ///
    /// As [`std::fs::read_dir`].
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Removes the file `path`, or the symlink.
    ///
    /// # Errors
    ///
    /// As [`std::fs::remove_file`].
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes the file `path`, unless it is in use, in this process or another. Returns whether
    /// it is gone. The room of a removed file is thus free at once.
    ///
    /// On a file system that cannot tell, no file counts as being in use.
    ///
    /// # Errors
    ///
    /// As [`remove_file`](Self::remove_file) and [`open`](Self::open).
    fn remove_unused(&self, path: &Path) -> io::Result<bool>;

    /// Removes the directory `path` with everything in it. Symlinks are removed, not followed.
    ///
    /// # Errors
    ///
    /// As [`std::fs::remove_dir_all`].
    fn remove_tree(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock that the file `path` stands for, across processes, without
    /// waiting. Creates the file if it is missing. `None` if somebody else holds the lock.
    ///
    /// - Two calls of one process exclude each other as two processes do.
    /// - The file is removed when the lock is dropped.
    /// - A lock whose file somebody removed or replaced meanwhile is never handed out. A lock
    ///   whose file is removed while it is held no longer excludes anybody.
    ///
    /// # Errors
    ///
    /// If the file cannot be created or locked.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;

    /// Opens the directory `path` as the root of a source.
    ///
    /// # Errors
    ///
    /// If it is missing, no directory, or not readable; `Unsupported` if no sources can lie on
    /// this disk.
    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>>;
}
