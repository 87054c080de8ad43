//! The kind, identity and state of a file.

use std::time::{Duration, SystemTime};

use crate::limits::{COARSE_REST, FILE_REST};

/// The kind and state of a file, as `stat` returns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Regular file, directory or something else.
    pub kind: FileKind,
    /// The file's identity and state.
    pub fingerprint: Fingerprint,
}

/// The kinds of file that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A FIFO, device, socket or anything else. It is never opened and never served.
    Other,
}

/// The state of a file. A file with the same fingerprint still has the bytes that were read.
///
/// Times are nanoseconds since 1970. On a platform without an inode change time, `changed` is the
/// time of the last modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The device that holds the file.
    pub device: u64,
    /// The file's number on that device.
    pub inode: u64,
    /// The size in bytes.
    pub size: u64,
    /// The time of the last change of the bytes, which users can set at will.
    pub modified: i128,
    /// The time of the last change of the inode, which users cannot set.
    pub changed: i128,
}

impl Fingerprint {
    /// Whether the file had rested for `rest` before `now`.
    ///
    /// A later change of a file that had not rested can hide in the granularity of the file
    /// system's clock.
    #[must_use]
    pub fn rested(&self, rest: Duration, now: SystemTime) -> bool {
        let rest = i128::try_from(rest.as_nanos()).unwrap_or(i128::MAX);
        self.changed.saturating_add(rest) <= nanos(now)
    }

    /// Whether the time of the last change is a whole second. A file system that counts in smaller units
    /// hardly ever tells such a time, and users cannot set it.
    pub(crate) fn is_coarse(&self) -> bool {
        self.changed % 1_000_000_000 == 0
    }

    /// The age of the last change from which on this state names the file's bytes.
    pub(crate) fn rest(&self) -> Duration {
        if self.is_coarse() { COARSE_REST } else { FILE_REST }
    }

    /// Whether this state names the bytes that the file has at `now`.
    pub(crate) fn names_bytes(&self, now: SystemTime) -> bool {
        self.rested(self.rest(), now)
    }

    /// Whether the last change lies after `now`, by a clock that was set back or another machine's.
    pub(crate) fn is_of_the_future(&self, now: SystemTime) -> bool {
        !self.rested(Duration::ZERO, now)
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

    /// The device and the inode, which are the same for every name of one file.
    pub(crate) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// Nanoseconds since 1970, negative before.
pub(crate) fn nanos(time: SystemTime) -> i128 {
    let after = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => after(since),
        Err(before) => -after(before.duration()),
    }
}
