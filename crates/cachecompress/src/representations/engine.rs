//! The parts of a service that services over several sources may share.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use crate::cache::{Cache, Entry, Key};
use crate::catalog::LookupContext;
use crate::codec::Codecs;
use crate::concurrency::singleflight::SingleFlight;
use crate::concurrency::timer;
use crate::encode::{self, EncodeScheduler, JobContext};
use crate::error::Failure;
use crate::memory_cache::MemoryCache;
use crate::metrics::{Counters, EncodeObserver, Metrics};
use crate::tier::Tier;

/// The settings of an [`Engine`].
#[derive(Debug)]
pub(crate) struct EngineConfig {
    pub(crate) cache: Cache,
    pub(crate) codecs: Codecs,
    /// Threads for encodes in the foreground, and as many for the background.
    pub(crate) encode_threads: usize,
    /// The encodes that may wait for a thread.
    pub(crate) queue: usize,
    /// Whether every encode is decoded and compared.
    pub(crate) prove: bool,
    /// The bytes of short payloads that are kept in memory.
    pub(crate) memory_bytes: u64,
    /// The store that replicas share.
    pub(crate) tier: Option<Tier>,
    /// Told of encodes that begin and end.
    pub(crate) observer: Option<EncodeObserver>,
}

/// One cache with its encoders, its memory, and the threads of encodes, lookups and hashes. It knows
/// contents, and no source.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) scheduler: EncodeScheduler,
    pub(super) cache: Cache,
    pub(super) memory: MemoryCache,
    pub(super) lookups: LookupContext,
    pub(super) counters: Arc<Counters>,
    pub(super) codecs: Codecs,
    tier: Option<Tier>,
    /// The lookups of stored entries for ranges.
    pub(super) fetches: SingleFlight<Key, Option<Arc<Entry>>, Failure>,
    pub(super) warned_of_large: AtomicBool,
}

impl Engine {
    pub(crate) fn new(config: EngineConfig) -> Self {
        let EngineConfig {
            cache,
            codecs,
            encode_threads,
            queue,
            prove,
            memory_bytes,
            tier,
            observer,
        } = config;
        timer::start();
        let counters = codecs.iter().map(|codec| codec.coding.as_str());
        let counters = Arc::new(Counters::new(counters));
        let memory = MemoryCache::new(memory_bytes);
        let on_gone = {
            let (cache, codecs) = (cache.clone(), codecs.clone());
            move |digest, len| {
                // Nobody will ask for these entries, so they are the first to be evicted.
                codecs.iter().for_each(|codec| cache.demote(&encode::key(digest, len, codec)));
            }
        };
        let lookups = LookupContext::new(memory.clone(), on_gone);
        let counting = Arc::clone(&counters);
        let context =
            JobContext::new(cache.clone(), memory.clone(), counting, prove, tier.clone(), observer);
        Self {
            scheduler: EncodeScheduler::new(encode_threads, queue, context),
            cache,
            memory,
            lookups,
            counters,
            codecs,
            tier,
            fetches: SingleFlight::new(),
            warned_of_large: AtomicBool::new(false),
        }
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let cache = self.cache.stats();
        Metrics {
            entries: cache.entries,
            entry_bytes: cache.bytes,
            evictions: cache.evictions,
            damaged_entries: cache.damaged,
            cache_available: self.cache.is_available(),
            inflight: self.scheduler.in_flight() as u64,
            queue_length: self.scheduler.queue_len() as u64,
            encodes_under_way: self.scheduler.under_way(),
            tier: self.tier.as_ref().map(Tier::metrics),
            ..self.counters.snapshot()
        }
    }

    /// Takes no more encodes. Lets running and waiting ones `finish`, or gives them up. Does not wait
    /// for a disk that hangs, but tells of the call.
    pub(crate) async fn shutdown(&self, finish: bool) {
        let cache = &self.cache;
        cache.hurry();
        unless(cache.outage(), self.scheduler.shutdown(finish)).await;
        if let Some(tier) = self.tier.as_ref().filter(|_| finish) {
            unless(cache.outage(), tier.flush()).await;
        }
        cache.tell_hanging();
    }
}

/// Awaits `future`; `None` if the `outage` comes first.
pub(super) async fn unless<T>(
    outage: impl Future<Output = ()>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut future, mut outage) = (pin!(future), pin!(outage));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => outage.as_mut().poll(cx).map(|()| None),
    })
    .await
}
