//! The state that all handles of a cache share: its index and its open entries.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::breaker::Breaker;
use super::closer::Closer;
use super::dictionaries::Dictionaries;
use super::entry::Damage;
use super::guarded::GuardedDisk;
use super::index::{Amount, Claim, Index};
use super::key::{Key, Name};
use super::layout::{self, Layout};
use super::reader::Entry;
use crate::concurrency::may_wait::{self, Forbidden};
use crate::concurrency::sync::{Mutex, MutexGuard, lock};
use crate::concurrency::thread_pool::{Limits, ThreadPool};
use crate::fs::{Disk, DiskFile, DiskLock, FileKind};
use crate::limits::{CLOSE_PATIENCE, ENTRY_SHARE, READ_QUEUE, READERS, SPARE_READERS};
use crate::log;

/// The state that all handles of a cache share.
///
/// An open entry is counted in the index: both change under the index's lock, or nobody could make
/// room by closing it.
#[derive(Debug)]
pub(super) struct State {
    /// The disk, each of whose calls the breaker knows, but for a cache in memory.
    pub(super) disk: Arc<dyn Disk>,
    /// The same disk, which no breaker knows.
    pub(super) bare_disk: Arc<dyn Disk>,
    pub(super) breaker: Arc<Breaker>,
    closer: Arc<Closer>,
    /// The threads of calls that may wait for the disk. No source's disk can hold them.
    pub(super) threads: ThreadPool,
    pub(super) layout: Layout,
    pub(super) bounds: Amount,
    /// Whether nothing in the directory is created, changed or removed.
    pub(super) is_read_only: bool,
    /// The versions of files that clients may hold.
    pub(super) dictionaries: Dictionaries,
    index: Mutex<Index>,
    open: quick_cache::sync::Cache<Name, Arc<Entry>>,
    pub(super) evictions: AtomicU64,
    pub(super) damaged: AtomicU64,
    /// Whether other processes had the cache open at the last look.
    pub(super) has_company: Mutex<bool>,
    /// The lock that tells other processes of this one.
    pub(super) presence: Mutex<Option<Box<dyn DiskLock>>>,
    /// Held by the thread that evicts.
    pub(super) evicting: Mutex<()>,
    /// Whether it was logged that the cache cannot be used.
    pub(super) warned: AtomicBool,
    /// Whether it was logged that the process may not write files that are long enough.
    pub(super) warned_of_length: AtomicBool,
    /// Ends the maintenance thread when the state is dropped.
    maintenance: Option<mpsc::Sender<()>>,
}

/// The index, locked. Serving threads wait for it, so its holder must not wait for a disk: entries
/// that are dropped meanwhile are closed once it is unlocked.
pub(super) struct LockedIndex<'a> {
    index: MutexGuard<'a, Index>,
    _must_not_wait: Forbidden,
}

impl Deref for LockedIndex<'_> {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.index
    }
}

impl DerefMut for LockedIndex<'_> {
    fn deref_mut(&mut self) -> &mut Index {
        &mut self.index
    }
}

impl State {
    /// Locks the index.
    pub(super) fn index(&self) -> LockedIndex<'_> {
        LockedIndex { _must_not_wait: may_wait::forbid(), index: lock(&self.index) }
    }

    /// Creates the state of a cache of which nothing is known yet. Without the breaker of a disk,
    /// it is one in memory.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        breaker: Option<Arc<Breaker>>,
        layout: Layout,
        bounds: Amount,
        open_entries: usize,
        maintenance: Option<mpsc::Sender<()>>,
    ) -> Self {
        let limits = Limits { threads: READERS, spare: SPARE_READERS, queue: READ_QUEUE };
        let in_memory = breaker.is_none();
        let breaker = breaker.unwrap_or_else(|| Arc::new(Breaker::of_memory()));
        let closer = Arc::new(Closer::new(&breaker));
        let bare_disk = Arc::clone(&disk);
        let disk = match in_memory {
            true => disk,
            false => Arc::new(GuardedDisk::new(disk, &breaker, &closer)),
        };
        Self {
            disk,
            bare_disk,
            breaker,
            closer,
            threads: ThreadPool::new("cc-cache", limits),
            layout,
            bounds,
            is_read_only: false,
            dictionaries: Dictionaries::default(),
            index: Mutex::new(Index::new(bounds)),
            open: quick_cache::sync::Cache::new(open_entries),
            evictions: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            has_company: Mutex::new(true),
            presence: Mutex::new(None),
            evicting: Mutex::new(()),
            warned: AtomicBool::new(false),
            warned_of_length: AtomicBool::new(false),
            maintenance,
        }
    }

    /// Whether a thread maintains the cache, which is for one on disk.
    pub(super) fn is_maintained(&self) -> bool {
        self.maintenance.is_some()
    }

    /// The disk, whose calls are made even while the breaker has the cache out of use.
    pub(super) fn trial_disk(&self) -> GuardedDisk {
        GuardedDisk::new(Arc::clone(&self.bare_disk), &self.breaker, &self.closer).trial()
    }

    /// A call that returns once the disk has answered.
    pub(super) fn trial(&self) -> impl Fn() + Send + Sync + use<> {
        let (disk, layout) = (self.trial_disk(), self.layout.clone());
        move || layout.try_out(&disk)
    }

    /// Whether an entry of `bytes` bytes may be made at all.
    pub(super) fn could_hold(&self, bytes: u64) -> bool {
        bytes <= self.bounds.bytes / ENTRY_SHARE
    }

    /// Returns the entry `name` if it is open.
    pub(super) fn opened(&self, name: &Name) -> Option<Arc<Entry>> {
        self.open.get(name)
    }

    /// Closes the entry `name` and returns it if it was open.
    pub(super) fn close(&self, name: &Name) -> Option<Arc<Entry>> {
        self.open.remove(name).map(|(_, entry)| entry)
    }

    /// Closes the entries that have not been used for `age`.
    pub(super) fn close_idle(&self, age: Duration) {
        let idle = |entry: &Entry| !entry.seen_within(age);
        let names = self.open.iter().filter(|(_, entry)| idle(entry)).map(|(name, _)| name);
        for name in names.collect::<Vec<_>>() {
            self.open.remove(&name);
        }
    }

    /// Keeps a verified entry open, and counts it.
    pub(super) fn admit(&self, name: &Name, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        let mut index = self.index();
        if !index.contains(name) {
            index.insert(*name, entry.size());
        }
        self.open.insert(*name, Arc::clone(&entry));
        drop(index);
        entry
    }

    /// Keeps open an entry that was counted, unless it has been evicted meanwhile.
    pub(super) fn keep_open(&self, name: &Name, entry: &Arc<Entry>) {
        let index = self.index();
        if index.contains(name) {
            self.open.insert(*name, Arc::clone(entry));
        }
    }

    /// Makes the entry `name` the last to be evicted.
    pub(super) fn used(&self, name: &Name, entry: &Entry) {
        self.index().used(name);
        if !self.is_read_only {
            entry.touch();
        }
    }

    /// Gives a complete entry its name; `false` if another entry has it already.
    pub(super) fn give_name(&self, file: &Arc<dyn DiskFile>, key: &Key) -> io::Result<bool> {
        match file.publish(&self.layout.entry(&key.name())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Counts a published entry in place of its writer's claim.
    pub(super) fn count(&self, name: &Name, size: u64, claim: Claim) {
        let mut index = self.index();
        index.insert(*name, size);
        drop(claim);
    }

    /// Evicts an entry; returns whether it is gone.
    ///
    /// An entry in use, here or in another process, gives no room. It becomes the last of its kind to
    /// go.
    pub(super) fn evict(&self, name: &Name) -> io::Result<bool> {
        let in_use = self.close(name).filter(Entry::is_in_use);
        let gone = match &in_use {
            Some(_) => Ok(false),
            None => self.remove(name, || self.remove_unused(name)),
        };
        if let Ok(true) = gone {
            self.evictions.fetch_add(1, Ordering::Relaxed);
            return gone;
        }
        let mut index = self.index();
        index.pass_over(name);
        if let Some(entry) = in_use
            && index.contains(name)
        {
            self.open.insert(*name, entry);
        }
        gone
    }

    /// Removes the file under an entry's name, unless it is an entry in use.
    fn remove_unused(&self, name: &Name) -> io::Result<bool> {
        let path = self.layout.entry(name);
        match self.disk.remove_unused(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let found = self.disk.stat_link(&path)?;
                let plain = found.kind == FileKind::Regular;
                if plain && error.kind() != io::ErrorKind::PermissionDenied {
                    return Err(error);
                }
                // No plain file, or one of another owner: nobody uses it.
                layout::remove_only(&*self.disk, &path, found.fingerprint.inode).map(|_| true)
            }
            gone => gone,
        }
    }

    /// Removes a damaged file, unless another file has taken its name meanwhile.
    pub(super) fn discard(&self, name: &Name, path: &Path, inode: u64, damage: Damage) {
        if self.is_read_only {
            return;
        }
        match self.remove(name, || layout::remove_only(&*self.disk, path, inode)) {
            Ok(false) => return,
            Err(error) => log::warn!(%error, %name, "a damaged entry cannot be removed"),
            Ok(true) => {
                let damage = damage.as_str();
                log::warn!(%name, %damage, "removed a damaged entry");
            }
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes and forgets an entry that is gone; returns its size. Its bytes count until its last
    /// reader closes it.
    pub(super) fn forget(&self, name: &Name) -> Option<u64> {
        let mut index = self.index();
        if let Some(entry) = self.close(name) {
            index.linger(entry.file(), entry.size());
        }
        index.remove(name)
    }

    /// Forgets an entry and removes its file; returns whether the file is gone.
    ///
    /// An entry whose file stays is counted again. If the removal failed, it is the first to be
    /// evicted.
    pub(super) fn remove(
        &self,
        name: &Name,
        remove: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        // A scan that has seen the file must not count it.
        self.index().leaves(name);
        // Forgotten before the name is free: the next writer of that name counts its own entry.
        let size = self.forget(name);
        let removed = remove();
        let mut index = self.index();
        index.has_left(name);
        let removed = match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            removed => removed,
        };
        if let (Some(size), Ok(false) | Err(_)) = (size, &removed) {
            index.insert(*name, size);
            if removed.is_err() {
                index.demote(name);
            }
        }
        removed
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.breaker.close();
        self.open.clear();
        *lock(&self.presence) = None;
        if !may_wait::is_ours() {
            // The process may be about to end, and others look for the lock's file.
            self.closer.settle(CLOSE_PATIENCE);
        }
    }
}
