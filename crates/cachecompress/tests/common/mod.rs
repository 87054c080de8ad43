//! What the library's tests share: a client for the bare service, sources, decoders.

#![allow(dead_code, reason = "each test binary uses some of it")]

pub(crate) mod pack;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cachecompress::{Body, Error, ServeCompressed, Served};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Service, ServiceExt as _};

/// The longest that any test may take.
const BOUND: Duration = Duration::from_secs(30);
/// A patience that no test outlives.
pub(crate) const LONG: Duration = Duration::from_secs(25);

/// Runs a test on a runtime of its own, and not for ever.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(BOUND, test).await.expect("a test hangs") })
}

/// `len` hexadecimal digits without a pattern: every encoder saves a good third, none two thirds.
pub(crate) fn hex(len: usize, seed: u64) -> Vec<u8> {
    noise(len, seed).into_iter().map(|byte| b"0123456789abcdef"[usize::from(byte >> 4)]).collect()
}

/// `len` bytes that nothing compresses.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Vec<u8>, Error>,
    pub(crate) served: Option<Served>,
}

impl Answer {
    /// A field's value, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn coding(&self) -> &str {
        self.field("content-encoding")
    }

    /// The cache's part in it: `hit`, `stored`, `collapsed`, or the detail of a bypass.
    pub(crate) fn cache(&self) -> &str {
        let value = self.field("cache-status");
        let value = value.strip_prefix("cachecompress; ").unwrap_or(value);
        value.rsplit(['=', ' ']).next().unwrap()
    }

    /// The bytes as they came; they must have ended well, and as long as announced.
    pub(crate) fn bytes(&self) -> &[u8] {
        let body = self.body.as_ref().expect("the body ends well");
        if let Some(len) = self.headers.get("content-length") {
            assert_eq!(len.to_str().unwrap(), body.len().to_string(), "{:?}", self.headers);
        }
        body
    }

    /// The source's bytes.
    #[track_caller]
    pub(crate) fn decoded(&self) -> Vec<u8> {
        decode(self.coding(), self.bytes())
    }

    /// Whether the body aborted, or decodes to `source`: promise 1.
    #[track_caller]
    pub(crate) fn is_exact_or_aborted(&self, source: &[u8]) {
        if self.body.is_ok() {
            assert!(self.decoded() == source, "a clean end with wrong bytes: {:?}", self.headers);
        }
    }
}

/// Decodes with implementations that are not the encoders'.
#[track_caller]
pub(crate) fn decode(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "" => out.extend_from_slice(coded),
        "gzip" => {
            flate2::bufread::MultiGzDecoder::new(coded).read_to_end(&mut out).unwrap();
        }
        "deflate" => {
            flate2::bufread::ZlibDecoder::new(coded).read_to_end(&mut out).unwrap();
        }
        "br" => {
            brotli_decompressor::Decompressor::new(coded, 4096).read_to_end(&mut out).unwrap();
        }
        "zstd" => {
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(coded).unwrap();
            decoder.read_to_end(&mut out).unwrap();
        }
        "x-pack" => out = pack::unpack(coded),
        other => panic!("no decoder for {other}"),
    }
    out
}

pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// A GET, its head only; the body is the caller's to read.
pub(crate) async fn open<S>(service: &S, path: &str, fields: &[(&str, &str)]) -> Response<Body>
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    send(service, request("GET", path, fields)).await
}

pub(crate) async fn send<S>(service: &S, request: Request<()>) -> Response<Body>
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let Ok(response) = service.clone().oneshot(request).await;
    response
}

pub(crate) async fn get<S>(service: &S, path: &str, fields: &[(&str, &str)]) -> Answer
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    read(open(service, path, fields).await).await
}

pub(crate) async fn head<S>(service: &S, path: &str, fields: &[(&str, &str)]) -> Answer
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    read(send(service, request("HEAD", path, fields)).await).await
}

/// A GET that takes `coding` or identity.
pub(crate) async fn get_as<S>(service: &S, path: &str, coding: &str) -> Answer
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    get(service, path, &[("accept-encoding", coding)]).await
}

pub(crate) async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let served = body.served().cloned();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec());
    Answer { status: parts.status, headers: parts.headers, body, served }
}

/// The next chunk of a body that has one.
pub(crate) async fn chunk(body: &mut Body) -> Bytes {
    body.frame().await.expect("more").expect("no error").into_data().expect("data")
}

/// Waits until `is_so`.
pub(crate) async fn eventually(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it never comes true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sets `ended` when the thread that calls this ends.
pub(crate) fn at_end_of_thread(ended: &Arc<AtomicBool>) {
    struct Ended(Arc<AtomicBool>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    thread_local! {
        static ENDED: RefCell<Option<Ended>> = const { RefCell::new(None) };
    }
    // Only the first: one that is replaced is dropped before the thread has ended.
    ENDED.with_borrow_mut(|told| {
        told.get_or_insert_with(|| Ended(Arc::clone(ended)));
    });
}

/// Waits until no encode runs or waits.
pub(crate) async fn settled<F>(service: &ServeCompressed<F>) {
    eventually(|| {
        let metrics = service.metrics();
        metrics.inflight == 0 && metrics.queue_length == 0
    })
    .await;
}

/// Encodes started, in all codings or in one.
pub(crate) fn encodes<F>(service: &ServeCompressed<F>, coding: &str) -> u64 {
    let metrics = service.metrics();
    let counts = metrics.encodes.iter().filter(|of| coding == "*" || of.coding == coding);
    counts.map(|of| of.started).sum()
}
