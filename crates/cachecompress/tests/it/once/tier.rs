//! Replicas that share a store encode a content once together.

#![cfg(all(feature = "tier", feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::time::Duration;

use cachecompress::tier::TierMode;
use cachecompress::{Shutdown, TierOutcome};
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{encodes, run, settled};
use cachecompress_test::site::{files_below, hex};
use cachecompress_test::wait::until;

use crate::fixture::replica::{LEASED, RACED, Replica, stored_in, tier_in};

/// The replicas of which one imports. On a busy machine a store may be too slow for some of them.
const REPLICAS: usize = 5;

#[test]
fn second_replica_imports_what_the_first_has_encoded() {
    for len in [RACED, LEASED] {
        run(async {
            let (store, source) = (tempfile::tempdir().unwrap(), hex(len, 5));
            let one = Replica::new(&Pack::new(), &source, store.path()).await;
            let first = one.get().await;
            assert_eq!((first.cache(), first.decoded() == source), ("stored", true));
            one.has_stored(1).await;
            assert_eq!(stored_in(store.path()).len(), 1);

            for left in (0..REPLICAS).rev() {
                let two = Replica::new(&Pack::new(), &source, store.path()).await;
                let second = two.get().await;
                assert!(second.bytes() == first.bytes(), "the same bytes have the same tag");
                assert_eq!(second.field("etag"), first.field("etag"));
                settled(&two.service).await;
                assert_eq!(two.get().await.cache(), "hit");
                // The answer that no encode waited for is counted, too.
                until(|| two.metrics().requests.iter().any(|(_, count)| *count > 0)).await;
                let metrics = two.metrics();
                let figures = (two.requests(TierOutcome::Hit), metrics.uploads_stored);
                assert!(metrics.imports == 0 || figures == (1, 0), "{metrics:?}");
                // The encode of a shorter file may be done before the object comes.
                if len == RACED {
                    break;
                }
                if metrics.imports == 1 {
                    assert_eq!((second.cache(), encodes(&two.service, "*")), ("tier", 0));
                    assert!(metrics.read_bytes as usize > first.bytes().len());
                    assert!(metrics.cpu_saved > Duration::ZERO, "{metrics:?}");
                    break;
                }
                let failed = [TierOutcome::Error, TierOutcome::Timeout];
                assert!(failed.iter().any(|of| two.requests(*of) > 0), "{metrics:?}");
                assert!(left > 0, "no replica imports: {metrics:?}");
            }
        });
    }
}

#[test]
fn replica_that_only_reads_stores_nothing() {
    run(async {
        let (store, source) = (tempfile::tempdir().unwrap(), hex(LEASED, 6));
        let read_only = tier_in(store.path()).mode(TierMode::ReadOnly);
        let one = Replica::with(&Pack::new(), &source, read_only).await;
        assert_eq!(one.get().await.cache(), "stored");
        settled(&one.service).await;
        one.service.shutdown(Shutdown::Finish).await;
        assert_eq!(one.requests(TierOutcome::Miss), 1);
        assert!(files_below(store.path()).is_empty());
    });
}

#[test]
fn short_encode_asks_no_store() {
    run(async {
        let (store, source) = (tempfile::tempdir().unwrap(), hex(100_000, 7));
        let one = Replica::new(&Pack::new(), &source, store.path()).await;
        assert_eq!(one.get().await.cache(), "stored");
        one.service.shutdown(Shutdown::Finish).await;
        let metrics = one.metrics();
        assert!(metrics.requests.iter().all(|(_, count)| *count == 0), "{metrics:?}");
        assert!(stored_in(store.path()).is_empty());
    });
}

/// Each replica waits for the one that has the lease, and takes what that one stores.
#[test]
fn replicas_that_start_together_encode_once() {
    run(async {
        let (store, source) = (tempfile::tempdir().unwrap(), hex(LEASED, 8));
        let pack = Pack::new();
        let mut replicas = Vec::new();
        for _ in 0..6 {
            replicas.push(Replica::new(&pack, &source, store.path()).await);
        }
        let answers = replicas.iter().map(Replica::get);
        for answer in futures_util::future::join_all(answers).await {
            assert!(answer.decoded() == source);
        }
        let total: u64 = replicas.iter().map(|replica| encodes(&replica.service, "*")).sum();
        assert_eq!(total, 1);
        let leases: u64 = replicas.iter().map(|replica| replica.metrics().leases_acquired).sum();
        assert_eq!(leases, 1);
    });
}

#[test]
fn shutdown_stores_what_waits() {
    run(async {
        let (store, source) = (tempfile::tempdir().unwrap(), hex(LEASED, 9));
        let one = Replica::new(&Pack::new(), &source, store.path()).await;
        assert_eq!(one.get().await.cache(), "stored");
        one.service.shutdown(Shutdown::Finish).await;
        assert_eq!((stored_in(store.path()).len(), one.metrics().upload_queue), (1, 0));
    });
}
