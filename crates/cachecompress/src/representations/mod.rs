//! The selection of a resource's representation: stored, growing, or identity.

mod bodies;
mod identity;
mod select;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::cache::{Cache, Entry, Key};
use crate::catalog::{Catalog, LoadError, Loaded, Resource};
use crate::codec::{Codec, Codecs, Preference};
use crate::concurrency::places::Places;
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::SingleFlight;
use crate::concurrency::thread_pool::{Limits, ThreadPool};
use crate::concurrency::timer;
use crate::encode::{self, EncodeScheduler, Guess, JobContext, Warming};
use crate::error::Failure;
use crate::http::{ContentCoding, MediaTypes, SourcePath};
use crate::limits::{READ_QUEUE, READERS, SPARE_READERS};
use crate::log;
use crate::memory_cache::MemoryCache;
use crate::metrics::{Counters, Metrics};
use crate::source::Source;

pub(crate) use identity::Identity;
pub(crate) use select::{Availability, Candidates, Coded, RangeOf, Selected, Selection};

/// The settings of [`Representations`].
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) types: MediaTypes,
    /// Whether anybody asks for hashes in names.
    pub(crate) asks_names: bool,
    pub(crate) cache: Cache,
    pub(crate) codecs: Codecs,
    pub(crate) preference: Preference,
    /// Threads for encodes in the foreground, and as many for the background.
    pub(crate) encode_threads: usize,
    /// The encodes that may wait for a thread.
    pub(crate) queue: usize,
    /// Whether every encode is decoded and compared.
    pub(crate) prove: bool,
    pub(crate) revalidate: Duration,
    pub(crate) patience: Duration,
    /// Whether identity may be sent by `sendfile`, as no source is overwritten in place.
    pub(crate) sendfile_sources: bool,
    /// The bytes of short payloads that are kept in memory.
    pub(crate) memory_bytes: u64,
}

/// The representations of one source's files, which it selects or has produced. Cloned handles
/// share it.
#[derive(Clone, Debug)]
pub(crate) struct Representations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    scheduler: EncodeScheduler,
    cache: Cache,
    memory: MemoryCache,
    /// The threads of reads that may wait for the source's disk.
    readers: ThreadPool,
    /// The places of these threads, for reads of sources.
    places: Places,
    counters: Arc<Counters>,
    codecs: Codecs,
    preference: Preference,
    patience: Duration,
    sendfile_sources: bool,
    /// The lookups of stored entries for ranges.
    fetches: SingleFlight<Key, Option<Arc<Entry>>, Failure>,
    warned_of_large: AtomicBool,
}

impl Representations {
    pub(crate) fn new(config: Config) -> Self {
        let Config { source, types, cache, codecs, preference, revalidate, patience, .. } = config;
        timer::start();
        let counters = codecs.iter().map(|codec| codec.coding.as_str());
        let counters = Arc::new(Counters::new(counters));
        let memory = MemoryCache::new(config.memory_bytes);
        let limits = Limits { threads: READERS, spare: SPARE_READERS, queue: READ_QUEUE };
        let readers = ThreadPool::new("cc-read", limits);
        let on_gone = {
            let (cache, codecs) = (cache.clone(), codecs.clone());
            move |digest, len| {
                // Nobody will ask for these entries, so they are the first to be evicted.
                codecs.iter().for_each(|codec| cache.demote(&encode::key(digest, len, codec)));
            }
        };
        let places = Places::new(READERS + SPARE_READERS);
        let (ages, threads) = ((revalidate, patience), (readers.clone(), places.clone()));
        let catalog = Catalog::new(
            (source, types, config.asks_names),
            ages,
            threads,
            memory.clone(),
            on_gone,
        );
        let context = JobContext::new(
            catalog.clone(),
            cache.clone(),
            memory.clone(),
            Arc::clone(&counters),
            config.prove,
        );
        let scheduler = EncodeScheduler::new(config.encode_threads, config.queue, context);
        Self(Arc::new(Inner {
            catalog,
            scheduler,
            cache,
            memory,
            readers,
            places,
            counters,
            codecs,
            preference,
            patience,
            sendfile_sources: config.sendfile_sources,
            fetches: SingleFlight::new(),
            warned_of_large: AtomicBool::new(false),
        }))
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(crate) fn codecs(&self) -> &Codecs {
        &self.0.codecs
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// The codings on offer for a source of `len` bytes, in the server's order, or those of them
    /// that a request has `chosen`, in its order.
    pub(crate) fn offered(&self, chosen: Option<&[ContentCoding]>, len: u64) -> Vec<ContentCoding> {
        let known = |coding: &&ContentCoding| self.0.codecs.get(coding).is_some();
        let preferred = || self.0.preference.order(&self.0.codecs, len);
        chosen.unwrap_or_else(preferred).iter().filter(known).cloned().collect()
    }

    /// Finds the target of `path`, by a lookup that began at most `revalidate` ago. A large file
    /// may be encoded while it is hashed, by the codec that `guess` names.
    pub(crate) async fn resource(
        &self,
        path: &SourcePath,
        guess: impl Fn() -> Option<Guess>,
        needs_digest: impl FnOnce() -> bool,
    ) -> Result<Loaded, LoadError> {
        let during_hash = || guess().map(|guess| self.0.scheduler.during_hash(guess));
        self.0.catalog.resource(path, during_hash, needs_digest).await
    }

    /// Whether `resource` is too large for the cache to take a coding of it. Warns of the first
    /// such resource.
    pub(crate) fn exceeds_cache(&self, resource: &Resource) -> bool {
        let exceeds = !self.0.cache.could_hold(encode::max_payload(resource.len));
        if exceeds && !self.0.warned_of_large.swap(true, Ordering::Relaxed) {
            let (path, bytes) = (&resource.path, resource.len);
            log::warn!(
                %path, %bytes,
                "a file is larger than a quarter of the cache and goes out uncompressed, as will \
                 others; a larger cache would compress them"
            );
        }
        exceeds
    }

    /// Encodes `resource` by `codec` in the background, unless its entry is stored. The future's
    /// output is the representation's length in bytes, or the reason for having none.
    pub(crate) fn warm(
        &self,
        resource: &Arc<Resource>,
        codec: &Codec,
        warming: &Warming,
    ) -> impl Future<Output = Result<u64, Failure>> + use<> {
        let outage = self.0.cache.outage();
        let joined = self.0.scheduler.join_for(warming, resource, codec);
        async move {
            let Some((progress, _)) = joined else { return Err(Failure::SourceChanged) };
            let mut watch = Watch::new(&progress);
            match unless(outage, watch.until(Stage::ended)).await {
                None => Err(Failure::Disk),
                Some(Stage::Finished { shared, len }) if shared.kept => Ok(len),
                Some(Stage::Finished { .. }) => Err(Failure::Unprofitable),
                Some(Stage::Failed { why, .. }) => Err(why),
                Some(Stage::Pending | Stage::Growing { .. }) => Err(Failure::Dropped),
            }
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let cache = self.0.cache.stats();
        Metrics {
            entries: cache.entries,
            entry_bytes: cache.bytes,
            evictions: cache.evictions,
            damaged_entries: cache.damaged,
            cache_available: self.0.cache.is_available(),
            inflight: self.0.scheduler.in_flight() as u64,
            queue_length: self.0.scheduler.queue_len() as u64,
            ..self.0.counters.snapshot()
        }
    }

    /// The threads of reads that may wait for the source's disk.
    pub(crate) fn readers(&self) -> &ThreadPool {
        &self.0.readers
    }

    /// Whether no encode begins any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.scheduler.is_closing()
    }

    /// Takes no more encodes. Lets running and waiting ones `finish`, or gives them up. Does not wait
    /// for a disk that hangs, but tells of the call.
    pub(crate) async fn shutdown(&self, finish: bool) {
        let cache = &self.0.cache;
        cache.hurry();
        unless(cache.outage(), self.0.scheduler.shutdown(finish)).await;
        cache.tell_hanging();
    }
}

/// Awaits `future`; `None` if the `outage` comes first.
async fn unless<T>(outage: impl Future<Output = ()>, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut outage) = (pin!(future), pin!(outage));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => outage.as_mut().poll(cx).map(|()| None),
    })
    .await
}
