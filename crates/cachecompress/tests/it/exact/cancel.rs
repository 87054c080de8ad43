//! Clients that leave at any await of a request or of its body. Others are unharmed, and nothing
//! stays held.

#![cfg(all(unix, feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests look at the directory as an operator would"
)]

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cachecompress::codec::PIECE;
use cachecompress::{Body, Cache, Directory, ServeCompressed};
use cachecompress_test::cache_dir::locks;
use cachecompress_test::service::{Answer, LONG, get, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;
use http::Response;

/// Drops `future` after `polls` polls. Returns its output if it was ready by then.
async fn polled<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Reads `count` chunks of a body, and drops it. Returns whether that was all of it.
async fn chunks(count: usize, response: Response<Body>) -> bool {
    use http_body_util::BodyExt as _;
    let mut body = response.into_body();
    for _ in 0..count {
        match body.frame().await {
            Some(frame) => drop(frame.unwrap()),
            None => return true,
        }
    }
    false
}

/// The number of this process's descriptors beneath `directory`, those of unnamed files included.
#[cfg(target_os = "linux")]
fn descriptors(directory: &Path) -> usize {
    let list = fs::read_dir("/proc/self/fd").unwrap();
    list.flatten()
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(directory)))
        .count()
}

#[cfg(not(target_os = "linux"))]
fn descriptors(_: &Path) -> usize {
    0
}

const SMALL: &str = "/small.txt";
const LARGE: &str = "/large.txt";

/// A directory with two files.
fn site() -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    for (path, len) in [(SMALL, 3_000), (LARGE, 3 * PIECE)] {
        fs::write(site.path().join(&path[1..]), source(len)).unwrap();
    }
    site
}

/// A service over these files, with a new cache.
fn fresh(site: &Path, directory: &Path) -> ServeCompressed {
    let cache = Cache::builder(directory.join("cache")).build().unwrap();
    ServeCompressed::builder(Directory::new(site).unwrap())
        .cache(cache)
        .patience(LONG)
        .revalidate(Duration::ZERO)
        .build()
        .unwrap()
}

fn source(len: usize) -> Vec<u8> {
    hex(len, len as u64)
}

fn bytes_of(path: &str) -> Vec<u8> {
    source(if path == SMALL { 3_000 } else { 3 * PIECE })
}

#[track_caller]
fn assert_whole(answer: &Answer, path: &str) {
    if answer.status == 206 {
        assert!(answer.bytes().len() == 100, "{:?}", answer.headers);
        return;
    }
    assert!(answer.status == 200 && answer.decoded() == bytes_of(path), "{:?}", answer.headers);
}

/// Requests that wait for different things.
fn requests() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let coded = ("accept-encoding", "gzip");
    let insists = ("accept-encoding", "gzip, identity;q=0");
    let range = ("range", "bytes=0-99");
    vec![
        (SMALL, vec![coded]),
        (LARGE, vec![coded]),
        (LARGE, vec![insists]),
        (LARGE, vec![]),
        (LARGE, vec![coded, range]),
    ]
}

/// Asserts that nothing runs and nothing is locked, and that nothing is open once the service is
/// gone.
async fn assert_nothing_is_held(
    service: ServeCompressed,
    [site, directory]: [&Path; 2],
    when: &str,
) {
    settled(&service).await;
    let held = || locks(&directory.join("cache")).len();
    until(|| held() == 0).await;
    // A lookup or a flight left behind would make these requests wait.
    for path in [SMALL, LARGE] {
        let answer = get(&service, path, &[("accept-encoding", "gzip")]).await;
        assert_whole(&answer, path);
        settled(&service).await;
        let hit = get(&service, path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(hit.cache(), "hit", "{when}");
    }
    drop(service);
    until(|| descriptors(directory) + descriptors(site) == 0).await;
}

/// Drops each request after each number of polls until it ends within them. Another client has the
/// same request `beside` it, or none is there.
async fn leave_after_any_poll(beside: bool) {
    let (site, mut cases) = (site(), 0);
    for (path, fields) in requests() {
        for polls in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let service = fresh(site.path(), directory.path());
            let when = format!("{path}, {fields:?}, {polls} polls");
            let other = beside.then(|| {
                let (service, fields) = (service.clone(), fields.clone());
                tokio::spawn(async move { get(&service, path, &fields).await })
            });
            // The request is polled on this thread, so that the other client runs beside it.
            let left = polled(polls, async { read(open(&service, path, &fields).await).await });
            let left = left.await;
            if let Some(other) = other {
                assert_whole(&other.await.unwrap(), path);
            }
            assert_nothing_is_held(service, [site.path(), directory.path()], &when).await;
            cases += 1;
            if let Some(answer) = left {
                assert_whole(&answer, path);
                break;
            }
            assert!(polls < 200, "{when}: it never ends");
        }
    }
    println!("{cases} cases");
}

#[test]
fn client_harms_no_other_when_it_leaves_after_any_poll() {
    run(leave_after_any_poll(true));
}

#[test]
fn client_leaves_nothing_held_when_it_leaves_after_any_poll() {
    run(leave_after_any_poll(false));
}

#[test]
fn body_harms_no_other_when_it_is_dropped_after_any_chunk() {
    run(async {
        let (site, mut cases) = (site(), 0);
        for (path, fields) in requests() {
            for warm in [false, true] {
                for count in 0.. {
                    let directory = tempfile::tempdir().unwrap();
                    let service = fresh(site.path(), directory.path());
                    if warm {
                        assert_whole(&get(&service, path, &fields).await, path);
                        settled(&service).await;
                    }
                    let response = open(&service, path, &fields).await;
                    let other = open(&service, path, &fields).await;
                    let ended = chunks(count, response).await;
                    assert_whole(&read(other).await, path);
                    let when = format!("{path}, {fields:?}, warm: {warm}, {count} chunks");
                    assert_nothing_is_held(service, [site.path(), directory.path()], &when).await;
                    cases += 1;
                    if ended {
                        break;
                    }
                }
            }
        }
        println!("{cases} cases");
    });
}
