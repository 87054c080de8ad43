//! From a path to a resource, and from a resource to one of its representations: stored,
//! growing, or identity.

mod bodies;
mod select;

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

pub(crate) use crate::catalog::resource::{Held, LoadError, Loaded, Resource};
pub(crate) use crate::encode::speculative::Likely;
pub(crate) use crate::encode::verdict::SMALLEST;
pub(crate) use select::{Coded, Extent, Identity, Selected, Wish};

use crate::body::Product;
use crate::cache::{Cache, Entry, Key};
use crate::catalog::path_set;
use crate::codec::{Codecs, Preference};
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::SingleFlight;
use crate::concurrency::thread_pool::{Limits, ThreadPool};
use crate::concurrency::versioned::{Generations, Versioned};
use crate::encode::{cores, speculative};
use crate::error::Failure;
use crate::http::SourcePath;
use crate::metrics::{Counters, Metrics};
use crate::source::Source;

/// The resources that are remembered between requests.
const RESOURCES: usize = 65_536;
/// The encoders' faults that are remembered beside the stored verdicts.
const FAULTS: usize = 4096;

/// Encodes begin.
pub(crate) const OPEN: u8 = 0;
/// No encode begins; those that have are finished.
const FINISHING: u8 = 1;
/// No encode begins; those that have are given up.
pub(crate) const CANCELLED: u8 = 2;

/// What a service is built with.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) cache: Cache,
    pub(crate) codecs: Codecs,
    pub(crate) preference: Preference,
    pub(crate) encode_threads: usize,
    pub(crate) queue: usize,
    pub(crate) revalidate: Duration,
    pub(crate) patience: Duration,
    pub(crate) prove: bool,
    /// Whether sources are never overwritten in place, so that they may be sent by `sendfile`.
    pub(crate) sendfile_sources: bool,
    /// The bytes of short payloads that are kept in memory.
    pub(crate) payload_bytes: u64,
}

/// Selects or produces representations of the files of one source.
#[derive(Clone, Debug)]
pub(crate) struct Representations(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) counters: Arc<Counters>,
    /// Encodes.
    pub(crate) encoders: ThreadPool,
    /// Reads and everything else that may wait for a disk, but not for long.
    pub(crate) readers: ThreadPool,
    /// Hashes of files that are not small.
    pub(crate) hashers: ThreadPool,
    pub(crate) flights: SingleFlight<Key, Product, Failure>,
    /// Look-ups of stored entries for those who have no use for others.
    pub(crate) fetches: SingleFlight<Key, Option<Arc<Entry>>, Failure>,
    pub(crate) loads:
        SingleFlight<SourcePath, (Loaded, crate::catalog::resource::Looked), LoadError>,
    /// The order in which paths are looked up.
    pub(crate) looks: Generations,
    pub(crate) resources: quick_cache::sync::Cache<SourcePath, Arc<Versioned<Arc<Resource>>>>,
    /// By content, so that it makes no difference who tells first, and who last.
    pub(crate) payloads: crate::memory_cache::MemoryCache,
    /// Paths whose files changed under an encode; they go out without a tag until they rest.
    pub(crate) unsettled: path_set::Paths,
    /// Keys whose encoders are at fault, should no verdict have been stored.
    pub(crate) faults: quick_cache::sync::Cache<Key, ()>,
    /// Whether somebody was told that a file is too large for the cache.
    pub(crate) told_of_large: AtomicBool,
    /// Whether somebody was told that an encoder had no thread or memory.
    pub(crate) told_of_busy: AtomicBool,
    /// Paths whose files are being hashed while they go out.
    pub(crate) hashing: path_set::Paths,
    /// The large file that is encoded while it is hashed.
    pub(crate) ahead: speculative::Turn,
    /// What large encodes may be spread over: those that somebody waits for, and the others.
    pub(crate) cores: [cores::Cores; 2],
    /// One of [`OPEN`], [`FINISHING`] and [`CANCELLED`].
    pub(crate) life: AtomicU8,
}

impl Representations {
    pub(crate) fn new(config: Config) -> Self {
        let codings = config.codecs.iter().map(|codec| codec.coding.as_str());
        let counters = Arc::new(Counters::new(codings));
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let encoders =
            Limits { threads: config.encode_threads, spare: 0, queue: config.queue.max(1) };
        // What hangs is the source's disk: so many files of it may, before others wait for them.
        let readers = Limits { threads: 4, spare: 60, queue: 16 * 1024 };
        let hashers = Limits { threads: 2, spare: 14, queue: 16 * 1024 };
        Self(Arc::new(Shared {
            counters,
            encoders: ThreadPool::new("cc-encode", encoders),
            readers: ThreadPool::new("cc-read", readers),
            hashers: ThreadPool::new("cc-hash", hashers),
            flights: SingleFlight::new(),
            fetches: SingleFlight::new(),
            loads: SingleFlight::new(),
            looks: Generations::default(),
            resources: quick_cache::sync::Cache::new(RESOURCES),
            payloads: crate::memory_cache::MemoryCache::new(config.payload_bytes),
            unsettled: path_set::Paths::default(),
            hashing: path_set::Paths::default(),
            faults: quick_cache::sync::Cache::new(FAULTS),
            told_of_large: AtomicBool::new(false),
            told_of_busy: AtomicBool::new(false),
            ahead: speculative::Turn::new(cores),
            cores: [(); 2].map(|()| cores::Cores::new(cores, config.encode_threads)),
            life: AtomicU8::new(OPEN),
            config,
        }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Whether no encode begins any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let shared = &self.0;
        let cache = shared.config.cache.stats();
        Metrics {
            entries: cache.entries,
            entry_bytes: cache.bytes,
            evictions: cache.evictions,
            damaged_entries: cache.damaged,
            inflight: shared.flights.len() as u64,
            queue_length: shared.encoders.waiting() as u64,
            ..shared.counters.snapshot()
        }
    }

    /// Takes no more encodes; gives up those under way, or lets them and those that wait finish.
    pub(crate) async fn shutdown(&self, finish: bool) {
        let shared = &self.0;
        shared.life.store(if finish { FINISHING } else { CANCELLED }, Ordering::Relaxed);
        if !finish {
            shared.encoders.close();
        }
        for progress in shared.flights.under_way() {
            Watch::new(&progress).until(Stage::ended).await;
        }
        shared.encoders.close();
    }
}

impl Shared {
    pub(crate) fn is_closing(&self) -> bool {
        self.life.load(Ordering::Relaxed) != OPEN
    }
}
