//! One encode per content, coding and cache, across restarts and across handles.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators, disks and other processes do"
)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cachecompress::codec::PIECE;
use cachecompress::fs::RealDisk;
use cachecompress::{Cache, Directory, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Fault, Pack};
use cachecompress_test::service::{LONG, encodes, get, get_as, open, read, run, settled};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::until;
use cachecompress_test::{FaultDisk, Op};

use crate::fixture::stored::{PACK, borrowed, builder, on_disk, root, service};

#[test]
fn cache_in_memory_stores_and_hits() {
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
fn restart_encodes_nothing_and_changes_no_byte() {
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
fn verdict_outlives_a_restart() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = random(4, 9_000);
        for round in 0..3 {
            let service = service(&[("a.bin", &source)], &on_disk(&directory));
            let answer = get(&service, "/a.bin", &[PACK]).await;
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
fn content_is_encoded_once_whatever_its_path_and_date() {
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
        // A redeploy makes the same bytes with another inode and another date.
        fs::write(site.join("new"), &source).unwrap();
        fs::rename(site.join("new"), site.join("a.txt")).unwrap();
        let third = get_as(&service, "/a.txt", "br").await;
        assert_eq!((third.cache(), third.field("etag")), ("hit", first.field("etag")));
        assert_eq!(encodes(&service, "*"), 1);
    });
}

#[test]
fn handles_on_one_directory_encode_once() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4 * PIECE, 13);
        let gate = Gate::new();
        let service = || {
            let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
            builder(&Pack::gated(&gate), &files, &on_disk(&directory)).build().unwrap()
        };
        let (one, two) = (service(), service());
        gate.open(1);
        let growing = open(&one, "/a.txt", &[PACK]).await;
        for _ in 0..2 {
            let locked = get(&two, "/a.txt", &[PACK]).await;
            assert_eq!((locked.coding(), locked.cache()), ("", "locked"));
            assert!(locked.bytes() == source);
        }
        gate.open_wide();
        let first = read(growing).await;
        settled(&one).await;
        let second = get(&two, "/a.txt", &[PACK]).await;
        assert_eq!((second.cache(), second.field("etag")), ("hit", first.field("etag")));
        assert!(second.body.unwrap() == first.body.unwrap());
        assert_eq!(encodes(&one, "*") + encodes(&two, "*"), 1);
        let locks = fs::read_dir(directory.path().join("cache/v1/locks")).unwrap();
        let names = locks.map(|lock| lock.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| name.starts_with("open-")), "a writer's lock is left");
    });
}

#[test]
fn concurrent_handles_agree_and_stay_within_the_bounds() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..12).map(|n| (format!("{n}.txt"), hex(30_000, n))).collect();
        let list = borrowed(&files);
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
                let answer = get(&service, &format!("/{path}"), &[PACK]).await;
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

/// A client that accepts nothing but gzip had random bytes encoded. The unprofitable entry was then
/// sent to every client as a hit.
#[test]
fn unprofitable_entry_hits_only_without_identity() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = random(1, 20_000);
        let insists = [("accept-encoding", "gzip, identity;q=0")];
        for round in 0..2 {
            let service = service(&[("a.bin", &source)], &on_disk(&directory));
            // The first requests after the restart find the entry by themselves.
            for others_first in [round == 1, false] {
                if !others_first {
                    let forced = get(&service, "/a.bin", &insists).await;
                    assert_eq!((forced.status.as_u16(), forced.coding()), (200, "gzip"));
                    assert!(forced.decoded() == source);
                    settled(&service).await;
                }
                for _ in 0..2 {
                    let other = get_as(&service, "/a.bin", "gzip").await;
                    assert_eq!((other.coding(), other.cache()), ("", "unprofitable"));
                    assert!(other.bytes() == source);
                    let range = [("accept-encoding", "gzip"), ("range", "bytes=5-9")];
                    let part = get(&service, "/a.bin", &range).await;
                    assert_eq!((part.status.as_u16(), part.coding()), (206, ""));
                    assert_eq!(part.bytes(), &source[5..10]);
                }
            }
            let again = get(&service, "/a.bin", &insists).await;
            assert_eq!((again.coding(), again.cache()), ("gzip", "hit"));
            settled(&service).await;
            assert_eq!(encodes(&service, "*"), u64::from(round == 0), "once");
        }
    });
}

/// Whether this thread encodes.
fn is_encoder() -> bool {
    std::thread::current().name() == Some("cc-encode")
}

/// The verdict of an encode was written down after the right to encode had been given back. In
/// between, another process began the same encode.
#[test]
fn verdict_is_written_before_its_lock_is_released() {
    run(async {
        let raw = Pack { raw: true, ..Pack::new() };
        let at_fault = Pack { fault: Fault::FlipBit, ..Pack::new() };
        for (pack, detail) in [(raw, "unprofitable"), (at_fault, "encoder")] {
            let directory = tempfile::tempdir().unwrap();
            let source = hex(9_000, 1);
            let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
            let gate = Gate::new();
            let (held, begun) = (Arc::clone(&gate), AtomicBool::new(false));
            // The first lock or name after the encode has begun is the verdict's.
            let disk = FaultDisk::watched(RealDisk, move |op| match op {
                Op::FileReserve if is_encoder() => begun.store(true, Ordering::SeqCst),
                Op::TryLock | Op::FilePublish if begun.load(Ordering::SeqCst) => held.pass(),
                _ => {}
            });
            let cache = Cache::builder(root(&directory)).disk(Arc::new(disk)).build().unwrap();
            let one = builder(&pack, &files, &cache).build().unwrap();
            let two = builder(&pack, &files, &on_disk(&directory)).build().unwrap();
            let first = tokio::spawn({
                let one = one.clone();
                async move { get(&one, "/a.txt", &[PACK]).await }
            });
            until(|| gate.arrived() == 1).await;
            let meanwhile = get(&two, "/a.txt", &[PACK]).await;
            assert_eq!((meanwhile.coding(), meanwhile.cache()), ("", "locked"), "{detail}");
            gate.open_wide();
            let first = first.await.unwrap();
            assert_eq!((first.coding(), first.cache()), ("", detail));
            settled(&one).await;
            let next = get(&two, "/a.txt", &[PACK]).await;
            assert_eq!((next.coding(), next.cache()), ("", detail));
            assert!(next.bytes() == source);
            assert_eq!((encodes(&one, "*"), encodes(&two, "*")), (1, 0));
        }
    });
}
