//! The cache as services see it: bounds, damage, restarts, and directories that come and go.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators, disks and other processes do"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cachecompress::codec::PIECE;
use cachecompress::{Builder, Cache, Directory, Memory, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, encodes, get, get_as, open, read, run, settled};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::until;
use tempfile::TempDir;

const CODING: [(&str, &str); 1] = [("accept-encoding", "x-pack")];
/// Longer than an open entry is trusted without a look at its file.
const LOOK_AGAIN: Duration = Duration::from_millis(1100);

fn memory(files: &[(&str, &[u8])]) -> Memory {
    files.iter().fold(Memory::new(), |memory, (path, bytes)| memory.file(path, bytes.to_vec()))
}

fn builder(files: &[(&str, &[u8])], cache: &Cache) -> Builder {
    let pack = Arc::new(Pack::new());
    ServeCompressed::builder(memory(files))
        .encoder(coding(), pack)
        .cache(cache.clone())
        .patience(LONG)
}

fn service(files: &[(&str, &[u8])], cache: &Cache) -> ServeCompressed {
    builder(files, cache).build().unwrap()
}

fn on_disk(directory: &TempDir) -> Cache {
    Cache::builder(directory.path().join("cache")).build().unwrap()
}

/// All files under `directory` that are entries.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).map_or(Vec::new(), |list| list.map(|e| e.unwrap().path()).collect())
    };
    let shards = list(&directory.join("cache/v1/entries"));
    shards.iter().flat_map(|shard| list(shard)).collect()
}

#[test]
fn a_cache_in_memory_stores_and_hits() {
    run(async {
        let source = hex(3 * PIECE, 1);
        let service = service(&[("a.txt", &source)], &Cache::in_memory(16 << 20));
        for coding in ["br", "zstd", "gzip", "deflate"] {
            let first = get_as(&service, "/a.txt", coding).await;
            assert_eq!((first.coding(), first.cache()), (coding, "stored"));
            settled(&service).await;
            let second = get_as(&service, "/a.txt", coding).await;
            assert_eq!(second.cache(), "hit");
            assert!(second.decoded() == source);
            assert_eq!(second.bytes(), first.bytes());
        }
        assert_eq!(service.metrics().entries, 4);
    });
}

#[test]
fn the_bound_of_bytes_holds_and_the_answers_stay_right() {
    run(async {
        let bound = 2 << 20;
        let files: Vec<_> = (0..30).map(|n| (format!("{n}.txt"), hex(300_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let cache = Cache::in_memory(bound);
        let service = service(&list, &cache);
        for round in 0..2 {
            for (path, source) in &files {
                let answer = get(&service, &format!("/{path}"), &CODING).await;
                assert!(answer.decoded() == *source, "round {round}");
                settled(&service).await;
                assert!(cache.stats().bytes <= bound);
            }
        }
        let stats = cache.stats();
        assert!(stats.evictions > 40 && stats.entries >= 8, "{stats:?}");
        assert_eq!(service.metrics().evictions, stats.evictions);
        assert_eq!(stats.damaged, 0);
    });
}

#[test]
fn the_bound_of_entries_holds() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path().join("cache")).max_entries(3).build().unwrap();
        let files: Vec<_> = (0..9).map(|n| (format!("{n}.txt"), hex(5_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let service = service(&list, &cache);
        for (path, source) in &files {
            assert!(get(&service, &format!("/{path}"), &CODING).await.decoded() == *source);
            settled(&service).await;
            assert!(entries(directory.path()).len() <= 3);
        }
        assert_eq!((cache.stats().entries, cache.stats().evictions), (3, 6));
    });
}

#[test]
fn more_than_a_quarter_of_the_bound_is_identity() {
    run(async {
        let source = hex(300_000, 2);
        let cache = Cache::in_memory(1 << 20);
        let service = service(&[("a.txt", &source)], &cache);
        for _ in 0..2 {
            let answer = get(&service, "/a.txt", &CODING).await;
            assert_eq!(
                (answer.status.as_u16(), answer.coding(), answer.cache()),
                (200, "", "large")
            );
            assert!(answer.bytes() == source);
        }
        assert_eq!(encodes(&service, "*"), 0, "known before the encode");
        let nothing = self::service(&[("a.txt", &source)], &Cache::in_memory(0));
        assert!(get(&nothing, "/a.txt", &CODING).await.decoded() == source);
    });
}

#[test]
fn the_least_recently_used_entry_goes_first() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path().join("cache")).max_entries(3).build().unwrap();
        let files: Vec<_> = (0..4).map(|n| (format!("{n}.txt"), hex(5_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let service = service(&list, &cache);
        for n in 0..3 {
            get(&service, &format!("/{n}.txt"), &CODING).await;
            settled(&service).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        assert_eq!(get(&service, "/0.txt", &CODING).await.cache(), "hit");
        settled(&service).await;
        get(&service, "/3.txt", &CODING).await;
        settled(&service).await;
        for (n, cache) in [(0, "hit"), (2, "hit"), (3, "hit"), (1, "stored")] {
            assert_eq!(get(&service, &format!("/{n}.txt"), &CODING).await.cache(), cache, "{n}");
        }
    });
}

#[test]
fn a_restart_encodes_nothing_and_changes_no_byte() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(3 * PIECE, 3);
        let mut before: Vec<(String, Vec<u8>)> = Vec::new();
        let codings = ["x-pack", "br", "zstd", "gzip", "deflate"];
        for round in 0..3 {
            let service = service(&[("a.txt", &source)], &on_disk(&directory));
            for (n, coding) in codings.into_iter().enumerate() {
                let answer = get_as(&service, "/a.txt", coding).await;
                let now = (answer.field("etag").to_owned(), answer.bytes().to_vec());
                assert!(answer.decoded() == source);
                if round == 0 {
                    before.push(now);
                } else {
                    assert_eq!((answer.coding(), answer.cache()), (coding, "hit"));
                    assert!(now == before[n], "{coding}");
                }
            }
            settled(&service).await;
            assert_eq!(encodes(&service, "*"), if round == 0 { 5 } else { 0 });
        }
    });
}

#[test]
fn a_verdict_outlives_a_restart() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = random(4, 9_000);
        for round in 0..3 {
            let service = service(&[("a.bin", &source)], &on_disk(&directory));
            let answer = get(&service, "/a.bin", &CODING).await;
            assert!(answer.decoded() == source);
            settled(&service).await;
            let expected = u64::from(round == 0);
            assert_eq!(encodes(&service, "*"), expected);
            if round > 0 {
                assert_eq!((answer.coding(), answer.cache()), ("", "unprofitable"));
            }
        }
    });
}

#[test]
fn the_same_content_is_encoded_once_whatever_its_path_and_its_date() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let site = directory.path().join("site");
        fs::create_dir(&site).unwrap();
        let source = hex(20_000, 5);
        fs::write(site.join("a.txt"), &source).unwrap();
        fs::write(site.join("b.js"), &source).unwrap();
        let service = ServeCompressed::builder(Directory::new(&site).unwrap())
            .cache(on_disk(&directory))
            .revalidate(Duration::ZERO)
            .patience(LONG)
            .build()
            .unwrap();
        let first = get_as(&service, "/a.txt", "br").await;
        assert!(first.decoded() == source);
        settled(&service).await;
        let second = get_as(&service, "/b.js", "br").await;
        assert_eq!((second.cache(), second.field("etag")), ("hit", first.field("etag")));
        // A redeploy: the same bytes, another inode, another date.
        fs::write(site.join("new"), &source).unwrap();
        fs::rename(site.join("new"), site.join("a.txt")).unwrap();
        let third = get_as(&service, "/a.txt", "br").await;
        assert_eq!((third.cache(), third.field("etag")), ("hit", first.field("etag")));
        assert_eq!(encodes(&service, "*"), 1);
    });
}

#[test]
fn a_damaged_entry_is_counted_and_replaced_and_never_sent() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4_000, 6);
        let fill = service(&[("a.txt", &source)], &on_disk(&directory));
        let good = get(&fill, "/a.txt", &CODING).await;
        settled(&fill).await;
        let path = entries(directory.path()).pop().unwrap();
        let bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        let mut damages: Vec<Vec<u8>> = (0..24)
            .map(|n| {
                let mut bad = bytes.clone();
                bad[n * (len - 1) / 23] ^= 1 << (n % 8);
                bad
            })
            .collect();
        damages.push(Vec::new());
        damages.push(bytes[..len - 1].to_vec());
        damages.push(bytes[..200].to_vec());
        damages.push([&bytes[..], b"x"].concat());
        damages.push(vec![0; len]);
        for (n, damage) in damages.into_iter().enumerate() {
            fs::remove_file(&path).unwrap();
            fs::write(&path, damage).unwrap();
            let cache = on_disk(&directory);
            let service = service(&[("a.txt", &source)], &cache);
            let answer = get(&service, "/a.txt", &CODING).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "stored"), "damage {n}");
            assert!(answer.decoded() == source);
            assert_eq!(answer.field("etag"), good.field("etag"));
            settled(&service).await;
            assert_eq!(cache.stats().damaged, 1);
            assert_eq!(service.metrics().damaged_entries, 1);
            let again = get(&service, "/a.txt", &CODING).await;
            assert_eq!(again.cache(), "hit");
            assert_eq!(again.bytes(), good.bytes());
        }
    });
}

#[test]
fn an_entry_that_is_damaged_in_place_while_it_is_open_is_found_out() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4_000, 7);
        let cache = on_disk(&directory);
        let service = service(&[("a.txt", &source)], &cache);
        get(&service, "/a.txt", &CODING).await;
        settled(&service).await;
        let path = entries(directory.path()).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        tokio::time::sleep(LOOK_AGAIN).await;
        fs::write(&path, bytes).unwrap();
        let answer = get(&service, "/a.txt", &CODING).await;
        assert!(answer.decoded() == source);
        settled(&service).await;
        assert_eq!(cache.stats().damaged, 1);
    });
}

#[test]
fn an_entry_under_another_ones_name_is_not_believed() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (hex(4_000, 8), hex(4_000, 9));
        let files: [(&str, &[u8]); 2] = [("a.txt", &a), ("b.txt", &b)];
        let fill = service(&files, &on_disk(&directory));
        get(&fill, "/a.txt", &CODING).await;
        get(&fill, "/b.txt", &CODING).await;
        settled(&fill).await;
        let paths = entries(directory.path());
        let contents: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        for (path, content) in paths.iter().zip(contents.iter().rev()) {
            fs::remove_file(path).unwrap();
            fs::write(path, content).unwrap();
        }
        let cache = on_disk(&directory);
        let service = service(&files, &cache);
        assert!(get(&service, "/a.txt", &CODING).await.decoded() == a);
        assert!(get(&service, "/b.txt", &CODING).await.decoded() == b);
        assert_eq!(cache.stats().damaged, 2);
    });
}

#[test]
fn a_directory_that_is_removed_between_requests_is_harmless() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(20_000, 10);
        let cache = on_disk(&directory);
        let service = service(&[("a.txt", &source)], &cache);
        for part in ["cache", "cache/v1", "cache/v1/entries", "cache/v1/locks", "cache"] {
            assert!(get(&service, "/a.txt", &CODING).await.decoded() == source);
            settled(&service).await;
            fs::remove_dir_all(directory.path().join(part)).unwrap();
            assert!(get(&service, "/a.txt", &CODING).await.decoded() == source, "{part}");
            tokio::time::sleep(LOOK_AGAIN).await;
            let after = get(&service, "/a.txt", &CODING).await;
            assert_eq!(after.coding(), "x-pack", "{part}: {}", after.cache());
            assert!(after.decoded() == source);
            settled(&service).await;
            assert_eq!(entries(directory.path()).len(), 1, "{part}: it is stored again");
        }
        assert!(directory.path().join("cache/CACHEDIR.TAG").exists());
    });
}

#[test]
fn a_directory_that_is_removed_during_an_encode_costs_the_entry_only() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4 * PIECE, 11);
        let gate = Gate::new();
        let cache = on_disk(&directory);
        let service = builder(&[("a.txt", &source)], &cache)
            .encoder(coding(), Arc::new(Pack::gated(&gate)))
            .build()
            .unwrap();
        gate.open(2);
        let growing = open(&service, "/a.txt", &CODING).await;
        until(|| gate.arrived() == 3).await;
        fs::remove_dir_all(directory.path().join("cache")).unwrap();
        gate.open_wide();
        assert!(read(growing).await.decoded() == source);
        settled(&service).await;
        assert_eq!(entries(directory.path()).len(), 0);
        let next = get(&service, "/a.txt", &CODING).await;
        assert_eq!((next.coding(), next.cache()), ("x-pack", "stored"));
        settled(&service).await;
        assert_eq!(entries(directory.path()).len(), 1);
    });
}

#[test]
fn a_directory_that_cannot_be_written_is_no_error_and_heals() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(20_000, 12);
        // What no user, not even root, can make a directory in.
        fs::write(directory.path().join("cache"), "a file").unwrap();
        let cache = Cache::builder(directory.path().join("cache")).build().expect("no error");
        let service = service(&[("a.txt", &source)], &cache);
        for _ in 0..3 {
            let answer = get(&service, "/a.txt", &CODING).await;
            assert_eq!(
                (answer.status.as_u16(), answer.coding(), answer.cache()),
                (200, "", "disk")
            );
            assert!(answer.bytes() == source);
            settled(&service).await;
        }
        fs::remove_file(directory.path().join("cache")).unwrap();
        let healed = get(&service, "/a.txt", &CODING).await;
        assert_eq!((healed.coding(), healed.cache()), ("x-pack", "stored"));
        settled(&service).await;
        assert_eq!(get(&service, "/a.txt", &CODING).await.cache(), "hit");
        assert_eq!(entries(directory.path()).len(), 1);
    });
}

#[test]
fn two_handles_on_one_directory_encode_once() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4 * PIECE, 13);
        let gate = Gate::new();
        let service = || {
            builder(&[("a.txt", &source)], &on_disk(&directory))
                .encoder(coding(), Arc::new(Pack::gated(&gate)))
                .build()
                .unwrap()
        };
        let (one, two) = (service(), service());
        gate.open(1);
        let growing = open(&one, "/a.txt", &CODING).await;
        for _ in 0..2 {
            let locked = get(&two, "/a.txt", &CODING).await;
            assert_eq!((locked.coding(), locked.cache()), ("", "locked"));
            assert!(locked.bytes() == source);
        }
        gate.open_wide();
        let first = read(growing).await;
        settled(&one).await;
        let second = get(&two, "/a.txt", &CODING).await;
        assert_eq!((second.cache(), second.field("etag")), ("hit", first.field("etag")));
        assert!(second.body.unwrap() == first.body.unwrap());
        assert_eq!(encodes(&one, "*") + encodes(&two, "*"), 1);
        let locks = fs::read_dir(directory.path().join("cache/v1/locks")).unwrap();
        let names = locks.map(|lock| lock.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| name.starts_with("open-")), "a writer's lock is left");
    });
}

#[test]
fn many_handles_at_once_agree_and_stay_within_the_bounds() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..12).map(|n| (format!("{n}.txt"), hex(30_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let services: Vec<_> = (0..3)
            .map(|_| {
                let root = directory.path().join("cache");
                let cache = Cache::builder(root).max_entries(6).build().unwrap();
                service(&list, &cache)
            })
            .collect();
        let mut asking = Vec::new();
        for n in 0..12 * 9 {
            let (path, source) = files[n * 5 % 12].clone();
            let service = services[n % 3].clone();
            asking.push(tokio::spawn(async move {
                let answer = get(&service, &format!("/{path}"), &CODING).await;
                assert!(answer.decoded() == source);
            }));
        }
        for asked in asking {
            asked.await.unwrap();
        }
        for service in &services {
            settled(service).await;
        }
        let damaged: u64 = services.iter().map(|service| service.metrics().damaged_entries).sum();
        assert_eq!(damaged, 0);
    });
}

#[cfg(unix)]
#[test]
fn entries_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    run(async {
        let directory = tempfile::tempdir().unwrap();
        let service = service(&[("a.txt", &hex(9_000, 14))], &on_disk(&directory));
        get(&service, "/a.txt", &CODING).await;
        settled(&service).await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = entries(directory.path()).pop().unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    });
}

/// Evicted entries that bodies still read take the room that they took before.
#[test]
fn what_is_evicted_but_open_counts_against_the_bound() {
    run(async {
        let bound: u64 = 3 << 20;
        let files: Vec<_> = (0..24).map(|n| (format!("{n}.txt"), hex(600_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let service = service(&list, &Cache::in_memory(bound));
        let mut held = Vec::new();
        let mut bytes = 0;
        for (path, _) in &files {
            get(&service, &format!("/{path}"), &CODING).await;
            settled(&service).await;
            let response = open(&service, &format!("/{path}"), &CODING).await;
            if response.headers()["cache-status"] == "cachecompress; hit" {
                let len = response.headers()["content-length"].to_str().unwrap();
                bytes += len.parse::<u64>().unwrap();
                held.push(response);
            }
        }
        assert!(bytes <= bound, "{} open entries of {bytes} bytes", held.len());
    });
}
