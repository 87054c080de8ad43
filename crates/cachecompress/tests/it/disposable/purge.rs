//! `entries` and `purge`: the list of a cache's entries, and their removal under running services.

#![cfg(all(unix, feature = "brotli", feature = "gzip"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators and other processes do"
)]

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cachecompress::cache::{CacheFiles, Care, Damage, Kind, Litter, PurgeSummary, StoredEntry};
use cachecompress::codec::PIECE;
use cachecompress::{Cache, ContentCoding, Digest, ErrorKind, Memory, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, encodes, get_as, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::{PATIENCE, until};

fn list(files: &CacheFiles) -> Vec<StoredEntry> {
    let mut all = Vec::new();
    let summary = files.entries(|care| {
        if let Care::Entry { entry, .. } = care {
            all.push(entry.clone());
        }
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    assert_eq!(summary.entries, all.len() as u64);
    assert_eq!(summary.bytes, all.iter().map(|entry| entry.size).sum::<u64>());
    all
}

fn purge(
    files: &CacheFiles,
    dry_run: bool,
    mut wanted: impl FnMut(&StoredEntry) -> bool,
) -> PurgeSummary {
    let mut told = 0;
    let wanted = |_: &Digest, entry: Option<&StoredEntry>| entry.is_some_and(&mut wanted);
    let summary = files.purge(dry_run, wanted, |care| {
        told += u64::from(matches!(care, Care::Purged { .. }));
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    assert_eq!(summary.entries, told);
    summary
}

/// A service over two files with the given cache, and three entries of them.
async fn service_of(cache: &Cache) -> ServeCompressed {
    let files = Memory::new().file("a.txt", hex(3_000, 1)).file("b.txt", hex(90_000, 2));
    let service =
        ServeCompressed::builder(files).cache(cache.clone()).patience(LONG).build().unwrap();
    for (path, coding) in [("/a.txt", "gzip"), ("/a.txt", "br"), ("/b.txt", "gzip")] {
        assert_eq!(get_as(&service, path, coding).await.cache(), "stored", "{path} {coding}");
    }
    settled(&service).await;
    service
}

#[test]
fn entries_are_listed_with_their_lengths_levels_and_times() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let began = SystemTime::now() - Duration::from_secs(1);
        let cache = Cache::builder(&root).build().unwrap();
        let service = service_of(&cache).await;
        let sent = get_as(&service, "/b.txt", "gzip").await;
        let all = list(&CacheFiles::new(&root));
        assert_eq!(all, list(&cache.files()), "beside the cache, and as the cache itself");
        assert_eq!(all.len(), 3);
        let b = all.iter().find(|entry| entry.source_len == 90_000).unwrap();
        assert_eq!(b.digest, Digest::of(&hex(90_000, 2)));
        assert_eq!((&b.coding, b.kind), (&ContentCoding::GZIP, Kind::Representation));
        assert_eq!(b.encoded_len, sent.bytes().len() as u64);
        assert!(b.size > b.encoded_len + 150 && b.size < b.encoded_len + 600, "{b:?}");
        assert_eq!(b.level(), Some(6));
        let whole = began - Duration::from_secs(1);
        assert!(b.created >= whole && b.used >= began && b.used <= SystemTime::now(), "{b:?}");
        assert!(all.is_sorted_by_key(|entry| entry.digest));

        // Damage of a header is told, and damage of a payload is not looked for.
        let path = |entry: &StoredEntry| {
            let mut found = None;
            let told = CacheFiles::new(&root).entries(|care| match care {
                Care::Entry { path, entry: this } if this == entry => {
                    found = Some(path.to_owned());
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            });
            assert!(told.unwrap().stopped);
            found.unwrap()
        };
        let (first, last) = (path(&all[0]), path(&all[2]));
        let mut bytes = fs::read(&first).unwrap();
        bytes[20] ^= 1;
        fs::write(&first, bytes).unwrap();
        let cut = fs::read(&last).unwrap();
        fs::write(&last, &cut[..cut.len() - 7]).unwrap();
        let mut told = Vec::new();
        let summary = CacheFiles::new(&root).entries(|care| {
            if let Care::Damaged { path, damage } = care {
                told.push((path.to_owned(), damage));
            }
            ControlFlow::Continue(())
        });
        let summary = summary.unwrap();
        assert_eq!((summary.entries, summary.damaged), (1, 2));
        assert_eq!(told, [(first, Damage::Checksum), (last, Damage::Length)]);
    });
}

/// `purge --all` left damaged entries behind, whose digests their names tell.
#[test]
fn damaged_entry_is_purged_by_its_digest() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let cache = Cache::builder(&root).build().unwrap();
        drop(service_of(&cache).await);
        let paths = || {
            let mut paths = Vec::new();
            let listed = CacheFiles::new(&root).entries(|care| {
                if let Care::Entry { path, .. } | Care::Damaged { path, .. } = care {
                    paths.push(path.to_owned());
                }
                ControlFlow::Continue(())
            });
            listed.unwrap();
            paths
        };
        let b = Digest::of(&hex(90_000, 2));
        for path in paths() {
            fs::write(&path, b"damaged").unwrap();
        }
        let is_b = |digest: &Digest, entry: Option<&StoredEntry>| entry.is_none() && *digest == b;
        for (dry_run, left) in [(true, 3), (false, 2)] {
            let (mut removed, mut kept) = (Vec::new(), 0);
            let purged = cache.files().purge(dry_run, is_b, |care| {
                match care {
                    Care::Removed { path, litter: Litter::Damaged(_) } => {
                        removed.push(path.to_owned());
                    }
                    Care::Damaged { .. } => kept += 1,
                    _ => {}
                }
                ControlFlow::Continue(())
            });
            let purged = purged.unwrap();
            assert_eq!((purged.entries, purged.kept, purged.failed), (0, 0, 0));
            assert_eq!((purged.damaged, purged.damaged_kept, kept), (1, 2, 2));
            let name = removed[0].file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with(&b.hex()), "{name}");
            assert_eq!(paths().len(), left);
        }
    });
}

#[test]
fn cache_in_memory_and_one_whose_directory_is_gone_have_lists() {
    run(async {
        let cache = Cache::in_memory(1 << 20);
        assert_eq!(list(&cache.files()), []);
        let _service = service_of(&cache).await;
        assert_eq!(list(&cache.files()).len(), 3);
        assert_eq!(purge(&cache.files(), false, |_| true).entries, 3);
        assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));

        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path().join("cache")).build().unwrap();
        fs::remove_dir_all(directory.path().join("cache")).unwrap();
        assert_eq!(list(&cache.files()), []);
        let other = CacheFiles::new(directory.path()).purge(false, |_, _| true, |_| panic!());
        assert_eq!(other.unwrap_err().kind(), ErrorKind::Config);
    });
}

/// Purges what `by` names beside a running service, or as its own cache.
async fn purged_and_encoded_again(by_another: bool) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("cache");
    let cache = Cache::builder(&root).build().unwrap();
    let service = service_of(&cache).await;
    let files = if by_another { CacheFiles::new(&root) } else { cache.files() };
    let before = (list(&files), cache.stats());
    let gzip = |entry: &StoredEntry| entry.coding == ContentCoding::GZIP;
    let planned = purge(&files, true, gzip);
    assert_eq!((planned.entries, planned.kept), (2, 1));
    assert_eq!((list(&files), cache.stats()), before, "a dry run changes nothing");
    assert_eq!(get_as(&service, "/a.txt", "gzip").await.cache(), "hit");

    assert_eq!(purge(&files, false, gzip), planned);
    assert_eq!(list(&files).len(), 1);
    if !by_another {
        assert_eq!(cache.stats().entries, 1, "the cache knows at once");
        assert_eq!(cache.stats().bytes, before.1.bytes - planned.bytes);
    }
    // The service has the entries open. It serves from them until it looks again.
    let began = Instant::now();
    loop {
        let answer = get_as(&service, "/a.txt", "gzip").await;
        assert!(answer.decoded() == hex(3_000, 1));
        if answer.cache() != "hit" {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the removal is never noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    settled(&service).await;
    assert_eq!(encodes(&service, "gzip"), 3, "once more, and no other one");
    assert_eq!(get_as(&service, "/a.txt", "br").await.cache(), "hit");
    assert_eq!(list(&files).len(), 2);
    assert!(
        fs::read_dir(root.join("v1/locks"))
            .unwrap()
            .all(|lock| { lock.unwrap().file_name().to_string_lossy().starts_with("open-") })
    );
}

#[test]
fn entries_that_another_program_purges_are_encoded_again() {
    run(purged_and_encoded_again(true));
}

#[test]
fn entries_that_the_own_cache_purges_are_encoded_again() {
    run(purged_and_encoded_again(false));
}

/// An encode under way publishes its entry after a purge of all, and bodies that are being sent from
/// a purged entry come to their end.
#[test]
fn purge_of_all_takes_nothing_from_bodies_and_encodes_that_run() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let source = hex(4 * PIECE, 1);
        let gate = Gate::new();
        let cache = Cache::builder(&root).build().unwrap();
        let files = Memory::new().file("a.txt", source.clone()).file("b.txt", hex(3 * PIECE, 2));
        let service = ServeCompressed::builder(files)
            .encoder(coding(), Arc::new(Pack::gated(&gate)))
            .cache(cache.clone())
            .memory_cache(0)
            .patience(LONG)
            .build()
            .unwrap();
        assert_eq!(get_as(&service, "/b.txt", "gzip").await.cache(), "stored");
        settled(&service).await;
        let sent = open(&service, "/b.txt", &[("accept-encoding", "gzip")]).await;
        gate.open(2);
        let growing = open(&service, "/a.txt", &[("accept-encoding", "x-pack")]).await;
        until(|| gate.arrived() == 3).await;
        assert_eq!(purge(&CacheFiles::new(&root), false, |_| true).entries, 1);
        assert!(read(sent).await.decoded() == hex(3 * PIECE, 2));
        gate.open_wide();
        assert!(read(growing).await.decoded() == source);
        settled(&service).await;
        assert_eq!(list(&cache.files()).len(), 1);
        assert_eq!(get_as(&service, "/a.txt", "x-pack").await.cache(), "hit");
    });
}
