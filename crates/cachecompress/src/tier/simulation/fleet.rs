//! Replicas that want the same objects from one store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::network::{Client, Network, Weather};
use crate::concurrency::sync::lock;
use crate::limits::{LEASE_LIFE, LONGEST_LEASE};
use crate::tier::breaker::Breaker;
use crate::tier::lease::{Leases, Turn};

/// The fleet and what it is to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) replicas: usize,
    /// The number of objects that each replica wants, one after another in an order of its own.
    pub(super) names: usize,
    /// The time that a replica takes to produce an object.
    pub(super) encode: Duration,
    /// The time within which all replicas start.
    pub(super) start: Duration,
    /// The rate of the slowest clock against the fastest.
    pub(super) clocks: f64,
    /// Whether the first owner of each object dies while it encodes.
    pub(super) owners_die: bool,
    pub(super) weather: Weather,
    pub(super) seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            replicas: 200,
            names: 3,
            encode: Duration::from_secs(3),
            start: Duration::from_secs(2),
            clocks: 1.0,
            owners_die: false,
            weather: Weather::default(),
            seed: 1,
        }
    }
}

/// The end of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The replicas that produced each object.
    pub(super) productions: Vec<Vec<usize>>,
    /// The most owners that an object had at once.
    pub(super) owners_at_once: usize,
    /// The longest time that a replica waited for an object.
    pub(super) longest_wait: Duration,
    /// The time until all replicas had all objects.
    pub(super) took: Duration,
    pub(super) network: Arc<Network>,
}

impl Outcome {
    /// The number of productions of the object that has most.
    pub(super) fn most_productions(&self) -> usize {
        self.productions.iter().map(Vec::len).max().unwrap_or(0)
    }

    pub(super) fn all_productions(&self) -> usize {
        self.productions.iter().map(Vec::len).sum()
    }
}

/// What the replicas of a run share beside the network: the records of the test.
#[derive(Debug)]
struct Run {
    plan: Plan,
    productions: Mutex<Vec<Vec<usize>>>,
    has_died: Mutex<Vec<bool>>,
    owners: Mutex<Owners>,
    longest_wait: Mutex<Duration>,
}

/// The owners of each object at work.
#[derive(Debug)]
struct Owners {
    now: Vec<usize>,
    most: usize,
}

impl Run {
    fn begin(&self, name: usize) {
        let mut owners = lock(&self.owners);
        owners.now[name] += 1;
        owners.most = owners.most.max(owners.now[name]);
    }

    fn end(&self, name: usize) {
        lock(&self.owners).now[name] -= 1;
    }

    fn note_wait(&self, begun: Instant) {
        let mut longest = lock(&self.longest_wait);
        *longest = begun.elapsed().max(*longest);
    }
}

/// The time that a replica waits for an object or its absence.
const ANSWER: Duration = Duration::from_secs(1);
/// The tries to store an object.
const ATTEMPTS: usize = 3;

/// One replica.
pub(super) struct Replica {
    number: usize,
    client: Arc<Client>,
    pub(super) breaker: Arc<Breaker>,
    leases: Leases,
    /// The rate of its clock: the time that passes while it measures a second.
    rate: f64,
}

impl Replica {
    pub(super) fn new(network: &Arc<Network>, number: usize, rate: f64, seed: u64) -> Self {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
        let client = network.client(number);
        let breaker = Arc::new(Breaker::new(seed));
        let (life, store) = (LEASE_LIFE.mul_f64(rate), Arc::clone(&client));
        let leases = Leases::with_life(life, store, Path::default(), Arc::clone(&breaker), seed);
        Self { number, client, breaker, leases, rate }
    }

    /// Watches the breaker for ever.
    pub(super) async fn supervise(&self) {
        let nothing = Path::from("v1/probe");
        let probe = async || {
            let answer = self.client.head(&nothing).await;
            matches!(answer, Err(Error::NotFound { .. }))
        };
        self.breaker.supervise(probe).await;
    }

    /// Asks whether the store has an object, as the breaker allows.
    pub(super) async fn has(&self, name: &str) -> Result<bool> {
        let path = path_of(name);
        self.call(async {
            match self.client.head(&path).await {
                Ok(_) => Ok(true),
                Err(Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let failure = |source: &str| Error::Generic { store: "simulated", source: source.into() };
        let admission = self.breaker.admit().ok_or_else(|| failure("open"))?;
        let result = timeout(ANSWER, call).await.unwrap_or_else(|_| Err(failure("no answer")));
        self.breaker.record(admission, result.is_ok());
        result
    }

    /// Gets an object, or produces it. Returns `false` if the replica dies.
    async fn obtain(&self, run: &Run, name: usize) -> bool {
        let begun = Instant::now();
        let object = format!("name-{name}");
        let is_there = self.has(&object).await.unwrap_or(false);
        let turn = match is_there {
            true => Turn::Published,
            false => {
                self.leases.turn(&object, LONGEST_LEASE, async || self.has(&object).await).await
            }
        };
        let lease = match turn {
            Turn::Owner(lease) => Some(lease),
            Turn::Published if is_there || self.read(&object).await => {
                run.note_wait(begun);
                return true;
            }
            Turn::Published | Turn::Alone => None,
        };
        let is_owner = lease.is_some();
        if is_owner {
            run.begin(name);
        }
        sleep(run.plan.encode.mul_f64(self.rate)).await;
        let is_first = || !std::mem::replace(&mut lock(&run.has_died)[name], true);
        if run.plan.owners_die && is_owner && is_first() {
            run.end(name);
            return false;
        }
        run.note_wait(begun);
        lock(&run.productions)[name].push(self.number);
        self.store(&object).await;
        if let Some(lease) = lease {
            run.end(name);
            lease.release().await;
        }
        true
    }

    /// Reads an object that is said to be there, by two tries.
    async fn read(&self, name: &str) -> bool {
        self.has(name).await.unwrap_or(false) || self.has(name).await.unwrap_or(false)
    }

    async fn store(&self, name: &str) {
        let path = path_of(name);
        for _ in 0..ATTEMPTS {
            if self.call(self.client.put(&path, "the object".into())).await.is_ok() {
                return;
            }
        }
    }

    /// Wants all objects of the run, one after another.
    async fn live(self, run: Arc<Run>, mut random: Rng) {
        let Plan { start, names, .. } = run.plan;
        sleep(start.mul_f64(random.f64())).await;
        let mut wanted: Vec<usize> = (0..names).collect();
        random.shuffle(&mut wanted);
        let work = async {
            for name in wanted {
                if !self.obtain(&run, name).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = self.supervise() => unreachable!("it never returns"),
        }
    }
}

fn path_of(name: &str) -> Path {
    Path::default().join("v1").join("e").join(name)
}

/// Has a fleet do what the `plan` says.
///
/// # Panics
///
/// It panics if a replica is not done after an hour of simulated time.
pub(super) async fn run(plan: Plan) -> Outcome {
    let begun = Instant::now();
    let network = Network::new(plan.weather.clone(), plan.seed);
    let mut random = Rng::with_seed(plan.seed);
    let run = Arc::new(Run {
        productions: Mutex::new(vec![Vec::new(); plan.names]),
        has_died: Mutex::new(vec![false; plan.names]),
        owners: Mutex::new(Owners { now: vec![0; plan.names], most: 0 }),
        longest_wait: Mutex::default(),
        plan,
    });
    let Plan { replicas, clocks, seed, .. } = run.plan;
    let mut fleet = JoinSet::new();
    for number in 0..replicas {
        let rate = clocks.powf(random.f64() - 0.5);
        let replica = Replica::new(&network, number, rate, seed);
        fleet.spawn(replica.live(Arc::clone(&run), random.fork()));
    }
    let done = timeout(Duration::from_secs(60 * 60), fleet.join_all()).await;
    assert!(done.is_ok(), "a replica hangs");
    let productions = lock(&run.productions).clone();
    let (owners_at_once, longest_wait) = (lock(&run.owners).most, *lock(&run.longest_wait));
    Outcome { productions, owners_at_once, longest_wait, took: begun.elapsed(), network }
}
