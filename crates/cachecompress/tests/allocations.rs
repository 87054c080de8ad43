//! Counts the allocations of the library for an answer that it has given before.
//!
//! The figures are counts, so that neither the machine nor its load changes them. A dearer answer
//! fails here, and the commit has to say why; a cheaper one fails as well, so that the figures stay
//! true. `cargo xtask fence` counts the costs of the whole program, and those of a 404: its look-up
//! is on another thread, and this program counts on one.
//!
//! A program of its own, because its global allocator counts for the whole process.

#![cfg(feature = "gzip")]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use cachecompress::{Memory, ServeCompressed};
use cachecompress_test::service::{LONG, get, request, run, settled};
use cachecompress_test::site::hex;
use http::{Request, StatusCode};
use http_body::Body as _;
use tower::Service as _;

/// A browser's Accept-Encoding; gzip is the only coding here.
const ACCEPT: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");

/// A service that has answered `/small.txt` before, and its tag.
fn warm() -> (ServeCompressed, String) {
    let source = Memory::new().file("small.txt", hex(2_800, 1));
    // On a busy machine the background look at the source may come too late, and every response
    // would be made from scratch.
    let builder = ServeCompressed::builder(source).patience(LONG).revalidate(16 * LONG);
    let service = builder.build().unwrap();
    let tag = run(async {
        get(&service, "/small.txt", &[ACCEPT]).await;
        settled(&service).await;
        get(&service, "/small.txt", &[ACCEPT]).await.field("etag").to_owned()
    });
    (service, tag)
}

/// The status of an answer, the bytes of its body, and how often making, reading and dropping it
/// has allocated; `None` if it was not there at once.
fn answer(service: &ServeCompressed, request: Request<()>) -> Option<(StatusCode, usize, u64)> {
    let mut answer = None;
    let counted = measure(|| {
        let mut context = Context::from_waker(Waker::noop());
        let mut service = service;
        let future = pin!(service.call(request));
        let Poll::Ready(Ok(response)) = future.poll(&mut context) else { return };
        let status = response.status();
        let mut body = pin!(response.into_body());
        let mut len = 0;
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
            len += frame.unwrap().into_data().unwrap().len();
        }
        answer = Some((status, len));
    });
    answer.map(|(status, len)| (status, len, counted.count_total))
}

/// The fewest allocations of many such answers: one in a second is made anew, which takes more.
#[track_caller]
fn allocates(method: &str, path: &str, fields: &[(&str, &str)], status: u16) -> u64 {
    let (service, tag) = warm();
    let tagged = |value| if value == "TAG" { tag.as_str() } else { value };
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, tagged(*value))).collect();
    let counts = (0..100).filter_map(|_| {
        let (found, len, count) = answer(&service, request(method, path, &fields))?;
        assert_eq!(found, status, "{method} {path}");
        let is_empty = method == "HEAD" || status == 304;
        assert_eq!(len == 0, is_empty, "{len} bytes for {method} {path}");
        Some(count)
    });
    counts.min().expect("a warm answer is there at once")
}

#[test]
fn count_of_one_allocation_is_one() {
    assert_eq!(measure(|| drop(Box::new(1))).count_total, 1);
    assert_eq!(measure(|| ()).count_total, 0);
}

/// No more than `most`, and not far less, which were to be written down here.
#[track_caller]
fn at_most(most: u64, count: u64) {
    assert!(count <= most, "{count} allocations, and there were {most}");
    assert!(count * 10 >= most * 9, "only {count} allocations: put that in place of {most}");
}

#[test]
fn remembered_response_allocates_its_head_only() {
    at_most(2, allocates("GET", "/small.txt", &[ACCEPT], 200));
}

#[test]
fn not_modified_response_allocates_its_head_only() {
    let conditional = [ACCEPT, ("if-none-match", "TAG")];
    at_most(2, allocates("GET", "/small.txt", &conditional, 304));
}

#[test]
fn head_is_answered_from_scratch() {
    at_most(23, allocates("HEAD", "/small.txt", &[ACCEPT], 200));
}

#[test]
fn range_is_answered_from_scratch() {
    at_most(22, allocates("GET", "/small.txt", &[ACCEPT, ("range", "bytes=0-99")], 206));
}

/// The future had room for the page of an error twice, in 12 KB. Its move to the heap cost a third of
/// the instructions of a HEAD.
#[test]
fn future_of_a_response_takes_4_kib_at_most() {
    let (service, _) = warm();
    let request = request("HEAD", "/small.txt", &[ACCEPT]);
    let counted = measure(|| drop((&service).call(request)));
    assert!(counted.bytes_max <= 4096, "{} bytes", counted.bytes_max);
}
