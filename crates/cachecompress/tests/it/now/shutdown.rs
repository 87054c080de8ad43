//! The end of a service, which finishes or drops its encodes.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use cachecompress::Shutdown;
use cachecompress::codec::PIECE;
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{encodes, get, get_as, open, read, run, settled};
use cachecompress_test::site::hex;

use crate::fixture::stored::{PACK, borrowed, in_memory, on_disk, service};

const SHORT: Duration = Duration::from_millis(30);

/// Polls `ending` once. Returns whether it waits.
async fn begins_to_wait(mut ending: Pin<&mut impl Future<Output = ()>>) -> bool {
    poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx).is_pending())).await
}

#[test]
fn shutdown_finish_waits_for_running_and_queued_encodes() {
    run(async {
        let files: Vec<_> = (0..4).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list = borrowed(&files);
        let gate = Gate::new();
        let service = in_memory(&Pack::gated(&gate), &list).patience(SHORT).encode_threads(2);
        let service = service.build().unwrap();
        for n in 0..4 {
            get(&service, &format!("/{n}.txt"), &[PACK]).await;
        }
        let mut ending = pin!(service.shutdown(Shutdown::Finish));
        assert!(begins_to_wait(ending.as_mut()).await, "two encodes run, two wait");
        gate.open_wide();
        ending.await;
        for n in 0..4 {
            assert_eq!(get(&service, &format!("/{n}.txt"), &[PACK]).await.cache(), "hit");
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
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        gate.open(1);
        let response = open(&service, "/a.txt", &[PACK]).await;
        let mut ending = pin!(service.shutdown(Shutdown::Drop));
        assert!(begins_to_wait(ending.as_mut()).await, "an encode runs");
        gate.open(1);
        assert!(read(response).await.body.is_err());
        ending.await;
        let after = get(&service, "/a.txt", &[PACK]).await;
        assert_eq!((after.status.as_u16(), after.coding()), (200, ""));
        assert!(after.bytes() == source);
        assert_eq!(service.metrics().entries, 0, "nothing half is published");
    });
}

/// The encode of an answer that has just been given counts as running or waiting, however early.
#[test]
fn shutdown_finish_forgets_no_encode_that_was_begun() {
    run(async {
        for seed in 0..100 {
            let source = hex(20_000, seed);
            let service = in_memory(&Pack::new(), &[("a.txt", &source)]).patience(Duration::ZERO);
            let service = service.build().unwrap();
            // The resource is known, so that nothing comes between answer and shutdown.
            get(&service, "/a.txt", &[]).await;
            let first = get(&service, "/a.txt", &[PACK]).await;
            service.shutdown(Shutdown::Finish).await;
            let next = get(&service, "/a.txt", &[PACK]).await;
            assert_eq!(next.cache(), "hit", "after {:?}, try {seed}", first.cache());
        }
    });
}

/// `Shutdown::Finish` ends the encoding, not the service. Entries on disk were no longer looked up,
/// so that every client got identity until the end.
#[test]
fn stored_entry_hits_after_a_shutdown() {
    run(async {
        let (stored, missing) = (hex(9_000, 1), hex(9_000, 2));
        let files: [(&str, &[u8]); 2] = [("a.txt", &stored), ("b.txt", &missing)];
        for mode in [Shutdown::Finish, Shutdown::Drop] {
            let directory = tempfile::tempdir().unwrap();
            let fill = service(&files, &on_disk(&directory));
            get(&fill, "/a.txt", &[PACK]).await;
            settled(&fill).await;
            let fresh = service(&files, &on_disk(&directory));
            fresh.shutdown(mode).await;
            let answer = get(&fresh, "/a.txt", &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "hit"), "{mode:?}");
            assert!(answer.decoded() == stored);
            let answer = get(&fresh, "/b.txt", &[PACK]).await;
            assert_eq!(answer.coding(), "", "{mode:?}");
            assert!(answer.bytes() == missing);
            settled(&fresh).await;
            assert_eq!(encodes(&fresh, "*"), 0);
        }
    });
}
