//! The parts of an engine that the catalogs of its sites share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encoded_source::DecodedFiles;
use super::file_digests::FileDigests;
use super::hash_queue::HashThreads;
use crate::concurrency::places::Places;
use crate::concurrency::thread_pool::{Limits, ThreadPool};
use crate::http::Digest;
use crate::limits::{READ_QUEUE, READERS, SPARE_READERS};
use crate::memory_cache::MemoryCache;

/// The threads of lookups and hashes, the digests that are known of files, and the files that are
/// decoded. Cloned handles share them.
#[derive(Clone)]
pub(crate) struct LookupContext {
    /// The threads of reads that may wait for a source's disk.
    pub(super) readers: ThreadPool,
    /// The places of these threads.
    pub(super) places: Places,
    pub(super) hash_threads: HashThreads,
    pub(super) digests: Arc<FileDigests>,
    pub(super) decoded: Arc<DecodedFiles>,
    pub(super) memory: MemoryCache,
    /// Takes digest and length in bytes of each content that its path no longer leads to.
    pub(super) on_gone: Arc<dyn Fn(Digest, u64) + Send + Sync>,
    catalogs: Arc<AtomicU64>,
}

impl LookupContext {
    pub(crate) fn new(
        memory: MemoryCache,
        on_gone: impl Fn(Digest, u64) + Send + Sync + 'static,
    ) -> Self {
        let limits = Limits { threads: READERS, spare: SPARE_READERS, queue: READ_QUEUE };
        Self {
            readers: ThreadPool::new("cc-read", limits),
            places: Places::new(READERS + SPARE_READERS),
            hash_threads: HashThreads::new(),
            digests: Arc::default(),
            decoded: Arc::new(DecodedFiles::new()),
            memory,
            on_gone: Arc::new(on_gone),
            catalogs: Arc::default(),
        }
    }

    /// The threads of reads that may wait for a source's disk.
    pub(crate) fn readers(&self) -> &ThreadPool {
        &self.readers
    }

    /// The places of the [`readers`](Self::readers).
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// Returns a number that no other catalog of this context has.
    pub(super) fn number(&self) -> u64 {
        self.catalogs.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for LookupContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { readers, digests, .. } = self;
        f.debug_struct("LookupContext")
            .field("readers", readers)
            .field("digests", digests)
            .finish_non_exhaustive()
    }
}
