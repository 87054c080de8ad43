//! The only door to the file system, for the cache and for sources.
//!
//! [`Disk`] is narrow on purpose: a disk that fails at its k-th call can stand in for the real
//! one under all of the crate's code. [`RealDisk`] is the real one, [`MemoryDisk`] one that is
//! forgotten with the process.
//!
//! What differs between platforms is chosen once, here and at the head of each module:
//! `platform` is Unix or not, and what only Linux can do ([`Disk::create_unnamed`] without a
//! name, [`DiskFile::reserve`], [`DiskFile::read_at_nowait`], [`DiskRoot::open_nowait`]) has a fallback beside it, which
//! `--cfg cachecompress_portable` chooses on Linux too, so that it can be tested there.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the door that std::fs is forbidden everywhere else for"
)]

mod memory;
mod os;

pub use memory::MemoryDisk;
pub use os::{PRIVATE_PREFIX, RealDisk};
pub(crate) use os::{is_exhausted, leads_nowhere, name_to_bytes, path_from_bytes};

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, io};

/// A file system.
///
/// Every path is an absolute one, or relative to the process's working directory; nothing that
/// comes from a request is ever part of one, but for [`DiskRoot::open`], which confines it.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Creates `path` and its missing parents, readable for the owner only (0700).
    ///
    /// # Errors
    ///
    /// As [`std::fs::DirBuilder::create`]; an existing directory is none.
    fn create_private_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a file (0600) in `dir` that has no name yet and vanishes with its last
    /// descriptor, unless [`DiskFile::publish`] gives it one.
    ///
    /// Where a file cannot be without a name, it has one that starts with [`PRIVATE_PREFIX`]
    /// and that goes away when the file is published or dropped; a killed process leaves it.
    ///
    /// # Errors
    ///
    /// If `dir` is missing, not writable, or out of inodes.
    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens the file `path` for reading; never waits for a FIFO's writer. While the file lives, it
    /// is in use, as one from [`create_unnamed`](Self::create_unnamed) is: see
    /// [`remove_unused`](Self::remove_unused).
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::open`]; `NotFound` also for a file that is just being removed; and if
    /// `path` itself is a symlink. Something else than a regular file may be opened or refused;
    /// [`DiskFile::stat`] tells what was.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// As [`open`](Self::open), but only if that needs no wait for the disk; otherwise, or where
    /// that cannot be told, `WouldBlock`. Only for what [`is_local`](Self::is_local).
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`open`](Self::open).
    fn open_nowait(&self, _path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Whether `path` is known to lie on a file system of this machine, where only a disk can be
    /// waited for.
    fn is_local(&self, _path: &Path) -> bool {
        false
    }

    /// What stands at `path`, symlinks followed.
    ///
    /// # Errors
    ///
    /// As [`std::fs::metadata`].
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// As [`stat`](Self::stat), but only if that needs no wait for the disk; otherwise, or where
    /// that cannot be told, `WouldBlock`. Of a network's file system, it may be old.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`stat`](Self::stat).
    fn stat_nowait(&self, _path: &Path) -> io::Result<Stat> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What stands at `path` itself: a symlink is [`FileKind::Other`].
    ///
    /// # Errors
    ///
    /// As [`std::fs::symlink_metadata`].
    fn stat_link(&self, path: &Path) -> io::Result<Stat>;

    /// The names in the directory `path`, in no order.
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

    /// Removes the file `path`, unless it is in use, in this process or another; returns whether
    /// it is gone. So what goes gives back its room at once.
    ///
    /// Where the file system cannot tell, no file counts as being in use.
    ///
    /// # Errors
    ///
    /// As [`remove_file`](Self::remove_file) and [`open`](Self::open).
    fn remove_unused(&self, path: &Path) -> io::Result<bool>;

    /// Removes the directory `path` with all that is in it; symlinks are removed, not followed.
    ///
    /// # Errors
    ///
    /// As [`std::fs::remove_dir_all`].
    fn remove_tree(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock that the file `path` stands for, across processes, without
    /// waiting; creates the file where it is missing. `None`: somebody else holds it.
    ///
    /// Two calls of one process exclude each other like two processes do. The file is removed
    /// when the lock is dropped. A lock whose file somebody removed or replaced meanwhile is
    /// never handed out; one whose file is removed while it is held no longer excludes anybody.
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

/// A lock that is held until it is dropped.
pub trait DiskLock: fmt::Debug + Send + Sync {
    /// Makes `size` the size of the lock's file, for others to see by [`Disk::stat`]; the file
    /// takes no room for it. Where that cannot be had, it does nothing.
    ///
    /// # Errors
    ///
    /// As `ftruncate`.
    fn announce(&self, size: u64) -> io::Result<()>;
}

/// An open file.
///
/// A source's files are only read: for them [`stat`](Self::stat) and [`read_at`](Self::read_at) are
/// enough. A cache's disk needs all of it; what is not there fails as `Unsupported`.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// What the descriptor leads to.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::metadata`].
    fn stat(&self) -> io::Result<Stat>;

    /// Reads at `offset` into `buffer`; returns the number of bytes, 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// As `pread`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// As [`read_at`](Self::read_at), but only if that needs no wait for the disk; otherwise, or
    /// where that cannot be told, `WouldBlock`.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as `pread`.
    fn read_at_nowait(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The operating system's own file, if it is one, for what no other can do.
    fn as_real(&self) -> Option<&Arc<std::fs::File>> {
        None
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    ///
    /// As `pwrite`; some of the bytes may have been written.
    fn write_all_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        only_read()
    }

    /// Makes sure that `len` bytes can be written without running out of space; the file's size
    /// stays. Where the file system cannot, it does nothing.
    ///
    /// # Errors
    ///
    /// If there is not enough room.
    fn reserve(&self, _len: u64) -> io::Result<()> {
        only_read()
    }

    /// Cuts the file to `len` bytes and gives back what was reserved behind them.
    ///
    /// # Errors
    ///
    /// As `ftruncate`.
    fn set_len(&self, _len: u64) -> io::Result<()> {
        only_read()
    }

    /// Gives a file from [`Disk::create_unnamed`] the name `path`, which must lie on the same
    /// file system, if nothing has it.
    ///
    /// The file appears whole or not at all, and an existing one stays as it is. (Only where a
    /// file system knows neither unnamed files, nor hard links, nor a rename that does not
    /// replace, can one that appears in the very moment of the call be replaced.)
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if something has the name, `NotFound` if its directory is gone,
    /// `InvalidInput` if the file is not from `create_unnamed` or has a name already.
    fn publish(&self, _path: &Path) -> io::Result<()> {
        only_read()
    }

    /// Writes the file's bytes to the medium.
    ///
    /// # Errors
    ///
    /// As `fdatasync`.
    fn sync(&self) -> io::Result<()> {
        only_read()
    }

    /// Sets the time of the last modification to now.
    ///
    /// # Errors
    ///
    /// As `futimens`; where that needs a descriptor open for writing (Windows), it fails for a
    /// file from [`Disk::open`].
    fn touch(&self) -> io::Result<()> {
        only_read()
    }
}

fn only_read() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A directory under which a source's files lie; no lookup leaves it.
pub trait DiskRoot: fmt::Debug + Send + Sync {
    /// What the root's descriptor leads to.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::metadata`].
    fn stat(&self) -> io::Result<Stat>;

    /// Opens `path` beneath the root for reading and says what it is; an empty path is the root
    /// itself. Only a regular file or a directory is opened; for anything else the file is
    /// `None` and the fingerprint says nothing. Never waits for a FIFO's writer. Symlinks are followed as long as they are
    /// relative and stay beneath.
    ///
    /// # Errors
    ///
    /// `NotFound` (also for what leads out of the root), `NotADirectory`, `PermissionDenied` and
    /// the others of `open`.
    fn open(&self, path: &Path) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)>;

    /// As [`open`](Self::open), but only if that needs no wait for the disk; otherwise, or where
    /// that cannot be told, `WouldBlock`.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`open`](Self::open).
    fn open_nowait(&self, _path: &Path) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The names in the directory `path` beneath the root; an empty path is the root itself.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
}

/// What a file is, as `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Regular file, directory or something else.
    pub kind: FileKind,
    /// The file's identity and state.
    pub fingerprint: Fingerprint,
}

/// The kinds of file that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A FIFO, device, socket or whatever else: never opened, never served.
    Other,
}

/// The shortcut that says "these are still the bytes that were read".
///
/// Times are nanoseconds since 1970; where the platform has no inode change time, `changed` is
/// the time of the last modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The device that holds the file.
    pub device: u64,
    /// The file's number on that device.
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// When its bytes were last modified (which users can set at will).
    pub modified: i128,
    /// When its inode was last changed (which they cannot).
    pub changed: i128,
}

impl Fingerprint {
    /// Whether the file had rested for `rest` before `now`: only then can a later change not
    /// hide in the granularity of the file system's clock.
    #[must_use]
    pub fn rested(&self, rest: Duration, now: SystemTime) -> bool {
        let rest = i128::try_from(rest.as_nanos()).unwrap_or(i128::MAX);
        self.changed.saturating_add(rest) <= nanos(now)
    }

    /// The time of the last modification.
    #[must_use]
    pub fn modified_time(&self) -> SystemTime {
        let size =
            Duration::from_nanos(u64::try_from(self.modified.unsigned_abs()).unwrap_or(u64::MAX));
        let time = if self.modified < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(size)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(size)
        };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// Reads until `buffer` is full or the file ends; returns how much it was.
pub(crate) fn read_full(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Nanoseconds since 1970, negative before.
pub(crate) fn nanos(time: SystemTime) -> i128 {
    let after = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => after(since),
        Err(before) => -after(before.duration()),
    }
}
