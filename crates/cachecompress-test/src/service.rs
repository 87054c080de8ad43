//! A client for the bare service, without a socket.

use std::convert::Infallible;
use std::future::Future;
use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use cachecompress::{Body, Error, ServeCompressed, Served};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Service, ServiceExt as _};

use crate::wait::{HELD, TEST, until};
use crate::{decode, pack};

/// A patience that no test outlives.
pub const LONG: Duration = HELD;

/// Runs a test on a runtime of two threads, no longer than [`TEST`].
///
/// # Panics
///
/// If the test takes longer.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(TEST, test).await.expect("a test hangs") })
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The content as sent, or the error that ended it.
    pub body: Result<Vec<u8>, Error>,
    /// The service's own account of the response.
    pub served: Option<Served>,
}

impl Answer {
    /// Returns a field's first value, empty if there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the content coding, empty for identity.
    #[must_use]
    pub fn coding(&self) -> &str {
        self.field("content-encoding")
    }

    /// Returns the last word of Cache-Status: `hit`, `stored`, `collapsed`, or a bypass's detail.
    #[must_use]
    pub fn cache(&self) -> &str {
        let value = self.field("cache-status");
        let value = value.strip_prefix("cachecompress; ").unwrap_or(value);
        value.rsplit(['=', ' ']).next().unwrap()
    }

    /// Returns the content as sent.
    ///
    /// # Panics
    ///
    /// If the body was aborted, or has another length than announced.
    #[must_use]
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        let body = self.body.as_ref().expect("the body ends well");
        if let Some(len) = self.headers.get("content-length") {
            assert_eq!(len.to_str().unwrap(), body.len().to_string(), "{:?}", self.headers);
        }
        body
    }

    /// Returns the decoded content.
    ///
    /// # Panics
    ///
    /// If the body was aborted or cannot be decoded.
    #[must_use]
    #[track_caller]
    pub fn decoded(&self) -> Vec<u8> {
        decode(self.coding(), self.bytes())
    }

    /// Asserts promise 1: the body was aborted, or decodes to `source`.
    ///
    /// # Panics
    ///
    /// If it is neither.
    #[track_caller]
    pub fn is_exact_or_aborted(&self, source: &[u8]) {
        if self.body.is_ok() {
            assert!(self.decoded() == source, "a clean end with wrong bytes: {:?}", self.headers);
        }
    }
}

/// Decodes with implementations that are not the encoders'.
///
/// # Panics
///
/// If `coded` is not exactly one representation in `coding`.
#[must_use]
#[track_caller]
pub fn decode(coding: &str, coded: &[u8]) -> Vec<u8> {
    match coding {
        "" => coded.to_vec(),
        "x-pack" => pack::unpack(coded),
        "zstd" => {
            let mut out = Vec::new();
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(coded).unwrap();
            decoder.read_to_end(&mut out).unwrap();
            out
        }
        other => decode::decode(other, coded).unwrap(),
    }
}

/// Makes a request without a body.
///
/// # Panics
///
/// If it is malformed.
#[must_use]
pub fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Sends a GET; the caller reads the body.
pub async fn open<S>(service: &S, path: &str, fields: &[(&str, &str)]) -> Response<Body>
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    send(service, request("GET", path, fields)).await
}

/// Sends a request; the caller reads the body.
pub async fn send<S>(service: &S, request: Request<()>) -> Response<Body>
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let Ok(response) = service.clone().oneshot(request).await;
    response
}

/// Sends a GET, and reads the whole response.
pub async fn get<S>(service: &S, path: &str, fields: &[(&str, &str)]) -> Answer
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    read(open(service, path, fields).await).await
}

/// Sends a HEAD, and reads the whole response.
pub async fn head<S>(service: &S, path: &str, fields: &[(&str, &str)]) -> Answer
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    read(send(service, request("HEAD", path, fields)).await).await
}

/// Sends a GET that accepts `coding`, and reads the whole response.
pub async fn get_as<S>(service: &S, path: &str, coding: &str) -> Answer
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    get(service, path, &[("accept-encoding", coding)]).await
}

/// Reads a response to its end.
pub async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let served = body.served().cloned();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec());
    Answer { status: parts.status, headers: parts.headers, body, served }
}

/// Reads the next chunk of a body.
///
/// # Panics
///
/// If the body ends or aborts first.
pub async fn chunk(body: &mut Body) -> Bytes {
    body.frame().await.expect("more").expect("no error").into_data().expect("data")
}

/// Waits until no encode runs or waits.
pub async fn settled<F>(service: &ServeCompressed<F>) {
    until(|| {
        let metrics = service.metrics();
        metrics.inflight == 0 && metrics.queue_length == 0
    })
    .await;
}

/// Returns the number of encodes started in `coding`, or in all codings for `*`.
#[must_use]
pub fn encodes<F>(service: &ServeCompressed<F>, coding: &str) -> u64 {
    let metrics = service.metrics();
    let counts = metrics.encodes.iter().filter(|of| coding == "*" || of.coding == coding);
    counts.map(|of| of.started).sum()
}
