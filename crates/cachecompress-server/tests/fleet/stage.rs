//! The store of all tests, sites, and replicas.

use std::sync::atomic::AtomicU32;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cachecompress_test::client;
use cachecompress_test::s3::{Bucket, REGION};

use crate::common::*;
use crate::store::Store;

/// The level at which the store is asked beside an encode. That takes long enough for it on a busy machine, too.
pub(crate) const RACED: &str = "--level br=7";

/// The bytes of a file whose encode at that level is expected to take 190 ms.
pub(crate) const LARGE: usize = 3 << 20;

/// The level at which the store is asked before an encode, and not beside it.
pub(crate) const SLOW: &str = "--level br=11";

/// The bytes of a file whose encode at that level takes long enough for that, and not much longer.
pub(crate) const LEASED: usize = 240 << 10;

/// The store that tests share. Those that break it take it alone.
pub(crate) struct Stage;

fn store() -> &'static Option<RwLock<Store>> {
    static STORE: OnceLock<Option<RwLock<Store>>> = OnceLock::new();
    STORE.get_or_init(|| Store::start().map(RwLock::new))
}

impl Stage {
    /// The store beside other tests.
    pub(crate) fn shared() -> Option<RwLockReadGuard<'static, Store>> {
        let store = store().as_ref()?;
        Some(store.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store without other tests.
    pub(crate) fn alone() -> Option<RwLockWriteGuard<'static, Store>> {
        let store = store().as_ref()?;
        Some(store.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The rounds of the tests that depend on chance.
pub(crate) fn rounds() -> u64 {
    std::env::var("CACHECOMPRESS_FLEET_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

/// Holds times and numbers to the limits of an idle machine.
pub(crate) fn is_strict() -> bool {
    std::env::var_os("CACHECOMPRESS_FLEET_STRICT").is_some()
}

/// Tries something, each time with another seed, until it succeeds. On a busy machine answers of the store come
/// too late, and replicas do without them, so one success in five tries is enough there.
pub(crate) fn succeeds_once(seed: u64, attempt: impl Fn(u64) -> Result<(), String>) {
    let tries = if is_strict() { 1 } else { 5 };
    let mut failures = Vec::new();
    for number in 0..tries {
        match attempt(seed * 1000 + number) {
            Ok(()) => return,
            Err(failure) => failures.push(failure),
        }
    }
    panic!("{}", failures.join("\n\n"));
}

/// A name that no other bucket has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("bucket-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A replica that shares `bucket`, which it reaches at `endpoint`.
pub(crate) fn replica(site: &Site, bucket: &Bucket, endpoint: &str) -> Launch {
    launch(site)
        .args(&format!("--tier s3://{}/site", bucket.name))
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", &bucket.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &bucket.secret_key)
        .env("AWS_REGION", REGION)
        .env("AWS_ALLOW_HTTP", "true")
}

/// Starts a replica, and waits until it uses the store.
pub(crate) fn start_replica(launch: Launch) -> Server {
    let replica = launch.start();
    until_used(&replica);
    replica
}

pub(crate) fn until_used(replica: &Server) {
    eventually("the replica uses the store", || is_breaker(replica, "closed").then_some(()));
}

pub(crate) fn is_breaker(replica: &Server, state: &str) -> bool {
    replica.metric("cachecompress_tier_breaker_state", &[("state", state)]) == 1.0
}

/// The number of requests to the store with this end.
pub(crate) fn asked(replica: &Server, outcome: &str) -> u64 {
    replica.metric("cachecompress_tier_requests_total", &[("outcome", outcome)]) as u64
}

pub(crate) fn uploads(replica: &Server, outcome: &str) -> u64 {
    replica.metric("cachecompress_tier_uploads_total", &[("outcome", outcome)]) as u64
}

/// Waits until nothing is left to be stored.
pub(crate) fn until_stored(replica: &Server) {
    replica.until_idle();
    eventually("every upload ends", || {
        (replica.metric("cachecompress_tier_upload_queue_entries", &[]) == 0.0).then_some(())
    });
}

pub(crate) fn leases(replica: &Server, outcome: &str) -> u64 {
    replica.metric("cachecompress_tier_leases_total", &[("outcome", outcome)]) as u64
}

/// Whether the store answered in time for each of so many files.
pub(crate) fn is_calm(replica: &Server, files: u64) -> bool {
    let ends = ["hit", "disproved", "error"].map(|outcome| asked(replica, outcome));
    let turns = leases(replica, "acquired") + leases(replica, "waited");
    asked(replica, "timeout") + asked(replica, "skipped") == 0
        && ends.iter().sum::<u64>() + turns >= files
}

/// The accounts that replicas give of the store.
pub(crate) fn accounts(replicas: &[Server]) -> String {
    replicas.iter().map(account).collect::<Vec<_>>().join("\n\n")
}

/// The account that a replica gives of the store.
pub(crate) fn account(replica: &Server) -> String {
    let text = replica.metrics();
    let counted = text.lines().filter(|line| {
        line.starts_with("cachecompress_tier_")
            && !line.contains("_bucket{")
            && !line.ends_with(" 0")
    });
    counted.collect::<Vec<_>>().join("\n")
}

/// Whether a response came from the store.
pub(crate) fn is_from_tier(response: &Response) -> bool {
    response.cache_status() == "cachecompress; fwd=miss; stored; detail=tier"
}

/// Files with a site of their own.
pub(crate) struct Files {
    pub(crate) site: Site,
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Files {
    /// So many files of text, none like those of another seed.
    pub(crate) fn new(seed: u64, count: u64, length: usize) -> Self {
        let site = Site::new();
        let file = |number| {
            let (name, bytes) = (format!("{number}.txt"), site::text(seed * 1000 + number, length));
            site.write(&name, &bytes);
            (format!("/{name}"), bytes)
        };
        let files = (0..count).map(file).collect();
        Self { site, files }
    }

    /// One file of 8 MB whose encode at br=11 takes some 3 s.
    pub(crate) fn slow(seed: u64) -> Self {
        Self::repeated(seed, 2 << 20, 4)
    }

    /// One file whose encode at br=11 takes less than a second, which is still enough for a lease.
    pub(crate) fn short(seed: u64) -> Self {
        Self::repeated(seed, 256 << 10, 2)
    }

    /// Fetches all files from replicas of `launch` with empty caches, one after the other, until every answer of
    /// the store came in time at one of them. On a busy machine some come too late, and then a replica may do
    /// without them.
    pub(crate) fn fetch_calmly(&self, launch: &Launch, coding: &str) -> (Server, Vec<Response>) {
        eventually("the store answers in time", || {
            let replica = start_replica(launch.clone());
            let answers = self.fetch_all(&replica, coding);
            is_calm(&replica, self.files.len() as u64).then_some((replica, answers))
        })
    }

    /// Asserts that every answer of a replica with an empty cache comes from the store.
    pub(crate) fn fetch_from_tier(&self, launch: &Launch) -> Server {
        let (replica, answers) = self.fetch_calmly(launch, "br");
        for answer in answers {
            assert!(is_from_tier(&answer), "{:?}\n{}", answer.head, account(&replica));
        }
        replica
    }

    fn repeated(seed: u64, length: usize, times: usize) -> Self {
        let bytes = site::text(seed, length).repeat(times);
        let site = Site::with("slow.txt", &bytes);
        Self { site, files: vec![("/slow.txt".into(), bytes)] }
    }

    /// Fetches all files, several at once, in the coding, and asserts that each is whole and exact.
    pub(crate) fn fetch_all(&self, replica: &Server, coding: &str) -> Vec<Response> {
        self.fetch_at(replica.address(), coding)
    }

    pub(crate) fn fetch_at(&self, address: std::net::SocketAddr, coding: &str) -> Vec<Response> {
        let next = AtomicU32::new(0);
        let answers = std::thread::scope(|scope| {
            let fetch = || {
                let mut answers = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some((path, bytes)) = self.files.get(number) else { return answers };
                    let request = Request::get(path).accept(coding);
                    let answer = client::fetch(address, &request).unwrap();
                    assert_is(&answer, bytes, coding);
                    answers.push((number, answer));
                }
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
            let answers = threads.into_iter().flat_map(|thread| thread.join().unwrap());
            let mut answers: Vec<_> = answers.collect();
            answers.sort_by_key(|(number, _)| *number);
            answers
        });
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Has replicas encode all files and store them.
    pub(crate) fn store_in(&self, bucket: &Bucket, arguments: &str, coding: &str) {
        let endpoint = format!("http://{}", bucket.store);
        let launch = replica(&self.site, bucket, &endpoint).args(arguments);
        // A file whose encode took no longer than the store's answers of late is not stored.
        eventually("all is stored", || {
            let one = start_replica(launch.clone());
            self.fetch_all(&one, coding);
            until_stored(&one);
            (bucket.keys("site/v1/e/").len() == self.files.len()).then_some(())
        });
    }

    /// The key of the object of a file in a bucket that [`store_in`](Self::store_in) has filled.
    pub(crate) fn key_of(&self, bucket: &Bucket, number: usize) -> String {
        let digest = decode::sha256(&self.files[number].1);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let prefix = format!("site/v1/e/{}/{digest}-", &digest[..2]);
        let keys = bucket.keys(&prefix);
        assert_eq!(keys.len(), 1, "{prefix}");
        keys[0].clone()
    }
}
