//! The state of a replica at a shared store, which its handles and its tasks share.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::breaker::{Admission, Breaker};
use super::counters::TierCounters;
use super::latency::Latency;
use super::lease::{Lease, Leases, Turn};
use super::misses::Misses;
use super::mode::TierMode;
use super::object::{self, Keys};
use super::pending::Pending;
use super::place::Place;
use super::upload_queue::Uploads;
use crate::cache::Key;
use crate::limits::{LONGEST_TIER_RETRY, TIER_PROBE, TIER_RETRY, TIER_SPREAD};
use crate::log;
use crate::metrics::TierOutcome;

/// The settings of a [`Tier`].
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) mode: TierMode,
    pub(super) keys: Option<Keys>,
}

/// The parts of a replica at a shared store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) mode: TierMode,
    pub(super) keys: Option<Arc<Keys>>,
    /// The thread of all calls to the store.
    pub(super) runtime: Handle,
    pub(super) counters: TierCounters,
    pub(super) breaker: Arc<Breaker>,
    /// Whether the store has answered once.
    pub(super) is_ready: AtomicBool,
    pub(super) leases: Leases,
    pub(super) misses: Misses,
    pub(super) latency: Latency,
    pub(super) uploads: Uploads,
    /// The work that a shutdown waits for.
    pub(super) pending: Pending,
    /// The encodes that wait for another replica.
    pub(super) settling: AtomicU64,
    /// Whether it was logged that the store refuses this replica.
    warned_of_refusal: AtomicBool,
}

/// The way of one replica to a payload that others may have.
#[derive(Debug)]
pub(crate) enum Sharing {
    /// It encodes, and asks the store meanwhile.
    Race,
    /// It takes the object, which the store has.
    Import,
    /// It encodes, perhaps with the lease.
    Alone(Option<Held>),
}

/// A lease that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    lease: Option<Lease>,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let pending = self.shared.pending.begin();
            self.shared.runtime.spawn(async move {
                lease.release().await;
                drop(pending);
            });
        }
    }
}

impl Shared {
    pub(super) fn new(
        place: Place,
        Settings { mode, keys }: Settings,
        runtime: Handle,
        seed: u64,
    ) -> Self {
        let breaker = Arc::new(Breaker::new(seed));
        let (store, prefix) = (Arc::clone(&place.store), place.prefix.clone());
        Self {
            leases: Leases::new(store, prefix, Arc::clone(&breaker), seed),
            place,
            mode,
            keys: keys.map(Arc::new),
            runtime,
            counters: TierCounters::default(),
            breaker,
            is_ready: AtomicBool::new(false),
            misses: Misses::new(),
            latency: Latency::default(),
            uploads: Uploads::default(),
            pending: Pending::default(),
            settling: AtomicU64::new(0),
            warned_of_refusal: AtomicBool::new(false),
        }
    }

    /// Whether the store is to be asked at all.
    pub(super) fn is_usable(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed) && self.breaker.is_closed()
    }

    /// Waits for the store's first answer, then watches the breaker, for as long as the runtime lives.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut pause = TIER_RETRY;
        let mut warned = false;
        while let Err(error) = self.probe().await {
            if !warned {
                let (place, why) = (&self.place.name, reason(&error));
                log::debug!(%error, "the shared store cannot be used");
                log::warn!(
                    "the shared store {place} {why}; files are compressed without it, and it is tried again"
                );
            }
            warned = true;
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_TIER_RETRY);
        }
        // The first request made the connection, and is no measure.
        self.latency.forget();
        let _ = self.probe().await;
        if self.mode == TierMode::ReadWrite {
            let _ = self.leases.find_support().await;
        }
        self.is_ready.store(true, Ordering::Relaxed);
        let place = &self.place.name;
        log::info!(%place, "sharing compressed files with other replicas");
        let probing = Arc::clone(&self);
        let probe = || {
            let probing = Arc::clone(&probing);
            async move { probing.probe().await.is_ok() }
        };
        self.breaker.supervise(probe).await;
    }

    /// Asks the store for something that it does not have.
    async fn probe(&self) -> Result<(), object_store::Error> {
        let prefix = self.place.prefix.clone().join("v1").join("probe");
        let begun = Instant::now();
        let listed =
            timeout(TIER_PROBE, async { self.place.store.list(Some(&prefix)).next().await });
        match listed.await {
            Ok(Some(Err(error))) => Err(error),
            Ok(_) => {
                self.latency.observe(begun.elapsed());
                Ok(())
            }
            Err(_) => Err(object_store::Error::Generic {
                store: "the shared store",
                source: format!("no answer within {} s", TIER_PROBE.as_secs()).into(),
            }),
        }
    }

    pub(super) fn answered(&self, begun: Instant, admission: Admission) {
        self.measure(begun);
        self.breaker.record(admission, true);
    }

    /// Notes the time to the first byte of an answer.
    pub(super) fn measure(&self, begun: Instant) {
        let latency = begun.elapsed();
        self.latency.observe(latency);
        self.counters.answered(latency);
    }

    /// Notes an error of the store.
    pub(super) fn failed(&self, error: &object_store::Error, admission: Admission) {
        use object_store::Error::{PermissionDenied, Unauthenticated};
        self.breaker.record(admission, false);
        let is_refusal = matches!(error, PermissionDenied { .. } | Unauthenticated { .. });
        if is_refusal && !self.warned_of_refusal.swap(true, Ordering::Relaxed) {
            let (place, why) = (&self.place.name, reason(error));
            log::debug!(%error, "the shared store refuses this server");
            log::warn!("the shared store {place} {why}; this is said once");
        }
    }

    /// Finds out who is to encode, no longer than `patience`.
    pub(super) async fn settle(
        self: &Arc<Self>,
        key: &Key,
        patience: Duration,
        is_unwanted: impl Fn() -> bool,
    ) -> Sharing {
        let path = object::path_of(&self.place.prefix, key);
        let mut is_there = self.is_there(&path).await;
        if is_there.is_err() && self.breaker.is_closed() {
            // One failure may be an accident, and the encode costs more than to ask again.
            self.counters.request(TierOutcome::Error);
            is_there = self.is_there(&path).await;
        }
        match is_there {
            Ok(true) => return Sharing::Import,
            Ok(false) => self.counters.request(TierOutcome::Miss),
            Err(_) => {
                self.counters.request(TierOutcome::Error);
                return Sharing::Alone(None);
            }
        }
        if self.mode == TierMode::ReadOnly {
            return Sharing::Alone(None);
        }
        sleep(self.spread()).await;
        let is_published = || {
            let (shared, path, is_unwanted) = (Arc::clone(self), path.clone(), is_unwanted());
            async move { Ok(shared.is_there(&path).await? || is_unwanted) }
        };
        let name = key.file_name();
        match self.leases.turn(&name, patience, is_published).await {
            Turn::Owner(lease) => {
                Sharing::Alone(Some(Held { lease: Some(lease), shared: Arc::clone(self) }))
            }
            Turn::Published => Sharing::Import,
            Turn::Alone => Sharing::Alone(None),
        }
    }

    /// Whether the store has an object.
    async fn is_there(&self, path: &Path) -> Result<bool, object_store::Error> {
        let unanswered = || object_store::Error::Generic {
            store: "the shared store",
            source: "it does not answer".into(),
        };
        let admission = self.breaker.admit().ok_or_else(unanswered)?;
        let begun = Instant::now();
        match timeout(self.latency.longest(), self.place.store.head(path)).await {
            Ok(Ok(_)) => {
                self.answered(begun, admission);
                Ok(true)
            }
            Ok(Err(object_store::Error::NotFound { .. })) => {
                self.answered(begun, admission);
                Ok(false)
            }
            Ok(Err(error)) => {
                self.failed(&error, admission);
                Err(error)
            }
            Err(_) => {
                self.breaker.record(admission, false);
                Err(unanswered())
            }
        }
    }

    /// A pause that differs from replica to replica, before a lease is asked for.
    fn spread(&self) -> Duration {
        let parts = u64::try_from(TIER_SPREAD.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(RandomState::new().hash_one(Instant::now()) % parts)
    }
}

/// The characters of a reason.
const REASON: usize = 200;

/// Tells in a few words why a store cannot be used.
fn reason(error: &object_store::Error) -> String {
    // A listing fails with the text of the answer alone.
    let text = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let refuses = [
        "AccessDenied",
        "AuthenticationFailed",
        "AuthorizationFailure",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "403 Forbidden",
        "401 Unauthorized",
    ];
    if has(&["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]) {
        return "does not exist".to_owned();
    }
    if has(&["RequestTimeTooSkewed"]) {
        return "refuses requests, because the clock of this machine is wrong".to_owned();
    }
    if has(&refuses) {
        return "refuses the credentials".to_owned();
    }
    let why = match innermost(error) {
        Some(cause) => format!("does not answer: {cause}"),
        None => format!("fails: {text}"),
    };
    // A store's text may be a whole page.
    why.chars().take(REASON).collect()
}

/// The first cause of an error of the connection.
fn innermost(error: &object_store::Error) -> Option<String> {
    let mut cause: &dyn std::error::Error = error;
    let mut is_http = false;
    while let Some(next) = cause.source() {
        is_http |= next.is::<object_store::client::HttpError>();
        cause = next;
    }
    is_http.then(|| cause.to_string())
}
