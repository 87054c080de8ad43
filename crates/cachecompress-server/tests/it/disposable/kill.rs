//! Promise 6: `kill -9` at any instruction is harmless.

#![cfg(unix)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::thread;

use cachecompress_test::client;

use crate::common::*;

/// The default number of kills, which `CACHECOMPRESS_TEST_KILLS` overrides.
const KILLS: u64 = 250;
/// The longest life of a program, in milliseconds.
const LIFE: u64 = 40;
/// The cache's bound, far less than all entries together, so that encodes and evictions never end.
const BOUND: u64 = 1_500_000;
/// The greatest length of a file. With the reservation beyond it, it is within a quarter of the
/// bound, so that each file may be encoded.
const LONGEST: u64 = 300_000;
/// The bytes by which the cache may exceed its bound.
const ABOVE: u64 = BOUND / 20;
const CLIENTS: u64 = 3;

/// A number from the environment of the test.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}")))
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Counts of the responses that clients saw.
#[derive(Debug, Default)]
struct Seen {
    whole: AtomicU64,
    broken: AtomicU64,
    refused: AtomicU64,
    hits: AtomicU64,
}

/// The addresses of the two programs, which change with each restart.
type Addresses = [Mutex<SocketAddr>; 2];

fn address(of: &Mutex<SocketAddr>) -> SocketAddr {
    *of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends random requests until it is told to stop. Asserts that every body is exact or broken off.
fn ask(files: &[(String, Vec<u8>)], at: &Addresses, seed: u64, stop: &AtomicBool, seen: &Seen) {
    let mut numbers = Numbers(seed);
    let mut connections: [Option<(SocketAddr, Connection)>; 2] = [None, None];
    while !stop.load(Ordering::Relaxed) {
        let which = numbers.below(2) as usize;
        let now = address(&at[which]);
        if connections[which].as_ref().is_none_or(|(then, _)| *then != now) {
            connections[which] = Connection::open(now).ok().map(|connection| (now, connection));
        }
        let Some((_, connection)) = &mut connections[which] else {
            seen.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let (name, source) = &files[numbers.below(files.len() as u64) as usize];
        let coding = ["br", "zstd", "gzip", "deflate", "identity", "gzip, br, zstd"]
            [numbers.below(6) as usize];
        let mut request = Request::get(&format!("/{name}")).accept(coding);
        let range = (numbers.below(8) == 0).then(|| numbers.below(source.len() as u64));
        if let Some(first) = range {
            request = request.range(&format!("bytes={first}-"));
        }
        let answer = match numbers.below(40) {
            0 => cachecompress_test::http2::fetch(now, &request),
            _ => connection.send(&request).and_then(|()| connection.receive("GET")),
        };
        let Ok(response) = answer else {
            seen.broken.fetch_add(1, Ordering::Relaxed);
            connections[which] = None;
            continue;
        };
        if !judge(&response, source, range) {
            seen.broken.fetch_add(1, Ordering::Relaxed);
            connections[which] = None;
            continue;
        }
        seen.whole.fetch_add(1, Ordering::Relaxed);
        seen.hits.fetch_add(u64::from(response.is_hit()), Ordering::Relaxed);
    }
}

/// Asserts that a cleanly ended response is exact. Returns whether it ended cleanly.
#[track_caller]
fn judge(response: &Response, source: &[u8], range: Option<u64>) -> bool {
    match (response.status(), range) {
        (200, _) => assert_exact_or_aborted(response, &[source]),
        // A range is one of identity, whatever is stored or was lost.
        (206, Some(first)) => {
            assert_eq!(response.etag(), identity_tag(source));
            if response.is_clean() {
                assert!(response.body == source[first as usize..], "{:?}", response.head);
            }
            response.is_clean()
        }
        _ => panic!("{:?}", response.head),
    }
}

fn some_files() -> (Site, Vec<(String, Vec<u8>)>) {
    let site = Site::new();
    let files: Vec<_> = (0..24u64)
        .map(|at| {
            let longest = LONGEST as usize;
            let length = [300, 4_000, 30_000, 65_536, 100_000, longest][at as usize % 6];
            let bytes = match at {
                5 => site::random(at, length),
                at if at % 5 == 4 => site::binary(at, length),
                at => site::text(at, length),
            };
            (format!("{at}.js"), bytes)
        })
        .collect();
    files.iter().for_each(|(name, bytes)| site.write(name, bytes));
    (site, files)
}

/// Starts the program and kills it, most likely before it has printed a line.
fn kill_at_the_start(site: &Site, cache: &Path, life: Duration) {
    let mut child = cachecompress_test::server::command(Path::new(PROGRAM))
        .arg("serve")
        .arg(site.path())
        .args(["--listen", "127.0.0.1:0", "--cache-dir"])
        .arg(cache)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Asserts the state right after a kill, beside another program that runs on.
#[track_caller]
fn assert_in_order(cache: &Path, when: &str) {
    let litter = cache_dir::litter(cache);
    assert!(litter.is_empty(), "{when}: {litter:#?}");
    let bytes = cache_dir::entry_bytes(cache);
    assert!(bytes <= BOUND + ABOVE, "{when}: {bytes} bytes of entries");
}

#[test]
fn kill_9_at_random_moments_is_harmless() {
    let seed = setting("CACHECOMPRESS_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    let kills = setting("CACHECOMPRESS_TEST_KILLS").unwrap_or(KILLS);
    println!("seed: CACHECOMPRESS_TEST_SEED={seed}, kills: {kills}");
    let (site, files) = some_files();
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().join("cache");
    let begin = || launch(&site).cache(&cache).arg(format!("--cache-size={BOUND}")).start();
    let mut servers = [Some(begin()), Some(begin())];
    let addresses: Addresses = [0, 1].map(|at| Mutex::new(servers[at].as_ref().unwrap().address()));
    let (stop, seen, mut numbers) = (AtomicBool::new(false), Seen::default(), Numbers(seed));
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (files, addresses, stop, seen) = (&files, &addresses, &stop, &seen);
                scope.spawn(move || ask(files, addresses, seed ^ (client + 1), stop, seen))
            })
            .collect();
        for kill in 0..kills {
            let when = format!("seed {seed}, kill {kill}");
            assert!(!clients.iter().any(thread::ScopedJoinHandle::is_finished), "{when}");
            let life = Duration::from_micros(numbers.below(LIFE * 1000));
            if kill % 8 == 7 {
                kill_at_the_start(&site, &cache, life / 4);
                assert_in_order(&cache, &when);
                continue;
            }
            thread::sleep(life);
            let which = numbers.below(2) as usize;
            let mut both: Vec<usize> = vec![which];
            if kill % 16 == 0 {
                both.push(1 - which);
            }
            for &which in &both {
                let mut server = servers[which].take().unwrap();
                server.kill();
                // A kill alone damages nothing.
                let stderr = server.stderr();
                assert!(!stderr.contains("damaged") && !stderr.contains("panicked"), "{stderr}");
                servers[which] = Some(server);
            }
            assert_in_order(&cache, &when);
            for which in both {
                let server = servers[which].take().unwrap().again();
                *addresses[which].lock().unwrap() = server.address();
                // The first response after a restart is exact.
                let (name, source) = &files[numbers.below(files.len() as u64) as usize];
                let request = Request::get(&format!("/{name}")).accept("br, gzip");
                let response = client::fetch(server.address(), &request).unwrap();
                assert!(response.status() == 200 && judge(&response, source, None), "{when}");
                servers[which] = Some(server);
            }
        }
    });
    println!("{seen:?}");
    assert!(seen.whole.load(Ordering::Relaxed) > kills, "{seen:?}");
    assert!(seen.broken.load(Ordering::Relaxed) > 0, "no kill met a request: {seen:?}");
    end(&cache, &files, servers);
}

/// Asserts the state after the last kill. The locks are free, every entry verifies, and new ones
/// are made and kept.
fn end(cache: &Path, files: &[(String, Vec<u8>)], servers: [Option<Server>; 2]) {
    let [Some(mut one), Some(mut other)] = servers else { panic!("two servers") };
    one.kill();
    other.kill();
    assert_in_order(cache, "at the end");
    let left = cache_dir::locks(cache).len();
    assert_eq!(cache_dir::free_locks(cache), left, "no program runs that could hold one");
    println!("{left} lock files were left by killed programs");
    let server = one.again();
    for (name, source) in files {
        for coding in CODINGS {
            let request = Request::get(&format!("/{name}")).accept(coding);
            assert!(judge(&server.fetch(&request), source, None), "{name}");
        }
    }
    server.until_idle();
    assert_eq!(server.metric("cachecompress_damaged_entries_total", &[]), 0.0);
    assert!(server.entries() > 0);
    let litter = cache_dir::litter(cache);
    assert!(litter.is_empty(), "{litter:#?}");
    let locks = cache_dir::locks(cache);
    assert!(locks.is_empty(), "a program that is not killed leaves no lock: {locks:?}");
    assert!(cache_dir::entry_bytes(cache) <= BOUND, "{}", cache_dir::entry_bytes(cache));
}
