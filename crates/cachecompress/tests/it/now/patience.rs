//! Who waits for what, and for how long: patience, queues, flights, and clients that leave.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;
use std::time::Duration;

use cachecompress::codec::PIECE;
use cachecompress::semantics::ContentCoding;
use cachecompress::{Builder, Cache, Memory, Preference, ServeCompressed, Shutdown};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{
    LONG, chunk, decode, encodes, get, get_as, open, read, request, run, send, settled,
};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::until;
use http::Version;
use http_body_util::BodyExt as _;

const SHORT: Duration = Duration::from_millis(30);
const CODING: [(&str, &str); 1] = [("accept-encoding", "x-pack")];

fn builder(pack: &Pack, files: &[(&str, &[u8])]) -> Builder {
    let mut source = Memory::new();
    for (path, bytes) in files {
        source = source.file(path, bytes.to_vec());
    }
    ServeCompressed::builder(source).encoder(coding(), Arc::new(pack.clone())).patience(LONG)
}

#[test]
fn an_encoder_slower_than_patience_costs_only_the_compression_and_goes_on() {
    run(async {
        for len in [20_000, 4 * PIECE] {
            let source = hex(len, 1);
            let gate = Gate::new();
            let pack = Pack::gated(&gate);
            let service = builder(&pack, &[("a.txt", &source)]).patience(SHORT).build().unwrap();
            for _ in 0..3 {
                let answer = get(&service, "/a.txt", &CODING).await;
                assert_eq!((answer.coding(), answer.cache()), ("", "patience"));
                assert_eq!(answer.field("vary"), "Accept-Encoding");
                assert!(answer.bytes() == source);
            }
            assert_eq!(service.metrics().inflight, 1, "the work goes on");
            gate.open_wide();
            settled(&service).await;
            let next = get(&service, "/a.txt", &CODING).await;
            assert_eq!((next.coding(), next.cache()), ("x-pack", "hit"));
            assert!(next.decoded() == source);
            assert_eq!(encodes(&service, "x-pack"), 1, "once");
        }
    });
}

#[test]
fn no_patience_at_all_means_identity_until_it_is_stored() {
    run(async {
        let source = hex(20_000, 2);
        let service = builder(&Pack::new(), &[("a.txt", &source)]).patience(Duration::ZERO);
        let service = service.build().unwrap();
        let first = get(&service, "/a.txt", &CODING).await;
        assert!(first.decoded() == source);
        settled(&service).await;
        assert_eq!(get(&service, "/a.txt", &CODING).await.cache(), "hit");
    });
}

#[test]
fn a_client_that_refuses_identity_waits_as_long_as_it_takes() {
    run(async {
        let source = hex(20_000, 3);
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).patience(SHORT);
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
fn a_full_queue_means_identity() {
    run(async {
        let files: Vec<_> = (0..4).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &list).patience(SHORT);
        let service = service.encode_threads(2).queue(1).build().unwrap();
        for n in 0..2 {
            let answer = get(&service, &format!("/{n}.txt"), &CODING).await;
            assert_eq!(answer.cache(), "patience");
            until(|| gate.arrived() == n + 1).await;
        }
        assert_eq!(get(&service, "/2.txt", &CODING).await.cache(), "patience");
        assert_eq!(service.metrics().queue_length, 1);
        let refused = get(&service, "/3.txt", &CODING).await;
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
        assert_eq!(get(&service, "/2.txt", &CODING).await.cache(), "hit");
        assert_eq!(get(&service, "/3.txt", &CODING).await.cache(), "stored", "room again");
    });
}

#[test]
fn all_who_join_get_all_bytes_while_they_are_produced() {
    run(async {
        let source = hex(6 * PIECE + 321, 4);
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let leader = open(&service, "/a.txt", &CODING).await;
        assert!(leader.headers()["cache-status"].to_str().unwrap().ends_with("stored"));
        let mut bodies = vec![(Vec::new(), leader.into_body())];
        for n in 0..20 {
            if n % 4 == 0 {
                gate.open(1);
            }
            let response = open(&service, "/a.txt", &CODING).await;
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
fn cold_requests_all_at_once_share_one_encode_in_every_coding() {
    run(async {
        let source = hex(12 * PIECE, 5);
        for name in ["br", "zstd", "gzip", "deflate"] {
            let service = builder(&Pack::new(), &[("a.txt", &source)]).build().unwrap();
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
fn a_client_that_leaves_at_any_moment_stops_nothing() {
    run(async {
        let source = hex(6 * PIECE, 6);
        for pieces in 0..6 {
            let gate = Gate::new();
            let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
            gate.open(pieces);
            let first = tokio::spawn({
                let service = service.clone();
                async move {
                    let mut response = open(&service, "/a.txt", &CODING).await;
                    chunk(response.body_mut()).await;
                    std::future::pending::<()>().await;
                    drop(response);
                }
            });
            until(|| gate.arrived() == pieces + 1).await;
            let follower = tokio::spawn({
                let service = service.clone();
                async move { get(&service, "/a.txt", &CODING).await }
            });
            first.abort();
            assert!(first.await.is_err());
            gate.open_wide();
            assert!(follower.await.unwrap().decoded() == source, "{pieces} pieces");
            settled(&service).await;
            assert_eq!(get(&service, "/a.txt", &CODING).await.cache(), "hit");
            assert_eq!(encodes(&service, "x-pack"), 1);
        }
    });
}

#[test]
fn an_encode_that_everybody_left_is_finished_for_the_next() {
    run(async {
        let source = hex(6 * PIECE, 7);
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(2);
        drop(open(&service, "/a.txt", &CODING).await);
        gate.open_wide();
        settled(&service).await;
        assert_eq!(get(&service, "/a.txt", &CODING).await.cache(), "hit");
    });
}

#[test]
fn a_body_outlives_the_service() {
    run(async {
        let source = hex(6 * PIECE, 8);
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let growing = open(&service, "/a.txt", &CODING).await;
        let plain = open(&service, "/a.txt", &[]).await;
        drop(service);
        gate.open_wide();
        assert!(read(growing).await.decoded() == source);
        assert!(read(plain).await.decoded() == source);
    });
}

#[test]
fn two_services_on_one_cache_encode_once() {
    run(async {
        let source = hex(20_000, 9);
        let cache = Cache::in_memory(64 << 20);
        let gate = Gate::new();
        let pack = Pack::gated(&gate);
        let service =
            || builder(&pack, &[("a.txt", &source)]).cache(cache.clone()).build().unwrap();
        let (one, two) = (service(), service());
        let leading = tokio::spawn({
            let one = one.clone();
            async move { get(&one, "/a.txt", &CODING).await }
        });
        until(|| gate.arrived() == 1).await;
        let locked = get(&two, "/a.txt", &CODING).await;
        assert_eq!((locked.coding(), locked.cache()), ("", "locked"));
        assert!(locked.bytes() == source);
        gate.open_wide();
        let first = leading.await.unwrap();
        settled(&one).await;
        let second = get(&two, "/a.txt", &CODING).await;
        assert_eq!((second.cache(), second.field("etag")), ("hit", first.field("etag")));
        assert_eq!(second.bytes(), first.bytes());
        assert_eq!(encodes(&one, "*") + encodes(&two, "*"), 1);
    });
}

#[test]
fn what_saves_too_little_is_tried_once_and_never_again() {
    run(async {
        for len in [5_000, 3 * PIECE] {
            let source = random(10, len);
            let cache = Cache::in_memory(64 << 20);
            let pack = Pack::new();
            let service = builder(&pack, &[("a.txt", &source)]).cache(cache.clone());
            let service = service.build().unwrap();
            get(&service, "/a.txt", &CODING).await.is_exact_or_aborted(&source);
            settled(&service).await;
            let begun = pack.begun();
            let again = builder(&pack, &[("b.txt", &source)]).cache(cache).build().unwrap();
            for (service, path) in [(&service, "/a.txt"), (&service, "/a.txt"), (&again, "/b.txt")]
            {
                let next = get(service, path, &CODING).await;
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

#[test]
fn http_1_0_never_gets_a_body_without_a_length() {
    run(async {
        let source = hex(4 * PIECE, 12);
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).patience(SHORT);
        let service = service.build().unwrap();
        let old = |fields: &[(&str, &str)]| {
            let mut request = request("GET", "/a.txt", fields);
            *request.version_mut() = Version::HTTP_10;
            request
        };
        gate.open(1);
        for _ in 0..2 {
            let answer = read(send(&service, old(&CODING)).await).await;
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
        let hit = read(send(&service, old(&CODING)).await).await;
        assert_eq!((hit.cache(), hit.coding()), ("hit", "x-pack"));
        assert!(hit.decoded() == source && hit.headers.contains_key("content-length"));
    });
}

#[test]
fn a_large_source_streams_before_its_encode_has_ended() {
    run(async {
        let source = hex(4 * PIECE, 13);
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let mut response = open(&service, "/a.txt", &CODING).await;
        assert!(!response.headers().contains_key("content-length"));
        let mut coded = chunk(response.body_mut()).await.to_vec();
        assert_eq!(service.metrics().inflight, 1);
        gate.open_wide();
        coded.extend_from_slice(&response.into_body().collect().await.unwrap().to_bytes());
        assert!(decode("x-pack", &coded) == source);
    });
}

#[test]
fn shutdown_finish_waits_for_what_runs_and_for_what_waits() {
    run(async {
        let files: Vec<_> = (0..4).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &list).patience(SHORT).encode_threads(2);
        let service = service.build().unwrap();
        for n in 0..4 {
            get(&service, &format!("/{n}.txt"), &CODING).await;
        }
        let ending = tokio::spawn({
            let service = service.clone();
            async move { service.shutdown(Shutdown::Finish).await }
        });
        tokio::time::sleep(SHORT).await;
        assert!(!ending.is_finished(), "two run, two wait");
        gate.open_wide();
        ending.await.unwrap();
        for n in 0..4 {
            assert_eq!(get(&service, &format!("/{n}.txt"), &CODING).await.cache(), "hit");
        }
        let fresh = get_as(&service, "/0.txt", "gzip").await;
        assert_eq!((fresh.status.as_u16(), fresh.coding()), (200, ""), "no new encodes");
        assert!(fresh.bytes() == files[0].1);
    });
}

#[test]
fn shutdown_drop_aborts_the_bodies_that_follow() {
    run(async {
        let source = hex(6 * PIECE, 14);
        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let response = open(&service, "/a.txt", &CODING).await;
        let ending = tokio::spawn({
            let service = service.clone();
            async move { service.shutdown(Shutdown::Drop).await }
        });
        tokio::time::sleep(SHORT).await;
        gate.open(1);
        assert!(read(response).await.body.is_err());
        ending.await.unwrap();
        let after = get(&service, "/a.txt", &CODING).await;
        assert_eq!((after.status.as_u16(), after.coding()), (200, ""));
        assert!(after.bytes() == source);
        assert_eq!(service.metrics().entries, 0, "nothing half is published");
    });
}

#[test]
fn warm_fills_the_cache_and_tells_about_it() {
    run(async {
        let text = hex(20_000, 15);
        let dull = random(16, 3 * PIECE);
        let files: [(&str, &[u8]); 4] =
            [("a.txt", &text), ("b.bin", &dull), ("c.png", &text), ("d.txt", b"short")];
        let list = Preference::List(vec![ContentCoding::GZIP, coding()]);
        let service = builder(&Pack::new(), &files).preference(list).build().unwrap();
        let mut seen = Vec::new();
        let summary = service
            .warm(service.paths().unwrap(), |warmed| {
                let path = warmed.path.to_string_lossy().into_owned();
                seen.push((path, warmed.coding.to_string(), warmed.source_len, warmed.encoded_len));
            })
            .await;
        assert_eq!((summary.stored, summary.unprofitable, summary.failed), (2, 2, 0), "{seen:?}");
        assert_eq!(seen.len(), 4, "{seen:?}");
        let dull = |(path, _, _, len): &&(String, String, u64, Option<u64>)| {
            path == "b.bin" && len.is_none()
        };
        assert_eq!(seen.iter().filter(dull).count(), 2, "{seen:?}");
        for name in ["gzip", "x-pack"] {
            let hit = get_as(&service, "/a.txt", name).await;
            assert_eq!(hit.cache(), "hit");
            assert!(seen.contains(&(
                "a.txt".to_owned(),
                name.to_owned(),
                20_000,
                Some(hit.bytes().len() as u64)
            )));
        }
        let missing = cachecompress::semantics::SourcePath::parse(b"gone.txt").unwrap();
        let summary = service.warm([missing], |_| panic!("nothing was done")).await;
        assert_eq!(summary.failed, 1);
        let encodes_before = encodes(&service, "*");
        service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!(encodes(&service, "*"), encodes_before, "a second time costs nothing");
    });
}

/// A client that takes nothing but the coding joins the encode of one that would take identity,
/// and that encode ends with the verdict that it saves too little.
#[test]
fn a_client_that_refuses_identity_is_served_though_it_joined_what_saves_too_little() {
    run(async {
        let source = random(11, 20_000);
        let gate = Gate::new();
        let pack = Pack { late: true, ..Pack::gated(&gate) };
        let service = builder(&pack, &[("a.txt", &source)]).build().unwrap();
        let spawn = |fields: [(&'static str, &'static str); 1]| {
            let service = service.clone();
            tokio::spawn(async move { get(&service, "/a.txt", &fields).await })
        };
        let first = spawn(CODING);
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

/// For small sources the first output is all of it, so there is nothing to stream: the answer
/// has a length, and an encoder at fault breaks no body.
#[test]
fn a_small_source_has_a_length_also_when_it_is_cold() {
    run(async {
        for name in ["x-pack", "br", "zstd", "gzip", "deflate"] {
            for seed in 0..12 {
                let source = hex(60_000, 100 + seed);
                let service = builder(&Pack::new(), &[("a.txt", &source)]).build().unwrap();
                let answer = get_as(&service, "/a.txt", name).await;
                assert_eq!((answer.coding(), answer.cache()), (name, "stored"));
                assert!(answer.decoded() == source);
                assert!(answer.headers.contains_key("content-length"), "{name}");
            }
        }
    });
}

/// The encode of an answer that has just been given is one that runs or waits, however early.
#[test]
fn shutdown_finish_forgets_no_encode_that_was_begun() {
    run(async {
        for seed in 0..100 {
            let source = hex(20_000, seed);
            let service = builder(&Pack::new(), &[("a.txt", &source)]).patience(Duration::ZERO);
            let service = service.build().unwrap();
            // So that the resource is known, and nothing comes between answer and shutdown.
            get(&service, "/a.txt", &[]).await;
            let first = get(&service, "/a.txt", &CODING).await;
            service.shutdown(Shutdown::Finish).await;
            let next = get(&service, "/a.txt", &CODING).await;
            assert_eq!(next.cache(), "hit", "after {:?}, try {seed}", first.cache());
        }
    });
}

#[test]
fn warm_gets_done_whatever_the_length_of_the_queue() {
    run(async {
        let files: Vec<_> = (0..24).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let list_of_one = Preference::List(vec![coding()]);
        let service = builder(&Pack::new(), &list).queue(2).preference(list_of_one);
        let service = service.build().unwrap();
        let summary = service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!((summary.stored, summary.failed), (24, 0));
    });
}

#[test]
fn warm_does_not_call_stored_what_saved_too_little() {
    run(async {
        let source = random(17, 20_000);
        let list = Preference::List(vec![coding()]);
        let service = builder(&Pack::new(), &[("a.bin", &source)]).preference(list);
        let service = service.build().unwrap();
        let summary = service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!((summary.stored, summary.unprofitable, summary.failed), (0, 1, 0));
    });
}
