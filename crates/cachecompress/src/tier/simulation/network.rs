//! A store behind a network that is slow and loses requests, in the paused time of a test.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use tokio::time::{Instant, sleep};

use crate::concurrency::sync::lock;

/// The ways of a network and of the store behind it.
#[derive(Clone, Debug)]
pub(in crate::tier) struct Weather {
    /// The median time of a call. Times are lognormal.
    pub(in crate::tier) latency: Duration,
    /// The standard deviation of their logarithm.
    pub(in crate::tier) spread: f64,
    /// The share of calls that are lost: half of them before they take effect and half after it. Half of
    /// them end with an error, the others never.
    pub(in crate::tier) loss: f64,
    /// Whether the store honours conditional creation. One that does not writes anyway.
    pub(in crate::tier) honours_create: bool,
    /// Whether it honours conditional updates.
    pub(in crate::tier) honours_update: bool,
    /// Faults for a time since the start.
    pub(in crate::tier) faults: Vec<(Range<Duration>, Fault)>,
}

#[derive(Clone, Debug)]
pub(in crate::tier) enum Fault {
    /// No call arrives.
    Outage,
    /// No call of these replicas arrives.
    Partition(Range<usize>),
    /// This share of the calls is answered with 503.
    Storm(f64),
    /// The store answers that there is no such bucket.
    NoBucket,
    /// The first call is answered with 503.
    FirstCall,
    /// Writes under a condition are never answered.
    HungConditions,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            spread: 0.5,
            loss: 0.0,
            honours_create: true,
            honours_update: true,
            faults: Vec::new(),
        }
    }
}

/// The store and the network before it.
#[derive(Debug)]
pub(in crate::tier) struct Network {
    memory: InMemory,
    weather: Weather,
    start: Instant,
    random: Mutex<Rng>,
    /// The calls that were sent in each [`SLOT`].
    calls: Mutex<Vec<u32>>,
}

/// The resolution of the count of calls.
const SLOT: Duration = Duration::from_millis(100);
/// The number of slots of a second.
const SECOND: usize = 10;

/// The fate of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Refused,
    NotFound,
    LostBefore,
    LostAfter,
}

impl Network {
    pub(in crate::tier) fn new(weather: Weather, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            memory: InMemory::new(),
            weather,
            start: Instant::now(),
            random: Mutex::new(Rng::with_seed(seed)),
            calls: Mutex::default(),
        })
    }

    /// The store as a replica reaches it.
    pub(in crate::tier) fn client(self: &Arc<Self>, replica: usize) -> Arc<Client> {
        Arc::new(Client { network: Arc::clone(self), replica })
    }

    /// The store itself.
    pub(in crate::tier) fn memory(&self) -> &InMemory {
        &self.memory
    }

    /// Counts all calls.
    pub(in crate::tier) fn calls(&self) -> u64 {
        lock(&self.calls).iter().copied().map(u64::from).sum()
    }

    /// Counts the calls of the second that begins `since` the start.
    pub(in crate::tier) fn calls_of_second(&self, since: Duration) -> u64 {
        let calls = lock(&self.calls);
        calls.iter().skip(slot(since)).take(SECOND).copied().map(u64::from).sum()
    }

    /// Counts the calls of the second that had most of them.
    pub(in crate::tier) fn calls_of_busiest_second(&self) -> u64 {
        let calls = lock(&self.calls);
        let second = |slots: &[u32]| slots.iter().copied().map(u64::from).sum();
        calls.windows(SECOND).map(second).max().unwrap_or_else(|| second(&calls))
    }

    fn count_call(&self) {
        let mut calls = lock(&self.calls);
        let slot = slot(self.start.elapsed());
        if calls.len() <= slot {
            calls.resize(slot + 1, 0);
        }
        calls[slot] += 1;
    }

    /// The time of one way of a call.
    fn way(&self) -> Duration {
        let mut random = lock(&self.random);
        // Box and Muller's transform.
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * random.f64()).cos();
        self.weather.latency.mul_f64((normal * self.weather.spread).exp() / 2.0)
    }

    fn holds_up_conditions(&self) -> bool {
        let now = self.start.elapsed();
        let mut faults = self.weather.faults.iter().filter(|(time, _)| time.contains(&now));
        faults.any(|(_, fault)| matches!(fault, Fault::HungConditions))
    }

    fn fate(&self, replica: usize) -> Fate {
        let mut random = lock(&self.random);
        let now = self.start.elapsed();
        for (_, fault) in self.weather.faults.iter().filter(|(time, _)| time.contains(&now)) {
            match fault {
                Fault::Partition(replicas) if !replicas.contains(&replica) => {}
                Fault::Outage | Fault::Partition(_) => return Fate::LostBefore,
                Fault::Storm(share) if random.f64() < *share => return Fate::Refused,
                Fault::Storm(_) => {}
                Fault::NoBucket => return Fate::NotFound,
                Fault::FirstCall if self.calls() == 1 => return Fate::Refused,
                Fault::FirstCall | Fault::HungConditions => {}
            }
        }
        match random.f64() {
            lost if lost < self.weather.loss / 2.0 => Fate::LostBefore,
            lost if lost < self.weather.loss => Fate::LostAfter,
            _ => Fate::Answered,
        }
    }

    /// Has `effect` happen at the store, and its answer come back, as fate has it.
    async fn carry<T>(&self, replica: usize, effect: impl Future<Output = Result<T>>) -> Result<T> {
        self.count_call();
        sleep(self.way()).await;
        let fate = self.fate(replica);
        let result = match fate {
            Fate::Answered | Fate::LostAfter => effect.await,
            Fate::Refused => Err(failure("503 Slow Down")),
            Fate::NotFound => {
                let (path, source) = ("bucket".to_owned(), "NoSuchBucket".into());
                Err(Error::NotFound { path, source })
            }
            Fate::LostBefore => Err(failure("connection reset")),
        };
        sleep(self.way()).await;
        if !matches!(fate, Fate::LostBefore | Fate::LostAfter) {
            return result;
        }
        if lock(&self.random).bool() {
            std::future::pending::<()>().await;
        }
        Err(failure("connection reset"))
    }
}

fn slot(since: Duration) -> usize {
    (since.as_millis() / SLOT.as_millis()) as usize
}

fn failure(message: &'static str) -> Error {
    Error::Generic { store: "simulated", source: message.into() }
}

/// The store as one replica reaches it.
#[derive(Clone, Debug)]
pub(in crate::tier) struct Client {
    network: Arc<Network>,
    replica: usize,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {}", self.replica)
    }
}

#[async_trait]
impl ObjectStore for Client {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let Weather { honours_create, honours_update, .. } = self.network.weather;
        if options.mode != PutMode::Overwrite && self.network.holds_up_conditions() {
            self.network.count_call();
            std::future::pending::<()>().await;
        }
        match options.mode {
            PutMode::Create if !honours_create => options.mode = PutMode::Overwrite,
            PutMode::Update(_) if !honours_update => options.mode = PutMode::Overwrite,
            _ => {}
        }
        let effect = self.network.memory.put_opts(location, payload, options);
        self.network.carry(self.replica, effect).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.network.memory.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let effect = self.network.memory.get_opts(location, options);
        self.network.carry(self.replica, effect).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let client = self.clone();
        let delete = move |location: Result<Path>| {
            let client = client.clone();
            async move {
                let location = location?;
                let effect = client.network.memory.delete(&location);
                client.network.carry(client.replica, effect).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.network.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.network.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.network.memory.copy_opts(from, to, options).await
    }
}
