//! A cache's directory as its caretakers see it: walked without a cache being opened.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::entry::Damage;
use crate::cache::key::Name;
use crate::cache::layout::{ENTRIES, LOCKS, Layout, TAG_NAME, VERSION};
use crate::error::Error;
use crate::fs::{Disk, FileKind, RealDisk, Stat, read_full};

/// A cache's directory, for its care: [`verify`](Self::verify) and [`gc`](Self::gc).
///
/// Nothing is created, no thread is started and nothing is evicted, so that it can be used beside
/// any number of processes that serve from the directory. Whoever may write to the directory can
/// lead the care of it astray: it should run as the user that the cache belongs to.
#[derive(Clone, Debug)]
pub struct CacheFiles {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
}

/// What [`CacheFiles::verify`] and [`CacheFiles::gc`] tell whoever watches.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Care<'a> {
    /// So many of the directories of entries have been looked at.
    Progress {
        /// Those that are done.
        done: usize,
        /// All of them.
        of: usize,
    },
    /// An entry is as it was written.
    Whole {
        /// Its bytes, header and trailer included.
        bytes: u64,
    },
    /// An entry, or a directory of entries, is not as it was written (`verify`).
    Damaged {
        /// Where it lies.
        path: &'a Path,
        /// What is wrong with it.
        damage: Damage,
    },
    /// Something was removed, or would have been (`gc`).
    Removed {
        /// Where it lay.
        path: &'a Path,
        /// Why nobody needs it.
        litter: Litter,
    },
    /// Something could not be read or removed; the rest is looked at nevertheless.
    Failed {
        /// Where it lies.
        path: &'a Path,
        /// What the disk said.
        error: &'a io::Error,
    },
}

/// What [`CacheFiles::gc`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Litter {
    /// An entry that is damaged.
    Damaged(Damage),
    /// What a writer left that was killed: a private name.
    Unfinished,
    /// What a writer left that was killed: a lock that nobody holds.
    Lock,
    /// What lies among the entries, or locks, and has no entry's name.
    Foreign,
    /// The directory of another format.
    OldFormat,
}

impl Litter {
    /// A few words for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged(damage) => damage.as_str(),
            Self::Unfinished => "left by a writer that was killed",
            Self::Lock => "a lock that nobody holds",
            Self::Foreign => "not of the cache",
            Self::OldFormat => "another format",
        }
    }
}

/// Whoever is told of the work, and may end it.
pub(super) type Watch<'a> = dyn FnMut(Care<'_>) -> ControlFlow<()> + 'a;

impl CacheFiles {
    /// The cache in the directory `root`, on the operating system's disk.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { disk: Arc::new(RealDisk), layout: Layout::new(root.into()) }
    }

    /// The file system to use, default the real one.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    pub(in crate::cache) fn of(disk: &Arc<dyn Disk>, layout: &Layout) -> Self {
        Self { disk: Arc::clone(disk), layout: layout.clone() }
    }

    /// Makes sure that this is a cache of ours: nothing is touched in a directory that was named
    /// by mistake, such as a home directory.
    pub(super) fn expect_ours(&self) -> Result<(), Error> {
        let root = self.layout.root();
        match self.disk.stat(root) {
            Ok(_) if self.is_tagged() || self.is_format(&root.join(VERSION)) => Ok(()),
            Ok(_) => Err(Error::config("there is no cache of cachecompress in").with_path(root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::config("there is no directory").with_path(root))
            }
            Err(error) => Err(Error::io("cannot look at the cache in", root, error)),
        }
    }

    /// Whether the tag in the directory is the one that we write.
    pub(super) fn is_tagged(&self) -> bool {
        let path = self.layout.root().join(TAG_NAME);
        let mut start = [0; 512];
        let is_file = |stat: Stat| stat.kind == FileKind::Regular;
        let file = self.disk.open(&path).ok().filter(|file| file.stat().is_ok_and(is_file));
        let len = file.and_then(|file| read_full(&*file, &mut start, 0).ok()).unwrap_or(0);
        let text = String::from_utf8_lossy(&start[..len]);
        text.starts_with("Signature: 8a477f597d28d172789f06886806bc55")
            && text.contains("cachecompress")
    }

    /// Whether `path` is the directory of a format of ours: it holds `entries` and perhaps
    /// `locks`, nothing else, and in `entries` are directories named by two hexadecimal digits
    /// and nothing else. Whatever somebody else may call `v2` is not like that.
    pub(super) fn is_format(&self, path: &Path) -> bool {
        let directory = |path: &Path| {
            self.disk.stat_link(path).is_ok_and(|stat| stat.kind == FileKind::Directory)
        };
        let entries = path.join(ENTRIES);
        let holds = |path: &Path, allowed: &dyn Fn(&OsStr) -> bool| {
            self.disk.list(path).is_ok_and(|names| names.iter().all(|name| allowed(name)))
        };
        directory(path)
            && directory(&entries)
            && holds(path, &|name| name == ENTRIES || name == LOCKS)
            && holds(&entries, &|name| shard_of(name).is_some())
    }

    /// The names in `path`, none if it is no directory (not even by a symlink) or has vanished.
    pub(super) fn names(&self, path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        let listed = self.disk.stat_link(path).and_then(|stat| match stat.kind {
            FileKind::Directory => self.disk.list(path),
            FileKind::Regular | FileKind::Other => Ok(Vec::new()),
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// What stands at `path` itself; `None` if it has vanished.
    pub(super) fn look(&self, path: &Path) -> io::Result<Option<Stat>> {
        match self.disk.stat_link(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }
}

/// The directory that `name` names among the entries, if it is one of the 256.
pub(super) fn shard_of(name: &OsStr) -> Option<u8> {
    let shard = u8::from_str_radix(name.to_str()?, 16).ok()?;
    (*name == *format!("{shard:02x}")).then_some(shard)
}

/// The entry that `name` names, if it is one that belongs into `shard`.
pub(super) fn entry_of(name: &OsStr, shard: u8) -> Option<Name> {
    Name::parse(name.to_str()?).filter(|name| name.shard() == shard)
}
