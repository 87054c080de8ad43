//! Damage to entries on disk, and reads that look like damage.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators, disks and other processes do"
)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cachecompress::Cache;
use cachecompress::fs::RealDisk;
use cachecompress_test::gate::Gate;
use cachecompress_test::service::{encodes, get, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;
use cachecompress_test::{FaultDisk, Op};
use tempfile::TempDir;

use crate::fixture::stored::{PACK, entries, on_disk, root, service};

/// A time longer than an open entry is trusted without a look at its file.
const LOOK_AGAIN: Duration = Duration::from_millis(1100);

/// A cache on disk whose only entry, of `source` in `x-pack`, was last used two hours ago. Also
/// returns the tag of what it holds.
async fn old_entry(source: &[u8]) -> (TempDir, PathBuf, String) {
    let directory = tempfile::tempdir().unwrap();
    let fill = service(&[("a.txt", source)], &on_disk(&directory));
    let stored = get(&fill, "/a.txt", &[PACK]).await;
    assert_eq!(stored.cache(), "stored");
    settled(&fill).await;
    let path = entries(&directory).pop().unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    // The sync of the published entry may still be under way. It changes no time.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    (directory, path, stored.field("etag").to_owned())
}

fn is_reader() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("cc-cache"))
}

#[test]
fn entry_damaged_on_disk_is_counted_replaced_and_never_sent() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4_000, 6);
        let fill = service(&[("a.txt", &source)], &on_disk(&directory));
        let good = get(&fill, "/a.txt", &[PACK]).await;
        settled(&fill).await;
        let path = entries(&directory).pop().unwrap();
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
            let answer = get(&service, "/a.txt", &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "stored"), "damage {n}");
            assert!(answer.decoded() == source);
            assert_eq!(answer.field("etag"), good.field("etag"));
            settled(&service).await;
            assert_eq!(cache.stats().damaged, 1);
            assert_eq!(service.metrics().damaged_entries, 1);
            let again = get(&service, "/a.txt", &[PACK]).await;
            assert_eq!(again.cache(), "hit");
            assert_eq!(again.bytes(), good.bytes());
        }
    });
}

#[test]
fn open_entry_damaged_in_place_is_found_out() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4_000, 7);
        let cache = on_disk(&directory);
        let service = service(&[("a.txt", &source)], &cache);
        get(&service, "/a.txt", &[PACK]).await;
        settled(&service).await;
        let path = entries(&directory).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        tokio::time::sleep(LOOK_AGAIN).await;
        fs::write(&path, bytes).unwrap();
        let answer = get(&service, "/a.txt", &[PACK]).await;
        assert!(answer.decoded() == source);
        settled(&service).await;
        assert_eq!(cache.stats().damaged, 1);
    });
}

#[test]
fn entry_under_the_name_of_another_is_not_believed() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (hex(4_000, 8), hex(4_000, 9));
        let files: [(&str, &[u8]); 2] = [("a.txt", &a), ("b.txt", &b)];
        let fill = service(&files, &on_disk(&directory));
        get(&fill, "/a.txt", &[PACK]).await;
        get(&fill, "/b.txt", &[PACK]).await;
        settled(&fill).await;
        let paths = entries(&directory);
        let contents: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        for (path, content) in paths.iter().zip(contents.iter().rev()) {
            fs::remove_file(path).unwrap();
            fs::write(path, content).unwrap();
        }
        let cache = on_disk(&directory);
        let service = service(&files, &cache);
        assert!(get(&service, "/a.txt", &[PACK]).await.decoded() == a);
        assert!(get(&service, "/b.txt", &[PACK]).await.decoded() == b);
        assert_eq!(cache.stats().damaged, 2);
    });
}

/// The first use of an entry in an hour is written into its modification time. Another request
/// that was reading the entry at that moment, to verify it, saw the time change, took the entry
/// for damaged and deleted it.
#[test]
fn entry_touched_while_it_is_verified_is_not_damaged() {
    run(async {
        let source = hex(200_000, 1);
        for range in [true, false] {
            let (directory, path, tag) = old_entry(&source).await;
            let gate = Gate::new();
            let (held, first) = (Arc::clone(&gate), AtomicBool::new(true));
            let (touches, touched) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
            let counted = Arc::clone(&touches);
            let disk = FaultDisk::watched(RealDisk, move |op| match op {
                // Reads of the cache itself at its opening do not count.
                Op::FileRead if is_reader() && first.swap(false, Ordering::SeqCst) => held.pass(),
                Op::FileTouch => {
                    counted.store(touched.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                }
                _ => {}
            });
            let cache = Cache::builder(root(&directory)).disk(Arc::new(disk)).build().unwrap();
            let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
            let (one, two) = (service(&files, &cache), service(&files, &cache));
            let verifying = tokio::spawn({
                let one = one.clone();
                async move {
                    let fields = [PACK, ("range", "bytes=10-99"), ("if-range", &*tag)];
                    get(&one, "/a.txt", if range { &fields } else { &fields[..1] }).await
                }
            });
            until(|| gate.arrived() == 1).await;
            assert_eq!(get(&two, "/a.txt", &[PACK]).await.cache(), "hit");
            assert_eq!(touches.load(Ordering::SeqCst), 1, "its first use is written down");
            gate.open_wide();
            let answer = verifying.await.unwrap();
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "hit"));
            assert_eq!(answer.status, if range { 206 } else { 200 });
            assert_eq!(cache.stats().damaged, 0);
            assert!(path.exists(), "the entry is still there");
            assert_eq!(encodes(&one, "*") + encodes(&two, "*"), 0);
        }
    });
}

/// A player asks for many ranges at once, right after a restart.
#[test]
fn crowd_after_a_restart_costs_no_entry() {
    run(async {
        let source = hex(1 << 20, 2);
        for _ in 0..8 {
            let (directory, path, tag) = old_entry(&source).await;
            let cache = on_disk(&directory);
            let service = service(&[("a.txt", &source)], &cache);
            let asking: Vec<_> = (0..24)
                .map(|n| {
                    let (service, tag) = (service.clone(), tag.clone());
                    tokio::spawn(async move {
                        let range = format!("bytes={}-{}", n * 1000, n * 1000 + 99);
                        let fields = [PACK, ("range", &*range), ("if-range", &*tag)];
                        let fields = if n % 4 == 0 { &fields[..1] } else { &fields };
                        get(&service, "/a.txt", fields).await
                    })
                })
                .collect();
            for (n, asked) in asking.into_iter().enumerate() {
                let answer = asked.await.unwrap();
                assert_eq!(answer.status, if n % 4 == 0 { 200 } else { 206 });
                assert_eq!((answer.coding(), answer.cache()), ("x-pack", "hit"), "{n}");
            }
            assert_eq!((cache.stats().damaged, encodes(&service, "*")), (0, 0));
            assert!(path.exists());
        }
    });
}
