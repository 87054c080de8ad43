//! A held lock.

use std::{fmt, io};

/// A lock that is held until it is dropped.
pub trait DiskLock: fmt::Debug + Send + Sync {
    /// Makes `size` the size of the lock's file, which others read by
    /// [`Disk::stat`](super::Disk::stat).
    ///
    /// The file takes no room for it. A platform that cannot do that does nothing.
    ///
    /// # Errors
    ///
    /// As `ftruncate`.
    fn announce(&self, size: u64) -> io::Result<()>;
}
