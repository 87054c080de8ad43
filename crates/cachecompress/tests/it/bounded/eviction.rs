//! Eviction: its order, its bounds, and its causes.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators, disks and other processes do"
)]

use std::time::Duration;

use cachecompress::Cache;
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{encodes, get, open, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;

use crate::fixture::stored::{PACK, borrowed, builder, entries, on_disk, root, service};

/// A time longer than an open entry is trusted without a look at its file.
const LOOK_AGAIN: Duration = Duration::from_millis(1100);

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn bound_of_bytes_holds_and_answers_stay_exact() {
    run(async {
        let bound = 2 << 20;
        let files: Vec<_> = (0..30).map(|n| (format!("{n}.txt"), hex(300_000, n))).collect();
        let list = borrowed(&files);
        let cache = Cache::in_memory(bound);
        let service = service(&list, &cache);
        for round in 0..2 {
            for (path, source) in &files {
                let answer = get(&service, &format!("/{path}"), &[PACK]).await;
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
fn bound_of_entries_holds() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path().join("cache")).max_entries(3).build().unwrap();
        let files: Vec<_> = (0..9).map(|n| (format!("{n}.txt"), hex(5_000, n))).collect();
        let list = borrowed(&files);
        let service = service(&list, &cache);
        for (path, source) in &files {
            assert!(get(&service, &format!("/{path}"), &[PACK]).await.decoded() == *source);
            settled(&service).await;
            assert!(entries(&directory).len() <= 3);
        }
        assert_eq!((cache.stats().entries, cache.stats().evictions), (3, 6));
    });
}

#[test]
fn source_over_a_quarter_of_the_bound_is_identity() {
    run(async {
        let source = hex(300_000, 2);
        let cache = Cache::in_memory(1 << 20);
        let service = service(&[("a.txt", &source)], &cache);
        for _ in 0..2 {
            let answer = get(&service, "/a.txt", &[PACK]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.coding(), answer.cache()),
                (200, "", "large")
            );
            assert!(answer.bytes() == source);
        }
        assert_eq!(encodes(&service, "*"), 0, "known before the encode");
        let nothing = self::service(&[("a.txt", &source)], &Cache::in_memory(0));
        assert!(get(&nothing, "/a.txt", &[PACK]).await.decoded() == source);
    });
}

#[test]
fn eviction_takes_the_least_recently_used_entry_first() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path().join("cache")).max_entries(3).build().unwrap();
        let files: Vec<_> = (0..4).map(|n| (format!("{n}.txt"), hex(5_000, n))).collect();
        let list = borrowed(&files);
        let service = service(&list, &cache);
        for n in 0..3 {
            get(&service, &format!("/{n}.txt"), &[PACK]).await;
            settled(&service).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        assert_eq!(get(&service, "/0.txt", &[PACK]).await.cache(), "hit");
        settled(&service).await;
        get(&service, "/3.txt", &[PACK]).await;
        settled(&service).await;
        for (n, cache) in [(0, "hit"), (2, "hit"), (3, "hit"), (1, "stored")] {
            assert_eq!(get(&service, &format!("/{n}.txt"), &[PACK]).await.cache(), cache, "{n}");
        }
    });
}

/// A client that asked for every file once evicted the file that everybody asks for.
#[test]
fn scan_of_all_files_leaves_the_entries_that_are_used() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path().join("cache")).max_entries(8).build().unwrap();
        let files: Vec<_> = (0..30).map(|n| (format!("{n}.txt"), hex(5_000, n))).collect();
        let list = borrowed(&files);
        let service = service(&list, &cache);
        for expected in ["stored", "hit"] {
            assert_eq!(get(&service, "/0.txt", &[PACK]).await.cache(), expected);
            settled(&service).await;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        for n in 1..30 {
            assert_eq!(get(&service, &format!("/{n}.txt"), &[PACK]).await.cache(), "stored");
            settled(&service).await;
        }
        // A cached response would hit without the entry.
        tokio::time::sleep(LOOK_AGAIN).await;
        assert_eq!(get(&service, "/0.txt", &[PACK]).await.cache(), "hit");
        assert_eq!(get(&service, "/1.txt", &[PACK]).await.cache(), "stored");
    });
}

/// Evicted entries that bodies still read take the room that they took before.
#[test]
fn evicted_open_entry_counts_against_the_bound() {
    run(async {
        let bound: u64 = 3 << 20;
        let files: Vec<_> = (0..24).map(|n| (format!("{n}.txt"), hex(600_000, n))).collect();
        let list = borrowed(&files);
        let service = service(&list, &Cache::in_memory(bound));
        let mut held = Vec::new();
        let mut bytes = 0;
        for (path, _) in &files {
            get(&service, &format!("/{path}"), &[PACK]).await;
            settled(&service).await;
            let response = open(&service, &format!("/{path}"), &[PACK]).await;
            if response.headers()["cache-status"] == "cachecompress; hit" {
                let len = response.headers()["content-length"].to_str().unwrap();
                bytes += len.parse::<u64>().unwrap();
                held.push(response);
            }
        }
        assert!(bytes <= bound, "{} open entries of {bytes} bytes", held.len());
    });
}

/// Running encodes have room reserved, which cannot be evicted. A new encode that did not fit
/// beside them evicted every entry, one after the other, and then still found no room.
#[test]
fn eviction_spares_entries_when_room_cannot_be_made() {
    run(async {
        let cache = Cache::in_memory(4 << 20);
        // Each reserves nearly a quarter of the bound while it is encoded.
        let large: Vec<_> = (0..4).map(|n| (format!("large{n}.txt"), hex(950_000, n))).collect();
        let small: Vec<_> = (0..5).map(|n| (format!("{n}.txt"), hex(5_000, 10 + n))).collect();
        let last = ("last.txt".to_owned(), hex(60_000, 20));
        let all: Vec<_> = large.iter().chain(&small).chain([&last]).collect();
        let files: Vec<_> = all.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let fill = service(&files, &cache);
        for (path, _) in &small {
            assert_eq!(get(&fill, &format!("/{path}"), &[PACK]).await.cache(), "stored");
        }
        settled(&fill).await;

        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &files, &cache).patience(SHORT);
        let service = service.encode_threads(8).build().unwrap();
        for (path, _) in &large {
            assert_eq!(get(&service, &format!("/{path}"), &[PACK]).await.cache(), "patience");
        }
        until(|| gate.arrived() == 4).await;
        let patient = builder(&Pack::new(), &files, &cache).build().unwrap();
        let refused = get(&patient, "/last.txt", &[PACK]).await;
        assert_eq!((refused.coding(), refused.cache()), ("", "disk"));
        assert!(refused.bytes() == last.1);
        assert_eq!((cache.stats().evictions, cache.stats().entries), (0, 5));
        gate.open_wide();
        settled(&service).await;
        for (path, source) in small.iter().chain(&large) {
            let answer = get(&patient, &format!("/{path}"), &[PACK]).await;
            assert_eq!(answer.cache(), "hit", "{path}");
            assert!(answer.decoded() == *source);
        }
        assert_eq!(get(&patient, "/last.txt", &[PACK]).await.cache(), "stored", "room again");
    });
}

/// An operator lowered a bound because the disk ran full, and restarted. The cache did not shrink
/// before the first write.
#[test]
fn lowered_bound_holds_soon_after_a_restart_without_writes() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..12).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list = borrowed(&files);
        let cache = on_disk(&directory);
        let fill = service(&list, &cache);
        for (path, _) in &files {
            assert_eq!(get(&fill, &format!("/{path}"), &[PACK]).await.cache(), "stored");
        }
        settled(&fill).await;
        let bytes = cache.stats().bytes;
        drop((fill, cache));
        let on_disk = || -> u64 {
            let sizes = entries(&directory).into_iter();
            sizes.filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
        };
        assert_eq!((entries(&directory).len(), on_disk()), (12, bytes));
        let _smaller = Cache::builder(root(&directory)).max_bytes(bytes / 2).build().unwrap();
        until(|| on_disk() <= bytes / 2).await;
        let left = entries(&directory).len();
        assert!(left >= 5, "no more than has to go, and {left} are left");
        let _fewer = Cache::builder(root(&directory)).max_entries(3).build().unwrap();
        until(|| entries(&directory).len() <= 3).await;
    });
}

/// Each start made room for one entry more, though none was to be written: a cache that was exactly
/// full lost an entry with every restart.
#[test]
fn full_cache_loses_nothing_at_a_restart() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..3).map(|n| (format!("{n}.txt"), hex(9_000, n))).collect();
        let list = borrowed(&files);
        let fill = service(&list, &on_disk(&directory));
        for (path, _) in &files {
            assert_eq!(get(&fill, &format!("/{path}"), &[PACK]).await.cache(), "stored");
        }
        settled(&fill).await;
        let full = Cache::builder(root(&directory)).max_entries(3).build().unwrap();
        until(|| full.stats().entries + full.stats().evictions >= 3).await;
        tokio::time::sleep(SHORT).await;
        assert_eq!((full.stats().evictions, entries(&directory).len()), (0, 3));
    });
}
