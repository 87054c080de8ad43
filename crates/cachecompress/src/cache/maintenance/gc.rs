//! `gc`: removes files that nobody needs any more.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::files::{CacheFiles, Care, Checked, Litter, Watch, entry_of};
use crate::cache::key::Name;
use crate::cache::layout::{VERSION, remove_only};
use crate::error::Error;
use crate::fs::{FileKind, PRIVATE_PREFIX, Stat, nanos};
use crate::limits::{FORMAT_UNUSED, WRITER_DEAD};
use crate::log::{self, EscapedPath};

/// The result of [`CacheFiles::gc`], which a dry run only predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcSummary {
    /// The number of intact entries, which stay.
    pub entries: u64,
    /// The bytes of those entries.
    pub bytes: u64,
    /// The number of damaged entries that were removed.
    pub damaged: u64,
    /// The number of locks, private names and foreign files that were removed.
    pub orphaned: u64,
    /// The number of directories of other formats that were removed.
    pub old_formats: u64,
    /// The number of files that could not be read or removed.
    pub failed: u64,
    /// Whether the caller ended the work before all was looked at.
    pub stopped: bool,
}

/// One run of `gc`.
struct Sweep<'a, 'w> {
    files: &'a CacheFiles,
    dry_run: bool,
    summary: GcSummary,
    watch: &'a mut Watch<'w>,
}

impl CacheFiles {
    /// Removes files that nobody needs: damaged entries, the files of killed writers, foreign files
    /// among entries and locks, and the directories of other formats.
    ///
    /// The cache knows no sources, so an entry whose source is gone is no orphan: eviction takes
    /// it when its time has come. Beside running servers it removes nothing that they need:
    /// - A damaged entry is removed under its key's lock, and only if it is still the file that was
    ///   read. A file that has replaced it stays.
    /// - A lock is removed only if nobody holds it.
    /// - A private name (`.unnamed-…`) is removed only if at that moment nobody holds the lock of
    ///   any entry, which every writer does, or if nobody has written to it for a day.
    ///
    /// Beyond `v1/entries` and `v1/locks` it removes from the cache's own directory only
    /// directories called `v` and a number that look like a cache's (`entries`, perhaps `locks`,
    /// nothing else), and private names older than a day. It leaves every unknown directory.
    /// Symlinks are removed, never followed.
    ///
    /// With `dry_run` it removes nothing and only tells of removals. Locks are then left out, since
    /// they cannot be tried without being taken. `watch` is told of every entry and of every
    /// removal, and ends the work by returning [`ControlFlow::Break`]. Memory is bounded by the
    /// names in one of the 256 directories.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the directory is none of ours, and those
    /// of the disk for the directory itself. `watch` is told of a failure below it, which is
    /// counted.
    pub fn gc(
        &self,
        dry_run: bool,
        mut watch: impl FnMut(Care<'_>) -> ControlFlow<()>,
    ) -> Result<GcSummary, Error> {
        self.expect_ours()?;
        let shards = self.shards()?;
        let summary = GcSummary::default();
        let mut sweep = Sweep { files: self, dry_run, summary, watch: &mut watch };
        let stopped = sweep.all(&shards).is_break();
        Ok(GcSummary { stopped, ..sweep.summary })
    }

    /// Removes the directories of other formats that nobody has used for a week.
    pub(in crate::cache) fn remove_unused_formats(&self) {
        if !self.is_tagged() {
            return;
        }
        let unused = |path: &PathBuf| !self.is_used_since(path, SystemTime::now() - FORMAT_UNUSED);
        for path in self.other_formats().unwrap_or_default().iter().filter(|path| unused(path)) {
            let directory = EscapedPath(path);
            match self.disk.remove_tree(path) {
                Ok(()) => log::info!("removed {directory}, which nobody has used for a week"),
                Err(error) => log::debug!(%error, "cannot remove {directory}"),
            }
        }
    }

    /// Lists the directories of other formats.
    fn other_formats(&self) -> io::Result<Vec<PathBuf>> {
        let root = &self.layout.root;
        let is_version = |name: &OsStr| {
            let number = name.to_str().and_then(|name| name.strip_prefix('v'));
            number.is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let names = self.disk.list(root)?;
        let others = names.iter().filter(|name| is_version(name) && *name != VERSION);
        Ok(others.map(|name| root.join(name)).filter(|path| self.is_format(path)).collect())
    }

    /// Whether anything in the tree at `path` has changed since `time`. A use of an entry sets its
    /// time, at most an hour late. A file that cannot be looked at counts as used.
    fn is_used_since(&self, path: &Path, time: SystemTime) -> bool {
        let time = nanos(time);
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            let Ok(Some(found)) = self.look(&path) else { return true };
            if found.fingerprint.modified >= time {
                return true;
            }
            if found.kind == FileKind::Directory {
                let Ok(names) = self.disk.list(&path) else { return true };
                left.extend(names.iter().map(|name| path.join(name)));
            }
        }
        false
    }

    /// Removes the file under an entry's name if it is still `inode`. The lock keeps everybody from
    /// publishing an entry between the look and the removal.
    pub(super) fn remove_entry(&self, name: &Name, path: &Path, inode: u64) -> io::Result<bool> {
        let _lock = match self.disk.try_lock(&self.layout.lock(name)) {
            Ok(None) => return Ok(false),
            // `rm -rf` has removed the directory of locks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            taken => taken?,
        };
        remove_only(&*self.disk, path, inode)
    }

    /// Whether nobody holds the lock of an entry, so that no process is writing one.
    fn has_no_writer(&self) -> io::Result<bool> {
        for name in self.names(&self.layout.locks)? {
            let Some(name) = name.to_str().and_then(Name::parse) else { continue };
            let path = self.layout.lock(&name);
            if self.look(&path)?.is_some() && self.disk.try_lock(&path)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn is_private(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PRIVATE_PREFIX))
}

impl Sweep<'_, '_> {
    fn all(&mut self, shards: &[u8]) -> ControlFlow<()> {
        self.root()?;
        self.locks()?;
        self.strangers()?;
        for (index, shard) in shards.iter().enumerate() {
            self.shard(*shard)?;
            (self.watch)(Care::Progress { done: index + 1, of: shards.len() })?;
        }
        ControlFlow::Continue(())
    }

    /// Removes the files beside our format's directory.
    fn root(&mut self) -> ControlFlow<()> {
        let files = self.files;
        let root = &files.layout.root;
        match files.other_formats() {
            Ok(paths) => {
                for path in paths {
                    let remove = || files.disk.remove_tree(&path).map(|()| true);
                    self.remove(&path, Litter::OldFormat, remove)?;
                }
            }
            Err(error) => self.failed(root, &error)?,
        }
        let names = files.disk.list(root).unwrap_or_default();
        for path in names.iter().filter(|name| is_private(name)).map(|name| root.join(name)) {
            match files.look(&path) {
                Ok(Some(found)) if found.kind == FileKind::Regular && is_old(&found) => {
                    self.remove_file(&path, &found, Litter::Unfinished)?;
                }
                Ok(_) => {}
                Err(error) => self.failed(&path, &error)?,
            }
        }
        ControlFlow::Continue(())
    }

    /// Removes the locks that nobody holds.
    fn locks(&mut self) -> ControlFlow<()> {
        let files = self.files;
        let directory = &files.layout.locks;
        let names = match files.names(directory) {
            Ok(names) => names,
            Err(error) => return self.failed(directory, &error),
        };
        for name in names {
            let path = directory.join(&name);
            let is_ours = path == files.layout.eviction_lock()
                || name.to_str().and_then(Name::parse).is_some();
            match files.look(&path) {
                Ok(Some(found)) => match found.kind {
                    FileKind::Regular => self.lock(&path)?,
                    // A directory in a lock's place would keep its key from being encoded for ever.
                    FileKind::Directory if !is_ours => {}
                    _ => self.remove_file(&path, &found, Litter::Foreign)?,
                },
                Ok(None) => {}
                Err(error) => self.failed(&path, &error)?,
            }
        }
        ControlFlow::Continue(())
    }

    /// Removes a lock's file if nobody holds it, by taking and dropping the lock.
    fn lock(&mut self, path: &Path) -> ControlFlow<()> {
        if self.dry_run {
            return ControlFlow::Continue(());
        }
        match self.files.disk.try_lock(path) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(lock)) => {
                drop(lock);
                self.remove(path, Litter::Lock, || Ok(true))
            }
            Err(error) => self.failed(path, &error),
        }
    }

    /// Removes the files beside the 256 directories of entries, or in the place of one.
    fn strangers(&mut self) -> ControlFlow<()> {
        let entries = &self.files.layout.entries;
        for name in self.files.names(entries).unwrap_or_default() {
            let path = entries.join(&name);
            match self.files.look(&path) {
                Ok(Some(found)) if found.kind != FileKind::Directory => {
                    self.remove_file(&path, &found, Litter::Foreign)?;
                }
                Ok(_) => {}
                Err(error) => self.failed(&path, &error)?,
            }
        }
        ControlFlow::Continue(())
    }

    /// Removes the damaged and foreign files in one directory of entries.
    fn shard(&mut self, shard: u8) -> ControlFlow<()> {
        let directory = self.files.layout.shard(shard);
        let names = match self.files.names(&directory) {
            Ok(names) => names,
            Err(error) => return self.failed(&directory, &error),
        };
        for file in names {
            let path = directory.join(&file);
            match entry_of(&file, shard) {
                Some(name) => self.entry(&name, &path)?,
                None => self.stranger(&file, &path)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn entry(&mut self, name: &Name, path: &Path) -> ControlFlow<()> {
        match self.files.check_entry(name, path) {
            Ok(Checked::Gone) => ControlFlow::Continue(()),
            Ok(Checked::Whole(bytes)) => {
                self.summary.entries += 1;
                self.summary.bytes += bytes;
                (self.watch)(Care::Whole { bytes })
            }
            Ok(Checked::Damaged(damage, inode)) => {
                let files = self.files;
                self.remove(path, Litter::Damaged(damage), || files.remove_entry(name, path, inode))
            }
            Err(error) => self.failed(path, &error),
        }
    }

    /// Removes a file that has no entry's name from a directory of entries.
    fn stranger(&mut self, file: &OsStr, path: &Path) -> ControlFlow<()> {
        let found = match self.files.look(path) {
            Ok(Some(found)) if found.kind != FileKind::Directory => found,
            Ok(_) => return ControlFlow::Continue(()),
            Err(error) => return self.failed(path, &error),
        };
        if !is_private(file) {
            return self.remove_file(path, &found, Litter::Foreign);
        }
        // Its writer takes a lock before it gives that name, and holds it until the name is gone.
        let dead = match is_old(&found) || self.dry_run {
            true => Ok(is_old(&found)),
            false => self.files.has_no_writer(),
        };
        match dead {
            Ok(true) => self.remove_file(path, &found, Litter::Unfinished),
            Ok(false) => ControlFlow::Continue(()),
            Err(error) => self.failed(path, &error),
        }
    }

    fn remove_file(&mut self, path: &Path, found: &Stat, litter: Litter) -> ControlFlow<()> {
        let files = self.files;
        self.remove(path, litter, || remove_only(&*files.disk, path, found.fingerprint.inode))
    }

    /// Runs `remove`, unless this is a dry run, and tells `watch` of it if something was removed.
    fn remove(
        &mut self,
        path: &Path,
        litter: Litter,
        remove: impl FnOnce() -> io::Result<bool>,
    ) -> ControlFlow<()> {
        match if self.dry_run { Ok(true) } else { remove() } {
            Ok(true) => {}
            Ok(false) => return ControlFlow::Continue(()),
            Err(error) => return self.failed(path, &error),
        }
        match litter {
            Litter::Damaged(_) => self.summary.damaged += 1,
            Litter::Unfinished | Litter::Lock | Litter::Foreign => self.summary.orphaned += 1,
            Litter::OldFormat => self.summary.old_formats += 1,
        }
        (self.watch)(Care::Removed { path, litter })
    }

    fn failed(&mut self, path: &Path, error: &io::Error) -> ControlFlow<()> {
        if error.kind() == io::ErrorKind::NotFound {
            // Somebody else has removed it, or the whole cache.
            return ControlFlow::Continue(());
        }
        self.summary.failed += 1;
        (self.watch)(Care::Failed { path, error })
    }
}

fn is_old(found: &Stat) -> bool {
    found.fingerprint.modified < nanos(SystemTime::now() - WRITER_DEAD)
}
