//! The selection of a resource's representation: stored, growing, or identity.

mod bodies;
mod codecs;
mod engine;
mod foresee;
mod identity;
mod select;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::body::Product;
use crate::catalog::{Catalog, LoadError, Loaded, Names, Resource};
use crate::codec::{Codec, Codecs, Preference};
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::thread_pool::ThreadPool;
use crate::encode::{self, Guess, Warming};
use crate::error::Failure;
use crate::http::{ContentCoding, MediaTypes, SourcePath};
use crate::log;
use crate::metrics::Counters;
use crate::source::Source;

use engine::unless;
pub(crate) use engine::{Engine, EngineConfig};
pub(crate) use identity::Identity;
pub(crate) use select::{
    Availability, Candidates, Coded, Made, RangeOf, Selected, Selection, detail_of,
};

/// The settings of [`Representations`].
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) types: MediaTypes,
    pub(crate) names: Names,
    pub(crate) preference: Preference,
    pub(crate) revalidate: Duration,
    pub(crate) patience: Duration,
    /// Whether identity may be sent by `sendfile`, as no source is overwritten in place.
    pub(crate) sendfile_sources: bool,
}

/// The representations of one source's files, which it selects or has produced. Cloned handles
/// share it.
#[derive(Clone, Debug)]
pub(crate) struct Representations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    catalog: Catalog,
    preference: Preference,
    patience: Duration,
    sendfile_sources: bool,
}

impl Representations {
    /// Makes the representations of one source by `engine`, which others may use, too.
    pub(crate) fn new(config: Config, engine: Arc<Engine>) -> Self {
        let Config { source, types, names, revalidate, patience, .. } = config;
        let catalog = Catalog::new((source, types, names), (revalidate, patience), &engine.lookups);
        Self(Arc::new(Inner {
            engine,
            catalog,
            preference: config.preference,
            patience,
            sendfile_sources: config.sendfile_sources,
        }))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(crate) fn codecs(&self) -> &Codecs {
        &self.0.engine.codecs
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.0.engine.counters
    }

    /// The codings on offer for a source of `len` bytes, in the server's order, or those of them
    /// that a request has `chosen`, in its order.
    pub(crate) fn offered(&self, chosen: Option<&[ContentCoding]>, len: u64) -> Vec<ContentCoding> {
        let known = |coding: &&ContentCoding| self.0.engine.codecs.get(coding).is_some();
        let preferred = || self.0.preference.order(&self.0.engine.codecs, len);
        chosen.unwrap_or_else(preferred).iter().filter(known).cloned().collect()
    }

    /// As [`offered`](Self::offered), for `resource`. The codings that it has without an encoder are on
    /// offer, too, and by [`Preference::Auto`] the shortest of those first. Those that are known to save
    /// too little are offered as if there was an encoder, for the reason that a response gives; a request
    /// that refuses identity must not count on them ([`made_by_nobody`](Self::made_by_nobody)).
    pub(crate) fn offered_of(
        &self,
        chosen: Option<&[ContentCoding]>,
        resource: &Resource,
    ) -> Vec<ContentCoding> {
        let Some(precompressed) = resource.precompressed.as_deref() else {
            return self.offered(chosen, resource.len);
        };
        let payloads = || precompressed.payloads().iter().map(|ahead| &ahead.coding);
        let is_there = |coding: &ContentCoding| {
            payloads().any(|known| known == coding) || precompressed.unprofitable().contains(coding)
        };
        let list = match (chosen, &self.0.preference) {
            (Some(list), _) => list,
            (None, Preference::List(list)) => list,
            (None, Preference::Auto) => {
                let auto = self.0.preference.order(&self.0.engine.codecs, resource.len);
                let all = payloads().chain(auto).chain(precompressed.unprofitable());
                let mut offered = Vec::new();
                for coding in all {
                    if !offered.contains(coding) {
                        offered.push(coding.clone());
                    }
                }
                return offered;
            }
        };
        let has_encoder = |coding: &ContentCoding| self.0.engine.codecs.get(coding).is_some();
        let is_offered = |coding: &&ContentCoding| is_there(coding) || has_encoder(coding);
        list.iter().filter(is_offered).cloned().collect()
    }

    /// Whether `coding` of `resource` cannot be had: no encoder makes it, and no build has.
    pub(crate) fn made_by_nobody(&self, resource: &Resource, coding: &ContentCoding) -> bool {
        let precompressed = resource.precompressed.as_deref();
        let is_ahead = precompressed.is_some_and(|ahead| ahead.payload(coding).is_some());
        !is_ahead && self.0.engine.codecs.get(coding).is_none()
    }

    /// Finds the target of `path`, by a lookup that began at most `revalidate` ago. A large file
    /// may be encoded while it is hashed, by the codec that `guess` names.
    pub(crate) async fn resource(
        &self,
        path: &SourcePath,
        guess: impl Fn() -> Option<Guess>,
        needs_digest: impl FnOnce() -> bool,
    ) -> Result<Loaded, LoadError> {
        let during_hash =
            || guess().map(|guess| self.0.engine.scheduler.during_hash(&self.0.catalog, guess));
        self.0.catalog.resource(path, during_hash, needs_digest).await
    }

    /// Whether `resource` is too large for the cache to take a coding of it. Warns of the first
    /// such resource.
    pub(crate) fn exceeds_cache(&self, resource: &Resource) -> bool {
        let exceeds = !self.0.engine.cache.could_hold(encode::max_payload(resource.len));
        let is_ahead = || {
            let precompressed = resource.precompressed.as_deref();
            precompressed.is_some_and(|ahead| !ahead.payloads().is_empty())
        };
        if exceeds && !is_ahead() && !self.0.engine.warned_of_large.swap(true, Ordering::Relaxed) {
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
    /// output is the product and its length in bytes, or the reason for having none.
    pub(crate) fn warm(
        &self,
        resource: &Arc<Resource>,
        codec: &Codec,
        warming: &Warming,
    ) -> impl Future<Output = Result<(Product, u64), Failure>> + use<> {
        let outage = self.0.engine.cache.outage();
        // The better entry stands for the coding.
        let codec = codec.better().filter(|better| self.counts(resource, better)).unwrap_or(codec);
        let joined = self.0.engine.scheduler.join_for(warming, (&self.0.catalog, resource), codec);
        async move {
            let Some((progress, _)) = joined else { return Err(Failure::SourceChanged) };
            let mut watch = Watch::new(&progress);
            match unless(outage, watch.until(Stage::ended)).await {
                None => Err(Failure::Disk),
                Some(Stage::Finished { shared, len }) if shared.kept => Ok((shared, len)),
                Some(Stage::Finished { .. }) => Err(Failure::Unprofitable),
                Some(Stage::Failed { why, .. }) => Err(why),
                Some(Stage::Pending | Stage::Growing { .. }) => Err(Failure::Dropped),
            }
        }
    }

    /// The threads of reads that may wait for the source's disk.
    pub(crate) fn readers(&self) -> &ThreadPool {
        self.0.engine.lookups.readers()
    }

    /// Whether no encode begins any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.engine.scheduler.is_closing()
    }
}
