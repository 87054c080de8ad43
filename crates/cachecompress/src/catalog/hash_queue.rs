//! The hashes that wait for a thread, and those that run.

use std::any::Any;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::load_error::LoadError;
use super::resource::Resource;
use crate::concurrency::places::{Area, InArea, Places};
use crate::concurrency::progress::{Progress, Stage, Watch};
use crate::concurrency::singleflight::{Join, Leader, SingleFlight};
use crate::concurrency::sync::{Arc, Mutex, clock, lock};
use crate::concurrency::thread_pool::{Job, Limits, Priority, ThreadPool};
use crate::concurrency::timer;
use crate::fs::Fingerprint;
use crate::http::SourcePath;
use crate::limits::{HASH_AGING, HASH_BEGINS, HASHERS, READ_QUEUE, SMALL_JOB, SPARE_HASHERS};

/// Work that was begun during a hash. It ends when the last request that waited for the hash drops
/// it.
pub(crate) type Companion = Arc<dyn Any + Send + Sync>;

/// A path and the state of its file. A hash holds for this state only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) path: SourcePath,
    pub(super) fingerprint: Fingerprint,
    /// The number of the one call that the hash is for; `None` if others may join it.
    pub(super) call: Option<u64>,
}

/// A resource with its digest, and the work that was begun beside its hash.
pub(super) type Hashed = (Arc<Resource>, Option<Companion>);

/// A function that hashes while its argument, asked again and again, returns `true`. Its result is
/// `None` if it gave up.
pub(super) type Run =
    Box<dyn FnOnce(&dyn Fn() -> bool) -> Result<Option<Hashed>, LoadError> + Send>;

/// A queue of hashes, of which there is one at a time for each state of a file.
///
/// Short files go first, but a long one does not wait for ever. A hash that nobody waits for is given
/// up, also while it runs. The hash of a request that went on without it moves to the background.
#[derive(Debug)]
pub(super) struct HashQueue {
    threads: HashThreads,
    flights: SingleFlight<Key, State, LoadError>,
}

/// The threads that hash, for the queues of several catalogs. Cloned handles share them.
#[derive(Clone, Debug)]
pub(super) struct HashThreads {
    pool: ThreadPool,
    places: Places,
}

type Flight = Progress<State, LoadError>;

/// The shared state of a hash. A committed byte means that it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    job: Weak<HashJob>,
    hashed: Option<Hashed>,
}

/// A hash that is wanted as long as this lives.
#[derive(Debug)]
pub(super) struct Hashing {
    flight: Arc<Flight>,
    is_shared: bool,
    _wanted: Watch<State, LoadError>,
}

/// The right to hash, and the hash itself.
type Work = (Leader<Key, State, LoadError>, Run);

/// A hash that has not begun yet. It may wait in the foreground and in the background at once.
struct HashJob {
    len: u64,
    device: u64,
    flight: Arc<Flight>,
    work: Mutex<Option<Work>>,
    is_in_front: AtomicBool,
}

impl std::fmt::Debug for HashJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashJob").field("len", &self.len).finish_non_exhaustive()
    }
}

impl HashThreads {
    pub(super) fn new() -> Self {
        let limits = Limits { threads: HASHERS, spare: SPARE_HASHERS, queue: READ_QUEUE };
        Self {
            pool: ThreadPool::new("cc-hash", limits),
            places: Places::new(HASHERS + SPARE_HASHERS),
        }
    }
}

impl HashQueue {
    pub(super) fn new(threads: HashThreads) -> Self {
        Self { threads, flights: SingleFlight::new() }
    }

    /// Whether a thread could begin a hash at once.
    pub(super) fn has_idle_worker(&self) -> bool {
        self.threads.pool.has_idle_worker(Priority::Foreground)
    }

    /// Joins the hash of `key`, or queues the one that `run` makes. In the background nobody waits for
    /// it, and it is not given up.
    pub(super) fn join(&self, key: &Key, priority: Priority, run: impl FnOnce() -> Run) -> Hashing {
        let (job, hashing) = loop {
            match self.flights.join_running(key) {
                Join::Follow(flight) => {
                    // A hash that was just given up is not joined.
                    let Some(wanted) = Watch::join(&flight) else { continue };
                    let job = match flight.stage() {
                        Stage::Growing { shared, committed: 0 } => shared.job.upgrade(),
                        _ => None,
                    };
                    break (job, Hashing { flight, is_shared: true, _wanted: wanted });
                }
                Join::Lead(leader) => {
                    let flight = Arc::clone(leader.progress());
                    let wanted = Watch::new(&flight);
                    let job = Arc::new(HashJob {
                        len: key.fingerprint.size,
                        device: key.fingerprint.device,
                        flight: Arc::clone(&flight),
                        work: Mutex::new(Some((leader, run()))),
                        is_in_front: AtomicBool::new(false),
                    });
                    flight.start(State { job: Arc::downgrade(&job), hashed: None });
                    let is_shared = key.call.is_none();
                    break (Some(job), Hashing { flight, is_shared, _wanted: wanted });
                }
            }
        };
        if priority == Priority::Background {
            hashing.flight.require();
        }
        if let Some(job) = job
            && let Some(job) = self.submit(priority, job)
            && (priority, key.call) == (Priority::Foreground, None)
        {
            // Without a thread of the pool, the lookup's is taken.
            job.run(priority);
        }
        hashing
    }

    /// Whether a hash of `key` waits or runs.
    pub(super) fn is_running(&self, key: &Key) -> bool {
        self.flights.running(key).is_some()
    }

    /// Waits for the end of the hash of `key`, if one waits or runs.
    pub(super) async fn ended(&self, key: &Key) {
        if let Some(flight) = self.flights.running(key) {
            Watch::new(&flight).until(Stage::ended).await;
        }
    }

    /// Waits for a hash; `None` if it does not begin within `patience`. It goes on in the background
    /// then, if the next request can use it.
    pub(super) async fn hashed(
        &self,
        hashing: &Hashing,
        patience: Option<Duration>,
    ) -> Result<Option<Hashed>, LoadError> {
        let mut watch = Watch::new(&hashing.flight);
        let patience = patience.map(|patience| patience.max(HASH_BEGINS));
        if let Some(deadline) = patience.and_then(|patience| Instant::now().checked_add(patience)) {
            let begun = watch.until(|stage| stage.available() > 0);
            if timer::until(deadline, begun).await.is_none() {
                if hashing.is_shared {
                    self.postpone(&hashing.flight);
                }
                return Ok(None);
            }
        }
        match watch.until(Stage::ended).await {
            Stage::Finished { shared, .. } => Ok(shared.hashed),
            // The queue was full.
            Stage::Failed { why: LoadError::Busy, .. } => Ok(None),
            Stage::Failed { why, .. } => Err(why),
            Stage::Pending | Stage::Growing { .. } => Ok(None),
        }
    }

    /// Moves a hash to the background, where it is not given up.
    fn postpone(&self, flight: &Arc<Flight>) {
        flight.require();
        if let Stage::Growing { shared, committed: 0 } = flight.stage()
            && let Some(job) = shared.job.upgrade()
        {
            self.submit(Priority::Background, job);
        }
    }

    /// Queues a job. Returns it if no thread can be had.
    fn submit(&self, priority: Priority, job: Arc<HashJob>) -> Option<Arc<HashJob>> {
        if priority == Priority::Foreground && job.is_in_front.swap(true, Ordering::SeqCst) {
            return None;
        }
        let condition = InArea {
            places: self.threads.places.clone(),
            area: Area::Device(job.device),
            is_wanted: {
                let job = Arc::clone(&job);
                move || job.flight.is_wanted()
            },
        };
        let due = clock().saturating_add(job.len / HASH_AGING);
        let queued = Job::new(job.len <= SMALL_JOB, {
            let job = Arc::clone(&job);
            move || job.run(priority)
        });
        match self.threads.pool.submit_job(priority, queued.due(due).on(condition)) {
            Ok(()) => None,
            Err(refused) => {
                job.is_in_front.store(false, Ordering::SeqCst);
                refused.lacks_thread.then_some(job)
            }
        }
    }
}

impl HashJob {
    /// Hashes, unless that was begun elsewhere or nobody wants it.
    fn run(&self, priority: Priority) {
        if priority == Priority::Foreground {
            self.is_in_front.store(false, Ordering::SeqCst);
            if self.flight.fail_unless_wanted(LoadError::Busy) {
                let given_up = lock(&self.work).take();
                drop(given_up);
            }
            // The job in the background is enough for those that do not wait.
            if !self.flight.is_watched() {
                return;
            }
        }
        let Some((leader, run)) = lock(&self.work).take() else { return };
        self.flight.commit(1);
        match run(&|| !self.flight.fail_unless_wanted(LoadError::Busy)) {
            Ok(Some(hashed)) => leader.finish(State { job: Weak::new(), hashed: Some(hashed) }, 1),
            Ok(None) => {}
            Err(error) => leader.fail(error),
        }
    }
}
