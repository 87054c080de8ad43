//! What the encode jobs of one service share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::cache::{Cache, Key};
use crate::catalog::Catalog;
use crate::concurrency::thread_pool::ThreadPool;
use crate::limits::FAULTS;
use crate::memory_cache::MemoryCache;
use crate::metrics::Counters;

/// The parts of a service that a job works with.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) catalog: Catalog,
    pub(super) cache: Cache,
    pub(super) memory: MemoryCache,
    pub(super) readers: ThreadPool,
    pub(super) counters: Arc<Counters>,
    /// Whether every encode is decoded and compared.
    pub(super) prove: bool,
    /// Keys whose encoders are at fault, should no verdict have been stored.
    faults: quick_cache::sync::Cache<Key, ()>,
    warned_of_busy: AtomicBool,
    life: AtomicU8,
}

/// Encodes begin.
const OPEN: u8 = 0;
/// No encode begins; those that run are finished.
const FINISHING: u8 = 1;
/// No encode begins; those that run are given up.
const CANCELLED: u8 = 2;

impl Context {
    pub(super) fn new(
        catalog: Catalog,
        cache: Cache,
        memory: MemoryCache,
        readers: ThreadPool,
        counters: Arc<Counters>,
        prove: bool,
    ) -> Self {
        Self {
            catalog,
            cache,
            memory,
            readers,
            counters,
            prove,
            faults: quick_cache::sync::Cache::new(FAULTS),
            warned_of_busy: AtomicBool::new(false),
            life: AtomicU8::new(OPEN),
        }
    }

    /// Has no encode begin any more; gives up those that run, unless they are to `finish`.
    pub(super) fn close(&self, finish: bool) {
        self.life.store(if finish { FINISHING } else { CANCELLED }, Ordering::Relaxed);
    }

    /// Whether no encode begins any more.
    pub(super) fn is_closing(&self) -> bool {
        self.life.load(Ordering::Relaxed) != OPEN
    }

    /// Whether encodes that run are to give up.
    pub(super) fn is_cancelled(&self) -> bool {
        self.life.load(Ordering::Relaxed) == CANCELLED
    }

    /// Whether the encoder of `key` gets no other chance from this process.
    pub(super) fn is_faulty(&self, key: &Key) -> bool {
        self.faults.get(key).is_some()
    }

    pub(super) fn mark_faulty(&self, key: Key) {
        self.faults.insert(key, ());
    }

    /// Whether this is the first call.
    pub(super) fn first_busy(&self) -> bool {
        !self.warned_of_busy.swap(true, Ordering::Relaxed)
    }
}
