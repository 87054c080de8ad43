//! Patience, queues, followers, and clients that leave.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;
use std::time::Duration;

use cachecompress::codec::PIECE;
use cachecompress::fs::MemoryDisk;
use cachecompress::source::Found;
use cachecompress::{Cache, Error, Memory, Preference, ServeCompressed, Source, SourcePath};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{
    chunk, decode, encodes, get, get_as, open, read, request, run, send, settled,
};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::{PATIENCE, until};
use cachecompress_test::{FaultDisk, Op};
use http::Version;
use http_body_util::BodyExt as _;

use crate::fixture::stored::{PACK, borrowed, builder, in_memory};

const SHORT: Duration = Duration::from_millis(30);
const YEAR: Duration = Duration::from_secs(31_557_600);

#[test]
fn encoder_slower_than_patience_costs_the_coding_and_goes_on() {
    run(async {
        for len in [20_000, 4 * PIECE] {
            let source = hex(len, 1);
            let gate = Gate::new();
            let pack = Pack::gated(&gate);
            let service = in_memory(&pack, &[("a.txt", &source)]).patience(SHORT).build().unwrap();
            for _ in 0..3 {
                let answer = get(&service, "/a.txt", &[PACK]).await;
                assert_eq!((answer.coding(), answer.cache()), ("", "patience"));
                assert_eq!(answer.field("vary"), "Accept-Encoding");
                assert!(answer.bytes() == source);
            }
            assert_eq!(service.metrics().inflight, 1, "the work goes on");
            gate.open_wide();
            settled(&service).await;
            let next = get(&service, "/a.txt", &[PACK]).await;
            assert_eq!((next.coding(), next.cache()), ("x-pack", "hit"));
            assert!(next.decoded() == source);
            assert_eq!(encodes(&service, "x-pack"), 1, "once");
        }
    });
}

const LOOKUP: Duration = Duration::from_millis(8);

/// A source whose lookups take so long that other requests join them.
#[derive(Debug)]
struct Slow(Memory);

impl Source for Slow {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        std::thread::sleep(LOOKUP);
        self.0.lookup(path)
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.0.paths()
    }
}

/// The age of a lookup and a request's deadline overflowed.
#[test]
fn extremes_of_patience_and_revalidate_are_served() {
    run(async {
        let source = hex(20_000, 3);
        let most = Duration::from_secs(u64::MAX);
        for time in [Duration::ZERO, Duration::from_nanos(1), 584 * YEAR, most, Duration::MAX] {
            let site = || {
                let source = Slow(Memory::new().file("a.txt", source.clone()));
                ServeCompressed::builder(source).encoder(coding(), Arc::new(Pack::new()))
            };
            let endless = Duration::MAX;
            for (service, waits) in [
                (site().patience(time), time > SHORT),
                (site().revalidate(time).patience(endless), true),
            ] {
                let service = service.build().unwrap();
                for _ in 0..3 {
                    // The second one joins the lookup of the first, which has begun.
                    let ask = || get(&service, "/a.txt", &[PACK]);
                    let second = async {
                        std::thread::sleep(LOOKUP / 4);
                        ask().await
                    };
                    let (first, answer) = tokio::join!(ask(), second);
                    assert!(first.decoded() == source && answer.decoded() == source, "{time:?}");
                    assert!(!waits || answer.coding() == "x-pack", "{time:?}");
                    assert_eq!(get(&service, "/none", &[PACK]).await.status, 404);
                }
            }
        }
    });
}

#[test]
fn zero_patience_means_identity_until_the_entry_is_stored() {
    run(async {
        let source = hex(20_000, 2);
        let service = in_memory(&Pack::new(), &[("a.txt", &source)]).patience(Duration::ZERO);
        let service = service.build().unwrap();
        let first = get(&service, "/a.txt", &[PACK]).await;
        assert!(first.decoded() == source);
        settled(&service).await;
        assert_eq!(get(&service, "/a.txt", &[PACK]).await.cache(), "hit");
    });
}

#[test]
fn client_without_identity_waits_as_long_as_it_takes() {
    run(async {
        let source = hex(20_000, 3);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).patience(SHORT);
        let service = service.build().unwrap();
        let fields = [("accept-encoding", "x-pack, identity;q=0")];
        let waiting = tokio::spawn({
            let service = service.clone();
            async move { get(&service, "/a.txt", &fields).await }
        });
        until(|| gate.arrived() == 1).await;
        tokio::time::sleep(SHORT * 3).await;
        assert!(!waiting.is_finished());
        gate.open_wide();
        let answer = waiting.await.unwrap();
        assert_eq!(answer.coding(), "x-pack");
        assert!(answer.decoded() == source);
    });
}

#[test]
fn full_queue_means_identity() {
    run(async {
        let files: Vec<_> = (0..4).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list = borrowed(&files);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &list).patience(SHORT);
        let service = service.encode_threads(2).queue(1).build().unwrap();
        for n in 0..2 {
            let answer = get(&service, &format!("/{n}.txt"), &[PACK]).await;
            assert_eq!(answer.cache(), "patience");
            until(|| gate.arrived() == n + 1).await;
        }
        assert_eq!(get(&service, "/2.txt", &[PACK]).await.cache(), "patience");
        assert_eq!(service.metrics().queue_length, 1);
        let refused = get(&service, "/3.txt", &[PACK]).await;
        assert_eq!(
            (refused.status.as_u16(), refused.coding(), refused.cache()),
            (200, "", "queue")
        );
        assert!(refused.bytes() == files[3].1);
        let fields = [("accept-encoding", "x-pack, identity;q=0")];
        let busy = get(&service, "/3.txt", &fields).await;
        assert_eq!((busy.status.as_u16(), busy.field("retry-after")), (503, "1"));
        gate.open_wide();
        settled(&service).await;
        assert_eq!(get(&service, "/2.txt", &[PACK]).await.cache(), "hit");
        assert_eq!(get(&service, "/3.txt", &[PACK]).await.cache(), "stored", "room again");
    });
}

#[test]
fn followers_get_all_bytes_while_they_are_produced() {
    run(async {
        let source = hex(6 * PIECE + 321, 4);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let leader = open(&service, "/a.txt", &[PACK]).await;
        assert!(leader.headers()["cache-status"].to_str().unwrap().ends_with("stored"));
        let mut bodies = vec![(Vec::new(), leader.into_body())];
        for n in 0..20 {
            if n % 4 == 0 {
                gate.open(1);
            }
            let response = open(&service, "/a.txt", &[PACK]).await;
            assert!(response.headers()["cache-status"].to_str().unwrap().ends_with("collapsed"));
            let mut body = response.into_body();
            let first = if n % 2 == 0 { chunk(&mut body).await.to_vec() } else { Vec::new() };
            bodies.push((first, body));
        }
        assert_eq!(service.metrics().inflight, 1, "they got bytes before the end");
        gate.open_wide();
        for (mut coded, body) in bodies {
            coded.extend_from_slice(&body.collect().await.unwrap().to_bytes());
            assert!(decode("x-pack", &coded) == source);
        }
        assert_eq!(encodes(&service, "x-pack"), 1);
    });
}

#[test]
fn encode_goes_on_when_its_client_leaves() {
    run(async {
        let source = hex(6 * PIECE, 6);
        for pieces in 0..6 {
            let gate = Gate::new();
            let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
            gate.open(pieces);
            let first = tokio::spawn({
                let service = service.clone();
                async move {
                    let mut response = open(&service, "/a.txt", &[PACK]).await;
                    chunk(response.body_mut()).await;
                    std::future::pending::<()>().await;
                    drop(response);
                }
            });
            until(|| gate.arrived() == pieces + 1).await;
            let follower = tokio::spawn({
                let service = service.clone();
                async move { get(&service, "/a.txt", &[PACK]).await }
            });
            first.abort();
            assert!(first.await.is_err());
            gate.open_wide();
            assert!(follower.await.unwrap().decoded() == source, "{pieces} pieces");
            settled(&service).await;
            assert_eq!(get(&service, "/a.txt", &[PACK]).await.cache(), "hit");
            assert_eq!(encodes(&service, "x-pack"), 1);
        }
    });
}

#[test]
fn encode_without_clients_is_finished_for_the_next() {
    run(async {
        let source = hex(6 * PIECE, 7);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(2);
        drop(open(&service, "/a.txt", &[PACK]).await);
        gate.open_wide();
        settled(&service).await;
        assert_eq!(get(&service, "/a.txt", &[PACK]).await.cache(), "hit");
    });
}

#[test]
fn body_outlives_the_service() {
    run(async {
        let source = hex(6 * PIECE, 8);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let growing = open(&service, "/a.txt", &[PACK]).await;
        let plain = open(&service, "/a.txt", &[]).await;
        drop(service);
        gate.open_wide();
        assert!(read(growing).await.decoded() == source);
        assert!(read(plain).await.decoded() == source);
    });
}

#[test]
fn http_1_0_never_gets_a_body_without_a_length() {
    run(async {
        let source = hex(4 * PIECE, 12);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).patience(SHORT);
        let service = service.build().unwrap();
        let old = |fields: &[(&str, &str)]| {
            let mut request = request("GET", "/a.txt", fields);
            *request.version_mut() = Version::HTTP_10;
            request
        };
        gate.open(1);
        for _ in 0..2 {
            let answer = read(send(&service, old(&[PACK])).await).await;
            assert_eq!(answer.coding(), "");
            assert_eq!(answer.field("content-length"), source.len().to_string());
            assert!(answer.bytes() == source);
        }
        let waiting = tokio::spawn({
            let (service, request) =
                (service.clone(), old(&[("accept-encoding", "x-pack, *;q=0")]));
            async move { read(send(&service, request).await).await }
        });
        tokio::time::sleep(SHORT).await;
        assert!(!waiting.is_finished(), "it waits for the whole");
        gate.open_wide();
        let whole = waiting.await.unwrap();
        assert_eq!(whole.coding(), "x-pack");
        assert!(whole.headers.contains_key("content-length"));
        assert!(whole.decoded() == source);
        settled(&service).await;
        let hit = read(send(&service, old(&[PACK])).await).await;
        assert_eq!((hit.cache(), hit.coding()), ("hit", "x-pack"));
        assert!(hit.decoded() == source && hit.headers.contains_key("content-length"));
    });
}

#[test]
fn large_source_streams_before_its_encode_ends() {
    run(async {
        let source = hex(4 * PIECE, 13);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let mut response = open(&service, "/a.txt", &[PACK]).await;
        assert!(!response.headers().contains_key("content-length"));
        let mut coded = chunk(response.body_mut()).await.to_vec();
        assert_eq!(service.metrics().inflight, 1);
        gate.open_wide();
        coded.extend_from_slice(&response.into_body().collect().await.unwrap().to_bytes());
        assert!(decode("x-pack", &coded) == source);
    });
}

/// A client that refuses identity joins the encode of a client that accepts it. The encode ends
/// with the verdict that it saves too little.
#[test]
fn client_without_identity_is_served_an_unprofitable_encode() {
    run(async {
        let source = random(11, 20_000);
        let gate = Gate::new();
        let pack = Pack { late: true, ..Pack::gated(&gate) };
        let service = in_memory(&pack, &[("a.txt", &source)]).build().unwrap();
        let spawn = |fields: [(&'static str, &'static str); 1]| {
            let service = service.clone();
            tokio::spawn(async move { get(&service, "/a.txt", &fields).await })
        };
        let first = spawn([PACK]);
        until(|| gate.arrived() == 1).await;
        let second = spawn([("accept-encoding", "x-pack, identity;q=0")]);
        tokio::time::sleep(SHORT).await;
        gate.open_wide();
        assert!(first.await.unwrap().decoded() == source);
        let second = second.await.unwrap();
        assert_eq!((second.status.as_u16(), second.coding()), (200, "x-pack"));
        assert!(second.decoded() == source);
    });
}

/// The first output of a small source is all of it, so nothing is streamed. The answer has a
/// length, and an encoder at fault breaks no body.
#[test]
fn small_cold_source_has_a_length() {
    run(async {
        for name in ["x-pack", "br", "zstd", "gzip", "deflate"] {
            for seed in 0..12 {
                let source = hex(60_000, 100 + seed);
                let service = in_memory(&Pack::new(), &[("a.txt", &source)]).build().unwrap();
                let answer = get_as(&service, "/a.txt", name).await;
                assert_eq!((answer.coding(), answer.cache()), (name, "stored"));
                assert!(answer.decoded() == source);
                assert!(answer.headers.contains_key("content-length"), "{name}");
            }
        }
    });
}

/// Published entries are written to the medium later. Those jobs stood in the encodes' own queue. A
/// slow medium filled it, and requests were answered with `detail=queue`.
#[test]
fn slow_medium_fills_no_queue_of_encodes() {
    run(async {
        let files: Vec<_> = (0..8).map(|n| (format!("{n}.txt"), hex(9_000, n))).collect();
        let list = borrowed(&files);
        let medium = Gate::new();
        let held = Arc::clone(&medium);
        let disk = FaultDisk::watched(MemoryDisk::new(), move |op| {
            if op == Op::FileSync {
                held.pass();
            }
        });
        let cache = Cache::builder("/cache").disk(Arc::new(disk)).build().unwrap();
        let offered = Preference::List(vec![coding()]);
        let service = builder(&Pack::new(), &list, &cache).preference(offered);
        let service = service.encode_threads(2).queue(1).build().unwrap();
        for (n, (path, source)) in files[..2].iter().enumerate() {
            let answer = get(&service, &format!("/{path}"), &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "stored"));
            assert!(answer.decoded() == *source);
            until(|| medium.arrived() > n as u64).await;
        }
        // `warm` encodes beside them.
        let path = SourcePath::parse(files[2].0.as_bytes()).unwrap();
        let warmed = tokio::time::timeout(PATIENCE, service.warm([path], |_| {}));
        assert_eq!(warmed.await.expect("warm does not wait for the medium").stored, 1);
        for (path, source) in &files[3..] {
            let answer = get(&service, &format!("/{path}"), &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "stored"));
            assert!(answer.decoded() == *source);
        }
        // The medium is still held, and no encode waits behind it.
        settled(&service).await;
        medium.open_wide();
        settled(&service).await;
        assert_eq!(service.metrics().entries, 8);
    });
}
