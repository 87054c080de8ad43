//! Promise 5 for the disk: bytes and entries stay within their bounds at every moment, beside any
//! number of writers, and no request waits for room.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests look at the directory as an operator does"
)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cachecompress::{Builder, Cache, Memory, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, encodes, get, get_as, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;

const CODING: [(&str, &str); 1] = [("accept-encoding", "x-pack")];
/// The percentage by which a cache may exceed its bound.
const PER_CENT_ABOVE: u64 = 5;

type Files = Vec<(String, Vec<u8>)>;

fn files(count: usize, len: impl Fn(usize) -> usize) -> Files {
    (0..count).map(|n| (format!("{n}.txt"), hex(len(n), n as u64))).collect()
}

fn builder(files: &Files, cache: &Cache) -> Builder {
    let memory = files
        .iter()
        .fold(Memory::new(), |memory, (path, bytes)| memory.file(path.as_str(), bytes.clone()));
    ServeCompressed::builder(memory)
        .encoder(coding(), Arc::new(Pack::new()))
        .cache(cache.clone())
        .patience(LONG)
}

/// The entries in the directory, with their lengths.
fn entries(root: &Path) -> Vec<(PathBuf, u64)> {
    let list =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let entries = list(&root.join("v1/entries")).flat_map(|shard| list(&shard).collect::<Vec<_>>());
    entries
        .filter_map(|path| fs::metadata(&path).ok().map(|metadata| (path, metadata.len())))
        .collect()
}

/// A thread that lists the directory as fast as it can, until it is ended.
struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    bytes: Arc<AtomicU64>,
    entries: Arc<AtomicU64>,
}

impl Watch {
    fn new(root: &Path) -> Self {
        let (ended, bytes, most) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let (end, of_bytes, of_entries) =
            (Arc::clone(&ended), Arc::clone(&bytes), Arc::clone(&most));
        let root = root.to_owned();
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let there = entries(&root);
                of_bytes.fetch_max(there.iter().map(|(_, len)| len).sum(), Ordering::Relaxed);
                of_entries.fetch_max(there.len() as u64, Ordering::Relaxed);
            }
        });
        Self { ended, thread: Some(thread), bytes, entries: most }
    }

    /// Ends the thread. Returns the most bytes, and the most entries, that it saw.
    fn end(mut self) -> (u64, u64) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        (self.bytes.load(Ordering::Relaxed), self.entries.load(Ordering::Relaxed))
    }
}

/// Three caches share one directory. Sixty-four clients at a time ask them for more than it may
/// hold.
#[test]
fn caches_with_64_writers_stay_within_one_bound() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let (bound, most_entries) = (4_000_000, 150);
        // Some are large against the bound, most are small.
        let files = files(400, |n| if n % 10 == 0 { 400_000 } else { 20_000 + n * 50 });
        let services: Vec<_> = (0..3)
            .map(|_| {
                let cache = Cache::builder(&root).max_bytes(bound).max_entries(most_entries);
                let cache = cache.open_entries(4).build().unwrap();
                builder(&files, &cache).encode_threads(8).build().unwrap()
            })
            .collect();
        let watch = Watch::new(&root);
        let files = Arc::new(files);
        let clients: Vec<_> = (0..64)
            .map(|client| {
                let (service, files) = (services[client % 3].clone(), Arc::clone(&files));
                tokio::spawn(async move {
                    for round in 0..12 {
                        let (path, source) = &files[(client * 37 + round * 53) % files.len()];
                        let answer = get(&service, &format!("/{path}"), &CODING).await;
                        assert_eq!(answer.status, 200);
                        assert!(answer.decoded() == *source, "{path}");
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        for service in &services {
            settled(service).await;
        }
        let (bytes, entries) = watch.end();
        let evictions: u64 = services.iter().map(|service| service.metrics().evictions).sum();
        let encoded: u64 = services.iter().map(|service| encodes(service, "*")).sum();
        println!(
            "at most {bytes} of {bound} bytes, {entries} of {most_entries} entries; {encoded} encodes, {evictions} evictions"
        );
        assert!(bytes <= bound + bound * PER_CENT_ABOVE / 100, "{bytes} bytes");
        assert!(entries <= most_entries + most_entries * PER_CENT_ABOVE / 100, "{entries} entries");
        assert!(evictions > 20, "room was made {evictions} times only");
        assert_eq!(services.iter().map(|s| s.metrics().damaged_entries).sum::<u64>(), 0);
    });
}

/// An entry that a client reads would give back no room, so eviction takes others.
#[test]
fn eviction_keeps_entries_that_are_being_sent() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        // The files are too long to be sent from memory.
        let files = files(20, |_| 1_200_000);
        let cache = Cache::builder(&root).max_bytes(8 << 20).open_entries(2).build().unwrap();
        let service = builder(&files, &cache).build().unwrap();
        get(&service, "/0.txt", &CODING).await;
        settled(&service).await;
        let held = open(&service, "/0.txt", &CODING).await;
        assert_eq!(held.headers()["cache-status"], "cachecompress; hit");
        let path = entries(&root).remove(0).0;
        let inode = fs::metadata(&path).unwrap().ino();
        for (path, source) in &files[1..] {
            assert!(get(&service, &format!("/{path}"), &CODING).await.decoded() == *source);
            settled(&service).await;
        }
        assert!(cache.stats().evictions > 5, "{:?}", cache.stats());
        let there = fs::metadata(&path).map(|metadata| metadata.ino()).ok();
        assert_eq!(there, Some(inode), "it went while it was sent");
        assert!(read(held).await.decoded() == files[0].1);
        // The sent entry may go like any other.
        for (path, _) in &files[1..] {
            get(&service, &format!("/{path}"), &CODING).await;
            settled(&service).await;
        }
        assert!(!path.exists(), "an idle entry is kept");
    });
}

/// A lack of room costs the compression and nothing else, not even a wait.
#[test]
fn missing_room_delays_no_request() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files = files(12, |_| 200_000);
        let cache = Cache::builder(directory.path().join("cache")).max_bytes(1_200_000);
        let cache = cache.build().unwrap();
        let gate = Gate::new();
        let gated = builder(&files, &cache).encoder(coding(), Arc::new(Pack::gated(&gate)));
        let gated = gated.encode_threads(8).build().unwrap();
        // Four encodes stand still and hold nearly all the room there is.
        let held: Vec<_> = (0..4)
            .map(|n| {
                let gated = gated.clone();
                tokio::spawn(async move { get(&gated, &format!("/{n}.txt"), &CODING).await })
            })
            .collect();
        until(|| gate.arrived() == 4).await;
        let free = builder(&files, &cache).build().unwrap();
        for (path, source) in &files[4..] {
            let answer = get(&free, &format!("/{path}"), &CODING).await;
            assert_eq!((answer.coding(), answer.cache()), ("", "disk"), "{path}");
            assert!(answer.decoded() == *source);
        }
        gate.open_wide();
        for (n, held) in held.into_iter().enumerate() {
            assert!(held.await.unwrap().decoded() == files[n].1);
        }
        settled(&gated).await;
        assert_eq!(get(&free, "/9.txt", &CODING).await.cache(), "stored");
    });
}

/// The bounds hold no entry, or not even a byte.
#[test]
fn tiny_bounds_keep_nothing_and_serve_everything() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files = files(6, |n| 300 + n * 40_000);
        let bounds = [(0, 100), (1, 100), (400, 100), (100_000, 0), (5_000, 100), (1 << 30, 0)];
        for (n, (bytes, most)) in bounds.into_iter().enumerate() {
            let root = directory.path().join(n.to_string());
            let cache = Cache::builder(&root).max_bytes(bytes).max_entries(most).build().unwrap();
            let service = builder(&files, &cache).build().unwrap();
            for _ in 0..2 {
                for (path, source) in &files {
                    for coding in ["x-pack", "br", "zstd", "gzip"] {
                        let answer = get_as(&service, &format!("/{path}"), coding).await;
                        assert_eq!(answer.status, 200, "{bytes} bytes, {most} entries");
                        assert!(answer.decoded() == *source, "{bytes} bytes, {most} entries");
                        settled(&service).await;
                    }
                }
            }
            assert!(cache.stats().entries <= most && cache.stats().bytes <= bytes);
            assert!(entries(&root).is_empty(), "{bytes} bytes, {most} entries");
        }
        // A cache with room for a single entry holds the last one.
        let root = directory.path().join("one");
        let cache = Cache::builder(&root).max_entries(1).build().unwrap();
        let service = builder(&files, &cache).build().unwrap();
        for (path, _) in &files {
            // The last entry takes no place any more once it is written to the medium.
            while get(&service, &format!("/{path}"), &CODING).await.cache() == "disk" {}
            settled(&service).await;
            assert_eq!(entries(&root).len(), 1);
            assert_eq!(get(&service, &format!("/{path}"), &CODING).await.cache(), "hit");
        }
    });
}
