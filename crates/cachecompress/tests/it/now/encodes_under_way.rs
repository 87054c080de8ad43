//! The encodes under way, as metrics and observers see them.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cachecompress::codec::PIECE;
use cachecompress::{Digest, EncodeProgress, EncodeState, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{chunk, get, open, run, settled};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::until;

use crate::fixture::stored::{PACK, borrowed, in_memory};

const SHORT: Duration = Duration::from_millis(30);

fn under_way(service: &ServeCompressed) -> Vec<EncodeProgress> {
    service.metrics().encodes_under_way
}

/// The number of encodes of `coding` whose durations were counted, and the sum of those.
fn durations(service: &ServeCompressed, coding: &str) -> (u64, Duration) {
    let metrics = service.metrics();
    let encodes = metrics.encodes.iter().find(|encodes| encodes.coding == coding).unwrap();
    let durations = &encodes.durations;
    let counts = durations.buckets.iter().map(|(_, count)| count);
    (counts.sum::<u64>() + durations.beyond, durations.sum)
}

#[test]
fn encode_shows_what_it_has_read_and_who_waits() {
    run(async {
        let source = hex(4 * PIECE, 1);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &[("a/b.txt", &source)]).build().unwrap();
        gate.open(1);
        let mut leader = open(&service, "/a/b.txt", &[PACK]).await;
        let coded = chunk(leader.body_mut()).await.len() as u64;
        let follower = open(&service, "/a/b.txt", &[PACK]).await;
        until(|| gate.arrived() == 2).await;
        let [encode] = &*under_way(&service) else { panic!("one encode") };
        assert_eq!((encode.path.as_str(), encode.coding.as_str()), (Some("a/b.txt"), "x-pack"));
        assert_eq!(
            (encode.digest, encode.source_bytes),
            (Digest::of(&source), source.len() as u64)
        );
        assert_eq!((encode.read_bytes, encode.encoded_bytes), (PIECE as u64, coded));
        assert_eq!((encode.waiters, encode.state), (2, EncodeState::Running));
        assert_eq!(durations(&service, "x-pack").0, 0, "it has not ended");
        drop((leader, follower));
        let [encode] = &*under_way(&service) else { panic!("nobody has to wait for it") };
        assert_eq!(encode.waiters, 0);
        gate.open_wide();
        settled(&service).await;
        assert_eq!(under_way(&service), []);
        let (count, sum) = durations(&service, "x-pack");
        assert!(count == 1 && sum > Duration::ZERO && sum >= encode.elapsed, "{count} {sum:?}");
    });
}

#[test]
fn encodes_stand_in_the_order_in_which_they_came() {
    run(async {
        let files: Vec<_> = (0..3).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &borrowed(&files)).patience(SHORT);
        let service = service.encode_threads(2).queue(1).build().unwrap();
        for n in 0..3 {
            let answer = get(&service, &format!("/{n}.txt"), &[PACK]).await;
            assert_eq!(answer.cache(), "patience");
            until(|| gate.arrived() == (n + 1).min(2)).await;
        }
        let found = under_way(&service);
        let shown = found.iter().map(|encode| (encode.path.to_string(), encode.state));
        let expected = [
            ("0.txt".to_owned(), EncodeState::Running),
            ("1.txt".to_owned(), EncodeState::Running),
            ("2.txt".to_owned(), EncodeState::Queued),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        gate.open_wide();
        settled(&service).await;
        assert_eq!(under_way(&service), []);
    });
}

#[test]
fn observer_is_told_of_each_encode_that_begins_and_of_its_end() {
    run(async {
        let told: Arc<Mutex<Vec<EncodeProgress>>> = Arc::default();
        let (text, noise) = (hex(20_000, 5), random(6, 20_000));
        let pack = Pack { late: true, ..Pack::default() };
        let telling = Arc::clone(&told);
        let service = in_memory(&pack, &[("text.txt", &text), ("noise.txt", &noise)])
            .on_encode(move |encode| telling.lock().unwrap().push(encode.clone()))
            .build()
            .unwrap();
        let states = |path: &str| {
            let told = told.lock().unwrap();
            let of_path = told.iter().filter(|encode| encode.path.as_str() == Some(path));
            of_path.map(|encode| encode.state).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            let answer = get(&service, "/text.txt", &[PACK]).await;
            assert_eq!(answer.coding(), "x-pack");
            assert_eq!(get(&service, "/noise.txt", &[PACK]).await.coding(), "");
            settled(&service).await;
        }
        let finished = || states("text.txt") == [EncodeState::Running, EncodeState::Finished];
        until(finished).await;
        let failed = || states("noise.txt") == [EncodeState::Running, EncodeState::Failed];
        until(failed).await;
        let told = told.lock().unwrap();
        let end = told.iter().find(|encode| encode.state == EncodeState::Finished).unwrap();
        assert_eq!(end.source_bytes, text.len() as u64);
        assert!(end.encoded_bytes > 0 && end.encoded_bytes < end.source_bytes);
        assert_eq!(durations(&service, "x-pack").0, 2);
    });
}
