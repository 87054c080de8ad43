//! The parts of a service that services over several sources may share.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::task::Poll;

use crate::cache::{Cache, Entry, Key};
use crate::catalog::LookupContext;
use crate::codec::{Codecs, DeltaCodecs};
use crate::concurrency::singleflight::SingleFlight;
use crate::concurrency::thread_pool::Priority;
use crate::concurrency::timer;
use crate::encode::{self, EarlierVersions, EncodeScheduler, JobContext, Recompress, SecondPass};
use crate::error::{Error, Failure};
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
    /// The second pass, if there is to be one.
    pub(crate) recompress: Option<Recompress>,
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
    pub(super) second_pass: Option<Arc<SecondPass>>,
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
            recompress,
        } = config;
        timer::start();
        let second_pass =
            |settings| Arc::new(SecondPass::new(settings, codecs.clone(), cache.clone()));
        let second_pass = recompress.map(second_pass);
        let counters = codecs.iter().map(|codec| codec.coding.as_str());
        let counters = Arc::new(Counters::new(counters));
        let memory = MemoryCache::new(memory_bytes);
        let on_gone = {
            let (cache, codecs) = (cache.clone(), codecs.clone());
            let second_pass = second_pass.as_ref().map(Arc::downgrade);
            move |digest, len| {
                // Nobody will ask for these entries, so they are the first to be evicted.
                for codec in codecs.iter().flat_map(|codec| [Some(codec), codec.better()]).flatten()
                {
                    cache.demote(&encode::key(digest, len, codec));
                }
                if let Some(second_pass) = second_pass.as_ref().and_then(Weak::upgrade) {
                    second_pass.forget(digest);
                }
            }
        };
        let lookups = LookupContext::new(memory.clone(), on_gone);
        let counting = Arc::clone(&counters);
        let helps = (tier.clone(), second_pass.clone());
        let context =
            JobContext::new(cache.clone(), memory.clone(), counting, prove, helps, observer);
        let scheduler = EncodeScheduler::new(encode_threads, queue, context);
        if let Some(second_pass) = &second_pass {
            encode::start_second_pass(&scheduler, second_pass);
        }
        Self {
            scheduler,
            cache,
            memory,
            lookups,
            counters,
            codecs,
            tier,
            second_pass,
            fetches: SingleFlight::new(),
            warned_of_large: AtomicBool::new(false),
        }
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The places in which earlier versions of files may be.
    ///
    /// # Errors
    ///
    /// If an encoder of deltas fails on its sample.
    pub(crate) fn earlier_versions(&self) -> Result<EarlierVersions, Error> {
        Ok(EarlierVersions {
            cache: self.cache.clone(),
            memory: self.memory.clone(),
            codecs: self.codecs.clone(),
            deltas: DeltaCodecs::new()?,
        })
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
            second_pass: self.second_pass.as_ref().map(|second_pass| second_pass.metrics()),
            ..self.counters.snapshot()
        }
    }

    /// Takes no more encodes. Lets running and waiting ones `finish`, or gives them up. Does not wait
    /// for a disk that hangs, but tells of the call.
    pub(crate) async fn shutdown(&self, finish: bool) {
        let cache = &self.cache;
        cache.hurry();
        unless(cache.outage(), self.scheduler.shutdown(finish)).await;
        if let Some(second_pass) = &self.second_pass {
            let (sender, stored) = tokio::sync::oneshot::channel();
            let second_pass = Arc::clone(second_pass);
            cache.threads().submit(Priority::Foreground, true, move || {
                second_pass.store();
                let _ = sender.send(());
            });
            unless(cache.outage(), stored).await;
        }
        if let Some(tier) = self.tier.as_ref().filter(|_| finish) {
            unless(cache.outage(), tier.flush()).await;
        }
        unless(cache.outage(), cache.save_dictionaries()).await;
        cache.tell_hanging();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(second_pass) = &self.second_pass {
            second_pass.end();
        }
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
