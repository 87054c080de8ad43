//! One connection: HTTP/1.1, or HTTP/2 with prior knowledge, from its first byte to its last.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::shutdown::Draining;

/// How long a client may take to send a request's head, also counted from the end of the request
/// before, so that it bounds how long a connection may lie idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection without a request is kept once the server is ending: its client may
/// have sent one before it could know.
const LINGER: Duration = Duration::from_millis(250);
/// The most that the head of an HTTP/1.1 request may take up: longer ones get a 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most fields in it: more get a 431.
const MAX_FIELDS: usize = 100;
/// The most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// How often an HTTP/2 client is asked whether it is still there, and how long it may think.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How connections are served.
#[derive(Clone, Debug)]
pub(crate) struct Protocol(auto::Builder<TokioExecutor>);

impl Protocol {
    /// With the limits above.
    pub(crate) fn new() -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_FIELDS)
            // A client that has sent its last request may close its sending half at once.
            .half_close(true)
            .keep_alive(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        Self(builder)
    }

    /// Serves `stream` until its client leaves, falls silent, or `draining` begins; in the last
    /// case after what has been requested is answered.
    pub(crate) async fn serve<S, B>(&self, stream: TcpStream, service: S, mut draining: Draining)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        // Only a matter of speed.
        let _ = stream.set_nodelay(true);
        let requested = Arc::new(Notify::new());
        let service = Noticing { service, requested: Arc::clone(&requested) };
        let mut connection = pin!(self.0.serve_connection(TokioIo::new(stream), service));

        // hyper's own timeout begins when the protocol is known, which a client could delay for
        // ever by sending half of the HTTP/2 preface; so the first request has one of its own.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = requested.notified() => {}
            () = tokio::time::sleep(HEADER_TIMEOUT) => return,
            () = draining.begun() => tokio::select! {
                _ = connection.as_mut() => return,
                () = requested.notified() => {}
                () = tokio::time::sleep(LINGER) => return,
            },
        }
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = draining.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(error = %Causes(&*error), "connection ended early");
        }
    }
}

/// Tells that there was a request.
struct Noticing<S> {
    service: S,
    requested: Arc<Notify>,
}

impl<S, R> Service<R> for Noticing<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: R) -> S::Future {
        self.requested.notify_one();
        self.service.call(request)
    }
}

/// An error with all its causes in one line.
struct Causes<'a>(&'a (dyn StdError + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
