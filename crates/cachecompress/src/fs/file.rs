//! An open file.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use super::stat::Stat;

/// The operating system's own file, for those that hand it on.
pub(crate) type SystemFile = std::fs::File;

/// An open file.
///
/// A source's files are only read: they need [`stat`](Self::stat) and [`read_at`](Self::read_at).
/// The writer of a cache's entries needs the other methods too, whose default fails as
/// `Unsupported`.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Returns what the descriptor leads to.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::metadata`].
    fn stat(&self) -> io::Result<Stat>;

    /// As [`stat`](Self::stat), but only if that can wait for nothing but a disk of this machine. The
    /// error is `WouldBlock` if it can, or if the platform cannot tell. Only for a file on a path
    /// that [`is_local`](super::Disk::is_local).
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as [`stat`](Self::stat).
    fn stat_nowait(&self) -> io::Result<Stat> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Reads at `offset` into `buffer`; returns the number of bytes, 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// As `pread`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// As [`read_at`](Self::read_at), but only if that needs no wait for the disk. The error is
    /// `WouldBlock` if it does, or if the platform cannot tell.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, or as `pread`.
    fn read_at_nowait(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Returns the operating system's own file, if this is one. It can be mapped and sent.
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

    /// Reserves room for `len` bytes, so that they can be written without running out of space.
    ///
    /// The file's size stays. A file system that cannot reserve does nothing.
    ///
    /// # Errors
    ///
    /// If there is not enough room; `FileTooLarge` if the process may not write so much.
    fn reserve(&self, _len: u64) -> io::Result<()> {
        only_read()
    }

    /// Cuts the file to `len` bytes and gives back the room that was reserved behind them.
    ///
    /// # Errors
    ///
    /// As `ftruncate`.
    fn set_len(&self, _len: u64) -> io::Result<()> {
        only_read()
    }

    /// Gives a file from [`Disk::create_unnamed`](super::Disk::create_unnamed) the name `path`,
    /// if nothing has it. The path must lie on the same file system.
    ///
    /// The file appears whole or not at all, and an existing one stays as it is. There is one
    /// exception: on a file system without unnamed files, hard links and a rename that does not
    /// replace, a file that appears at the very moment of the call can be replaced.
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
    /// As `futimens`. On Windows that needs a descriptor open for writing, so it fails there for
    /// a file from [`Disk::open`](super::Disk::open).
    fn touch(&self) -> io::Result<()> {
        only_read()
    }
}

fn only_read() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The error of [`DiskFile::publish`] for a second name, and for a file that always had one.
pub(super) fn has_a_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the file has a name")
}

/// Reads until `buffer` is full or the file ends; returns the number of bytes.
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
