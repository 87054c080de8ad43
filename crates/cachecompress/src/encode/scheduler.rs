//! The encoder of an engine, which runs one flight for each representation on its own threads.

use std::num::NonZero;
use std::sync::{Arc, Weak};

use super::brought_bytes::BroughtBytes;
use super::context::JobContext;
use super::cost::Costs;
use super::foretell::Foretold;
use super::job::{EncodeLeader, Job, Made, Purpose, Supply};
use super::second_pass::SecondPass;
use super::speculative::{Guess, SpeculativeSlot};
use super::verdict;
use super::warming::Warming;
use crate::body::{Product, Production};
use crate::cache::Key;
use crate::catalog::{Catalog, Companion, DuringHash, Resource};
use crate::codec::Codec;
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::{Join, SingleFlight};
use crate::concurrency::thread_pool::{Limits, Priority, ThreadPool};
use crate::error::Failure;
use crate::limits::LEASE_LIFE;
use crate::metrics::EncodeProgress;
use crate::tier::{Approach, Sharing};

/// Produces coded representations. Cloned handles share it.
#[derive(Clone, Debug)]
pub(crate) struct EncodeScheduler(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Arc<JobContext>,
    pool: ThreadPool,
    flights: SingleFlight<Key, Product, Failure>,
    speculative: SpeculativeSlot,
    brought_bytes: BroughtBytes,
}

/// A handle of an [`EncodeScheduler`] that does not keep it.
#[derive(Debug)]
pub(super) struct WeakScheduler(Weak<Inner>);

impl WeakScheduler {
    pub(super) fn upgrade(&self) -> Option<EncodeScheduler> {
        self.0.upgrade().map(EncodeScheduler)
    }
}

/// A caller's part in a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Leader,
    Follower,
    /// The flight had ended before the caller joined.
    Late,
    /// The flight is about to fail, as nobody wanted it any more when the caller joined.
    Abandoned,
}

impl EncodeScheduler {
    /// Creates an encoder of so many `threads` for the foreground, and as many for the background.
    /// At most `queue` encodes wait for a thread.
    pub(crate) fn new(threads: usize, queue: usize, context: JobContext) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Inner {
            speculative: SpeculativeSlot::new(cores, Arc::clone(&context.encode_needed)),
            context: Arc::new(context),
            pool: ThreadPool::new("cc-encode", Limits { threads, spare: 0, queue: queue.max(1) }),
            flights: SingleFlight::new(),
            brought_bytes: BroughtBytes::default(),
        }))
    }

    /// Joins the flight that encodes the bytes of `resource`, of whatever catalog, by `codec`, or begins
    /// it; `None` without a digest. A client that `insists` refuses identity.
    pub(crate) fn join(
        &self,
        (catalog, resource): (&Catalog, &Arc<Resource>),
        codec: &Codec,
        insists: bool,
    ) -> Option<(Arc<Production>, Part)> {
        let purpose = Purpose::Request;
        let (progress, part) = self.join_or_lead((catalog, resource), codec, insists, purpose)?;
        let part = match part {
            Part::Follower if !progress.require() => Part::Abandoned,
            part => part,
        };
        Some((progress, part))
    }

    /// As [`join`](Self::join), but no request waits for the encode. Once `warming` has ended, it is
    /// given up, unless a request joins before.
    pub(crate) fn join_for(
        &self,
        warming: &Warming,
        (catalog, resource): (&Catalog, &Arc<Resource>),
        codec: &Codec,
    ) -> Option<(Arc<Production>, Part)> {
        let purpose = Purpose::Warming(warming.interest());
        self.join_or_lead((catalog, resource), codec, false, purpose)
    }

    fn join_or_lead(
        &self,
        (catalog, resource): (&Catalog, &Arc<Resource>),
        codec: &Codec,
        insists: bool,
        purpose: Purpose,
    ) -> Option<(Arc<Production>, Part)> {
        let digest = resource.digest()?;
        match self.0.flights.join(&verdict::key(digest, resource.len, codec)) {
            Join::Lead(leader) => {
                let progress = Arc::clone(leader.progress());
                let (catalog, resource) = (catalog.clone(), Arc::clone(resource));
                let (context, codec) = (Arc::clone(&self.0.context), codec.clone());
                let insists = verdict::insists(&codec, insists);
                let job = Job { context, catalog, resource, digest, codec, insists, purpose };
                self.lead(job, leader);
                Some((progress, Part::Leader))
            }
            Join::Follow(progress) => {
                let part = if progress.stage().ended() { Part::Late } else { Part::Follower };
                Some((progress, part))
            }
        }
    }

    /// Foretells the end of an encode, without one: see [`Job::foretell`].
    pub(crate) async fn foretell(
        &self,
        (catalog, resource): (&Catalog, &Arc<Resource>),
        codec: &Codec,
        insists: bool,
    ) -> Foretold {
        let Some(digest) = resource.digest() else {
            return Foretold::Failure(Failure::SourceChanged);
        };
        let (catalog, resource) = (catalog.clone(), Arc::clone(resource));
        let (context, codec) = (Arc::clone(&self.0.context), codec.clone());
        let insists = verdict::insists(&codec, insists);
        let purpose = Purpose::Request;
        let job = Job { context, catalog, resource, digest, codec, insists, purpose };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.0.pool.submit(Priority::Background, job.is_small(), move || {
            let _ = sender.send(job.foretell());
        });
        receiver.await.unwrap_or(Foretold::Failure(Failure::Dropped))
    }

    /// Looks the entry of `job` up, and encodes it if it is not stored.
    fn lead(&self, job: Job, leader: EncodeLeader) {
        let inner = Arc::clone(&self.0);
        let begun = inner.speculative.find(&job.catalog, &job.resource, &job.codec);
        // An encode that was requested before the shutdown is still begun.
        let is_closing = inner.context.is_closing();
        let small = job.is_small();
        let priority = match job.purpose {
            Purpose::Request => Priority::Foreground,
            Purpose::Warming(_) | Purpose::SecondPass(_) => Priority::Background,
        };
        // A drop of the leader tells its followers, here and when a submission is refused. The share is
        // taken before the job waits for the cache's disk, which may hang.
        let Some(share) = inner.brought_bytes.take(&job.resource) else { return };
        self.0.context.cache.threads().submit(priority, small, move || match job.find() {
            Ok(Some(entry)) => {
                let Made { product, len, .. } = Made::stored(&entry);
                leader.finish(product, len);
            }
            Ok(None) if is_closing => leader.fail(Failure::Dropped),
            Ok(None) if job.is_superseded() => leader.fail(Failure::Superseded),
            Ok(None) => {
                let need = inner.context.second_pass.as_ref().map(|second_pass| second_pass.need());
                // The pool lives until the encodes that wait for it are done.
                let kept = Arc::clone(&inner);
                let place = inner.context.under_way.enter(
                    &job.resource.path,
                    (job.digest, job.resource.len),
                    &job.codec.coding,
                    leader.progress(),
                );
                let asked = job.approach().map(|(tier, approach, predicted)| {
                    (tier.clone(), approach, predicted * 3 + LEASE_LIFE)
                });
                let (context, key) = (Arc::clone(&inner.context), job.key());
                // An encode that another replica may do instead goes no further.
                let is_leased = matches!(asked, Some((_, Approach::Lease, _)));
                let begun = begun.filter(|_| !is_leased);
                let submit = move |sharing| {
                    inner.pool.submit(priority, small, move || {
                        match job.stopped(leader.progress()) {
                            Some(why) => leader.fail(why),
                            None => job.run(Supply { begun, sharing }, leader, place),
                        }
                        drop((share, need, kept));
                    });
                };
                match asked {
                    None | Some((_, Approach::Skip, _)) => submit(None),
                    Some((_, Approach::Race, _)) => submit(Some(Sharing::Race)),
                    // No thread waits for another replica's encode.
                    Some((tier, Approach::Lease, patience)) => {
                        let is_unwanted = move || context.is_closing();
                        tier.settle(key, patience, is_unwanted, move |sharing| {
                            submit(Some(sharing));
                        });
                    }
                }
            }
            Err(failure) => leader.fail(failure),
        });
    }

    /// Encodes the bytes of `resource` by the better `codec` on the calling thread, unless the entry is stored.
    /// Returns the end of it; `None` without a digest, or if somebody else encodes it.
    pub(super) fn encode_here(
        &self,
        (catalog, resource): (&Catalog, &Arc<Resource>),
        codec: &Codec,
        second_pass: &Arc<SecondPass>,
    ) -> Option<Stage<Product, Failure>> {
        let digest = resource.digest()?;
        let key = verdict::key(digest, resource.len, codec);
        let Join::Lead(leader) = self.0.flights.join(&key) else { return None };
        let progress = Arc::clone(leader.progress());
        let (catalog, resource) = (catalog.clone(), Arc::clone(resource));
        let (context, codec) = (Arc::clone(&self.0.context), codec.clone());
        let purpose = Purpose::SecondPass(Arc::clone(second_pass));
        let job = Job { context, catalog, resource, digest, codec, insists: false, purpose };
        match job.find() {
            Ok(Some(entry)) => {
                job.supersede();
                let Made { product, len, .. } = Made::stored(&entry);
                leader.finish(product, len);
            }
            Ok(None) => {
                let context = &self.0.context;
                let place = context.under_way.enter(
                    &job.resource.path,
                    (digest, job.resource.len),
                    &job.codec.coding,
                    &progress,
                );
                let sharing = job.settle();
                job.run(Supply { begun: None, sharing }, leader, place);
            }
            Err(failure) => leader.fail(failure),
        }
        Some(progress.stage())
    }

    /// The processor time that encodes are likely to take.
    pub(super) fn costs(&self) -> &Costs {
        &self.0.context.costs
    }

    /// Returns a handle that does not keep the encoder.
    pub(super) fn downgrade(&self) -> WeakScheduler {
        WeakScheduler(Arc::downgrade(&self.0))
    }

    /// Begins an encode beside the hash of a large file of `catalog`, by the codec that `guess` names.
    pub(crate) fn during_hash(&self, catalog: &Catalog, guess: Guess) -> DuringHash {
        let (inner, catalog) = (Arc::clone(&self.0), catalog.clone());
        Box::new(move |path, file, fingerprint| {
            let Inner { context, pool, speculative, .. } = &*inner;
            let found = (catalog, path.clone(), fingerprint);
            let begun = speculative.begin(context, pool, found, file, guess)?;
            Some(begun as Companion)
        })
    }

    /// Whether the encoder of `key` is at fault and this process gives it no other chance.
    pub(crate) fn is_faulty(&self, key: &Key) -> bool {
        self.0.context.is_faulty(key)
    }

    /// Whether no encode begins any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.context.is_closing()
    }

    /// Counts the encodes that run or wait.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.flights.len()
    }

    /// Counts the encodes that wait for a thread.
    pub(crate) fn queue_len(&self) -> usize {
        self.0.pool.waiting()
    }

    /// Takes a snapshot of the encodes that run or wait for a thread.
    pub(crate) fn under_way(&self) -> Vec<EncodeProgress> {
        self.0.context.under_way.snapshot()
    }

    /// Takes no more encodes. Lets running and waiting ones `finish` if a request wanted them, or
    /// gives all up.
    pub(crate) async fn shutdown(&self, finish: bool) {
        let inner = &self.0;
        inner.context.close(finish);
        if !finish {
            inner.pool.close();
        }
        for progress in inner.flights.under_way() {
            Watch::new(&progress).until(Stage::ended).await;
        }
        inner.pool.close();
    }
}

#[cfg(test)]
#[cfg(all(feature = "brotli", feature = "gzip"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::Cache;
    use crate::catalog::{Loaded, LookupContext, Names};
    use crate::codec::Codecs;
    use crate::http::{ContentCoding, MediaTypes, SourcePath};
    use crate::memory_cache::MemoryCache;
    use crate::metrics::Counters;
    use crate::source::Memory;

    /// A scheduler over one file of text, and what its catalog knows of that.
    fn scheduler(codecs: &Codecs) -> (EncodeScheduler, Catalog, Arc<Resource>) {
        let source = Arc::new(Memory::new().file("a.txt", "text ".repeat(1000)));
        let source = (source as _, MediaTypes::default(), Names::default());
        let memory = MemoryCache::new(0);
        let lookups = LookupContext::new(memory.clone(), |_, _| ());
        let catalog = Catalog::new(source, (Duration::ZERO, Duration::MAX), &lookups);
        let path = SourcePath::root().join("a.txt");
        let Ok(Loaded::File(resource, _)) = run(catalog.load(&path)) else { panic!("no file") };
        let names = codecs.iter().map(|codec| codec.coding.as_str());
        let counters = Arc::new(Counters::new(names));
        let cache = Cache::in_memory(1 << 20);
        let context = JobContext::new(cache, memory, counters, true, (None, None), None);
        (EncodeScheduler::new(2, 16, context), catalog, resource)
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// The end of a flight, once the flight is forgotten: the next join does not join it late.
    fn ended(scheduler: &EncodeScheduler, progress: &Arc<Production>) -> Stage<Product, Failure> {
        let end = run(Watch::new(progress).until(Stage::ended));
        while scheduler.in_flight() > 0 {
            std::thread::yield_now();
        }
        end
    }

    #[test]
    fn first_join_leads_and_the_next_one_finds_the_entry() {
        let codecs = Codecs::new().unwrap();
        let codec = codecs.get(&ContentCoding::GZIP).unwrap();
        let (scheduler, catalog, resource) = scheduler(&codecs);
        let join = || scheduler.join((&catalog, &resource), codec, false).unwrap();
        let (first, part) = join();
        assert_eq!(part, Part::Leader);
        let Stage::Finished { shared, len } = ended(&scheduler, &first) else { panic!("none") };
        assert!(shared.kept && !shared.stored && len < 5000, "{len}");
        let (second, part) = join();
        assert_eq!(part, Part::Leader);
        let Stage::Finished { shared, .. } = ended(&scheduler, &second) else { panic!("none") };
        assert!(shared.stored, "it was encoded once");
    }

    #[test]
    fn closed_scheduler_finds_entries_and_begins_no_encode() {
        let codecs = Codecs::new().unwrap();
        let (gzip, br) = (&ContentCoding::GZIP, &ContentCoding::BROTLI);
        let (scheduler, catalog, resource) = scheduler(&codecs);
        let end = |coding| {
            let codec = codecs.get(coding).unwrap();
            let joined = scheduler.join((&catalog, &resource), codec, false);
            ended(&scheduler, &joined.unwrap().0)
        };
        assert!(matches!(end(gzip), Stage::Finished { .. }));
        run(scheduler.shutdown(true));
        assert!(scheduler.is_closing());
        assert!(matches!(end(gzip), Stage::Finished { shared, .. } if shared.stored));
        assert!(matches!(end(br), Stage::Failed { why: Failure::Dropped, .. }));
    }

    #[test]
    fn waiting_encode_outlives_the_last_handle() {
        let codecs = Codecs::new().unwrap();
        let codec = codecs.get(&ContentCoding::GZIP).unwrap();
        for _ in 0..20 {
            let (scheduler, catalog, resource) = scheduler(&codecs);
            let joined = scheduler.join((&catalog, &resource), codec, false);
            drop(scheduler);
            let end = run(Watch::new(&joined.unwrap().0).until(Stage::ended));
            assert!(matches!(end, Stage::Finished { .. }), "{end:?}");
        }
    }
}
