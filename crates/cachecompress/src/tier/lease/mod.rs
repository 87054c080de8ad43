//! Leases: one replica encodes, and the others wait for what it stores.
//!
//! A lease is an object of the store, `<prefix>/v1/l/<name>`. It holds a random number of its owner and the
//! number of its renewals, so its content and its entity tag change with each renewal. A lease that did
//! not change for its life is free. The replica that waits measures this time by its own monotonic clock,
//! from its first sight of that content. So clocks that are an hour apart make no difference. Clocks at
//! different rates make none as long as a renewal, which comes after a third of the life by the owner's
//! clock, comes within the life by the other's.
//!
//! # Conditional writes
//!
//! A store that honours conditions has one owner: a lease is created if there is none, and replaced or
//! renewed if its entity tag is the one that was seen. An owner that stops for longer than the life (a
//! machine that is suspended) can wake up while another has the lease. It goes on encoding, so there are
//! two productions of the same bytes. Its next renewal fails, and is counted as `lost`.
//!
//! # Best effort
//!
//! Elsewhere the last writer wins. A replica looks, finds no lease or a free one, writes its own, waits for
//! a while and reads it back. It is the owner if it finds its own lease. This is Fischer's algorithm. It
//! has one owner under two conditions:
//!
//! - A write takes effect before it is answered.
//! - The wait of each replica is longer than the time from a look to the write after it, of any replica. A
//!   replica whose write was answered later than that does not trust it. It waits for its own lease as
//!   for another's.
//!
//! Two replicas have written. The second had looked before the first wrote, or else it would have found a
//! lease. So the second wrote before the first had waited long enough. The first finds the second's lease
//! and is not the owner.
//!
//! A write without an answer can take effect late, and a replica whose calls are slow can wait for longer
//! than others. Then a late write replaces the lease of an owner at work. The others wait until its life
//! is over or the object is there. In the first case one of them takes it over, so two owners encode, and
//! both store the same bytes. A third owner takes another late write.

mod calls;
mod renewal;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, PutMode, Result, UpdateVersion};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use self::calls::{Counters, Seen, Shared, count, no_answer, unless_refused};
use crate::limits::{
    LEASE_CALL, LEASE_ERRORS, LEASE_LIFE, LEASE_LOOK, LEASE_POLL, LONGEST_LEASE, LONGEST_LEASE_POLL,
};
use crate::tier::breaker::Breaker;
use crate::tier::random::Random;

pub(super) use calls::Support;
pub(super) use renewal::Lease;

/// The leases of one replica.
#[derive(Debug)]
pub(super) struct Leases {
    shared: Arc<Shared>,
}

/// The part of a replica in the production of an object.
#[derive(Debug)]
pub(super) enum Turn {
    /// This replica produces it, and the others wait.
    Owner(Lease),
    /// Another replica has stored it.
    Published,
    /// This replica produces it without a lease, because the store fails or another takes too long.
    Alone,
}

/// Counts of events since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaseCounts {
    /// The leases that this replica had.
    pub(super) acquired: u64,
    /// The times that it waited for another.
    pub(super) waited: u64,
    /// The leases that it had after another had not renewed them.
    pub(super) taken_over: u64,
    /// The leases that another had before this replica was done.
    pub(super) lost: u64,
    /// The times that it waited for nobody, because the store failed or another took too long.
    pub(super) alone: u64,
}

impl Leases {
    /// Makes leases in `store` beneath `prefix`. Calls that fail are told to the `breaker`, and none is
    /// made while it is open. Two replicas must not have the same `seed`.
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        breaker: Arc<Breaker>,
        seed: u64,
    ) -> Self {
        Self::with_life(LEASE_LIFE, store, prefix, breaker, seed)
    }

    /// Makes leases whose life is other than [`LEASE_LIFE`], as a clock at another rate measures it.
    pub(super) fn with_life(
        life: Duration,
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        breaker: Arc<Breaker>,
        seed: u64,
    ) -> Self {
        let shared = Shared {
            store,
            breaker,
            folder: prefix.join("v1").join("l"),
            life,
            support: OnceCell::new(),
            slowest: Mutex::default(),
            random: Random::new(seed),
            counters: Counters::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Finds out which conditional writes the store honours, by an object of a random name that is deleted
    /// then. The result is remembered, and the first [`turn`](Self::turn) asks for it if nobody has.
    ///
    /// # Errors
    ///
    /// Those of the store. Nothing is remembered then.
    pub(super) async fn find_support(&self) -> Result<Support> {
        self.shared.find_support().await
    }

    /// Returns a snapshot of the counts.
    pub(super) fn counts(&self) -> LeaseCounts {
        let Counters { acquired, waited, taken_over, lost, alone } = &self.shared.counters;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LeaseCounts {
            acquired: of(acquired),
            waited: of(waited),
            taken_over: of(taken_over),
            lost: of(lost),
            alone: of(alone),
        }
    }

    /// Waits until this replica has the lease `name`, or its object `is_published`, or the store fails.
    ///
    /// `is_published` is asked at every poll and once more when this replica has the lease. A `true` ends
    /// the wait. An owner is to store its object before it releases its lease. Then no object is produced
    /// twice as long as the owner and the store work.
    ///
    /// The wait ends after `patience`, or some calls later, and is never longer than [`LONGEST_LEASE`]. The
    /// future is to be awaited to its end: a lease that it has written expires only after its life.
    pub(super) async fn turn<F: Future<Output = Result<bool>>>(
        &self,
        name: &str,
        patience: Duration,
        is_published: impl Fn() -> F,
    ) -> Turn {
        let mut candidate = Candidate {
            shared: &self.shared,
            path: self.shared.folder.clone().join(name),
            owner: self.shared.random.id(),
            is_published,
            watched: None,
            has_waited: false,
            unanswered: 0,
        };
        let begun = Instant::now();
        let mut errors = 0;
        let mut pause = LEASE_POLL;
        while begun.elapsed() < patience.min(LONGEST_LEASE) {
            match candidate.poll().await {
                Ok(Some(turn)) => return turn,
                Ok(None) => errors = 0,
                Err(_) => errors += 1,
            }
            if errors == LEASE_ERRORS || errors > 0 && !self.shared.breaker.is_closed() {
                break;
            }
            sleep(self.shared.random.pause(pause)).await;
            pause = (pause * 2).min(LONGEST_LEASE_POLL);
        }
        count(&self.shared.counters.alone);
        Turn::Alone
    }
}

/// A replica that wants a lease.
struct Candidate<'a, P> {
    shared: &'a Arc<Shared>,
    path: Path,
    /// The owner of leases that are written under a condition.
    owner: u128,
    is_published: P,
    watched: Option<Watched>,
    has_waited: bool,
    /// The writes that had no answer, and no effect that was seen.
    unanswered: u32,
}

/// A lease of another replica.
struct Watched {
    seen: Seen,
    /// The time at which it was first seen so.
    since: Instant,
    looked: Instant,
}

impl<P: Fn() -> F, F: Future<Output = Result<bool>>> Candidate<'_, P> {
    /// Looks once and tries to have the lease if it is free. Returns nothing while it is another's.
    async fn poll(&mut self) -> Result<Option<Turn>> {
        let life = self.shared.life;
        if let Some(Watched { since, looked, .. }) = &self.watched {
            if self.is_published().await? {
                return Ok(Some(Turn::Published));
            }
            if looked.elapsed() < LEASE_LOOK && since.elapsed() < life {
                return Ok(None);
            }
        }
        let begun = Instant::now();
        let Some(seen) = self.shared.look(&self.path).await? else {
            self.watched = None;
            // The owner may have stored the object and released the lease since it was last asked for.
            if self.has_waited && self.is_published().await? {
                return Ok(Some(Turn::Published));
            }
            return self.take(None, begun).await;
        };
        if seen.is_of(self.owner) {
            // The answer to the write was lost.
            return Ok(Some(self.own(self.owner, seen.version).await));
        }
        let watched = self.watch(seen);
        if watched.since.elapsed() < life {
            return Ok(None);
        }
        let free = watched.seen.version.clone();
        self.take(Some(free), begun).await
    }

    /// Notes the sight of another's lease.
    fn watch(&mut self, seen: Seen) -> &Watched {
        let now = Instant::now();
        if !std::mem::replace(&mut self.has_waited, true) {
            count(&self.shared.counters.waited);
        }
        let since = match &self.watched {
            Some(watched) if watched.seen == seen => watched.since,
            _ => {
                // The writes without an answer had lost against this one.
                self.unanswered = 0;
                now
            }
        };
        self.watched.insert(Watched { seen, since, looked: now })
    }

    async fn is_published(&self) -> Result<bool> {
        timeout(LEASE_CALL, (self.is_published)()).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Tries to have the lease in place of none, or of the one that is `free`. The look at it began at
    /// `begun`.
    async fn take(&mut self, free: Option<UpdateVersion>, begun: Instant) -> Result<Option<Turn>> {
        if self.unanswered >= LEASE_ERRORS {
            return Err(no_answer());
        }
        let Support { create, update } = self.shared.find_support().await?;
        let is_taken_over = free.is_some();
        let condition = match free {
            None if create => Some(PutMode::Create),
            Some(version) if update => Some(PutMode::Update(version)),
            _ => None,
        };
        let owned = match condition {
            Some(condition) => {
                let written = self.shared.create(&self.path, self.owner, condition).await;
                let answer = unless_refused(written)?;
                self.unanswered += u32::from(matches!(answer, Some(None)));
                answer.flatten().map(|version| (self.owner, version))
            }
            None => self.shared.claim(&self.path, begun).await?,
        };
        let Some((owner, version)) = owned else { return Ok(None) };
        let turn = self.own(owner, version).await;
        if is_taken_over && matches!(turn, Turn::Owner(_)) {
            count(&self.shared.counters.taken_over);
        }
        Ok(Some(turn))
    }

    /// Begins to renew the lease, and gives it back if another has stored the object meanwhile.
    async fn own(&self, owner: u128, version: UpdateVersion) -> Turn {
        let (shared, path) = (Arc::clone(self.shared), self.path.clone());
        let lease = Lease::start(shared, path, owner, version);
        for _ in 0..LEASE_ERRORS {
            match self.is_published().await {
                Ok(false) => break,
                Ok(true) => {
                    lease.release().await;
                    return Turn::Published;
                }
                // The production costs more than to ask again.
                Err(_) => {}
            }
        }
        count(&self.shared.counters.acquired);
        Turn::Owner(lease)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use object_store::ObjectStoreExt as _;
    use tokio::task::JoinSet;

    use super::*;
    use crate::tier::simulation::network::{Fault, Network, Weather};

    const SECOND: Duration = Duration::from_secs(1);

    fn leases(network: &Arc<Network>, replica: usize) -> Leases {
        let seed = replica as u64;
        let breaker = Arc::new(Breaker::new(seed));
        Leases::new(network.client(replica), Path::from("site"), breaker, seed)
    }

    fn path() -> Path {
        Path::from("site/v1/l/app")
    }

    async fn owner(leases: &Leases) -> Lease {
        match leases.turn("app", LONGEST_LEASE, async || Ok(false)).await {
            Turn::Owner(lease) => lease,
            turn => panic!("{turn:?}"),
        }
    }

    /// Has `replicas` want an object that takes `encode` to produce. Returns the number of productions.
    async fn productions(network: &Arc<Network>, replicas: usize, encode: Duration) -> u64 {
        let published = Arc::new(AtomicBool::new(false));
        let produced = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for replica in 0..replicas {
            let leases = leases(network, replica);
            let (published, produced) = (Arc::clone(&published), Arc::clone(&produced));
            tasks.spawn(async move {
                let is_published = async || Ok(published.load(Ordering::Relaxed));
                match leases.turn("app", LONGEST_LEASE, is_published).await {
                    Turn::Owner(lease) => {
                        produced.fetch_add(1, Ordering::Relaxed);
                        sleep(encode).await;
                        published.store(true, Ordering::Relaxed);
                        lease.release().await;
                    }
                    Turn::Published => assert!(published.load(Ordering::Relaxed)),
                    Turn::Alone => panic!("replica {replica} waits for nobody"),
                }
            });
        }
        tasks.join_all().await;
        produced.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn one_replica_of_twenty_is_the_owner() {
        for encode in [1, 300, 40_000] {
            let network = Network::new(Weather::default(), encode);
            assert_eq!(productions(&network, 20, Duration::from_millis(encode)).await, 1);
            assert!(network.memory().head(&path()).await.is_err(), "the lease is deleted");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_replica_of_twenty_is_the_owner_where_no_condition_is_honoured() {
        let rough = Weather { honours_create: false, honours_update: false, ..Weather::default() };
        for seed in 0..100 {
            let network = Network::new(rough.clone(), seed);
            assert_eq!(productions(&network, 20, Duration::from_millis(300)).await, 1, "{seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn support_is_found_by_refused_writes() {
        for (create, update) in [(true, true), (true, false), (false, true), (false, false)] {
            let weather =
                Weather { honours_create: create, honours_update: update, ..Weather::default() };
            let network = Network::new(weather, 1);
            let leases = leases(&network, 1);
            let found = leases.find_support().await.expect("the store answers");
            assert_eq!(found, Support { create, update });
            let calls = network.calls();
            assert_eq!(leases.find_support().await.expect("it is known"), found);
            assert_eq!(network.calls(), calls, "the result is remembered");
            let folder = Path::from("site");
            let left = network.memory().list_with_delimiter(Some(&folder)).await.expect("memory");
            assert!(left.common_prefixes.is_empty(), "the probe is deleted: {left:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn support_is_asked_for_again_after_an_error() {
        let faults = vec![(Duration::ZERO..SECOND, Fault::Storm(1.0))];
        let network = Network::new(Weather { faults, ..Weather::default() }, 1);
        let leases = leases(&network, 1);
        leases.find_support().await.expect_err("the store refuses");
        sleep(SECOND).await;
        let found = leases.find_support().await.expect("the store answers");
        assert_eq!(found, Support { create: true, update: true });
    }

    #[tokio::test(start_paused = true)]
    async fn support_of_a_directory_is_creation_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = object_store::local::LocalFileSystem::new_with_prefix(directory.path());
        let store = Arc::new(store.expect("a store"));
        let breaker = Arc::new(Breaker::new(1));
        // Its work is done on other threads, so the clock must not leap.
        tokio::time::resume();
        let seen = Arc::clone(&store);
        let leases = Leases::new(store, Path::from("site"), Arc::clone(&breaker), 1);
        let found = leases.find_support().await.expect("the store answers");
        assert_eq!(found, Support { create: true, update: false });
        let lease = owner(&leases).await;
        seen.head(&path()).await.expect("the lease is a file");
        lease.release().await;
        seen.head(&path()).await.expect_err("the lease is deleted");
        assert!(breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn dead_owner_is_replaced_after_the_life_of_its_lease() {
        for (honours_create, honours_update) in [(true, true), (true, false), (false, false)] {
            let weather = Weather { honours_create, honours_update, ..Weather::default() };
            let network = Network::new(weather, 1);
            let (first, second) = (leases(&network, 1), leases(&network, 2));
            drop(owner(&first).await);
            let died = Instant::now();
            let lease = owner(&second).await;
            let waited = died.elapsed();
            assert!(waited >= LEASE_LIFE, "{waited:?}");
            assert!(waited < LEASE_LIFE + 2 * SECOND, "{waited:?}");
            let expected = LeaseCounts { acquired: 1, waited: 1, taken_over: 1, lost: 0, alone: 0 };
            assert_eq!(second.counts(), expected);
            lease.release().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_many_replaces_a_dead_owner() {
        for honours in [true, false] {
            let rough =
                Weather { honours_create: honours, honours_update: honours, ..Weather::default() };
            let network = Network::new(rough, 1);
            drop(owner(&leases(&network, 99)).await);
            assert_eq!(productions(&network, 20, SECOND).await, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn owner_that_lives_is_never_replaced() {
        for honours in [true, false] {
            let weather =
                Weather { honours_create: honours, honours_update: honours, ..Weather::default() };
            let network = Network::new(weather, 1);
            let (first, second) = (leases(&network, 1), leases(&network, 2));
            let lease = owner(&first).await;
            let waits =
                timeout(60 * SECOND, second.turn("app", LONGEST_LEASE, async || Ok(false))).await;
            assert!(waits.is_err(), "{waits:?}");
            lease.release().await;
            assert_eq!(first.counts().lost, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn owner_with_slow_renewals_keeps_its_lease() {
        let weather =
            Weather { latency: Duration::from_millis(1500), spread: 0.1, ..Weather::default() };
        let network = Network::new(weather, 1);
        let (first, second) = (leases(&network, 1), leases(&network, 2));
        let lease = owner(&first).await;
        let waits =
            timeout(60 * SECOND, second.turn("app", LONGEST_LEASE, async || Ok(false))).await;
        assert!(waits.is_err(), "{waits:?}");
        lease.release().await;
        assert_eq!(first.counts().lost, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_whose_answer_is_lost_keeps_the_lease() {
        let network = Network::new(Weather { loss: 0.1, ..Weather::default() }, 2);
        let (first, second) = (leases(&network, 1), leases(&network, 2));
        let lease = owner(&first).await;
        let waits = timeout(300 * SECOND, second.turn("app", LONGEST_LEASE, async || Ok(false)));
        let _ = waits.await;
        lease.release().await;
        assert_eq!(first.counts().lost, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn owner_that_slept_finds_its_lease_lost() {
        for honours in [true, false] {
            let faults = vec![(2 * SECOND..30 * SECOND, Fault::Partition(1..2))];
            let weather = Weather {
                faults,
                honours_create: honours,
                honours_update: honours,
                ..Weather::default()
            };
            let network = Network::new(weather, 1);
            let (first, second) = (leases(&network, 1), leases(&network, 2));
            let breaker = Arc::clone(&first.shared.breaker);
            tokio::spawn(async move { breaker.supervise(async || true).await });
            let (lost, taken) = (owner(&first).await, owner(&second).await);
            sleep(60 * SECOND).await;
            lost.release().await;
            assert_eq!(first.counts().lost, 1);
            network.memory().head(&path()).await.expect("the lease of the second stays");
            taken.release().await;
            assert_eq!(second.counts().lost, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lease_that_goes_without_a_publication_is_had_by_the_next() {
        let network = Network::new(Weather::default(), 1);
        let (first, second) = (leases(&network, 1), leases(&network, 2));
        let lease = owner(&first).await;
        let released = async {
            sleep(3 * SECOND).await;
            lease.release().await;
            Instant::now()
        };
        let (released, lease) = tokio::join!(released, owner(&second));
        let waited = released.elapsed();
        assert!(waited < LEASE_LOOK + 2 * SECOND, "{waited:?}");
        lease.release().await;
        let expected = LeaseCounts { acquired: 1, waited: 1, taken_over: 0, lost: 0, alone: 0 };
        assert_eq!(second.counts(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn object_stored_since_it_was_missed_is_not_produced_again() {
        let network = Network::new(Weather::default(), 1);
        let turn = leases(&network, 1).turn("app", LONGEST_LEASE, async || Ok(true)).await;
        assert!(matches!(turn, Turn::Published), "{turn:?}");
        assert!(network.memory().head(&path()).await.is_err(), "the lease is given back");
    }

    /// A simulation found this: the answer to the first question after the owner had stored the object and
    /// released its lease was lost, and the replica that asked encoded once more.
    #[tokio::test(start_paused = true)]
    async fn object_is_asked_for_again_after_an_error() {
        let network = Network::new(Weather::default(), 1);
        let lease = owner(&leases(&network, 1)).await;
        let questions = std::cell::Cell::new(0);
        let begun = Instant::now();
        let is_published = async || {
            if begun.elapsed() < 3 * SECOND {
                return Ok(false);
            }
            questions.set(questions.get() + 1);
            if questions.get() % 2 == 1 { Err(no_answer()) } else { Ok(true) }
        };
        let second = leases(&network, 2);
        let released = async {
            sleep(3 * SECOND).await;
            lease.release().await;
        };
        let ((), turn) = tokio::join!(released, second.turn("app", LONGEST_LEASE, is_published));
        assert!(matches!(turn, Turn::Published), "{turn:?}");

        let third = leases(&network, 3).turn("app", LONGEST_LEASE, is_published).await;
        assert!(matches!(third, Turn::Published), "{third:?}");
        assert!(network.memory().head(&path()).await.is_err(), "the lease is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn object_under_a_lease_that_stays_is_seen() {
        let network = Network::new(Weather::default(), 1);
        let lease = owner(&leases(&network, 1)).await;
        let begun = Instant::now();
        let is_published = async || Ok(begun.elapsed() > 5 * SECOND);
        let turn = leases(&network, 2).turn("app", LONGEST_LEASE, is_published).await;
        assert!(matches!(turn, Turn::Published), "{turn:?}");
        assert!(begun.elapsed() < 7 * SECOND, "{:?}", begun.elapsed());
        lease.release().await;
    }

    #[tokio::test(start_paused = true)]
    async fn replica_waits_for_nobody_when_the_store_fails() {
        let faults = vec![(3 * SECOND..600 * SECOND, Fault::Outage)];
        let network = Network::new(Weather { faults, ..Weather::default() }, 1);
        let (first, second) = (leases(&network, 1), leases(&network, 2));
        let lease = owner(&first).await;
        for begun in [Instant::now(), Instant::now() + 10 * SECOND] {
            tokio::time::sleep_until(begun).await;
            let turn = second.turn("app", LONGEST_LEASE, async || Ok(false)).await;
            assert!(matches!(turn, Turn::Alone), "{turn:?}");
            let waited = begun.elapsed();
            assert!(waited < 3 * SECOND + 2 * (LEASE_CALL + LEASE_LOOK), "{waited:?}");
        }
        lease.release().await;
    }

    #[tokio::test(start_paused = true)]
    async fn replica_waits_for_nobody_while_its_breaker_is_open() {
        let network = Network::new(Weather::default(), 1);
        let breaker = Arc::new(Breaker::new(1));
        let leases = Leases::new(network.client(1), Path::default(), Arc::clone(&breaker), 1);
        while let Some(admission) = breaker.admit() {
            breaker.record(admission, false);
        }
        let begun = Instant::now();
        let turn = leases.turn("app", LONGEST_LEASE, async || Ok(false)).await;
        assert!(matches!(turn, Turn::Alone), "{turn:?}");
        assert_eq!((network.calls(), begun.elapsed()), (0, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn replica_waits_for_nobody_when_the_bucket_is_gone() {
        for honours in [true, false] {
            let weather = Weather {
                honours_create: honours,
                honours_update: honours,
                faults: vec![(3 * SECOND..3600 * SECOND, Fault::NoBucket)],
                ..Weather::default()
            };
            let network = Network::new(weather, 1);
            let (first, second) = (leases(&network, 1), leases(&network, 2));
            let lease = owner(&first).await;
            let turn =
                timeout(10 * SECOND, second.turn("app", LONGEST_LEASE, async || Ok(false))).await;
            assert!(matches!(turn, Ok(Turn::Alone)), "{turn:?}");
            lease.release().await;
        }
    }

    /// Whoever can write to the store could renew a lease for ever.
    #[tokio::test(start_paused = true)]
    async fn replica_does_not_wait_for_ever() {
        let network = Network::new(Weather::default(), 1);
        let memory = network.memory().clone();
        let renews = tokio::spawn(async move {
            for number in 0.. {
                let content = format!("{number}").into_bytes();
                memory.put(&path(), content.into()).await.expect("memory");
                sleep(SECOND).await;
            }
        });
        let begun = Instant::now();
        let turn = leases(&network, 1).turn("app", LONGEST_LEASE, async || Ok(false)).await;
        assert!(matches!(turn, Turn::Alone), "{turn:?}");
        let waited = begun.elapsed();
        assert!((LONGEST_LEASE..LONGEST_LEASE + 5 * SECOND).contains(&waited), "{waited:?}");
        renews.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn replica_does_not_wait_for_conditional_writes_without_an_answer() {
        for is_free in [false, true] {
            let faults = vec![(SECOND..600 * SECOND, Fault::HungConditions)];
            let network = Network::new(Weather { faults, ..Weather::default() }, 1);
            let leases = leases(&network, 1);
            leases.find_support().await.expect("the store answers");
            if is_free {
                // An owner that has gone left its lease.
                network.memory().put(&path(), "gone".into()).await.expect("memory");
            }
            sleep(SECOND).await;
            let begun = Instant::now();
            let turn = leases.turn("app", LONGEST_LEASE, async || Ok(false)).await;
            assert!(matches!(turn, Turn::Alone), "{turn:?}");
            let free_after = if is_free { LEASE_LIFE } else { Duration::ZERO };
            let waited = begun.elapsed();
            assert!(waited < free_after + LEASE_ERRORS * (LEASE_CALL + 2 * SECOND), "{waited:?}");
            assert!(leases.shared.breaker.is_closed(), "all else is answered");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wait_for_another_ends_with_the_patience() {
        let network = Network::new(Weather::default(), 1);
        let lease = owner(&leases(&network, 1)).await;
        let second = leases(&network, 2);
        let begun = Instant::now();
        let turn = second.turn("app", 5 * SECOND, async || Ok(false)).await;
        assert!(matches!(turn, Turn::Alone), "{turn:?}");
        let waited = begun.elapsed();
        assert!((5 * SECOND..8 * SECOND).contains(&waited), "{waited:?}");
        assert_eq!(second.counts().alone, 1);
        lease.release().await;
    }

    /// A turn that was dropped while it wrote its lease kept all others waiting for a life.
    #[tokio::test(start_paused = true)]
    async fn lease_that_is_written_as_the_patience_ends_is_had() {
        let network = Network::new(Weather::default(), 1);
        let leases = leases(&network, 1);
        let turn = leases.turn("app", Duration::from_millis(1), async || Ok(false)).await;
        let Turn::Owner(lease) = turn else { panic!("{turn:?}") };
        lease.release().await;
        assert!(network.memory().head(&path()).await.is_err(), "the lease is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn failing_store_opens_the_breaker() {
        let faults = vec![(Duration::ZERO..SECOND, Fault::Storm(1.0))];
        let network = Network::new(Weather { faults, ..Weather::default() }, 1);
        let breaker = Arc::new(Breaker::new(1));
        let leases = Leases::new(network.client(1), Path::default(), Arc::clone(&breaker), 1);
        for _ in 0..3 {
            let turn = leases.turn("app", LONGEST_LEASE, async || Ok(false)).await;
            assert!(matches!(turn, Turn::Alone), "{turn:?}");
        }
        assert_eq!(leases.counts().alone, 3);
        assert!(!breaker.is_closed());
        assert_eq!(network.calls(), u64::from(crate::limits::BREAKER_IN_A_ROW));
    }

    #[tokio::test(start_paused = true)]
    async fn owner_of_a_write_without_an_answer_is_found() {
        // Any one of the first calls may be lost before or after its effect.
        let mut found = 0;
        for seed in 0..200 {
            let network = Network::new(Weather { loss: 0.2, ..Weather::default() }, seed);
            let leases = leases(&network, 1);
            // Without conditions a replica does wait for a write of its own that was not answered.
            if !leases.find_support().await.is_ok_and(|support| support.create) {
                continue;
            }
            found += 1;
            let begun = Instant::now();
            if let Turn::Owner(lease) = leases.turn("app", LONGEST_LEASE, async || Ok(false)).await
            {
                lease.release().await;
            }
            assert_eq!(leases.counts().taken_over, 0, "{seed}: it waited for itself");
            assert!(begun.elapsed() < 30 * SECOND, "{seed}: {:?}", begun.elapsed());
        }
        assert!(found > 50, "{found}");
    }

    #[tokio::test(start_paused = true)]
    async fn write_that_was_answered_late_makes_no_owner() {
        let rough = Weather {
            honours_create: false,
            honours_update: false,
            latency: Duration::from_millis(1),
            ..Weather::default()
        };
        let network = Network::new(rough, 1);
        let (first, second) = (leases(&network, 1), leases(&network, 2));
        first.find_support().await.expect("the store answers");
        let lease = owner(&first).await;
        // The second looked before the first wrote, and its write arrives now.
        let shared = &second.shared;
        let long_ago = Instant::now() - SECOND;
        let late = shared.claim(&path(), long_ago).await.expect("the store answers");
        assert!(late.is_none());
        let timely = shared.claim(&path(), Instant::now()).await.expect("the store answers");
        assert!(timely.is_some());
        lease.release().await;
    }

    #[tokio::test(start_paused = true)]
    async fn huge_object_in_place_of_a_lease_is_not_read() {
        let network = Network::new(Weather::default(), 1);
        let huge = vec![b'0'; 1 << 20];
        network.memory().put(&path(), huge.into()).await.expect("memory");
        let second = leases(&network, 2);
        let seen = second.shared.look(&path()).await.expect("the store answers").expect("it lies");
        assert!(seen.content.is_empty());
        // It is a lease that nobody renews.
        owner(&second).await.release().await;
        assert_eq!(second.counts().taken_over, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn lease_is_not_renewed_for_ever() {
        let network = Network::new(Weather::default(), 1);
        let lease = owner(&leases(&network, 1)).await;
        sleep(LONGEST_LEASE + LEASE_LIFE).await;
        let calls = network.calls();
        sleep(100 * LEASE_LIFE).await;
        assert_eq!(network.calls(), calls);
        lease.release().await;
    }

    #[tokio::test(start_paused = true)]
    async fn leases_of_clocks_at_different_rates_have_one_owner() {
        let network = Network::new(Weather::default(), 1);
        let of_rate = |replica: usize, rate: f64| {
            let breaker = Arc::new(Breaker::new(1));
            let life = LEASE_LIFE.mul_f64(rate);
            let seed = replica as u64;
            Leases::with_life(life, network.client(replica), Path::from("site"), breaker, seed)
        };
        let (slow, fast) = (of_rate(1, 1.5), of_rate(2, 0.7));
        let lease = owner(&slow).await;
        let waits =
            timeout(100 * SECOND, fast.turn("app", LONGEST_LEASE, async || Ok(false))).await;
        assert!(waits.is_err(), "{waits:?}");
        lease.release().await;
        assert_eq!(slow.counts().lost, 0);
    }
}
