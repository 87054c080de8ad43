//! `warm`: encodes ahead of any request.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::future::Future as _;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cachecompress::codec::PIECE;
use cachecompress::{ContentCoding, Detail, Preference, Shutdown, WarmOptions, WarmProgress};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{encodes, get_as, run};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::until;

use crate::fixture::stored::{borrowed, builder, in_memory, on_disk};

#[test]
fn warm_fills_the_cache_and_tells_about_it() {
    run(async {
        let text = hex(20_000, 15);
        let dull = random(16, 3 * PIECE);
        let files: [(&str, &[u8]); 4] =
            [("a.txt", &text), ("b.bin", &dull), ("c.png", &text), ("d.txt", b"short")];
        let list = Preference::List(vec![ContentCoding::GZIP, coding()]);
        let service = in_memory(&Pack::new(), &files).preference(list).build().unwrap();
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
        let missing = cachecompress::SourcePath::parse(b"gone.txt").unwrap();
        let summary = service.warm([missing], |_| panic!("nothing was done")).await;
        assert_eq!(summary.failed, 1);
        let encodes_before = encodes(&service, "*");
        service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!(encodes(&service, "*"), encodes_before, "a second time costs nothing");
    });
}

#[test]
fn warmed_tells_what_is_reused_and_why_one_is_missing() {
    run(async {
        let (text, dull) = (hex(20_000, 20), random(21, 20_000));
        let files: [(&str, &[u8]); 2] = [("a.txt", &text), ("b.bin", &dull)];
        let service = in_memory(&Pack::new(), &files).build().unwrap();
        let warmed = async || {
            let mut seen = Vec::new();
            let options = WarmOptions::new().codings([ContentCoding::GZIP]);
            let each = |progress: &WarmProgress| seen.extend(progress.latest.clone());
            service.warm_with(options, each).await.unwrap();
            seen
        };
        let [first, none] = &warmed().await[..] else { panic!("two files") };
        assert_eq!((first.reused, first.missing), (false, None));
        assert!(first.encode_time > Duration::ZERO || cfg!(cachecompress_portable));
        assert_eq!((none.reused, none.missing), (false, Some(Detail::Unprofitable)));
        let [second, none] = &warmed().await[..] else { panic!("two files") };
        assert_eq!((second.reused, second.encode_time), (true, Duration::ZERO));
        assert_eq!(second.encoded_len, first.encoded_len);
        assert_eq!(none.missing, Some(Detail::Unprofitable));
    });
}

/// Another cache of the same directory stands for another process. The representation counted as failed.
#[test]
fn warm_waits_while_another_cache_encodes_the_same() {
    run(async {
        let text = hex(20_000, 22);
        let files: [(&str, &[u8]); 1] = [("a.txt", &text)];
        let directory = tempfile::tempdir().unwrap();
        let gate = Gate::new();
        let list = || Preference::List(vec![coding()]);
        let held = builder(&Pack::gated(&gate), &files, &on_disk(&directory)).preference(list());
        let held = held.build().unwrap();
        let leading = tokio::spawn(async move { held.warm_with(WarmOptions::new(), |_| {}).await });
        until(|| gate.arrived() > 0).await;
        let other = builder(&Pack::new(), &files, &on_disk(&directory)).preference(list());
        let other = other.build().unwrap();
        let mut reused = Vec::new();
        let each = |progress: &WarmProgress| {
            reused.extend(progress.latest.as_ref().map(|latest| latest.reused));
        };
        let summary = {
            let mut waiting = pin!(other.warm_with(WarmOptions::new(), each));
            // It meets the lock in this time. If it does not, the test says less.
            let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
            assert!(early.is_err(), "{early:?}");
            gate.open_wide();
            waiting.await.unwrap()
        };
        assert_eq!((summary.stored, summary.failed, reused), (1, 0, vec![true]));
        assert_eq!(leading.await.unwrap().unwrap().stored, 1);
        assert_eq!(encodes(&other, "*"), 0);
    });
}

#[test]
fn warm_ends_whatever_the_length_of_the_queue() {
    run(async {
        let files: Vec<_> = (0..24).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list = borrowed(&files);
        let list_of_one = Preference::List(vec![coding()]);
        let service = in_memory(&Pack::new(), &list).queue(2).preference(list_of_one);
        let service = service.build().unwrap();
        let summary = service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!((summary.stored, summary.failed), (24, 0));
    });
}

#[test]
fn warm_counts_unprofitable_encodes_apart_from_stored_ones() {
    run(async {
        let source = random(17, 20_000);
        let list = Preference::List(vec![coding()]);
        let service = in_memory(&Pack::new(), &[("a.bin", &source)]).preference(list);
        let service = service.build().unwrap();
        let summary = service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!((summary.stored, summary.unprofitable, summary.failed), (0, 1, 0));
    });
}

#[test]
fn progress_counts_every_file_and_names_the_chosen_codings_alone() {
    run(async {
        let (text, dull) = (hex(20_000, 18), random(19, 20_000));
        let files: [(&str, &[u8]); 4] =
            [("a.txt", &text), ("b.bin", &dull), ("c.png", &text), ("d.txt", b"short")];
        let service = in_memory(&Pack::new(), &files).exclude("c.png").build().unwrap();
        let unknown = ContentCoding::new("x-unknown").unwrap();
        let options = WarmOptions::new().codings([ContentCoding::GZIP, unknown]);
        let mut seen = Vec::new();
        let summary = service
            .warm_with(options, |progress| {
                let latest = progress.latest.as_ref().map(|latest| {
                    assert_eq!(latest.coding, ContentCoding::GZIP);
                    latest.path.as_str().unwrap().to_owned()
                });
                seen.push((progress.files_done, progress.files_total, latest));
                assert!(progress.summary.failed == 0);
            })
            .await
            .unwrap();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(seen, [(1, 3, named("a.txt")), (2, 3, named("b.bin")), (3, 3, None)]);
        assert_eq!((summary.stored, summary.unprofitable, summary.failed), (1, 1, 0));
        assert_eq!(encodes(&service, "x-pack"), 0);

        let gone = "gone.txt".parse().unwrap();
        let options = WarmOptions::new().paths([gone, "d.txt".parse().unwrap()]);
        let mut done = Vec::new();
        let summary = service.warm_with(options, |progress| done.push(progress.files_done)).await;
        assert_eq!((summary.unwrap().failed, done), (1, vec![1, 2]));
    });
}

/// A service whose warming is held in the middle of an encode, with others waiting behind it.
async fn held(gate: &std::sync::Arc<Gate>) -> cachecompress::ServeCompressed {
    let files: Vec<_> = (0..8).map(|n| (format!("{n}.txt"), hex(3 * PIECE, n))).collect();
    let list = Preference::List(vec![coding()]);
    let pack = Pack::gated(gate);
    let service = in_memory(&pack, &borrowed(&files)).preference(list).encode_threads(2);
    service.build().unwrap()
}

#[test]
fn dropped_warming_gives_its_encodes_up() {
    run(async {
        let gate = Gate::new();
        let service = held(&gate).await;
        {
            let mut warming = pin!(service.warm_with(WarmOptions::new(), |_| {}));
            let begun = until(|| gate.arrived() > 0);
            tokio::select! {
                _ = &mut warming => panic!("the gate is closed"),
                () = begun => {}
            }
        }
        gate.open_wide();
        until(|| service.metrics().inflight == 0).await;
        assert_eq!(service.metrics().entries, 0);
        let answer = get_as(&service, "/0.txt", "x-pack").await;
        assert_eq!(answer.cache(), "stored");
        assert!(answer.decoded() == hex(3 * PIECE, 0));
    });
}

#[test]
fn request_that_joins_a_dropped_warming_gets_its_encode() {
    run(async {
        let gate = Gate::new();
        let service = held(&gate).await;
        let request = {
            let mut warming = pin!(service.warm_with(WarmOptions::new(), |_| {}));
            tokio::select! {
                _ = &mut warming => panic!("the gate is closed"),
                () = until(|| gate.arrived() > 0) => {}
            }
            let joined = service.clone();
            let request = tokio::spawn(async move { get_as(&joined, "/0.txt", "x-pack").await });
            // The request has joined once it waits for the coding.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            request
        };
        gate.open_wide();
        let answer = request.await.unwrap();
        assert_eq!(answer.coding(), "x-pack");
        assert!(answer.decoded() == hex(3 * PIECE, 0));
        until(|| service.metrics().inflight == 0).await;
        assert_eq!(service.metrics().entries, 1, "the other files are given up");
    });
}

#[test]
fn orderly_end_does_not_wait_for_a_warming() {
    run(async {
        let gate = Gate::new();
        let service = held(&gate).await;
        let warmed = service.clone();
        let warming =
            tokio::spawn(async move { warmed.warm_with(WarmOptions::new(), |_| {}).await });
        until(|| gate.arrived() > 0).await;
        let mut ending = pin!(service.shutdown(Shutdown::Finish));
        let at_once = std::future::poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx))).await;
        assert!(at_once.is_pending(), "an encode is under way");
        // It sees the end at its next piece, and the others do not begin.
        gate.open_wide();
        ending.await;
        let summary = warming.await.unwrap().unwrap();
        assert_eq!(summary.stored, 0, "{summary:?}");
    });
}

#[test]
fn second_warming_outlives_the_first() {
    run(async {
        let gate = Gate::new();
        let service = held(&gate).await;
        let (first, second) = (service.clone(), service.clone());
        let first = tokio::spawn(async move { first.warm_with(WarmOptions::new(), |_| {}).await });
        until(|| gate.arrived() > 0).await;
        let mut second = pin!(second.warm_with(WarmOptions::new(), |_| {}));
        // It has joined the first one's encodes once it waits.
        for _ in 0..20 {
            let _ = std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx))).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        first.abort();
        assert!(first.await.is_err());
        gate.open_wide();
        let summary = second.await.unwrap();
        assert_eq!((summary.stored, summary.failed), (8, 0));
    });
}

/// It went on to look up and to hash all other files, for nothing.
#[test]
fn warming_ends_with_the_shutdown() {
    run(async {
        let gate = Gate::new();
        let files: Vec<_> = (0..500).map(|n| (format!("{n}.txt"), hex(300, n))).collect();
        let list = Preference::List(vec![coding()]);
        let service = in_memory(&Pack::gated(&gate), &borrowed(&files)).preference(list);
        let service = service.build().unwrap();
        let warmed = service.clone();
        let mut done = 0;
        let warming = async move {
            let counted =
                warmed.warm_with(WarmOptions::new(), |progress| done = progress.files_done);
            let summary = counted.await.unwrap();
            (summary, done)
        };
        let warming = tokio::spawn(warming);
        until(|| gate.arrived() > 0).await;
        let mut ending = pin!(service.shutdown(Shutdown::Finish));
        let _ = std::future::poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx))).await;
        gate.open_wide();
        ending.await;
        let (summary, done) = warming.await.unwrap();
        assert!(done < 100, "{done} of 500 files, {summary:?}");
    });
}

/// The flight of a dropped warming fails at the moment of a request, which must lead its own.
#[test]
fn insisting_request_outlives_a_dropped_warming() {
    run(async {
        for round in 0..30 {
            let files: Vec<_> =
                (0..8).map(|n| (format!("{n}.txt"), hex(20_000, n + 100 * round))).collect();
            let list = Preference::List(vec![coding()]);
            let service = in_memory(&Pack::new(), &borrowed(&files)).preference(list);
            let service = service.encode_threads(2).build().unwrap();
            let warmed = service.clone();
            let warming =
                tokio::spawn(async move { warmed.warm_with(WarmOptions::new(), |_| {}).await });
            let mut requests = Vec::new();
            for n in 0..8 {
                let service = service.clone();
                requests.push(tokio::spawn(async move {
                    for _ in 0..(n * round) % 7 {
                        tokio::task::yield_now().await;
                    }
                    get_as(&service, &format!("/{n}.txt"), "x-pack, identity;q=0").await
                }));
                if n == 4 {
                    warming.abort();
                }
            }
            for request in requests {
                assert_eq!(request.await.unwrap().status, 200);
            }
        }
    });
}
