//! A cache's directory, walked without opening the cache.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::entry::Damage;
use crate::cache::key::Name;
use crate::cache::layout::{ENTRIES, LOCKS, Layout, TAG_NAME, VERSION, shard_of};
use crate::cache::reader::{Entry, ReadError, read_header};
use crate::cache::state::State;
use crate::cache::stored_entry::StoredEntry;
use crate::error::Error;
use crate::fs::{Disk, FileKind, RealDisk, Stat, read_full};
use crate::limits::TAG_START;

/// A cache's directory, for its care: [`entries`](Self::entries), [`verify`](Self::verify),
/// [`purge`](Self::purge) and [`gc`](Self::gc).
///
/// It creates nothing, starts no thread and evicts nothing, so it can be used beside any number of
/// processes that serve from the directory. A user that may write to the directory can lead it
/// astray: it should run as the user that the cache belongs to.
///
/// The files of an open cache come from [`Cache::files`](crate::Cache::files). They take part in its
/// figures, and there are some for a cache in memory, too.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use cachecompress::cache::{CacheFiles, Care};
///
/// /// Names the damaged entries of a cache.
/// fn check(directory: &str) -> Result<bool, cachecompress::Error> {
///     let summary = CacheFiles::new(directory).verify(|care| {
///         if let Care::Damaged { path, damage } = care {
///             eprintln!("{}: {}", path.display(), damage.as_str());
///         }
///         ControlFlow::Continue(())
///     })?;
///     Ok(summary.damaged == 0)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct CacheFiles {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    /// The state of the cache that has the directory open in this process.
    pub(super) open: Option<Arc<State>>,
}

/// A step in the care of [`CacheFiles`], as the caller is told of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Care<'a> {
    /// Another directory of entries has been looked at.
    Progress {
        /// The number of directories that are done.
        done: usize,
        /// The number of all directories.
        of: usize,
    },
    /// An entry is as it was written.
    Whole {
        /// Its size in bytes, header and trailer included.
        bytes: u64,
    },
    /// An entry has a whole header (`entries`).
    Entry {
        /// Its path.
        path: &'a Path,
        /// The entry.
        entry: &'a StoredEntry,
    },
    /// An entry was removed, or would have been (`purge`).
    Purged {
        /// Its path.
        path: &'a Path,
        /// The entry.
        entry: &'a StoredEntry,
    },
    /// An entry, or a directory of entries, is not as it was written, and stays (all but `gc`).
    Damaged {
        /// Its path.
        path: &'a Path,
        /// Its damage.
        damage: Damage,
    },
    /// Something was removed, or would have been (`gc`, and `purge` for a damaged entry).
    Removed {
        /// Its path.
        path: &'a Path,
        /// The reason why nobody needs it.
        litter: Litter,
    },
    /// Something could not be read or removed. The rest is looked at nevertheless.
    Failed {
        /// Its path.
        path: &'a Path,
        /// The error of the disk.
        error: &'a io::Error,
    },
}

/// The kinds of file that [`CacheFiles::gc`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Litter {
    /// An entry that is damaged.
    Damaged(Damage),
    /// The unfinished file of a killed writer, under a private name.
    Unfinished,
    /// The lock of a killed writer, which nobody holds.
    Lock,
    /// A file among the entries or locks that has no entry's name.
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

/// The caller's function that is told of each step, and may end the work.
pub(super) type Watch<'a> = dyn FnMut(Care<'_>) -> ControlFlow<()> + 'a;

/// The entry by its header, or its damage; and the file's inode.
pub(super) type ReadEntry = (Result<StoredEntry, Damage>, u64);

/// The result of verifying the file under an entry's name.
pub(super) enum Checked {
    /// An intact entry of so many bytes.
    Whole(u64),
    /// Something else, with its damage and its inode.
    Damaged(Damage, u64),
    /// Nothing: the file has vanished.
    Gone,
}

impl CacheFiles {
    /// The cache in the directory `root`, on the operating system's disk.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { disk: Arc::new(RealDisk), layout: Layout::new(root.into()), open: None }
    }

    /// The file system to use, default the real one.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    pub(in crate::cache) fn of(state: &Arc<State>) -> Self {
        let (disk, layout) = (Arc::clone(&state.bare_disk), state.layout.clone());
        Self { disk, layout, open: Some(Arc::clone(state)) }
    }

    /// Fails unless this is a cache of ours. Nothing is touched in a directory that was named by
    /// mistake, such as a home directory. The directory of an open cache may have been removed.
    pub(super) fn expect_ours(&self) -> Result<(), Error> {
        let root = &self.layout.root;
        if self.open.is_some() {
            return Ok(());
        }
        match self.disk.stat(root) {
            Ok(_) if self.is_tagged() || self.is_format(&root.join(VERSION)) => Ok(()),
            Ok(_) => match self.disk.list(root) {
                // Caches belong to one user, and others see nothing of them.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    Err(Error::io("cannot look at the cache in", root, error))
                }
                _ => Err(Error::config("there is no cache of cachecompress in").with_path(root)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::config("there is no directory").with_path(root))
            }
            Err(error) => Err(Error::io("cannot look at the cache in", root, error)),
        }
    }

    /// Whether the directory has our tag.
    pub(super) fn is_tagged(&self) -> bool {
        let path = self.layout.root.join(TAG_NAME);
        let mut start = [0; TAG_START];
        let is_file = |stat: Stat| stat.kind == FileKind::Regular;
        let file = self.disk.open(&path).ok().filter(|file| file.stat().is_ok_and(is_file));
        let len = file.and_then(|file| read_full(&*file, &mut start, 0).ok()).unwrap_or(0);
        let text = String::from_utf8_lossy(&start[..len]);
        text.starts_with("Signature: 8a477f597d28d172789f06886806bc55")
            && text.contains("cachecompress")
    }

    /// Whether `path` is the directory of a format of ours, not somebody else's `v2`.
    ///
    /// It holds `entries` and perhaps `locks`, and nothing else. In `entries` are directories named
    /// by two hexadecimal digits, and nothing else.
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

    /// Lists the names in `path`. There are none if it has vanished or is no directory; a symlink
    /// is none.
    pub(super) fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let listed = self.disk.stat_link(path).and_then(|stat| match stat.kind {
            FileKind::Directory => self.disk.list(path),
            FileKind::Regular | FileKind::Other => Ok(Vec::new()),
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// Returns what stands at `path` itself; `None` if it has vanished.
    pub(super) fn look(&self, path: &Path) -> io::Result<Option<Stat>> {
        match self.disk.stat_link(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Lists the directories of entries that exist, in order.
    pub(super) fn shards(&self) -> Result<Vec<u8>, Error> {
        let entries = &self.layout.entries;
        let names = self
            .names(entries)
            .map_err(|error| Error::io("cannot list the cache's entries in", entries, error))?;
        let mut shards: Vec<u8> = names.iter().filter_map(|name| shard_of(name)).collect();
        shards.sort_unstable();
        Ok(shards)
    }

    /// Reads the header of the file at `path` under an entry's name, or finds its damage. Also returns
    /// the file's inode; `None` if the file has vanished.
    pub(super) fn read_entry(&self, name: &Name, path: &Path) -> io::Result<Option<ReadEntry>> {
        let Some(found) = self.look(path)? else { return Ok(None) };
        let read = read_header(&*self.disk, path, found.kind, |key| key.name() == *name);
        match read {
            Ok((header, encoded_len, fingerprint)) => {
                let entry = StoredEntry::new(header, encoded_len, &fingerprint);
                Ok(Some((Ok(entry), fingerprint.inode)))
            }
            Err(ReadError::Damaged(damage)) => Ok(Some((Err(damage), found.fingerprint.inode))),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(ReadError::Io(error)) => Err(error),
        }
    }

    /// Verifies the file at `path` under an entry's name.
    pub(super) fn check_entry(&self, name: &Name, path: &Path) -> io::Result<Checked> {
        let Some(found) = self.look(path)? else { return Ok(Checked::Gone) };
        let inode = found.fingerprint.inode;
        match Entry::open(&*self.disk, path, found.kind, |key| key.name() == *name) {
            Ok(entry) => Ok(Checked::Whole(entry.size())),
            Err(ReadError::Damaged(damage)) => Ok(Checked::Damaged(damage, inode)),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Checked::Gone)
            }
            Err(ReadError::Io(error)) => Err(error),
        }
    }
}

/// The entry that `name` names, if it is one that belongs into `shard`.
pub(super) fn entry_of(name: &OsStr, shard: u8) -> Option<Name> {
    Name::parse(name.to_str()?).filter(|name| name.shard() == shard)
}
