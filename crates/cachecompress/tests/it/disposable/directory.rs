//! Cache directories that come and go, or cannot be written.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators, disks and other processes do"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use cachecompress::Cache;
use cachecompress::codec::PIECE;
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{get, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;

use crate::fixture::stored::{PACK, builder, entries, on_disk, service};

/// A time longer than an open entry is trusted without a look at its file.
const LOOK_AGAIN: Duration = Duration::from_millis(1100);

#[test]
fn directory_removal_between_requests_is_harmless() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(20_000, 10);
        let cache = on_disk(&directory);
        let service = service(&[("a.txt", &source)], &cache);
        for part in ["cache", "cache/v1", "cache/v1/entries", "cache/v1/locks", "cache"] {
            assert!(get(&service, "/a.txt", &[PACK]).await.decoded() == source);
            settled(&service).await;
            fs::remove_dir_all(directory.path().join(part)).unwrap();
            assert!(get(&service, "/a.txt", &[PACK]).await.decoded() == source, "{part}");
            tokio::time::sleep(LOOK_AGAIN).await;
            let after = get(&service, "/a.txt", &[PACK]).await;
            assert_eq!(after.coding(), "x-pack", "{part}: {}", after.cache());
            assert!(after.decoded() == source);
            settled(&service).await;
            assert_eq!(entries(&directory).len(), 1, "{part}: it is stored again");
        }
        assert!(directory.path().join("cache/CACHEDIR.TAG").exists());
    });
}

#[test]
fn directory_removal_during_an_encode_costs_the_entry_only() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(4 * PIECE, 11);
        let gate = Gate::new();
        let cache = on_disk(&directory);
        let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
        let service = builder(&Pack::gated(&gate), &files, &cache).build().unwrap();
        gate.open(2);
        let growing = open(&service, "/a.txt", &[PACK]).await;
        until(|| gate.arrived() == 3).await;
        fs::remove_dir_all(directory.path().join("cache")).unwrap();
        gate.open_wide();
        assert!(read(growing).await.decoded() == source);
        settled(&service).await;
        assert_eq!(entries(&directory).len(), 0);
        let next = get(&service, "/a.txt", &[PACK]).await;
        assert_eq!((next.coding(), next.cache()), ("x-pack", "stored"));
        settled(&service).await;
        assert_eq!(entries(&directory).len(), 1);
    });
}

#[test]
fn unwritable_directory_is_no_error_and_heals() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = hex(20_000, 12);
        // Not even root can make a directory in a file.
        fs::write(directory.path().join("cache"), "a file").unwrap();
        let cache = Cache::builder(directory.path().join("cache")).build().expect("no error");
        let service = service(&[("a.txt", &source)], &cache);
        for _ in 0..3 {
            let answer = get(&service, "/a.txt", &[PACK]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.coding(), answer.cache()),
                (200, "", "disk")
            );
            assert!(answer.bytes() == source);
            settled(&service).await;
        }
        fs::remove_file(directory.path().join("cache")).unwrap();
        let healed = get(&service, "/a.txt", &[PACK]).await;
        assert_eq!((healed.coding(), healed.cache()), ("x-pack", "stored"));
        settled(&service).await;
        assert_eq!(get(&service, "/a.txt", &[PACK]).await.cache(), "hit");
        assert_eq!(entries(&directory).len(), 1);
    });
}

#[cfg(unix)]
#[test]
fn entries_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    run(async {
        let directory = tempfile::tempdir().unwrap();
        let service = service(&[("a.txt", &hex(9_000, 14))], &on_disk(&directory));
        get(&service, "/a.txt", &[PACK]).await;
        settled(&service).await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = entries(&directory).pop().unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    });
}
