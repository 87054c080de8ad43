//! Opens a cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use super::breaker::Breaker;
use super::dictionary_file;
use super::eviction;
use super::index::Amount;
use super::layout::Layout;
use super::state::State;
use super::store::{Cache, CacheStats};
use crate::concurrency::may_wait;
use crate::error::Error;
use crate::fs::{Disk, MemoryDisk, RealDisk};
use crate::limits::{CACHE_BYTES, CACHE_ENTRIES, MAINTAIN_EVERY, OPEN_ENTRIES, START_PATIENCE};
use crate::log;

/// Builds a [`Cache`].
#[derive(Debug)]
#[must_use]
pub struct CacheBuilder {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    bounds: Amount,
    open_entries: usize,
    read_only: bool,
}

impl Cache {
    /// Starts to build a cache in the directory `root`, which need not exist.
    ///
    /// The library never chooses a directory by itself. Defaults: 1 GiB, 1,000,000 entries.
    ///
    /// ```
    /// use cachecompress::{Cache, Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # std::env::set_current_dir(directory.path())?;
    /// let cache = Cache::builder("cache/app").max_bytes(500 << 20).build()?;
    /// // Services may share it.
    /// let site = ServeCompressed::builder(Memory::new()).cache(cache.clone()).build()?;
    /// let downloads = ServeCompressed::builder(Memory::new()).cache(cache).build()?;
    /// # let _ = (site, downloads);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(root: impl Into<PathBuf>) -> CacheBuilder {
        CacheBuilder {
            disk: Arc::new(RealDisk),
            root: root.into(),
            bounds: Amount { bytes: CACHE_BYTES, entries: CACHE_ENTRIES },
            open_entries: OPEN_ENTRIES,
            read_only: false,
        }
    }

    /// Creates a cache of at most `max_bytes` bytes that keeps nothing on disk, for tests and
    /// read-only systems.
    #[must_use]
    pub fn in_memory(max_bytes: u64) -> Self {
        let builder = Self::builder("/cache").disk(Arc::new(MemoryDisk::new()));
        Self { state: builder.max_bytes(max_bytes).state(None, None) }
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

    /// The number of entries that are kept open, default 256. An open entry need not be read
    /// again to be verified, and takes a file descriptor.
    pub fn open_entries(mut self, entries: usize) -> Self {
        self.open_entries = entries;
        self
    }

    /// The file system to use, default the real one.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// Sets whether the cache is only looked at.
    ///
    /// Then its services create, change and remove nothing in the directory. They encode nothing, and no
    /// thread maintains it. [`ServeCompressed::explain`](crate::ServeCompressed::explain) needs no more. Default:
    /// `false`.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Opens the cache.
    ///
    /// A directory that cannot be created or written is no error. It is logged once, and the
    /// services go on without compression until it can be. Likewise one whose disk hangs: this waits
    /// for it for a second, and the cache is in use as soon as the disk answers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the directory is an empty path.
    pub fn build(self) -> Result<Cache, Error> {
        if self.root.as_os_str().is_empty() {
            return Err(Error::config("the cache's directory is an empty path; name one"));
        }
        if self.read_only {
            return Ok(Cache { state: self.state(None, None) });
        }
        let (maintenance, ended) = mpsc::channel();
        let breaker = Arc::new(Breaker::new(self.root.clone()));
        let state = self.state(Some(breaker), Some(maintenance));
        let cache = Cache { state: Arc::clone(&state) };
        let files = cache.files();
        let (watched, trial) = (Arc::clone(&state.breaker), Arc::new(state.trial()));
        start("cc-watch", move || watched.watch(&trial));
        let weak = Arc::downgrade(&state);
        let maintain = move || {
            while ended.recv_timeout(MAINTAIN_EVERY) == Err(RecvTimeoutError::Timeout) {
                let Some(state) = weak.upgrade() else { return };
                eviction::maintain(&state);
            }
        };
        let (opened, is_open) = mpsc::channel();
        start("cc-scan", move || {
            Cache::open(&state);
            let _ = opened.send(());
            eviction::maintain(&state);
            let CacheStats { entries, bytes, .. } = Cache { state: Arc::clone(&state) }.stats();
            log::info!(%entries, %bytes, "found these entries in the cache");
            files.remove_unused_formats();
            drop((state, files));
            start("cc-maintain", maintain);
        });
        match is_open.recv_timeout(START_PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => cache.state.breaker.warn_of_start(),
            // There is no thread for it.
            Err(RecvTimeoutError::Disconnected) => Cache::open(&cache.state),
        }
        Ok(cache)
    }

    fn state(
        self,
        breaker: Option<Arc<Breaker>>,
        maintenance: Option<mpsc::Sender<()>>,
    ) -> Arc<State> {
        let layout = Layout::new(self.root);
        let (disk, bounds, open_entries) = (self.disk, self.bounds, self.open_entries);
        let mut state = State::new(disk, breaker, layout, bounds, open_entries, maintenance);
        state.is_read_only = self.read_only;
        Arc::new(state)
    }
}

impl Cache {
    /// Creates the directory, and puts the cache to use.
    fn open(state: &Arc<State>) {
        may_wait::allow();
        if let Err(error) = state.layout.create(&state.trial_disk()) {
            Self { state: Arc::clone(state) }.warn_once(&error);
        }
        state.breaker.answered();
        dictionary_file::load(state);
    }
}

/// Starts a thread that reads the cache's directory.
fn start(name: &str, work: impl FnOnce() + Send + 'static) {
    let work = || {
        may_wait::allow();
        work();
    };
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
        log::warn!(%error, "cannot start a thread that reads the cache's directory");
    }
}
