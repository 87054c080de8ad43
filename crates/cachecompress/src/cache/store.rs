//! The handle of a cache, which services share.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::breaker::Breaker;
use super::dictionaries::Dictionaries;
use super::dictionary_file;
use super::entry::{Header, Kind};
use super::key::Key;
use super::ledger::{self, Ledger};
use super::maintenance::CacheFiles;
use super::reader::{Entry, ReadError};
use super::state::State;
use super::writer::{EntryWriter, KeyLock, WriteError};
use crate::concurrency::thread_pool::{Priority, ThreadPool};
use crate::limits::{ENTRY_TRUSTED, TOUCH_EVERY};
use crate::log::{self, EscapedPath};

/// A cache of encoded representations, bounded in bytes and in entries.
///
/// Cloned handles share it, and several services may use one. Several processes may share its
/// directory. Removing the directory, at any moment, is harmless.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(super) state: Arc<State>,
}

/// Figures of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// The number of entries, as far as the directory has been read.
    pub entries: u64,
    /// The bytes of those entries.
    pub bytes: u64,
    /// The number of entries that made room for others.
    pub evictions: u64,
    /// The number of entries that failed verification and were removed.
    pub damaged: u64,
}

impl Cache {
    /// Returns the directory of the disk in which entries are kept; `None` in memory.
    pub(crate) fn directory(&self) -> Option<&Path> {
        let state = &self.state;
        (state.is_maintained() || state.is_read_only).then_some(&*state.layout.root)
    }

    /// Returns the entry for `key` if it is open already. Never waits for a disk.
    pub(crate) fn peek(&self, key: &Key) -> Option<Arc<Entry>> {
        let state = &self.state;
        if state.breaker.is_out() {
            return None;
        }
        let name = key.name();
        let entry = state.opened(&name)?;
        if !entry.seen_within(ENTRY_TRUSTED) {
            // An `fstat` of the open file, where that cannot wait. Once a second is often enough to
            // note the use, too.
            if !entry.still_verified_nowait() {
                return None;
            }
            state.index().used(&name);
            if entry.is_touch_due() && !state.is_read_only {
                let entry = Arc::clone(&entry);
                state.threads.submit(Priority::Background, true, move || entry.touch());
            }
        }
        Some(entry)
    }

    /// Whether there may be an entry for `key`: it is counted, open or not, or nobody counts. Never waits for a
    /// disk. The entry may be gone by now, and another process may have published one that is not counted yet.
    pub(crate) fn counts(&self, key: &Key) -> bool {
        self.state.is_read_only || self.state.index().contains(&key.name())
    }

    /// Whether the directory may hold an entry of the content of `key`, as far as it has been read.
    pub(crate) fn may_hold_content(&self, key: &Key) -> bool {
        let index = self.state.index();
        (self.state.is_maintained() && !index.was_scanned()) || index.holds_content(&key.name())
    }

    /// Removes the entry for `key`, in whose place there is a better one. Bodies that read it go on. Blocks
    /// on the disk.
    pub(crate) fn supersede(&self, key: &Key) {
        let (state, name) = (&self.state, key.name());
        if state.is_read_only {
            return;
        }
        let path = state.layout.entry(&name);
        if let Err(error) = state.remove(&name, || state.disk.remove_file(&path).map(|()| true)) {
            log::debug!(%error, %name, "an entry that a better one replaces could not be removed");
        }
    }

    /// Reads the ledger of uses. Blocks on the disk.
    pub(crate) fn ledger(&self) -> Ledger {
        match self.state.is_maintained() {
            true => ledger::read(&*self.state.disk, &self.state.layout),
            false => Ledger::default(),
        }
    }

    /// Writes `ours` with what other processes have in the ledger of uses, but without uses before the hour
    /// `oldest`. Does nothing for a cache in memory, and while another process writes it. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// The errors of the disk.
    pub(crate) fn write_ledger(&self, mut ours: Ledger, oldest: u64) -> io::Result<()> {
        let state = &self.state;
        if !state.is_maintained() {
            return Ok(());
        }
        let Some(_lock) = state.disk.try_lock(&state.layout.ledger_lock())? else { return Ok(()) };
        ours.merge(ledger::read(&*state.disk, &state.layout));
        ours.tidy(oldest);
        ledger::write(&*state.disk, &state.layout, &ours)
    }

    /// The ledger of the versions of files that clients may hold.
    pub(crate) fn dictionaries(&self) -> &Dictionaries {
        &self.state.dictionaries
    }

    /// Writes the ledger of dictionaries down, as a thread does every few seconds. The future ends when it is
    /// written.
    pub(crate) fn save_dictionaries(&self) -> impl Future<Output = ()> + use<> {
        let (done, is_done) = oneshot::channel();
        let state = Arc::clone(&self.state);
        self.state.threads.submit(Priority::Foreground, true, move || {
            dictionary_file::save(&state);
            let _ = done.send(());
        });
        async move {
            let _ = is_done.await;
        }
    }

    /// Whether the cache is in use: its disk answers.
    pub(crate) fn is_available(&self) -> bool {
        !self.state.breaker.is_out()
    }

    /// Waits until the cache is out of use, because its disk does not answer.
    pub(crate) fn outage(&self) -> impl Future<Output = ()> + use<> {
        self.state.breaker.outage()
    }

    /// Takes the cache out of use when a write takes as long as a read may, from now on.
    pub(crate) fn hurry(&self) {
        self.state.breaker.hurry();
    }

    /// Logs the oldest call to the disk that does not return, if there is one.
    pub(crate) fn tell_hanging(&self) {
        self.state.breaker.tell_hanging();
    }

    /// The threads of calls that may wait for the cache's disk.
    pub(crate) fn threads(&self) -> &ThreadPool {
        &self.state.threads
    }

    /// Returns the entry for `key`, verified. Blocks on the disk.
    ///
    /// An entry that fails verification is removed and counted, and is then missing.
    ///
    /// # Errors
    ///
    /// The errors of the disk.
    pub(crate) fn get(&self, key: &Key) -> io::Result<Option<Arc<Entry>>> {
        let state = &self.state;
        let name = key.name();
        if let Some(entry) = state.opened(&name) {
            if entry.still_verified() {
                state.used(&name, &entry);
                return Ok(Some(entry));
            }
            state.close(&name);
        }
        let path = state.layout.entry(&name);
        let found = match state.disk.stat_link(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                state.forget(&name);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match Entry::open(&*state.disk, &path, found.kind, |stored| stored == key) {
            Ok(entry) => {
                let entry = state.admit(&name, entry);
                state.used(&name, &entry);
                Ok(Some(entry))
            }
            Err(ReadError::Damaged(damage)) => {
                state.discard(&name, &path, found.fingerprint.inode, damage);
                Ok(None)
            }
            // Evicted or purged since the `stat`.
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(ReadError::Io(error)) => Err(error),
        }
    }

    /// Returns the entry for `key` as [`get`](Self::get) would, but leaves everything as it is. Blocks
    /// on the disk.
    ///
    /// # Errors
    ///
    /// Errors of the disk, and the damage of an entry that `get` would remove.
    pub(crate) fn look(&self, key: &Key) -> Result<Option<Arc<Entry>>, ReadError> {
        let state = &self.state;
        let name = key.name();
        if let Some(entry) = state.opened(&name).filter(|entry| entry.still_verified()) {
            return Ok(Some(entry));
        }
        let path = state.layout.entry(&name);
        let found = match state.bare_disk.stat_link(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        match Entry::open(&*state.bare_disk, &path, found.kind, |stored| stored == key) {
            Ok(entry) => Ok(Some(Arc::new(entry))),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the entry for `key`, if it is a small one that can be opened and verified without
    /// waiting for a disk. `None` says nothing.
    pub(crate) fn get_nowait(&self, key: &Key) -> Option<Arc<Entry>> {
        let state = &self.state;
        if state.breaker.is_out() || !state.breaker.is_local() {
            return None;
        }
        let name = key.name();
        let file = state.disk.open_nowait(&state.layout.entry(&name)).ok()?;
        let entry = Entry::verify_nowait(file, |stored| stored == key)?;
        let age = SystemTime::now().duration_since(entry.modified()).unwrap_or_default();
        // The use is to be noted in the file's time, which may wait for the disk.
        if age >= TOUCH_EVERY {
            return None;
        }
        let entry = state.admit(&name, entry);
        state.index().used(&name);
        Some(entry)
    }

    /// Takes the right to write `key`'s entry; `None` if somebody else has it, here or in
    /// another process. Blocks on the disk.
    ///
    /// The caller looks for the entry again once it has the right.
    ///
    /// # Errors
    ///
    /// The errors of the disk.
    pub(crate) fn lock(&self, key: &Key) -> io::Result<Option<KeyLock>> {
        if self.state.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        KeyLock::try_new(&self.state, key)
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
        EntryWriter::create(&self.state, lock, header, max_payload)
    }

    /// Whether an entry of `bytes` bytes may be made at all: it is at most a quarter of the bound.
    pub(crate) fn could_hold(&self, bytes: u64) -> bool {
        self.state.could_hold(bytes)
    }

    /// Writes an entry without payload, a verdict of `header.kind` on `header.key`.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub(crate) fn record_verdict(&self, lock: KeyLock, header: Header) -> Result<(), WriteError> {
        debug_assert!(header.kind != Kind::Representation);
        self.create(lock, header, 0)?.publish()?;
        Ok(())
    }

    /// Makes `key`'s entry the first to be evicted, because nobody will ask for it again.
    pub(crate) fn demote(&self, key: &Key) {
        self.state.index().demote(&key.name());
    }

    /// Writes `entry` to the medium, and removes it if that fails. Blocks.
    pub(crate) fn sync(&self, entry: &Entry) {
        if let Err(error) = entry.file().sync() {
            let name = entry.header().key.name();
            log::warn!(%error, %name, "an entry could not be written to the medium");
            let path = self.state.layout.entry(&name);
            let _ = self.state.remove(&name, || self.state.disk.remove_file(&path).map(|()| true));
        }
    }

    /// Logs once that the cache does not work, and why. The breaker tells of an outage itself.
    pub(crate) fn warn_once(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::FileTooLarge {
            if !self.state.warned_of_length.swap(true, Ordering::Relaxed) {
                log::warn!(
                    "this process may write only short files (`ulimit -f`); answers that need a \
                     longer one go out uncompressed"
                );
            }
            return;
        }
        if !Breaker::is_refusal(error) && !self.state.warned.swap(true, Ordering::Relaxed) {
            let directory = EscapedPath(&self.state.layout.root);
            log::warn!(%error, "the cache in {directory} cannot be used; answers go out uncompressed");
        }
    }

    /// Returns the cache's directory, for its care: [`entries`](CacheFiles::entries),
    /// [`verify`](CacheFiles::verify), [`purge`](CacheFiles::purge) and [`gc`](CacheFiles::gc).
    #[must_use]
    pub fn files(&self) -> CacheFiles {
        CacheFiles::of(&self.state)
    }

    /// Returns the present figures.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let index = self.state.index();
        CacheStats {
            entries: index.len(),
            bytes: index.bytes(),
            evictions: self.state.evictions.load(Ordering::Relaxed),
            damaged: self.state.damaged.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test changes entries as another process may"
)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::super::eviction::tests::{key, write};
    use super::*;
    use crate::concurrency::may_wait;
    use crate::fs::{Disk as _, RealDisk};

    /// Writes an entry and returns its path.
    fn written(cache: &Cache, content: u8, bytes: usize) -> PathBuf {
        may_wait::allow();
        assert!(write(cache, content, bytes).is_ok());
        cache.state.layout.entry(&key(content).name())
    }

    /// The directory is not in /tmp, which may be a tmpfs: that cannot be read without a wait.
    #[test]
    fn get_nowait_opens_a_small_entry_when_it_is_in_the_page_cache() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let cache = Cache::builder(directory.path()).build().unwrap();
        let begun = Instant::now();
        while !cache.state.breaker.is_local() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is a local file system");
            std::thread::yield_now();
        }
        assert!(cache.get_nowait(&key(0)).is_none(), "there is none");
        let sizes = [(1, 60_000), (2, 70_000), (3, 9)];
        let paths = sizes.map(|(content, bytes)| written(&cache, content, bytes));
        cache.state.close_idle(Duration::ZERO);
        let file = RealDisk.open(&paths[0]).unwrap();
        if file.read_at_nowait(&mut [0], 0).is_err() {
            // A container's overlay.
            assert!(cache.get_nowait(&key(1)).is_none(), "it cannot be read without a wait");
            let skipped = "SKIPPED: on this file system nothing can be read without a wait";
            assert!(std::env::var_os("CI").is_none(), "{skipped}");
            eprintln!("{skipped}");
            return;
        }
        let entry = cache.get_nowait(&key(1)).expect("it is small");
        assert_eq!((entry.payload_len(), entry.kind()), (60_000, Kind::Representation));
        assert!(cache.peek(&key(1)).is_some_and(|open| Arc::ptr_eq(&open, &entry)));
        assert_eq!(cache.stats().entries, 3);
        assert!(cache.get_nowait(&key(2)).is_none(), "it is large");
        assert!(cache.get(&key(2)).unwrap().is_some());

        // Another entry's bytes under its name, and damaged bytes. A caller that may wait decides
        // about both.
        cache.state.close_idle(Duration::ZERO);
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
        cache.state.close_idle(Duration::ZERO);
        assert!(cache.get_nowait(&key(1)).is_some(), "it is written down");
    }
}
