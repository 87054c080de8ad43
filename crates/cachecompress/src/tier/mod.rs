//! A store that replicas share behind their caches, so that one of them encodes for all.
//!
//! - A [`Tier`] is made from a URL and the usual environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`):
//!   `s3://bucket/prefix` for S3 and all that speaks it, `gs://…`, `az://…`, or a directory.
//! - It is asked only if an encode takes longer than the store's answer. No request waits for it: the
//!   encode begins at once beside it, unless it is known to take a quarter of a second or more.
//! - What comes in is decoded and compared with the file, step by step, before a reader gets it. So nobody
//!   who writes to the store can have other content sent. [`TierBuilder::key`] also keeps out other
//!   encodings of the same content.
//! - A store that fails or is slow is left alone by a breaker, and tried again.
//! - The feature `tier` brings an HTTP client. Its dependencies switch on HTTP/2 in `hyper-util`, so that
//!   `axum::serve` speaks it in clear text, and the provider `aws-lc-rs` in `rustls`. An application that uses
//!   another provider installs it by `CryptoProvider::install_default`.
//!
//! ```no_run
//! use cachecompress::tier::Tier;
//! use cachecompress::{Cache, Directory, ServeCompressed};
//!
//! # fn main() -> Result<(), cachecompress::Error> {
//! let service = ServeCompressed::builder(Directory::new("dist")?)
//!     .cache(Cache::builder("/var/cache/site").build()?)
//!     .tier(Tier::new("s3://bucket/site")?)
//!     .build()?;
//! # let _ = service;
//! # Ok(())
//! # }
//! ```

mod breaker;
mod builder;
mod counters;
mod fetch;
mod latency;
mod lease;
mod misses;
mod mode;
mod object;
mod offer;
mod pending;
mod place;
mod random;
mod shared;
#[cfg(test)]
mod simulation;
mod upload_queue;
mod uploads;
mod verify;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use builder::TierBuilder;
pub use mode::TierMode;
pub(crate) use object::Expected;
pub(crate) use offer::{Answer, Offer};
pub(crate) use shared::{Held, Sharing};
pub use verify::{TierFinding, TierSummary};

use self::place::Place;
use self::shared::{Settings, Shared};
use crate::cache::{Entry, Key};
use crate::concurrency::thread_pool::ThreadPool;
use crate::concurrency::{may_wait, timer};
use crate::error::{Error, ErrorKind};
use crate::limits::{TIER_FLUSH, TIER_LEASE, TIER_PAYS, TIER_SETTLING};
use crate::metrics::{BreakerState, TierMetrics, TierOutcome};

/// A store that replicas share behind their caches. Cloned handles share it.
#[derive(Clone)]
pub struct Tier(Arc<Owner>);

/// The owner of the thread that speaks to the store.
struct Owner {
    shared: Arc<Shared>,
    /// Ends the thread when it is dropped.
    _alive: tokio::sync::oneshot::Sender<()>,
}

/// The use of a shared store for one encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approach {
    /// It is not asked.
    Skip,
    /// It is asked while the encode runs.
    Race,
    /// It is asked before. One replica encodes for all.
    Lease,
}

/// Shows the place only: a store knows secrets.
impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tier").field(&self.place()).finish()
    }
}

impl Tier {
    /// Starts the thread that speaks to the store.
    fn start(place: Place, settings: Settings) -> Result<Self, Error> {
        let no_thread = |error| {
            Error::new(ErrorKind::Busy, "there is no thread for the shared store").with_cause(error)
        };
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        // The runtime lives and ends on its thread, since the caller's may be one of another runtime.
        let run = move || {
            may_wait::allow();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _ = tell.send(Ok(runtime.handle().clone()));
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("cc-tier".to_owned());
        thread.spawn(run).map_err(no_thread)?;
        let runtime = told.recv().map_err(std::io::Error::other).flatten().map_err(no_thread)?;
        let seed = RandomState::new().hash_one(Instant::now());
        let shared = Arc::new(Shared::new(place, settings, runtime.clone(), seed));
        runtime.spawn(Arc::clone(&shared).watch());
        Ok(Self(Arc::new(Owner { shared, _alive: alive })))
    }

    /// Waits until the store has answered for the first time, at most so long. Returns whether it has.
    pub async fn ready(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.0.shared.is_ready.load(Ordering::Relaxed) && Instant::now() < deadline {
            timer::sleep(Duration::from_millis(5)).await;
        }
        self.0.shared.is_ready.load(Ordering::Relaxed)
    }

    /// The place of the store for people and logs, without a password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.0.shared.place.name
    }

    /// Takes a snapshot of the counters and gauges.
    #[must_use]
    pub fn metrics(&self) -> TierMetrics {
        let shared = &self.0.shared;
        let (upload_queue, upload_queue_bytes) = shared.uploads.queued();
        let leases = shared.leases.counts();
        let is_ready = shared.is_ready.load(Ordering::Relaxed);
        TierMetrics {
            breaker: if is_ready { shared.breaker.state() } else { BreakerState::Open },
            breaker_opened: shared.breaker.opened(),
            upload_queue,
            upload_queue_bytes,
            leases_acquired: leases.acquired,
            leases_waited: leases.waited,
            leases_taken_over: leases.taken_over,
            leases_lost: leases.lost,
            leases_alone: leases.alone,
            ..shared.counters.snapshot()
        }
    }

    /// Whether and how the store is to be asked for the object of `key`, whose encode takes `predicted`
    /// on a processor.
    pub(crate) fn approach(&self, key: &Key, predicted: Duration) -> Approach {
        let shared = &self.0.shared;
        if predicted < TIER_PAYS {
            return Approach::Skip;
        }
        let is_expensive = predicted >= TIER_LEASE;
        let is_absent = match is_expensive {
            true => shared.misses.distrust(key),
            false => shared.misses.hold(key),
        };
        if !shared.is_usable() || is_absent || predicted < shared.latency.usual() {
            shared.counters.request(TierOutcome::Skipped);
            return Approach::Skip;
        }
        let is_full = || shared.settling.load(Ordering::Relaxed) >= TIER_SETTLING;
        if is_expensive && !is_full() { Approach::Lease } else { Approach::Race }
    }

    /// Asks for an object that the store has, and waits for its answer.
    pub(crate) fn take(&self, expected: &Expected) -> Offer {
        let mut offer = self.ask(expected.clone());
        // One failure may be an accident, and an encode costs more than to ask again.
        if offer.wait() == Answer::Nothing && !self.0.shared.misses.hold(&expected.key) {
            offer = self.ask(expected.clone());
            offer.wait();
        }
        offer
    }

    /// Asks for an object. The answer comes in the offer.
    pub(crate) fn ask(&self, expected: Expected) -> Offer {
        fetch::ask(&self.0.shared, expected)
    }

    /// The offer of a replica that asks for nothing, with its lease.
    pub(crate) fn ask_nothing(&self, lease: Option<Held>) -> Offer {
        Offer::nothing(lease)
    }

    /// Finds out who is to encode, which may take until another replica has, at most `patience`, and calls
    /// `then`, on a thread that may not wait. Gives up once it `is_unwanted`.
    pub(crate) fn settle(
        &self,
        key: Key,
        patience: Duration,
        is_unwanted: impl Fn() -> bool + Send + Sync + 'static,
        then: impl FnOnce(Sharing) + Send + 'static,
    ) {
        let shared = Arc::clone(&self.0.shared);
        shared.settling.fetch_add(1, Ordering::Relaxed);
        self.0.shared.runtime.spawn(async move {
            let sharing = shared.settle(&key, patience, is_unwanted).await;
            shared.settling.fetch_sub(1, Ordering::Relaxed);
            then(sharing);
        });
    }

    /// Has an entry that this replica made stored for others, in the background.
    pub(crate) fn store(&self, entry: &Arc<Entry>, lease: Option<Held>, readers: &ThreadPool) {
        if self.0.shared.mode == TierMode::ReadWrite {
            uploads::store(&self.0.shared, Arc::clone(entry), lease, readers.clone());
        }
    }

    /// Counts an import that took so long, in place of an encode that takes `predicted`.
    pub(crate) fn imported(&self, took: Duration, predicted: Duration) {
        self.0.shared.counters.imported(took, predicted);
    }

    /// Waits until the entries that are to be stored for others are, or a few seconds.
    pub(crate) async fn flush(&self) {
        timer::until(Instant::now() + TIER_FLUSH, self.0.shared.pending.is_done()).await;
    }
}
