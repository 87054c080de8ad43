//! The cache itself: a handle that services share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use super::entry::{Checksum, Damage, Header, Kind};
use super::eviction;
use super::index::{Bounds, Claim, Index};
use super::key::{Key, Name};
use super::layout::{self, Layout, with_directory};
use super::maintenance::CacheFiles;
use super::reader::{Entry, ReadError};
use super::writer::{Draft, EntryWriter, KeyLock, WriteError};
use crate::concurrency::sync::{Mutex, clock, lock};
use crate::error::Error;
use crate::fs::{Disk, DiskFile, DiskLock, FileKind, MemoryDisk, RealDisk};

/// How long an open entry is trusted without a look at its file.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often what others do in the directory is looked at.
pub(super) const MAINTAIN_EVERY: Duration = Duration::from_secs(10);
/// How rarely the use of an entry is written down.
const TOUCH_EVERY: Duration = Duration::from_secs(3600);

/// A cache of encoded representations, bounded in bytes and in entries.
///
/// Cloned handles share it, and several services may use one. Several processes may share its
/// directory. Removing the directory, at any moment, is harmless.
#[derive(Clone, Debug)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    pub(super) bounds: Bounds,
    pub(super) index: Mutex<Index>,
    open: quick_cache::sync::Cache<Name, Arc<Entry>>,
    /// Whether the directory lies where [`Disk::open_nowait`] can be asked.
    pub(super) is_local: AtomicBool,
    evictions: AtomicU64,
    damaged: AtomicU64,
    /// Whether other processes had the cache open when that was last looked at.
    pub(super) in_company: Mutex<bool>,
    /// Tells them that we have.
    pub(super) presence: Mutex<Option<Box<dyn DiskLock>>>,
    /// Held by the thread that evicts.
    pub(super) evicting: Mutex<()>,
    warned: AtomicBool,
    /// Ends the thread that maintains this, with it.
    _maintained: Option<mpsc::Sender<()>>,
}

/// Builds a [`Cache`].
#[derive(Debug)]
#[must_use]
pub struct CacheBuilder {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    bounds: Bounds,
    open_entries: usize,
}

/// Figures of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Entries, as far as the directory has been read.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that made room for others.
    pub evictions: u64,
    /// Entries that failed verification and were removed.
    pub damaged: u64,
}

impl Cache {
    /// Starts to build a cache in the directory `root`, which need not exist.
    ///
    /// The library never chooses a directory by itself. Defaults: 1 GiB, 1,000,000 entries.
    pub fn builder(root: impl Into<PathBuf>) -> CacheBuilder {
        CacheBuilder {
            disk: Arc::new(RealDisk),
            root: root.into(),
            bounds: Bounds { bytes: 1 << 30, entries: 1_000_000 },
            open_entries: 256,
        }
    }

    /// A cache of at most `max_bytes` bytes that keeps nothing on disk, for tests and systems
    /// that are read-only.
    #[must_use]
    pub fn in_memory(max_bytes: u64) -> Self {
        let builder = Self::builder("/cache").disk(Arc::new(MemoryDisk::new()));
        builder.max_bytes(max_bytes).open(None)
    }

    /// The entry for `key` if it is open already; never waits for a disk.
    pub(crate) fn peek(&self, key: &Key) -> Option<Arc<Entry>> {
        let name = key.name();
        let entry = self.inner.open.get(&name)?;
        if !entry.seen_within(LOOK_AGAIN) {
            // An `fstat` of what is open; once a second is often enough to note the use, too.
            if !entry.still_verified() {
                return None;
            }
            self.inner.used(&name, &entry);
        }
        Some(entry)
    }

    /// The entry for `key`, verified. Blocks on the disk.
    ///
    /// An entry that fails verification is removed and counted, and is then missing.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub(crate) fn get(&self, key: &Key) -> io::Result<Option<Arc<Entry>>> {
        let inner = &self.inner;
        let name = key.name();
        if let Some(entry) = inner.open.get(&name) {
            if entry.still_verified() {
                inner.used(&name, &entry);
                return Ok(Some(entry));
            }
            inner.open.remove(&name);
        }
        let path = inner.layout.entry(&name);
        let found = match inner.disk.stat_link(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                inner.forget(&name);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match Entry::open(&*inner.disk, &path, found.kind, |stored| stored == key) {
            Ok(entry) => {
                let entry = inner.admit(&name, entry);
                entry.touched.store(0, Ordering::Relaxed);
                inner.used(&name, &entry);
                Ok(Some(entry))
            }
            Err(ReadError::Damaged(damage)) => {
                inner.discard(&name, &path, found.fingerprint.inode, damage);
                Ok(None)
            }
            // Evicted or purged since we looked.
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(ReadError::Io(error)) => Err(error),
        }
    }

    /// The entry for `key`, if it is a small one that can be opened and verified without waiting for
    /// a disk. `None` says nothing.
    pub(crate) fn get_nowait(&self, key: &Key) -> Option<Arc<Entry>> {
        let inner = &self.inner;
        if !inner.is_local.load(Ordering::Relaxed) {
            return None;
        }
        let name = key.name();
        let file = inner.disk.open_nowait(&inner.layout.entry(&name)).ok()?;
        let entry = Entry::verify_nowait(file, |stored| stored == key)?;
        let age = SystemTime::now().duration_since(entry.modified()).unwrap_or_default();
        // That it is used is to be written down, which may wait.
        if age >= TOUCH_EVERY {
            return None;
        }
        let entry = inner.admit(&name, entry);
        lock(&inner.index).used(&name);
        Some(entry)
    }

    /// Takes the right to write `key`'s entry; `None` if somebody else has it, here or in
    /// another process. Blocks on the disk.
    ///
    /// Look for the entry again once you have it.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub(crate) fn lock(&self, key: &Key) -> io::Result<Option<KeyLock>> {
        let inner = &self.inner;
        let path = inner.layout.lock(&key.name());
        let lock =
            with_directory(|| inner.disk.try_lock(&path), || inner.layout.create(&*inner.disk))?;
        Ok(lock.map(|lock| KeyLock { lock }))
    }

    /// Starts an entry of at most `max_payload` bytes, all of which are reserved before the
    /// first is written. Makes room by evicting. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`WriteError::NoRoom`] if that is more than a quarter of the bound, or nothing more can
    /// be evicted; otherwise those of the disk.
    pub(crate) fn create(
        &self,
        lock: KeyLock,
        header: Header,
        max_payload: u64,
    ) -> Result<EntryWriter, WriteError> {
        let inner = &self.inner;
        let head = header.encode();
        let bytes = max_payload.saturating_add((head.len() + super::entry::TRAILER) as u64);
        if !self.could_hold(bytes) {
            return Err(WriteError::NoRoom);
        }
        let name = header.key.name();
        let claim =
            eviction::make_room(inner, &*lock.lock, name, bytes)?.ok_or(WriteError::NoRoom)?;
        let shard = inner.layout.shard(name.shard());
        let file = eviction::with_room(inner, bytes, || {
            let file = with_directory(
                || inner.disk.create_unnamed(&shard),
                || {
                    inner.layout.create(&*inner.disk)?;
                    inner.disk.create_private_dir(&shard)
                },
            )?;
            file.reserve(bytes)?;
            file.write_all_at(&head, 0)?;
            Ok(file)
        })?;
        let mut checksum = Checksum::new();
        checksum.update(&head);
        Ok(EntryWriter {
            draft: Draft::new(self, file, bytes),
            lock,
            claim,
            header,
            header_len: head.len() as u64,
            payload_len: 0,
            checksum,
        })
    }

    /// Whether an entry of `bytes` bytes may be made at all: it is at most a quarter of the bound.
    pub(crate) fn could_hold(&self, bytes: u64) -> bool {
        bytes <= self.inner.bounds.bytes / 4
    }

    /// Writes an entry without payload that says `kind` of `header.key`.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub(crate) fn record_verdict(&self, lock: KeyLock, header: Header) -> Result<(), WriteError> {
        debug_assert!(header.kind != Kind::Representation);
        self.create(lock, header, 0)?.publish()?;
        Ok(())
    }

    /// Counts `size` bytes of a file that gets no name until nobody has it open.
    pub(super) fn linger(&self, file: &Arc<dyn DiskFile>, size: u64) {
        lock(&self.inner.index).linger(file, size);
    }

    /// Makes `key`'s entry the first to be evicted, because nobody will ask for it again.
    pub(crate) fn demote(&self, key: &Key) {
        lock(&self.inner.index).demote(&key.name());
    }

    /// Writes `entry` to the medium; an entry that cannot be is removed. Blocks.
    pub(crate) fn sync(&self, entry: &Entry) {
        if let Err(error) = entry.file.sync() {
            let name = entry.header().key.name();
            tracing::warn!(%error, %name, "an entry could not be written to the medium");
            let path = self.inner.layout.entry(&name);
            let _ = self.inner.remove(&name, || self.inner.disk.remove_file(&path).map(|()| true));
        }
    }

    /// Says once that the cache does not work, and why.
    pub(crate) fn warn_once(&self, error: &io::Error) {
        if !self.inner.warned.swap(true, Ordering::Relaxed) {
            let directory = self.inner.layout.root().display();
            tracing::warn!(%error, "the cache in {directory} cannot be used; answers go out uncompressed");
        }
    }

    #[cfg(test)]
    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The cache's directory, for [`verify`](CacheFiles::verify) and [`gc`](CacheFiles::gc).
    #[must_use]
    pub fn files(&self) -> CacheFiles {
        CacheFiles::of(&self.inner.disk, &self.inner.layout)
    }

    /// Present figures.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let index = lock(&self.inner.index);
        CacheStats {
            entries: index.len(),
            bytes: index.bytes(),
            evictions: self.inner.evictions.load(Ordering::Relaxed),
            damaged: self.inner.damaged.load(Ordering::Relaxed),
        }
    }

    /// Gives a complete entry its name; `false` if another has it already.
    pub(super) fn give_name(&self, file: &Arc<dyn DiskFile>, key: &Key) -> io::Result<bool> {
        match file.publish(&self.inner.layout.entry(&key.name())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Counts what was just given its name, in place of what was claimed for it.
    pub(super) fn count(&self, name: &Name, size: u64, claim: Claim) {
        let mut index = lock(&self.inner.index);
        index.insert(*name, size);
        drop(claim);
    }

    /// Keeps open what was counted, unless it has been evicted meanwhile.
    pub(super) fn keep_open(&self, entry: &Arc<Entry>) {
        let name = entry.header().key.name();
        let index = lock(&self.inner.index);
        if index.contains(&name) {
            self.inner.open.insert(name, Arc::clone(entry));
        }
    }
}

impl CacheBuilder {
    /// The most bytes that entries may take, default 1 GiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// The most entries, default 1,000,000.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.bounds.entries = entries;
        self
    }

    /// How many entries are kept open, and so need no new look at all of their bytes, default 256.
    /// Each takes a file descriptor.
    pub fn open_entries(mut self, entries: usize) -> Self {
        self.open_entries = entries;
        self
    }

    /// The file system to use, default the real one.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// Opens the cache.
    ///
    /// A directory that cannot be created or written is no error: it is logged once, and the
    /// services go on without compression until it can be.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the directory is an empty path.
    pub fn build(self) -> Result<Cache, Error> {
        if self.root.as_os_str().is_empty() {
            return Err(Error::config("the cache's directory is an empty path; name one"));
        }
        let (maintained, ended) = mpsc::channel();
        let cache = self.open(Some(maintained));
        if let Err(error) = cache.inner.layout.create(&*cache.inner.disk) {
            cache.warn_once(&error);
        }
        let inner = Arc::downgrade(&cache.inner);
        let files = cache.files();
        let again = move || {
            while ended.recv_timeout(MAINTAIN_EVERY) == Err(RecvTimeoutError::Timeout) {
                let Some(inner) = inner.upgrade() else { return };
                eviction::maintain(&inner);
            }
        };
        let scanned = Arc::clone(&cache.inner);
        start("cc-scan", move || {
            eviction::maintain(&scanned);
            files.remove_unused_formats();
            start("cc-maintain", again);
        });
        Ok(cache)
    }

    fn open(self, maintained: Option<mpsc::Sender<()>>) -> Cache {
        Cache {
            inner: Arc::new(Inner {
                disk: self.disk,
                layout: Layout::new(self.root),
                bounds: self.bounds,
                index: Mutex::new(Index::default()),
                open: quick_cache::sync::Cache::new(self.open_entries),
                is_local: AtomicBool::new(false),
                evictions: AtomicU64::new(0),
                damaged: AtomicU64::new(0),
                in_company: Mutex::new(true),
                presence: Mutex::new(None),
                evicting: Mutex::new(()),
                warned: AtomicBool::new(false),
                _maintained: maintained,
            }),
        }
    }
}

/// Starts a thread that reads the cache's directory.
fn start(name: &str, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
        tracing::warn!(%error, "cannot start a thread that reads the cache's directory");
    }
}

impl Inner {
    /// Removes an entry to make room, and says whether it did: one that is in use, here or in
    /// another process, gives no room and becomes the last to go.
    pub(super) fn evict(&self, name: &Name) -> io::Result<bool> {
        let held = self.open.remove(name).map(|(_, entry)| entry);
        let again = held.as_ref().filter(|entry| entry.is_in_use()).cloned();
        drop(held);
        let gone = match &again {
            Some(_) => Ok(false),
            None => self.remove(name, || self.remove_unused(name)),
        };
        if let Ok(true) = gone {
            self.evictions.fetch_add(1, Ordering::Relaxed);
            return gone;
        }
        let index = &mut lock(&self.index);
        index.used(name);
        if let Some(entry) = again
            && index.contains(name)
        {
            self.open.insert(*name, entry);
        }
        gone
    }

    /// Removes what stands under an entry's name, unless it is an entry in use.
    fn remove_unused(&self, name: &Name) -> io::Result<bool> {
        let path = self.layout.entry(name);
        match self.disk.remove_unused(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let found = self.disk.stat_link(&path)?;
                let plain = found.kind == FileKind::Regular;
                if plain && error.kind() != io::ErrorKind::PermissionDenied {
                    return Err(error);
                }
                // No plain file, or one that is not ours: nobody uses it.
                layout::remove_only(&*self.disk, &path, found.fingerprint.inode).map(|_| true)
            }
            gone => gone,
        }
    }

    /// Closes the entries that have not been used for `age`.
    pub(super) fn close_idle(&self, age: Duration) {
        let idle = |entry: &Entry| !entry.seen_within(age);
        let names = self.open.iter().filter(|(_, entry)| idle(entry)).map(|(name, _)| name);
        for name in names.collect::<Vec<_>>() {
            self.open.remove(&name);
        }
    }

    /// Keeps an entry open that was verified.
    fn admit(&self, name: &Name, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        let mut index = lock(&self.index);
        if !index.contains(name) {
            index.insert(*name, entry.size());
        }
        // Still locked: what is open is counted, or nobody could make room by closing it.
        self.open.insert(*name, Arc::clone(&entry));
        drop(index);
        entry
    }

    fn used(&self, name: &Name, entry: &Entry) {
        let every = u64::try_from(TOUCH_EVERY.as_millis()).unwrap_or(u64::MAX);
        let now = clock();
        lock(&self.index).used(name);
        let before = entry.touched.load(Ordering::Relaxed);
        let due = before == 0 || now.saturating_sub(before) >= every;
        if due && entry.touched.swap(now.max(1), Ordering::Relaxed) == before {
            let modified = entry.file.stat().map(|stat| stat.fingerprint.modified_time());
            let age =
                modified.map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
            // Only a use after an hour is worth a write, which is also why the hourly
            // verification that follows a touch costs nothing that is felt.
            if age.is_ok_and(|age| age >= TOUCH_EVERY) {
                let _ = entry.file.touch();
            }
        }
    }

    /// Removes a damaged file, unless another has taken its name meanwhile.
    fn discard(&self, name: &Name, path: &Path, inode: u64, damage: Damage) {
        match self.remove(name, || layout::remove_only(&*self.disk, path, inode)) {
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, %name, "a damaged entry cannot be removed"),
            Ok(true) => tracing::warn!(%name, damage = damage.as_str(), "removed a damaged entry"),
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets an entry that is gone, and closes it; its bytes count until nobody sends them any
    /// more. Returns its size.
    pub(super) fn forget(&self, name: &Name) -> Option<u64> {
        let mut index = lock(&self.index);
        if let Some((_, entry)) = self.open.remove(name) {
            index.linger(&entry.file, entry.size());
        }
        index.remove(name)
    }

    /// Forgets an entry that is no good and removes it. If it stays it still counts; where it
    /// could not be removed, it is the first to be evicted.
    fn remove(&self, name: &Name, remove: impl FnOnce() -> io::Result<bool>) -> io::Result<bool> {
        // Forgotten before the name is free: whoever takes that counts again.
        let size = self.forget(name);
        let removed = match remove() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            removed => removed,
        };
        if let (Some(size), Ok(false) | Err(_)) = (size, &removed) {
            let mut index = lock(&self.index);
            index.insert(*name, size);
            if removed.is_err() {
                index.demote(name);
            }
        }
        removed
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test does to entries what others may"
)]
mod tests {
    use std::time::Instant;

    use super::super::eviction::tests::{key, write};
    use super::*;

    /// Writes an entry; returns its path.
    fn written(cache: &Cache, content: u8, bytes: usize) -> PathBuf {
        assert!(write(cache, content, bytes).is_ok());
        cache.inner.layout.entry(&key(content).name())
    }

    /// Not in /tmp, which may be memory itself: that cannot be read without a wait.
    #[test]
    fn a_small_entry_that_the_kernel_has_in_memory_is_opened_without_a_wait() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let cache = Cache::builder(directory.path()).build().unwrap();
        let begun = Instant::now();
        while !cache.inner.is_local.load(Ordering::Relaxed) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it is a file system of this machine"
            );
            std::thread::yield_now();
        }
        assert!(cache.get_nowait(&key(0)).is_none(), "there is none");
        let sizes = [(1, 60_000), (2, 70_000), (3, 9)];
        let paths = sizes.map(|(content, bytes)| written(&cache, content, bytes));
        cache.inner.open.clear();
        let file = RealDisk.open(&paths[0]).unwrap();
        if file.read_at_nowait(&mut [0], 0).is_err() {
            // An overlay, as containers have.
            assert!(cache.get_nowait(&key(1)).is_none(), "it cannot be read without a wait");
            let what = "SKIPPED: on this file system nothing can be read without a wait";
            assert!(std::env::var_os("CI").is_none(), "{what}");
            eprintln!("{what}");
            return;
        }
        let entry = cache.get_nowait(&key(1)).expect("it is small");
        assert_eq!((entry.payload_len(), entry.kind()), (60_000, Kind::Representation));
        assert!(cache.peek(&key(1)).is_some_and(|open| Arc::ptr_eq(&open, &entry)));
        assert_eq!(cache.stats().entries, 3);
        assert!(cache.get_nowait(&key(2)).is_none(), "it is large");
        assert!(cache.get(&key(2)).unwrap().is_some());

        // Another's bytes under its name, and bytes that are not its own: what to do with them is
        // for those to say who may wait.
        cache.inner.open.clear();
        let good = std::fs::read(&paths[0]).unwrap();
        std::fs::write(&paths[2], &good).unwrap();
        assert!(cache.get_nowait(&key(3)).is_none(), "it belongs elsewhere");
        let mut bad = good.clone();
        bad[30_000] ^= 1;
        std::fs::write(&paths[0], &bad).unwrap();
        assert!(cache.get_nowait(&key(1)).is_none(), "it is damaged");
        std::fs::write(&paths[0], &good[..59_000]).unwrap();
        assert!(cache.get_nowait(&key(1)).is_none(), "it is cut off");
        assert_eq!((cache.stats().damaged, paths[0].exists()), (0, true));

        std::fs::write(&paths[0], &good).unwrap();
        let file = std::fs::File::open(&paths[0]).unwrap();
        file.set_modified(SystemTime::now() - 2 * TOUCH_EVERY).unwrap();
        assert!(cache.get_nowait(&key(1)).is_none(), "its use is to be written down");
        assert!(cache.get(&key(1)).unwrap().is_some());
        cache.inner.open.clear();
        assert!(cache.get_nowait(&key(1)).is_some(), "it is written down");
    }
}
