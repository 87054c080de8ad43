//! One encode for all simultaneous requests, and for all services on one cache.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use cachecompress::Cache;
use cachecompress::codec::PIECE;
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{encodes, get, get_as, run, settled};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::until;

use crate::fixture::stored::{PACK, in_memory};

#[test]
fn simultaneous_cold_requests_share_one_encode() {
    run(async {
        let source = hex(12 * PIECE, 5);
        for name in ["br", "zstd", "gzip", "deflate"] {
            let service = in_memory(&Pack::new(), &[("a.txt", &source)]).build().unwrap();
            let answers: Vec<_> = (0..40)
                .map(|_| {
                    let service = service.clone();
                    tokio::spawn(async move { get_as(&service, "/a.txt", name).await })
                })
                .collect();
            for answer in answers {
                let answer = answer.await.unwrap();
                assert_eq!(answer.coding(), name);
                assert!(answer.decoded() == source);
            }
            assert_eq!(encodes(&service, "*"), 1, "{name}");
        }
    });
}

#[test]
fn services_on_one_cache_encode_once() {
    run(async {
        let source = hex(20_000, 9);
        let cache = Cache::in_memory(64 << 20);
        let gate = Gate::new();
        let pack = Pack::gated(&gate);
        let service =
            || in_memory(&pack, &[("a.txt", &source)]).cache(cache.clone()).build().unwrap();
        let (one, two) = (service(), service());
        let leading = tokio::spawn({
            let one = one.clone();
            async move { get(&one, "/a.txt", &[PACK]).await }
        });
        until(|| gate.arrived() == 1).await;
        let locked = get(&two, "/a.txt", &[PACK]).await;
        assert_eq!((locked.coding(), locked.cache()), ("", "locked"));
        assert!(locked.bytes() == source);
        gate.open_wide();
        let first = leading.await.unwrap();
        settled(&one).await;
        let second = get(&two, "/a.txt", &[PACK]).await;
        assert_eq!((second.cache(), second.field("etag")), ("hit", first.field("etag")));
        assert_eq!(second.bytes(), first.bytes());
        assert_eq!(encodes(&one, "*") + encodes(&two, "*"), 1);
    });
}

#[test]
fn unprofitable_encode_is_tried_once() {
    run(async {
        for len in [5_000, 3 * PIECE] {
            let source = random(10, len);
            let cache = Cache::in_memory(64 << 20);
            let pack = Pack::new();
            let service = in_memory(&pack, &[("a.txt", &source)]).cache(cache.clone());
            let service = service.build().unwrap();
            get(&service, "/a.txt", &[PACK]).await.is_exact_or_aborted(&source);
            settled(&service).await;
            let begun = pack.begun();
            let again = in_memory(&pack, &[("b.txt", &source)]).cache(cache).build().unwrap();
            for (service, path) in [(&service, "/a.txt"), (&service, "/a.txt"), (&again, "/b.txt")]
            {
                let next = get(service, path, &[PACK]).await;
                assert_eq!((next.coding(), next.cache()), ("", "unprofitable"), "{len}");
                assert!(next.bytes() == source);
            }
            assert_eq!(pack.begun(), begun, "not even a sample");
            let built_in = get_as(&service, "/a.txt", "gzip, br, zstd, deflate").await;
            assert_eq!((built_in.coding(), built_in.cache()), ("", "unprofitable"));
            let forced = [("accept-encoding", "x-pack, identity;q=0")];
            let forced = get(&service, "/a.txt", &forced).await;
            assert_eq!(
                forced.coding(),
                "x-pack",
                "a verdict lowers preference, it forbids nothing"
            );
            assert!(forced.decoded() == source);
        }
    });
}
