//! One lookup, one read and one hash per file.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;
use std::time::Duration;

use cachecompress::{Cache, ContentCoding, Preference, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::service::{LONG, get_as, head, run};
use cachecompress_test::wait::{PATIENCE, until};

use crate::fixture::edited::{Edited, HUGE, always_looks, made};

/// A file of more than 256 MiB goes out before it is hashed. Each request meanwhile had it hashed
/// once more. When the hash ended, the file seemed to replace another one and got a later date.
#[test]
fn huge_file_is_hashed_once_and_keeps_its_date() {
    run(async {
        let gate = Gate::new();
        let file = made(0, HUGE, Some(Arc::clone(&gate)));
        let source = Edited::new(Some(file.source()));
        source.lookups.open_wide();
        let service = always_looks(&source);
        let ask = async || head(&service, "/a.txt", &[("accept-encoding", "gzip")]).await;
        let first = ask().await;
        let date = first.field("last-modified").to_owned();
        assert_eq!(date, "Sun, 13 Sep 2020 12:26:40 GMT");
        // The first time it cannot be read; the second time what came before it is as nameless.
        for time in 1..=2 {
            // The hash before may not have ended yet, and only a request begins another.
            let began = std::time::Instant::now();
            while gate.arrived() < time {
                assert!(began.elapsed() < PATIENCE, "no hash begins");
                assert_eq!(ask().await.field("last-modified"), date);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            for _ in 0..20 {
                let meanwhile = ask().await;
                assert_eq!((meanwhile.status.as_u16(), meanwhile.cache()), (200, "unhashed"));
                assert_eq!(meanwhile.field("etag"), "");
                assert_eq!(meanwhile.field("last-modified"), date);
            }
            assert_eq!(gate.arrived(), time, "once, however many ask");
            if time == 1 {
                file.break_once();
                gate.open(1);
                until(|| !file.is_broken()).await;
            }
        }
        gate.open_wide();
        until(|| file.bytes_read() >= HUGE).await;
        let began = std::time::Instant::now();
        while ask().await.cache() == "unhashed" {
            assert!(began.elapsed() < PATIENCE, "the hash has ended");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for _ in 0..5 {
            let hashed = head(&service, "/a.txt", &[]).await;
            assert_ne!(hashed.field("etag"), "");
            assert_eq!(hashed.field("last-modified"), date);
        }
        assert_eq!((gate.arrived(), file.bytes_read()), (2, HUGE), "read once");
    });
}

/// `warm` passed by a file whose hash was still under way. The largest files, for which it matters
/// most, were never stored ahead.
#[test]
fn warm_waits_for_the_hash_of_a_huge_file() {
    run(async {
        let source = Edited::new(Some(made(0, HUGE, None).source()));
        source.lookups.open_wide();
        let service = ServeCompressed::builder(Arc::clone(&source))
            .cache(Cache::in_memory(2 << 30))
            .preference(Preference::List(vec![ContentCoding::ZSTD]))
            .patience(LONG)
            .build()
            .unwrap();
        let mut lengths = Vec::new();
        let paths = service.paths().unwrap();
        let summary = service.warm(paths, |warmed| lengths.push(warmed.encoded_len)).await;
        assert_eq!((summary.stored, summary.failed), (1, 0));
        let hit = head(&service, "/a.txt", &[("accept-encoding", "zstd")]).await;
        assert_eq!((hit.coding(), hit.cache()), ("zstd", "hit"));
        let len = lengths[0].unwrap();
        assert_eq!(hit.field("content-length"), len.to_string());
        assert!(len < HUGE / 1000, "{len} bytes of nothing");
    });
}

/// `warm` gave a file up whose hash was about to begin, as it saw neither a digest nor a hash under
/// way.
#[test]
fn warm_waits_for_a_hash_that_is_about_to_begin() {
    run(async {
        for round in 0..300 {
            let gate = Gate::new();
            let file = made(0, HUGE, Some(Arc::clone(&gate)));
            let source = Edited::new(Some(file.source()));
            source.lookups.open_wide();
            let service = always_looks(&source);
            let warming =
                tokio::spawn(async move { service.warm(service.paths().unwrap(), |_| {}).await });
            until(|| gate.arrived() == 1).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(!warming.is_finished(), "given up, round {round}");
            file.break_once();
            gate.open_wide();
            warming.abort();
        }
    });
}

/// A small file was opened and read once to be hashed, and again to be encoded.
#[test]
fn small_file_is_looked_up_and_read_once() {
    run(async {
        let file = made(b'a', 60_000, None);
        let source = Edited::new(Some(file.source()));
        source.lookups.open_wide();
        let builder = ServeCompressed::builder(Arc::clone(&source)).patience(LONG);
        let service = builder.revalidate(LONG).build().unwrap();
        for coding in ["zstd", "gzip"] {
            let cold = get_as(&service, "/a.txt", coding).await;
            assert_eq!((cold.coding(), cold.cache()), (coding, "stored"));
            assert!(cold.decoded() == [b'a'; 60_000]);
        }
        let read = file.bytes_read();
        assert_eq!((source.lookups.arrived(), read), (1, 60_000));
    });
}
