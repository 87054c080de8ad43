//! The paths under the cache's directory.
//!
//! ```text
//! CACHEDIR.TAG
//! uses-<number>          the ledger of uses
//! dictionaries           the versions of files that clients may hold, as text
//! v1/entries/ab/<name>   a published entry, immutable
//! v1/locks/<name>        held while a process writes that entry; its size is the claim
//! v1/locks/open-<hex>    held as long as a process has the cache open
//! v1/locks/evict         held while a process makes room
//! v1/locks/uses          held while a process writes the ledger of uses
//! v1/locks/dictionaries  held while a process writes the ledger
//! ```

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use super::key::Name;
use crate::fs::{Disk, FileKind};

/// The directory of this format. Another format gets another directory; nothing is migrated.
pub(super) const VERSION: &str = "v1";
/// The directory of entries. Every format has it, and [`LOCKS`], and nothing beside them.
pub(super) const ENTRIES: &str = "entries";
/// The directory of locks.
pub(super) const LOCKS: &str = "locks";
/// The name of the tag.
pub(super) const TAG_NAME: &str = "CACHEDIR.TAG";

/// The tag that backup tools look for, <https://bford.info/cachedir/>.
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
    # This directory holds compressed copies made by cachecompress. It may be removed at any time.\n";

/// The paths of one cache.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
    /// The directory of the directories of entries.
    pub(super) entries: PathBuf,
    pub(super) locks: PathBuf,
    /// The lock that tells other processes of this one.
    pub(super) presence: PathBuf,
}

/// The start of the name of a lock that is held as long as a cache is open.
const PRESENCE: &str = "open-";

/// The purpose of a lock, by its file's name.
pub(super) enum LockName {
    /// Held by the writer of this entry.
    Writer(Name),
    /// Held by a process that has the cache open.
    Presence,
    /// Any other lock or file.
    Other,
}

impl LockName {
    pub(super) fn parse(text: &str) -> Self {
        match Name::parse(text) {
            Some(name) => Self::Writer(name),
            None if text.starts_with(PRESENCE) => Self::Presence,
            None => Self::Other,
        }
    }
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        let version = root.join(VERSION);
        let locks = version.join(LOCKS);
        let random = RandomState::new().build_hasher().finish();
        let presence = locks.join(format!("{PRESENCE}{random:016x}"));
        Self { entries: version.join(ENTRIES), locks, presence, root }
    }

    pub(super) fn shard(&self, shard: u8) -> PathBuf {
        self.entries.join(format!("{shard:02x}"))
    }

    pub(super) fn entry(&self, name: &Name) -> PathBuf {
        self.shard(name.shard()).join(name.to_string())
    }

    pub(super) fn lock(&self, name: &Name) -> PathBuf {
        self.locks.join(name.to_string())
    }

    pub(super) fn ledger(&self, number: u64) -> PathBuf {
        self.root.join(format!("uses-{number:016x}"))
    }

    pub(super) fn ledger_lock(&self) -> PathBuf {
        self.locks.join("uses")
    }

    pub(super) fn eviction_lock(&self) -> PathBuf {
        self.locks.join("evict")
    }

    /// The ledger of dictionaries.
    pub(super) fn dictionaries(&self) -> PathBuf {
        self.root.join("dictionaries")
    }

    pub(super) fn dictionaries_lock(&self) -> PathBuf {
        self.locks.join("dictionaries")
    }

    /// Creates the directories and the tag if they are missing.
    pub(super) fn create(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.create_private_dir(&self.entries)?;
        disk.create_private_dir(&self.locks)?;
        let tag = disk.create_unnamed(&self.root)?;
        tag.reserve(TAG.len() as u64)?;
        tag.write_all_at(TAG, 0)?;
        match tag.publish(&self.root.join(TAG_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}

impl Layout {
    /// Makes calls of all kinds that requests wait for, to see whether they return. An error is an
    /// answer, too.
    pub(super) fn try_out(&self, disk: &dyn Disk) {
        let _ = self.create(disk);
        disk.is_local(&self.root);
        let _ = disk.list(&self.entries);
        let (lock, missing) = (self.locks.join("trial"), self.locks.join("trial-missing"));
        let held = disk.try_lock(&lock).ok().flatten();
        if let Some(held) = &held {
            let _ = held.announce(TAG.len() as u64);
        }
        let _ = disk.remove_file(&missing);
        let _ = disk.remove_unused(&missing);
        if let Ok(file) = disk.create_unnamed(&self.entries) {
            let _ = file.reserve(TAG.len() as u64).and_then(|()| file.write_all_at(TAG, 0));
            let _ = file.set_len(1);
            let _ = file.touch();
        }
        let tag = self.root.join(TAG_NAME);
        let _ = disk.stat_link(&tag);
        if let Ok(file) = disk.open(&tag) {
            let _ = file.stat();
            let _ = file.read_at(&mut [0], 0);
        }
    }
}

/// The directory that `name` names among the entries, if it is one of the 256.
pub(super) fn shard_of(name: &OsStr) -> Option<u8> {
    let shard = u8::from_str_radix(name.to_str()?, 16).ok()?;
    (*name == *format!("{shard:02x}")).then_some(shard)
}

/// Runs `attempt`. If a directory is missing, creates it with `repair` and runs `attempt` again.
///
/// A cache thus survives the removal of its directory at any moment.
pub(super) fn with_directory<T>(
    attempt: impl Fn() -> io::Result<T>,
    repair: impl FnOnce() -> io::Result<()>,
) -> io::Result<T> {
    match attempt() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            repair()?;
            attempt()
        }
        result => result,
    }
}

/// Removes the file or directory tree at `path`; `false` if it is not `inode` any more, because
/// somebody else has replaced or removed it.
pub(super) fn remove_only(disk: &dyn Disk, path: &Path, inode: u64) -> io::Result<bool> {
    let removed = disk.stat_link(path).and_then(|found| match found.kind {
        _ if found.fingerprint.inode != inode => Ok(false),
        FileKind::Directory => disk.remove_tree(path).map(|()| true),
        FileKind::Regular | FileKind::Other => disk.remove_file(path).map(|()| true),
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed,
    }
}
