//! Single failures of the disk and their costs. `faults.rs` fails every call.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests set the stage on the real disk"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cachecompress::cache::CacheBuilder;
use cachecompress::codec::PIECE;
use cachecompress::fs::{Disk, MemoryDisk, RealDisk};
use cachecompress::{Cache, Directory, Memory, Preference, ServeCompressed, Source};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, chunk, encodes, get, open, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::{at_end_of_thread, until};
use cachecompress_test::{Errno, Fault, FaultDisk, Op};
use http_body_util::BodyExt as _;

const PACK: (&str, &str) = ("accept-encoding", "x-pack");
const PLAIN: (&str, &str) = ("accept-encoding", "identity");
const ROOT: &str = "/cache";
/// A time longer than an open entry is trusted without a look at its file, and than a scan is
/// trusted before an eviction.
const A_WHILE: Duration = Duration::from_millis(1_100);
/// The calls that need a new descriptor.
const DESCRIPTORS: [Op; 6] =
    [Op::Open, Op::CreateUnnamed, Op::TryLock, Op::List, Op::OpenRoot, Op::RootOpen];

fn files(number: u64) -> Vec<(String, Vec<u8>)> {
    (0..number).map(|n| (format!("/{n}.txt"), hex(3_000, n))).collect()
}

fn cache(disk: &FaultDisk, entries: u64) -> CacheBuilder {
    Cache::builder(ROOT).disk(Arc::new(disk.clone())).max_entries(entries)
}

fn service_of(source: impl Source, cache: &Cache, pack: Pack) -> ServeCompressed {
    let builder = ServeCompressed::builder(source).encoder(coding(), Arc::new(pack));
    let builder = builder.preference(Preference::List(vec![coding()]));
    builder.cache(cache.clone()).revalidate(Duration::ZERO).patience(LONG).build().unwrap()
}

fn service(files: &[(String, Vec<u8>)], cache: &Cache) -> ServeCompressed {
    let memory = Memory::new();
    let source =
        files.iter().fold(memory, |memory, (path, bytes)| memory.file(path, bytes.clone()));
    service_of(source, cache, Pack::new())
}

/// The number of entries on the disk.
fn entries(disk: &dyn Disk) -> u64 {
    let entries = Path::new(ROOT).join("v1/entries");
    let shards = disk.list(&entries).unwrap_or_default();
    shards.iter().map(|shard| disk.list(&entries.join(shard)).unwrap().len() as u64).sum()
}

/// A disk whose cache holds all of `files`.
async fn filled(files: &[(String, Vec<u8>)]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let fill = service(files, &cache(&FaultDisk::new(disk.clone()), 100).build().unwrap());
    for (path, _) in files {
        assert_eq!(get(&fill, path, &[PACK]).await.cache(), "stored");
    }
    settled(&fill).await;
    disk
}

/// Entries that cannot be opened are not damaged. They hit when there are descriptors again.
#[test]
fn entries_survive_a_lack_of_descriptors() {
    run(async {
        let files = files(3);
        let memory = filled(&files).await;
        let disk = FaultDisk::new(memory.clone());
        let wants = |op| DESCRIPTORS.contains(&op).then(|| Errno::TooManyFiles.error());
        disk.fail(move |_, op| wants(op));
        let cache = cache(&disk, 3).build().unwrap();
        let service = service(&files, &cache);
        for (path, source) in &files {
            let answer = get(&service, path, &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("", "disk"));
            assert!(answer.bytes() == source);
        }
        settled(&service).await;
        assert_eq!((entries(&memory), cache.stats().damaged), (3, 0));
        disk.heal();
        for (path, source) in &files {
            let answer = get(&service, path, &[PACK]).await;
            assert_eq!(answer.cache(), "hit");
            assert!(answer.decoded() == *source);
        }
        assert_eq!(encodes(&service, "*"), 0);
    });
}

/// A response from memory needs no descriptor. A source that cannot be opened for want of one is
/// busy, and was a 500.
#[test]
fn entry_in_memory_needs_no_descriptor() {
    run(async {
        let site = tempfile::tempdir().unwrap();
        let files = files(2);
        for (path, bytes) in &files {
            std::fs::write(site.path().join(&path[1..]), bytes).unwrap();
        }
        let (disk, sources) = (FaultDisk::new(MemoryDisk::new()), FaultDisk::new(RealDisk));
        let cache = cache(&disk, 10).build().unwrap();
        let in_memory = service(&files, &cache);
        let directory = || Directory::with_disk(Arc::new(sources.clone()), site.path()).unwrap();
        let trusting =
            ServeCompressed::builder(directory()).encoder(coding(), Arc::new(Pack::new()));
        let trusting = trusting.cache(cache.clone()).revalidate(Duration::from_secs(3600));
        let trusting = trusting.patience(LONG).build().unwrap();
        let on_disk = service_of(directory(), &cache, Pack::new());
        let (path, source) = &files[0];
        for service in [&in_memory, &trusting, &on_disk] {
            for wish in [PACK, PLAIN] {
                assert!(get(service, path, &[wish]).await.decoded() == *source);
            }
            settled(service).await;
        }
        tokio::time::sleep(A_WHILE).await;
        for failing in [&disk, &sources] {
            failing.fail(|_, op| DESCRIPTORS.contains(&op).then(|| Errno::TooManyFiles.error()));
        }
        for service in [&in_memory, &trusting] {
            let hit = get(service, path, &[PACK]).await;
            assert_eq!((hit.status.as_u16(), hit.cache()), (200, "hit"));
            assert!(hit.decoded() == *source);
            assert!(get(service, path, &[PLAIN]).await.bytes() == source);
        }
        let busy = get(&on_disk, path, &[PACK]).await;
        assert_eq!((busy.status.as_u16(), busy.field("retry-after")), (503, "1"));
        sources.heal();
        assert_eq!(get(&on_disk, path, &[PACK]).await.cache(), "hit");
    });
}

/// The files on the disk count, removable or not, and no others.
#[test]
fn entry_that_cannot_be_synced_is_removed() {
    run(async {
        for stays in [false, true] {
            let files = files(3);
            let memory = MemoryDisk::new();
            let disk = FaultDisk::new(memory.clone());
            let cache = cache(&disk, 1).build().unwrap();
            let service = service(&files, &cache);
            disk.fail(move |_, op| match op {
                Op::FileSync => Some(Errno::Io.error()),
                Op::RemoveFile if stays => Some(Errno::Denied.error()),
                _ => None,
            });
            let calls = || disk.calls();
            let answer = get(&service, &files[0].0, &[PACK]).await;
            assert_eq!(answer.cache(), "stored");
            assert!(answer.decoded() == files[0].1);
            drop(answer);
            settled(&service).await;
            // The sync job is the last to have the entry open.
            until(|| disk.open_files() == 0).await;
            let (before, left) = (calls(), u64::from(stays));
            until(|| cache.stats().entries == left && entries(&memory) == left).await;
            disk.heal();
            let again = get(&service, &files[0].0, &[PACK]).await;
            assert_eq!(again.cache(), if stays { "hit" } else { "stored" });
            assert!(calls() > before);
            settled(&service).await;
            for (path, source) in &files[1..] {
                let next = get(&service, path, &[PACK]).await;
                assert_eq!((next.coding(), next.cache()), ("x-pack", "stored"));
                assert!(next.decoded() == *source);
                settled(&service).await;
                assert_eq!((cache.stats().entries, entries(&memory)), (1, 1));
            }
        }
    });
}

/// A cache that cannot remove entries must not fill the disk (pagespeed 105) or use up the inodes
/// (tar1090 45).
#[test]
fn failed_eviction_stays_within_the_bounds_and_stops_no_request() {
    run(async {
        for errno in Errno::ALL {
            let files = files(6);
            let memory = MemoryDisk::new();
            let disk = FaultDisk::new(memory.clone());
            let cache = cache(&disk, 2).build().unwrap();
            let service = service(&files, &cache);
            let removes = |op| [Op::RemoveFile, Op::RemoveUnused].contains(&op);
            disk.fail(move |_, op| removes(op).then(|| errno.error()));
            for round in 0..2 {
                for (n, (path, source)) in files.iter().enumerate() {
                    let answer = get(&service, path, &[PACK]).await;
                    assert!(answer.decoded() == *source);
                    let coding = if n < 2 { "x-pack" } else { "" };
                    assert_eq!(answer.coding(), coding, "{errno:?} {round} {n}");
                    settled(&service).await;
                    assert!(entries(&memory) <= 2 && cache.stats().entries <= 2);
                }
            }
            disk.heal();
            for (path, _) in &files[2..] {
                assert_eq!(get(&service, path, &[PACK]).await.cache(), "stored");
                settled(&service).await;
                assert_eq!((entries(&memory), cache.stats().entries), (2, 2));
            }
        }
    });
}

/// A cache whose directory could not be read at the start took it for empty, for ten seconds. An
/// entry whose stat failed was not counted before its directory changed. Both filled the disk
/// beyond the bounds.
#[test]
fn unscanned_entries_are_read_before_room_is_made() {
    run(async {
        for failing in ["all lists", "all stats", "the stats of entries"] {
            let files = files(4);
            let memory = filled(&files[..3]).await;
            let disk = FaultDisk::new(memory.clone());
            let scanned = Arc::new(AtomicBool::new(false));
            let scanning = Arc::clone(&scanned);
            let (lists, listed) = (AtomicU64::new(0), AtomicBool::new(false));
            disk.fail(move |_, op| {
                if std::thread::current().name() == Some("cc-scan") {
                    at_end_of_thread(&scanning);
                }
                let lists = lists.fetch_add(u64::from(op == Op::List), Ordering::SeqCst);
                let follows_list = listed.swap(op == Op::List, Ordering::SeqCst);
                let fails = match failing {
                    "all lists" => op == Op::List,
                    "all stats" => op == Op::Stat,
                    // The first list is that of the directories.
                    _ => op == Op::Stat && follows_list && lists > 1,
                };
                fails.then(|| Errno::Io.error())
            });
            let cache = cache(&disk, 3).build().unwrap();
            let service = service(&files, &cache);
            until(|| scanned.load(Ordering::SeqCst)).await;
            disk.heal();
            assert_eq!(get(&service, &files[3].0, &[PACK]).await.cache(), "stored");
            settled(&service).await;
            assert_eq!((entries(&memory), cache.stats().entries), (3, 3), "{failing}");
            assert_eq!(cache.stats().evictions, 1);
        }
    });
}

#[test]
fn open_entry_whose_stat_fails_is_not_lost() {
    run(async {
        for errno in Errno::ALL {
            let files = files(1);
            let memory = MemoryDisk::new();
            let disk = FaultDisk::new(memory.clone());
            let cache = cache(&disk, 2).build().unwrap();
            let service = service(&files, &cache);
            assert_eq!(get(&service, &files[0].0, &[PACK]).await.cache(), "stored");
            settled(&service).await;
            tokio::time::sleep(A_WHILE).await;
            disk.fail(move |_, op| (op == Op::FileStat).then(|| errno.error()));
            let answer = get(&service, &files[0].0, &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("", "disk"));
            assert!(answer.bytes() == files[0].1);
            disk.heal();
            assert_eq!(get(&service, &files[0].0, &[PACK]).await.cache(), "hit");
            assert_eq!((encodes(&service, "*"), cache.stats().damaged), (1, 0));
        }
    });
}

/// The check before the last chunk tells a whole body from a mixture. Without it nothing is known.
#[test]
fn identity_aborts_when_its_file_cannot_be_checked() {
    run(async {
        let site = tempfile::tempdir().unwrap();
        let source = hex(5 * PIECE, 1);
        std::fs::write(site.path().join("a.txt"), &source).unwrap();
        let sources = FaultDisk::new(RealDisk);
        let directory = Directory::with_disk(Arc::new(sources.clone()), site.path()).unwrap();
        let service = service_of(directory, &Cache::in_memory(1 << 20), Pack::new());
        for failing in [Some(Op::FileStat), Some(Op::FileReadNowait), None] {
            sources.heal();
            let mut body = open(&service, "/a.txt", &[PLAIN]).await.into_body();
            let mut bytes = chunk(&mut body).await.to_vec();
            sources.fail(move |_, op| (Some(op) == failing).then(|| Errno::Io.error()));
            match body.collect().await {
                Ok(rest) => {
                    bytes.extend_from_slice(&rest.to_bytes());
                    assert!(failing.is_none() && bytes == source);
                }
                Err(error) => assert!(failing.is_some(), "{error}"),
            }
        }
    });
}

/// A truncated file published as success on a full disk, where room could not be reserved.
#[test]
fn disk_that_fills_up_in_mid_body_publishes_nothing() {
    run(async {
        let source = hex(4 * PIECE, 1);
        let memory = MemoryDisk::new();
        let disk = FaultDisk::new(memory.clone());
        let cache = cache(&disk, 10).build().unwrap();
        let gate = Gate::new();
        let files = Memory::new().file("/a.txt", source.clone());
        let service = service_of(files, &cache, Pack::gated(&gate));
        gate.open(2);
        let mut bodies = Vec::new();
        for _ in 0..3 {
            bodies.push(open(&service, "/a.txt", &[PACK]).await.into_body());
        }
        until(|| gate.arrived() == 3).await;
        disk.fail(|_, op| (op == Op::FileWrite).then(|| Fault::Part(Errno::Full.error())));
        gate.open_wide();
        for body in bodies {
            assert!(body.collect().await.is_err(), "a clean end of half a file");
        }
        settled(&service).await;
        assert_eq!((entries(&memory), cache.stats().entries), (0, 0));
        until(|| (disk.open_files(), disk.locks()) == (0, 0)).await;
        let next = get(&service, "/a.txt", &[PACK]).await;
        assert_eq!((next.coding(), next.cache()), ("", "disk"), "full before the first byte");
        assert!(next.bytes() == source);
        disk.heal();
        let next = get(&service, "/a.txt", &[PACK]).await;
        assert_eq!(next.cache(), "stored");
        assert!(next.decoded() == source);
    });
}

/// The entries of a removed directory stayed open, and their bytes taken, though they were not
/// counted any more.
#[test]
fn entries_removed_from_the_directory_are_closed() {
    run(async {
        let files = files(3);
        let disk = FaultDisk::new(MemoryDisk::new());
        let cache = cache(&disk, 2).build().unwrap();
        let service = service(&files, &cache);
        for (path, _) in &files[..2] {
            assert_eq!(get(&service, path, &[PACK]).await.cache(), "stored");
        }
        settled(&service).await;
        until(|| disk.open_files() == 2).await;
        disk.remove_tree(Path::new(ROOT)).unwrap();
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(get(&service, &files[2].0, &[PACK]).await.cache(), "stored");
        settled(&service).await;
        until(|| disk.open_files() == 1).await;
        assert_eq!((cache.stats().entries, cache.stats().evictions), (1, 0));
    });
}

/// The use of an entry is written down once an hour. A failure of that changes no response.
#[test]
fn entry_that_cannot_be_touched_is_used() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files = files(1);
        let disk = FaultDisk::new(RealDisk);
        let root = directory.path().join("cache");
        let build = || Cache::builder(&root).disk(Arc::new(disk.clone())).build().unwrap();
        let fill = service(&files, &build());
        assert_eq!(get(&fill, &files[0].0, &[PACK]).await.cache(), "stored");
        settled(&fill).await;
        for shard in std::fs::read_dir(root.join("v1/entries")).unwrap() {
            for entry in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                let entry = std::fs::File::open(entry.unwrap().path()).unwrap();
                entry.set_modified(SystemTime::now() - Duration::from_secs(7_200)).unwrap();
            }
        }
        for errno in Errno::ALL {
            let touches = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&touches);
            disk.fail(move |_, op| {
                (op == Op::FileTouch).then(|| {
                    counted.fetch_add(1, Ordering::SeqCst);
                    errno.error()
                })
            });
            let service = service(&files, &build());
            let answer = get(&service, &files[0].0, &[PACK]).await;
            assert_eq!(answer.cache(), "hit");
            assert!(answer.decoded() == files[0].1);
            assert_eq!(touches.load(Ordering::SeqCst), 1);
        }
    });
}
