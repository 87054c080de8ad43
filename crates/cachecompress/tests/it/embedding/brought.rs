//! Files that a handler brings: bytes and open files that no path of the source leads to.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests open files as a handler would"
)]

use std::fs::{self, File};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cachecompress::source::{Found, SourceFile};
use cachecompress::{
    Digest, Error, Memory, Preference, RequestOptions, ServeCompressed, Served, Source, SourcePath,
};
use cachecompress_test::gate::Gate;
use cachecompress_test::made::MadeFile;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{Answer, LONG, encodes, get, read, request, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;

use crate::fixture::site::GZIP;
use crate::fixture::stored::{PACK, in_memory};

fn service() -> ServeCompressed {
    let builder = ServeCompressed::builder(Memory::new().file("report.csv", "in the source"));
    builder.patience(LONG).header("*.csv", "x-kind", "table").build().unwrap()
}

async fn serve(service: &ServeCompressed, file: SourceFile, fields: &[(&str, &str)]) -> Answer {
    let (parts, ()) = request("GET", "/api/7", fields).into_parts();
    read(service.serve_source("report.csv", file, &parts).await).await
}

fn open(path: &Path) -> SourceFile {
    SourceFile::from_file(File::open(path).unwrap()).unwrap()
}

#[test]
fn brought_bytes_are_encoded_once_and_validated() {
    run(async {
        let service = service();
        for len in [3_000, 90_000, 700_000] {
            let bytes = hex(len, 1);
            let file = || SourceFile::from_bytes(bytes.clone());
            let first = serve(&service, file(), &GZIP).await;
            assert_eq!((first.cache(), first.field("x-kind")), ("stored", "table"));
            assert_eq!(first.field("content-type"), "text/csv; charset=utf-8");
            assert!(first.decoded() == bytes);
            settled(&service).await;
            let before = encodes(&service, "*");
            let second = serve(&service, file(), &GZIP).await;
            assert_eq!(second.cache(), "hit");
            assert!(second.decoded() == bytes);
            assert_eq!(encodes(&service, "*"), before);
            let tag = ("if-none-match", first.field("etag"));
            assert_eq!(serve(&service, file(), &[GZIP[0], tag]).await.status, 304);
            let part = serve(&service, file(), &[("range", "bytes=10-19")]).await;
            assert_eq!((part.status.as_u16(), part.bytes()), (206, &bytes[10..20]));
            assert!(serve(&service, file(), &[]).await.bytes() == bytes);
        }
        // The source has a file of this name, which is another one.
        let (parts, ()) = request("GET", "/", &[]).into_parts();
        let own = read(service.serve("report.csv", &parts).await).await;
        assert_eq!(own.bytes(), b"in the source");
    });
}

#[test]
fn brought_file_may_have_any_name_and_a_digest() {
    run(async {
        let service = service();
        let bytes = hex(200_000, 2);
        let text = "text/plain; charset=utf-8";
        for (name, expected) in
            [("", text), ("../x", text), ("a/b.bin", "application/octet-stream")]
        {
            let (parts, ()) = request("GET", "/", &[]).into_parts();
            let file = SourceFile::from_bytes(bytes.clone()).digest(Digest::of(&bytes));
            let answer = read(service.serve_source(name, file, &parts).await).await;
            assert_eq!(answer.field("content-type"), expected, "{name}");
            assert!(answer.bytes() == bytes);
        }
        let (parts, ()) = request("POST", "/", &[]).into_parts();
        let refused = service.serve_source("a.txt", "text", &parts).await;
        assert_eq!(refused.status(), 405);
        let (mut parts, ()) = request("GET", "/", &[]).into_parts();
        parts.extensions.insert(RequestOptions::new().original_length(true));
        let answer = read(service.serve_source("a.txt", "text", &parts).await).await;
        assert_eq!(answer.field("x-original-content-length"), "4");
    });
}

#[test]
fn open_file_is_served_and_a_changed_one_never_mixed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("open.csv");
    run(async {
        for (generation, len) in [(1, 5_000), (2, 120_000), (3, 900_000)] {
            let bytes = hex(len, generation);
            fs::write(&path, &bytes).unwrap();
            let service = service();
            let file = open(&path);
            let first = serve(&service, file.clone(), &GZIP).await;
            assert!(first.decoded() == bytes);
            assert!(!first.field("last-modified").is_empty());
            settled(&service).await;
            assert!(serve(&service, file.clone(), &GZIP).await.decoded() == bytes);
            assert!(serve(&service, file, &[]).await.bytes() == bytes);
        }
        // The file is overwritten in place after it was opened.
        let service = service();
        let stale = open(&path);
        let after = hex(900_000, 4);
        fs::write(&path, &after).unwrap();
        for fields in [&GZIP[..], &[]] {
            let answer = serve(&service, stale.clone(), fields).await;
            answer.is_exact_or_aborted(&after);
        }
    });
    assert!(SourceFile::from_file(File::open(directory.path()).unwrap()).is_err());
}

/// A service over `source` whose encoder a gate holds, and the answer to a request for an open file
/// that is overwritten by `after` between its hash and its encode.
async fn overwritten(service: &ServeCompressed, gate: &Gate, after: &[u8]) -> Answer {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("open.txt");
    fs::write(&path, hex(900_000, 1)).unwrap();
    let (asked, file) = (service.clone(), open(&path));
    let answer = tokio::spawn(async move {
        let (parts, ()) = request("GET", "/x", &[PACK]).into_parts();
        read(asked.serve_source("a.txt", file, &parts).await).await
    });
    until(|| gate.arrived() > 0).await;
    fs::write(&path, after).unwrap();
    gate.open_wide();
    answer.await.unwrap()
}

#[test]
fn brought_file_that_changes_under_its_encode_is_served_whole() {
    for len in [600_000, 900_000, 1_200_000] {
        let after = hex(len, 4);
        let gate = Gate::new();
        let pack = Pack { late: true, ..Pack::gated(&gate) };
        // The source has a file of the same name, which must not come into it.
        let own = hex(9_000, 7);
        run(async {
            let service = in_memory(&pack, &[("a.txt", &own)]).revalidate(Duration::ZERO);
            let service = service.build().unwrap();
            let tag = get(&service, "/a.txt", &[]).await.field("etag").to_owned();
            let answer = overwritten(&service, &gate, &after).await;
            assert_eq!((answer.status.as_u16(), answer.field("etag")), (200, ""));
            assert!(answer.decoded() == after, "{len}");
            assert_eq!(get(&service, "/a.txt", &[]).await.field("etag"), tag);
        });
    }
}

/// Bytes whose drop is counted.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

/// 100 requests left 150 MB behind, in encodes that waited for a thread.
#[test]
fn brought_bytes_that_wait_for_an_encode_are_bounded() {
    run(async {
        let gate = Gate::new();
        let held = Arc::new(AtomicUsize::new(0));
        let list = Preference::List(vec![coding()]);
        let service = in_memory(&Pack::gated(&gate), &[]).patience(Duration::ZERO).preference(list);
        let service = service.build().unwrap();
        let mut details = Vec::new();
        for seed in 0..100 {
            let bytes = hex(1_500_000, seed);
            held.fetch_add(bytes.len(), Ordering::SeqCst);
            let file = SourceFile::from_bytes(Bytes::from_owner(Counted(bytes, Arc::clone(&held))));
            let (parts, ()) = request("GET", "/x", &[PACK]).into_parts();
            let answer = read(service.serve_source("a.txt", file, &parts).await).await;
            assert_eq!(answer.status, 200);
            details.push(answer.cache().to_owned());
        }
        until(|| held.load(Ordering::SeqCst) <= (64 << 20) + 2_000_000).await;
        gate.open_wide();
        settled(&service).await;
        until(|| held.load(Ordering::SeqCst) == 0).await;
        assert!(service.metrics().entries > 10, "those that had room are stored: {details:?}");
    });
}

#[test]
fn brought_file_is_delivered_as_others() {
    run(async {
        let builder = ServeCompressed::builder(Memory::new()).served_extension(true);
        let service = builder.build().unwrap();
        let (parts, ()) = request("HEAD", "/x", &[]).into_parts();
        let response = service.serve_source("a.txt", "text", &parts).await;
        assert!(response.extensions().get::<Served>().is_some());
        assert_eq!(read(response).await.body.unwrap(), b"");
        let response = service.try_call(request("HEAD", "/x", &[])).await.unwrap();
        assert!(response.extensions().get::<Served>().is_some());
        assert_eq!(read(response).await.body.unwrap(), b"");
    });
}

/// A source whose list takes as long as the gate is closed.
#[derive(Debug)]
struct SlowList(Arc<Gate>);

impl Source for SlowList {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        Ok(if path.is_root() { Found::Directory } else { Found::Nothing })
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.0.pass();
        Ok(Vec::new())
    }
}

#[test]
fn long_work_on_a_brought_file_or_a_list_holds_no_serving_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let file = Arc::new(MadeFile::new(hex(900_000, 1)).held(Some(Arc::clone(&gate))));
        let service = ServeCompressed::builder(SlowList(Arc::clone(&gate))).build().unwrap();
        let asked = service.clone();
        let brought = tokio::spawn(async move { serve(&asked, file.source(), &[]).await });
        let warmed = service.clone();
        let warming = tokio::spawn(async move {
            warmed.warm_with(cachecompress::WarmOptions::new(), |_| {}).await
        });
        // This thread goes on while both are held.
        while gate.arrived() < 2 {
            assert_eq!(get(&service, "/nowhere", &[]).await.status, 404);
            tokio::task::yield_now().await;
        }
        assert!(!brought.is_finished() && !warming.is_finished());
        gate.open_wide();
        assert!(brought.await.unwrap().bytes() == hex(900_000, 1));
        warming.await.unwrap().unwrap();
    });
}

/// tokio's clock leaps over every wait while a test has paused it, but an encode takes real time.
#[test]
fn paused_clock_does_not_end_patience() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
        let bytes = hex(700_000, 5);
        let answer = serve(&service(), SourceFile::from_bytes(bytes.clone()), &GZIP).await;
        assert_eq!(answer.cache(), "stored");
        assert!(answer.decoded() == bytes);
    });
}

/// An executor of a few lines, which has neither timers nor any other part of tokio.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn service_runs_on_any_executor() {
    block_on(async {
        let service = service();
        let bytes = hex(700_000, 6);
        let answer = serve(&service, SourceFile::from_bytes(bytes.clone()), &GZIP).await;
        assert!(answer.decoded() == bytes);
        assert!(serve(&service, SourceFile::from_bytes(bytes.clone()), &[]).await.bytes() == bytes);
        service.warm_with(cachecompress::WarmOptions::new(), |_| {}).await.unwrap();
        service.shutdown(cachecompress::Shutdown::Finish).await;
    });
}
